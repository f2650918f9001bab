"""The train step: what moves, what does not, averaging, penalty, determinism."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from tiny import arrays

from pokeutils import augment, gan, losses, models, sampling
from pokeutils.common import env, saved
from pokeutils.layers import FusedBatchNorm
from pokeutils.recipes import rebuilt_networks
from pokeutils.training import callbacks


def build(seed=0, **options):
    keras.utils.set_random_seed(seed)
    model = gan.GAN(
        models.pyramid_generator(16, latent_dim=8, widths=(16, 8), detail=8),
        models.pyramid_discriminator(16, widths=(8, 16)),
        **{"augment": augment.DiffAugment(), "seed": seed, **options},
    )
    model.compile(
        keras.optimizers.Adam(1e-3, 0.5),
        keras.optimizers.Adam(1e-3, 0.5),
        losses.get("nonsaturating"),
    )
    return model


@pytest.fixture
def real():
    return np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 4)).astype("float32")


def weights(network):
    return arrays(network.trainable_variables)


def moved(before, network):
    return [
        not np.array_equal(b, a) for b, a in zip(before, weights(network), strict=True)
    ]


def test_a_step_moves_every_weight_of_both_networks(real):
    model = build()
    generator, discriminator = weights(model.generator), weights(model.discriminator)
    logs = model.update(real, model.draw(8))
    assert all(moved(generator, model.generator))
    assert all(moved(discriminator, model.discriminator))
    assert (
        set(logs) == set(gan.LOGS)
        and np.isfinite([float(x) for x in logs.values()]).all()
    )


def test_each_half_moves_only_its_own_network(real):
    model = build()
    model.g_optimizer.learning_rate = 0.0
    generator, discriminator = weights(model.generator), weights(model.discriminator)
    model.update(real, model.draw(8))
    assert not any(moved(generator, model.generator))
    assert all(moved(discriminator, model.discriminator))

    model = build()
    model.d_optimizer.learning_rate = 0.0
    generator, discriminator = weights(model.generator), weights(model.discriminator)
    model.update(real, model.draw(8))
    assert all(moved(generator, model.generator))
    assert not any(moved(discriminator, model.discriminator))


def test_the_step_follows_its_definition(real):
    """Losses as computed by hand from the same weights and random numbers."""
    model, twin = build(augment=augment.Identity()), build(augment=augment.Identity())
    draws = model.draw(8)
    logs = model.update(real, draws)
    fake = twin.generator(draws["latents"], training=True)
    real_logits, fake_logits = twin.discriminator(real), twin.discriminator(fake)
    expected = losses.nonsaturating_discriminator(real_logits, fake_logits)
    np.testing.assert_allclose(logs["d_loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(logs["d_real"], np.mean(np.array(real_logits) > 0))
    # The generator is judged by the discriminator after its update.
    fooled = losses.nonsaturating_generator(model.discriminator(fake))
    np.testing.assert_allclose(logs["g_loss"], fooled, rtol=1e-4)


def test_r1_is_the_squared_slope_of_the_discriminator(real):
    import tensorflow as tf

    model = build(r1_gamma=10.0, augment=augment.Identity())
    pictures = tf.constant(real)
    with tf.GradientTape() as tape:
        tape.watch(pictures)
        judged = tf.reduce_sum(model.discriminator(pictures))
    slopes = tape.gradient(judged, pictures).numpy()
    expected = 0.5 * 10.0 * (slopes**2).sum((1, 2, 3)).mean()
    logs = model.update(real, model.draw(8))
    # In one step of sixteen, sixteen times as strongly: the mean is the penalty.
    np.testing.assert_allclose(logs["r1"], model.r1_interval * expected, rtol=1e-4)
    assert float(model.update(real, model.draw(8))["r1"]) == 0


@pytest.mark.parametrize("norm", [FusedBatchNorm, keras.layers.BatchNormalization])
@pytest.mark.parametrize("nested", [False, True])
def test_r1_refuses_a_discriminator_with_batch_norm(norm, nested):
    layers = [keras.Sequential([norm()])] if nested else [norm()]
    network = keras.Sequential([keras.Input((4, 4, 4)), *layers])
    with pytest.raises(ValueError, match="without batch norm"):
        gan.GAN(models.pyramid_generator(16, widths=(8, 8)), network, r1_gamma=1.0)


def test_a_saved_generator_learns_on_and_a_frozen_one_is_refused(real, tmp_path):
    model = build(ema_images=100)
    callbacks.save_generator(model, tmp_path / "generator.keras")
    loaded = saved.load_generator(tmp_path / "generator.keras")
    assert len(loaded.trainable_variables) == len(model.generator.trainable_variables)
    warm = gan.GAN(loaded, model.discriminator)
    warm.compile(
        keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3), losses.get("hinge")
    )
    before = [np.array(v) for v in loaded.trainable_variables]
    warm.update(real, warm.draw(8))
    moved = [
        (np.array(v) != b).any()
        for v, b in zip(loaded.trainable_variables, before, strict=True)
    ]
    assert all(moved)
    with pytest.raises(ValueError, match="has no trainable weights.*trainable = True"):
        gan.GAN(model.averaged, model.discriminator)


def test_the_average_follows_its_formula(real):
    model = build(ema_images=1000)
    for a, g in zip(model.averaged.weights, model.generator.weights, strict=True):
        np.testing.assert_array_equal(a.value, g.value)
    for a in model.averaged.weights:
        a.assign(keras.ops.zeros_like(a))
    model.update(real, model.draw(8))
    half_life = min(1000, 0.05 * 8)
    keep = 0.5 ** (8 / half_life)
    new = [keras.ops.convert_to_numpy(v) for v in model.averaged.weights]
    for a, g in zip(new, model.generator.weights, strict=True):
        np.testing.assert_allclose(
            a, (1 - keep) * keras.ops.convert_to_numpy(g), atol=1e-6
        )


def test_recalibration_measures_the_averaged_weights(real):
    model = build(ema_images=1000)
    model.update(real, model.draw(8))
    model.recalibrate(256)
    latents = sampling.draw(256, model.latent_dim)
    norm = model.averaged.layers[4]
    inputs = keras.Model(model.averaged.input, norm.input)(latents)
    np.testing.assert_allclose(
        norm.moving_mean, np.mean(inputs, axis=(0, 1, 2)), atol=1e-4
    )
    assert norm.momentum == 0.9


def test_same_seed_same_weights_after_20_steps_and_logs_are_means(real):
    """Twice 20 compiled steps, bit for bit; and the logs are means of single steps."""
    import tensorflow as tf

    model = build(seed=5, r1_gamma=0.1, ema_images=100)
    twin = build(seed=5, r1_gamma=0.1, ema_images=100)  # takes single steps
    start = arrays(model.state)
    for a, b in zip(start, arrays(twin.state), strict=True):
        np.testing.assert_array_equal(a, b)
    batches = tf.data.Dataset.from_tensors(real).repeat()
    ends = []
    for _ in range(2):
        for variable, value in zip(model.state, start, strict=True):
            variable.assign(value)
        history = model.fit(batches, 5, 4).history
        assert int(model.steps) == 20
        ends.append((arrays(model.state), history))
    (first, logs), (second, again) = ends
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert logs == again and set(logs) == set(gan.LOGS)
    assert all(len(values) == 4 for values in logs.values())

    steps = [twin.update(real, twin.draw(8)) for _ in range(5)]
    for name in ("d_loss", "g_loss", "g_norm"):
        each = [float(step[name]) for step in steps]
        np.testing.assert_allclose(logs[name][0], np.mean(each), rtol=1e-3)
        assert abs(each[-1] / np.mean(each) - 1) > 5e-3, "nor the last step's"


def test_samples_are_fixed_valid_premultiplied_pictures():
    generator = models.pyramid_generator(16, latent_dim=8, widths=(8, 8), detail=8)
    pictures = sampling.sample(generator, 10, seed=1, batch=4)
    assert pictures.shape == (10, 16, 16, 4) and pictures.dtype == np.uint8
    assert (pictures[..., :3] <= pictures[..., 3:]).all()
    np.testing.assert_array_equal(pictures[:3], sampling.sample(generator, 3, seed=1))


# The seeds' tricks --------------------------------------------------------------------


def build_sprites(loss="inverted_noisy", dtype=None, **options):
    """Batch norm in the discriminator and inverted labels, as seeds 002 and 003."""
    keras.utils.set_random_seed(0)
    model = gan.GAN(
        rebuilt_networks.sprite_generator(16, channels=4, latent_dim=8, width=16),
        rebuilt_networks.sprite_discriminator(16, channels=4, width=16),
        **options,
    )
    model.compile(
        keras.optimizers.Adam(1e-3, 0.5),
        keras.optimizers.Adam(1e-3, 0.5),
        losses.get(loss),
    )
    return model


def optimizer_state(optimizer):
    return [keras.ops.convert_to_numpy(v) for v in optimizer.variables]


def certainty(model, real, draws):
    """Mean probability of being fakes that the discriminator gives the fakes."""
    fake = model.generator(draws["latents"], training=True)
    model.discriminator(real, training=True)
    logits = model.discriminator(fake, training=True)  # positive: judged fake
    return float(np.mean(1 / (1 + np.exp(-keras.ops.convert_to_numpy(logits)))))


def test_a_closed_gate_leaves_the_discriminator_and_its_optimiser_alone(real):
    model = build_sprites(gate=0.0)
    for _ in range(2):
        networks = weights(model.generator), weights(model.discriminator)
        memory = optimizer_state(model.d_optimizer)
        logs = model.update(real, model.draw(8))
        assert float(logs["gated"]) == 1
        assert all(moved(networks[0], model.generator))
        assert not any(moved(networks[1], model.discriminator))
        after = optimizer_state(model.d_optimizer)
        assert all(np.array_equal(b, a) for b, a in zip(memory, after, strict=True))
    assert int(model.d_optimizer.iterations) == 0
    assert int(model.g_optimizer.iterations) == 2


def test_an_open_gate_changes_nothing(real):
    states = []
    for gate in (None, 1.0):  # a mean probability of exactly 1 does not occur
        model = build_sprites(gate=gate)
        for _ in range(2):
            logs = model.update(real, model.draw(8))
        assert float(logs["gated"]) == 0
        states.append([keras.ops.convert_to_numpy(v) for v in model.state])
    assert all(np.array_equal(a, b) for a, b in zip(*states, strict=True))


def test_the_gate_closes_at_its_probability(real):
    twin = build_sprites()
    limit = certainty(twin, real, twin.draw(8))
    for gate, closed in ((limit - 1e-4, True), (limit + 1e-4, False)):
        model = build_sprites(gate=gate)
        before = weights(model.discriminator)
        logs = model.update(real, model.draw(8))
        assert bool(logs["gated"]) == closed
        assert any(moved(before, model.discriminator)) != closed


def test_the_gate_works_inside_the_compiled_step_and_is_logged(real):
    import tensorflow as tf

    model = build_sprites(gate=0.5)
    batches = tf.data.Dataset.from_tensors(real).repeat()
    history = model.fit(batches, 4, 6).history
    gated = np.array(history["gated"])
    assert 0 < gated.mean() < 1 and gated.min() == 0
    skipped = round(4 * gated.sum())
    assert int(model.d_optimizer.iterations) == 24 - skipped
    assert int(model.g_optimizer.iterations) == 24


def test_inverted_labels_count_as_right_what_is_right(real):
    model, twin = build_sprites(), build_sprites()
    draws = model.draw(8)
    logs = model.update(real, draws)
    fake = twin.generator(draws["latents"], training=True)
    judged_real, judged_fake = (
        keras.ops.convert_to_numpy(twin.discriminator(x, training=True))
        for x in (real, fake)
    )
    np.testing.assert_allclose(logs["d_real"], np.mean(judged_real < 0))
    np.testing.assert_allclose(logs["d_fake"], np.mean(judged_fake > 0))
    expected = twin.discriminator_loss(judged_real, judged_fake, draws["targets"])
    np.testing.assert_allclose(logs["d_loss"], expected, rtol=1e-5)


def test_two_phases_teach_the_generator_with_new_fakes(real):
    model = build_sprites(two_phase=True)
    draws = model.draw(8)
    twin = build_sprites(two_phase=True)
    logs = model.update(real, draws)
    assert not np.array_equal(draws["latents"], draws["new latents"])
    new = twin.generator(draws["new latents"], training=True)
    fooled = model.generator_loss(model.discriminator(new, training=True))
    np.testing.assert_allclose(logs["g_loss"], fooled, rtol=1e-4)
    assert "new latents" not in build_sprites().draw(8)


PARITY = """
import sys
import keras, numpy as np
from pokeutils import gan, losses
from pokeutils.common import gradients
from pokeutils.recipes import rebuilt_networks as models

with np.load(sys.argv[1] + "/inputs.npz") as file:
    inputs = {name: file[name] for name in file.files}
model = gan.GAN(
    models.sprite_generator(8, latent_dim=8, width=8),
    models.sprite_discriminator(8, width=8),
    gate=0.43, two_phase=True,
)
optimizers = [keras.optimizers.Adam(3e-3, 0.5, epsilon=1e-2) for _ in range(2)]
model.compile(*optimizers, losses.get("inverted_noisy"))
rng = np.random.default_rng(0)
for network in (model.generator, model.discriminator):
    for v in network.trainable_variables:
        v.assign(rng.normal(1 if "gamma" in v.path else 0, 0.1, v.shape))
draws = {name: inputs[name] for name in ("latents", "new latents", "targets")}
draws |= {name: None for name in ("real", "fake", "fool")}
step = lambda: model.update(inputs["real"], draws)
if keras.backend.backend() == "jax":
    import jax
    pure = jax.jit(gradients.as_stateless(step, model.state))
else:
    import tensorflow as tf
    compiled = tf.function(step)
result = {}
for i in range(4):
    if keras.backend.backend() == "jax":
        values, logs = pure([v.value for v in model.state])
        for v, value in zip(model.state, values):
            v.assign(value)
    else:
        logs = compiled()
    result |= {f"{name} {i}": np.asarray(value) for name, value in logs.items()}
for i, v in enumerate(model.state):
    result[f"{i} {v.name}"] = keras.ops.convert_to_numpy(v)
np.savez(sys.argv[1] + "/" + keras.backend.backend() + ".npz", **result)
"""


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="JAX is not installed")
def test_the_tricks_are_the_same_on_jax(tmp_path):
    rng = np.random.default_rng(3)
    inputs = {
        "real": rng.uniform(-1, 1, (8, 8, 8, 3)).astype("float32"),
        "latents": rng.normal(size=(8, 8)).astype("float32"),
        "new latents": rng.normal(size=(8, 8)).astype("float32"),
        "targets": rng.random((8, 2)).astype("float32"),
    }
    np.savez(tmp_path / "inputs.npz", **inputs)
    quick = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    results = []
    for backend in ("tensorflow", "jax"):
        environment = {**os.environ, **quick, "KERAS_BACKEND": backend}
        command = [sys.executable, "-c", PARITY, str(tmp_path)]
        subprocess.run(command, env=environment, check=True, timeout=300)
        with np.load(tmp_path / f"{backend}.npz") as file:
            results.append({name: file[name] for name in file.files})
    ours, theirs = results
    gated = [float(ours[f"gated {i}"]) for i in range(4)]
    assert 0 < sum(gated) < 4, "the inputs should make the gate open and close"
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if "seed_generator" not in name:  # each backend has its own random state
            np.testing.assert_allclose(
                theirs[name], value, rtol=2e-3, atol=2e-4, err_msg=name
            )


def test_sums_add_up_in_the_order_in_which_they_are_written():
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow" or tf.config.list_logical_devices("GPU"):
        pytest.skip("promised for TensorFlow on CPUs")
    gan.tame_the_graph_optimiser()

    @tf.function
    def total(x):
        late = x
        for _ in range(12):
            late = tf.sin(late)
        return tf.add_n([0 * late + 1e8, 0 * x - 1e8, x])  # 1e8 + 1 is 1e8 in float32

    large = tf.ones((8_000_000,))  # only large graphs are reordered
    assert float(total(large)[0]) == 1


THREADS = """
import sys, tensorflow as tf
from pokeutils import gan
from pokeutils.common import device as env
env.cores = lambda: int(sys.argv[1])
if sys.argv[2] == "set":
    tf.config.threading.set_intra_op_parallelism_threads(3)
if sys.argv[2] == "begun":
    tf.constant(1.0) + 1.0
gan.two_operations_at_a_time()
print(tf.config.threading.get_intra_op_parallelism_threads())
"""


@pytest.mark.parametrize(
    "cores, before, threads", [(2, "", 1), (4, "", 0), (2, "set", 3), (2, "begun", 0)]
)
def test_two_cores_take_an_operation_each_unless_told_otherwise(cores, before, threads):
    command = [sys.executable, "-c", THREADS, str(cores), before]
    done = subprocess.run(command, cwd=env.ROOT, capture_output=True, text=True)
    assert done.stdout == f"{threads}\n", done.stderr
