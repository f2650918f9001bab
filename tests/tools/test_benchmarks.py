"""benchmarks/: contestants that do the same work, ratios, and the page's tables."""

import numpy as np
import pytest
from tiny import eagerly

from benchmarks import cases, child, ours, race, tables

# (case, contestant); compilers take longer than all else together, oneDNN is chosen
# before TensorFlow is imported, and PyTorch is not installed for these tests.
LEFT_OUT = ("compiled", "XLA", "oneDNN", "PyTorch")
TAKES_STEPS = [
    (case, name)
    for case in cases.SYSTEMS
    for name in race.CONTESTANTS
    if not any(word in name for word in LEFT_OUT)
]


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
    }
    for kind in ("cpu", "wall"):
        row[f"ours_over_this_{kind}"] = race.spread([0.5, 1.5, 2.5])
    results = {"race sprites64": {"rows": {"PyTorch": row}}}
    line = tables.table("race sprites64", results).splitlines()[-1]
    assert line == (
        "| PyTorch | 20 (10 to 30) | 1.5 (0.5 to 2.5) | 30 | 2 | 120 | 1.2 |"
    )
    with pytest.raises(ValueError, match="rgba80"):
        tables.table("race rgba80", results)


# ------------------------------------------------------------------------ contestants


@pytest.fixture(scope="module")
def weights():
    """What our networks have to train at the size of these tests, for each case."""
    found = {}
    for name in cases.SYSTEMS:
        model = cases.recipe(tiny(name)).build()
        found[name] = [
            sum(int(np.prod(v.shape)) for v in network.trainable_variables)
            for network in (model.generator, model.discriminator)
        ]
    return found


def tiny(name):
    return cases.case(name, size=16, batch=4, width=1 / 16)


@pytest.fixture
def undone(monkeypatch):
    """Puts back what contestants leave as Keras has it."""
    for target, name, _ in ours.KERAS.values():
        monkeypatch.setattr(target, name, getattr(target, name))


@pytest.mark.parametrize("name, contestant", TAKES_STEPS)
def test_every_contestant_trains_both_networks(name, contestant, weights, undone):
    case = tiny(name)
    shape = (8, 16, 16, case["channels"])
    pictures = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with eagerly():
        runner = race.build(contestant, case, pictures)
        before = runner.weights()
        runner.train(1)
    found = race.check(contestant, before, runner.weights())
    assert found["weights"] == weights[name]


def test_what_keras_does_otherwise_can_race(undone):
    assert set(race.CHANGES) == set(ours.KERAS)
    # Our own recipe has no dropout.
    assert {*race.ALONE.values(), "Dropout"} == set(race.CHANGES)
    entered = race.entered(cases.case(cases.OWN))
    assert {race.OURS, race.PLAIN, *race.ALONE} <= set(entered)
    assert not set(race.ALONE) & set(race.entered(cases.case("rgba80")))


def test_a_contestant_that_does_not_train_is_refused():
    old = [[np.zeros(3)], [np.zeros(2)]]
    new = [[np.ones(3)], [np.ones(2)]]
    assert race.check("x", old, new) == {"weights": [3, 2]}
    with pytest.raises(RuntimeError, match="discriminator has not moved"):
        race.check("x", old, [new[0], old[1]])
    with pytest.raises(RuntimeError, match="generator has weights"):
        race.check("x", old, [[np.full(3, np.nan)], new[1]])


def test_the_cases_are_the_seeds():
    case = cases.case("rgba80")
    assert (case["size"], case["batch"], case["channels"]) == (80, 128, 4)
    case = cases.case("sprites64")
    assert (case["size"], case["batch"], case["channels"]) == (64, 64, 3)
    assert cases.recipe(case).generator_options == (("width", 128),)
    with pytest.raises(ValueError, match="rgba80"):
        cases.case("sprites")
    case = cases.case("modern64")
    assert (case["size"], case["batch"], case["channels"]) == (64, 8, 4)
    assert cases.recipe(case).r1_gamma == 0.3


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
    (tmp_path / "told.py").write_text(MODULE)
    path = {"PYTHONPATH": str(tmp_path)}
    with child.Child("told:echo", path, start=[1]) as process:
        assert process.first == [1]
        assert [process.ask(3), process.ask("ab")] == [6, "abab"]
    assert process.process.returncode == 0
    with pytest.raises(RuntimeError, match="told:fail ended with code 3"):
        child.call("told:fail", path)
