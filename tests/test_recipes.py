"""Recipes and run folders: real, tiny trainings on drawn creatures."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from pokeutils import callbacks, dataset, models, recipes

TINY = recipes.Recipe(
    name="tiny",
    size=16,
    images=4 * 3 * 64,
    generator_options=(("latent_dim", 8), ("widths", (8, 8)), ("detail", 8)),
    discriminator_options=(("widths", (8, 8)),),
    augment=(("translation", 0.1),),
    r1_gamma=0.1,
    ema_images=500,
    decay=0.5,
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("POKEUTILS_DATA", str(tmp_path_factory.mktemp("data")))
    patch.setenv("POKEUTILS_OUTPUTS", str(tmp_path_factory.mktemp("outputs")))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def run(folders):
    return TINY.train("doodles", show=lambda *a, **k: None)


def state(run):
    with np.load(run / "checkpoint" / "state.npz", allow_pickle=False) as saved:
        return [saved[name] for name in sorted(saved.files)]


@pytest.mark.parametrize("name", sorted(recipes.RECIPES))
def test_every_recipe_takes_a_real_step_that_moves_both_networks(name):
    recipe = recipes.get(name)
    model = recipe.build()
    rng = np.random.default_rng(0)
    shape = (4, recipe.size, recipe.size, recipe.channels)
    for network in (model.generator, model.discriminator):
        network.before = keras.ops.convert_to_numpy(network.trainable_variables[0])
    for _ in range(3):
        real = rng.uniform(-1, 1, shape).astype("float32")
        logs = model.update(real, model.draw(4))
    assert np.isfinite([float(value) for value in logs.values()]).all()
    for network in (model.generator, model.discriminator):
        after = keras.ops.convert_to_numpy(network.trainable_variables[0])
        assert not np.array_equal(network.before, after)
    assert model.generator.output_shape[1:] == shape[1:]


def test_a_run_folder_is_complete(run):
    params = callbacks.read_params(run)
    assert params["recipe"]["name"] == "tiny" and params["seed"] == 0
    assert params["data"]["fingerprint"] == dataset.load("doodles", 16).fingerprint
    log = callbacks.read_log(run)
    assert list(log["epoch"]) == list(range(1, len(log["epoch"]) + 1))
    assert log["images"][-1] >= TINY.images
    assert np.isfinite(np.stack(list(log.values()))).all()
    seen = [images for images, _ in callbacks.sample_files(run)]
    assert seen[0] == 0 and seen[-1] == log["images"][-1] and len(seen) >= 3
    assert (run / "samples" / "reals.png").exists()
    generator = models.load_generator(run / "generator.keras")
    assert generator(np.zeros((2, 8), "float32")).shape == (2, 16, 16, 4)
    assert callbacks.latest_run() == run


def test_stopped_and_resumed_equals_uninterrupted(run, monkeypatch):
    """Bit for bit, with shuffling, mirroring, augmentation, averaging and decay."""

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 0

    data = dataset.load("doodles", 16)
    model = TINY.build(0)
    part = recipes.start_run(TINY, data, 0)
    guard = callbacks.Guard
    monkeypatch.setattr(callbacks, "Guard", Stop)
    recipes.fit(TINY, model, data, part, show=lambda *a, **k: None)
    monkeypatch.setattr(callbacks, "Guard", guard)
    assert len(callbacks.read_log(part)["epoch"]) == 1
    TINY.train("doodles", run=part, show=lambda *a, **k: None)
    for resumed, uninterrupted in zip(state(part), state(run), strict=True):
        np.testing.assert_array_equal(resumed, uninterrupted)
    ours, theirs = callbacks.read_log(part), callbacks.read_log(run)
    np.testing.assert_array_equal(ours["d_loss"], theirs["d_loss"])
    assert [s for s, _ in callbacks.sample_files(part)][-1] == ours["images"][-1]


def test_resuming_with_other_values_is_refused(run):
    with pytest.raises(ValueError, match="recipe.batch: was 64, now 32"):
        dataclasses.replace(TINY, batch=32).train("doodles", run=run)
    with pytest.raises(ValueError, match="seed: was 0, now 1"):
        TINY.train("doodles", run=run, seed=1)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(run, tmp_path, capsys):
    model = TINY.build(0)
    callbacks.save_state(model, tmp_path)
    model.steps.assign(7)
    callbacks.save_state(model, tmp_path)
    newest = tmp_path / "checkpoint" / "state.npz"
    newest.write_bytes(newest.read_bytes()[:-2000])
    assert callbacks.load_state(model, tmp_path)
    assert int(model.steps) == 0 and "is damaged" in capsys.readouterr().out
    other = dataclasses.replace(TINY, ema_images=None).build(0)
    with pytest.raises(ValueError, match="made by another recipe"):
        callbacks.load_state(other, tmp_path)


def test_not_a_number_stops_the_run(tmp_path):
    logs = dict.fromkeys(("d_loss", "g_loss", "d_real", "d_fake", "r1"), 1.0)
    callbacks.Guard().on_epoch_end(0, logs)
    with pytest.raises(FloatingPointError, match="g_loss became NaN.*epoch 3"):
        callbacks.Guard().on_epoch_end(2, {**logs, "g_loss": float("nan")})


def test_bfloat16_takes_the_same_step_as_float32_to_its_precision():
    """What AMX processors and new GPUs compute in; slow but right on all others."""
    real = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 4)).astype("float32")
    logs = {}
    for dtype in ("float32", "mixed_bfloat16"):
        model = TINY.build(0, dtype=dtype)
        step = model.update(real, model.draw(8))
        logs[dtype] = np.array([float(step[name]) for name in ("d_loss", "g_loss")])
        assert all(v.dtype == "float32" for v in model.generator.trainable_variables)
    np.testing.assert_allclose(*logs.values(), rtol=0.05)
    assert not np.array_equal(*logs.values())


def test_generator_is_saved_in_float32(tmp_path):
    model = TINY.build(0, dtype="mixed_bfloat16")
    assert "bfloat16" in json.dumps(model.averaged.get_config())
    copy = callbacks.as_float32(model.averaged)
    assert "bfloat16" not in json.dumps(copy.get_config())
    latents = np.random.default_rng(0).normal(size=(4, 8)).astype("float32")
    np.testing.assert_allclose(copy(latents), model.averaged(latents), atol=0.1)


def test_the_rate_falls_to_a_tenth_at_the_end():
    rate = recipes.CosineTail(1.0, steps=100, share=0.4)
    assert float(rate(0)) == float(rate(60)) == 1.0
    np.testing.assert_allclose(float(rate(80)), 0.55, atol=1e-6)
    np.testing.assert_allclose([float(rate(100)), float(rate(200))], 0.1, atol=1e-6)


def test_unknown_recipe_names_the_known_ones():
    with pytest.raises(ValueError, match="'stylegan'.*modern64.*rgba80"):
        recipes.get("stylegan")
