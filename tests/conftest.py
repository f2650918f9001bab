"""For all tests: the tiny profile on pictures drawn by code, in temporary folders."""

import os
import tempfile

import pytest
from fake_site import site  # noqa: F401

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # no remarks from TensorFlow's C++

_FOLDER = tempfile.TemporaryDirectory(prefix="pokeutils-tests-")
os.environ["POKEUTILS_DATA"] = f"{_FOLDER.name}/data"
os.environ["POKEUTILS_OUTPUTS"] = f"{_FOLDER.name}/outputs"
os.environ["POKEUTILS_PROFILE"] = "tiny"
os.environ["POKEUTILS_SOURCE"] = "doodles"

FIRST = ("test_structure", "test_notebooks_static", "test_env", "test_set_up")
LAST = ("test_run", "test_series")


def pytest_collection_modifyitems(items):
    """Quick answers first, whole notebooks last."""

    def place(item):
        name = item.path.stem
        return -1 if name in FIRST else 1 + LAST.index(name) if name in LAST else 0

    items.sort(key=place)


def pytest_unconfigure():
    _FOLDER.cleanup()


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Fresh data and outputs folders for one test; returns the folder of both."""
    monkeypatch.setenv("POKEUTILS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("POKEUTILS_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path
