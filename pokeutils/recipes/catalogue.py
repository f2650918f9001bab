"""Named experiments: data, networks, loss, augmentation, optimisers and length.

A recipe is a frozen value. Change one with `dataclasses.replace(recipe, batch=32)`,
train one with `training.train(recipe, "artwork")`.
"""

import dataclasses
import json
import os
import pathlib

from pokeutils.common import env
from pokeutils.recipes import modern, rebuilt
from pokeutils.recipes.recipe import Recipe

# The recipes --------------------------------------------------------------------------

CPU_IMAGES = 60_000  # of a recipe that would take days on a CPU

# The five projects, documented in `rebuilt`.
REBUILT = [
    Recipe(**{"name": name, "balanced": False, **system()})
    for name, system in rebuilt.SYSTEMS.items()
] + [Recipe(balanced=False, **rebuilt.sprites64(as_written=True))]


RECIPES = {
    r.name: r
    for r in (
        *REBUILT,
        modern.MODERN64,
        modern.HYBRID64,
        modern.PROJECTED64,
        modern.PIXELS32,
        modern.PIXELS64,
        modern.QUICK32,
        modern.TYPES32,
        modern.TYPES64,
        modern.TINY16,
    )
}


def get(name, **options):
    """Returns the recipe called `name`. Raises ValueError for an unknown name, or
    for options of one that takes none.

    options: arguments of the project's function in `rebuilt`, such as `kernel=5`.
    """
    if name not in RECIPES:
        raise ValueError(f"Unknown recipe {name!r}. Choose one of {sorted(RECIPES)}.")
    if not options:
        return RECIPES[name]
    if name not in rebuilt.SYSTEMS:
        raise ValueError(f"{name} takes no options. Use dataclasses.replace(it, ...).")
    return Recipe(
        **{"name": name, "balanced": False, **rebuilt.SYSTEMS[name](**options)}
    )


def read(path):
    """Returns (recipe, source, seed) of the run that a params.json tells of, or of the
    trained generator that a card such as outputs/pretrained/hybrid64.json belongs to.

    `training.train(recipe, source, seed)` makes that run again (how exactly:
    outputs/README.md). Raises ValueError if the file is something else, or of a version
    with other fields.
    """
    try:
        params = json.loads(pathlib.Path(path).read_text("utf-8"))
        fields, seed = dict(params["recipe"]), params["seed"]
        if fields.pop("fused_norm", True) is not True:  # a field of earlier versions
            raise ValueError("it used another batch norm")
        source = params["data"]["source"]
        recipe = Recipe(**{name: _frozen(value) for name, value in fields.items()})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{path} does not say how to train ({error}). Expected the params.json of "
            "a run folder of this version, or the card of a generator."
        ) from error
    return recipe, source, seed


def _frozen(value):
    """Lists as JSON has them, as the tuples that a recipe has."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def for_profile():
    """Returns the recipe that the notebooks train in the current profile.

    POKEUTILS_RECIPE names another: it is trained at its own length in the full profile,
    and for `CPU_IMAGES` in the quick one.
    """
    name = os.environ.get("POKEUTILS_RECIPE")
    if not name:
        return env.pick(tiny=modern.TINY16, quick=modern.QUICK32, full=modern.MODERN64)
    recipe = get(name)
    images = env.pick(tiny=2 * recipe.batch, quick=CPU_IMAGES, full=recipe.images)
    return dataclasses.replace(recipe, images=min(images, recipe.images))
