"""Adam (Kingma and Ba 2015), faster on TensorFlow."""

import keras
import tensorflow as tf


class Adam(keras.optimizers.Adam):
    """Keras' own, with the same numbers up to rounding. The update of a weight is one
    operation, which reads and writes everything once, instead of a dozen."""

    def update_step(self, gradient, variable, learning_rate):
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
