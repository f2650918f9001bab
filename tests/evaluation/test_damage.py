"""Damage is what it says, and networks rank it as people do."""

import numpy as np

from pokeutils.evaluation import damage, measures


def test_damage_does_what_it_says(on_white):
    before = on_white.copy()
    found = damage.all_kinds(on_white)
    assert list(found) == ["palette swap", "blur", "patch shuffle", "noise"]
    for pictures in found.values():
        assert pictures.shape == on_white.shape and pictures.dtype == np.uint8
        assert (pictures != on_white).any((1, 2, 3)).mean() > 0.95
    np.testing.assert_array_equal(on_white, before)
    swapped, shuffled = found["palette swap"], found["patch shuffle"]
    brightness = swapped.max(-1).astype(int) - on_white.max(-1)
    assert np.abs(brightness).mean() < 2
    assert (np.sort(shuffled, axis=None) == np.sort(on_white, axis=None)).all()
    pieces = on_white[0].reshape(8, 4, 8, 4, 3).swapaxes(1, 2)
    assert (pieces == shuffled[0, 12:16, 12:16]).all((2, 3, 4)).any()
    assert damage.patch_shuffle(on_white[:2, :30, :30], np.random.default_rng(0)).any()
    again = damage.all_kinds(on_white)
    assert all((again[kind] == found[kind]).all() for kind in found)


def test_damage_is_ranked_from_mild_to_severe(on_white, random_conv):
    mixed = np.random.default_rng(0).permutation(120)
    here, there = np.array_split(on_white[mixed], 2)
    seen, sets = random_conv(here), [there, *damage.all_kinds(there).values()]
    floor, swapped, *harder = [measures.kid(seen, random_conv(one)) for one in sets]
    # A drawn creature may have any colour, so other colours are as good.
    assert abs(swapped[0]) < 4 * floor[1]
    values = [swapped, *harder]
    for (less, less_std), (more, more_std) in zip(values, values[1:], strict=False):
        assert less + less_std < more - more_std
