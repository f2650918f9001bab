"""Pairs of GAN losses, as pure functions of the discriminator's logits (n, 1).

Each pair is (discriminator_loss(real_logits, fake_logits), generator_loss(fake_logits))
and returns float32 scalars. A positive logit means "judged real".
"""

from keras import ops


def nonsaturating_discriminator(real_logits, fake_logits):
    """-log D(real) - log(1 - D(fake)), Goodfellow et al. 2014."""
    return ops.mean(ops.softplus(-real_logits)) + ops.mean(ops.softplus(fake_logits))


def nonsaturating_generator(fake_logits):
    """-log D(fake): keeps its gradient where the discriminator is sure."""
    return ops.mean(ops.softplus(-fake_logits))


def hinge_discriminator(real_logits, fake_logits):
    """Lim & Ye 2017: no reward beyond a margin of one."""
    real = ops.mean(ops.relu(1.0 - real_logits))
    return real + ops.mean(ops.relu(1.0 + fake_logits))


def hinge_generator(fake_logits):
    """As high a logit as can be had."""
    return -ops.mean(fake_logits)


def r1_penalty(slope, gamma):
    """gamma / 2 x the squared slope of D(real) for the pixels, (n, s, s, c), mean over
    pictures (Mescheder et al. 2018): the discriminator shall be flat around reals."""
    slope = ops.cast(slope, "float32")
    return 0.5 * gamma * ops.mean(ops.sum(slope * slope, axis=(1, 2, 3)))


LOSSES = {
    "nonsaturating": (nonsaturating_discriminator, nonsaturating_generator),
    "hinge": (hinge_discriminator, hinge_generator),
}


def get(name, more=()):
    """Returns the pair called `name`, of these or of `more`. Raises ValueError."""
    known = {**LOSSES, **dict(more)}
    if name not in known:
        raise ValueError(f"Unknown loss {name!r}. Choose one of {sorted(known)}.")
    return known[name]
