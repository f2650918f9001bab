"""Every generator of the project draws in the browser what it draws in Keras."""

import base64
import json

import keras
import numpy as np
import pytest
from hatched import pyramid, shaken

from pokeutils import models
from pokeutils.recipes import rebuilt_networks
from pokeutils.training.devices import synchronised
from pokeutils.web.hatchery import genome, portable

GENERATORS = {
    "pyramid": pyramid,
    "palette": lambda: pyramid(palette=5),
    "three channels": lambda: pyramid(channels=3),
    "synchronised": lambda: shaken(synchronised(pyramid())),
    "tutorial": lambda: shaken(
        rebuilt_networks.tutorial_generator(size=12, latent_dim=8, widths=(8, 6, 4))
    ),
    "block": lambda: shaken(
        rebuilt_networks.block_generator(size=16, latent_dim=8, widths=(8, 6, 4, 4))
    ),
    "sprite": lambda: shaken(
        rebuilt_networks.sprite_generator(
            size=16,
            latent_dim=8,
            width=8,
            statistics=([0.6, 0.5, 0.4], [0.2, 0.3, 0.4]),
        )
    ),
    "dense": lambda: shaken(
        rebuilt_networks.dense_generator(size=8, latent_dim=8, widths=(16, 24, 32))
    ),
}
RUN = """([graph, weights, latents, count]) => bytes(weights).then((buffer) =>
  Array.from(new Network(graph, buffer).run(Float32Array.from(latents), count)))"""


def test_every_generator_of_the_project_draws_the_same(calm):
    for name, make in GENERATORS.items():
        model = make()
        graph, weights = portable.convert(model)
        latents = genome.latents(genome.nest(name, 3), model.input_shape[-1])
        wanted = np.asarray(model(latents, training=False))
        sent = [graph, base64.b64encode(weights).decode(), latents.ravel().tolist(), 3]
        found = np.reshape(calm.evaluate(RUN, sent), wanted.shape)
        off = np.abs(found - wanted) * 127.5
        share = 0.02 if name == "palette" else 0  # ties may fall the other way there
        assert wanted.std() > 0.1 and (off > 2).mean() <= share, (name, off.max())


def test_batch_norm_is_folded_where_that_is_exact():
    graph, weights = portable.convert(pyramid())
    operations = [step["op"] for step in graph["steps"]]
    assert "affine" not in operations and operations.count("modulate") == 3
    assert len(weights) < 2.2 * pyramid().count_params()
    graph, _ = portable.convert(GENERATORS["dense"]())  # norm after the activation
    assert [step["op"] for step in graph["steps"]].count("affine") == 3
    # A value that is read elsewhere too must not be changed.
    inputs = keras.Input((4,))
    dense = keras.layers.Dense(4)(inputs)
    both = keras.layers.Add()([dense, keras.layers.BatchNormalization()(dense)])
    graph, _ = portable.convert(keras.Model(inputs, both))
    assert [step["op"] for step in graph["steps"]] == ["dense", "affine", "add"]


def test_a_large_matrix_takes_a_byte_per_weight_and_draws_nearly_the_same(calm):
    model = shaken(
        models.pyramid_generator(size=16, latent_dim=64, widths=(256, 8), start=4)
    )
    graph, weights = portable.convert(model)
    (matrix, column), = graph["coarse"].items()  # fmt: skip
    assert graph["weights"][matrix][1:] == [64, 4096]
    assert graph["weights"][column][1:] == [4096]
    others = model.count_params() - 64 * 4096
    assert len(weights) < 64 * 4096 + 2.2 * (others + 4096)
    latents = genome.latents(genome.nest("ada", 3), 64)
    wanted = np.asarray(model(latents, training=False))
    sent = [
        json.loads(json.dumps(graph)),  # as in the page, where numbers become names
        base64.b64encode(weights).decode(),
        latents.ravel().tolist(),
        3,
    ]
    off = np.abs(np.reshape(calm.evaluate(RUN, sent), wanted.shape) - wanted) * 127.5
    assert wanted.std() > 0.1 and (off > 8).mean() < 0.02 and off.mean() < 1


def test_what_cannot_be_converted_is_named():
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, keras.layers.MaxPooling2D(name="odd")(inputs))
    with pytest.raises(
        ValueError, match="odd is a MaxPooling2D.* Known are Activation"
    ):
        portable.convert(model)
    row = keras.Input((4,))
    dense = keras.layers.Dense(2, "silu")
    with pytest.raises(ValueError, match="activation silu"):
        portable.convert(keras.Model(row, dense(row)))
    with pytest.raises(ValueError, match="must be a functional model"):
        portable.convert(keras.Sequential([row, dense]))
    model = pyramid()
    model.set_weights([1e6 * weight for weight in model.get_weights()])
    with pytest.raises(ValueError, match="half precision"):
        portable.convert(model)
