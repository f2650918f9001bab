"""Pictures that are the same, or nearly so, mirrored or not: perceptual hashes.

A difference hash (Krawetz, 2013) notes for each cell of a small grid whether it is
lighter than its neighbour, which survives resizing, JPEG noise and other margins. Two
pictures are taken for the same when few of these notes differ, and their colours agree.
"""

import collections

import numpy as np
from PIL import Image

from pokeutils import images

GRID = 16  # cells a side; 2 * 16 * 16 = 512 notes a picture
STEP = 2.0  # grey levels (0-255); less is flat, whatever noise says
# Between the official artworks and copies of them as JPEG, the same picture differs in
# at most 19 notes and 5.3 grey levels, different species in 104 notes and more.
FAR = 64  # notes that may differ
COLOUR = 8.0  # grey levels (0-255) between their cells, on average: not a recolour

Pair = collections.namedtuple("Pair", "first second notes mirrored")


def pairs(pictures, others=None, far=FAR, colour=COLOUR):
    """Returns a Pair of indices for each two pictures that are nearly the same.

    Pictures are premultiplied RGBA, uint8 (n, size, size, 4). Within one set, `first`
    is less than `second`; with `others`, `second` is an index in these. `notes` is how
    many of 512 differ, `mirrored` whether one is the mirror image of the other.
    """
    hashes, mirrored, cells = _describe(pictures)
    other_hashes, _, other_cells = (
        (hashes, None, cells) if others is None else _describe(others)
    )
    found = []
    for first in range(len(hashes)):
        begin = first + 1 if others is None else 0
        straight = _differing(hashes[first], other_hashes[begin:])
        turned = _differing(mirrored[first], other_hashes[begin:])
        notes = np.minimum(straight, turned)
        for second in np.flatnonzero(notes <= far):
            flipped = bool(turned[second] < straight[second])
            cell = images.mirror(cells[first]) if flipped else cells[first]
            if np.abs(cell - other_cells[begin + second]).mean() <= colour:
                index = int(begin + second)
                found.append(Pair(first, index, int(notes[second]), flipped))
    return found


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
    image = Image.fromarray(np.ascontiguousarray(grey))
    wide = np.asarray(image.resize((GRID + 1, GRID), Image.Resampling.BILINEAR))
    high = np.asarray(image.resize((GRID, GRID + 1), Image.Resampling.BILINEAR))
    notes = np.diff(wide, axis=1) > STEP, np.diff(high, axis=0) > STEP
    return np.packbits(np.stack([notes[0], notes[1]])).view(np.uint64)


def _differing(one, many):
    return np.bitwise_count(one ^ many).sum(axis=-1, dtype=np.int32)
