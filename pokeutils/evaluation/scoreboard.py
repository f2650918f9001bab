"""The scores of a comparison: its finished runs in, one table out, and back in.

All are scored in the same way: the first samples, at one size, each on its recipe's own
background, against real pictures that went through the same hands.
"""

import csv
import functools

import numpy as np

from pokeutils import sampling
from pokeutils.common import env, files, images, plots, saved
from pokeutils.data import dataset
from pokeutils.evaluation import features, measures, report
from pokeutils.training import loop, runs

SIZE = 64  # px at which all are scored
SAMPLES, SHOWN = 512, 32  # of a generator, and in a sheet of the gallery
COLUMNS = (  # "ground" is the grey level of the background
    "name seed size ground images seconds kid kid_std kid_random kid_random_std "
    "kid_inception kid_inception_std d_real d_fake images_per_second final source "
    "device"
).split()
WORDS = "name", "source", "device", "backend"  # columns that are no numbers
REALS = "real halves"  # the name in the table of the noise floors
LITE0 = ""  # the end of its columns; it does not judge what it has taught


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


def write_table(path, rows, command):
    """Writes `rows` as CSV, after a comment line with the command that made them."""
    with files.atomic(path) as temporary, open(temporary, "w", newline="") as file:
        file.write(f"# {command}\n")
        writer = csv.DictWriter(file, COLUMNS, "", "ignore", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            cells = {k: f"{v:.6g}" for k, v in row.items() if isinstance(v, float)}
            writer.writerow({**row, **cells})


def read_table(path):
    """Returns (rows, command) as `write_table` wrote them; empty numbers are NaN."""
    with open(path, newline="", encoding="utf-8") as file:
        command = file.readline().removeprefix("# ").strip()
        rows = list(csv.DictReader(file))
    for row in rows:
        row |= {k: float(v or "nan") for k, v in row.items() if k not in WORDS}
    return rows, command


def publish(images, command, folder):
    """Writes `folder`/recipes.csv, and in recipes/ a sheet of the first samples of each
    finished recipe but the ablations. Returns the path of the table. Raises
    RuntimeError without scores, or rather than lose the finished runs of a table."""
    rows, path = rows_of(images), folder / "recipes.csv"
    if not rows:
        raise RuntimeError(f"{folder_of(images)} has no scores yet: train, then score.")
    older = read_table(path)[0] if path.exists() else []
    before, now = (sum(row.get("final") == 1 for row in r) for r in (older, rows))
    if before > now:
        raise RuntimeError(
            f"{path} has {before} finished runs, and here are {now}. Delete it first."
        )
    if any(row["size"] == SIZE for row in rows):
        rows += pretrained_rows(rows[0]["source"])
    write_table(path, rows, command)
    for run in finished(images):
        title, _, seed = run.name.rpartition("-seed")
        if seed == "0" and not title.startswith("modern64-"):
            recipe = runs.read_params(run)["recipe"]
            generator = saved.load_generator(run / "generator.keras")
            first = first_samples(generator, recipe["background"], SHOWN)
            jpeg = plots.to_jpeg(plots.tile(first))
            files.write_bytes(folder / "recipes" / f"{title}.jpg", jpeg)
    return path
