"""The train step: what moves, what does not, averaging, penalty, determinism."""

import keras
import numpy as np
import pytest

from pokeutils import augment, gan, latent, losses, models


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
    return [keras.ops.convert_to_numpy(v) for v in network.trainable_variables]


def moved(before, network):
    return [
        not np.array_equal(b, a) for b, a in zip(before, weights(network), strict=True)
    ]


def test_a_step_moves_every_weight_of_both_networks(real):
    model = build()
    generator, discriminator = weights(model.generator), weights(model.discriminator)
    logs = model.update(real, model.draw(8))
    assert all(moved(generator, model.generator))
    assert all(moved(discriminator, model.discriminator))
    assert (
        set(logs) == set(gan.LOGS)
        and np.isfinite([float(x) for x in logs.values()]).all()
    )


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
    model = build(r1_gamma=10.0, augment=augment.Identity())
    network, step = model.discriminator, 1e-2
    logs = model.update(real, model.draw(8))
    model = build(r1_gamma=10.0, augment=augment.Identity())  # weights before the step
    network = model.discriminator
    # Finite differences along random directions: E[(slope . v)^2] = |slope|^2.
    rng = np.random.default_rng(1)
    squares = []
    for _ in range(400):
        v = rng.normal(size=real.shape).astype("float32")
        up, down = network(real + step * v), network(real - step * v)
        squares.append((keras.ops.convert_to_numpy(up - down).sum() / (2 * step)) ** 2)
    expected = 0.5 * 10.0 * np.mean(squares) / len(real)
    assert 0.8 < float(logs["r1"]) / expected < 1.25


def test_r1_refuses_a_discriminator_with_batch_norm():
    from pokeutils.layers import FusedBatchNorm

    network = keras.Sequential([keras.Input((4, 4, 4)), FusedBatchNorm()])
    with pytest.raises(ValueError, match="without batch norm"):
        gan.GAN(models.pyramid_generator(16, widths=(8, 8)), network, r1_gamma=1.0)


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
    model.recalibrate(256)
    latents = latent.draw(256, model.latent_dim)
    norm = model.averaged.layers[4]
    inputs = keras.Model(model.averaged.input, norm.input)(latents)
    np.testing.assert_allclose(
        norm.moving_mean, np.mean(inputs, axis=(0, 1, 2)), atol=1e-4
    )
    assert norm.momentum == 0.9


def test_same_seed_same_weights_after_20_steps(real):
    def train():
        import tensorflow as tf

        model = build(seed=5, r1_gamma=0.1, ema_images=100)
        model.fit(tf.data.Dataset.from_tensors(real).repeat(), 10, 2)
        return [keras.ops.convert_to_numpy(v) for v in model.state]

    first, second = train(), train()
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_fit_logs_the_mean_of_an_epoch(real):
    import tensorflow as tf

    model = build()
    history = model.fit(tf.data.Dataset.from_tensors(real).repeat(), 3, 2).history
    assert set(history) == set(gan.LOGS) and len(history["d_loss"]) == 2
    assert int(model.steps) == 6


def test_samples_are_fixed_valid_premultiplied_pictures():
    generator = models.pyramid_generator(16, latent_dim=8, widths=(8, 8), detail=8)
    pictures = gan.sample(generator, 10, seed=1, batch=4)
    assert pictures.shape == (10, 16, 16, 4) and pictures.dtype == np.uint8
    assert (pictures[..., :3] <= pictures[..., 3:]).all()
    np.testing.assert_array_equal(pictures[:3], gan.sample(generator, 3, seed=1))
