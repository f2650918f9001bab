"""What a run was made from (params.json), and whether something else is the same.

Two runs are the same if recipe, pictures and seed are: those decide the weights. Device
and versions are written down as well; they may change the last bits of numbers.
"""

import dataclasses
import json

from pokeutils import env, runs


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
        "backend": env.backend(),
        "dtype": env.training_dtype(),
        "device": env.device_name(),
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
    # A field that is newer than the run counts as if it had been left at its default.
    before = {**before, "recipe": {**defaults, **before["recipe"]}}
    found = []
    for part in ("recipe", "data"):
        for name in {**now[part], **before[part]}:
            was, is_now = (x[part].get(name, "absent") for x in (before, now))
            if was != is_now:
                if name == "fingerprint":
                    was, is_now = was[:12], is_now[:12]
                found.append(f"{part}.{name}: was {was!r}, now {is_now!r}")
    if before["seed"] != now["seed"]:
        found.append(f"seed: was {before['seed']}, now {now['seed']}")
    return found


def check_params(run, recipe, data, seed, before=None):
    """Raises ValueError with the differences if `run` was made from something else.

    before: its params, where they are not those of params.json.
    """
    before = before or runs.read_params(run)
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
