"""env: what it says about platforms, folders, profiles and versions."""

import pathlib
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
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(env, "ROOT", tmp_path / "site-packages")  # cannot be written
    assert env.outputs_dir() == tmp_path / "outputs"
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    assert env.outputs_dir() == pathlib.Path("/kaggle/working/outputs")


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


def test_report_says_where_to_click_and_what_is_not_used(monkeypatch, capsys, add_gpu):
    def report():
        env.report()
        return capsys.readouterr().out

    text = report()
    assert "folders   data/, outputs/" in text and "No GPU" not in text
    assert str(env.ROOT) not in text and str(pathlib.Path.home()) not in text
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    assert "Runtime > Change runtime type" in report()
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    text = report()
    assert "Settings > Accelerator" in text and "Settings > Internet" in text
    add_gpu("Tesla T4, 7.5, 15360", tensorflow_sees_it=False)
    assert "this TensorFlow does not use the Tesla T4" in report()
    add_gpu("Tesla T4, 7.5, 15360")
    monkeypatch.setenv("POKEUTILS_DTYPE", "mixed_float16")
    text = report()
    assert "No GPU" not in text and "does not use" not in text
    assert "; mixed_float16\n" in text


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    env.need("json", "json==1")  # is there: nothing happens
    with pytest.raises(RuntimeError, match="pip install no-such-thing==1"):
        env.need("no_such_thing", "no-such-thing==1")


def test_on_kaggle_without_internet_the_switch_is_named(monkeypatch, capsys):
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    pip = env.subprocess.run  # runs, and only finds no index
    monkeypatch.setattr(env.subprocess, "run", lambda c: pip(c, capture_output=True))
    with pytest.raises(RuntimeError, match="Internet on"):
        env.need("no_such_thing", "no-such-thing==1")
    assert "pip install no-such-thing==1" in capsys.readouterr().out
