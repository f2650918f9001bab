"""Checkpoints: everything that a run needs to go on exactly, whole or not at all.

checkpoint/<step>/ of a run folder holds state.npz, an array a variable, and state.json,
which says what they belong to and names each array with its shape and sha256. Damage is
found on loading, and the checkpoint before is taken instead.
"""

import contextlib
import json
import re
import shutil

import keras
import numpy as np

from pokeutils.common import files

KEEP = 2  # the newest ones; the newest healthy one is kept besides


def variables(model):
    """Returns {name: variable} of all that training changes: `model.state`, and the
    sums behind an epoch's logs, for a stop in the middle of an epoch.

    Names carry no counters, which depend on what else a process has built.
    """
    found = [*model.state, *(v for metric in model.metrics for v in metric.variables)]
    return {
        f"{i:03d} {re.sub(r'_[0-9]+(?=[/_]|$)', '', variable.path)}": variable
        for i, variable in enumerate(found)
    }


def list_checkpoints(run):
    """Returns the folders of a run's checkpoints, newest first, damaged ones too."""
    found = (run / "checkpoint").glob("[0-9]*")
    return sorted((folder for folder in found if folder.is_dir()), reverse=True)


def save(model, run, facts):
    """Writes a checkpoint of `model` into a run folder and removes those out of date.

    facts: what it belongs to, for state.json: `step`, `healthy`, and more, as JSON.
    Raises FloatingPointError, and writes nothing, when a variable is NaN or infinite.
    """
    arrays = {
        name: keras.ops.convert_to_numpy(variable)
        for name, variable in variables(model).items()
    }
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise FloatingPointError(f"{name[4:]} holds NaN or infinity.")
    content = {
        **facts,
        "arrays": {name: _described(array) for name, array in arrays.items()},
    }
    content["sha256"] = _sha256(content)
    with files.atomic_folder(run / "checkpoint" / f"{facts['step']:09d}") as new:
        with files.atomic(new / "state.npz") as path, open(path, "wb") as file:
            np.savez(file, **arrays)
        files.write_json(new / "state.json", content)
    folders = list_checkpoints(run)
    healthy = [folder for folder in folders if _is_healthy(folder)]
    for folder in folders[KEEP:]:
        if folder not in healthy[:1]:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(run):
    """Removes what processes that died while saving left behind. Needs the run's lock,
    or what a living one is writing goes as well."""
    for left in (run / "checkpoint").glob(".*.tmp*"):
        shutil.rmtree(left, ignore_errors=True)
    for left in run.rglob(".*.tmp*"):
        left.unlink(missing_ok=True)


def read_facts(folder):
    """Returns state.json of a checkpoint. Raises ValueError or OSError if damaged."""
    content = json.loads((folder / "state.json").read_text("utf-8"))
    if not isinstance(content, dict) or _sha256(content) != content.get("sha256"):
        raise ValueError("state.json is not as it was written")
    return content


def newest_facts(run):
    """Returns state.json of the newest checkpoint where that can be read, or None."""
    for folder in list_checkpoints(run):
        with contextlib.suppress(OSError, ValueError):
            return read_facts(folder)
    return None


def set_aside(run, step):
    """Renames the checkpoints after `step`, which were found damaged, to damaged-...:
    they must not take the places of good ones when `save` keeps the newest."""
    for folder in list_checkpoints(run):
        if int(folder.name) > step:
            aside = folder.with_name(f"damaged-{folder.name}")
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)


def drop_newer(run, step):
    """Removes the checkpoints after `step`, which a run has gone back behind."""
    for folder in list_checkpoints(run):
        if int(folder.name) > step:
            shutil.rmtree(folder, ignore_errors=True)


def load(model, run, check=None, healthy=False, show=print):
    """Puts `model` into the state of a run's newest checkpoint; returns its facts.

    Returns None if the run has none. A damaged one is passed over for the one before,
    which `show` is told. check: called with the facts, raises if they do not belong
    here. healthy: pass over those made while the guard was suspicious.
    Raises RuntimeError when all are damaged, ValueError when the checkpoint is of other
    networks. After an error, `model` is as it was.
    """
    folders = list_checkpoints(run)
    damaged = 0
    for folder in folders:
        try:
            facts, arrays = _read(folder)
        except Exception as error:  # what a damaged file makes its readers raise: any
            show(
                f"Checkpoint {folder.name} of {run.name} is damaged "
                f"({type(error).__name__}: {error}); trying the one before it."
            )
            damaged += 1
            continue
        if healthy and not facts["healthy"]:
            continue
        if check:
            check(facts)
        _check_shapes(model, folder, arrays)
        for name, variable in variables(model).items():
            variable.assign(arrays[name])
        return facts
    if folders and damaged == len(folders):
        raise RuntimeError(
            f"Every checkpoint of {run.name} is damaged ({damaged}). Nothing was "
            "changed; start a new run with run='new'."
        )
    return None


def _read(folder):
    """Returns the facts and arrays of a checkpoint, all verified."""
    facts = read_facts(folder)
    with open(folder / "state.npz", "rb") as file, np.load(file) as saved:
        arrays = {name: saved[name] for name in facts["arrays"]}
    for name, array in arrays.items():
        if _described(array) != facts["arrays"][name]:
            raise ValueError(f"{name[4:]} is not as it was written")
    return facts, arrays


def _described(array):
    return {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "sha256": files.sha256(np.ascontiguousarray(array).data.cast("B")),
    }


def _check_shapes(model, folder, arrays):
    """Raises ValueError unless the checkpoint is of networks like these."""
    shapes = {name: tuple(v.shape) for name, v in variables(model).items()}
    saved = {name: array.shape for name, array in arrays.items()}
    if shapes != saved:
        odd = sorted(shapes.items() ^ saved.items())[0][0]
        raise ValueError(
            f"Checkpoint {folder.name} does not fit these networks: {odd[4:]!r} is "
            f"{saved.get(odd, 'absent')} there and {shapes.get(odd, 'absent')} here. "
            "It was made by other code; start a new run with run='new'."
        )


def _is_healthy(folder):
    try:
        return read_facts(folder)["healthy"]
    except (OSError, ValueError):
        return False


def _sha256(content):
    plain = {key: value for key, value in content.items() if key != "sha256"}
    return files.sha256(json.dumps(plain, sort_keys=True).encode())
