"""A GAN as the Keras documentation writes it: `fit` with a `train_step` of one's own.

Reals and fakes go through the discriminator as one batch with noisy labels; then the
generator learns from new latents through the frozen discriminator.
"""

import keras
import tensorflow as tf
from keras import ops

from benchmarks import keras_networks


class KerasGAN(keras.Model):
    def __init__(self, case):
        super().__init__()
        self.case = case
        self.generator, self.discriminator = keras_networks.networks(case)
        self.seed_generator = keras.random.SeedGenerator(1337)
        self.d_loss_metric = keras.metrics.Mean(name="d_loss")
        self.g_loss_metric = keras.metrics.Mean(name="g_loss")
        self.built = True

    def compile(self, d_optimizer, g_optimizer, loss_fn, **options):
        super().compile(**options)
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer
        self.loss_fn = loss_fn

    @property
    def metrics(self):
        return [self.d_loss_metric, self.g_loss_metric]

    def train_step(self, real_images):
        count = ops.shape(real_images)[0]
        shape = (count, self.case["latent_dim"])
        latents = keras.random.normal(shape, seed=self.seed_generator)
        generated = self.generator(latents, training=True)
        combined = ops.concatenate([generated, real_images], axis=0)
        labels = ops.concatenate([ops.ones((count, 1)), ops.zeros((count, 1))], axis=0)
        labels += 0.05 * keras.random.uniform(ops.shape(labels), seed=17)
        with tf.GradientTape() as tape:
            predictions = self.discriminator(combined, training=True)
            d_loss = self.loss_fn(labels, predictions)
        self._apply(tape, d_loss, self.discriminator, self.d_optimizer)

        latents = keras.random.normal(shape, seed=self.seed_generator)
        misleading = ops.zeros((count, 1))
        with tf.GradientTape() as tape:
            predictions = self.discriminator(
                self.generator(latents, training=True), training=True
            )
            g_loss = self.loss_fn(misleading, predictions)
        self._apply(tape, g_loss, self.generator, self.g_optimizer)

        self.d_loss_metric.update_state(d_loss)
        self.g_loss_metric.update_state(g_loss)
        return {
            "d_loss": self.d_loss_metric.result(),
            "g_loss": self.g_loss_metric.result(),
        }

    @staticmethod
    def _apply(tape, loss, network, optimizer):
        weights = network.trainable_weights
        optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )


class KerasIO:
    """compiler: True for XLA; "auto", Keras' default, means XLA on a GPU only.
    dtype: Keras' policy for the layers."""

    def __init__(self, case, pictures, compiler="auto", dtype="float32"):
        outside = keras.config.dtype_policy()
        keras.config.set_dtype_policy(dtype)
        try:
            self.model = KerasGAN(case)
        finally:
            keras.config.set_dtype_policy(outside)
        adam = {"beta_1": case["betas"][0], "beta_2": case["betas"][1]}
        self.model.compile(
            d_optimizer=keras.optimizers.Adam(case["rate"], **adam),
            g_optimizer=keras.optimizers.Adam(case["rate"], **adam),
            loss_fn=keras.losses.BinaryCrossentropy(from_logits=True),
            jit_compile=compiler,
        )
        self.batches = keras_networks.batches(case, pictures)

    def train(self, steps):
        self.model.fit(self.batches, steps_per_epoch=steps, epochs=1, verbose=0)

    def weights(self):
        return keras_networks.arrays(self.model.generator, self.model.discriminator)
