"""The projected discriminator and the hybrid step, on the real frozen network."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from tiny import arrays

from pokeutils import augment, losses, models
from pokeutils.layers import FusedBatchNorm
from pokeutils.recipes import catalogue, hybrid


@pytest.fixture(scope="module")
def second():
    """On the two finest scales only, which need a third of the network."""
    keras.utils.set_random_seed(0)
    return hybrid.projected_discriminator(16, input_size=32, width=8, scales=(2, 4))


def test_one_logit_a_scale_and_only_the_heads_are_trained():
    model = hybrid.projected_discriminator(16, input_size=32, width=8)
    assert model(np.zeros((2, 16, 16, 3), "float32")).shape == (2, 4)
    kernels = [v for v in model.trainable_variables if len(v.shape) == 4]
    # 32 px: maps of 16, 8, 4 and 2 px, so two, one, no and no halvings, then one logit.
    assert len(kernels) == 3 + 4


def test_mixing_is_fixed_by_its_seed():
    maps = [
        np.random.default_rng(i).normal(size=(1, 8 // 2**i, 8 // 2**i, c)).astype("f4")
        for i, c in enumerate((24, 40, 112, 320))
    ]
    first, again, other = (hybrid.mixed(maps, seed=seed) for seed in (3, 3, 4))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.allclose(a, c)


@pytest.fixture(scope="module")
def built(second):
    """One model for all tests, and the state that it begins in."""
    keras.utils.set_random_seed(1)
    model = hybrid.HybridGAN(
        models.pyramid_generator(16, latent_dim=8, widths=(8, 8), detail=8),
        models.pyramid_discriminator(16, widths=(8, 8)),
        second=second,
        second_augment=augment.OnBackground(augment.DiffAugment()),
        second_losses=losses.get("hinge"),
        warm_up=0,
        ramp=0,
        r1_gamma=0.1,
        ema_images=100,
    )
    model.compile(
        keras.optimizers.Adam(1e-3),
        keras.optimizers.Adam(1e-3),
        losses.get("nonsaturating"),
        keras.optimizers.Adam(1e-3),
    )
    return model, arrays(model.state)


@pytest.fixture
def make_hybrid(built, monkeypatch):
    """A function: warm_up -> the model as it was when it was built, but for that."""
    model, untrained = built

    def make_hybrid(warm_up, second_interval=1):
        for variable, value in zip(model.state, untrained, strict=True):
            variable.assign(value)
        monkeypatch.setattr(model, "warm_up", warm_up)
        monkeypatch.setattr(model, "second_interval", second_interval)
        return model

    return make_hybrid


def test_its_rate_comes_down_with_the_others():
    """Its optimiser counts from the end of the warm-up on, every second step only."""
    recipe = dataclasses.replace(
        catalogue.get("tiny16"),
        images=3200,  # 100 steps
        second=(("input_size", 32), ("width", 4), ("scales", (2, 4))),
        second_interval=2,
        warm_up=640,  # 20 steps
        decay=0.5,
    )
    model = recipe.build()
    first, second = model.d_optimizer, model.second_optimizer
    for step in (20, 40, 60, 80, 100):
        first.iterations.assign(step)
        second.iterations.assign((step - 20) // 2)
        rates = [float(one.learning_rate) for one in (first, second)]
        assert rates[0] == pytest.approx(rates[1], rel=1e-5)
    assert rates[0] == pytest.approx(0.1 * recipe.learning_rates[1], rel=1e-5)


def test_the_second_discriminator_joins_after_its_warm_up(second, make_hybrid):
    model = make_hybrid(warm_up=8)  # two steps of four pictures
    real = np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 4)).astype("float32")
    fixed = {id(v) for v in second.get_layer("lite0").variables}  # Lite0's
    moved = []
    for _ in range(3):
        before = arrays(second.variables)
        model.train_step(tf.constant(real))
        changes = zip(second.variables, before, arrays(second.variables), strict=True)
        moved.append({id(v) for v, a, b in changes if not np.array_equal(a, b)})
    assert moved[0] == moved[1] == set()
    assert {id(v) for v in second.trainable_variables} <= moved[2]
    assert fixed and not fixed & moved[2]


def test_it_may_sit_out_every_other_step(second, make_hybrid):
    model = make_hybrid(warm_up=0, second_interval=2)
    real = np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 4)).astype("float32")
    heads = [layer for layer in second.layers if isinstance(layer, FusedBatchNorm)]
    watched = [heads[0].moving_mean, *second.trainable_variables]
    watched += [model.second_optimizer.iterations]
    moved = []
    for _ in range(4):
        before = arrays(watched)
        model.update(real, model.draw(4))
        after = arrays(watched)
        pairs = zip(before, after, strict=True)
        moved.append({not np.array_equal(old, new) for old, new in pairs})
    assert moved == [{True}, {False}, {True}, {False}]


def test_being_looked_at_by_the_generator_changes_nothing(second, make_hybrid):
    """In a graph, too, where a variable that is read late has its new value."""
    model = make_hybrid(warm_up=0)
    draws = model.draw(4)
    fake = tf.random.stateless_uniform((4, 16, 16, 4), (1, 2), -1.0, 1.0)
    before = arrays(second.variables)
    _, slope = tf.function(lambda: model.second_opinion(fake, draws))()
    after = arrays(second.variables)
    assert all(np.array_equal(b, a) for b, a in zip(before, after, strict=True))
    assert np.abs(slope).max() > 0


def test_what_fools_it_is_both_losses_and_both_slopes(second, make_hybrid, monkeypatch):
    model = make_hybrid(warm_up=0)
    monkeypatch.setattr(model, "second_weight", 0.3)
    model.steps.assign(1)
    draws = model.draw(4)
    fake = tf.random.stateless_uniform((4, 16, 16, 4), (1, 2), -1.0, 1.0)

    def plain(fake):
        seen = model.augment(fake, draws["fool"])
        return model.generator_loss(model.discriminator(seen, training=True))

    def through_features(fake):
        seen = model.second_augment(fake, draws["second fool"])
        return model.second_generator_loss(second(seen, training=True))

    values, slopes = [], []
    both = functools.partial(model.generator_objective, draws=draws)
    for loss in (plain, through_features, both):
        with tf.GradientTape() as tape:
            tape.watch(fake)
            values.append(loss(fake))
        slopes.append(tape.gradient(values[-1], fake))
    first, other, both = values
    np.testing.assert_allclose(both, first + 0.3 * other, rtol=1e-5)
    first, other, both = slopes
    assert np.abs(other).max() > 1e-4
    np.testing.assert_allclose(both, first + 0.3 * other, rtol=1e-3, atol=1e-6)


def test_augmentation_grows_with_a_discriminator_that_is_too_sure(second):
    """Of both discriminators, and it is part of the state."""
    model = hybrid.HybridGAN(
        models.pyramid_generator(16, latent_dim=8, widths=(8, 8), detail=8),
        models.pyramid_discriminator(16, widths=(8, 8)),
        second=second,
        second_augment=augment.OnBackground(augment.DiffAugment(rotation=15)),
        second_losses=losses.get("hinge"),
        augment=augment.DiffAugment(rotation=15),
        adapt=(0.6, 4),
    )
    adams = [keras.optimizers.Adam(1e-3) for _ in range(3)]
    model.compile(*adams[:2], losses.get("nonsaturating"), adams[2])
    assert any(variable is model.strength for variable in model.state)
    zeros = [ops.zeros(v.shape) for v in model.discriminator.trainable_variables]
    found = []
    for right in (1.0, 1.0, 0.8, 0.3, 0.0, *(1.0,) * 12):
        model.apply_to_discriminator(zeros, {"d_real": right})
        found.append(float(model.strength))
    wanted = [0.1, 0.2, 0.2, 0.0, 0.0, *np.arange(1, 11) / 10, 1.0, 1.0]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    model.strength.assign(0.0)
    draws = model.draw(64)
    rare = draws["real"][:, 5:], draws["second fake"]["inner"][:, 5:]
    assert all(float(ops.max(ops.abs(x))) == 0 for x in rare)
    model.strength.assign(1.0)
    draws = model.draw(64)
    turned = draws["real"][:, 7], draws["second fake"]["inner"][:, 7]
    assert all(float(ops.min(ops.abs(x))) > 0 for x in turned)


def test_on_background_composites_as_a_canvas_does():
    layer = augment.OnBackground()
    draws = layer.draw(2, keras.random.SeedGenerator(0))
    images = np.full((2, 4, 4, 4), -1, "float32")  # empty
    images[:, 1, 1] = (0.5, -0.5, 0.0, 1.0)  # opaque
    out = ops.convert_to_numpy(layer(images, draws))
    background = 2 * ops.convert_to_numpy(draws["background"])[:, 0, 0] - 1
    np.testing.assert_allclose(out[:, 0, 0], background, atol=1e-6)
    np.testing.assert_allclose(out[:, 1, 1], [(0.5, -0.5, 0.0)] * 2, atol=1e-6)
