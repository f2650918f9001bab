"""Named picture sets: fetched, verified and unpacked into data/raw/<name>/.

A raw folder holds the original files, `manifest.csv` (one row per picture) and
`source.json` (where they came from, what was checked, what was left out). It is whole
or absent; a scraped one grows, and counts from when it has a manifest.
"""

import collections
import csv
import functools
import json
import os
import pathlib
import re
import shutil

from pokeutils.common import env, files
from pokeutils.data import folders, kaggle, packs
from pokeutils.data.download import SourceUnavailable

COLUMNS = (
    *("file", "species_id", "slug", "form", "shiny", "view", "frame", "sha256"),
    *("url_or_package", "credit"),  # credit: who drew it, where that is asked for
)
OWNER = "Nintendo / Creatures Inc. / GAME FREAK inc. / The Pokémon Company"

# What `fill`s a folder with it, see `packs`; how many pictures are `expected`, or
# None; the side in px that `pixel_art` was drawn for; whose the pictures are.
Source = collections.namedtuple(
    "Source", "title fill expected pixel_art owner", defaults=(None, None, 0, OWNER)
)

SCRAPED = ("pokedex", "serebii")  # filled by scrape.fetch alone
_KNOWN = {
    "artwork": Source(
        "649 flat vector artworks, generations 1 to 5 (Dream World)",
        *(functools.partial(packs.numbered, "artwork"), 649),
    ),
    "sprites": Source(
        "809 species and some forms as pixel sprites of 32 px, regular and shiny",
        *(packs.sprites, 1754, 32, f"{OWNER}; shiny colours by the pokesprite project"),
    ),
    "official": Source(
        "809 official artworks of 400 x 400 px, generations 1 to 7",
        *(functools.partial(packs.numbered, "official"), 809),
    ),
    "animated": Source(
        "649 species as pixel sprites of at most 96 px, in 4 to 8 poses and one shiny",
        *(packs.animated, 4814, packs.FRAME_SIDE),
    ),
    "poses": Source(
        "the same with their forms, in up to 10 clean poses, half of them shiny too",
        *(packs.poses, 8642, packs.FRAME_SIDE),
    ),
    "tuxemon": Source(
        "378 monsters of the open game Tuxemon as pixel sprites of 64 px",
        *(packs.tuxemon, 378, 64, "their artists, under CC licences: see manifest.csv"),
    ),
    "doodles": Source(
        "256 creatures drawn by code", packs.doodles, 256, 0, "this project"
    ),
    f"kaggle:{kaggle.POKEMON}": Source(
        "819 official artworks and forms, generations 1 to 6, as shared on Kaggle",
        *(functools.partial(kaggle.fill, kaggle.POKEMON), 819),
    ),
    f"kaggle:{kaggle.TYPES}": Source(
        "809 pictures of 120 x 120 px, generations 1 to 7, as shared on Kaggle",
        *(functools.partial(kaggle.fill, kaggle.TYPES), 809),
    ),
    "pokedex": Source("artworks and their forms from the Pokedex of pokemon.com"),
    "serebii": Source(
        "Sword and Shield pictures with forms, regular and shiny, from serebii.net"
    ),
}


def describe(name):
    """Returns the Source of a name, or of several joined by "+". Raises ValueError."""
    names = parts(name)
    if len(names) > 1:
        texts = {}
        for field in ("title", "owner"):  # what all share only once
            each = dict.fromkeys(getattr(describe(part), field) for part in names)
            texts[field] = " + ".join(filter(None, each))
        return Source(**texts)
    if name.startswith("folder:") and name != "folder:":
        fill = functools.partial(folders.fill, name)
        return Source("pictures of your own", fill, owner="whoever made them")
    if name not in _KNOWN:
        raise ValueError(
            f"unknown picture source {name!r}; expected one of "
            f"{', '.join(_KNOWN)} or folder:<path>."
        )
    return _KNOWN[name]


def parts(name):
    """Returns the sources in a name, ["official", "sprites"] for "official+sprites". A
    plus sign in a folder's path stays, unless a source's name follows it."""
    follows = "|".join(map(re.escape, _KNOWN))
    names = re.split(rf"\+(?=(?:folder|kaggle):|(?:{follows})(?:\+|$))", name)
    return list(dict.fromkeys(names))


def spelled(name):
    """Returns a source's name in the one spelling that a run is known by: a folder's
    path without what changes nothing, such as a slash at its end."""
    names = parts(name)
    for place, part in enumerate(names):
        if part.startswith("folder:") and part != "folder:":
            names[place] = f"folder:{os.path.normpath(part.removeprefix('folder:'))}"
    return "+".join(dict.fromkeys(names))


def fetch(name, raw_dir=None, progress=print):
    """Returns the raw folder of a source, fetching it when it is missing or damaged.
    Raises ValueError for an unknown name or an unusable folder, SourceUnavailable when
    nothing can be reached, RuntimeError when what arrived is not what was published."""
    source = describe(name)
    raw_dir = pathlib.Path(raw_dir) if raw_dir else env.data_dir() / "raw"
    raw, names = raw_dir / folder_name(name), parts(name)
    merged = [fetch(part, raw_dir, progress) for part in names if len(names) > 1]
    state = listing(name, raw_dir)
    if _is_whole(raw, state):
        return raw
    if name in SCRAPED:
        raise SourceUnavailable(
            f"{name!r} has not been scraped, or not completely, and that is yours to "
            "decide. With `from pokeutils.data.scraping import scrape`, "
            f"scrape.notice({name!r}) says what the site thinks of it, and "
            f"scrape.fetch({name!r}, agree=True) does it, or finishes it. 'artwork' "
            "needs no scraping."
        )
    with files.atomic_folder(raw, keep=lambda: _is_whole(raw, state)) as new:
        (new / packs.SCRATCH).mkdir()
        rows, story = _merge(merged) if merged else source.fill(new, progress)
        shutil.rmtree(new / packs.SCRATCH)
        write_manifest(new, rows, story["from"])
        story = {"source": name, "files": len(rows), "listing": state, **story}
        files.write_json(new / "source.json", story)
    progress(f"{raw.name}: {len(rows)} pictures fetched")
    if not story["verified"] and source.expected not in (None, len(rows)):
        progress(
            f"Warning: {raw.name} should have {source.expected} pictures; {len(rows)} "
            f"came from {story['from']}. If that was copied or unpacked in part only, "
            f"complete it, delete {raw} and fetch it again."
        )
    return raw


def folder_name(name):
    """Returns the name of a source's folder: "artwork", "folder-pets-1a2b3c4d"."""
    names = parts(name)
    if len(names) > 1:
        return "+".join(map(folder_name, names))
    if name.startswith("kaggle:"):
        return "kaggle-" + name.rpartition("/")[2]
    if not name.startswith("folder:"):
        return name
    path = folders.path(name)
    slug = re.sub(r"[^a-z0-9]+", "-", path.name.lower()).strip("-") or "root"
    return f"folder-{slug}-{files.sha256(str(path).encode())[:8]}"


def listing(name, raw_dir=None):
    """Returns a hash of what may change, a folder of one's own or what was scraped, or
    None. Raises ValueError when that folder is missing or has no two pictures."""
    if len(parts(name)) > 1:
        states = [listing(part, raw_dir) for part in parts(name)]
        return files.sha256(repr(states).encode())
    if name in SCRAPED:
        raw_dir = pathlib.Path(raw_dir) if raw_dir else env.data_dir() / "raw"
        table = raw_dir / name / "manifest.csv"
        return files.sha256(table) if table.exists() else None
    return folders.state(name) if name.startswith("folder:") else None


def manifest(raw):
    """Returns the rows of a raw folder's manifest.csv, as dicts of strings."""
    with open(pathlib.Path(raw) / "manifest.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_manifest(raw, rows, origin=""):
    """Writes manifest.csv; what a row does not say is what most pictures have."""
    usual = {"species_id": "", "slug": "", "form": "", "shiny": 0, "view": "front"}
    usual |= {"frame": 0, "url_or_package": origin, "credit": ""}
    rows = [{**usual, **row, "sha256": files.sha256(raw / row["file"])} for row in rows]
    files.write_bytes(raw / "manifest.csv", files.csv_bytes(COLUMNS, rows))


def about(raw):
    """Returns what source.json says about a raw folder."""
    return json.loads((pathlib.Path(raw) / "source.json").read_text("utf-8"))


def _merge(raws):
    """Returns the rows of raw folders, with files as seen from a folder beside."""
    rows = []
    for raw in raws:
        for row in manifest(raw):
            rows.append({**row, "file": f"../{raw.name}/{row['file']}"})
    stories = [about(raw) for raw in raws]
    story = {k: " + ".join(s.get(k, "") for s in stories) for k in ("from", "verified")}
    for key in ("left_out", "dropped"):
        story[key] = [item for told in stories for item in told.get(key, [])]
    return rows, story


def _is_whole(raw, state):
    """Says whether a raw folder is complete, and of that `state` if it has one."""
    try:
        rows, story = manifest(raw), about(raw)
        current = state in (None, story.get("listing"))
        if not rows or len(rows) != story["files"] or not current:
            return False
        return all(files.sha256(raw / row["file"]) == row["sha256"] for row in rows)
    except (OSError, KeyError, TypeError, AttributeError, ValueError, csv.Error):
        return False
