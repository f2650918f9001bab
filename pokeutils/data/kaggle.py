"""Two picture sets that are shared on Kaggle, from wherever this machine has them.

Both hold every picture in two folders or file types, one inside the other; it is read
once. Kaggle and Colab mount sets below /kaggle/input, `kagglehub` downloads them, and a
zip file or folder that a person downloaded will do.
"""

import collections
import csv
import importlib.util
import io
import os
import pathlib
import re

from pokeutils.common import env, files
from pokeutils.data import download, species
from pokeutils.data.download import SourceUnavailable

POKEMON = "kvpratama/pokemon-images-dataset"
TYPES = "vishalsubbiah/pokemon-images-and-types"
INPUT = "/kaggle/input"
MOUNTS = ("KAGGLE_CACHE_MOUNT_FOLDER", "COLAB_CACHE_MOUNT_FOLDER")  # may say otherwise


def state(name):
    """Returns a hash of the archive or folder that "...@<path>" gives: of where it is
    and of the sizes and times of its files. None for a name without a path.

    Raises ValueError when it is missing.
    """
    handle, _, given = name.removeprefix("kaggle:").partition("@")
    if not given:
        return None
    path = _path(handle, given)
    inside = sorted(path.rglob("*")) if path.is_dir() else []
    states = [(str(file), file.lstat()) for file in (path, *inside)]
    states = [(file, state.st_size, state.st_mtime_ns) for file, state in states]
    return files.sha256(repr(states).encode())


def fill(name, new, progress):
    """Copies the pictures of "kaggle:<owner>/<slug>"; returns what `sets` functions do.

    "kaggle:<owner>/<slug>@<path>" names the zip file or folder to take them from.
    Raises SourceUnavailable when the set is nowhere, RuntimeError when it is damaged.
    """
    species.need(progress)
    handle, _, given = name.removeprefix("kaggle:").partition("@")
    where = _find(handle, given, new.parent.parent / "downloads", progress)
    with download.members(where) as members:
        rows, left_out = {POKEMON: _numbered, TYPES: _named}[handle](members, new)
    if len(rows) < 2:
        raise RuntimeError(f"{where} does not hold the pictures of {handle}.")
    link = f"https://www.kaggle.com/datasets/{handle}"
    return [{**row, "url_or_package": link} for row in rows], {
        "from": f"{link}, {where}",
        "verified": "",  # Kaggle sets may be changed by their makers
        "left_out": left_out,
    }


# ----------------------------------------------------------------------------- finding


def _find(handle, given, downloads, progress):
    slug = handle.partition("/")[2]
    if given:
        return _path(handle, given)
    mounts = [os.environ[name] for name in MOUNTS if os.environ.get(name)] + [INPUT]
    places = [
        pathlib.Path(mount, below)
        for mount in mounts
        for below in (slug, f"datasets/{handle}", handle)
    ]
    places += [downloads / slug, downloads / f"{slug}.zip"]
    for place in places:
        if place.exists():
            progress(f"kaggle:{handle} found: {place}")
            return place
    return _download(handle, downloads / f"{slug}.zip", progress)


def _path(handle, given):
    path = pathlib.Path(given).expanduser()
    if not path.exists() and not path.is_absolute():
        path = env.ROOT / path  # notebooks run in a folder of their own
    if not path.exists():
        raise ValueError(
            f"there is no {path}, which kaggle:{handle}@... names. kaggle:{handle} "
            "alone takes what was fetched before, or looks for it elsewhere."
        )
    return path.resolve()


def _download(handle, path, progress):
    if importlib.util.find_spec("kagglehub") is None:
        problem = "kagglehub, which downloads it, is not installed (pip install it)"
    else:
        import kagglehub

        progress(f"kagglehub downloads {handle} ...")
        try:
            return pathlib.Path(kagglehub.dataset_download(handle))
        except Exception as error:  # of any of the packages that it is made of
            problem = f"kagglehub could not download it ({str(error)[:200]})"
    raise SourceUnavailable(
        f"kaggle:{handle} is not on this machine, and {problem}. Or download "
        f"https://www.kaggle.com/datasets/{handle} with a browser and save it as "
        f"{path}. {download.OFFLINE}"
    )


# ----------------------------------------------------------------------------- layouts


def _numbered(members, new):
    """pokemon/pokemon/6-mega-x.png and, the same again, pokemon_jpg/.../6-mega-x.jpg"""
    pictures, left_out = _once(members, r"\d+f?(-[a-z-]+)?")
    rows = []
    for stem, name in pictures.items():
        number, sex, form = re.match(r"0*(\d+)(f?)-?(.*)", stem).groups()
        row = {"species_id": int(number), "form": form or ("female" if sex else "")}
        rows.append({**row, "file": _copy(members, name, new)})
    rows.sort(key=lambda row: (row["species_id"], row["form"]))
    return rows, left_out


def _named(members, new):
    """images/images/aegislash-blade.png or .jpg, and the types in pokemon.csv"""
    pictures, left_out = _once(members, r"[a-z0-9]+(-[a-z0-9]+)*")
    types = _types(members)
    rows, table = [], io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["file", "type1", "type2"])
    for stem, name in pictures.items():
        number, form = species.find(stem)
        row = {"species_id": number or "", "form": form}
        row |= {"slug": "" if number else stem, "file": _copy(members, name, new)}
        rows.append(row)
        if stem in types:
            writer.writerow([row["file"], *types[stem]])
    (new / "types.csv").write_text(table.getvalue(), "utf-8")
    untyped = len(pictures) - len(types.keys() & pictures.keys())
    if untyped:
        left_out.append(f"pictures that pokemon.csv does not name: {untyped}")
    rows.sort(key=lambda row: (row["species_id"] or 9999, row["file"]))
    return rows, left_out


def _once(members, stems):
    """Returns {stem: member} of the pictures, one each, and what that leaves out."""
    found = collections.defaultdict(list)
    for name in members:
        stem, dot, kind = name.rpartition("/")[2].rpartition(".")
        if kind in ("png", "jpg", "jpeg") and re.fullmatch(stems, stem):
            found[stem].append(name)
    # PNG before JPEG: it has the transparency, and white parts that stay white.
    pictures = {
        stem: min(names, key=lambda name: (not name.endswith(".png"), name))
        for stem, names in found.items()
    }
    again = sum(map(len, found.values())) - len(pictures)
    others = len(members) - again - len(pictures)
    left_out = [f"files with the same pictures again: {again}"] if again else []
    return pictures, left_out + ([f"other files: {others}"] if others else [])


def _types(members):
    table = next((name for name in members if name.endswith("pokemon.csv")), None)
    if table is None:
        return {}
    text = members[table]().decode("utf-8-sig", "replace")
    rows = csv.DictReader(io.StringIO(text))
    rows.fieldnames = [field.strip().lower() for field in rows.fieldnames or []]
    return {
        (row.get("name") or "").strip().lower(): tuple(
            (row.get(column) or "").strip().lower() for column in ("type1", "type2")
        )
        for row in rows
    }


def _copy(members, name, new):
    file = name.rpartition("/")[2]  # digits, letters and hyphens, and a known ending
    (new / file).write_bytes(members[name]())
    return file
