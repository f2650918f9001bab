"""Losses against their closed forms in float64."""

import numpy as np
import pytest

from pokeutils import losses

REAL = np.array([[2.0], [-1.0], [0.5]], "float32")
FAKE = np.array([[-3.0], [0.2], [1.0]], "float32")


def probability(logits):
    return 1 / (1 + np.exp(-logits.astype("float64")))


def test_nonsaturating_is_binary_cross_entropy():
    discriminator, generator = losses.get("nonsaturating")
    expected = -np.log(probability(REAL)).mean() - np.log(1 - probability(FAKE)).mean()
    np.testing.assert_allclose(discriminator(REAL, FAKE), expected, rtol=1e-6)
    np.testing.assert_allclose(generator(FAKE), -np.log(probability(FAKE)).mean(), 1e-6)
    half, _ = losses.get("half_bce")
    np.testing.assert_allclose(half(REAL, FAKE), expected / 2, rtol=1e-6)


def test_hinge():
    discriminator, generator = losses.get("hinge")
    expected = np.maximum(0, 1 - REAL).mean() + np.maximum(0, 1 + FAKE).mean()
    np.testing.assert_allclose(discriminator(REAL, FAKE), expected, rtol=1e-6)
    np.testing.assert_allclose(generator(FAKE), -FAKE.mean(), rtol=1e-6)


def test_unknown_loss_names_the_known_ones():
    with pytest.raises(ValueError, match="'wgan'.*hinge.*nonsaturating"):
        losses.get("wgan")


def cross_entropy(logits, targets):
    p = probability(logits)
    return -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean()


@pytest.mark.parametrize(
    ("name", "real", "fake", "fool"),
    [("real_0.9", 0.9, 0.0, 1.0), ("inverted_0.2", 0.2, 1.0, 0.0)],
)
def test_smoothed_labels_are_cross_entropy_with_their_targets(name, real, fake, fool):
    discriminator, generator = losses.get(name)
    expected = cross_entropy(REAL, real) + cross_entropy(FAKE, fake)
    np.testing.assert_allclose(discriminator(REAL, FAKE), expected, rtol=1e-6)
    np.testing.assert_allclose(generator(FAKE), cross_entropy(FAKE, fool), rtol=1e-6)
    assert discriminator.inverted == (real < fake) and not discriminator.random


def test_noisy_labels_are_drawn_for_every_picture():
    discriminator, _ = losses.get("inverted_noisy")
    assert discriminator.random and discriminator.inverted
    draws = np.array([[0.0, 1.0], [0.5, 0.25], [1.0, 0.0]], "float32")
    real, fake = 0.1 * draws[:, :1], 0.9 + 0.1 * draws[:, 1:]
    expected = cross_entropy(REAL, real) + cross_entropy(FAKE, fake)
    np.testing.assert_allclose(discriminator(REAL, FAKE, draws), expected, rtol=1e-6)
    middle = cross_entropy(REAL, 0.05) + cross_entropy(FAKE, 0.95)
    np.testing.assert_allclose(discriminator(REAL, FAKE), middle, rtol=1e-6)


def test_inverting_labels_only_turns_the_sign_of_the_logits():
    inverted, upright = (
        losses.SmoothedDiscriminator(r, f) for r, f in [(0.2, 1), (0.8, 0)]
    )
    np.testing.assert_allclose(inverted(-REAL, -FAKE), upright(REAL, FAKE), rtol=1e-6)
    np.testing.assert_allclose(
        losses.inverted_generator(-FAKE),
        losses.nonsaturating_generator(FAKE),
        rtol=1e-6,
    )
