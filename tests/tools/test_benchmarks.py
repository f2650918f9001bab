"""benchmarks/: contestants that do the same work, ratios, and the page's tables."""

import numpy as np
import pytest
from tiny import eagerly

from benchmarks import cases, child, race, tables
from pokeutils.recipes import catalogue

# PyTorch is not installed for these tests.
TAKES_STEPS = [name for name in race.CONTESTANTS if "PyTorch" not in name]


def test_the_tables_of_the_readme_are_those_of_the_results():
    text = tables.README.read_text("utf-8")
    assert tables.filled(text) == text
    assert "| ours |" in text


def test_tables_notice_other_results():
    row = {
        "images_per_cpu_second": race.spread([10.0, 20.0, 30.0]),
        "images_per_second": race.spread([30.0, 30.0, 30.0]),
        "cpu_seconds_compile": 2.0,
        "cpu_seconds_first_epoch": 123.4,
        "memory_mb": 1234.0,
        "ours_over_this_cpu": race.spread([0.5, 1.5, 2.5]),
        "ours_over_this_wall": race.spread([0.5, 1.5, 2.5]),
    }
    table = tables.table(
        "race sprites64", {"race sprites64": {"rows": {"PyTorch": row}}}
    )
    line = "| PyTorch | 20 (10 to 30) | 1.5 (0.5 to 2.5) | 30 | 2 | 120 | 1.2 |"
    assert table.splitlines()[-1] == line
    with pytest.raises(ValueError, match="No results for 'race modern64'"):
        tables.table("race modern64", {})


# ------------------------------------------------------------------------ contestants


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


def test_the_cases_are_the_recipes():
    case = cases.case("modern64")
    assert (case["size"], case["batch"], case["channels"]) == (64, 8, 4)
    assert cases.recipe(case) == catalogue.get("modern64")
    with pytest.raises(ValueError, match="sprites64, modern64"):
        cases.case("sprites")


# ---------------------------------------------------------------------------- figures


def test_ratios_are_taken_within_a_round():
    turns = {
        race.OURS: [{"steps": 2, "cpu": 1.0, "wall": 2.0, "memory": 1}] * 2,
        "x": [
            {"steps": 1, "cpu": 2.0, "wall": 2.0, "memory": 5},
            {"steps": 1, "cpu": 1.0, "wall": 1.0, "memory": 7},
        ],
    }
    first = {"first": {"cpu": 4.5}, "weights": [1, 1]}
    found = race.row({"batch": 10}, 45, first, turns["x"], turns)
    assert found["ours_over_this_cpu"] == {"median": 3.0, "low": 2.0, "high": 4.0}
    assert found["ours_over_this_wall"] == {"median": 1.5, "low": 1.0, "high": 2.0}
    assert found["images_per_cpu_second"]["median"] == 7.5
    assert found["cpu_seconds_compile"] == 3.0  # 4.5 less a step of 1.5
    assert found["cpu_seconds_first_epoch"] == 4.5 + 3 * 1.5
    assert found["memory_mb"] == 7


MODULE = """
def echo(start):
    print("not an answer")
    question = yield start
    while True:
        question = yield 2 * question

def fail():
    raise SystemExit(3)
"""


def test_a_child_answers_and_says_when_it_dies(tmp_path):
    (tmp_path / "answering.py").write_text(MODULE)
    path = {"PYTHONPATH": str(tmp_path)}
    with child.Child("answering:echo", path, start=[1]) as process:
        assert process.first == [1]
        assert [process.ask(3), process.ask("ab")] == [6, "abab"]
    assert process.process.returncode == 0
    with pytest.raises(RuntimeError, match="answering:fail ended with code 3"):
        child.call("answering:fail", path)
