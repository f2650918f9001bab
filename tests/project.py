"""The project's own files, as tests look at them: modules, notebooks, what git has."""

import pathlib
import shutil
import subprocess

import pytest

from pokeutils.common import env

MODULES = sorted((env.ROOT / "pokeutils").rglob("*.py"))
NOTEBOOKS = sorted((env.ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
BOOTSTRAP = """\
# @title Set up: find pokeutils here, or attached on Kaggle, or else clone it
import glob, importlib.util, os, re, subprocess, sys, urllib.parse
REPOSITORY = "https://github.com/OWNER/REPO"  # on Colab, the one that was opened
for place in (".", "..", "../..", "*", "/kaggle/input/**"):
    sys.path += map(os.path.abspath, glob.glob(f"{place}/pokeutils/..", recursive=True))
if not importlib.util.find_spec("pokeutils"):
    ask = "curl -s $COLAB_JUPYTER_IP:$KMP_TARGET_PORT/api/sessions"  # which is open?
    answer = urllib.parse.unquote(subprocess.getoutput(ask))
    opened = re.search(r"https://github.com/[\\w.-]+/[\\w.-]+", answer)
    address = opened[0] if opened else REPOSITORY
    if os.system(f"git clone -q --depth=1 {address} pokemon-gan"):
        raise RuntimeError(f"Cannot clone {address}. Write the address of this project "
                           "above; on Kaggle, switch Settings > Internet on.")
    sys.path.append(os.path.abspath("pokemon-gan"))
from pokeutils.common import env
env.install_missing()"""


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
