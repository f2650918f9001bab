"""All recipes side by side: the same pictures, the same number of images seen, several
seeds. Behind notebook 7; `scoreboard` scores what this trains.

    python -m pokeutils.evaluation.compare --images 60000 --seeds 2 --publish

The same command again goes on where it was stopped. `--kind sweep` trains modern64 with
one thing changed at a time, `--kind heads` pixel art with a palette and without one:
give each a number of images of its own, for a table is of all runs of that length.
"""

import argparse
import dataclasses
import shlex
import shutil
import sys
import time

import keras

from pokeutils import sampling
from pokeutils.common import env, files, images, plots
from pokeutils.data import dataset
from pokeutils.evaluation import scoreboard
from pokeutils.recipes import catalogue
from pokeutils.training import callbacks, checkpoints, guards, loop, runs

SAMPLES = 512  # in a snapshot: the first ones of fixed latents
POINTS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # of the images: where snapshots are taken
FASTER = 50  # times the learning rates of a run that is made to blow up
BLOWN_UP = "keras120"
KINDS = {"recipes": "artwork", "sweep": "artwork", "heads": "sprites"}  # of table

# What modern64 is without one of its parts, small batches among them.
ABLATIONS = {
    "batch-32": {"batch": 32},
    "no-ema": {"ema_images": None},
    "no-diffaugment": {"augment": None},
    "no-r1": {"r1_gamma": 0.0},
    "no-mirror": {"mirror": False},
}
NO_COLOUR = (("brightness", 0.0), ("saturation", 0.0), ("contrast", 0.0))
STRONG_COLOUR = (("brightness", 0.4), ("saturation", 1.0), ("contrast", 0.5))


def _fields(name, fields):
    """Some fields of the recipe called `name`."""
    recipe = catalogue.get(name)
    return {field: getattr(recipe, field) for field in fields.split()}


HYBRID = _fields("hybrid64", "second second_interval")
HYBRID |= {"warm_up": 7_500, "ramp": 5_000}  # for runs of tens of thousands of images
PALETTE = _fields("pixels64", "generator_options")
# What modern64 is with one of its numbers changed, downwards and upwards, or with
# another head or discriminator.
SWEEP = {
    "batch-4": {"batch": 4},
    "batch-16": {"batch": 16},
    "r1-0.03": {"r1_gamma": 0.03},
    "r1-3": {"r1_gamma": 3.0},
    "rates-1.25e-4": {"learning_rates": (1.25e-4, 1.25e-4)},
    "rates-5e-4": {"learning_rates": (5e-4, 5e-4)},
    "shift-only": {"augment": (*NO_COLOUR, ("translation", 0.125))},
    "strong-augment": {"augment": (*STRONG_COLOUR, ("translation", 0.25))},
    # Short half-lives: a long one is not reached before twenty times as many images.
    "ema-150": {"ema_images": 150},
    "ema-600": {"ema_images": 600},
    "narrow": {"generator_options": (("widths", (96, 56, 32)), ("start", 8))},
    "wide": {"generator_options": (("widths", (208, 112, 64)), ("start", 8))},
    "no-minibatch-std": {"discriminator_options": (("minibatch_std", False),)},
    "palette-16": PALETTE,
    "hybrid": HYBRID,
    "hybrid-palette-16": {**HYBRID, **PALETTE},
    "projected": _fields(
        "projected64", "discriminator discriminator_options loss r1_gamma betas"
    ),
}
WORTH_SEEING = "modern64", "modern64-palette-16", "modern64-projected"  # of the sweep


def contestants(images, kind="recipes"):
    """Returns {name: Recipe} of one kind, all for `images` images.

    "recipes": the rebuilt systems, modern64, and modern64 without one part each.
    "sweep": modern64, and modern64 with one thing changed each. "heads": pixel art with
    16 colours per picture, or any, all else being the same.
    """
    modern = catalogue.get("modern64")
    if kind == "heads":
        recipes = []
        for size, plain in ((32, "quick32"), (64, "modern64")):
            palette = catalogue.get(f"pixels{size}")
            recipes.append(dataclasses.replace(palette, name=f"palette{size}"))
            usual = _fields(plain, "generator_options")
            recipes.append(dataclasses.replace(palette, name=f"plain{size}", **usual))
    else:
        recipes = [modern] if kind == "sweep" else [*catalogue.REBUILT, modern]
        changes = SWEEP if kind == "sweep" else ABLATIONS
        recipes += [
            dataclasses.replace(modern, name=f"{modern.name}-{name}", **change)
            for name, change in changes.items()
        ]
    return {r.name: dataclasses.replace(r, images=images) for r in recipes}


# Training -----------------------------------------------------------------------------


class Snapshots(keras.callbacks.Callback):
    """Saves the first samples at each of `POINTS`, as a sheet without gaps at the size
    of scoring: snapshots/<images seen>.png."""

    def __init__(self, run, recipe, samples=SAMPLES):
        super().__init__()
        self.run, self.recipe, self.samples = run, recipe, samples

    def on_epoch_end(self, epoch, logs=None):
        seen = self.model.step * self.recipe.batch
        due = [p * self.recipe.images for p in POINTS if p * self.recipe.images <= seen]
        taken = [int(path.stem) for path in scoreboard.snapshot_files(self.run)]
        if not due or max(taken, default=0) >= due[-1]:
            return
        with callbacks.calibrated(self.model) as generator:
            pictures = sampling.sample(generator, self.samples)
        pictures = images.over(pictures, self.recipe.background)
        pictures = scoreboard.at_scoring_size(pictures)
        sheet = plots.tile(pictures, columns=32, gap=0)
        plots.save_png(self.run / "snapshots" / f"{seen:09d}.png", sheet)


def train(recipes, seeds, source, minutes=None, samples=SAMPLES, show=print):
    """Trains every Recipe of {name: Recipe} with every seed, all with the first seed
    before any with the second; returns whether all are done.

    minutes: stop then, in the middle of a run if need be; the next call goes on.
    samples: pictures in a snapshot.
    """
    began = time.monotonic()
    for seed in range(seeds):
        for recipe in recipes.values():
            run = _open_run(recipe, source, seed, f"{recipe.name}-seed{seed}")
            if loop.is_over(run):
                continue
            left = minutes and minutes - (time.monotonic() - began) / 60
            if minutes and left <= 0:
                return False
            show(f"{recipe.name}, seed {seed}", flush=True)
            snapshots = Snapshots(run, recipe, samples)
            options = {"minutes": left, "on_alarm": "ignore", "show": show}
            try:
                loop.train(recipe, source, seed, run, also=[snapshots], **options)
            except guards.Alarm as alarm:  # what cannot be ignored: NaN
                show(f"{run.name} ended: {alarm}")
            if not loop.is_over(run):
                return False
            if (run / "generator.keras").exists() and recipe.name != BLOWN_UP:
                # A finished run of the largest recipe would keep 2 GB of checkpoints.
                shutil.rmtree(run / "checkpoint", ignore_errors=True)
            keras.backend.clear_session()
    return True


def _open_run(recipe, source, seed, name):
    """Returns a run folder of this comparison, made if it is not there."""
    run = scoreboard.folder_of(recipe.images) / name
    if not (run / "params.json").exists():
        data = dataset.load(source, recipe.size)
        reals = plots.tile(recipe.pictures(data)[: callbacks.GRID])
        plots.save_png(run / "samples" / "reals.png", reals)
        files.write_json(run / "params.json", runs.params(recipe, data, seed))
    return run


def blow_up(recipe, source, folder, show=print):
    """Goes on with the finished first run of `recipe` at `FASTER` times its rates until
    the guard stops it: in minutes, what its author saw after days. Returns its folder.

    Both networks are those of that run; the optimisers begin anew. Writes the log, the
    alarms and three sheets into `folder`: blow-up.csv, blow-up.json, blow-up-0.jpg, ...
    """
    rates = tuple(FASTER * rate for rate in recipe.learning_rates)
    fast = dataclasses.replace(recipe, learning_rates=rates)
    run = _open_run(fast, source, 0, "blow-up")
    if not loop.is_over(run):
        old, new = recipe.build(), fast.build()
        checkpoints.load(old, run.parent / f"{recipe.name}-seed0", show=show)
        new.generator.set_weights(old.generator.get_weights())
        new.discriminator.set_weights(old.discriminator.get_weights())
        data = dataset.load(source, recipe.size)
        try:
            with runs.lock(run, show):
                loop.fit(fast, new, data, run, save_minutes=0.5, show=show)
        except guards.Alarm as alarm:  # there was no good checkpoint to go back to
            show(f"{run.name} ended: {alarm}")
    files.write_text(folder / "blow-up.csv", (run / "log.csv").read_text("utf-8"))
    files.write_json(folder / "blow-up.json", runs.read_alarms(run))
    sheets = [path for _, path in runs.sample_files(run)]
    for number, place in enumerate((0, len(sheets) // 2, -1)):
        first = plots.tile(plots.cut(sheets[place], recipe.size)[:16], columns=4)
        files.write_bytes(folder / f"blow-up-{number}.jpg", plots.to_jpeg(first))
    return run


# The command --------------------------------------------------------------------------


def main(arguments=None):
    """Trains, scores and writes the table; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=60_000, help="seen by each run")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each recipe")
    parser.add_argument("--minutes", type=float, help="of training, then stop")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="such as rgba80")
    parser.add_argument("--kind", choices=KINDS, default="recipes", help="of table")
    parser.add_argument("--publish", action="store_true", help="to outputs/gallery/")
    options = parser.parse_args(arguments)
    kind, source = options.kind, KINDS[options.kind]
    recipes = contestants(options.images, kind)
    unknown = sorted(set(options.only or ()) - set(recipes))
    if unknown:
        parser.error(f"no recipe {', '.join(unknown)}; there are {', '.join(recipes)}")
    recipes = {n: recipes[n] for n in recipes if not options.only or n in options.only}

    done = train(recipes, options.seeds, source, options.minutes)
    scoreboard.score(options.images)

    outputs = env.outputs_dir() / "gallery"
    folder = outputs if options.publish else scoreboard.folder_of(options.images)
    words = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "-m", "pokeutils.evaluation.compare", *words])
    variants = [name for name in recipes if name.startswith("modern64-")]
    sheets = WORTH_SEEING if kind == "sweep" else set(recipes) - set(variants)
    print(scoreboard.publish(options.images, command, folder, kind, sheets))
    if done and BLOWN_UP in recipes:
        blow_up(recipes[BLOWN_UP], source, folder / kind)
    print("All done." if done else "Not all done: the same command goes on from here.")


if __name__ == "__main__":
    main()
