"""From watercolour to sprite: a network that redraws washed-out pictures as pixel art.

Nobody has pairs of a bad sample and the picture that it should have been. So `Water`
spoils real sprites, and a U-Net learns the way back, in the manner of pix2pix (Isola et
al. 2017). It trains as every recipe does: `training.train(restore.RESTORE64, data)`.
"""

import dataclasses

import keras
import numpy as np
from keras import layers, ops

from pokeutils import sampling
from pokeutils.common import background, images, saved
from pokeutils.data import dataset
from pokeutils.gan import GAN
from pokeutils.layers import LeakyReLU, SpectralConv2D, UpSampling2D
from pokeutils.recipes.recipe import Recipe

COLOURS = 16  # of a restored picture, transparency among them
KINDS = ("smear", "eyes", "lines", "bleed", "blur", "wash", "drops", "paper")
GREY = (0.299, 0.587, 0.114)  # what red, green and blue add to brightness


# What water does ----------------------------------------------------------------------


class Water:
    """Spoils pictures as water spoils a drawing, eight `KINDS` of it:

    smear    the paint is pushed about, by up to several pixels
    eyes     spots of detail are wiped out
    lines    dark lines give way to what is beside them
    bleed    colours run, brightness stays
    blur     everything runs, the outline as well
    wash     all colours fade towards a pale mean
    drops    holes in the body, and drops of paint beside it
    paper    a tinted, grainy sheet shines through; much of it fills the background

    size: side of the pictures in pixels, of which every length is a share
    """

    def __init__(self, size):
        self.size = size

    def draw(self, count, seed):
        """The random numbers for `count` pictures: how much of each kind, 0 to 1, and
        where. Some stay nearly dry, and one kind in five is left out."""
        wet = keras.random.uniform((count, 1), 0.2, 1.0, seed=seed)
        amounts = keras.random.uniform((count, len(KINDS)), -0.25, 1.0, seed=seed)
        return {
            "amounts": wet * ops.relu(amounts),
            "coarse": keras.random.normal((count, 8, 8, 4), seed=seed),
            "fine": keras.random.normal((count, self.size, self.size, 4), seed=seed),
            "paper": keras.random.uniform((count, 1, 1, 3), 0.7, 1.0, seed=seed),
        }

    def __call__(self, pictures, draws):
        """Premultiplied RGBA (n, size, size, 4) in [-1, 1], `draws` from `draw`.
        Returns pictures of the same kind and shape."""
        x = (ops.cast(pictures, "float32") + 1) / 2
        amounts = ops.split(draws["amounts"][..., None, None], len(KINDS), 1)
        amounts = dict(zip(KINDS, amounts, strict=True))
        coarse = ops.image.resize(draws["coarse"], x.shape[1:3], "bicubic")
        grain, spots = draws["fine"][..., :3], 5 * _blur(draws["fine"][..., 3:], 1.4)

        # What the brush does to the drawing.
        x = _pushed(x, amounts["smear"] * self.size / 32 * coarse[..., :2])
        wiped = ops.clip(spots - 1.8 + 1.6 * amounts["eyes"], 0, 1)
        x = x + wiped * _some(amounts["eyes"]) * (_blur(x, self.size / 20) - x)
        colour, alpha = x[..., :3], x[..., 3:]
        lighter = ops.minimum(ops.max_pool(colour, 3, 1, "same"), alpha)
        colour = colour + amounts["lines"] * (lighter - colour)

        # What water does to the paint.
        x = _joined(colour, alpha)
        wet = _straight(_blur(x, amounts["bleed"] * self.size / 10))
        change = ops.sum((_straight(x) - wet) * ops.array(GREY), -1, keepdims=True)
        x = _joined(ops.clip(wet + change, 0, 1) * alpha, alpha)
        x = _blur(x, amounts["blur"] * self.size / 20)
        colour, alpha = x[..., :3], x[..., 3:]
        mean = ops.sum(colour, (1, 2), keepdims=True)
        mean = mean / ops.maximum(ops.sum(alpha, (1, 2), keepdims=True), 1e-3)
        pale = 0.4 + 0.6 * mean
        colour = colour + 0.7 * amounts["wash"] * (pale * alpha - colour)

        # What falls onto the sheet, and the sheet itself.
        wet = 3 * (coarse[..., 2:] - 2 + amounts["drops"])
        wet = ops.clip(wet, 0, 1) * _some(amounts["drops"])
        x = _joined(colour, alpha) * (1 - wet[..., :1])
        x = x + wet[..., 1:] * (1 - x[..., 3:]) * _joined(pale, 1.0)
        sheet = draws["paper"] + 0.04 * grain
        colour, alpha = x[..., :3], x[..., 3:]
        colour = colour * (1 - amounts["paper"] * (1 - sheet))
        veil = ops.clip(4 * amounts["paper"] - 2, 0, 1) * (1 - alpha)
        x = _joined(colour + veil * sheet, alpha + veil)
        alpha = ops.clip(x[..., 3:], 0, 1)
        return 2 * _joined(ops.clip(x[..., :3], 0, alpha), alpha) - 1


def water(pictures, amounts=0.5, seed=0):
    """Returns pictures in water: uint8, the same for the same seed on one backend.

    pictures: uint8 premultiplied RGBA (n, s, s, 4)
    amounts: 0 to 1 of every kind, or {kind: 0 to 1}, see `Water`; None: at random, as
        in training. Raises ValueError for other amounts, or other pictures.
    """
    pictures = images.check(pictures, channels=(4,))
    images.check_premultiplied(pictures)
    wet = Water(pictures.shape[1])
    draws = wet.draw(len(pictures), keras.random.SeedGenerator(seed))
    if amounts is not None:
        is_dict = isinstance(amounts, dict)
        wanted = amounts if is_dict else dict.fromkeys(KINDS, amounts)
        if set(wanted) - set(KINDS) or not all(0 <= a <= 1 for a in wanted.values()):
            known = ", ".join(KINDS)
            raise ValueError(f"amounts={amounts!r}; use 0 to 1 of all or of {known}.")
        row = np.array([wanted.get(kind, 0) for kind in KINDS], "float32")
        draws["amounts"] = np.tile(row, (len(pictures), 1))
    done = wet(dataset.to_float(pictures), draws)
    return images.to_uint8(ops.convert_to_numpy(done))


def _blur(x, width):
    """Gaussian blur of (n, s, s, c); width: in pixels, one or (n, 1, 1, 1)."""
    places = ops.arange(x.shape[1], dtype="float32")
    width = ops.maximum(ops.reshape(ops.cast(width, "float32"), (-1, 1, 1)), 0.05)
    rows = ops.exp(-0.5 * ops.square((places[:, None] - places) / width))
    rows = rows / ops.sum(rows, -1, keepdims=True)
    rows = ops.broadcast_to(rows, (x.shape[0], *rows.shape[1:]))
    return ops.einsum("nij,nkl,njlc->nikc", rows, rows, x)


def _pushed(x, shift):
    """Takes each pixel from `shift` (n, s, s, 2) pixels away, rounded to whole ones."""
    n, size, _, channels = x.shape
    places = ops.arange(size, dtype="float32")
    rows = ops.round(places[:, None] + shift[..., 0])
    columns = ops.round(places[None] + shift[..., 1])
    rows, columns = (ops.clip(x, 0, size - 1) for x in (rows, columns))
    index = ops.cast(rows * size + columns, "int32")
    flat = ops.reshape(x, (n, size * size, channels))
    taken = ops.take_along_axis(flat, ops.reshape(index, (n, size * size, 1)), 1)
    return ops.reshape(taken, x.shape)


def _joined(colour, alpha):
    alpha = ops.broadcast_to(alpha, (*colour.shape[:-1], 1))
    return ops.concatenate([colour, alpha], -1)


def _straight(x):
    return x[..., :3] / ops.maximum(x[..., 3:], 1e-3)


def _some(amount):
    """0 where there is none, soon 1."""
    return ops.minimum(4 * amount, 1)


# The networks -------------------------------------------------------------------------


def unet(size, channels=4, widths=(16, 40, 80, 128, 128)):
    """Pictures (n, size, size, channels) in [-1, 1] -> pictures of the same shape.

    A U-Net (Ronneberger et al. 2015): strided convolutions halve the picture until each
    pixel has seen all of it, bilinear steps and convolutions lead back up, and each of
    these also sees the map of its size from the way down. It says what to add to the
    picture, at first nothing. `widths`: channels at full size, half of it, ... Raises
    ValueError for a size that cannot be halved so often.
    """
    if size % 2 ** (len(widths) - 1):
        raise ValueError(f"{size} px cannot be halved {len(widths) - 1} times.")

    def conv(x, width, kernel=3, strides=1):
        x = layers.Conv2D(width, kernel, strides, padding="same")(x)
        return LeakyReLU(0.2)(x)

    pictures = keras.Input((size, size, channels))
    x = layers.Rescaling(0.5, 0.5)(pictures)  # what is transparent becomes 0
    x, maps = conv(x, widths[0]), []
    for width in widths[1:]:
        maps.append(x)
        x = conv(x, width, 4, 2)
    for same, width in zip(maps[::-1], widths[-2::-1], strict=True):
        x = UpSampling2D(interpolation="bilinear")(x)
        x = conv(layers.Concatenate()([x, same]), width)
    options = {"padding": "same", "kernel_initializer": "zeros", "dtype": "float32"}
    change = layers.Conv2D(channels, 3, **options)(x)
    sprites = layers.Add(dtype="float32")([pictures, change])
    return keras.Model(pictures, sprites, name="restorer")


def patch_discriminator(size, channels=4, widths=(32, 64, 128)):
    """A picture beside its watercolour (n, size, size, 2 x channels) -> a logit for
    every patch of 22 px, (n, size / 8, size / 8, 1): is this the original?"""
    pictures = keras.Input((size, size, 2 * channels))
    x = pictures
    for width in widths:
        x = LeakyReLU(0.2)(SpectralConv2D(width, 4, 2, padding="same")(x))
    logits = SpectralConv2D(1, 1, padding="same", dtype="float32")(x)
    return keras.Model(pictures, logits, name="patches")


# Training -----------------------------------------------------------------------------


class Beside:
    """Shows the discriminator each picture beside its watercolour, the `draws`."""

    def __call__(self, pictures, draws):
        return ops.concatenate([pictures, draws], -1)


class RestoreGAN(GAN):
    """A GAN whose generator is given pictures in water, and not latents.

    `fit` and `update` take clean pictures as any GAN does; the water is drawn anew in
    every step. The generator's loss is the adversarial one, plus `closeness` times the
    mean absolute difference (L1) to the clean picture. Everything else as in `GAN`.
    """

    def __init__(self, generator, discriminator, closeness, **settings):
        super().__init__(generator, discriminator, **settings)
        self.water, self.closeness = Water(generator.input_shape[1]), closeness

    def draw(self, count):
        return {"water": self.water.draw(count, self.random)}

    def update(self, clean, draws):
        watered = self.water(clean, draws["water"])
        names = "latents", "real", "fake", "fool"  # what `GAN` calls them
        return super().update(clean, {**dict.fromkeys(names, watered), "clean": clean})

    def generator_objective(self, fake, draws):
        loss = super().generator_objective(fake, draws)
        return loss + self.closeness * ops.mean(ops.abs(fake - draws["clean"]))


@dataclasses.dataclass(frozen=True)
class RestoreRecipe(Recipe):
    """A recipe for a `RestoreGAN`; closeness: see there."""

    closeness: float = 40.0

    def pictures(self, data):
        """The training pictures as pixel art: what the network shall draw."""
        return pixel_art(super().pictures(data))

    def inputs(self, model, data, count):
        """Pictures held out from training, in water."""
        held_out = data.images[data.holdout]
        places = np.linspace(0, len(held_out) - 1, count).astype(int)
        return dataset.to_float(water(held_out[places]))

    def _networks(self):
        up, down = dict(self.generator_options), dict(self.discriminator_options)
        return unet(self.size, **up), patch_discriminator(self.size, **down)

    def _kind(self):
        return RestoreGAN, {"closeness": self.closeness}

    def _augmentation(self, channels):
        return Beside()


RESTORE64 = RestoreRecipe(
    name="restore64",
    source="animated",
    size=64,
    images=96_000,
    batch=8,
    loss="hinge",
    learning_rates=(4e-4, 4e-4),
    decay=0.6,
    ema_images=1_500,
    as_written=True,  # it adds to a picture, and can reach any colour
)


# At work ------------------------------------------------------------------------------


def restore(pictures, model=None):
    """Returns pictures redrawn as sprites: uint8 premultiplied RGBA (n, s, s, 4), each
    in at most `COLOURS` colours, transparency among them.

    pictures: uint8 (n, h, h, 4) premultiplied RGBA, or (n, h, h, 3) RGB on white, which
        is cut away; they are scaled to the model's size s
    model: a trained `unet`; None: the pretrained one
    """
    model = pretrained() if model is None else model
    pictures = images.check(pictures)
    if pictures.shape[-1] == 3:
        opaque = np.insert(pictures, 3, 255, axis=-1)
        pictures = np.stack([background.cut(picture, 24) for picture in opaque])
    images.check_premultiplied(pictures)
    factor = model.input_shape[1] / pictures.shape[1]
    if factor != 1:
        scaled = [images.scale(picture, factor) for picture in pictures]
        pictures = np.rint(scaled).astype("uint8")
    return pixel_art(sampling.paint(model, dataset.to_float(pictures)))


def pixel_art(pictures):
    """Returns pictures with hard edges, in at most `COLOURS` colours with transparency
    among them: uint8 premultiplied RGBA (n, s, s, 4), as they come."""
    straight = images.unpremultiply(pictures)
    straight[..., 3] = np.where(straight[..., 3] > images.HARD, 255, 0)
    return images.reduce_palette(images.premultiply(straight), COLOURS - 1)


def pretrained():
    """Returns the trained `unet` in outputs/pretrained. Raises ValueError if there is
    none, or its file is damaged."""
    return saved.in_precision(load(saved.verified("restore64")), "float32")


def load(path):
    """Loads a trained `unet`; no code from the file is run. Raises ValueError for any
    other network, and what `saved.load_network` does."""
    return saved.load_network(path, "a restoring network", _check)


def _check(model):
    shape = model.input_shape
    if model.output_shape != shape or len(shape) != 4 or shape[-1] != 4:
        raise ValueError(f"it turns {shape} into {model.output_shape}.")
