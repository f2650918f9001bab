"""Adam in one operation, against Keras' own."""

import keras
import numpy as np

from pokeutils.recipes import adam
from pokeutils.recipes.recipe import CosineTail


def test_it_does_what_keras_does_and_keeps_the_same_state():
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype("float32") for shape in ((3, 4), (5,), ())]
    found = []
    for kind in (adam.Adam, keras.optimizers.Adam):
        rate = CosineTail(0.1, 6, 0.5)  # falls within these steps
        optimizer = kind(rate, beta_1=0.5, beta_2=0.99, epsilon=1e-3)
        variables = [keras.Variable(value) for value in start]
        optimizer.build(variables)
        gradients = np.random.default_rng(1)
        for _ in range(6):
            optimizer.apply([gradients.normal(size=v.shape) for v in variables])
        found.append([*variables, *optimizer.variables])
    assert len(found[0]) == len(found[1]) > 8
    for ours, theirs in zip(*found, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert np.abs(np.array(found[0][0]) - start[0]).max() > 0.1
