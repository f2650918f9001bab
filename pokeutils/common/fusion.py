"""Chains of small operations as one, on TensorFlow."""

import contextlib
import functools
import os

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
    _hear_xla_out()
    return tf.function(function, jit_compile=True, autograph=False)


@functools.cache
def _hear_xla_out():
    """XLA logs two lines, once, about the first thing that it compiles, past all log
    levels: has it do so where nobody reads, instead of in the middle of a notebook."""
    import tensorflow as tf

    with tf.init_scope(), contextlib.suppress(OSError):  # no standard error to hide
        kept = os.dup(2)
        try:
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            tf.function(lambda x: x + x, jit_compile=True)(tf.constant(1.0))
        finally:
            os.dup2(kept, 2)
            os.close(kept)
