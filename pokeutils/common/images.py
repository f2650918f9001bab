"""RGBA canvases: read a picture of any kind, cut it out, fit it to a square.

Arrays are uint8 of shape (height, width, 4). "Straight" RGBA is what files hold;
"premultiplied" RGBA has its colours already multiplied by alpha, so transparent is
(0, 0, 0, 0). Only premultiplied pictures may be resized, or dark fringes appear.
"""

import json
import pathlib
import sys

import numpy as np
from PIL import Image

from pokeutils.common import background, formats
from pokeutils.common.background import HARD

MAX_BYTES = formats.MAX_BYTES  # of one file
SOFT = 16  # alpha above this is creature, in artwork; in pixel art it is HARD
MARGIN = 0.04  # free space on each side, as a share of the canvas
OPAQUE = 0.98  # share of a picture's pixels; below it, alpha says what is creature


def read(path, long_side=256):
    """Returns the picture at `path` as straight RGBA, at most `long_side` px long. Of
    an animation the first frame that shows something counts; a picture without
    transparency loses its background if that has one colour. Raises ValueError with the
    reason for a file that is no picture we can trust."""
    path = pathlib.Path(path)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{size / 2**20:.0f} MB; at most {MAX_BYTES >> 20} MB")
    rgba, lossy = formats.decode(path.read_bytes(), path.suffix.lower(), long_side)
    if max(rgba.shape[:2]) > long_side:
        rgba = unpremultiply(_resize(premultiply(rgba), long_side))
    if (rgba[..., 3] > HARD).mean() < OPAQUE:
        return rgba
    return background.cut(rgba, fringe=background.FRINGE if lossy else 0)


def check(pictures, channels=(3, 4)):
    """Returns `pictures` as an array of uint8 (n, height, width, channels), n > 0.
    Raises ValueError, which says what was given and what is expected, for others."""
    if isinstance(pictures, (list, tuple)):
        shapes = sorted({np.shape(picture) for picture in pictures})
        if len(shapes) > 1:
            raise ValueError(f"All pictures must have one size; these have {shapes}.")
    array = np.asarray(pictures)
    fits = array.ndim == 4 and array.shape[-1] in channels and array.size
    if array.dtype != np.uint8 or not fits:
        wanted = " or ".join(map(str, channels))
        raise ValueError(
            f"Got {array.dtype} of shape {array.shape}; expected uint8 pictures "
            f"(n, height, width, {wanted}), n > 0."
        )
    return array


def at_least(least, **values):
    """Raises ValueError, which names it, for a value that is no whole number from
    `least` on."""
    for name, value in values.items():
        if not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(
                f"{name}={value}; expected a whole number from {least} on."
            )


def check_premultiplied(pictures):
    """Raises ValueError for uint8 pictures (..., 4) whose colours are straight."""
    if pictures.shape[-1] != 4:
        return
    excess = pictures[..., :3].max(-1).astype(np.int16) - pictures[..., 3]
    if excess.max() > 2:  # rounding may cost one or two levels, straight alpha more
        raise ValueError(
            "Some colours are brighter than their alpha allows: this is straight "
            "RGBA. Use images.premultiply first."
        )


def premultiply(rgba):
    """Returns straight RGBA with its colours multiplied by alpha."""
    alpha = rgba[..., 3:].astype(np.uint16)
    colour = (rgba[..., :3] * alpha + 127) // 255
    return np.concatenate([colour, alpha], axis=-1).astype(np.uint8)


def unpremultiply(premultiplied):
    """Returns premultiplied RGBA with its colours divided by alpha again."""
    alpha = premultiplied[..., 3:].astype(np.uint16)
    colour = (premultiplied[..., :3] * np.uint16(255) + alpha // 2) // alpha.clip(1)
    return np.concatenate([colour.clip(0, 255), alpha], axis=-1).astype(np.uint8)


def composite(premultiplied, background=255):
    """Lays premultiplied RGBA (..., 4) on a colour (0-255 or a triple): RGB uint8."""
    alpha = premultiplied[..., 3:].astype(np.uint16)  # no wider: sets can be large
    behind = (np.asarray(background, np.uint16) * (255 - alpha) + 127) // 255
    behind = behind.astype(np.uint8)
    return np.minimum(premultiplied[..., :3], 255 - behind) + behind


def mirror(images):
    """Returns one picture or a batch (..., height, width, channels) left-right."""
    return images[..., ::-1, :]


def reduce_palette(pictures, colours=16):
    """Returns uint8 premultiplied RGBA (n, s, s, 4) painted with at most so many flat
    colours each, as in pixel art: found by median cut (Heckbert 1982), then
    moved to the means of what they stand for. Alpha is left as it is."""
    done = pictures.copy()
    for picture in done:
        seen = picture[..., 3] > 0
        if seen.any():
            straight = unpremultiply(picture)[seen]
            row = Image.fromarray(straight[None, :, :3])
            kind = Image.Quantize.MEDIANCUT
            flat = row.quantize(colours, kind, kmeans=4, dither=0)
            straight[:, :3] = np.asarray(flat.convert("RGB"))[0]
            picture[seen] = premultiply(straight)
    return done


def box(rgba, threshold=SOFT):
    """Returns (left, top, right, bottom) of what is more opaque than `threshold`, or
    raises ValueError when nothing is."""
    solid = rgba[..., 3] > threshold
    if not solid.any():
        raise ValueError("nothing to see: every pixel is transparent")
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def crop(rgba, threshold=SOFT):
    """Returns the part of the picture that is more opaque than `threshold`."""
    left, top, right, bottom = box(rgba, threshold)
    return rgba[top:bottom, left:right]


def is_box(premultiplied):
    """Returns whether a picture fills the box around it, as one does whose background
    could not be cut out: most of the box's border is opaque. Of creatures it is at most
    44 %, at 16 px."""
    return bool((background.rim(crop(premultiplied))[:, 3] > HARD).mean() > 0.5)


def fit(rgba, size, margin=MARGIN):
    """Cuts out the creature and centres it, with a margin, on a square canvas: straight
    RGBA to premultiplied (size, size, 4). Raises ValueError for an empty picture."""
    inner = max(1, round(size * (1 - 2 * margin)))
    return _centre(_resize(premultiply(crop(rgba)), inner), size)


def place(rgba, size):
    """Centres pixel art on a square canvas without resizing it: straight RGBA to
    premultiplied (size, size, 4). Raises ValueError when it is too large."""
    creature = crop(rgba, HARD)
    height, width = creature.shape[:2]
    if max(height, width) > size:
        raise ValueError(f"{width} x {height} px does not fit {size} x {size}")
    return _centre(premultiply(creature), size)


def reduce_pixel_art(rgba, side, ink=0.5):
    """Reduces pixel art to `side` px on its long side, without new colours: straight
    RGBA to straight RGBA.

    Every pixel takes the colour that covers most of its place, so that flat areas stay
    flat and edges hard. The darkest count 1 + `ink` times, or outlines would break.
    """
    height, width = rgba.shape[:2]
    factor = side / max(height, width)
    colours, index = np.unique(rgba.reshape(-1, 4), axis=0, return_inverse=True)
    painted = index.reshape(height, width)[..., None] == np.arange(len(colours))
    rows, columns = (_cover(n, max(1, round(n * factor))) for n in (height, width))
    area = np.tensordot(rows, painted.astype(np.float32), 1)
    area = columns @ area  # (new height, new width, colours)
    dark = 1 - colours[:, :3].mean(axis=1, dtype=np.float32) / 255
    weight = 1 + ink * dark**2 * (colours[:, 3] > HARD)
    return colours[(area * weight).argmax(axis=-1)]


def _cover(count, fewer):
    """How much of each of `count` px lies in each of `fewer`: (fewer, count)."""
    ends, starts = np.arange(fewer + 1) * (count / fewer), np.arange(count)
    first = np.maximum(ends[:-1, None], starts)
    last = np.minimum(ends[1:, None], starts + 1)
    return (last - first).clip(0).astype(np.float32)


def scale(premultiplied, factor, resampling=Image.Resampling.LANCZOS):
    """Returns premultiplied RGBA at `factor` times its size: float32, within 0 to 255,
    with colours of at most alpha."""
    height, width = premultiplied.shape[:2]
    shape = max(1, round(width * factor)), max(1, round(height * factor))
    planes = np.moveaxis(premultiplied.astype(np.float32), -1, 0)
    planes = [Image.fromarray(plane).resize(shape, resampling) for plane in planes]
    result = np.stack(planes, axis=-1).clip(0, 255)
    result[..., :3] = np.minimum(result[..., :3], result[..., 3:])  # overshoot
    return result


def _resize(premultiplied, long_side):
    result = scale(premultiplied, long_side / max(premultiplied.shape[:2]))
    return result.round().astype(np.uint8)


def _centre(premultiplied, size):
    height, width = premultiplied.shape[:2]
    top, left = (size - height) // 2, (size - width) // 2
    canvas = np.zeros((size, size, 4), np.uint8)
    canvas[top : top + height, left : left + width] = premultiplied
    return canvas


def to_uint8(x):
    """Turns floats in [-1, 1], such as a network's, into uint8, rounded and clipped.
    Raises ValueError for NaN, which a network with damaged weights draws."""
    levels = np.rint((np.asarray(x, "float32") + 1.0) * 127.5)
    if np.isnan(levels).any():
        raise ValueError("A picture holds NaN: the weights that drew it are damaged.")
    return np.clip(levels, 0, 255).astype("uint8")


def over(pictures, background=255):
    """Does what `composite` does, and returns RGB pictures as they are."""
    return pictures if pictures.shape[-1] == 3 else composite(pictures, background)


def shrink(pictures, side):
    """Reduces pictures (n, s, s, c) by the largest whole factor that leaves `side` px,
    to block means. Smaller ones come back as they are."""
    at_least(1, side=side)
    n, size, _, channels = pictures.shape
    step = max([k for k in range(1, size // side + 1) if size % k == 0], default=1)
    if step == 1:
        return pictures
    blocks = pictures.reshape(n, size // step, step, size // step, step, channels)
    return np.rint(blocks.mean(axis=(2, 4), dtype="float32")).astype("uint8")


def bilinear(pictures, rows, columns, outside=0):
    """Reads pictures (n, h, w, c) between their pixels, at rows and columns that are
    float (n, height, width): floats (n, height, width, c), `outside` beyond the border.
    """
    count, height, width, _ = pictures.shape
    border = ((0, 0), (1, 1), (1, 1), (0, 0))
    padded = np.pad(pictures, border, constant_values=outside).astype(np.float32)
    rows = np.clip(rows + 1, 0, height + 0.99)
    columns = np.clip(columns + 1, 0, width + 0.99)
    top, left = rows.astype(int), columns.astype(int)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    n = np.arange(count)[:, None, None]

    def between(row):
        return (1 - right) * padded[n, row, left] + right * padded[n, row, left + 1]

    return (1 - down) * between(top) + down * between(top + 1)


def canvas(path, size, pixel_art=0):
    """Returns the premultiplied (size, size, 4) training picture made from a file.
    Pixel art is placed on the canvas it was drawn for, `pixel_art` px wide, which is
    then enlarged by a whole factor. On a smaller canvas it keeps its scale too, and
    what does not fit is reduced without blur. All else is fitted."""
    if pixel_art and size >= pixel_art:
        small, factor = place(read(path), pixel_art), size // pixel_art
        return small.repeat(factor, axis=0).repeat(factor, axis=1)
    if pixel_art:
        art = crop(read(path), HARD)
        large = max(art.shape[:2]) > size
        return place(reduce_pixel_art(art, size) if large else art, size)
    return fit(read(path, long_side=max(256, 4 * size)), size)


def serve():
    """Answers requests for canvases, one JSON line each, until standard input ends.
    `prepare` runs this module as a process of its own: decoders then use both cores,
    and one that hangs or crashes on a broken file costs that file, not the session."""
    out = sys.stdout.buffer
    for line in sys.stdin:
        try:
            answer, data = None, canvas(**json.loads(line)).tobytes()
        except Exception as error:  # whatever a decoder raises is a reason to report
            answer, data = f"{error}" or type(error).__name__, b""
        out.write(json.dumps(answer).encode() + b"\n" + data)
        out.flush()


if __name__ == "__main__":
    serve()
