"""Float16 under Keras' loss scaling survives what it cannot hold."""

import keras
import numpy as np
import pytest
from tiny import SILENT, TINY, arrays

from pokeutils.recipes import catalogue
from pokeutils.training import loop, runs
from pokeutils.training.devices import Float16Step

BATCH = 8


@pytest.fixture
def real():
    return np.random.default_rng(0).uniform(-1, 1, (BATCH, 16, 16, 4)).astype("float32")


def build():
    return catalogue.get("tiny16").build(0, dtype="mixed_float16", step=Float16Step)


def weights(model):
    networks = model.generator, model.discriminator
    return [a for n in networks for a in arrays(n.trainable_variables)]


def test_an_overflow_changes_nothing_but_the_scale(real):
    model = build()
    model.update(real, model.draw(BATCH))
    model.d_optimizer.dynamic_scale.assign(2.0**100)
    before = weights(model)[-2:]
    logs = model.update(real, model.draw(BATCH))
    assert np.isfinite(float(logs["d_loss"])) and float(logs["d_norm"]) == 0
    after = weights(model)[-2:]
    assert all(np.array_equal(b, a) for b, a in zip(before, after, strict=True))
    assert float(model.d_optimizer.dynamic_scale) == 2.0**99


def test_a_run_goes_through_an_overflow_without_an_alarm(outputs, monkeypatch):
    monkeypatch.setenv("POKEUTILS_DTYPE", "mixed_float16")

    class Overflow(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.d_optimizer.dynamic_scale.assign(2.0**100)

    run = loop.train(TINY, "doodles", also=[Overflow()], **SILENT)
    assert not runs.read_alarms(run) and (run / "generator.keras").exists()
