"""notebooks/run.py on small notebooks: what it shows, keeps and says when one fails."""

import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from nbformat import v4
from render import run

from pokeutils.common import env, files
from pokeutils.data import download, folders, prepare
from pokeutils.training import runs

RUNNER = """\
import pathlib, sys
sys.path.insert(0, sys.argv[1])
import run
paths = [pathlib.Path(name) for name in sys.argv[3:]]
sys.exit(run.run_series(paths, pathlib.Path(sys.argv[2]), pathlib.Path("none"))[0])
"""


@pytest.fixture
def start(tmp_path):
    """Returns a function: notebooks as {name: code cells} -> the running process."""
    started = []

    def start(notebooks):
        command = [sys.executable, "-c", RUNNER, str(env.ROOT / "notebooks")]
        command.append(str(tmp_path / "out"))
        for name, cells in notebooks.items():
            notebook = v4.new_notebook(cells=[v4.new_markdown_cell("# 1. A question")])
            notebook.cells += [v4.new_code_cell(source) for source in cells]
            nbformat.write(notebook, tmp_path / f"{name}.ipynb")
            command.append(str(tmp_path / f"{name}.ipynb"))
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started.append(subprocess.Popen(command, cwd=tmp_path, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.stdout.close()
        process.wait(timeout=30)


def test_success_then_failure(start, tmp_path):
    good = ["for i in range(2): print('epoch', i)", "import os; os.getcwd()"]
    bad = [
        "def look():\n    raise RuntimeError('No picture there.')",
        "look()",
        "1 / 0",
    ]
    process = start({"01_good": good, "02_bad": bad, "03_never": ["print(1)"]})
    text = process.communicate(timeout=120)[0]
    lines = [line.strip() for line in text.splitlines()]
    assert process.returncode == 1, text

    places = [lines.index(w) for w in ("| epoch 0", "| epoch 1", "2/3 02_bad")]
    assert places == sorted(places)
    assert any("left: 02_bad, 03_never" in line for line in lines)
    assert "look()" in lines  # the cell that failed
    assert "Cell In[1], line 2, in look()" in lines  # and where it comes from
    assert lines[-1] == "RuntimeError: No picture there."
    assert "1 / 0" not in text and "03_never\n" not in text.split("02_bad stopped")[1]

    out = tmp_path / "out"
    written = sorted(path.name for path in out.iterdir())
    assert written == ["01_good.html", "01_good.ipynb", "02_bad.failed.ipynb"]
    executed = nbformat.read(out / "01_good.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].data["text/plain"] == repr(str(tmp_path))
    page = (out / "01_good.html").read_text("utf-8")
    assert "<h1" in page and "epoch 1" in page
    assert "http:" not in page and "https:" not in page and "<script" not in page
    assert 'href="../index.html"' in page and 'href="06_evaluate.html"' in page
    assert "default-src 'none'" in page and "own code" in page


# A training, as far as signals go: it takes its time to save, and ends its process.
TRAINING = """
import pathlib, sys, time
sys.path.insert(0, {root!r})
from pokeutils.common.interruptions import Interruptions
with Interruptions() as stop:
    print("training", flush=True)
    while not stop.wanted:
        time.sleep(0.05)
print("saving", flush=True)
time.sleep(2)
pathlib.Path({name!r}).write_text("all of it")
print("saved", flush=True)
if stop.wanted == "SIGTERM":
    sys.exit(0)
"""
INT, TERM = signal.SIGINT, signal.SIGTERM
STOPS = {  # what comes, whether it is saved, the exit code
    "Ctrl-C": ([INT], True, 130),
    "timeout make run": ([TERM, TERM], True, 143),  # to make, which passes it on
    "Ctrl-C of make run | tee log": (["pipe", INT], True, 130),
    "Ctrl-C, and again": ([INT, INT], False, 130),
}


def test_a_training_saves_itself_when_the_series_is_stopped(start, tmp_path):
    """All at once, as each waits most of the time."""
    processes = {}
    for place, name in enumerate(STOPS):
        cell = TRAINING.format(root=str(env.ROOT), name=f"saved-{place}")
        never = f"import pathlib; pathlib.Path('never-{place}').touch()"
        processes[name] = start({f"0{place + 1}_train": [cell, never]})
    for process in processes.values():
        assert "  | training\n" in process.stdout
    for name, (signals, _, _) in STOPS.items():
        for number in signals:
            if number == "pipe":
                processes[name].stdout.close()
            else:
                processes[name].send_signal(number)
                time.sleep(0.3)
    for place, (name, (signals, is_saved, code)) in enumerate(STOPS.items()):
        assert processes[name].wait(timeout=60) == code, name
        assert (tmp_path / f"saved-{place}").exists() == is_saved, name
        if "pipe" not in signals:
            text = processes[name].stdout.read()
            assert "The same command goes on." in text.splitlines()[-1]
            assert ("  | saved\n" in text) == is_saved
    assert not list(tmp_path.glob("never-*"))


def test_ctrl_c_stops_the_kernel(start, tmp_path):
    wait = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    process = start({"01_long": [wait]})
    kernel = next(int(line[4:]) for line in process.stdout if line.startswith("  | "))
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(kernel, 0)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    "error",
    [files.NoRoom, download.SourceUnavailable, runs.RunIsBusy]
    + [folders.UnusableFolder, prepare.UnusablePictures],
)
def test_an_error_that_says_what_to_do_stands_alone(error):
    class Told:  # as nbclient tells of it
        ename, evalue = error.__name__, "No room. Make some."
        traceback = "Cell In[1], line 1"

    assert run.explain(None, Told) == "No room. Make some."


@pytest.mark.parametrize(
    "error, code, words",
    [
        (files.NoRoom(28, "The disk is full."), 1, "The disk is full."),
        (PermissionError(13, "Permission denied", "/out"), 1, "denied: '/out'"),
        (KeyboardInterrupt(), 130, "Stopped."),
    ],
)
def test_outside_of_notebooks_too(folders, monkeypatch, capsys, error, code, words):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(run.files, "make_folder", fail)
    assert run.main(["--only", "01_scrape"]) == code
    assert words in capsys.readouterr().out.splitlines()[-1]


def test_a_kernel_that_does_not_start_is_reported(start, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "ipykernel_launcher.py").write_text("raise SystemExit(1)")
    process = start({"01_dead": ["1"]})
    text = process.communicate(timeout=120)[0]
    assert process.returncode == 1
    assert "Its Python did not start" in text.splitlines()[-1]


def test_a_kernel_that_dies_is_reported(start):
    process = start({"01_killed": ["import os; os.kill(os.getpid(), 9)"]})
    text = process.communicate(timeout=120)[0]
    assert process.returncode == 1
    assert "too little memory" in text.splitlines()[-1]


def test_a_notebook_that_is_done_early_is_done(start, tmp_path):
    early = "from pokeutils.common import env; raise env.Done('No types known.')"
    process = start({"01_early": [early, "1 / 0"], "02_next": ["print('on')"]})
    text = process.communicate(timeout=120)[0]
    assert process.returncode == 0, text
    assert "| No types known." in text and "| on" in text and "Traceback" not in text
    page = (tmp_path / "out" / "01_early.html").read_text("utf-8")
    assert "No types known." in page and "Traceback (most" not in page


@pytest.mark.parametrize(
    "variable, value, words",
    [
        ("PROFILE", "fast", "POKEUTILS_PROFILE is 'fast'; expected one of tiny"),
        ("SOURCE", "folder:/\udce9t\udce9", "POKEUTILS_SOURCE is not UTF-8"),
        ("PROFILE", "tiny", "no notebook 99_nothing"),
    ],
)
def test_what_is_unknown_is_refused_so(monkeypatch, capsys, variable, value, words):
    monkeypatch.setenv(f"POKEUTILS_{variable}", value)
    with pytest.raises(SystemExit):
        run.main(["--only", "99_nothing"])
    assert words in capsys.readouterr().err
