"""The five projects rebuilt: what the text or code of each pins, what had to be chosen,
what its choices cost; and the tricks of their train steps.

Each function returns the fields of a `Recipe` of its name. Choices are kept even where
they are poor: comparing them is the point. In all, pictures are premultiplied and cut
to the creature, the discriminator is updated before it judges the generator, and there
is neither an average of the generator nor augmentation.
"""

import keras
import tensorflow as tf
from keras import ops

from pokeutils import losses
from pokeutils.gan import GAN

# Their losses -------------------------------------------------------------------------


def half_discriminator(real_logits, fake_logits):
    """The non-saturating loss halved, as project 000 has it: a slower discriminator."""
    return 0.5 * losses.nonsaturating_discriminator(real_logits, fake_logits)


class SmoothedDiscriminator:
    """Binary cross-entropy against targets that are not quite 1 and 0 (Salimans et al.
    2016): a discriminator that must not be sure keeps a slope to learn from.

    real, fake: the target of reals and of fakes, a number or a pair (low, high) from
    which one is drawn for every picture (`random`). If reals have the lower target,
    labels are `inverted`: a positive logit means "judged fake".
    """

    def __init__(self, real=1.0, fake=0.0):
        self.real, self.fake = real, fake
        self.random = isinstance(real, tuple) or isinstance(fake, tuple)
        self.inverted = self._target(real) < self._target(fake)

    def __call__(self, real_logits, fake_logits, draws=None):
        """draws: (n, 2) in [0, 1], the places of the targets in their ranges, for reals
        and for fakes; None stands for the middle, which is the loss on average."""
        places = (None, None) if draws is None else (draws[:, :1], draws[:, 1:])
        return self._cross_entropy(real_logits, self.real, places[0]) + (
            self._cross_entropy(fake_logits, self.fake, places[1])
        )

    def _cross_entropy(self, logits, target, place):
        target = self._target(target, place)
        return ops.mean(ops.softplus(logits) - target * logits)

    @staticmethod
    def _target(target, place=None):
        if not isinstance(target, tuple):
            return target
        low, high = target
        return low + (high - low) * (0.5 if place is None else place)


def inverted_generator(fake_logits):
    """The non-saturating loss for inverted labels."""
    return ops.mean(ops.softplus(fake_logits))


LOSSES = {
    "half_bce": (half_discriminator, losses.nonsaturating_generator),
    # Project 004: reals at 0.9. 003: reals at 0.2, fakes at 1. 002: both noisy.
    "real_0.9": (SmoothedDiscriminator(real=0.9), losses.nonsaturating_generator),
    "inverted_0.2": (SmoothedDiscriminator(real=0.2, fake=1.0), inverted_generator),
    "inverted_noisy": (
        SmoothedDiscriminator(real=(0.0, 0.1), fake=(0.9, 1.0)),
        inverted_generator,
    ),
}


# Their train steps --------------------------------------------------------------------


class RebuiltGAN(GAN):
    """A GAN with what the five projects' steps do differently; its losses may be
    `SmoothedDiscriminator`s, and everything else is as in `GAN`.

    gate: the discriminator's update is skipped in every step in which it gives the
        fakes at least this probability of being fakes, on average; None: never
    two_phase: the generator learns from new fakes, not from those that were judged
    """

    log_names = (*GAN.log_names, "gated")

    def __init__(self, *networks, gate=None, two_phase=False, **settings):
        super().__init__(*networks, **settings)
        self.gate, self.two_phase = gate, two_phase

    def draw(self, count):
        draws = super().draw(count)
        if self.two_phase:
            shape = count, self.latent_dim
            draws["new latents"] = keras.random.normal(shape, seed=self.random)
        if getattr(self.discriminator_loss, "random", False):
            draws["targets"] = keras.random.uniform((count, 2), seed=self.random)
        return draws

    def discriminator_objective(self, real_logits, fake_logits, draws):
        # Which sign of a logit means "real"?
        inverted = getattr(self.discriminator_loss, "inverted", False)
        sign = -1.0 if inverted else 1.0
        says_real, says_fake = sign * real_logits, -sign * fake_logits
        certainty = ops.mean(ops.sigmoid(says_fake))
        closed = certainty >= (float("inf") if self.gate is None else self.gate)
        logs = {
            "d_real": ops.mean(ops.cast(says_real > 0, "float32")),
            "d_fake": ops.mean(ops.cast(says_fake > 0, "float32")),
            "gated": ops.cast(closed, "float32"),
        }
        targets = (draws["targets"],) if "targets" in draws else ()
        return self.discriminator_loss(real_logits, fake_logits, *targets), logs

    def apply_to_discriminator(self, gradients, logs):
        if self.gate is None:
            super().apply_to_discriminator(gradients, logs)
            return

        def learn():
            super(RebuiltGAN, self).apply_to_discriminator(gradients, logs)
            return 1

        tf.cond(logs["gated"] > 0, lambda: 0, learn)

    def generator_objective(self, fake, draws):
        if self.two_phase:
            fake = self.generator(draws["new latents"], training=True)
        return super().generator_objective(fake, draws)


# The projects -------------------------------------------------------------------------

# Of the pictures of project 003, in [0, 1]: means and standard deviations of R, G, B.
SPRITE_STATISTICS = ((0.4819, 0.4324, 0.3845), (0.2604, 0.2520, 0.2539))


def rgba80():
    """Project 000: the DCGAN of the TensorFlow tutorial at 80 px, in RGBA.

    Pinned (code): both networks, half the cross-entropy, Adam 1e-4 with Keras' betas,
    six batches of 128 an epoch for 700 epochs. Chosen: nothing; but alpha is
    premultiplied here, and the project judged the generator by the old discriminator.
    Costs: batches are never shuffled anew; the generator has 44 times the
    discriminator's weights; 4,200 steps are few; transposed 5x5 convolutions of stride
    2 leave a checkerboard.
    """
    return dict(
        size=80,
        images=700 * 6 * 128,
        generator="tutorial_generator",
        discriminator="tutorial_discriminator",
        batch=128,
        loss="half_bce",
        learning_rates=(1e-4, 1e-4),
        betas=(0.9, 0.999),
        reshuffle=False,
    )


def keras120():
    """Project 001: three transposed blocks to 120 px, on black.

    Pinned (text): three blocks of transposed convolution, batch norm and leaky ReLU
    from 57,600 = 15 * 15 * 256 numbers; two of convolution, leaky ReLU and dropout;
    721 pictures; it blew up after about 20,000 epochs. Pinned (its pictures): alpha was
    dropped. Chosen, as in the Keras examples it followed: 5x5 kernels, 128-64-32
    channels, 100 latents, dropout 0.3, cross-entropy, Adam 1e-4, batch 32. Costs: on
    black, dark outlines vanish; nothing holds the discriminator back, so it wins.
    """
    return dict(
        size=120,
        images=20_000 * 721,
        generator="block_generator",
        discriminator="tutorial_discriminator",
        channels=3,
        background=0,
        batch=32,
        learning_rates=(1e-4, 1e-4),
        betas=(0.9, 0.999),
        mirror=False,
    )


def augmented64():
    """Project 002: three times the pictures, by mirroring and by colour jitter.

    Pinned (code of the notebook behind it): the networks, with batch norm in every
    layer, 16 latents, targets drawn from U(0, 0.1) for reals and U(0.9, 1) for fakes
    (inverted), Adam 0.00275 with betas (0.5, 0.9), batch 8, 50 epochs of 3 x 819.
    Chosen: a jittered copy is made once, where the project drew new ones each time.
    Costs: the jitter turns white backgrounds grey, and the generator learns them; ten
    times the usual rate with batches of 8 is restless; 16 latents are few.
    """
    return dict(
        size=64,
        images=50 * 3 * 819,
        generator="sprite_generator",
        generator_options=(("latent_dim", 16),),
        discriminator="sprite_discriminator",
        channels=3,
        copies=("mirrored", "jittered"),
        mirror=False,
        batch=8,
        loss="inverted_noisy",
        learning_rates=(0.00275, 0.00275),
        betas=(0.5, 0.9),
    )


def sprites64(as_written=False):
    """Project 003: two small networks, and three handicaps for the discriminator.

    Pinned (code): both networks; real target 0.2, fake target 1, the generator's 0;
    the discriminator's update is skipped while its mean D(fake) is at least 0.95; new
    fakes for the generator; 500 epochs of just under 2,000 sprites. Chosen: Adam 2e-4
    with betas (0.5, 0.999), batch 64, white background. Costs: a real target of 0.2
    asks for doubt where there is none, and the discriminator wins all the same.

    as_written: pictures in units of their mean and spread, as the project has them. Its
    tanh then ends at one spread from the mean, neither black nor white.
    """
    options = (("statistics", SPRITE_STATISTICS),) if as_written else ()
    return dict(
        name="sprites64_as_written" if as_written else "sprites64",
        source="sprites",
        size=64,
        images=500 * 31 * 64,
        generator="sprite_generator",
        generator_options=options,
        discriminator="sprite_discriminator",
        discriminator_options=options,
        channels=3,
        mirror=False,
        loss="inverted_0.2",
        gate=0.95,
        two_phase=True,
        betas=(0.5, 0.999),
        as_written=as_written,
    )


def pokegan_conv():
    """Project 004: a DCGAN on recoloured pictures.

    Pinned (text): every picture in more colours ("Pikachu blue, red"), cross-entropy
    with 0.9 for reals, two phases a step. Pinned (its pictures): 100 px or more, white
    background. Chosen: the tutorial's networks at half the width, hues turned by 180
    and -60 degrees (which makes Pikachu blue, and red), Adam 2e-4 with beta 0.5, batch
    32, and half a million images. Costs: colours no longer say what kind it is.
    """
    return dict(
        size=100,
        images=500_000,
        generator="tutorial_generator",
        generator_options=(("widths", (128, 64, 32)),),
        discriminator="tutorial_discriminator",
        discriminator_options=(("widths", (32, 64)),),
        channels=3,
        copies=(180, -60),
        mirror=False,
        batch=32,
        loss="real_0.9",
        two_phase=True,
        betas=(0.5, 0.999),
    )


def pokegan_dense():
    """Project 004 without convolutions, on the same data with the same loss.

    Chosen: 256-512-1024 and 512-256 units. Costs: 31 million weights, each of which
    knows one pixel; nothing that is learned in one place is known in another.
    """
    return dict(
        pokegan_conv(),
        generator="dense_generator",
        generator_options=(),
        discriminator="dense_discriminator",
        discriminator_options=(),
    )


_ALL = rgba80, keras120, augmented64, sprites64, pokegan_conv, pokegan_dense
SYSTEMS = {system.__name__: system for system in _ALL}
