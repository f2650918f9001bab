"""tools/set_up.py: when it installs, from where, and what it says when it fails."""

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
    """The extras that would be installed, in a folder whose .venv works."""
    calls = []
    (tmp_path / "benchmarks" / ".venv").mkdir(parents=True)
    (tmp_path / ".venv").mkdir()
    monkeypatch.setattr(set_up, "is_working", lambda venv: True)
    monkeypatch.setattr(set_up, "device_here", lambda: "cpu")
    monkeypatch.setattr(
        set_up, "install", lambda venv, what: calls.append(what[1].partition("[")[2])
    )
    monkeypatch.setattr(set_up, "first_import", lambda venv, modules: None)
    return calls


def test_installs_once_then_only_what_is_added_or_changed(installed, tmp_path):
    for command in ("run", "train", "test", "run"):
        set_up.set_up(command, PROJECT, tmp_path)
    assert installed == ["cpu,notebooks]", "cpu,notebooks,test]"]
    changed = PROJECT | {"dependencies": ["keras==3.14.*"]}
    set_up.set_up("run", changed, tmp_path)
    assert installed[2:] == ["cpu,notebooks]"]


def test_an_interrupted_installation_is_done_again(installed, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr(set_up, "first_import", lambda venv, modules: sys.exit(1))
        with pytest.raises(SystemExit):
            set_up.set_up("run", PROJECT, tmp_path)
    set_up.set_up("run", PROJECT, tmp_path)
    damaged = "{torn", "", "\0\0", "[]", "{}", "[" * 100_000, '{"extras": 1}', "null"
    for record in damaged:
        (tmp_path / ".venv" / "installed.json").write_text(record)
        for _ in range(2):
            set_up.set_up("run", PROJECT, tmp_path)
    assert len(installed) == 2 + len(damaged)


def test_a_gpu_decides_once_but_not_for_benchmarks(installed, monkeypatch, tmp_path):
    (tmp_path / "benchmarks" / "requirements.txt").write_text("torch==1\n")
    monkeypatch.setattr(set_up, "device_here", lambda: "gpu")
    for command in ("run", "bench", "bench"):
        set_up.set_up(command, PROJECT, tmp_path)
    monkeypatch.setattr(set_up, "device_here", lambda: "cpu")
    set_up.set_up("test", PROJECT, tmp_path)
    assert installed == ["gpu,notebooks]", "cpu]", "gpu,notebooks,test]"]


@pytest.mark.parametrize("broken", ["no python", "another version"])
def test_a_broken_venv_is_made_anew(installed, monkeypatch, tmp_path, broken):
    folder = tmp_path / ".venv"
    set_up.set_up("run", PROJECT, tmp_path)
    monkeypatch.undo()
    assert set_up.is_working(set_up.pathlib.Path(sys.prefix))
    if broken == "another version":  # finds none of the packages of the one before
        venv.create(folder, with_pip=False)
    calls = []
    monkeypatch.setattr(set_up, "run", lambda command: calls.append(command[1:]))
    monkeypatch.setattr(set_up, "install", lambda venv, what: None)
    monkeypatch.setattr(set_up, "first_import", lambda venv, modules: None)
    set_up.set_up("run", PROJECT, tmp_path)
    assert calls == [["-m", "venv", "--clear", folder]]


def test_uv_installs_from_where_pip_does(monkeypatch):
    for name in set_up.UV_NAMES.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_CONSTRAINT", "mine.txt")
    found = set_up.uv_settings(
        ":env:.find-links='/wheels /more'\n"
        "global.constraint='theirs.txt'\n"
        "global.extra-index-url='\\nfile:///a\\nfile:///b'\n"
        "global.index-url='https://one.example/simple'\n"
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


@pytest.mark.parametrize(
    "reason, sentence",
    [
        ("WARNING: Retrying after NewConnectionError('...: Failed')", "be reached"),
        ("  cause: Failed to fetch: https://...", "be reached"),
        ("ERROR: [Errno 28] No space left on device", "disk is full: .* GB free"),
        ("error: failed to create directory: Permission denied", "a folder of yours"),
        ("OSError: [Errno 30] Read-only file system: '.venv'", "a folder of yours"),
        ("× No solution found when resolving dependencies", "for the reason above"),
    ],
)
def test_a_failure_ends_in_a_sentence_below_its_reason(reason, sentence, capsys):
    script = f"print('Resolved 3 packages in 1s', {reason!r}, sep='\\n'); exit(2)"
    with pytest.raises(SystemExit, match=sentence) as end:
        set_up.run([sys.executable, "-c", script])
    assert reason.strip() in str(end.value).splitlines()
    assert "Resolved 3 packages" in capsys.readouterr().out


@pytest.mark.parametrize(
    "signal, words",
    [("ABRT", "needs AVX"), ("ILL", "needs AVX"), ("KILL", "SIGKILL.*memory")],
)
def test_a_first_import_that_dies_says_why(tmp_path, signal, words):
    """TensorFlow aborts where AVX is missing; a system without memory left kills."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(f"#!/bin/sh\nkill -{signal} $$\n")
    (tmp_path / "bin" / "python").chmod(0o755)
    with pytest.raises(SystemExit, match=words):
        set_up.first_import(tmp_path, "keras")


HOSTILE = "a b/001-x", "a'b\"c", "$HOME$(HOME)`id`;touch owned#%"


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize(
    "target, name, option",
    [
        *(("train", "RUN", "--run"), ("train", "PARAMS", "--params")),
        *(("train", "SEED", "--seed"), ("train", "MINUTES", "--minutes")),
        *(("hatchery", "RUN", "--run"), ("compare", "SEEDS", "--seeds")),
        ("badges", "REPO", None),
    ],
)
def test_what_is_given_arrives_as_it_is(tmp_path, target, name, option, value):
    command = ["make", "--dry-run", "--no-print-directory", target, f"{name}={value}"]
    text = subprocess.check_output(command, cwd=env.ROOT, text=True)
    line = text.replace("\\\n", " ").strip().splitlines()[-1]  # the last of all
    line = line.replace(".venv/bin/python", f"{sys.executable} -c '{ARGUMENTS}'", 1)
    words = subprocess.check_output(["sh", "-c", line], cwd=tmp_path, text=True)
    words = json.loads(words)
    assert words[-1] == value and option in (None, words[-2])
    assert not list(tmp_path.iterdir())


ARGUMENTS = "import json, sys; print(json.dumps(sys.argv))"


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONHOME"])
def test_no_python_of_elsewhere_comes_in(monkeypatch, name):
    monkeypatch.setenv(name, "/elsewhere")
    command = ["make", "--no-print-directory", "--eval=names:;@env", "names"]
    assert "/elsewhere" not in subprocess.check_output(command, cwd=env.ROOT, text=True)


DISK = OSError(30, "Read-only file system", ".venv")


@pytest.mark.parametrize(
    "error, sentence",
    [(DISK, "cannot be set up: .*Read-only"), (KeyboardInterrupt(), "Stopped; the")],
)
def test_setting_up_ends_in_a_sentence(monkeypatch, error, sentence):
    def fail(command):
        raise error

    monkeypatch.setattr(set_up, "locked", fail)
    with pytest.raises(SystemExit, match=sentence):
        set_up.main("run")
