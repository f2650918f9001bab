"""The first cell of a notebook, in a Python without packages: where it takes the
project from, and what it says if it cannot. tests/project/test_machines.py runs whole
notebooks with the packages of Colab and Kaggle."""

import json
import os
import shutil
import subprocess
import sys
import urllib.parse

import pytest
from project import BOOTSTRAP

from pokeutils.common import env


def checkout(folder):
    """A copy of the project, as far as that cell needs it."""
    shutil.copytree(env.ROOT / "pokeutils", folder / "pokeutils")
    shutil.copy(env.ROOT / "pyproject.toml", folder)
    return folder


@pytest.fixture
def run(tmp_path):
    """Returns a function that runs the cell in an empty folder, with git and curl
    played; `answer` is that of Colab's own server."""
    programs, folder = tmp_path / "programs", tmp_path / "content"
    programs.mkdir()
    folder.mkdir()
    project = checkout(tmp_path / "github")

    def run(answer="", online=True, attached="/nowhere"):
        clone = f"echo $4 > {tmp_path}/asked; cp -r {project} $5"
        for name, text in {
            "curl": f"echo '{answer}'",
            "git": clone if online else "exit 1",
        }.items():
            (programs / name).write_text(f"#!/bin/sh\n{text}\n")
            (programs / name).chmod(0o755)
        code = BOOTSTRAP.removesuffix("env.install_missing()") + "print(env.ROOT)"
        code = code.replace("/kaggle/input", str(attached))
        return subprocess.run(
            [sys.executable, "-I", "-S", "-c", code],
            cwd=folder,
            env={"PATH": f"{programs}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
        )

    return run


@pytest.mark.parametrize("opened", ["quoted", "as it is", "elsewhere"])
def test_it_clones_the_repository_that_was_opened(run, opened, tmp_path):
    file = "https://github.com/ada/creatures-2.0/blob/main/notebooks/01_scrape.ipynb"
    file = urllib.parse.quote(file, "") if opened == "quoted" else file
    answer = json.dumps([{"path": f"fileId={file}", "name": "01_scrape.ipynb"}])
    done = run("" if opened == "elsewhere" else answer)
    assert done.stdout == f"{tmp_path}/content/pokemon-gan\n", done.stderr
    name = "OWNER/REPO" if opened == "elsewhere" else "ada/creatures-2.0"
    assert (tmp_path / "asked").read_text() == f"https://github.com/{name}\n"


@pytest.mark.parametrize("below", ["pokemon-gan", "datasets/somebody/name/pokemon-gan"])
def test_kaggle_without_internet_takes_the_attached_project(run, below, tmp_path):
    project = checkout(tmp_path / "input" / below)
    done = run(online=False, attached=tmp_path / "input")
    assert done.stdout == f"{project}\n", done.stderr


def test_without_project_or_address_one_sentence_says_what_to_write(run):
    done = run(online=False)
    assert done.returncode == 1
    words = "Cannot clone https://github.com/OWNER/REPO. Write the address of this"
    assert words in done.stderr and "Settings > Internet on" in done.stderr
