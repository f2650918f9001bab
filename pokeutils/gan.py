"""`GAN`: a generator, a discriminator, and the step that trains one against the other.

`fit` compiles the step into a `tf.function`; on Keras' JAX backend the same step runs
as one jitted function of all variables. On several devices each takes the step with its
share of the batch, and what concerns the whole batch is averaged (`distribution`).
"""

import contextlib
import os

import keras
import numpy as np
from keras import ops

from pokeutils import sampling
from pokeutils.augment import Identity
from pokeutils.common import device, distribution, gradients, scaling
from pokeutils.layers import FusedBatchNorm, MinibatchStdDev

LOGS = ("d_loss", "g_loss", "d_real", "d_fake", "r1", "gated", "d_norm", "g_norm")


class GAN(keras.Model):
    """Trains two networks and keeps an averaged copy of the generator.

    generator: latents (n, latent_dim) -> pictures (n, s, s, c) in [-1, 1]
    discriminator: pictures -> logits (n, 1)
    augment: object with `draw(count, seed)` and `__call__(images, draws)`
    r1_gamma: weight of the R1 penalty (Mescheder et al. 2018), 0 for none
    r1_interval: the penalty is applied every so many steps, that many times as strongly
        (Karras et al. 2020). It needs a discriminator without batch norm, which would
        mix the pictures' gradients.
    ema_images: images seen after which an old weight counts half in the averaged
        generator; None for no averaging. At the start the half-life is 5 % of the
        images seen, so that the first noise is soon forgotten.
    gate: the discriminator's update is skipped in every step in which it gives the
        fakes at least this probability of being fakes, on average; None: never
    two_phase: the generator learns from new fakes, drawn after the discriminator's
        update; otherwise from the same ones, which saves a forward pass
    """

    def __init__(
        self,
        generator,
        discriminator,
        augment=None,
        r1_gamma=0.0,
        r1_interval=16,
        ema_images=None,
        gate=None,
        two_phase=False,
        seed=0,
    ):
        super().__init__(name="gan")
        for network in (generator, discriminator):
            if not network.trainable_variables:
                raise ValueError(
                    f"{network.name} has no trainable weights, so it would learn "
                    "nothing: set its .trainable = True first."
                )
        if r1_gamma and any(norm.trainable for norm in _norms(discriminator)):
            raise ValueError(
                "The R1 penalty needs a discriminator without batch norm: remove such "
                "layers or set r1_gamma=0."
            )
        self.generator = generator
        self.discriminator = discriminator
        self.averaged = generator
        if ema_images:
            self.averaged = keras.models.clone_model(generator)
            self.averaged.set_weights(generator.get_weights())
            self.averaged.trainable = False
        self.augment = augment or Identity()
        self.r1_gamma = r1_gamma
        self.r1_interval = r1_interval
        self.ema_images = ema_images
        self.gate = gate
        self.two_phase = two_phase
        self.latent_dim = generator.input_shape[-1]
        self.random = keras.random.SeedGenerator(seed)
        self.loss_scale = scaling.LossScale() if scaling.needed(discriminator) else None
        self.steps = self.add_weight(
            (), "zeros", "int32", trainable=False, name="steps"
        )
        self.trackers = {name: distribution.Mean(name=name) for name in LOGS}
        # Pictures that the discriminator compares must meet on one device.
        self.members = max(
            (x.group for x in discriminator.layers if isinstance(x, MinibatchStdDev)),
            default=1,
        )
        self.built = True

    def compile(
        self, generator_optimizer, discriminator_optimizer, losses, jit_compile=False
    ):
        """losses: the pair (discriminator_loss, generator_loss) from `losses`."""
        super().compile(optimizer=None, jit_compile=jit_compile)
        if keras.backend.backend() == "tensorflow":
            tame_the_graph_optimiser()
        self.g_optimizer = generator_optimizer
        self.d_optimizer = discriminator_optimizer
        # Unbuilt optimisers would lose their state silently when a run is resumed.
        self.g_optimizer.build(self.generator.trainable_variables)
        self.d_optimizer.build(self.discriminator.trainable_variables)
        self.discriminator_loss, self.generator_loss = losses
        self.random_targets = getattr(self.discriminator_loss, "random", False)
        inverted = getattr(self.discriminator_loss, "inverted", False)
        self.real_sign = -1.0 if inverted else 1.0  # of a logit that says "real"

    @property
    def metrics(self):
        return list(self.trackers.values())

    @property
    def state(self):
        """Every variable that a run needs to continue exactly: weights, statistics,
        averaged weights, optimisers, random state, step count. Without duplicates."""
        parts = (
            self.generator.variables,
            self.discriminator.variables,
            self.averaged.variables if self.ema_images else [],
            self.g_optimizer.variables,
            self.d_optimizer.variables,
            [self.random.state, self.steps],
            self.loss_scale.variables if self.loss_scale else [],
        )
        return [variable for part in parts for variable in part]

    @property
    def step(self):
        """How many steps have been taken, as an int."""
        return int(ops.convert_to_numpy(self.steps))

    def call(self, latents, training=False):
        return self.averaged(latents, training=training)

    # One step ------------------------------------------------------------------------

    def draw(self, count):
        """The random numbers of one step: latents and three sets for augmentation,
        and what the recipe's tricks need."""

        def latents():
            return keras.random.normal((count, self.latent_dim), seed=self.random)

        draws = {
            "latents": latents(),
            "real": self.augment.draw(count, self.random),
            "fake": self.augment.draw(count, self.random),
            "fool": self.augment.draw(count, self.random),
        }
        if self.two_phase:
            draws["new latents"] = latents()
        if self.random_targets:
            draws["targets"] = keras.random.uniform((count, 2), seed=self.random)
        return draws

    def update(self, real, draws):
        """One update of both networks. real: (n, s, s, c) float32 in [-1, 1].

        Returns the step's logs: losses, and the shares of reals and fakes that the
        discriminator judged rightly before its update, and whether that was skipped.
        """
        fake, generator_pullback = self._generate(draws["latents"])
        d_logs = self._update_discriminator(real, fake, draws)
        if self.two_phase:
            fake, generator_pullback = self._generate(draws["new latents"])
        _, g_loss, fake_gradient = gradients.value_and_input_gradient(
            lambda fake: self._scaled(*self._fool(fake, draws)), fake, self.state
        )
        g_gradients = generator_pullback(fake_gradient)
        _, g_gradients = self._unscaled(g_loss, g_gradients)
        g_gradients = distribution.mean(g_gradients)
        self._apply(self.g_optimizer, g_gradients, self.generator.trainable_variables)
        self.steps.assign_add(1)
        self._average(real.shape[0] * distribution.replicas())
        logs = {**d_logs, "g_loss": g_loss, "g_norm": gradients.norm(g_gradients)}
        if self.loss_scale:
            sound = {n: ops.isfinite(logs[n]) for n in ("d_norm", "g_norm")}
            self.loss_scale.adjust(ops.logical_not(ops.logical_and(*sound.values())))
            logs |= {n: ops.where(sound[n], logs[n], 0.0) for n in sound}
        return distribution.mean(logs)

    def _scaled(self, loss, extras):
        """A loss as it is to be differentiated, and what goes with it."""
        return (self.loss_scale.up(loss) if self.loss_scale else loss), extras

    def _unscaled(self, loss, found):
        """A loss and its gradients, of what `_scaled` gave, as they are."""
        return self.loss_scale.down(loss, found) if self.loss_scale else (loss, found)

    def _apply(self, optimizer, found, variables, skip=None):
        """Applies gradients that are the same on all replicas, where Keras adds them
        up. With `skip`, a boolean scalar, or if scaled ones are not finite, all stays
        as it was, also what the optimiser remembers.

        Choosing between old and new values needs no branch, so it compiles to the same
        on every backend and the decision never leaves the device.
        """
        if self.loss_scale:
            overflow = ops.logical_not(ops.isfinite(gradients.norm(found)))
            skip = overflow if skip is None else ops.logical_or(skip, overflow)
        touched = [] if skip is None else [*variables, *optimizer.variables]
        before = [ops.copy(variable) for variable in touched]  # not a live view
        count = distribution.replicas()
        optimizer.apply(found if count == 1 else [g / count for g in found], variables)
        for variable, old in zip(touched, before, strict=True):
            variable.assign(ops.where(skip, old, ops.copy(variable)))

    def _generate(self, latents):
        """Fakes, and the function that turns their gradient into the weights'."""
        return gradients.output_and_pullback(
            lambda: self.generator(latents, training=True),
            self.generator.trainable_variables,
            self.state,
        )

    def _update_discriminator(self, real, fake, draws):
        real = self.augment(real, draws["real"])
        fake = self.augment(ops.stop_gradient(fake), draws["fake"])
        targets = (draws["targets"],) if self.random_targets else ()
        gate = np.inf if self.gate is None else self.gate

        def loss():
            # Two passes: batch statistics of reals and fakes must not mix.
            said = self.discriminator(real, training=True)
            real_logits = self._logits(said, draws)
            fake_logits = self._logits(self.discriminator(fake, training=True), draws)
            says_real = self.real_sign * real_logits
            says_fake = -self.real_sign * fake_logits
            logs = {
                "d_real": ops.mean(ops.cast(says_real > 0, "float32")),
                "d_fake": ops.mean(ops.cast(says_fake > 0, "float32")),
                "gated": distribution.mean(ops.mean(ops.sigmoid(says_fake))) >= gate,
            }
            value = self.discriminator_loss(real_logits, fake_logits, *targets)
            return self._scaled(self._plus(value, said, draws), logs)

        variables = self.discriminator.trainable_variables
        d_loss, logs, d_gradients = gradients.value_and_gradients(
            loss, variables, self.state
        )
        d_loss, d_gradients = self._unscaled(d_loss, d_gradients)
        penalty = ops.zeros(())
        if self.r1_gamma:
            penalty, penalty_gradients = ops.cond(
                self.steps % self.r1_interval == 0,
                lambda: self._penalty(real, draws),
                lambda: (ops.zeros(()), [ops.zeros(v.shape) for v in variables]),
            )
            d_gradients = [
                g + ops.cast(p, g.dtype)
                for g, p in zip(d_gradients, penalty_gradients, strict=True)
            ]
        d_gradients = distribution.mean(d_gradients)
        skip = None if self.gate is None else logs["gated"]
        self._apply(self.d_optimizer, d_gradients, variables, skip)
        logs["gated"] = ops.cast(logs["gated"], "float32")
        norm = gradients.norm(d_gradients)
        return {"d_loss": d_loss, "r1": penalty, "d_norm": norm, **logs}

    def _branch(self, condition, yes, no):
        """`ops.cond` for what has batch norm inside. Replicas cannot meet within a
        branch: on several, both sides are computed and one is taken."""
        if distribution.replicas() == 1:
            return ops.cond(condition, yes, no)
        return keras.tree.map_structure(
            lambda x, y: ops.where(condition, x, y), yes(), no()
        )

    def _penalty(self, real, draws):
        """R1: gamma / 2 x the squared gradient of D(real) for the pixels."""

        def loss():
            def total_logit(pictures):
                said = self.discriminator(pictures, training=True)
                return ops.sum(self._logits(said, draws)), None

            _, _, slope = gradients.value_and_input_gradient(
                total_logit, real, self.state
            )
            slope = ops.cast(slope, "float32")
            squared = ops.mean(ops.sum(slope * slope, axis=(1, 2, 3)))
            return self._scaled(0.5 * self.r1_gamma * self.r1_interval * squared, None)

        penalty, _, penalty_gradients = gradients.value_and_gradients(
            loss, self.discriminator.trainable_variables, self.state
        )
        penalty, penalty_gradients = self._unscaled(penalty, penalty_gradients)
        # The last bias moves no slope: its gradient is absent, not zero.
        return penalty, [
            ops.zeros(v.shape) if g is None else ops.cast(g, "float32")
            for g, v in zip(
                penalty_gradients, self.discriminator.trainable_variables, strict=True
            )
        ]

    def _fool(self, fake, draws):
        """The generator's loss, as it is to be differentiated and as it is told."""
        said = self.discriminator(self.augment(fake, draws["fool"]), training=True)
        value = self.generator_loss(self._logits(said, draws))
        value = self._plus(value, said, draws)
        return value, value

    def _logits(self, said, draws):
        """Turns what the discriminator said of pictures into logits (n, 1)."""
        return said

    def _plus(self, loss, said, draws):
        """Adds what else the networks are to learn; `said` of reals for the
        discriminator, of fakes for the generator."""
        return loss

    def _average(self, batch):
        """Moves the averaged generator towards the newest one."""
        if not self.ema_images:
            return
        seen = ops.cast(self.steps, "float32") * batch
        half_life = ops.minimum(float(self.ema_images), 0.05 * seen)
        keep = ops.power(0.5, batch / half_life)
        for average, newest in zip(
            self.averaged.weights, self.generator.weights, strict=True
        ):
            average.assign_sub((1.0 - keep) * (average - newest))

    # Training ------------------------------------------------------------------------

    def train_step(self, batch):
        draws = self.draw(_count(batch) * distribution.replicas())
        logs = self.update(batch, distribution.share(draws, self.members))
        for name, value in logs.items():
            self.trackers[name].update_state(value)
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def fit(self, batches, steps_per_epoch, epochs, initial_epoch=0, callbacks=()):
        """Trains on `batches`: a `tf.data.Dataset`, or with JAX any iterable, of
        float32 (n, s, s, c) in [-1, 1], long enough for all epochs that are left.

        Under the `tf.distribute` strategy in whose scope the model was built, each
        replica takes a share of every batch.
        """
        if keras.backend.backend() != "jax":
            if self.strategy:
                batches = distribution.batches(batches, self.strategy, self.members)
            return super().fit(
                batches,
                steps_per_epoch=steps_per_epoch,
                epochs=epochs,
                initial_epoch=initial_epoch,
                callbacks=list(callbacks),
                verbose=0,
            )
        import jax

        step = jax.jit(
            gradients.as_stateless(
                lambda batch: self.update(batch, self.draw(_count(batch))), self.state
            ),
            donate_argnums=0,
        )
        callbacks = keras.callbacks.CallbackList(
            list(callbacks), add_history=True, model=self, epochs=epochs
        )
        callbacks.on_train_begin()
        self.stop_training = False
        batches = iter(batches)
        for epoch in range(initial_epoch, epochs):
            callbacks.on_epoch_begin(epoch)
            values = [jax.numpy.copy(v.value) for v in self.state]
            logs = []
            for _ in range(steps_per_epoch):
                values, step_logs = step(values, next(batches))
                logs.append(step_logs)
            for variable, value in zip(self.state, values, strict=True):
                variable.assign(value)
            means = {k: float(np.mean([float(x[k]) for x in logs])) for k in logs[0]}
            callbacks.on_epoch_end(epoch, means)
            if self.stop_training:
                break
        callbacks.on_train_end()
        return self.history

    @property
    def strategy(self):
        """The strategy that the model was built under, or None on one device."""
        strategy = getattr(self, "distribute_strategy", None)  # of TensorFlow only
        return strategy if strategy and strategy.num_replicas_in_sync > 1 else None

    def make_train_function(self, force=False):
        if keras.backend.backend() == "jax" or not self.strategy:
            return super().make_train_function(force)
        if self.train_function is None or force:
            import tensorflow as tf

            # Keras would average the logs again, and of several processes it cannot.
            @tf.function(autograph=False)
            def step(iterator):
                found = self.strategy.run(self.train_step, args=(next(iterator),))
                return keras.tree.map_structure(
                    lambda x: self.strategy.experimental_local_results(x)[0], found
                )

            self.train_function = step

    # Afterwards ----------------------------------------------------------------------

    def recalibrate(self, count=512, seed=0):
        """Measures the averaged generator's batch statistics anew.

        The statistics collected in training belong to the raw generator; averaged
        weights with foreign statistics give washed-out colours. No effect without
        averaging.
        """
        if not self.ema_images:
            return
        norms = _norms(self.averaged)
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = 0.0
        self.averaged(sampling.draw(count, self.latent_dim, seed), training=True)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def _norms(network):
    """The batch norms of a network, those within its parts as well."""
    kinds = FusedBatchNorm, keras.layers.BatchNormalization
    inner = [_norms(x) for x in network.layers if isinstance(x, keras.Model)]
    return sum(inner, [x for x in network.layers if isinstance(x, kinds)])


def _count(batch):
    """How many pictures a batch holds: pictures alone, or with their labels."""
    return keras.tree.flatten(batch)[0].shape[0]


def tame_the_graph_optimiser():
    """Switches off what TensorFlow's graph optimiser does against us, in this process.

    On CPUs all of it: in large graphs it turns sums of three and more terms into ones
    that add up in the order in which the terms come to be ready, so that one run may
    differ from the next, and it makes these trainings no faster. On GPUs it is worth
    having, except the part that gives up on a convolution with bias and leaky ReLU
    (TensorFlow 2.20), with an alarming line.
    """
    import tensorflow as tf

    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    options = {"remapping": False, "disable_meta_optimizer": not on_gpu}
    tf.config.optimizer.set_experimental_options(options)


def two_operations_at_a_time():
    """On two cores, has TensorFlow give each operation one of them, in this process.

    Operations on small batches are too short to be shared: one after another on both
    cores, they take a fifth longer (benchmarks/README.md). Does nothing where
    TensorFlow has begun to compute, or the user has said how many threads there are.
    """
    if keras.backend.backend() != "tensorflow" or device.cores() != 2:
        return
    import tensorflow as tf

    threads = tf.config.threading.get_intra_op_parallelism_threads()
    if not threads and "TF_NUM_INTRAOP_THREADS" not in os.environ:
        with contextlib.suppress(RuntimeError):  # it has begun
            tf.config.threading.set_intra_op_parallelism_threads(1)
