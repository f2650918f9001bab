"""Pictures of your own: any folder of them, copied and named in a manifest."""

import errno
import pathlib
import re
import shutil

from pokeutils.common import env, files
from pokeutils.data import species

MAX_FILE = 64 * 2**20  # bytes of one picture
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg")


def path(name):
    """Returns the absolute path of the folder in "folder:<path>"."""
    folder = pathlib.Path(name.removeprefix("folder:")).expanduser()
    inside = env.ROOT / folder  # notebooks run in a folder of their own
    if inside.exists() or not folder.exists():
        folder = inside
    return folder.resolve()


def state(name):
    """Returns a hash of the names, sizes and times of the pictures in a folder. Raises
    ValueError when it is missing or holds fewer than two pictures."""
    folder = path(name)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; folder:<path> needs one.")
    pictures = _pictures(folder)
    if len(pictures) < 2:
        count = "no pictures" if not pictures else "one picture"
        raise ValueError(
            f"{folder} holds {count}; at least 2 are needed, in it or in folders "
            f"below, in files ending in {', '.join(PICTURES)}."
        )
    states = [(str(picture), picture.lstat()) for picture in pictures]
    states = [(picture, state.st_size, state.st_mtime_ns) for picture, state in states]
    return files.sha256(repr(states).encode())


def fill(name, new, progress):
    """Copies the pictures of a folder; returns what the functions in `packs` do."""
    species.need(progress)
    folder, rows, dropped = path(name), [], []
    for picture in _pictures(folder):
        file = picture.relative_to(folder).as_posix()
        try:
            if not picture.resolve().is_relative_to(folder):
                raise OSError("a link that leads out of the folder")
            if picture.stat().st_size > MAX_FILE:
                raise OSError(f"larger than {MAX_FILE >> 20} MB")
            (new / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, new / file)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            dropped.append({"file": file, "reason": str(error)})
            continue
        number, form = _species(picture.stem)
        row = {"file": file, "species_id": number or "", "form": form}
        rows.append({**row, "slug": picture.stem, "url_or_package": folder.as_uri()})
    return rows, {"from": str(folder), "verified": "", "dropped": dropped}


def _species(stem):
    """Returns (number, form) of a name such as 006, 6-mega-x, pikachu; 0 if none."""
    match = re.match(r"0*(\d{1,4})(?!\d)-?(.*)", stem)
    if match:
        number, form = int(match[1]), match[2].lower()
    else:
        number, form = species.find(stem.lower())
    # What follows a number can be anything; it is a form only if it is known as one.
    if "type1" in species.facts(number, form):
        return number, form
    return (number if match and species.facts(number) else 0), ""


def _pictures(folder):
    """Returns the paths of the pictures in a folder and below, sorted."""
    # What is hidden is not meant: macOS puts a "._cat.png" beside every cat.png, and
    # programs keep thumbnails and checkpoints in folders such as .thumbnails.
    return sorted(
        picture
        for picture in folder.rglob("[!.]*")
        if picture.suffix.lower() in PICTURES
        and not any(part[0] == "." for part in picture.relative_to(folder).parts)
        and not picture.is_dir()
    )
