"""From watercolour to sprite: the water, the training, and what comes out."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from tiny import SILENT, arrays, eagerly

from pokeutils import training
from pokeutils.common import files, images, saved
from pokeutils.data import dataset
from pokeutils.studio import restore
from pokeutils.training import callbacks, runs

TINY = dataclasses.replace(
    restore.RESTORE64,
    name="tiny16",
    size=16,
    batch=8,
    images=3 * 224,
    generator_options=(("widths", (8, 16)),),
    discriminator_options=(("widths", (8,)),),
)


@pytest.fixture(scope="module")
def data():
    return dataset.load("doodles", 16, progress=lambda line: None)


def test_water_comes_again_and_stays_premultiplied(clean):
    for amounts in (0.5, 1.0, None, {"smear": 1.0, "paper": 1.0}):
        wet = restore.water(clean[:9], amounts, seed=3)
        assert wet.shape == (9, 32, 32, 4) and wet.dtype == np.uint8
        assert (wet[..., :3] <= wet[..., 3:]).all()
        np.testing.assert_array_equal(wet, restore.water(clean[:9], amounts, seed=3))
        assert (wet != restore.water(clean[:9], amounts, seed=4)).any()


def test_no_water_changes_nothing_and_more_changes_more(clean):
    def change(amounts):
        return np.abs(restore.water(clean, amounts).astype("int16") - clean).mean()

    assert np.abs(restore.water(clean, 0).astype("int16") - clean).max() <= 1
    assert 2 < change(0.25) < change(0.5) < change(1.0)
    for kind in restore.KINDS:
        assert 0.05 < change({kind: 0.5}) < change({kind: 1.0}), kind


def test_medium_water_leaves_the_background_and_much_of_it_fills_it(clean):
    corners = clean[:, [0, 0, -1, -1], [0, -1, 0, -1], 3]
    assert not corners.any()
    for amount, alpha in ((0.5, 0), (1.0, 255)):
        wet = restore.water(clean, {"paper": amount})
        assert (wet[:, [0, 0, -1, -1], [0, -1, 0, -1], 3] == alpha).all()


def test_wrong_amounts_and_pictures_are_refused(clean):
    for wrong in (1.5, -0.1, {"soup": 0.5}):
        with pytest.raises(ValueError, match="use 0 to 1 of all or of smear"):
            restore.water(clean, wrong)
    with pytest.raises(ValueError, match="expected uint8 pictures"):
        restore.water(clean[..., :3])
    straight = clean.copy()
    straight[..., 0] = 255
    with pytest.raises(ValueError, match="straight RGBA"):
        restore.water(straight)


def test_untrained_it_changes_nothing_and_steps_bring_it_nearer(data):
    model = dataclasses.replace(TINY, learning_rates=(2e-3, 1e-4)).build(0, "float32")
    clean = dataset.to_float(restore.pixel_art(data.images[:8]))
    draws = model.draw(8)
    watered = model.water(clean, draws["water"])

    def far():
        return float(np.abs(model.generator(watered) - clean).mean())

    before = far()
    np.testing.assert_array_equal(model.generator(watered), watered)
    with eagerly():
        for _ in range(30):
            logs = model.update(keras.ops.convert_to_tensor(clean), draws)
    assert far() < 0.97 * before
    assert all(np.isfinite(float(value)) for value in logs.values())
    first, second = (arrays(model.draw(1)["water"].values()) for _ in range(2))
    assert (first[0] != second[0]).any()  # other water in every step


def test_it_trains_stops_and_goes_on_as_all_recipes_do(folders, data, monkeypatch):
    monkeypatch.setattr(callbacks, "MOST", 1.0)
    whole = training.train(TINY, data, run="new", **SILENT)

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.step == 40:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(TINY, data, run="new", save_minutes=0, also=[Stop()], **SILENT)
    run = training.train(TINY, data, run=runs.list_runs()[-1], **SILENT)
    first, second = (restore.load(r / "generator.keras") for r in (whole, run))
    for a, b in zip(arrays(first.weights), arrays(second.weights), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(runs.sample_files(run)) > 2


@pytest.mark.parametrize("size, channels", [(16, 4), (32, 4), (32, 3)])
def test_sprites_have_hard_edges_and_few_colours(clean, size, channels):
    pictures = images.shrink(clean[:6], size)
    pictures = images.over(pictures) if channels == 3 else restore.water(pictures, 0.3)
    sprites = restore.restore(pictures, restore.unet(16, widths=(8, 16)))
    assert sprites.shape == (6, 16, 16, 4) and sprites.dtype == np.uint8
    assert set(np.unique(sprites[..., 3])) == {0, 255}
    for sprite in sprites:
        assert len(np.unique(sprite.reshape(-1, 4), axis=0)) <= restore.COLOURS


def test_the_pretrained_one_is_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(saved, "folder", lambda: tmp_path)
    (tmp_path / "restore64.json").write_text('{"sha256": "another"}')
    with pytest.raises(ValueError, match="not the file that its card"):
        restore.pretrained()
    path = tmp_path / "restore64.keras"
    saved.in_precision(restore.unet(16, widths=(8, 16)), "float16").save(path)
    card = {"sha256": files.sha256(path), "kind": "restorer"}
    (tmp_path / "restore64.json").write_text(json.dumps(card))
    assert saved.names() == []  # it is no generator
    model = restore.pretrained()
    assert {w.dtype for w in model.weights} == {"float32"}
    keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)]).save(path)
    with pytest.raises(ValueError, match="not the file that its card"):
        restore.pretrained()
    with pytest.raises(ValueError, match="it turns"):
        restore.load(path)


def test_a_size_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="20 px cannot be halved 4 times"):
        restore.unet(20)
