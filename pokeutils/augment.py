"""Differentiable augmentation (DiffAugment, Zhao et al. 2020) for transparent pictures.

Reals and fakes pass through the same random changes before the discriminator sees them,
so it cannot learn ~600 pictures by heart, and the gradient flows back through the
changes to the generator. What is moved in from outside is transparent, never grey: a
grey fill teaches the generator grey borders.
"""

import keras
import numpy as np
from keras import ops

# Of red, green, blue, alpha to red, green, blue, alpha: as they are, the colours alone,
# their mean to each of them, alpha to each of them.
EYE, COLOURS = np.eye(4, dtype="float32"), np.diag([1, 1, 1, 0]).astype("float32")
GREY, ALPHA = np.zeros((2, 4, 4), "float32")
GREY[:3, :3], ALPHA[3, :3] = 1 / 3, 1


class DiffAugment:
    """Random colour, shift and zoom, one draw a picture.

    brightness: largest change of straight colour, in units of full range (0.2 = 51/255)
    saturation: colourfulness is multiplied by 1 - s to 1 + s
    contrast: distance from the picture's mean colour is multiplied by 1 - c to 1 + c
    translation: largest shift in each direction, as a share of the side
    zoom: largest relative change of size; 0 keeps pixels on their grid
    All zero: the identity. `background` fills RGB pictures (3 channels), in [-1, 1].
    """

    def __init__(
        self,
        brightness=0.2,
        saturation=1.0,
        contrast=0.5,
        translation=0.125,
        zoom=0.0,
        background=1.0,
    ):
        self.brightness = brightness
        self.saturation = saturation
        self.contrast = contrast
        self.translation = translation
        self.zoom = zoom
        self.background = background

    def draw(self, count, seed):
        """Returns the random numbers for `count` pictures: (count, 6) in [-1, 1].

        seed: a `keras.random.SeedGenerator`. Columns: brightness, saturation, contrast,
        shift down, shift right, zoom.
        """
        return keras.random.uniform((count, 6), -1.0, 1.0, seed=seed)

    def __call__(self, images, draws):
        """images (n, s, s, 4) premultiplied RGBA or (n, s, s, 3) in [-1, 1], `draws`
        from `draw`. Returns the changed pictures, same shape and range (colours may
        leave it slightly, as in the paper)."""
        images = ops.convert_to_tensor(images)
        draws = ops.cast(draws, images.dtype)
        empty = -1.0 if images.shape[-1] == 4 else self.background  # in [-1, 1]
        x = 0.5 * (images - empty)  # 0 where nothing is
        if self.brightness or self.saturation or self.contrast:
            x = self._recolour(x, draws)
        return 2.0 * self._move(x, draws) + empty

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

    def _move(self, x, draws):
        """Shift and zoom by two small matrix products, one for rows, one for columns:
        fast on every device, and its gradient is two more."""
        if not (self.translation or self.zoom):
            return x
        size = x.shape[1]
        scale = 1.0 + self.zoom * draws[:, 5]
        rows = self._resampling(size, draws[:, 3], scale, x.dtype)
        columns = self._resampling(size, draws[:, 4], scale, x.dtype)
        x = ops.einsum("nij,njwc->niwc", rows, x)
        return ops.einsum("nij,nhjc->nhic", columns, x)

    def _resampling(self, size, draw, scale, dtype):
        """(n, size, size) matrices that resample a line of pixels linearly."""
        shift = draw * self.translation * size
        if not self.zoom:
            shift = ops.round(shift)
        middle = (size - 1) / 2.0
        target = ops.cast(ops.arange(size), "float32")
        shift, scale = ops.cast(shift, "float32"), ops.cast(scale, "float32")
        # The source position of every target pixel, (n, size).
        source = (target[None] - middle - shift[:, None]) / scale[:, None] + middle
        distance = ops.abs(source[:, :, None] - target[None, None, :])
        return ops.cast(ops.relu(1.0 - distance), dtype)


class Identity:
    """No augmentation, with the same two methods."""

    def draw(self, count, seed):
        return keras.random.uniform((count, 1), seed=seed)

    def __call__(self, images, draws):
        return ops.convert_to_tensor(images)


class OnBackground:
    """Lays premultiplied RGBA on a random plain colour, after another augmentation.

    For discriminators that see RGB only. Reals and fakes get colours from the same
    draw, and no colour is safe to hide on, so the generator's alpha has to be right.
    Returns (n, s, s, 3) in [-1, 1].
    """

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
