"""Layers: each against a plain, slow reference."""

import keras
import numpy as np
import pytest
from keras import ops

from pokeutils import layers


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(8, 5, 5, 6), (8, 6)])
def test_fused_batch_norm_agrees_with_keras(rng, shape):
    x = rng.normal(2.0, 3.0, shape).astype("float32")
    ours = layers.FusedBatchNorm(momentum=0.9, epsilon=1e-3)
    theirs = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3)
    np.testing.assert_allclose(
        ours(x, training=True), theirs(x, training=True), atol=1e-5
    )
    np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, rtol=1e-5)
    # Keras keeps the biased variance, the fused kernel the unbiased one.
    count = np.prod(shape[:-1])
    batch = (np.array(theirs.moving_variance.value) - 0.9) * count / (count - 1) + 0.9
    np.testing.assert_allclose(ours.moving_variance, batch, rtol=1e-5)
    theirs.moving_variance.assign(ours.moving_variance)
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)


@pytest.mark.parametrize("channels", [16, 24])  # 24: by way of float32
def test_fused_batch_norm_in_bfloat16(rng, channels):
    x = rng.normal(2.0, 3.0, (8, 5, 5, channels)).astype("float32")
    exact = layers.FusedBatchNorm()
    ours = layers.FusedBatchNorm(dtype="mixed_bfloat16")
    y = ours(x, training=True)
    assert y.dtype == "bfloat16"
    np.testing.assert_allclose(
        ops.cast(y, "float32"), exact(x, training=True), atol=0.04
    )
    np.testing.assert_allclose(ours.moving_mean, exact.moving_mean, atol=2e-3)


def test_leaky_relu_in_bfloat16_has_the_gradients_of_keras(rng):
    """The first, and the second, which a gradient penalty needs."""
    import tensorflow as tf

    found = []
    for kind in (layers.LeakyReLU, keras.layers.LeakyReLU):
        layer = kind(0.2, dtype="bfloat16")
        x = tf.cast(np.random.default_rng(0).normal(size=(4, 3, 3, 5)), "bfloat16")
        above = tf.cast(np.random.default_rng(1).normal(size=x.shape), "bfloat16")
        with tf.GradientTape() as outer:
            outer.watch(above)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = layer(x)
            slope = inner.gradient(y, x, output_gradients=above)
            square = tf.reduce_sum(slope * slope)
        second = outer.gradient(square, above)
        found.append([np.array(ops.cast(v, "float32")) for v in (y, slope, second)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_upsampling_agrees_with_keras(rng, dtype):
    x = ops.cast(rng.normal(size=(2, 3, 5, 4)), dtype)
    ours = layers.UpSampling2D(interpolation="bilinear", dtype=dtype)(x)
    theirs = keras.layers.UpSampling2D(interpolation="bilinear", dtype=dtype)(x)
    assert ours.dtype == theirs.dtype == dtype
    assert np.array_equal(ops.cast(ours, "float32"), ops.cast(theirs, "float32"))


def test_fused_batch_norm_applies_its_activation(rng):
    x = rng.normal(size=(4, 3, 3, 2)).astype("float32")
    y = ops.convert_to_numpy(layers.FusedBatchNorm("relu")(x, training=True))
    assert y.min() == 0 and y.max() > 0


def test_self_modulation_scales_and_shifts_whole_channels(rng):
    layer = layers.SelfModulation()
    x = rng.normal(size=(2, 4, 4, 3)).astype("float32")
    z = rng.normal(size=(2, 5)).astype("float32")
    y = layer([x, z])
    scale = 1 + z @ ops.convert_to_numpy(layer.scale.kernel)
    shift = z @ ops.convert_to_numpy(layer.shift.kernel)
    expected = x * scale[:, None, None] + shift[:, None, None]
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_minibatch_std_dev_sees_a_collapsed_batch(rng):
    layer = layers.MinibatchStdDev(group=4)
    same = np.repeat(rng.normal(size=(1, 4, 4, 3)), 8, axis=0).astype("float32")
    varied = rng.normal(size=(8, 4, 4, 3)).astype("float32")
    assert layer(same).shape == (8, 4, 4, 4)
    np.testing.assert_allclose(layer(same)[..., 3], 0, atol=1e-3)
    groups = varied.reshape(4, 2, 4, 4, 3)
    expected = groups.std(axis=0).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(
        layer(varied)[:, 0, 0, 3], np.tile(expected, 4), rtol=1e-4
    )


def test_unit_latent_has_a_mean_square_of_one(rng):
    z = layers.UnitLatent()(rng.normal(0, 7, (3, 50)).astype("float32"))
    np.testing.assert_allclose(np.mean(np.square(z), axis=-1), 1, rtol=1e-5)


def test_layers_survive_saving(rng, tmp_path):
    inputs, latents = keras.Input((4, 4, 3)), keras.Input((5,))
    x = layers.FusedBatchNorm("relu", momentum=0.8)(inputs)
    x = layers.SelfModulation()([x, layers.UnitLatent()(latents)])
    model = keras.Model([inputs, latents], layers.MinibatchStdDev(group=2)(x))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    x = rng.normal(size=(4, 4, 4, 3)).astype("float32")
    z = rng.normal(size=(4, 5)).astype("float32")
    np.testing.assert_array_equal(model([x, z]), loaded([x, z]))
    norms = [x for x in loaded.layers if isinstance(x, layers.FusedBatchNorm)]
    assert norms[0].momentum == 0.8


def test_palette_paints_sharply_and_trains_softly(rng):
    layer = layers.Palette()
    scores = rng.normal(size=(2, 4, 4, 5)).astype("float32")
    scores[:, 0, 0] = [9, 0, 0, 0, 0]  # this pixel chooses transparency
    z = rng.normal(size=(2, 3)).astype("float32")
    sharp = ops.convert_to_numpy(layer([scores, z]))
    soft = ops.convert_to_numpy(layer([scores, z], training=True))
    assert sharp.shape == soft.shape == (2, 4, 4, 4)
    np.testing.assert_array_equal(sharp[:, 0, 0], -1)
    assert set(np.unique(sharp[..., 3])) == {-1, 1}  # nothing is half there
    for picture in sharp:
        assert len(np.unique(picture.reshape(-1, 4), axis=0)) <= 5
    assert not np.array_equal(sharp[0, 1, 1, :3], sharp[1, 1, 1, :3])
    # Mixtures of premultiplied colours are premultiplied colours.
    assert (soft[..., :3] <= soft[..., 3:] + 1e-6).all()
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer([scores * 1e3, z], training=True)), sharp, atol=1e-5
    )
