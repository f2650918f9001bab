"""From a picture back to a latent: which latent draws this? Found by optimisation.

A generator has no inverse. Gradient descent on the latent alone finds the nearest
picture that it can draw (Zhu et al. 2016); how near that is says what it can draw.
"""

from collections import namedtuple

import keras
import numpy as np
from keras import ops

from pokeutils import latent

Inversion = namedtuple("Inversion", "latents losses pictures")
SPREAD = 1.0  # of latents: their mean square, which a prior keeps near one


def invert(
    generator,
    pictures,
    network=None,
    steps=300,
    starts=4,
    rate=0.05,
    feature_weight=1.0,
    prior=0.01,
    seed=0,
    progress=None,
):
    """Finds latents whose pictures are like `pictures`; returns `Inversion`.

    generator: latents (n, d) -> (n, s, s, 4 or 3) in [-1, 1]; its weights stay.
    pictures: uint8 (n, s, s, channels), premultiplied RGBA for four channels.
    network: a `features.FeatureNetwork`; its features are compared too, scaled so that
        two random samples differ by one. None compares pixels alone.
    starts: the search begins at so many random latents for each picture, and the best
        end is kept: single searches get stuck.
    rate: of Adam; it falls to nothing along a cosine.
    prior: weight of the latents' distance from a mean square of one.
    progress: called with (step, mean loss).

    Of the result, `latents` are float32 (n, d), `pictures` uint8 (n, s, s, channels)
    that they draw, and `losses` float64 (n,): the mean absolute difference of pixels,
    as a share of the range, plus `feature_weight` times that of the features.
    Raises ValueError for pictures of another size, RuntimeError without TensorFlow.
    """
    wanted = _checked(generator, pictures)
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError("Inversion needs gradients of TensorFlow: use that backend.")
    import tensorflow as tf

    count, dimensions = len(wanted), generator.input_shape[-1]
    target = tf.repeat(tf.constant(wanted), starts, axis=0)  # (n * starts, s, s, c)
    describe = _describer(network, generator, seed)
    features = None if network is None else describe(target)
    start = latent.draw(count * starts, dimensions, seed)
    latents = tf.Variable(start)
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(rate, steps), beta_1=0.9, beta_2=0.99
    )
    optimizer.build([latents])

    def losses():
        drawn = _possible(generator(latents, training=False))
        loss = tf.reduce_mean(tf.abs(drawn - target), axis=(1, 2, 3)) / 2
        if features is not None:
            apart = tf.reduce_mean((describe(drawn) - features) ** 2, axis=-1)
            loss += feature_weight * apart
        return loss

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(latents)
            loss = losses()
            size = tf.reduce_mean(latents**2, axis=-1) - SPREAD
            total = tf.reduce_sum(loss + prior * size**2)
        optimizer.apply([tape.gradient(total, latents)], [latents])
        return tf.reduce_mean(loss)

    for number in range(1, steps + 1):
        loss = step()
        if progress and (number % 50 == 0 or number == steps):
            progress(number, float(loss))
    final = losses().numpy().reshape(count, starts)
    if not np.isfinite(final).all():
        raise RuntimeError("The search diverged: use a smaller rate.")
    best = final.argmin(1)
    rows = np.arange(count)
    found = latents.numpy().reshape(count, starts, dimensions)[rows, best]
    return Inversion(
        found, final[rows, best].astype("float64"), _draw(generator, found)
    )


def _checked(generator, pictures):
    size = tuple(generator.output_shape[1:])
    if getattr(pictures, "dtype", None) != np.uint8 or pictures.shape[1:] != size:
        raise ValueError(
            f"Expected uint8 pictures (n, {', '.join(map(str, size))}), which this "
            f"generator draws; got {getattr(pictures, 'dtype', type(pictures))} "
            f"{np.shape(pictures)}."
        )
    return pictures.astype("float32") / 127.5 - 1


def _possible(drawn):
    """Pictures with their colours cut to at most alpha, as they are shown."""
    drawn = ops.cast(drawn, "float32")
    if drawn.shape[-1] == 3:
        return drawn
    colour = ops.minimum(drawn[..., :3], drawn[..., 3:])
    return ops.concatenate([colour, drawn[..., 3:]], axis=-1)


def _describer(network, generator, seed):
    """A function from pictures in [-1, 1] to features that differ by about one."""
    if network is None:
        return None

    def describe(pictures):
        colour = (pictures[..., :3] + 1) * 127.5
        if pictures.shape[-1] == 4:  # on white
            colour = colour + 255 - (pictures[..., 3:] + 1) * 127.5
        shape = (network.size, network.size)
        resized = ops.image.resize(colour, shape, interpolation="bilinear")
        return ops.cast(network.model(resized, training=False), "float32")

    some = generator(latent.draw(32, generator.input_shape[-1], seed + 1))
    known = ops.convert_to_numpy(describe(_possible(some)))
    # Two draws of one distribution differ by twice its variance.
    scale = np.sqrt(2 * known.var(0).mean()) + 1e-6
    return lambda pictures: describe(pictures) / scale


def _draw(generator, latents):
    values = ops.convert_to_numpy(_possible(generator(latents, training=False)))
    return np.clip(np.rint((values + 1) * 127.5), 0, 255).astype("uint8")
