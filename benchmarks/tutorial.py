"""The TensorFlow DCGAN tutorial's loop: one `tf.function`, two tapes, Python around it.

One batch of fakes serves both updates, and both are computed before either is applied.
"""

import keras
import tensorflow as tf

from benchmarks import keras_networks


class Tutorial:
    def __init__(self, case, pictures):
        self.case = case
        self.generator, self.discriminator = keras_networks.networks(case)
        adam = {"beta_1": case["betas"][0], "beta_2": case["betas"][1]}
        self.generator_optimizer = keras.optimizers.Adam(case["rate"], **adam)
        self.discriminator_optimizer = keras.optimizers.Adam(case["rate"], **adam)
        self.cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        self.batches = iter(keras_networks.batches(case, pictures))
        self.train_step = tf.function(self.train_step)

    def train_step(self, images):
        noise = tf.random.normal((self.case["batch"], self.case["latent_dim"]))
        with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
            generated = self.generator(noise, training=True)
            real_output = self.discriminator(images, training=True)
            fake_output = self.discriminator(generated, training=True)
            gen_loss = self.cross_entropy(tf.ones_like(fake_output), fake_output)
            real_loss = self.cross_entropy(tf.ones_like(real_output), real_output)
            fake_loss = self.cross_entropy(tf.zeros_like(fake_output), fake_output)
            disc_loss = real_loss + fake_loss
        for tape, loss, network, optimizer in (
            (gen_tape, gen_loss, self.generator, self.generator_optimizer),
            (disc_tape, disc_loss, self.discriminator, self.discriminator_optimizer),
        ):
            found = tape.gradient(loss, network.trainable_variables)
            optimizer.apply_gradients(
                zip(found, network.trainable_variables, strict=True)
            )

    def train(self, steps):
        for _ in range(steps):
            self.train_step(next(self.batches))

    def weights(self):
        return keras_networks.arrays(self.generator, self.discriminator)
