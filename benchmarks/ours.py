"""This project's step as a contestant: the recipe as it is, trained by `GAN.fit`."""

import dataclasses

import keras

from benchmarks import cases
from pokeutils import augment, gan, layers
from pokeutils.data import dataset
from pokeutils.recipes import adam

PLANNED = 20_000  # steps; no measurement is longer


KERAS = {  # what Keras does otherwise: object, attribute, what to put there
    "Adam": (adam.Adam, "update_step", keras.optimizers.Adam.update_step),
    "LeakyReLU": (layers.LeakyReLU, "call", keras.layers.LeakyReLU.call),
    "Dropout": (layers.Dropout, "call", keras.layers.Dropout.call),
    "UpSampling2D": (layers.UpSampling2D, "call", keras.layers.UpSampling2D.call),
    "recolouring": (augment, "_recolour", augment._recolour.__wrapped__),
    "threads": (gan, "two_operations_at_a_time", lambda: None),
}


class Ours:
    """fused: False for Keras' own batch norm in the same step. compiler: True for XLA.
    plain: what else is done as Keras does it in this process, of `KERAS`; dtype: of the
    step; None: the fastest.

    fresh_fakes: False: the generator's update is computed from the same fakes as the
        discriminator's, which saves a forward pass; None: what the recipe does.
    """

    def __init__(
        self,
        case,
        pictures,
        fused=True,
        compiler=False,
        fresh_fakes=None,
        plain=(),
        dtype=None,
        seed=0,
    ):
        for change in plain:
            setattr(*KERAS[change])
        recipe = dataclasses.replace(cases.recipe(case), fused_norm=fused)
        if fresh_fakes is not None:
            recipe = dataclasses.replace(recipe, two_phase=fresh_fakes)
        self.model = recipe.build(seed, dtype=dtype)
        self.model.jit_compile = compiler
        self.batches = dataset.batches(
            pictures,
            recipe.batch,
            PLANNED,
            seed,
            mirror=recipe.mirror,
            reshuffle=recipe.reshuffle,
        )

    def train(self, steps):
        self.model.fit(self.batches, steps_per_epoch=steps, epochs=1)

    def weights(self):
        """The trainable weights of generator and discriminator, as NumPy arrays."""
        return [
            [weight.numpy() for weight in network.trainable_variables]
            for network in (self.model.generator, self.model.discriminator)
        ]
