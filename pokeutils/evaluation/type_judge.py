"""Does a creature look like its type? A classifier trained on real pictures, and the
table that says how often it finds the type that was asked for (NumPy only).

It sees features of frozen networks that took no part in the training of what it judges.
Types are float (n, 18), 1 for each type of a picture, in the order of `species.TYPES`.
"""

import numpy as np

from pokeutils.data import species
from pokeutils.evaluation import statistics

FOLDS, BLOCK = 5, 10  # of the cross-validation; species numbers that stay together
ROUNDS = 8  # of Newton's method


class Judge:
    """Learns from features (n, d) of real pictures what each type looks like.

    For each type a logistic regression, this type against all others, on the first
    `components` principal components of the standardised features, with both sides
    counting alike, however rare the type is. `ridge`: how strongly weights are held
    small, in pictures. The defaults were chosen by cross-validation on real training
    pictures. Called with features, it returns a score for each type: (n, 18).
    """

    def __init__(self, features, types, components=64, ridge=400.0):
        features = _checked(features, types)
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
        """Returns the type that each picture looks most like, as its place in the list:
        (n,). This is the one rule by which creatures are assigned a type."""
        return self(features).argmax(1)

    def _seen(self, features):
        x = (features - self.middle) / self.scale @ self.axes
        return np.concatenate([x, np.ones((len(x), 1))], axis=1)


def _checked(features, types):
    features, types = np.asarray(features, "float64"), np.asarray(types)
    count = len(species.TYPES)
    if features.ndim != 2 or types.shape != (len(features), count):
        raise ValueError(
            f"Features {features.shape} and types {types.shape} do not fit: expected "
            f"(n, d) and (n, {count})."
        )
    if (types.sum(0) > 0).sum() < 2:
        raise ValueError(
            "A judge needs pictures of two types or more; doodles and folders have "
            "none. Use pictures of known species."
        )
    return features


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


def cross_validated(features, types, groups=None, **options):
    """Returns the types that judges assign to real pictures they have not seen: (n,).

    groups: (n,) species numbers. Ten numbers that follow each other stay together, all
    pictures of them: neighbours in number are mostly relatives, of one look and type,
    and a judge that has seen the one has half seen the other. Of less than five times
    ten numbers, pictures of one number stay together. None: each picture alone.
    """
    features = _checked(features, types)
    if groups is None:
        groups = np.arange(len(features))
    elif len(np.unique(np.asarray(groups) // BLOCK)) >= FOLDS:
        groups = np.asarray(groups) // BLOCK
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
    or were asked for. For each type of which there are any: `share` of its creatures
    that are assigned it, with a Wilson interval `low` to `high`; `chance`, the share of
    all other creatures that are assigned it. Types without creatures have NaN.
    `ratio` is the mean share over the mean chance, types counting alike, and `interval`
    its 95 % bootstrap interval over the creatures. `right` is the share of creatures
    that are assigned one of their types.

    A perfect judge is right about all. Its mean share is 1 only where every creature
    has one type, as those that were asked for one: of a creature with two it can name
    but one, and misses the other, so on real artwork it comes to 0.68. Compare real
    creatures with drawn ones by `right`: only chance hits one of two types more often.
    """

    def __init__(self, assigned, types, rounds=1000, seed=0):
        types = np.asarray(types) > 0
        chosen = np.asarray(assigned)[:, None] == np.arange(types.shape[1])
        self.count, self.hits = types.sum(0), (types & chosen).sum(0)
        known = types.any(1)
        self.right = float((types & chosen).any(1)[known].mean())
        self.share, self.chance = _shares(types, chosen, np.ones((1, len(types))))
        self.share, self.chance = self.share[0], self.chance[0]
        bounds = [
            statistics.wilson(hit, count)[3:5] if count else (np.nan, np.nan)
            for hit, count in zip(self.hits, self.count, strict=True)
        ]
        self.low, self.high = np.array(bounds).T
        self.mean_share, self.mean_chance = _means(self.share, self.chance)
        least = 0.5 / len(types)  # half a creature: chance may be too rare to be seen
        self.ratio = self.mean_share / max(self.mean_chance, least)
        draws = np.random.default_rng(seed).multinomial(
            len(types), np.full(len(types), 1 / len(types)), size=rounds
        )
        share, chance = _means(*_shares(types, chosen, draws))
        self.interval = np.percentile(share / np.maximum(chance, least), [2.5, 97.5])

    def __str__(self):
        lines = ["type        creatures  assigned it   95 % interval   others (chance)"]
        for i in np.argsort(-np.nan_to_num(self.share, nan=-1), kind="stable"):
            if not self.count[i]:
                continue
            share, low, high, chance = (
                f"{100 * x[i]:.0f} %"
                for x in (self.share, self.low, self.high, self.chance)
            )
            between = f"{low} to {high}"
            lines.append(
                f"{species.TYPES[i]:10}  {self.count[i]:9}  {share:>11}   {between:>13}"
                f"   {chance:>15}"
            )
        low, high = self.interval
        share, chance = (
            f"{100 * x:.1f} %" for x in (self.mean_share, self.mean_chance)
        )
        lines += [
            f"mean        {self.count.sum():9}  {share:>11}   {'':13}   {chance:>15}",
            f"{self.ratio:.1f} times as often as chance, 95 % interval {low:.1f} to "
            f"{high:.1f}",
            f"{100 * self.right:.1f} % of the creatures are assigned one of their "
            "types",
        ]
        return "\n".join(lines)


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
