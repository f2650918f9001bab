"""Loss scaling: float16 learns what it would lose, and survives what it cannot hold."""

import dataclasses
import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from tiny import arrays

from pokeutils.common import env, scaling
from pokeutils.recipes import catalogue

BATCH = 8


@pytest.fixture
def real():
    return np.random.default_rng(0).uniform(-1, 1, (BATCH, 16, 16, 4)).astype("float32")


def build(dtype="mixed_float16", name="tiny16"):
    return catalogue.get(name).build(seed=0, dtype=dtype)


def step(model, real):
    logs = model.update(real, model.draw(len(real)))
    return {name: float(value) for name, value in logs.items()}


def weights(model):
    networks = model.generator, model.discriminator
    return [a for n in networks for a in arrays(n.trainable_variables)]


def test_the_factor_grows_slowly_and_falls_at_once():
    scale = scaling.LossScale(start=8.0, patience=3)
    seen = []
    for overflow in (False, False, False, True, False, False, True, True):
        scale.adjust(keras.ops.convert_to_tensor(overflow))
        seen.append(float(scale.factor))
    assert seen == [8, 8, 16, 8, 8, 8, 4, 2]
    for _ in range(5):
        scale.adjust(keras.ops.convert_to_tensor(True))
    assert float(scale.factor) == 1, "it never makes losses smaller"


def test_what_goes_up_comes_down():
    scale = scaling.LossScale(start=1024.0)
    value = scale.up(keras.ops.cast(3.0, "float16"))
    assert float(value) == 3072 and value.dtype == "float32"
    loss, (one, none) = scale.down(value, [keras.ops.cast([512.0], "float16"), None])
    assert float(loss) == 3 and float(one[0]) == 0.5 and none is None
    assert one.dtype == "float32"


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_only_float16_is_scaled(dtype):
    model = build(dtype)
    assert model.loss_scale is None
    assert len(build().state) == len(model.state) + 2, "factor and steps are saved"


def test_a_step_in_float16_is_nearly_that_of_float32(real):
    before = weights(build("float32"))
    moves = []
    for dtype in ("float32", "mixed_float16"):
        model = build(dtype)
        logs = step(model, real)
        assert all(np.isfinite(value) for value in logs.values())
        assert logs["r1"] > 0 and logs["d_norm"] > 0 and logs["g_norm"] > 0
        moves.append(
            np.concatenate(
                [
                    (now - old).ravel()
                    for now, old in zip(weights(model), before, strict=True)
                ]
            )
        )
    agreement = np.dot(*moves) / np.prod([np.linalg.norm(move) for move in moves])
    assert agreement > 0.95  # Adam's first step takes the signs alone, even of noise
    assert build().generator.layers[2].compute_dtype == "float16"


def test_tiny_gradients_reach_the_weights_because_of_it(real):
    """A loss ten million times smaller: its gradients are below what float16 holds."""
    norms = {}
    for factor in (1.0, 2.0**15):
        model = build()
        model.loss_scale.factor.assign(factor)
        loss = model.generator_loss
        model.generator_loss = lambda logits, loss=loss: 1e-7 * loss(logits)
        norms[factor] = step(model, real)["g_norm"]
    wanted = build("float32")
    loss = wanted.generator_loss
    wanted.generator_loss = lambda logits: 1e-7 * loss(logits)
    wanted = step(wanted, real)["g_norm"]
    assert abs(norms[1.0] / wanted - 1) > 0.3
    assert norms[2.0**15] == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("second", [None, (("input_size", 32),)])
def test_an_overflow_changes_nothing_but_the_factor(real, second):
    real = real[:2]  # a CPU is slow in float16
    recipe = dataclasses.replace(catalogue.get("tiny16"), second=second, ramp=1)
    model = recipe.build(seed=0, dtype="mixed_float16")
    step(model, real)
    model.loss_scale.factor.assign(2.0**100)
    before = weights(model)
    memory = arrays(model.g_optimizer.variables) + arrays(model.d_optimizer.variables)
    logs = step(model, real)
    assert all(np.isfinite(value) for value in logs.values()), "no alarm for one step"
    assert logs["d_norm"] == logs["g_norm"] == 0
    after = arrays(model.g_optimizer.variables) + arrays(model.d_optimizer.variables)
    for old, new in zip(before + memory, weights(model) + after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert float(model.loss_scale.factor) == 2.0**99
    model.loss_scale.factor.assign(2.0**10)
    step(model, real)
    moved = [(a != b).any() for a, b in zip(before, weights(model), strict=True)]
    assert all(moved)


ON_JAX = """
import jax, keras, numpy as np
from pokeutils.common import gradients
from pokeutils.recipes import catalogue as recipes

model = recipes.get("tiny16").build(dtype="mixed_float16")
step = jax.jit(gradients.as_stateless(
    lambda real: model.update(real, model.draw(8)), model.state
))
real = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 4)).astype("float32")
after, logs = step([v.value for v in model.state], real)
assert 0 < logs["d_norm"] < 100 and 0 < logs["g_norm"] < 100, logs
scale = model.loss_scale.factor
(place,) = [i for i, v in enumerate(model.state) if v is scale]
after[place] = jax.numpy.asarray(2.0**100)
end, logs = step(after, real)
assert end[place] == 2.0**99 and logs["d_norm"] == logs["g_norm"] == 0
for v, old, new in zip(model.state, after, end):
    if v.trainable:
        assert (old == new).all(), v.path
"""


@pytest.mark.slow
def test_the_same_on_jax():
    if not importlib.util.find_spec("jax"):
        pytest.skip("JAX is not installed")
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    environment["PYTHONPATH"] = str(env.ROOT)
    command = [sys.executable, "-c", ON_JAX]
    subprocess.run(command, env=environment, check=True, timeout=200)
