"""All recipes side by side: the same pictures, the same number of images seen, several
seeds. Behind notebook 7; `scoreboard` scores what this trains.

    python -m pokeutils.evaluation.compare --images 60000 --seeds 2

writes outputs/gallery/recipes.csv. The same command again goes on where it was stopped.
"""

import argparse
import dataclasses
import shlex
import shutil
import sys
import time

import keras

from pokeutils.common import env, files, plots
from pokeutils.data import dataset
from pokeutils.evaluation import scoreboard
from pokeutils.recipes import catalogue
from pokeutils.training import callbacks, guards, loop, runs

SOURCE = "artwork"

# What modern64 is without one of its parts, small batches among them.
ABLATIONS = {
    "batch-32": {"batch": 32},
    "no-ema": {"ema_images": None},
    "no-diffaugment": {"augment": None},
    "no-r1": {"r1_gamma": 0.0},
    "no-mirror": {"mirror": False},
}


def contestants(images):
    """Returns {name: Recipe}: the rebuilt systems, modern64, and modern64 without one
    part each, all for `images` images."""
    modern = catalogue.get("modern64")
    recipes = [*catalogue.REBUILT, modern]
    recipes += [
        dataclasses.replace(modern, name=f"modern64-{name}", **change)
        for name, change in ABLATIONS.items()
    ]
    return {r.name: dataclasses.replace(r, images=images) for r in recipes}


def train(recipes, seeds, source=SOURCE, minutes=None, show=print):
    """Trains every Recipe of {name: Recipe} with every seed, all with the first seed
    before any with the second; returns whether all are done.

    minutes: stop then, in the middle of a run if need be; the next call goes on.
    """
    began = time.monotonic()
    for seed in range(seeds):
        for recipe in recipes.values():
            run = _open_run(recipe, source, seed)
            if loop.is_over(run):
                continue
            left = minutes and minutes - (time.monotonic() - began) / 60
            if minutes and left <= 0:
                return False
            show(f"{recipe.name}, seed {seed}", flush=True)
            options = {"minutes": left, "on_alarm": "ignore", "show": show}
            try:
                loop.train(recipe, source, seed, run, **options)
            except guards.Alarm as alarm:  # what cannot be ignored: NaN
                show(f"{run.name} ended: {alarm}")
            if not loop.is_over(run):
                return False
            if (run / "generator.keras").exists():
                # A finished run of the largest recipe would keep 2 GB of checkpoints.
                shutil.rmtree(run / "checkpoint", ignore_errors=True)
            keras.backend.clear_session()
    return True


def _open_run(recipe, source, seed):
    """Returns a run folder of this comparison, made if it is not there."""
    run = scoreboard.folder_of(recipe.images) / f"{recipe.name}-seed{seed}"
    if not (run / "params.json").exists():
        data = dataset.load(source, recipe.size)
        reals = plots.tile(recipe.pictures(data)[: callbacks.GRID])
        plots.save_png(run / "samples" / "reals.png", reals)
        files.write_json(run / "params.json", runs.params(recipe, data, seed))
    return run


def main(arguments=None):
    """Trains, scores and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=60_000, help="seen by each run")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each recipe")
    parser.add_argument("--minutes", type=float, help="of training, then stop")
    options = parser.parse_args(arguments)
    for name, value in vars(options).items():
        if value is not None and not value > 0:  # as nan is
            parser.error(f"--{name} is a positive number, not {value:g}.")

    recipes = contestants(options.images)
    done = train(recipes, options.seeds, SOURCE, options.minutes, show=env.say)
    scoreboard.score(options.images)

    words = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "-m", "pokeutils.evaluation.compare", *words])
    gallery = env.outputs_dir() / "gallery"
    print(scoreboard.publish(options.images, command, gallery))
    print("All done." if done else "Not all done: the same command goes on from here.")


if __name__ == "__main__":
    main()
