"""Metrics agree with slow, literal versions of their definitions."""

import numpy as np
import pytest

from pokeutils import doodles, metrics


def normal(n, d=6, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(shift, 1, (n, d))


# ------------------------------------------------------------------ KID


def literal_kid(a, b):
    """The definition with loops, over all pairs of different pictures."""
    m, n, d = len(a), len(b), a.shape[1]

    def k(x, y):
        return (sum(p * q for p, q in zip(x, y, strict=True)) / d + 1) ** 3

    aa = sum(k(a[i], a[j]) for i in range(m) for j in range(m) if i != j)
    bb = sum(k(b[i], b[j]) for i in range(n) for j in range(n) if i != j)
    ab = sum(k(x, y) for x in a for y in b)
    return aa / (m * (m - 1)) + bb / (n * (n - 1)) - 2 * ab / (m * n)


def test_kid_is_its_definition():
    a, b = normal(12), normal(12, shift=0.5, seed=1)
    mean, std = metrics.kid(a, b, subsets=3, subset_size=12)
    assert mean == pytest.approx(literal_kid(a, b), rel=1e-10)
    assert std == pytest.approx(0, abs=1e-12)  # every subset is the whole set


def test_kid_takes_the_mean_and_spread_over_subsets():
    a, b = normal(9), normal(14, shift=0.5, seed=1)
    mean, std = metrics.kid(a, b, subsets=7, subset_size=4, seed=5)
    random, values = np.random.default_rng(5), []
    for _ in range(7):
        i = random.choice(9, 4, replace=False)
        values.append(literal_kid(a[i], b[random.choice(14, 4, replace=False)]))
    assert mean == pytest.approx(np.mean(values), rel=1e-10)
    assert std == pytest.approx(np.std(values), rel=1e-10)
    assert metrics.kid(a, b) == metrics.kid(a, b, subset_size=4)  # half of the smaller


def test_kid_is_zero_on_average_whatever_the_number_of_pictures():
    for n in (8, 64):
        values = [
            metrics.kid(normal(n, seed=2 * i), normal(n, seed=2 * i + 1), 1, n)[0]
            for i in range(400)
        ]
        error = np.std(values) / np.sqrt(len(values))
        assert abs(np.mean(values)) < 3.5 * error
        assert min(values) < 0 < max(values)  # unbiased, so it must go below zero


def test_kid_grows_with_the_distance():
    a = normal(200)
    shifts = (0, 0.2, 0.5, 1, 2)
    values = [metrics.kid(a, normal(200, shift=s, seed=1))[0] for s in shifts]
    assert values == sorted(values)
    assert abs(values[0]) < 4 * metrics.kid_floor(a)[1] < values[2]


def test_floor_is_the_kid_of_halves():
    x = normal(41)
    mean, std = metrics.kid_floor(x, splits=3, seed=4)
    random, values = np.random.default_rng(4), []
    for _ in range(3):
        order = random.permutation(41)
        values.append(literal_kid(x[order[:20]], x[order[20:40]]))
    assert (mean, std) == pytest.approx((np.mean(values), np.std(values)), rel=1e-9)
    damaged = metrics.kid(x, x + 1)[0]
    assert abs(mean) < 4 * std < damaged


# ------------------------------------------------------------------ shares


def literal_shares(real, fake, k):
    """Precision, recall, density, coverage, one distance at a time."""

    def distance(x, y):
        return float(np.sqrt(((x - y) ** 2).sum()))

    def radius(i, points):
        others = [distance(points[i], y) for j, y in enumerate(points) if j != i]
        return sorted(others)[k - 1]

    around_real = [radius(i, real) for i in range(len(real))]
    around_fake = [radius(i, fake) for i in range(len(fake))]
    pairs = [[distance(x, y) for y in fake] for x in real]
    n, m = len(real), len(fake)
    inside = [[pairs[i][j] < around_real[i] for j in range(m)] for i in range(n)]
    return (
        np.mean([any(inside[i][j] for i in range(n)) for j in range(m)]),
        np.mean(
            [any(pairs[i][j] < around_fake[j] for j in range(m)) for i in range(n)]
        ),
        np.sum(inside) / (k * m),
        np.mean([any(row) for row in inside]),
    )


def test_precision_recall_density_coverage_are_their_definitions():
    real, fake = normal(30, d=2), normal(25, d=2, shift=0.7, seed=1)
    for k in (3, 5):
        found = (
            *metrics.precision_recall(real, fake, k),
            *metrics.density_coverage(real, fake, k),
        )
        assert found == pytest.approx(literal_shares(real, fake, k))
        assert all(0 < share for share in found)


def test_collapse_shows_in_recall_and_coverage():
    real, one_mode = normal(300), normal(300, seed=1) * 0.05
    precision, recall = metrics.precision_recall(real, one_mode)
    density, coverage = metrics.density_coverage(real, one_mode)
    assert precision > 0.95 and recall < 0.05 and coverage < 0.4 and density > 1
    same = metrics.density_coverage(real, normal(300, seed=2))
    assert same == pytest.approx((1, 1 - 2**-5), abs=0.06)


# ------------------------------------------------------------------ nearest


@pytest.fixture(scope="module")
def creatures():
    """60 drawn creatures, premultiplied RGBA, 32 px."""
    small = [doodles.draw(i).convert("RGBa").resize((32, 32)) for i in range(60)]
    raw = [np.frombuffer(image.tobytes(), "uint8") for image in small]
    return np.stack(raw).reshape(-1, 32, 32, 4)


def faded(rgba):
    return (rgba * 0.6).astype("uint8")


def noisy(rgba):
    changed = rgba + np.random.default_rng(0).integers(-8, 9, (*rgba.shape[:2], 1))
    return changed.clip(0, 255).astype("uint8")


COPIES = {
    1: (7, lambda rgba: rgba),
    3: (20, lambda rgba: rgba[:, ::-1]),
    4: (33, noisy),
    5: (2, faded),
    6: (41, lambda rgba: np.roll(rgba, 1, axis=1)),
    8: (15, lambda rgba: rgba[..., [1, 0, 2, 3]]),  # recoloured
}


def test_planted_copies_are_found(creatures):
    reals, samples = creatures[:50], creatures[50:].copy()
    for place, (original, change) in COPIES.items():
        samples[place] = change(reals[original])
    found = metrics.nearest(samples, reals, count=10)
    for values in found:
        assert values.shape == (10, 10)
    places, originals = list(COPIES), [original for original, _ in COPIES.values()]
    assert found.indices[places, 0].tolist() == originals
    assert found.mirrored[places, 0].tolist() == [place == 3 for place in places]
    assert found.distances[[1, 3], 0] == pytest.approx(0, abs=1e-6)
    assert (np.diff(found.distances, axis=1) >= 0).all()

    among = metrics.nearest(reals, reals, count=10, itself=True)
    limit = np.quantile(metrics.singled_out(among), 0.02)
    alone = metrics.singled_out(found)
    assert np.flatnonzero(alone < limit).tolist() == places


def test_a_blob_is_near_to_many_and_so_no_copy(creatures):
    reals = creatures[:50]
    blob = np.broadcast_to(reals.mean(0), (1, 32, 32, 4)).astype("uint8")
    found = metrics.nearest(blob, reals, count=10)
    usual = metrics.nearest(reals, reals, count=10, itself=True)
    assert found.distances[0, 0] < np.median(usual.distances[:, 0])
    assert metrics.singled_out(found) > np.median(metrics.singled_out(usual))
    blank = metrics.nearest(np.zeros_like(blob), reals, count=10)
    assert blank.distances == pytest.approx(1)
    with pytest.raises(ValueError, match="at least 2 neighbours"):
        metrics.singled_out(metrics.nearest(reals, reals, count=1))


def test_distance_goes_from_the_same_to_nothing_in_common():
    left, middle = np.full((2, 1, 16, 16, 3), 255, "uint8")
    left[:, :8, :6], middle[:, :, 7:9] = (200, 10, 10), 0
    for other, distance, mirrored in (
        (left, 0, False),
        (left[:, :, ::-1], 0, True),
        (left[:, ::-1], 2**0.5, False),
        (middle, 2**0.5, False),
    ):
        found = metrics.nearest(left, other, 1)
        assert found.distances == pytest.approx(distance, abs=1e-6)
        assert found.mirrored == mirrored


def test_transparent_is_the_background():
    clear = np.zeros((1, 16, 16, 4), "uint8")
    clear[:, 4:9, 4:9] = (90, 60, 30, 128)
    for background in (255, 0):
        rest = background * (1 - 128 / 255)
        opaque = np.full((1, 16, 16, 3), background, "uint8")
        opaque[:, 4:9, 4:9] = np.rint(np.array((90, 60, 30)) + rest)
        found = metrics.nearest(clear, opaque, 1, background=background)
        assert found.distances == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    "size, used", [(16, 16), (24, 24), (32, 16), (64, 16), (96, 16)]
)
def test_fine_detail_is_averaged_away_above_16_px(size, used):
    y, x = np.mgrid[:size, :size]
    checks = np.repeat(((x + y) % 2 * 254).astype("uint8")[None, ..., None], 3, -1)
    flat = np.full((1, size, size, 3), 127, "uint8")
    distance = metrics.nearest(checks, flat, 1).distances[0, 0]
    assert distance > 0.5 if size == used else distance < 1e-6


def test_no_picture_is_its_own_neighbour(creatures):
    symmetric = np.concatenate([creatures, creatures[:, :, ::-1]])[:, :16, :16]
    found = metrics.nearest(symmetric, symmetric, count=1, itself=True)
    assert (found.indices[:, 0] != np.arange(len(symmetric))).all()
    found = metrics.nearest_features(normal(9), normal(9), count=8, itself=True)
    assert (found.indices != np.arange(9)[:, None]).all()
    assert not found.mirrored.any()


def test_nearest_features_are_the_nearest():
    a, b = normal(4), normal(20, seed=1)
    found = metrics.nearest_features(a, b, count=3)
    for row, indices, distances in zip(a, found.indices, found.distances, strict=True):
        by_hand = np.sqrt(((b - row) ** 2).sum(1))
        assert indices.tolist() == by_hand.argsort()[:3].tolist()
        assert distances == pytest.approx(np.sort(by_hand)[:3])


# ------------------------------------------------------------------ errors


BAD = [
    (np.full((9, 6), np.nan), "NaN"),
    (normal(1), "Got 1 pictures; at least"),
    (normal(9, d=5), r"same d; got \[\(9, 6\), \(9, 5\)\]"),
    (np.ones((9, 6)), "All 9 feature vectors"),
    (np.ones(9), "shape"),
]
PAIRED = [
    metrics.kid,
    metrics.precision_recall,
    metrics.density_coverage,
    metrics.nearest_features,
]


@pytest.mark.parametrize("metric", PAIRED, ids=lambda metric: metric.__name__)
@pytest.mark.parametrize("bad, message", BAD, ids=lambda value: str(value)[:9])
def test_what_would_mislead_is_refused(metric, bad, message):
    with pytest.raises(ValueError, match=message):
        metric(normal(9), bad)


def test_too_little_is_refused(creatures):
    with pytest.raises(ValueError, match="subset_size=10: expected 2 to 9"):
        metrics.kid(normal(9), normal(30), subset_size=10)
    with pytest.raises(ValueError, match="Got 3 pictures; at least 4"):
        metrics.kid_floor(normal(3))
    with pytest.raises(ValueError, match="Got 5 pictures; at least 6"):
        metrics.density_coverage(normal(5), normal(9))
    with pytest.raises(ValueError, match="count=3 neighbours of 2"):
        metrics.nearest(creatures, creatures[:2])
    with pytest.raises(ValueError, match="prepare the reals at the samples' size"):
        metrics.nearest(creatures, creatures[:, :16, :16])
    with pytest.raises(ValueError, match="Expected uint8 pictures.*float"):
        metrics.nearest(creatures / 255, creatures)
