"""Shares with honest intervals, d-prime, and how many answers are still needed
(NumPy only)."""

import collections
import math
from statistics import NormalDist

import numpy as np

WIDTH = 0.2  # of a useful interval: plus or minus 10 percentage points


NORMAL = NormalDist()


# `judged` real of `total` answers; `effect`: by how much the variance exceeds that of
# independent answers; `worth`: as many independent answers would say as much;
# `clusters`: of people or of pictures, whichever are fewer, or 0 for a single person.
Share = collections.namedtuple(
    "Share", "judged total share low high effect worth clusters"
)


def wilson(judged, total, confidence=0.95):
    """Share of `judged` out of `total` with its Wilson score interval (Wilson 1927).

    It holds also for shares near 0 and 1 and for few answers, where share ± error does
    not. Raises ValueError for impossible counts.
    """
    if not 0 <= judged <= total or total <= 0:
        raise ValueError(f"{judged} of {total} is no share.")
    share = judged / total
    low, high = _wilson(share, total, _normal(confidence))
    return Share(int(judged), int(total), float(share), low, high, 1.0, int(total), 0)


def _wilson(share, total, z):
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    half *= z / (1 + z * z / total)
    # At the ends it is exact; arithmetic would leave a trace of 1e-17.
    low = 0.0 if share == 0 else float(middle - half)
    return low, 1.0 if share == 1 else float(middle + half)


def clustered(judged, people, pictures, confidence=0.95):
    """Share of true values with an interval that allows for people and pictures.

    `judged` are bools (n,), `people` and `pictures` say of whom and about what each
    is. The variance is that of Cameron, Gelbach and Miller (2011) for two crossed
    kinds of clusters; `effect` is by how much it exceeds that of independent answers
    (at least 1). The interval is Wilson's for n / effect answers, with Student's t for
    the fewer of people and pictures (as Korn and Graubard 1998 do for surveys). With
    one person, it is the plain Wilson interval of that person.
    """
    judged = np.asarray(judged, float)
    total, share = len(judged), float(judged.mean())
    kinds = [np.unique(kind, return_inverse=True)[1] for kind in (people, pictures)]
    counts = [kind.max() + 1 for kind in kinds]
    if counts[0] == 1:
        return wilson(judged.sum(), total, confidence)
    error = judged - share
    variance = -np.square(error).sum()  # each answer is in both sums below
    for kind, count in zip(kinds, counts, strict=True):
        sums = np.bincount(kind, error)
        variance += np.square(sums).sum() * count / max(count - 1, 1)
    independent = np.square(error).sum()
    effect = max(1.0, float(variance / independent)) if independent > 0 else 1.0
    clusters = int(min(counts))
    worth = total / (effect * _few(clusters, confidence))
    low, high = _wilson(share, worth, _normal(confidence))
    judged = int(judged.sum())
    return Share(judged, total, share, low, high, effect, worth, clusters)


def _few(clusters, confidence):
    """By how much a variance estimated from few clusters has to be enlarged."""
    return (student(max(clusters - 1, 1), confidence) / _normal(confidence)) ** 2


def d_prime(real, other, confidence=0.95):
    """How well people tell `other` from `real` pictures, two Shares: (d', low, high).

    d' = z(share of real judged real) - z(share of others judged real): 0 cannot tell
    them apart, 1 is right in about 69 of 100 cases, 3 in 93. Half an answer is added to
    every count (the log-linear rule of Hautus 1995), so that shares of 0 and 1 give
    a number; it is then the least that would explain them. The interval is Gourevitch
    and Galanter's (1967), from as many answers as the Shares are worth.
    """
    values, variance = [], 0.0
    for share in (real, other):
        corrected = (share.judged + 0.5) / (share.total + 1)
        values.append(NORMAL.inv_cdf(corrected))
        slope = NORMAL.pdf(values[-1])
        variance += corrected * (1 - corrected) / (share.worth * slope**2)
    value = values[0] - values[1]
    half = _normal(confidence) * math.sqrt(variance)
    return value, value - half, value + half


def answers_needed(share=None, width=WIDTH, confidence=0.95):
    """How many more answers make the interval of a Share at most `width` wide.

    Assumes that the share stays as it is and that further answers are as good as those
    so far, so they should come from new people and be about new pictures. Without any,
    the share that needs most is assumed, a half, and independent answers. Raises
    ValueError unless 0 < width < 1.
    """
    if not 0 < width < 1:
        raise ValueError(f"width={width}: expected between 0 and 1, such as 0.2.")
    value, total = (share.share, share.total) if share else (0.5, 0)
    z, effect = _normal(confidence), share.effect if share else 1.0

    def narrow(count):
        worth = count / effect
        if share and share.clusters:
            worth /= _few(int(share.clusters * count / total), confidence)
        low, high = _wilson(value, worth, z)
        return high - low <= width

    most = max(total, 1)
    while not narrow(most):
        most *= 2
    least = max(total, 1)
    while least < most and not narrow(least):
        middle = (least + most) // 2
        least, most = (least, middle) if narrow(middle) else (middle + 1, most)
    return least - total


def _normal(confidence):
    return NORMAL.inv_cdf(0.5 + confidence / 2)


def student(degrees, confidence=0.95):
    """Student's t that `confidence` of the distribution lies within, to either side.

    `degrees` of freedom, a whole number; Abramowitz and Stegun 26.7.3 and 26.7.4.
    """

    def within(angle):
        cosine, total = math.cos(angle), 0.0
        term = cosine if degrees % 2 else 1.0
        for k in range(2 + degrees % 2, degrees + 1, 2):
            total, term = total + term, term * cosine**2 * (k - 1) / k
        total *= math.sin(angle)
        return (2 / math.pi) * (angle + total) if degrees % 2 else total

    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle) < confidence else (low, middle)
    return math.sqrt(degrees) * math.tan(low)
