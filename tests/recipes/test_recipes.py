"""Recipes and run folders: real, tiny trainings on drawn creatures."""

import dataclasses
import json
import re

import keras
import numpy as np
import pytest
from tiny import TINY, arrays

from pokeutils.common import env, images, saved
from pokeutils.data import dataset, recolour
from pokeutils.recipes import catalogue, modern
from pokeutils.recipes.recipe import CosineTail, Recipe
from pokeutils.training import callbacks

# Weights of generator and discriminator, moving averages included: published for
# rgba80, counted from the listing for sprites64 (test_seed_models), as built otherwise.
WEIGHTS = {
    "rgba80": (11_680_768, 262_593),
    "keras120": (7_068_899, 324_993),
    "augmented64": (692_992, 662_273),
    "sprites64": (791_296, 662_273),
    "sprites64_as_written": (791_296, 662_273),
    "pokegan_conv": (8_578_784, 93_697),
    "pokegan_dense": (31_439_920, 15_492_097),
}


@pytest.mark.parametrize("name", sorted(catalogue.RECIPES))
def test_every_recipe_takes_real_steps_that_move_both_networks(name):
    recipe = catalogue.get(name)
    if name == "pokegan_dense":  # 47 million weights: its three steps take 9 s
        networks = recipe.build()
        counts = [networks.generator, networks.discriminator]
        assert tuple(x.count_params() for x in counts) == WEIGHTS[name]
        recipe = dataclasses.replace(recipe, size=20)
    model = recipe.build()
    networks = model.generator, model.discriminator
    if name in WEIGHTS and recipe.size > 20:
        assert tuple(x.count_params() for x in networks) == WEIGHTS[name]
    before = [arrays(network.trainable_variables) for network in networks]
    rng = np.random.default_rng(0)
    shape = (2, recipe.size, recipe.size, recipe.channels)
    for _ in range(3):
        real = rng.uniform(-1, 1, shape).astype("float32")
        batch = (real, np.eye(18, dtype="float32")[:2]) if recipe.types else real
        logs = model.update(batch, model.draw(2))
    assert set(logs) == set(model.log_names)
    assert np.isfinite([float(value) for value in logs.values()]).all()
    for network, old in zip(networks, before, strict=True):
        for a, b in zip(old, arrays(network.trainable_variables), strict=True):
            assert not np.array_equal(a, b), f"a weight of {network.name} stood still"
    pictures = keras.ops.convert_to_numpy(model.generator(model.draw(2)["latents"]))
    assert pictures.shape == shape and np.abs(pictures).max() <= 1
    assert np.ptp(pictures) > 0.01
    assert 0 <= float(logs["d_real"]) <= 1 and float(logs.get("gated", 0)) in (0, 1)


def test_bfloat16_takes_the_same_step_as_float32_to_its_precision():
    """What AMX processors and new GPUs compute in; slow but right on all others."""
    real = np.random.default_rng(0).uniform(-1, 1, (8, 8, 8, 4)).astype("float32")
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
    callbacks.save_generator(model, tmp_path / "generator.keras")
    copy = saved.load_generator(tmp_path / "generator.keras")
    assert "bfloat16" not in json.dumps(copy.get_config())
    latents = np.random.default_rng(0).normal(size=(4, 4)).astype("float32")
    with callbacks.calibrated(model) as averaged:
        np.testing.assert_allclose(copy(latents), averaged(latents), atol=0.1)


def test_the_rate_falls_to_a_tenth_at_the_end():
    rate = CosineTail(1.0, steps=100, share=0.4)
    assert float(rate(0)) == float(rate(60)) == 1.0
    np.testing.assert_allclose(float(rate(80)), 0.55, atol=1e-6)
    np.testing.assert_allclose([float(rate(100)), float(rate(200))], 0.1, atol=1e-6)


def test_the_generator_may_start_slowly():
    rate = CosineTail(1.0, steps=100, share=0.4, ease_in=20)
    rates = [float(rate(step)) for step in (0, 5, 20, 60, 100)]
    np.testing.assert_allclose(rates, [0, 0.25, 1, 1, 0.1], atol=1e-6)
    for decay in (0.0, 0.5):
        model = dataclasses.replace(TINY, ease_in=4 * 16, decay=decay).build()
        model.g_optimizer.iterations.assign(1)
        rates = [float(x.learning_rate) for x in (model.g_optimizer, model.d_optimizer)]
        np.testing.assert_allclose(rates, [0.25 * 2e-4, 2e-4], rtol=1e-5)


@pytest.mark.parametrize("changes, words", [
    ({"name": "a/b"}, "a plain word as its name, not 'a/b'"),
    ({"batch": 0}, "a positive number as its batch, not 0"),
    ({"channels": 2}, "3 or 4 as its channels"),
    ({"learning_rates": 2e-4}, "two positive numbers as its learning_rates"),
    ({"learning_rates": (2e-4, -1.0)}, "two positive numbers"),
    ({"decay": 2.0}, "a share from 0 to 1 as its decay, not 2.0"),
    ({"generator": "pyramid"}, "No network 'pyramid'.*such as 'pyramid_generator'"),
    ({"second": (), "channels": 3}, "channels=4, or second=None"),
    ({"batch": 6}, "A batch of 6 cannot be shared into groups of 4"),
])  # fmt: skip
def test_what_no_recipe_can_have_is_refused_in_words(changes, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(catalogue.get("tiny16"), **changes).build()


def test_rgb_pictures_are_shifted_on_their_own_ground():
    rgb = {"channels": 3, "background": 0, "augment": (("brightness", 0.0),)}
    recipe = dataclasses.replace(catalogue.get("tiny16"), **rgb)
    changes = recipe._augmentation(channels=3)
    black = -np.ones((4, 16, 16, 3), "float32")
    np.testing.assert_array_equal(changes(black, changes.draw(4, None)), black)


@pytest.mark.parametrize("recipe", catalogue.RECIPES.values(), ids=lambda r: r.name)
def test_every_recipe_comes_back_from_the_params_of_its_run(recipe, tmp_path):
    fields = {"recipe": dataclasses.asdict(recipe), "seed": 3, "data": {"source": "x"}}
    (tmp_path / "params.json").write_text(json.dumps(fields))
    assert catalogue.read(tmp_path / "params.json") == (recipe, "x", 3)
    as_lists = json.loads(json.dumps(fields["recipe"]))
    assert Recipe(**as_lists).learning_rates == list(recipe.learning_rates)


@pytest.mark.parametrize("text", ["[", "[]", "\xff", '{"seed": 0}',
    '{"recipe": {"kernel": 5}}',
    '{"recipe": [1], "seed": 0, "data": {"source": "doodles"}}',
    '{"recipe": {"name": "a", "size": 16, "images": 9, "kernel": 5}, "seed": 0,'
    ' "data": {"source": "doodles"}}'])  # fmt: skip
def test_a_file_that_does_not_say_how_to_train_is_refused(text, tmp_path):
    (tmp_path / "params.json").write_text(text, "latin-1")
    with pytest.raises(ValueError, match="params.json does not say how to train"):
        catalogue.read(tmp_path / "params.json")


def test_the_example_for_contributors_is_a_recipe():
    text = (env.ROOT / "CONTRIBUTING.md").read_text("utf-8")
    code = re.search(r"(?s)```python\n(.*?)```", text)[1]
    space = dict(vars(modern))
    exec(code, space)
    name = re.search(r"(?m)^(\w+) = ", code)[1]
    assert f"RECIPE={space[name].name} " in text
    assert space[name].build().generator.count_params() > 0


def test_a_range_that_tanh_cannot_reach_is_refused_unless_asked_for():
    recipe = catalogue.get("sprites64", as_written=True)
    with pytest.raises(ValueError, match="reaches only 33 to 189.*as_written=True"):
        dataclasses.replace(recipe, as_written=False).build()


def test_copies_triple_the_pictures():
    data = dataset.load("doodles", 16)
    plain = images.over(data.images[data.train])
    for name in ("augmented64", "pokegan_conv"):
        recipe = dataclasses.replace(catalogue.get(name), size=16)
        pictures = recipe.pictures(data)
        assert pictures.shape == (3 * len(plain), 16, 16, 3)
        np.testing.assert_array_equal(pictures[: len(plain)], plain)
    blue = recolour.turn_hue(plain, 180)
    np.testing.assert_array_equal(pictures[len(plain) : 2 * len(plain)], blue)
    black = dataclasses.replace(catalogue.get("keras120"), size=16).pictures(data)
    assert (black[:, 0, 0] == 0).mean() > 0.9, "seed 001 drops alpha"


def test_one_variable_names_the_recipe_of_the_notebooks(monkeypatch):
    monkeypatch.setenv("POKEUTILS_RECIPE", "sprites64")
    for profile, count in {"quick": 60_000, "full": 992_000, "tiny": 128}.items():
        monkeypatch.setenv("POKEUTILS_PROFILE", profile)
        recipe = catalogue.for_profile()
        assert (recipe.name, recipe.images) == ("sprites64", count)
    monkeypatch.setenv("POKEUTILS_RECIPE", "sprites65")
    with pytest.raises(ValueError, match="Unknown recipe 'sprites65'.*modern64.*rgba"):
        catalogue.for_profile()


def test_every_species_counts_alike_unless_a_seed_says_otherwise():
    """The first three pictures are made forms of one species: each is shown a third as
    often as the others, in the training's own batches."""
    data = dataset.load("doodles", 16)
    species = data.meta["species_id"].copy()
    rows = np.flatnonzero(data.train)[:3]
    species[rows] = 4242
    meta = {**data.meta, "species_id": species}
    data = data._replace(meta=meta)
    weights = catalogue.get("tiny16").weights(data)
    np.testing.assert_allclose(weights[:3], weights[3] / 3)
    steps = 200 * (len(weights) // 32)
    order, _ = dataset.order(len(weights), 32, steps, seed=0, weights=weights)
    shown = np.bincount(order.ravel(), minlength=len(weights))
    assert abs(shown[:3].mean() / shown[3:].mean() - 1 / 3) < 0.05
    assert catalogue.get("sprites64").weights(data) is None
    typed = dataclasses.replace(catalogue.get("types32"), size=16, balanced=False)
    rare = typed.weights(data)  # rare types come more often, whatever a species counts
    assert rare is not None and np.isfinite(rare).all()
