"""Planted copies are what they are called."""

import numpy as np

from pokeutils.common import images
from pokeutils.evaluation import planted


def test_planted_copies_are_what_they_are_called(creatures):
    some = creatures[:12]
    made = planted.all_kinds(some, seed=4)
    again = planted.all_kinds(some, seed=4)
    for kind, pictures in made.items():
        assert pictures.dtype == np.uint8 and pictures.shape == some.shape, kind
        assert (pictures == again[kind]).all(), kind
        assert (pictures[..., :3].max(-1) <= pictures[..., 3]).all(), kind
    assert (made["mirrored"][:, :, ::-1] == some).all()
    assert (made["hue turned"][..., 3] == some[..., 3]).all()
    assert (made["hue turned"] != some).any((1, 2, 3)).all()
    body, left = some[..., 3] > images.SOFT, made["cut off"][..., 3] > images.SOFT
    for own, rest in zip(body.any(2), left.any(2), strict=True):
        own, rest = np.flatnonzero(own), np.flatnonzero(rest)
        assert own[0] == rest[0] and 0.7 < np.ptp(rest) / np.ptp(own) < 0.8
    there = made["cut off"][..., 3] > 0
    assert (made["cut off"][there] == some[there]).all()
    solid = (some[..., 3] > 127).mean((1, 2))
    moved = (made["warped"][..., 3] > 127) != (some[..., 3] > 127)
    assert (moved.mean((1, 2)) > 0.01).all()
    assert (moved.mean((1, 2)) < 0.6 * solid).all()
