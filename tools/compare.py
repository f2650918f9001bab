"""All recipes side by side: the same pictures, the same number of images seen, several
seeds. All are then scored in the same way: the first samples, at one size, each on its
recipe's own background, against real pictures that went through the same hands.

    python tools/compare.py --images 60000 --seeds 2

writes outputs/gallery/recipes.csv. The same command again goes on where it was stopped.
"""

import argparse
import dataclasses
import functools
import pathlib
import shlex
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import keras  # noqa: E402
import numpy as np  # noqa: E402

from pokeutils import sampling  # noqa: E402
from pokeutils.common import env, files, images, plots, saved  # noqa: E402
from pokeutils.data import dataset  # noqa: E402
from pokeutils.evaluation import features, measures, report, scoreboard  # noqa: E402
from pokeutils.recipes import catalogue  # noqa: E402
from pokeutils.training import callbacks, guards, loop, runs  # noqa: E402

SOURCE = "artwork"
SIZE = 64  # px at which all are scored
SAMPLES, SHOWN = 512, 32  # of a generator, and in a sheet of the gallery
REALS = "real halves"  # the name in the table of the noise floors
LITE0 = ""  # the end of its columns; it does not judge what it has taught


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
    run = folder_of(recipe.images) / f"{recipe.name}-seed{seed}"
    if not (run / "params.json").exists():
        data = dataset.load(source, recipe.size)
        reals = plots.tile(recipe.pictures(data)[: callbacks.GRID])
        plots.save_png(run / "samples" / "reals.png", reals)
        files.write_json(run / "params.json", runs.params(recipe, data, seed))
    return run


def folder_of(images):
    """Returns the folder of the runs of a comparison of so many images each."""
    return env.outputs_dir() / "runs" / "comparison" / str(images)


def finished(images):
    """Returns those of the runs that have nothing left to do, and a generator."""
    found = sorted(folder_of(images).glob("*-seed*"))
    done = [run for run in found if loop.is_over(run)]
    return [run for run in done if (run / "generator.keras").exists()]


def at_scoring_size(pictures):
    """Returns uint8 RGB (n, s, s, 3), at `SIZE` px where they are larger."""
    if pictures.shape[1] <= SIZE:
        return pictures
    return np.rint(features.resize(pictures, SIZE)).astype("uint8")


def first_samples(generator, background=255, count=SAMPLES):
    """Returns the first samples of a generator as they are scored."""
    pictures = sampling.sample(generator, count)
    return at_scoring_size(images.over(pictures, background))


# Scoring ------------------------------------------------------------------------------


def judges():
    """Returns {end of its columns' names: backbone}: Lite0 at 224 px, a random network,
    and the FID's Inception where the extra `fid` is installed."""
    backbones = {LITE0: features.lite0(), "_random": features.random_conv()}
    try:
        return {**backbones, "_inception": features.fid()}
    except RuntimeError:  # not installed: the table does without
        return backbones


def score(images, backbones=None, show=print):
    """Scores every finished run that has no score yet, into its metrics.json.

    backbones: as in `judges`, which are the default.
    """
    backbones, known = backbones or judges(), {}
    for run in finished(images):
        if (run / "metrics.json").exists():
            continue
        params = runs.read_params(run)
        recipe, source = params["recipe"], params["data"]["source"]
        place = source, recipe["size"], recipe["background"]
        if place not in known:
            known[place] = _Reals(*place, backbones)
        taught = report.taught_by_lite0(recipe)
        ends = [end for end in backbones if not (taught and end == LITE0)]
        generator = saved.load_generator(run / "generator.keras")
        row = known[place].score(first_samples(generator, recipe["background"]), ends)
        scores = {"samples": row, "floor": known[place].floor}
        files.write_json(run / "metrics.json", scores)
        show(f"{run.name}: KID x 1000 {1000 * row[f'kid{ends[0]}']:.1f}", flush=True)


class _Reals:
    """The real pictures of one size and background, as each backbone sees them."""

    def __init__(self, source, size, background, backbones):
        data = dataset.load(source, size)
        self.pictures = at_scoring_size(images.over(data.images, background))
        self.backbones, self.cache = backbones, data.folder
        self.species = data.groups

    def look(self, end):
        """Returns what a backbone sees in the reals."""
        return self.backbones[end](self.pictures, cache=self.cache)

    def score(self, pictures, ends):
        """Returns the scores of samples (n, s, s, 3), in columns that end in `ends`."""
        row = {}
        for end in ends:
            row |= _cells(end, *_kid(self.look(end), self.backbones[end](pictures)))
        return row

    @functools.cached_property
    def floor(self):
        """The scores of one half against the other, which share no species."""
        row = {}
        for end in self.backbones:
            row |= _cells(end, *measures.kid_floor(self.look(end), self.species))
        return row


def _kid(real, fake):
    """Returns KID and its std; NaN where all samples look the same, as after a
    collapse."""
    if np.abs(fake - fake[0]).max() <= 1e-5 * np.abs(fake[0]).max():
        return np.nan, np.nan
    return measures.kid(real, fake)


def _cells(end, value, std):
    return {f"kid{end}": value, f"kid{end}_std": std}


# The table ----------------------------------------------------------------------------


def rows_of(images):
    """Returns the rows of a comparison, a dict each: one per run with a score, after
    one per noise floor (name `REALS`)."""
    rows, floors = [], {}
    for run in finished(images):
        if not (run / "metrics.json").exists():
            continue
        params, scores = runs.read_params(run), files.read_json(run / "metrics.json")
        recipe, log = params["recipe"], runs.read_log(run)
        place = {"size": recipe["size"], "ground": recipe["background"]}
        place["source"] = params["data"]["source"]
        floors[tuple(place.values())] = {"name": REALS, **place, **scores["floor"]}
        row = {"name": recipe["name"], "seed": params["seed"], **place}
        row |= {"images": log["images"][-1], "seconds": log["seconds"][-1]}
        row["final"] = int(row["images"] >= recipe["images"])  # else it ended in NaN
        lately = log["images"] > 0.9 * row["images"]
        row |= {name: log[name][lately].mean() for name in ("d_real", "d_fake")}
        row["images_per_second"] = np.median(log["images_per_second"])
        rows.append({**row, **scores["samples"], "device": params["device"]})
    return [*floors.values(), *rows]


def pretrained_rows(source):
    """Returns a row per generator that comes with the repository and learned from
    `source`. Lite0, which taught them, is no judge."""
    backbones = {end: judge for end, judge in judges().items() if end != LITE0}
    rows = []
    for name in saved.names():
        card = saved.card(name)
        if card["data"]["source"] != source:
            continue
        size = card["recipe"]["size"]
        row = {"name": name, "seed": card["seed"], "size": size, "ground": 255}
        row |= {"images": card["images_seen"], "seconds": 3600.0 * card["hours"]}
        row |= {"final": 0, "source": source, "device": card["device"]}
        real = _Reals(source, size, 255, backbones)
        samples = first_samples(saved.pretrained(name))
        rows.append({**row, **real.score(samples, backbones)})
    return rows


def publish(images, command, folder):
    """Writes `folder`/recipes.csv, and in recipes/ a sheet of the first samples of each
    finished recipe but the ablations. Returns the path of the table. Raises
    RuntimeError without scores, or rather than lose the finished runs of a table."""
    rows, path = rows_of(images), folder / "recipes.csv"
    if not rows:
        raise RuntimeError(f"{folder_of(images)} has no scores yet: train, then score.")
    older = scoreboard.read_table(path)[0] if path.exists() else []
    before, now = (sum(row.get("final") == 1 for row in r) for r in (older, rows))
    if before > now:
        raise RuntimeError(
            f"{path} has {before} finished runs, and here are {now}. Delete it first."
        )
    if any(row["size"] == SIZE for row in rows):
        rows += pretrained_rows(rows[0]["source"])
    scoreboard.write_table(path, rows, command)
    for run in finished(images):
        title, _, seed = run.name.rpartition("-seed")
        if seed == "0" and not title.startswith("modern64-"):
            recipe = runs.read_params(run)["recipe"]
            generator = saved.load_generator(run / "generator.keras")
            first = first_samples(generator, recipe["background"], SHOWN)
            jpeg = plots.to_jpeg(plots.tile(first))
            files.write_bytes(folder / "recipes" / f"{title}.jpg", jpeg)
    return path


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
    score(options.images)

    words = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "tools/compare.py", *words])
    gallery = env.outputs_dir() / "gallery"
    print(publish(options.images, command, gallery))
    print("All done." if done else "Not all done: the same command goes on from here.")


if __name__ == "__main__":
    main()
