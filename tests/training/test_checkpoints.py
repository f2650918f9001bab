"""Checkpoints of real models: whole or passed over, never half believed."""

import json
import random

import numpy as np
import pytest
from tiny import TINY, arrays

from pokeutils.recipes import catalogue
from pokeutils.training import checkpoints


def facts(step, healthy=True):
    return {"step": step, "healthy": healthy, "params": {"seed": 0}}


@pytest.fixture(scope="module")
def model():
    model = TINY.build(0)
    real = np.random.default_rng(0).uniform(-1, 1, (8, 8, 8, 4)).astype("float32")
    model.update(real, model.draw(8))  # so that optimisers remember something
    return model


def values(model):
    return arrays(checkpoints.variables(model).values())


def scramble(model):
    for variable in checkpoints.variables(model).values():
        variable.assign(variable + 1)


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def two(model, tmp_path):
    """A run with two checkpoints; returns their values, the older first."""
    found = []
    for step in (10, 20):
        scramble(model)
        checkpoints.save(model, tmp_path, facts(step))
        found.append(values(model))
    return found


def test_everything_is_in_it(model, two, tmp_path):
    names = " ".join(checkpoints.variables(model))
    for part in ("kernel", "moving_mean", "iteration", "momentum", "seed_generator"):
        assert part in names
    assert "steps" in names and "total" in names  # of an epoch's logs
    averages = len(model.averaged.variables)
    assert len(model.state) > 2 * averages + len(model.discriminator.variables)
    text = (tmp_path / "checkpoint" / "000000020" / "state.json").read_text("utf-8")
    content = json.loads(text)  # it is for people, too
    name = next(name for name in content["arrays"] if name.endswith("dense/kernel"))
    assert content["arrays"][name]["shape"] == [4, 64]
    assert content == checkpoints.newest_facts(tmp_path)
    assert content["step"] == 20 and len(content["arrays"]) == len(two[1])
    scramble(model)
    assert checkpoints.load(model, tmp_path)["step"] == 20
    assert same(values(model), two[1])


def test_names_do_not_depend_on_what_was_built_before(model):
    again = checkpoints.variables(TINY.build(1))
    assert list(again) == list(checkpoints.variables(model))


@pytest.mark.parametrize("file", ["state.npz", "state.json"])
def test_no_damage_is_believed(model, two, tmp_path, file):
    """Bits flipped, ends cut: the older checkpoint, or exactly the newer one."""
    path = tmp_path / "checkpoint" / "000000020" / file
    whole, chance = path.read_bytes(), random.Random(0)
    fallen = 0
    for trial in range(24):
        content = bytearray(whole)
        if trial % 3:
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        else:
            content = content[: chance.randrange(len(content))]
        path.write_bytes(content)
        said = []
        step = checkpoints.load(model, tmp_path, show=said.append)["step"]
        assert same(values(model), two[step // 10 - 1])
        assert bool(said) == (step == 10)
        fallen += step == 10
    assert fallen > 16  # the rest hit what carries no meaning, such as zip dates
    assert "000000020" in said[0] and "damaged" in said[0]


def test_a_damaged_one_does_not_take_the_place_of_a_good_one(model, two, tmp_path):
    (tmp_path / "checkpoint" / "000000020" / "state.npz").write_bytes(b"torn")
    step = checkpoints.load(model, tmp_path, show=lambda line: None)["step"]
    checkpoints.set_aside(tmp_path, step)
    checkpoints.save(model, tmp_path, facts(21))
    names = [folder.name for folder in checkpoints.list_checkpoints(tmp_path)]
    assert names == ["000000021", "000000010"]
    assert (tmp_path / "checkpoint" / "damaged-000000020" / "state.npz").exists()


def test_when_all_are_damaged_nothing_is_touched(model, two, tmp_path):
    before = values(model)
    for folder in checkpoints.list_checkpoints(tmp_path):
        (folder / "state.npz").write_bytes(b"")
    with pytest.raises(RuntimeError, match=r"is damaged \(2\).*run='new'"):
        checkpoints.load(model, tmp_path, show=lambda line: None)
    assert same(values(model), before)


def test_a_checkpoint_of_other_networks_or_other_data_is_refused(model, two, tmp_path):
    other = catalogue.get("tiny16").build(0)
    with pytest.raises(ValueError, match="does not fit these networks.*other code"):
        checkpoints.load(other, tmp_path)

    def check(found):
        raise ValueError(f"seed {found['params']['seed']}")

    before = values(model)
    with pytest.raises(ValueError, match="seed 0"):
        checkpoints.load(model, tmp_path, check)
    assert same(values(model), before)


def test_numbers_that_are_none_are_not_saved(model, two, tmp_path):
    weight = model.generator.trainable_variables[0]
    (before,) = arrays([weight])
    for bad in (np.nan, np.inf):
        weight.assign(np.full(weight.shape, bad))
        with pytest.raises(FloatingPointError, match="dense/kernel holds NaN"):
            checkpoints.save(model, tmp_path, facts(30))
    weight.assign(before)
    kept = [int(folder.name) for folder in checkpoints.list_checkpoints(tmp_path)]
    assert kept == [20, 10]


def test_two_are_kept_and_the_last_healthy_one(model, tmp_path):
    def names():
        folders = checkpoints.list_checkpoints(tmp_path)
        return [int(folder.name) for folder in folders]

    assert checkpoints.load(model, tmp_path) is None  # which is no error
    for step, healthy in enumerate((True, True, False, False, False)):
        checkpoints.save(model, tmp_path, facts(step, healthy))
    assert names() == [4, 3, 1]
    assert checkpoints.load(model, tmp_path, healthy=True)["step"] == 1
    checkpoints.drop_newer(tmp_path, 3)
    assert names() == [3, 1]
    checkpoints.save(model, tmp_path, facts(5))
    assert names() == [5, 3]
