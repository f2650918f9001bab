"""Converts this project's networks to a list of plain steps, for where there is no
Keras: network.js takes them in a browser.

Weights are stored in half precision, and the large matrices of dense layers in eight
bits: in a generator most weights are in one of those, between latent and first pixels.
On request, large kernels are as well.
"""

import keras
import numpy as np
from keras import layers

from pokeutils.layers import FusedBatchNorm, Palette, SelfModulation, UnitLatent

LARGE = 2**16  # weights; a matrix of so many is stored in eight bits


def convert(model, coarse_kernels=False):
    """Returns (graph, weights) of a functional Keras model with one input and output.

    coarse_kernels: store the large kernels of convolutions in eight bits, too
    graph: a dict for JSON.
        "input" is the shape of one input.
        "steps" are in order; each has an "op", "of", the numbers of the values that it
        takes (0 is the input, k the result of step k), and settings. Settings that name
        weights are numbers of rows in "weights".
        "weights" has per array where it starts and its shape: kernels are (height,
        width, in, out), those of transposed convolutions (height, width, out, in).
        "halves" is the number of float16 weights, which come first.
        "coarse" is {number of an array in int8: number of the array of its scales}; the
        start of such an array counts the bytes after the halves.
        "output" is the number of a value.
    weights: all arrays as bytes, little-endian float16, then the matrices of at least
        `LARGE` weights as int8, where 127 stands for the column's largest size.
    Raises ValueError for a layer that it does not know and for weights that half
    precision cannot hold.
    """
    if not hasattr(model, "operations") or len(model.inputs + model.outputs) != 2:
        raise ValueError(
            f"{model.name} must be a functional model with one input and one output."
        )
    writer, values = _Writer(), {id(model.inputs[0]): 0}
    for layer in model.operations:
        if not isinstance(layer, layers.InputLayer):
            of = layer.input if isinstance(layer.input, list) else [layer.input]
            inputs = [values[id(tensor)] for tensor in of]
            values[id(layer.output)] = _step(writer, layer, *inputs)
    graph, weights = writer.finish(values[id(model.outputs[0])], coarse_kernels)
    return {"input": list(model.input_shape[1:]), **graph}, weights


class _Writer:
    """Collects steps and arrays."""

    def __init__(self):
        self.steps, self.arrays = [], []

    def step(self, op, *of, **settings):
        """Adds a step; returns the number of its value. Arrays become numbers."""
        for name, setting in settings.items():
            if isinstance(setting, np.ndarray):
                settings[name] = len(self.arrays)
                self.arrays.append(setting)
        self.steps.append({"op": op, "of": list(of), **settings})
        return len(self.steps)

    def finish(self, output, coarse_kernels):
        """Returns the graph and the weights; see `convert`."""
        coarse = {}  # what is stored in eight bits, and its scales
        for number, array in list(enumerate(self.arrays)):
            if array.size >= LARGE and (array.ndim == 2 or coarse_kernels):
                coarse[number] = len(self.arrays)
                self.arrays.append(np.abs(array).reshape(-1, array.shape[-1]).max(0))
        rows, halves, eights, counts = [], [], [], [0, 0]
        for number, array in enumerate(self.arrays):
            with np.errstate(over="ignore"):
                half = array.astype("<f2")
            if not np.isfinite(half).all():
                raise ValueError("A weight is NaN, or too large for half precision.")
            rows.append([counts[number in coarse], *array.shape])
            counts[number in coarse] += array.size
            if number in coarse:
                largest = np.maximum(self.arrays[coarse[number]], 1e-30)
                eights.append(np.rint(127 * array / largest).astype("int8").tobytes())
            else:
                halves.append(half.tobytes())
        graph = {
            "steps": self.steps,
            "weights": rows,
            "halves": counts[False],
            "coarse": coarse,
            "output": output,
        }
        return graph, b"".join(halves + eights)


# One rule per layer -------------------------------------------------------------------


def _step(writer, layer, *inputs):
    """Adds what a layer does, its activation included; returns the value's number."""
    rule = next((RULES[kind] for kind in type(layer).__mro__ if kind in RULES), None)
    if rule is None:
        known = ", ".join(sorted(kind.__name__ for kind in RULES))
        raise ValueError(
            f"{layer.name} is a {type(layer).__name__}, which a page cannot compute. "
            f"It knows {known}: use a generator of these, such as modern64's."
        )
    value = rule(writer, layer, *inputs)
    name = getattr(getattr(layer, "activation", None), "__name__", "linear")
    if name not in ("linear", "tanh"):
        raise ValueError(f"{layer.name}: a page cannot compute the activation {name}.")
    return value if name == "linear" else writer.step(name, value)


def _numbers(tensor):
    return keras.ops.convert_to_numpy(tensor).astype("float64")


def _weights(layer):
    """Returns kernel and bias, zeros where a layer has none."""
    kernel = _numbers(layer.kernel)
    width = kernel.shape[-2 if isinstance(layer, layers.Conv2DTranspose) else -1]
    bias = _numbers(layer.bias) if layer.use_bias else np.zeros(width)
    return {"kernel": kernel, "bias": bias}


def _convolution(writer, layer, x):
    if layer.dilation_rate not in (1, (1, 1)) or getattr(layer, "groups", 1) != 1:
        raise ValueError(f"{layer.name}: a page knows no dilation and no groups.")
    settings = {"stride": layer.strides[0], "pad": layer.padding, **_weights(layer)}
    if not isinstance(layer, layers.Conv2DTranspose):
        return writer.step("conv", x, **settings)
    size = list(layer.output.shape[1:3])  # several could come out of it
    return writer.step("transposed", x, size=size, **settings)


def _batch_norm(writer, layer, x):
    scale = _numbers(layer.gamma) if layer.gamma is not None else 1.0
    scale = scale / np.sqrt(_numbers(layer.moving_variance) + layer.epsilon)
    shift = -_numbers(layer.moving_mean) * scale
    shift = shift if layer.beta is None else shift + _numbers(layer.beta)
    return writer.step("affine", x, scale=scale, shift=shift)


def _normalization(writer, layer, x):
    mean, variance = (_numbers(v).reshape(-1) for v in (layer.mean, layer.variance))
    scale, shift = np.sqrt(variance), mean
    if not layer.invert:
        scale, shift = 1 / scale, -mean / scale
    return writer.step("affine", x, scale=scale, shift=shift)


def _rescaling(writer, layer, x):
    scale, shift = np.array([layer.scale]), np.array([layer.offset])
    return writer.step("affine", x, scale=scale, shift=shift)


def _modulation(writer, layer, x, z):
    """Takes one product with the latent, which gives 1 + a(z) and b(z) side by side."""
    scale, shift = _weights(layer.scale), _weights(layer.shift)
    kernel = np.concatenate([scale["kernel"], shift["kernel"]], axis=1)
    bias = np.concatenate([scale["bias"] + 1, shift["bias"]])
    return writer.step("modulate", x, writer.step("dense", z, kernel=kernel, bias=bias))


def _palette(writer, layer, scores, z):
    colours = writer.step("tanh", writer.step("dense", z, **_weights(layer.colours)))
    return writer.step("palette", scores, colours)


def _upsampling(writer, layer, x):
    size, how = list(layer.output.shape[1:3]), layer.interpolation
    if how != "bilinear":
        raise ValueError(f"{layer.name}: a page cannot interpolate by {how}.")
    return writer.step(how, x, size=size)


def _relu(writer, layer, x):
    if (layer.max_value, layer.negative_slope, layer.threshold) != (None, 0, 0):
        raise ValueError(f"{layer.name}: a page knows only the plain ReLU.")
    return writer.step("relu", x)


RULES = {
    layers.Add: lambda writer, layer, *values: writer.step("sum", *values),
    layers.Dense: lambda writer, layer, x: writer.step("dense", x, **_weights(layer)),
    layers.Conv2D: _convolution,
    layers.Conv2DTranspose: _convolution,
    FusedBatchNorm: _batch_norm,
    layers.BatchNormalization: _batch_norm,
    layers.Normalization: _normalization,
    SelfModulation: _modulation,
    UnitLatent: lambda writer, layer, z: writer.step("unit", z),
    Palette: _palette,
    layers.ReLU: _relu,
    layers.LeakyReLU: lambda writer, layer, x: writer.step(
        "leaky", x, slope=float(layer.negative_slope)
    ),
    layers.Activation: lambda writer, layer, x: x,  # `_step` adds it
    layers.Reshape: lambda writer, layer, x: writer.step(
        "reshape", x, shape=list(layer.output.shape[1:])
    ),
    layers.UpSampling2D: _upsampling,
    layers.Rescaling: _rescaling,
    layers.Add: lambda writer, layer, *all: writer.step("add", *all),
    layers.Multiply: lambda writer, layer, *all: writer.step("multiply", *all),
    layers.Concatenate: lambda writer, layer, *all: writer.step("join", *all),
}
