"""Pictures of your own: any folder of them, copied and named in a manifest."""

import collections
import errno
import os
import pathlib
import re
import shutil
import stat

from pokeutils.common import env, files, formats
from pokeutils.data import species

MAX_FILE = formats.MAX_BYTES  # of one picture
UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # control characters; not UTF-8
ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".rar", ".7z"}
OURS = ("manifest.csv", "source.json")  # what `sources` puts beside the pictures


class UnusableFolder(ValueError):
    """A folder that is missing, has too few pictures, or a name that is no text."""


def path(name):
    """Returns the absolute path of the folder in "folder:<path>". Raises
    UnusableFolder for one whose name is no text."""
    if UNFIT.search(name):
        raise UnusableFolder(
            f"{readable(name)} has a name that is not UTF-8, or has a line break in it:"
            " rename that folder."
        )
    folder = pathlib.Path(name.removeprefix("folder:")).expanduser()
    inside = env.ROOT / folder  # notebooks run in a folder of their own
    if inside.exists() or not folder.exists():
        folder = inside
    return folder.resolve()


def readable(name):
    """Returns a file name in which what cannot be shown or written is spelled out."""
    return UNFIT.sub(lambda match: match[0].encode("unicode_escape").decode(), name)


def state(name):
    """Returns a hash of the names, sizes and times of the pictures in a folder. Raises
    UnusableFolder when it is missing or holds fewer than two pictures."""
    folder = path(name)
    if not folder.is_dir():
        raise UnusableFolder(f"{folder} is not a folder; folder:<path> needs one.")
    pictures, passed, _ = _listed(folder)
    if len(pictures) < 2:
        count = "no pictures" if not pictures else "one picture"
        raise UnusableFolder(
            f"{folder} holds {count}; at least 2 are needed, in it or in folders below:"
            f" PNG, JPEG, SVG and what else Pillow reads. {_told(passed)}".rstrip()
        )
    states = [(os.fsencode(file), *_stamp(folder / file)) for file in pictures]
    return files.sha256(repr(states).encode())


def fill(name, new, progress):
    """Copies the pictures of a folder; returns what the functions in `packs` do."""
    species.need(progress)
    folder, rows = path(name), []
    pictures, passed, dropped = _listed(folder)
    for file in pictures:
        try:
            _copy(folder, file, new)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            dropped.append({"file": file, "reason": error.strerror or str(error)})
            continue
        stem = pathlib.PurePath(file).stem
        number, form = _species(stem)
        row = {"file": file, "species_id": number or "", "form": form}
        rows.append({**row, "slug": stem, "url_or_package": folder.as_uri()})
    dropped = [{**item, "file": readable(item["file"])} for item in dropped]
    for item in dropped[:5]:
        progress(f"left out: {item['file']}: {item['reason']}")
    if passed:
        progress(_told(passed))
    story = {"from": str(folder), "verified": "", "dropped": dropped}
    return rows, {**story, "left_out": [_told(passed)] if passed else []}


def _copy(folder, file, new):
    """Copies a file of the folder to `new`. Raises OSError if that is no file of it."""
    picture = folder / file
    if UNFIT.search(file):
        raise OSError("its name is not UTF-8, or has a line break in it: rename it")
    if file.partition("/")[0] in OURS:
        raise OSError(f"in a folder called {file.partition('/')[0]}: rename that")
    if not pathlib.Path(os.path.realpath(picture)).is_relative_to(folder):
        raise OSError("a link that leads out of the folder")
    about = picture.stat()
    if not stat.S_ISREG(about.st_mode):
        raise OSError("not a file")
    if about.st_size > MAX_FILE:
        raise OSError(f"larger than {MAX_FILE >> 20} MB")
    (new / file).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(picture, new / file)


def _stamp(path):
    """Returns the size and time of a file, or of the link if that leads nowhere."""
    try:
        about = path.stat()
    except OSError:
        about = path.lstat()
    return about.st_size, about.st_mtime_ns


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


def _listed(folder):
    """Returns the pictures in a folder and below, sorted, as paths from there; how many
    other files of each kind there are; and folders that are not read, as "dropped" in
    source.json."""
    pictures, passed, dropped = [], collections.Counter(), []
    # Each folder is read once, whatever links lead to it, and never what is made here.
    seen = {os.path.realpath(p) for p in (folder, env.data_dir(), env.outputs_dir())}

    def unread(path, reason):
        dropped.append({"file": os.path.relpath(path, folder), "reason": reason})

    for place, below, names in os.walk(
        folder, onerror=lambda e: unread(e.filename, e.strerror), followlinks=True
    ):
        # What is hidden is not meant: macOS puts a "._cat.png" beside every cat.png,
        # and programs keep thumbnails and checkpoints in folders such as .thumbnails.
        paths = [os.path.join(place, n) for n in sorted(below) if n[0] != "."]
        below.clear()
        for path in sorted(paths, key=os.path.islink):
            real = os.path.realpath(path)
            if not pathlib.Path(real).is_relative_to(folder):
                unread(path, "a link that leads out of the folder")
            elif real not in seen:
                seen.add(real)
                below.append(os.path.basename(path))
        for name in names:
            suffix = pathlib.PurePath(name).suffix.lower()
            if suffix in formats.suffixes() and name[0] != ".":
                file = os.path.relpath(os.path.join(place, name), folder)
                pictures.append(pathlib.PurePath(file).as_posix())
            elif name[0] != ".":
                passed[suffix or "no ending"] += 1
    return sorted(pictures), passed, dropped


def _told(passed):
    """Returns a sentence on the files that are no pictures, "" if there are none."""
    if not passed:
        return ""
    kinds = ", ".join(f"{count} {end}" for end, count in passed.most_common(6))
    text = f"Files that cannot be read as pictures: {readable(kinds)}."
    return f"{text} Unpack archives first." if ARCHIVES & set(passed) else text
