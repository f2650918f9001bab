"""A discriminator that looks at pictures through a network that knows ImageNet, and
`HybridGAN`, which trains a generator against it and a plain discriminator together.

After Projected GAN (Sauer et al. 2021). The frozen network is EfficientNet-Lite0, so
pictures that this discriminator has judged must be scored with others.
"""

import keras
import tensorflow as tf
from keras import layers, ops

from pokeutils.common import backbones
from pokeutils.gan import GAN
from pokeutils.layers import FusedBatchNorm, LeakyReLU, SpectralConv2D, UpSampling2D

SCALES = (2, 4, 10, 15)  # Lite0's blocks: 1/4, 1/8, 1/16 and 1/32 of the size
FINEST = 64  # channels of the finest mixed map; each coarser one has twice as many


def projected_discriminator(
    size, channels=3, input_size=128, width=64, scales=SCALES, seed=0
):
    """RGB pictures (n, size, size, 3) in [-1, 1] -> logits (n, 4), one a scale.

    Pictures are enlarged to `input_size` (a multiple of 32) and shown to Lite0; its
    feature maps at four scales are mixed across channels and scales by fixed random 1x1
    convolutions, drawn from `seed`, so that the discriminator cannot feed on a few of
    them. On each mixed map stands a small trained head of `width` channels.
    """
    lite0 = backbones.lite0_model(scales)
    pictures = keras.Input((size, size, 3))
    pixels = layers.Rescaling(127.5, offset=127.5, dtype="float32")(pictures)
    if input_size != size:
        pixels = layers.Resizing(input_size, input_size, dtype="float32")(pixels)
    logits = [_head(x, width) for x in mixed(lite0(pixels), seed)]
    logits = layers.Concatenate(dtype="float32")(logits)
    return keras.Model(pictures, logits, name="projected")


def mixed(maps, seed=0):
    """Mixes four feature maps, finest first, across channels, then across scales from
    the coarsest up. Returns four maps of twice the sides and 64, 64, 128, 256 channels.
    Nothing in it is trained."""
    seeds = keras.random.SeedGenerator(seed)

    def random_mix(x, count):
        # He's scaling keeps the size of the numbers through the layers.
        kernel = keras.initializers.HeNormal(seed=seeds)
        options = {"use_bias": False, "trainable": False}
        return layers.Conv2D(count, 1, kernel_initializer=kernel, **options)(x)

    wider = [random_mix(x, FINEST * 2**level) for level, x in enumerate(maps)]
    outputs, coarser = [], None
    for level in reversed(range(len(wider))):
        x = wider[level] if coarser is None else layers.Add()([wider[level], coarser])
        x = UpSampling2D(interpolation="bilinear")(x)
        coarser = random_mix(x, FINEST * 2 ** max(level - 1, 0))
        outputs.append(coarser)
    return outputs[::-1]


def _head(x, width):
    """Halves the map down to 4x4 and judges it: (n, s, s, c) -> (n, 1)."""
    while x.shape[1] > 4:
        x = SpectralConv2D(width, 4, strides=2, padding="same", use_bias=False)(x)
        x = LeakyReLU(0.2)(FusedBatchNorm()(x))
    logit = SpectralConv2D(1, x.shape[1], use_bias=False, dtype="float32")(x)
    return layers.Reshape((1,), dtype="float32")(logit)


class HybridGAN(GAN):
    """A GAN with a second discriminator, which joins after a warm-up.

    A discriminator on pretrained features tells everything apart from the first noise
    on, and so teaches nothing; after the plain one has led the generator to bodies on a
    clean background, both together are better than either (Kumari et al. 2022).

    second: pictures as `second_augment` leaves them -> logits (n, k)
    second_losses: its (discriminator_loss, generator_loss)
    second_weight: what its opinion counts for the generator, next to the first's 1
    warm_up: images seen before it starts to learn and to count
    ramp: images over which its weight grows to the full one, so that it learns first
    second_interval: it learns and counts in every so many steps only, to save time
    adapt: (target, steps), or None: the strength of both augmentations begins at 0 and
        moves, in so many steps, by how far the mean sign of the discriminator on reals,
        1 for always right, is above the target (Karras et al. 2020)
    Everything else as in `GAN`.
    """

    def __init__(
        self,
        generator,
        discriminator,
        second,
        second_augment,
        second_losses,
        second_weight=1.0,
        warm_up=100_000,
        ramp=20_000,
        second_interval=1,
        adapt=None,
        **settings,
    ):
        super().__init__(generator, discriminator, **settings)
        self.second = second
        self.second_augment = second_augment
        self.second_discriminator_loss, self.second_generator_loss = second_losses
        self.second_weight = second_weight
        self.warm_up = warm_up
        self.ramp = max(ramp, 1)
        self.second_interval = second_interval
        # Its own numbers, so that the warm-up is, bit for bit, a training without it.
        self.second_random = keras.random.SeedGenerator(settings.get("seed", 0) + 1)
        self.adapt, self.strength = adapt, None
        if adapt:
            self.strength = self.add_weight(
                (), "zeros", trainable=False, name="strength"
            )
            for changes in (self.augment, self.second_augment.inner):
                changes.strength = self.strength

    def compile(self, g_optimizer, d_optimizer, losses, second_optimizer, **settings):
        """second_optimizer: of the second discriminator; it counts its steps only."""
        super().compile(g_optimizer, d_optimizer, losses, **settings)
        self.second_optimizer = second_optimizer
        self.second_optimizer.build(self.second.trainable_variables)

    @property
    def state(self):
        parts = [self.second, self.second_optimizer]
        variables = [variable for part in parts for variable in part.variables]
        strength = [self.strength] if self.adapt else []
        return [*super().state, *variables, self.second_random.state, *strength]

    def draw(self, count):
        draws = super().draw(count)
        for name in ("real", "fake", "fool"):
            draw = self.second_augment.draw(count, self.second_random)
            draws[f"second {name}"] = draw
        return draws

    def takes_part(self, count):
        """Whether this is a step of the second discriminator: a boolean scalar."""
        its_turn = self.steps % self.second_interval == 0
        return ops.logical_and(self.steps * count >= self.warm_up, its_turn)

    def update_discriminator(self, real, fake, draws):
        logs = super().update_discriminator(real, fake, draws)
        loss = tf.cond(
            self.takes_part(real.shape[0]),
            lambda: self.update_second(real, fake, draws),
            lambda: ops.zeros(()),
        )
        return {**logs, "d_loss": logs["d_loss"] + loss}

    def apply_to_discriminator(self, gradients, logs):
        super().apply_to_discriminator(gradients, logs)
        if self.adapt:
            target, steps = self.adapt
            too_sure = 2.0 * logs["d_real"] - 1.0 - target
            moved = self.strength + too_sure / steps
            self.strength.assign(ops.clip(moved, 0.0, 1.0))

    def update_second(self, real, fake, draws):
        """Teaches the second discriminator; returns its loss."""
        real = self.second_augment(real, draws["second real"])
        fake = self.second_augment(ops.stop_gradient(fake), draws["second fake"])
        variables = self.second.trainable_variables
        with tf.GradientTape() as tape:
            outputs = [self.second(x, training=True) for x in (real, fake)]
            loss = self.second_discriminator_loss(*outputs)
        self.second_optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def generator_objective(self, fake, draws):
        loss = super().generator_objective(fake, draws)
        pictures = ops.stop_gradient(fake)

        # Differentiated by the pictures alone: TensorFlow would differentiate a branch
        # by all that it reads, and compute gradients of the frozen network for nobody.
        opinion, slope = ops.cond(
            self.takes_part(fake.shape[0]),
            lambda: self.second_opinion(pictures, draws),
            lambda: (ops.zeros(()), ops.zeros(fake.shape, fake.dtype)),
        )
        # Adds nothing to the loss, and the slope to its gradient for the pictures.
        pull = ops.sum(ops.stop_gradient(slope) * (fake - pictures))
        seen = ops.cast(self.steps, "float32") * fake.shape[0]
        weight = ops.clip((seen - self.warm_up) / self.ramp, 0.0, 1.0)
        return loss + self.second_weight * weight * (ops.stop_gradient(opinion) + pull)

    def second_opinion(self, pictures, draws):
        """What the second discriminator holds against the generator, and the slope of
        that for the pictures. Being looked at changes none of its statistics."""
        trained = [layer for layer in self.second.layers if layer.trainable]
        statistics = [v for layer in trained for v in layer.non_trainable_variables]
        before = [ops.copy(v) for v in statistics]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(pictures)
            seen = self.second_augment(pictures, draws["second fool"])
            loss = self.second_generator_loss(self.second(seen, training=True))
        for variable, value in zip(statistics, before, strict=True):
            variable.assign(value)
        return loss, ops.cast(tape.gradient(loss, pictures), pictures.dtype)
