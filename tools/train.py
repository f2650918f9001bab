"""Train a recipe, or go on with its newest unfinished run: what `make train` calls.

    python tools/train.py [--minutes 60] [--params FILE] [--run new] [--seed 1]
                          [--start flagship]

POKEUTILS_RECIPE and POKEUTILS_SOURCE name the recipe and the pictures,
POKEUTILS_DEVICES says on how many devices. FILE, the params.json of a run or the card
of a generator, names all that and the seed: the run is made again. --start goes on from
a pretrained generator with pictures of your own, see `recipes.finetune`.
"""

import argparse
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from pokeutils.common import device, env  # noqa: E402

device.settle()  # before TensorFlow is imported

from pokeutils import training  # noqa: E402
from pokeutils.data import sources  # noqa: E402
from pokeutils.recipes import catalogue, finetune  # noqa: E402


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, help="stop after that time, and save")
    parser.add_argument("--params", metavar="FILE", help="make this run again")
    parser.add_argument("--run", help="the run to go on with, or new")
    parser.add_argument("--seed", type=int, help="of the random numbers; 0")
    parser.add_argument("--start", help="a trained generator to go on from: flagship")
    options = parser.parse_args(arguments)
    if options.minutes is not None and not options.minutes > 0:  # as nan is
        parser.error(f"--minutes is a positive number, not {options.minutes:g}.")
    try:
        if options.start and (options.params or os.environ.get("POKEUTILS_RECIPE")):
            parser.error("START brings its own recipe: leave RECIPE and PARAMS out.")
        if options.params:
            recipe, source, seed = catalogue.read(options.params)
        else:
            if options.start:
                options.minutes = options.minutes or finetune.MINUTES
                recipe = finetune.recipe(options.start, options.minutes)
            else:
                recipe = catalogue.for_profile()
            seed, source = 0, os.environ.get("POKEUTILS_SOURCE") or recipe.source
        seed = seed if options.seed is None else options.seed
        sources.describe(source)
        sources.listing(source)  # a folder of one's own must be there
    except (OSError, ValueError) as error:
        parser.error(str(error))
    env.say(f"{recipe.name} on {source}. Ctrl-C saves; the same command goes on.")
    more = {"minutes": options.minutes, "show": env.say}
    try:
        run = training.train(recipe, source, seed, options.run, **more)
    except (RuntimeError, ValueError, OSError) as error:
        sys.exit(str(error))  # it says what is wrong and what to do
    except KeyboardInterrupt:  # pressed twice, or before there was anything to save
        sys.exit("Stopped; the same command goes on from the last checkpoint.")
    env.say(f"The run folder is {run}")


if __name__ == "__main__":
    main()
