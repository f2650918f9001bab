"""Intervals agree with published values."""

import pytest

from pokeutils.evaluation import statistics


@pytest.mark.parametrize(
    "judged, total, low, high",  # Newcombe 1998, table I, method 3
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_agrees_with_published_values(judged, total, low, high):
    share = statistics.wilson(judged, total)
    assert (share.low, share.high) == pytest.approx((low, high), abs=5e-5)
