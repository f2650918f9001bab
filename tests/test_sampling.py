"""Latents and walks."""

import numpy as np
import pytest

from pokeutils import sampling


def test_draws_are_fixed_and_nested():
    a = sampling.draw(8, 5, seed=3)
    np.testing.assert_array_equal(a[:4], sampling.draw(4, 5, seed=3))
    assert not np.allclose(a, sampling.draw(8, 5, seed=4))
    assert a.dtype == np.float32 and abs(sampling.draw(1000, 50).std() - 1) < 0.01


def test_what_cannot_be_drawn_is_refused_in_a_sentence():
    keras = pytest.importorskip("keras")
    inputs = keras.Input((4,))
    generator = keras.Model(inputs, keras.layers.Reshape((1, 1, 4))(inputs))
    bad = np.full((2, 4), np.nan, "float32"), np.full((2, 4), np.inf, "float32")
    for draw, words in (
        (lambda: sampling.sample(generator, 0), "count=0; expected a whole number"),
        (lambda: sampling.sample(generator, -3), "count=-3"),
        (lambda: sampling.sample(generator, 2.5), "count=2.5"),
        (lambda: sampling.paint(generator, bad[0][:0]), "latents=0"),
        (lambda: sampling.paint(generator, bad[0]), "latents are NaN or infinite"),
        (lambda: sampling.paint(generator, bad[1]), "latents are NaN or infinite"),
        (lambda: sampling.walk(sampling.draw(2, 4), 0), "steps=0"),
    ):
        with pytest.raises(ValueError, match=words):
            draw()
    scaled = keras.layers.Rescaling(np.nan)(inputs)  # as damaged weights would
    damaged = keras.Model(inputs, keras.layers.Reshape((1, 1, 4))(scaled))
    with pytest.raises(ValueError, match="NaN: the weights that drew it are damaged"):
        sampling.sample(damaged, 2)


def test_slerp_meets_its_ends_and_keeps_the_length():
    start, end = sampling.draw(2, 64)
    np.testing.assert_allclose(sampling.slerp(start, end, 0.0), start, atol=1e-5)
    np.testing.assert_allclose(sampling.slerp(start, end, 1.0), end, atol=1e-5)
    half = np.linalg.norm(sampling.slerp(start, end, 0.5))
    mean = (np.linalg.norm(start) + np.linalg.norm(end)) / 2
    assert abs(half / mean - 1) < 0.05  # a straight line would lose 30 %


def test_slerp_between_equal_vectors_is_that_vector():
    z = sampling.draw(1, 16)[0]
    np.testing.assert_allclose(sampling.slerp(z, z, 0.3), z, atol=1e-5)


def test_a_walk_passes_its_stations_and_closes():
    stations = sampling.draw(3, 16)
    closed = sampling.walk(stations, 10)
    assert closed.shape == (30, 16)
    np.testing.assert_allclose(closed[::10], stations, atol=1e-5)
    steps = np.linalg.norm(np.diff(np.vstack([closed, closed[:1]]), axis=0), axis=1)
    assert steps.max() < 2 * steps.min()  # no jump, at the seam neither
    straight = sampling.walk(stations, 10, closed=False)
    assert straight.shape == (21, 16)
    np.testing.assert_allclose(straight[-1], stations[-1], atol=1e-5)
    with pytest.raises(ValueError, match="n >= 2"):
        sampling.walk(stations[:1], 10)


def test_a_planted_direction_is_found_and_none_is_not():
    z, random = sampling.draw(600, 32), np.random.default_rng(0)
    planted = random.normal(size=32)
    planted /= np.linalg.norm(planted)
    values = z @ planted + 0.5 * random.normal(size=600)
    values[:3] = np.nan
    found, explained = sampling.direction(z, values)
    assert found @ planted > 0.97 and 0.7 < explained < 0.85  # 0.8 of the variance
    nothing, explained = sampling.direction(z, random.normal(size=600))
    assert explained < 0.05 and np.linalg.norm(nothing) == pytest.approx(1, abs=1e-5)
    with pytest.raises(ValueError, match="3 values are too few"):
        sampling.direction(z[:3], values[-3:])

    moved = sampling.along(z[:5], found, [-0.5, 0, 0.5])
    assert moved.shape == (5, 3, 32)
    np.testing.assert_allclose(moved[:, 1], z[:5], atol=1e-5)
    lengths = np.linalg.norm(moved, axis=-1)
    np.testing.assert_allclose(lengths, lengths[:, :1].repeat(3, 1), rtol=1e-5)
    assert (np.diff(moved @ planted, axis=1) > 0).all()


@pytest.mark.parametrize("side, most", [(16, 64), (64, 64), (96, 16), (256, 4)])
def test_of_larger_pictures_fewer_are_painted_at_a_time(side, most):
    asked = []

    def generator(latents, training):
        asked.append(len(latents))
        return np.zeros((len(latents), 1, 1, 4), "float32")

    generator.output_shape = (None, side, side, 4)
    assert len(sampling.paint(generator, np.zeros((130, 2), "float32"))) == 130
    assert max(asked) == most
