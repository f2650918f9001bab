"""A discriminator that looks at pictures through a network that knows ImageNet, and
`HybridGAN`, which trains a generator against it and a plain discriminator together.

After Projected GAN (Sauer et al. 2021). The frozen network is EfficientNet-Lite0 from
`features`, so pictures that this discriminator has judged must be scored with others.
"""

import keras
from keras import layers, ops

from pokeutils.common import distribution, gradients
from pokeutils.evaluation import features
from pokeutils.gan import GAN
from pokeutils.layers import FusedBatchNorm, LeakyReLU, SpectralConv2D, UpSampling2D

SCALES = (2, 4, 10, 15)  # Lite0's blocks: 1/4, 1/8, 1/16 and 1/32 of the size
FINEST = 64  # channels of the finest mixed map; each coarser one has twice as many


def projected_discriminator(
    size, channels=3, input_size=128, width=64, scales=SCALES, seed=0
):
    """RGB pictures (n, size, size, 3) in [-1, 1] -> logits (n, 4), one a scale.

    Pictures are enlarged to `input_size` (a multiple of 32), shown to Lite0, and its
    feature maps at four scales are mixed across channels and scales by fixed random
    1x1 convolutions, so that the discriminator cannot feed on a few of them. On each
    mixed map stands a small trained head of `width` channels. `seed` draws the random
    mixing. Raises ValueError for other channels: lay RGBA on a background first
    (`augment.OnBackground`).
    """
    if channels != 3:
        raise ValueError(
            f"The feature network sees RGB, not {channels} channels. Lay transparent "
            "pictures on a background with augment.OnBackground."
        )
    if input_size % 32:
        raise ValueError(f"input_size must be a multiple of 32, got {input_size}.")
    lite0 = features.lite0_model(scales)
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
        layer = layers.Conv2D(
            count,
            1,
            kernel_initializer=keras.initializers.HeNormal(seed=seeds),
            use_bias=False,
            trainable=False,
        )
        return layer(x)

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
    x = SpectralConv2D(1, x.shape[1], padding="valid", use_bias=False, dtype="float32")(
        x
    )
    return layers.Reshape((1,), dtype="float32")(x)


class HybridGAN(GAN):
    """A GAN with a second discriminator, which joins after a warm-up.

    A discriminator on pretrained features tells everything apart from the first noise
    on, and so teaches nothing; after the plain one has led the generator to bodies on a
    clean ground, both together are better than either (Kumari et al. 2022).

    second: pictures as `second_augment` leaves them -> logits (n, k)
    second_losses: its (discriminator_loss, generator_loss)
    second_weight: what its opinion counts for the generator, next to the first's 1
    warm_up: images seen before it starts to learn and to count
    ramp: images over which its weight grows to the full one, so that it learns first
    second_interval: it learns and counts in every so many steps only, to save time
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

    def compile(
        self,
        generator_optimizer,
        discriminator_optimizer,
        losses,
        second_optimizer,
        **settings,
    ):
        """second_optimizer: of the second discriminator. It counts the steps that this
        takes part in and no others, which a schedule must know."""
        super().compile(
            generator_optimizer, discriminator_optimizer, losses, **settings
        )
        self.second_optimizer = second_optimizer
        self.second_optimizer.build(self.second.trainable_variables)

    @property
    def state(self):
        return [
            *super().state,
            *self.second.variables,
            *self.second_optimizer.variables,
            self.second_random.state,
        ]

    @property
    def _statistics(self):
        """The variables that looking at pictures changes. Not the frozen network's:
        copying those in every step would cost more than all of the heads."""
        alive = [layer for layer in self.second.layers if layer.trainable]
        return [v for layer in alive for v in layer.non_trainable_variables]

    def draw(self, count):
        draws = super().draw(count)
        for name in ("real", "fake", "fool"):
            draws[f"second {name}"] = self.second_augment.draw(
                count, self.second_random
            )
        return draws

    def _weight(self, batch):
        """0 in the warm-up, then growing to `second_weight`: a float32 scalar."""
        seen = ops.cast(self.steps, "float32") * batch * distribution.replicas()
        return self.second_weight * ops.clip(
            (seen - self.warm_up) / self.ramp, 0.0, 1.0
        )

    def _takes_part(self, batch):
        """Whether this is a step of the second discriminator: a boolean scalar."""
        its_turn = self.steps % self.second_interval == 0
        seen = self.steps * batch * distribution.replicas()
        return ops.logical_and(seen >= self.warm_up, its_turn)

    def _update_discriminator(self, real, fake, draws):
        logs = super()._update_discriminator(real, fake, draws)
        variables = self.second.trainable_variables
        real = self.second_augment(real, draws["second real"])
        fake = self.second_augment(ops.stop_gradient(fake), draws["second fake"])

        def loss():
            value = self.second_discriminator_loss(
                self.second(real, training=True), self.second(fake, training=True)
            )
            return self._scaled(value, None)

        # Batch statistics change inside a branch: both branches hand them out, so that
        # they are assigned outside of it, as JAX demands.
        statistics = self._statistics
        before = [ops.convert_to_tensor(v) for v in statistics]

        def learn():
            value, _, found = gradients.value_and_gradients(loss, variables, self.state)
            value, found = self._unscaled(value, found)
            found = [ops.cast(g, "float32") for g in found]
            return value, found, [ops.convert_to_tensor(v) for v in statistics]

        def rest():
            return ops.zeros(()), [ops.zeros(v.shape) for v in variables], before

        takes_part = self._takes_part(real.shape[0])
        value, found, after = self._branch(takes_part, learn, rest)
        for variable, new in zip(statistics, after, strict=True):
            variable.assign(new)
        found = distribution.mean(found)
        skip = ops.logical_not(takes_part)
        self._apply(self.second_optimizer, found, variables, skip)
        if self.loss_scale:  # an overflow here is one of the step
            logs["d_norm"] = logs["d_norm"] + 0.0 * gradients.norm(found)
        return {**logs, "d_loss": logs["d_loss"] + value}

    def _fool(self, fake, draws):
        loss, told = super()._fool(fake, draws)
        batch = fake.shape[0]
        statistics = self._statistics
        before = [ops.convert_to_tensor(v) for v in statistics]

        def said(fake):
            pictures = self.second_augment(fake, draws["second fool"])
            judged = self.second(pictures, training=True)
            return self._scaled(self.second_generator_loss(judged), None)

        # Differentiated here, by the pictures alone: TensorFlow would differentiate the
        # branch by all that it reads, and a fifth of the step's time would go into
        # gradients of the frozen network, which nobody uses.
        def opinion():
            value, _, slope = gradients.value_and_input_gradient(said, fake, self.state)
            value, (slope,) = self._unscaled(value, [slope])
            return value, ops.cast(slope, fake.dtype)

        takes_part = self._takes_part(batch)
        nothing = ops.zeros(()), ops.zeros(fake.shape, fake.dtype)
        value, slope = self._branch(takes_part, opinion, lambda: nothing)
        for variable, old in zip(statistics, before, strict=True):
            variable.assign(old)  # being looked at by the generator changes nothing
        value, slope = ops.stop_gradient(value), ops.stop_gradient(slope)
        weight = self._weight(batch)
        # Adds nothing to the value, unless the slope has overflown, and to the gradient
        # of the pictures the slope.
        nothing = ops.sum(slope * (fake - ops.stop_gradient(fake)))
        return loss + weight * (value + nothing), told + weight * value
