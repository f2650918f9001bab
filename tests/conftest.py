"""For all tests: the tiny profile on pictures drawn by code, in temporary folders."""

import os
import signal
import tempfile

import pytest
from chromium import browser  # noqa: F401
from fake_site import site  # noqa: F401

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # no remarks from TensorFlow's C++

# A shell makes what it starts in the background deaf to Ctrl-C; tests press it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_FOLDER = tempfile.TemporaryDirectory(prefix="pokeutils-tests-")
os.environ["POKEUTILS_DATA"] = f"{_FOLDER.name}/data"
os.environ["POKEUTILS_OUTPUTS"] = f"{_FOLDER.name}/outputs"
os.environ["POKEUTILS_PROFILE"] = "tiny"
os.environ["POKEUTILS_SOURCE"] = "doodles"

FIRST = ("test_structure", "test_notebooks_static", "test_env", "test_set_up")
LONG = (
    "test_series",
    "test_faults",
    "test_training",
    "test_malformed",
    "test_quiz_page",
)


def pytest_collection_modifyitems(items):
    """Quick answers first, then the longest files: two processes take the next file in
    turn, and neither shall be left with a long one at the end."""
    order = [*FIRST, *LONG]

    def place(item):
        name = item.path.stem
        return order.index(name) if name in order else len(order)

    items.sort(key=place)


def pytest_unconfigure():
    _FOLDER.cleanup()


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Fresh data and outputs folders for one test; returns the folder of both."""
    monkeypatch.setenv("POKEUTILS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("POKEUTILS_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path
