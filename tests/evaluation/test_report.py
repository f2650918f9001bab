"""The report: all measures, floors and ceilings; what cannot be compared is refused."""

import dataclasses
import json

import numpy as np
import pytest

from pokeutils.evaluation import damage, features, report
from pokeutils.recipes import catalogue


def normal(n, d=6, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(shift, 1, (n, d))


@pytest.fixture(scope="module")
def found(random_conv, on_white, tmp_path_factory):
    """A report on creatures of the same kind as the reals, blurred, with a few exact
    copies; by two networks."""
    samples = np.concatenate([on_white[:10], damage.blur(on_white[60:110])])
    networks = {"random": random_conv, "other": features.random_conv(1, 32)}
    cache = tmp_path_factory.mktemp("features")
    return report.report(samples, on_white[:60], networks, cache), cache


def test_report_has_every_measure_with_floor_and_ceilings(found):
    made, cache = found
    assert list(made["spaces"]) == ["random", "other"]
    rows = ["samples", "real halves", "palette swap", "blur", "patch shuffle", "noise"]
    for space in made["spaces"].values():
        assert list(space["rows"]) == rows
        for name, row in space["rows"].items():
            assert list(row) == list(report.BOUNDS)
            for one in row.values():
                assert np.isfinite(one["value"])
                assert ("interval" in one) == (name in rows[:2])
                low, high = one.get("interval", (-np.inf, np.inf))
                assert low <= one["value"] <= high
    assert (made["samples"], made["reals"], made["compared"]) == (60, 60, 30)
    assert json.loads(json.dumps(made)) == made
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
        assert floor["coverage"] > 0.9
        assert rows["noise"]["precision"]["value"] == 0
        assert all(rows["noise"][key]["value"] != floor[key] for key in report.BOUNDS)


def test_a_report_keeps_twins_together(on_white, random_conv, tmp_path):
    both = np.concatenate([on_white[:40], 255 - (255 - on_white[:40]) // 8 * 8])
    groups, network = np.tile(np.arange(40) + 1, 2), {"random": random_conv}
    options = dict(backbones=network, cache=tmp_path)
    blind = report.report(on_white[40:], both, **options)
    found = report.report(on_white[40:], both, groups=groups, **options)
    assert (blind["compared"], found["compared"]) == (40, 39)
    assert found.value("random", "kid", "blur") != blind.value("random", "kid", "blur")
    same = report.report(on_white[40:], both, groups=np.arange(80) + 1, **options)
    assert same == blind
    with pytest.raises(ValueError, match="so many are of one group that halves"):
        report.report(on_white[40:], both, groups=np.arange(80) // 70 + 1, **options)


def test_who_was_taught_by_lite0():
    for name in ("modern64", "projected64", "hybrid64"):
        recipe = catalogue.get(name)
        for one in (recipe, dataclasses.asdict(recipe)):  # as it stands in params.json
            assert report.taught_by_lite0(one) == (name != "modern64")


def test_intervals_hold_the_value_of_other_pictures():
    """Of 40 experiments, nearly all intervals must hold the mean of the others."""
    half, values, intervals = 40, [], []
    for seed in range(40):
        real = np.abs(normal(80, d=12, seed=2 * seed))
        fake = np.abs(normal(80, d=12, shift=0.4, seed=2 * seed + 1))
        row = report._drawn(real, fake, half, seed)
        values.append({key: one["value"] for key, one in row.items()})
        intervals.append({key: one["interval"] for key, one in row.items()})
    for key in report.BOUNDS:
        truth = np.mean([one[key] for one in values])
        low, high = np.transpose([one[key] for one in intervals])
        assert np.mean((low <= truth) & (truth <= high)) >= 0.8, key
        width = np.mean(high - low)
        assert width < 12 * np.std([one[key] for one in values]), key


def wrong_pictures():
    good = np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3)).astype("uint8")
    return {
        "too few": (good[:15], "Got 15 samples; at least 16 needed"),
        "constant": (np.repeat(good[:1], 30, 0), "All samples are one and the same"),
        "other size": (good[:, :8, :8], r"Samples are \(8, 8\) and reals \(16, 16\)"),
        "a path": ("samples.png", "expected uint8 pictures"),
    }


@pytest.mark.parametrize("case", wrong_pictures())
def test_pictures_that_cannot_be_compared_are_refused(case, tmp_path):
    pictures, message = wrong_pictures()[case]
    good = np.random.default_rng(1).integers(0, 256, (30, 16, 16, 3)).astype("uint8")
    with pytest.raises(ValueError, match=message):
        report.report(pictures, good, cache=tmp_path)
    with pytest.raises(ValueError):
        report.report(good, pictures, cache=tmp_path)
    assert not list(tmp_path.iterdir())
