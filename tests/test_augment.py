"""DiffAugment: identity at zero, right fill, gradients, the same on every call."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from pokeutils import augment

NOTHING = dict(brightness=0, saturation=0, contrast=0, translation=0, zoom=0)


@pytest.fixture
def creatures():
    """(6, 16, 16, 4) in [-1, 1]: a coloured square each on transparent ground."""
    rng = np.random.default_rng(0)
    pictures = np.zeros((6, 16, 16, 4), "float32")
    pictures[:, 5:11, 5:11, :3] = rng.random((6, 6, 6, 3))
    pictures[:, 5:11, 5:11, 3] = 1
    return pictures * 2 - 1


def numbers(count, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, 6)).astype("float32")


def test_all_zero_is_the_identity(creatures):
    changed = augment.DiffAugment(**NOTHING)(creatures, numbers(6))
    np.testing.assert_allclose(changed, creatures, atol=1e-6)


def test_draws_of_zero_are_the_identity(creatures):
    changed = augment.DiffAugment(zoom=0.2)(creatures, np.zeros((6, 6), "float32"))
    np.testing.assert_allclose(changed, creatures, atol=1e-5)


def test_what_is_empty_stays_empty(creatures):
    still = augment.DiffAugment(0.5, 1.0, 0.9, translation=0)
    changed = ops.convert_to_numpy(still(creatures, numbers(6)))
    empty = creatures[..., 3] == -1
    np.testing.assert_allclose(changed[empty], -1, atol=1e-5)
    assert np.abs(changed - creatures)[~empty].mean() > 0.05


def test_translation_moves_and_fills_with_nothing(creatures):
    draws = np.zeros((6, 6), "float32")
    draws[:, 3], draws[:, 4] = 1.0, -0.5  # 4 px down, 2 px to the left
    shift = augment.DiffAugment(**{**NOTHING, "translation": 0.25})
    expected = np.full_like(creatures, -1)
    expected[:, 4:, :-2] = creatures[:, :-4, 2:]
    np.testing.assert_allclose(shift(creatures, draws), expected, atol=1e-6)


def test_rgb_is_filled_with_its_background():
    draws = np.zeros((6, 6), "float32")
    draws[:, 3] = 1.0
    white = augment.DiffAugment(**{**NOTHING, "translation": 0.25}, background=1.0)
    changed = ops.convert_to_numpy(white(np.zeros((6, 16, 16, 3), "float32"), draws))
    assert (changed[:, :4] == 1).all() and (changed[:, 4:] == 0).all()


def test_zoom_enlarges_about_the_middle(creatures):
    draws = np.zeros((6, 6), "float32")
    draws[:, 5] = 1.0
    zoom = augment.DiffAugment(**{**NOTHING, "zoom": 0.5})
    area = (ops.convert_to_numpy(zoom(creatures, draws))[..., 3] > 0).sum((1, 2))
    assert (area > 1.6 * 36).all() and (area < 2.7 * 36).all()


def test_the_gradient_flows_back_to_the_pictures(creatures):
    changes = augment.DiffAugment(zoom=0.1)
    pictures = tf.constant(creatures)
    with tf.GradientTape() as tape:
        tape.watch(pictures)
        size = ops.mean(changes(pictures, numbers(6)) ** 2)
    gradient = ops.convert_to_numpy(tape.gradient(size, pictures))
    assert np.isfinite(gradient).all()
    assert (np.abs(gradient).sum((1, 2, 3)) > 0).all()


def test_brightness_means_the_same_with_and_without_transparency(creatures):
    """Half of the full range for an opaque grey, as RGBA and as RGB."""
    changes = augment.DiffAugment(**{**NOTHING, "brightness": 0.5})
    draws = np.zeros((1, 6), "float32")
    draws[:, 0] = 0.5
    for grey in ([-0.5, -0.5, -0.5, 1.0], [-0.5, -0.5, -0.5]):
        picture = np.broadcast_to(np.float32(grey), (1, 4, 4, len(grey)))
        changed = ops.convert_to_numpy(changes(picture, draws))
        np.testing.assert_allclose(changed[..., :3], 0.0, atol=1e-6)
