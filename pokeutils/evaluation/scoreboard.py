"""The scores of a comparison: snapshots of its runs in, one table out, and back in.

A snapshot is a sheet of samples that a run left on its way (`compare.Snapshots`). All
are scored in the same way: at one size, each on its recipe's own background, against
real pictures that went through the same hands.
"""

import csv
import functools

import numpy as np

from pokeutils import sampling
from pokeutils.common import env, files, images, plots, saved
from pokeutils.data import dataset
from pokeutils.evaluation import features, measures, report
from pokeutils.training import runs

SIZE = 64  # px at which all are scored
SAMPLES, SHOWN = 512, 32  # of a pretrained generator, and in a sheet of the gallery
COLUMNS = (  # "ground" is the grey level of the background
    "name seed size ground images seconds kid kid_std kid_random kid_random_std "
    "kid_inception kid_inception_std d_real d_fake gated images_per_second final "
    "source device"
).split()
WORDS = "name", "source", "device", "backend"  # columns that are no numbers
REALS = "real halves"  # the name in the table of the noise floors
LITE0, INCEPTION = "", "_inception"  # ends of their columns; the second is slow


def folder_of(images):
    """Returns the folder of the runs of a comparison of so many images each."""
    return env.outputs_dir() / "runs" / "comparison" / str(images)


def snapshot_files(run):
    """Returns the snapshots of a run, oldest first; named after the images seen."""
    return sorted((run / "snapshots").glob("[0-9]*.png"))


def read_scores(run):
    """Returns {images seen: scores, "floor": scores} of a run; {} before any."""
    path = run / "metrics.json"
    return files.read_json(path) if path.exists() else {}


# Pictures -----------------------------------------------------------------------------


def at_scoring_size(pictures):
    """Returns uint8 RGB (n, s, s, 3), at `SIZE` px where they are larger."""
    if pictures.shape[1] <= SIZE:
        return pictures
    return np.rint(features.resize(pictures, SIZE)).astype("uint8")


# Scoring ------------------------------------------------------------------------------


def judges():
    """Returns {end of its columns' names: backbone}: Lite0 at 224 px, a random network,
    and the FID's Inception where the extra `fid` is installed."""
    backbones = {"": features.lite0(), "_random": features.random_conv()}
    try:
        return {**backbones, "_inception": features.fid()}
    except RuntimeError:  # not installed: the table does without
        return backbones


def score(images, backbones=None, show=print):
    """Scores every snapshot that has no score yet, into its run's metrics.json.

    backbones: as in `judges`, which are the default.
    """
    backbones, known = backbones or judges(), {}
    for run in sorted(folder_of(images).glob("*-seed*")):
        params, scores = runs.read_params(run), read_scores(run)
        recipe, source = params["recipe"], params["data"]["source"]
        place = source, recipe["size"], recipe["background"]
        for path in snapshot_files(run):
            seen = int(path.stem)
            if str(seen) in scores:
                continue
            if place not in known:
                known[place] = _Reals(*place, backbones)
            skipped = [LITE0] if report.taught_by_lite0(recipe) else []
            skipped += [INCEPTION] if seen < recipe["images"] else []
            ends = [end for end in backbones if end not in skipped]
            pictures = plots.cut(path, min(recipe["size"], SIZE), gap=0)
            scores[str(seen)] = row = known[place].score(pictures, ends)
            scores["floor"] = known[place].floor
            files.write_json(run / "metrics.json", scores)
            kid = 1000 * row[f"kid{ends[0]}"]
            show(f"{run.name} at {seen:,} images: KID x 1000 {kid:.1f}", flush=True)


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
    """Returns the rows of a comparison, a dict each: one per run and snapshot with a
    score, after one per noise floor (name `REALS`)."""
    rows, floors = [], {}
    for run in sorted(folder_of(images).glob("*-seed*")):
        params, scores = runs.read_params(run), read_scores(run)
        recipe, floor = params["recipe"], scores.pop("floor", None)
        size, ground = recipe["size"], recipe["background"]
        place = {"size": size, "ground": ground, "source": params["data"]["source"]}
        if scores:
            floors[tuple(place.values())] = {"name": REALS, **place, **floor}
        for seen in sorted(map(int, scores)):
            row = {"name": recipe["name"], "seed": params["seed"], **place}
            row |= {"images": seen, "final": int(seen >= recipe["images"])}
            row |= {**scores[str(seen)], **_from_log(runs.read_log(run), seen)}
            rows.append({**row, "device": params["device"]})
    return [*floors.values(), *rows]


def _from_log(log, seen):
    """Returns what log.csv says at `seen` images: time, and means of the last tenth."""
    lately = (log["images"] > 0.9 * seen) & (log["images"] <= seen)
    cells = {name: log[name][lately].mean() for name in ("d_real", "d_fake", "gated")}
    cells["seconds"] = log["seconds"][log["images"] <= seen][-1]
    cells["images_per_second"] = np.median(log["images_per_second"])
    return {name: float(value) for name, value in cells.items()}


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
        samples = images.over(sampling.sample(saved.pretrained(name), SAMPLES))
        row = {"name": name, "seed": card["seed"], "size": size, "ground": 255}
        row |= {"images": card["images_seen"], "seconds": 3600.0 * card["hours"]}
        row |= {"final": 0, "source": source, "device": card["device"]}
        real = _Reals(source, size, 255, backbones)
        rows.append({**row, **real.score(at_scoring_size(samples), backbones)})
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
    for run in folder_of(images).glob("*-seed0"):
        title = run.name.removesuffix("-seed0")
        if title.startswith("modern64-") or not (run / "generator.keras").exists():
            continue
        side = min(runs.read_params(run)["recipe"]["size"], SIZE)
        first = plots.cut(snapshot_files(run)[-1], side, gap=0)[:SHOWN]
        jpeg = plots.to_jpeg(plots.tile(first))
        files.write_bytes(folder / "recipes" / f"{title}.jpg", jpeg)
    return path
