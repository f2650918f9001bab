"""Converts trained networks to a list of plain steps, for where there is no Keras.

What is constant after training is folded: batch norm into the weights before it.
Weights are stored in half precision, and the large matrices of dense layers in eight
bits: in a generator most weights are in one of those, between latent and first pixels.
"""

import collections

import keras
import numpy as np
from keras import layers

from pokeutils.layers import (
    FusedBatchNorm,
    Palette,
    SelfModulation,
    TypedLatent,
    UnitLatent,
)

LARGE = 2**16  # weights; a matrix of so many is stored in eight bits
ACTIVATIONS = ("relu", "relu6", "tanh", "sigmoid")


def convert(model):
    """Returns (graph, weights) of a functional Keras model with one input and output.

    graph: a dict for JSON.
        "steps" are in order; each has an "op", "of", the numbers of the values that it
        takes (0 is the input, k the result of step k), and settings. Settings that name
        weights are numbers of rows in "weights".
        "weights" has per array where it starts and its shape: kernels are (height,
        width, in, out), those of transposed convolutions (height, width, out, in).
        "halves" is the number of float16 weights, which come first.
        "coarse" is {number of a matrix in int8: number of the array of its scales}; the
        start of such a matrix counts the bytes after the halves.
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
    order = [x for x in model.operations if not isinstance(x, layers.InputLayer)]
    readers = collections.Counter(
        id(tensor) for layer in order for tensor in _listed(layer.input)
    )
    writer, values = _Writer(), {id(model.inputs[0]): 0}
    for layer in order:
        inputs = [values[id(tensor)] for tensor in _listed(layer.input)]
        value = _activate(writer, layer, _rule(layer)(writer, layer, *inputs))
        values[id(layer.output)] = value
        if readers[id(layer.output)] > 1:
            writer.shared.add(value)
    return writer.finish(values[id(model.outputs[0])])


def _listed(tensors):
    return tensors if isinstance(tensors, (list, tuple)) else [tensors]


class _Writer:
    """Collects steps and arrays. `shared` are the values that several layers read."""

    def __init__(self):
        self.steps, self.arrays, self.shared = [], [], {0}

    def step(self, op, *of, **settings):
        """Adds a step; returns the number of its value."""
        self.steps.append({"op": op, "of": list(of), **settings})
        return len(self.steps)

    def keep(self, array):
        """Adds an array of weights; returns its number."""
        self.arrays.append(np.asarray(array, "float64"))
        return len(self.arrays) - 1

    def affine(self, value, scale, shift):
        """Scales and shifts per channel, in the weights before it where that is exact.

        Returns the number of the value that comes of it.
        """
        source = value
        if value and self.steps[value - 1]["op"] == "reshape":
            source = self.steps[value - 1]["of"][0]
        before = {} if {value, source} & self.shared else self.steps[source - 1]

        # A step of its own, where nothing before it can be changed.
        if before.get("op") not in ("dense", "conv", "transposed"):
            scale, shift = self.keep(scale), self.keep(shift)
            return self.step("affine", value, scale=scale, shift=shift)

        kernel, bias = before["kernel"], before["bias"]
        times = self.arrays[bias].size // scale.size  # of a dense layer, reshaped
        scale, shift = np.tile(scale, times), np.tile(shift, times)
        wide = scale[:, None] if before["op"] == "transposed" else scale
        self.arrays[kernel] = self.arrays[kernel] * wide
        self.arrays[bias] = self.arrays[bias] * scale + shift
        return value

    def finish(self, output):
        """Returns the graph and the weights; see `convert`."""
        large = [
            number
            for number, array in enumerate(self.arrays)
            if array.ndim == 2 and array.size >= LARGE
        ]
        coarse = {n: self.keep(np.abs(self.arrays[n]).max(0)) for n in large}
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


def _rule(layer):
    for kind in type(layer).__mro__:
        if kind in RULES:
            return RULES[kind]
    if isinstance(layer, TypedLatent):
        raise ValueError(
            f"{layer.name} chooses the types of the creatures, and the hatchery has no "
            "buttons for these. Use a generator without types, such as modern64's."
        )
    known = ", ".join(sorted(kind.__name__ for kind in RULES))
    raise ValueError(
        f"{layer.name} is a {type(layer).__name__}, which cannot be converted. Known "
        f"are {known}: build the network of these, or write a rule for it."
    )


def _activate(writer, layer, value):
    name = getattr(getattr(layer, "activation", None), "__name__", "linear")
    if name == "linear":
        return value
    if name not in ACTIVATIONS:
        raise ValueError(f"{layer.name}: the activation {name} cannot be converted.")
    return writer.step(name, value)


def _numbers(tensor):
    return keras.ops.convert_to_numpy(tensor).astype("float64")


def _linear(op):
    def rule(writer, layer, x):
        kernel = _numbers(layer.kernel)
        wide = {"dense": -1, "conv": -1, "transposed": -2}.get(op)
        width = kernel.shape[wide] if wide else kernel.shape[-2] * kernel.shape[-1]
        bias = _numbers(layer.bias) if layer.use_bias else np.zeros(width)
        settings = {"kernel": writer.keep(kernel), "bias": writer.keep(bias)}
        if op != "dense":
            plain = getattr(layer, "dilation_rate", (1, 1)) in (1, (1, 1))
            if not plain or getattr(layer, "groups", 1) != 1:
                raise ValueError(f"{layer.name}: dilation and groups are not known.")
            settings |= {"stride": layer.strides[0], "pad": layer.padding}
        if op == "transposed":  # several sizes could come out of it
            settings["size"] = list(layer.output.shape[1:3])
        return writer.step(op, x, **settings)

    return rule


def _batch_norm(writer, layer, x):
    scale = _numbers(layer.gamma) if layer.gamma is not None else 1.0
    scale = scale / np.sqrt(_numbers(layer.moving_variance) + layer.epsilon)
    shift = -_numbers(layer.moving_mean) * scale
    if layer.beta is not None:
        shift = shift + _numbers(layer.beta)
    return writer.affine(x, scale, shift)


def _normalization(writer, layer, x):
    mean, spread = (
        _numbers(v).reshape(-1) for v in (layer.mean, keras.ops.sqrt(layer.variance))
    )
    if layer.invert:
        return writer.affine(x, spread, mean)
    return writer.affine(x, 1 / spread, -mean / spread)


def _modulation(writer, layer, x, z):
    """Takes one product with the latent, which gives 1 + a(z) and b(z) side by side."""
    kernels = [_numbers(part.kernel) for part in (layer.scale, layer.shift)]
    biases = [_numbers(layer.scale.bias) + 1, _numbers(layer.shift.bias)]
    kernel = writer.keep(np.concatenate(kernels, axis=1))
    both = writer.step(
        "dense", z, kernel=kernel, bias=writer.keep(np.concatenate(biases))
    )
    return writer.step("modulate", x, both)


def _palette(writer, layer, scores, z):
    dense = layer.colours
    kernel, bias = (writer.keep(_numbers(v)) for v in (dense.kernel, dense.bias))
    colours = writer.step("tanh", writer.step("dense", z, kernel=kernel, bias=bias))
    return writer.step("palette", scores, colours)


def _upsampling(writer, layer, x):
    size, how = list(layer.output.shape[1:3]), layer.interpolation
    if how not in ("nearest", "bilinear"):
        raise ValueError(f"{layer.name}: {how} interpolation cannot be converted.")
    return writer.step(how, x, size=size)


def _relu(writer, layer, x):
    if (layer.max_value, layer.negative_slope, layer.threshold) == (None, 0, 0):
        return writer.step("relu", x)
    raise ValueError(f"{layer.name}: only a plain ReLU can be converted.")


def _reshape(writer, layer, x):
    return writer.step("reshape", x, shape=list(layer.output.shape[1:]))


RULES = {
    layers.Dense: _linear("dense"),
    layers.Conv2D: _linear("conv"),
    layers.Conv2DTranspose: _linear("transposed"),
    layers.DepthwiseConv2D: _linear("depthwise"),
    FusedBatchNorm: _batch_norm,
    layers.BatchNormalization: _batch_norm,
    layers.Normalization: _normalization,
    layers.Rescaling: lambda writer, layer, x: writer.affine(
        x, np.full(1, layer.scale), np.full(1, layer.offset)
    ),
    SelfModulation: _modulation,
    UnitLatent: lambda writer, layer, z: writer.step("unit", z),
    Palette: _palette,
    layers.ReLU: _relu,
    layers.LeakyReLU: lambda writer, layer, x: writer.step(
        "leaky", x, slope=float(layer.negative_slope)
    ),
    layers.Activation: lambda writer, layer, x: x,  # `_activate` adds it
    layers.Dropout: lambda writer, layer, x: x,
    layers.Reshape: _reshape,
    layers.Flatten: _reshape,
    layers.UpSampling2D: _upsampling,
    layers.Add: lambda writer, layer, *of: writer.step("add", *of),
    layers.GlobalAveragePooling2D: lambda writer, layer, x: writer.step("mean", x),
}
