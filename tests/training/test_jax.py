"""The same step on TensorFlow and on JAX: same weights and inputs, same losses and
updates. JAX needs a process of its own."""

import importlib.util
import os
import runpy
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from pokeutils import sampling
from pokeutils.common import env, plots, saved
from pokeutils.training import runs

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("jax"), reason="JAX is not installed"
)
# Compile fast rather than well: these programs run for a few steps only.
ON_CPU = {"XLA_FLAGS": "--xla_backend_optimization_level=0", "JAX_PLATFORMS": "cpu"}
ON_CPU["KERAS_BACKEND"] = "jax"

PROGRAM = """
import sys
import keras, numpy as np
from pokeutils import augment, gan, losses, models

folder = sys.argv[1]
with np.load(folder + "/inputs.npz") as file:
    inputs = {name: file[name].astype("float32") for name in file.files}
if keras.backend.backend() == "jax":
    from pokeutils.training.jax import JaxStep, as_pure, assign
    Kind = type("JaxGAN", (JaxStep, gan.GAN), {})
else:
    Kind = gan.GAN
model = Kind(
    models.pyramid_generator(8, latent_dim=8, widths=(12,), detail=8),
    models.pyramid_discriminator(8, widths=(12,)),
    augment=augment.DiffAugment(rotation=9, permute=0.5),
    r1_gamma=1.0, r1_interval=2, ema_images=100,
)
# Epsilon large against rounding: Adam divides tiny gradients by themselves.
optimizers = [keras.optimizers.Adam(1e-3, 0.5, epsilon=1e-3) for _ in range(2)]
model.compile(*optimizers, losses.get("nonsaturating"))
networks = (model.generator, model.discriminator, model.averaged)
rng = np.random.default_rng(0)
for network in networks:
    for v in network.trainable_variables:
        v.assign(rng.normal(1 if "gamma" in v.path else 0, 0.1, v.shape))

def update(real, latents, a, b, c):
    draws = {"latents": latents, "real": a, "fake": b, "fool": c}
    return model.update(real, draws)

if keras.backend.backend() == "jax":
    import jax
    step = jax.jit(as_pure(update, model.state))
    values = [v.value for v in model.state]
    def run(*arguments):
        global values
        values, logs = step(values, *arguments)
        return logs
    def finish():
        assign(model.state, values)
else:
    import tensorflow as tf
    run, finish = tf.function(update), lambda: None

result = {}
for i in range(3):
    for name, value in run(*(inputs[f"{key}{i}"] for key in
                             ("real", "latents", "a", "b", "c"))).items():
        result[f"log {name} {i}"] = keras.ops.convert_to_numpy(value)
finish()
for network in networks:
    for i, v in enumerate(network.weights):
        result[f"{network.name} {i} {v.name}"] = keras.ops.convert_to_numpy(v)
np.savez(folder + "/" + keras.backend.backend() + ".npz", **result)
"""


def test_tensorflow_and_jax_take_the_same_steps(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    inputs = {}
    for i in range(3):
        inputs[f"real{i}"] = rng.uniform(-1, 1, (8, 8, 8, 4))
        inputs[f"latents{i}"] = rng.normal(size=(8, 8))
        inputs |= {f"{key}{i}": rng.uniform(-1, 1, (8, 9)) for key in "abc"}
    np.savez(tmp_path / "inputs.npz", **inputs)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, "utf-8")
    environment = {**os.environ, **ON_CPU, "PYTHONPATH": str(env.ROOT)}
    command = [sys.executable, str(program), str(tmp_path)]
    subprocess.run(command, env=environment, check=True, timeout=200)
    monkeypatch.setattr(sys, "argv", command[1:])
    runpy.run_path(str(program))
    results = []
    for backend in ("tensorflow", "jax"):
        with np.load(tmp_path / f"{backend}.npz") as file:
            results.append(dict(file))
    ours, theirs = results
    assert len(ours) > 25 and ours.keys() == theirs.keys()
    for name, a in ours.items():
        np.testing.assert_allclose(theirs[name], a, rtol=2e-3, atol=2e-4, err_msg=name)


ALONE = """
import sys

class NoTensorFlow:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "tensorflow":
            raise ImportError("this machine has no TensorFlow")

sys.meta_path.insert(0, NoTensorFlow())
from pokeutils import training
from pokeutils.recipes.recipe import Recipe

recipe = Recipe(
    name="jax8", size=8, images=256, batch=16, r1_gamma=0.1, ema_images=100,
    generator_options=(("latent_dim", 8), ("widths", (8,))),
    discriminator_options=(("widths", (8,)),), augment=(("translation", 0.1),),
)
training.train(recipe, "doodles")
"""


def test_jax_alone_makes_a_run_folder_that_tensorflow_reads(folders):
    # bfloat16 rounds differently on each.
    environment = {**os.environ, **ON_CPU, "POKEUTILS_DTYPE": "float32"}
    command = [sys.executable, "-c", ALONE]
    subprocess.run(command, env=environment, check=True, timeout=200)
    run = runs.latest_run()
    params, log = runs.read_params(run), runs.read_log(run)
    assert params["backend"] == "jax" and params["versions"]["jax"]
    assert log["images"][-1] >= 256 and np.isfinite(log["g_loss"]).all()
    pictures = sampling.sample(saved.load_generator(run / "generator.keras"), 64)
    last = np.asarray(Image.open(runs.sample_files(run)[-1][1]))
    assert np.abs(plots.tile(pictures).astype(int) - last).max() <= 1
