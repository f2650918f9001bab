"""From a picture back to a latent: which latent draws this? Found by optimisation.

Gradient descent on the latent alone finds the nearest picture that a generator can draw
(Zhu et al. 2016). One that `separate` took apart listens to a latent of its own in
every layer, and comes nearer (as StyleGAN's W+ does: Abdal et al. 2019).
"""

from collections import namedtuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from pokeutils import sampling
from pokeutils.common import images
from pokeutils.layers import Palette, SelfModulation, UnitLatent

Inversion = namedtuple("Inversion", "latents losses pictures")
SPREAD = 1.0  # of latents: their mean square, which a prior keeps near one
COARSEST = 8  # px: pictures are compared at their size, half of it, down to this


def invert(
    generator,
    pictures,
    network=None,
    steps=150,
    starts=2,
    pool=512,
    rate=0.08,
    feature_weight=0.1,
    prior=0.01,
    seed=0,
):
    """Finds latents whose pictures are like `pictures`, uint8 (n, s, s, channels);
    returns `Inversion`: latents (n, ..., d), the loss of each, the pictures they draw.

    network: a `features.FeatureNetwork` whose features are compared too, scaled so that
        two random samples differ by one; None compares pixels alone
    starts: each search begins at so many latents, the nearest of `pool` random ones,
        and the best end is kept: single searches get stuck
    rate: of Adam; it falls to nothing along a cosine
    prior: weight of the latents' distance from a mean square of one

    Raises ValueError for pictures of another size; RuntimeError if it diverges.
    """
    wanted = _checked(generator, pictures)
    start = _nearest(generator, wanted, starts, pool, seed)  # (n * starts, ..., d)
    target = tf.repeat(tf.constant(wanted), starts, axis=0)
    targets, latents = _sizes(target), tf.Variable(start)
    describe = _describer(network, generator, seed)
    features = None if network is None else describe(target)
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(rate, steps), beta_1=0.9, beta_2=0.99
    )
    optimizer.build([latents])

    def losses():
        # Smaller pictures, compared as well, pull misplaced limbs together.
        drawn = _possible(generator(latents, training=False))
        pairs = zip(_sizes(drawn), targets, strict=True)
        apart = [tf.reduce_mean(tf.abs(a - b), axis=(1, 2, 3)) / 2 for a, b in pairs]
        loss = tf.add_n(apart) / len(apart)
        if features is not None:
            squares = (describe(drawn) - features) ** 2
            loss += feature_weight * tf.reduce_mean(squares, axis=-1)
        return loss  # (n * starts,)

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
    are nearest to it, seen coarsely: (n * starts, ..., d)."""
    latents = _random(generator, pool, seed)
    drawn = sampling.paint(generator, latents).astype("float32") / 127.5 - 1

    def coarse(pictures):
        side = pictures.shape[1]
        step = max(k for k in range(1, side // COARSEST + 1) if side % k == 0)
        blocks = (len(pictures), side // step, step, side // step, step, -1)
        return pictures.reshape(blocks).mean((2, 4)).reshape(len(pictures), -1)

    wanted, drawn = coarse(wanted), coarse(drawn)
    apart = np.stack([np.abs(drawn - picture).mean(1) for picture in wanted])
    return latents[apart.argsort(1, kind="stable")[:, :starts].reshape(-1)]


def _random(generator, count, seed):
    """Draws latents; for a generator with its layers apart, the same for all layers."""
    shape = generator.input_shape[1:]
    latents = sampling.draw(count, shape[-1], seed)
    return np.repeat(latents[:, None], shape[0], 1) if len(shape) > 1 else latents


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


def _describer(network, generator, seed):
    """Returns a function from pictures in [-1, 1] to features about one apart."""
    if network is None:
        return None

    def describe(pictures):
        colour = (pictures[..., :3] + 1) * 127.5
        if pictures.shape[-1] == 4:  # on white
            colour = colour + 255 - (pictures[..., 3:] + 1) * 127.5
        shape = (network.size, network.size)
        resized = ops.image.resize(colour, shape, interpolation="bilinear")
        return ops.cast(network.model(resized, training=False), "float32")

    samples = sampling.paint(generator, _random(generator, 32, seed + 1))
    known = ops.convert_to_numpy(describe(ops.cast(samples, "float32") / 127.5 - 1))
    # Two draws of one distribution differ by twice its variance.
    scale = np.sqrt(2 * known.var(0).mean()) + 1e-6
    return lambda pictures: describe(pictures) / scale


def separate(generator, unit=True):
    """Returns the generator as a model with a latent for each place that listens, from
    the start of the drawing and coarse to fine: (n, places, d) -> pictures, on the same
    weights. unit=False leaves the lengths of latents as they are; the generator was
    trained on a mean square of one. Raises ValueError for one of other layers.
    """
    listening = (SelfModulation, Palette)
    chain = generator.layers
    places = 1 + sum(isinstance(layer, listening) for layer in chain)
    if len(chain) < 2 or not isinstance(chain[1], UnitLatent) or places == 1:
        raise ValueError(
            f"{generator.name} does not modulate its layers by a UnitLatent: only "
            "generators of models.pyramid_generator can be taken apart."
        )
    latents = keras.Input((places, generator.input_shape[-1]))
    z = chain[1](latents) if unit else latents
    values, place = {id(chain[1].output): z[:, 0]}, 0
    for layer in chain[2:]:
        of = layer.input if isinstance(layer.input, list) else [layer.input]
        inputs = [values[id(tensor)] for tensor in of]
        if isinstance(layer, listening):
            place += 1
            inputs[1] = z[:, place]
        x = layer(inputs if len(inputs) > 1 else inputs[0])
        values[id(layer.output)] = x
    return keras.Model(latents, x, name=f"{generator.name}_apart")
