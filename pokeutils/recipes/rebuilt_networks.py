"""The networks of the five projects, after their code where it is public, after their
words where it is not; `pokeutils.recipes.rebuilt` says which is which.

As in `models`: generators take latents (n, latent_dim) and return pictures (n, size,
size, channels) in [-1, 1], discriminators return logits (n, 1), and logits and tanh are
float32. Batch norm is the fused layer with each framework's own defaults.
"""

import keras
import numpy as np
from keras import layers

from pokeutils.layers import FusedBatchNorm, LeakyReLU

# Projects 000 and 001: the TensorFlow tutorial's blocks -------------------------------


def tutorial_generator(size=80, channels=4, latent_dim=100, widths=(256, 128, 64)):
    """Project 000's generator, that of the TensorFlow DCGAN tutorial made larger.

    Its stride-2 transposed convolutions with 5x5 kernels overlap unevenly, hence the
    checkerboard of its pictures. `widths` are the channels at a quarter of the size
    (twice) and at half of it. 11,680,768 weights at 80 px.
    """
    latents = keras.Input((latent_dim,))
    x = _start(latents, size, 4, widths[0])
    for width, stride in zip(widths[1:], (1, 2), strict=True):
        x = _normed(_upwards(width, 5, stride)(x))
    x = _upwards(channels, 5)(x)
    x = layers.Activation("tanh", dtype="float32")(x)
    return keras.Model(latents, x, name="generator")


def tutorial_discriminator(size=80, channels=4, widths=(64, 128)):
    """Project 000's discriminator: 262,593 weights, a 44th of its generator's."""
    pictures = keras.Input((size, size, channels))
    x = pictures
    for width in widths:
        x = layers.Conv2D(width, 5, strides=2, padding="same")(x)
        x = layers.Dropout(0.3)(LeakyReLU(0.3)(x))
    x = layers.Dense(1, dtype="float32")(layers.Flatten()(x))
    return keras.Model(pictures, x, name="discriminator")


def block_generator(size=120, channels=3, latent_dim=100, widths=(256, 128, 64, 32)):
    """Project 001's generator: one dense layer to size / 8, then three blocks of
    transposed convolution, batch norm and leaky ReLU, each of which doubles the side.
    At 120 px the dense layer has the 57,600 = 15 * 15 * 256 outputs of the project.
    """
    latents = keras.Input((latent_dim,))
    x = _start(latents, size, 8, widths[0])
    for width in widths[1:]:
        x = _normed(_upwards(width, 5)(x))
    x = layers.Conv2D(channels, 5, padding="same")(x)
    x = layers.Activation("tanh", dtype="float32")(x)
    return keras.Model(latents, x, name="generator")


def _start(latents, size, divisor, width):
    """Latents -> (n, size / divisor, size / divisor, width), as in the tutorial."""
    if size % divisor or size < divisor:
        raise ValueError(f"size must be a multiple of {divisor}, got {size}.")
    side = size // divisor
    x = _normed(layers.Dense(side * side * width, use_bias=False)(latents))
    return layers.Reshape((side, side, width))(x)


def _normed(x):
    return LeakyReLU(0.3)(_keras_norm()(x))


def _upwards(width, kernel, strides=2, padding="same", initializer="glorot_uniform"):
    return layers.Conv2DTranspose(
        width,
        kernel,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer=initializer,
    )


def _keras_norm(momentum=0.99):
    return FusedBatchNorm(momentum=momentum, epsilon=1e-3)  # Keras' own defaults


# Projects 002 and 003: PyTorch, four-pixel kernels ------------------------------------


def sprite_generator(size=64, channels=3, latent_dim=64, width=128, statistics=None):
    """The generator of project 003 (790,400 weights to train) and, with 16 latents, of
    project 002: a latent becomes 4x4 pixels, and transposed convolutions double the
    side up to `size`, the last but one with half the `width`.

    statistics: (means, standard deviations) of the channels in [0, 1]; if given, tanh
    is in their units, and cannot reach what lies further from the mean, such as white.
    """
    stages = _stages(size)
    latents = keras.Input((latent_dim,))
    x = layers.Reshape((1, 1, latent_dim))(latents)
    x = _upwards(width, 4, 1, "valid", initializer=_pytorch())(x)
    x = layers.ReLU()(FusedBatchNorm()(x))
    for stage in range(1, stages):
        filters = width // 2 if stage == stages - 1 else width
        x = _upwards(filters, 4, initializer=_pytorch())(x)
        x = layers.ReLU()(FusedBatchNorm()(x))
    x = _upwards(channels, 4, initializer=_pytorch())(x)
    x = layers.Activation("tanh", dtype="float32")(x)
    if statistics:
        x = _normalisation(statistics, invert=True)(x)
    return keras.Model(latents, x, name="generator")


def sprite_discriminator(size=64, channels=3, width=128, statistics=None):
    """The discriminator of projects 002 and 003, with batch norm in every layer, the
    first included (661,377 weights to train). `statistics` as in `sprite_generator`."""
    pictures = keras.Input((size, size, channels))
    x = _normalisation(statistics)(pictures) if statistics else pictures
    for stage in range(_stages(size)):
        x = layers.Conv2D(
            width // 2 if stage == 0 else width,
            4,
            strides=2,
            padding="same",
            use_bias=False,
            kernel_initializer=_pytorch(),
        )(x)
        x = LeakyReLU(0.2)(FusedBatchNorm()(x))
    x = layers.Flatten()(x)
    x = layers.Dense(1, dtype="float32", kernel_initializer=_pytorch())(x)
    return keras.Model(pictures, x, name="discriminator")


def _pytorch():
    # PyTorch draws the weights of every layer from U(-1, 1) / sqrt(fan in).
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def _stages(size):
    """How often 4 px have to be doubled to make `size`."""
    stages = (size // 4).bit_length() - 1
    if size != 4 * 2**stages or stages < 1:
        raise ValueError(f"size must be 8, 16, 32, 64, 128, ..., got {size}.")
    return stages


def _normalisation(statistics, invert=False):
    """Keras' own layer between [-1, 1] and units of the pictures' mean and spread."""
    means, deviations = np.asarray(statistics, "float64")
    return layers.Normalization(
        mean=tuple(2 * means - 1),  # the statistics are of pictures in [0, 1]
        variance=tuple((2 * deviations) ** 2),
        invert=invert,
        dtype="float32",
    )


def reach(generator):
    """The lowest and highest value that a generator ending in tanh can give, each
    (channels,) or a scalar, where [-1, 1] is all there is."""
    last = generator.layers[-1]
    if not (isinstance(last, layers.Normalization) and last.invert):
        return np.float32(-1), np.float32(1)
    mean, variance = (np.asarray(v).reshape(-1) for v in (last.mean, last.variance))
    return mean - np.sqrt(variance), mean + np.sqrt(variance)


def check_reach(generator):
    """Raises ValueError if `generator` cannot draw from black to white."""
    low, high = reach(generator)
    if (low > -1).any() or (high < 1).any():
        levels = [int(round(127.5 * (1 + float(x)))) for x in (low.min(), high.max())]
        raise ValueError(
            f"The range does not fit: pictures go from 0 to 255, but this generator's "
            f"tanh reaches only {levels[0]} to {levels[1]}, because the pictures were "
            "normalised to their mean and spread. It would draw grey on grey. Leave "
            "the pictures in [-1, 1], or pass as_written=True to see just that."
        )


# Project 004: without convolutions ----------------------------------------------------


def dense_generator(size=100, channels=3, latent_dim=100, widths=(256, 512, 1024)):
    """Project 004's generator without convolutions: every pixel has weights of its own
    and knows nothing of its neighbours."""
    latents = keras.Input((latent_dim,))
    x = latents
    for width in widths:
        x = LeakyReLU(0.2)(layers.Dense(width)(x))
        x = _keras_norm(momentum=0.8)(x)
    x = layers.Dense(size * size * channels, dtype="float32")(x)
    x = layers.Activation("tanh", dtype="float32")(x)
    x = layers.Reshape((size, size, channels), dtype="float32")(x)
    return keras.Model(latents, x, name="generator")


def dense_discriminator(size=100, channels=3, widths=(512, 256)):
    """Project 004's discriminator without convolutions."""
    pictures = keras.Input((size, size, channels))
    x = layers.Flatten()(pictures)
    for width in widths:
        x = LeakyReLU(0.2)(layers.Dense(width)(x))
    x = layers.Dense(1, dtype="float32")(x)
    return keras.Model(pictures, x, name="discriminator")
