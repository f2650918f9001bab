"""This project's step as a contestant: the recipe as it is, trained by `GAN.fit`."""

import dataclasses

from benchmarks import cases
from pokeutils import dataset

PLANNED = 20_000  # steps; no measurement is longer


class Ours:
    """fused: False for Keras' own batch norm in the same step.

    dtype: a Keras policy; None for the one that the recipe would choose here.
    """

    def __init__(self, case, pictures, fused=True, dtype=None):
        recipe = dataclasses.replace(cases.recipe(case), fused_norm=fused)
        self.model = recipe.build(seed=0, dtype=dtype)
        self.batches = dataset.batches(
            pictures,
            recipe.batch,
            PLANNED,
            seed=0,
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
