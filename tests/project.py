"""The project's own files, as tests look at them: modules, notebooks, what git has."""

import pathlib
import shutil
import subprocess

import pytest

from pokeutils.common import env

MODULES = sorted((env.ROOT / "pokeutils").rglob("*.py"))
NOTEBOOKS = sorted((env.ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
BOOTSTRAP = """\
# Find the project, or clone it (Colab, Kaggle); then make `pokeutils` importable.
import os, pathlib, subprocess, sys
REPOSITORY = os.environ.get("POKEUTILS_REPOSITORY", "https://github.com/OWNER/REPO")
here, kaggle = pathlib.Path.cwd(), pathlib.Path("/kaggle/input")
places = [here, *here.parents, *here.glob("*")]
places += [p for depth in range(1, 5) for p in kaggle.glob("/".join("*" * depth))]
found = [p for p in places if (p / "pokeutils" / "gan.py").exists()]
if not found:
    subprocess.run(["git", "clone", "--depth=1", REPOSITORY, "pokemon-gan"], check=True)
root = found[0] if found else here / "pokemon-gan"
sys.path.insert(0, str(root))"""


def committed():
    """Paths of all files that git has or would take in, relative to the project."""
    command = ["git", "-C", str(env.ROOT), "ls-files", "-z"]
    command += ["--cached", "--others", "--exclude-standard"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    paths = [env.ROOT / name for name in answer.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def texts():
    """(path, content) of all committed files that are text."""
    for path in committed():
        try:
            yield path, path.read_text("utf-8")
        except UnicodeDecodeError:
            continue


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


needs_git = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


def git(folder, *arguments):
    """Runs git in `folder` as somebody, and returns what it says."""
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def repository(folder):
    """Makes a repository of `folder`, with one commit of all that is in it."""
    for arguments in (["init"], ["add", "."], ["commit", "-m", "all"]):
        git(folder, *arguments)
    return pathlib.Path(folder).as_uri()
