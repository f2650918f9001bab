"""Train steps side by side: one process a contestant, taking turns of a few seconds, so
that whatever else the machine does meets all of them alike."""

import statistics
import tempfile

import numpy as np

from benchmarks import cases
from benchmarks.child import Child, Clock, peak_memory
from pokeutils.common import device

OURS = "ours"
FAKES = "ours, the same fakes for both"
XLA = "ours, XLA"
WITHOUT = "ours, without oneDNN"
NO_ONEDNN = {"TF_ENABLE_ONEDNN_OPTS": "0"}
CHANGES = (  # of `ours`
    *("Adam", "Dropout", "LeakyReLU", "UpSampling2D", "recolouring", "threads"),
)
FLOAT32 = "ours, float32"
PLAIN = "ours, as plain Keras does it, float32"
# name -> (class, its options), and environment variables where it needs some
CONTESTANTS = {
    OURS: ("ours:Ours", {}),
    "ours, Keras' batch norm": ("ours:Ours", {"fused": False}),
    FAKES: ("ours:Ours", {"fresh_fakes": False}),
    WITHOUT: ("ours:Ours", {}, NO_ONEDNN),
    XLA: ("ours:Ours", {"compiler": True}),
    FLOAT32: ("ours:Ours", {"dtype": "float32"}),
    PLAIN: ("ours:Ours", {"fused": False, "plain": CHANGES, "dtype": "float32"}),
    "PyTorch": ("seed_torch:Torch", {}),
    "PyTorch, channels last": ("seed_torch:Torch", {"channels_last": True}),
    "PyTorch, compiled": ("seed_torch:Torch", {"compiled": True}),
    "PyTorch, compiled, channels last": (
        "seed_torch:Torch",
        {"compiled": True, "channels_last": True},
    ),
    "PyTorch, bf16, channels last": (
        "seed_torch:Torch",
        {"dtype": "bfloat16", "channels_last": True},
    ),
    "PyTorch, compiled, bf16, channels last": (
        "seed_torch:Torch",
        {"compiled": True, "dtype": "bfloat16", "channels_last": True},
    ),
    "TensorFlow's tutorial": ("tutorial:Tutorial", {}),
    "keras.io": ("keras_io:KerasIO", {}),
    "keras.io, bf16": ("keras_io:KerasIO", {"dtype": "mixed_bfloat16"}),
    "keras.io, XLA": ("keras_io:KerasIO", {"compiler": True}),
}
ALONE = {  # one thing at a time as Keras does it, shown for our own recipe
    "ours, Keras' Adam": "Adam",
    "ours, Keras' leaky ReLU": "LeakyReLU",
    "ours, Keras' upsampling": "UpSampling2D",
    "ours, recolouring not compiled": "recolouring",
    "ours, each operation on all cores": "threads",
}
CONTESTANTS |= {
    name: ("ours:Ours", {"plain": [change]}) for name, change in ALONE.items()
}


def build(name, case, pictures):
    """Returns the contestant `name`, ready to `train(steps)`."""
    import importlib

    target, options, *_ = CONTESTANTS[name]
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
                settings = CONTESTANTS[name][2] if len(CONTESTANTS[name]) > 2 else {}
                children[name] = child = Child(
                    "benchmarks.race:contestant",
                    cache | settings,
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
    """What the tables say about one contestant, from its turns and those of all."""

    def each(kind, taken):
        return [case["batch"] * turn["steps"] / turn[kind] for turn in taken]

    step = statistics.median(turn["cpu"] / turn["steps"] for turn in mine)
    epoch = pictures // case["batch"]
    found = {
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
            found[f"ours_over_this_{kind}"] = spread([a / b for a, b in pairs])
    return found


def spread(values):
    """Median, lowest and highest."""
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
        found = run(case, names, cases.source(), options.rounds, options.seconds, say)
        yield f"race {name}", found


def entered(case):
    """The names of those that race in a case on this machine."""
    own = case["name"] == cases.OWN
    # XLA (TensorFlow 2.20) refuses the whole step of our own recipe in bfloat16.
    skipped = {FAKES, *([XLA] if own else ALONE)}
    if cases.recipe(case).two_phase:
        skipped.remove(FAKES)
    if bfloat16_is_native():  # where TensorFlow never goes without oneDNN
        skipped.add(WITHOUT)
    else:
        skipped |= {FLOAT32, *(name for name in CONTESTANTS if "bf16" in name)}
    return [
        name
        for name in CONTESTANTS
        if name not in skipped and (name.startswith(OURS) or not own)
    ]


def bfloat16_is_native():
    """Whether the processor computes in bfloat16; where it does not, PyTorch emulates
    it and is several times slower than in float32."""
    return device.compute_dtype() == "mixed_bfloat16"
