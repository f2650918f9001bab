"""How good a generator is, in one table: `report`. `measures` has each single measure.

A number alone says nothing, so every measure stands beside its floor, real pictures
against other real ones, and its ceilings, real pictures damaged on purpose.
"""

import numpy as np
from threadpoolctl import threadpool_limits

from pokeutils.common import env
from pokeutils.evaluation import damage, features, measures

BACKBONES = {"Lite0": "lite0", "random": "random"}  # offline, and quick on a CPU
DRAWS = 20  # random halves that every value is a mean of
# Pictures of either kind: halves of 8, more than the 5 neighbours that are looked at;
# and what memory holds.
FEWEST, MOST = 16, 2000
SAMPLES, FLOOR = "samples", "real halves"
BOUNDS = {  # of each measure
    "kid": (-np.inf, np.inf),
    "precision": (0, 1),
    "recall": (0, 1),
    "coverage": (0, 1),
}


def report(samples, reals, backbones=None, cache=None, seed=0, groups=None):
    """Measures samples against real pictures; returns a `Report`.

    Both are uint8 pictures (n, h, w, 3 or 4) of one size; RGBA is premultiplied, and
    laid on white. More samples than reals are not looked at; of more
    than `MOST` reals, some are picked at random. `backbones` maps titles to feature
    networks, or to their names as in `features.named`. `cache`: the folder that keeps
    features of reals (data/features). `groups`: the species of each real, so that floor
    and ceilings compare none with its own twin, see `measures.Halves`.

    Every value is the mean over `DRAWS` random halves, n reals against n samples, and
    its interval is twice their standard deviation to either side: what half-samples
    differ by is what whole sets would (Shao and Wu 1989), and no picture is drawn
    twice. The floor splits the reals in the same way; the ceilings damage one half and
    are measured against the other, once. Raises ValueError for what cannot be compared.
    """
    samples, reals, halves = _comparable(
        features.on_background(samples), features.on_background(reals), groups, seed
    )
    count = min(len(samples) // 2, halves.most)
    order = np.random.default_rng(seed).permutation(len(reals))
    half, other_half = halves.of(order, count)
    damaged = damage.all_kinds(reals[other_half], seed)

    cache, spaces = cache or env.data_dir() / "features", {}
    for title, backbone in (backbones or BACKBONES).items():
        if isinstance(backbone, str):
            backbone = features.named(backbone)
        real, fake = backbone(reals, cache=cache), backbone(samples)
        vectors = {name: backbone(p, cache=cache) for name, p in damaged.items()}
        # NumPy's threads get in each other's way in matrices as small as these.
        with threadpool_limits(1, user_api="blas"):
            real, fake = measures.check_features(real, fake)
            rows = {SAMPLES: _drawn(real, fake, count, seed)}
            rows[FLOOR] = _drawn(real, real, count, seed, halves)
            for name, ruined in vectors.items():
                values = _measured(real[half], *measures.check_features(ruined))
                rows[name] = {key: {"value": value} for key, value in values.items()}
        about = {"network": backbone.name, "weights": backbone.weights}
        about |= {"dtype": backbone.dtype, "dimensions": backbone.dimensions}
        spaces[title] = {**about, "rows": rows}
    counts = {"samples": len(samples), "reals": len(reals), "compared": count}
    return Report(**counts, draws=DRAWS, seed=seed, spaces=spaces)


def taught_by_lite0(recipe):
    """Returns whether Lite0 was part of a discriminator of this recipe (a Recipe, or
    the dict in a run's params.json), so that it must not judge its samples."""
    fields = recipe if isinstance(recipe, dict) else vars(recipe)
    frozen = fields["discriminator"] == "projected_discriminator"
    return frozen or fields.get("second") is not None


def _comparable(samples, reals, groups, seed):
    """Refuses all that could make numbers meaningless; returns the samples and reals to
    look at, and the `Halves` of the reals."""
    if samples.shape[1:] != reals.shape[1:]:
        raise ValueError(
            f"Samples are {samples.shape[1:3]} and reals {reals.shape[1:3]} pixels: "
            "prepare the reals at the samples' size."
        )
    for name, pictures in ((SAMPLES, samples), ("real pictures", reals)):
        if len(pictures) < FEWEST:
            raise ValueError(f"Got {len(pictures)} {name}; at least {FEWEST} needed.")
        if (pictures == pictures[0]).all():
            raise ValueError(f"All {name} are one and the same picture.")

    halves = measures.Halves(len(reals), groups)
    if len(reals) > MOST:
        chosen = np.random.default_rng(seed).choice(len(reals), MOST, replace=False)
        chosen = np.sort(chosen)
        reals, halves = reals[chosen], measures.Halves(MOST, halves.groups[chosen])
    if halves.most < FEWEST // 2:
        raise ValueError(
            f"Of {len(reals)} real pictures so many are of one group that halves "
            f"without a group in common have {halves.most}; at least {FEWEST // 2} are "
            "needed. Use more groups, or groups=None."
        )
    return samples[: len(reals)], reals, halves


def _drawn(real, fake, count, seed, halves=None):
    """Returns {measure: value and interval} over `DRAWS` random halves of `count`
    features each; with `halves`, both halves are of the reals."""
    random, draws = np.random.default_rng(seed), []
    for _ in range(DRAWS):
        i, j = random.permutation(len(real)), random.permutation(len(fake))
        if halves:
            i, j = halves.of(i, count)
        draws.append(_measured(real[i[:count]], fake[j[:count]]))
    row = {}
    for key, (lowest, highest) in BOUNDS.items():
        values = [draw[key] for draw in draws]
        mean, spread = np.mean(values), 2 * np.std(values, ddof=1)
        # No None among the bounds: NumPy 2.0 refuses two at once.
        ends = np.clip([mean - spread, mean + spread], lowest, highest)
        row[key] = {"value": float(mean), "interval": ends.tolist()}
    return row


def _measured(real, fake):
    """Returns {measure: number} of features, as many of reals as of fakes."""
    return {
        "kid": measures.kid(real, fake, 1, len(real))[0],
        **measures.neighbourhoods(*measures.between(real, fake)),
    }


class Report(dict):
    """What `report` returns: a dict for metrics.json.

    `["spaces"][title]["rows"][row][measure]` holds "value", and "interval" where there
    is one. Rows are "samples", "real halves" and the kinds in `damage.KINDS`.
    """

    def value(self, title, measure, row=SAMPLES):
        """Returns one value, as measured by the backbone of that title."""
        return self["spaces"][title]["rows"][row][measure]["value"]
