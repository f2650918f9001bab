"""The scores of a comparison: snapshots of its runs in, one table out, and back in.

A snapshot is a sheet of samples that a run left on its way (`compare.Snapshots`). All
are scored in the same way: at one size, each on its recipe's own ground, against real
pictures that went through the same hands.
"""

import csv
import json

import numpy as np
from PIL import Image

from pokeutils import sampling
from pokeutils.common import env, files, images, plots, saved
from pokeutils.data import dataset
from pokeutils.evaluation import features, report
from pokeutils.studio import flaws
from pokeutils.training import runs

SIZE = 64  # px at which all are scored
SHOWN = 32  # pictures in a sheet of the gallery
NUMBERS = (
    *("seed", "size", "ground", "images", "seconds"),
    *("kid", "kid_std", "kid_random", "kid_random_std"),
    *("kid_inception", "kid_inception_std"),
    *("density", "coverage", "precision", "recall"),
    *("recall_inception", "coverage_inception", "kid_shape", "speckle"),
    *("flat", "d_real", "d_fake", "gated", "images_per_second", "alarms", "final"),
)
COLUMNS = ("name", *NUMBERS, "source", "device", "backend")
REALS = "real halves"  # the name in the table of the noise floors
JUDGES = "kid", "kid_random", "kid_inception"  # columns of the networks' KIDs
LAST = "kid_inception", "kid_shape"  # only at the end of a run: the first is slow
SAMPLES = 512  # pictures in a snapshot, and of a generator that comes along
OF_LITE0 = "kid", "kid_shape"
OF_SHARES = "kid", "kid_inception"  # the two networks that have columns for shares


def folder_of(images):
    """The folder that holds the runs of a comparison of so many images each."""
    return env.outputs_dir() / "runs" / "comparison" / str(images)


def pace_file(images):
    """Where a comparison keeps how fast each recipe trains on an idle machine."""
    return folder_of(images) / "pace.json"


def read_pace(images):
    """{name: images a second, one for each round}, or {} if it was not measured."""
    path = pace_file(images)
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


# Pictures -----------------------------------------------------------------------------


def snapshot_files(run):
    """The snapshots of a run, oldest first; named after the images seen."""
    return sorted((run / "snapshots").glob("[0-9]*.png"))


def read_snapshot(path, size):
    """The pictures of a snapshot: uint8 (n, size, size, 3)."""
    return plots.cut(path, size, gap=0)


def at_scoring_size(pictures):
    """uint8 RGB (n, s, s, 3), at `SIZE` px where they are larger."""
    if pictures.shape[1] <= SIZE:
        return pictures
    shape, kind = (SIZE, SIZE), Image.Resampling.LANCZOS
    return np.stack(
        [np.asarray(Image.fromarray(p).resize(shape, kind)) for p in pictures]
    )


def silhouettes(pictures, ground=255):
    """What differs from a grey `ground`, black on white: uint8, the same shape."""
    return np.where(_body(pictures, ground), 0, 255).astype("uint8").repeat(3, axis=-1)


def speckle(pictures, ground=255):
    """Mean difference of neighbouring pixels inside of the bodies, in grey levels: low
    where a body has areas of one colour, high where each pixel has its own."""
    change = _changes(pictures, ground)
    return float(change.mean()) if change.size else 0.0


def flat(pictures, ground=255):
    """Share of neighbouring pixels inside of the bodies that have one colour, give or
    take the four levels of `flaws`: high in pixel art."""
    change = _changes(pictures, ground).max(-1, initial=0)
    return float((change <= flaws.FLAT).mean()) if change.size else 0.0


def _changes(pictures, ground):
    """How much each pair of neighbours in a row differs, both inside of a body: (pairs,
    channels), in levels."""
    body = _body(pictures, ground)[..., 0]
    change = np.abs(np.diff(pictures.astype("int16"), axis=2))
    return change[body[:, :, 1:] & body[:, :, :-1]]


def _body(pictures, ground):
    difference = np.abs(pictures.astype("int16") - int(ground))
    return difference.max(-1, keepdims=True) > 48


# Scoring ------------------------------------------------------------------------------


def judges():
    """The networks that score: Lite0 at 224 px, a random one, and the Inception of the
    FID where its package is installed (the extra `fid`)."""
    found = [features.lite0(), features.random_conv()]
    try:
        return [*found, features.fid()]
    except RuntimeError:  # not installed: the table does without
        return found


def score(images, networks=None, show=print):
    """Scores every snapshot and floor that has no score yet, into the runs'
    metrics.json.

    networks: two or three feature networks for the columns `JUDGES`, by default
    `judges()`. Reals are all pictures of the set, at each recipe's own size and on its
    own ground, made smaller in the same way as the samples.
    """
    networks = dict(zip(JUDGES, networks or judges(), strict=False))
    grounds = {}
    for run in sorted(folder_of(images).glob("*-seed*")):
        params, scores = runs.read_params(run), read_scores(run)
        place = params["recipe"]["size"], params["recipe"]["background"]
        source = params["data"]["source"]
        for path in snapshot_files(run):
            row = scores.setdefault(str(int(path.stem)), {})
            wanted = [*networks, "kid_shape"]
            if int(path.stem) < params["recipe"]["images"]:
                wanted = [name for name in wanted if name not in LAST]
            if report.taught_by_lite0(params["recipe"]):
                wanted = [name for name in wanted if name not in OF_LITE0]
            floor = scores.get("floor", {})
            missing = [name for name in wanted if name not in row]
            if not missing and all(name in floor for name in wanted):
                continue
            if place not in grounds:
                grounds[place] = _Reals(source, *place, networks)
            real = grounds[place]
            pictures = read_snapshot(path, min(place[0], SIZE))
            row |= _score(real, {n: real.look(n, pictures) for n in missing})
            row["speckle"] = speckle(pictures, place[1])
            row["flat"] = flat(pictures, place[1])
            scores["floor"] = real.floor(floor, wanted)
            files.write_json(run / "metrics.json", scores)
            column = next(name for name in JUDGES if name in row)
            said = f"KID x 1000 {1000 * row[column]:.1f}"
            show(f"{run.name} at {int(path.stem):,} images: {said}", flush=True)


def read_scores(run):
    """{images seen: scores, "floor": scores} of a run, or {}; its metrics.json."""
    path = run / "metrics.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


class _Reals:
    """The real pictures of one size and ground, as each network sees them."""

    def __init__(self, source, size, ground, networks):
        data = dataset.load(source, size)
        self.pictures = at_scoring_size(images.over(data.images, ground))
        self.ground, self.networks, self.cache = ground, networks, data.folder
        self.species, self.seen, self.floors = data.meta["species_id"], {}, {}

    def look(self, name, pictures, cache=None):
        """The features of pictures for the column `name`; "kid_shape": of their
        silhouettes by the first network."""
        if name == "kid_shape":
            pictures, name = silhouettes(pictures, self.ground), "kid"
        return self.networks[name](pictures, cache=cache)

    def features(self, name):
        if name not in self.seen:
            self.seen[name] = self.look(name, self.pictures, self.cache)
        return self.seen[name]

    def floor(self, known, names):
        """`known`, and what it lacks: the scores of one half against the other, means
        over several splits. No species is in both halves, in whatever colours. Shares
        depend on the number of pictures: these are of half the set, where samples have
        as many reals as there are samples."""
        names = [name for name in names if name not in known]
        if not names:
            return known
        row = {
            "speckle": speckle(self.pictures, self.ground),
            "flat": flat(self.pictures, self.ground),
        }
        for name in names:
            if name not in self.floors:
                self.floors[name] = self._floor(name)
            row |= self.floors[name]
        return {**known, **row}

    def _floor(self, name):
        seen, row = self.features(name), {}
        row[name], row[f"{name}_std"] = report.kid_floor(seen, self.species)
        if name in OF_SHARES:
            row |= _columns(name, report.shares_floor(seen, self.species))
        row.pop("kid_shape_std", None)
        return row


def _score(real, seen):
    """The columns of a row for {column: features of samples}."""
    row = {}
    for name, fake in seen.items():
        row[name], row[f"{name}_std"] = kid(real.features(name), fake)
        row |= _shares(name, real.features(name), fake, np.isfinite(row[name]))
    row.pop("kid_shape_std", None)
    return row


def _shares(judge, real, fake, told):
    """{column: value} of the shares by the network of the column `judge`, if it has
    columns for them; all 0 unless `told` apart."""
    if judge not in OF_SHARES:
        return {}
    # They depend on the numbers of pictures: as many reals as samples.
    count = min(len(real), len(fake))
    chosen = np.random.default_rng(0).permutation(len(real))[:count]
    pair = real[chosen], fake[:count]
    precision = recall = density = coverage = 0.0
    if told:
        precision, recall = report.precision_recall(*pair)
        density, coverage = report.density_coverage(*pair)
    found = {
        "density": density,
        "coverage": coverage,
        "precision": precision,
        "recall": recall,
    }
    return _columns(judge, found)


def _columns(judge, shares):
    """{column: value} of {share: value}: all by Lite0, two by Inception."""
    if judge == "kid":
        return shares
    return {f"{name}_inception": shares[name] for name in ("recall", "coverage")}


def kid(real, fake):
    """KID, or NaN where all samples look the same to the network, as at the very start
    or after a collapse: `report` refuses those."""
    spread = np.abs(fake - fake[0]).max()
    if spread <= 1e-5 * np.abs(fake[0]).max():
        return np.nan, np.nan
    return report.kid(real, fake)


# The table ----------------------------------------------------------------------------


def rows_of(images):
    """Returns the rows of a comparison, a dict each: one for every run and snapshot
    with a score, and one for every noise floor (name `REALS`)."""
    rows, floors, pace = [], {}, read_pace(images)
    for run in sorted(folder_of(images).glob("*-seed*")):
        params, scores = runs.read_params(run), read_scores(run)
        floor = scores.pop("floor", None)
        if not scores:
            continue
        recipe, log = params["recipe"], runs.read_log(run)
        place = {
            "size": recipe["size"],
            "ground": recipe["background"],
            "source": params["data"]["source"],
        }
        # A run that is not finished knows less of the floor than one that is.
        known = floors.setdefault((recipe["size"], recipe["background"]), {})
        known |= {"name": REALS, **place, **floor}
        for seen in sorted(map(int, scores)):
            rows.append(
                {
                    "name": recipe["name"],
                    "seed": params["seed"],
                    **place,
                    "images": seen,
                    **scores[str(seen)],
                    **_from_log(log, seen, recipe["name"], pace),
                    "alarms": len(runs.read_alarms(run)),
                    "final": int(seen >= recipe["images"]),
                    "device": params["device"],
                    "backend": params["backend"],
                }
            )
    return [*floors.values(), *rows]


def pretrained_rows(source):
    """Returns a row for each generator that comes with the repository and learned from
    `source`, judged as the others are, but not by Lite0: that took part in their
    training. They have seen more images.
    """
    rows = []
    networks = dict(zip(JUDGES[1:], judges()[1:], strict=False))
    for name in saved.names():
        card = saved.card(name)
        if card["data"]["source"] != source:
            continue
        real = _Reals(source, card["recipe"]["size"], 255, networks)
        samples = images.over(sampling.sample(saved.pretrained(name), SAMPLES))
        samples = at_scoring_size(samples)
        rows.append(
            {
                "name": name,
                "seed": card["seed"],
                "size": card["recipe"]["size"],
                "ground": 255,
                "source": source,
                "images": card["images_seen"],
                "seconds": 3600.0 * card["hours"],
                **_score(real, {n: real.look(n, samples) for n in networks}),
                "final": 0,
                "device": card["device"],
                "backend": card["backend"],
            }
        )
    return rows


def _from_log(log, seen, name, pace):
    """What log.csv says at `seen` images: time, and means of the tenth before it.

    pace: {name: images a second, ...} where that was measured apart, so that times
    follow from it; {}: log.csv has to do. The speed of a run that was left out is NaN,
    because its own may not be compared with the others."""
    lately = (log["images"] > 0.9 * seen) & (log["images"] <= seen)
    found = {name: log[name][lately].mean() for name in ("d_real", "d_fake", "gated")}
    found["seconds"] = log["seconds"][log["images"] <= seen][-1]
    if not pace:
        found["images_per_second"] = np.median(log["images_per_second"])
    elif name not in pace:
        found["images_per_second"] = np.nan
    else:
        found["images_per_second"] = np.median(pace[name])
        found["seconds"] = seen / found["images_per_second"]
    return {name: float(value) for name, value in found.items()}


def write_table(path, rows, command):
    """Writes `rows` as CSV, after a comment line with the command that made them."""
    with files.atomic(path) as temporary, open(temporary, "w", newline="") as file:
        file.write(f"# {command}\n")
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()}
            )


def read_table(path):
    """Returns (rows, command) as `write_table` wrote them. Numbers that are empty, or
    that an older table has no column for, are NaN."""
    with open(path, newline="", encoding="utf-8") as file:
        command = file.readline().removeprefix("# ").strip()
        rows = list(csv.DictReader(file))
    for row in rows:
        row.update({name: float(row.get(name) or "nan") for name in NUMBERS})
    return rows, command


def publish(images, command, folder, name="recipes", sheets=None):
    """Writes `folder`/`name`.csv, and `name`/<recipe>.jpg with the first samples of
    each recipe's first seed, if that is finished: of those in `sheets`, by default of
    all but variants, which have a dash in their name. Returns the path of the table.

    A table of the same comparison that is there keeps its finished runs that are not
    here; times stay only of the device that made most of them. Raises RuntimeError
    without scores, for runs that saw different pictures, and for a table of another
    comparison with more finished runs.
    """
    rows, path = rows_of(images), folder / f"{name}.csv"
    if not rows:
        raise RuntimeError(f"{folder_of(images)} has no scores yet: train, then score.")
    if len(sources := sorted({row["source"] for row in rows})) > 1:
        raise RuntimeError(
            f"The runs in {folder_of(images)} saw different pictures, "
            f"{' and '.join(sources)}: that says nothing about the recipes. Move "
            "those of one set away."
        )
    if path.exists():
        rows = _with_older(rows, read_table(path)[0], images, path)
    folder.mkdir(parents=True, exist_ok=True)
    if any(row["size"] == SIZE for row in rows):
        rows += pretrained_rows(rows[0]["source"])
    write_table(path, rows, command)
    _publish_sheets(images, folder / name, sheets)
    return path


def _publish_sheets(images, sheets, names):
    sheets.mkdir(exist_ok=True)
    if (folder_of(images) / "blow-up" / "log.csv").exists():
        _publish_blow_up(folder_of(images) / "blow-up", sheets)
    for run in sorted(folder_of(images).glob("*-seed0")):
        taken, recipe = snapshot_files(run), runs.read_params(run)["recipe"]
        finished = taken and int(taken[-1].stem) >= recipe["images"]
        name = recipe["name"]
        if finished and ("-" not in name if names is None else name in names):
            pictures = read_snapshot(taken[-1], min(recipe["size"], SIZE))[:SHOWN]
            with files.atomic(sheets / f"{name}.jpg") as jpeg:
                jpeg.write_bytes(plots.to_jpeg(plots.tile(pictures)))


def _with_older(rows, old, images, path):
    """`rows`, and what the table `path` with the rows `old` has of other runs."""
    finished, ended = (
        [row for row in one if row.get("final") == 1] for one in (rows, old)
    )
    longest = 1.5 * images + 1_000  # runs end with an epoch
    same = all(
        row["source"] == rows[0]["source"] and images <= row["images"] < longest
        for row in ended
    )
    if not same:
        if len(finished) < len(ended):
            raise RuntimeError(
                f"{path} is another comparison with {len(ended)} finished runs, and "
                f"here are {len(finished)}. Delete it first."
            )
        return rows

    def run_of(row):
        return row["name"], int(row["seed"])

    def floor_of(row):
        return row["name"] == REALS and (int(row["size"]), int(row["ground"]))

    here = {run_of(row) for row in finished}
    kept = {run_of(row) for row in ended} - here
    floors = [row for row in rows if row["name"] == REALS]
    known = {floor_of(row) for row in floors}
    floors += [r for r in old if floor_of(r) and floor_of(r) not in known]
    merged = [r for r in rows if r["name"] != REALS and run_of(r) not in kept]
    merged += [r for r in old if r["name"] != REALS and run_of(r) in kept]
    devices = [row["device"] for row in merged if row["final"] == 1]
    for row in merged:
        if row["device"] != max(devices, key=devices.count):  # not to be compared
            row["seconds"] = row["images_per_second"] = np.nan
    return [*floors, *sorted(merged, key=run_of)]


def _publish_blow_up(run, folder):
    """Log and alarms of the run that was made to blow up, and three of its sheets."""
    files.write_text(folder / "blow-up.csv", (run / "log.csv").read_text("utf-8"))
    files.write_json(folder / "blow-up.json", runs.read_alarms(run))
    sheets = [path for _, path in runs.sample_files(run)]
    sheets = [sheets[0], sheets[len(sheets) // 2], sheets[-1]]
    side = 2 + 4 * (runs.read_params(run)["recipe"]["size"] + 2)  # four by four of them
    for number, path in enumerate(sheets):
        with Image.open(path) as sheet:
            picture = np.asarray(sheet.convert("RGB"))[:side, :side]
        with files.atomic(folder / f"blow-up-{number}.jpg") as new:
            new.write_bytes(plots.to_jpeg(picture))
