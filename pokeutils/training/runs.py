"""Run folders, outputs/runs/<nnn>-<recipe>/: made, found, read, held by one process.

No Keras is needed to read one, so notebooks, the gallery and tools open it at once, and
a run trained anywhere can be shown anywhere. outputs/README.md says what is in it.
"""

import contextlib
import dataclasses
import json
import pathlib
import re

import numpy as np
from PIL import Image

from pokeutils.common import device, env, files

ATTACHED = pathlib.Path("/kaggle/input")


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


def attached():
    """Returns the run folders in what is attached on Kaggle."""
    if env.platform() != "kaggle":
        return []
    found = ATTACHED.glob("**/runs/[0-9][0-9][0-9]-*")
    return sorted(run for run in found if run.is_dir())


def latest_run():
    """Returns the folder of the run whose generator was saved last, which need not have
    the highest number; of an attached one if there is no other. Raises
    FileNotFoundError."""
    for found in (list_runs(), attached()):
        saved = [(r / "generator.keras", r) for r in found if draws_creatures(r)]
        saved = [(p.stat().st_mtime_ns, r.name, r) for p, r in saved if p.exists()]
        if saved:
            return max(saved)[-1]
    raise FileNotFoundError(
        f"No trained run in {env.outputs_dir() / 'runs'}. "
        "Run notebook 04_train first, or copy a run folder there."
    )


def draws_creatures(run):
    """Whether a run's generator takes latents; one of `studio.restore` takes pictures.
    True also for a run whose params.json cannot be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return "closeness" not in read_params(run)["recipe"]
    return True


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
    advice = "Copy it again, or move that folder away."
    try:
        params = files.read_json(path)
    except ValueError as error:
        raise ValueError(f"{error} {advice}") from None
    parts = {name: params.get(name) for name in ("recipe", "data")}
    missing = [name for name, part in parts.items() if not isinstance(part, dict)]
    missing += [] if "seed" in params else ["seed"]
    if missing:
        raise ValueError(f"{path} is damaged (no {', '.join(missing)}). {advice}")
    return params


def read_log(run):
    """Returns {column: float array} of a run's log.csv, without torn rows. Raises
    ValueError when its head is damaged."""
    path = run / "log.csv"
    # Not csv: a block of zero bytes, as a power cut leaves it, is too large for that.
    with open(path, encoding="utf-8", errors="replace") as file:
        columns = file.readline().strip().split(",")
        rows = [numbers for line in file if (numbers := _numbers(line, len(columns)))]
    if "step" not in columns:
        raise ValueError(f"{path} is damaged (its first line names no steps).")
    table = np.array(rows).reshape(len(rows), len(columns))
    return dict(zip(columns, table.T, strict=True))


def _numbers(line, count):
    """Returns the numbers of a row; None for a torn one. Zero bytes that a power cut
    left in the middle of a file take no row with them."""
    cells = line.replace("\0", "").split(",")
    if len(cells) == count:
        with contextlib.suppress(ValueError):
            return [float(cell) for cell in cells]


def read_alarms(run, show=print):
    """Returns what the guard found in a run, oldest first; damage is set aside."""
    path = run / "alarms.json"
    if not path.exists():
        return []
    try:
        alarms = files.read_json(path, list)
        if all(
            isinstance(a, dict) and {"action", "sentence"} <= a.keys() for a in alarms
        ):
            return alarms
        error = f"{path} is damaged (it holds no alarms)."
    except ValueError as damage:
        error = damage
    files.set_aside(path, error, show)
    return []


def sample_files(run, show=print):
    """Returns [(images seen, path of the sheet)] in order, without damaged ones."""
    found = (run / "samples").glob("*.png")
    numbers = sorted((int(p.stem), p) for p in found if re.fullmatch(r"\d{9}", p.stem))
    return [(seen, path) for seen, path in numbers if _is_whole(path, show)]


def _is_whole(path, show):
    try:
        with Image.open(path) as sheet:
            sheet.verify()
        return True
    except Exception as error:  # decoders raise nearly every kind there is
        show(f"{path} is damaged and left out ({error}).")
        return False


# One process a run --------------------------------------------------------------------


@contextlib.contextmanager
def lock(run, show=print):
    """Holds a run folder while the `with` block runs. Raises RunIsBusy."""
    try:
        with files.lock(run / ".lock", show):
            yield
    except files.Busy as error:
        raise RunIsBusy(
            f"{run.name} is being trained by {error.owner}. Wait for it, stop it, or "
            "start a run of its own: run='new'."
        ) from None


# What a run was made from (params.json) -----------------------------------------------


def params(recipe, data, seed):
    """What has to be known to make a run again, as a dict for params.json."""
    return {
        "recipe": json.loads(json.dumps(dataclasses.asdict(recipe))),
        "seed": seed,
        "data": {
            "source": data.source,
            "size": data.size,
            "pictures": len(data.images),
            "training_pictures": int(data.train.sum()),
            "fingerprint": data.fingerprint,
        },
        "backend": device.backend(),
        "dtype": device.training_dtype(),
        "device": device.device_name(),
        "versions": env.versions(),
        "git_commit": env.git_commit(),
    }


def differences(before, now, recipe):
    """Returns what in two `params` would make another run, as a list of phrases."""
    defaults = {
        field.name: json.loads(json.dumps(field.default))
        for field in dataclasses.fields(recipe)
        if field.default is not dataclasses.MISSING
    }
    # A field that is newer than the run counts as if it had been left at its default,
    # and one that is gone counts only if it was used.
    used = {k: v for k, v in before["recipe"].items() if k in now["recipe"] or v}
    before = {**before, "recipe": {**defaults, **used}}
    found = []
    for part in ("recipe", "data"):
        for name in {**now[part], **before[part]}:
            was, is_now = (x[part].get(name, "absent") for x in (before, now))
            if was != is_now:
                if name == "fingerprint":
                    was, is_now = str(was)[:12], str(is_now)[:12]
                found.append(f"{part}.{name}: was {was!r}, now {is_now!r}")
    if before["seed"] != now["seed"]:
        found.append(f"seed: was {before['seed']}, now {now['seed']}")
    return found


def check_params(run, recipe, data, seed, before=None):
    """Raises ValueError with the differences if `run` was made from something else.

    before: its params, where they are not those of params.json.
    """
    before = before or read_params(run)
    different = differences(before, params(recipe, data, seed), recipe)
    if different:
        raise ValueError(
            f"{run.name} cannot go on, it was started differently: "
            + "; ".join(different)
            + ". Use the same values, or start a new run with run='new'."
        )


def note_changes(run, before, now, show=print):
    """Says what of device and versions is not as it was at a run's checkpoint."""
    found = [
        f"{name} {before['versions'].get(name, 'absent')} -> {version}"
        for name, version in now["versions"].items()
        if before["versions"].get(name) != version
    ]
    found += [
        f"{name} {before[name]} -> {now[name]}"
        for name in ("backend", "dtype", "device")
        if before[name] != now[name]
    ]
    if found:
        show(f"{run.name} goes on, but not bit for bit the same: {', '.join(found)}.")
