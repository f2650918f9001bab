"""Run folders: made, found, read, and held by one process at a time."""

import json
import os

import numpy as np
import pytest

from pokeutils.common import env
from pokeutils.training import runs


def make(folders, name, **contents):
    run = runs.new_run(name)
    for file, text in contents.items():
        (run / file.replace("_", ".")).write_text(text)
    return run


def test_folders_are_numbered_and_found(folders):
    with pytest.raises(FileNotFoundError, match="Run notebook 04_train first"):
        runs.latest_run()
    first = make(folders, "a", params_json="{}", generator_keras="x")
    second = make(folders, "b", params_json='{"seed": 3}')
    assert [run.name for run in runs.list_runs()] == ["001-a", "002-b"]
    assert runs.latest_run() == first  # the second has no generator yet
    (second / "generator.keras").touch()
    assert runs.latest_run() == second
    os.utime(first / "generator.keras", (2e9, 2e9))  # it was the one to go on
    assert runs.latest_run() == first
    assert runs.find_run("002-b") == runs.find_run(second) == second
    assert runs.read_params(second) == {"seed": 3}
    with pytest.raises(FileNotFoundError, match="No run 7; there are: 001-a, 002-b"):
        runs.find_run("7")
    (env.outputs_dir() / "runs" / "999-z").mkdir()
    with pytest.raises(RuntimeError, match="run 999 already"):
        runs.new_run("c")


def test_a_log_is_read_without_its_torn_row(folders):
    run = make(folders, "a", log_csv="step,loss\n1,0.5\n2,nan\n3,oops\n4")
    log = runs.read_log(run)
    np.testing.assert_array_equal(log["step"], [1, 2])
    np.testing.assert_array_equal(log["loss"], [0.5, np.nan])
    assert runs.read_alarms(run) == []
    (run / "alarms.json").write_text(json.dumps([{"kind": "flat"}]))
    assert runs.read_alarms(run)[0]["kind"] == "flat"


def test_samples_come_in_the_order_of_training(folders):
    run = make(folders, "a")
    for name in ("000000100", "000000020", "reals", "alarm-000000300"):
        (run / "samples" / f"{name}.png").touch()
    assert [seen for seen, _ in runs.sample_files(run)] == [20, 100]


def test_a_run_is_trained_by_one_process_at_a_time(folders):
    """tests/common/test_files.py has what the lock beneath survives."""
    run = make(folders, "a")
    busy = f"001-a is being trained by process {os.getpid()}.*run='new'"
    with runs.lock(run), pytest.raises(runs.RunIsBusy, match=busy), runs.lock(run):
        pass
    with runs.lock(run):
        pass
