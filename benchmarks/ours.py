"""This project's step as a contestant: the recipe as it is, trained by `GAN.fit`."""

import dataclasses

from benchmarks import cases
from pokeutils import dataset

PLANNED = 20_000  # steps; no measurement is longer


class Ours:
    """fused: False for Keras' own batch norm in the same step. compiler: True for XLA.

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
    ):
        recipe = dataclasses.replace(cases.recipe(case), fused_norm=fused)
        if fresh_fakes is not None:
            recipe = dataclasses.replace(recipe, two_phase=fresh_fakes)
        self.model = recipe.build(seed=0)
        self.model.jit_compile = compiler
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
