"""What the contestants train: one of the rebuilt systems, as plain numbers, and one
recipe of ours, which has no others beside it.

A case is a dict that fits into JSON, so that processes without TensorFlow can read it.
"""

import dataclasses

from pokeutils.common import env, images
from pokeutils.data import dataset

CASES = "sprites64", "modern64"


def case(name, size=64, batch=None, width=128):
    """Returns the case `name`, one of `CASES`; raises ValueError for any other.

    batch: pictures per step; None: the recipe's. size: side of the pictures in pixels,
    and width: channels of the widest layers; both for sprites64 only.
    """
    if name not in CASES:
        raise ValueError(f"Unknown case {name!r}. Choose one of {', '.join(CASES)}.")
    known = recipe({"name": name})
    shared = {"name": name, "batch": batch or known.batch, "channels": known.channels}
    if name == "modern64":
        return {**shared, "size": known.size}
    return {
        **shared,
        "size": size,
        "latent_dim": 64,
        "width": width,
        "rate": known.learning_rates[0],
        "betas": known.betas,
    }


def recipe(case):
    """Returns our `recipe.Recipe` for a case."""
    from pokeutils.recipes import catalogue

    known = catalogue.get(case["name"])
    changes = {key: case[key] for key in ("size", "batch") if key in case}
    if "width" in case:
        options = (("width", case["width"]),)
        changes |= {"generator_options": options, "discriminator_options": options}
    return dataclasses.replace(known, **changes)


def pictures(case, source):
    """Returns the pictures of a case, uint8 (n, size, size, channels), RGB on white."""
    premultiplied = dataset.load(source, case["size"]).images
    return images.over(premultiplied) if case["channels"] == 3 else premultiplied


def source():
    """Returns the set to train on: artwork if it has been fetched, else doodles."""
    there = (env.data_dir() / "raw" / "artwork" / "source.json").exists()
    return "artwork" if there else "doodles"
