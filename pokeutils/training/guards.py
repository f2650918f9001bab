"""Guards: what tells in time that a training has gone wrong.

No Keras: `Watch` judges numbers, which `callbacks.Guard` collects while training.
"""

import json
import time

import numpy as np

from pokeutils.common import files
from pokeutils.training import runs

STATISTICS = ("spread", "contrast", "saturation", "distance")


class Alarm(RuntimeError):
    """A run has gone wrong. `facts`: kind, sentence, step, images, values."""

    def __init__(self, kind, sentence, step, images, values=None):
        super().__init__(sentence)
        self.facts = {
            "kind": kind,
            "sentence": sentence,
            "step": int(step),
            "images": int(images),
            "values": {k: float(v) for k, v in (values or {}).items()},
        }


def record(run, alarm, action, history=()):
    """Appends an alarm, with what was done about it, to a run's alarms.json."""
    entry = {
        **alarm.facts,
        "action": action,
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "history": list(history),
    }
    files.write_json(run / "alarms.json", [*runs.read_alarms(run), entry])


# Numbers to watch ---------------------------------------------------------------------


def sample_statistics(pictures):
    """Four numbers that betray a generator, from pictures (n, s, s, c) in [-1, 1].

    spread: standard deviation of a pixel over the pictures, mean over pixels
    contrast: standard deviation over the pixels of a picture, mean over pictures
    saturation: share of values within 1 % of either end
    distance: root mean square difference to the most similar other picture, median
    """
    flat = np.reshape(pictures, (len(pictures), -1)).astype("float64")
    square = np.mean(flat * flat, axis=1)
    apart = square[:, None] + square[None] - 2.0 * (flat @ flat.T) / flat.shape[1]
    np.fill_diagonal(apart, np.inf)
    return {
        "spread": float(flat.std(axis=0).mean()),
        "contrast": float(flat.std(axis=1).mean()),
        "saturation": float((np.abs(flat) > 0.98).mean()),
        "distance": float(np.median(np.sqrt(np.maximum(apart.min(axis=1), 0.0)))),
    }


# What is wrong, far outside of what healthy runs show: kind -> (does a look show it,
# what to say). Each is called with the look's values, the reals' statistics, and the
# run's memory. A discriminator that is merely always right is no reason to stop.
LOSS = 30.0  # the discriminator gives the fakes a chance of 1 in 10 billion
SIGNS = {
    "diverged": (
        lambda x, reals, past: max(abs(x["d_loss"]), abs(x["g_loss"])) > LOSS,
        "the losses are {d_loss:.3g} (discriminator) and {g_loss:.3g} (generator): "
        "they have run away, and the networks no longer learn from each other",
    ),
    "exploded": (
        lambda x, reals, past: any(
            len(past["norms"]) >= 4 and x[name] > 100 * np.median(past["norms"], 0)[i]
            for i, name in enumerate(NORMS)
        ),
        "the gradients are {d_norm:.3g} (discriminator) and {g_norm:.3g} (generator) "
        "long, over a hundred times what was usual",
    ),
    "collapsed": (
        lambda x, reals, past: (
            past["varied"] and x["distance"] < 0.05 * reals["distance"]
        ),
        "the generator draws one picture for all latents: two samples differ by "
        "{distance:.2g}, two real pictures by {reals[distance]:.2g}",
    ),
    "flat": (
        lambda x, reals, past: (
            past["varied"] and x["contrast"] < 0.05 * reals["contrast"]
        ),
        "the samples are plain areas: their contrast is {contrast:.2g}, that of real "
        "pictures {reals[contrast]:.2g}",
    ),
    "saturated": (
        lambda x, reals, past: 1 - x["saturation"] < 0.1 * (1 - reals["saturation"]),
        "{saturation:.1%} of what the generator draws is at either end of the range, "
        "of real pictures {reals[saturation]:.0%}",
    ),
}
NORMS = ("d_norm", "g_norm")


class Watch:
    """Judges a run by a look now and then at losses, gradients and samples.

    reals: `sample_statistics` of real pictures, to compare with
    patience: so many looks in a row must show the same sign before it is an alarm
    late: images after which samples that were never as varied as a fifth of the reals
        count as collapsed, too; before that they may still be starting
    """

    def __init__(self, reals, patience=2, late=50_000):
        self.reals, self.patience, self.late = reals, patience, late
        self.memory = {"varied": False, "norms": [], "since": {}, "history": []}

    def recall(self, memory):
        """Goes on from the `memory` of an earlier one."""
        self.memory = {**self.memory, **json.loads(json.dumps(memory))}

    @property
    def suspicious(self):
        """Whether the last look showed a sign of trouble."""
        return bool(self.memory["since"])

    def observe(self, step, images, values):
        """Takes one look. values: {name: number}: losses, gradient norms and
        `sample_statistics`. Returns an Alarm, once for each trouble, or None."""
        past = self.memory
        look = {"step": step, "images": images}
        look |= {k: float(f"{v:.6g}") for k, v in values.items()}
        past["history"] = [*past["history"], look][-50:]
        if images >= self.late or values["distance"] > 0.2 * self.reals["distance"]:
            past["varied"] = True
        alarm, since = None, {}
        for kind, (shows, words) in SIGNS.items():
            if not shows(values, self.reals, past):
                continue
            first, looks = past["since"].get(kind, (images, 0))
            since[kind] = (first, looks + 1)
            if looks + 1 == self.patience and alarm is None:
                what = words.format(**values, reals=self.reals)
                sentence = f"From image {first:,} on, {what}."
                alarm = Alarm(kind, sentence, step, images, values)
        past["since"] = since
        if not since:
            past["norms"] = [*past["norms"], [values[n] for n in NORMS]][-50:]
        return alarm


def duration(seconds):
    """Returns a time in words, such as "3 h 50 min", "12 minutes" or "40 seconds"."""
    if seconds < 100:
        return f"{seconds:.0f} seconds"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} minutes"
    return f"{minutes // 60} h {minutes % 60} min"


class OutOfMemory(RuntimeError):
    """The device has too little memory for this batch.

    new: nothing was trained yet, so that another batch can be tried
    """

    def __init__(self, batch, device, new):
        half = max(batch // 2, 1)
        message = f"A batch of {batch} does not fit into the memory of {device}. "
        if new:
            message += f"Try {half}: dataclasses.replace(recipe, batch={half})."
        else:
            message += (
                "This run began with that batch and has to keep it; its checkpoint is "
                "intact. Free memory (nvidia-smi lists who uses it) and call again, or "
                f"start a new run with a batch of {half}."
            )
        super().__init__(message)


def is_out_of_memory(error):
    """Whether an error of Python, NumPy or TensorFlow means that memory is short."""
    if isinstance(error, MemoryError):
        return True
    words = "RESOURCE_EXHAUSTED", "ResourceExhausted", "OOM when", "OUT_OF_MEMORY"
    return any(word in f"{type(error).__name__} {error}" for word in words)
