"""The measures of what betrays generated pictures, on pictures of known flaws."""

import numpy as np
import pytest

from pokeutils.common import images
from pokeutils.studio import degrade, flaws

SIZE = 32


def disc(colour, radius=10.0, soft=1.0):
    """One disc, (1, SIZE, SIZE, 4); its alpha falls from 1 to 0 within `soft` px."""
    y, x = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
    alpha = ((radius - np.hypot(x, y)) / soft + 0.5).clip(0, 1)[..., None]
    rgba = np.concatenate([np.multiply(alpha, colour), 255 * alpha], -1)
    return np.rint(rgba).astype("uint8")[None]


def test_sharpness_of_a_step_and_of_a_ramp():
    step, ramp = disc((200, 40, 40), soft=0.01), disc((200, 40, 40), soft=6)
    assert flaws.measure(step)["outer"] > 0.97
    assert flaws.measure(ramp)["outer"] < 0.5


def test_holes_and_crumbs_are_counted():
    picture = disc((40, 160, 40))
    assert flaws.measure(picture)["holes"] == flaws.measure(picture)["crumbs"] == 0
    body = (picture[..., 3] > 127).sum()
    picture[0, 19:22, 14:17] = 0
    picture[0, 1:3, 1:3] = picture[0, 16, 12]
    found = flaws.measure(picture)
    assert found["holes"] == pytest.approx(9 / (body - 9 + 4), rel=1e-3)
    assert found["crumbs"] == pytest.approx(4 / (body - 9 + 4), rel=1e-3)


def test_dark_outlines_are_seen_and_lost():
    picture = disc((20, 20, 20))
    inner = disc((1, 1, 1), radius=8.5)[..., 3:] > 127
    picture = np.where(inner, disc((230, 200, 60)), picture)
    rim = flaws.measure(picture)["rim"]
    lost = flaws.measure(degrade.degrade(picture, {"lost rim": 1.0}))["rim"]
    assert rim > 100 and lost < 0.5 * rim


def test_a_lattice_is_told_from_grain():
    picture = np.broadcast_to(disc((120, 120, 120)), (8, SIZE, SIZE, 4)).copy()
    random = np.random.default_rng(0)
    grain = random.integers(-40, 41, (8, SIZE, SIZE, 1))
    comb = np.zeros((8, SIZE, SIZE, 1), int)
    comb[:, :, ::2], comb[:, :, 1::2] = 23, -23  # the grain's standard deviation
    found = []
    for change in (grain, comb):
        changed = picture.astype(int)
        changed[..., :3] = (changed[..., :3] + change).clip(0, picture[..., 3:])
        found.append(flaws.measure(changed.astype("uint8"), ["lattice"])["lattice"])
    assert found[1] > 18 > 12 > found[0]


def test_rgb_on_white_is_cut_out(clean):
    cut = flaws.cut_out(images.over(clean))
    assert cut.shape == clean.shape
    assert ((cut[..., 3] > 127) == (clean[..., 3] > 127)).mean() > 0.9
    assert flaws.cut_out(clean) is clean
