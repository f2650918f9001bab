"""Single measures of how far generated pictures are from real ones (NumPy only).

All take features: float arrays (n, dimensions), of reals and of fakes. `report.report`
puts them into a table with their floors and ceilings.
"""

import numpy as np

SPLITS = 20  # of one set into halves, for a floor

# ------------------------------------------------------------------ distributions


def kid(a, b, subsets=100, subset_size=None, seed=0):
    """Returns the Kernel Inception Distance of two sets: (mean, std) over subsets.

    The unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3
    (Binkowski et al. 2018): zero on average when both come from one distribution, so it
    may be slightly negative. `subset_size` defaults to half of the smaller set and at
    most 1000. The std is the error of the KID of two sets of one size, and more than
    that where one set is much larger.
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


def kid_floor(features, groups=None, splits=SPLITS, seed=0):
    """Returns the KID between random halves of one set: (mean, std) over `splits`.

    A KID within a few of these stds cannot be told from real. `groups`: see `Halves`;
    twins that stay together make the mean a little more than zero.
    """
    (features,) = check_features(features, least=4)
    k, halves = kernel(features, features), Halves(len(features), groups)
    random = np.random.default_rng(seed)
    values = []
    for _ in range(splits):
        i, j = halves.of(random.permutation(len(features)), halves.most)
        values.append(mmd(k[np.ix_(i, i)], k[np.ix_(j, j)], k[np.ix_(i, j)]))
    return float(np.mean(values)), float(np.std(values))


class Halves:
    """Parts of one set that have no group in common, where real is compared with real.

    groups: (count,) numbers, the same for pictures of one species, so that no picture
    meets its own twin, such as a sprite in shiny colours; 0 is unknown. None: every
    picture is a group of its own. `most` is how many pictures each part may have.
    Raises ValueError for groups of another shape, or one that leaves less than two.
    """

    def __init__(self, count, groups=None):
        self.groups = numbered(groups, count)
        _, first, place, sizes = np.unique(
            self.groups, return_index=True, return_inverse=True, return_counts=True
        )
        self.first = first[place]  # of each picture, the first one of its group
        largest = int(sizes.max())
        self.most = (count - largest + 1) // 2  # one group may lie across the cut
        if self.most < 2:
            raise ValueError(
                f"{largest} of {count} pictures are of one group, such as a species: "
                "no halves without a group in common. Use more groups, or groups=None."
            )

    def of(self, order, count):
        """Returns two parts of `count` pictures each, from a random `order` of all."""
        together = np.argsort(np.argsort(order)[self.first], kind="stable")
        first, rest = together[:count], together[count:]
        return first, rest[self.groups[rest] != self.groups[first[-1]]][:count]


def numbered(groups, count):
    """Returns one number per picture, (count,); those of an unknown group, 0, or all of
    None, are groups of their own. Raises ValueError for groups of another shape."""
    alone = -1 - np.arange(count)
    groups = alone if groups is None else np.asarray(groups)
    if groups.shape != (count,):
        raise ValueError(f"groups has shape {groups.shape}; expected ({count},).")
    return np.where(groups == 0, alone, groups)


def kernel(a, b):
    """Returns the cubic kernel of KID between all rows: float64 (len(a), len(b))."""
    k = a @ b.T / a.shape[1] + 1
    return k * k * k  # a power of 3 takes ten times as long


def mmd(aa, bb, ab):
    """Returns the unbiased squared MMD from kernel matrices within and between."""

    def off_diagonal(k):
        return (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))

    return float(off_diagonal(aa) + off_diagonal(bb) - 2 * ab.mean())


# ------------------------------------------------------------------ neighbourhoods


def precision_recall(real, fake, k=3):
    """Returns the shares of fakes among reals and of reals among fakes (Kynkäänniemi et
    al. 2019).

    "Among" means: no further from some member than that member's k-th neighbour in its
    own set. Both depend on the number of pictures; needs more than k of each.
    """
    real, fake = check_features(real, fake, least=k + 1)
    shares = neighbourhoods(*between(real, fake), k, k)
    return shares["precision"], shares["recall"]


def between(real, fake):
    """Returns distances within the reals, within the fakes, and from one to other."""
    return distances(real, real), distances(fake, fake), distances(real, fake)


def neighbourhoods(rr, ff, rf, near=3, wide=5):
    """Returns precision, recall (k=`near`) and coverage (k=`wide`), from `between`."""
    reals, fakes = radii(rr, near), radii(ff, near)
    inside = rf < radii(rr, wide)[:, None]
    return {
        "precision": float((rf <= reals[:, None]).any(0).mean()),
        "recall": float((rf <= fakes[None, :]).any(1).mean()),
        "coverage": float(inside.any(1).mean()),
    }


def radii(within, k):
    """Returns how far each picture's k-th nearest other is, from distances (n, n)."""
    # Each row holds the picture itself, at 0: so the k-th other stands at place k.
    return np.partition(within, k, axis=1)[:, k]


def diversity(features):
    """Returns the mean distance between two pictures; compare with that of reals."""
    (features,) = check_features(features)
    count = len(features)
    return float(distances(features, features).sum() / (count * (count - 1)))


# ------------------------------------------------------------------ shared parts


def distances(a, b):
    """Returns Euclidean distances between all rows of two float64 arrays: (n, m)."""
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    apart = np.sqrt(np.maximum(squares, 0))
    if a is b:
        np.fill_diagonal(apart, 0)  # rounding leaves up to 1e-7 of the norm there
    return apart


def check_features(*sets, least=2):
    """Returns the sets as float64 (n, d). Raises ValueError for fewer than `least`
    rows, different widths, NaN or infinity, or rows that are all the same."""
    sets = [np.asarray(features, "float64") for features in sets]
    shapes = [features.shape for features in sets]
    for x in sets:
        if x.ndim != 2 or x.shape[1] != sets[0].shape[1]:
            raise ValueError(
                f"Expected features of shape (n, d) with the same d; got {shapes}. Use "
                "one network for all sets."
            )
        if len(x) < least:
            raise ValueError(f"Got {len(x)} pictures; at least {least} are needed.")
        if not np.isfinite(x).all():
            raise ValueError("Some features are NaN or infinite: look at the pictures.")
        if np.abs(x - x[0]).max() <= 1e-6 * np.abs(x[0]).max():
            raise ValueError(f"All {len(x)} feature vectors are the same picture's.")
    return sets
