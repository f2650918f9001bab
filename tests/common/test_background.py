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


def test_the_colour_is_that_of_most_of_the_border_else_white():
    rgba = np.full((8, 8, 4), (30, 60, 90, 255), np.uint8)
    rgba[0, :4, :3] = 200  # something touches the border
    assert list(background.colour(rgba)) == [30, 60, 90]
    rgba[:4] = np.random.default_rng(0).integers(0, 255, (4, 8, 4))
    rgba[4:, :4, :3] = 140
    assert list(background.colour(rgba)) == [255, 255, 255]
