"""DiffAugment: identity at zero, right fill, gradients, the same on every call."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from pokeutils import augment

NOTHING = dict(brightness=0, saturation=0, contrast=0, translation=0)
RARE = dict(NOTHING, rotation=90, scale=2.0, aspect=2.0, permute=1.0)


@pytest.fixture
def creatures():
    """(6, 16, 16, 4) in [-1, 1]: a coloured square each on transparent ground."""
    rng = np.random.default_rng(0)
    pictures = np.zeros((6, 16, 16, 4), "float32")
    pictures[:, 5:11, 5:11, :3] = rng.random((6, 6, 6, 3))
    pictures[:, 5:11, 5:11, 3] = 1
    return pictures * 2 - 1


def numbers(count, seed=0, columns=6):
    random = np.random.default_rng(seed)
    return random.uniform(-1, 1, (count, columns)).astype("float32")


def test_draws_of_zero_are_the_identity(creatures):
    changes = augment.DiffAugment(rotation=9, scale=1.2, aspect=1.2, permute=0.5)
    changed = changes(creatures, np.zeros((6, 9), "float32"))
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


def rare(creatures, **columns):
    """The creatures changed by rare changes alone, as far as these draws say."""
    draws = np.zeros((6, 9), "float32")
    for name, column in columns.items():
        draws[:, ["scale", "aspect", "rotation", "permute"].index(name) + 5] = column
    return ops.convert_to_numpy(augment.DiffAugment(**RARE)(creatures, draws))


def test_a_quarter_turn_moves_every_pixel_to_its_place(creatures):
    creatures[:, 2, 3] = 1.0  # or a square would look the same
    turned = rare(creatures, rotation=1.0)
    np.testing.assert_allclose(turned, np.rot90(creatures, -1, (1, 2)), atol=1e-6)


@pytest.mark.parametrize("columns, tall, wide", [
    ({"scale": 1.0}, 12, 12), ({"scale": -1.0}, 3, 3),
    ({"aspect": 1.0}, 8.5, 4.2), ({"aspect": -1.0}, 4.2, 8.5),
])  # fmt: skip
def test_stretching_repeats_or_leaves_out_pixels(creatures, columns, tall, wide):
    changed = rare(creatures, **columns)
    assert np.isin(changed[..., 0], creatures[..., 0]).all()
    solid = changed[0, ..., 3] > 0
    sides = solid.any(axis=1).sum(), solid.any(axis=0).sum()
    np.testing.assert_allclose(sides, (tall, wide), atol=1)


def test_colours_change_places_and_alpha_stays(creatures):
    draw = np.array([0, -0.99, -0.5, 0.01, 0.5, 1], "float32")
    changed = rare(creatures, permute=draw)
    orders = {
        tuple(
            int(np.abs(old - new[..., i, None]).mean((0, 1)).argmin()) for i in range(3)
        )
        for old, new in zip(creatures[..., :3], changed, strict=True)
    }
    assert len(orders) == 6
    np.testing.assert_allclose(changed[0], creatures[0], atol=1e-6)
    np.testing.assert_allclose(changed[..., 3], creatures[..., 3], atol=1e-6)
    kept = [np.sort(x[..., :3], axis=-1) for x in (changed, creatures)]
    np.testing.assert_allclose(*kept, atol=1e-6)


def test_strength_is_the_share_of_pictures_with_a_rare_change():
    changes, seed = augment.DiffAugment(**RARE), keras.random.SeedGenerator(0)
    for strength in (0.0, 0.3, 1.0):
        changes.strength = strength
        happens = ops.convert_to_numpy(changes.draw(1000, seed))[:, 5:] != 0
        np.testing.assert_allclose(happens.mean(axis=0), strength, atol=0.05)


def test_the_gradient_flows_back_to_the_pictures(creatures):
    changes = augment.DiffAugment(rotation=9, scale=1.1, permute=0.5)
    pictures = tf.constant(creatures)
    with tf.GradientTape() as tape:
        tape.watch(pictures)
        size = ops.mean(changes(pictures, numbers(6, columns=9)) ** 2)
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
