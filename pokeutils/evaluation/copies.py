"""Is a generated picture the copy of a training picture? Nearest neighbours, calibrated
(NumPy only).

Two searches look at the body wherever it is in the picture, as it is, mirrored and a
little tilted: one compares colours, the other, which finds recoloured copies, the
drawing (`likeness`). A third can compare the features of a network; it does not tilt.
"""

from collections import namedtuple

import numpy as np
from threadpoolctl import threadpool_limits

from pokeutils.common import images, plots
from pokeutils.evaluation import planted
from pokeutils.evaluation.likeness import CHUNK, colours, drawing
from pokeutils.evaluation.measures import check_features, distances
from pokeutils.evaluation.statistics import wilson

NEIGHBOURS = 10  # the nearest, and those that it is nearer than
TILTS = -4, 4  # degrees: with originals turned so, a copy turned by 6 is found as well
ALARMS = 0.01  # of the training pictures themselves would be taken for copies, at most
ALONE = 0.7  # an original is nearer than this share of the distance to others, always

Nearest = namedtuple("Nearest", "indices distances mirrored")


# ------------------------------------------------------------------ the search


def search(samples, reals, held_out=None, features=None, groups=None, plant=50):
    """Looks for the originals of generated pictures; returns `Copies`, which prints.

    All are uint8 pictures of one size, premultiplied RGBA or RGB on white: `samples`,
    the `reals` that the generator was trained on, and real pictures that were
    `held_out`, on which a true search finds nothing. `groups`: one number a real, the
    same for pictures of one species; 0 is unknown. `features`: a function from pictures
    to vectors, such as a feature network, or {name: function}.

    What is usual is read from the reals, each against those of other groups. Relatives
    are alike, which is part of the usual: the limits lie where 1 real in 100 (`ALARMS`)
    would be flagged, or below (`ALONE`). Then the search is tried on `plant` reals,
    copied in each way that `planted` knows: `Copies.planted` says how many of them are
    flagged, with their originals named.

    Raises ValueError for other arrays, sizes that differ, or fewer than four groups.
    """
    for name, one in (("samples", samples), ("reals", reals), ("held_out", held_out)):
        if one is None and name == "held_out":
            continue
        if len(getattr(one, "shape", ())) != 4:  # or a list, perhaps of several sizes
            raise ValueError(
                f"Expected {name} as one array (n, height, width, 3 or 4), all of one "
                f"size; got {type(one).__name__} {getattr(one, 'shape', '')}."
            )
        if one.shape[1:3] != samples.shape[1:3]:
            raise ValueError(
                f"samples are {samples.shape[1:3]} and {name} {one.shape[1:3]} pixels: "
                "prepare the real pictures at the samples' size."
            )
    if samples.shape[-1] != reals.shape[-1]:  # then all are compared as RGB
        samples, reals = images.over(samples), images.over(reals)
        held_out = None if held_out is None else images.over(held_out)
    # NumPy's threads get in each other's way in matrices as small as these.
    with threadpool_limits(1, user_api="blas"):
        known = Originals(reals, features, groups)
        found = known.look(samples)
        unseen = held_out is not None and len(held_out)
        alarms = _shares(known.look(held_out).flags) if unseen else {}
        trial = _trial(known, reals, plant) if plant else {}
    return found._replace(false_alarms=alarms, planted=trial)


def _trial(known, reals, plant):
    """{kind: shares} of planted copies that are flagged, with their originals named."""
    chosen = np.unique(np.linspace(0, len(reals) - 1, plant).astype(int))
    wanted, trial = known.groups[chosen], {}
    for kind, pictures in planted.all_kinds(reals[chosen]).items():
        one = known.look(pictures)
        right = {
            name: flags & (known.groups[one.nearest[name].indices[:, 0]] == wanted)
            for name, flags in one.flags.items()
        }
        trial[kind] = _shares(right)
    return trial


def _shares(flags):
    """{search: share of True, with its interval}, and that of any as "together"."""
    together = np.any(list(flags.values()), axis=0)
    return {
        name: wilson(values.sum(), len(values))
        for name, values in {"together": together, **flags}.items()
    }


class Originals:
    """Training pictures, described once, in which `look` finds the originals of others.

    `usual` has, for each search, how singled out the nearest picture of another group
    is for each of them, in ascending order.
    """

    def __init__(self, reals, features=None, groups=None):
        self.searches = {"colours": colours, "drawing": drawing, **_named(features)}
        self.groups = _groups(groups, len(reals))
        kinds = len(np.unique(self.groups))
        if kinds < 4:
            raise ValueError(f"Got {kinds} kinds of pictures; at least 4 are needed.")
        self.count = min(NEIGHBOURS, kinds - 1)
        self.described = {  # {search: (as they are, mirrored)}, each first untilted
            name: (
                _views(describe, reals, TILTS if describe in OWN else ()),
                _views(describe, reals[:, :, ::-1], TILTS if describe in OWN else ()),
            )
            for name, describe in self.searches.items()
        }
        alone = {
            name: singled_out(self._nearest(name, same[0], self.groups))
            for name, (same, _) in self.described.items()
        }
        self.usual = {name: np.sort(values) for name, values in alone.items()}
        p = np.sort(self._p_values(alone).min(0))
        self.limit = p[int(ALARMS * len(p))]

    def look(self, pictures):
        """Returns `Copies`, for each picture its nearest originals."""
        nearest = {
            name: self._nearest(name, describe(pictures))
            for name, describe in self.searches.items()
        }
        alone = {name: singled_out(one) for name, one in nearest.items()}
        p, ratios = self._p_values(alone), np.stack(list(alone.values()))
        flags = (p < self.limit) & (ratios < ALONE)
        # Clear copies have p = 0 in several searches: name where they are nearest.
        names, by = list(nearest), (p + 1e-6 * ratios).argmin(0)
        first = [(nearest[names[k]], i) for i, k in enumerate(by)]
        return Copies(
            nearest=nearest,
            alone=alone,
            flags=dict(zip(names, flags, strict=True)),
            p=p.min(0),
            by=np.array(names)[by],
            original=np.array([one.indices[i, 0] for one, i in first]),
            mirrored=np.array([one.mirrored[i, 0] for one, i in first]),
            false_alarms={},
            planted={},
            originals=self,
        )

    def _nearest(self, name, vectors, own=None):
        same, mirror = (
            np.min([distances(vectors, one) for one in views], axis=0)
            for views in self.described[name]
        )
        return _closest(same, mirror, self.count, self.groups, own)

    def _p_values(self, alone):
        """Share of the training pictures that are as singled out: (searches, n)."""
        counts = [np.searchsorted(self.usual[k], v, "right") for k, v in alone.items()]
        return np.stack(counts) / len(self.groups)


OWN = colours, drawing  # quick enough to describe every original several times


def _views(describe, pictures, tilts):
    """Vectors of the pictures, then of all of them tilted by each angle."""
    pictures = np.ascontiguousarray(pictures)
    return [
        describe(pictures),
        *(_tilted(describe, pictures, angle) for angle in tilts),
    ]


def _tilted(describe, pictures, angle):
    parts = np.array_split(pictures, -(-len(pictures) // CHUNK))
    return np.concatenate([describe(planted.tilted(one, angle)) for one in parts])


class Copies(
    namedtuple(
        "Copies",
        "nearest alone flags p by original mirrored false_alarms planted originals",
    )
):
    """What `search` found, an entry a sample.

    nearest: {search: Nearest}, indices, distances and mirrored (n, 10), by species
    alone: {search: how singled out the nearest is}, see `singled_out`
    flags: {search: whether that is so rare that it is taken for a copy}
    p: share of real pictures that are as singled out, in the search where it is least
    by, original, mirrored: that search, the picture it names, whether mirrored
    false_alarms: {search: share of held-out reals that are flagged}
    planted: {kind: {search: share of planted copies that are flagged and named right}}
    originals: the `Originals`, in which to `look` for those of other pictures

    Shares have 95 % intervals (Wilson); "together" is any search.
    """

    __slots__ = ()

    @property
    def flagged(self):
        """Whether each sample is taken for a copy, by whichever search: (n,)."""
        return np.any(list(self.flags.values()), axis=0)

    @property
    def shares(self):
        """{search: share of the samples that are flagged}."""
        return _shares(self.flags)

    def record(self):
        """Returns a dict for metrics.json."""

        def plain(shares):
            return {name: one._asdict() for name, one in shares.items()}

        return {
            "samples": plain(self.shares),
            "held out": plain(self.false_alarms),
            "planted": {kind: plain(shares) for kind, shares in self.planted.items()},
        }

    def __str__(self):
        rows = {"samples": self.shares, "real, never trained on": self.false_alarms}
        rows |= {f"planted: {kind}": shares for kind, shares in self.planted.items()}
        lines = [
            " " * 25
            + "taken for copies   95 % interval     by "
            + ", by ".join(self.nearest)
        ]
        for name, shares in rows.items():
            if shares:
                one = shares["together"]
                line = f"{name:25}{one.judged:4} of {one.total:4} {one.share:6.1%}"
                line += f"   {one.low:6.1%} to {one.high:6.1%}"
                for search in self.nearest:
                    line += f"{shares[search].share:{len(search) + 5}.0%}"
                lines.append(line)
        return "\n".join(lines)

    __repr__ = __str__


def side_by_side(samples, reals, found, chosen, by=None, count=4, columns=2):
    """A sheet (RGB uint8) of some samples, each followed by its `count` nearest reals,
    mirrored where that is nearer; `columns` of such groups a row.

    `found`: the `Copies`. `by`: the search to show; None: what `found.by` says.
    """
    samples, reals = images.over(samples), images.over(reals)
    gap = np.full_like(samples[0][:, : samples.shape[2] // 4], 255)
    groups = []
    for i in chosen:
        near = found.nearest[by or found.by[i]]
        group = [samples[i], gap]
        for j, turned in zip(near.indices[i, :count], near.mirrored[i], strict=False):
            group.append(reals[j][:, ::-1] if turned else reals[j])
        groups.append(np.concatenate([*group, gap], axis=1))
    return plots.tile(np.stack(groups), columns)


# ------------------------------------------------------------------ neighbours


def nearest_features(vectors, others, count=3, itself=False):
    """The `count` nearest rows of `others` to each row of `vectors`, as `Nearest`.

    `itself=True`: both are the same, and none is its own neighbour.
    """
    vectors, others = check_features(vectors, others)
    rows = np.arange(len(others))
    own = rows if itself else None
    return _closest(distances(vectors, others), None, count, rows, own)


def singled_out(found):
    """Distance to the nearest over the mean distance to the next ones: (n,), 0 to 1.

    Tells a copy from a blob, which is as near to one picture as to ten: a copy is near
    to one alone. `found`: a `Nearest` of at least 2 neighbours; 10 serve well.
    """
    if found.distances.shape[1] < 2:
        raise ValueError("Look for at least 2 neighbours, better 10 (count=10).")
    rest = found.distances[:, 1:].mean(axis=1)
    return found.distances[:, 0] / np.maximum(rest, 1e-12)


def _closest(same, mirror, count, groups, own=None):
    """The nearest of each of the `count` nearest groups, other than its `own`."""
    kinds = len(np.unique(groups)) - (own is not None)
    if not 0 < count <= kinds:
        raise ValueError(
            f"count={count} neighbours of {kinds} pictures: ask for fewer."
        )
    turned = np.zeros(same.shape, bool) if mirror is None else mirror < same
    left = same.copy() if mirror is None else np.minimum(same, mirror)
    if own is not None:
        left[own[:, None] == groups] = np.inf
    rows, indices, found = np.arange(len(left)), [], []
    for _ in range(count):
        indices.append(left.argmin(axis=1))
        found.append(left[rows, indices[-1]])
        left[groups[indices[-1]][:, None] == groups] = np.inf
    indices = np.stack(indices, axis=1)
    return Nearest(
        indices, np.stack(found, axis=1), np.take_along_axis(turned, indices, 1)
    )


def _groups(groups, count):
    """One number a picture; unknown ones, 0, become a group of their own."""
    alone = -1 - np.arange(count)
    if groups is None:
        return alone
    groups = np.asarray(groups)
    if groups.shape != (count,):
        raise ValueError(f"groups has shape {groups.shape}; expected ({count},).")
    return np.where(groups == 0, alone, groups)


def _named(features):
    """{name: function from pictures to float64 vectors} of what `features` may be."""
    if features is None or isinstance(features, dict):
        known = features or {}
    else:
        known = {getattr(features, "name", "features"): features}
    return {name: _checked(describe) for name, describe in known.items()}


def _checked(describe):
    def vectors(pictures):
        found = np.asarray(describe(pictures), "float64")
        if found.ndim != 2 or len(found) != len(pictures):
            raise ValueError(f"features have shape {found.shape}; expected (n, d).")
        if not np.isfinite(found).all():
            raise ValueError("Some features are NaN or infinite: look at the pictures.")
        return found

    return vectors
