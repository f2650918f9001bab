"""Faults, one after another, in real training processes: whatever happens to them, the
weights at the end are those of a training that nothing disturbed, bit for bit.

`pytest -m slow tests/training/test_faults.py` does it many more times and with the real
recipes.
"""

import contextlib
import dataclasses
import errno
import os
import random
import resource
import signal
import time

import numpy as np
import pytest
from processes import CONTEXT, fork_server, state, write_to
from tiny import TINY

from pokeutils.data import dataset
from pokeutils.recipes import catalogue
from pokeutils.training import callbacks, checkpoints, loop, runs

# Every fourth step has the penalty, which costs more than all else without a graph.
TINY = dataclasses.replace(TINY, r1_interval=4)


def work(recipe, outputs, output, options, eager, jumps=False, limit=None):
    """The training process: one call, as a user would make it.

    eager: take the steps one operation at a time, which needs no compilation;
    jumps: the wall clock leaps by years; limit: files may not grow beyond it (bytes).
    """
    import tensorflow as tf

    write_to(output)
    os.environ["POKEUTILS_OUTPUTS"] = str(outputs)
    callbacks.MOST = 1.0  # save as often as asked, not only as often as is cheap
    tf.config.run_functions_eagerly(eager)
    if jumps:
        clock, leaps = time.time, random.Random(0)
        time.time = lambda: clock() + leaps.uniform(-1e9, 1e9)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    loop.train(recipe, "doodles", **options)


class Trainings:
    """Trains `recipe` in one outputs folder, process after process."""

    def __init__(self, folder, recipe=TINY, eager=True, save_minutes=0.0):
        self.folder, self.recipe, self.eager = folder, recipe, eager
        self.options = {"save_minutes": save_minutes}
        folder.mkdir(exist_ok=True)
        self.output = folder / "output.txt"
        self.process = None

    def start(self, **more):
        self.before = self.step()
        self.output.write_bytes(b"")
        where = (self.folder, self.output)
        arguments = (self.recipe, *where, self.options, self.eager)
        self.process = CONTEXT.Process(target=work, args=arguments, kwargs=more)
        self.process.start()

    @property
    def run(self):
        (run,) = runs.list_runs(self.folder)
        return run

    def step(self):
        facts = None
        with contextlib.suppress(ValueError):
            facts = checkpoints.newest_facts(self.run)
        return facts["step"] if facts else 0

    def wait_for_progress(self, steps=1):
        """Waits until checkpoints of this process appear: it is training."""
        deadline = time.monotonic() + 900
        while self.step() < self.before + steps:
            assert self.process.is_alive(), self.output.read_text("utf-8")
            assert time.monotonic() < deadline, "no progress"
            time.sleep(0.01)

    def end(self, code=0):
        self.process.join(timeout=900)
        assert self.process.exitcode == code, self.output.read_text("utf-8")
        return self.output.read_text("utf-8")

    def signal(self, number, code, **more):
        """Sends a signal at a random moment of the training; returns the output."""
        self.start(**more)
        self.wait_for_progress()
        time.sleep(random.uniform(0.0, 0.15))
        os.kill(self.process.pid, number)
        return self.end(code)

    def kill(self, **more):
        self.signal(signal.SIGKILL, -signal.SIGKILL, **more)

    def damage(self, change):
        """change: bytes -> bytes, applied to the newest state.npz."""
        path = checkpoints.list_checkpoints(self.run)[0] / "state.npz"
        path.write_bytes(change(path.read_bytes()))

    def finish(self, **more):
        self.start(**more)
        return self.end()

    def assert_same(self, reference):
        """All that was done to this training left no trace."""
        assert_same(self.run, reference)
        left = [p.name for p in self.run.rglob(".*") if not p.name.startswith(".lock")]
        assert not left  # of files that were being written


@pytest.fixture(scope="module", autouse=True)
def server():
    with fork_server():
        dataset.load("doodles", TINY.size, progress=lambda line: None)
        yield


def assert_same(run, reference):
    """Weights, optimisers, noise, averages, log and samples, bit for bit."""
    ours, theirs = state(run), state(reference)
    assert ours.keys() == theirs.keys() and len(ours) > 40
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)
    ours, theirs = runs.read_log(run), runs.read_log(reference)
    for name in ("epoch", "step", "d_loss", "g_loss", "d_norm", "g_norm"):
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    for (seen, path), (also_seen, other) in zip(
        runs.sample_files(run), runs.sample_files(reference), strict=True
    ):
        assert seen == also_seen and path.read_bytes() == other.read_bytes()


def flip(content):
    """Bits in the middle third of a file, where the arrays are. Several, as a single
    one may hit a byte that means nothing, between two arrays."""
    content = bytearray(content)
    for _ in range(32):
        place = random.randrange(len(content) // 3, 2 * len(content) // 3)
        content[place] ^= 1 << random.randrange(8)
    return bytes(content)


@pytest.fixture(scope="module")
def reference(tmp_path_factory, server):
    trainings = Trainings(tmp_path_factory.mktemp("faults") / "reference")
    trainings.finish()
    return trainings.run


def test_five_kills_leave_no_trace(reference, tmp_path):
    trainings = Trainings(tmp_path / "kills")
    for _ in range(5):
        trainings.kill()
    assert 5 <= trainings.step() < checkpoints.newest_facts(reference)["steps"]
    trainings.finish()
    trainings.assert_same(reference)


def test_stops_damage_a_full_disk_and_a_jumping_clock(reference, tmp_path):
    trainings = Trainings(tmp_path / "faults")
    text = trainings.signal(signal.SIGTERM, 0)
    assert "Stopped by SIGTERM at" in text and "goes on from there" in text

    trainings.damage(lambda content: content[: len(content) // 2])
    text = trainings.signal(signal.SIGINT, 0)
    assert "is damaged" in text and "Stopped by Ctrl-C at" in text
    assert (trainings.run / "generator.keras").exists()

    trainings.damage(flip)
    trainings.start(limit=20_000)  # bytes a file: less than a checkpoint
    assert "is damaged" in trainings.end(1)
    assert os.strerror(errno.EFBIG) in trainings.output.read_text("utf-8")

    for folder in checkpoints.list_checkpoints(trainings.run):
        os.utime(folder, (2e9, 2e9) if folder.name.endswith("0") else (1, 1))
    trainings.start(jumps=True)
    trainings.wait_for_progress()
    with pytest.raises(runs.RunIsBusy, match=f"process {trainings.process.pid}"):
        with runs.lock(trainings.run):
            pass
    trainings.end()
    trainings.assert_same(reference)


@pytest.mark.slow
def test_many_kills_of_compiled_trainings(tmp_path):
    # So long that the last of the kills still finds it training, on a fast machine too.
    recipe = dataclasses.replace(TINY, images=100 * 14 * 16)
    whole = Trainings(tmp_path / "whole", recipe, eager=False)
    whole.finish()
    trainings = Trainings(tmp_path / "kills", recipe, eager=False)
    for _ in range(25):
        trainings.kill()
    trainings.finish()
    trainings.assert_same(whole.run)


NAMES = ["rgba80", "sprites64", "modern64", "hybrid64", "projected64"]
SHORT = {"batch": 16, "images": 2 * 14 * 16, "reshuffle": True, "mirror": True}
SHORT |= {"warm_up": 64, "ramp": 64}  # the second discriminator has to join


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_train_2n_is_train_n_kill_resume_n(name, tmp_path):
    """Two epochs of a real recipe with small batches, shuffled and mirrored."""
    recipe = catalogue.RECIPES[name]
    fields = {field.name for field in dataclasses.fields(recipe)}
    short = {key: value for key, value in SHORT.items() if key in fields}
    augment = recipe.augment or (("translation", 0.125),)
    recipe = dataclasses.replace(recipe, **short, augment=augment)
    whole = Trainings(tmp_path / "whole", recipe, eager=False, save_minutes=60)
    whole.finish()
    trainings = Trainings(tmp_path / "killed", recipe, eager=False)
    trainings.kill()
    trainings.finish()
    trainings.assert_same(whole.run)
