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

from pokeutils.common import device, env, files, images
from pokeutils.data import sources, species

VERSION = 3  # raise it when prepared sets must be made anew
HOLDOUT = 0.1  # share of the species kept out of training
MAX_BROKEN = 0.05  # more undecodable pictures than this is an error
SECONDS = 30  # for one picture; then its decoder is stopped
COLUMNS = (
    *("file", "species_id", "slug", "name", "form", "shiny", "generation"),
    *("type1", "type2", *species.STATS, "split", "sha256"),
)
NUMBERS = ("species_id", "generation", *species.STATS)  # 0 where unknown

GRID = 16  # cells per side; 2 * 16 * 16 = 512 notes per picture
STEP = 2.0  # grey levels (0-255); less is flat, whatever noise says
# Between the official artworks and copies of them as JPEG, the same picture differs in
# at most 19 notes and 5.3 grey levels, different species in 104 notes and more.
FAR = 64  # notes that may differ
COLOUR = 8.0  # grey levels (0-255) between their cells, on average: not a recolour

Pair = collections.namedtuple("Pair", "first second notes mirrored")


def make(source, raw, new, expected, progress=print):
    """Fills the folder `new` with a prepared set made from the raw folder `raw`.
    `expected` (version, size, listing) goes into the report, for `dataset.load` to
    compare. Raises RuntimeError when more than 5 % of the pictures cannot be used."""
    begin, about = time.monotonic(), sources.about(raw)
    array, rows, dropped = _collect(source, raw, expected["size"], progress)
    dropped = about.get("dropped", []) + dropped
    kept, total = len(array), len(array) + len(dropped)
    if kept < 2 or len(dropped) > MAX_BROKEN * total:
        named = "; ".join(f"{d['file']}: {d['reason']}" for d in dropped[:5])
        raise RuntimeError(
            f"{source}: {len(dropped)} of {total} pictures cannot be used ({named}). At "
            f"most {MAX_BROKEN:.0%} may be lost, and 2 must be left: remove or replace "
            "these files."
        )
    array, rows, duplicates = _drop_duplicates(source, array, rows)
    rows = [_meta(row) for row in rows]

    table = files.csv_bytes(COLUMNS, rows)
    with files.atomic(new / "images.npy") as path, open(path, "wb") as file:
        # np.save would hide a full disk, or copy the array.
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(array.data)
    files.write_bytes(new / "meta.csv", table)
    split = [row["split"] for row in rows]
    pixel_art = sources.describe(source).pixel_art
    report = {
        "source": source,
        **expected,
        "pictures": len(array),
        "species": len({row["species_id"] or row["slug"] for row in rows}),
        "train": split.count("train"),
        "holdout": split.count("holdout"),
        "from": about["from"],
        "verified": about.get("verified", ""),
        "alpha": "premultiplied",
        "margin": 0 if pixel_art else images.MARGIN,
        "versions": {n: device.version_of(n) for n in ("resvg_py", "pillow", "numpy")},
        "seconds": round(time.monotonic() - begin, 1),
        "fingerprint": fingerprint(array, table),
        "left_out": about.get("left_out", []),
        "duplicates": duplicates,
        "dropped": dropped,
    }
    files.write_json(new / "report.json", report)
    progress(f"{raw.name}: {len(array)} pictures, {len(dropped)} dropped")


def _collect(source, raw, size, progress):
    """Returns canvases, their manifest rows, and {"file", "reason"} of the dropped."""
    manifest = sources.manifest(raw)
    if any(row["file"].lower().endswith(".svg") for row in manifest):
        env.need("resvg_py", images.RESVG, progress)
    if source != "doodles":
        species.need(progress)

    # One array from the start: a list and then an array would be twice the memory.
    array = np.empty((len(manifest), size, size, 4), np.uint8)
    progress(f"{raw.name}: preparing {len(manifest)} pictures at {size} px ...")
    rows, dropped = [], []
    canvases = _canvases(_requests(source, raw, manifest, size))
    for row, canvas in zip(manifest, canvases, strict=True):
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


def _drop_duplicates(source, array, rows):
    """Returns the pictures and rows without those that an earlier source has, and
    [{"file", "same_as"}] of those."""
    if len(sources.parts(source)) == 1:
        return array, rows, []
    origin = [row["file"].split("/")[1] for row in rows]
    earlier = {}
    for first, second, *_ in pairs(array):
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
    held = is_holdout(meta["species_id"] or meta["slug"])
    meta["split"] = "holdout" if held else "train"
    return meta


def is_holdout(species):
    """Says whether a species (its national number, else its slug) is kept for testing:
    the same for every source, size, form and colour."""
    digest = hashlib.sha256(f"species {species}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < HOLDOUT


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
            command, pipe = [sys.executable, "-P", images.__file__], subprocess.PIPE
            self.process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
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


def pairs(pictures, others=None, far=FAR, colour=COLOUR):
    """Returns a Pair of indices for each two pictures that are nearly the same.
    Pictures are premultiplied RGBA, uint8 (n, size, size, 4). With `others`, `second`
    is an index in these. `notes` is how many of 512 differ, `mirrored` whether one is
    the mirror image of the other."""
    ours = hashes, mirrored, cells = _describe(pictures)
    other_hashes, _, other_cells = ours if others is None else _describe(others)
    result = []
    for first in range(len(hashes)):
        begin = first + 1 if others is None else 0
        straight, turned = (
            np.bitwise_count(own[first] ^ other_hashes[begin:]).sum(-1, dtype=np.int32)
            for own in (hashes, mirrored)
        )
        notes = np.minimum(straight, turned)
        for second in np.flatnonzero(notes <= far):
            flipped = bool(turned[second] < straight[second])
            cell = images.mirror(cells[first]) if flipped else cells[first]
            if np.abs(cell - other_cells[begin + second]).mean() <= colour:
                index = int(begin + second)
                result.append(Pair(first, index, int(notes[second]), flipped))
    return result


def _describe(pictures):
    """Returns hashes (n, 8) uint64, those of mirror images, cells (n, 16, 16, 3)."""
    hashes = np.empty((2, len(pictures), 2 * GRID * GRID // 64), np.uint64)
    cells = np.empty((len(pictures), GRID, GRID, 3), np.float32)
    for index, picture in enumerate(pictures):
        seen = picture[..., 3].max() > images.SOFT
        body = images.composite(images.crop(picture) if seen else picture)
        grey = body.mean(axis=-1, dtype=np.float32)
        hashes[0, index] = _hash(grey)
        hashes[1, index] = _hash(grey[:, ::-1])
        small = Image.fromarray(body).resize((GRID, GRID), Image.Resampling.BOX)
        cells[index] = np.asarray(small)
    return *hashes, cells


def _hash(grey):
    """Returns 512 notes as uint64 (8,): whether it gets brighter to the right, and
    downwards, from each cell to the next."""
    image = Image.fromarray(np.ascontiguousarray(grey))
    wide = np.asarray(image.resize((GRID + 1, GRID), Image.Resampling.BILINEAR))
    high = np.asarray(image.resize((GRID, GRID + 1), Image.Resampling.BILINEAR))
    notes = np.diff(wide, axis=1) > STEP, np.diff(high, axis=0) > STEP
    return np.packbits(np.stack(notes)).view(np.uint64)
