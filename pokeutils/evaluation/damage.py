"""Real pictures damaged on purpose: yardsticks that give a distance a meaning.

Pictures are uint8 RGB (n, height, width, 3). From hardly visible to ruined: other
colours, a strong blur, pieces in a wrong order, noise. On artwork, all networks in
`features` rank them so by KID; on pixel art not all do.
"""

import numpy as np
from PIL import Image, ImageFilter

from pokeutils.data import recolour

PIECES = 8  # rows and columns that a picture is cut into
NOISE = 100  # standard deviation, in levels of 255


def blur(pictures, random=None):
    """Blurs by a pixel, or by 1/64 of a larger picture: details go, shapes stay."""
    kernel = ImageFilter.GaussianBlur(max(1, pictures.shape[1] / 64))
    return np.stack([np.asarray(Image.fromarray(p).filter(kernel)) for p in pictures])


def patch_shuffle(pictures, random):
    """Puts the pieces of an 8 x 8 cut in a random order: textures stay, shapes go.

    Rows and columns that 8 does not divide stay where they are.
    """
    count, height, width, channels = pictures.shape
    h, w = height // PIECES, width // PIECES
    inner = pictures[:, : PIECES * h, : PIECES * w]
    cut = inner.reshape(count, PIECES, h, PIECES, w, channels).swapaxes(2, 3)
    cut = cut.reshape(count, PIECES**2, h, w, channels)
    cut = np.stack([pieces[random.permutation(PIECES**2)] for pieces in cut])
    cut = cut.reshape(count, PIECES, PIECES, h, w, channels).swapaxes(2, 3)
    shuffled = pictures.copy()
    shuffled[:, : PIECES * h, : PIECES * w] = cut.reshape(inner.shape)
    return shuffled


def noise(pictures, random):
    """Adds strong coloured noise to every pixel, the background included."""
    dirty = pictures + random.normal(0, NOISE, pictures.shape)
    return np.rint(dirty.clip(0, 255)).astype("uint8")


KINDS = {
    "palette swap": recolour.turn_hues,
    "blur": blur,
    "patch shuffle": patch_shuffle,
    "noise": noise,
}


def all_kinds(pictures, seed=0):
    """Returns {kind: damaged pictures} from mild to severe, the same for one seed."""
    random = np.random.default_rng(seed)
    return {kind: change(pictures, random) for kind, change in KINDS.items()}
