"""Train steps side by side: one process per contestant, taking turns of a few seconds,
so that whatever else the machine does meets all of them alike."""

import importlib
import statistics
import tempfile

import numpy as np

from benchmarks import cases
from benchmarks.child import Child, Clock, peak_memory
from pokeutils.common import device

OURS = "ours"
LAST, COMPILED = {"channels_last": True}, {"compiled": True}
BFLOAT16 = {"dtype": "bfloat16"}
CONTESTANTS = {  # name -> class and its options
    OURS: ("ours:Ours", {}),
    "ours, float32": ("ours:Ours", {"dtype": "float32"}),
    "PyTorch": ("sprites_torch:Torch", {}),
    "PyTorch, channels last": ("sprites_torch:Torch", LAST),
    "PyTorch, compiled, channels last": ("sprites_torch:Torch", LAST | COMPILED),
    "PyTorch, bf16, channels last": ("sprites_torch:Torch", LAST | BFLOAT16),
    "PyTorch, compiled, bf16, channels last": (
        "sprites_torch:Torch",
        LAST | COMPILED | BFLOAT16,
    ),
    "keras.io": ("keras_io:KerasIO", {}),
    "keras.io, bf16": ("keras_io:KerasIO", {"dtype": "mixed_bfloat16"}),
}


def build(name, case, pictures):
    """Returns the contestant `name`, ready to `train(steps)`."""
    target, options = CONTESTANTS[name]
    module, kind = target.split(":")
    made = importlib.import_module(f"benchmarks.{module}")
    return getattr(made, kind)(case, pictures, **options)


def contestant(name, case, pictures):
    """Runs in the child. Answers with its first step, then with every turn: the number
    of steps that it was sent, and what they took."""
    runner = build(name, case, np.load(pictures))
    before = runner.weights()
    clock = Clock()
    runner.train(1)
    first = clock.read()
    clock = Clock()
    runner.train(1)
    report = check(name, before, runner.weights())
    steps = yield {"first": first, "second": clock.read(), **report}
    while True:
        clock = Clock()
        runner.train(steps)
        steps = yield {"steps": steps, **clock.read(), "memory": peak_memory()}


def check(name, before, after):
    """Returns how many weights the two networks have, {"weights": [g, d]}. Raises
    RuntimeError unless all of them are finite and both networks have moved."""
    for network, old, new in zip(
        ("generator", "discriminator"), before, after, strict=True
    ):
        if not all(np.isfinite(x).all() for x in new):
            raise RuntimeError(f"{name}: the {network} has weights that are not finite")
        if all((x == y).all() for x, y in zip(old, new, strict=True)):
            raise RuntimeError(f"{name}: the {network} has not moved in two steps")
    return {"weights": [int(sum(x.size for x in network)) for network in after]}


def run(case, names, source, rounds=5, seconds=4.0, say=print):
    """Lets the contestants take turns; returns {"case", "pictures", "rows"}.

    rounds: turns of each, in another order every time; seconds: CPU seconds a turn
    lasts, at least one step. Raises RuntimeError if a contestant's networks have other
    numbers of weights than ours.
    """
    pictures = cases.pictures(case, source)
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        path = f"{folder}/pictures.npy"
        np.save(path, pictures)
        # Without a cache from an earlier run, a compiler has to show what it takes.
        cache = {"TORCHINDUCTOR_CACHE_DIR": f"{folder}/torch"}
        children, turns = {}, {name: [] for name in names}
        try:
            for name in names:
                children[name] = child = Child(
                    "benchmarks.race:contestant",
                    cache,
                    name=name,
                    case=case,
                    pictures=path,
                )
                say(f"{case['name']}: {name}: {child.first}")
                ours = children[names[0]].first["weights"]
                if child.first["weights"] != ours:
                    raise RuntimeError(
                        f"{name} has {child.first['weights']} weights, ours {ours}."
                    )
            for number in range(rounds):
                place = number % len(names)
                for name in [*names[place:], *names[:place]]:
                    child = children[name]
                    steps = max(1, round(seconds / child.first["second"]["cpu"]))
                    turns[name].append(child.ask(steps))
                say(f"{case['name']}: round {number + 1} of {rounds}")
        finally:
            for child in children.values():
                child.__exit__()
    rows = {
        name: row(case, len(pictures), children[name].first, turns[name], turns)
        for name in names
    }
    return {"case": case, "pictures": len(pictures), "source": source, "rows": rows}


def row(case, pictures, first, mine, turns):
    """Returns what the tables say about one contestant, from its turns and all."""

    def each(kind, taken):
        return [case["batch"] * turn["steps"] / turn[kind] for turn in taken]

    step = statistics.median(turn["cpu"] / turn["steps"] for turn in mine)
    epoch = pictures // case["batch"]
    figures = {
        "images_per_cpu_second": spread(each("cpu", mine)),
        "images_per_second": spread(each("wall", mine)),
        "cpu_seconds_compile": max(0.0, first["first"]["cpu"] - step),
        # Counted together, not waited for.
        "cpu_seconds_first_epoch": first["first"]["cpu"] + (epoch - 1) * step,
        "memory_mb": max(turn["memory"] for turn in mine),
        "weights": first["weights"],
    }
    for kind in ("cpu", "wall"):
        if OURS in turns:
            pairs = zip(each(kind, turns[OURS]), each(kind, mine), strict=True)
            figures[f"ours_over_this_{kind}"] = spread([a / b for a, b in pairs])
    return figures


def spread(values):
    """Returns median, lowest and highest."""
    return {
        "median": statistics.median(values),
        "low": min(values),
        "high": max(values),
    }


def measure(options, say):
    """Yields the results of a race for each case that was asked for."""
    for name in options.cases:
        case = cases.case(name, batch=options.batch)
        names = entered(case)
        if options.only:
            names = [name for name in names if name in (OURS, *options.only)]
        pace = options.rounds, options.seconds
        yield f"race {name}", run(case, names, cases.source(), *pace, say)


def entered(case):
    """Returns the names of those that race in a case on this machine."""
    names = list(CONTESTANTS)
    if case["name"] == "modern64":  # in no other framework
        names = [name for name in names if name.startswith(OURS)]
    if not bfloat16_is_native():
        names = [n for n in names if "bf16" not in n and n != "ours, float32"]
    return names


def bfloat16_is_native():
    """Returns whether the processor computes in bfloat16; where it does not, PyTorch
    emulates it and is several times slower than in float32."""
    return device.compute_dtype() == "mixed_bfloat16"
