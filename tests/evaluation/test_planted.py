"""Planted copies are what they are called."""

import drawings
import numpy as np
import pytest

from pokeutils.common import images
from pokeutils.evaluation import likeness, planted

SIZE = 48


@pytest.fixture(scope="module")
def creatures():
    return drawings.creatures(SIZE)


def test_planted_copies_are_what_they_are_called(creatures):
    some = creatures[:12]
    made = planted.all_kinds(some, seed=4)
    again = planted.all_kinds(some, seed=4)
    for kind, pictures in made.items():
        assert pictures.dtype == np.uint8 and pictures.shape == some.shape, kind
        assert (pictures == again[kind]).all(), kind
        assert (pictures[..., :3].max(-1) <= pictures[..., 3]).all(), kind
    assert (made["mirrored"][:, :, ::-1] == some).all()
    for kind in ("hue turned", "palette swapped"):
        assert (made[kind][..., 3] == some[..., 3]).all()
        assert all((a != b).any() for a, b in zip(made[kind], some, strict=True))
    body, left = some[..., 3] > images.SOFT, made["cut off"][..., 3] > images.SOFT
    for own, rest in zip(body.any(2), left.any(2), strict=True):
        own, rest = np.flatnonzero(own), np.flatnonzero(rest)
        assert own[0] == rest[0] and 0.7 < np.ptp(rest) / np.ptp(own) < 0.8
    there = made["cut off"][..., 3] > 0
    assert (made["cut off"][there] == some[there]).all()
    apart = 1 - likeness.largest_piece(made["spoilt"])
    assert (apart > 0.01).all() and 0.03 < np.median(apart) < 0.1
    assert (made["spoilt"][body][:, 3] < some[body][:, 3]).mean() == pytest.approx(
        planted.THIN, abs=0.04
    )
    solid = (some[..., 3] > 127).mean((1, 2))
    moved = (made["warped"][..., 3] > 127) != (some[..., 3] > 127)
    assert (moved.mean((1, 2)) > 0.01).all()
    assert (moved.mean((1, 2)) < 0.6 * solid).all()


@pytest.mark.parametrize("kind", ["spoilt", "cut off"])
def test_damage_is_the_same_on_white(kind, creatures):
    some = creatures[:8]
    made = planted.KINDS[kind](some, np.random.default_rng(2))
    white = planted.KINDS[kind](images.composite(some), np.random.default_rng(2))
    assert white.shape == (8, SIZE, SIZE, 3) and white.dtype == np.uint8
    differ = np.abs(white.astype(int) - images.composite(made)).max(-1)
    assert (differ > 3).mean() < 0.02  # at rims it is not certain where a body ends
    blank = np.zeros((1, SIZE, SIZE, 4), "uint8")
    assert (planted.KINDS[kind](blank, np.random.default_rng(0)) == blank).all()


def test_a_palette_is_that_of_another_creature():
    pictures = np.zeros((2, 32, 32, 4), "uint8")
    pictures[:, 4:28, 4:28] = np.array([(200, 40, 40, 255), (60, 90, 250, 255)])[
        :, None, None
    ]
    pictures[:, 4:28, 4:10, :3] //= 4
    swapped = planted.palette_swapped(pictures, np.random.default_rng(1))
    for own, other in ((0, 1), (1, 0)):
        for place in ((16, 20), (16, 6)):
            new, wanted = swapped[own][place], pictures[other][place]
            assert new.astype(int) == pytest.approx(wanted.astype(int), abs=2)
