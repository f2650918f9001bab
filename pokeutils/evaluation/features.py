"""Frozen feature networks: pictures in, vectors out, to measure pictures with.

`lite0` and `fid` know ImageNet, and their weights come inside pip packages, so no model
hub and no account are needed. `random_conv` has learned nothing: a second opinion that
has never seen a photograph. `application` is any network of keras.applications.
"""

import contextlib
import re
import sys
from pathlib import Path

import keras
import numpy as np
from threadpoolctl import threadpool_limits

from pokeutils.common import device, files, images
from pokeutils.common.backbones import fid_model, lite0_model, random_model

VERSION = 2  # in the names of cached features: raise it whenever features change


# ------------------------------------------------------------------ the interface


class FeatureNetwork:
    """A frozen network behind a fixed resize; call it on pictures.

    `name` says which network and input size, `dimensions` is the length of a vector,
    `weights` the beginning of the sha256 of its weights, `dtype` its arithmetic.
    """

    def __init__(self, name, model, size, dtype="float32"):
        self.name, self.model, self.size, self.dtype = name, model, size, dtype
        self.dimensions = model.output_shape[-1]
        values = (np.ascontiguousarray(one) for one in model.get_weights())
        self.weights = files.sha256(b"".join(one.tobytes() for one in values))[:8]

    def __call__(self, pictures, background=255, batch=32, cache=None, progress=None):
        """Returns float32 features (n, dimensions) of pictures (n, h, w, 3 or 4).

        Pictures are uint8, or float in [-1, 1], which is rounded to uint8 first. Four
        channels are premultiplied RGBA and go on a grey `background` (0..255).
        `cache`: a folder that keeps the result, found again by the pictures' own hash.
        `progress`: called with the number of pictures done. ValueError for anything
        that is not such pictures, RuntimeError should the network answer NaN.
        """
        pictures = on_ground(pictures, background)
        path = cache and Path(cache) / self._file(pictures)
        found = self._kept(path, len(pictures)) if path else None
        if found is None:
            found = self._compute(pictures, min(batch, len(pictures)), progress)
            if path:
                with files.atomic(path) as temporary:
                    np.save(temporary, found)
        return found

    def _compute(self, pictures, batch, progress):
        found = np.empty((len(pictures), self.dimensions), "float32")
        for start in range(0, len(pictures), batch):
            chunk = pictures[start : start + batch]
            # NumPy's threads would only wait for those of the network.
            with threadpool_limits(1, user_api="blas"):
                pixels = resize(chunk, self.size)
            # The last chunk is padded: one shape, so the graph is compiled once.
            pixels = np.pad(pixels, ((0, batch - len(chunk)), (0, 0), (0, 0), (0, 0)))
            vectors = np.asarray(self.model.predict_on_batch(pixels), "float32")
            found[start : start + len(chunk)] = vectors[: len(chunk)]
            if progress:
                progress(start + len(chunk))
        if not np.isfinite(found).all():
            raise RuntimeError(f"{self.name} answered NaN or infinity in {self.dtype}.")
        return found

    def _file(self, pictures):
        content = files.sha256(f"{pictures.shape} ".encode() + pictures.tobytes())
        parts = (self.name, self.weights, self.dtype, f"v{VERSION}", content[:16])
        return f"features-{'-'.join(parts)}.npy".replace(":", "-")

    def _kept(self, path, count):
        # A file that another program broke is no reason to stop: compute it again.
        with contextlib.suppress(OSError, ValueError, EOFError):
            found = np.load(path, allow_pickle=False)
            if found.shape == (count, self.dimensions) and np.isfinite(found).all():
                return found
        return None


# ------------------------------------------------------------------ the networks


def named(name):
    """Returns the network of that name: "lite0" (or "lite0-128", for 128 px), "fid",
    "random" (or "random1", for seed 1) or "keras:MobileNetV3Small"; ValueError else."""
    kind, _, rest = name.partition(":")
    if kind == "keras":
        return application(rest)
    if name == "fid":
        return fid()
    found = re.fullmatch(r"(lite0)(?:-(\d+))?|(random)(\d+)?", name)
    if found:
        build = lite0 if found[1] else random_conv
        number = found[2] or found[4]
        return build(int(number)) if number else build()
    raise ValueError(
        f"No feature network {name!r}: expected lite0, lite0-<px>, fid, random, "
        "random<seed> or keras:<network of keras.applications>."
    )


def lite0(size=224, dtype=None):
    """EfficientNet-Lite0: 1280 pooled features of pictures resized to `size`.

    224 is what it was trained on and tells pictures apart best; 128 takes a third of
    the time. `dtype`: see `arithmetic`.
    """
    dtype = dtype or arithmetic()
    return FeatureNetwork(f"lite0-{size}", lite0_model("features", dtype), size, dtype)


def fid(dtype=None):
    """The Inception network of the FID: 2048 features. Six times as slow as `lite0`.

    Pictures are resized as clean-fid does, so values compare with "clean" FIDs of as
    many pictures of the same kind. RuntimeError when its package, an extra, is missing.
    """
    dtype = dtype or arithmetic()
    return FeatureNetwork("fid", fid_model(dtype), 299, dtype)


def random_conv(seed=0, size=64):
    """A random network that has learned nothing: 1440 features, quick to compute.

    Random networks rank generators much as trained ones do (Naeem et al. 2020; Lee et
    al. 2022) and share none of ImageNet's habits. `seed` picks one of many.
    """
    return FeatureNetwork(f"random{seed}-{size}", random_model(seed), size)


def application(name, size=224, weights="imagenet"):
    """The network `name` of keras.applications, without its classes, averaged.

    Fetches the weights of ImageNet on first use (Keras checks their hash and keeps
    them). ValueError for an unknown name, RuntimeError when they cannot be fetched.
    `weights` is handed to Keras; None leaves the network untrained.
    """
    build = getattr(keras.applications, name, None)
    if not callable(build):
        known = [one for one in dir(keras.applications) if one[0].isupper()]
        raise ValueError(f"keras.applications has {', '.join(known)}; not {name!r}.")
    settings = dict(include_top=False, pooling="avg", input_shape=(size, size, 3))
    try:
        body = build(weights=weights, **settings)
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise RuntimeError(
            f"The weights of keras.applications.{name} could not be fetched ({error}). "
            'That needs the network once; "lite0" and "fid" come with pip packages.'
        ) from error
    pixels = keras.Input((size, size, 3), dtype="float32")
    preprocess = sys.modules[build.__module__].preprocess_input
    model = keras.Model(pixels, body(preprocess(pixels), training=False), name=name)
    model.trainable = False
    return FeatureNetwork(f"keras:{name}-{size}", model, size)


def arithmetic():
    """Returns "mixed_bfloat16" on CPUs that compute in bfloat16, else "float32".

    bfloat16 is several times as fast there, and changes a Fréchet distance by less than
    a real half differs from another. GPUs are fast enough in float32.
    """
    on_cpu = device.accelerator() == "cpu"
    fast = on_cpu and device.compute_dtype() == "mixed_bfloat16"
    return "mixed_bfloat16" if fast else "float32"


# ------------------------------------------------------------------ pictures


def on_ground(pictures, background=255):
    """Checks pictures and returns them on a grey `background`: uint8 RGB (n, h, w, 3).

    Takes uint8, or float in [-1, 1]; RGB, or premultiplied RGBA. ValueError for all
    else: another range, NaN, sizes that differ, straight alpha.
    """
    if isinstance(pictures, (list, tuple)) and len({np.shape(p) for p in pictures}) > 1:
        shapes = sorted({np.shape(picture) for picture in pictures})
        raise ValueError(f"All pictures must have one size; these have {shapes}.")
    shape, dtype = getattr(pictures, "shape", ()), getattr(pictures, "dtype", None)
    if dtype is None or len(shape) != 4 or shape[-1] not in (3, 4) or 0 in shape:
        raise ValueError(
            "Expected an array of pictures (n, height, width, 3 or 4), n > 0; got "
            f"{dtype or type(pictures).__name__} {tuple(shape)}."
        )
    if np.issubdtype(dtype, np.floating):
        pictures = _rounded(pictures)
    elif dtype != np.uint8:
        raise ValueError(f"Expected uint8, or float in [-1, 1]; got {dtype}.")
    if shape[-1] == 3:
        return pictures
    over = pictures[..., :3].max(-1).astype("int16") - pictures[..., 3]
    if over.max() > 2:  # rounding may cost one or two levels, straight alpha more
        raise ValueError(
            "Some colours are brighter than their alpha allows: this is straight "
            "RGBA. Use images.premultiply first."
        )
    return images.composite(pictures, background)


def _rounded(pictures):
    low, high = pictures.min(), pictures.max()
    if not np.isfinite([low, high]).all():
        raise ValueError("Some pixels are NaN or infinite: the generator has diverged.")
    if low < -1.01 or high > 1.01 or low >= 0:
        raise ValueError(
            f"Expected floats in [-1, 1]; these go from {low:.3g} to {high:.3g}, which "
            "looks like another range. Convert them to uint8 first."
        )
    return np.rint((pictures.clip(-1, 1) + 1) * 127.5).astype("uint8")


def resize(pictures, size):
    """Resizes (n, h, w, c) to (n, size, size, c), float32, antialiased, range 0..255.

    Bicubic as Pillow does it in float, without rounding to 8 bits between: other
    resizers alias, and that moves metrics (Parmar et al. 2022, "clean-fid").
    """
    count, height, width, channels = pictures.shape
    rows, columns = _bicubic(height, size), _bicubic(width, size)
    pictures = pictures.astype("float32").reshape(count, height, width * channels)
    pictures = np.matmul(rows, pictures).reshape(count * size, width, channels)
    pictures = np.matmul(columns, pictures).reshape(count, size, size, channels)
    return np.clip(pictures, 0, 255, out=pictures)


def _bicubic(source, target):
    """The matrix (target, source) that resamples a line of pixels by Keys' cubic.

    Shrinking stretches the kernel by the same factor: that is the antialiasing.
    """
    scale = source / target
    centres = (np.arange(target) + 0.5) * scale - 0.5
    x = np.abs(centres[:, None] - np.arange(source)) / max(scale, 1)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0))
    return (weights / weights.sum(1, keepdims=True)).astype("float32")
