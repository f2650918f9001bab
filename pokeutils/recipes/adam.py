"""Adam (Kingma and Ba 2015), faster on TensorFlow, and how its rate falls."""

import math

import keras

from pokeutils.common import distribution


class Adam(keras.optimizers.Adam):
    """Keras' own, with the same numbers up to rounding. On TensorFlow, the update of
    each weight is one operation, which reads and writes everything once, instead of a
    dozen."""

    def update_step(self, gradient, variable, learning_rate):
        if keras.backend.backend() != "tensorflow" or distribution.replicas() > 1:
            return super().update_step(gradient, variable, learning_rate)
        import tensorflow as tf

        index = self._get_variable_index(variable)
        if isinstance(variable, keras.Variable):  # or what it keeps, under a strategy
            variable = variable.value
        step = keras.ops.cast(self.iterations + 1, "float32")
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=keras.ops.power(self.beta_1, step),
            beta2_power=keras.ops.power(self.beta_2, step),
            lr=keras.ops.cast(learning_rate, "float32"),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=keras.ops.cast(gradient, "float32"),
        )


class CosineTail(keras.optimizers.schedules.LearningRateSchedule):
    """Constant, then over the last `share` of `steps` a cosine down to a tenth."""

    def __init__(self, rate, steps, share):
        self.rate, self.steps, self.share = rate, steps, share

    def __call__(self, step):
        tail = self.steps * self.share
        position = (keras.ops.cast(step, "float32") - (self.steps - tail)) / tail
        position = keras.ops.clip(position, 0.0, 1.0)
        cosine = 0.5 * (1.0 + keras.ops.cos(math.pi * position))
        return self.rate * (0.1 + 0.9 * cosine)
