"""The seeds' networks: sizes that are known, shapes, ranges, what they can reach."""

import keras
import numpy as np
import pytest

from pokeutils import layers
from pokeutils.common import saved
from pokeutils.recipes import rebuilt, rebuilt_networks

GENERATORS = [f"{kind}_generator" for kind in ("tutorial", "block", "sprite", "dense")]
DISCRIMINATORS = ("tutorial", "sprite", "dense")


def trainable(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def batch(size, channels=3, seed=0):
    pictures = np.random.default_rng(seed).uniform(-1, 1, (4, size, size, channels))
    return pictures.astype("float32")


def test_seed_000_has_the_published_number_of_weights():
    assert rebuilt_networks.tutorial_generator().count_params() == 11_680_768
    assert rebuilt_networks.tutorial_discriminator().count_params() == 262_593


def test_seed_001_begins_with_57600_numbers():
    generator = rebuilt_networks.block_generator()
    dense = generator.layers[1]
    assert dense.units == 57_600 == 15 * 15 * 256
    assert generator.output_shape == (None, 120, 120, 3)
    blocks = [type(layer).__name__ for layer in generator.layers]
    assert blocks.count("Conv2DTranspose") == 3
    assert trainable(generator) == 6_953_251


def test_seed_003_has_the_weights_of_its_code():
    """Counted by hand from the listing: kernels, two a channel for batch norm."""
    assert trainable(rebuilt_networks.sprite_generator()) == 790_400
    assert trainable(rebuilt_networks.sprite_discriminator()) == 661_377
    assert trainable(rebuilt_networks.sprite_generator(latent_dim=16)) == 692_096
    sides = [
        layer.output.shape[1]
        for layer in rebuilt_networks.sprite_discriminator().layers
        if isinstance(layer, keras.layers.Conv2D)
    ]
    assert sides == [32, 16, 8, 4]


def test_seed_004_dense_knows_every_pixel_by_itself():
    generator = rebuilt_networks.dense_generator()
    assert generator.count_params() == 31_439_920
    assert generator.layers[-3].units == 100 * 100 * 3
    assert not any(isinstance(x, keras.layers.Conv2D) for x in generator.layers)
    assert rebuilt_networks.dense_discriminator().count_params() == 15_492_097


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_give_pictures_in_range(name):
    generator = getattr(rebuilt_networks, name)(size=16, channels=3)
    latents = np.random.default_rng(0).normal(size=(3, generator.input_shape[-1]))
    pictures = keras.ops.convert_to_numpy(generator(5 * latents.astype("float32")))
    assert pictures.shape == (3, 16, 16, 3) and pictures.dtype == np.float32
    assert np.abs(pictures).max() <= 1 and np.ptp(pictures) > 0.01


@pytest.mark.parametrize("name", [*GENERATORS, "as written"])
def test_saved_generators_load_and_draw_the_same(name, tmp_path):
    if name == "as written":
        generator = rebuilt_networks.sprite_generator(
            16, statistics=rebuilt.SPRITE_STATISTICS
        )
    else:
        generator = getattr(rebuilt_networks, name)(size=16, channels=3)
    generator.save(tmp_path / "generator.keras")
    loaded = saved.load_generator(tmp_path / "generator.keras")
    latents = np.random.default_rng(0).normal(size=(2, generator.input_shape[-1]))
    latents = latents.astype("float32")
    np.testing.assert_array_equal(generator(latents), loaded(latents))


@pytest.mark.parametrize("kind", DISCRIMINATORS)
def test_discriminators_give_one_logit(kind):
    network = getattr(rebuilt_networks, f"{kind}_discriminator")(size=16, channels=3)
    assert network(batch(16)).shape == (4, 1)


@pytest.mark.parametrize(("kernel", "width", "size"), [(4, 64, 32), (5, 128, 64)])
def test_kernel_width_and_size_are_arguments(kernel, width, size):
    options = {"size": size, "width": width, "kernel": kernel}
    generator = rebuilt_networks.sprite_generator(latent_dim=16, **options)
    discriminator = rebuilt_networks.sprite_discriminator(**options)
    assert generator.output_shape == discriminator.input_shape == (None, size, size, 3)
    ups = [x for x in generator.layers if isinstance(x, keras.layers.Conv2DTranspose)]
    assert [x.kernel_size[0] for x in ups] == [4] + [kernel] * (len(ups) - 1)
    assert ups[0].filters == width and ups[-2].filters == width // 2


@pytest.mark.parametrize(
    ("name", "size"),
    [("tutorial_generator", 42), ("block_generator", 60), ("sprite_generator", 80)],
)
def test_sizes_that_do_not_fit_are_refused(name, size):
    with pytest.raises(ValueError, match=f"size must be .*{size}"):
        getattr(rebuilt_networks, name)(size=size)


def test_normalised_networks_are_those_of_the_seed():
    """The discriminator sees (x - mean) / std, and fakes exactly as tanh gives them."""
    means, deviations = (np.array(x) for x in rebuilt.SPRITE_STATISTICS)
    network = rebuilt_networks.sprite_discriminator(
        16, statistics=rebuilt.SPRITE_STATISTICS
    )
    entrance = network.layers[1]
    x = batch(16)
    seen = ((x + 1) / 2 - means) / deviations
    np.testing.assert_allclose(entrance(x), seen, atol=1e-4)

    generator = rebuilt_networks.sprite_generator(
        16, statistics=rebuilt.SPRITE_STATISTICS
    )
    inner = keras.Model(generator.input, generator.layers[-2].output)
    latents = np.random.default_rng(0).normal(size=(2, 64)).astype("float32")
    np.testing.assert_allclose(entrance(generator(latents)), inner(latents), atol=1e-5)


def test_reach_is_what_the_last_layer_leaves():
    low, high = rebuilt_networks.reach(rebuilt_networks.sprite_generator(16))
    assert (low, high) == (-1, 1)
    written = rebuilt_networks.sprite_generator(
        16, statistics=rebuilt.SPRITE_STATISTICS
    )
    low, high = rebuilt_networks.reach(written)
    means, deviations = (np.array(x) for x in rebuilt.SPRITE_STATISTICS)
    np.testing.assert_allclose(low, 2 * (means - deviations) - 1, atol=1e-6)
    np.testing.assert_allclose(high, 2 * (means + deviations) - 1, atol=1e-6)
    latents = 50 * np.random.default_rng(0).normal(size=(8, 64)).astype("float32")
    pictures = keras.ops.convert_to_numpy(written(latents))
    assert (pictures >= low - 1e-5).all() and (pictures <= high + 1e-5).all()


def test_keras_own_batch_norm_computes_the_same():
    network = rebuilt_networks.sprite_discriminator(16, width=8)
    copy = rebuilt_networks.unfused(network)
    kinds = [type(layer) for layer in copy.layers]
    assert layers.FusedBatchNorm not in kinds
    assert kinds.count(keras.layers.BatchNormalization) == 2
    for training in (False, True):
        ours, theirs = (x(batch(16), training=training) for x in (network, copy))
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
