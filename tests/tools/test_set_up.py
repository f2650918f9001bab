"""tools/set_up.py: when it installs, when not, and what it says when it fails."""

import errno
import json
import os
import subprocess

import pytest
import set_up

from pokeutils.common import env, files
from pokeutils.data import dataset

PROJECT = {"name": "pokeutils", "dependencies": ["keras==3.13.*"]}


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """An empty .venv in a temporary folder, and the list of what pip would be given."""
    calls = []
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    monkeypatch.setattr(set_up, "VENV", tmp_path)
    monkeypatch.setattr(set_up, "RECORD", tmp_path / "installed.json")
    monkeypatch.setattr(set_up, "can_install", lambda: True)
    monkeypatch.setattr(set_up, "has_gpu", lambda: False)
    monkeypatch.setattr(set_up, "install", lambda extras, *_: calls.append(extras))
    monkeypatch.setattr(set_up, "first_import", lambda command, say: None)
    return calls


def test_installs_once_then_only_what_is_added_or_changed(installed):
    set_up.set_up("run", PROJECT, print)
    set_up.set_up("run", PROJECT, print)
    assert installed == [["cpu", "notebooks"]]
    set_up.set_up("test", PROJECT, print)
    set_up.set_up("run", PROJECT, print)  # has what it needs
    assert installed[1:] == [["cpu", "notebooks", "test"]]
    changed = PROJECT | {"dependencies": ["keras==3.14.*"]}
    set_up.set_up("run", changed, print)
    assert installed[2:] == [["cpu", "notebooks"]]


@pytest.fixture
def train(monkeypatch):
    """The program behind `make train`, and the calls that it makes."""
    import train

    from pokeutils.recipes.recipe import Recipe

    calls = []

    def record(recipe, source, seed, run=None, **options):
        calls.append((recipe.name, source, seed, run, options))

    monkeypatch.setattr(Recipe, "train", record)
    return train, calls


def test_make_train_trains_what_is_asked_for(train, monkeypatch, capsys):
    program, calls = train
    program.main([])
    monkeypatch.setenv("POKEUTILS_RECIPE", "sprites64")
    monkeypatch.delenv("POKEUTILS_SOURCE")
    program.main(["--minutes", "2.5", "--run", "new", "--seed", "3"])
    assert calls == [
        ("tiny16", "doodles", 0, None, {"minutes": None}),
        ("sprites64", "sprites", 3, "new", {"minutes": 2.5}),
    ]
    with pytest.raises(SystemExit):
        program.main(["--minutes", "0"])
    assert "a positive number, not 0" in capsys.readouterr().err
    program.main([])
    assert "the same command goes on" in capsys.readouterr().out


def test_make_train_makes_a_run_again_from_its_params(train, tmp_path, capsys):
    from pokeutils.recipes import catalogue
    from pokeutils.training import runs

    program, calls = train
    data = dataset.load("doodles", 16)
    params = runs.params(catalogue.get("tiny16"), data, seed=7)
    files.write_json(tmp_path / "params.json", params)
    program.main(["--params", str(tmp_path / "params.json"), "--minutes", "1"])
    assert calls == [("tiny16", "doodles", 7, None, {"minutes": 1.0})]
    with pytest.raises(SystemExit):
        program.main(["--params", str(tmp_path / "none.json")])
    assert "none.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "variable, value, words",
    [
        ("POKEUTILS_SOURCE", "artwrok", "unknown picture source 'artwrok'; expected"),
        ("POKEUTILS_SOURCE", "folder:/no/pictures", "/no/pictures is not a folder"),
        ("POKEUTILS_RECIPE", "modern46", "'modern46'. Choose one of"),
        ("POKEUTILS_PROFILE", "fast", "'fast'; expected one of tiny, quick, full"),
    ],
)
def test_make_train_refuses_what_it_does_not_know_in_a_sentence(
    train, monkeypatch, capsys, variable, value, words
):
    program, calls = train
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit):
        program.main([])
    said = capsys.readouterr()
    assert words in said.err and not said.out and not calls


def test_make_train_says_when_the_pictures_cannot_be_had(train, monkeypatch):
    from pokeutils.data import download

    def unreachable(*arguments, **options):
        raise download.SourceUnavailable("No network.")

    from pokeutils.recipes.recipe import Recipe

    monkeypatch.setattr(Recipe, "train", unreachable)
    with pytest.raises(SystemExit, match="No network."):
        train[0].main([])


@pytest.mark.slow
def test_make_train_goes_on_where_it_stopped(folders):
    said = []
    for minutes in ("0.0001", "10"):
        command = ["make", "train", "PYTHON=false", f"MINUTES={minutes}"]
        done = subprocess.run(command, cwd=env.ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert "Stopping here: the limit" in said[0]
    assert "Going on with 001-tiny16" in said[1] and "640 images" not in said[1]


@pytest.fixture
def locks(monkeypatch, tmp_path):
    """Returns a function that runs `main` with another flock and nothing to set up."""
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'pokeutils'\n")
    monkeypatch.setattr(set_up, "ROOT", tmp_path)
    done = []
    monkeypatch.setattr(set_up, "set_up", lambda *arguments: done.append(arguments))

    def locks(flock):
        monkeypatch.setattr(set_up.fcntl, "flock", flock)
        set_up.main("run")
        assert done.pop()[:2] == ("run", {"name": "pokeutils"})

    return locks


def test_two_set_ups_wait_for_each_other_also_on_nfs(locks, capsys):
    asked = []

    def flock(file, how):
        if not file.writable():
            raise OSError(errno.EBADF, "Bad file descriptor")
        asked.append(how)
        if len(asked) == 1:
            raise BlockingIOError(errno.EAGAIN, "held by another process")

    locks(flock)
    assert len(asked) == 2 and asked[0] & set_up.fcntl.LOCK_NB
    assert "waiting for another set-up" in capsys.readouterr().out


def test_a_drive_without_locks_is_told_of_and_used(locks, capsys):
    def flock(file, how):
        raise OSError(errno.ENOLCK, "No locks available")

    locks(flock)
    (said,) = capsys.readouterr().out.splitlines()
    assert "no locks on this drive" in said and "one `make` at a time" in said


def test_an_interrupted_installation_is_done_again(installed, monkeypatch):
    def interrupted(extras, say, more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(set_up, "install", interrupted)
        with pytest.raises(KeyboardInterrupt):
            set_up.set_up("run", PROJECT, print)
    assert not set_up.RECORD.exists()
    set_up.set_up("run", PROJECT, print)
    assert installed == [["cpu", "notebooks"]]
    set_up.RECORD.write_text("{torn")
    set_up.set_up("run", PROJECT, print)
    assert len(installed) == 2 and json.loads(set_up.RECORD.read_text("utf-8"))


def test_a_python_that_went_away_means_a_new_venv(installed, monkeypatch):
    made = []
    monkeypatch.setattr(set_up, "make_venv", lambda: made.append(True))
    set_up.set_up("run", PROJECT, print)
    assert not made
    (set_up.VENV / "bin" / "python").unlink()
    set_up.set_up("run", PROJECT, print)
    assert made and len(installed) == 2


def test_a_gpu_decides_once_for_the_whole_venv(installed, monkeypatch):
    monkeypatch.setattr(set_up, "has_gpu", lambda: True)
    set_up.set_up("run", PROJECT, print)
    monkeypatch.setattr(set_up, "has_gpu", lambda: False)
    set_up.set_up("test", PROJECT, print)
    assert installed == [["gpu", "notebooks"], ["gpu", "notebooks", "test"]]


def test_the_benchmarks_have_a_venv_and_requirements_of_their_own(
    installed, monkeypatch, tmp_path
):
    (tmp_path / "requirements.txt").write_text("torch==1\n")
    monkeypatch.setattr(set_up, "APART", {"bench": tmp_path})
    monkeypatch.setattr(set_up, "LOG", set_up.LOG)  # to be put back
    monkeypatch.setattr(set_up, "has_gpu", lambda: True)
    set_up.set_up("bench", PROJECT, print)
    set_up.set_up("bench", PROJECT, print)
    assert installed == [["cpu"]]
    (tmp_path / "requirements.txt").write_text("torch==2\n")
    set_up.set_up("bench", PROJECT, print)
    assert installed == [["cpu"]] * 2
    set_up.move_to(tmp_path / "elsewhere")
    assert set_up.LOG == tmp_path / "elsewhere" / ".venv" / "install.log"


@pytest.mark.parametrize(
    "log, sentence",
    [
        ("... NewConnectionError('<pip...>: Failed to establish')", "cannot reach"),
        (
            "ERROR: [Errno 28] No space left on device",
            "disk is full",
        ),
        (
            "Collecting x\nERROR: Could not find a version of y",
            "failed: Could not find",
        ),
        ("", "no reason given"),
    ],
)
def test_a_failure_is_one_sentence_that_names_the_log(log, sentence):
    said = set_up.explain(log)
    assert sentence in said and "install.log" in said and "\n" not in said


def test_every_command_of_the_makefile_is_known():
    makefile = (env.ROOT / "Makefile").read_text("utf-8")
    commands = {
        block.split(":")[0].partition("-")[0]  # test-slow needs what test needs
        for block in makefile.split("\n\n")
        if "$(set_up)" in block.replace("\t", "") and not block.startswith("define")
    }
    assert sorted(commands) == sorted(set_up.EXTRAS) == sorted(set_up.IMPORTS)


@pytest.mark.parametrize(
    "target, name",
    [
        ("train", "MINUTES"),
        ("train", "PARAMS"),
        ("train", "SEED"),
        ("render", "ONLY"),
        ("hatchery", "RUN"),
        ("compare", "IMAGES"),
        ("compare", "SEEDS"),
        ("badges", "REPO"),
    ],
)
def test_what_a_shell_has_of_its_own_does_not_steer_make(target, name):
    def commands(*arguments, **variables):
        answer = subprocess.run(
            ["make", "--dry-run", target, *arguments],
            cwd=env.ROOT,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    assert "some-value" in commands(f"{name}=some-value")
    assert "some-value" not in commands(**{name: "some-value"})


@pytest.mark.parametrize(
    "signal, words",
    [("ABRT", "needs AVX"), ("ILL", "needs AVX"), ("KILL", "SIGKILL.*memory")],
)
def test_a_first_import_that_dies_says_why(monkeypatch, tmp_path, signal, words):
    """TensorFlow aborts where AVX is missing; a system without memory left kills."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\nkill -{signal} $$\n", "utf-8")
    python.chmod(0o755)
    monkeypatch.setattr(set_up, "VENV", tmp_path)
    with pytest.raises(SystemExit, match=words):
        set_up.first_import("run", lambda line: None)
