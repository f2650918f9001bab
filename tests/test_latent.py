"""Latents and walks."""

import numpy as np

from pokeutils import latent


def test_draws_are_fixed_and_nested():
    a = latent.draw(8, 5, seed=3)
    np.testing.assert_array_equal(a[:4], latent.draw(4, 5, seed=3))
    assert not np.allclose(a, latent.draw(8, 5, seed=4))
    assert a.dtype == np.float32 and abs(latent.draw(1000, 50).std() - 1) < 0.01


def test_slerp_meets_its_ends_and_keeps_the_length():
    start, end = latent.draw(2, 64)
    np.testing.assert_allclose(latent.slerp(start, end, 0.0), start, atol=1e-5)
    np.testing.assert_allclose(latent.slerp(start, end, 1.0), end, atol=1e-5)
    half = np.linalg.norm(latent.slerp(start, end, 0.5))
    mean = (np.linalg.norm(start) + np.linalg.norm(end)) / 2
    assert abs(half / mean - 1) < 0.05  # a straight line would lose 30 %


def test_slerp_between_equal_vectors_is_that_vector():
    z = latent.draw(1, 16)[0]
    np.testing.assert_allclose(latent.slerp(z, z, 0.3), z, atol=1e-5)
