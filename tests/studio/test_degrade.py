"""Clean pictures spoilt as samples are: each kind moves its measure, and strengths that
were applied are found again."""

import numpy as np
import pytest

from pokeutils.common import images
from pokeutils.studio import degrade, flaws


@pytest.mark.parametrize("kind", degrade.KINDS)
def test_each_kind_moves_its_measure_the_way_it_says(clean, kind):
    name, sign = degrade.MEASURED[kind]
    levels = [degrade.degrade(clean, {kind: s}, seed=1) for s in (0.0, 0.1, 0.6)]
    none, some, much = (flaws.measure(one, [name])[name] for one in levels)
    assert (levels[0] == clean).all()
    assert sign * (much - none) > 0 and sign * (some - none) > -0.02 * none
    for one in levels:  # what comes out can be trained on
        assert (one[..., :3] <= one[..., 3:]).all() and one.dtype == np.uint8


def test_the_same_seed_spoils_in_the_same_way_at_any_number(clean):
    strengths = dict.fromkeys(degrade.KINDS, 0.2)
    one = degrade.degrade(clean, strengths, seed=3, vary=True)
    assert (one == degrade.degrade(clean, strengths, seed=3, vary=True)).all()
    assert (one != degrade.degrade(clean, strengths, seed=4, vary=True)).any()


def test_an_empty_picture_has_measures_too(clean):
    empty = np.zeros_like(clean[:2])
    assert np.isfinite(list(flaws.measure(empty).values())).all()
    everything = dict.fromkeys(degrade.KINDS, 0.5)
    assert degrade.degrade(empty, everything).shape == empty.shape


def test_strengths_are_found_again(clean):
    applied = {"blur": 0.4, "mottle": 0.2}
    bad = degrade.degrade(clean, applied, seed=9)
    lines = []
    found = degrade.calibrate(bad, clean, count=20, rounds=1, show=lines.append)
    assert found["blur"] == pytest.approx(0.4, abs=0.15)
    assert found["mottle"] == pytest.approx(0.2, abs=0.1)
    assert found["holes"] < 0.1
    assert len(lines) == len(degrade.KINDS)
    again = flaws.measure(degrade.degrade(clean, found, seed=2))
    before, wanted = flaws.measure(clean), flaws.measure(bad)
    for name in ("outer", "shades"):
        assert abs(again[name] - wanted[name]) < 0.5 * abs(before[name] - wanted[name])


def test_crumbs_lie_apart_and_the_more_the_stronger(clean):
    spoilt = [degrade.degrade(clean, {"crumbs": c}) for c in (0.0, 0.05, 0.4)]
    found = [flaws.measure(one)["crumbs"] for one in spoilt]
    assert 2 * found[0] + 0.004 < found[1] < 0.5 * found[2]
    body = clean[..., 3] > 127
    assert (spoilt[2][body] == clean[body]).all()


def test_what_cannot_be_reached_is_met_halfway_and_not_drowned():
    assert degrade._weakest(lambda root: 0.4 - root) == pytest.approx(0.4, abs=0.05)
    assert degrade._weakest(lambda root: 1 - min(root, 1 - root)) == 0.5
    assert degrade._weakest(lambda root: -1) == degrade._weakest(lambda root: 1) == 0


def test_clean_pictures_need_hardly_any_spoiling(clean):
    found = degrade.calibrate(clean[1::2], clean[::2], count=24, rounds=1)
    assert found["blur"] < 0.2 and found["holes"] < 0.1 and found["haze"] < 0.2


def test_what_cannot_be_spoilt_is_refused(clean):
    with pytest.raises(ValueError, match=r"Got uint8.*width, 4\)"):
        flaws.measure(images.over(clean))
    with pytest.raises(ValueError, match="expected uint8"):
        degrade.degrade(clean / 255.0, {})
    for strengths in ({"rust": 0.1}, {"blur": 1.5}):
        with pytest.raises(ValueError, match="expected numbers from 0 to 1"):
            degrade.degrade(clean, strengths)
