"""From a picture back to a latent: gradient descent on the latent alone finds the
nearest picture that a generator can draw (Zhu et al. 2016)."""

from collections import namedtuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from pokeutils import sampling
from pokeutils.common import images

Inversion = namedtuple("Inversion", "latents losses pictures")
SPREAD = 1.0  # of latents: their mean square, which a prior keeps near one
COARSEST = 8  # px: pictures are compared at their size, half of it, down to this


def invert(
    generator, pictures, steps=150, starts=2, pool=512, rate=0.08, prior=0.01, seed=0
):
    """Finds latents whose pictures are like `pictures`, uint8 (n, s, s, channels);
    returns `Inversion`: latents (n, d), the loss of each, the pictures they draw.

    starts: each search begins at so many latents, the nearest of `pool` random ones,
        and the best end is kept: single searches get stuck
    rate: of Adam; it falls to nothing along a cosine
    prior: weight of the latents' distance from a mean square of one

    Raises ValueError for pictures of another size; RuntimeError if it diverges.
    """
    wanted = _checked(generator, pictures)
    start = _nearest(generator, wanted, starts, pool, seed)  # (n * starts, d)
    target = tf.repeat(tf.constant(wanted), starts, axis=0)
    targets, latents = _sizes(target), tf.Variable(start)
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(rate, steps), beta_1=0.9, beta_2=0.99
    )
    optimizer.build([latents])

    def losses():
        # Smaller pictures, compared as well, pull misplaced limbs together.
        drawn = _possible(generator(latents, training=False))
        pairs = zip(_sizes(drawn), targets, strict=True)
        apart = [tf.reduce_mean(tf.abs(a - b), axis=(1, 2, 3)) / 2 for a, b in pairs]
        return tf.add_n(apart) / len(apart)  # (n * starts,)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(latents)
            loss = losses()
            size = tf.reduce_mean(latents**2, axis=-1) - SPREAD
            total = tf.reduce_sum(loss) + prior * tf.reduce_sum(size**2)
        optimizer.apply([tape.gradient(total, latents)], [latents])
        return tf.reduce_mean(loss)

    # Descend; of each picture's searches the best end counts.
    for _ in range(steps):
        step()
    final = losses().numpy().reshape(len(wanted), starts)
    if not np.isfinite(final).all():
        raise RuntimeError("The search diverged: use a smaller rate.")
    rows, best = np.arange(len(wanted)), final.argmin(1)
    ends = latents.numpy().reshape(len(wanted), starts, *start.shape[1:])[rows, best]
    found = final[rows, best].astype("float64")
    return Inversion(ends, found, sampling.paint(generator, ends))


def _sizes(pictures):
    """Returns pictures (n, s, s, c) at full size, half of it, ..., `COARSEST` px."""
    sizes = [pictures]
    while sizes[-1].shape[1] % 2 == 0 and sizes[-1].shape[1] // 2 >= COARSEST:
        sizes.append(ops.average_pool(sizes[-1], 2, 2, "valid"))
    return sizes


def _nearest(generator, wanted, starts, pool, seed):
    """Returns, for each picture, the `starts` latents of a random pool whose pictures
    are nearest to it, seen coarsely: (n * starts, d)."""
    latents = sampling.draw(pool, generator.input_shape[-1], seed)
    drawn = sampling.paint(generator, latents).astype("float32") / 127.5 - 1

    def coarse(pictures):
        side = pictures.shape[1]
        step = max(k for k in range(1, side // COARSEST + 1) if side % k == 0)
        blocks = (len(pictures), side // step, step, side // step, step, -1)
        return pictures.reshape(blocks).mean((2, 4)).reshape(len(pictures), -1)

    wanted, drawn = coarse(wanted), coarse(drawn)
    apart = np.stack([np.abs(drawn - picture).mean(1) for picture in wanted])
    return latents[apart.argsort(1, kind="stable")[:, :starts].reshape(-1)]


def _checked(generator, pictures):
    _, *size = generator.output_shape
    pictures = images.check(pictures, channels=size[-1:])
    if list(pictures.shape[1:]) != size:
        raise ValueError(
            f"This generator draws pictures (n, {', '.join(map(str, size))}); got "
            f"{pictures.shape}."
        )
    return pictures.astype("float32") / 127.5 - 1


def _possible(drawn):
    """Cuts colours to at most alpha, as pictures are shown."""
    drawn = ops.cast(drawn, "float32")
    if drawn.shape[-1] == 3:
        return drawn
    colour = ops.minimum(drawn[..., :3], drawn[..., 3:])
    return ops.concatenate([colour, drawn[..., 3:]], axis=-1)
