"""What the contestants train: two of the seeds' systems, as plain numbers, and one
recipe of ours, which has no others beside it.

A case is a dict that fits into JSON, so that processes without TensorFlow can read it.
"""

import dataclasses

from pokeutils.common import env, images
from pokeutils.data import dataset
from pokeutils.recipes import rebuilt

SYSTEMS = {"sprites64": rebuilt.sprites64, "rgba80": rebuilt.rgba80}
OWN = "modern64"


def case(name, size=None, batch=None, width=1.0):
    """Returns the case `name`: "sprites64", "rgba80" or "modern64".

    size: side of the pictures in pixels; batch: pictures a step; None: the recipe's.
    width: factor on the channels of all layers. Only `batch` is for modern64 as well.
    """
    if name == OWN:
        return {"name": name, "size": 64, "batch": batch or 8, "channels": 4}
    if name not in SYSTEMS:
        known = sorted([*SYSTEMS, OWN])
        raise ValueError(f"Unknown case {name!r}. Choose one of {known}.")
    system = SYSTEMS[name]()
    if name == "sprites64":
        latent_dim, up, down = 64, 128, 128
    else:
        latent_dim, up, down = 100, (256, 128, 64), (64, 128)
    return {
        "name": name,
        "size": size or system["size"],
        "batch": batch or system.get("batch", 64),
        "channels": system.get("channels", 4),
        "latent_dim": latent_dim,
        "generator_widths": _scaled(up, width),
        "discriminator_widths": _scaled(down, width),
        "rate": system.get("learning_rates", (2e-4,))[0],
        "betas": system["betas"],
        "mirror": system.get("mirror", True),
    }


def _scaled(widths, factor):
    if isinstance(widths, tuple):
        return [round(width * factor) for width in widths]
    return round(widths * factor)


def recipe(case):
    """Returns our `recipe.Recipe` for a case."""
    from pokeutils.recipes import catalogue

    if case["name"] == OWN:
        return dataclasses.replace(catalogue.get(OWN), batch=case["batch"])
    sprites = case["name"] == "sprites64"
    options = [
        (("width", widths),) if sprites else (("widths", tuple(widths)),)
        for widths in (case["generator_widths"], case["discriminator_widths"])
    ]
    return dataclasses.replace(
        catalogue.get(case["name"]),
        size=case["size"],
        batch=case["batch"],
        generator_options=options[0],
        discriminator_options=options[1],
    )


def pictures(case, source):
    """Returns the pictures of a case, uint8 (n, size, size, channels), RGB on white."""
    found = dataset.load(source, case["size"]).images
    return images.over(found, 255) if case["channels"] == 3 else found


def source():
    """The pictures to train on: artwork if it has been fetched, else doodles."""
    there = (env.data_dir() / "raw" / "artwork" / "source.json").exists()
    return "artwork" if there else "doodles"
