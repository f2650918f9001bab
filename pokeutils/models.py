"""Generators (latents -> pictures) and discriminators (pictures -> logits).

Functional Keras models. Pictures are (n, size, size, channels) in [-1, 1]; with four
channels they are premultiplied RGBA, and all four at -1 mean "nothing here". Under
mixed precision, logits and tanh are float32. The convolution before tanh is not: with
it, bfloat16 moves pixels by 0.543 of 255 levels on average, without it by 0.538.
"""

import keras
from keras import layers

from pokeutils.layers import (
    FusedBatchNorm,
    LeakyReLU,
    MinibatchStdDev,
    Palette,
    SelfModulation,
    TypedLatent,
    UnitLatent,
    UpSampling2D,
)


def pyramid_generator(
    size,
    channels=4,
    latent_dim=128,
    widths=(256, 144, 80, 48),
    detail=24,
    start=4,
    palette=0,
    types=0,
    depth=1,
):
    """A DCGAN generator (Radford et al. 2016) that narrows as the picture grows.

    `widths` are the channels at `start`, twice as many, ... pixels, up to half the
    size, `detail` those at full size. A dense layer turns the latent into `start` x
    `start` pixels, and the latent sets the palette at every size
    (`layers.SelfModulation`). From 8 px on, pictures grow by bilinear interpolation and
    a convolution: transposed ones leave a checkerboard (Odena et al. 2016), which the
    one from 4 to 8 px does too, coarsely; start=8 leaves it out. `palette` is a number
    of flat colours to paint with (`layers.Palette`, for pixel art); 0 paints freely.
    `depth` is the number of convolutions at each size between `start` and the full one.
    Those after the first begin with zeros and add to what is there, so that a generator
    trained without them may go on with them (`saved.warm`).
    `types` more inputs say which types of creature are meant (`layers.TypedLatent`).
    Input: (n, latent_dim + types) from N(0, 1). Raises ValueError if `widths` do not
    fit `size`, or for a palette without transparency.
    """
    if size != start * 2 ** len(widths):
        raise ValueError(
            f"{len(widths)} widths end at {start * 2 ** len(widths)} px, but size is "
            f"{size}. Give one width for each of {start}, {2 * start}, ... up to half "
            "the size."
        )
    latents = keras.Input((latent_dim + types,))
    z = (TypedLatent(types) if types else UnitLatent())(latents)

    def modulated(x, name=None):
        norm, modulation = (name and name + part for part in ("_norm", "_modulation"))
        x = FusedBatchNorm(name=norm)(x)
        return layers.ReLU()(SelfModulation(name=modulation)([x, z]))

    x = layers.Dense(start * start * widths[0], use_bias=False)(z)
    x = modulated(layers.Reshape((start, start, widths[0]))(x))
    for doublings, width in enumerate((*widths[1:], detail), 1):
        side = start * 2**doublings
        if side == 8:  # a kernel for each pixel of 2x2: limbs, not balloons
            x = layers.Conv2DTranspose(
                width, 4, strides=2, padding="same", use_bias=False
            )(x)
        else:
            x = UpSampling2D(interpolation="bilinear")(x)
            x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = modulated(x)
        for number in range(1, depth if side < size else 1):
            name = f"more_{side}_{number}"
            options = {"use_bias": False, "kernel_initializer": "zeros", "name": name}
            more = layers.Conv2D(width, 3, padding="same", **options)
            x = layers.Add()([x, more(modulated(x, name))])
    if palette:
        if channels != 4:
            raise ValueError(
                "A palette has transparency among its colours, so it paints 4 "
                f"channels, not {channels}. Use channels=4 or palette=0."
            )
        scores = layers.Conv2D(palette, 3, padding="same", dtype="float32")(x)
        return keras.Model(latents, Palette()([scores, z]), name="generator")
    x = layers.Conv2D(channels, 3, padding="same")(x)
    x = layers.Activation("tanh", dtype="float32")(x)
    return keras.Model(latents, x, name="generator")


def pyramid_discriminator(
    size, channels=4, widths=(48, 96, 128, 192), stem=0, types=0, minibatch_std=True
):
    """Four-pixel strided convolutions down to 4x4, without batch norm, so that a
    gradient penalty means what it says; a minibatch standard deviation at the end.

    stem: channels of an extra 3x3 convolution at full size (0: none), which sees
    single-pixel detail such as outlines and eyes.
    types: of so many types it also says how well each fits, from the mean of the last
        maps: outputs (n, 1 + types), see `typed.ConditionalGAN`.
    minibatch_std: False leaves the minibatch standard deviation out.
    """
    if size != 4 * 2 ** len(widths):
        raise ValueError(
            f"{len(widths)} widths lead from {4 * 2 ** len(widths)} px to 4, but size "
            f"is {size}. Give one width for each halving from the size to 4 px."
        )
    pictures = keras.Input((size, size, channels))
    x = pictures
    if stem:
        x = layers.Conv2D(stem, 3, padding="same")(x)
        x = LeakyReLU(0.2)(x)
    for width in widths:
        x = layers.Conv2D(width, 4, strides=2, padding="same")(x)
        x = LeakyReLU(0.2)(x)
    pooled = layers.GlobalAveragePooling2D()(x) if types else None
    if minibatch_std:
        x = MinibatchStdDev()(x)
    x = layers.Dense(1, dtype="float32")(layers.Flatten()(x))
    if types:
        fits = layers.Dense(types, dtype="float32")(pooled)
        x = layers.Concatenate(dtype="float32")([x, fits])
    return keras.Model(pictures, x, name="discriminator")
