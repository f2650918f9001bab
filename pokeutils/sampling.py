"""Latents (fixed draws, walks, directions), and the pictures that are made of them."""

import math
import pathlib

import numpy as np

from pokeutils.common import images, plots

RIDGE = 1.0  # of the regression for a direction, in pictures


def draw(count, dimensions, seed=0):
    """Returns (count, dimensions) float32 from N(0, 1), the same on every backend.

    The first n of a longer draw are those of a shorter one.
    """
    return np.random.default_rng(seed).standard_normal((count, dimensions), "float32")


def slerp(start, end, share):
    """Spherical interpolation (Shoemake 1985) from `start` (share 0) to `end` (share
    1).

    start, end: (..., d). Nearly parallel vectors are interpolated linearly.
    """
    start, end = np.asarray(start, "float64"), np.asarray(end, "float64")
    unit_start = start / np.linalg.norm(start, axis=-1, keepdims=True)
    unit_end = end / np.linalg.norm(end, axis=-1, keepdims=True)
    cosine = np.clip(np.sum(unit_start * unit_end, axis=-1, keepdims=True), -1, 1)
    angle = np.arccos(cosine)
    sine = np.sin(angle)
    near = sine < 1e-6
    sine = np.where(near, 1.0, sine)
    first = np.where(near, 1 - share, np.sin((1 - share) * angle) / sine)
    second = np.where(near, share, np.sin(share * angle) / sine)
    return (first * start + second * end).astype("float32")


def walk(stations, steps, closed=True):
    """A walk over the sphere along `stations` (n, d): `steps` frames from each to the
    next, and with `closed` back to the first, for a film without a seam.

    Returns float32 (n * steps, d), or ((n - 1) * steps + 1, d) when it ends at the last
    one. Raises ValueError for fewer than two stations or one step.
    """
    images.at_least(1, steps=steps)
    stations = np.asarray(stations, "float32")
    if stations.ndim != 2 or len(stations) < 2:
        raise ValueError(f"A walk needs stations (n >= 2, d), not {stations.shape}.")
    ends = np.roll(stations, -1, axis=0) if closed else stations[1:]
    shares = np.arange(steps) / steps
    frames = [
        slerp(start, end, share)
        for start, end in zip(stations, ends, strict=False)
        for share in shares
    ]
    return np.stack(frames if closed else [*frames, stations[-1]])


def direction(latents, values):
    """The direction in which `values` (n,) rise, and how much of them it explains.

    Linear regression of the values on latents (n, d), each scaled to a mean square of
    one, with a ridge of one picture. Returns (unit vector (d,) float32, share of
    the variance explained in fivefold cross-validation, at most 1; 0 or below means
    that there is no such direction). NaN values are left out. Raises ValueError for
    fewer than 20 values.
    """
    x, y = _scaled(latents), np.asarray(values, "float64")
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    if len(y) < 20:
        raise ValueError(
            f"{len(y)} values are too few for a direction; use 20 or more."
        )
    fold = np.arange(len(y)) % 5
    wrong = 0.0
    for held in range(5):
        known = fold != held
        weights, offset = _fit(x[known], y[known])
        wrong += np.sum((y[~known] - x[~known] @ weights - offset) ** 2)
    explained = 1 - wrong / max(np.sum((y - y.mean()) ** 2), 1e-12)
    weights, _ = _fit(x, y)
    return (weights / np.linalg.norm(weights)).astype("float32"), float(explained)


def along(latents, towards, amounts):
    """Moves latents (n, d) in a direction (d,) by each of `amounts`, in units of their
    own length, and keeps that length: float32 (n, len(amounts), d)."""
    latents = np.asarray(latents, "float64")[:, None]
    length = np.linalg.norm(latents, axis=-1, keepdims=True)
    amounts = np.asarray(amounts, "float64")[None, :, None]
    moved = latents + amounts * length * np.asarray(towards, "float64")
    return (moved * length / np.linalg.norm(moved, axis=-1, keepdims=True)).astype(
        "float32"
    )


def _scaled(latents):
    latents = np.asarray(latents, "float64")
    return latents / np.sqrt(np.mean(latents**2, axis=-1, keepdims=True) + 1e-8)


def _fit(x, y):
    centre = x.mean(0)
    inner = (x - centre).T @ (x - centre) + RIDGE * np.eye(x.shape[1])
    weights = np.linalg.solve(inner, (x - centre).T @ (y - y.mean()))
    return weights, y.mean() - centre @ weights


def sample(generator, count, seed=0, batch=None):
    """The first `count` pictures of `generator` for the fixed latents of `seed`.

    Returns and raises what `paint` does.
    """
    images.at_least(1, count=count)
    return paint(generator, draw(count, generator.input_shape[-1], seed), batch)


def paint(generator, latents, batch=None):
    """The pictures of latents (n, d): uint8 (n, s, s, c).

    With four channels they are premultiplied RGBA, colours cut to at most alpha. Raises
    ValueError without latents, or where these, or what is drawn, are no numbers.
    batch: how many at a time; None: as many as memory likes.
    """
    images.at_least(1, latents=len(latents), batch=batch or 1)
    if not np.isfinite(latents).all():
        raise ValueError("Some latents are NaN or infinite; draw() gives usable ones.")
    pictures = images.to_uint8(generate(generator, latents, batch))
    if pictures.shape[-1] == 4:
        pictures[..., :3] = np.minimum(pictures[..., :3], pictures[..., 3:])
    return pictures


def generate(generator, latents, batch=None):
    """What a generator makes of latents (n, d): floats (n, s, s, c) in [-1, 1]."""
    import keras  # walks and directions need NumPy only

    batch = batch or _at_a_time(generator)
    parts = [
        keras.ops.convert_to_numpy(generator(latents[i : i + batch], training=False))
        for i in range(0, len(latents), batch)
    ]
    return np.concatenate(parts)


def _at_a_time(generator):
    """64 pictures of up to 64 px, and fewer of larger ones: a network keeps all maps of
    a batch until it is done."""
    side = generator.output_shape[1]
    return min(64, max(1, 2 ** int(math.log2(64 * (64 / side) ** 2))))


def recalibrate(generator, count=512, seed=0, batch=None):
    """Measures a generator's batch statistics anew, from `count` latents.

    Those of an averaged generator were collected by another one, the raw one: with
    foreign statistics its colours are washed out.
    """
    from pokeutils.layers import batch_norms

    norms = batch_norms(generator)
    if not norms:
        return
    batch = batch or _at_a_time(generator)
    latents = draw(count, generator.input_shape[-1], seed)
    momenta = [norm.momentum for norm in norms]
    for number, start in enumerate(range(0, count, batch)):
        for norm in norms:  # so that they end as the means of all batches
            norm.momentum = number / (number + 1)
        generator(latents[start : start + batch], training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def hatch(generator, target, count=64, seed=0):
    """Draws `count` new creatures into the folder `target`: PNGs
    <seed>-<number>.png, transparent if they can be, and a sheet of all. Returns them,
    uint8 (count, s, s, c).

    The same seed gives the same creatures, however many of them. Raises ValueError
    unless count is positive and seed a whole number from 0 on.
    """
    images.at_least(0, seed=seed)
    target, pictures = pathlib.Path(target), sample(generator, count, seed)
    straight = pictures
    if pictures.shape[-1] == 4:
        straight = images.unpremultiply(pictures)
    for number, picture in enumerate(straight):
        plots.save_png(target / f"{seed}-{number:03d}.png", picture)
    plots.save_png(target / f"{seed}-sheet.png", plots.tile(pictures))
    return pictures
