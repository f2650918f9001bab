"""The background of an opaque picture: its colour, and how to cut it out.

Pictures are straight RGBA, uint8 (height, width, 4).
"""

import numpy as np

HARD = 127  # alpha above this is opaque
NEAR_WHITE = 12  # noise on white, or on another background, stays within this
FRINGE, FRINGE_NEAR = 2, 48  # px, grey levels: the rings of JPEG around a creature


def colour(rgba, near=NEAR_WHITE):
    """Returns the colour (3,) that at least half of an opaque picture's border has, up
    to noise; white if there is none, or nearly."""
    shown = rgba[..., 3] > HARD
    rows, columns = (np.flatnonzero(shown.any(axis)) for axis in (1, 0))
    border = rim(rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    border = border[border[:, 3] > HARD, :3].astype(np.int16)
    usual = np.median(border, axis=0)
    alike = np.abs(border - usual).max(axis=1) <= near
    if usual.min() >= 255 - near or 2 * alike.sum() < len(border):
        usual = np.full(3, 255)
    return usual.astype(np.int16)


def cut(rgba, near=NEAR_WHITE, fringe=0):
    """Makes the background of an opaque picture transparent: what touches its border
    and has the border's colour, see `colour`, with `fringe` px of what nearly has it,
    as lossy files leave them."""
    border = colour(rgba, near)
    if fringe and np.ptp(border):
        near = 2 * near  # lossy files keep hues more coarsely than greys
    apart = np.abs(rgba[..., :3] - border).max(axis=-1)
    apart = np.pad(np.where(rgba[..., 3] > HARD, apart, 0), 1)
    background = np.zeros(apart.shape, bool)
    background[[0, -1]] = background[:, [0, -1]] = True
    size, same, nearly = 0, apart <= near, apart <= FRINGE_NEAR
    while size != (size := int(background.sum())):  # grow until it no longer grows
        for _ in range(8):
            _grow(background, same)
    for _ in range(fringe):
        _grow(background, nearly)
    if background.all() and border.min() < 255:  # a block of one colour, not blank
        return rgba
    return np.where(background[1:-1, 1:-1, None], np.uint8(0), rgba)


def rim(picture):
    """Returns the pixels at the border of a picture, (n, channels)."""
    sides = picture[0], picture[-1], picture[1:-1, 0], picture[1:-1, -1]
    return np.concatenate(sides)


def _grow(area, allowed):
    """Adds to an area, in place, what is `allowed` beside it."""
    area[1:] |= area[:-1] & allowed[1:]
    area[:-1] |= area[1:] & allowed[:-1]
    area[:, 1:] |= area[:, :-1] & allowed[:, 1:]
    area[:, :-1] |= area[:, 1:] & allowed[:, :-1]
