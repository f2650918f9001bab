"""Inversion: what a generator has drawn itself is found again."""

import numpy as np
import pytest

from pokeutils import features, gan, inversion, models


@pytest.fixture(scope="module")
def generator():
    model = models.pyramid_generator(16, latent_dim=6, widths=(8, 8), detail=8)
    random = np.random.default_rng(0)
    weights = [
        random.normal(0, 0.3, w.shape) if len(w.shape) > 1 else w
        for w in model.get_weights()
    ]
    model.set_weights(weights)
    return model


@pytest.mark.slow
def test_its_own_pictures_are_found_again(generator):
    pictures, told = gan.sample(generator, 3, seed=50), []
    weights = [w.copy() for w in generator.get_weights()]
    network = features.random_conv(size=32)
    found = inversion.invert(
        generator,
        pictures,
        network,
        steps=100,
        starts=8,
        rate=0.1,
        progress=lambda *one: told.append(one),
    )
    assert found.latents.shape == (3, 6) and found.pictures.dtype == np.uint8
    off = np.abs(found.pictures.astype(int) - pictures).mean((1, 2, 3))
    others = np.abs(pictures[[1, 2, 0]].astype(int) - pictures).mean((1, 2, 3))
    # Searches get stuck: some are found to the last level, some nearly.
    assert (off / others).min() < 0.1 and np.median(off / others) < 0.5
    assert (off < others).all()
    assert 0.5 < np.mean(found.latents**2) < 2  # the prior
    assert [number for number, _ in told] == [50, 100] and told[-1][1] < told[0][1]
    for before, after in zip(weights, generator.get_weights(), strict=True):
        assert np.array_equal(before, after)


def test_more_starts_end_no_worse_and_pixels_alone_do(generator):
    pictures = gan.sample(generator, 2, seed=50)
    one = inversion.invert(generator, pictures, steps=30, starts=1)
    again = inversion.invert(generator, pictures, steps=30, starts=1)
    assert np.array_equal(one.latents, again.latents)
    many = inversion.invert(generator, pictures, steps=30, starts=8)
    assert many.losses.mean() <= one.losses.mean()
    wanted = np.abs(many.pictures.astype(int) - pictures).mean((1, 2, 3)) / 255
    assert many.losses == pytest.approx(wanted, abs=0.01)


def test_other_sizes_are_refused(generator):
    with pytest.raises(ValueError, match=r"\(n, 16, 16, 4\).*\(1, 8, 8, 4\)"):
        inversion.invert(generator, np.zeros((1, 8, 8, 4), "uint8"))
    with pytest.raises(ValueError, match="float64"):
        inversion.invert(generator, np.zeros((1, 16, 16, 4)))
