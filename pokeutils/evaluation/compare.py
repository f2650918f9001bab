"""All recipes side by side: the same pictures, the same number of images seen, several
seeds. Behind notebook 7; `scoreboard` scores what this trains.

    python -m pokeutils.evaluation.compare --images 60000 --seeds 2 --publish

Training and scoring are apart, so that the first can be done on a machine that has no
feature networks (--no-score). Both go on where they were stopped: the same command
again. --pace, on an idle machine, measures the speeds that the table then shows.
--sweep trains modern64 with one thing changed at a time, --heads pixel art with a
palette and without one: give each a number of images of its own, for the table is of
all runs of that length.
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
from pokeutils.evaluation import features, scoreboard
from pokeutils.recipes import catalogue
from pokeutils.training import callbacks, checkpoints, guards, loop, runs

SAMPLES = scoreboard.SAMPLES  # in a snapshot: the first ones of fixed latents
POINTS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # of the images: where snapshots are taken
FASTER = 50  # times the learning rates of a run that is made to blow up

NO_COLOUR = (("brightness", 0.0), ("saturation", 0.0), ("contrast", 0.0))
STRONG_COLOUR = (("brightness", 0.4), ("saturation", 1.0), ("contrast", 0.5))
# What modern64 is without one of its parts, small batches among them.
ABLATIONS = {
    "batch-32": {"batch": 32},
    "no-ema": {"ema_images": None},
    "no-diffaugment": {"augment": None},
    "no-r1": {"r1_gamma": 0.0},
    "no-mirror": {"mirror": False},
    "no-fused-norm": {"fused_norm": False},
}
HYBRID = {  # hybrid64, with a warm-up for runs of tens of thousands of images
    "second": catalogue.get("hybrid64").second,
    "second_interval": catalogue.get("hybrid64").second_interval,
    "warm_up": 7_500,
    "ramp": 5_000,
}
PALETTE = {"generator_options": catalogue.get("pixels64").generator_options}
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
    "projected": {
        name: getattr(catalogue.get("projected64"), name)
        for name in "discriminator discriminator_options loss r1_gamma betas".split()
    },
}
WORTH_SEEING = "modern64", "modern64-palette-16", "modern64-projected"  # of the sweep
# What paints pixel art: 16 colours a picture, or any.
HEADS = {
    f"{head}{size}": dataclasses.replace(
        catalogue.get(f"pixels{size}"), name=f"{head}{size}", **change
    )
    for size, plain in ((32, "quick32"), (64, "modern64"))
    for head, change in (
        ("palette", {}),
        ("plain", {"generator_options": catalogue.get(plain).generator_options}),
    )
}
# Networks small enough to try things out.
MINIATURE = {
    "pyramid_generator": {"start": 4, "latent_dim": 16, "widths": (8, 8), "detail": 8},
    "pyramid_discriminator": {"widths": (8, 8)},
    "projected_discriminator": {"input_size": 32},
    "tutorial_generator": {"widths": (32, 16, 8)},
    "tutorial_discriminator": {"widths": (8, 16)},
    "block_generator": {"widths": (32, 16, 8, 8)},
    "sprite_generator": {"width": 16},
    "sprite_discriminator": {"width": 16},
    "dense_generator": {"widths": (32, 64)},
    "dense_discriminator": {"widths": (32,)},
}
STAND_IN = (
    *("keras120", "sprites64", "sprites64_as_written"),
    *("pokegan_conv", "pokegan_dense", "modern64", "modern64-no-ema"),
)


def contestants(images, miniature=False, kind="recipes"):
    """Returns {name: Recipe} of one kind, all for `images` images. "recipes": the
    seeds' systems, modern64, and modern64 without one part each. "sweep": modern64, and
    modern64 with one thing changed each. "heads": `HEADS`.

    miniature: at 16 px with small networks, to try out the comparison itself.
    """
    modern, found = catalogue.get("modern64"), list(HEADS.values())
    if kind != "heads":
        others, changes = (
            ([], SWEEP) if kind == "sweep" else (catalogue.REBUILT, ABLATIONS)
        )
        found = [*others, modern] + [
            dataclasses.replace(modern, name=f"{modern.name}-{name}", **change)
            for name, change in changes.items()
        ]
    if miniature:
        found = [_miniature(recipe) for recipe in found]
    return {r.name: dataclasses.replace(r, images=images) for r in found}


def _miniature(recipe):
    options = {
        f"{part}_options": tuple(
            {
                **dict(getattr(recipe, f"{part}_options")),
                **MINIATURE[getattr(recipe, part)],
            }.items()
        )
        for part in ("generator", "discriminator")
    }
    return dataclasses.replace(recipe, size=16, batch=min(recipe.batch, 32), **options)


# Training -----------------------------------------------------------------------------


class Snapshots(keras.callbacks.Callback):
    """Saves the first `samples` pictures at each of `POINTS`, as a sheet without gaps
    at the size of scoring: snapshots/<images seen>.png."""

    def __init__(self, run, recipe, samples=SAMPLES):
        super().__init__()
        self.run, self.recipe, self.samples = run, recipe, samples
        (run / "snapshots").mkdir(exist_ok=True)

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


def train(chosen, seeds=2, source="artwork", minutes=None, samples=SAMPLES, show=print):
    """Trains every Recipe of {name: Recipe} with every seed, all with the first seed
    before any with the second; returns whether all are done.

    minutes: stop then, in the middle of a run if need be; the next call goes on.
    """
    began = time.monotonic()
    for seed in range(seeds):
        for recipe in chosen.values():
            run = _open_run(recipe, source, seed)
            if loop.is_over(run):
                continue
            left = minutes and minutes - (time.monotonic() - began) / 60
            if minutes and left <= 0:
                return False
            show(f"{recipe.name}, seed {seed}", flush=True)
            snapshots = Snapshots(run, recipe, samples)
            _train_one(recipe, source, seed, run, left, snapshots, show)
            if not loop.is_over(run):
                return False
            if (run / "generator.keras").exists() and recipe.name != "keras120":
                # A finished run of the largest recipe would keep 2 GB of checkpoints.
                shutil.rmtree(run / "checkpoint", ignore_errors=True)
            keras.backend.clear_session()
    return True


def _open_run(recipe, source, seed, name=None):
    """The run folder of a recipe and a seed, made if it is not there."""
    folder = scoreboard.folder_of(recipe.images)
    run = folder / (name or f"{recipe.name}-seed{seed}")
    if not (run / "params.json").exists():
        data = dataset.load(source, recipe.size)
        (run / "samples").mkdir(parents=True, exist_ok=True)
        reals = recipe.pictures(data)[: callbacks.GRID]
        plots.save_png(run / "samples" / "reals.png", plots.tile(reals))
        files.write_json(run / "params.json", runs.params(recipe, data, seed))
    return run


def _train_one(recipe, source, seed, run, minutes, snapshots, show):
    options = {"minutes": minutes, "on_alarm": "ignore", "show": show}
    try:
        loop.train(recipe, source, seed, run, also=[snapshots], **options)
    except guards.Alarm as alarm:  # beyond ignoring: numbers that are no numbers
        show(f"{run.name} ended: {alarm}")


def measure_pace(chosen, source="artwork", rounds=3, least=256, show=print):
    """Measures how many images a second every Recipe of {name: Recipe} trains: all in
    turn, `rounds` times, so that a busy minute does not hit one alone. Writes them into
    the comparison's pace.json and returns {name: [images a second, ...]}.

    least: images to time each by, in whole batches.

    The clock in a run's log also counts what else the machine did in those hours; this
    is for an idle one.
    """
    found = {name: [] for name in chosen}
    for _ in range(rounds):
        for name, recipe in chosen.items():
            found[name].append(_pace(recipe, dataset.load(source, recipe.size), least))
            show(f"{name}: {found[name][-1]:.1f} images/s", flush=True)
            keras.backend.clear_session()
    path = scoreboard.pace_file(recipe.images)
    files.write_json(path, {**scoreboard.read_pace(recipe.images), **found})
    return found


def _pace(recipe, data, least):
    """Images a second, without what the first steps need to compile."""
    model, pictures = recipe.build(), recipe.pictures(data)
    steps = -(-least // recipe.batch)

    def train(steps):
        batches = dataset.batches(pictures, recipe.batch, steps, 0, recipe.mirror)
        began = time.perf_counter()
        model.fit(batches, steps, 1)
        return time.perf_counter() - began

    train(2)
    return steps * recipe.batch / train(steps)


# What seed 001 saw --------------------------------------------------------------------


def blow_up(recipe, source="artwork", show=print):
    """Goes on with the finished first run of `recipe` at `FASTER` times its rate, which
    does in minutes what the seed saw after days, until the guard stops it.

    Both networks are those of that run; the optimisers begin anew. Returns the run
    folder `blow-up` beside it, with log.csv, samples/ and alarms.json.
    """
    before = scoreboard.folder_of(recipe.images) / f"{recipe.name}-seed0"
    rates = tuple(FASTER * rate for rate in recipe.learning_rates)
    fast = dataclasses.replace(recipe, learning_rates=rates)
    run = _open_run(fast, source, 0, name="blow-up")
    if loop.is_over(run):
        return run
    old, new = recipe.build(), fast.build()
    if checkpoints.load(old, before, show=show) is None:
        raise RuntimeError(f"{before} has no checkpoint: train {recipe.name} first.")
    for network in ("generator", "discriminator"):
        getattr(new, network).set_weights(getattr(old, network).get_weights())
    with runs.lock(run, show):
        data = dataset.load(source, recipe.size)
        try:
            loop.fit(fast, new, data, run, save_minutes=0.5, show=show)
        except guards.Alarm as alarm:  # there was no good checkpoint to go back to
            show(f"{run.name} ended: {alarm}")
    return run


def stand_in():
    """Makes a table of a few recipes in miniature, on drawn creatures, in a minute: for
    where there is no table of a real comparison. Returns its path."""
    images = 320
    known = contestants(images, miniature=True)
    chosen = {name: known[name] for name in STAND_IN}

    def quiet(*words, **_):
        pass

    for recipe in chosen.values():
        print(f"in miniature: {recipe.name}", flush=True)
        train({recipe.name: recipe}, 1, "doodles", samples=64, show=quiet)
    blow_up(chosen["keras120"], "doodles", show=quiet)
    networks = features.lite0(64), features.random_conv()
    scoreboard.score(images, networks, quiet)
    command = f"{images} images of 16 px a run: this only shows how it works"
    return scoreboard.publish(images, command, scoreboard.folder_of(images))


# The command --------------------------------------------------------------------------


def main(arguments=None):
    """Trains, scores and writes the table; see the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=60_000, help="seen by each run")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each recipe")
    parser.add_argument("--minutes", type=float, help="of training, then stop")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="such as rgba80")
    parser.add_argument("--source", help="the picture set; artwork, of heads sprites")
    group = parser.add_mutually_exclusive_group()
    store = {"dest": "kind", "action": "store_const"}
    group.add_argument("--sweep", const="sweep", help="modern64, changed", **store)
    group.add_argument("--heads", const="heads", help="heads for pixel art", **store)
    parser.add_argument("--miniature", action="store_true", help="16 px, to try it out")
    parser.add_argument(
        "--pace", action="store_true", help="only measure images a second: when idle"
    )
    parser.add_argument("--no-score", action="store_true", help="only train")
    parser.add_argument(
        "--publish", action="store_true", help="write into outputs/gallery/"
    )
    options = parser.parse_args(arguments)
    kind = options.kind or "recipes"
    source = options.source or ("sprites" if kind == "heads" else "artwork")
    known = contestants(options.images, options.miniature, kind)
    unknown = sorted(set(options.only or ()) - set(known))
    if unknown:
        parser.error(f"no recipe {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = {n: r for n, r in known.items() if not options.only or n in options.only}
    if options.pace:
        measure_pace(chosen, source)
        return
    done = train(chosen, options.seeds, source, options.minutes)
    if done and "keras120" in chosen:
        blow_up(chosen["keras120"], source)
    if not options.no_score:
        scoreboard.score(options.images)
        here = scoreboard.folder_of(options.images)
        folder = env.outputs_dir() / "gallery" if options.publish else here
        words = sys.argv[1:] if arguments is None else arguments
        command = shlex.join(["python", "-m", "pokeutils.evaluation.compare", *words])
        sheets = WORTH_SEEING if kind == "sweep" else None
        print(scoreboard.publish(options.images, command, folder, kind, sheets))
    print("All done." if done else "Not all done: the same command goes on from here.")


if __name__ == "__main__":
    main()
