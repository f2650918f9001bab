"""Damage is what it says, and networks rank it as people do."""

import drawings
import numpy as np
import pytest

from pokeutils.evaluation import damage, features, measures


@pytest.fixture(scope="module")
def creatures():
    return drawings.on_white(range(120))


def test_damage_does_what_it_says(creatures):
    before = creatures.copy()
    found = damage.all_kinds(creatures)
    assert list(found) == ["palette swap", "blur", "patch shuffle", "noise"]
    for pictures in found.values():
        assert pictures.shape == creatures.shape and pictures.dtype == np.uint8
        assert (pictures != creatures).any((1, 2, 3)).mean() > 0.95
    np.testing.assert_array_equal(creatures, before)
    swapped, shuffled = found["palette swap"], found["patch shuffle"]
    brightness = swapped.max(-1).astype(int) - creatures.max(-1)
    assert np.abs(brightness).mean() < 2
    assert (np.sort(shuffled, axis=None) == np.sort(creatures, axis=None)).all()
    pieces = creatures[0].reshape(8, 4, 8, 4, 3).swapaxes(1, 2)
    assert (pieces == shuffled[0, 12:16, 12:16]).all((2, 3, 4)).any()
    assert damage.patch_shuffle(creatures[:2, :30, :30], np.random.default_rng(0)).any()
    again = damage.all_kinds(creatures)
    assert all((again[kind] == found[kind]).all() for kind in found)


def test_damage_is_ranked_from_mild_to_severe(creatures):
    network, mixed = features.random_conv(), np.random.default_rng(0).permutation(120)
    here, there = np.array_split(creatures[mixed], 2)
    seen, sets = network(here), [there, *damage.all_kinds(there).values()]
    floor, swapped, *harder = [measures.kid(seen, network(one)) for one in sets]
    # A drawn creature may have any colour, so other colours are as good.
    assert abs(swapped[0]) < 4 * floor[1]
    values = [swapped, *harder]
    for (less, less_std), (more, more_std) in zip(values, values[1:], strict=False):
        assert less + less_std < more - more_std
