"""Intervals agree with published values and hold what they promise."""

import numpy as np
import pytest

from pokeutils.evaluation import statistics


def test_wilson_agrees_with_published_values():
    # Newcombe 1998, table I, method 3.
    for judged, total, low, high in (
        (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):  # fmt: skip
        share = statistics.wilson(judged, total)
        assert (share.low, share.high) == pytest.approx((low, high), abs=5e-5)
    for impossible in ((3, 2), (-1, 4), (0, 0)):
        with pytest.raises(ValueError, match="no share"):
            statistics.wilson(*impossible)


def test_student_agrees_with_published_values():
    for degrees, t in ((1, 12.706), (2, 4.303), (3, 3.182), (8, 2.306), (30, 2.042)):
        assert statistics.student(degrees) == pytest.approx(t, abs=6e-4)
    assert statistics.student(5, 0.99) == pytest.approx(4.032, abs=6e-4)


def test_d_prime():
    half, most, few = (statistics.wilson(n, 100) for n in (50, 84, 16))
    assert statistics.d_prime(half, half)[0] == 0
    assert statistics.d_prime(most, few)[0] == pytest.approx(2 * 0.9807, abs=1e-3)
    value, low, high = statistics.d_prime(
        statistics.wilson(9, 9), statistics.wilson(0, 9)
    )
    assert value == pytest.approx(2 * 1.6449, abs=1e-3)  # log-linear: 9.5 / 10
    assert 0 < low < value < high < 6


def test_how_many_answers_are_needed():
    assert statistics.answers_needed() == 93  # Wilson, a half, ten points either side
    for judged, total in ((0, 9), (5, 9), (30, 100), (0, 2000)):
        share = statistics.wilson(judged, total)
        more = statistics.answers_needed(share)
        low, high = statistics._wilson(share.share, total + more, 1.959964)
        assert high - low <= 0.2
        if more:
            low, high = statistics._wilson(share.share, total + more - 1, 1.959964)
            assert high - low > 0.2
    with pytest.raises(ValueError, match="width"):
        statistics.answers_needed(width=20)


def test_intervals_hold_for_other_people_and_other_pictures():
    # People and pictures differ; a plain interval then is far too sure of itself.
    random = np.random.default_rng(0)
    people, pictures, trials = 12, 9, 250
    logits = random.normal(0, 0.7, 10**5) + random.normal(0, 1, 10**5) - 1
    truth = (1 / (1 + np.exp(-logits))).mean()
    who = np.repeat(np.arange(people), pictures)
    what = np.tile(np.arange(pictures), people)
    held = {"clustered": 0, "plain": 0}
    for _ in range(trials):
        own = random.normal(0, 0.7, people)[who] + random.normal(0, 1, pictures)[what]
        judged = random.random(len(who)) < 1 / (1 + np.exp(1 - own))
        for name, share in (
            ("clustered", statistics.clustered(judged, who, what)),
            ("plain", statistics.wilson(judged.sum(), len(judged))),
        ):
            held[name] += share.low <= truth <= share.high
    assert 0.92 <= held["clustered"] / trials <= 1
    assert held["plain"] / trials < 0.85


def test_the_effect_of_people_who_always_say_the_same():
    # 4 people, 9 pictures, two always say yes: by hand, 4 * 9 / (4 - 1) - 1.
    who, what = np.repeat(np.arange(4), 9), np.tile(np.arange(9), 4)
    share = statistics.clustered(who < 2, who, what)
    assert share.effect == pytest.approx(11) and share.clusters == 4
    assert share.worth == pytest.approx(36 / 11 * (1.95996 / 3.18245) ** 2, rel=1e-4)
    assert statistics.clustered(what % 2 == 0, who * 0, what).worth == 36


def test_agreement_does_not_make_an_interval_vanish():
    share = statistics.clustered([True] * 27, [0, 1, 2] * 9, np.arange(27) // 3)
    assert share.share == share.high == 1 and share.low < 0.7
