"""How the background of an opaque picture is found; `test_images` has the files."""

import numpy as np

from pokeutils.common import background


def test_the_background_does_not_leak_through_a_diagonal_line():
    rgba = np.full((9, 9, 4), 255, np.uint8)
    for i in range(4):  # a diamond one pixel thin
        for y, x in ((4 - i, i + 1), (4 + i, i + 1), (4 - i, 7 - i), (4 + i, 7 - i)):
            rgba[y, x, :3] = 0
    cut = background.cut(rgba)
    assert cut[0, 0, 3] == 0 and cut[4, 4, 3] == 255
