"""Metrics agree with trusted implementations and with their literal definitions, rank
what people rank, and refuse what would give a meaningless number."""

import dataclasses
import json

import numpy as np
import pytest
from reference import trusted_metrics

from pokeutils.common import env, files, images, plots
from pokeutils.data import doodles
from pokeutils.evaluation import damage, features, measures, report
from pokeutils.recipes import catalogue


def normal(n, d=6, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(shift, 1, (n, d))


# ------------------------------------------------------------------ trusted values

TRUSTED = json.loads(trusted_metrics.PATH.read_text())["distances"]


@pytest.mark.parametrize("case", trusted_metrics.cases())
def test_values_are_those_of_trusted_implementations(case):
    real, fake = trusted_metrics.cases()[case]
    trusted = TRUSTED[case]
    n = min(len(real), len(fake))
    kid, _ = report.kid(real[:n], fake[:n], subsets=1, subset_size=n)
    precision, recall = report.precision_recall(real, fake)
    for package in ("torch-fidelity", "clean-fid"):
        theirs = trusted[package]
        expected = theirs["kid of the first, equally many"]
        assert kid == pytest.approx(expected, rel=1e-4)
        assert report.frechet(real, fake) == pytest.approx(theirs["fid"], rel=1e-4)
    theirs = trusted["torch-fidelity"]
    assert precision == pytest.approx(theirs["precision"], rel=1e-4)
    assert recall == pytest.approx(theirs["recall"], rel=1e-4)
    theirs = trusted["prdc"]
    found = report.density_coverage(real, fake)
    assert found == pytest.approx([theirs["density"], theirs["coverage"]], rel=1e-4)
    found = report.precision_recall(real, fake, k=5)
    assert found == pytest.approx([theirs["precision"], theirs["recall"]], rel=1e-4)
    expected = trusted["POT"]["sliced_wasserstein"]
    assert report.sliced_wasserstein(real, fake) == pytest.approx(expected, rel=1e-4)


def test_parts_of_the_report_are_the_single_measures():
    real, fake = trusted_metrics.cases()["normal"]
    pair = report._Pair(real, fake)
    i, j = np.arange(20, 90), np.arange(70)
    found, a, b = pair.measure(i, j), real[i], fake[j]
    precision, recall = report.precision_recall(a, b)
    density, coverage = report.density_coverage(a, b)
    assert found == pytest.approx(
        {
            "kid": report.kid(a, b, 1, 70)[0],
            "frechet": report.frechet(a, b),
            "sliced_wasserstein": report.sliced_wasserstein(a, b),
            "precision": precision,
            "recall": recall,
            "density": density,
            "coverage": coverage,
            "authentic": report.authentic(a, b),
            "diversity": report.diversity(b) / report.diversity(a),
        },
        rel=1e-9,
    )


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
    mean, std = report.kid(a, b, subsets=3, subset_size=12)
    assert mean == pytest.approx(literal_kid(a, b), rel=1e-10)
    assert std == pytest.approx(0, abs=1e-12)  # every subset is the whole set


def test_kid_takes_the_mean_and_spread_over_subsets():
    a, b = normal(9), normal(14, shift=0.5, seed=1)
    mean, std = report.kid(a, b, subsets=7, subset_size=4, seed=5)
    random, values = np.random.default_rng(5), []
    for _ in range(7):
        i = random.choice(9, 4, replace=False)
        values.append(literal_kid(a[i], b[random.choice(14, 4, replace=False)]))
    assert mean == pytest.approx(np.mean(values), rel=1e-10)
    assert std == pytest.approx(np.std(values), rel=1e-10)
    assert report.kid(a, b) == report.kid(a, b, subset_size=4)  # half of the smaller


def test_kid_is_zero_on_average_whatever_the_number_of_pictures():
    for n in (8, 64):
        values = [
            report.kid(normal(n, seed=2 * i), normal(n, seed=2 * i + 1), 1, n)[0]
            for i in range(400)
        ]
        error = np.std(values) / np.sqrt(len(values))
        assert abs(np.mean(values)) < 3.5 * error
        assert min(values) < 0 < max(values)  # unbiased, so it must go below zero


def test_kid_grows_with_the_distance():
    a = normal(200)
    shifts = (0, 0.2, 0.5, 1, 2)
    values = [report.kid(a, normal(200, shift=s, seed=1))[0] for s in shifts]
    assert values == sorted(values)
    assert abs(values[0]) < 4 * report.kid_floor(a)[1] < values[2]


def test_floor_is_the_kid_of_halves():
    x = normal(41)
    mean, std = report.kid_floor(x, splits=3, seed=4)
    random, values = np.random.default_rng(4), []
    for _ in range(3):
        order = random.permutation(41)
        values.append(literal_kid(x[order[:20]], x[order[20:40]]))
    assert (mean, std) == pytest.approx((np.mean(values), np.std(values)), rel=1e-9)
    damaged = report.kid(x, x + 1)[0]
    assert abs(mean) < 4 * std < damaged


def twins(n, d=6, seed=0):
    """Every picture twice, nearly, as sprites come in shiny colours; and the groups."""
    one = normal(n, d, seed=seed)
    both = np.concatenate([one, one + 0.01 * normal(n, d, seed=seed + 1)])
    return both, np.tile(np.arange(n) + 1, 2)


def test_halves_have_no_group_in_common():
    groups = np.array([4, 4, 4, 7, 0, 0, 9, 9, 2, 2, 2, 5])  # 0: each its own
    halves = measures.Halves(12, groups)
    assert halves.most == 5
    firsts = []
    for seed in range(200):
        order = np.random.default_rng(seed).permutation(12)
        one, other = halves.of(order, 5)
        assert len(set(one) | set(other)) == 10
        named = [set(groups[part].tolist()) - {0} for part in (one, other)]
        assert not named[0] & named[1]
        firsts.append(groups[one[0]])
    # Every group comes first as often as any other, however many pictures it has.
    assert np.mean(np.array(firsts) == 4) == pytest.approx(1 / 7, abs=0.06)
    with pytest.raises(ValueError, match=r"groups has shape \(3,\); expected \(4,\)"):
        measures.Halves(4, np.arange(3))
    with pytest.raises(ValueError, match="4 of 5 pictures are of one group"):
        measures.Halves(5, [1, 1, 1, 1, 2])


@pytest.mark.parametrize("count", [40, 41])
def test_groups_of_one_change_nothing(count):
    x, species = normal(count), np.random.default_rng(0).permutation(count) + 1
    assert report.kid_floor(x, species) == report.kid_floor(x)
    assert report.shares_floor(x, species) == report.shares_floor(x)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(count)
        parts = measures.Halves(count, species).of(order, 20)
        assert np.concatenate(parts).tolist() == order[:40].tolist()
    rows = [
        report._Pair(x, halves=measures.Halves(count, one)).drawn(20, 1)
        for one in (None, species)
    ]
    assert rows[0] == rows[1]
    # As it always was: one permutation for the halves, and one that is not looked at.
    random, values = np.random.default_rng(1), []
    for _ in range(report.DRAWS):
        order, _ = random.permutation(count), random.permutation(count)
        i, j = np.sort(order[:20]), np.sort(order[20:40])
        values.append(report.kid(x[i], x[j], 1, 20)[0])
    assert rows[0]["kid"]["value"] == pytest.approx(np.mean(values), rel=1e-9)


def test_no_floor_sees_twins():
    x, groups = twins(60)
    row = report._Pair(x, halves=measures.Halves(120, groups)).drawn(59, 0)
    blind = report._Pair(x, halves=measures.Halves(120)).drawn(59, 0)
    assert blind["authentic"]["value"] < 0.7 < row["authentic"]["value"]
    apart, mixed = report.shares_floor(x, groups), report.shares_floor(x)
    assert apart["recall"] < mixed["recall"] - 0.1
    assert report.kid_floor(x, groups)[1] > 1.3 * report.kid_floor(x)[1]


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
            *report.precision_recall(real, fake, k),
            *report.density_coverage(real, fake, k),
        )
        assert found == pytest.approx(literal_shares(real, fake, k))
        assert all(0 < share for share in found)


def test_collapse_shows_in_recall_and_coverage():
    real, one_mode = normal(300), normal(300, seed=1) * 0.05
    precision, recall = report.precision_recall(real, one_mode)
    density, coverage = report.density_coverage(real, one_mode)
    assert precision > 0.95 and recall < 0.05 and coverage < 0.4 and density > 1
    same = report.density_coverage(real, normal(300, seed=2))
    assert same == pytest.approx((1, 1 - 2**-5), abs=0.06)


# ------------------------------------------------------------------ further measures


def test_frechet_is_the_distance_of_gaussians():
    random = np.random.default_rng(0)
    a = random.normal(0, 1, (20000, 3))
    b = random.normal(2, 3, (20000, 3))
    # Means 2 apart and deviations 2 apart, in each of 3 dimensions.
    assert report.frechet(a, b) == pytest.approx(3 * 2**2 + 3 * 2**2, rel=0.02)
    few = normal(30, d=200), normal(30, d=200, seed=1)
    assert report.frechet(*few) > 100  # its bias, of one distribution


def test_frechet_is_a_matrix_root_for_more_and_for_fewer_pictures_than_dimensions():
    for n in (12, 60):
        a, b = normal(n, d=25), normal(n, d=25, shift=0.3, seed=1)
        cov = [np.cov(one, rowvar=False) for one in (a, b)]
        root = np.sqrt(np.linalg.eigvals(cov[0] @ cov[1]).astype(complex)).real.sum()
        gap = np.square(a.mean(0) - b.mean(0)).sum()
        expected = gap + np.trace(cov[0]) + np.trace(cov[1]) - 2 * root
        assert report.frechet(a, b) == pytest.approx(expected, rel=1e-6)


def test_sliced_wasserstein_of_unequal_counts_is_that_of_repeated_pictures():
    a, b = normal(6, d=4), normal(4, d=4, seed=1)
    found = report.sliced_wasserstein(a, b)
    repeated = report.sliced_wasserstein(a.repeat(2, 0), b.repeat(3, 0))
    assert found == pytest.approx(repeated, rel=1e-12)
    moved = report.sliced_wasserstein(a, a + 3)
    lines = measures.directions(4)
    assert moved == pytest.approx(np.sqrt(np.square(3 * lines.sum(0)).mean()))


def test_copies_are_not_authentic():
    real = normal(50)
    others = normal(30, seed=1)
    expected = []
    for fake in others:
        apart = np.linalg.norm(real - fake, axis=1)
        nearest = apart.argmin()
        own = np.delete(np.linalg.norm(real - real[nearest], axis=1), nearest)
        expected.append(own.min() < apart.min())
    assert report.authentic(real, others) == np.mean(expected)
    assert report.authentic(real, real[:20] + 1e-6) == 0


def test_diversity_is_the_mean_distance_of_two():
    a = normal(7)
    apart = [np.linalg.norm(x - y) for k, x in enumerate(a) for y in a[k + 1 :]]
    assert report.diversity(a) == pytest.approx(np.mean(apart))


# ------------------------------------------------------------------ damage


def drawn(numbers, size=32):
    """Creatures drawn by code, on white: uint8 (n, size, size, 3)."""
    pictures = (np.asarray(doodles.draw(number)) for number in numbers)
    fitted = (images.fit(picture, size) for picture in pictures)
    return np.stack([images.composite(picture) for picture in fitted])


@pytest.fixture(scope="module")
def creatures():
    return drawn(range(120))


def test_damage_does_what_it_says(creatures):
    before = creatures.copy()
    found = damage.all_kinds(creatures)
    assert list(found) == ["palette swap", "blur", "patch shuffle", "noise"]
    for pictures in found.values():
        assert pictures.shape == creatures.shape and pictures.dtype == np.uint8
        assert (pictures != creatures).any((1, 2, 3)).mean() > 0.95
    np.testing.assert_array_equal(creatures, before)
    swapped, shuffled = found["palette swap"], found["patch shuffle"]
    brightness = swapped.max(-1).astype(int) - creatures.max(-1)
    assert np.abs(brightness).mean() < 2
    assert (np.sort(shuffled, axis=None) == np.sort(creatures, axis=None)).all()
    pieces = creatures[0].reshape(8, 4, 8, 4, 3).swapaxes(1, 2)
    assert (pieces == shuffled[0, 12:16, 12:16]).all((2, 3, 4)).any()
    assert damage.patch_shuffle(creatures[:2, :30, :30], np.random.default_rng(0)).any()
    again = damage.all_kinds(creatures)
    assert all((again[kind] == found[kind]).all() for kind in found)


# ------------------------------------------------------------------ ranking

PREPARED = env.ROOT / "data" / "prepared"


def ranking(network, pictures):
    """[(KID, std)] of real halves, palette swap, blur, patch shuffle and noise."""
    mixed = np.random.default_rng(0).permutation(len(pictures))
    here, there = np.array_split(pictures[mixed], 2)
    seen = network(here)
    sets = [there, *damage.all_kinds(there).values()]
    return [report.kid(seen, network(one)) for one in sets]


def test_damage_is_ranked_from_mild_to_severe(random_conv, creatures):
    floor, swapped, *harder = ranking(random_conv, creatures)
    # A drawn creature may have any colour, so other colours are as good.
    assert abs(swapped[0]) < 4 * floor[1]
    values = [swapped, *harder]
    for (less, less_std), (more, more_std) in zip(values, values[1:], strict=False):
        assert less + less_std < more - more_std


@pytest.mark.parametrize(
    "name, source",
    [
        ("random", "artwork-64"),
        pytest.param("lite0", "artwork-64", marks=pytest.mark.slow),
        pytest.param("lite0-128", "artwork-32", marks=pytest.mark.slow),
        pytest.param("lite0", "sprites-32", marks=pytest.mark.slow),
    ],
)
def test_damage_of_real_pictures_is_ranked(name, source, random_conv):
    path = PREPARED / source / "images.npy"
    if not path.exists():
        pytest.skip(f"{source} is not prepared here")
    pictures = images.composite(np.load(path))
    chosen = np.linspace(0, len(pictures) - 1, 400).astype(int)
    network = random_conv if name == "random" else features.named(name)
    values = ranking(network, pictures[chosen])
    shown = ", ".join(f"{1000 * kid:.1f} ± {1000 * std:.1f}" for kid, std in values)
    print(f"\n{source}, {name}: {shown}")
    for (less, less_std), (more, more_std) in zip(values, values[1:], strict=False):
        assert less + less_std < more - more_std
    assert abs(values[0][0]) < 3 * values[0][1]


# ------------------------------------------------------------------ the report


@pytest.fixture(scope="module")
def random_conv():
    return features.random_conv()


@pytest.fixture(scope="module")
def found(random_conv, creatures, tmp_path_factory):
    """A report on creatures of the same kind as the reals, blurred, with a few exact
    copies; by two networks."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "metrics.json").write_text('{"copies": 3}')
    samples = np.concatenate([creatures[:10], damage.blur(creatures[60:110])])
    networks = {"random": random_conv, "other": features.random_conv(1, 32)}
    cache, told = tmp_path_factory.mktemp("features"), []
    made = report.report(
        samples, creatures[:60], networks, folder, cache, progress=told.append
    )
    return made, folder, cache, told


def test_report_has_every_measure_with_floor_and_ceilings(found):
    made, folder, cache, told = found
    assert list(made["spaces"]) == ["random", "other"]
    rows = ["samples", "real halves", "palette swap", "blur", "patch shuffle", "noise"]
    for space in made["spaces"].values():
        assert list(space["rows"]) == rows
        for name, row in space["rows"].items():
            assert list(row) == list(report.MEASURES)
            for one in row.values():
                assert np.isfinite(one["value"])
                assert ("interval" in one) == (name in rows[:2])
                low, high = one.get("interval", (-np.inf, np.inf))
                assert low <= one["value"] <= high
    assert (made["samples"], made["reals"], made["compared"]) == (60, 60, 30)
    saved = json.loads((folder / "metrics.json").read_text())
    assert saved == {"copies": 3, **made}
    assert told[0] == "random: 60 pictures, samples"
    assert len(list(cache.iterdir())) == 2 * 5  # all but the samples


def test_report_says_what_is_known(found):
    made = found[0]
    for title in ("random", "other"):
        rows = made["spaces"][title]["rows"]
        floor = {key: one["value"] for key, one in rows["real halves"].items()}
        low, high = rows["real halves"]["kid"]["interval"]
        own = made.value(title, "kid")
        assert low < 0 < high and own < rows["noise"]["kid"]["value"]
        assert own > 0.5 * rows["blur"]["kid"]["value"] > floor["kid"]
        assert floor["frechet"] > 1 and floor["diversity"] == pytest.approx(1, abs=0.05)
        assert floor["density"] == pytest.approx(1, abs=0.2) and floor["coverage"] > 0.9
        assert floor["authentic"] > 0.3  # halves have no picture in common
        assert rows["noise"]["precision"]["value"] == 0
        noise = report.MEASURES.keys() - {"authentic", "diversity"}
        assert all(rows["noise"][key]["value"] != floor[key] for key in noise)
        # Ten copies among sixty can never be authentic.
        assert made.value(title, "authentic") <= 50 / 60


def test_samples_are_not_ranked_beyond_their_interval():
    def row(value, low, high):
        return {"kid": {"value": value, "interval": [low, high]}}

    rows = {report.FLOOR: row(0.0, -0.1, 0.1), "blur": row(0.3, 0, 0)}
    rows["noise"] = row(2.0, 0, 0)
    for own, said in (
        (row(0.05, 0, 0.1), "cannot tell the samples from real"),
        (row(0.35, 0.28, 0.42), "By KID the samples cannot be told from blur."),
        (row(1.0, 0.8, 1.2), "lie between blur and noise"),
        (row(3.0, 2.8, 3.2), "further from real than all else"),
    ):
        assert said in report._place("random", {**rows, report.SAMPLES: own})


def test_report_prints_as_a_table(found):
    made = found[0]
    text = str(made)
    lines = text.splitlines()
    assert lines[0].split()[:3] == ["random", "samples", "real"]
    value = f"{1000 * made.value('random', 'kid'):.1f} ±"
    assert value in lines[1] and lines[1].startswith("KID x 1000")
    assert "By KID the samples lie between" in text
    assert "compare only at n = 30" in lines[-1]
    assert "Authentic of the samples is that of them all" in lines[-2]
    assert max(map(len, lines)) <= 100
    assert repr(made) == text


def test_report_computes_only_the_samples_again(found, random_conv, creatures):
    _, _, cache, _ = found
    seen, original = [], random_conv._compute

    def compute(pictures, *rest):
        seen.append(len(pictures))
        return original(pictures, *rest)

    random_conv._compute = compute
    try:
        samples = creatures[60:110]
        report.report(samples, creatures[:60], {"random": random_conv}, cache=cache)
    finally:
        del random_conv._compute
    # Fewer samples, so smaller halves: these reals were damaged for the first time.
    assert seen == [50, 25, 25, 25, 25]


def test_a_report_keeps_twins_together(creatures, random_conv, tmp_path):
    both = np.concatenate([creatures[:40], 255 - (255 - creatures[:40]) // 8 * 8])
    groups, network = np.tile(np.arange(40) + 1, 2), {"random": random_conv}
    options = dict(networks=network, cache=tmp_path)
    blind = report.report(creatures[40:], both, **options)
    found = report.report(creatures[40:], both, groups=groups, **options)
    assert (blind["compared"], found["compared"]) == (40, 39)
    floor = [one.value("random", "authentic", "real halves") for one in (blind, found)]
    assert floor[0] < floor[1] - 0.15
    assert found.value("random", "kid", "blur") != blind.value("random", "kid", "blur")
    same = report.report(creatures[40:], both, groups=np.arange(80) + 1, **options)
    assert same == blind
    with pytest.raises(ValueError, match="so many are of one group that halves"):
        report.report(creatures[40:], both, groups=np.arange(80) // 70 + 1, **options)


def test_floats_and_transparency_give_the_same_report(random_conv, tmp_path):
    pictures = (np.asarray(doodles.draw(number)) for number in range(20))
    rgba = np.stack([images.fit(picture, 32) for picture in pictures])
    network, opaque = {"random": random_conv}, images.composite(rgba)
    expected = report.report(opaque, opaque[:, ::-1], network, cache=tmp_path)
    floats = rgba.astype("float32") / 127.5 - 1
    found = report.report(floats, rgba[:, ::-1], network, cache=tmp_path)
    assert found == expected


# ------------------------------------------------------------------ of runs


def test_who_was_taught_by_lite0():
    found = {
        name: report.taught_by_lite0(catalogue.get(name))
        for name in ("modern64", "projected64", "hybrid64")
    }
    assert found == {"modern64": False, "projected64": True, "hybrid64": True}
    for name, expected in found.items():  # as it stands in params.json
        plain = dataclasses.asdict(catalogue.get(name))
        assert report.taught_by_lite0(plain) == expected


def test_a_run_by_name_is_compared_on_its_own_ground(folders, random_conv):
    pictures = (np.asarray(doodles.draw(number)) for number in range(40))
    rgba = np.stack([images.fit(picture, 32) for picture in pictures])
    run = folders / "outputs" / "runs" / "001-black"
    sheet = plots.tile(images.composite(rgba, 0), background=0)
    plots.save_png(run / "samples" / "000000064.png", sheet)
    recipe = {"channels": 3, "background": 0}
    files.write_json(run / "params.json", {"recipe": recipe})
    found = report.on_the_way("001-black", rgba, {"random": random_conv})
    seen = random_conv(rgba, background=0)
    same, _ = report.kid(seen, seen, subset_size=40)
    assert found == {"images": [64], "random": [pytest.approx(same, rel=1e-6)]}
    assert same < report.kid(random_conv(rgba), seen, subset_size=40)[0]
    assert json.loads((run / "on_the_way.json").read_text()) == found
    with pytest.raises(FileNotFoundError, match="No run 002-white"):
        report.on_the_way("002-white", rgba)


# ------------------------------------------------------------------ intervals


def test_intervals_hold_the_value_of_other_pictures():
    """Of 40 experiments, nearly all intervals must hold the mean of the others."""
    half, values, intervals = 40, [], []
    for seed in range(40):
        real = np.abs(normal(80, d=12, seed=2 * seed))
        fake = np.abs(normal(80, d=12, shift=0.4, seed=2 * seed + 1))
        row = report._Pair(real, fake).drawn(half, seed)
        values.append({key: one["value"] for key, one in row.items()})
        intervals.append({key: one["interval"] for key, one in row.items()})
    for key in report.MEASURES:
        truth = np.mean([one[key] for one in values])
        covered = np.mean([low <= truth <= high for low, high in
                           (one[key] for one in intervals)])  # fmt: skip
        assert covered >= 0.8, key
        width = np.mean([np.ptp(one[key]) for one in intervals])
        assert width < 12 * np.std([one[key] for one in values]), key


def test_bounds_are_numbers():
    """NumPy 2.0, which Colab and Kaggle have, does not clip by None twice."""
    for _, _, _, lowest, highest in report.MEASURES.values():
        assert lowest < highest


# ------------------------------------------------------------------ errors


BAD = [
    (np.full((20, 6), np.nan), "NaN"),
    (normal(1), "Got 1 pictures; at least"),
    (normal(9, d=5), r"same d; got \[\(20, 6\), \(9, 5\)\]"),
    (np.ones((20, 6)), "All 20 feature vectors"),
    (np.ones(9), "shape"),
]
PAIRED = [
    report.kid,
    report.frechet,
    report.precision_recall,
    report.density_coverage,
    report.authentic,
    report.sliced_wasserstein,
]


@pytest.mark.parametrize("metric", PAIRED, ids=lambda metric: metric.__name__)
@pytest.mark.parametrize("bad, message", BAD, ids=lambda value: str(value)[:9])
def test_what_would_mislead_is_refused(metric, bad, message):
    with pytest.raises(ValueError, match=message):
        metric(normal(20), bad)


def test_too_little_is_refused():
    with pytest.raises(ValueError, match="subset_size=10: expected 2 to 9"):
        report.kid(normal(9), normal(30), subset_size=10)
    with pytest.raises(ValueError, match="Got 3 pictures; at least 4"):
        report.kid_floor(normal(3))
    with pytest.raises(ValueError, match="Got 9 pictures; at least 10"):
        report.density_coverage(normal(9), normal(20))
    with pytest.raises(ValueError, match="Got 5 pictures; at least 6"):
        report.precision_recall(normal(9), normal(5))


def wrong_pictures():
    good = np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3)).astype("uint8")
    floats = good.astype("float32") / 127.5 - 1
    broken = floats.copy()
    broken[3, 2, 2, 1] = np.nan
    return {
        "dtype": (good.astype("int64"), "got int64"),
        "range 0 to 1": ((floats + 1) / 2, "go from 0 to 1.*another range"),
        "range 0 to 255": (good.astype("float32"), "go from 0 to 255"),
        "NaN": (broken, "NaN"),
        "too few": (good[:19], "Got 19 samples; at least 20"),
        "constant": (np.repeat(good[:1], 30, 0), "All 30 samples are one and the same"),
        "other size": (good[:, :8, :8], r"Samples are \(8, 8\) and reals \(16, 16\)"),
        "mixed sizes": ([good[0], good[1, :8]], "must have one size"),
        "not square": (good[..., 0], r"got uint8 \(30, 16, 16\)"),
        "a path": ("samples.png", "got str"),
    }


@pytest.mark.parametrize("case", wrong_pictures())
def test_pictures_that_cannot_be_compared_are_refused(case, tmp_path):
    pictures, message = wrong_pictures()[case]
    good = np.random.default_rng(1).integers(0, 256, (30, 16, 16, 3)).astype("uint8")
    with pytest.raises(ValueError, match=message):
        report.report(pictures, good, folder=tmp_path, cache=tmp_path)
    with pytest.raises(ValueError):
        report.report(good, pictures, folder=tmp_path, cache=tmp_path)
    assert not list(tmp_path.iterdir())
