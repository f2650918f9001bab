"""A generator taken apart: the same picture from one latent, others from several."""

import keras
import numpy as np
import pytest

from pokeutils import models, sampling
from pokeutils.studio import inversion


@pytest.fixture(scope="module")
def generator():
    return models.pyramid_generator(16, latent_dim=6, widths=(8, 8), detail=8)


def test_the_same_latent_everywhere_is_the_generator(generator):
    apart = inversion.separate(generator)
    assert apart.input_shape == (None, 4, 6)  # the start, and 4, 8 and 16 px
    z = sampling.draw(5, 6)
    same = np.repeat(z[:, None], 4, 1)
    whole = np.asarray(generator(z, training=False))
    np.testing.assert_allclose(apart(same, training=False), whole, atol=1e-5)
    np.testing.assert_allclose(apart(3 * same, training=False), whole, atol=1e-5)
    free = inversion.separate(generator, unit=False)
    unit = same / np.sqrt(np.mean(same**2, axis=-1, keepdims=True))
    np.testing.assert_allclose(free(unit, training=False), whole, atol=1e-5)
    assert np.abs(np.asarray(free(3 * unit, training=False)) - whole).max() > 0.01


def test_every_place_has_a_say(generator):
    apart = inversion.separate(generator)
    one, other = (np.repeat(z[None, None], 4, 1) for z in sampling.draw(2, 6))
    before = np.asarray(apart(one, training=False))
    for place in range(4):
        mixed = one.copy()
        mixed[:, place] = other[:, place]
        assert np.abs(np.asarray(apart(mixed, training=False)) - before).max() > 1e-3


def test_a_palette_listens_too_and_others_are_refused():
    painter = models.pyramid_generator(16, widths=(8, 8), detail=8, palette=4)
    assert inversion.separate(painter).input_shape == (None, 5, 128)
    plain = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="pyramid_generator"):
        inversion.separate(plain)
