"""Creatures of chosen types: a GAN whose two networks are told the types of each
picture, and the latents that ask for a type.
"""

import numpy as np
from keras import ops

from pokeutils.data import species, traits
from pokeutils.gan import GAN

COUNT = len(species.TYPES)
HUES = {"red": "fire", "yellow": "electric", "green": "grass"}
HUES |= {"cyan": "ice", "blue": "water", "magenta": "psychic"}


class ConditionalGAN(GAN):
    """A GAN that learns which pictures go with which types.

    generator: latents (n, d + k), of which the last k choose among k types
        (`layers.TypedLatent`)
    discriminator: pictures -> (n, 1 + k): how real, and how well each type fits. Its
        logit is the first, plus the mean of the others over the types that the picture
        is said to have (a projection discriminator, Miyato & Koyama 2018).
    type_weight: of a cross-entropy on the k others (an auxiliary classifier, Odena et
        al. 2017): the discriminator names the types of reals, and the generator draws
        fakes whose types are named rightly; 0 for none

    `fit` and `update` take pairs (pictures, types): float32 (n, k), 1 for each type of
    the picture. Fakes are drawn for the types of the batch's reals.
    """

    def __init__(self, generator, discriminator, type_weight=0.0, **settings):
        super().__init__(generator, discriminator, **settings)
        self.type_weight = type_weight

    def update(self, batch, draws):
        real, types = batch
        draws = {**draws, "types": ops.cast(types, "float32")}
        z = draws["latents"][:, : -types.shape[1]]
        draws["latents"] = ops.concatenate([z, draws["types"]], axis=1)
        return super().update(real, draws)

    def logits(self, outputs, draws):
        fits = outputs[:, 1:] * _shares(draws["types"])
        return outputs[:, :1] + ops.sum(fits, axis=1, keepdims=True)

    def discriminator_objective(self, real_outputs, fake_outputs, draws):
        loss, logs = super().discriminator_objective(real_outputs, fake_outputs, draws)
        return loss + self.type_loss(real_outputs, draws), logs

    def generator_objective(self, fake, draws):
        outputs = self.discriminator(self.augment(fake, draws["fool"]), training=True)
        loss = self.generator_loss(self.logits(outputs, draws))
        return loss + self.type_loss(outputs, draws)

    def type_loss(self, outputs, draws):
        """The cross-entropy of the types that the discriminator names, weighted."""
        if not self.type_weight:
            return 0.0
        named = ops.log_softmax(outputs[:, 1:], axis=1)
        entropy = -ops.mean(ops.sum(named * _shares(draws["types"]), axis=1))
        return self.type_weight * entropy


def _shares(types):
    """Types (n, k) as shares of one; zeros stay zeros."""
    return types / ops.maximum(ops.sum(types, axis=1, keepdims=True), 1.0)


def wanted(latents, *names):
    """Latents (n, d + 18) with their last numbers set to ask for creatures of a type,
    or of two. Raises ValueError for a name that is no type."""
    unknown = [name for name in names if name not in species.TYPES]
    if unknown or not names:
        raise ValueError(
            f"No type {', '.join(map(repr, unknown)) or 'given'}; choose one or two of "
            f"{', '.join(species.TYPES)}."
        )
    latents = np.array(latents, "float32")
    latents[:, -COUNT:] = np.isin(species.TYPES, names)
    return latents


def rarity(types, weights):
    """How much more often to show each picture because its types are rare, (n,): the
    mean over its types of one over the root of how often that type comes, so that not
    the same few pictures are repeated. types: (n, 18); weights: (n,), its counts."""
    often = weights @ types
    value = 1 / np.sqrt(np.maximum(often, 1e-9))
    known = types.sum(1)
    return np.where(known > 0, types @ value / np.maximum(known, 1), value.min())


def check_known(types, source, recipe):
    """Raises ValueError unless at least half of the pictures have a type, and there are
    two types or more."""
    known, kinds = (types.sum(1) > 0).mean(), (types.sum(0) > 0).sum()
    if known < 0.5 or kinds < 2:
        raise ValueError(
            f"{recipe} learns what types look like, and of the pictures of {source!r} "
            f"{known:.0%} have a known type, {kinds} different ones in all. Use "
            "pictures whose species are known, such as 'artwork' or 'sprites', or a "
            "recipe without types."
        )


def by_colour(data):
    """A copy of a `dataset.PictureSet` in which each creature has the type that goes
    with its hue, one of six: for drawn creatures, which have no types of their own."""
    leaning = [np.nan_to_num(traits.hue(data.images, name)) for name in HUES]
    types = np.array(list(HUES.values()))[np.argmax(leaning, axis=0)]
    meta = {**data.meta, "type1": types, "type2": np.full(len(types), "")}
    report = {**data.report, "fingerprint": f"{data.fingerprint} by colour"}
    return data._replace(meta=meta, report=report)
