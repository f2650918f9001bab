"""env: what it says about platforms, folders, profiles and versions."""

import os
import pathlib
import socket
import subprocess
import sys
import types

import pytest
from project import git, needs_git, repository

from pokeutils.common import env

pytestmark = pytest.mark.usefixtures("bare_machine")


def test_platform(monkeypatch):
    assert env.platform() == "local"
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("colab"))
    assert env.platform() == "colab"
    # Kaggle's image is made from Colab's, so both marks may be there.
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    assert env.platform() == "kaggle"


def test_folders_are_in_the_project_or_beside_it(monkeypatch, tmp_path):
    assert env.data_dir() == env.ROOT / "data"
    monkeypatch.setenv("POKEUTILS_DATA", str(tmp_path / "pictures"))
    assert env.data_dir() == tmp_path / "pictures"
    assert env.outputs_dir() == env.ROOT / "outputs"
    with monkeypatch.context() as patch:
        patch.setenv("COLAB_RELEASE_TAG", "1")
        assert env.outputs_dir() == env.ROOT / "outputs"
        patch.setattr(env, "DRIVE", tmp_path)  # is mounted
        assert env.outputs_dir() == tmp_path / "pokemon-gan" / "outputs"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(env, "ROOT", tmp_path / "site-packages")  # cannot be written
    assert env.outputs_dir() == tmp_path / "outputs"
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    assert env.outputs_dir() == pathlib.Path("/kaggle/working/outputs")


@pytest.mark.parametrize("place", ["mine", "./mine/", "mine/../mine", "{root}/mine"])
@pytest.mark.parametrize("variable", ["POKEUTILS_DATA", "POKEUTILS_OUTPUTS"])
def test_a_relative_folder_is_one_everywhere(monkeypatch, tmp_path, variable, place):
    folder = {"POKEUTILS_DATA": env.data_dir, "POKEUTILS_OUTPUTS": env.outputs_dir}
    monkeypatch.setenv(variable, place.format(root=env.ROOT))
    for current in (env.ROOT, env.ROOT / "notebooks", tmp_path):
        monkeypatch.chdir(current)
        assert folder[variable]() == env.ROOT / "mine"
    monkeypatch.setattr(env, "ROOT", tmp_path / "site-packages")  # no checkout
    monkeypatch.setenv(variable, "mine")
    assert folder[variable]() == tmp_path / "mine"


def test_a_user_without_a_home_gets_a_report(monkeypatch, capsys):
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    monkeypatch.setattr(pathlib.Path, "home", lambda: 1 / 0)
    monkeypatch.setenv("POKEUTILS_DATA", "/elsewhere")
    env.report()
    assert "folders   /elsewhere/, outputs/" in capsys.readouterr().out


SAY = "from pokeutils.common import env; [env.say('Pokémon ±', n) for n in range(3)]"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_terminal_without_some_letters_shows_the_rest(encoding):
    variables = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-c", SAY]
    done = subprocess.run(command, cwd=env.ROOT, env=variables, capture_output=True)
    assert done.returncode == 0 and not done.stderr
    shown = "Pok?mon ?" if encoding == "ascii" else "Pokémon ±"
    lines = done.stdout.decode(encoding).splitlines()
    assert lines == [f"{shown} {n}" for n in range(3)]


def test_nobody_listens_any_more():
    command = [sys.executable, "-c", SAY.replace("range(3)", "range(10_000)")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=env.ROOT, **pipes)
    process.stdout.close()  # as `head` does
    assert process.wait(60) == 0 and not process.stderr.read()
    process.stderr.close()


def test_profile_follows_the_device_unless_told(monkeypatch, add_gpu):
    assert env.source() == "artwork"
    assert env.profile() == "quick"
    add_gpu("Tesla T4, 7.5, 15360")
    assert env.profile() == "full"
    monkeypatch.setenv("POKEUTILS_PROFILE", "tiny")
    assert env.profile() == "tiny"
    monkeypatch.setenv("POKEUTILS_PROFILE", "huge")
    with pytest.raises(ValueError, match="'huge'.*tiny, quick, full"):
        env.profile()


def test_pick(monkeypatch):
    for profile, value in (("tiny", 1), ("quick", 2), ("full", 3)):
        monkeypatch.setenv("POKEUTILS_PROFILE", profile)
        assert env.pick(tiny=1, quick=2, full=3) == value
    monkeypatch.setenv("POKEUTILS_PROFILE", "tiny")
    assert env.pick(quick=2, full=3) == 2
    assert env.pick(tiny=None, quick=2, full=3) is None


@needs_git
def test_commit(monkeypatch, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.setattr(env, "ROOT", project)
    assert env.git_commit() is None
    (project / "file").write_text("one")
    repository(project)
    assert env.git_commit() == git(project, "rev-parse", "HEAD").strip()
    (project / "file").write_text("two")
    assert env.git_commit().endswith("-dirty")


@pytest.fixture
def report(capsys):
    """Returns a function that returns what `env.report` prints."""

    def text(**options):
        env.report(**options)
        return capsys.readouterr().out

    return text


def test_report_names_no_folder_of_this_machine(report):
    text = report(trains=True)
    assert "folders   data/, outputs/" in text and "GPU" not in text
    assert str(env.ROOT) not in text and str(pathlib.Path.home()) not in text


CLICKS = {
    "COLAB_RELEASE_TAG": "Runtime > Change runtime type",
    "KAGGLE_KERNEL_RUN_TYPE": "Settings > Accelerator",
}


@pytest.mark.parametrize("variable", CLICKS)
def test_a_gpu_is_told_of_where_it_matters(variable, monkeypatch, report, add_gpu):
    monkeypatch.setattr(env, "_is_online", lambda: True)
    monkeypatch.setenv(variable, "1")
    assert CLICKS[variable] in report(trains=True)
    assert "GPU" not in report()
    add_gpu("Tesla T4, 7.5, 15360", tensorflow_sees_it=False)
    assert "this TensorFlow does not use the Tesla T4" in report()
    add_gpu("Tesla T4, 7.5, 15360")
    monkeypatch.setenv("POKEUTILS_DTYPE", "mixed_bfloat16")
    text = report(trains=True)
    assert "No GPU" not in text and "does not use" not in text
    assert "; mixed_bfloat16\n" in text


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("source", ["artwork", "sprites", "doodles"])
def test_on_kaggle_a_network_that_is_missed_is_said(
    online, source, monkeypatch, report, tmp_path
):
    def connect(*_, **__):
        if not online:
            raise OSError
        return socket.socket()

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setenv("POKEUTILS_SOURCE", source)
    assert "GitHub" not in report()  # elsewhere nobody is asked
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    monkeypatch.setenv("POKEUTILS_DATA", str(tmp_path))
    (tmp_path / "raw" / "sprites").mkdir(parents=True)  # were fetched before
    missed = not online and source == "artwork"
    assert ("Settings > Internet" in report()) == missed


def test_a_machine_without_tensorflow_is_told_what_to_install(monkeypatch, report):
    monkeypatch.setattr(env.importlib.util, "find_spec", lambda _: None)
    assert "TensorFlow is missing" in (text := report())
    assert text.endswith('pip install "tensorflow==2.20.*"\n')


@pytest.mark.parametrize("works", [True, False])
@pytest.mark.parametrize("platform", ["colab", "kaggle", "local"])
def test_what_a_notebook_lacks_is_installed_or_said(platform, works, monkeypatch):
    asked, said, missing = [], [], ["keras==3.13.*", "resvg_py==0.5.0"]
    monkeypatch.setattr(env, "platform", lambda: platform)
    monkeypatch.setattr(env, "_requirements", lambda: ["numpy", *missing])
    monkeypatch.setattr(env, "_is_installed", lambda wanted: wanted == "numpy")
    monkeypatch.setattr(env, "_pip", lambda wanted: asked.append(wanted) or works)
    env.install_missing(said.append)
    here = platform == "local"  # where nobody asked for it, nothing is installed
    assert asked == ([] if here else [missing])
    assert len(said) == (here or not works)
    assert not said or "not installed: keras, resvg_py. To have it: " in said[0]


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    env.need("json", "json==1")  # is there: nothing happens
    with pytest.raises(RuntimeError, match="pip install no-such-thing==1"):
        env.need("no_such_thing", "no-such-thing==1")


def test_on_kaggle_without_internet_the_switch_is_named(monkeypatch, capsys):
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(RuntimeError, match="Internet on"):
        env.need("no_such_thing", "no-such-thing==1")
    assert "pip install no-such-thing==1" in capsys.readouterr().out
