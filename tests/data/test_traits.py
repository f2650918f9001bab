"""Size, pieces, brightness and hue of pictures made to have them."""

import numpy as np
import pytest

from pokeutils.data import traits


def block(left, right, colour=(200, 0, 0)):
    """A block from column `left` to `right`, eight rows high, on a canvas of 16."""
    picture = np.zeros((16, 16, 4), "uint8")
    picture[4:12, left:right] = (*colour, 255)
    return picture


def test_size_and_brightness():
    pictures = np.stack([block(0, 16), block(4, 8, (51, 51, 51)), block(0, 0)])
    assert traits.size(pictures) == pytest.approx([0.5, 0.125, 0])
    pictures[1] //= 2  # half transparent: no darker, but half as much
    assert traits.size(pictures)[1] == pytest.approx(0.0625, rel=0.01)
    values = traits.brightness(pictures)
    assert values[:2] == pytest.approx([200 / 765, 0.2], abs=0.005)
    assert np.isnan(values[2])


@pytest.mark.parametrize(
    "gaps, expected",
    [
        ((), 1),
        ((slice(4, 12), 6), 4 / 7),  # cut through from top to bottom
        ((slice(5, 12), 6), 1),  # but for one pixel
        ((slice(4, 12), slice(None)), np.nan),  # empty
    ],
)
def test_the_largest_piece_of_a_body(gaps, expected):
    picture = block(2, 10)
    if gaps:
        picture[gaps] = 0
    value = traits.largest_piece(np.stack([block(0, 16), picture]))
    assert value == pytest.approx([1, expected], nan_ok=True)


def test_hue_points_at_the_colour():
    pictures = np.stack([block(0, 9, c) for c in ((255, 0, 0), (0, 255, 0), (9, 9, 9))])
    pictures = np.concatenate([pictures, block(0, 0)[None]])
    assert traits.hue(pictures)[:3] == pytest.approx([1, -0.5, 0])
    assert traits.hue(pictures, "green")[:3] == pytest.approx([-0.5, 1, 0])
    assert traits.hue(pictures, "cyan")[0] == pytest.approx(-1)
    assert np.isnan(traits.hue(pictures)[3])
