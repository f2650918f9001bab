"""Run folders: made, found, read, and held by one process at a time."""

import json
import os

import numpy as np
import pytest

from pokeutils.common import env, plots
from pokeutils.training import guards, runs


def make(folders, name, **contents):
    run = runs.new_run(name)
    for file, text in contents.items():
        (run / file.replace("_", ".")).write_text(text)
    return run


def test_folders_are_numbered_and_found(folders):
    with pytest.raises(FileNotFoundError, match="Run notebook 04_train first"):
        runs.latest_run()
    first = make(folders, "a", params_json="{}", generator_keras="x")
    params = {"recipe": {"name": "b"}, "data": {}, "seed": 3}
    second = make(folders, "b", params_json=json.dumps(params))
    assert [run.name for run in runs.list_runs()] == ["001-a", "002-b"]
    assert runs.latest_run() == first  # the second has no generator yet
    (second / "generator.keras").touch()
    assert runs.latest_run() == second
    os.utime(first / "generator.keras", (2e9, 2e9))  # it was the one to go on
    assert runs.latest_run() == first
    assert runs.find_run("002-b") == runs.find_run(second) == second
    assert runs.read_params(second) == params
    with pytest.raises(FileNotFoundError, match="No run 7; there are: 001-a, 002-b"):
        runs.find_run("7")
    (env.outputs_dir() / "runs" / "999-z").mkdir()
    with pytest.raises(RuntimeError, match="run 999 already"):
        runs.new_run("c")


NULS = "\0" * 200_000  # what a power cut leaves where a file has grown


@pytest.mark.parametrize("end", ["", "3,oop\n4", "3", NULS, f"3{NULS}\n4,", "\ufffd,,"])
def test_a_log_is_read_without_its_torn_rows(folders, end):
    run = make(folders, "a", log_csv=f"step,loss\n1,0.5\n2,nan\n{end}")
    log = runs.read_log(run)
    np.testing.assert_array_equal(log["step"], [1, 2])
    np.testing.assert_array_equal(log["loss"], [0.5, np.nan])


def test_zero_bytes_in_the_middle_take_no_row_with_them(folders):
    text = f"step,loss\n1,1\n{NULS}2,2\n3,3{NULS}\n4,4\n"
    log = runs.read_log(make(folders, "a", log_csv=text))
    np.testing.assert_array_equal(log["step"], [1, 2, 3, 4])


DAMAGED = [
    b"",
    b"\0" * 200_000,
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"a": ',
    b"\n\n",
    b"1",
]


@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_files_are_named_and_set_aside(folders, content):
    run, said = make(folders, "a"), []
    for name in ("log.csv", "params.json", "alarms.json"):
        (run / name).write_bytes(content)
    for read in (runs.read_log, runs.read_params):
        with pytest.raises(ValueError, match=r"001-a/[a-z]+\.[a-z]+ is damaged \("):
            read(run)
    assert runs.read_alarms(run, said.append) == []  # nor does it hide the next alarm
    assert len(said) == 1 and "alarms.json is damaged" in said[0]
    assert (run / "damaged-alarms.json").read_bytes() == content
    guards.record(run, guards.Alarm("flat", "All is grey.", 1, 16), "stopped")
    assert [alarm["kind"] for alarm in runs.read_alarms(run)] == ["flat"]


@pytest.mark.parametrize(
    "content",
    [{}, [], {"recipe": {}}, {"recipe": 1, "data": {}, "seed": 0}, {"data": {}}],
)
def test_params_of_another_shape_are_damaged_too(folders, content):
    run = make(folders, "a", params_json=json.dumps(content))
    (run / "alarms.json").write_text(json.dumps([content]))
    with pytest.raises(ValueError, match="params.json is damaged .*no .*Copy it again"):
        runs.read_params(run)
    assert runs.read_alarms(run, [].append) == []


def test_samples_come_in_the_order_of_training_without_damaged_ones(folders):
    run, said = make(folders, "a"), []
    for name in ("000000100", "000000020", "reals", "alarm-000000300"):
        path = run / "samples" / f"{name}.png"
        plots.save_png(path, np.zeros((8, 8, 3), "uint8"))
    whole = path.read_bytes()
    flipped = bytes(byte ^ (place == 50) for place, byte in enumerate(whole))
    for seen, content in enumerate((b"", whole[:50], flipped, b"<html>", b"\0" * 99)):
        (run / "samples" / f"{seen:09d}.png").write_bytes(content)
    assert [seen for seen, _ in runs.sample_files(run, said.append)] == [20, 100]
    assert len(said) == 5 and all(".png is damaged and left out" in s for s in said)


def test_a_run_is_trained_by_one_process_at_a_time(folders):
    """tests/common/test_files.py has what the lock beneath survives."""
    run = make(folders, "a")
    busy = f"001-a is being trained by process {os.getpid()}.*run='new'"
    with runs.lock(run), pytest.raises(runs.RunIsBusy, match=busy), runs.lock(run):
        pass
    with runs.lock(run):
        pass
