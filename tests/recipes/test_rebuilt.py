"""The seeds' networks: sizes that are known, shapes, ranges, what they can reach."""

import keras
import numpy as np
import pytest
from tiny import arrays

from pokeutils.common import saved
from pokeutils.recipes import rebuilt, rebuilt_networks

GENERATORS = [f"{kind}_generator" for kind in ("tutorial", "block", "sprite", "dense")]


def as_written(kind):
    build = getattr(rebuilt_networks, f"sprite_{kind}")
    return build(16, statistics=rebuilt.SPRITE_STATISTICS)


def test_seed_003_halves_its_maps_as_its_code_does():
    layers = rebuilt_networks.sprite_discriminator().layers
    kernels = [one for one in layers if isinstance(one, keras.layers.Conv2D)]
    sides = [layer.output.shape[1] for layer in kernels]
    assert sides == [32, 16, 8, 4]


@pytest.mark.parametrize("name", [*GENERATORS, "as written"])
def test_saved_generators_load_and_draw_the_same(name, tmp_path):
    build = getattr(rebuilt_networks, name, None)
    generator = build(size=16, channels=3) if build else as_written("generator")
    generator.save(tmp_path / "generator.keras")
    loaded = saved.load_generator(tmp_path / "generator.keras")
    latents = np.random.default_rng(0).normal(size=(2, generator.input_shape[-1]))
    latents = latents.astype("float32")
    np.testing.assert_array_equal(generator(latents), loaded(latents))


def test_normalised_networks_are_those_of_the_seed():
    """The discriminator sees (x - mean) / std, and fakes exactly as tanh gives them."""
    means, deviations = (np.array(x) for x in rebuilt.SPRITE_STATISTICS)
    entrance = as_written("discriminator").layers[1]
    x = np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 3)).astype("float32")
    seen = ((x + 1) / 2 - means) / deviations
    np.testing.assert_allclose(entrance(x), seen, atol=1e-4)

    generator = as_written("generator")
    inner = keras.Model(generator.input, generator.layers[-2].output)
    latents = np.random.default_rng(0).normal(size=(2, 64)).astype("float32")
    np.testing.assert_allclose(entrance(generator(latents)), inner(latents), atol=1e-5)


def test_reach_is_what_the_last_layer_leaves():
    low, high = rebuilt_networks.reach(rebuilt_networks.sprite_generator(16))
    assert (low, high) == (-1, 1)
    written = as_written("generator")
    low, high = rebuilt_networks.reach(written)
    means, deviations = (np.array(x) for x in rebuilt.SPRITE_STATISTICS)
    np.testing.assert_allclose(low, 2 * (means - deviations) - 1, atol=1e-6)
    np.testing.assert_allclose(high, 2 * (means + deviations) - 1, atol=1e-6)
    latents = 50 * np.random.default_rng(0).normal(size=(8, 64)).astype("float32")
    pictures = keras.ops.convert_to_numpy(written(latents))
    assert (pictures >= low - 1e-5).all() and (pictures <= high + 1e-5).all()


REAL = np.array([[2.0], [-1.0], [0.5]], "float32")
FAKE = np.array([[-3.0], [0.2], [1.0]], "float32")


def probability(logits):
    return 1 / (1 + np.exp(-logits.astype("float64")))


def cross_entropy(logits, targets):
    p = probability(logits)
    return -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean()


@pytest.mark.parametrize(
    ("name", "real", "fake", "fool"),
    [("real_0.9", 0.9, 0.0, 1.0), ("inverted_0.2", 0.2, 1.0, 0.0)],
)
def test_smoothed_labels_are_cross_entropy_with_their_targets(name, real, fake, fool):
    discriminator, generator = rebuilt.LOSSES[name]
    expected = cross_entropy(REAL, real) + cross_entropy(FAKE, fake)
    np.testing.assert_allclose(discriminator(REAL, FAKE), expected, rtol=1e-6)
    np.testing.assert_allclose(generator(FAKE), cross_entropy(FAKE, fool), rtol=1e-6)
    assert discriminator.inverted == (real < fake) and not discriminator.random


def test_noisy_labels_are_drawn_for_every_picture():
    discriminator, _ = rebuilt.LOSSES["inverted_noisy"]
    assert discriminator.random and discriminator.inverted
    draws = np.array([[0.0, 1.0], [0.5, 0.25], [1.0, 0.0]], "float32")
    real, fake = 0.1 * draws[:, :1], 0.9 + 0.1 * draws[:, 1:]
    expected = cross_entropy(REAL, real) + cross_entropy(FAKE, fake)
    np.testing.assert_allclose(discriminator(REAL, FAKE, draws), expected, rtol=1e-6)
    middle = cross_entropy(REAL, 0.05) + cross_entropy(FAKE, 0.95)
    np.testing.assert_allclose(discriminator(REAL, FAKE), middle, rtol=1e-6)


def moved(before, network):
    pairs = zip(before, arrays(network.trainable_variables), strict=True)
    return [not np.array_equal(b, a) for b, a in pairs]


@pytest.fixture
def real():
    return np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 4)).astype("float32")


def build_sprites(loss="inverted_noisy", dtype=None, **options):
    """Batch norm in the discriminator and inverted labels, as projects 002 and 003."""
    keras.utils.set_random_seed(0)
    model = rebuilt.RebuiltGAN(
        rebuilt_networks.sprite_generator(16, channels=4, latent_dim=8, width=16),
        rebuilt_networks.sprite_discriminator(16, channels=4, width=16),
        **options,
    )
    model.compile(
        keras.optimizers.Adam(1e-3, 0.5),
        keras.optimizers.Adam(1e-3, 0.5),
        rebuilt.LOSSES[loss],
    )
    return model


def certainty(model, real, draws):
    """Mean probability of being fakes that the discriminator gives the fakes."""
    fake = model.generator(draws["latents"], training=True)
    model.discriminator(real, training=True)
    logits = model.discriminator(fake, training=True)  # positive: judged fake
    return float(np.mean(1 / (1 + np.exp(-keras.ops.convert_to_numpy(logits)))))


def test_a_closed_gate_leaves_the_discriminator_and_its_optimiser_alone(real):
    model = build_sprites(gate=0.0)
    for _ in range(2):
        both = model.generator, model.discriminator
        networks = [arrays(network.trainable_variables) for network in both]
        memory = arrays(model.d_optimizer.variables)
        logs = model.update(real, model.draw(8))
        assert float(logs["gated"]) == 1
        assert all(moved(networks[0], model.generator))
        assert not any(moved(networks[1], model.discriminator))
        after = arrays(model.d_optimizer.variables)
        assert all(np.array_equal(b, a) for b, a in zip(memory, after, strict=True))
    assert int(model.d_optimizer.iterations) == 0
    assert int(model.g_optimizer.iterations) == 2


def test_the_gate_closes_at_its_probability(real):
    twin = build_sprites()
    limit = certainty(twin, real, twin.draw(8))
    for gate, closed in ((limit - 1e-4, True), (limit + 1e-4, False)):
        model = build_sprites(gate=gate)
        before = arrays(model.discriminator.trainable_variables)
        logs = model.update(real, model.draw(8))
        assert bool(logs["gated"]) == closed
        assert any(moved(before, model.discriminator)) != closed


def test_the_gate_works_inside_the_compiled_step_and_is_logged(real):
    import tensorflow as tf

    model = build_sprites(gate=0.5)
    batches = tf.data.Dataset.from_tensors(real).repeat()
    history = model.fit(batches, steps_per_epoch=4, epochs=6, verbose=0).history
    gated = np.array(history["gated"])
    assert 0 < gated.mean() < 1 and gated.min() == 0
    skipped = round(4 * gated.sum())
    assert int(model.d_optimizer.iterations) == 24 - skipped
    assert int(model.g_optimizer.iterations) == 24


def test_inverted_labels_count_as_right_what_is_right(real):
    model, twin = build_sprites(), build_sprites()
    draws = model.draw(8)
    logs = model.update(real, draws)
    fake = twin.generator(draws["latents"], training=True)
    judged_real, judged_fake = (
        keras.ops.convert_to_numpy(twin.discriminator(x, training=True))
        for x in (real, fake)
    )
    np.testing.assert_allclose(logs["d_real"], np.mean(judged_real < 0))
    np.testing.assert_allclose(logs["d_fake"], np.mean(judged_fake > 0))
    expected = twin.discriminator_loss(judged_real, judged_fake, draws["targets"])
    np.testing.assert_allclose(logs["d_loss"], expected, rtol=1e-5)


def test_two_phases_teach_the_generator_with_new_fakes(real):
    model = build_sprites(two_phase=True)
    draws = model.draw(8)
    twin = build_sprites(two_phase=True)
    logs = model.update(real, draws)
    assert not np.array_equal(draws["latents"], draws["new latents"])
    new = twin.generator(draws["new latents"], training=True)
    fooled = model.generator_loss(model.discriminator(new, training=True))
    np.testing.assert_allclose(logs["g_loss"], fooled, rtol=1e-4)
    assert "new latents" not in build_sprites().draw(8)
