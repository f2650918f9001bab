"""Train a recipe, or go on with its newest unfinished run: what `make train` calls.

    python tools/train.py [--minutes 60]

POKEUTILS_RECIPE and POKEUTILS_SOURCE name the recipe and the pictures,
POKEUTILS_DEVICES says on how many devices.
"""

import argparse
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from pokeutils import recipes  # noqa: E402


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, help="stop after that time, and save")
    minutes = parser.parse_args(arguments).minutes
    recipe = recipes.for_profile()
    source = os.environ.get("POKEUTILS_SOURCE") or recipe.source
    print(f"{recipe.name} on {source}. Ctrl-C saves; the same command goes on.")
    run = recipe.train(source, minutes=minutes)
    print(f"The run folder is {run}")


if __name__ == "__main__":
    main()
