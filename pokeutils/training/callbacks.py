"""Callbacks that fill a run folder while `fit` trains: log, samples, checkpoints, the
guard.

None of them changes what is trained, so that a run gives the same weights however it is
watched and however often it was interrupted.
"""

import contextlib
import csv
import math
import time

import keras
import numpy as np

from pokeutils import sampling
from pokeutils.common import files, images, plots, saved
from pokeutils.training import checkpoints, guards, runs

GRID = 64  # pictures in a sample sheet, eight by eight
LOOK_IMAGES = 5000  # between two looks of the guard at the samples
MOST = 0.02  # of the time goes to checkpoints, at most; slow drives get fewer of them
HEADER = (
    f"{'epoch':>5} {'images':>10} {'images/s':>9} {'d_loss':>8} {'g_loss':>8} "
    f"{'D right: reals':>15} {'fakes':>6} {'minutes left':>13}"
)
HEADER_EVERY = 24  # rows of the printed table: about a screen
PLACE = ("epoch", "step", "images", "seconds", "images_per_second")


class Watcher(keras.callbacks.Callback):
    """A callback that lives as long as a training, which calls `fit` twice after a stop
    in the middle of an epoch.

    begin, end: called once each, around it all; end only if it was not interrupted
    memory: what it has to know to go on, for the checkpoint: a dict of JSON values
    """

    memory = {}

    def begin(self, memory):
        """memory: the one in the checkpoint that training starts from, or {}."""

    def end(self):
        """The training is over."""


class Log(Watcher):
    """Appends a row an epoch to log.csv and prints a row of a table at most every
    `every` seconds.

    batch: pictures a step; images: the length of the whole run, and limit: a
    `TimeLimit` or None, for the time left; guard: knows statistics of the samples
    """

    def __init__(self, run, batch, images, guard, limit, every=5.0, show=print):
        super().__init__()
        self.path = run / "log.csv"
        self.batch, self.images, self.guard, self.limit = batch, images, guard, limit
        self.every, self.show = every, show
        self.shown, self.rows = -math.inf, 0

    @property
    def columns(self):
        return [*PLACE, *self.model.log_names, *guards.STATISTICS]

    def begin(self, memory):
        self.seconds = memory.get("seconds", 0.0)
        rows = []
        if self.path.exists():  # keep what happened up to the checkpoint
            try:
                log = runs.read_log(self.path.parent)
            except ValueError as error:
                files.set_aside(self.path, error, self.show)
                log = {"step": ()}
            for i in range(len(log["step"])):
                if log["step"][i] <= self.model.step:
                    row = [log[c][i] if c in log else "nan" for c in self.columns]
                    rows.append(row)
        with files.atomic(self.path) as temporary, open(temporary, "w") as file:
            csv.writer(file).writerows([self.columns, *map(_tidy, rows)])

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.monotonic()
        self.steps_before = self.model.step

    def on_epoch_end(self, epoch, logs=None):
        steps = self.model.step
        seconds = time.monotonic() - self.began
        speed = (steps - self.steps_before) * self.batch / max(seconds, 1e-9)
        self.seconds += seconds
        seen = steps * self.batch
        values = [logs[name] for name in self.model.log_names]
        values += self.guard.statistics().values()
        with open(self.path, "a") as file:
            row = _tidy([epoch + 1, steps, seen, self.seconds, speed, *values])
            csv.writer(file).writerow(row)
        now = time.monotonic()
        if now - self.shown >= self.every or seen >= self.images:
            if self.rows % HEADER_EVERY == 0:
                self.show(HEADER, flush=True)
            self.shown, self.rows = now, self.rows + 1
            left = max(self.images - seen, 0) / speed / 60
            left = min(left, self.limit.minutes_left) if self.limit else left
            self.show(
                f"{epoch + 1:5d} {seen:10,} {speed:9.0f} "
                f"{logs['d_loss']:8.2f} {logs['g_loss']:8.2f} "
                f"{logs['d_real']:15.0%} {logs['d_fake']:6.0%} {left:13.1f}",
                flush=True,
            )

    @property
    def memory(self):
        return {"seconds": self.seconds}


class Samples(Watcher):
    """Saves sheets of what the averaged generator makes of `inputs`, always the same.

    `frames` sheets over `images`, denser at the start, where more happens; one before
    the first step, and one at the end.
    """

    def __init__(self, run, batch, images, inputs, frames=48):
        super().__init__()
        self.folder = run / "samples"
        self.batch, self.inputs = batch, inputs
        self.planned = [images * (i / frames) ** 2 for i in range(1, frames + 1)]

    def begin(self, memory):
        # After the last one that the checkpoint knows come those of a stop, between two
        # milestones, and those of what was trained after the checkpoint.
        seen = self.model.step * self.batch
        self.last = memory.get("last", seen)
        sheets = runs.sample_files(self.folder.parent)
        for when, path in sheets:
            if when > self.last:
                path.unlink()
        self.last = max([when for when, _ in sheets if when <= self.last], default=0)
        if seen == 0:
            self.save(0)
        # Not those up to the checkpoint: one in the middle of an epoch has passed some
        # whose sheet is made at the epoch's end.
        self.milestones = [m for m in self.planned if m > self.last]

    @property
    def memory(self):
        return {"last": self.last}

    def on_epoch_end(self, epoch, logs=None):
        seen = self.model.step * self.batch
        passed = [m for m in self.milestones if m <= seen]
        self.milestones = self.milestones[len(passed) :]
        if passed:
            self.save(seen)
            self.last = seen

    def end(self):
        self.save(self.model.step * self.batch)

    def save(self, seen):
        path = self.folder / f"{seen:09d}.png"
        if not path.exists():
            with calibrated(self.model) as generator:
                pictures = sampling.paint(generator, self.inputs)
            plots.save_png(path, plots.tile(pictures))


class Checkpoint(Watcher):
    """Saves the whole state every `minutes` and every `epochs`, before the first step
    and after the last one; ends a training between two steps when it is asked to.

    facts: what the run is, for state.json; stop: has `wanted`, which is true when the
    training shall stop; watchers: to be set, those whose memory goes with the state.
    Where saving is slow it is done less often, so that it costs at most `MOST` of the
    time. It never saves while a number is NaN.
    """

    watchers = ()

    def __init__(self, run, batch, facts, guard, stop, minutes, epochs=100):
        super().__init__()
        self.run, self.batch, self.facts = run, batch, facts
        self.guard, self.stop = guard, stop
        self.minutes, self.epochs = minutes, epochs

    def begin(self, memory):
        steps = self.model.step
        self.saved_step = steps if checkpoints.list_checkpoints(self.run) else None
        self.epochs_since, self.cost = 0, 0.0
        self.clock = time.monotonic()  # not the wall clock, which may be set back
        self.sums = None
        if steps % self.facts["steps_per_epoch"]:
            self.sums = [keras.ops.convert_to_numpy(v) for v in self._sums()]
        if self.saved_step is None:
            self.save()

    def on_epoch_begin(self, epoch, logs=None):
        if self.sums:  # `fit` has just set them to zero; this epoch began before
            for variable, value in zip(self._sums(), self.sums, strict=True):
                variable.assign(value)
            self.sums = None

    def on_train_batch_begin(self, batch, logs=None):
        # Not on_train_batch_end: that would make the processor wait for the device.
        self.look()

    def on_epoch_end(self, epoch, logs=None):
        self.epochs_since += 1
        self.look()

    def look(self):
        if self.stop.wanted:
            raise Stopped
        waited = time.monotonic() - self.clock
        due = waited >= 60 * self.minutes or self.epochs_since >= self.epochs
        if due and waited >= self.cost / MOST:
            self.save()

    def end(self):
        self.save()
        save_generator(self.model, self.run / "generator.keras")

    def save(self):
        began, step = time.monotonic(), self.model.step
        if step == self.saved_step:
            return
        facts = {
            "step": step,
            "images": step * self.batch,
            "healthy": not self.guard.suspicious,
            "saved": time.strftime("%Y-%m-%d %H:%M:%S"),
            **self.facts,
            "memory": {type(w).__name__: w.memory for w in self.watchers if w.memory},
        }
        try:
            checkpoints.save(self.model, self.run, facts)
        except FloatingPointError as error:
            raise self.guard.not_a_number(str(error)) from None
        self.saved_step, self.epochs_since = step, 0
        self.clock = time.monotonic()
        self.cost = self.clock - began

    def _sums(self):
        return [v for metric in self.model.metrics for v in metric.variables]


class Stopped(Exception):
    """Training was asked to stop between two steps; nothing is wrong."""


class Guard(Watcher):
    """Raises `guards.Alarm` when a loss or gradient is NaN, or `guards.Watch` judges
    that the run has diverged or collapsed.

    Looks at the epoch's mean of each loss and gradient norm, which one NaN in any step
    spoils, and every `LOOK_IMAGES` images at what the generator makes of `inputs`.
    pictures: real ones, uint8, to compare with; ignore: only record what `guards.Watch`
    finds. NaN always ends it.
    """

    SECONDS = 2.0  # between looks for NaN within an epoch

    def __init__(self, run, batch, pictures, inputs, ignore=False):
        super().__init__()
        self.run, self.batch, self.ignore = run, batch, ignore
        self.inputs = inputs
        reals = pictures[:: max(len(pictures) // GRID, 1)][:GRID] / 127.5 - 1.0
        self.watch = guards.Watch(guards.sample_statistics(reals))
        self.clock = time.monotonic()
        self.measured = None

    def begin(self, memory):
        self.watch.recall(memory.get("watch", {}))
        self.measured, self.values = memory.get("measured"), memory.get("values")
        if self.measured is None:
            self.statistics()

    @property
    def memory(self):
        memory = {"measured": self.measured, "values": self.values}
        return {**memory, "watch": self.watch.memory}

    @property
    def suspicious(self):
        return self.watch.suspicious

    def statistics(self):
        """Returns `guards.sample_statistics` of the newest generator, measured when
        `LOOK_IMAGES` images more have been seen."""
        seen, each = self.model.step * self.batch, LOOK_IMAGES
        if self.measured is None or seen // each > self.measured // each:
            pictures = sampling.generate(self.model.generator, self.inputs)
            self.values, self.measured = guards.sample_statistics(pictures), seen
        return self.values

    def on_train_batch_begin(self, batch, logs=None):
        if batch and time.monotonic() - self.clock >= self.SECONDS:
            self.clock = time.monotonic()
            for name, tracker in self.model.trackers.items():
                if not math.isfinite(float(tracker.result())):
                    raise self.not_a_number(f"{name} is NaN or infinite.")

    def on_epoch_end(self, epoch, logs=None):
        values = {**logs, **self.statistics()}
        for name, value in values.items():
            if not math.isfinite(value):
                raise self.not_a_number(f"{name} is NaN or infinite.")
        steps = self.model.step
        if self.measured != steps * self.batch:
            return
        alarm = self.watch.observe(steps, self.measured, values)
        if alarm and not self.ignore:
            raise alarm
        if alarm:
            guards.record(self.run, alarm, "ignored", self.watch.memory["history"])

    def keep_evidence(self, alarm):
        """Saves what the newest generator draws, and the alarm with what led to it."""
        pictures = np.nan_to_num(sampling.generate(self.model.generator, self.inputs))
        sheet = plots.tile(images.to_uint8(pictures))
        seen = alarm.facts["images"]
        plots.save_png(self.run / "samples" / f"alarm-{seen:09d}.png", sheet)
        guards.record(self.run, alarm, "stopped", self.watch.memory["history"])

    def not_a_number(self, what):
        steps = self.model.step
        sentence = f"{what} Lower the learning rates, or raise r1_gamma."
        return guards.Alarm("not a number", sentence, steps, steps * self.batch)


class TimeLimit(Watcher):
    """Ends training after `minutes`: at the end of an epoch, or between two steps if
    that would take more than `GRACE` seconds longer. stop: as in `Checkpoint`."""

    GRACE = 2.0

    def __init__(self, minutes, stop, show=print):
        super().__init__()
        self.minutes, self.stop, self.show = minutes, stop, show

    def begin(self, memory):
        self.end_at = time.monotonic() + 60 * self.minutes

    @property
    def minutes_left(self):
        return max(self.end_at - time.monotonic(), 0) / 60

    def on_train_batch_begin(self, batch, logs=None):
        if time.monotonic() >= self.end_at + self.GRACE:
            self.stop.wanted = f"the limit of {self.minutes:g} minutes"

    def on_epoch_end(self, epoch, logs=None):
        if time.monotonic() >= self.end_at:
            self.show(f"Stopping: the limit of {self.minutes:g} minutes is reached.")
            self.model.stop_training = True


# Generators ---------------------------------------------------------------------------


@contextlib.contextmanager
def calibrated(model):
    """Yields the averaged generator with batch statistics measured for its own weights
    (`sampling.recalibrate`); afterwards they are as before: looking leaves no trace."""
    statistics = model.averaged.non_trainable_variables
    before = [np.array(keras.ops.convert_to_numpy(v)) for v in statistics]
    if model.ema_images:
        sampling.recalibrate(model.averaged)
    try:
        yield model.averaged
    finally:
        for variable, value in zip(statistics, before, strict=True):
            variable.assign(value)


def save_generator(model, path):
    """Writes the averaged generator, calibrated, in float32, as a .keras file."""
    with files.atomic(path) as temporary, calibrated(model) as generator:
        saved.in_precision(generator, "float32").save(temporary)


def _tidy(row):
    return [round(float(value), 6) for value in row]
