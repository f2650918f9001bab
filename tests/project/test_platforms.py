"""Colab and Kaggle, played on this machine: their folders, variables and switches. What
the first two cells of a notebook do there, with the real package and nothing else
installed. tests/project/test_machines.py runs whole notebooks with their packages."""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading

import nbformat
import pytest
from project import NOTEBOOKS, code_cells, needs_git, repository

from pokeutils.common import env

# Runs in place of a kernel: the first cells of notebooks, then says where things are.
# os.access is told that an attached data set cannot be written: tests may run as root.
KERNEL = """
import contextlib, io, json, os, pathlib, subprocess, sys
attached, installed, notebooks, pip_works = {arguments!r}
sys.path += installed
access, run, pips, reports = os.access, subprocess.run, [], []
os.access = lambda path, mode: not str(path).startswith(attached) and access(path, mode)

def without_pip(command, **options):
    if "pip" not in command:
        return run(command, **options)
    pips.append(command[4:])
    return subprocess.CompletedProcess(command, 0 if pip_works else 1)

subprocess.run = without_pip
for bootstrap, report in notebooks:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(bootstrap.replace("/kaggle/input", attached))
        env.DRIVE = pathlib.Path("../drive/MyDrive").resolve()
        exec(report)
    reports.append(printed.getvalue())
print(json.dumps([str(env.ROOT), str(env.data_dir()), str(env.outputs_dir()), reports,
                  pips]))
"""
VARIABLES = {"colab": "COLAB_RELEASE_TAG", "kaggle": "KAGGLE_KERNEL_RUN_TYPE"}
FOLDERS = {"colab": "content", "kaggle": "working", "local": "notebooks"}
FIRST = [code_cells(nbformat.read(path, as_version=4))[:2] for path in NOTEBOOKS]


def checkout(folder):
    """A copy of the project, as far as the first cells need it."""
    shutil.copytree(env.ROOT / "pokeutils", folder / "pokeutils")
    shutil.copy(env.ROOT / "pyproject.toml", folder)
    return folder


def start(
    platform,
    folder,
    notebooks=FIRST[:1],
    address="file:///nowhere",
    installed=(),
    pip_works=True,
    **variables,
):
    """Runs the first cells of notebooks on a platform, in a Python without packages;
    returns the project's folder, those of data and outputs, what the reports say, and
    what pip was asked for."""
    for name in (*FOLDERS.values(), "input"):
        (folder / name).mkdir(exist_ok=True)
    line = f'REPOSITORY = "{address}"'
    sources = [
        [re.sub('REPOSITORY = ".*?"', line, cell.source) for cell in cells]
        for cells in notebooks
    ]
    arguments = str(folder / "input"), [*map(str, installed)], sources, pip_works
    variables[VARIABLES.get(platform, "POKEUTILS_HERE")] = "1"
    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-c", KERNEL.format(arguments=arguments)],
        cwd=folder / FOLDERS[platform],
        env={"PATH": os.environ["PATH"], "POKEUTILS_SOURCE": "doodles", **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if answer.returncode:
        raise RuntimeError(answer.stderr)
    return json.loads(answer.stdout.splitlines()[-1])


@needs_git
@pytest.mark.parametrize("place", ["colab", "colab with a drive", "kaggle"])
def test_a_notebook_clones_the_project_and_says_where_it_is(place, tmp_path):
    platform = place.split()[0]
    drive = tmp_path / "drive" / "MyDrive"
    if "drive" in place:
        drive.mkdir(parents=True)
    address = repository(checkout(tmp_path / "github"))
    root, data, outputs, (report,), _ = start(platform, tmp_path, address=address)
    clone = tmp_path / FOLDERS[platform] / "pokemon-gan"
    assert (root, data) == (str(clone), str(clone / "data"))
    kept = drive / "pokemon-gan" if drive.exists() else clone
    assert outputs == str(kept / "outputs")
    assert f"platform  {platform}" in report and "TensorFlow is missing" in report


@needs_git
@pytest.mark.skipif(not shutil.which("curl"), reason="Colab has curl")
@pytest.mark.parametrize("quoted", [True, False])
def test_colab_clones_the_repository_that_was_opened(quoted, tmp_path):
    address = repository(checkout(tmp_path / "fork"))
    file = "https://github.com/ada/creatures-2.0/blob/main/notebooks/01_scrape.ipynb"
    file = file.replace(":", "%3A").replace("/", "%2F") if quoted else file
    answer = json.dumps([{"path": f"fileId={file}", "name": "01_scrape.ipynb"}])

    class Sessions(http.server.BaseHTTPRequestHandler):
        """Answers as Colab's own server does."""

        def do_GET(self):
            assert self.path == "/api/sessions"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Sessions) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ip, port = server.server_address
        root, *_ = start(
            "colab",
            tmp_path,
            COLAB_JUPYTER_IP=ip,
            KMP_TARGET_PORT=str(port),
            GIT_CONFIG_COUNT="1",
            GIT_CONFIG_KEY_0=f"url.{address}.insteadOf",
            GIT_CONFIG_VALUE_0="https://github.com/ada/creatures-2.0",
        )
        server.shutdown()
    assert root == str(tmp_path / "content" / "pokemon-gan")


@pytest.mark.parametrize(
    "below", ["pokemon-gan", "datasets/somebody/some-name/pokemon-gan"]
)
def test_kaggle_without_internet_takes_the_project_that_is_attached(below, tmp_path):
    project = checkout(tmp_path / "input" / below)
    root, data, outputs, *_ = start("kaggle", tmp_path)
    assert root == str(project)
    assert outputs == "/kaggle/working/outputs"  # inputs cannot be written
    assert data == "/kaggle/working/data"
    assert not list((tmp_path / "working").iterdir())


@needs_git
@pytest.mark.parametrize("platform", ["colab", "kaggle", "local"])
def test_without_project_or_address_one_sentence_says_what_to_write(platform, tmp_path):
    with pytest.raises(RuntimeError, match="Cannot clone.*Write.*address.*Internet"):
        start(platform, tmp_path)


@pytest.mark.parametrize("pip_works", [True, False])
@pytest.mark.parametrize("platform", ["colab", "kaggle", "local"])
def test_what_is_missing_is_installed_before_it_is_needed(
    platform, pip_works, tmp_path
):
    checkout(tmp_path / FOLDERS.get(platform))
    *_, (report,), pips = start(platform, tmp_path, pip_works=pip_works)
    said = "Left out, as it is not installed: keras, " in report
    if platform == "local":  # where nobody asked for it, nothing is installed
        assert said and not pips and "pip install keras==3.13.* " in report
        return
    (asked,) = pips
    assert "--quiet" in asked and "resvg_py==0.5.0" in asked
    assert said == (not pip_works)
