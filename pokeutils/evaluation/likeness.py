"""What a creature looks like, wherever in the picture it is: its colours, its drawing.

Pictures are uint8 (n, height, width, 4) premultiplied RGBA, or (..., 3) RGB on white.
The distance of two descriptions goes from 0, the same, to 1.41, nothing in common.
"""

import numpy as np

from pokeutils.common import background, images

GRID = 32  # px that a body is drawn to; colours are compared on half as many
DIRECTIONS = 6  # of an edge, 30 degrees apart
REACH = 1.2  # side of the grid, in lengths of the body without its outermost 6 %
SOFT = 3.0  # grid px: how wide a drawing is blurred before its edges are looked for
CHUNK = 256  # pictures at a time


def colours(pictures):
    """Describes colours and outline of each body on a grid of 16 x 16: float64 unit
    vectors (n, 1024). Raises ValueError for what is no picture."""
    return _unit_vectors(pictures, _colours)


def drawing(pictures):
    """Describes where edges are and which way they run, whatever the colours: float64
    unit vectors (n, 1536). Raises ValueError for what is no picture.

    Edges of colour pictures (Di Zenzo 1986), counted in local histograms of their
    directions (Dalal and Triggs 2005), so that a small shift or bend changes little.
    """
    return _unit_vectors(pictures, _drawing)


def _unit_vectors(pictures, describe):
    pictures = images.check(pictures)
    images.check_premultiplied(pictures)
    parts = []
    for start in range(0, len(pictures), CHUNK):
        vectors = describe(_bodies(pictures[start : start + CHUNK]))
        vectors = vectors.reshape(len(vectors), -1).astype("float64")
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        parts.append(vectors / np.maximum(length, 1e-9))
    return np.concatenate(parts)


def _colours(bodies):
    small = bodies.reshape(len(bodies), GRID // 2, 2, GRID // 2, 2, 4).mean((2, 4))
    return np.concatenate([small[..., 3:] - small[..., :3], small[..., 3:]], axis=-1)


def _drawing(bodies):
    # Pixels that were moved by a fraction are softer: with all of them soft, the edges
    # of a bent copy of pixel art are again those of its original.
    soft = _tents((np.arange(GRID) + 0.5)[None], np.full((1, 1), SOFT), GRID)
    padded = _separably(soft, soft, bodies)
    padded = np.pad(padded, ((0, 0), (1, 1), (1, 1), (0, 0)))
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    # The structure tensor's eigenvector, in doubled angles: from dark to light and from
    # light to dark is the same edge.
    tensor = np.stack([(across**2 - down**2).sum(-1), 2 * (across * down).sum(-1)], -1)
    length = np.linalg.norm(tensor, axis=-1, keepdims=True)
    strength = np.sqrt((across**2 + down**2).sum(-1, keepdims=True) + length)
    angles = np.arange(DIRECTIONS) * 2 * np.pi / DIRECTIONS
    axes = np.stack([np.cos(angles), np.sin(angles)]).astype("float32")
    edges = strength * np.maximum(tensor / np.maximum(length, 1e-6) @ axes, 0) ** 2
    places = (np.arange(GRID // 2) + 0.5) * 2
    pool = _tents(places[None], np.full((1, 1), 4.0), GRID)
    # The root lets faint edges count: an outline is ten times as strong as a fold.
    return np.sqrt(_separably(pool, pool, edges))


def _bodies(pictures):
    """Cuts out each body and centres it on a grid, scaled by its longer side:
    premultiplied RGBA, float32 (n, GRID, GRID, 4)."""
    if pictures.shape[-1] == 3:  # what is not nearly white
        ink = 255 - pictures.min(axis=-1, keepdims=True).astype("int16")
        alpha = np.clip(8 * (ink - background.NEAR_WHITE), 0, 255)
        colour = np.maximum(pictures - (255 - alpha), 0)
        pictures = np.concatenate([colour, alpha], axis=-1)
    mass = np.maximum(pictures[..., 3].astype("float32") - images.SOFT, 0)
    ends = [_ends(mass.sum(axis)) for axis in (2, 1)]  # of rows, of columns
    side = np.maximum(*((high - low) for low, high in ends)).clip(2)
    step = REACH * side / GRID
    matrices = []
    for (low, high), pixels in zip(ends, mass.shape[1:], strict=True):
        places = (low + high) / 2 + step * (np.arange(GRID) + 0.5 - GRID / 2)
        matrices.append(_tents(places, np.maximum(step, 1), pixels))
    return _separably(*matrices, pictures.astype("float32"))


def _ends(mass):
    """Returns where the first and last 3 % of each row of `mass` lie: columns (n, 1).

    Single stray pixels, which generators like to draw, then do not move a body.
    """
    share = np.cumsum(np.pad(mass, ((0, 0), (1, 0))), axis=1)
    share = share / np.maximum(share[:, -1:], 1e-9)
    places = np.arange(share.shape[1])
    ends = [np.interp((0.03, 0.97), row, places) for row in share]
    return np.split(np.array(ends), 2, axis=1)


def _tents(places, width, pixels):
    """Returns matrices (n, places, pixels) that average pixels around each place."""
    apart = np.abs(places[..., None] - (np.arange(pixels) + 0.5))
    tents = np.maximum(1 - apart / width[..., None], 0) / width[..., None]
    return tents.astype("float32")


def _separably(rows, columns, pictures):
    """Applies a matrix to the rows and one to the columns of (n, h, w, channels)."""
    n, h, w, channels = pictures.shape
    done = np.matmul(rows, pictures.reshape(n, h, w * channels))
    return np.matmul(columns[:, None], done.reshape(n, -1, w, channels))
