"""How the cost of a picture grows with its side, the batch and the width of all layers,
for seed 003's networks: powers fitted to measured CPU seconds."""

import numpy as np

from benchmarks import cases, roofline

BATCH = 16
VARIED = {
    "side": [{"size": size} for size in (32, 64, 128)],
    "batch": [{"batch": batch} for batch in (4, 16, 64)],
    "width": [{"width": width} for width in (0.5, 1.0, 2.0)],
}
COSTS = "cpu_seconds", "gflop", "memory_mb"


def cost(case):
    """CPU seconds and GFLOP a picture, and peak memory in MB."""
    found = roofline.profile(case, turns=3)
    return {
        "cpu_seconds": found["cpu_seconds"] / case["batch"],
        "gflop": sum(part["gflop"] for part in found["parts"].values()) / case["batch"],
        "memory_mb": found["memory_mb"],
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
                known[key] = cost(case)
                say(f"growth: {change}: {known[key]}")
            lines[name].append({"at": next(iter(change.values())), **known[key]})
    powers = {
        name: {
            what: exponent([p["at"] for p in points], [p[what] for p in points])
            for what in COSTS
        }
        for name, points in lines.items()
    }
    yield "growth", {"batch": BATCH, "lines": lines, "exponents": powers}
