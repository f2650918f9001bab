"""Trainings in processes of their own, forked from one that has imported TensorFlow and
done nothing since."""

import contextlib
import multiprocessing
import os
import sys

import numpy as np
import pytest

from pokeutils.common import env
from pokeutils.training import checkpoints

CONTEXT = multiprocessing.get_context("forkserver")


@contextlib.contextmanager
def fork_server():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(env.ROOT), *sys.path]))
        CONTEXT.set_forkserver_preload(["pokeutils.recipes.catalogue"])
        yield


def write_to(output):
    """Sends all that this process prints, TensorFlow's C++ included, to a file."""
    with open(output, "ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def state(run):
    """All arrays of a run's newest checkpoint."""
    newest = checkpoints.list_checkpoints(run)[0]
    with np.load(newest / "state.npz") as saved:
        return {name: saved[name] for name in saved.files}
