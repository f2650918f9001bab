"""Recolouring: against Python's own colour conversion, and what must not change."""

import colorsys

import numpy as np
import pytest

from pokeutils.common import images
from pokeutils.data import recolour

YELLOW, INK, WHITE, CHEEK = (255, 222, 64), (20, 16, 12), (255, 255, 255), (230, 60, 40)


@pytest.fixture
def creature():
    """(1, 16, 16, 4) premultiplied: a yellow body with a dark brown outline, a red
    cheek and a white eye, on nothing, one row of it half transparent."""
    straight = np.zeros((16, 16, 4), "uint8")
    straight[2:14, 2:14] = (*INK, 255)
    straight[3:13, 3:13] = (*YELLOW, 255)
    straight[5, 5] = (*WHITE, 255)
    straight[8, 8] = (*CHEEK, 255)
    straight[3, 3:13, 3] = 128
    return images.premultiply(straight)[None]


def expected(colour, degrees):
    hue, saturation, value = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
    turned = colorsys.hsv_to_rgb((hue + degrees / 360) % 1, saturation, value)
    return np.array(turned) * 255


def test_outline_white_and_background_stay(creature):
    for degrees in (60, 180, -60):
        changed = recolour.turn_hue(creature, degrees)
        assert (changed[..., 3] == creature[..., 3]).all()
        assert tuple(changed[0, 2, 5, :3]) == INK
        assert tuple(changed[0, 5, 5, :3]) == WHITE
        assert (changed[creature[..., 3] == 0] == 0).all()
        assert (changed[..., :3] <= changed[..., 3:]).all(), "no longer premultiplied"
        edge = images.unpremultiply(changed[0])[3, 6, :3]  # half transparent
        np.testing.assert_allclose(edge, expected(YELLOW, degrees), atol=3)


@pytest.mark.parametrize("degrees", [77, 180, -60, 360])
def test_bright_colours_follow_the_colour_wheel(degrees):
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (400, 3))
    most, least = colours.max(1), colours.min(1)
    vivid = (most > 110) & ((most - least) / most > 0.3)  # none of it left alone
    colours = colours[vivid].astype("uint8")
    changed = recolour.turn_hue(colours[None, None], degrees)[0, 0]
    for before, after in zip(colours, changed, strict=True):
        np.testing.assert_allclose(after, expected(before, degrees), atol=1)


def test_jitter_is_a_function_of_its_seed_and_reaches_its_ends():
    grey = np.full((300, 4, 4, 3), 100, "uint8")
    first, again = recolour.jitter(grey), recolour.jitter(grey)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, recolour.jitter(grey, seed=1))
    # A flat grey has no contrast and no saturation: brightness alone shows.
    assert 50 <= first.min() < 55 and 145 < first.max() <= 150
    same = recolour.jitter(grey, brightness=0, contrast=0, saturation=0)
    np.testing.assert_array_equal(same, grey)


def test_copies_are_appended_in_order(creature):
    pictures = np.concatenate([creature, creature[:, ::-1]])
    tripled = recolour.with_copies(pictures, ("mirrored", 180))
    assert tripled.shape == (6, 16, 16, 4) and tripled.dtype == np.uint8
    np.testing.assert_array_equal(tripled[:2], pictures)
    np.testing.assert_array_equal(tripled[2:4], images.mirror(pictures))
    np.testing.assert_array_equal(tripled[4:], recolour.turn_hue(pictures, 180))
