"""Colab and Kaggle, played on this machine: their folders, variables and switches. What
the first two cells of a notebook do there, with the real package."""

import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from project import BOOTSTRAP, NOTEBOOKS, code_cells, needs_git
from project import repository as make_repository

from pokeutils.common import device, env

# Runs in place of a kernel: the first cells of notebooks, then says where things are.
# os.access is told that an attached data set cannot be written: tests may run as root.
KERNEL = """
import contextlib, io, json, os, pathlib, subprocess, sys
attached, drive, notebooks = {attached!r}, {drive!r}, {notebooks!r}
access = os.access
os.access = lambda path, mode: not str(path).startswith(attached) and access(path, mode)
reports = []
for cells in notebooks:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        space = {{}}
        for number, cell in enumerate(cells):
            cell = cell.replace("/kaggle/input", attached)
            exec(cell, space)
            if number == 0:
                from pokeutils.common import env
                env.DRIVE = pathlib.Path(drive)
    reports.append(said.getvalue())
print(json.dumps(dict(root=str(env.ROOT), data=str(env.data_dir()),
    outputs=str(env.outputs_dir()), platform=env.platform(), profile=env.profile(),
    reports=reports, light="tensorflow" not in sys.modules)))
"""
FIRST = [BOOTSTRAP, "from pokeutils.common import env\nenv.report()"]
VARIABLES = {"colab": "COLAB_RELEASE_TAG", "kaggle": "KAGGLE_KERNEL_RUN_TYPE"}


def checkout(folder):
    """A copy of the project, as far as the first cells need it."""
    shutil.copytree(env.ROOT / "pokeutils", folder / "pokeutils")
    shutil.copy(env.ROOT / "pyproject.toml", folder)
    return folder


def start(platform, folder, notebooks=(FIRST,), **variables):
    """Run the first cells of notebooks on a platform; returns what they say."""
    for name in ("content", "working", "input"):
        (folder / name).mkdir(exist_ok=True)
    code = KERNEL.format(
        attached=str(folder / "input"),
        drive=str(folder / "drive" / "MyDrive"),
        notebooks=[list(cells) for cells in notebooks],
    )
    variables = {"PATH": os.environ["PATH"], VARIABLES[platform]: "1", **variables}
    answer = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=folder / {"colab": "content", "kaggle": "working"}[platform],
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if answer.returncode:
        raise RuntimeError(answer.stderr)
    return json.loads(answer.stdout.splitlines()[-1])


@pytest.fixture
def repository(tmp_path):
    """A repository to clone, as an address."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    return make_repository(checkout(tmp_path / "github"))


@pytest.mark.parametrize("platform", ["colab", "kaggle"])
def test_a_notebook_clones_the_project_and_says_where_to_click(
    platform, repository, tmp_path
):
    found = start(platform, tmp_path, POKEUTILS_REPOSITORY=repository)
    here = (
        tmp_path / {"colab": "content", "kaggle": "working"}[platform] / "pokemon-gan"
    )
    assert found["root"] == str(here) and found["platform"] == platform
    assert found["outputs"] == str(here / "outputs")  # below what Kaggle keeps
    assert found["data"] == str(here / "data")
    (said,) = found["reports"]
    if device.gpu() is None:
        click = {"colab": "Runtime > Change", "kaggle": "Settings > Accelerator"}
        assert click[platform] in said and found["profile"] == "quick"
    assert ("Settings > Internet" in said) == (platform == "kaggle")
    assert found["light"]


@pytest.mark.parametrize("mounted", [False, True])
def test_colab_keeps_results_on_a_drive_only_if_one_is_mounted(
    mounted, repository, tmp_path
):
    drive = tmp_path / "drive" / "MyDrive"
    if mounted:
        drive.mkdir(parents=True)
    found = start("colab", tmp_path, POKEUTILS_REPOSITORY=repository)
    clone = tmp_path / "content" / "pokemon-gan"
    wanted = drive / "pokemon-gan" if mounted else clone
    assert found["outputs"] == str(wanted / "outputs")
    assert found["data"] == str(clone / "data")  # near and fast
    assert drive.exists() == mounted


@pytest.mark.parametrize(
    "below", ["pokemon-gan", "datasets/somebody/some-name/pokemon-gan"]
)
def test_kaggle_without_internet_takes_the_project_that_is_attached(below, tmp_path):
    project = checkout(tmp_path / "input" / below)
    nowhere = "file:///nowhere"  # as a network that is switched off
    found = start("kaggle", tmp_path, POKEUTILS_REPOSITORY=nowhere)
    assert found["root"] == str(project)
    assert found["outputs"] == "/kaggle/working/outputs"  # inputs cannot be written
    assert found["data"] == "/kaggle/working/data"
    assert not list((tmp_path / "working").iterdir())


@needs_git
def test_without_internet_or_project_the_first_cell_is_the_one_that_fails(tmp_path):
    with pytest.raises(RuntimeError, match="git.*clone.*nowhere"):
        start("kaggle", tmp_path, POKEUTILS_REPOSITORY="file:///nowhere")


@pytest.mark.parametrize("platform", ["colab", "kaggle"])
def test_every_notebook_begins_there(platform, tmp_path):
    name = {"colab": "content", "kaggle": "input"}[platform]
    project = checkout(tmp_path / name / "pokemon-gan")
    cells = [
        [cell.source for cell in code_cells(nbformat.read(path, as_version=4))[:2]]
        for path in NOTEBOOKS
    ]
    found = start(platform, tmp_path, cells, POKEUTILS_PROFILE="full")
    assert found["root"] == str(project)
    assert len(found["reports"]) == len(NOTEBOOKS)
    assert all("profile   full" in said for said in found["reports"])
