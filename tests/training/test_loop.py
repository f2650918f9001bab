"""Whole trainings, tiny ones: which run is meant, what is kept, what an alarm does."""

import dataclasses
import json
import os
import shutil
import signal

import keras
import numpy as np
import pytest
from tiny import SILENT, TINY, arrays

from pokeutils.common import env, saved
from pokeutils.data import dataset
from pokeutils.recipes.recipe import Recipe
from pokeutils.training import callbacks, checkpoints, guards, loop, runs

EPOCH = 14 * 16  # images
TINY = dataclasses.replace(TINY, images=4 * EPOCH, r1_gamma=0.0, decay=0.0)


@pytest.fixture(scope="module")
def data():
    return dataset.load("doodles", 8, progress=lambda line: None)


@pytest.fixture(scope="module")
def compiled():
    """One model for all tests, since the first step of each would take seconds."""
    model = TINY.build(0)
    return model, state(model)


@pytest.fixture
def model(compiled):
    model, untrained = compiled
    restore(model, untrained)
    return model


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Save as often as asked, not only as often as is cheap."""
    monkeypatch.setattr(callbacks, "MOST", 1.0)


@pytest.fixture(scope="module")
def whole(compiled, data, tmp_path_factory):
    """A run that nothing disturbed, and the state that it ended in."""
    patch = pytest.MonkeyPatch()
    patch.setenv("POKEUTILS_OUTPUTS", str(tmp_path_factory.mktemp("whole")))
    model, _ = compiled
    run = loop.start_run(TINY, data, 0)
    loop.fit(TINY, model, data, run, **SILENT)
    patch.undo()
    return run, state(model)


@pytest.fixture
def fit(outputs, whole, model, data):
    """A function that trains as `recipe.train` does, in a new run folder or in `run`,
    and returns the run folder and what was said."""

    def fit(run=None, recipe=TINY, **options):
        said = []

        def show(line, flush=False):
            said.append(line)

        run = run or loop.start_run(recipe, data, 0)
        loop.fit(recipe, model, data, run, show=show, **options)
        return run, "\n".join(said)

    return fit


def newest(run):
    return checkpoints.newest_facts(run)


def state(model):
    return arrays(checkpoints.variables(model).values())


def restore(model, values):
    found = checkpoints.variables(model).values()
    for variable, value in zip(found, values, strict=True):
        variable.assign(value)


class At(keras.callbacks.Callback):
    """Calls `action(model)` once, before the step after `step`."""

    def __init__(self, step, action):
        super().__init__()
        self.step, self.action = step, action

    def on_train_batch_begin(self, batch, logs=None):
        if self.action and int(self.model.steps) == self.step:
            action, self.action = self.action, None
            action(self.model)


def spoil(model):
    weight = model.generator.trainable_variables[0]
    weight.assign(np.full(weight.shape, np.nan))


def test_stops_within_an_epoch_and_at_its_end_leave_no_trace(fit, model, whole):
    part, said = fit(minutes=1e-9)
    header, row = said.splitlines()[:2]  # the log is printed as a table
    assert header == callbacks.HEADER and len(row) == len(header)
    assert row.split()[:2] == ["1", str(EPOCH)]
    assert row.split()[-1] == "0.0"  # minutes left: of the time, not of the images
    assert "the limit of 1e-09 minutes is reached" in said
    assert newest(part)["step"] == 14 and not loop.is_over(part)
    # One step before an epoch ends, after the last picture that a sheet in it is for.
    interrupt = At(40, lambda model: os.kill(os.getpid(), signal.SIGINT))
    _, said = fit(part, also=[interrupt])
    assert "Stopped by Ctrl-C at 656 of 896 images.\n001-tiny8 is saved" in said
    assert newest(part)["step"] == 41  # the step that was under way is done
    # Notebooks 5 and 6 can show it: there is a generator, and a sheet of its creatures.
    assert saved.load_generator(part / "generator.keras").input_shape == (None, 4)
    assert runs.sample_files(part)[-1][0] == 656
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    fit(part)
    assert newest(part)["step"] == 56 and loop.is_over(part)
    assert_same(part, model, whole)


def test_the_time_limit_holds_within_a_long_epoch(fit, monkeypatch):
    monkeypatch.setattr(callbacks.TimeLimit, "GRACE", 0.0)
    run, said = fit(minutes=1e-9)
    assert "Stopped by the limit of 1e-09 minutes at 0 of 896 images" in said
    assert not loop.is_over(run)
    assert (run / "generator.keras").exists()
    fit(run)
    assert loop.is_over(run)


def assert_same(run, model, whole):
    for ours, theirs in zip(state(model), whole[1], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    log, other = runs.read_log(run), runs.read_log(whole[0])
    for name in ("step", "d_loss", "g_loss", "d_real", "g_norm", "distance"):
        np.testing.assert_array_equal(log[name], other[name], err_msg=name)
    for sheet, other in zip(
        runs.sample_files(run), runs.sample_files(whole[0]), strict=True
    ):
        assert sheet[0] == other[0] and sheet[1].read_bytes() == other[1].read_bytes()


def test_not_a_number_stops_with_the_last_good_checkpoint(fit, model):
    run, said = fit(also=[At(30, spoil)], save_minutes=0.0)
    good = newest(run)["step"]
    assert 14 <= good <= 30
    for words in ("Stopped: ", "NaN or infini", "Lower the learning"):
        assert words in said
    assert f"001-tiny8 is back at {16 * good} images" in said
    (alarm,) = runs.read_alarms(run)
    assert alarm["kind"] == "not a number" and alarm["action"] == "stopped"
    assert alarm["images"] > 30 * 16
    assert len(list((run / "samples").glob("alarm-*.png"))) == 1
    for weight in saved.load_generator(run / "generator.keras").get_weights():
        assert np.isfinite(weight).all()
    assert loop.is_over(run)  # the same call would only fail the same way
    assert all(np.isfinite(value).all() for value in state(model))


def test_not_a_number_before_anything_good_is_an_error(fit):
    with pytest.raises(guards.Alarm, match="is NaN or infinite"):
        fit(also=[At(0, spoil)])


def collapse(model):
    for variable in model.generator.trainable_variables:
        if "gamma" in variable.path or "kernel" in variable.path:
            variable.assign(variable * 0)
    model.g_optimizer.learning_rate = 0.0


@pytest.fixture
def watchful(monkeypatch, model):
    """A guard that looks at the samples after every epoch."""
    monkeypatch.setattr(callbacks, "LOOK_IMAGES", EPOCH)
    yield
    model.g_optimizer.learning_rate = 2e-4  # after a collapse


def test_a_collapse_is_seen_and_recorded(fit, watchful):
    run, said = fit(also=[At(20, collapse)], save_minutes=0.0)
    (alarm,) = runs.read_alarms(run)
    assert alarm["kind"] == "collapsed"
    assert "From image 448 on, the generator draws one picture for all latents" in said
    assert alarm["images"] == 3 * EPOCH  # the second look that showed it
    assert newest(run)["step"] < 28  # from before the first one
    seen = [look["images"] for look in alarm["history"]]
    assert seen == [EPOCH, 2 * EPOCH, 3 * EPOCH]


def test_an_alarm_may_be_ignored(fit, watchful):
    run, _ = fit(also=[At(20, collapse)], on_alarm="ignore")
    assert [a["action"] for a in runs.read_alarms(run)] == ["ignored"]
    assert newest(run)["step"] == 56


def choose(data, recipe=TINY, seed=0, run=None):
    said = []
    found, new = loop.choose_run(recipe, data, seed, run, said.append)
    return found.name, new, " ".join(said)


def test_one_call_starts_goes_on_and_starts_anew(outputs, data, whole):
    assert choose(data)[:2] == ("001-tiny8", True)
    name, new, said = choose(data)  # nothing in it yet, but it is there
    assert (name, new) == ("001-tiny8", False) and "Going on with 001-tiny8" in said
    assert choose(data, run="new")[:2] == ("002-tiny8", True)
    assert choose(data, run="001-tiny8")[:2] == ("001-tiny8", False)
    assert choose(data, seed=1)[:2] == ("003-tiny8", True)
    assert choose(data)[0] == "002-tiny8"  # the newest with this seed
    finished = whole[0] / "checkpoint"
    shutil.copytree(finished, runs.find_run("002-tiny8") / "checkpoint")
    name, new, said = choose(data)
    assert (name, new) == ("004-tiny8", True) and "002-tiny8 is trained to its" in said


def test_a_new_run_after_a_stopped_one_is_told_so(fit, data):
    run, _ = fit(also=[At(30, spoil)], save_minutes=0.0)
    name, new, said = choose(data)
    assert (name, new) == ("002-tiny8", True)
    assert f"{run.name} was stopped: " in said and "change one of them" in said


@pytest.mark.parametrize("error", [MemoryError, TypeError])
def test_a_run_that_fails_before_its_first_epoch_leaves_nothing(
    outputs, data, monkeypatch, error
):
    class Broken(Recipe):
        def build(self, seed, step=None):
            raise error("no")

    broken = Broken(**dataclasses.asdict(TINY))
    wanted = guards.OutOfMemory if error is MemoryError else error
    with pytest.raises(wanted, match="batch=8" if error is MemoryError else "no"):
        loop.train(broken, data)
    assert runs.list_runs() == []


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"recipe": {', "\0" * 100])
def test_damaged_params_of_another_run_do_not_stop_a_new_one(fit, data, content):
    run, _ = fit(minutes=1e-9)
    for name in ("params.json", "log.csv", "alarms.json"):
        (run / name).write_text(content)
    name, new, said = choose(data)
    assert (name, new) == ("002-tiny8", True)
    assert f"{run.name} is passed over: " in said and "params.json is damaged" in said


@pytest.mark.parametrize("content", ["", "\0" * 200_000])
def test_a_run_goes_on_without_its_damaged_log_and_alarms(fit, model, whole, content):
    run, _ = fit(minutes=1e-9)
    for name in ("log.csv", "alarms.json"):
        (run / name).write_text(content)
    assert not loop.is_over(run)
    _, said = fit(run)
    assert "log.csv is damaged" in said and "set aside as damaged-log.csv" in said
    assert (run / "damaged-log.csv").read_text() == content
    for ours, theirs in zip(state(model), whole[1], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(runs.read_log(run)["step"], [28, 42, 56])


def test_what_was_started_otherwise_is_refused_with_the_difference(fit, data):
    run, _ = fit(minutes=1e-9)
    other = dataclasses.replace(TINY, batch=8, r1_gamma=0.5)
    with pytest.raises(ValueError) as error:
        choose(data, other, seed=1, run=run)
    for words in ("batch: was 16, now 8", "r1_gamma: was 0.0, now 0.5", "seed: was 0"):
        assert words in str(error.value)
    report = {**data.report, "fingerprint": "0" * 64}
    with pytest.raises(ValueError, match="data.fingerprint: was .*, now '000"):
        choose(data._replace(report=report), run=run)
    name, new, said = choose(data, other)  # not asked for by name: a new one, and why
    assert (name, new) == ("002-tiny8", True)
    assert "001-tiny8 is unfinished, but not the same: recipe.batch: was 16" in said


def test_a_field_newer_than_the_run_counts_as_its_default(data):
    now = runs.params(TINY, data, 0)
    before = json.loads(json.dumps(now))
    del before["recipe"]["gate"]
    assert runs.differences(before, now, TINY) == []
    gated = runs.params(dataclasses.replace(TINY, gate=0.9), data, 0)
    assert runs.differences(before, gated, TINY) == ["recipe.gate: was None, now 0.9"]
    before["recipe"] |= {"gone": 1, "unused": []}
    assert runs.differences(before, now, TINY) == ["recipe.gone: was 1, now 'absent'"]


def test_other_versions_are_named_but_no_reason_to_stop(fit, monkeypatch):
    run, said = fit(minutes=1e-9)
    assert "not bit for bit" not in said
    versions = {**env.versions(), "keras": "9.9"}
    monkeypatch.setattr(env, "versions", lambda: versions)
    _, said = fit(run)
    assert f"not bit for bit the same: keras {keras.__version__} -> 9.9." in said
    assert newest(run)["step"] == 56
