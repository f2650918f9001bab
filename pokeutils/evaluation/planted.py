"""Copies made on purpose, from exact to warped, recoloured and cut off, to try a search
on.

Pictures are uint8 (n, height, width, 3) RGB on white or (..., 4) premultiplied RGBA.
"""

import numpy as np

from pokeutils.common import background, images
from pokeutils.data import recolour

SHIFT, AFFINE, DEGREES, ELASTIC = 0.05, 0.05, 5, 0.015  # most; elastic: on average


def warped(pictures, random):
    """Shifts, stretches, shears and turns a little, and bends like rubber: pixels move
    by some 5 % of the picture, in relation to each other by about 2 %."""
    count, height, width, _ = pictures.shape
    y, x = np.mgrid[:height, :width].astype("float32")
    y, x = y / (height - 1) - 0.5, x / (width - 1) - 0.5

    # Affine.
    number = (count, 1, 1)
    turn = np.deg2rad(random.uniform(-DEGREES, DEGREES, number))
    stretch = 1 + random.uniform(-AFFINE, AFFINE, (2, *number))
    shear, *shift = random.uniform(-1, 1, (3, *number)) * [[[[AFFINE]]]]
    rows = stretch[0] * y + np.sin(turn) * x + shift[0] * SHIFT / AFFINE
    columns = stretch[1] * x + (shear - np.sin(turn)) * y + shift[1] * SHIFT / AFFINE

    # Elastic: waves at least half as long as the picture.
    for _ in range(3):
        waves = random.uniform(-2, 2, (4, *number)) * 2 * np.pi
        phases = random.uniform(0, 2 * np.pi, (2, *number))
        rows = rows + ELASTIC * np.sin(waves[0] * y + waves[1] * x + phases[0])
        columns = columns + ELASTIC * np.sin(waves[2] * y + waves[3] * x + phases[1])

    rows, columns = (rows + 0.5) * (height - 1), (columns + 0.5) * (width - 1)
    return _sampled(pictures, rows, columns)


def tilted(pictures, degrees):
    """Turns all pictures by the same small angle about their middle."""
    shape = pictures.shape[:3]
    sine, cosine = np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))
    y, x = np.mgrid[: shape[1], : shape[2]].astype("float32")
    middle_y, middle_x = (shape[1] - 1) / 2, (shape[2] - 1) / 2
    y, x = y - middle_y, x - middle_x
    rows = np.broadcast_to(cosine * y + sine * x + middle_y, shape)
    columns = np.broadcast_to(cosine * x - sine * y + middle_x, shape)
    return _sampled(pictures, rows, columns)


def _sampled(pictures, rows, columns):
    """Reads the pictures at other places; what is outside is background."""
    outside = _background(pictures)
    return np.rint(images.bilinear(pictures, rows, columns, outside)).astype("uint8")


def all_at_once(pictures, random):
    """Turns hues, warps and mirrors."""
    return warped(recolour.turn_hues(pictures, random), random)[:, :, ::-1]


def cut_off(pictures, random=None):
    """Cuts the lower quarter off each creature: what is left is another shape."""
    changed = pictures.copy()
    for picture in changed:
        rows = np.flatnonzero(_body(picture).any(1))
        if len(rows):
            end = rows[-1] + 1
            picture[end - round((end - rows[0]) / 4) :] = _background(picture)
    return changed


def _body(picture):
    """Returns where the creature is: bool (h, w)."""
    if picture.shape[-1] == 4:
        return picture[..., 3] > images.SOFT
    return picture.min(-1) < 255 - background.NEAR_WHITE


def _background(pictures):
    """Returns the level that the background has: transparent, or white."""
    return 0 if pictures.shape[-1] == 4 else 255


KINDS = {
    "exact": lambda pictures, random: pictures,
    "mirrored": lambda pictures, random: pictures[:, :, ::-1],
    "hue turned": recolour.turn_hues,
    "warped": warped,
    "all at once": all_at_once,
    "cut off": cut_off,
}


def all_kinds(pictures, seed=0):
    """Returns {kind: copies of the pictures, row for row}, the same for one seed."""
    random = np.random.default_rng(seed)
    return {
        kind: np.ascontiguousarray(change(pictures, random))
        for kind, change in KINDS.items()
    }
