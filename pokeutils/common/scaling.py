"""Loss scaling for float16 (Micikevicius et al. 2018), alike on TensorFlow and JAX.

What is smaller than 6e-8 is zero in float16, and many gradients are. So losses are
multiplied by a large number before they are differentiated, and the gradients divided
by it. If it was too large, some gradients are infinite: that update is skipped, and the
number halved.
"""

import keras
from keras import ops


def needed(network):
    """Whether some layer of `network` computes in float16."""
    return any(layer.compute_dtype == "float16" for layer in network.layers)


class LossScale(keras.layers.Layer):
    """The number, and what changes it. `start`: what it is at first. `patience`: after
    so many steps without an overflow it is doubled."""

    def __init__(self, start=2.0**15, patience=2_000):
        super().__init__(dtype="float32", name="loss_scale")
        self.patience = patience
        self.factor = self.add_weight(
            (), keras.initializers.Constant(start), trainable=False, name="factor"
        )
        self.steps = self.add_weight(
            (), "zeros", dtype="int32", trainable=False, name="steps"
        )
        self.built = True

    def up(self, loss):
        """Returns a loss multiplied: what is to be differentiated."""
        return ops.cast(loss, "float32") * self.factor

    def down(self, loss, gradients):
        """Returns a loss, and its gradients in float32, as they were without `up`."""
        factor = ops.convert_to_tensor(self.factor)
        found = [g if g is None else ops.cast(g, "float32") / factor for g in gradients]
        return loss / factor, found

    def adjust(self, overflow):
        """Ends a step. overflow: a boolean scalar, that a gradient is not finite."""
        steps = ops.where(overflow, 0, self.steps + 1)
        grow = steps >= self.patience
        smaller = ops.maximum(0.5 * self.factor, 1.0)
        larger = ops.where(grow, 2.0 * self.factor, ops.copy(self.factor))
        self.factor.assign(ops.where(overflow, smaller, larger))
        self.steps.assign(ops.where(grow, 0, steps))
