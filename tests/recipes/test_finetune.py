"""Going on from a trained generator: what is kept, what is frozen, what is refused."""

import dataclasses

import numpy as np
import pytest

from pokeutils.common import files, saved
from pokeutils.data import dataset
from pokeutils.recipes import catalogue, finetune


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Returns a function that ships a generator, with its discriminators or without."""
    monkeypatch.setattr(saved, "folder", lambda: tmp_path)

    def ship(name, discriminators=True, recipe="tiny16"):
        model, path = catalogue.get("tiny16").build(seed=5), tmp_path / f"{name}.keras"
        model.generator.save(path)
        recipe = dataclasses.asdict(catalogue.get(recipe))
        card = {"recipe": recipe, "seed": 5, "data": {"source": "doodles"}}
        card["sha256"] = files.sha256(path)
        if discriminators:
            path = tmp_path / f"{name}-discriminators.npz"
            arrays = saved.discriminators(model)
            np.savez(path, **{k: np.float16(v) for k, v in arrays.items()})
            card["discriminators"] = {"sha256": files.sha256(path)}
        files.write_json(tmp_path / f"{name}.json", card)
        return model

    return ship


def weights(network):
    return [np.array(weight) for weight in network.get_weights()]


@pytest.mark.parametrize("start", ["flagship", "sprites"])
def test_it_goes_on_with_both_networks_and_the_first_layers_stay(trained, start):
    trained(saved.FLAGSHIP, discriminators=False)
    was = trained("sprites")
    assert finetune.starts() == ["sprites", saved.FLAGSHIP]
    recipe = dataclasses.replace(finetune.recipe(start), freeze=1)
    assert recipe.warm == "sprites" and recipe.ease_in == 0
    model = recipe.build(seed=0, dtype="float32")
    before = weights(model.discriminator)
    for old, new in zip(weights(was.discriminator), before, strict=True):
        np.testing.assert_allclose(old, new, atol=1e-3)  # half precision
    data = dataset.load("doodles", 16)
    model.train_step(next(iter(dataset.batches(data.images, 32, 1, seed=0))))
    moved = [
        np.any(old != new)
        for old, new in zip(before, weights(model.discriminator), strict=True)
    ]
    assert moved[:2] == [False, False] and all(moved[2:])  # a kernel and a bias
    assert any(np.any(a != b) for a, b in zip(*map(weights, (model.generator,
               was.generator)), strict=True))  # fmt: skip


def test_new_discriminators_learn_first_and_none_of_their_layers_is_frozen(trained):
    trained("alone", discriminators=False)
    recipe = finetune.recipe("alone", minutes=3)
    assert recipe.freeze == 0 and recipe.ease_in == finetune.EASE_IN


@pytest.mark.parametrize("start", ["charizard", "", "../hybrid64", "restore64"])
def test_other_names_are_refused_with_those_that_are_there(trained, start):
    trained("alone")
    with pytest.raises(ValueError, match=f"No trained generator '{start}'.*alone"):
        finetune.recipe(start)


@pytest.mark.parametrize("there", [True, False])
def test_without_lite0_the_first_discriminator_has_to_do(trained, monkeypatch, there):
    def need(module, requirement, show):
        if not there:
            raise RuntimeError(f"no {module}")

    monkeypatch.setattr(finetune.env, "need", need)
    trained("hybrid", recipe="hybrid64")
    lines = []
    recipe = finetune.recipe("hybrid", show=lines.append)
    assert (recipe.second is not None) == (recipe.adapt is not None) == there
    assert there or "no efficientnet_lite0" in lines[0]


def test_weights_of_a_second_discriminator_may_be_left_over(trained, tmp_path):
    trained("two")
    path = tmp_path / "two-discriminators.npz"
    with np.load(path) as arrays:
        np.savez(path, **arrays, **{"second/000": np.zeros(3, "float16")})
    card = {**saved.card("two"), "discriminators": {"sha256": files.sha256(path)}}
    files.write_json(tmp_path / "two.json", card)
    assert finetune.recipe("two").build().discriminator


@pytest.mark.parametrize("profile, images", [("tiny", 64), ("quick", 3600)])
def test_its_length_follows_from_the_minutes(trained, monkeypatch, profile, images):
    trained("alone")
    monkeypatch.setenv("POKEUTILS_PROFILE", profile)
    assert finetune.recipe("alone", minutes=2).images == images
    least = finetune.from_nothing(minutes=1e-9)
    assert least.images == 2 * least.batch
