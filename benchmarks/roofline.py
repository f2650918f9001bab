"""What this processor can do at most, how much of that a train step reaches, and where
the step's time goes.

TensorFlow computes convolutions, matrix products and batch norms with oneDNN, which
writes a line about each of them where it is asked to (ONEDNN_VERBOSE): what it was,
with which shapes, and how long it took by the clock. All of it is on one core, where
that is the processor's time. Everything else is what is left of the step.
"""

import json
import math
import os
import re
import statistics
import subprocess
import sys

import numpy as np

from benchmarks import cases, ours
from benchmarks.child import QUIET, Clock, call, one_core, peak_memory
from pokeutils.common import device, env

REST = "everything else"
PARTS = {  # oneDNN's names -> ours; the forward pass of a transposed convolution is the
    # input gradient of a plain one
    ("convolution", "forward_training"): "convolutions, forward",
    ("convolution", "forward_inference"): "convolutions, forward",
    ("convolution", "backward_data"): "convolutions, gradients of inputs",
    ("convolution", "backward_weights"): "convolutions, gradients of kernels",
    ("matmul", "undef"): "matrix products",
    ("gemm_api", "undef"): "matrix products",
    ("batch_normalization", "forward_training"): "batch norms",
    ("batch_normalization", "backward"): "batch norms",
    ("reorder", "undef"): "changes of layout",
}

# The peak ----------------------------------------------------------------------------

SIDE = 1024  # of the matrices
BYTES = 2**28  # of an array that is copied
LAYERS = {  # at batch 64: side of the pictures, channels in and out, kernel, stride
    "4x4, stride 2, 64 to 128": (32, 64, 128, 4, 2),  # seed 003's second
    "3x3, 128 to 128": (16, 128, 128, 3, 1),
    "4x4, stride 2, 128 to 192": (8, 128, 192, 4, 2),
}


def peak(dtype):
    """GFLOP per CPU second of a matrix product and of convolutions, and GB per second
    read and written in a copy: {what: the best of some repeats}."""
    one_core()
    import tensorflow as tf

    def random(*shape):
        return tf.cast(tf.random.normal(shape), dtype)

    def rate(function, arguments, flops):
        compiled = tf.function(function)
        return flops / least(lambda: compiled(*arguments)) / 1e9

    matrices = random(SIDE, SIDE), random(SIDE, SIDE)
    found = {"matrix product": rate(tf.matmul, matrices, 2 * SIDE**3)}
    for name, (side, before, after, kernel, stride) in LAYERS.items():
        found[name] = rate(
            lambda x, k, s=stride: tf.nn.conv2d(x, k, s, "SAME"),
            (random(64, side, side, before), random(kernel, kernel, before, after)),
            2 * 64 * (side // stride) ** 2 * kernel**2 * before * after,
        )
    array = np.ones(BYTES // 4, np.float32)
    target = np.empty_like(array)
    seconds = least(lambda: np.copyto(target, array))
    return {**found, "copy, GB/s": 2 * BYTES / seconds / 1e9}


def least(function, repeats=12):
    """The fewest CPU seconds of a call, after one that does not count."""
    function()
    taken = []
    for _ in range(repeats):
        clock = Clock()
        function()
        taken.append(clock.read()["cpu"])
    return min(taken)


# The step ----------------------------------------------------------------------------


def profile(case, steps=2, turns=5):
    """What our step of a case costs, measured in a process of its own.

    Returns {"cpu_seconds" of a step, "memory_mb", "parts": {part: {"cpu_seconds",
    "gflop", "gigabytes"} of a step}}; medians over `turns` of `steps` steps each.
    Raises RuntimeError where TensorFlow does without oneDNN.
    """
    command = [sys.executable, "-m", "benchmarks.roofline", json.dumps(case)]
    done = subprocess.run(
        [*command, str(steps), str(turns)],
        cwd=env.ROOT,
        env={**os.environ, **QUIET, "ONEDNN_VERBOSE": "profile_exec"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return read(done.stdout, steps)


def read(text, steps):
    """Makes of the output of `main` what `profile` returns."""
    found, memory = [], 0.0
    for turn in text.split("begin\n")[1:]:
        lines, _, last = turn.partition("end ")
        seconds, memory = map(float, last.split()[:2])
        parts = {name: np.zeros(3) for name in dict.fromkeys(PARTS.values())}
        for line in lines.splitlines():
            operation = parse(line)
            if operation:
                part, *amounts = operation
                parts[part] += np.array(amounts) / steps
        known = sum(parts.values())[0]
        if not known:
            raise RuntimeError(
                "TensorFlow does not use oneDNN here, so there is no log of it."
            )
        parts[REST] = np.array([seconds / steps - known, 0.0, 0.0])
        found.append((seconds / steps, parts))
    names = "cpu_seconds", "gflop", "gigabytes"
    middle = {
        part: np.median([parts[part] for _, parts in found], axis=0)
        for part in found[0][1]
    }
    return {
        "cpu_seconds": statistics.median(seconds for seconds, _ in found),
        "memory_mb": memory,
        "parts": {
            part: dict(zip(names, map(float, amounts), strict=True))
            for part, amounts in middle.items()
        },
    }


def parse(line):
    """(part, seconds, GFLOP, GB of inputs and outputs) of one line of oneDNN's log;
    None for other lines. Of what is no convolution or product, only the time."""
    fields = line.strip().split(",")
    if fields[0] != "onednn_verbose" or "exec" not in fields[:5]:
        return None
    kind, _, direction = fields[5:8]
    part = PARTS.get((kind, direction))
    if part is None:
        return None
    shape, seconds = fields[-2], float(fields[-1]) / 1e3
    size_of_number = 2e-9 if "bf16" in fields[8] else 4e-9  # GB
    if kind == "convolution":
        groups = re.match(r"(?:mb\d+_)?g(\d+)", shape)
        size = {
            name: int(number)
            for name, number in re.findall(r"(mb|ic|oc|[iok][hw])(\d+)", shape)
        }
        kernel = size["kh"] * size["kw"] * size["ic"] * size["oc"]
        kernel //= int(groups[1]) if groups else 1
        before = size["mb"] * size["ih"] * size["iw"] * size["ic"]
        places = size["mb"] * size["oh"] * size["ow"]
        numbers = before + kernel + places * size["oc"]
        return part, seconds, 2 * places * kernel / 1e9, size_of_number * numbers
    if part == "matrix products":
        left, right = (
            [int(n) for n in side.split("x")] for side in shape.split(":")[:2]
        )
        *batch, rows, inner = left
        count, columns = math.prod(batch), right[-1]
        numbers = rows * inner + inner * columns + rows * columns
        flops = 2 * count * rows * inner * columns
        return part, seconds, flops / 1e9, size_of_number * count * numbers
    return part, seconds, 0.0, 0.0


def main(case, steps, turns):
    """Runs in the child: trains, with marks between oneDNN's lines."""
    one_core()
    case = json.loads(case)
    count = max(64, case["batch"])
    shape = (count, case["size"], case["size"], case["channels"])
    runner = ours.Ours(case, np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    runner.train(2)
    for _ in range(int(turns)):
        print("begin", flush=True)
        clock = Clock()
        runner.train(int(steps))
        print("end", clock.read()["cpu"], peak_memory(), flush=True)


def measure(options, say):
    """Yields the peaks, and for each case its step."""
    dtypes = ["float32"]
    if device.compute_dtype() == "mixed_bfloat16":
        dtypes.append("bfloat16")
    peaks = {}
    for dtype in dtypes:
        peaks[dtype] = call("benchmarks.roofline:peak", dtype=dtype)
        say(f"peak in {dtype}: {peaks[dtype]}")
    yield "peak", {"dtypes": peaks}
    for name in options.cases:
        case = cases.case(name, batch=options.batch)
        found = profile(case)
        say(f"step of {name}: {found['cpu_seconds']:.2f} CPU seconds")
        yield f"step {name}", {"case": case, "peak": peaks, **found}


if __name__ == "__main__":
    main(*sys.argv[1:])
