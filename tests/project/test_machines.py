"""Colab and Kaggle with their own packages: each notebook alone, in an empty folder, on
a machine that has what tests/reference/platforms lists and nothing of ours. What is
committed is run, in the tiny profile.

Minutes each: `pytest -m slow tests/project/test_machines.py -k "kaggle-offline"`. Needs
Python 3.12 and 3.13, and root where the network is taken away. POKEUTILS_VENVS names a
folder that keeps the environments.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
from project import NOTEBOOKS, code_cells, git, needs_git

from pokeutils.common import env, files

pytestmark = [pytest.mark.slow, needs_git]

VERSIONS = {"colab": "3.13", "kaggle": "3.12"}
VARIABLES = {"colab": "COLAB_RELEASE_TAG", "kaggle": "KAGGLE_KERNEL_RUN_TYPE"}
MACHINES = ["colab", "kaggle", "kaggle-offline"]
NETWORK = r"(?i)PIP_|SSL_|REQUESTS_|(https?|no|all)_proxy$"
RUN = """
import sys, nbformat, nbclient
path = sys.argv[1]
notebook = nbformat.read(path, as_version=4)
settings = {"timeout": None, "startup_timeout": 600, "kernel_name": "python3"}
try:
    nbclient.NotebookClient(notebook, **settings).execute()
except nbclient.exceptions.CellExecutionError as error:
    if error.ename != "Done":
        raise
finally:
    nbformat.write(notebook, path)
"""
# No network but the machine's own, and what is attached cannot be written.
OFFLINE = """
set -e
ip link set lo up
mount --bind "$1" "$1"
mount -o remount,ro,bind "$1" "$1"
shift
exec "$@"
"""


def call(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


@pytest.fixture(scope="module", params=MACHINES)
def machine(request):
    return request.param


@pytest.fixture(scope="module")
def site_packages(machine, tmp_path_factory):
    """The folder of a platform's own packages."""
    platform = machine.split("-")[0]
    kept = os.environ.get("POKEUTILS_VENVS") or tmp_path_factory.mktemp("venvs")
    venv = pathlib.Path(kept) / platform
    uv, version = pathlib.Path(sys.executable).with_name("uv"), VERSIONS[platform]
    listed = env.ROOT / "tests" / "reference" / "platforms" / f"{platform}.txt"
    if not venv.exists():
        found = subprocess.run([uv, "python", "find", version], capture_output=True)
        if found.returncode:
            pytest.skip(f"Python {version} is not installed")
        call(uv, "venv", "--seed", "--python", version, venv)
    python = venv / "bin" / "python"
    call(uv, "pip", "install", "--python", python, "--no-deps", "-r", listed)
    (folder,) = venv.glob("lib/python3.*/site-packages")
    return folder


@pytest.fixture(scope="module")
def project(machine, tmp_path_factory):
    """The project as others get it: a clone, on Kaggle without a network attached."""
    if "offline" in machine and (os.geteuid() or not shutil.which("unshare")):
        pytest.skip("only root can take the network away")
    folder = tmp_path_factory.mktemp("github") / "pokemon-gan"
    git(env.ROOT, "clone", "-q", f"file://{env.ROOT}", str(folder))
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Fetched once for all notebooks."""
    return tmp_path_factory.mktemp("pictures")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_one_alone(path, machine, site_packages, project, pictures, tmp_path, request):
    platform, offline = machine.split("-")[0], "offline" in machine
    # A new environment that only sees those packages, for what the notebook installs.
    python = site_packages.parents[2] / "bin" / "python"
    call(python, "-m", "venv", "--without-pip", tmp_path / "venv")
    (own,) = tmp_path.glob("venv/lib/python3.*/site-packages")
    (own / "platform.pth").write_text(f"{site_packages}\n")
    for name in ("__init__", "files"):  # of Colab's own package
        files.write_text(own / "google" / "colab" / f"{name}.py", "download = print\n")

    folder = tmp_path / "content"
    folder.mkdir()
    notebook = nbformat.read(path, as_version=4)
    first = code_cells(notebook)[0]
    attached = str(project.parent) if offline else "/nothing"
    address = "nowhere" if offline else project.as_uri()
    source = re.sub('REPOSITORY = ".*?"', f'REPOSITORY = "{address}"', first.source)
    first.source = source.replace("/kaggle/input", attached)
    nbformat.write(notebook, folder / path.name)

    command = [tmp_path / "venv" / "bin" / "python", "-c", RUN, path.name]
    variables = {
        **{k: v for k, v in os.environ.items() if re.match(NETWORK, k)},
        "PIP_CACHE_DIR": str(pictures.parent / "pip"),
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        VARIABLES[platform]: "1",
        "POKEUTILS_PROFILE": "tiny",
        "POKEUTILS_SOURCE": "doodles" if offline else "artwork",
        "POKEUTILS_DATA": str(folder / "data" if offline else pictures),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    if offline:  # where Kaggle keeps what is made is no folder of this machine
        variables["POKEUTILS_OUTPUTS"] = str(folder / "outputs")
        command = ["unshare", "-n", "-m", "sh", "-c", OFFLINE, "-", project, *command]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    outputs = [
        o
        for cell in code_cells(nbformat.read(folder / path.name, 4))
        for o in cell.outputs
    ]
    assert any("image" in kind for o in outputs for kind in o.get("data", {}))
