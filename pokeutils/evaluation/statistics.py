"""Shares with honest intervals, and d-prime."""

import collections
import math
from statistics import NormalDist

NORMAL = NormalDist()
Z = NORMAL.inv_cdf(0.975)  # of a 95 % interval

Share = collections.namedtuple("Share", "judged total share low high")


def wilson(judged, total):
    """Returns the Share of `judged` out of `total`, with its 95 % Wilson score interval
    (Wilson 1927).

    It holds also for shares near 0 and 1 and for few answers, where share ± error does
    not. Raises ValueError for impossible counts.
    """
    if not 0 <= judged <= total or total <= 0:
        raise ValueError(f"{judged} of {total} is no share.")
    share = judged / total
    middle = (share + Z**2 / (2 * total)) / (1 + Z**2 / total)
    half = math.sqrt(share * (1 - share) / total + Z**2 / (4 * total**2))
    half *= Z / (1 + Z**2 / total)
    # At the ends it is exact; arithmetic would leave a trace of 1e-17.
    low = 0.0 if share == 0 else float(middle - half)
    high = 1.0 if share == 1 else float(middle + half)
    return Share(int(judged), int(total), float(share), low, high)


def d_prime(real, other):
    """Returns how well people tell `other` from `real` pictures, two Shares: (d', low,
    high).

    d' = z(share of real judged real) - z(share of others judged real): 0 cannot tell
    them apart, 1 is right in about 69 of 100 cases, 3 in 93. Half an answer is added to
    every count (the log-linear rule of Hautus 1995), so that shares of 0 and 1 give
    a number; it is then the least that would explain them. The interval is Gourevitch
    and Galanter's (1967).
    """
    values, variance = [], 0.0
    for share in (real, other):
        corrected = (share.judged + 0.5) / (share.total + 1)
        values.append(NORMAL.inv_cdf(corrected))
        slope = NORMAL.pdf(values[-1])
        variance += corrected * (1 - corrected) / (share.total * slope**2)
    value, half = values[0] - values[1], Z * math.sqrt(variance)
    return value, value - half, value + half
