"""Clean pictures spoilt the way generators spoil theirs, as much as given samples are
(NumPy only): what `sharpen` learns to undo. And the measures of how much that is.

Pictures are uint8 premultiplied RGBA (n, size, size, 4). Lengths are in shares of the
side, so that a strength means the same at every size.
"""

import numpy as np

from pokeutils import images

CHUNK = 128  # pictures at a time
CONTRAST = 40  # levels that a line of six pixels must span to count as an edge
SHADES = 12  # colours that a clean picture can nearly do with
FLAT = 4  # levels that neighbours of one area may differ by
PERIOD = 4  # px after which the lattice of two layers of stride 2 repeats itself


# ------------------------------------------------------------------ how samples fail


def measure(pictures, names=None):
    """Returns {name: number} of what betrays generated pictures, means over pictures.

    edge: share of the change across an edge, inside of bodies, that happens from one
        pixel to the next: 1 is a step, 0.2 an even ramp over six pixels
    outer: the same where bodies meet the ground
    bleed: the same inside, for colours alone, whatever the brightness
    flat: share of neighbouring pixels inside of bodies that have one colour
    tint: how much colours change from pixel to pixel, against how much brightness does
    shades: how far a picture is from the same with 12 colours, in levels
    rim: brightness inside minus that of the rim, in levels: outlines are dark
    ragged: length of the rim, against that of a disc as large as the body
    holes, crumbs: ground inside of the body, and stray bits outside of it: shares
    haze: share of what can be seen that is half-transparent
    contrast: standard deviation of the brightness inside, in levels
    lattice: how much of the brightness hangs on the place in blocks of 4 x 4 px, as
        transposed convolutions leave it (Odena et al. 2016), in levels
    names: only these.
    """
    pictures = check(pictures)
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
        seen, solid = self.alpha > 15, self.alpha > 240
        return ((seen & ~solid).sum((1, 2)) / seen.sum((1, 2)).clip(1)).mean()

    def contrast(self):
        away = self.grey - _mean(self.grey, self.inside)[:, None, None]
        return np.sqrt(_mean(away**2, self.inside)).mean()

    def lattice(self):
        fine = self.grey - _blur(self.grey[..., None], PERIOD / 2)[..., 0]
        near = _blur(self.alpha[..., None], PERIOD / 2)[..., 0] > 64
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


def check(pictures):
    """Returns premultiplied RGBA pictures as they are. ValueError for anything else."""
    shape, dtype = np.shape(pictures), getattr(pictures, "dtype", type(pictures))
    if dtype != np.uint8 or len(shape) != 4 or shape[-1] != 4 or not shape[0]:
        raise ValueError(
            f"Got {dtype} {shape}; expected uint8 premultiplied RGBA (n, size, size, "
            "4), n > 0. degrade.cut_out makes that of RGB pictures on white."
        )
    return np.asarray(pictures)


def cut_out(pictures, near=24):
    """RGB pictures on white, uint8 (n, size, size, 3) -> premultiplied RGBA: the ground
    that touches the border becomes transparent. RGBA comes back as it is.

    near: levels by which the ground may differ from white.
    """
    if pictures.shape[-1] == 4:
        return pictures
    opaque = np.pad(
        pictures, ((0, 0), (0, 0), (0, 0), (0, 1)), constant_values=np.uint8(255)
    )
    return np.stack([images.cut_ground(one, near) for one in opaque])


def _sharpness(planes, where=None):
    """Largest step over whole change, mean of all lines of six pixels that span an edge
    and lie within the mask `where`. planes: (n, s, s, c)."""
    found, lines = 0.0, 0
    for axis in (1, 2):
        steps = np.abs(np.diff(planes, axis=axis))
        six, five = _windows(planes, axis, 6), _windows(steps, axis, 5)
        span = np.max(six, 0) - np.min(six, 0)
        edge = span > CONTRAST
        if where is not None:
            edge &= np.min(_windows(where, axis, 6), 0)[..., None]
        found += float((np.max(five, 0)[edge] / span[edge]).sum())
        lines += int(edge.sum())
    return found / lines if lines else 0.0


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


def _spread(seeds, mask):
    """What can be reached from `seeds` within `mask`."""
    seeds = seeds & mask
    while True:
        grown = seeds & mask
        for _ in range(6):
            grown = ~_shrunk(~grown) & mask
        if (grown == seeds).all():
            return grown
        seeds = grown


def _filled(body):
    """Bodies with their holes filled: all that the border's ground does not reach."""
    border = np.zeros_like(body)
    border[:, [0, -1]] = border[:, :, [0, -1]] = True
    return ~_spread(border, ~body)


def _largest(body):
    """The part of each body around its most solid point: not the bits elsewhere."""
    depth = _blur(body[..., None].astype("float32"), body.shape[1] / 12)[..., 0] * body
    deepest = depth.reshape(len(body), -1).argmax(1)
    seeds = np.zeros(body.shape, bool)
    seeds.reshape(len(body), -1)[np.arange(len(body)), deepest] = True
    return _spread(seeds, body)


# ------------------------------------------------------------------ spoiling pictures
# Each takes floats (n, s, s, 4) in [0, 1], strengths (n, 1, 1, 1) and random numbers.
# What it is called is what it does; what it raises or lowers stands in MEASURED.


def _blurred(x, strength, random):
    """Everything runs into its neighbours, the ground as well."""
    return _blur(x, strength * x.shape[1] / 16)


def _wash(x, strength, random):
    """Colours run inside of the body; where it ends stays sharp."""
    wet = _straight(_blur(x, strength * x.shape[1] / 12))
    return np.concatenate([wet * x[..., 3:], x[..., 3:]], -1)


def _bleed(x, strength, random):
    """Colours run, brightness stays: watercolours on a drawing."""
    soft = _straight(_blur(x, strength * x.shape[1] / 8))
    change = (_straight(x) - soft) @ np.array([0.299, 0.587, 0.114], "float32")
    wet = (soft + change[..., None]).clip(0, 1)
    return np.concatenate([wet * x[..., 3:], x[..., 3:]], -1)


def _mottle(x, strength, random):
    """Each place has a tint of its own."""
    return _tint(x, strength * _smooth(random, x, x.shape[1] / 16, 3))


def _speckle(x, strength, random):
    """Each pixel has a shade of its own."""
    return _tint(x, 0.5 * strength * _smooth(random, x, 0.5, 3))


def _lost_rim(x, strength, random):
    """Dark lines give way to the lightest neighbour: outlines go."""
    alpha, best = x[..., 3:], _straight(x)
    light = x[..., :3].sum(-1, keepdims=True)
    for _ in range(max(2, x.shape[1] // 24)):  # pixels that it reaches
        near, shade = best, light
        for axis, way in ((1, 1), (1, -1), (2, 1), (2, -1)):
            other, value = (np.roll(a, way, axis) for a in (best, light))
            near = np.where(value > shade, other, near)
            shade = np.maximum(value, shade)
        best, light = near, shade
    lost = (1 - strength) * x[..., :3] + strength * best * alpha
    return np.concatenate([lost, alpha], -1)


def _ragged(x, strength, random):
    """The picture is bent here and there by a pixel or two: smooth rims wobble."""
    n, size, _, _ = x.shape
    shift = strength * size / 16 * _smooth(random, x, size / 32, 2)
    places = np.indices((size, size)).transpose(1, 2, 0) + shift
    return _pick(x, places.clip(0, size - 1))


def _holes(x, strength, random):
    """Ground shows through the body."""
    return x * (1 - _blobs(random, x, strength * 0.5))


def _crumbs(x, strength, random):
    """Bits of the creature's colours lie about, apart from it."""
    size = x.shape[1]
    far = np.roll(x, (size // 2, size // 2), (1, 2))  # what there is, elsewhere
    far = _straight(_blur(far, size / 8)).clip(0, 1)
    apart = _blur(x[..., 3:], size / 32) < 0.02
    bits = apart * _blobs(random, x, strength * 0.5)
    return x + np.concatenate([far * bits, bits], -1)


def _lattice(x, strength, random):
    """A pattern that repeats itself lies over everything: tints, and thin places."""
    times = -(-x.shape[1] // (2 * PERIOD))
    shape = (len(x), 2 * PERIOD, 2 * PERIOD, 4)
    pattern = random.standard_normal(shape, "float32")
    pattern = np.tile(pattern, (1, times, times, 1))[:, : x.shape[1], : x.shape[1]]
    pattern = strength * pattern
    return _tint(x, 0.5 * pattern[..., :3]) * (1 - pattern[..., 3:].clip(0, 1))


def _haze(x, strength, random):
    """Bodies are half-transparent in places, and the ground is not quite clear."""
    cloud = np.abs(_smooth(random, x, x.shape[1] / 12, 1))
    thin = x * (1 - (strength * cloud).clip(0, 0.9))
    tone = x.sum((1, 2), keepdims=True)
    tone = tone / np.maximum(tone[..., 3:], 1e-6)
    veil = (strength * (_smooth(random, x, x.shape[1] / 12, 1) - 1)).clip(0, 0.5)
    return thin + tone * veil * (1 - thin[..., 3:])


def _fade(x, strength, random):
    """Everything inside is nearer to the creature's mean colour."""
    alpha = x[..., 3:]
    total = x.sum((1, 2), keepdims=True)
    mean = total[..., :3] / np.maximum(total[..., 3:], 1e-6)
    return np.concatenate(
        [(1 - strength) * x[..., :3] + strength * mean * alpha, alpha], -1
    )


def _glare(x, strength, random):
    """Everything inside is further from the creature's mean colour."""
    return _clean(_fade(x, -2 * strength, random))


KINDS = {  # in the order in which they are applied: the drawing first, the film last
    "lost rim": _lost_rim,
    "fade": _fade,
    "glare": _glare,
    "wash": _wash,
    "bleed": _bleed,
    "mottle": _mottle,
    "ragged": _ragged,
    "holes": _holes,
    "crumbs": _crumbs,
    "haze": _haze,
    "lattice": _lattice,
    "blur": _blurred,
    "speckle": _speckle,
}
MEASURED = {  # the measure by which a kind's strength is found, and which way it moves
    "lost rim": ("rim", -1),
    "fade": ("contrast", -1),
    "glare": ("contrast", 1),
    "wash": ("edge", -1),
    "bleed": ("bleed", -1),
    "mottle": ("shades", 1),
    "ragged": ("ragged", 1),
    "holes": ("holes", 1),
    "crumbs": ("crumbs", 1),
    "haze": ("haze", 1),
    "lattice": ("lattice", 1),
    "blur": ("outer", -1),
    "speckle": ("flat", -1),
}


def degrade(pictures, strengths, seed=0, vary=False):
    """Returns the pictures spoilt: uint8, the same shape; the same for the same seed.

    strengths: {kind: 0 to 1}, see `KINDS`; a kind that is not named is left out.
    vary: each picture gets a strength of its own, from 0 to twice as much.
    """
    check(pictures)
    unknown = set(strengths) - set(KINDS)
    if unknown or not all(0 <= value <= 1 for value in strengths.values()):
        raise ValueError(
            f"Got strengths {strengths}; expected numbers from 0 to 1 for some of "
            f"{', '.join(KINDS)}."
        )
    done = np.empty_like(pictures)
    for start in range(0, len(pictures), CHUNK):
        part = slice(start, start + CHUNK)
        random = np.random.default_rng([seed, start])
        done[part] = _degrade(pictures[part], strengths, random, vary)
    return done


def _degrade(pictures, strengths, random, vary):
    x = pictures.astype("float32") / 255
    for kind, change in KINDS.items():
        if not strengths.get(kind):
            continue
        spread = random.uniform(0, 2, len(x)) if vary else np.ones(len(x))
        strength = (strengths[kind] * spread).clip(0, 1).astype("float32")
        x = _clean(change(x, strength[:, None, None, None], random))
    return np.rint(255 * x).astype("uint8")


def calibrate(samples, clean, seed=0, count=64, rounds=2, show=None):
    """Returns {kind: strength} by which `clean` pictures fail as much as `samples` do.

    Each strength is the weakest at which its measure (`MEASURED`) agrees, or at which
    it comes nearest: crumbs that are too many join into one body, and are crumbs no
    more. One kind changes the measures of others, hence `rounds`. Both are uint8
    premultiplied RGBA of one size; at most `count` of them are looked at. show: called
    with a line a kind.
    """
    for one in (samples, clean):
        check(one)
    wanted = measure(samples[:count])
    few = clean[np.unique(np.linspace(0, len(clean) - 1, count).astype(int))]
    found = dict.fromkeys(KINDS, 0.0)
    for _ in range(rounds):
        for kind, (name, sign) in MEASURED.items():

            def lacks(root, kind=kind, name=name, sign=sign):
                """By how much the measure has yet to move."""
                tried = degrade(few, {**found, kind: root**2}, seed)
                return sign * (wanted[name] - measure(tried, [name])[name])

            found[kind] = round(_weakest(lacks) ** 2, 3)
    if show:
        now = measure(degrade(few, found, seed))
        for kind, (name, _) in MEASURED.items():
            show(
                f"{kind:9}{found[kind]:5.2f}   {name:9}"
                f"{wanted[name]:8.3g} wanted, {now[name]:8.3g} reached"
            )
    return found


def _weakest(lacks, steps=8, halvings=2):
    """The lowest of 0 to 1 at which `lacks` falls to 0, or else the one nearest to it.
    Roots of strengths, because little is met more often than much."""
    last, values = 0.0, {0.0: lacks(0.0)}
    while values[last] > 0 and last < 1:
        values[last + 1 / steps] = lacks(last + 1 / steps)
        last += 1 / steps
    if values[last] > 0:
        return min(values, key=values.get)
    low, high = max(0.0, last - 1 / steps), last
    for _ in range(halvings if high else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if lacks(middle) > 0 else (low, middle)
    return (low + high) / 2


# ------------------------------------------------------------------ shared parts


def _clean(x):
    """Keeps colours within [0, alpha] and alpha within [0, 1]."""
    alpha = x[..., 3:].clip(0, 1)
    return np.concatenate([np.clip(x[..., :3], 0, alpha), alpha], -1)


def _straight(x):
    """Colours as they are where alpha is 1; black where nothing is."""
    return x[..., :3] / np.maximum(x[..., 3:], 1 / 255)


def _tint(x, change):
    """Adds to the straight colours."""
    alpha = x[..., 3:]
    return np.concatenate([x[..., :3] + change * alpha, alpha], -1)


def _blur(x, width):
    """Gaussian blur; width: standard deviation in pixels, one or one a picture."""
    size = x.shape[1]
    apart = np.subtract.outer(np.arange(size), np.arange(size)).astype("float32")
    width = np.maximum(np.reshape(width, (-1, 1, 1)), 0.05).astype("float32")
    rows = np.exp(-0.5 * (apart / width) ** 2)
    rows /= rows.sum(-1, keepdims=True)
    done = np.matmul(rows, x.reshape(len(x), size, -1)).reshape(x.shape)
    return np.matmul(rows[:, None], done)


def _smooth(random, x, width, channels):
    """Smooth random fields of mean 0 and standard deviation 1: (n, s, s, channels)."""
    noise = random.standard_normal((*x.shape[:3], channels), "float32")
    noise = _blur(noise, width)
    return noise / noise.std((1, 2), keepdims=True).clip(1e-6)


def _blobs(random, x, share):
    """Soft-edged spots that cover a `share` (n, 1, 1, 1) of the pictures, about."""
    field = _smooth(random, x, x.shape[1] / 32, 1)
    order = np.sort(field.reshape(len(x), -1), axis=1)
    place = ((1 - share.ravel()) * (order.shape[1] - 1)).astype(int)
    level = np.where(share.ravel() > 0, order[np.arange(len(x)), place], np.inf)
    return (4 * (field - level[:, None, None, None])).clip(0, 1)


def _pick(x, places):
    """Pictures read at fractional places (n, s, s, 2), rows and columns, bilinear."""
    n, size = x.shape[:2]
    low = np.floor(places).astype(int).clip(0, size - 2)
    part = (places - low)[..., None].astype("float32")
    which = np.arange(n)[:, None, None]
    result = 0
    for dy in (0, 1):
        for dx in (0, 1):
            weight = np.abs(1 - dy - part[..., 0, :]) * np.abs(1 - dx - part[..., 1, :])
            result = result + weight * x[which, low[..., 0] + dy, low[..., 1] + dx]
    return result


def compare(sets, show=print):
    """Shows a table of `measure` for {name: pictures}; returns {name: measures}."""
    found = {name: measure(pictures) for name, pictures in sets.items()}
    wide = max(map(len, sets)) + 2
    show(" " * wide + "".join(f"{kind:>10}" for kind in next(iter(found.values()))))
    for name, row in found.items():
        show(f"{name:{wide}}" + "".join(f"{value:10.3g}" for value in row.values()))
    return found
