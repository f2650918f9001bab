"""One training on several devices: the GPUs of a machine, or several machines.

Every device (a "replica") holds all networks and takes its share of each batch. What a
single device computes over the whole batch, batch statistics, gradients and logs, is
averaged over the replicas where it arises, and random numbers are drawn for the whole
batch everywhere; so a recipe means the same on any number of devices. TensorFlow only.
"""

import contextlib
import functools
import hashlib
import json
import os

import keras
import numpy as np


def strategy(devices=None, show=print):
    """Returns a `tf.distribute.Strategy`, or None for a training on one device.

    devices: "all" GPUs of this machine (its CPU devices if it has none), or how many;
        None: what POKEUTILS_DEVICES says, else one.
    If TF_CONFIG names several processes, each of them trains with all its GPUs.
    Raises ValueError for more devices than there are, or another backend.
    """
    devices = devices or os.environ.get("POKEUTILS_DEVICES") or 1
    count = len(workers())
    if count < 2 and str(devices) == "1":
        return None
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"Several devices need Keras' TensorFlow backend, not "
            f"{keras.backend.backend()}: unset KERAS_BACKEND, or use one device."
        )
    import tensorflow as tf

    if count > 1:
        show(f"Waiting for all {count} processes of this training.", flush=True)
        return tf.distribute.MultiWorkerMirroredStrategy()
    found = tf.config.list_logical_devices("GPU")
    found = found or tf.config.list_logical_devices("CPU")
    if devices != "all" and (not str(devices).isdigit() or int(devices) > len(found)):
        raise ValueError(
            f"devices={devices!r}, but TensorFlow sees {len(found)} here: "
            f"{', '.join(d.name for d in found)}. Use 'all' or a number up to that."
        )
    names = [d.name for d in found[: None if devices == "all" else int(devices)]]
    return tf.distribute.MirroredStrategy(names) if len(names) > 1 else None


def workers():
    """Returns the addresses of all processes that TF_CONFIG names, or [].

    Raises ValueError if TF_CONFIG is not what TensorFlow expects.
    """
    text = os.environ.get("TF_CONFIG") or "{}"
    try:
        cluster = json.loads(text).get("cluster", {})
        return [*cluster.get("chief", []), *cluster.get("worker", [])]
    except (ValueError, AttributeError, TypeError):
        raise ValueError(
            f"TF_CONFIG is {text!r}; expected JSON such as "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
            '"task": {"type": "worker", "index": 0}}.'
        ) from None


# Within the step ----------------------------------------------------------------------


def replicas():
    """Returns how many replicas take the step that is being built: 1 outside of one."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context else 1


def mean(values):
    """Returns the mean over the replicas of each tensor in a structure, the same on
    all of them. Gradients flow back through it."""
    if replicas() == 1:
        return values
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    flat = context.all_reduce(tf.distribute.ReduceOp.MEAN, keras.tree.flatten(values))
    return keras.tree.pack_sequence_as(values, flat)


def share(values, members):
    """Returns this replica's part of tensors (n, ...) made for the whole batch."""
    count = replicas()
    if count == 1:
        return values
    import tensorflow as tf

    place = tf.distribute.get_replica_context().replica_id_in_sync_group
    return keras.tree.map_structure(lambda x: _parts(x, count, members)[place], values)


def _parts(x, count, members):
    """(n, ...) -> (count, n / count, ...): the shares of all replicas.

    `layers.MinibatchStdDev` compares every (n / members)th picture with each other.
    Each share takes whole such groups, so that they are those of a single device.
    """
    shape = x.shape[1:]
    x = keras.ops.reshape(x, (members, count, -1, *shape))
    x = keras.ops.moveaxis(x, 1, 0)
    return keras.ops.reshape(x, (count, -1, *shape))


def check(recipe, count, members):
    """Raises ValueError unless a recipe means the same on `count` replicas: its batch
    can be shared, in whole groups of `members`, and its batch norms see all of it."""
    if recipe.batch % (count * members):
        whole = " of whole groups" if members > 1 else ""
        raise ValueError(
            f"A batch of {recipe.batch} has no equal shares{whole} for {count} "
            f"devices. Use a multiple of {count * members}, or another number of them."
        )
    if not recipe.fused_norm:
        raise ValueError(
            f"fused_norm=False, but Keras' own batch norm would see one share of "
            f"{count} only. Use fused_norm=True, or one device."
        )


def batches(dataset, strategy, members):
    """Distributes a `tf.data.Dataset` of whole batches, by `_parts`: pictures
    (n, s, s, c), or pairs of those and their labels (n, k)."""
    count = strategy.num_replicas_in_sync

    def of_one_process(context):
        local = count // context.num_input_pipelines
        first = context.input_pipeline_id * local

        def split(*batch):
            shares = [_parts(x, count, members)[first : first + local] for x in batch]
            return tuple(shares) if len(shares) > 1 else shares[0]

        # Only of an endless dataset are all batches known to be whole.
        return dataset.map(split).unbatch().repeat().prefetch(2 * local)

    return strategy.distribute_datasets_from_function(of_one_process)


class Mean(keras.metrics.Mean):
    """A mean of numbers that are the same on all replicas, each of which keeps it.

    Keras' own one adds up over replicas whenever it is read: twice what was counted,
    and among several processes a wait for all of them.
    """

    def add_variable(self, shape, initializer, dtype=None, aggregation=None, name=None):
        with keras.name_scope(self.name, caller=self):
            variable = keras.Variable(
                initializer, shape, dtype, trainable=False, name=name
            )
        self._tracker.add_to_store("variables", variable)
        return variable


# Several processes --------------------------------------------------------------------


class Halted(Exception):
    """Training was ended between two epochs because another process asked for it."""


class Lost(RuntimeError):
    """Another process of this training is gone."""


class Team:
    """The processes that train one model. The first is the chief, who alone writes.

    Without a strategy, or with one of a single process, the methods answer at once;
    otherwise each waits until all processes have called it.
    """

    def __init__(self, strategy):
        self.strategy = strategy
        self.count = len(workers()) if strategy else 1
        self.several = self.count > 1
        self.chief = True
        if self.several:
            resolver = strategy.cluster_resolver
            self.chief = resolver.task_type in (None, "chief") or (
                "chief" not in resolver.cluster_spec().jobs and resolver.task_id == 0
            )

    def scope(self):
        """The `with` block in which a model is built."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def total(self, values):
        """Returns the sum over all processes of a list of numbers, float64."""
        values = np.asarray(values, "float64")
        if not self.several:
            return values
        result = self._sum(values)
        return self.strategy.experimental_local_results(result)[0].numpy()

    @functools.cached_property
    def _sum(self):
        import tensorflow as tf

        local = len(self.strategy.extended.worker_devices)

        def one_replica(mine):
            context = tf.distribute.get_replica_context()
            first = context.replica_id_in_sync_group % local == 0
            mine = tf.where(first, mine, tf.zeros_like(mine))  # once a process
            return context.all_reduce(tf.distribute.ReduceOp.SUM, mine)

        return tf.function(lambda mine: self.strategy.run(one_replica, args=(mine,)))

    def check_same(self, value):
        """Raises ValueError everywhere unless all processes give the same value."""
        digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
        mine = int(digest[:12], 16)  # 48 bits, exact in float64
        others = self.total([mine if self.chief else 0])[0] != mine
        if self.total([others])[0]:
            raise ValueError(
                "The processes of this training were started with different recipes, "
                "pictures or seeds. Make the same call with the same data in all."
            )

    def send(self, variables):
        """Gives all processes the chief's values of a list of variables."""
        if not self.several:
            return
        arrays = [keras.ops.convert_to_numpy(v) for v in variables]
        flat = np.concatenate([a.ravel().astype("float64") for a in arrays])
        flat = self.total(flat if self.chief else np.zeros_like(flat))
        ends = np.cumsum([a.size for a in arrays])
        for variable, old, new in zip(
            variables, arrays, np.split(flat, ends[:-1]), strict=True
        ):
            variable.assign(new.reshape(old.shape).astype(old.dtype))

    def lost(self, error):
        """Whether an exception means that another process is gone."""
        if not self.several:
            return False
        import tensorflow as tf

        kinds = "Unavailable Aborted Cancelled Internal DeadlineExceeded Unknown"
        kinds = tuple(getattr(tf.errors, f"{k}Error") for k in kinds.split())
        return isinstance(error, kinds)


class Lockstep(keras.callbacks.Callback):
    """Keeps the processes of a `Team` in step: what ends the training in one of them
    ends it in all, after the same epoch.

    watchers: this process' callbacks. What they raise is held back until the end of
    the epoch, where all others raise `Halted`; `stop_training` counts for all.
    stop: has `wanted`, which is true when this process shall stop
    """

    def __init__(self, team, stop, watchers=()):
        super().__init__()
        self.team, self.stop, self.watchers = team, stop, watchers
        self.held = None

    def set_model(self, model):
        super().set_model(model)
        for watcher in self.watchers:
            watcher.set_model(model)

    def begin(self, memory):
        self.held = None

    def end(self):
        for watcher in self.watchers:
            watcher.end()

    def on_epoch_begin(self, epoch, logs=None):
        self._tell("on_epoch_begin", epoch, logs)

    def on_train_batch_begin(self, batch, logs=None):
        self._tell("on_train_batch_begin", batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        self._tell("on_epoch_end", epoch, logs)
        halt = bool(self.held or self.stop.wanted)
        halts, stops = self.team.total([halt, self.model.stop_training])
        if halts:
            raise self.held or Halted
        self.model.stop_training = bool(stops)

    def _tell(self, event, *arguments):
        try:
            for watcher in self.watchers:
                if self.held is None:
                    getattr(watcher, event)(*arguments)
        except Exception as error:
            self.held = error
