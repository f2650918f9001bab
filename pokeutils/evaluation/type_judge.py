"""Does a creature look like its type? A classifier trained on real pictures, and how
often it finds the type that was asked for (NumPy only).

It sees features of frozen networks that took no part in the training of what it judges.
Types are float (n, 18), 1 for each type of a picture, in the order of `species.TYPES`.
"""

import numpy as np

from pokeutils.evaluation import measures

FOLDS, BLOCK = 5, 10  # of the cross-validation; species numbers that stay together
ROUNDS = 8  # of Newton's method


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
    """How often creatures are assigned each type, having it or not.

    assigned: (n,), see `Judge.assigned`; types: (n, k), those that the creatures have,
    or were asked for. `table` (k, k): of the creatures of one type (row), the share
    that is assigned each type (column); NaN in the rows of types without creatures.
    `share` (k,): its diagonal. `chance` (k,): the share of all other creatures that is
    assigned a type. `right`: the share of creatures that are assigned one of their
    types, by which real ones, which may have two, compare with drawn ones.
    """

    def __init__(self, assigned, types):
        types = np.asarray(types) > 0
        chosen = np.asarray(assigned)[:, None] == np.arange(types.shape[1])
        count = np.where(types.any(0), types.sum(0), np.nan)
        self.table = types.T.astype("float64") @ chosen / count[:, None]
        self.share = self.table.diagonal()
        others = np.where(types.any(0) & ~types.all(0), (~types).sum(0), np.nan)
        self.chance = (~types & chosen).sum(0) / others
        self.right = float((types & chosen).any(1)[types.any(1)].mean())
