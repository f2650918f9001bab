"""This project's step as a contestant: the recipe as it is, trained by `GAN.fit`."""

from benchmarks import cases
from pokeutils.data import dataset

PLANNED = 20_000  # steps; no measurement is longer


class Ours:
    """dtype: the Keras policy of the step; None: the fastest on this machine."""

    def __init__(self, case, pictures, dtype=None, seed=0):
        recipe = cases.recipe(case)
        self.model = recipe.build(seed, dtype=dtype)
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
        """Returns the trainable weights of generator and discriminator as arrays."""
        return [
            [weight.numpy() for weight in network.trainable_variables]
            for network in (self.model.generator, self.model.discriminator)
        ]
