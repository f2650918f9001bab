"""More training pictures from the same ones: other hues, mirror images, colour jitter.

Pictures are uint8 (n, height, width, 3) RGB or (..., 4) premultiplied RGBA. They are
changed once, before training; what changes during training is in `augment`.
"""

import numpy as np

from pokeutils.common import images

# Brightness and saturation (before premultiplication) between which a colour goes from
# left alone to fully turned: an outline is dark, a highlight is white.
DARK, PALE = (0.25, 0.40), (0.10, 0.25)
CHUNK = 64  # pictures at a time, so that floats of a whole set never exist


def with_copies(pictures, changes):
    """Returns the pictures followed by a changed copy of all of them for each of
    `changes`: degrees (hue), "mirrored" or "jittered"."""
    named = {"mirrored": images.mirror, "jittered": jitter}
    copies = [
        named[change](pictures) if change in named else turn_hue(pictures, change)
        for change in changes
    ]
    return np.concatenate([pictures, *copies])


def turn_hue(pictures, degrees):
    """Turns every colour around the colour wheel: 120 makes red green. Brightness and
    saturation stay; dark outlines and pale highlights are left alone (`DARK`, `PALE`).
    """
    images.check(pictures)
    changed = np.empty_like(pictures)
    for start in range(0, len(pictures), CHUNK):
        part = slice(start, start + CHUNK)
        changed[part] = _turn(pictures[part], degrees)
    return changed


def turn_hues(pictures, random):
    """Turns each picture's colours by its own 60 to 300 degrees, drawn from the NumPy
    generator `random`; see `turn_hue`."""
    degrees = random.uniform(60, 300, len(pictures))
    pairs = zip(pictures, degrees, strict=True)
    return np.concatenate([turn_hue(picture[None], turn) for picture, turn in pairs])


def _turn(pictures, degrees):
    """Returns `turn_hue` of a few pictures, in floating point."""
    colour = pictures[..., :3].astype("float32")
    most = colour.max(-1, keepdims=True)
    spread = most - colour.min(-1, keepdims=True)
    # A channel of hue h, in sixths of the wheel (Smith 1978): the same for
    # premultiplied colours, because all is in proportion to the largest channel.
    hue = _hue(colour, most[..., 0], spread[..., 0]) + degrees / 60
    places = (np.array([5, 3, 1], "float32") + hue[..., None]) % 6
    turned = most - spread * np.clip(np.minimum(places, 4 - places), 0, 1)

    alpha = pictures[..., 3:] if pictures.shape[-1] == 4 else np.float32(255)
    weight = _ramp(most / np.maximum(alpha, 1), DARK)
    weight *= _ramp(spread / np.maximum(most, 1), PALE)
    turned = np.rint(colour + weight * (turned - colour)).astype("uint8")
    return np.concatenate([turned, pictures[..., 3:]], axis=-1)


def _hue(colour, most, spread):
    """Returns the hue of RGB (..., 3) in sixths of the wheel, 0 to 6; 0 for greys."""
    red, green, blue = np.moveaxis(colour, -1, 0)
    safe = np.maximum(spread, 1e-6)
    hue = np.where(most == green, 2 + (blue - red) / safe, 4 + (red - green) / safe)
    hue = np.where(most == red, (green - blue) / safe, hue)
    return np.where(spread > 0, hue, 0) % 6


def _ramp(values, ends):
    """Returns 0 below the first end, 1 above the second, a straight line between."""
    low, high = ends
    return np.clip((values - low) / (high - low), 0, 1)


def jitter(pictures, brightness=0.5, contrast=0.5, saturation=0.5, seed=0):
    """Multiplies brightness, contrast and saturation of every picture by a random
    factor each, from 1 - x to 1 + x, in a random order, as PyTorch's ColorJitter does.
    It greys half of the white backgrounds, too: project 002 does so."""
    images.check(pictures)
    random = np.random.default_rng(seed)
    amounts = np.array([brightness, contrast, saturation])
    changed = np.empty_like(pictures)
    for i, picture in enumerate(pictures):
        x = picture[..., :3].astype("float32")
        factors = 1 + amounts * random.uniform(-1, 1, 3)
        for kind in random.permutation(3):
            x = np.clip(_blend(x, kind, np.float32(factors[kind])), 0, 255)
        if picture.shape[-1] == 4:
            x = np.minimum(x, picture[..., 3:])
        changed[i, ..., :3] = np.rint(x)
        changed[i, ..., 3:] = picture[..., 3:]
    return changed


def _blend(x, kind, factor):
    """Moves x away from black (0), its mean grey (1) or its own greys (2)."""
    if kind == 0:
        return factor * x
    grey = x @ np.array([0.299, 0.587, 0.114], "float32")
    centre = grey.mean() if kind == 1 else grey[..., None]
    return centre + factor * (x - centre)
