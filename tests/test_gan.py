"""The train step: what moves, what does not, averaging, penalty, determinism."""

import keras
import numpy as np
import pytest
from tiny import arrays

from pokeutils import augment, gan, losses, models, sampling
from pokeutils.common import saved
from pokeutils.layers import FusedBatchNorm
from pokeutils.training import callbacks


def build(seed=0, **options):
    keras.utils.set_random_seed(seed)
    model = gan.GAN(
        models.pyramid_generator(16, latent_dim=8, widths=(16, 8), detail=8),
        models.pyramid_discriminator(16, widths=(8, 16)),
        **{"augment": augment.DiffAugment(), "seed": seed, **options},
    )
    model.compile(
        keras.optimizers.Adam(1e-3, 0.5),
        keras.optimizers.Adam(1e-3, 0.5),
        losses.get("nonsaturating"),
    )
    return model


@pytest.fixture
def real():
    return np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 4)).astype("float32")


def weights(network):
    return arrays(network.trainable_variables)


def moved(before, network):
    return [
        not np.array_equal(b, a) for b, a in zip(before, weights(network), strict=True)
    ]


def test_each_half_moves_only_its_own_network(real):
    model = build()
    model.g_optimizer.learning_rate = 0.0
    generator, discriminator = weights(model.generator), weights(model.discriminator)
    model.update(real, model.draw(8))
    assert not any(moved(generator, model.generator))
    assert all(moved(discriminator, model.discriminator))

    model = build()
    model.d_optimizer.learning_rate = 0.0
    generator, discriminator = weights(model.generator), weights(model.discriminator)
    model.update(real, model.draw(8))
    assert all(moved(generator, model.generator))
    assert not any(moved(discriminator, model.discriminator))


def test_the_step_follows_its_definition(real):
    """Losses as computed by hand from the same weights and random numbers."""
    model, twin = build(augment=augment.Identity()), build(augment=augment.Identity())
    draws = model.draw(8)
    logs = model.update(real, draws)
    fake = twin.generator(draws["latents"], training=True)
    real_logits, fake_logits = twin.discriminator(real), twin.discriminator(fake)
    expected = losses.nonsaturating_discriminator(real_logits, fake_logits)
    np.testing.assert_allclose(logs["d_loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(logs["d_real"], np.mean(np.array(real_logits) > 0))
    # The generator is judged by the discriminator after its update.
    fooled = losses.nonsaturating_generator(model.discriminator(fake))
    np.testing.assert_allclose(logs["g_loss"], fooled, rtol=1e-4)


def test_r1_is_the_squared_slope_of_the_discriminator(real):
    import tensorflow as tf

    model = build(r1_gamma=10.0, augment=augment.Identity())
    pictures = tf.constant(real)
    with tf.GradientTape() as tape:
        tape.watch(pictures)
        judged = tf.reduce_sum(model.discriminator(pictures))
    slopes = tape.gradient(judged, pictures).numpy()
    expected = 0.5 * 10.0 * (slopes**2).sum((1, 2, 3)).mean()
    logs = model.update(real, model.draw(8))
    # In one step of sixteen, sixteen times as strongly: the mean is the penalty.
    np.testing.assert_allclose(logs["r1"], model.r1_interval * expected, rtol=1e-4)
    assert float(model.update(real, model.draw(8))["r1"]) == 0


@pytest.mark.parametrize("norm", [FusedBatchNorm, keras.layers.BatchNormalization])
@pytest.mark.parametrize("nested", [False, True])
def test_r1_refuses_a_discriminator_with_batch_norm(norm, nested):
    layers = [keras.Sequential([norm()])] if nested else [norm()]
    network = keras.Sequential([keras.Input((4, 4, 4)), *layers])
    with pytest.raises(ValueError, match="without batch norm"):
        gan.GAN(models.pyramid_generator(16, widths=(8, 8)), network, r1_gamma=1.0)


def test_a_saved_generator_learns_on_and_a_frozen_one_is_refused(real, tmp_path):
    model = build(ema_images=100)
    callbacks.save_generator(model, tmp_path / "generator.keras")
    loaded = saved.load_generator(tmp_path / "generator.keras")
    assert len(loaded.trainable_variables) == len(model.generator.trainable_variables)
    warm = gan.GAN(loaded, model.discriminator)
    warm.compile(
        keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3), losses.get("hinge")
    )
    before = [np.array(v) for v in loaded.trainable_variables]
    warm.update(real, warm.draw(8))
    moved = [
        (np.array(v) != b).any()
        for v, b in zip(loaded.trainable_variables, before, strict=True)
    ]
    assert all(moved)
    with pytest.raises(ValueError, match="has no trainable weights.*trainable = True"):
        gan.GAN(model.averaged, model.discriminator)


def test_the_average_follows_its_formula(real):
    model = build(ema_images=1000)
    for a, g in zip(model.averaged.weights, model.generator.weights, strict=True):
        np.testing.assert_array_equal(a.value, g.value)
    for a in model.averaged.weights:
        a.assign(keras.ops.zeros_like(a))
    model.update(real, model.draw(8))
    half_life = min(1000, 0.05 * 8)
    keep = 0.5 ** (8 / half_life)
    new = [keras.ops.convert_to_numpy(v) for v in model.averaged.weights]
    for a, g in zip(new, model.generator.weights, strict=True):
        np.testing.assert_allclose(
            a, (1 - keep) * keras.ops.convert_to_numpy(g), atol=1e-6
        )


def test_recalibration_measures_the_averaged_weights(real):
    model = build(ema_images=1000)
    model.update(real, model.draw(8))
    sampling.recalibrate(model.averaged, 256)
    latents = sampling.draw(256, model.latent_dim)
    norm = model.averaged.layers[4]
    inputs = keras.Model(model.averaged.input, norm.input)(latents)
    np.testing.assert_allclose(
        norm.moving_mean, np.mean(inputs, axis=(0, 1, 2)), atol=1e-4
    )
    assert norm.momentum == 0.9


def test_same_seed_same_weights_after_20_steps_and_logs_are_means(real):
    """Twice 20 compiled steps, bit for bit; and the logs are means of single steps."""
    import tensorflow as tf

    model = build(seed=5, r1_gamma=0.1, ema_images=100)
    twin = build(seed=5, r1_gamma=0.1, ema_images=100)  # takes single steps
    start = arrays(model.state)
    for a, b in zip(start, arrays(twin.state), strict=True):
        np.testing.assert_array_equal(a, b)
    batches = tf.data.Dataset.from_tensors(real).repeat()
    ends = []
    for _ in range(2):
        for variable, value in zip(model.state, start, strict=True):
            variable.assign(value)
        history = model.fit(batches, steps_per_epoch=5, epochs=4, verbose=0).history
        assert int(model.steps) == 20
        ends.append((arrays(model.state), history))
    (first, logs), (second, again) = ends
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert logs == again and set(logs) == set(gan.GAN.log_names)
    assert all(len(values) == 4 for values in logs.values())

    steps = [twin.update(real, twin.draw(8)) for _ in range(5)]
    for name in ("d_loss", "g_loss", "g_norm"):
        each = [float(step[name]) for step in steps]
        np.testing.assert_allclose(logs[name][0], np.mean(each), rtol=1e-3)
        assert abs(each[-1] / np.mean(each) - 1) > 5e-3, "nor the last step's"


def test_samples_are_fixed_valid_premultiplied_pictures():
    generator = models.pyramid_generator(16, latent_dim=8, widths=(8, 8), detail=8)
    pictures = sampling.sample(generator, 10, seed=1, batch=4)
    assert pictures.shape == (10, 16, 16, 4) and pictures.dtype == np.uint8
    assert (pictures[..., :3] <= pictures[..., 3:]).all()
    np.testing.assert_array_equal(pictures[:3], sampling.sample(generator, 3, seed=1))
