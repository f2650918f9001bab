"""A GAN as the Keras documentation writes it: `fit` with a `train_step` of one's own.

Reals and fakes go through the discriminator as one batch with noisy labels; then the
generator learns from new latents through the frozen discriminator.
"""

import keras
import tensorflow as tf
from keras import Input, Sequential, layers, ops


def networks(case):
    """Returns (generator, discriminator) of sprites64 in plain Keras layers: logits at
    the end, and the last layers in float32, as mixed precision wants it."""
    doublings = (case["size"] // 4).bit_length() - 1
    width = case["width"]
    generator = Sequential([Input((case["latent_dim"],))])
    generator.add(layers.Reshape((1, 1, case["latent_dim"])))
    generator.add(layers.Conv2DTranspose(width, 4, use_bias=False))
    for doubling in range(1, doublings + 1):
        generator.add(layers.BatchNormalization(momentum=0.9, epsilon=1e-5))
        generator.add(layers.ReLU())
        last, before = doubling == doublings, doubling == doublings - 1
        filters = case["channels"] if last else width // 2 if before else width
        generator.add(
            layers.Conv2DTranspose(filters, 4, 2, padding="same", use_bias=False)
        )
    generator.add(layers.Activation("tanh", dtype="float32"))

    discriminator = Sequential([Input((case["size"],) * 2 + (case["channels"],))])
    for halving in range(doublings):
        filters = width if halving else width // 2
        discriminator.add(layers.Conv2D(filters, 4, 2, padding="same", use_bias=False))
        discriminator.add(layers.BatchNormalization(momentum=0.9, epsilon=1e-5))
        discriminator.add(layers.LeakyReLU(0.2))
    discriminator.add(layers.Flatten())
    discriminator.add(layers.Dense(1, dtype="float32"))
    return generator, discriminator


class KerasGAN(keras.Model):
    def __init__(self, case):
        super().__init__()
        self.case = case
        self.generator, self.discriminator = networks(case)
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
    """dtype: Keras' policy for the layers."""

    def __init__(self, case, pictures, dtype="float32"):
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
        )
        self.batches = batches(case, pictures)

    def train(self, steps):
        self.model.fit(self.batches, steps_per_epoch=steps, epochs=1, verbose=0)

    def weights(self):
        return [
            [weight.numpy() for weight in network.trainable_variables]
            for network in (self.model.generator, self.model.discriminator)
        ]


def batches(case, pictures):
    """Returns an endless tf.data.Dataset of shuffled float32 batches in [-1, 1]."""
    floats = pictures.astype("float32") / 127.5 - 1.0
    shuffled = tf.data.Dataset.from_tensor_slices(floats).shuffle(len(floats))
    return shuffled.batch(case["batch"], drop_remainder=True).repeat()
