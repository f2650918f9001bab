"""Every generator of the project draws in the browser what it draws in Keras."""

import base64
import json

import keras
import numpy as np
import pytest
from hatched import pyramid, shaken

from pokeutils.recipes import rebuilt_networks as rebuilt
from pokeutils.studio import restore
from pokeutils.training.devices import synchronised
from pokeutils.web.hatchery import genome, portable

STATISTICS = [0.6, 0.5, 0.4], [0.2, 0.3, 0.4]
GENERATORS = {
    "pyramid": pyramid,
    "deep": lambda: pyramid(depth=2),
    "palette": lambda: pyramid(palette=5),
    "three channels": lambda: pyramid(channels=3),
    "synchronised": lambda: synchronised(pyramid()),
    "large": lambda: pyramid(latent_dim=64, widths=(256, 8)),
    "tutorial": lambda: rebuilt.tutorial_generator(12, latent_dim=8, widths=(8, 6, 4)),
    "block": lambda: rebuilt.block_generator(16, latent_dim=8, widths=(8, 6, 4, 4)),
    "sprite": lambda: rebuilt.sprite_generator(
        16, latent_dim=8, width=8, statistics=STATISTICS
    ),
    "dense": lambda: rebuilt.dense_generator(8, latent_dim=8, widths=(16, 24, 32)),
}
RUN = """([graph, weights, latents, count]) => bytes(weights).then((buffer) =>
  Array.from(new Network(graph, buffer).run(Float32Array.from(latents), count)))"""


@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_of_the_project_draws_the_same(calm, name):
    model = shaken(GENERATORS[name]())
    graph, weights = portable.convert(model)
    latents = genome.latents(genome.nest(name, 3), model.input_shape[-1])
    wanted = np.asarray(model(latents, training=False))
    graph = json.loads(json.dumps(graph))  # as in the page, where numbers become names
    sent = [graph, base64.b64encode(weights).decode(), latents.ravel().tolist(), 3]
    off = np.abs(np.reshape(calm.evaluate(RUN, sent), wanted.shape) - wanted) * 127.5
    # Ties may fall the other way in a palette; a byte per weight rounds more.
    level, share = {"palette": (2, 0.02), "large": (8, 0.02)}.get(name, (2, 0))
    assert wanted.std() > 0.1 and (off > level).mean() <= share, off.max()


@pytest.mark.parametrize("large, level", [(2**20, 2), (2**10, 8)])
def test_a_restoring_network_redraws_the_same(calm, monkeypatch, large, level):
    monkeypatch.setattr(portable, "LARGE", large)
    model = shaken(restore.unet(16, widths=(8, 16)), scale=0.5)
    graph, weights = portable.convert(model, coarse_kernels=True)
    assert bool(graph["coarse"]) == (large < 2**20)
    pictures = np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 4))
    wanted = np.asarray(model(pictures, training=False))
    graph = json.loads(json.dumps(graph))
    sent = [graph, base64.b64encode(weights).decode(), pictures.ravel().tolist(), 2]
    off = np.abs(np.reshape(calm.evaluate(RUN, sent), wanted.shape) - wanted) * 127.5
    assert np.abs(wanted - pictures).mean() > 0.1 and off.max() <= level, off.max()


def test_a_large_matrix_takes_a_byte_per_weight():
    model = shaken(GENERATORS["large"]())
    graph, weights = portable.convert(model)
    (matrix, column), = graph["coarse"].items()  # fmt: skip
    assert graph["weights"][matrix][1:] == [64, 4096]
    assert graph["weights"][column][1:] == [4096]
    others = model.count_params() - 64 * 4096
    assert len(weights) < 64 * 4096 + 2.2 * (others + 2 * 4096)  # scales and biases


def row(layer):
    inputs = keras.Input((4,))
    return keras.Model(inputs, layer(inputs))


@pytest.mark.parametrize(
    "model, words",
    [
        (lambda: row(keras.layers.Softmax(name="odd")), "odd is a Softmax.* BatchNorm"),
        (lambda: row(keras.layers.Dense(2, "silu")), "activation silu"),
        (lambda: row(keras.layers.ReLU(6)), "only the plain ReLU"),
        (lambda: pyramid(types=18), "is a TypedLatent, which a page cannot compute"),
        (lambda: keras.Sequential([keras.Input((4,))]), "must be a functional model"),
        (lambda: shaken(pyramid(), scale=1e6), "half precision"),
    ],
)
def test_what_cannot_be_converted_is_named(model, words):
    with pytest.raises(ValueError, match=words):
        portable.convert(model())
