"""A generator with its layers apart: each listens to a latent of its own.

A generator hands one latent to its first layer and to the modulation at every size.
Told different ones, it draws the body of one creature in the colours of another, as
StyleGAN's style mixing does (Karras et al. 2019).
"""

import keras

from pokeutils.layers import Palette, SelfModulation, UnitLatent


def separate(generator, unit=True):
    """Returns the generator as a model with a latent for each place that listens:
    float32 (n, places, d) -> pictures, on the generator's own weights.

    The first place is the layer that the drawing starts from, the others the
    modulations, from coarse to fine. The same latent everywhere gives the generator's
    own picture. unit=False leaves their lengths as they are; the generator brings each
    latent to a mean square of one, and was trained on no other.
    Raises ValueError for a generator that is not built of these layers.
    """
    listening = (SelfModulation, Palette)
    chain = generator.layers
    places = 1 + sum(isinstance(layer, listening) for layer in chain)
    if len(chain) < 2 or not isinstance(chain[1], UnitLatent) or places == 1:
        raise ValueError(
            f"{generator.name} does not modulate its layers by a UnitLatent: only "
            "generators of models.pyramid_generator can be taken apart."
        )
    latents = keras.Input((places, generator.input_shape[-1]))
    z = chain[1](latents) if unit else latents
    x, place = z[:, 0], 0
    for layer in chain[2:]:
        if isinstance(layer, listening):
            place += 1
            x = layer([x, z[:, place]])
        else:
            x = layer(x)
    return keras.Model(latents, x, name=f"{generator.name}_apart")
