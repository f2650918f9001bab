"""Two picture sets that are shared on Kaggle, from wherever this machine has them.

Both hold every picture in two folders or file types, one inside the other; it is read
once. Kaggle and Colab mount sets below /kaggle/input, `kagglehub` downloads them, and a
zip file or folder that a person downloaded will do.
"""

import importlib.util
import os
import pathlib
import re
import sys

from pokeutils.data import download, species
from pokeutils.data.download import SourceUnavailable

POKEMON = "kvpratama/pokemon-images-dataset"
TYPES = "vishalsubbiah/pokemon-images-and-types"
INPUT = "/kaggle/input"
MOUNTS = ("KAGGLE_CACHE_MOUNT_FOLDER", "COLAB_CACHE_MOUNT_FOLDER")  # may say otherwise
HUB = os.path.expanduser("~/.cache/kagglehub")
STEMS = {  # 6-mega-x.png and, of a female, 521f.png; aegislash-blade.png
    POKEMON: r"\d+f?(-[a-z-]+)?",
    TYPES: r"[a-z0-9]+(-[a-z0-9]+)*",
}


def fill(handle, new, progress):
    """Copies the pictures of the set "<owner>/<slug>"; returns what `packs` do. Raises
    SourceUnavailable when the set is nowhere, RuntimeError when it is damaged."""
    species.need(progress)
    where = _find(handle, new.parent.parent / "downloads", progress)
    inside = download.unpack(where, rf"(.*/)?{STEMS[handle]}\.(png|jpe?g)$")
    pictures = {}
    # PNG before JPEG: it has the transparency, and white parts that stay white.
    for member in sorted(inside, key=lambda name: (not name.endswith(".png"), name)):
        file = member.rpartition("/")[2]
        pictures.setdefault(file.partition(".")[0], (file, inside[member]))
    rows, link = [], f"https://www.kaggle.com/datasets/{handle}"
    for stem, (file, data) in pictures.items():
        (new / file).write_bytes(data)
        number, form = species.find(stem)
        if handle == POKEMON:  # 6, 6-mega-x, 521f
            number, sex, form = re.match(r"0*(\d+)(f?)-?(.*)", stem).groups()
            number, form = int(number), form or ("female" if sex else "")
        row = {"file": file, "species_id": number or "", "form": form}
        row["slug"] = "" if number else stem
        rows.append({**row, "url_or_package": link})
    rows.sort(key=lambda row: (row["species_id"] or 9999, row["form"], row["file"]))
    again = len(inside) - len(pictures)
    left_out = [f"files with the same pictures again: {again}"] if again else []
    # Nothing is verified: Kaggle sets may be changed by their makers.
    return rows, {"from": f"{link}, {where}", "verified": "", "left_out": left_out}


def _find(handle, downloads, progress):
    """Returns the path of a set on this machine, downloading it if it is nowhere."""
    slug = handle.partition("/")[2]
    mounts = [os.environ[name] for name in MOUNTS if os.environ.get(name)] + [INPUT]
    below = (slug, f"datasets/{handle}", handle)
    places = [pathlib.Path(mount, folder) for mount in mounts for folder in below]
    places += [downloads / slug, downloads / f"{slug}.zip"]
    for place in places:
        if place.exists():
            progress(f"kaggle:{handle} found: {place}")
            return place
    if importlib.util.find_spec("kagglehub") is None:
        problem = "kagglehub, which downloads it, is not installed (pip install it)"
    else:
        progress(f"kagglehub downloads {handle} ...")
        # A program of its own can be stopped, whatever comes and unpacks to.
        load = f"import sys; sys.path[:] = {sys.path}; import kagglehub\n"
        load += f"print(chr(10) + kagglehub.dataset_download({handle!r}))"
        command, cache = [sys.executable, "-c", load], os.environ.get("KAGGLEHUB_CACHE")
        place = pathlib.Path(cache or HUB, "datasets", handle)
        try:
            text = download.run(command, "kagglehub", handle, place)
            return pathlib.Path(text.splitlines()[-1])
        except SourceUnavailable as error:
            problem = str(error).removesuffix(f". {download.OFFLINE}")
    raise SourceUnavailable(
        f"kaggle:{handle} is not on this machine, and {problem}. Or download "
        f"https://www.kaggle.com/datasets/{handle} with a browser and save it as "
        f"{places[-1]}. {download.OFFLINE}"
    )
