"""Frozen feature networks: pictures in, vectors out, to measure pictures with.

`lite0` and `fid` know ImageNet, and their weights come inside pip packages, so no model
hub and no account are needed. `random_conv` has learned nothing: a second opinion that
has never seen a photograph.
"""

import contextlib
import re
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from pokeutils.common import device, files, images
from pokeutils.common.backbones import fid_model, lite0_model, random_model

BATCH = 32  # pictures at a time
VERSION = 2  # in the names of cached features: raise it whenever features change


class FeatureNetwork:
    """A frozen network behind a fixed resize; call it on pictures.

    `name` says which network and input size, `dimensions` is the length of a vector,
    `weights` the beginning of the sha256 of its weights, `dtype` its arithmetic.
    """

    def __init__(self, name, model, size, dtype="float32"):
        self.name, self.model, self.size, self.dtype = name, model, size, dtype
        self.dimensions = model.output_shape[-1]
        arrays = (np.ascontiguousarray(weight) for weight in model.get_weights())
        self.weights = files.sha256(b"".join(a.tobytes() for a in arrays))[:8]

    def __call__(self, pictures, background=255, cache=None):
        """Returns float32 features (n, dimensions) of uint8 pictures (n, h, w, 3 or 4);
        premultiplied RGBA goes on a grey `background`.

        `cache`: a folder that keeps the result, found again by the pictures' own hash.
        Raises ValueError for anything else, RuntimeError if the network answers NaN.
        """
        pictures = on_background(pictures, background)
        path = cache and Path(cache) / self._file(pictures)
        vectors = self._kept(path, len(pictures)) if path else None
        if vectors is None:
            vectors = self._compute(pictures, min(BATCH, len(pictures)))
            if path:
                with files.atomic(path) as temporary:
                    np.save(temporary, vectors)
        return vectors

    def _compute(self, pictures, batch):
        vectors = np.empty((len(pictures), self.dimensions), "float32")
        for start in range(0, len(pictures), batch):
            chunk = pictures[start : start + batch]
            # NumPy's threads would only wait for those of the network.
            with threadpool_limits(1, user_api="blas"):
                pixels = resize(chunk, self.size)
            # The last chunk is padded: one shape, so the graph is compiled once.
            pixels = np.pad(pixels, ((0, batch - len(chunk)), (0, 0), (0, 0), (0, 0)))
            answer = np.asarray(self.model.predict_on_batch(pixels), "float32")
            vectors[start : start + len(chunk)] = answer[: len(chunk)]
        if not np.isfinite(vectors).all():
            raise RuntimeError(f"{self.name} answered NaN or infinity in {self.dtype}.")
        return vectors

    def _file(self, pictures):
        content = files.sha256(f"{pictures.shape} ".encode() + pictures.tobytes())
        parts = (self.name, self.weights, self.dtype, f"v{VERSION}", content[:16])
        return f"features-{'-'.join(parts)}.npy"

    def _kept(self, path, count):
        # A file that another program broke is no reason to stop: compute it again.
        with contextlib.suppress(OSError, ValueError, EOFError):
            vectors = np.load(path, allow_pickle=False)
            shape = (count, self.dimensions)
            if vectors.shape == shape and np.isfinite(vectors).all():
                return vectors
        return None


def named(name):
    """Returns the network of that name: "lite0" (or "lite0-128", for 128 px), "fid" or
    "random" (or "random1", for seed 1). Raises ValueError for any other."""
    if name == "fid":
        return fid()
    match = re.fullmatch(r"(lite0)(?:-(\d+))?|(random)(\d+)?", name)
    if not match:
        raise ValueError(
            f"No feature network {name!r}: expected lite0, lite0-<px>, fid, random or "
            "random<seed>."
        )
    build, number = lite0 if match[1] else random_conv, match[2] or match[4]
    return build(int(number)) if number else build()


def available(names, show=print):
    """Returns {title: network} for {title: name}, without those whose weights are not
    here and cannot be fetched: an optional package, or no network. Says which."""
    networks = {}
    for title, name in names.items():
        try:
            networks[title] = named(name)
        except RuntimeError as error:
            show(f"{title} is left out: {error}")
    return networks


def lite0(size=224, dtype=None):
    """Returns EfficientNet-Lite0: 1280 pooled features of pictures resized to `size`.
    It was trained on 224 px; at 128 it sees less, in a third of the time."""
    dtype = dtype or _fastest_dtype()
    return FeatureNetwork(f"lite0-{size}", lite0_model("features", dtype), size, dtype)


def fid(dtype=None):
    """Returns the Inception network of the FID: 2048 features of pictures resized as
    clean-fid does. Raises RuntimeError without its package, an extra."""
    dtype = dtype or _fastest_dtype()
    return FeatureNetwork("fid", fid_model(dtype), 299, dtype)


def random_conv(seed=0, size=64):
    """Returns a random network that has learned nothing: 1440 features, quick. Such
    networks rank generators much as trained ones do (Naeem et al. 2020)."""
    return FeatureNetwork(f"random{seed}-{size}", random_model(seed), size)


def _fastest_dtype():
    # bfloat16 is several times as fast on CPUs that compute in it, and changes a
    # Fréchet distance by less than one real half differs from another.
    on_cpu = device.accelerator() == "cpu"
    fast = on_cpu and device.compute_dtype() == "mixed_bfloat16"
    return "mixed_bfloat16" if fast else "float32"


def on_background(pictures, background=255):
    """Returns uint8 pictures on a grey `background`, as RGB (n, h, w, 3). Raises
    ValueError for other arrays, sizes that differ, straight alpha."""
    pictures = images.check(pictures)
    images.check_premultiplied(pictures)
    return images.over(pictures, background)


def resize(pictures, size):
    """Resizes (n, h, w, c) to (n, size, size, c), float32 in 0..255: bicubic as Pillow
    does it in float. Other resizers alias, which moves metrics (Parmar et al. 2022)."""
    count, height, width, channels = pictures.shape
    rows, columns = _bicubic(height, size), _bicubic(width, size)
    pictures = pictures.astype("float32").reshape(count, height, width * channels)
    pictures = np.matmul(rows, pictures).reshape(count * size, width, channels)
    pictures = np.matmul(columns, pictures).reshape(count, size, size, channels)
    return np.clip(pictures, 0, 255, out=pictures)


def _bicubic(source, target):
    """Returns the matrix (target, source) that resamples a line by Keys' cubic (1981),
    stretched where it shrinks: that is the antialiasing."""
    scale = source / target
    centres = (np.arange(target) + 0.5) * scale - 0.5
    x = np.abs(centres[:, None] - np.arange(source)) / max(scale, 1)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0))
    return (weights / weights.sum(1, keepdims=True)).astype("float32")
