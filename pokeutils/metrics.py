"""How far generated pictures are from real ones, and whether they are copies.

NumPy only: features are handed in as float arrays (n, dimensions), pictures as uint8
arrays (n, size, size, 3 or 4).
"""

from collections import namedtuple

import numpy as np

Nearest = namedtuple("Nearest", "indices distances mirrored")


# ------------------------------------------------------------------ distributions


def kid(a, b, subsets=100, subset_size=None, seed=0):
    """Kernel Inception Distance between two sets of features: (mean, std) over subsets.

    The unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3
    (Binkowski et al. 2018). Zero on average when both come from one distribution,
    whatever n, so it may be slightly negative. `subset_size` defaults to half of the
    smaller set and at most 1000: with less than 2000 pictures, subsets of 1000 would
    all be the same pictures and their std would be nothing.
    """
    a, b = check_features(a, b)
    smaller = min(len(a), len(b))
    size = min(max(smaller // 2, 2), 1000) if subset_size is None else subset_size
    if not 2 <= size <= smaller:
        raise ValueError(
            f"subset_size={size}: expected 2 to {smaller}, the size of the smaller set."
        )
    aa, bb, ab = kernel(a, a), kernel(b, b), kernel(a, b)
    random = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        i = random.choice(len(a), size, replace=False)
        j = random.choice(len(b), size, replace=False)
        values.append(mmd(aa[np.ix_(i, i)], bb[np.ix_(j, j)], ab[np.ix_(i, j)]))
    return float(np.mean(values)), float(np.std(values))


def kid_floor(features, splits=20, seed=0):
    """KID between random halves of one set: (mean, std) over `splits` splits.

    The mean is zero but for chance; the std says how much chance there is. A KID
    within a few of these stds cannot be told from real.
    """
    (features,) = check_features(features, least=4)
    k, half = kernel(features, features), len(features) // 2
    random = np.random.default_rng(seed)
    values = []
    for _ in range(splits):
        i, j = np.split(random.permutation(len(features))[: 2 * half], 2)
        values.append(mmd(k[np.ix_(i, i)], k[np.ix_(j, j)], k[np.ix_(i, j)]))
    return float(np.mean(values)), float(np.std(values))


def kernel(a, b):
    """The cubic polynomial kernel of KID between all rows: float64 (len(a), len(b))."""
    return (a @ b.T / a.shape[1] + 1) ** 3


def mmd(aa, bb, ab):
    """Unbiased squared MMD from kernel matrices within and between; may be negative."""

    def off_diagonal(k):
        return (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))

    return off_diagonal(aa) + off_diagonal(bb) - 2 * ab.mean()


def precision_recall(real, fake, k=3):
    """Shares of fakes among reals and of reals among fakes (Kynkaanniemi et al. 2019).

    "Among" means: no further from some member than that member's k-th neighbour in its
    own set. High precision: plausible. High recall: varied. Collapse shows as recall 0.
    """
    real, fake = check_features(real, fake, least=k + 1)
    between = distances(real, fake)
    precision = (between <= radii(real, k)[:, None]).any(0).mean()
    recall = (between <= radii(fake, k)[None, :]).any(1).mean()
    return float(precision), float(recall)


def density_coverage(real, fake, k=5):
    """Density and coverage (Naeem et al. 2020): sturdier precision and recall.

    Density counts the reals' k-balls around a fake (1 is typical, more is possible);
    coverage is the share of reals with a fake in their ball: about 1 - 2^-k at best.
    """
    real, fake = check_features(real, fake, least=k + 1)
    inside = distances(real, fake) < radii(real, k)[:, None]
    return float(inside.sum(0).mean() / k), float(inside.any(1).mean())


def radii(features, k):
    """Distance of every row to its k-th nearest other row: (n,)."""
    between = distances(features, features)
    np.fill_diagonal(between, np.inf)
    return np.partition(between, k - 1, axis=1)[:, k - 1]


# ------------------------------------------------------------------ nearest neighbours


def nearest(samples, reals, count=3, background=255, itself=False):
    """The `count` nearest real pictures of every sample, mirrored or not, in pixels.

    Pictures are laid on `background`, averaged in blocks down to about 16 px, and
    scaled to equal amounts of "ink" (what differs from the background). So pose and
    colours count; a shift by a pixel, softness or paleness hardly do.

    Returns `Nearest`: indices into `reals` (n, count), distances (n, count), nearest
    first, from 0 (same) to 1.41 (no ink in common), and whether the match is to the
    mirror image. `itself=True`: `samples` are the `reals`, none its own neighbour.
    """
    if samples.shape[1:3] != reals.shape[1:3]:
        raise ValueError(
            f"Samples are {samples.shape[1:3]} and reals {reals.shape[1:3]} pixels: "
            "prepare the reals at the samples' size."
        )
    a, b = _thumbnails(samples, background), _thumbnails(reals, background)
    a, flipped, b = (
        _ink(a, background),
        _ink(b[:, :, ::-1], background),
        _ink(b, background),
    )
    same, mirror = distances(a, b), distances(a, flipped)
    indices, found = _closest(np.minimum(same, mirror), count, itself)
    mirrored = np.take_along_axis(mirror < same, indices, 1)
    return Nearest(indices, found, mirrored)


def nearest_features(samples, reals, count=3, itself=False):
    """The same in feature space: Euclidean distances, `mirrored` always False."""
    samples, reals = check_features(samples, reals)
    indices, found = _closest(distances(samples, reals), count, itself)
    return Nearest(indices, found, np.zeros(indices.shape, bool))


def singled_out(found):
    """Distance to the nearest over the mean distance to the next ones: (n,), 0 to 1.

    Tells a copy from a blob, which is as near to one picture as to ten: a copy is near
    to one alone. `found`: a `Nearest` of at least 2 neighbours; 10 serve well. Compare
    with the values of the training pictures among themselves.
    """
    if found.distances.shape[1] < 2:
        raise ValueError("Look for at least 2 neighbours, better 10 (count=10).")
    rest = found.distances[:, 1:].mean(axis=1)
    return found.distances[:, 0] / np.maximum(rest, 1e-12)


def _closest(between, count, itself):
    if itself:
        np.fill_diagonal(between, np.inf)
    if not 0 < count <= between.shape[1] - itself:
        raise ValueError(
            f"count={count} neighbours of {between.shape[1]} pictures: ask for fewer."
        )
    indices = np.argsort(between, axis=1, kind="stable")[:, :count]
    return indices, np.take_along_axis(between, indices, 1)


def _thumbnails(images, background):
    """Composite and average in equal blocks, to 16 px or little more: float64 RGB."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (3, 4):
        raise ValueError(
            "Expected uint8 pictures of shape (n, height, width, 3 or 4); got "
            f"{images.dtype} {images.shape}."
        )
    rgb = images[..., :3].astype("float64")
    if images.shape[-1] == 4:  # premultiplied
        rgb = np.minimum(rgb + background * (1 - images[..., 3:] / 255), 255)
    n, h, w, _ = rgb.shape
    blocks = [d for d in range(2, h + 1) if h % d == w % d == 0 and h // d >= 16]
    block = max(blocks, default=1)
    return rgb.reshape(n, h // block, block, w // block, block, 3).mean((2, 4))


def _ink(images, background):
    """Difference from the background as vectors of length 1; a blank picture's is 0."""
    ink = (background - images).reshape(len(images), -1)
    return ink / np.maximum(np.linalg.norm(ink, axis=1, keepdims=True), 1e-9)


# ------------------------------------------------------------------ shared parts


def distances(a, b):
    """Euclidean distances between all rows of two float64 arrays: (len(a), len(b))."""
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T
    return np.sqrt(np.maximum(squares, 0))


def check_features(*sets, least=2):
    """Return the sets as float64 (n, d); ValueError for what would mislead silently.

    That is: fewer than `least` rows, different widths, NaN or infinity, or rows that
    are all the same, as a broken generator or a wrong range makes them.
    """
    sets = [np.asarray(one, "float64") for one in sets]
    for one in sets:
        if one.ndim != 2 or one.shape[1] != sets[0].shape[1]:
            raise ValueError(
                "Expected features of shape (n, d) with the same d; got "
                f"{[other.shape for other in sets]}. Use one network for all sets."
            )
        if len(one) < least:
            raise ValueError(f"Got {len(one)} pictures; at least {least} are needed.")
        if not np.isfinite(one).all():
            raise ValueError("Some features are NaN or infinite: look at the pictures.")
        if (one == one[0]).all():
            raise ValueError(f"All {len(one)} feature vectors are the same picture's.")
    return sets
