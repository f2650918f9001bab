"""Latent vectors: fixed draws and walks between them (NumPy only)."""

import numpy as np


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
