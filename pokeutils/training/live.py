"""A picture in a notebook that changes while a network trains."""

import math
import time

import keras
from IPython.display import DisplayHandle

from pokeutils import sampling
from pokeutils.common import plots
from pokeutils.training.callbacks import calibrated


class Live(keras.callbacks.Callback):
    """Shows what the averaged generator draws, every `every` seconds, in one place.
    draw: generator -> picture, uint8 RGB; by default, its first 16 creatures."""

    def __init__(self, draw=None, every=10.0):
        super().__init__()
        self.draw, self.every = draw or first_creatures, every
        self.place, self.shown = DisplayHandle(), -math.inf

    def on_train_batch_begin(self, batch, logs=None):
        if time.monotonic() - self.shown >= self.every:
            self.show()

    def on_train_end(self, logs=None):
        self.show()

    def show(self):
        with calibrated(self.model) as generator:
            first = self.shown == -math.inf
            display = self.place.display if first else self.place.update
            plots.show(self.draw(generator), display=display)
        self.shown = time.monotonic()


def first_creatures(generator, count=16, columns=8):
    """A sheet of the first creatures of a generator, about 800 pixels wide."""
    pictures = sampling.sample(generator, count)
    return plots.tile(pictures, columns, scale=max(1, 96 // pictures.shape[1]))
