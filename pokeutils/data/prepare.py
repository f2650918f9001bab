"""From raw pictures to arrays: decode, fit, name, split, and say what was dropped.

Decoding happens in processes of their own (`images.serve`), so that it uses all cores
and a broken file costs that file, not the session. Pictures that two sources share are
found by perceptual hashes (`pairs`).
"""

import collections
import concurrent.futures
import contextlib
import hashlib
import json
import math
import os
import queue
import subprocess
import sys
import threading
import time

import numpy as np
from PIL import Image

from pokeutils.common import device, env, files, formats, images
from pokeutils.data import sources, species

VERSION = 4  # raise it when prepared sets must be made anew
HOLDOUT = 0.1  # share of the species kept out of training
MAX_BROKEN = 0.05  # more undecodable pictures than this is an error
FEWEST = 20  # pictures of one's own, which are split, trained on and judged
SECONDS = 30  # for one picture; then its decoder is stopped
COLUMNS = (
    *("file", "species_id", "slug", "name", "form", "shiny", "generation"),
    *("type1", "type2", *species.STATS, "split", "sha256"),
)
NUMBERS = ("species_id", "generation", *species.STATS)  # 0 where unknown

GRID = 16  # cells per side
NOTES = 2 * GRID * GRID  # 512 notes per picture
ROWS, TELL = 512, 4096  # pictures compared at a time; after so many, a line of progress
STEP = 2.0  # grey levels (0-255); less is flat, whatever noise says
# Between the official artworks and copies of them as JPEG, the same picture differs in
# at most 19 notes and 5.3 grey levels, different species in 104 notes and more.
FAR = 64  # notes that may differ
MOST = 1_000_000  # pairs; a set that has more is copies through and through
COLOUR = 8.0  # grey levels (0-255) between their cells, on average: not a recolour

Pair = collections.namedtuple("Pair", "first second notes mirrored")


class UnusablePictures(RuntimeError):
    """Too few pictures, or too many that cannot be used; says which and why."""


def make(source, raw, new, expected, progress=print):
    """Fills the folder `new` with a prepared set made from the raw folder `raw`.
    `expected` (version, size, listing) goes into the report, for `dataset.load` to
    compare. Raises UnusablePictures when more than 5 % of the pictures cannot be used,
    or too few are left."""
    begin, about = time.monotonic(), sources.about(raw)
    array, rows, dropped = _collect(source, raw, expected["size"], progress)
    dropped = about.get("dropped", []) + dropped
    total = len(array) + len(dropped)
    named = "; ".join(f"{d['file']}: {d['reason']}" for d in dropped[:5])
    named = f" ({named})" if named else ""
    if len(dropped) > MAX_BROKEN * total:
        raise UnusablePictures(
            f"{source}: {len(dropped)} of {total} pictures cannot be used{named}. At "
            f"most {MAX_BROKEN:.0%} may be lost: remove or replace these files."
        )
    array, rows, duplicates = _drop_duplicates(source, array, rows, progress)
    own = all(part.startswith("folder:") for part in sources.parts(source))
    least = FEWEST if own else 2
    if len(array) < least:
        raise UnusablePictures(
            f"{source}: {len(array)} of {total} pictures can be used{named}; at least "
            f"{least} are needed, to learn from and to compare with. Add pictures."
        )
    boxes = [rows[i]["file"] for i, p in enumerate(array) if images.is_box(p)]
    if boxes:
        progress(
            f"Warning: {len(boxes)} of {len(rows)} pictures fill a box, such as "
            f"{boxes[0]}.\nA background that is not of one colour cannot be cut out. "
            "What learns from such\npictures draws boxes (report.json names them)."
        )
    rows = [_meta(row) for row in rows]
    for row, held in zip(rows, split(rows, own), strict=True):
        row["split"] = "holdout" if held else "train"

    table = files.csv_bytes(COLUMNS, rows)
    with files.atomic(new / "images.npy") as path, open(path, "wb") as file:
        # np.save would hide a full disk, or copy the array.
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(array.data)
    files.write_bytes(new / "meta.csv", table)
    held = sum(row["split"] == "holdout" for row in rows)
    pixel_art = sources.describe(source).pixel_art
    report = {
        "source": source,
        **expected,
        "pictures": len(array),
        "species": len({row["species_id"] or row["slug"] for row in rows}),
        "train": len(rows) - held,
        "holdout": held,
        "from": about["from"],
        "verified": about.get("verified", ""),
        "alpha": "premultiplied",
        "margin": 0 if pixel_art else images.MARGIN,
        "versions": {n: device.version_of(n) for n in ("resvg_py", "pillow", "numpy")},
        "seconds": round(time.monotonic() - begin, 1),
        "fingerprint": fingerprint(array, table),
        "left_out": about.get("left_out", []),
        "duplicates": duplicates,
        "boxes": boxes,
        "dropped": dropped,
    }
    files.write_json(new / "report.json", report)
    progress(f"{raw.name}: {len(array)} pictures, {len(dropped)} dropped")


def _collect(source, raw, size, progress):
    """Returns canvases, their manifest rows, and {"file", "reason"} of the dropped."""
    manifest = sources.manifest(raw)
    if any(row["file"].lower().endswith(".svg") for row in manifest):
        env.need("resvg_py", formats.RESVG, progress)
    if source != "doodles":
        species.need(progress)

    # One array from the start: a list and then an array would be twice the memory.
    array = np.empty((len(manifest), size, size, 4), np.uint8)
    progress(f"{raw.name}: preparing {len(manifest)} pictures at {size} px ...")
    rows, dropped = [], []
    canvases = _canvases(_requests(source, raw, manifest, size))
    for number, (row, canvas) in enumerate(zip(manifest, canvases, strict=True), 1):
        if number % TELL == 0:
            progress(f"{raw.name}: {number} of {len(manifest)} prepared")
        if isinstance(canvas, str):
            dropped.append({"file": row["file"], "reason": canvas})
        else:
            array[len(rows)] = canvas
            rows.append(row)
    return array[: len(rows)], rows, dropped


def _requests(source, raw, manifest, size):
    """Yields what `images.serve` is asked for, one dict per picture."""
    names = sources.parts(source)
    pixel_art = {sources.folder_name(n): sources.describe(n).pixel_art for n in names}
    for row in manifest:
        # Files of a merged set lie in the folders of its sources: "../sprites/...".
        path = os.path.normpath(raw / row["file"])
        folder = os.path.relpath(path, raw.parent).split(os.sep)[0]
        yield {"path": path, "size": size, "pixel_art": pixel_art[folder]}


def _drop_duplicates(source, array, rows, progress):
    """Returns the pictures and rows without those that an earlier source has, and
    [{"file", "same_as"}] of those."""
    if len(sources.parts(source)) == 1:
        return array, rows, []
    origin = [row["file"].split("/")[1] for row in rows]
    earlier = {}
    for first, second, *_ in pairs(array, progress=progress):
        if origin[first] != origin[second]:
            names = {"file": rows[second]["file"], "same_as": rows[first]["file"]}
            earlier[second] = names
    duplicates = list(earlier.values())
    kept = [index for index in range(len(rows)) if index not in earlier]
    return array[kept], [rows[index] for index in kept], duplicates


def fingerprint(array, table):
    """Returns the sha256 of the pictures and of meta.csv as bytes, together."""
    digest = hashlib.sha256(array.data)
    digest.update(table)
    return digest.hexdigest()


def _meta(row):
    """Returns the row of meta.csv for a row of a manifest."""
    drawn = row["url_or_package"] == "drawn"  # a doodle's number is its own
    facts = {} if drawn else species.facts(int(row["species_id"] or 0), row["form"])
    meta = {column: row.get(column, "") for column in COLUMNS} | facts
    meta["slug"] = row["slug"] or facts.get("slug", "")
    return meta


def split(rows, own=False):
    """Returns for each row of meta.csv whether it is kept for testing. Pictures of one
    species (its national number, else its slug) stay together, the same ones in every
    source and size, see `is_holdout`.

    In folders of one's `own`, a number need not be a species, so that there may be but
    one: where a species has more than a tenth of the pictures, they are split by file.
    And however few there are, a tenth is held out, rounded down.
    """
    names = [row["species_id"] or row["slug"] for row in rows]
    if not own:
        return [is_holdout(name) for name in names]
    left = int(HOLDOUT * len(rows))
    if max(collections.Counter(names).values()) > left:
        names = [row["sha256"] for row in rows]  # copies stay together
    held = set()
    for name, count in sorted(collections.Counter(names).items(), key=_place):
        if count <= left:
            held.add(name)
            left -= count
    return [name in held for name in names]


def is_holdout(species):
    """Says whether a species (its national number, else its slug) is kept for testing:
    the same for every source, size, form and colour."""
    return _place([species]) < HOLDOUT


def _place(item):
    """Returns where a name lies between 0 and 1: a hash, so that it never changes."""
    digest = hashlib.sha256(f"species {item[0]}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def _canvases(requests):
    """Yields, in order, a canvas for each request, or the reason why there is none."""
    count, idle = min(4, os.cpu_count() or 1), queue.SimpleQueue()

    def canvas(request):
        decoder = idle.get()
        try:
            return decoder(request)
        finally:
            idle.put(decoder)

    with contextlib.ExitStack() as stack:
        for _ in range(count):
            idle.put(stack.enter_context(contextlib.closing(_Decoder())))
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(count))
        stack.callback(pool.shutdown, cancel_futures=True)
        yield from pool.map(canvas, requests)


class _Decoder:
    """`images.serve` in a process of its own, started again when a picture kills it."""

    process = None

    def close(self):
        if self.process:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def __call__(self, request):
        if self.process is None:
            command = [sys.executable, "-P", "-m", images.__name__]
            paths = [str(env.ROOT), os.environ.get("PYTHONPATH")]
            paths = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
            pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
            self.process = subprocess.Popen(
                command, stderr=subprocess.DEVNULL, env={**os.environ, **paths}, **pipes
            )
        watch = threading.Timer(SECONDS, self.process.kill)
        watch.start()
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
            reason = json.loads(self.process.stdout.readline())
            if reason is not None:
                return reason
            shape = request["size"], request["size"], 4
            data = self.process.stdout.read(math.prod(shape))
            return np.frombuffer(data, np.uint8).reshape(shape)
        except (OSError, ValueError):
            self.close()
            return f"its decoder crashed, or took more than {SECONDS} s"
        finally:
            watch.cancel()


def pairs(pictures, far=FAR, colour=COLOUR, progress=None):
    """Returns a Pair of indices for each two pictures that are nearly the same.
    Pictures are premultiplied RGBA, uint8 (n, size, size, 4). `notes` is how many of
    512 differ, `mirrored` whether one is the mirror image of the other. `progress`
    takes a line now and then."""
    show = progress or (lambda line: None)
    notes, mirrored, cells = _describe(pictures, show)
    result = []
    for begin in range(0, len(notes), ROWS):
        if begin and begin % TELL < ROWS:
            show(f"pictures compared with all others: {begin} of {len(notes)}")
        rows = slice(begin, begin + ROWS)
        # Notes are 1 or -1, so that a product counts those that agree.
        straight, turned = (
            (NOTES - own[rows] @ notes[begin:].T) / 2 for own in (notes, mirrored)
        )
        different = np.minimum(straight, turned)
        different[np.tri(*different.shape, dtype=bool)] = np.inf
        near = np.argwhere(different <= far)
        for part in np.array_split(near, -(-len(near) // ROWS) or 1):
            first, second = part.T
            flipped = turned[first, second] < straight[first, second]
            ours = cells[begin + first]
            ours = np.where(flipped[:, None, None, None], images.mirror(ours), ours)
            apart = np.abs(ours - cells[begin + second]).mean(axis=(1, 2, 3))
            counts = different[first, second].astype(int)
            found = np.stack([begin + first, begin + second, counts, flipped], axis=1)
            found = found[apart <= colour]
            result += [Pair(a, b, n, bool(m)) for a, b, n, m in found.tolist()]
        if len(result) > MOST:
            show(f"more than {MOST:,} pairs: the others are not looked for")
            break
    return result


def _describe(pictures, show):
    """Returns notes (n, 512), those of mirror images, cells (n, 16, 16, 3): float32."""
    notes = np.empty((2, len(pictures), NOTES), np.float32)
    cells = np.empty((len(pictures), GRID, GRID, 3), np.float32)
    for index, picture in enumerate(pictures):
        if index and index % TELL == 0:
            show(f"pictures described: {index} of {len(pictures)}")
        seen = picture[..., 3].max() > images.SOFT
        body = images.composite(images.crop(picture) if seen else picture)
        grey = body.mean(axis=-1, dtype=np.float32)
        notes[0, index] = _notes(grey)
        notes[1, index] = _notes(grey[:, ::-1])
        small = Image.fromarray(body).resize((GRID, GRID), Image.Resampling.BOX)
        cells[index] = np.asarray(small)
    return *notes, cells


def _notes(grey):
    """Returns 512 notes, 1 for yes and -1 for no: whether it gets brighter to the
    right, and downwards, from each cell to the next."""
    image = Image.fromarray(np.ascontiguousarray(grey))
    wide = np.asarray(image.resize((GRID + 1, GRID), Image.Resampling.BILINEAR))
    high = np.asarray(image.resize((GRID, GRID + 1), Image.Resampling.BILINEAR))
    notes = np.diff(wide, axis=1) > STEP, np.diff(high, axis=0) > STEP
    return np.ravel(notes) * np.float32(2) - 1
