"""Prepared arrays: pictures of one size in memory, split by species, and batches.

A prepared set is data/prepared/<source>-<size>/ with `images.npy`, `meta.csv` (row for
row) and `report.json`. It is made once, checked at every load, rebuilt when damaged.
"""

import collections
import contextlib
import csv
import io
import json
import pathlib

import numpy as np

from pokeutils.common import env, files, images
from pokeutils.data import prepare, sources, species


class PictureSet(
    collections.namedtuple("PictureSet", "source size images meta report folder")
):
    """A prepared set: `images` uint8 premultiplied RGBA (n, size, size, 4), `meta` a
    dict of arrays (n,), `report` what report.json says."""

    __slots__ = ()

    @property
    def train(self):
        """Returns the boolean mask of the pictures to train on."""
        return self.meta["split"] == "train"

    @property
    def holdout(self):
        """Returns the boolean mask of the pictures kept out of training."""
        return ~self.train

    @property
    def species(self):
        """Returns what each picture shows: its national number, else its slug, (n,)."""
        numbers, slugs = self.meta["species_id"], self.meta["slug"]
        return np.where(numbers > 0, numbers.astype(str), slugs)

    @property
    def groups(self):
        """Returns a number per species, (n,), for measures that must not compare twins:
        the national one, or one that pictures of a slug share. All are 0, unknown, in a
        folder of one's own that had to be split by file, see `prepare.split`."""
        numbers = self.meta["species_id"]
        _, place = np.unique(self.meta["slug"], return_inverse=True)
        groups = np.where(numbers > 0, numbers, species.COUNT + 1 + place)
        both = np.intersect1d(groups[self.train], groups[self.holdout])
        return np.zeros_like(groups) if both.size else groups

    @property
    def weights(self):
        """Returns 1 / pictures of its species for each picture, (n,): with these,
        `order` shows every species as often as any other."""
        _, place, n = np.unique(self.species, return_inverse=True, return_counts=True)
        return 1.0 / n[place]

    @property
    def types(self):
        """Returns float32 (n, 18): 1 for the one or two types of a picture's species,
        in the order of `species.TYPES`. A row of zeros where they are unknown."""
        names = np.array(species.TYPES)
        first, second = self.meta["type1"], self.meta["type2"]
        own = (first[:, None] == names) | (second[:, None] == names)
        return own.astype("float32")

    @property
    def fingerprint(self):
        """Returns the sha256 of images and meta.csv; params.json of a run has it."""
        return self.report["fingerprint"]


def load(source, size, data_dir=None, progress=print):
    """Returns the PictureSet of a source at `size` x `size` px, preparing it if needed.
    `meta` maps each name in prepare.COLUMNS to an array, one entry per picture; text is
    "" and numbers are 0 where unknown. Pixel art keeps its pixels, in multiples of the
    canvas it was drawn for; what a smaller one cannot hold is reduced. Raises
    ValueError for an unknown source or size, RuntimeError when over 5 % of the pictures
    cannot be used; what `sources.fetch` raises passes through."""
    sources.describe(source)
    source = sources.spelled(source)
    for part in sources.parts(source):
        side = sources.describe(part).pixel_art
        if not 8 <= size <= 512 or (side and size > side and size % side):
            wanted = f" and up to {side}, or a multiple of it" if side else ""
            raise ValueError(f"{part} at {size} px; the size must be 8 to 512{wanted}.")
    data_dir = pathlib.Path(data_dir) if data_dir else env.data_dir()
    folder = data_dir / "prepared" / f"{sources.folder_name(source)}-{size}"
    listing = sources.listing(source, data_dir / "raw")
    expected = {"version": prepare.VERSION, "size": size, "listing": listing}
    ready = _read(source, folder, expected)
    if ready is None:
        if folder.exists():
            progress(f"{folder.name} is damaged or out of date: making it anew")
        raw = sources.fetch(source, data_dir / "raw", progress)
        with files.atomic_folder(
            folder, keep=lambda: _read(source, folder, expected) is not None
        ) as new:
            prepare.make(source, raw, new, expected, progress)
            ready = _read(source, new, expected)
            if ready is None:
                raise RuntimeError(f"{new} cannot be read back; is the disk failing?")
    pairs = ready.report.get("duplicates")
    if pairs:
        example = [pairs[0][key].removeprefix("../") for key in ("file", "same_as")]
        progress(
            f"Warning: {source} mixes sources that share pictures. {len(pairs)} "
            f"are left out because an earlier source has them, such as {example[0]}, "
            f"which is {example[1]}; {len(ready.images)} remain (see report.json)."
        )
    return ready._replace(folder=folder)


def preview(source, count, side, numbers=()):
    """Returns up to `count` pictures of a source as (n, side, side, 4) uint8
    premultiplied RGBA, fetching it if needed: the first of each species in `numbers`
    (national numbers) if it has them all, else some from all over it. What cannot be
    read is left out; raises ValueError if that is all."""
    raw, side_drawn = sources.fetch(source), sources.describe(source).pixel_art
    rows = sources.manifest(raw)
    firsts = {row["species_id"]: row for row in reversed(rows)}
    wanted = [firsts.get(str(number)) for number in numbers]
    if not wanted or None in wanted:
        wanted = rows[:: max(1, len(rows) // count)]
    pictures = []
    for row in wanted[:count]:
        with contextlib.suppress(ValueError):
            pictures.append(images.canvas(raw / row["file"], side, side_drawn))
    if not pictures:
        raise ValueError(f"{source}: none of the pictures tried can be read.")
    return np.stack(pictures)


def _read(source, folder, expected):
    """Returns the prepared set in `folder`, or None unless it is whole and current."""
    try:
        report = json.loads((folder / "report.json").read_text("utf-8"))
        if {key: report.get(key) for key in expected} != expected:
            return None
        array = np.load(folder / "images.npy", allow_pickle=False)
        table = (folder / "meta.csv").read_bytes()
        rows = list(csv.DictReader(io.StringIO(table.decode("utf-8"))))
        size = expected["size"]
        if array.shape != (len(rows), size, size, 4) or array.dtype != np.uint8:
            return None
        if prepare.fingerprint(array, table) != report["fingerprint"]:
            return None
        meta = {c: _column(c, [row[c] for row in rows]) for c in prepare.COLUMNS}
    except (OSError, ValueError, KeyError, AttributeError, EOFError, csv.Error):
        return None
    return PictureSet(source, size, array, meta, report, folder)


def _column(name, values):
    if name == "shiny":
        return np.array([value == "1" for value in values])
    if name in prepare.NUMBERS:
        return np.array([int(value or 0) for value in values], np.int32)
    return np.array(values, dtype=str)


def to_float(pictures):
    """Returns uint8 pictures (0 to 255) as float32 in [-1, 1]."""
    return pictures.astype(np.float32) / np.float32(127.5) - np.float32(1)


def check_range(pictures):
    """Raises ValueError unless these are training pictures as `load` gives them: uint8
    premultiplied RGBA, at least two different ones, most with transparent corners."""
    images.check(pictures, channels=(4,))
    count, height, width, _ = pictures.shape
    if height != width or count < 2:
        raise ValueError(f"got {pictures.shape}; expected (n >= 2, size, size, 4).")
    images.check_premultiplied(pictures)
    if (pictures == pictures[0]).all():
        raise ValueError("all pictures are identical; was one read again and again?")
    opaque = (pictures[:, [0, 0, -1, -1], [0, -1, 0, -1], 3] > 127).mean()
    if opaque > 0.5:
        raise ValueError(
            f"{opaque:.0%} of the corner pixels are opaque: a background is painted in"
            "; keep alpha, or use background.cut."
        )


def order(count, batch, steps, seed, start=0, reshuffle=True, weights=None):
    """Returns which pictures each training step sees, and which of them are flipped:
    int32 and bool (steps, batch), from step `start` on. Every epoch of count // batch
    steps is a permutation that depends on (seed, epoch) only, so that runs resume
    exactly; pictures that are fewer than a batch come several times in it. With
    `weights` (count,), a picture comes as often as its share of them, rounded up or
    down at random. Without `reshuffle`, all epochs are the first. Raises ValueError
    without pictures."""
    images.at_least(1, batch=batch, count=count)
    if weights is not None:
        weights = np.asarray(weights, np.float64)
        weights = weights if np.ptp(weights) else None
    times = -(-batch // count)
    per_epoch = times * count // batch
    indices = np.empty((steps, batch), np.int32)
    flips = np.empty((steps, batch), bool)
    for row, step in enumerate(range(start, start + steps)):
        epoch, place = divmod(step, per_epoch)
        if place == 0 or row == 0:
            key = [seed, epoch if reshuffle else 0]
            rng = np.random.Generator(np.random.Philox(key=key))
            deck = np.concatenate([_deck(rng, count, weights) for _ in range(times)])
            coins = rng.random(len(deck)) < 0.5
        cards = slice(place * batch, (place + 1) * batch)
        indices[row], flips[row] = deck[cards], coins[cards]
    return indices, flips


def _deck(rng, count, weights):
    """Returns `count` indices in random order; each once, or as `weights` say."""
    deck = rng.permutation(count)
    if weights is None:
        return deck
    # Systematic sampling: marks at equal distances along a line on which each picture
    # is as long as its weight. Drawn one by one, some would come again and again.
    ends = np.cumsum(weights[deck])
    marks = (rng.random() + np.arange(count)) * (ends[-1] / count)
    hit = np.searchsorted(ends, marks, side="right").clip(max=count - 1)
    return rng.permutation(deck[hit])


def batches(pictures, batch, steps, seed, mirror=True, labels=None, **places):
    """Returns a tf.data.Dataset of `steps` float32 batches, in [-1, 1], of `pictures`.
    `places` are the start, reshuffle and weights of `order`. With `mirror` about half
    of the pictures are flipped left-right. With `labels`, an array (n, ...), a batch is
    a pair (pictures, their labels)."""
    import tensorflow as tf

    indices, flips = order(len(pictures), batch, steps, seed, **places)
    with tf.device("cpu"):
        known = None if labels is None else tf.constant(labels)

    def gather(index, flip):
        # Not tf.gather, which would need a second copy of all pictures.
        x = tf.numpy_function(pictures.__getitem__, [index], tf.uint8, stateful=False)
        x.set_shape((batch, *pictures.shape[1:]))
        if mirror:
            x = tf.where(flip[:, None, None, None], tf.reverse(x, [2]), x)
        x = tf.cast(x, tf.float32) / 127.5 - 1.0
        return x if known is None else (x, tf.gather(known, index))

    plan = tf.data.Dataset.from_tensor_slices((indices, flips))
    return plan.map(gather, num_parallel_calls=2).prefetch(2)
