"""Colab and Kaggle, played on this machine: their folders, variables and switches. What
the first two cells of a notebook do there, with the real package."""

import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from project import NOTEBOOKS, code_cells, needs_git, repository

from pokeutils.common import device, env

# Runs in place of a kernel: the first cells of notebooks, then says where things are.
# os.access is told that an attached data set cannot be written: tests may run as root.
KERNEL = """
import contextlib, io, json, os, pathlib, subprocess, sys
attached, notebooks = {attached!r}, {notebooks!r}
access = os.access
os.access = lambda path, mode: not str(path).startswith(attached) and access(path, mode)
reports = []
for bootstrap, report in notebooks:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(bootstrap.replace("/kaggle/input", attached))
        from pokeutils.common import env
        env.DRIVE = pathlib.Path("../drive/MyDrive").resolve()
        exec(report)
    reports.append(printed.getvalue())
print(json.dumps([str(env.ROOT), str(env.data_dir()), str(env.outputs_dir()), reports]))
"""
VARIABLES = {"colab": "COLAB_RELEASE_TAG", "kaggle": "KAGGLE_KERNEL_RUN_TYPE"}
FOLDERS = {"colab": "content", "kaggle": "working"}
FIRST = [code_cells(nbformat.read(path, as_version=4))[:2] for path in NOTEBOOKS]


def checkout(folder):
    """A copy of the project, as far as the first cells need it."""
    shutil.copytree(env.ROOT / "pokeutils", folder / "pokeutils")
    shutil.copy(env.ROOT / "pyproject.toml", folder)
    return folder


def start(platform, folder, notebooks=FIRST[:1], **variables):
    """Runs the first cells of notebooks on a platform; returns the project's folder,
    those of data and outputs, and what the reports say."""
    for name in (*FOLDERS.values(), "input"):
        (folder / name).mkdir(exist_ok=True)
    sources = [[cell.source for cell in cells] for cells in notebooks]
    code = KERNEL.format(attached=str(folder / "input"), notebooks=sources)
    answer = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=folder / FOLDERS[platform],
        env={"PATH": os.environ["PATH"], VARIABLES[platform]: "1", **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if answer.returncode:
        raise RuntimeError(answer.stderr)
    return json.loads(answer.stdout.splitlines()[-1])


@needs_git
@pytest.mark.parametrize("place", ["colab", "colab with a drive", "kaggle"])
def test_a_notebook_clones_the_project_and_says_where_to_click(place, tmp_path):
    platform = place.split()[0]
    drive = tmp_path / "drive" / "MyDrive"
    if "drive" in place:
        drive.mkdir(parents=True)
    address = repository(checkout(tmp_path / "github"))
    root, data, outputs, (report,) = start(
        platform, tmp_path, POKEUTILS_REPOSITORY=address
    )
    clone = tmp_path / FOLDERS[platform] / "pokemon-gan"
    assert (root, data) == (str(clone), str(clone / "data"))
    kept = drive / "pokemon-gan" if drive.exists() else clone
    assert outputs == str(kept / "outputs")
    if device.gpu() is None:
        click = {"colab": "Runtime > Change", "kaggle": "Settings > Accelerator"}
        assert click[platform] in report and "profile   quick" in report
    assert ("Settings > Internet" in report) == (platform == "kaggle")


@pytest.mark.parametrize(
    "below", ["pokemon-gan", "datasets/somebody/some-name/pokemon-gan"]
)
def test_kaggle_without_internet_takes_the_project_that_is_attached(below, tmp_path):
    project = checkout(tmp_path / "input" / below)
    nowhere = "file:///nowhere"  # as a network that is switched off
    root, data, outputs, _ = start("kaggle", tmp_path, POKEUTILS_REPOSITORY=nowhere)
    assert root == str(project)
    assert outputs == "/kaggle/working/outputs"  # inputs cannot be written
    assert data == "/kaggle/working/data"
    assert not list((tmp_path / "working").iterdir())


@needs_git
def test_without_internet_or_project_the_first_cell_is_the_one_that_fails(tmp_path):
    with pytest.raises(RuntimeError, match="git.*clone.*nowhere"):
        start("kaggle", tmp_path, POKEUTILS_REPOSITORY="file:///nowhere")


def test_every_notebook_begins_there(tmp_path):
    project = checkout(tmp_path / "content" / "pokemon-gan")
    root, *_, reports = start("colab", tmp_path, FIRST, POKEUTILS_PROFILE="full")
    assert root == str(project)
    assert len(reports) == len(NOTEBOOKS)
    assert all("profile   full" in report for report in reports)
