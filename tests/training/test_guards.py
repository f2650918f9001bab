"""The guard's judgement on numbers from real runs, and what a machine can hold."""

import json

import numpy as np
import pytest
import tensorflow as tf

from pokeutils.training import guards, runs

REALS = {"spread": 0.6, "contrast": 0.7, "saturation": 0.6, "distance": 0.4}
FINE = {
    **{"d_loss": 0.9, "g_loss": 1.5, "d_norm": 8.0, "g_norm": 9.0},
    **{"spread": 0.25, "contrast": 0.7, "saturation": 0.3, "distance": 0.18},
}


def watch(looks, images=5000, **options):
    """Shows a Watch one look after another; returns it and its alarms."""
    guard = guards.Watch(REALS, **options)
    found = []
    for number, values in enumerate(looks, start=1):
        found.append(guard.observe(number * 10, number * images, {**FINE, **values}))
    return guard, [alarm.facts for alarm in found if alarm]


def test_a_healthy_run_is_left_alone():
    # As measured: restless losses, a discriminator that is nearly always right.
    looks = [
        {"spread": 0.01, "contrast": 0.02, "saturation": 0.0, "distance": 0.01},
        *({"d_loss": d, "g_loss": g} for d, g in [(0.1, 6.7), (1.7, 13.8), (0.02, 9)]),
        {"d_norm": 53.0, "g_norm": 116.0},
        {"saturation": 0.1, "distance": 0.07, "contrast": 0.3},
    ]
    guard, alarms = watch([*looks, {}, *looks[1:]])
    assert alarms == [] and not guard.suspicious


# What runs looked like when they blew up, at a hundred times the usual rate.
TROUBLES = {
    "diverged": {"g_loss": 187.0, "d_loss": 30.0},
    "exploded": {"d_norm": 1e4},
    "collapsed": {"distance": 0.005},
    "flat": {"contrast": 0.01},
    "saturated": {"saturation": 0.985},
}


@pytest.mark.parametrize("kind", TROUBLES)
def test_each_trouble_is_seen_at_the_second_look(kind):
    guard, alarms = watch([{}] * 5 + [TROUBLES[kind]])
    assert alarms == [] and guard.suspicious
    guard, alarms = watch([{}] * 5 + [TROUBLES[kind]] * 4)
    (alarm,) = alarms  # said once
    assert alarm["kind"] == kind and alarm["images"] == 7 * 5000
    since = alarm["sentence"].startswith("From image 30,000 on, the ")
    assert since or kind == "saturated"
    assert alarm["sentence"].endswith(".") and alarm["values"]["d_loss"] is not None
    assert len(guard.memory["history"]) == 9
    _, alarms = watch([{}] * 5 + [TROUBLES[kind], {}] * 3)
    assert alarms == []  # once is not enough


def test_samples_may_look_alike_at_first_but_not_for_long():
    same = {"distance": 0.01, "contrast": 0.02}
    assert watch([same] * 9)[1] == []
    (alarm, *_) = watch([same] * 11)[1]
    assert alarm["kind"] == "collapsed" and alarm["images"] == 55_000


def test_it_goes_on_from_its_memory_as_if_nothing_had_happened():
    looks = [{}] * 4 + [TROUBLES["exploded"]] * 2
    guard = guards.Watch(REALS)
    for number, values in enumerate(looks, start=1):
        other = guards.Watch(REALS)
        other.recall(json.loads(json.dumps(guard.memory)))
        guard = other
        alarm = guard.observe(number, number * 5000, {**FINE, **values})
    assert alarm.facts["kind"] == "exploded" and "over a hundred times" in str(alarm)


def test_statistics_tell_pictures_from_their_ruins():
    rng = np.random.default_rng(0)
    good = guards.sample_statistics(rng.uniform(-1, 1, (32, 8, 8, 4)))
    assert 0.5 < good["spread"] < 0.65 and 0.5 < good["contrast"] < 0.65
    assert good["saturation"] < 0.05 and good["distance"] > 0.6
    one = np.tile(rng.uniform(-1, 1, (1, 8, 8, 4)), (32, 1, 1, 1))
    collapsed = guards.sample_statistics(one)
    assert collapsed["distance"] < 1e-6 and collapsed["spread"] < 1e-6
    assert collapsed["contrast"] > 0.5
    plain = guards.sample_statistics(np.full((32, 8, 8, 4), -1.0))
    assert plain["saturation"] == 1 and plain["contrast"] == 0
    # Few modes: the spread does not see it, the distance does.
    few = guards.sample_statistics(np.repeat(rng.uniform(-1, 1, (4, 8, 8, 4)), 8, 0))
    assert few["spread"] > 0.3 and few["distance"] < 1e-6


def test_alarms_are_kept_one_after_the_other(tmp_path):
    for kind in ("flat", "diverged"):
        alarm = guards.Alarm(kind, "Something is wrong.", 7, 112, {"d_loss": 0.5})
        guards.record(tmp_path, alarm, "ignored", [{"step": 6}])
    first, second = runs.read_alarms(tmp_path)
    assert (first["kind"], second["kind"]) == ("flat", "diverged")
    assert second["values"] == {"d_loss": 0.5} and second["history"] == [{"step": 6}]


def test_a_lack_of_memory_is_told_from_other_errors():
    for ones, side in ((tf.ones, 1 << 20), (np.ones, 1 << 30)):
        with pytest.raises(Exception) as error:
            ones((side, 1 << 20))
        assert guards.is_out_of_memory(error.value)
    assert not guards.is_out_of_memory(ValueError("a batch of 64 from 12 pictures"))
    message = str(guards.OutOfMemory(64, "Tesla T4, 15 GiB", new=True))
    assert "batch of 64 does not fit into the memory of Tesla T4" in message
    assert "batch=32" in message
    message = str(guards.OutOfMemory(64, "Tesla T4, 15 GiB", new=False))
    assert "has to keep it" in message and "new run with a batch of 32" in message


def test_times_are_told_in_words():
    words = [guards.duration(seconds) for seconds in (40, 720, 13_800)]
    assert words == ["40 seconds", "12 minutes", "3 h 50 min"]
