"""RGBA canvases: read a picture of any kind, cut it out, fit it to a square.

Arrays are uint8 of shape (height, width, 4). "Straight" RGBA is what files hold;
"premultiplied" RGBA has its colours already multiplied by alpha, so transparent is
(0, 0, 0, 0). Only premultiplied pictures may be resized, or dark fringes appear.
"""

import io
import json
import pathlib
import re
import sys
import warnings

import numpy as np
from PIL import Image, ImageOps

MAX_BYTES = 64 * 2**20  # of one file
MAX_PIXELS = 64 * 10**6  # of one raster picture, before it is decoded
SOFT, HARD = 16, 127  # alpha above this is creature: artwork, pixel art
MARGIN = 0.04  # free space on each side, as a share of the canvas
NEAR_WHITE = 12  # noise on white stays within this
FRINGE, FRINGE_WHITE = 2, 48  # px, grey levels: the rings of JPEG around a creature
RESVG = "resvg_py==0.5.0"  # the renderer decides pixels, so it is pinned


def read(path, long_side=256):
    """Returns the picture at `path` as straight RGBA, at most `long_side` px long. Of
    an animation the first frame counts; a picture without transparency loses its white
    background. Raises ValueError with the reason for a file that is no picture we can
    trust."""
    path = pathlib.Path(path)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ValueError(f"{size / 2**20:.0f} MB; at most {MAX_BYTES >> 20} MB")
    data = path.read_bytes()
    if path.suffix.lower() == ".svg":
        return _read_svg(data, long_side)
    return _read_raster(data, long_side)


def _read_svg(data, long_side):
    # An SVG can name files of this machine, and resvg would open them.
    if re.search(rb"<([^\s<>/]+:)?(image|feImage)\b|<!ENTITY", data, re.IGNORECASE):
        raise ValueError("the SVG embeds other files or entities")
    try:
        import resvg_py
    except ImportError:
        raise RuntimeError(f"SVGs need {RESVG}: pip install {RESVG}") from None

    png = resvg_py.svg_to_bytes(
        svg_string=data.decode("utf-8", "replace"),
        width=long_side,  # both given: drawn to fit inside, proportions kept
        height=long_side,
        skip_system_fonts=True,  # the same pixels on every machine
    )
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def _read_raster(data, long_side):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)  # on what a camera wrote into it
        try:
            rgba, jpeg = _decode(data, long_side)
        except Image.UnidentifiedImageError:
            start = data[:16].decode("ascii", "replace").strip()
            raise ValueError(f"not a picture (it begins with {start!r})") from None
        except ValueError:
            raise
        except Exception as error:  # decoders raise nearly every kind there is
            reason = str(error) or type(error).__name__
            raise ValueError(f"cannot be decoded: {reason}") from None
    if max(rgba.shape[:2]) > long_side:
        rgba = unpremultiply(_resize(premultiply(rgba), long_side))
    if rgba[..., 3].min() < 255:
        return rgba
    return cut_ground(rgba, fringe=FRINGE if jpeg else 0)


def _decode(data, long_side):
    """Returns straight RGBA, upright, and whether it was a JPEG."""
    image = Image.open(io.BytesIO(data))
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width} x {image.height} px is too large")
    image.verify()  # checksums: a zeroed PNG would decode without complaint
    image = Image.open(io.BytesIO(data))
    image.draft(None, (2 * long_side, 2 * long_side))  # JPEG: decode no finer
    image.load()
    jpeg = image.format in ("JPEG", "MPO")
    image = _eight_bits(ImageOps.exif_transpose(image))
    if not image.has_transparency_data:  # CMYK and the like have no direct way to RGBA
        image = image.convert("RGB")
    image = image.convert("RGBA")
    # What is many times too large is reduced before arrays are made of it: with them, a
    # GIF of 46 kB would take 2 GB.
    factor = max(image.size) // (4 * long_side)
    return np.asarray(image.reduce(factor) if factor > 1 else image), jpeg


def _eight_bits(image):
    """Greys of 16 bits scaled to 8; Pillow would clip them, and most become white."""
    if not image.mode.startswith("I"):
        return image
    greys = np.asarray(image)
    levels = (greys.clip(0, 65535).astype(np.uint32) + 128) // 257
    scaled = Image.fromarray(levels.astype(np.uint8))
    if "transparency" in image.info:  # a grey that means nothing is there
        seen = greys != image.info["transparency"]
        scaled.putalpha(Image.fromarray(np.where(seen, np.uint8(255), np.uint8(0))))
    return scaled


def cut_ground(rgba, near=NEAR_WHITE, fringe=0):
    """Makes the white that touches the border of an opaque picture transparent, with
    `fringe` px of what is nearly as white, as JPEG leaves them."""
    darkness = np.pad(255 - rgba[..., :3].min(axis=-1), 1)
    background = np.zeros(darkness.shape, bool)
    background[[0, -1]] = background[:, [0, -1]] = True
    size, white, nearly = 0, darkness <= near, darkness <= FRINGE_WHITE
    while size != (size := int(background.sum())):  # grow until it no longer grows
        for _ in range(8):
            _grow(background, white)
    for _ in range(fringe):
        _grow(background, nearly)
    return np.where(background[1:-1, 1:-1, None], np.uint8(0), rgba)


def _grow(area, white):
    """Adds to an area, in place, the white beside it."""
    area[1:] |= area[:-1] & white[1:]
    area[:-1] |= area[1:] & white[:-1]
    area[:, 1:] |= area[:, :-1] & white[:, 1:]
    area[:, :-1] |= area[:, 1:] & white[:, :-1]


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
    alpha = premultiplied[..., 3:].astype(np.int32)
    behind = (np.asarray(background) * (255 - alpha) + 127) // 255
    return (premultiplied[..., :3] + behind).clip(0, 255).astype(np.uint8)


def mirror(images):
    """Returns one picture or a batch (..., height, width, channels) left-right."""
    return images[..., ::-1, :]


def reduce_palette(pictures, colours=16):
    """Returns uint8 premultiplied RGBA (n, s, s, 4) painted with at most so many flat
    colours each, 1 to 256, as in pixel art: found by median cut (Heckbert 1982), then
    moved to the means of what they stand for. Alpha is left as it is."""
    if not 1 <= colours <= 256:
        raise ValueError(f"colours={colours}; a palette has 1 to 256.")
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
    then enlarged by a whole factor; on a smaller canvas it is fitted as all else is."""
    if pixel_art and size >= pixel_art:
        small, factor = place(read(path), pixel_art), size // pixel_art
        return small.repeat(factor, axis=0).repeat(factor, axis=1)
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
