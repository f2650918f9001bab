"""Chains of small operations as one, on TensorFlow."""

import functools

import keras


def fused(function):
    """Decorates a function of tensors. On TensorFlow on a CPU, XLA compiles it and its
    gradient to loops that read and write each number once, rather than once an
    operation: good for products and sums of large arrays, not for convolutions. GPUs do
    without, and on JAX the whole step is compiled anyway. Arguments that are no tensors
    are compiled in.
    """

    @functools.wraps(function)
    def run(*arguments):
        return _compiled(function)(*arguments)

    return run


@functools.cache
def _compiled(function):
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):  # where XLA needs more than TensorFlow
        return function
    return tf.function(function, jit_compile=True, autograph=False)
