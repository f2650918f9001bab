"""What can be measured on a picture of a creature: size, pieces, hue, brightness.

Pictures are uint8 premultiplied RGBA (n, s, s, 4). Every function returns float64 (n,),
NaN where a creature has no such thing.
"""

import numpy as np

SEEN = 15  # alpha above which a pixel can be seen


def size(pictures):
    """Returns the share of the canvas that is covered, 0 to 1."""
    return pictures[..., 3].astype("float64").mean((1, 2)) / 255


def largest_piece(pictures):
    """Returns the share of each creature's mass, its alpha, that hangs together in its
    largest piece, 0 to 1: 1 for one body in one piece. Corners hold; NaN if empty."""
    mass = np.pad(pictures[..., 3].astype("float64"), ((0, 0), (1, 1), (1, 1)))
    bodies = mass > SEEN  # a number for every pixel of a body:
    numbers = bodies * np.arange(1, bodies[0].size + 1).reshape(bodies.shape[1:])
    before = None
    while not np.array_equal(numbers, before):
        before = numbers.copy()
        for axis in (1, 2):  # each takes the largest number of its neighbours
            sides = np.roll(numbers, 1, axis), np.roll(numbers, -1, axis)
            numbers = np.maximum(numbers, np.maximum(*sides))
        numbers = numbers * bodies
    pieces = list(map(np.bincount, *(x.reshape(len(x), -1) for x in (numbers, mass))))
    totals = np.where(bodies.any((1, 2)), mass.sum((1, 2)), np.nan)
    return np.array([max(piece[1:], default=0) for piece in pieces]) / totals


def brightness(pictures):
    """Returns the mean of the body's colours, 0 (black) to 1; NaN where it is empty."""
    alpha = pictures[..., 3].astype("float64").sum((1, 2))
    colour = pictures[..., :3].astype("float64").mean(-1).sum((1, 2))
    return np.where(alpha > 0, colour / np.maximum(alpha, 1), np.nan)


def hue(pictures, towards="red"):
    """Returns how much a creature's colours lean to red, yellow, green, cyan, blue or
    magenta: the mean colour vector along that hue, -1 to 1. NaN if it is empty."""
    names = ("red", "yellow", "green", "cyan", "blue", "magenta")
    alpha = pictures[..., 3].astype("float64").sum((1, 2))
    red, green, blue = (
        pictures[..., channel].astype("float64").sum((1, 2)) / np.maximum(alpha, 1)
        for channel in range(3)
    )
    x, y = red - (green + blue) / 2, (green - blue) * np.sqrt(3) / 2
    angle = names.index(towards) * np.pi / 3
    return np.where(alpha > 0, x * np.cos(angle) + y * np.sin(angle), np.nan)
