"""Clean pictures spoilt the way generators spoil theirs, as much as given samples are
(NumPy only): what `sharpen` learns to undo.

Pictures are uint8 premultiplied RGBA (n, size, size, 4). Lengths are in shares of the
side, so that a strength means the same at every size.
"""

import numpy as np

from pokeutils.common import images
from pokeutils.studio.flaws import CHUNK, PERIOD, blur, measure

STEPS, HALVINGS = 8, 2  # of the search for a strength: coarse steps, then finer ones

# Each takes floats (n, s, s, 4) in [0, 1], strengths (n, 1, 1, 1) and random numbers.
# What it is called is what it does; what it raises or lowers stands in MEASURED.


def _blurred(x, strength, random):
    """Everything runs into its neighbours, the background as well."""
    return blur(x, strength * x.shape[1] / 16)


def _wash(x, strength, random):
    """Colours run inside of the body; where it ends stays sharp."""
    wet = _straight(blur(x, strength * x.shape[1] / 12))
    return np.concatenate([wet * x[..., 3:], x[..., 3:]], -1)


def _bleed(x, strength, random):
    """Colours run, brightness stays: watercolours on a drawing."""
    soft = _straight(blur(x, strength * x.shape[1] / 8))
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
        for axis, step in ((1, 1), (1, -1), (2, 1), (2, -1)):
            other, value = (np.roll(a, step, axis) for a in (best, light))
            near = np.where(value > shade, other, near)
            shade = np.maximum(value, shade)
        best, light = near, shade
    lost = (1 - strength) * x[..., :3] + strength * best * alpha
    return np.concatenate([lost, alpha], -1)


def _ragged(x, strength, random):
    """The picture is bent here and there by a pixel or two: smooth rims wobble."""
    n, size, _, _ = x.shape
    shift = strength * size / 16 * _smooth(random, x, size / 32, 2)
    rows, columns = np.indices((size, size))[:, None] + np.moveaxis(shift, -1, 0)
    rows, columns = rows.clip(0, size - 1), columns.clip(0, size - 1)
    return images.bilinear(x, rows, columns).astype("float32")


def _holes(x, strength, random):
    """The background shows through the body."""
    return x * (1 - _blobs(random, x, strength * 0.5))


def _crumbs(x, strength, random):
    """Bits of the creature's colours lie about, apart from it."""
    size = x.shape[1]
    far = np.roll(x, (size // 2, size // 2), (1, 2))  # what there is, elsewhere
    far = _straight(blur(far, size / 8)).clip(0, 1)
    apart = blur(x[..., 3:], size / 32) < 0.02
    bits = apart * _blobs(random, x, strength * 0.5)
    return x + np.concatenate([far * bits, bits], -1)


def _lattice(x, strength, random):
    """A pattern of light and dark that repeats itself, finely or coarsely, lies over
    everything."""
    size = x.shape[1]
    pattern = random.standard_normal((len(x), PERIOD, PERIOD, 1), "float32")
    fine = np.tile(pattern, (1, -(-size // PERIOD), -(-size // PERIOD), 1))
    coarse = fine.repeat(2, 1).repeat(2, 2)
    half = random.random((len(x), 1, 1, 1)) < 0.5
    pattern = np.where(half, fine[:, :size, :size], coarse[:, :size, :size])
    return _tint(x, strength * pattern)


def _haze(x, strength, random):
    """Bodies are half-transparent in places, and the background is not quite
    clear."""
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
    images.check(pictures, channels=(4,))
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
    with a line per kind.
    """
    for pictures in (samples, clean):
        images.check(pictures, channels=(4,))
    wanted = measure(samples[:count])
    few = clean[np.unique(np.linspace(0, len(clean) - 1, count).astype(int))]
    strengths = dict.fromkeys(KINDS, 0.0)
    for _ in range(rounds):
        for kind, (name, sign) in MEASURED.items():

            def lacks(root, kind=kind, name=name, sign=sign):
                """By how much the measure has yet to move."""
                tried = degrade(few, {**strengths, kind: root**2}, seed)
                return sign * (wanted[name] - measure(tried, [name])[name])

            strengths[kind] = round(_weakest(lacks) ** 2, 3)
    if show:
        now = measure(degrade(few, strengths, seed))
        for kind, (name, _) in MEASURED.items():
            show(
                f"{kind:9}{strengths[kind]:5.2f}   {name:9}"
                f"{wanted[name]:8.3g} wanted, {now[name]:8.3g} reached"
            )
    return strengths


def _weakest(lacks):
    """The lowest of 0 to 1 at which `lacks` falls to 0, or else the one nearest to it.
    Roots of strengths, because little is met more often than much."""
    last, values = 0.0, {0.0: lacks(0.0)}
    while values[last] > 0 and last < 1:
        values[last + 1 / STEPS] = lacks(last + 1 / STEPS)
        last += 1 / STEPS
    if values[last] > 0:
        return min(values, key=values.get)
    low, high = max(0.0, last - 1 / STEPS), last
    for _ in range(HALVINGS if high else 0):
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


def _smooth(random, x, width, channels):
    """Smooth random fields of mean 0 and standard deviation 1: (n, s, s, channels)."""
    noise = random.standard_normal((*x.shape[:3], channels), "float32")
    noise = blur(noise, width)
    return noise / noise.std((1, 2), keepdims=True).clip(1e-6)


def _blobs(random, x, share):
    """Soft-edged spots that cover a `share` (n, 1, 1, 1) of the pictures, about."""
    field = _smooth(random, x, x.shape[1] / 32, 1)
    order = np.sort(field.reshape(len(x), -1), axis=1)
    place = ((1 - share.ravel()) * (order.shape[1] - 1)).astype(int)
    level = np.where(share.ravel() > 0, order[np.arange(len(x)), place], np.inf)
    return (4 * (field - level[:, None, None, None])).clip(0, 1)
