"""A recipe that trains in seconds, with all that has a state: shuffling, mirroring,
augmentation, penalty, averaging, decay."""

import contextlib
import math
import warnings

import keras
import numpy as np

from pokeutils.recipes.recipe import Recipe
from pokeutils.training import callbacks

# `minutes=1e-9` means one epoch in the tests, however slow the machine.
callbacks.TimeLimit.GRACE = math.inf

TINY = Recipe(
    name="tiny8",
    size=8,
    images=2 * 14 * 16,
    batch=16,
    generator_options=(("latent_dim", 4), ("widths", (4,)), ("detail", 4)),
    discriminator_options=(("widths", (4,)),),
    augment=(("translation", 0.1),),
    r1_gamma=0.1,
    ema_images=200,
    decay=0.5,
)
SILENT = {"show": lambda *words, **options: None}


@contextlib.contextmanager
def eagerly():
    """Takes steps one operation at a time: a few small ones take less time than their
    compilation. For tests of what is done with the steps, not of the graph."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Even though the", UserWarning)
            yield
    finally:
        tf.config.run_functions_eagerly(False)


def arrays(variables):
    """The numbers in Keras variables, copied."""
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]
