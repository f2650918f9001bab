"""Losses against their closed forms in float64."""

import numpy as np

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


def test_hinge():
    discriminator, generator = losses.get("hinge")
    expected = np.maximum(0, 1 - REAL).mean() + np.maximum(0, 1 + FAKE).mean()
    np.testing.assert_allclose(discriminator(REAL, FAKE), expected, rtol=1e-6)
    np.testing.assert_allclose(generator(FAKE), -FAKE.mean(), rtol=1e-6)
