"""What this processor can do at most, how much of that the step reaches, and where the
rest of its time goes."""

import collections
import glob
import statistics
import tempfile

from benchmarks import cases
from benchmarks.child import Clock, call

REPEATS = 5


def timed(function, repeats=REPEATS):
    """Median CPU seconds of a call, after one that does not count."""
    function()
    taken = []
    for _ in range(repeats):
        clock = Clock()
        function()
        taken.append(clock.read()["cpu"])
    return statistics.median(taken)


# The peak ----------------------------------------------------------------------------

SIDE = 1024  # of the matrices
LAYERS = {  # at batch 64: side of the pictures, channels in and out, kernel, stride
    "4x4, stride 2, 64 to 128": (32, 64, 128, 4, 2),  # seed 003's second layer
    "3x3, 128 to 128": (16, 128, 128, 3, 1),
}


def work(side, before, after, kernel, stride):
    return 2 * 64 * (side // stride) ** 2 * kernel**2 * before * after


def tensorflow_peak(dtype):
    """GFLOP per CPU second of matrix products and convolutions, {what: figure}."""
    import tensorflow as tf

    def rate(function, arguments, flops):
        compiled = tf.function(function)
        return flops / timed(lambda: compiled(*arguments)) / 1e9

    def random(*shape):
        return tf.cast(tf.random.normal(shape), dtype)

    matrices = random(SIDE, SIDE), random(SIDE, SIDE)
    found = {"matrix product": rate(tf.matmul, matrices, 2 * SIDE**3)}
    for name, layer in LAYERS.items():
        side, before, after, kernel, stride = layer
        found[name] = rate(
            lambda x, k, s=stride: tf.nn.conv2d(x, k, s, "SAME"),
            (random(64, side, side, before), random(kernel, kernel, before, after)),
            work(*layer),
        )
    return found


def torch_peak(dtype):
    """The same in PyTorch, channels last."""
    import torch

    dtype, last = getattr(torch, dtype), {"memory_format": torch.channels_last}
    with torch.no_grad():
        matrix = torch.randn(SIDE, SIDE).to(dtype)
        seconds = timed(lambda: matrix @ matrix)
        found = {"matrix product": 2 * SIDE**3 / seconds / 1e9}
        for name, layer in LAYERS.items():
            side, before, after, kernel, stride = layer
            network = torch.nn.Conv2d(
                before, after, kernel, stride, padding=1, bias=False
            ).to(dtype=dtype, **last)
            x = torch.randn(64, before, side, side).to(dtype=dtype, **last)
            seconds = timed(lambda n=network, x=x: n(x))
            found[name] = work(*layer) / seconds / 1e9
    return found


# The step ----------------------------------------------------------------------------


def step(case, repeats=2):
    """CPU seconds of our step and of its parts, each compiled by itself; its FLOPs; and
    the kinds of operation that take the most time in it."""
    import tensorflow as tf

    from benchmarks import flops

    model = cases.recipe(case).build(seed=0)
    shape = (case["batch"], case["size"], case["size"], case["channels"])
    real = tf.random.uniform(shape, -1.0, 1.0)
    latents = tf.random.normal((case["batch"], case["latent_dim"]))
    generator, discriminator = model.generator, model.discriminator

    def backward(network, inputs):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(network(inputs, training=True))
        return tape.gradient(total, network.trainable_variables)

    def optimisers():
        for network, optimizer in (
            (generator, model.g_optimizer),
            (discriminator, model.d_optimizer),
        ):
            variables = network.trainable_variables
            optimizer.apply([tf.ones(v.shape) for v in variables], variables)

    parts = {
        "whole step": lambda: model.train_step(real),
        "generator forward": lambda: generator(latents, training=True),
        "generator forward, backward": lambda: backward(generator, latents),
        "discriminator forward": lambda: discriminator(real, training=True),
        "discriminator forward, backward": lambda: backward(discriminator, real),
        "both optimisers": optimisers,
    }
    compiled = {
        name: tf.function(part, autograph=False) for name, part in parts.items()
    }
    seconds = {name: timed(part, repeats) for name, part in compiled.items()}
    return {
        "seconds": seconds,
        "flops": flops.of_step(model, case),
        "operations": operations(compiled["whole step"]),
    }


def operations(function, most=8):
    """{kind of operation: share of the processor's time} in one call, from TensorFlow's
    profiler; the kinds after the first `most` are "other"."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        with tf.profiler.experimental.Profile(folder):
            function()
        (path,) = glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)
        space = xplane_pb2.XSpace()
        with open(path, "rb") as file:
            space.ParseFromString(file.read())
    spent = collections.Counter()
    for plane in space.planes:
        if plane.name != "/host:CPU":
            continue
        names = {key: entry.name for key, entry in plane.event_metadata.items()}
        for line in plane.lines:
            for event in line.events:
                name, _, kind = names[event.metadata_id].partition(":")
                if kind and not name.startswith("$"):
                    spent[kind] += event.duration_ps
    total = sum(spent.values())
    first = dict(spent.most_common(most))
    shares = {kind: duration / total for kind, duration in first.items()}
    return {**shares, "other": 1.0 - sum(shares.values())}


def measure(options, say):
    """Yields the peaks, and for each case its step."""
    from benchmarks.race import bfloat16_is_native

    dtypes = ["float32", *(["bfloat16"] if bfloat16_is_native() else [])]
    peaks = {}
    for dtype in dtypes:
        for framework in ("tensorflow", "torch"):
            found = call(f"benchmarks.roofline:{framework}_peak", dtype=dtype)
            say(f"peak: {framework}, {dtype}: {found}")
            peaks[f"{framework} {dtype}"] = found
    yield "peak", {"gflop_per_cpu_second": peaks}
    for name in options.cases:
        case = cases.case(name, batch=options.batch)
        found = call("benchmarks.roofline:step", case=case)
        say(f"step of {name}: {found['seconds']}")
        yield f"step {name}", {"case": case, **found}
