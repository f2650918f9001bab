"""Damage is what it says, and networks rank it as people do."""

import drawings
import numpy as np
import pytest

from pokeutils.common import env, images
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


# ------------------------------------------------------------------ ranking

PREPARED = env.ROOT / "data" / "prepared"


def ranking(network, pictures):
    """[(KID, std)] of real halves, palette swap, blur, patch shuffle and noise."""
    mixed = np.random.default_rng(0).permutation(len(pictures))
    here, there = np.array_split(pictures[mixed], 2)
    seen = network(here)
    sets = [there, *damage.all_kinds(there).values()]
    return [measures.kid(seen, network(one)) for one in sets]


@pytest.fixture(scope="module")
def random_conv():
    return features.random_conv()


def test_damage_is_ranked_from_mild_to_severe(random_conv, creatures):
    floor, swapped, *harder = ranking(random_conv, creatures)
    # A drawn creature may have any colour, so other colours are as good.
    assert abs(swapped[0]) < 4 * floor[1]
    values = [swapped, *harder]
    for (less, less_std), (more, more_std) in zip(values, values[1:], strict=False):
        assert less + less_std < more - more_std


@pytest.mark.parametrize(
    "name, source",
    [
        ("random", "artwork-64"),
        pytest.param("lite0", "artwork-64", marks=pytest.mark.slow),
        pytest.param("lite0-128", "artwork-32", marks=pytest.mark.slow),
        pytest.param("lite0", "sprites-32", marks=pytest.mark.slow),
    ],
)
def test_damage_of_real_pictures_is_ranked(name, source, random_conv):
    path = PREPARED / source / "images.npy"
    if not path.exists():
        pytest.skip(f"{source} is not prepared here")
    pictures = images.composite(np.load(path))
    chosen = np.linspace(0, len(pictures) - 1, 400).astype(int)
    network = random_conv if name == "random" else features.named(name)
    values = ranking(network, pictures[chosen])
    shown = ", ".join(f"{1000 * kid:.1f} ± {1000 * std:.1f}" for kid, std in values)
    print(f"\n{source}, {name}: {shown}")
    for (less, less_std), (more, more_std) in zip(values, values[1:], strict=False):
        assert less + less_std < more - more_std
    assert abs(values[0][0]) < 3 * values[0][1]
