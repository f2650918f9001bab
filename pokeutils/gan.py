"""The GAN: two networks, and the step that trains one against the other.

`fit` compiles `train_step` into a `tf.function`. What only some recipes or machines
need overrides a method: `recipes.hybrid`, `recipes.typed`, `training.devices`, ...
"""

import keras
import tensorflow as tf
from keras import ops

from pokeutils.augment import Identity
from pokeutils.layers import batch_norms
from pokeutils.losses import r1_penalty


class GAN(keras.Model):
    """Trains two networks and keeps an averaged copy of the generator.

    generator: latents (n, latent_dim) -> pictures (n, s, s, c) in [-1, 1]
    discriminator: pictures -> logits (n, 1); a positive logit means "real"
    augment: object with `draw(count, seed)` and `__call__(images, draws)`
    r1_gamma: weight of the R1 penalty (Mescheder et al. 2018), 0 for none; it comes in
        every `r1_interval`th step, that many times as strong (Karras et al. 2020)
    ema_images: half-life of the averaged weights in images seen, None for no average;
        at the start 5 % of the images seen, so that the first noise is soon forgotten
    seed: of the random numbers of all steps

    Raises ValueError for a network without trainable weights, and for R1 with batch
    norm in the discriminator, which would mix the pictures' gradients.
    """

    log_names = ("d_loss", "g_loss", "d_real", "d_fake", "r1", "d_norm", "g_norm")

    def __init__(
        self,
        generator,
        discriminator,
        augment=None,
        r1_gamma=0.0,
        r1_interval=16,
        ema_images=None,
        seed=0,
    ):
        super().__init__(name="gan")
        for network in (generator, discriminator):
            if not network.trainable_variables:
                problem = f"{network.name} has no trainable weights"
                raise ValueError(f"{problem}: set its .trainable = True first.")
        if r1_gamma and any(norm.trainable for norm in batch_norms(discriminator)):
            raise ValueError("R1 needs a discriminator without batch norm: r1_gamma=0.")
        self.generator, self.discriminator = generator, discriminator
        self.averaged = generator
        if ema_images:
            self.averaged = keras.models.clone_model(generator)
            self.averaged.set_weights(generator.get_weights())
            self.averaged.trainable = False
        self.augment = augment or Identity()
        self.r1_gamma, self.r1_interval = r1_gamma, r1_interval
        self.ema_images = ema_images
        self.latent_dim = generator.input_shape[-1]
        self.random = keras.random.SeedGenerator(seed)
        self.steps = self.add_weight((), "zeros", "int32", False, name="steps")
        self.trackers = {name: keras.metrics.Mean(name=name) for name in self.log_names}
        self.built = True

    def compile(self, g_optimizer, d_optimizer, losses, **settings):
        """losses: the pair (discriminator_loss, generator_loss) from `losses`."""
        super().compile(optimizer=None, **{"jit_compile": False, **settings})
        self.g_optimizer, self.d_optimizer = g_optimizer, d_optimizer
        # Unbuilt optimisers would lose their state silently when a run is resumed.
        g_optimizer.build(self.generator.trainable_variables)
        d_optimizer.build(self.discriminator.trainable_variables)
        self.discriminator_loss, self.generator_loss = losses

    @property
    def state(self):
        """Every variable that a run needs to go on exactly, each of them once."""
        networks = [self.generator, self.discriminator]
        networks += [self.averaged] if self.ema_images else []
        parts = [*networks, self.g_optimizer, self.d_optimizer]
        variables = [variable for part in parts for variable in part.variables]
        return [*variables, self.random.state, self.steps]

    @property
    def step(self):
        """How many steps have been taken, as an int."""
        return int(ops.convert_to_numpy(self.steps))

    # The step, from top to bottom ----------------------------------------------------

    def train_step(self, batch):
        """Takes a step on reals (n, s, s, c) in [-1, 1]; returns means of all logs."""
        logs = self.update(batch, self.draw(keras.tree.flatten(batch)[0].shape[0]))
        for name, value in logs.items():
            self.trackers[name].update_state(value)
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def draw(self, count):
        """The random numbers of one step: latents, and three draws for augmentation."""
        latents = keras.random.normal((count, self.latent_dim), seed=self.random)
        names = "real", "fake", "fool"
        draws = {name: self.augment.draw(count, self.random) for name in names}
        return {"latents": latents, **draws}

    def update(self, real, draws):
        """Updates both networks and the average; returns the step's logs."""
        # One pass of the generator serves both updates: its tape stays open.
        with tf.GradientTape() as tape:
            fake = self.generator(draws["latents"], training=True)

            # The discriminator learns first, and nothing of that goes onto the tape.
            with tape.stop_recording():
                logs = self.update_discriminator(real, fake, draws)

            # Then the generator learns to fool it.
            g_loss = self.generator_objective(fake, draws)
            scaled = self.g_optimizer.scale_loss(g_loss)
        gradients = tape.gradient(scaled, self.generator.trainable_variables)
        self.g_optimizer.apply(gradients, self.generator.trainable_variables)

        # The average follows.
        self.steps.assign_add(1)
        self.update_average(real.shape[0])
        return {**logs, "g_loss": g_loss, "g_norm": tf.linalg.global_norm(gradients)}

    def update_discriminator(self, real, fake, draws):
        """Teaches the discriminator to tell real from fake; returns its logs."""
        real = self.augment(real, draws["real"])
        fake = self.augment(ops.stop_gradient(fake), draws["fake"])
        variables = self.discriminator.trainable_variables

        # Two passes: batch statistics of reals and fakes must not mix.
        with tf.GradientTape() as tape:
            outputs = [self.discriminator(x, training=True) for x in (real, fake)]
            d_loss, logs = self.discriminator_objective(*outputs, draws)
            scaled = self.d_optimizer.scale_loss(d_loss)
        gradients = tape.gradient(scaled, variables)

        # In some steps, the gradients of the penalty come on top.
        penalty = ops.zeros(())
        if self.r1_gamma:
            penalty, more = tf.cond(
                self.steps % self.r1_interval == 0,
                lambda: self.r1_penalty(real, draws),
                lambda: (ops.zeros(()), [ops.zeros(v.shape) for v in variables]),
            )
            gradients = [a + b for a, b in zip(gradients, more, strict=True)]
        self.apply_to_discriminator(gradients, logs)
        norm = tf.linalg.global_norm(gradients)
        return {"d_loss": d_loss, "r1": penalty, "d_norm": norm, **logs}

    def r1_penalty(self, real, draws):
        """The R1 penalty on the discriminator, and its gradients for the weights."""
        variables = self.discriminator.trainable_variables
        with tf.GradientTape() as outer:
            with tf.GradientTape(watch_accessed_variables=False) as inner:
                inner.watch(real)
                outputs = self.discriminator(real, training=True)
                total = ops.sum(self.logits(outputs, draws))
            gamma = self.r1_gamma * self.r1_interval
            penalty = r1_penalty(inner.gradient(total, real), gamma)
            scaled = self.d_optimizer.scale_loss(penalty)
        # The last bias moves no slope, so it has no gradient.
        pairs = zip(outer.gradient(scaled, variables), variables, strict=True)
        return penalty, [ops.zeros(v.shape) if g is None else g for g, v in pairs]

    def update_average(self, count):
        """Moves the averaged generator towards the newest, after `count` pictures."""
        if self.ema_images:
            seen = ops.cast(self.steps, "float32") * count
            half_life = ops.minimum(float(self.ema_images), 0.05 * seen)
            keep = ops.power(0.5, count / half_life)
            weights = self.averaged.weights, self.generator.weights
            for average, newest in zip(*weights, strict=True):
                average.assign_sub((1.0 - keep) * (average - newest))

    # What recipes override -----------------------------------------------------------

    def logits(self, outputs, draws):
        """Turns what the discriminator says of pictures into logits (n, 1)."""
        return outputs

    def discriminator_objective(self, real_outputs, fake_outputs, draws):
        """The discriminator's loss, and the shares of pictures it is right about."""
        real_logits = self.logits(real_outputs, draws)
        fake_logits = self.logits(fake_outputs, draws)
        right = {"d_real": real_logits > 0, "d_fake": fake_logits < 0}
        logs = {name: ops.mean(ops.cast(x, "float32")) for name, x in right.items()}
        return self.discriminator_loss(real_logits, fake_logits), logs

    def apply_to_discriminator(self, gradients, logs):
        self.d_optimizer.apply(gradients, self.discriminator.trainable_variables)

    def generator_objective(self, fake, draws):
        """The generator's loss, for what the discriminator says of its pictures."""
        outputs = self.discriminator(self.augment(fake, draws["fool"]), training=True)
        return self.generator_loss(self.logits(outputs, draws))
