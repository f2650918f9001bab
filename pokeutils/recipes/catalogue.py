"""Named experiments: data, networks, loss, augmentation, optimisers and length.

A recipe is a frozen value. Change one with `dataclasses.replace(recipe, batch=32)`,
train one with `training.train(recipe, "artwork")`.
"""

import dataclasses
import os

from pokeutils.common import env, files
from pokeutils.recipes import modern, rebuilt
from pokeutils.recipes.recipe import Recipe

CPU_IMAGES = 60_000  # of a recipe that would take days on a CPU


def _rebuilt(name, **options):
    """The recipe of a project that `rebuilt` documents."""
    system = rebuilt.SYSTEMS[name](**options)
    return Recipe(**{"name": name, "balanced": False, **system})


REBUILT = [_rebuilt(name) for name in rebuilt.SYSTEMS]
REBUILT.append(_rebuilt("sprites64", as_written=True))


_MODERN = [r for r in vars(modern).values() if isinstance(r, Recipe)]
RECIPES = {r.name: r for r in (*REBUILT, *_MODERN)}


def get(name, **options):
    """Returns the recipe called `name`. Raises ValueError for an unknown name, or
    for options of one that takes none.

    options: arguments of the project's function in `rebuilt`: `as_written=True`.
    """
    if name not in RECIPES:
        raise ValueError(f"Unknown recipe {name!r}. Choose one of {sorted(RECIPES)}.")
    if not options:
        return RECIPES[name]
    if name not in rebuilt.SYSTEMS:
        raise ValueError(f"{name} takes no options. Use dataclasses.replace(it, ...).")
    return _rebuilt(name, **options)


def read(path):
    """Returns (recipe, source, seed) of the run that a params.json tells of, or a card
    such as outputs/pretrained/hybrid64.json: `training.train(recipe, source, seed)`
    makes it again. Raises ValueError for any other file."""
    try:
        params = files.read_json(path)
        fields, seed = dict(params["recipe"]), params["seed"]
        if fields.pop("fused_norm", True) is not True:  # a field of earlier versions
            raise ValueError("it used another batch norm")
        for gone in ("epochs", "milestones"):
            fields.pop(gone, None)
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
    """Returns the recipe that the notebooks train in the current profile, or the one
    that POKEUTILS_RECIPE names, in the quick profile for `CPU_IMAGES`."""
    name = os.environ.get("POKEUTILS_RECIPE")
    if not name:
        return env.pick(tiny=modern.TINY16, quick=modern.QUICK32, full=modern.MODERN64)
    recipe = get(name)
    images = env.pick(tiny=2 * recipe.batch, quick=CPU_IMAGES, full=recipe.images)
    return dataclasses.replace(recipe, images=min(images, recipe.images))
