"""Run folders: made, found, read, and held by one process at a time."""

import json
import os
import subprocess
import sys

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


HOLD = """
import pathlib, sys
from pokeutils.training import runs
with runs.lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_ends_with_its_process_however_that_dies(folders):
    run = make(folders, "a")
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=env.ROOT, text=True,
    )  # fmt: skip
    assert other.stdout.readline() == "held\n"
    busy = f"001-a is being trained by process {other.pid}.*run='new'"
    with pytest.raises(runs.RunIsBusy, match=busy), runs.lock(run):
        pass
    other.kill()
    other.communicate()
    with runs.lock(run):
        with pytest.raises(runs.RunIsBusy, match=f"process {os.getpid()}"):
            with runs.lock(run):  # nor twice in one process
                pass
    with runs.lock(run):
        pass


def test_a_drive_without_locks_is_used_with_a_note(folders, monkeypatch):
    def refuse(file, how):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    said = []
    with runs.lock(make(folders, "a"), show=said.append):
        pass
    assert "no locks on this drive" in said[0]
