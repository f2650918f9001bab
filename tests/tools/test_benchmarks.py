"""benchmarks/: contestants that do the same work, ratios, and the page's tables."""

import numpy as np
import pytest
from tiny import eagerly

from benchmarks import cases, race, tables

# PyTorch is not installed for these tests.
TAKES_STEPS = [name for name in race.CONTESTANTS if "PyTorch" not in name]


def test_the_tables_of_the_readme_are_those_of_the_results():
    text = tables.README.read_text("utf-8")
    assert tables.filled(text) == text
    assert "| ours |" in text


@pytest.fixture(scope="module")
def case():
    return cases.case("sprites64", size=16, batch=4, width=8)


@pytest.fixture(scope="module")
def weights(case):
    """How many weights our networks train at the size of these tests."""
    model = cases.recipe(case).build()
    return [
        sum(int(np.prod(v.shape)) for v in network.trainable_variables)
        for network in (model.generator, model.discriminator)
    ]


@pytest.mark.parametrize("contestant", TAKES_STEPS)
def test_every_contestant_trains_both_networks(contestant, case, weights):
    shape = (8, 16, 16, case["channels"])
    pictures = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with eagerly():
        runner = race.build(contestant, case, pictures)
        before = runner.weights()
        runner.train(1)
    found = race.check(contestant, before, runner.weights())
    assert found["weights"] == weights


def test_a_contestant_that_does_not_train_is_refused():
    old = [[np.zeros(3)], [np.zeros(2)]]
    new = [[np.ones(3)], [np.ones(2)]]
    assert race.check("x", old, new) == {"weights": [3, 2]}
    with pytest.raises(RuntimeError, match="discriminator has not moved"):
        race.check("x", old, [new[0], old[1]])
    with pytest.raises(RuntimeError, match="generator has weights"):
        race.check("x", old, [[np.full(3, np.nan)], new[1]])
