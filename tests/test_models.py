"""Networks: shapes, ranges, and the sizes that are known."""

import numpy as np
import pytest
from keras import ops

from pokeutils import models
from pokeutils.common import saved


def test_pyramids_fit_together():
    generator = models.pyramid_generator(
        16, channels=4, latent_dim=8, widths=(8, 8), detail=8
    )
    discriminator = models.pyramid_discriminator(16, channels=4, widths=(8, 8), stem=4)
    pictures = ops.convert_to_numpy(generator(np.ones((3, 8), "float32")))
    assert pictures.shape == (3, 16, 16, 4)
    assert np.abs(pictures).max() <= 1
    assert discriminator(pictures).shape == (3, 1)


def test_palette_generator_survives_saving(tmp_path):
    generator = models.pyramid_generator(
        16, latent_dim=8, widths=(8, 8), detail=8, palette=6
    )
    generator.save(tmp_path / "generator.keras")
    loaded = saved.load_generator(tmp_path / "generator.keras")
    latents = np.random.default_rng(0).normal(size=(2, 8)).astype("float32")
    pictures = ops.convert_to_numpy(loaded(latents))
    assert len(np.unique(pictures[0].reshape(-1, 4), axis=0)) <= 6
    np.testing.assert_array_equal(ops.convert_to_numpy(generator(latents)), pictures)


@pytest.mark.parametrize(
    "build", [models.pyramid_generator, models.pyramid_discriminator]
)
def test_widths_must_fit_the_size(build):
    reason = "^3 widths (end at 32 px|lead from 32 px to 4), but size is 64. Give one "
    with pytest.raises(ValueError, match=reason):
        build(64, widths=(8, 8, 8))


def test_started_at_8_px_there_is_nothing_transposed_to_leave_a_lattice():
    generator = models.pyramid_generator(16, latent_dim=8, widths=(8,), start=8)
    assert not any("Transpose" in type(layer).__name__ for layer in generator.layers)
    assert generator(np.zeros((2, 8), "float32")).shape == (2, 16, 16, 4)
    with pytest.raises(ValueError, match="one width for each of 8, 16"):
        models.pyramid_generator(64, widths=(8, 8), start=8)


def test_more_convolutions_change_nothing_until_they_are_trained():
    options = {"latent_dim": 8, "widths": (8, 6), "detail": 4}
    plain = models.pyramid_generator(16, **options)
    deep = models.pyramid_generator(16, depth=3, **options)
    more = [x for x in deep.layers if x.weights and x.name.startswith("more_")]
    assert len(more) == 2 * 3  # at 8 px: two norms, modulations and convolutions
    rest = [x for x in deep.layers if x.weights and x not in more]
    for own, target in zip([x for x in plain.layers if x.weights], rest, strict=True):
        target.set_weights(own.get_weights())
    latents = np.random.default_rng(0).normal(size=(3, 8)).astype("float32")
    np.testing.assert_array_equal(plain(latents), deep(latents))
    [kernel] = deep.get_layer("more_8_1").weights
    kernel.assign(np.ones(kernel.shape))
    assert np.abs(ops.convert_to_numpy(plain(latents) - deep(latents))).max() > 0.01
