"""What some machines need: several devices through `tf.distribute` and `fit`, float16.

Each device (a "replica") holds both networks and takes its share of every batch; Keras
adds up the gradients. What that leaves undone is here: batch norms that see the whole
batch, random numbers that differ between the replicas, and what cannot be shared.
"""

import os

import keras

from pokeutils import layers
from pokeutils.common import device


def choose_strategy(devices=None):
    """Returns a `tf.distribute.Strategy`, or None for a training on one device.

    devices: "all" GPUs of this machine (its CPU devices if it has none), or how many;
        None: what POKEUTILS_DEVICES says, else one.
    Raises ValueError for more devices than there are, or another backend.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"Training needs Keras' TensorFlow backend, not "
            f"{keras.backend.backend()}: unset KERAS_BACKEND."
        )
    devices = str(devices or os.environ.get("POKEUTILS_DEVICES") or 1)
    if devices == "1":
        return None
    import tensorflow as tf

    found = tf.config.list_logical_devices("GPU")
    found = found or tf.config.list_logical_devices("CPU")
    names = [d.name for d in found]
    if devices != "all" and (not devices.isdigit() or int(devices) > len(names)):
        raise ValueError(
            f"devices={devices!r}, but TensorFlow sees {len(names)} here: "
            f"{', '.join(names)}. Use 'all' or a number up to that."
        )
    names = names if devices == "all" else names[: int(devices)]
    return tf.distribute.MirroredStrategy(names) if len(names) > 1 else None


def check_strategy(recipe, strategy):
    """Raises ValueError unless a recipe's batch can be shared among all replicas, in
    whole groups that the discriminator compares, and its step taken on them."""
    count, group = strategy.num_replicas_in_sync, layers.MinibatchStdDev().group
    if recipe.batch % (count * group):
        raise ValueError(
            f"A batch of {recipe.batch} has no equal shares of whole groups for "
            f"{count} devices. Use a multiple of {count * group}, or fewer of them."
        )
    if recipe.second is not None or recipe.gate is not None:
        raise ValueError(
            f"{recipe.name} decides in every step who learns, which is done on one "
            "device: use devices=1, or a recipe without `second` and `gate`."
        )


class ReplicaStep:
    """Methods that go before those of a GAN, in the scope of a strategy."""

    def __init__(self, generator, discriminator, seed=0, **settings):
        networks = [synchronised(network) for network in (generator, discriminator)]
        super().__init__(*networks, seed=seed, **settings)
        self.random = ReplicaSeed(seed)

    @property
    def replicas(self):
        return self.distribute_strategy.num_replicas_in_sync

    def update_average(self, count):
        super().update_average(count * self.replicas)


class Float16Step:
    """Methods that go before those of a GAN in float16, whose gradients may overflow:
    the optimisers then take no step and scale the losses down (Micikevicius et al.
    2018), and the length of such gradients is told as 0."""

    def update(self, real, draws):
        logs = super().update(real, draws)
        for name in ("d_norm", "g_norm"):
            sound = keras.ops.isfinite(logs[name])
            logs[name] = keras.ops.where(sound, logs[name], 0.0)
        return logs


def step_of(strategy):
    """What goes before the GAN's own methods on this machine: a class, or None."""
    if strategy:
        return ReplicaStep
    return Float16Step if device.training_dtype() == "mixed_float16" else None


class ReplicaSeed(keras.random.SeedGenerator):
    """Random numbers that differ between the replicas; its state is the same on all."""

    def next(self, ordered=True):
        import tensorflow as tf

        seed = super().next(ordered)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return seed + keras.ops.cast([replica, 0], seed.dtype) * 1_000_003


def synchronised(network):
    """A copy of a network, with its weights, whose batch norms see the whole batch."""

    def change(layer):
        if not isinstance(layer, layers.FusedBatchNorm):
            return layer.__class__.from_config(layer.get_config())
        return keras.layers.BatchNormalization(
            momentum=layer.momentum,
            epsilon=layer.epsilon,
            synchronized=True,
            dtype=layer.dtype_policy,
        )

    copy = keras.models.clone_model(network, clone_function=change)
    copy.set_weights(network.get_weights())
    return copy
