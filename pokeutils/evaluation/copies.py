"""Is a generated picture the copy of a training picture? Nearest neighbours, calibrated
(NumPy only).

Two searches look at the body wherever it is in the picture, as it is, mirrored and a
little tilted: one compares colours, the other, which finds recoloured copies, the
drawing (`likeness`).
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
ROWS, MOST = 1024, 2000  # pictures compared at a time; reals that say what is usual
SEARCHES = {"colours": colours, "drawing": drawing}

Nearest = namedtuple("Nearest", "indices distances mirrored")


def search(samples, reals, held_out=None, groups=None, plant=50):
    """Looks for the originals of generated pictures; returns `Copies`, which prints.

    All are uint8 pictures of one size, premultiplied RGBA or RGB on white: `samples`,
    the `reals` that the generator was trained on, and others that were `held_out`, of
    which a true search finds nothing. `groups`: the species of each real; 0 is unknown.
    The search is tried on `plant` reals, copied in each way that `planted` knows.

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
        originals = Originals(reals, groups)
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

    What is usual is read from them, or from `MOST` of them drawn at random, each
    against those of other groups: `usual` has, for each search, how singled out the
    nearest picture is, in ascending order. The limit lies where one real in 100
    (`ALARMS`) would be flagged, or below (`ALONE`).
    """

    def __init__(self, reals, groups=None):
        self.groups = numbered(groups, len(reals))
        kinds = len(np.unique(self.groups))
        if kinds < 4:
            raise ValueError(f"Got {kinds} kinds of pictures; at least 4 are needed.")
        self.count = min(NEIGHBOURS, kinds - 1)
        self.views = {  # {search: (as they are, mirrored)}, each first untilted
            name: [_views(describe, side) for side in (reals, reals[:, :, ::-1])]
            for name, describe in SEARCHES.items()
        }
        some = np.arange(len(reals))
        if len(some) > MOST:
            some = np.sort(np.random.default_rng(0).choice(some, MOST, replace=False))
        alone = {
            name: _singled_out(self._nearest(name, same[0][some], self.groups[some]))
            for name, (same, _) in self.views.items()
        }
        self.usual = {name: np.sort(values) for name, values in alone.items()}
        p = np.sort(self._p_values(alone).min(0))
        self.limit = p[int(ALARMS * len(p))]

    def look(self, pictures):
        """Returns `Copies`, for each picture its nearest originals."""
        nearest = {
            name: self._nearest(name, describe(pictures))
            for name, describe in SEARCHES.items()
        }
        alone = {name: _singled_out(near) for name, near in nearest.items()}
        p, ratios = self._p_values(alone), np.stack(list(alone.values()))
        flags = (p < self.limit) & (ratios < ALONE)
        # Clear copies have p = 0 in several searches: name where they are nearest.
        by = np.array(list(nearest))[(p + 1e-6 * ratios).argmin(0)]
        first = [(nearest[name], i) for i, name in enumerate(by)]
        return Copies(
            nearest=nearest,
            alone=alone,
            flags=dict(zip(nearest, flags, strict=True)),
            p=p.min(0),
            by=by,
            original=np.array([near.indices[i, 0] for near, i in first]),
            mirrored=np.array([near.mirrored[i, 0] for near, i in first]),
            false_alarms={},
            planted={},
            originals=self,
        )

    def _nearest(self, name, vectors, own=None):
        """Returns the nearest of each of the `count` nearest groups but its `own`."""
        parts = np.array_split(np.arange(len(vectors)), -(-len(vectors) // ROWS))
        found = [
            self._nearest_few(name, vectors[part], None if own is None else own[part])
            for part in parts
        ]
        return Nearest(*map(np.concatenate, zip(*found, strict=True)))

    def _nearest_few(self, name, vectors, own):
        same, mirror = (
            np.min([distances(vectors, view) for view in views], axis=0)
            for views in self.views[name]
        )
        turned, apart = mirror < same, np.minimum(same, mirror)
        if own is not None:
            apart[own[:, None] == self.groups] = np.inf
        rows, indices, nearest = np.arange(len(apart)), [], []
        for _ in range(self.count):
            indices.append(apart.argmin(axis=1))
            nearest.append(apart[rows, indices[-1]])
            # The next one is of another group.
            apart[self.groups[indices[-1]][:, None] == self.groups] = np.inf
        indices = np.stack(indices, axis=1)
        mirrored = np.take_along_axis(turned, indices, 1)
        return Nearest(indices, np.stack(nearest, axis=1), mirrored)

    def _p_values(self, alone):
        """Returns the share of training pictures that are as singled out: (k, n)."""
        counts = [np.searchsorted(self.usual[k], v, "right") for k, v in alone.items()]
        return np.stack(counts) / len(self.usual["drawing"])


def _views(describe, pictures):
    """Describes the pictures as they are, then all of them tilted."""
    views = [describe(np.ascontiguousarray(pictures))]
    for angle in TILTS:
        parts = np.array_split(pictures, -(-len(pictures) // CHUNK))
        views.append(
            np.concatenate([describe(planted.tilted(p, angle)) for p in parts])
        )
    return views


def _singled_out(near):
    """Returns the distance to the nearest over the mean distance to the next: (n,). A
    blob is as near to one picture as to ten, a copy is near to one alone."""
    rest = near.distances[:, 1:].mean(axis=1)
    return near.distances[:, 0] / np.maximum(rest, 1e-12)


class Copies(
    namedtuple(
        "Copies",
        "nearest alone flags p by original mirrored false_alarms planted originals",
    )
):
    """What `search` returns: one entry per sample.

    nearest: {search: Nearest}, indices, distances and mirrored (n, 10), by species
    alone: {search: distance to the nearest over the mean of those to the next}
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
        searches = ", by ".join(self.nearest)
        lines = [f"{'':25}taken for copies   95 % interval     by {searches}"]
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
    nearest reals by one search, or by the one that singles it out most, mirrored where
    that is nearer; `columns` of such groups per row. `copies`: what `search` returned.
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


def nearest_features(vectors, others, count=3):
    """Returns the `count` nearest rows of `others` to each of `vectors`: `Nearest`."""
    apart = distances(*check_features(vectors, others))
    indices = apart.argsort(1, kind="stable")[:, :count]
    return Nearest(indices, np.take_along_axis(apart, indices, 1), None)
