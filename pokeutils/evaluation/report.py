"""How good a generator is, in one table: `report`. `measures` has each single measure.

A number alone says nothing, so every measure stands beside its floor, real pictures
against other real ones, and its ceilings, real pictures damaged on purpose, as seen by
at least two networks that differ as much as can be had: Lite0 and Inception have both
learned the photographs of ImageNet, only the random network shares nothing with them.
"""

import json
from pathlib import Path

import numpy as np

from pokeutils.common import env, files, images, plots
from pokeutils.evaluation import damage
from pokeutils.evaluation.measures import (
    Halves,
    authentic,
    authentic_ones,
    check_features,
    cubic,
    density_coverage,
    directions,
    distances_of,
    diversity,
    frechet,
    frechet_of,
    kid,
    kid_floor,
    mean_distance,
    mmd,
    neighbourhoods,
    precision_recall,
    shares_floor,
    sliced_wasserstein,
    wasserstein_on_lines,
)
from pokeutils.training import runs

__all__ = ["authentic", "density_coverage", "diversity", "frechet", "kid", "kid_floor"]
__all__ += ["on_the_way", "precision_recall", "report", "shares_floor"]
__all__ += ["sliced_wasserstein", "taught_by_lite0", "NETWORKS", "Report"]

NETWORKS = {"Lite0": "lite0", "random": "random"}  # offline, and quick on a CPU
DRAWS = 20  # random halves that every value is a mean of
FEWEST, MOST = 20, 2000  # pictures of either kind: 2k in each half; what memory holds
SAMPLES, FLOOR = "samples", "real halves"
MEASURES = {  # key: label, factor and decimals in print, lowest and highest possible
    "kid": ("KID x 1000", 1000, 1, -np.inf, np.inf),
    "frechet": ("Fréchet distance *", 1, 1, 0, np.inf),
    "sliced_wasserstein": ("sliced Wasserstein *", 1, 3, 0, np.inf),
    "precision": ("precision", 1, 2, 0, 1),
    "recall": ("recall", 1, 2, 0, 1),
    "density": ("density", 1, 2, 0, np.inf),
    "coverage": ("coverage", 1, 2, 0, 1),
    "authentic": ("authentic", 1, 2, 0, 1),
    "diversity": ("diversity", 1, 2, 0, np.inf),
}


# ------------------------------------------------------------------ the report


def report(
    samples,
    reals,
    networks=None,
    folder=None,
    cache=None,
    seed=0,
    progress=None,
    groups=None,
):
    """Measures samples against real pictures; returns a `Report`, which prints a table.

    Both are pictures (n, h, w, 3 or 4) of one size: uint8, or float in [-1, 1]; RGBA is
    premultiplied, and laid on white. Use the first samples of a fixed seed, and as many
    as there are reals: more are not looked at. Of more than `MOST` reals, some are
    picked at random. `reals` should be what the generator was trained on.

    `backbones` maps titles to feature networks, or to their names as in
    `features.named`. Leave out a network that was part of the discriminator
    (`taught_by_lite0`). `folder`: where metrics.json goes, such as a run folder.
    `cache`: the folder that keeps features of reals (data/features). `progress`: called
    with a line about each step. `groups`: the species of each real, see
    `measures.Halves`, so that floor and ceilings compare none with its own twin.

    Every value is the mean over `DRAWS` random halves, n reals against n samples, and
    its interval is twice their standard deviation to either side: what half-samples
    differ by is what whole sets would (Shao and Wu 1989). The usual bootstrap draws
    with repeats, and a repeated picture is its own nearest neighbour. The floor splits
    the reals in the same way, so its interval is where a perfect set of n would lie.
    The ceilings damage one half and are measured against the other, once.

    Raises ValueError for pictures that cannot be compared: another range, NaN, sizes
    that differ, fewer than `FEWEST`, all the same, too many of one group.
    """
    # Keras, and a switch for NumPy's threads: single measures need neither.
    from threadpoolctl import threadpool_limits

    from pokeutils.evaluation import features

    samples, reals, halves = _comparable(
        features.on_ground(samples), features.on_ground(reals), groups, seed
    )
    count = min(len(samples) // 2, halves.most)
    order = np.random.default_rng(seed).permutation(len(reals))
    here, there = halves.of(order, count)
    sets = {SAMPLES: samples, "reals": reals, **damage.all_kinds(reals[there], seed)}

    found = Report(
        samples=len(samples),
        reals=len(reals),
        compared=count,
        draws=DRAWS,
        seed=seed,
        pictures={name: _fingerprint(sets[name]) for name in (SAMPLES, "reals")},
        spaces={},
    )
    for title, network in (NETWORKS if networks is None else networks).items():
        network = features.named(network) if isinstance(network, str) else network
        seen = {}
        for name, pictures in sets.items():
            if progress:
                progress(f"{title}: {len(pictures)} pictures, {name}")
            keep = cache or env.data_dir() / "features"
            seen[name] = network(pictures, cache=keep if name != SAMPLES else None)
        # NumPy's threads get in each other's way in matrices as small as these.
        with threadpool_limits(1, user_api="blas"):
            rows = _rows(seen, halves, here, count, seed)
        found["spaces"][title] = {
            "network": network.name,
            "weights": network.weights,
            "dtype": network.dtype,
            "dimensions": network.dimensions,
            "rows": rows,
        }
    if folder is not None:
        found.save(folder)
    return found


def taught_by_lite0(recipe):
    """Whether Lite0 was part of a discriminator of this recipe (a Recipe, or the dict
    in a run's params.json), so that it must not be among the judges of its samples."""
    known = recipe if isinstance(recipe, dict) else vars(recipe)
    frozen = known["discriminator"] == "projected_discriminator"
    return frozen or known.get("second") is not None


def on_the_way(run, reals, networks=None):
    """How quality grew: the KID of every sheet in a run's samples/ to real pictures.

    run: the folder of a run, or its name. reals: uint8 pictures (n, h, w, 3 or 4) of
    the run's size; those with transparency go on the ground that the run painted on.
    networks: as for `report`. Returns {"images": [...], title: [KID, ...]} and keeps it
    as on_the_way.json in the run folder. A sheet has only 64 creatures: KID is not
    biased by that, but neighbours in the list differ by chance, and more than in
    `report`. Raises ValueError for a sheet, or reals, all the same to a network.
    """
    from pokeutils.evaluation import features

    run = runs.find_run(run)
    recipe = runs.read_params(run)["recipe"]
    if recipe["channels"] == 3:  # sheets of transparent pictures are on white
        reals = images.over(reals, recipe["background"])
    sheets, size = runs.sample_files(run), reals.shape[1]
    found = {"images": [seen for seen, _ in sheets]}
    for title, network in (NETWORKS if networks is None else networks).items():
        network = features.named(network) if isinstance(network, str) else network
        real = network(reals, cache=env.data_dir() / "features")
        found[title] = []
        for _, path in sheets:
            fake = network(plots.cut(path, size))
            count = min(len(real), len(fake))
            found[title].append(kid(real, fake, subset_size=count)[0])
    files.write_json(run / "on_the_way.json", found)
    return found


def _rows(seen, halves, here, count, seed):
    """The table of one network, from the features of all sets of pictures."""
    reals = seen["reals"]
    rows = {SAMPLES: _Pair(reals, seen[SAMPLES]).drawn(count, seed)}
    rows[FLOOR] = _Pair(reals, halves=halves).drawn(count, seed)
    for kind in damage.KINDS:
        rows[kind] = _Pair(reals[here], seen[kind]).once()
    return rows


def _fingerprint(pictures):
    return files.sha256(f"{pictures.shape} ".encode() + pictures.tobytes())[:16]


def _comparable(samples, reals, groups, seed):
    """The pictures to look at, after all that could make their numbers meaningless, and
    the `Halves` of the reals."""
    if samples.shape[1:] != reals.shape[1:]:
        raise ValueError(
            f"Samples are {samples.shape[1:3]} and reals {reals.shape[1:3]} pixels: "
            "prepare the reals at the samples' size."
        )
    for name, one in ((SAMPLES, samples), ("real pictures", reals)):
        if len(one) < FEWEST:
            raise ValueError(f"Got {len(one)} {name}; at least {FEWEST} are needed.")
        if (one == one[0]).all():
            raise ValueError(f"All {len(one)} {name} are one and the same picture.")
    halves = Halves(len(reals), groups)
    if len(reals) > MOST:
        chosen = np.random.default_rng(seed).choice(len(reals), MOST, replace=False)
        chosen = np.sort(chosen)
        reals, halves = reals[chosen], Halves(MOST, halves.groups[chosen])
    if halves.most < FEWEST // 2:
        raise ValueError(
            f"Of {len(reals)} real pictures so many are of one group that halves "
            f"without a group in common have {halves.most}; at least {FEWEST // 2} are "
            "needed. Use more groups, or groups=None."
        )
    return samples[: len(reals)], reals, halves


class _Pair:
    """All that lies within and between two sets, measured on any part of them.

    Without fakes, the reals are compared with themselves, in parts that have nothing
    in common, as `halves` finds them.
    """

    def __init__(self, real, fake=None, halves=None):
        self.alone, self.halves = fake is None, halves
        real, fake = check_features(real, real if self.alone else fake)
        rr, rf = real @ real.T, real @ fake.T
        ff = rr if self.alone else fake @ fake.T
        self.products = rr, ff, rf
        r, f = np.diag(rr), np.diag(ff)
        sides = (r, r), (f, f), (r, f)
        self.distances = [
            distances_of(dots, *two)
            for dots, two in zip(self.products, sides, strict=True)
        ]
        for within in self.distances[: 3 if self.alone else 2]:
            np.fill_diagonal(within, 0)
        self.kernels = [cubic(dots, real.shape[1]) for dots in self.products]
        lines = directions(real.shape[1])
        self.on_lines = real @ lines, fake @ lines

    def once(self):
        """The row of the whole sets, without intervals."""
        values = self.measure(*map(np.arange, self.products[2].shape))
        return {key: {"value": values[key]} for key in MEASURES}

    def drawn(self, count, seed):
        """The row from `DRAWS` random halves of `count` pictures, with intervals."""
        random, drawn = np.random.default_rng(seed), []
        reals, fakes = self.products[2].shape
        for _ in range(DRAWS):
            i, j = random.permutation(reals), random.permutation(fakes)
            if self.alone:
                i, j = self.halves.of(i, count)
            # In order, rows are copied out of the matrices three times as fast.
            drawn.append(self.measure(np.sort(i[:count]), np.sort(j[:count])))
        centres = {key: np.mean([values[key] for values in drawn]) for key in MEASURES}
        if not self.alone:  # half of the reals would miss half of the copies
            centres["authentic"] = self.authentic()
        return {
            key: _with_interval(centre, [values[key] for values in drawn], key)
            for key, centre in centres.items()
        }

    def authentic(self):
        """The share of all fakes that are authentic by all reals."""
        within, _, across = self.distances
        return float(authentic_ones(within, across).mean())

    def measure(self, i, j):
        """All measures of reals `i` and fakes `j`."""
        places = np.ix_(i, i), np.ix_(j, j), np.ix_(i, j)

        def parts(matrices):
            return [one[place] for one, place in zip(matrices, places, strict=True)]

        rr, ff, rf = parts(self.distances)
        a, b = self.on_lines
        return {
            "kid": mmd(*parts(self.kernels)),
            "frechet": frechet_of(*parts(self.products)),
            "sliced_wasserstein": wasserstein_on_lines(a[i], b[j]),
            **neighbourhoods(rr, ff, rf),
            "authentic": float(authentic_ones(rr, rf).mean()),
            "diversity": mean_distance(ff) / mean_distance(rr),
        }


def _with_interval(centre, values, key):
    *_, lowest, highest = MEASURES[key]
    spread = 2 * np.std(values, ddof=1)
    # No None among them: NumPy 2.0, as on Colab and Kaggle, refuses two at once.
    ends = np.clip([centre - spread, centre + spread], lowest, highest)
    return {"value": float(centre), "interval": ends.tolist()}


# ------------------------------------------------------------------ the table


class Report(dict):
    """What `report` found: a dict for metrics.json that prints as a plain text table.

    `["spaces"][title]["rows"][row][measure]` holds "value", and "interval" where there
    is one. Rows are "samples", "real halves" and the kinds in `damage.KINDS`.
    """

    def value(self, title, measure, row=SAMPLES):
        """Returns one value, as measured by the network of that title."""
        return self["spaces"][title]["rows"][row][measure]["value"]

    def save(self, folder):
        """Writes metrics.json into `folder`, keeping what else it holds; its path."""
        path = Path(folder) / "metrics.json"
        kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
        files.write_json(path, {**kept, **self})
        return path

    def __str__(self):
        n, parts = self["compared"], []
        for title, space in self["spaces"].items():
            parts += [*_table(title, space["rows"]), _place(title, space["rows"]), ""]
        parts += [
            f"{self['samples']} samples and {self['reals']} real pictures; {n} against "
            f"{n} at a time. ± is half of a 95 % interval.",
            "Authentic of the samples is that of them all, against all real pictures.",
            f"* Biased: compare only at n = {n}, and with the real halves beside it.",
        ]
        return "\n".join(parts)

    __repr__ = __str__


def _table(title, rows):
    """Lines of text: a line for each measure, a column for each row of the record."""
    lines = [[title, *rows]]
    for key, (label, factor, decimals, *_) in MEASURES.items():
        lines.append([label, *(_cell(r[key], factor, decimals) for r in rows.values())])
    first, *widths = (max(map(len, column)) for column in zip(*lines, strict=True))
    for label, *cells in lines:
        cells = (cell.rjust(w) for cell, w in zip(cells, widths, strict=True))
        yield "  ".join([label.ljust(first), *cells])


def _cell(one, factor, decimals):
    text = f"{factor * one['value']:.{decimals}f}"
    if "interval" not in one:
        return text
    low, high = one["interval"]
    return f"{text} ± {factor * (high - low) / 2:.{decimals}f}"


def _place(title, rows):
    """Where the KID puts the samples on the scale of floor and ceilings, in words."""
    values = {name: row["kid"]["value"] for name, row in rows.items()}
    own, scale = values.pop(SAMPLES), sorted(values, key=values.get)
    if own <= rows[FLOOR]["kid"]["interval"][1]:
        return f"{title} cannot tell the samples from real pictures by their KID."
    low, high = rows[SAMPLES]["kid"]["interval"]
    if alike := [name for name in scale if low <= values[name] <= high]:
        return f"By KID the samples cannot be told from {' and '.join(alike)}."
    below = [name for name in scale if values[name] <= own]
    above = [name for name in scale if values[name] > own]
    if not above:
        return "By KID the samples are further from real than all else here."
    return f"By KID the samples lie between {below[-1]} and {above[0]}."
