"""Faults, one after another, in real training processes: whatever happens to them, the
weights at the end are those of a training that nothing disturbed, bit for bit.

`pytest -m slow -s tests/test_faults.py` does it with the real networks, and prints how
many faults were tried and survived.
"""

import contextlib
import errno
import multiprocessing
import os
import random
import resource
import signal
import sys
import time

import numpy as np
import pytest

from pokeutils import callbacks, checkpoints, dataset, env, recipes, runs

# All that has a state: shuffling, mirroring, augmentation, penalty, averaging, decay.
TINY = recipes.Recipe(
    name="tiny8",
    size=8,
    images=8 * 28 * 12,
    batch=8,
    generator_options=(("latent_dim", 4), ("widths", (4,)), ("detail", 4)),
    discriminator_options=(("widths", (4,)),),
    augment=(("translation", 0.1),),
    r1_gamma=0.1,
    ema_images=200,
    decay=0.5,
)


def work(recipe, outputs, output, options, jumps=False, limit=None):
    """The training process: one call, as a user would make it.

    jumps: the wall clock leaps by years; limit: files may not grow beyond it (bytes).
    """
    with open(output, "ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ["POKEUTILS_OUTPUTS"] = str(outputs)
    callbacks.MOST = 1.0  # save as often as asked, not only as often as is cheap
    if jumps:
        clock, leaps = time.time, random.Random(0)
        time.time = lambda: clock() + leaps.uniform(-1e9, 1e9)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    recipe.train("doodles", **options)


class Trainings:
    """Trains `recipe` in one outputs folder, process after process, counting faults."""

    def __init__(self, folder, recipe, **options):
        self.folder, self.recipe = folder, recipe
        self.options = {"save_minutes": 0.0, **options}
        folder.mkdir()
        self.kills, self.faults = 0, 0
        self.process = None

    def start(self, **more):
        self.before = self.step()
        self.output = self.folder / "output.txt"
        self.output.write_bytes(b"")
        arguments = (self.recipe, self.folder, self.output, self.options)
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
        deadline = time.monotonic() + 300
        while self.step() < self.before + steps:
            assert self.process.is_alive(), self.output.read_text()
            assert time.monotonic() < deadline, "no progress"
            time.sleep(0.002)

    def end(self, code=0):
        self.process.join(timeout=300)
        assert self.process.exitcode == code, self.output.read_text()
        return self.output.read_text()

    def signal(self, number, code):
        """Sends a signal at a random moment of the training; returns the output."""
        self.start()
        self.wait_for_progress()
        time.sleep(random.uniform(0.0, 0.25))
        os.kill(self.process.pid, number)
        self.faults += 1
        return self.end(code)

    def kill(self):
        self.signal(signal.SIGKILL, -signal.SIGKILL)
        self.kills += 1

    def damage(self, change):
        """change: bytes -> bytes, applied to the newest state.npz."""
        path = checkpoints.list_checkpoints(self.run)[0] / "state.npz"
        path.write_bytes(change(path.read_bytes()))
        self.faults += 1

    def finish(self, **more):
        self.start(**more)
        return self.end()


CONTEXT = multiprocessing.get_context("forkserver")


@pytest.fixture(scope="module", autouse=True)
def server():
    """Processes are forked from one that has imported TensorFlow and done nothing."""
    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", os.pathsep.join([str(env.ROOT), *sys.path]))
    dataset.load("doodles", TINY.size, progress=lambda line: None)
    CONTEXT.set_forkserver_preload(["pokeutils.recipes"])
    yield
    patch.undo()


def state(run):
    newest = checkpoints.list_checkpoints(run)[0]
    with np.load(newest / "state.npz") as saved:
        return {name: saved[name] for name in saved.files}


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
    trainings = Trainings(tmp_path_factory.mktemp("faults") / "reference", TINY)
    trainings.finish()
    return trainings.run


def test_five_kills_leave_no_trace(reference, tmp_path):
    trainings = Trainings(tmp_path / "kills", TINY)
    for _ in range(5):
        trainings.kill()
    assert 5 <= trainings.step() < reference_steps(reference)
    trainings.finish()
    assert_same(trainings.run, reference)
    left = [p.name for p in trainings.run.rglob(".*") if p.name != ".lock"]
    assert not left  # of files that were being written


def reference_steps(run):
    return checkpoints.newest_facts(run)["steps"]


def test_stops_damage_a_full_disk_and_a_jumping_clock(reference, tmp_path):
    trainings = Trainings(tmp_path / "faults", TINY)
    text = trainings.signal(signal.SIGTERM, 0)
    assert "Stopped by SIGTERM at" in text and "goes on from there" in text

    trainings.damage(lambda content: content[: len(content) // 2])
    text = trainings.signal(signal.SIGINT, 0)
    assert "is damaged" in text and "Stopped by Ctrl-C at" in text
    assert (trainings.run / "generator.keras").exists()

    trainings.damage(flip)
    trainings.start(limit=20_000)  # bytes a file: less than a checkpoint
    assert "is damaged" in trainings.end(1)
    assert os.strerror(errno.EFBIG) in trainings.output.read_text()

    for folder in checkpoints.list_checkpoints(trainings.run):
        os.utime(folder, (2e9, 2e9) if folder.name.endswith("0") else (1, 1))
    trainings.start(jumps=True)
    trainings.wait_for_progress()
    with pytest.raises(runs.RunIsBusy, match=f"process {trainings.process.pid}"):
        with runs.lock(trainings.run):
            pass
    trainings.end()
    assert_same(trainings.run, reference)
