"""Collages: real creatures in another's colours, and the head of one on another's body.

Whoever judges generated creatures should also meet fakes that are well drawn. Pictures
are straight RGBA uint8 (height, width, 4), as `images.read` gives them.
"""

import collections

import numpy as np

from pokeutils.common import images
from pokeutils.data import sources

Collages = collections.namedtuple("Collages", "pictures labels parents")
Neck = collections.namedtuple("Neck", "row left right narrowness head body")

CANDIDATES = 72  # real creatures looked at, to make a few collages from
FAMILIES = 3  # groups of colours in a creature: its body, its belly, its ornaments
COLOURFUL = 0.04  # OKLab chroma from which a colour belongs to a family
SEEN = 0.12  # mean OKLab distance: a smaller change of colours might go unnoticed
NARROW = 0.75  # widest neck, as a share of the narrower of head and body
STRETCH = 1.6  # most that a head is enlarged or reduced to fit
HEADS = 0.2, 2.5  # smallest and largest head, as a share of the body it gets

# OKLab (Ottosson 2020): equal steps look equal, and hue is an angle.
CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
OPPONENTS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


# ------------------------------------------------------------------------ all at once


def make(data, count=9, seed=0):
    """Returns `count` Collages of the pictures of a PictureSet.

    About half are part fusions, as far as there are creatures with a neck; the others
    are palette swaps. They are made from the original files, then cut out and scaled
    as the real pictures were. `pictures` is uint8 premultiplied RGBA (count, size,
    size, 4); `labels` say of whom each is made; `parents` are the indices of the
    creatures that lent a shape: keep those out of the real ones beside the collages.
    Raises ValueError when the set is too small or too alike.
    """
    random = np.random.default_rng(seed)
    chosen = random.permutation(one_each(data, random))[: max(CANDIDATES, 5 * count)]
    native = _native(data.source, data.size)
    originals = {int(i): _original(data, i, native) for i in chosen}
    names = {i: str(data.meta["name"][i] or f"number {i}") for i in originals}

    fusions = _fusions(originals, (count + 1) // 2, bool(native), random)
    taken = {parent for _, parents in fusions for parent in parents}
    free = [i for i in originals if i not in taken]
    swaps = _swaps(originals, free, count - len(fusions), random)
    made = len(fusions) + len(swaps)
    if made < count:
        raise ValueError(
            f"Only {made} of {count} collages could be made from {len(originals)} "
            "pictures: they are too few, too grey or too alike. Ask for fewer."
        )

    pictures = [_finish(picture, data.size, native) for picture, _ in fusions + swaps]
    labels = [f"head of {names[a]}, body of {names[b]}" for _, (a, b) in fusions]
    labels += [f"{names[a]} in the colours of {names[b]}" for _, (a, b) in swaps]
    parents = [*taken, *(shape for _, (shape, _) in swaps)]
    return Collages(np.stack(pictures), labels, np.unique(parents))


def _native(source, size):
    """Returns the side of pixel art's canvas, 0 where pictures are fitted."""
    side = sources.describe(source).pixel_art
    return side if side and size >= side else 0


def one_each(data, random):
    """Returns the indices of one picture per species, none in its shiny colours.

    Regular and shiny forms of one creature would make a poor fusion, and a shiny one
    looks just like a palette swap. A picture of unknown species counts as its own.
    """
    species, shiny = np.array(data.meta["species_id"]), np.array(data.meta["shiny"])
    species = np.where(species > 0, species, -1 - np.arange(len(species)))
    order = random.permutation(np.flatnonzero(~shiny) if (~shiny).any() else len(shiny))
    return np.sort(order[np.unique(species[order], return_index=True)[1]])


def _original(data, index, native):
    """Returns the picture as it came, at twice the size; from the set if it is gone."""
    prepared = images.unpremultiply(data.images[index])
    if native:  # exact as it is; only the enlargement is undone
        times = data.size // native
        return images.crop(prepared[::times, ::times], images.HARD)
    raw = data.folder.parents[1] / "raw" / sources.folder_name(data.source)
    path = raw / str(data.meta["file"][index])
    side = max(128, 2 * data.size)
    return images.crop(images.read(path, side) if path.is_file() else prepared)


def _finish(picture, size, native):
    if not native:
        return images.fit(picture, size)
    times = size // native
    return images.place(picture, native).repeat(times, 0).repeat(times, 1)


def _fusions(originals, count, whole_pixels, random):
    """Returns the `count` smoothest of many random fusions, no creature used twice.

    Each is (picture, (whose head, whose body)).
    """
    necks = {i: neck(picture) for i, picture in originals.items()}
    usable = [i for i, own in necks.items() if own and own.narrowness < NARROW]
    pairs = [(a, b) for a in usable for b in usable if a != b and _fit(necks, a, b)]
    tried = []
    for at in random.permutation(len(pairs))[: 6 * count]:
        head, body = pairs[at]
        picture, roughness = fuse(originals[head], originals[body], whole_pixels)
        worst = max(necks[head].narrowness, necks[body].narrowness)
        tried.append((roughness + 0.2 * worst, at, picture))
    chosen, used = [], set()
    for _, at, picture in sorted(tried, key=lambda item: item[:2]):
        if len(chosen) < count and not used & set(pairs[at]):
            chosen.append((picture, pairs[at]))
            used |= set(pairs[at])
    return chosen


def _fit(necks, head, body):
    """Tells whether a head suits a body: like necks, neither much larger."""
    upper, lower = necks[head], necks[body]
    scale = (lower.right - lower.left) / (upper.right - upper.left)
    share = upper.head * scale**2 / lower.body
    return 1 / STRETCH < scale < STRETCH and HEADS[0] < share < HEADS[1]


def _swaps(originals, free, count, random):
    """Returns `count` palette swaps of creatures in `free` that anyone would notice.

    Each is (picture, (whose shape, whose colours)).
    """
    colours = {i: _families(picture) for i, picture in originals.items()}
    donors = [i for i, own in colours.items() if own and own.share > 0.4]
    made = []
    for i in free:
        if len(made) == count or i not in donors:
            continue
        for donor in random.permutation(donors)[:8]:
            picture = swap_palette(originals[i], originals[donor])
            if difference(originals[i], picture) > SEEN:
                made.append((picture, (i, int(donor))))
                break
    return made[:count]


# ----------------------------------------------------------------------- palette swap

_Families = collections.namedtuple("_Families", "hues lightness areas share")


def swap_palette(picture, donor):
    """Returns `picture` in the colours of `donor`; shapes, shading and greys stay.

    The largest family of colours takes the hue, the strength and the lightness of the
    donor's largest, and so on. Where either has no colours, nothing changes.
    """
    own, other = _families(picture), _families(donor)
    if own is None or other is None:
        return picture.copy()
    lab = to_lab(picture)
    plane = lab[..., 1] + 1j * lab[..., 2]
    near = np.exp(-np.square(np.abs(plane[..., None] - own.hues)) / 0.003) * own.areas
    near /= near.sum(axis=-1, keepdims=True) + 1e-12

    # Colours are turned and stretched about grey, so what is grey stays grey; lightness
    # takes a power, so black stays black and white stays white.
    turn = other.hues / own.hues
    turn *= np.clip(np.abs(turn), 0.6, 1.6) / np.abs(turn)
    power = np.clip(np.log(other.lightness) / np.log(own.lightness), 0.4, 2.2)
    light = lab[..., 0].clip(1e-4, 1)
    coloured = np.clip(np.abs(plane) / (1.5 * COLOURFUL), 0, 1)
    light += coloured * (light ** (near @ power) - light)
    plane = plane * (near @ turn)
    colour = to_rgb(np.stack([light, plane.real, plane.imag], axis=-1))
    return np.concatenate([colour, picture[..., 3:]], axis=-1)


def difference(a, b):
    """Returns the mean OKLab distance of two pictures, where `a` is opaque."""
    solid = a[..., 3] > images.HARD
    if not solid.any():
        return 0.0
    return float(np.linalg.norm(to_lab(a) - to_lab(b), axis=-1)[solid].mean())


def _families(picture):
    """Returns the main colours of a creature, largest first; None where all is grey.

    `hues` are points a + bi of OKLab, `lightness` is 0.3 to 0.93, `areas` are shares of
    what is coloured, and `share` is how much of the creature that is. k-means, from the
    middle colour and those furthest from it, so that nothing is left to chance.
    """
    step = max(1, len(picture) // 64)  # areas need no more
    picture = picture[::step, ::step]
    lab, solid = to_lab(picture), picture[..., 3] > images.HARD
    plane = lab[..., 1] + 1j * lab[..., 2]
    coloured = solid & (np.abs(plane) > COLOURFUL) & (lab[..., 0] > 0.25)
    share = coloured.sum() / max(solid.sum(), 1)
    points, light = plane[coloured], lab[..., 0][coloured]
    if len(points) < 10:
        return None
    every = max(1, len(points) // 1000)
    points, light = points[::every], light[::every]

    # k-means.
    hues = np.array([np.median(points.real) + 1j * np.median(points.imag)])
    while len(hues) < FAMILIES:
        furthest = np.abs(points[:, None] - hues).min(axis=1).argmax()
        hues = np.append(hues, points[furthest])
    for _ in range(12):
        own = np.abs(points[:, None] - hues).argmin(axis=1)
        hues = np.array(
            [points[own == k].mean() if (own == k).any() else hues[k]
             for k in range(FAMILIES)]
        )  # fmt: skip

    # Largest first, none of them exactly grey.
    hues = np.where(np.abs(hues) < 1e-3, 1e-3, hues)  # a mean of opposites is grey
    middle = [np.median(light[own == k] if (own == k).any() else light)
              for k in range(FAMILIES)]  # fmt: skip
    areas = np.bincount(own, minlength=FAMILIES) / len(own)
    order = np.argsort(-areas, kind="stable")
    light = np.clip(middle, 0.3, 0.93)
    return _Families(hues[order], light[order], areas[order], share)


def to_lab(picture):
    """Returns OKLab (..., 3) of sRGB uint8: lightness 0 to 1, a and b about 0."""
    x = picture[..., :3] / 255
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ CONES.T) @ OPPONENTS.T


def to_rgb(lab):
    """Returns sRGB uint8 of OKLab (..., 3); what a screen cannot show is clipped."""
    linear = (lab @ np.linalg.inv(OPPONENTS).T) ** 3 @ np.linalg.inv(CONES).T
    bent = 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    x = np.where(linear <= 0.0031308, 12.92 * linear, bent)
    return np.clip(np.rint(255 * x), 0, 255).astype("uint8")


# ------------------------------------------------------------------------ part fusion


def neck(picture):
    """Returns the narrowest row in the upper middle where a cut meets only a neck.

    It is a Neck, or None where every row there runs through more than one part.
    `narrowness` is its width as a share of the narrower of head and body; `head` and
    `body` are their areas in pixels.
    """
    solid = picture[..., 3] > images.HARD
    rows = np.flatnonzero(solid.any(axis=1))
    if not len(rows):
        return None
    top, bottom = rows[0], rows[-1] + 1
    candidates, height = [], bottom - top
    for row in range(int(top + 0.22 * height), int(top + 0.62 * height)):
        columns = np.flatnonzero(solid[row])
        if row <= top or not len(columns):
            continue
        left, right = int(columns[0]), int(columns[-1]) + 1
        if right - left > len(columns):  # an arm or a tail beside it
            continue
        above, below = solid[:row].sum(axis=1), solid[row:].sum(axis=1)
        narrowness = float((right - left) / min(above.max(), below.max()))
        areas = int(above.sum()), int(below.sum())
        candidates.append(Neck(row, left, right, narrowness, *areas))
    if not candidates:
        return None
    least = min(candidate.narrowness for candidate in candidates)
    narrowest = [candidate for candidate in candidates if candidate.narrowness == least]
    return narrowest[len(narrowest) // 2]


def fuse(head, body, whole_pixels=False):
    """Puts the head of one creature on the body of another, in the body's colours.

    Returns the picture and the roughness of the seam: the mean OKLab distance across
    it. The head is scaled until the necks are equally wide, unless `whole_pixels`: that
    is for pixel art. Raises ValueError for a creature without a neck.
    """
    upper, lower = neck(head), neck(body)
    if upper is None or lower is None:
        raise ValueError("One of the two has no neck: no row that meets one part only.")

    # The head in the body's colours, scaled to the body's neck.
    scale = (lower.right - lower.left) / (upper.right - upper.left)
    scale = 1 if whole_pixels else scale
    overlap = 0 if whole_pixels else max(1, len(head) // 40)  # rows that fade out
    top = images.premultiply(swap_palette(head, body)[: upper.row + overlap])
    top = top.astype("float32") if scale == 1 else images.scale(top, scale)
    cut = min(round(upper.row * scale), len(top))

    # The body below it, its neck's middle under the head's.
    bottom = images.premultiply(body[lower.row :]).astype("float32")
    middle = (upper.left + upper.right) / 2 * scale
    shift = round((lower.left + lower.right) / 2 - middle)
    left = min(0, shift)
    width = max(bottom.shape[1], shift + top.shape[1]) - left
    canvas = np.zeros((max(cut + len(bottom), len(top)), width, 4), "float32")
    canvas[cut : cut + len(bottom), -left : -left + bottom.shape[1]] = bottom

    # The head over the body; it fades out below the cut.
    place = canvas[: len(top), shift - left : shift - left + top.shape[1]]
    fade = np.ones((len(top), 1, 1), "float32")
    fade[cut:, 0, 0] = np.linspace(1, 0, len(top) - cut + 2)[1:-1]
    cover = top * fade
    cover[cut:] *= place[cut:, :, 3:] / 255  # below the cut, only inside the body
    place[:] = cover + place * (1 - cover[..., 3:] / 255)
    whole = images.unpremultiply(np.rint(canvas).clip(0, 255).astype("uint8"))
    return images.crop(whole), _roughness(whole, cut, overlap)


def _roughness(picture, cut, overlap):
    above, below = picture[cut - 1], picture[min(cut + overlap, len(picture) - 1)]
    both = (above[:, 3] > images.HARD) & (below[:, 3] > images.HARD)
    either = (above[:, 3] > images.HARD) | (below[:, 3] > images.HARD)
    if not both.any():
        return 1.0
    apart = np.linalg.norm(to_lab(above) - to_lab(below), axis=-1)[both].sum()
    return float((apart + 0.5 * (either & ~both).sum()) / either.sum())
