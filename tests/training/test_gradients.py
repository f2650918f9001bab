"""Gradients against finite differences and closed forms."""

import keras
import numpy as np
from keras import ops

from pokeutils.common import gradients


def test_value_and_gradients():
    weight = keras.Variable(np.array([1.0, 2.0], "float32"))
    value, extras, (slope,) = gradients.value_and_gradients(
        lambda: (ops.sum(weight * weight * 3.0), "extra"), [weight], [weight]
    )
    assert float(value) == 15.0 and extras == "extra"
    np.testing.assert_allclose(slope, [6.0, 12.0])


def test_input_gradient_can_be_differentiated_again():
    weight = keras.Variable(np.array(3.0, "float32"))
    x = ops.convert_to_tensor(np.array([2.0], "float32"))

    def squared_slope():
        _, _, slope = gradients.value_and_input_gradient(
            lambda x: (ops.sum(weight * x * x), None), x, [weight]
        )  # 2 w x = 12
        return ops.sum(slope * slope), None

    value, _, (second,) = gradients.value_and_gradients(
        squared_slope, [weight], [weight]
    )
    assert float(value) == 144.0
    assert float(second) == 8 * 3.0 * 2.0**2  # d/dw of 4 w^2 x^2


def test_pullback_is_the_chain_rule():
    weight = keras.Variable(np.array([1.0, 2.0], "float32"))
    output, pullback = gradients.output_and_pullback(
        lambda: weight * weight, [weight], [weight]
    )
    np.testing.assert_allclose(output, [1.0, 4.0])
    (slope,) = pullback(ops.convert_to_tensor(np.array([1.0, 10.0], "float32")))
    np.testing.assert_allclose(slope, [2.0, 40.0])
