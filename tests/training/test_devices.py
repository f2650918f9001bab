"""Several devices: two logical ones of this CPU, in processes of their own."""

import contextlib
import dataclasses
import os

import keras
import numpy as np
import pytest
from processes import CONTEXT, fork_server, write_to
from tiny import TINY

from pokeutils.recipes import catalogue
from pokeutils.training import checkpoints, loop, runs
from pokeutils.training.devices import ReplicaStep, check_strategy, choose_strategy

# All that has to be the same for the whole batch: statistics of batch norm, penalty,
# averaging, a falling learning rate.
TINY = dataclasses.replace(TINY, images=3 * 224, batch=56, r1_interval=2)


@pytest.fixture(scope="module", autouse=True)
def server():
    with fork_server():
        yield


def in_a_process(target, folder):
    """Calls `target(folder)` in a process of its own; fails with what it printed."""
    output = folder / "output.txt"
    process = CONTEXT.Process(target=within, args=(target, folder, output))
    process.start()
    process.join(600)
    assert process.exitcode == 0, output.read_text()


def within(target, folder, output):
    write_to(output)
    os.environ["POKEUTILS_OUTPUTS"] = str(folder)
    # What bfloat16 rounds away is more than what is looked for.
    os.environ["POKEUTILS_DTYPE"] = "float32"
    target(folder)


def split_the_processor():
    """Makes two devices of it, and returns the strategy that uses both."""
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    strategy = choose_strategy("all")
    assert strategy.num_replicas_in_sync == 2
    return strategy


def copies(variable):
    """The values of a mirrored variable on all its devices."""
    return [value.numpy() for value in variable.value.values]


def train_on_two(folder):
    split_the_processor()
    run = loop.train(TINY, "doodles", devices="all", minutes=1e-9)
    assert checkpoints.newest_facts(run)["step"] == 4
    assert loop.train(TINY, "doodles", devices="all", run=run) == run


def test_a_training_on_two_devices_stops_goes_on_and_ends(tmp_path):
    in_a_process(train_on_two, tmp_path)
    (run,) = runs.list_runs(tmp_path)
    log = runs.read_log(run)
    assert list(log["step"]) == [4, 8, 12] and np.isfinite(log["g_loss"]).all()
    facts = checkpoints.newest_facts(run)
    assert facts["params"]["device"].startswith("2 x ")
    assert (run / "generator.keras").exists()


class Given:
    """Stands in for the random numbers: this replica's part of fixed latents."""

    def draw(self, count):
        import tensorflow as tf

        latents = tf.constant(np.random.default_rng(1).normal(size=(56, 4)), "float32")
        place = tf.distribute.get_replica_context().replica_id_in_sync_group
        part = latents[place * count : (place + 1) * count]
        part = tf.ensure_shape(part, (count, 4))
        return {"latents": part, "real": None, "fake": None, "fool": None}


class GivenReplica(Given, ReplicaStep):
    pass


def one_device_and_two(folder):
    """Replicas draw different numbers; given the same pictures and latents, three steps
    on two devices are those of one."""
    import tensorflow as tf

    strategy = split_the_processor()
    with strategy.scope():
        model = TINY.build(0, step=ReplicaStep)
    first, second = strategy.run(lambda: model.draw(8)["latents"]).values
    again, _ = strategy.run(lambda: model.draw(8)["latents"]).values
    assert not np.allclose(first, second) and not np.allclose(first, again)
    # Groups of pictures that a replica compares would be other ones.
    options = (("widths", (4,)), ("minibatch_std", False))
    recipe = dataclasses.replace(TINY, augment=None, discriminator_options=options)
    real = np.random.default_rng(0).uniform(-1, 1, (168, 8, 8, 4)).astype("float32")
    models = []
    here = contextlib.nullcontext()
    for step, scope in ((Given, here), (GivenReplica, strategy.scope())):
        with scope:
            model = recipe.build(0, step=step)
        batches = tf.data.Dataset.from_tensor_slices(real).batch(56, True)
        model.fit(batches, steps_per_epoch=3, epochs=1, verbose=0)
        models.append(model)
    one, two = models
    networks = [(m.generator, m.discriminator, m.averaged) for m in (one, two)]
    for ours, theirs in zip(*networks, strict=True):
        pairs = zip(ours.trainable_variables, theirs.trainable_variables, strict=True)
        for a, b in pairs:
            first, second = copies(b)
            np.testing.assert_array_equal(first, second)
            np.testing.assert_allclose(first, keras.ops.convert_to_numpy(a), atol=2e-3)


def test_two_devices_draw_for_themselves_and_take_the_step_of_one(tmp_path):
    in_a_process(one_device_and_two, tmp_path)


class Two:
    num_replicas_in_sync = 2


def test_what_cannot_be_shared_is_refused():
    check_strategy(TINY, Two)
    with pytest.raises(ValueError, match="batch of 12 .* multiple of 8"):
        check_strategy(dataclasses.replace(TINY, batch=12), Two)
    for name in ("hybrid64", "sprites64"):
        with pytest.raises(ValueError, match="one device"):
            check_strategy(catalogue.get(name), Two)


def test_more_devices_than_there_are_and_other_backends_are_refused(monkeypatch):
    monkeypatch.setenv("POKEUTILS_DEVICES", "7")
    with pytest.raises(ValueError, match="devices='7', but TensorFlow sees"):
        choose_strategy()
    monkeypatch.setenv("POKEUTILS_DEVICES", "1")
    assert choose_strategy() is None
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ValueError, match="TensorFlow backend, not torch"):
        choose_strategy()
