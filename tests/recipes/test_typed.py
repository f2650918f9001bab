"""Creatures of chosen types: what the networks are told, and that they listen."""

import dataclasses

import keras
import numpy as np
import pytest
from tiny import SILENT, TINY, arrays

from pokeutils import sampling
from pokeutils.data import dataset, species
from pokeutils.recipes import typed
from pokeutils.training import loop, runs

TYPES = len(species.TYPES)
TINY = dataclasses.replace(
    TINY, name="typed8", images=3 * 14 * 16, types=True, type_weight=1.0
)


@pytest.fixture(scope="module")
def data():
    plain = dataset.load("doodles", 8, progress=lambda line: None)
    return typed.by_colour(plain)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    real = rng.uniform(-1, 1, (8, 8, 8, 4)).astype("float32")
    types = np.eye(TYPES, dtype="float32")[[1, 1, 2, 2, 3, 3, 4, 4]]
    types[0, 9] = 1  # fire and flying
    return real, types


def test_a_step_moves_every_weight_and_follows_its_definition(batch):
    real, types = batch
    recipe = dataclasses.replace(TINY, augment=None, r1_gamma=0.0, type_weight=0.5)
    model, twin = recipe.build(0), recipe.build(0)
    trained = model.generator.trainable_variables
    trained = trained + model.discriminator.trainable_variables
    before = arrays(trained)
    draws = model.draw(8)
    logs = model.update(batch, draws)
    pairs = zip(before, arrays(trained), strict=True)
    assert not any(np.array_equal(old, new) for old, new in pairs)

    asked = np.array(keras.ops.convert_to_numpy(draws["latents"]))
    asked[:, -TYPES:] = types
    fake = twin.generator(asked, training=True)
    said = [keras.ops.convert_to_numpy(twin.discriminator(x)) for x in (real, fake)]
    shares = types / types.sum(1, keepdims=True)
    logits = [x[:, 0] + (x[:, 1:] * shares).sum(1) for x in said]
    named = said[0][:, 1:] - np.log(np.exp(said[0][:, 1:]).sum(1, keepdims=True))
    expected = np.log1p(np.exp(-logits[0])).mean() + np.log1p(np.exp(logits[1])).mean()
    expected -= 0.5 * (named * shares).sum(1).mean()
    np.testing.assert_allclose(logs["d_loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(logs["d_real"], (logits[0] > 0).mean())


def test_the_same_latents_give_another_creature_for_another_type():
    generator = TINY.build(0).generator
    z = sampling.draw(3, generator.input_shape[-1])
    pictures = {
        names: keras.ops.convert_to_numpy(generator(typed.wanted(z, *names)))
        for names in (("fire",), ("water",), ("fire", "water"))
    }
    fire, water, both = pictures.values()
    for one, other in ((fire, water), (fire, both), (water, both)):
        assert np.abs(one - other).max((1, 2, 3)).min() > 1e-3
    # Only the choice counts: noise asks for the type of its largest number.
    noise = z.copy()
    noise[:, -TYPES:] = np.random.default_rng(0).normal(size=(3, TYPES))
    noise[:, -TYPES + 1] = 9.0
    np.testing.assert_allclose(generator(noise), fire, atol=1e-6)
    with pytest.raises(ValueError, match="No type 'fyre'; choose one or two of normal"):
        typed.wanted(z, "fyre")


def test_pictures_come_with_their_own_types(data):
    pictures, types = TINY.pictures(data), TINY.labels(data)
    settings = dict(seed=3, start=5, weights=TINY.weights(data))
    plain = list(dataset.batches(pictures, 16, 4, **settings))
    pairs = list(dataset.batches(pictures, 16, 4, labels=types, **settings))
    order, _ = dataset.order(len(pictures), 16, 4, **settings)
    for alone, (x, y), rows in zip(plain, pairs, order, strict=True):
        np.testing.assert_array_equal(alone, x)
        np.testing.assert_array_equal(y, types[rows])


def test_rare_types_come_more_often_but_not_as_often_as_all(data):
    types = np.zeros((100, TYPES), "float32")
    types[:90, 1], types[90:, 2] = 1, 1
    weights = typed.rarity(types, np.ones(100))
    share = weights[90:].sum() / weights.sum()
    np.testing.assert_allclose(share, np.sqrt(10) / (np.sqrt(10) + np.sqrt(90)))
    plain = dataclasses.replace(TINY, types=False)
    assert plain.labels(data) is None
    np.testing.assert_array_equal(plain.weights(data), data.weights[data.train])


def test_what_has_no_types_is_refused_and_leaves_no_folder(outputs):
    with pytest.raises(ValueError, match="of 'doodles' 0% have a known type.*artwork"):
        loop.train(TINY, "doodles", **SILENT)
    doodles = dataset.load("doodles", 8)
    one = {**doodles.meta, "type1": np.full(len(doodles.images), "bug")}
    with pytest.raises(ValueError, match="100% have a known type, 1 different"):
        TINY.check(doodles._replace(meta=one))
    assert not runs.list_runs()
    with pytest.raises(ValueError, match="knows no types"):
        dataclasses.replace(TINY, second=()).build()


def test_hues_become_types(data):
    assert set(data.meta["type1"]) == set(typed.HUES.values())
    assert (data.types.sum(1) == 1).all()
    assert data.fingerprint != dataset.load("doodles", 8).fingerprint
