"""Measures agree with trusted implementations, and refuse what would mislead."""

import json

import numpy as np
import pytest
from reference import trusted_metrics

from pokeutils.evaluation import measures


def normal(n, d=6, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(shift, 1, (n, d))


TRUSTED = json.loads(trusted_metrics.PATH.read_text())["distances"]


@pytest.mark.parametrize("case", trusted_metrics.cases())
def test_values_are_those_of_trusted_implementations(case):
    real, fake = trusted_metrics.cases()[case]
    trusted = TRUSTED[case]
    n = min(len(real), len(fake))
    kid, _ = measures.kid(real[:n], fake[:n], subsets=1, subset_size=n)
    precision, recall = measures.precision_recall(real, fake)
    for package in ("torch-fidelity", "clean-fid"):
        theirs = trusted[package]
        expected = theirs["kid of the first, equally many"]
        assert kid == pytest.approx(expected, rel=1e-4)
    theirs = trusted["torch-fidelity"]
    assert precision == pytest.approx(theirs["precision"], rel=1e-4)
    assert recall == pytest.approx(theirs["recall"], rel=1e-4)
    theirs = trusted["prdc"]
    found = measures.neighbourhoods(*measures.between(real, fake), 5, 5)
    for name in ("precision", "recall", "coverage"):
        assert found[name] == pytest.approx(theirs[name], rel=1e-4)


def whole_kid(a, b):
    """Of all pictures at once, as it is held to the trusted values above."""
    return measures.kid(a, b, 1, len(a))[0]


def test_kid_takes_the_mean_and_spread_over_subsets():
    a, b = normal(9), normal(14, shift=0.5, seed=1)
    mean, std = measures.kid(a, b, subsets=7, subset_size=4, seed=5)
    random, values = np.random.default_rng(5), []
    for _ in range(7):
        i = random.choice(9, 4, replace=False)
        values.append(whole_kid(a[i], b[random.choice(14, 4, replace=False)]))
    assert mean == pytest.approx(np.mean(values), rel=1e-10)
    assert std == pytest.approx(np.std(values), rel=1e-10)
    half = measures.kid(a, b, subset_size=4)  # of the smaller
    assert measures.kid(a, b) == half


def test_floor_is_the_kid_of_halves():
    x = normal(41)
    mean, std = measures.kid_floor(x, splits=3, seed=4)
    random, values = np.random.default_rng(4), []
    for _ in range(3):
        order = random.permutation(41)
        values.append(whole_kid(x[order[:20]], x[order[20:40]]))
    assert (mean, std) == pytest.approx((np.mean(values), np.std(values)), rel=1e-9)
    damaged = measures.kid(x, x + 1)[0]
    assert abs(mean) < 4 * std < damaged


def twins(n, d=6, seed=0):
    """Every picture twice, nearly, as sprites come in shiny colours; and the groups."""
    one = normal(n, d, seed=seed)
    both = np.concatenate([one, one + 0.01 * normal(n, d, seed=seed + 1)])
    return both, np.tile(np.arange(n) + 1, 2)


def test_halves_have_no_group_in_common():
    groups = np.array([4, 4, 4, 7, 0, 0, 9, 9, 2, 2, 2, 5])  # 0: each its own
    halves = measures.Halves(12, groups)
    assert halves.most == 5
    firsts = []
    for seed in range(200):
        order = np.random.default_rng(seed).permutation(12)
        one, other = halves.of(order, 5)
        assert len(set(one) | set(other)) == 10
        named = [set(groups[part].tolist()) - {0} for part in (one, other)]
        assert not named[0] & named[1]
        firsts.append(groups[one[0]])
    # Every group comes first as often as any other, however many pictures it has.
    assert np.mean(np.array(firsts) == 4) == pytest.approx(1 / 7, abs=0.06)
    with pytest.raises(ValueError, match=r"groups has shape \(3,\); expected \(4,\)"):
        measures.Halves(4, np.arange(3))
    with pytest.raises(ValueError, match="4 of 5 pictures are of one group"):
        measures.Halves(5, [1, 1, 1, 1, 2])


def test_no_floor_sees_twins():
    x, groups = twins(60)
    assert measures.kid_floor(x, groups)[1] > 1.3 * measures.kid_floor(x)[1]


def test_diversity_is_the_mean_distance_of_two():
    a = normal(7)
    apart = [np.linalg.norm(x - y) for k, x in enumerate(a) for y in a[k + 1 :]]
    assert measures.diversity(a) == pytest.approx(np.mean(apart))


BAD = [
    (np.full((20, 6), np.nan), "NaN"),
    (normal(1), "Got 1 pictures; at least"),
    (normal(9, d=5), r"same d; got \[\(20, 6\), \(9, 5\)\]"),
    (np.ones((20, 6)), "All 20 feature vectors"),
    (np.ones(9), "shape"),
]
PAIRED = [measures.kid, measures.precision_recall]


@pytest.mark.parametrize("metric", PAIRED, ids=lambda metric: metric.__name__)
@pytest.mark.parametrize("bad, message", BAD, ids=lambda value: str(value)[:9])
def test_what_would_mislead_is_refused(metric, bad, message):
    with pytest.raises(ValueError, match=message):
        metric(normal(20), bad)
