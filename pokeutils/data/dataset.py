"""Prepared arrays: pictures of one size in memory, split by species, and batches.

A prepared set is data/prepared/<source>-<size>/ with `images.npy`, `meta.csv` (row for
row) and `report.json`. It is made once, checked at every load, rebuilt when damaged.
"""

import collections
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
    """A prepared set: `images` uint8 premultiplied RGBA (n, size, size, 4), `meta`."""

    __slots__ = ()

    @property
    def train(self):
        """Boolean mask of the pictures to train on."""
        return self.meta["split"] == "train"

    @property
    def holdout(self):
        """Boolean mask of the pictures of species kept out of training."""
        return ~self.train

    @property
    def weights(self):
        """How often to show each picture: float64 (n,), 1 / pictures of its species.

        With these, `order` shows every species as often as any other, however many
        forms, frames and colours of it there are.
        """
        known = self.meta["species_id"] > 0
        species = np.where(
            known, self.meta["species_id"].astype(str), self.meta["slug"]
        )
        _, place, counts = np.unique(species, return_inverse=True, return_counts=True)
        return 1.0 / counts[place]

    @property
    def types(self):
        """The one or two types of each picture's species, each 1: float32 (n, 18) in
        the order of `species.TYPES`. A row of zeros where they are unknown."""
        known = np.array(species.TYPES)
        found = [self.meta[name][:, None] == known for name in ("type1", "type2")]
        return (found[0] | found[1]).astype(np.float32)

    @property
    def fingerprint(self):
        """sha256 of the images and meta.csv: names the data in a run's params.json."""
        return self.report["fingerprint"]


# ------------------------------------------------------------------- load and prepare


def load(source, size, data_dir=None, progress=print):
    """Returns the PictureSet of a source at `size` x `size` px, preparing it if needed.

    `meta` maps each name in prepare.COLUMNS to an array, one entry a picture; text is
    "" and numbers are 0 where unknown. Pixel art keeps its pixels in multiples of the
    canvas it was drawn for, 32 ("sprites") or 96 ("animated"); below that it is reduced
    as artwork is. Several sources, "official+sprites", become one set without the
    pictures that they share. Raises ValueError for an unknown source or size,
    RuntimeError when more than 5 % of the pictures cannot be used; what `sources.fetch`
    raises passes through.
    """
    sources.describe(source)
    for part in sources.parts(source):
        side = sources.describe(part).pixel_art
        if not 8 <= size <= 512 or (side and size > side and size % side):
            wanted = f" and up to {side}, or a multiple of it" if side else ""
            raise ValueError(f"{part} at {size} px; the size must be 8 to 512{wanted}.")
    data_dir = pathlib.Path(data_dir) if data_dir else env.data_dir()
    folder = data_dir / "prepared" / f"{sources.folder_name(source)}-{size}"
    expected = {
        "version": prepare.VERSION,
        "size": size,
        "listing": sources.listing(source, data_dir / "raw"),
    }
    ready = _read(source, folder, expected)
    if ready is not None:
        _tell_of_duplicates(ready, progress)
        return ready
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
    _tell_of_duplicates(ready, progress)
    return ready._replace(folder=folder)


def _tell_of_duplicates(ready, progress):
    again = ready.report.get("duplicates")
    if again:
        example = [again[0][key].removeprefix("../") for key in ("file", "same_as")]
        progress(
            f"Warning: {ready.source} mixes sources that share pictures. {len(again)} "
            f"are left out because an earlier source has them, such as {example[0]}, "
            f"which is {example[1]}; {len(ready.images)} remain (see report.json)."
        )


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
        meta = {column: _column(column, rows) for column in prepare.COLUMNS}
    except (OSError, ValueError, KeyError, AttributeError, EOFError, csv.Error):
        return None
    return PictureSet(source, size, array, meta, report, folder)


def _column(column, rows):
    values = [row[column] for row in rows]
    if column == "shiny":
        return np.array([value == "1" for value in values])
    if column in prepare.NUMBERS:
        return np.array([int(value or 0) for value in values], np.int32)
    return np.array(values, dtype=str)


# ---------------------------------------------------------------------------- batches


def to_float(pictures):
    """Returns uint8 pictures (0 to 255) as float32 in [-1, 1]."""
    return pictures.astype(np.float32) / np.float32(127.5) - np.float32(1)


def check_range(pictures):
    """Raises ValueError unless these are training pictures as `load` gives them.

    That is uint8 premultiplied RGBA (n, size, size, 4), at least two different ones,
    with transparent corners in most.
    """
    shape, dtype = np.shape(pictures), getattr(pictures, "dtype", type(pictures))
    if dtype != np.uint8:
        raise ValueError(
            f"got {dtype}; expected uint8 (to_float converts, once, on the way in)."
        )
    if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 4 or shape[0] < 2:
        raise ValueError(f"got shape {shape}; expected (n >= 2, size, size, 4).")
    if (pictures[..., :3] > pictures[..., 3:]).any():
        raise ValueError(
            "some colours are brighter than their alpha: this is straight RGBA; "
            "pass it through images.premultiply."
        )
    if (pictures == pictures[0]).all():
        raise ValueError("all pictures are identical; was one read again and again?")
    opaque = (pictures[:, [0, 0, -1, -1], [0, -1, 0, -1], 3] > 127).mean()
    if opaque > 0.5:
        raise ValueError(
            f"{opaque:.0%} of the corner pixels are opaque: the background was painted "
            "in; keep alpha, or cut the ground away with images.cut_ground."
        )


def order(count, batch, steps, seed, start=0, reshuffle=True, weights=None):
    """Says which pictures each training step sees: indices and flips, (steps, batch).

    `steps` steps from step `start` on. Every epoch of count // batch steps is a fresh
    permutation and depends on nothing but (seed, epoch), so a resumed run sees exactly
    what an uninterrupted one would. With `weights` (count,), a picture comes as often
    in an epoch as its share of them says, rounded up or down at random. Raises
    ValueError when `batch` exceeds `count`, or a weight is not positive.
    """
    if not 1 <= batch <= count:
        raise ValueError(f"a batch of {batch} from {count} pictures; use 1 to {count}.")
    weights = _unequal(weights, count)
    per_epoch = count // batch
    indices = np.empty((steps, batch), np.int32)
    flips = np.empty((steps, batch), bool)
    for row, step in enumerate(range(start, start + steps)):
        epoch, place = divmod(step, per_epoch)
        if place == 0 or row == 0:
            rng = np.random.Generator(
                np.random.Philox(key=[seed, epoch if reshuffle else 0])
            )
            deck, coins = _deck(rng, count, weights), rng.random(count) < 0.5
        cards = slice(place * batch, (place + 1) * batch)
        indices[row], flips[row] = deck[cards], coins[cards]
    return indices, flips


def _deck(rng, count, weights):
    """Returns `count` indices in random order; each once, or as `weights` say."""
    deck = rng.permutation(count)
    if weights is None:
        return deck
    # Systematic sampling: marks at equal distances along a line on which each picture
    # is as long as its weight. They hit it as often as its share says, give or take
    # less than one; drawn one by one, some would come again and again, others never.
    ends = np.cumsum(weights[deck])
    marks = (rng.random() + np.arange(count)) * (ends[-1] / count)
    hit = np.searchsorted(ends, marks, side="right").clip(max=count - 1)
    return rng.permutation(deck[hit])


def _unequal(weights, count):
    """Returns weights as an array, or None where they make no difference."""
    if weights is None:
        return None
    weights = np.asarray(weights, np.float64)
    if weights.shape != (count,) or not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError(
            f"weights of shape {weights.shape}; expected ({count},), one a picture, "
            "all of them positive."
        )
    return None if np.ptp(weights) == 0 else weights


def batches(pictures, batch, steps, seed, mirror=True, labels=None, **places):
    """Returns a finite tf.data.Dataset of `steps` float32 batches in [-1, 1].

    `pictures` is uint8 (n, size, size, channels); which come when is up to `order`,
    with `places`: its start, reshuffle and weights. With `mirror` about half of the
    pictures are flipped left-right. With `labels`, an array (n, ...), a batch is a pair
    (pictures, their labels).
    """
    import tensorflow as tf

    indices, flips = order(len(pictures), batch, steps, seed, **places)
    with tf.device("cpu"):
        memory = tf.constant(pictures)
        names = None if labels is None else tf.constant(labels)

    def gather(index, flip):
        x = tf.gather(memory, index)
        if mirror:
            x = tf.where(flip[:, None, None, None], tf.reverse(x, [2]), x)
        x = tf.cast(x, tf.float32) / 127.5 - 1.0
        return x if names is None else (x, tf.gather(names, index))

    plan = tf.data.Dataset.from_tensor_slices((indices, flips))
    return plan.map(gather, num_parallel_calls=2).prefetch(2)


def numpy_batches(pictures, batch, steps, seed, mirror=True, labels=None, **places):
    """Yields the same batches as `batches`, as NumPy arrays, without TensorFlow."""
    indices, flips = order(len(pictures), batch, steps, seed, **places)
    for index, flip in zip(indices, flips, strict=True):
        x = pictures[index]
        if mirror:
            x[flip] = images.mirror(x[flip])
        yield to_float(x) if labels is None else (to_float(x), labels[index])
