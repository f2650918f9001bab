"""For all tests: the tiny profile on pictures drawn by code, in temporary folders."""

import os
import signal
import tempfile

if "PYTEST_XDIST_WORKER" in os.environ:
    # Two processes share the cores. Five runs of all tests took 243 to 262 seconds with
    # this, four without it 264 to 312. NumPy reads it when it is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from chromium import browser  # noqa: E402, F401
from fake_site import site  # noqa: E402, F401

from pokeutils.common import device  # noqa: E402

device.settle()  # before TensorFlow is imported

# A shell makes what it starts in the background deaf to Ctrl-C; tests press it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What would steer the package, git or requests from outside these tests.
for _name in (
    "POKEUTILS_RECIPE",
    "POKEUTILS_DEVICES",
    "POKEUTILS_DTYPE",
    "POKEUTILS_REPOSITORY",
    "TF_CONFIG",
    "COLAB_RELEASE_TAG",
    "KAGGLE_KERNEL_RUN_TYPE",
):
    os.environ.pop(_name, None)
os.environ["GIT_CONFIG_GLOBAL"] = os.environ["GIT_CONFIG_SYSTEM"] = os.devnull
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"

_PREFIX = "pokeutils-tests-"
_FOLDER = tempfile.TemporaryDirectory(prefix=_PREFIX)
# The processes of pytest-xdist share what one of them has drawn and prepared.
if "PYTEST_XDIST_WORKER" not in os.environ or _PREFIX not in os.environ.get(
    "POKEUTILS_DATA", ""
):
    os.environ["POKEUTILS_DATA"] = f"{_FOLDER.name}/data"
os.environ["POKEUTILS_OUTPUTS"] = f"{_FOLDER.name}/outputs"
os.environ["POKEUTILS_PROFILE"] = "tiny"
os.environ["POKEUTILS_SOURCE"] = "doodles"

FIRST = "structure notebooks_static env set_up".split()
LONG = """
series recipes gan faults build scrape compare loop page benchmarks features
copies guards devices dataset publish hybrid download
""".split()


def pytest_collection_modifyitems(items):
    """Quick answers first, then the longest files: two processes take the next file in
    turn, and neither shall be left with a long one at the end."""
    order = [*FIRST, *LONG]

    def place(item):
        name = item.path.stem.removeprefix("test_")
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


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """A fresh outputs folder for one test, which only reads the pictures."""
    monkeypatch.setenv("POKEUTILS_OUTPUTS", str(tmp_path))


@pytest.fixture
def few_doodles(monkeypatch):
    """Nine instead of 256, for tests that draw them anew; they need `folders` too."""
    from pokeutils.data import doodles

    monkeypatch.setattr(doodles, "COUNT", 9)


@pytest.fixture(scope="session")
def clean():
    """48 doodles, premultiplied, 32 px. Not to be changed."""
    from pokeutils.common import images
    from pokeutils.data import doodles

    straight = (np.asarray(doodles.draw(number)) for number in range(48))
    pictures = np.stack([images.fit(rgba, 32) for rgba in straight])
    pictures.setflags(write=False)
    return pictures
