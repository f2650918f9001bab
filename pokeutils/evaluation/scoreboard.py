"""The scores of a comparison: snapshots of its runs in, one table out, and back in.

A snapshot is a sheet of samples that a run left on its way (`compare.Snapshots`). All
are scored in the same way: at one size, each on its recipe's own background, against
real pictures that went through the same hands.
"""

import csv
import json

import numpy as np

from pokeutils import sampling
from pokeutils.common import env, files, images, plots, saved
from pokeutils.data import dataset
from pokeutils.evaluation import features, measures, report
from pokeutils.training import runs

SIZE = 64  # px at which all are scored
SAMPLES, SHOWN = 512, 32  # of a pretrained generator, and in a sheet of the gallery
FLAT = 4  # levels that neighbours of one area may differ by
COLUMNS = (  # "ground" is the grey level of the background
    "name seed size ground images seconds kid kid_std kid_random kid_random_std "
    "kid_inception kid_inception_std density coverage precision recall "
    "recall_inception coverage_inception kid_shape speckle flat d_real d_fake gated "
    "images_per_second alarms final source device backend"
).split()
WORDS = "name", "source", "device", "backend"  # columns that are no numbers
REALS = "real halves"  # the name in the table of the noise floors
SHAPE = "_shape"  # columns of the silhouettes, as Lite0 sees them, end so
OF_LITE0 = "", SHAPE  # which does not judge what it has taught
LATE = "_inception", SHAPE  # only at the end of a run: the first is slow


def folder_of(images):
    """Returns the folder of the runs of a comparison of so many images each."""
    return env.outputs_dir() / "runs" / "comparison" / str(images)


def snapshot_files(run):
    """Returns the snapshots of a run, oldest first; named after the images seen."""
    return sorted((run / "snapshots").glob("[0-9]*.png"))


def read_scores(run):
    """Returns {images seen: scores, "floor": scores} of a run; {} before any."""
    path = run / "metrics.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def _runs(images):
    return sorted(folder_of(images).glob("*-seed*"))


# Pictures -----------------------------------------------------------------------------


def at_scoring_size(pictures):
    """Returns uint8 RGB (n, s, s, 3), at `SIZE` px where they are larger."""
    if pictures.shape[1] <= SIZE:
        return pictures
    return np.rint(features.resize(pictures, SIZE)).astype("uint8")


def silhouettes(pictures, background=255):
    """Paints what differs from a grey `background` black on white: uint8, one shape."""
    body = _body(pictures, background)
    return np.where(body, 0, 255).astype("uint8").repeat(3, axis=-1)


def speckle(pictures, background=255):
    """Returns the mean difference of neighbouring pixels inside of bodies, in levels:
    low where a body has areas of one colour, high where each pixel has its own."""
    change = _changes(pictures, background)
    return float(change.mean()) if change.size else 0.0


def flat(pictures, background=255):
    """Returns the share of neighbouring pixels inside of bodies that have one colour,
    give or take `FLAT` levels: high in pixel art."""
    change = _changes(pictures, background).max(-1, initial=0)
    return float((change <= FLAT).mean()) if change.size else 0.0


def _changes(pictures, background):
    """Returns how much each pair of neighbours in a row differs, both inside of a body:
    (pairs, channels), in levels."""
    body = _body(pictures, background)[..., 0]
    change = np.abs(np.diff(pictures.astype("int16"), axis=2))
    return change[body[:, :, 1:] & body[:, :, :-1]]


def _body(pictures, background):
    difference = np.abs(pictures.astype("int16") - int(background))
    return difference.max(-1, keepdims=True) > 48


# Scoring ------------------------------------------------------------------------------


def judges():
    """Returns {end of its columns' names: backbone} of those that score: Lite0 at 224
    px, a random one, and the FID's Inception where it is installed (the extra `fid`).
    """
    backbones = {"": features.lite0(), "_random": features.random_conv()}
    try:
        return {**backbones, "_inception": features.fid()}
    except RuntimeError:  # not installed: the table does without
        return backbones


def score(images, backbones=None, show=print):
    """Scores every snapshot that has no score yet, into its run's metrics.json.

    backbones: as in `judges`, which are the default. Reals are all pictures of the set,
    at each recipe's own size and on its own background.
    """
    backbones, known = backbones or judges(), {}
    for run in _runs(images):
        params, scores = runs.read_params(run), read_scores(run)
        recipe, source = params["recipe"], params["data"]["source"]
        place = source, recipe["size"], recipe["background"]
        for path in snapshot_files(run):
            seen = int(path.stem)
            if str(seen) in scores:
                continue
            if place not in known:
                known[place] = _Reals(*place, backbones)
            ends = [*backbones, SHAPE]
            if seen < recipe["images"]:
                ends = [end for end in ends if end not in LATE]
            if report.taught_by_lite0(recipe):
                ends = [end for end in ends if end not in OF_LITE0]
            pictures = plots.cut(path, min(recipe["size"], SIZE), gap=0)
            scores[str(seen)] = row = known[place].score(pictures, ends)
            scores["floor"] = known[place].floor()
            files.write_json(run / "metrics.json", scores)
            kid = 1000 * row[f"kid{ends[0]}"]
            show(f"{run.name} at {seen:,} images: KID x 1000 {kid:.1f}", flush=True)


class _Reals:
    """The real pictures of one size and background, as each backbone sees them."""

    def __init__(self, source, size, background, backbones):
        data = dataset.load(source, size)
        self.pictures = at_scoring_size(images.over(data.images, background))
        self.background, self.backbones, self.cache = background, backbones, data.folder
        self.species, self.vectors, self.halves = data.meta["species_id"], {}, None

    def look(self, end, pictures, cache=None):
        """Returns features; for `SHAPE`, Lite0's of the silhouettes."""
        if end == SHAPE:
            pictures, end = silhouettes(pictures, self.background), ""
        return self.backbones[end](pictures, cache=cache)

    def features(self, end):
        if end not in self.vectors:
            self.vectors[end] = self.look(end, self.pictures, self.cache)
        return self.vectors[end]

    def score(self, pictures, ends):
        """Returns the scores of samples (n, s, s, 3), in columns that end in `ends`."""
        row = self.areas(pictures)
        for end in ends:
            row |= _cells(end, _against(self.features(end), self.look(end, pictures)))
        return row

    def floor(self):
        """Returns the scores of one half against the other, means over several splits.

        No species is in both halves. Shares depend on the number of pictures: these are
        of half the set, those of samples of as many reals as there are samples.
        """
        if self.halves is None:
            self.halves = self.areas(self.pictures)
            for end in (*self.backbones, SHAPE):
                real = self.features(end)
                kid, spread = measures.kid_floor(real, self.species)
                shares = measures.shares_floor(real, self.species)
                self.halves |= _cells(end, {"kid": kid, "std": spread, **shares})
        return self.halves

    def areas(self, pictures):
        place = pictures, self.background
        return {"speckle": speckle(*place), "flat": flat(*place)}


def _against(real, fake):
    """Returns KID and shares of samples by name. Where all look the same to the
    backbone, as after a collapse, the KID is NaN and the shares are 0."""
    names = "kid", "std", "precision", "recall", "density", "coverage"
    if np.abs(fake - fake[0]).max() <= 1e-5 * np.abs(fake[0]).max():
        return dict(zip(names, (np.nan, np.nan, 0.0, 0.0, 0.0, 0.0), strict=True))
    # Shares depend on the numbers of pictures: as many reals as samples.
    count = min(len(real), len(fake))
    chosen = np.random.default_rng(0).permutation(len(real))[:count]
    pair = real[chosen], fake[:count]
    shares = *measures.precision_recall(*pair), *measures.density_coverage(*pair)
    return dict(zip(names, (*measures.kid(real, fake), *shares), strict=True))


def _cells(end, scores):
    """Returns the scores under the names of their columns."""
    cells = {f"{name}{end}": value for name, value in scores.items()}
    return {**cells, f"kid{end}_std": cells.pop(f"std{end}")}


# The table ----------------------------------------------------------------------------


def rows_of(images):
    """Returns the rows of a comparison, a dict each: one per run and snapshot with a
    score, after one per noise floor (name `REALS`)."""
    rows, floors = [], {}
    for run in _runs(images):
        params, scores = runs.read_params(run), read_scores(run)
        recipe, floor = params["recipe"], scores.pop("floor", None)
        place = {
            "size": recipe["size"],
            "ground": recipe["background"],
            "source": params["data"]["source"],
        }
        if scores:
            floors[tuple(place.values())] = {"name": REALS, **place, **floor}
        for seen in sorted(map(int, scores)):
            rows.append(
                {
                    "name": recipe["name"],
                    "seed": params["seed"],
                    **place,
                    "images": seen,
                    **scores[str(seen)],
                    **_from_log(runs.read_log(run), seen),
                    "alarms": len(runs.read_alarms(run)),
                    "final": int(seen >= recipe["images"]),
                    "device": params["device"],
                    "backend": params["backend"],
                }
            )
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
    `source`. They have seen more images, and Lite0, which taught them, is no judge."""
    backbones = {end: judge for end, judge in judges().items() if end not in OF_LITE0}
    rows = []
    for name in saved.names():
        card = saved.card(name)
        if card["data"]["source"] != source:
            continue
        size = card["recipe"]["size"]
        samples = images.over(sampling.sample(saved.pretrained(name), SAMPLES))
        real = _Reals(source, size, 255, backbones)
        rows.append(
            {
                "name": name,
                **{"seed": card["seed"], "size": size, "ground": 255, "source": source},
                **{"images": card["images_seen"], "seconds": 3600.0 * card["hours"]},
                **real.score(at_scoring_size(samples), backbones),
                **{"final": 0, "device": card["device"], "backend": card["backend"]},
            }
        )
    return rows


def write_table(path, rows, command):
    """Writes `rows` as CSV, after a comment line with the command that made them."""
    with files.atomic(path) as temporary, open(temporary, "w", newline="") as file:
        file.write(f"# {command}\n")
        writer = csv.DictWriter(file, COLUMNS, "", "ignore", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()}
            )


def read_table(path):
    """Returns (rows, command) as `write_table` wrote them; empty numbers are NaN."""
    with open(path, newline="", encoding="utf-8") as file:
        command = file.readline().removeprefix("# ").strip()
        rows = list(csv.DictReader(file))
    for row in rows:
        row |= {k: float(v or "nan") for k, v in row.items() if k not in WORDS}
    return rows, command


def publish(images, command, folder, name, sheets):
    """Writes `folder`/`name`.csv, and in `name`/ a sheet of the first samples of each
    recipe in `sheets` whose first run is finished. Returns the path of the table.

    Raises RuntimeError without scores, for runs that saw different pictures, and for a
    table with more finished runs than there are here.
    """
    rows, path = rows_of(images), folder / f"{name}.csv"
    if not rows:
        raise RuntimeError(f"{folder_of(images)} has no scores yet: train, then score.")
    if len(sources := sorted({row["source"] for row in rows})) > 1:
        raise RuntimeError(
            f"The runs in {folder_of(images)} saw different pictures, "
            f"{' and '.join(sources)}. Move those of one set away."
        )
    older = read_table(path)[0] if path.exists() else []
    before, now = (sum(row.get("final") == 1 for row in r) for r in (older, rows))
    if before > now:
        raise RuntimeError(
            f"{path} has {before} finished runs, and here are {now}. Delete it first."
        )
    if any(row["size"] == SIZE for row in rows):
        rows += pretrained_rows(sources[0])
    write_table(path, rows, command)
    for title in sheets:
        run = folder_of(images) / f"{title}-seed0"
        if not (run / "generator.keras").exists():
            continue
        side = min(runs.read_params(run)["recipe"]["size"], SIZE)
        first = plots.cut(snapshot_files(run)[-1], side, gap=0)[:SHOWN]
        jpeg = plots.to_jpeg(plots.tile(first))
        files.write_bytes(folder / name / f"{title}.jpg", jpeg)
    return path
