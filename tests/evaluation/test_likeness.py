"""Descriptions of a creature: what they see, wherever in the picture it is."""

import numpy as np
import pytest

from pokeutils.evaluation import likeness
from pokeutils.evaluation.measures import distances

SIZE = 48


def test_a_body_is_found_wherever_it_is_and_however_large(creatures):
    small = np.zeros((10, SIZE, SIZE, 4), "uint8")
    halves = creatures[:10].reshape(10, SIZE // 2, 2, SIZE // 2, 2, 4)
    small[:, 3:27, 22:46] = halves.mean((2, 4))
    for describe, near in ((likeness.colours, 0.2), (likeness.drawing, 0.4)):
        apart = distances(describe(small), describe(creatures[:10]))
        assert (np.diag(apart) < near).all()
        assert (apart.argmin(1) == np.arange(10)).all()


def test_the_drawing_is_blind_to_colours(creatures):
    some = creatures[:20]
    other = some[..., [2, 0, 1, 3]]
    same = np.linalg.norm(likeness.drawing(some) - likeness.drawing(other), axis=1)
    assert same == pytest.approx(0, abs=1e-3)  # an exchange of channels turns the hues
    differ = np.linalg.norm(likeness.colours(some) - likeness.colours(other), axis=1)
    assert np.median(differ) > 0.2
    assert np.linalg.norm(likeness.drawing(some), axis=1) == pytest.approx(1)


@pytest.mark.parametrize("angle", [0, 45, 90, 135])
def test_the_drawing_knows_which_way_an_edge_runs(angle):
    y, x = np.mgrid[:64, :64] - 31.5
    turn = np.deg2rad(angle)
    disc = x**2 + y**2 < 28**2

    def striped(way):
        picture = np.zeros((64, 64, 4), "uint8")
        picture[disc] = 255
        stripes = np.sin((x * np.cos(way) + y * np.sin(way)) * 0.6) > 0
        picture[disc & stripes, :3] = 90
        return picture

    own, inverse = striped(turn), striped(turn)
    inverse[disc, :3] = 345 - inverse[disc, :3].astype(int)
    across = striped(turn + np.pi / 2)
    one, other, third = likeness.drawing(np.stack([own, inverse, across]))
    assert np.linalg.norm(one - other) < 0.2  # from dark to light, from light to dark
    assert np.linalg.norm(one - third) > 0.7
