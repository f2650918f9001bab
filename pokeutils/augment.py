"""Differentiable augmentation (DiffAugment, Zhao et al. 2020) for transparent pictures.

Reals and fakes pass through the same random changes before the discriminator sees them,
so it cannot learn ~600 pictures by heart, and the gradient flows back through the
changes to the generator. What is moved in from outside is transparent, never grey: a
grey fill teaches the generator grey borders.
"""

import math

import keras
import numpy as np
from keras import ops

# Of red, green, blue, alpha to red, green, blue, alpha: as they are, the colours alone,
# their mean to each of them, alpha to each of them.
EYE, COLOURS = np.eye(4, dtype="float32"), np.diag([1, 1, 1, 0]).astype("float32")
GREY, ALPHA = np.zeros((2, 4, 4), "float32")
GREY[:3, :3], ALPHA[3, :3] = 1 / 3, 1
# The other five orders of three colours, and the usual one.
ORDERS = (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0), (0, 1, 2)
PERMUTATIONS = np.stack([np.eye(3, dtype="float32")[:, order] for order in ORDERS])


class DiffAugment:
    """Random colour and place, one draw a picture.

    brightness: largest change of straight colour, in units of full range (0.2 = 51/255)
    saturation: colourfulness is multiplied by 1 - s to 1 + s
    contrast: distance from the picture's mean colour is multiplied by 1 - c to 1 + c
    translation: largest shift in each direction, as a share of the side
    rotation: largest turn, in degrees
    scale, aspect: largest factor of size, and of height against width (1.2: from 1/1.2
        to 1.2; 1: none)
    permute: share of the pictures whose three colours change places
    All at their defaults but the first four, and those 0: the identity. `background`
    fills RGB pictures (3 channels), in [-1, 1].

    The last four are rare on purpose: what happens to most pictures, the generator
    copies (Karras et al. 2020). Each happens to a picture with the probability
    `strength`, a number or a variable, and takes the nearest pixel: pixel art stays so.
    """

    def __init__(
        self,
        brightness=0.2,
        saturation=1.0,
        contrast=0.5,
        translation=0.125,
        rotation=0.0,
        scale=1.0,
        aspect=1.0,
        permute=0.0,
        background=1.0,
    ):
        self.brightness = brightness
        self.saturation = saturation
        self.contrast = contrast
        self.translation = translation
        self.rotation = math.radians(rotation)
        self.scale, self.aspect = math.log(scale), math.log(aspect)
        self.permute = permute
        self.background = background
        self.strength = 1.0

    def draw(self, count, seed):
        """Returns the random numbers for `count` pictures: (count, 6 or 9) in [-1, 1].

        seed: a `keras.random.SeedGenerator`. Columns: brightness, saturation, contrast,
        shift down, shift right, scale; then aspect, rotation and which permutation.
        """
        draws = keras.random.uniform((count, 6), -1.0, 1.0, seed=seed)
        if not (self._turns or self.permute):
            return draws
        more = keras.random.uniform((count, 3), -1.0, 1.0, seed=seed)
        rare = ops.concatenate([draws[:, 5:], more], axis=1)
        shares = self.strength * ops.convert_to_tensor([1.0, 1.0, 1.0, self.permute])
        happens = keras.random.uniform((count, 4), seed=seed) < shares
        return ops.concatenate([draws[:, :5], ops.where(happens, rare, 0.0)], axis=1)

    @property
    def _turns(self):
        return self.rotation or self.scale or self.aspect

    def __call__(self, images, draws):
        """images (n, s, s, 4) premultiplied RGBA or (n, s, s, 3) in [-1, 1], `draws`
        from `draw`. Returns the changed pictures, same shape and range (colours may
        leave it slightly, as in the paper)."""
        images = ops.convert_to_tensor(images)
        draws = ops.cast(draws, images.dtype)
        empty = -1.0 if images.shape[-1] == 4 else self.background  # in [-1, 1]
        x = 0.5 * (images - empty)  # 0 where nothing is
        if self.permute:
            x = self._permute(x, draws[:, 8])
        if self.brightness or self.saturation or self.contrast:
            x = self._recolour(x, draws)
        if self._turns:
            x = self._turn(x, ops.cast(draws, "float32"))
        if self.translation:
            x = self._shift(x, draws)
        return 2.0 * x + empty

    def _permute(self, x, draw):
        """Gives the three colours another order, one of five, where `draw` is not 0."""
        which = ops.cast(ops.floor(2.5 * (draw + 1.0)), "int32")
        which = ops.where(draw == 0, 5, ops.clip(which, 0, 4))
        mixes = ops.take(ops.cast(PERMUTATIONS, x.dtype), which, axis=0)
        colours = ops.einsum("nhwc,ncd->nhwd", x[..., :3], mixes)
        return ops.concatenate([colours, x[..., 3:]], axis=-1)

    def _recolour(self, x, draws):
        """Changes colours by one 4x4 matrix per picture (Karras et al. 2020).

        Colours are premultiplied, so "add brightness b" means "add b times alpha": what
        is empty stays empty. RGB pictures count as opaque everywhere.
        """
        rgb = x.shape[-1] == 3
        if rgb:
            x = ops.concatenate([x, ops.ones_like(x[..., :1])], axis=-1)
        b, s, c = (draws[:, i, None, None] for i in range(3))

        # Rows: what red, green, blue and alpha give to red, green, blue, alpha.
        eye, to_grey, from_alpha = (ops.cast(m, x.dtype) for m in (EYE, GREY, ALPHA))
        brighter = eye + self.brightness * b * from_alpha
        purer = eye + self.saturation * s * (COLOURS - to_grey)
        matrix = ops.matmul(brighter, purer)

        # Contrast is about the mean colour, taken over what is not empty.
        sums = ops.matmul(ops.sum(x, axis=(1, 2))[:, None], matrix)  # (n, 1, 4)
        mean = ops.mean(sums[..., :3], axis=-1, keepdims=True) / (sums[..., 3:] + 1e-4)
        stronger = eye + self.contrast * c * (COLOURS - mean * from_alpha)
        matrix = ops.matmul(matrix, stronger)

        n, h, w, _ = x.shape
        x = ops.reshape(ops.matmul(ops.reshape(x, (n, h * w, 4)), matrix), x.shape)
        return x[..., :3] if rgb else x

    def _turn(self, x, draws):
        """Scales and turns about the middle: every pixel takes that of the source
        which lies nearest, by one gather."""
        n, size, _, channels = x.shape
        scale, aspect, angle = (draws[:, i, None, None] for i in (5, 6, 7))
        scale, aspect, angle = (
            *(self.scale * scale, self.aspect / 2 * aspect),
            self.rotation * angle,
        )
        middle = (size - 1) / 2.0
        place = ops.cast(ops.arange(size), "float32") - middle
        down, right = place[:, None], place[None]
        sine, cosine = ops.sin(angle), ops.cos(angle)
        rows = (cosine * down - sine * right) * ops.exp(-scale - aspect)
        columns = (sine * down + cosine * right) * ops.exp(-scale + aspect)
        rows, columns = ops.round(rows + middle), ops.round(columns + middle)
        inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
        picture = ops.arange(n)[:, None, None] * size * size
        index = ops.where(inside, ops.cast(rows * size + columns, "int32"), 0)
        flat = ops.reshape(x, (n * size * size, channels))
        turned = ops.take(flat, index + picture, axis=0)
        return ops.where(inside[..., None], turned, ops.zeros((), x.dtype))

    def _shift(self, x, draws):
        """Shifts by two small matrix products, one for rows, one for columns: fast on
        every device, and its gradient is two more."""
        rows, columns = (self._shifting(x, draws[:, i]) for i in (3, 4))
        x = ops.einsum("nij,njwc->niwc", rows, x)
        return ops.einsum("nij,nhjc->nhic", columns, x)

    def _shifting(self, x, draw):
        """(n, size, size) matrices that shift a line of pixels."""
        size = x.shape[1]
        shift = ops.cast(ops.round(draw * self.translation * size), "int32")
        place = ops.arange(size)
        source = place[None] - ops.cast(shift[:, None], place.dtype)
        return ops.cast(source[:, :, None] == place, x.dtype)


class Identity:
    """No augmentation, with the same two methods."""

    def draw(self, count, seed):
        return keras.random.uniform((count, 1), seed=seed)

    def __call__(self, images, draws):
        return ops.convert_to_tensor(images)


class OnBackground:
    """Lays premultiplied RGBA on a random plain colour, after another augmentation, for
    discriminators that see RGB only: (n, s, s, 3) in [-1, 1]. No colour is safe to hide
    on, so the generator's alpha has to be right."""

    def __init__(self, inner=None):
        self.inner = inner or Identity()

    def draw(self, count, seed):
        return {
            "inner": self.inner.draw(count, seed),
            "background": keras.random.uniform((count, 1, 1, 3), seed=seed),
        }

    def __call__(self, images, draws):
        images = self.inner(images, draws["inner"])
        background = ops.cast(draws["background"], images.dtype)  # 0..1
        # In [-1, 1]: colour + (1 - alpha) x background, all measured from 0 to 2.
        return images[..., :3] + (1.0 - images[..., 3:]) * background
