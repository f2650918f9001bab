"""Run folders, and the callbacks that fill one while `fit` trains.

outputs/runs/<nnn>-<recipe>/ holds params.json (what was trained, on what), log.csv (a
row an epoch), samples/ (the same latents every time), checkpoint/ (everything needed to
go on exactly) and generator.keras (the averaged generator). Notebooks read run folders
only, so a run trained anywhere can be shown anywhere.
"""

import csv
import json
import math
import re
import time
import zipfile
import zlib

import keras
import numpy as np

from pokeutils import env, files, gan, plots

GRID = 64  # pictures in a sample sheet, eight by eight
LOG_COLUMNS = ("epoch", "step", "images", "seconds", "images_per_second", *gan.LOGS)


# Run folders --------------------------------------------------------------------------


def new_run(name, outputs_dir=None):
    """Makes and returns the next numbered run folder, such as runs/007-modern64."""
    runs = (outputs_dir or env.outputs_dir()) / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    numbers = [int(run.name[:3]) for run in list_runs(outputs_dir)]
    for number in range(max(numbers, default=0) + 1, 1000):
        try:
            folder = runs / f"{number:03d}-{name}"
            folder.mkdir()
            (folder / "samples").mkdir()
            return folder
        except FileExistsError:  # another process was faster
            continue
    raise RuntimeError(f"{runs} holds run 999 already. Move old runs elsewhere.")


def list_runs(outputs_dir=None):
    """Returns all run folders, oldest first."""
    runs = (outputs_dir or env.outputs_dir()) / "runs"
    return sorted(run for run in runs.glob("[0-9][0-9][0-9]-*") if run.is_dir())


def latest_run(outputs_dir=None):
    """Returns the newest run folder that has a generator. Raises FileNotFoundError."""
    runs = [r for r in list_runs(outputs_dir) if (r / "generator.keras").exists()]
    if not runs:
        raise FileNotFoundError(
            f"No trained run in {(outputs_dir or env.outputs_dir()) / 'runs'}. "
            "Run notebook 04_train first, or copy a run folder there."
        )
    return runs[-1]


def read_params(run):
    """Returns params.json of a run as a dict."""
    return json.loads((run / "params.json").read_text())


def read_log(run):
    """Returns {column: float array} of a run's log.csv; a torn last row is left out."""
    with open(run / "log.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if None not in row.values()]
    return {
        column: np.array([float(row[column]) for row in rows]) for column in LOG_COLUMNS
    }


def sample_files(run):
    """Returns [(images seen, path of the sheet)], in the order of training."""
    found = (run / "samples").glob("*.png")
    return sorted((int(p.stem), p) for p in found if re.fullmatch(r"\d{9}", p.stem))


# Callbacks ----------------------------------------------------------------------------


class Log(keras.callbacks.Callback):
    """Appends a row an epoch to log.csv and prints a line at most every `every`
    seconds.

    batch: pictures a step; images: the length of the whole run, for the time left.
    """

    def __init__(self, run, batch, images, every=5.0, show=print):
        super().__init__()
        self.path = run / "log.csv"
        self.batch, self.images, self.every, self.show = batch, images, every, show
        self.shown = -math.inf

    def on_train_begin(self, logs=None):
        self.seconds = 0.0
        steps = int(self.model.steps)
        rows = []
        if self.path.exists():  # keep what happened up to the checkpoint
            log = read_log(self.path.parent)
            rows = [r for r in zip(*log.values(), strict=True) if r[1] <= steps]
            self.seconds = rows[-1][3] if rows else 0.0
        with files.atomic(self.path) as temporary, open(temporary, "w") as file:
            csv.writer(file).writerows([LOG_COLUMNS, *map(_tidy, rows)])

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.monotonic()
        self.steps_before = int(self.model.steps)

    def on_epoch_end(self, epoch, logs=None):
        steps = int(self.model.steps)
        seconds = time.monotonic() - self.began
        speed = (steps - self.steps_before) * self.batch / max(seconds, 1e-9)
        self.seconds += seconds
        seen = steps * self.batch
        values = [float(logs[name]) for name in gan.LOGS]
        with open(self.path, "a") as file:
            row = _tidy([epoch + 1, steps, seen, self.seconds, speed, *values])
            csv.writer(file).writerow(row)
        now = time.monotonic()
        if now - self.shown >= self.every or seen >= self.images:
            self.shown = now
            left = max(self.images - seen, 0) / speed / 60
            self.show(
                f"epoch {epoch + 1:4d}  {seen:8,} images  {speed:5.0f} images/s  "
                f"d_loss {logs['d_loss']:.2f}  g_loss {logs['g_loss']:.2f}  "
                f"D right: reals {logs['d_real']:4.0%}, fakes {logs['d_fake']:4.0%}  "
                f"{left:4.1f} min left",
                flush=True,
            )


class Samples(keras.callbacks.Callback):
    """Saves sheets of the averaged generator, always for the same `GRID` latents.

    `frames` sheets over `images`, denser at the start, where more happens; one before
    the first step, and one at the end.
    """

    def __init__(self, run, batch, images, frames=48, seed=0):
        super().__init__()
        self.folder = run / "samples"
        self.batch, self.seed = batch, seed
        self.milestones = [images * (i / frames) ** 2 for i in range(1, frames + 1)]

    def on_train_begin(self, logs=None):
        seen = int(self.model.steps) * self.batch
        for when, path in sample_files(self.folder.parent):
            if when > seen:  # made after the checkpoint that this run goes on from
                path.unlink()
        if seen == 0:
            self.save(0)

    def on_epoch_end(self, epoch, logs=None):
        seen = int(self.model.steps) * self.batch
        passed = [m for m in self.milestones if m <= seen]
        self.milestones = self.milestones[len(passed) :]
        if passed:
            self.save(seen)

    def on_train_end(self, logs=None):
        self.save(int(self.model.steps) * self.batch)

    def save(self, seen):
        path = self.folder / f"{seen:09d}.png"
        if not path.exists():
            self.model.recalibrate()
            pictures = gan.sample(self.model.averaged, GRID, self.seed)
            plots.save_png(path, plots.tile(pictures))


class Checkpoint(keras.callbacks.Callback):
    """Saves the whole state every `minutes` and at the end; keeps the one before."""

    def __init__(self, run, minutes=5.0):
        super().__init__()
        self.run, self.minutes = run, minutes

    def on_train_begin(self, logs=None):
        self.saved = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        if time.monotonic() - self.saved >= 60 * self.minutes:
            save_state(self.model, self.run)
            self.saved = time.monotonic()

    def on_train_end(self, logs=None):
        save_state(self.model, self.run)
        save_generator(self.model, self.run)


class Guard(keras.callbacks.Callback):
    """Stops a run whose losses are no longer numbers, before it overwrites anything."""

    def on_epoch_end(self, epoch, logs=None):
        broken = [name for name in gan.LOGS if not math.isfinite(float(logs[name]))]
        if broken:
            raise FloatingPointError(
                f"{', '.join(broken)} became NaN or infinite in epoch {epoch + 1}. The "
                "last checkpoint is intact. Lower the learning rate, or raise r1_gamma."
            )


class TimeLimit(keras.callbacks.Callback):
    """Ends training after `minutes`, at the end of an epoch."""

    def __init__(self, minutes, show=print):
        super().__init__()
        self.minutes, self.show = minutes, show

    def on_train_begin(self, logs=None):
        self.began = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        if time.monotonic() - self.began >= 60 * self.minutes:
            self.show(
                f"Stopping here: the limit of {self.minutes:g} minutes is reached."
            )
            self.model.stop_training = True


# State --------------------------------------------------------------------------------


def save_state(model, run):
    """Writes checkpoint/state.npz and its hash; the one before becomes previous.npz."""
    folder = run / "checkpoint"
    state = {
        f"{i:03d}": keras.ops.convert_to_numpy(v) for i, v in enumerate(model.state)
    }
    newest = folder / "state.npz"
    if newest.exists():
        newest.replace(folder / "previous.npz")
    with files.atomic(newest) as temporary, open(temporary, "wb") as file:
        np.savez(file, **state)


def load_state(model, run):
    """Restores what `save_state` wrote. Returns False if there is no checkpoint.

    A checkpoint that cannot be read is passed over for the one before. Raises
    ValueError if it belongs to other networks.
    """
    for name in ("state.npz", "previous.npz"):
        path = run / "checkpoint" / name
        if not path.exists():
            continue
        try:
            with open(path, "rb") as file, np.load(file) as saved:
                values = [saved[key] for key in sorted(saved.files)]
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            print(f"{path} is damaged ({error}); trying the checkpoint before it.")
            continue
        shapes = [tuple(variable.shape) for variable in model.state]
        if shapes != [value.shape for value in values]:
            raise ValueError(
                f"{path} holds {len(values)} arrays that do not fit this model's "
                f"{len(shapes)}. It was made by another recipe; start a new run."
            )
        for variable, value in zip(model.state, values, strict=True):
            variable.assign(value)
        return True
    return False


def save_generator(model, run):
    """Writes generator.keras: the averaged generator in float32, recalibrated."""
    model.recalibrate()
    with files.atomic(run / "generator.keras") as temporary:
        as_float32(model.averaged).save(temporary)


def as_float32(network):
    """Returns a copy of a Keras network whose layers compute in float32."""
    config = json.dumps(network.get_config())
    config = re.sub(r'"mixed_(bfloat16|float16)"', '"float32"', config)
    copy = network.__class__.from_config(json.loads(config))
    copy.set_weights(network.get_weights())
    return copy


def _tidy(row):
    return [round(float(value), 6) for value in row]
