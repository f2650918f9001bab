"""Does a creature look like its type? A classifier trained on real pictures, and the
table that says how often it finds the type that was asked for (NumPy only).

It sees features of frozen networks that took no part in the training of what it judges.
Types are float (n, 18), 1 for each type of a picture, in the order of `species.TYPES`.
"""

import numpy as np

from pokeutils.data import species
from pokeutils.evaluation import measures, statistics

FOLDS, BLOCK = 5, 10  # of the cross-validation; species numbers that stay together
ROUNDS, DRAWS = 8, 1000  # of Newton's method; of the bootstrap


class Judge:
    """Learns from features (n, d) of real pictures what each type looks like.

    For each type a logistic regression, this type against all others, both sides
    counting alike, on the first `components` principal components of the features.
    `ridge`: how strongly weights are held small, in pictures. The defaults were chosen
    by cross-validation. Called with features, it returns a score per type: (n, 18).
    """

    def __init__(self, features, types, components=64, ridge=400.0):
        features, types = np.asarray(features, "float64"), np.asarray(types)
        if not types.any():
            raise ValueError(
                "A judge needs pictures of known types; doodles and most folders have "
                "none. Use pictures of known species."
            )
        self.middle, self.scale = features.mean(0), features.std(0) + 1e-6
        x = (features - self.middle) / self.scale
        count = min(components, len(x) - 1)
        _, strengths, axes = np.linalg.svd(x, full_matrices=False)
        # Components keep their relative strengths; their mean square is one.
        size = np.sqrt(np.mean(strengths[:count] ** 2) / len(x))
        self.axes = axes[:count].T / size
        known = types.sum(1) > 0
        x = self._seen(features)[known]
        self.weights = np.stack([_logistic(x, t, ridge) for t in types[known].T], 1)

    def __call__(self, features):
        return self._seen(np.asarray(features, "float64")) @ self.weights

    def assigned(self, features):
        """Returns the type that each picture looks most like, as its place: (n,)."""
        return self(features).argmax(1)

    def _seen(self, features):
        x = (features - self.middle) / self.scale @ self.axes
        return np.concatenate([x, np.ones((len(x), 1))], axis=1)


def _logistic(x, wanted, ridge):
    """Returns the weights of a logistic regression, by Newton's method; for a type
    without pictures, weights that never win."""
    weights = np.zeros(x.shape[1])
    if not wanted.any():
        weights[-1] = -1e3
        return weights
    share = wanted.mean()
    count = np.where(wanted > 0, 0.5 / share, 0.5 / max(1 - share, 1e-9))
    hold = np.full(x.shape[1], float(ridge))
    hold[-1] = 1e-6  # the offset is free
    for _ in range(ROUNDS):
        guess = 1 / (1 + np.exp(-x @ weights))
        slope = x.T @ (count * (guess - wanted)) + hold * weights
        bend = (x * (count * guess * (1 - guess))[:, None]).T @ x + np.diag(hold)
        weights = weights - np.linalg.solve(bend, slope)
    return weights


def cross_validated(features, types, groups, **options):
    """Returns the types that judges assign to real pictures they have not seen: (n,).

    groups: (n,) species numbers, of which `BLOCK` that follow each other stay together:
    they are mostly relatives, and who has seen the one has half seen the other. Of too
    few numbers for that, pictures of one number stay together.
    """
    groups = measures.numbered(groups, len(features))  # 0, unknown, is alone
    if len(np.unique(groups // BLOCK)) >= FOLDS:
        groups = groups // BLOCK
    _, place = np.unique(groups, return_inverse=True)
    assigned = np.empty(len(features), int)
    for fold in range(FOLDS):
        out = place % FOLDS == fold
        judge = Judge(features[~out], types[~out], **options)
        assigned[out] = judge.assigned(features[out])
    return assigned


class Scores:
    """How often creatures are assigned a type, having it or not.

    assigned: (n,), see `Judge.assigned`; types: (n, 18), those that the creatures have,
    or were asked for. For each type: `share` of its creatures that are assigned it,
    with a Wilson interval `low` to `high`; `chance`, the share of all others that are;
    NaN without creatures. `ratio` is the mean share over the mean chance, `interval`
    its 95 % bootstrap interval over the creatures. `right` is the share of creatures
    that are assigned one of their types: compare real creatures, which may have two
    types and be assigned but one, with drawn ones by that.
    """

    def __init__(self, assigned, types):
        types = np.asarray(types) > 0
        chosen = np.asarray(assigned)[:, None] == np.arange(types.shape[1])
        hits, self.count = types & chosen, types.sum(0)
        self.right = float(hits.any(1)[types.any(1)].mean())
        share, chance = _shares(types, chosen, np.ones((1, len(types))))
        self.share, self.chance = share[0], chance[0]
        bounds = [
            statistics.wilson(hit, count)[3:5] if count else (np.nan, np.nan)
            for hit, count in zip(hits.sum(0), self.count, strict=True)
        ]
        self.low, self.high = np.array(bounds).T
        self.means = _means(self.share, self.chance)
        least = 0.5 / len(types)  # half a creature: chance may be too rare to be seen
        self.ratio = self.means[0] / max(self.means[1], least)
        alike = np.full(len(types), 1 / len(types))
        draws = np.random.default_rng(0).multinomial(len(types), alike, size=DRAWS)
        share, chance = _means(*_shares(types, chosen, draws))
        self.interval = np.percentile(share / np.maximum(chance, least), [2.5, 97.5])

    def __str__(self):
        lines = ["type        creatures  assigned it   95 % interval   others (chance)"]
        columns = self.share, self.low, self.high, self.chance
        for i in np.argsort(-np.nan_to_num(self.share, nan=-1), kind="stable"):
            if self.count[i]:
                cells = [f"{100 * x[i]:.0f} %" for x in columns]
                lines.append(_line(species.TYPES[i], self.count[i], *cells))
        share, chance = (f"{100 * x:.1f} %" for x in self.means)
        lines.append(_line("mean", self.count.sum(), share, "", "", chance))
        low, high = self.interval
        interval = f"95 % interval {low:.1f} to {high:.1f}"
        lines.append(f"{self.ratio:.1f} times as often as chance, {interval}")
        right = f"{100 * self.right:.1f} %"
        lines.append(f"{right} of the creatures are assigned one of their types")
        return "\n".join(lines)


def _line(name, count, share, low, high, chance):
    between = f"{low} to {high}" if low else ""
    return f"{name:10}  {count:9}  {share:>11}   {between:>13}   {chance:>15}"


def _shares(types, chosen, draws):
    """Returns the share of each type's creatures, and of all others, that are assigned
    it; one row per row of `draws`, which say how often each creature counts: (b, n)."""
    draws = np.asarray(draws, "float64")
    own, other = draws @ types, draws @ ~types
    with np.errstate(invalid="ignore"):
        return draws @ (types & chosen) / own, draws @ (~types & chosen) / other


def _means(share, chance):
    """Returns means over the types that have creatures."""
    known = np.isfinite(share)
    total = np.maximum(known.sum(-1), 1)
    return tuple(np.where(known, x, 0).sum(-1) / total for x in (share, chance))
