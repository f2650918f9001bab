"""The judge of types, and how its answers are counted."""

import numpy as np
import pytest

from pokeutils.data import species
from pokeutils.evaluation import type_judge

TYPES = len(species.TYPES)


def planted(count, strength, seed=0):
    """Features in which each type shifts two directions of its own by `strength`."""
    rng = np.random.default_rng(seed)
    types = np.eye(TYPES)[rng.integers(0, 6, count)]
    types[: count // 4, 7] = 1
    shifts = np.random.default_rng(9).normal(size=(TYPES, 40))
    return rng.normal(size=(count, 40)) + strength * types @ shifts, types


def ratio(scores):
    """How many times as often as chance a type is assigned, by the means over types."""
    return np.nanmean(scores.share) / np.nanmean(scores.chance)


def test_the_judge_finds_what_is_there_and_nothing_where_nothing_is():
    alone = np.arange(400) * 10
    for strength, low, high in ((0.3, 3.0, 99.0), (0.0, 0.5, 1.6)):
        judge = type_judge.Judge(*planted(400, strength))
        features, types = planted(400, strength, seed=1)
        scores = type_judge.Scores(judge.assigned(features), types)
        assert low < ratio(scores) < high
        again = type_judge.cross_validated(features, types, alone)
        assert low < ratio(type_judge.Scores(again, types)) < high
    # Types without pictures are never assigned.
    assert set(judge.assigned(features)) <= {0, 1, 2, 3, 4, 5, 7}


def test_scores_are_counted_as_they_say():
    types = np.zeros((6, TYPES))
    types[:4, 1], types[4:, 2], types[0, 2] = 1, 1, 1
    scores = type_judge.Scores(np.array([1, 1, 2, 5, 2, 1]), types)
    assert (scores.share[1], scores.share[2]) == (2 / 4, 1 / 3)
    assert (scores.chance[1], scores.chance[2]) == (1 / 2, 1 / 3)
    assert list(scores.table[1, [1, 2, 5]]) == [2 / 4, 1 / 4, 1 / 4]
    np.testing.assert_allclose(scores.table[[1, 2]].sum(1), 1)
    assert np.isnan(scores.table[0]).all() and np.isnan(scores.chance[0])


def test_relatives_do_not_judge_each_other():
    """Ten species in a row share a look and a type, but looks say nothing of types."""
    rng, families = np.random.default_rng(0), np.arange(400) // 10
    look = rng.normal(size=(40, 30))[families]
    types = np.eye(TYPES)[rng.integers(0, 6, 40)][families]
    features = look + 0.1 * rng.normal(size=look.shape)
    numbers = np.arange(400)  # of species: a family has ten that follow each other
    options = dict(components=30, ridge=1.0)
    leaky = type_judge.cross_validated(features, types, 10 * numbers, **options)
    found = type_judge.cross_validated(features, types, numbers, **options)
    assert type_judge.Scores(leaky, types).right > 0.7
    assert type_judge.Scores(found, types).right < 0.4
    few = features[:300:10], types[:300:10]  # thirty numbers make too few such parts
    alone = type_judge.cross_validated(*few, families[:300:10], **options)
    expected = type_judge.cross_validated(*few, 10 * np.arange(30), **options)
    np.testing.assert_array_equal(alone, expected)
    # Pictures of one species, and of its neighbours, in whatever order they come.
    order = rng.permutation(400)
    mixed = (features[order], types[order], numbers[order])
    again = type_judge.cross_validated(*mixed, **options)
    np.testing.assert_array_equal(again, found[order])


def test_the_judge_refuses_what_it_cannot_learn_from():
    features, types = planted(40, 1.0)
    with pytest.raises(ValueError, match="pictures of known types"):
        type_judge.Judge(features, 0 * types)
