"""What betrays generated pictures, in numbers: soft edges, colours that bleed, holes,
crumbs, lattices (NumPy only).

Pictures are uint8 premultiplied RGBA (n, size, size, 4).
"""

import numpy as np

from pokeutils.common import images
from pokeutils.evaluation.likeness import SEEN

CHUNK = 128  # pictures at a time
CONTRAST = 40  # levels that a line of six pixels must span to count as an edge
SHADES = 12  # colours that a clean picture can nearly do with
FLAT = 4  # levels that neighbours of one area may differ by
NEAR = (
    24  # levels by which the background of a picture to cut out may differ from white
)
PERIOD = 4  # px after which the lattice of two layers of stride 2 repeats itself


def measure(pictures, names=None):
    """Returns {name: number} of what betrays generated pictures, means over pictures.

    edge: share of the change across an edge, inside of bodies, that happens from one
        pixel to the next: 1 is a step, 0.2 an even ramp over six pixels
    outer: the same where bodies meet the background
    bleed: the same inside, for colours alone, whatever the brightness
    flat: share of neighbouring pixels inside of bodies that have one colour
    tint: how much colours change from pixel to pixel, against how much brightness does
    shades: how far a picture is from the same with 12 colours, in levels
    rim: brightness inside minus that of the rim, in levels: outlines are dark
    ragged: length of the rim, against that of a disc as large as the body
    holes, crumbs: background inside of the body, and stray bits outside of it: shares
    haze: share of what can be seen that is half-transparent
    contrast: standard deviation of the brightness inside, in levels
    lattice: how much of the brightness hangs on the place in blocks of 4 x 4 px, as
        transposed convolutions leave it (Odena et al. 2016), in levels
    names: only these.
    """
    pictures = images.check(pictures, channels=(4,))
    starts = range(0, len(pictures), CHUNK)
    views = [_View(pictures[start : start + CHUNK]) for start in starts]
    sizes = [len(view.alpha) for view in views]
    return {
        name: float(np.average([MEASURES[name](v) for v in views], weights=sizes))
        for name in names or MEASURES
    }


class _View:
    """What the measures look at: floats in levels, and masks, all (n, s, s)."""

    def __init__(self, pictures):
        self.pictures, x = pictures, pictures.astype("float32")
        self.rgb, self.alpha = x[..., :3], x[..., 3]
        self.grey, self.colour = _split(self.rgb + 255 - x[..., 3:])  # on white
        self.body = self.alpha > 127
        self.inside = _shrunk(self.body)
        self.rim = self.body & ~self.inside
        self.count = np.maximum(self.body.sum((1, 2)), 1)

    def bleed(self):
        return _sharpness(self.colour, self.body)

    def flat(self):
        steps = np.abs(np.diff(self.rgb, axis=2)).max(-1) <= FLAT
        return _mean(steps, _pairs(self.inside)).mean()

    def tint(self):
        pairs = _pairs(self.inside)
        colour = _mean(np.abs(np.diff(self.colour, axis=2)).sum(-1), pairs)
        return colour.mean() / max(_mean(_steps(self.grey), pairs).mean(), 1e-6)

    def shades(self):
        few = images.reduce_palette(self.pictures, SHADES)[..., :3]
        return np.sqrt(_mean(((few - self.rgb) ** 2).sum(-1), self.body)).mean()

    def dark_rim(self):
        return (_mean(self.grey, self.inside) - _mean(self.grey, self.rim)).mean()

    def ragged(self):
        return (self.rim.sum((1, 2)) / np.sqrt(4 * np.pi * self.count)).mean()

    def holes(self):
        return ((_filled(self.body) & ~self.body).sum((1, 2)) / self.count).mean()

    def crumbs(self):
        return ((self.body & ~_largest(self.body)).sum((1, 2)) / self.count).mean()

    def haze(self):
        seen, solid = self.alpha > SEEN, self.alpha > 240
        return ((seen & ~solid).sum((1, 2)) / seen.sum((1, 2)).clip(1)).mean()

    def contrast(self):
        away = self.grey - _mean(self.grey, self.inside)[:, None, None]
        return np.sqrt(_mean(away**2, self.inside)).mean()

    def lattice(self):
        fine = self.grey - blur(self.grey[..., None], PERIOD / 2)[..., 0]
        near = blur(self.alpha[..., None], PERIOD / 2)[..., 0] > 64
        n, size = len(fine), fine.shape[1] // PERIOD * PERIOD

        def fold(x):
            blocks = x[:, :size, :size].reshape(n, size // PERIOD, PERIOD, -1, PERIOD)
            return blocks.sum((1, 3))

        return (fold(fine * near) / np.maximum(fold(near), 1)).std((1, 2)).mean()


MEASURES = {
    "edge": lambda view: _sharpness(view.grey[..., None], view.body),
    "outer": lambda view: _sharpness(view.alpha[..., None]),
    "bleed": _View.bleed,
    "flat": _View.flat,
    "tint": _View.tint,
    "shades": _View.shades,
    "rim": _View.dark_rim,
    "ragged": _View.ragged,
    "holes": _View.holes,
    "crumbs": _View.crumbs,
    "haze": _View.haze,
    "contrast": _View.contrast,
    "lattice": _View.lattice,
}


def cut_out(pictures):
    """RGB pictures on white, uint8 (n, size, size, 3) -> premultiplied RGBA: the
    background that touches the border becomes transparent. RGBA comes back as it is."""
    if pictures.shape[-1] == 4:
        return pictures
    opaque = np.pad(
        pictures, ((0, 0), (0, 0), (0, 0), (0, 1)), constant_values=np.uint8(255)
    )
    return np.stack([images.cut_ground(picture, NEAR) for picture in opaque])


def _sharpness(planes, where=None):
    """Largest step over whole change, mean of all lines of six pixels that span an edge
    and lie within the mask `where`. planes: (n, s, s, c)."""
    total, lines = 0.0, 0
    for axis in (1, 2):
        steps = np.abs(np.diff(planes, axis=axis))
        six, five = _windows(planes, axis, 6), _windows(steps, axis, 5)
        span = np.max(six, 0) - np.min(six, 0)
        edge = span > CONTRAST
        if where is not None:
            edge &= np.min(_windows(where, axis, 6), 0)[..., None]
        total += float((np.max(five, 0)[edge] / span[edge]).sum())
        lines += int(edge.sum())
    return total / lines if lines else 0.0


def _windows(planes, axis, length):
    """`length` views, each one pixel further along `axis` than the one before."""
    line = np.moveaxis(planes, axis, 1)
    return [line[:, i : line.shape[1] - length + 1 + i] for i in range(length)]


def _steps(plane):
    return np.abs(np.diff(plane, axis=2))


def _pairs(mask):
    return mask[:, :, 1:] & mask[:, :, :-1]


def _split(rgb):
    """Brightness (...) and two colour differences (..., 2), in levels."""
    grey = rgb @ np.array([0.299, 0.587, 0.114], "float32")
    return grey, rgb[..., ::2] - grey[..., None]


def _mean(values, where):
    """Mean of each picture over the pixels `where`: (n,), 0 without any."""
    return (values * where).sum((1, 2)) / np.maximum(where.sum((1, 2)), 1)


def _shrunk(mask):
    """`mask` without its outermost pixels."""
    padded = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
    return (
        mask
        & padded[:, :-2, 1:-1]
        & padded[:, 2:, 1:-1]
        & padded[:, 1:-1, :-2]
        & padded[:, 1:-1, 2:]
    )


def _reached(start, mask):
    """What can be reached from `start` within `mask`."""
    start = start & mask
    while True:
        grown = start
        for _ in range(6):
            grown = ~_shrunk(~grown) & mask
        if (grown == start).all():
            return grown
        start = grown


def _filled(body):
    """Bodies with their holes filled: all that the border's background does not
    reach."""
    border = np.zeros_like(body)
    border[:, [0, -1]] = border[:, :, [0, -1]] = True
    return ~_reached(border, ~body)


def _largest(body):
    """The part of each body around its most solid point: not the bits elsewhere."""
    depth = blur(body[..., None].astype("float32"), body.shape[1] / 12)[..., 0] * body
    deepest = depth.reshape(len(body), -1).argmax(1)
    start = np.zeros(body.shape, bool)
    start.reshape(len(body), -1)[np.arange(len(body)), deepest] = True
    return _reached(start, body)


def compare(sets):
    """Prints a table of `measure` for {name: pictures}, one row per flaw and one column
    per set; returns {name: measures}."""
    flaws = {name: measure(pictures) for name, pictures in sets.items()}
    print(" " * 10 + "".join(f"{name:>12}" for name in flaws))
    for kind in MEASURES:
        print(f"{kind:10}" + "".join(f"{row[kind]:12.3g}" for row in flaws.values()))
    return flaws


def blur(x, width):
    """Gaussian blur of floats (n, s, s, c); width: standard deviation in pixels, one or
    one per picture."""
    size = x.shape[1]
    apart = np.subtract.outer(np.arange(size), np.arange(size)).astype("float32")
    width = np.maximum(np.reshape(width, (-1, 1, 1)), 0.05).astype("float32")
    rows = np.exp(-0.5 * (apart / width) ** 2)
    rows /= rows.sum(-1, keepdims=True)
    done = np.matmul(rows, x.reshape(len(x), size, -1)).reshape(x.shape)
    return np.matmul(rows[:, None], done)
