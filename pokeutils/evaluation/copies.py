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
from pokeutils.evaluation.measures import check_features, distances, numbered
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
    `held_out`, on which a true search finds nothing. `groups`: one number per real, the
    same for pictures of one species; 0 is unknown. `features`: a function from pictures
    to vectors, such as a feature network, or {name: function}.

    What is usual is read from the reals, each against those of other groups. Relatives
    are alike, which is part of the usual: the limits lie where 1 real in 100 (`ALARMS`)
    would be flagged, or below (`ALONE`). Then the search is tried on `plant` reals,
    copied in each way that `planted` knows: `Copies.planted` says how many of them are
    flagged, with their originals named.

    Raises ValueError for other arrays, sizes that differ, or fewer than four groups.
    """
    samples, reals = images.check(samples), images.check(reals)
    unseen = held_out is not None and len(held_out) > 0
    held_out = images.check(held_out) if unseen else reals[:0]
    for name, pictures in (("reals", reals), ("held_out", held_out)):
        if pictures.shape[1:3] != samples.shape[1:3]:
            raise ValueError(
                f"samples are {samples.shape[1:3]} and {name} {pictures.shape[1:3]} "
                "pixels: prepare the real pictures at the samples' size."
            )
    if samples.shape[-1] != reals.shape[-1]:  # then all are compared as RGB
        samples, reals, held_out = map(images.over, (samples, reals, held_out))
    # NumPy's threads get in each other's way in matrices as small as these.
    with threadpool_limits(1, user_api="blas"):
        originals = Originals(reals, features, groups)
        copies = originals.look(samples)
        alarms = _shares(originals.look(held_out).flags) if unseen else {}
        trial = _trial(originals, reals, plant) if plant else {}
    return copies._replace(false_alarms=alarms, planted=trial)


def _trial(originals, reals, plant):
    """Returns {kind: shares} of planted copies that are flagged and named right."""
    chosen = np.unique(np.linspace(0, len(reals) - 1, plant).astype(int))
    wanted, trial = originals.groups[chosen], {}
    for kind, pictures in planted.all_kinds(reals[chosen]).items():
        copies = originals.look(pictures)
        right = {}
        for name, flags in copies.flags.items():
            named = originals.groups[copies.nearest[name].indices[:, 0]]
            right[name] = flags & (named == wanted)
        trial[kind] = _shares(right)
    return trial


def _shares(flags):
    """Returns {search: share of True}, and that of any search as "together"."""
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
        self.groups = numbered(groups, len(reals))
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
        alone = {name: singled_out(near) for name, near in nearest.items()}
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
            original=np.array([near.indices[i, 0] for near, i in first]),
            mirrored=np.array([near.mirrored[i, 0] for near, i in first]),
            false_alarms={},
            planted={},
            originals=self,
        )

    def _nearest(self, name, vectors, own=None):
        same, mirror = (
            np.min([distances(vectors, view) for view in views], axis=0)
            for views in self.described[name]
        )
        return _closest(same, mirror, self.count, self.groups, own)

    def _p_values(self, alone):
        """Returns which share of the training pictures is as singled out: (searches,
        n)."""
        counts = [np.searchsorted(self.usual[k], v, "right") for k, v in alone.items()]
        return np.stack(counts) / len(self.groups)


OWN = colours, drawing  # quick enough to describe every original several times


def _views(describe, pictures, tilts):
    """Describes the pictures, then all of them tilted by each angle."""
    pictures = np.ascontiguousarray(pictures)
    return [
        describe(pictures),
        *(_tilted(describe, pictures, angle) for angle in tilts),
    ]


def _tilted(describe, pictures, angle):
    parts = np.array_split(pictures, -(-len(pictures) // CHUNK))
    return np.concatenate([describe(planted.tilted(p, angle)) for p in parts])


class Copies(
    namedtuple(
        "Copies",
        "nearest alone flags p by original mirrored false_alarms planted originals",
    )
):
    """What `search` returns: one entry per sample.

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
        """Returns whether each sample is taken for a copy, by any search: (n,)."""
        return np.any(list(self.flags.values()), axis=0)

    @property
    def shares(self):
        """Returns {search: share of the samples that are flagged}."""
        return _shares(self.flags)

    def record(self):
        """Returns a dict for metrics.json."""

        def plain(shares):
            return {name: share._asdict() for name, share in shares.items()}

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
                any_of = shares["together"]
                line = f"{name:25}{any_of.judged:4} of {any_of.total:4} "
                line += f"{any_of.share:6.1%}   {any_of.low:6.1%} to {any_of.high:6.1%}"
                for search in self.nearest:
                    line += f"{shares[search].share:{len(search) + 5}.0%}"
                lines.append(line)
        return "\n".join(lines)

    __repr__ = __str__


def side_by_side(samples, reals, copies, chosen, by=None, count=4, columns=2):
    """Returns a sheet (RGB uint8) of the `chosen` samples, each followed by its `count`
    nearest reals, mirrored where that is nearer; `columns` of such groups per row.

    `copies`: what `search` returned. `by`: the search to show; None: for each sample
    the one that singles it out most.
    """
    samples, reals = images.over(samples), images.over(reals)
    gap = np.full_like(samples[0][:, : samples.shape[2] // 4], 255)
    groups = []
    for i in chosen:
        near = copies.nearest[by or copies.by[i]]
        group = [samples[i], gap]
        for j, turned in zip(near.indices[i, :count], near.mirrored[i], strict=False):
            group.append(reals[j][:, ::-1] if turned else reals[j])
        groups.append(np.concatenate([*group, gap], axis=1))
    return plots.tile(np.stack(groups), columns)


# ------------------------------------------------------------------ neighbours


def nearest_features(vectors, others, count=3, itself=False):
    """Returns the `count` nearest rows of `others` to each of `vectors`: `Nearest`.

    `itself=True`: both are the same, and none is its own neighbour.
    """
    vectors, others = check_features(vectors, others)
    rows = np.arange(len(others))
    own = rows if itself else None
    return _closest(distances(vectors, others), None, count, rows, own)


def singled_out(near):
    """Returns the distance to the nearest over the mean distance to the next: (n,).

    Tells a copy from a blob, which is as near to one picture as to ten: a copy is near
    to one alone. `near`: a `Nearest` of at least 2 neighbours; 10 serve well.
    """
    if near.distances.shape[1] < 2:
        raise ValueError("Look for at least 2 neighbours, better 10 (count=10).")
    rest = near.distances[:, 1:].mean(axis=1)
    return near.distances[:, 0] / np.maximum(rest, 1e-12)


def _closest(same, mirror, count, groups, own=None):
    """Returns the nearest of each of the `count` nearest groups but its `own`."""
    kinds = len(np.unique(groups)) - (own is not None)
    if not 0 < count <= kinds:
        raise ValueError(
            f"count={count} neighbours of {kinds} pictures: ask for fewer."
        )
    turned = np.zeros(same.shape, bool) if mirror is None else mirror < same
    apart = same.copy() if mirror is None else np.minimum(same, mirror)
    if own is not None:
        apart[own[:, None] == groups] = np.inf
    rows, indices, nearest = np.arange(len(apart)), [], []
    for _ in range(count):
        indices.append(apart.argmin(axis=1))
        nearest.append(apart[rows, indices[-1]])
        # The next one is of another group.
        apart[groups[indices[-1]][:, None] == groups] = np.inf
    indices = np.stack(indices, axis=1)
    mirrored = np.take_along_axis(turned, indices, 1)
    return Nearest(indices, np.stack(nearest, axis=1), mirrored)


def _named(features):
    """Returns {name: function from pictures to float64 vectors} of `features`."""
    if features is None or isinstance(features, dict):
        searches = features or {}
    else:
        searches = {getattr(features, "name", "features"): features}
    return {name: _checked(describe) for name, describe in searches.items()}


def _checked(describe):
    def vectors(pictures):
        rows = np.asarray(describe(pictures), "float64")
        if rows.ndim != 2 or len(rows) != len(pictures):
            raise ValueError(f"features have shape {rows.shape}; expected (n, d).")
        if not np.isfinite(rows).all():
            raise ValueError("Some features are NaN or infinite: look at the pictures.")
        return rows

    return vectors
