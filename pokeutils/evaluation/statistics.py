"""Shares with honest intervals."""

import collections
import math
from statistics import NormalDist

Z = NormalDist().inv_cdf(0.975)  # of a 95 % interval

Share = collections.namedtuple("Share", "judged total share low high")


def wilson(judged, total):
    """Returns the Share of `judged` out of `total`, with its 95 % Wilson score interval
    (Wilson 1927).

    It holds also for shares near 0 and 1 and for few answers, where share ± error does
    not.
    """
    share = judged / total
    middle = (share + Z**2 / (2 * total)) / (1 + Z**2 / total)
    half = math.sqrt(share * (1 - share) / total + Z**2 / (4 * total**2))
    half *= Z / (1 + Z**2 / total)
    # At the ends it is exact; arithmetic would leave a trace of 1e-17.
    low = 0.0 if share == 0 else float(middle - half)
    high = 1.0 if share == 1 else float(middle + half)
    return Share(int(judged), int(total), float(share), low, high)
