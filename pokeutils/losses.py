"""Pairs of GAN losses, as pure functions of the discriminator's logits (n, 1).

Each pair is (discriminator_loss(real_logits, fake_logits), generator_loss(fake_logits))
and returns float32 scalars. A positive logit means "judged real", unless the
discriminator's loss says `inverted`.
"""

from keras import ops


def nonsaturating_discriminator(real_logits, fake_logits):
    """-log D(real) - log(1 - D(fake)), Goodfellow et al. 2014."""
    return ops.mean(ops.softplus(-real_logits)) + ops.mean(ops.softplus(fake_logits))


def nonsaturating_generator(fake_logits):
    """-log D(fake): keeps its gradient where the discriminator is sure."""
    return ops.mean(ops.softplus(-fake_logits))


def half_discriminator(real_logits, fake_logits):
    """The non-saturating loss halved, as seed 000 has it: a slower discriminator."""
    return 0.5 * nonsaturating_discriminator(real_logits, fake_logits)


def hinge_discriminator(real_logits, fake_logits):
    """Lim & Ye 2017: no reward beyond a margin of one."""
    real = ops.mean(ops.relu(1.0 - real_logits))
    return real + ops.mean(ops.relu(1.0 + fake_logits))


def hinge_generator(fake_logits):
    return -ops.mean(fake_logits)


class SmoothedDiscriminator:
    """Binary cross-entropy against targets that are not quite 1 and 0 (Salimans et al.
    2016): a discriminator that must not be sure keeps a slope to learn from.

    real, fake: the target of reals and of fakes, a number or a pair (low, high) from
    which one is drawn for every picture (`random`). If reals have the lower target,
    labels are `inverted`: a positive logit means "judged fake". By itself that only
    turns the sign of the last layer.
    """

    def __init__(self, real=1.0, fake=0.0):
        self.real, self.fake = real, fake
        self.random = isinstance(real, tuple) or isinstance(fake, tuple)
        self.inverted = self._target(real) < self._target(fake)

    def __call__(self, real_logits, fake_logits, draws=None):
        """draws: (n, 2) in [0, 1], the places of the targets in their ranges, for
        reals and for fakes. None stands for the middle: the loss on average, because
        cross-entropy is linear in its target."""
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
    """-log(1 - D(fake)) where D is the probability of a fake: the non-saturating loss
    for inverted labels."""
    return ops.mean(ops.softplus(fake_logits))


LOSSES = {
    "nonsaturating": (nonsaturating_discriminator, nonsaturating_generator),
    "half_bce": (half_discriminator, nonsaturating_generator),
    "hinge": (hinge_discriminator, hinge_generator),
    # Seed 004: reals at 0.9. Seed 003: reals at 0.2, fakes at 1. Seed 002: both noisy.
    "real_0.9": (SmoothedDiscriminator(real=0.9), nonsaturating_generator),
    "inverted_0.2": (SmoothedDiscriminator(real=0.2, fake=1.0), inverted_generator),
    "inverted_noisy": (
        SmoothedDiscriminator(real=(0.0, 0.1), fake=(0.9, 1.0)),
        inverted_generator,
    ),
}


def get(name):
    """Returns the pair called `name`. Raises ValueError for an unknown name."""
    if name not in LOSSES:
        raise ValueError(f"Unknown loss {name!r}. Choose one of {sorted(LOSSES)}.")
    return LOSSES[name]
