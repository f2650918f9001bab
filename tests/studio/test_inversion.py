"""Inversion: what a generator has drawn itself is found again."""

import numpy as np
import pytest

from pokeutils import models, sampling
from pokeutils.studio import inversion


@pytest.fixture(scope="module")
def generator():
    return shaken()


def shaken(**options):
    options = {"latent_dim": 6, "widths": (8, 8), "detail": 8, **options}
    model = models.pyramid_generator(16, **options)
    random = np.random.default_rng(0)
    weights = [
        random.normal(0, 0.3, w.shape) if len(w.shape) > 1 else w
        for w in model.get_weights()
    ]
    model.set_weights(weights)
    return model


def test_more_starts_end_no_worse_and_pixels_alone_do(generator):
    pictures = sampling.sample(generator, 2, seed=50)
    settings = dict(steps=20, pool=32)
    one = inversion.invert(generator, pictures, starts=1, **settings)
    again = inversion.invert(generator, pictures, starts=1, **settings)
    assert np.array_equal(one.latents, again.latents)
    many = inversion.invert(generator, pictures, starts=4, **settings)
    assert (many.losses <= one.losses + 1e-3).all()
    off = many.pictures.astype("float64") - pictures
    half = off.reshape(2, 8, 2, 8, 2, 4).mean((2, 4))  # at 16 and at 8 px
    wanted = (np.abs(off).mean((1, 2, 3)) + np.abs(half).mean((1, 2, 3))) / 2 / 255
    assert many.losses == pytest.approx(wanted, abs=0.004)


def test_a_search_begins_at_the_nearest_of_the_pool(generator):
    pool = sampling.draw(64, 6, seed=0)
    pictures = sampling.paint(generator, pool[[40, 7]])
    found = inversion.invert(generator, pictures, steps=1, starts=1, pool=64, rate=1e-6)
    np.testing.assert_allclose(found.latents, pool[[40, 7]], atol=1e-4)


def test_other_sizes_are_refused(generator):
    with pytest.raises(ValueError, match=r"\(n, 16, 16, 4\).*\(1, 8, 8, 4\)"):
        inversion.invert(generator, np.zeros((1, 8, 8, 4), "uint8"))
    with pytest.raises(ValueError, match="float64"):
        inversion.invert(generator, np.zeros((1, 16, 16, 4)))
