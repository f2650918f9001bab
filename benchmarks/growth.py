"""How the cost of a picture grows with its side, the batch and the width of all layers,
for seed 003's networks: powers fitted to measured CPU seconds."""

import numpy as np

from benchmarks import cases, ours
from benchmarks.child import Clock, call, peak_memory

BATCH = 16
VARIED = {
    "side": [{"size": size} for size in (32, 64, 128)],
    "batch": [{"batch": batch} for batch in (4, 16, 64)],
    "width": [{"width": width} for width in (0.5, 1.0, 2.0)],
}


def cost(case, steps=2):
    """CPU seconds a picture, GFLOP a picture and peak memory in MB, in this process."""
    from benchmarks import flops

    count = max(64, case["batch"])
    shape = (count, case["size"], case["size"], case["channels"])
    random = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    runner = ours.Ours(case, random)
    runner.train(1)
    clock = Clock()
    runner.train(steps)
    seconds = clock.read()["cpu"] / steps / case["batch"]
    amount = sum(flops.of_step(runner.model, case).values()) / case["batch"]
    return {
        "cpu_seconds": seconds,
        "gflop": amount / 1e9,
        "memory_mb": peak_memory(),
    }


def exponent(x, y):
    """The p of the best y = c * x^p, in logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def measure(options, say):
    """Yields one table: the points, and the exponent along each line of them."""
    known, lines = {}, {}
    for name, changes in VARIED.items():
        lines[name] = []
        for change in changes:
            case = cases.case("sprites64", **{"batch": BATCH, **change})
            key = case["size"], case["batch"], case["generator_widths"]
            if key not in known:
                known[key] = call("benchmarks.growth:cost", case=case)
                say(f"growth: {change}: {known[key]}")
            lines[name].append({"at": next(iter(change.values())), **known[key]})
    powers = {
        name: {
            what: exponent([p["at"] for p in points], [p[what] for p in points])
            for what in ("cpu_seconds", "gflop", "memory_mb")
        }
        for name, points in lines.items()
    }
    yield "growth", {"batch": BATCH, "lines": lines, "exponents": powers}
