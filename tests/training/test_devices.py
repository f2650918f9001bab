"""Several devices: two logical ones of this CPU, and two processes over loopback. They
train as one device does, within rounding."""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import time

import keras
import numpy as np
import pytest
from processes import CONTEXT, fork_server, state, write_to
from tiny import TINY

from pokeutils import gan, losses, models
from pokeutils.common import distribution
from pokeutils.data import dataset
from pokeutils.recipes import rebuilt_networks
from pokeutils.training import callbacks, checkpoints, loop, runs

# All that has to be the same for the whole batch: statistics of batch norm and of the
# pictures' variety, penalty, augmentation, averaging, a falling learning rate.
TINY = dataclasses.replace(TINY, images=3 * 224, batch=56, r1_interval=2)


@pytest.fixture(scope="module", autouse=True)
def server():
    with fork_server():
        yield


def child(target, output, *arguments, **keywords):
    everything = (target, output, arguments, keywords)
    process = CONTEXT.Process(target=within, args=everything)
    process.start()
    return process


def within(target, output, arguments, keywords):
    write_to(output)
    # What bfloat16 rounds away is more than what is looked for.
    os.environ["POKEUTILS_DTYPE"] = "float32"
    target(*arguments, **keywords)


def assert_alike(run, reference):
    ours, theirs = state(run), state(reference)
    assert ours.keys() == theirs.keys() and len(ours) > 40
    for name, value in theirs.items():
        scale = 1e-7 + np.abs(value).max()
        np.testing.assert_allclose(ours[name] / scale, value / scale, atol=1e-3)
    ours, theirs = runs.read_log(run), runs.read_log(reference)
    for name in gan.LOGS:
        np.testing.assert_allclose(ours[name], theirs[name], 2e-4, 2e-5, err_msg=name)
    np.testing.assert_array_equal(ours["step"], theirs["step"])


# Two devices --------------------------------------------------------------------------


def split_the_processor():
    """Makes two devices of it, and returns the strategy that uses both."""
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    strategy = distribution.strategy("all")
    assert strategy.num_replicas_in_sync == 2
    return strategy


def one_device_and_two(folder):
    """Trains on one device and on two, the latter with a stop and a resume."""
    os.environ["POKEUTILS_OUTPUTS"] = str(folder)
    strategy = split_the_processor()
    data = dataset.load("doodles", 8, progress=lambda line: None)
    TINY.train("doodles")
    with strategy.scope():
        model = TINY.build(0)
    run = loop.start_run(TINY, data, 0)
    loop.fit(TINY, model, data, run, minutes=1e-9)
    assert checkpoints.newest_facts(run)["step"] == 4
    for variable in checkpoints.variables(model).values():
        variable.assign(variable + 1)
    loop.fit(TINY, model, data, run)


def test_two_devices_train_as_one_does(tmp_path):
    output = tmp_path / "output.txt"
    process = child(one_device_and_two, output, tmp_path)
    process.join(600)
    assert process.exitcode == 0, output.read_text()
    one, two = runs.list_runs(tmp_path)
    assert_alike(two, one)
    device = checkpoints.newest_facts(two)["params"]["device"]
    assert device.startswith("2 x ")


def logs_of(build, loss, steps):
    """Logs (2, logs, steps) of the model that `build` makes, on one device and two."""
    import tensorflow as tf

    strategy = split_the_processor()
    rng = np.random.default_rng(0)
    real = rng.uniform(-1, 1, (steps, 8, 8, 8, 4)).astype("float32")
    logs = []
    for scope in (contextlib.nullcontext(), strategy.scope()):
        keras.utils.set_random_seed(0)
        with scope:
            model = build()
            adam = [keras.optimizers.Adam(1e-3) for _ in range(3)]
            second = adam[2:] if hasattr(model, "second") else []
            model.compile(*adam[:2], losses.get(loss), *second)
        batches = tf.data.Dataset.from_tensor_slices(real)
        history = model.fit(batches, 1, steps).history
        logs.append([history[name] for name in gan.LOGS])
    print(logs)
    return np.array(logs)


def gated_steps():
    """Batch norm in the discriminator, a gate, fresh fakes and noisy labels."""

    def build():
        return gan.GAN(
            rebuilt_networks.sprite_generator(8, channels=4, latent_dim=4, width=4),
            rebuilt_networks.sprite_discriminator(8, channels=4, width=4),
            gate=0.42,
            two_phase=True,
        )

    logs = logs_of(build, "inverted_noisy", 6)
    assert 0 < logs[0, gan.LOGS.index("gated")].mean() < 1
    np.testing.assert_allclose(logs[1], logs[0], 1e-3)


def hybrid_steps():
    """A second discriminator, with batch norm, that joins after two steps of four."""
    from pokeutils import augment
    from pokeutils.recipes import hybrid

    def build():
        return hybrid.HybridGAN(
            models.pyramid_generator(8, latent_dim=4, widths=(4,), detail=4),
            models.pyramid_discriminator(8, widths=(4,)),
            second=hybrid.projected_discriminator(
                8, input_size=32, width=4, scales=(2, 4)
            ),
            second_augment=augment.OnBackground(),
            second_losses=losses.get("hinge"),
            warm_up=16,
            ramp=8,
        )

    logs = logs_of(build, "nonsaturating", 4)
    d_loss = logs[0, gan.LOGS.index("d_loss")]
    assert min(d_loss[2:]) > max(d_loss[:2]) + 1, d_loss  # the second's is added
    np.testing.assert_allclose(logs[1], logs[0], 1e-3, 1e-4)


@pytest.mark.slow
def test_a_second_discriminator_joins_on_all_devices(tmp_path):
    output = tmp_path / "output.txt"
    process = child(hybrid_steps, output)
    process.join(900)
    assert process.exitcode == 0, output.read_text()


@pytest.mark.slow
def test_the_gate_and_batch_norm_see_the_whole_batch(tmp_path):
    output = tmp_path / "output.txt"
    process = child(gated_steps, output)
    process.join(600)
    assert process.exitcode == 0, output.read_text()


def test_what_would_mean_something_else_on_several_devices_is_refused():
    recipe = dataclasses.replace(TINY, batch=64)
    distribution.check(recipe, 2, 4)
    with pytest.raises(ValueError, match="batch of 12 has no.*multiple of 8"):
        distribution.check(dataclasses.replace(recipe, batch=12), 2, 4)
    with pytest.raises(ValueError, match="fused_norm=False.*one share of 2"):
        distribution.check(dataclasses.replace(recipe, fused_norm=False), 2, 4)


def test_devices_that_are_not_there_are_refused(monkeypatch):
    assert distribution.strategy() is None and distribution.strategy("all") is None
    with pytest.raises(ValueError, match="devices=7, but TensorFlow sees 1 here"):
        distribution.strategy(7)
    monkeypatch.setenv("POKEUTILS_DEVICES", "both")
    with pytest.raises(ValueError, match="devices='both'"):
        distribution.strategy()
    monkeypatch.setenv("TF_CONFIG", "worker 1")
    with pytest.raises(ValueError, match="TF_CONFIG is 'worker 1'; expected JSON"):
        distribution.strategy()


def test_shares_are_whole_groups():
    """What `MinibatchStdDev` compares on one device, it compares on two."""
    parts = np.array(distribution._parts(np.arange(16)[:, None], 2, 4))[..., 0]
    together = np.arange(16).reshape(4, -1).T.tolist()
    found = [sorted(g) for part in parts for g in part.reshape(4, -1).T.tolist()]
    assert sorted(found) == sorted(together)


# Two processes ------------------------------------------------------------------------

# Without the penalty, which takes long to compile.
PAIR = dataclasses.replace(TINY, name="pair8", r1_gamma=0.0, images=40 * 224)


def of_two(index, ports, folder, recipe):
    addresses = [f"127.0.0.1:{port}" for port in ports]
    task = {"type": "worker", "index": index}
    cluster = {"worker": addresses}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": task})
    os.environ["POKEUTILS_OUTPUTS"] = str(folder)
    callbacks.MOST = 1.0  # save as often as asked, not only as often as is cheap
    run = recipe.train("doodles", save_minutes=0.0)
    assert (run is None) == (index == 1)


class Pair:
    def __init__(self, folder, *recipes):
        self.folder = folder
        recipes = recipes or (PAIR, PAIR)
        listeners = [socket.socket() for _ in range(2)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        ports = [listener.getsockname()[1] for listener in listeners]
        for listener in listeners:
            listener.close()
        self.outputs = [folder / f"output-{i}.txt" for i in range(2)]
        self.processes = [
            child(of_two, self.outputs[i], i, ports, folder, recipes[i])
            for i in range(2)
        ]

    def wait_for_progress(self, steps):
        deadline = time.monotonic() + 400
        while self.step() < steps:
            assert all(p.is_alive() for p in self.processes), self.texts()
            assert time.monotonic() < deadline, "no progress"
            time.sleep(0.01)

    def step(self):
        found = runs.list_runs(self.folder)
        facts = None
        with contextlib.suppress(ValueError):
            facts = checkpoints.newest_facts(found[0]) if found else None
        return facts["step"] if facts else 0

    def texts(self):
        return "\n".join(output.read_text() for output in self.outputs)

    def end(self, *codes):
        for process in self.processes:
            process.join(400)
        assert tuple(p.exitcode for p in self.processes) == codes, self.texts()


@pytest.mark.slow
def test_two_processes_train_as_one_does_through_kills_and_stops(tmp_path):
    folder = tmp_path / "two"
    folder.mkdir()
    seconds = []
    for killed in (1, 0):
        pair = Pair(folder)
        pair.wait_for_progress(pair.step() + 2)
        os.kill(pair.processes[killed].pid, signal.SIGKILL)
        began = time.monotonic()
        codes = [1, 1]
        codes[killed] = -signal.SIGKILL
        pair.end(*codes)
        seconds.append(time.monotonic() - began)
        said = pair.outputs[1 - killed].read_text()
        assert "Another process of this training has ended" in said
    print("kills of one of two processes: 2; the other ended within", end=" ")
    print(f"{max(seconds):.0f} s")

    pair = Pair(folder)
    pair.wait_for_progress(pair.step() + 2)
    os.kill(pair.processes[1].pid, signal.SIGTERM)  # asked of one, heard by both
    pair.end(0, 0)
    assert "Stopped by a signal to another process" in pair.outputs[0].read_text()
    assert pair.step() % 4 == 0  # after a whole epoch

    Pair(folder).end(0, 0)
    (tmp_path / "one").mkdir()
    alone = child(train_alone, tmp_path / "one" / "output.txt", tmp_path / "one")
    alone.join(600)
    assert alone.exitcode == 0
    (ours,), (theirs,) = runs.list_runs(folder), runs.list_runs(tmp_path / "one")
    assert_alike(ours, theirs)


def train_alone(folder):
    os.environ["POKEUTILS_OUTPUTS"] = str(folder)
    PAIR.train("doodles")


@pytest.mark.slow
def test_processes_with_different_calls_are_refused(tmp_path):
    other = dataclasses.replace(PAIR, mirror=False)
    Pair(tmp_path, PAIR, other).end(1, 1)
