"""tools/set_up.py: when it installs, from where, and what it says when it fails."""

import fcntl
import json
import os
import subprocess
import sys
import venv

import pytest
import set_up

from pokeutils.common import env

PROJECT = {"name": "pokeutils", "dependencies": ["keras==3.13.*"]}


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """What would be installed, and which .venvs made: nothing is."""
    calls = []
    (tmp_path / ".venv").mkdir()
    (tmp_path / "benchmarks" / ".venv").mkdir(parents=True)
    monkeypatch.setattr(set_up, "is_working", lambda venv: True)
    monkeypatch.setattr(set_up, "device_here", lambda: "cpu")
    monkeypatch.setattr(set_up, "run", lambda command: calls.append("new .venv"))
    monkeypatch.setattr(set_up, "install", lambda venv, what: calls.append(what[1:]))
    monkeypatch.setattr(set_up, "first_import", lambda venv, modules: None)
    return calls


@pytest.fixture
def extras(tmp_path):
    """Returns a function: extras -> what is installed then."""
    return lambda names: [f"{tmp_path}[{names}]"]


def test_installs_once_then_only_what_is_added_or_changed(installed, extras, tmp_path):
    set_up.set_up("run", PROJECT, tmp_path)
    set_up.set_up("train", PROJECT, tmp_path)
    assert installed == [extras("cpu,notebooks")]
    set_up.set_up("test", PROJECT, tmp_path)
    set_up.set_up("run", PROJECT, tmp_path)  # has what it needs
    assert installed[1:] == [extras("cpu,notebooks,test")]
    changed = PROJECT | {"dependencies": ["keras==3.14.*"]}
    set_up.set_up("run", changed, tmp_path)
    assert installed[2:] == [extras("cpu,notebooks")]


def test_an_interrupted_installation_is_done_again(installed, monkeypatch, tmp_path):
    def interrupted(venv, modules):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(set_up, "first_import", interrupted)
        with pytest.raises(KeyboardInterrupt):
            set_up.set_up("run", PROJECT, tmp_path)
    record = tmp_path / ".venv" / "installed.json"
    assert not record.exists()
    set_up.set_up("run", PROJECT, tmp_path)
    record.write_text("{torn")
    set_up.set_up("run", PROJECT, tmp_path)
    assert len(installed) == 3 and json.loads(record.read_text("utf-8"))


def test_a_gpu_decides_once_for_the_whole_venv(
    installed, extras, monkeypatch, tmp_path
):
    monkeypatch.setattr(set_up, "device_here", lambda: "gpu")
    set_up.set_up("run", PROJECT, tmp_path)
    monkeypatch.setattr(set_up, "device_here", lambda: "cpu")
    set_up.set_up("test", PROJECT, tmp_path)
    assert installed == [extras("gpu,notebooks"), extras("gpu,notebooks,test")]


def test_the_benchmarks_have_a_venv_and_requirements_of_their_own(
    installed, extras, monkeypatch, tmp_path
):
    requirements = tmp_path / "benchmarks" / "requirements.txt"
    requirements.write_text("torch==1\n")
    monkeypatch.setattr(set_up, "device_here", lambda: "gpu")
    set_up.set_up("bench", PROJECT, tmp_path)
    set_up.set_up("bench", PROJECT, tmp_path)
    assert installed == [[*extras("cpu"), "-r", requirements]]
    assert (tmp_path / "benchmarks" / ".venv" / "installed.json").exists()
    requirements.write_text("torch==2\n")
    set_up.set_up("bench", PROJECT, tmp_path)
    assert len(installed) == 2


# ------------------------------------------------------------------- a .venv that broke


@pytest.mark.parametrize("broken", ["no python", "no start", "another version"])
def test_a_broken_venv_is_made_anew(installed, monkeypatch, tmp_path, broken):
    monkeypatch.undo()
    folder = tmp_path / ".venv"
    record = {"project": "any", "device": "cpu", "extras": ["notebooks"]}
    if broken == "another version":  # finds none of the packages of the one before
        venv.create(folder, with_pip=False)
    elif broken == "no start":
        (folder / "bin").mkdir()
        (folder / "bin" / "python").write_text("no program")
    (folder / "installed.json").write_text(json.dumps(record))
    calls = []
    monkeypatch.setattr(set_up, "run", lambda command: calls.append(command[1:]))
    monkeypatch.setattr(set_up, "install", lambda venv, what: None)
    monkeypatch.setattr(set_up, "first_import", lambda venv, modules: None)
    set_up.set_up("run", PROJECT, tmp_path)
    assert calls == [["-m", "venv", "--clear", folder]]


def test_a_sound_venv_is_known_in_a_moment():
    assert set_up.is_working(set_up.pathlib.Path(sys.prefix))


# ------------------------------------------------------------------------ one at a time

WAITING = """
import pathlib, sys, set_up
set_up.ROOT = pathlib.Path(sys.argv[1])
set_up.set_up = lambda command, project, root: print(command, project["name"])
set_up.main("run")
"""


def test_two_set_ups_wait_for_each_other(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'pokeutils'\n")
    with open(tmp_path / "pyproject.toml", "rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        other = subprocess.Popen(
            [sys.executable, "-c", WAITING, str(tmp_path)],
            cwd=env.ROOT / "tools",
            stdout=subprocess.PIPE,
            text=True,
        )
        assert "waiting for another set-up" in other.stdout.readline()
    assert other.communicate(timeout=30)[0] == "run pokeutils\n"


def test_a_drive_without_locks_is_told_of_and_used(monkeypatch, tmp_path, capsys):
    def flock(file, how):
        raise OSError("No locks available")

    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'pokeutils'\n")
    monkeypatch.setattr(set_up, "ROOT", tmp_path)
    monkeypatch.setattr(set_up.fcntl, "flock", flock)
    done = []
    monkeypatch.setattr(set_up, "set_up", lambda *arguments: done.append(arguments))
    set_up.main("run")
    assert done == [("run", {"name": "pokeutils"}, tmp_path)]
    assert "one `make` at a time" in capsys.readouterr().out


# ------------------------------------------------------------------------ from where


def test_uv_installs_from_where_pip_does(monkeypatch):
    for name in set_up.UV_NAMES.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_CONSTRAINT", "mine.txt")
    found = set_up.uv_settings(
        ":env:.find-links='/wheels /more'\n"
        "global.constraint='theirs.txt'\n"
        "global.extra-index-url='\\nfile:///a\\nfile:///b'\n"
        "global.find-links='/old'\n"
        "global.index-url='https://one.example/simple'\n"
        "global.quiet='1'\n"
        "install.index-url='https://two.example/simple'\n"
    )
    added = {name: found[name] for name in found if os.environ.get(name) != found[name]}
    assert added == {
        "UV_DEFAULT_INDEX": "https://two.example/simple",
        "UV_INDEX": "file:///a file:///b",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_SYSTEM_CERTS": "1",
    }
    assert found["UV_CONSTRAINT"] == "mine.txt"


# ------------------------------------------------------------------------- what is said


@pytest.mark.parametrize(
    "log, sentence",
    [
        ("WARNING: Retrying after NewConnectionError('...: Failed')", "be reached"),
        ("error: Request failed\n  cause: Failed to fetch: https://...", "be reached"),
        ("ERROR: [Errno 28] No space left on device", "disk is full: .* GB free"),
        ("× No solution found when resolving dependencies", "for the reason above"),
    ],
)
def test_a_failure_ends_in_a_sentence_below_its_reason(log, sentence, capsys):
    script = (
        f"print('Resolved 3 packages in 1s', {log!r}, sep='\\n'); raise SystemExit(2)"
    )
    with pytest.raises(SystemExit, match=sentence) as end:
        set_up.run([sys.executable, "-c", script])
    assert log.splitlines()[-1] in str(end.value).splitlines()
    assert "Resolved 3 packages" in capsys.readouterr().out


@pytest.mark.parametrize(
    "signal, words",
    [("ABRT", "needs AVX"), ("ILL", "needs AVX"), ("KILL", "SIGKILL.*memory")],
)
def test_a_first_import_that_dies_says_why(tmp_path, signal, words):
    """TensorFlow aborts where AVX is missing; a system without memory left kills."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\nkill -{signal} $$\n", "utf-8")
    python.chmod(0o755)
    with pytest.raises(SystemExit, match=words):
        set_up.first_import(tmp_path, "keras")


# ------------------------------------------------------------------------- the Makefile


@pytest.mark.parametrize(
    "target, name",
    [
        *(("train", name) for name in ("MINUTES", "PARAMS", "SEED")),
        *(("compare", name) for name in ("IMAGES", "SEEDS")),
        *[("render", "ONLY"), ("hatchery", "RUN"), ("badges", "REPO")],
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
