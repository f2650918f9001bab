"""Run folders, outputs/runs/<nnn>-<recipe>/: made, found, read, held by one process.

No Keras is needed to read one, so notebooks, the gallery and tools open it at once, and
a run trained anywhere can be shown anywhere. outputs/README.md says what is in it.
"""

import contextlib
import csv
import errno
import json
import os
import pathlib
import re

import numpy as np

from pokeutils import env


class RunIsBusy(RuntimeError):
    """Another process is training in this run folder."""


def new_run(name):
    """Makes and returns the next numbered run folder, such as runs/007-modern64."""
    runs = env.outputs_dir() / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    numbers = [int(run.name[:3]) for run in list_runs()]
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


def latest_run():
    """Returns the folder of the run whose generator was saved last, which need not have
    the highest number. Raises FileNotFoundError."""
    saved = [(r / "generator.keras", r) for r in list_runs()]
    saved = [(path.stat().st_mtime_ns, r.name, r) for path, r in saved if path.exists()]
    if not saved:
        raise FileNotFoundError(
            f"No trained run in {env.outputs_dir() / 'runs'}. "
            "Run notebook 04_train first, or copy a run folder there."
        )
    return max(saved)[-1]


def find_run(run):
    """Returns the folder of a run given as a path or by its name, such as
    "007-modern64". Raises FileNotFoundError unless it holds a params.json."""
    named = env.outputs_dir() / "runs" / str(run)
    for folder in (pathlib.Path(run), named):
        if (folder / "params.json").exists():
            return folder
    known = ", ".join(r.name for r in list_runs()) or "none"
    raise FileNotFoundError(f"No run {run}; there are: {known}.")


def read_params(run):
    """Returns params.json of a run as a dict. Raises ValueError if it is damaged."""
    path = run / "params.json"
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}). Copy it again, or move that folder away."
        ) from error


def read_log(run):
    """Returns {column: float array} of a run's log.csv; a torn last row is left out."""
    return read_table(run / "log.csv")


def read_table(path):
    """Returns {column: float array} of a CSV file of numbers, without torn rows."""
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if None not in (*row, *row.values())]
        columns = reader.fieldnames or ()
    values = {column: [] for column in columns}
    for row in rows:
        with contextlib.suppress(ValueError):
            numbers = [float(row[column]) for column in columns]
            for column, number in zip(columns, numbers, strict=True):
                values[column].append(number)
    return {column: np.array(numbers) for column, numbers in values.items()}


def read_alarms(run):
    """Returns what the guard found in a run, oldest first: alarms.json, or []."""
    path = run / "alarms.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else []


def sample_files(run):
    """Returns [(images seen, path of the sheet)], in the order of training."""
    found = (run / "samples").glob("*.png")
    return sorted((int(p.stem), p) for p in found if re.fullmatch(r"\d{9}", p.stem))


# One process a run --------------------------------------------------------------------


@contextlib.contextmanager
def lock(run, show=print):
    """Holds a run folder while the `with` block runs; a second one gets RunIsBusy.

    The operating system keeps the lock, so it ends with the process however that dies.
    Where the file system has no locks (some network drives) it says so and goes on.
    """
    with open(run / ".lock", "a+", encoding="utf-8") as file:
        try:
            _hold(file)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                file.seek(0)
                raise RunIsBusy(
                    f"{run.name} is being trained by {file.read() or 'another process'}"
                    ". Wait for it, stop it, or start a run of its own: run='new'."
                ) from None
            show(f"Note: no locks on this drive ({error}); train {run.name} only once.")
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        yield


def _hold(file):
    """Locks an open file for as long as it is open. OSError if someone else has it."""
    try:
        import fcntl
    except ImportError:  # Windows, which locks bytes: one that nobody reads
        import msvcrt

        file.seek(1 << 20)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
