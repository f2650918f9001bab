"""The comparison in miniature: trained, interrupted, scored, published, read again."""

import dataclasses
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from pokeutils.common import files
from pokeutils.data import dataset
from pokeutils.evaluation import compare, features, report, scoreboard
from pokeutils.recipes import catalogue
from pokeutils.training import runs

IMAGES = 320
NAMES = ("sprites64", "pokegan_dense")


@pytest.fixture(scope="module")
def chosen():
    known = compare.contestants(IMAGES, miniature=True)
    return {name: known[name] for name in NAMES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, chosen):
    """The folder of a comparison that was stopped once and scored twice."""
    patch = pytest.MonkeyPatch()
    patch.setenv("POKEUTILS_OUTPUTS", str(tmp_path_factory.mktemp("outputs")))
    said = []

    def show(*words, **_):
        said.append(" ".join(map(str, words)))

    options = {"seeds": 1, "source": "doodles", "samples": 64, "show": show}
    assert not compare.train(chosen, minutes=1e-6, **options)
    assert not (scoreboard.folder_of(IMAGES) / f"{NAMES[1]}-seed0").exists()
    assert compare.train(chosen, **options)
    networks = [features.random_conv(seed) for seed in range(3)]
    scoreboard.score(IMAGES, networks[:2], show)
    scoreboard.score(IMAGES, networks, show)  # the third adds its column
    before = len(said)
    assert compare.train(chosen, **options)
    scoreboard.score(IMAGES, networks, show)
    assert len(said) == before, "what is done was done again"
    yield scoreboard.folder_of(IMAGES)
    patch.undo()


def test_everything_is_compared_on_equal_terms():
    known = compare.contestants(60_000)
    assert [r.name for r in catalogue.REBUILT] + ["modern64"] == list(known)[:8]
    assert {recipe.images for recipe in known.values()} == {60_000}
    swept = compare.contestants(60_000, kind="sweep")
    assert known["modern64"] == swept["modern64"]
    for changes, found in ((compare.ABLATIONS, known), (compare.SWEEP, swept)):
        for name, change in changes.items():
            for field, value in change.items():
                before = getattr(known["modern64"], field)
                assert before != value, f"{name} changes nothing"
                assert getattr(found[f"modern64-{name}"], field) == value


def test_the_sweep_can_be_built():
    swept = compare.contestants(64, kind="sweep")
    widths = {
        name: swept[f"modern64-{name}"].build().generator.count_params()
        for name in ("narrow", "wide")
    }
    assert widths["narrow"] < swept["modern64"].build().generator.count_params()
    assert widths["narrow"] < widths["wide"]
    known = compare.contestants(64, miniature=True, kind="sweep")
    for name in ("palette-16", "hybrid", "projected"):
        model = known[f"modern64-{name}"].build()
        assert model.generator.output_shape[1:] == (16, 16, 4)
    model = known["modern64-no-minibatch-std"].build()
    kinds = {type(layer).__name__ for layer in model.discriminator.layers}
    assert "MinibatchStdDev" not in kinds


def test_heads_differ_in_their_heads_alone():
    heads = compare.contestants(64, kind="heads")
    assert list(heads) == ["palette32", "plain32", "palette64", "plain64"]
    for size in (32, 64):
        palette, plain = heads[f"palette{size}"], heads[f"plain{size}"]
        assert palette.source == plain.source == "sprites" and plain.size == size
        changed = dataclasses.replace(
            plain, name=palette.name, generator_options=palette.generator_options
        )
        assert changed == palette
        extra = set(palette.generator_options) - set(plain.generator_options)
        assert extra == {("palette", 16)}
    small = compare.contestants(64, miniature=True, kind="heads")
    for recipe in small.values():
        assert recipe.build().generator.output_shape[1:] == (16, 16, 4)


def test_every_contestant_has_a_miniature_that_can_be_built():
    known = compare.contestants(64, miniature=True)
    for name in [r.name for r in catalogue.REBUILT] + ["modern64-no-fused-norm"]:
        model = known[name].build()
        assert model.generator.output_shape[1:] == (16, 16, known[name].channels)
    kinds = {type(layer).__name__ for layer in model.generator.layers}
    assert "BatchNormalization" in kinds and "FusedBatchNorm" not in kinds


def test_runs_are_finished_and_keep_no_checkpoints(folder, chosen):
    for name in NAMES:
        run = folder / f"{name}-seed0"
        assert (run / "generator.keras").exists() and not (run / "checkpoint").exists()
        log = runs.read_log(run)
        assert log["images"][-1] >= IMAGES
        taken = [int(path.stem) for path in scoreboard.snapshot_files(run)]
        assert taken == sorted(taken) and taken[-1] == log["images"][-1]
        # One sheet for each point that an epoch of its own came to.
        assert set(taken) <= set(log["images"].astype(int))
        pictures = scoreboard.read_snapshot(scoreboard.snapshot_files(run)[-1], 16)
        assert pictures.shape == (64, 16, 16, 3)


def test_snapshots_are_the_samples_of_the_generator(folder):
    from pokeutils import sampling
    from pokeutils.common import images, saved

    run = folder / "sprites64-seed0"
    generator = saved.load_generator(run / "generator.keras")
    pictures = scoreboard.read_snapshot(scoreboard.snapshot_files(run)[-1], 16)
    expected = images.over(sampling.sample(generator, 8))
    assert np.abs(pictures[:8].astype(int) - expected).max() <= 1


def test_the_table_says_what_logs_and_scores_say(folder, tmp_path):
    path = scoreboard.publish(
        IMAGES, "python -m pokeutils.evaluation.compare", tmp_path
    )
    rows, command = scoreboard.read_table(path)
    assert command == "python -m pokeutils.evaluation.compare"
    floors = [row for row in rows if row["name"] == scoreboard.REALS]
    assert len(floors) == 1 and abs(floors[0]["kid"]) < 5 * floors[0]["kid_std"]
    assert min(floors[0][f"{name}_inception"] for name in ("recall", "coverage")) > 0.4
    for name in NAMES:
        log = runs.read_log(folder / f"{name}-seed0")
        mine = [row for row in rows if row["name"] == name]
        assert [row["final"] for row in mine] == [0] * (len(mine) - 1) + [1]
        last = mine[-1]
        assert 0 < last["kid_inception"] != last["kid"]
        assert 0 <= last["recall_inception"] <= 1 and 0 <= last["coverage_inception"]
        late = "kid_inception", "recall_inception", "coverage_inception"
        early = [row[column] for row in mine[:-1] for column in late]
        assert np.isnan(early).all() and mine[0]["kid"] > 0
        assert last["images"] == log["images"][-1]
        np.testing.assert_allclose(last["seconds"], log["seconds"][-1], rtol=1e-4)
        np.testing.assert_allclose(last["d_fake"], log["d_fake"][-1], rtol=1e-4)
        assert last["kid"] > 10 * floors[0]["kid_std"], "noise is not like pictures"
        with Image.open(tmp_path / "recipes" / f"{name}.jpg") as sheet:
            assert sheet.size == (8 * 18 + 2, 4 * 18 + 2)


def test_sheets_are_of_those_that_are_named(folder, tmp_path):
    scoreboard.publish(IMAGES, "one", tmp_path, sheets=[NAMES[0]])
    sheets = [path.stem for path in (tmp_path / "recipes").glob("*.jpg")]
    assert sheets == [NAMES[0]]


def test_a_table_keeps_finished_runs_that_are_not_here(folder, tmp_path):
    path = scoreboard.publish(IMAGES, "one", tmp_path)
    rows, _ = scoreboard.read_table(path)
    elsewhere = {**rows[-1], "name": "another", "device": "another", "kid": 0.25}
    floor = {**rows[0], "size": 100.0, "ground": 0.0}
    worse = [{**row, "kid": 9.0} for row in rows]  # those that are here count
    begun = {**elsewhere, "name": "begun", "final": 0.0}
    scoreboard.write_table(path, [*worse, elsewhere, floor, begun], "two")
    scoreboard.publish(IMAGES, "three", tmp_path)
    found, command = scoreboard.read_table(path)
    assert command == "three" and len(found) == len(rows) + 2
    assert {row["name"] for row in found} == {scoreboard.REALS, *NAMES, "another"}
    (kept,) = [row for row in found if row["name"] == "another"]
    assert kept["kid"] == 0.25 and np.isnan(kept["seconds"]), "another device"
    ours = [row for row in found if row["name"] == NAMES[0]]
    assert max(row["kid"] for row in ours) < 9.0
    assert all(row["images_per_second"] > 0 for row in ours)
    many = [{**elsewhere, "seed": float(seed)} for seed in range(3)]
    scoreboard.write_table(path, [*rows, *many], "more there than here")
    scoreboard.publish(IMAGES, "three", tmp_path)
    found, _ = scoreboard.read_table(path)
    there = [row for row in found if row["name"] == "another"]
    assert [row["seconds"] for row in there] == 3 * [elsewhere["seconds"]]
    ours = [row for row in found if row["name"] == NAMES[0]]
    assert ours and all(np.isnan(row["images_per_second"]) for row in ours)
    for other in ({"images": 10.0 * IMAGES}, {"source": "artwork"}):
        rest = [{**elsewhere, **other, "name": str(number)} for number in range(3)]
        scoreboard.write_table(path, rest, "four")
        with pytest.raises(RuntimeError, match="3 finished runs, and here are 2"):
            scoreboard.publish(IMAGES, command, tmp_path)


def test_an_unfinished_run_takes_nothing_from_a_floor(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(scoreboard, "folder_of", lambda images: tmp_path)
    for name in ("a-seed0", "b-seed0"):
        shutil.copytree(folder / f"{NAMES[0]}-seed0", tmp_path / name)
    whole = scoreboard.read_scores(tmp_path / "a-seed0")
    assert whole["floor"]["kid_inception"]
    late = {k: v for k, v in whole["floor"].items() if "inception" not in k}
    early = {min(whole.keys() - {"floor"}, key=int): {"kid": 0.1}, "floor": late}
    files.write_json(tmp_path / "b-seed0" / "metrics.json", early)
    floors = [r for r in scoreboard.rows_of(IMAGES) if r["name"] == scoreboard.REALS]
    assert len(floors) == 1 and floors[0].items() >= whole["floor"].items()


def test_a_floor_that_was_removed_is_measured_again(folder, tmp_path, monkeypatch):
    """Between halves that have no species in common, and over several splits."""
    monkeypatch.setattr(scoreboard, "folder_of", lambda images: tmp_path)
    run, network = tmp_path / "one-seed0", features.random_conv()
    shutil.copytree(folder / f"{NAMES[0]}-seed0", run)
    before = scoreboard.read_scores(run)
    files.write_json(
        run / "metrics.json", {k: before[k] for k in before.keys() - {"floor"}}
    )
    networks = [features.random_conv(seed) for seed in range(3)]
    scoreboard.score(IMAGES, networks, lambda *words, **_: None)
    after = scoreboard.read_scores(run)
    assert after["floor"] == before["floor"]
    data = dataset.load("doodles", 16)
    seen = network(data.images, cache=tmp_path)
    assert before["floor"]["kid"] == report.kid_floor(seen)[0]
    shares = report.shares_floor(seen)
    assert {name: before["floor"][name] for name in shares} == shares
    twice = data._replace(
        images=np.concatenate([data.images, data.images]),
        meta={k: np.concatenate([v, v]) for k, v in data.meta.items()},
        folder=tmp_path,
    )
    twice.meta["species_id"] = np.tile(np.arange(len(seen)) + 1, 2)
    monkeypatch.setattr(dataset, "load", lambda *place: twice)
    found = scoreboard._Reals("doodles", 16, 255, {"kid": network}).floor({}, ["kid"])
    blind = report.kid_floor(np.concatenate([seen, seen]))
    assert found["kid_std"] > 1.3 * blind[1]


def test_a_network_does_not_judge_what_it_taught(folder, tmp_path, monkeypatch):
    run = tmp_path / "taught-seed0"
    monkeypatch.setattr(scoreboard, "folder_of", lambda images: tmp_path)
    shutil.copytree(folder / f"{NAMES[0]}-seed0", run)
    (run / "metrics.json").unlink()
    params = runs.read_params(run)
    params["recipe"]["second"] = [["input_size", 96]]
    files.write_json(run / "params.json", params)
    networks = [features.random_conv(seed) for seed in range(3)]
    scoreboard.score(IMAGES, networks, lambda *words, **_: None)
    path = scoreboard.publish(IMAGES, "one", tmp_path)
    rows = [row for row in scoreboard.read_table(path)[0] if row["final"] == 1]
    assert len(rows) == 1 and np.isnan(rows[0]["kid"]) and np.isnan(rows[0]["coverage"])
    assert rows[0]["kid_random"] > 0 and 0 <= rows[0]["recall_inception"] <= 1


def test_runs_that_saw_different_pictures_make_no_table(folder, tmp_path, monkeypatch):
    for name, source in zip(NAMES, ("artwork", "sprites"), strict=True):
        run = tmp_path / f"{name}-seed0"
        shutil.copytree(folder / run.name, run)
        params = runs.read_params(run)
        params["data"]["source"] = source
        files.write_json(run / "params.json", params)
    monkeypatch.setattr(scoreboard, "folder_of", lambda images: tmp_path)
    with pytest.raises(RuntimeError, match="different pictures, artwork and sprites"):
        scoreboard.publish(IMAGES, "one", tmp_path)


def test_times_follow_from_a_pace_that_was_measured_apart(folder, chosen):
    said = []
    options = {"rounds": 2, "least": 64, "show": lambda line, **_: said.append(line)}
    one = {NAMES[1]: chosen[NAMES[1]]}
    found = compare.measure_pace(one, "doodles", **options)
    assert len(said) == 2 and min(found[NAMES[1]]) > 0
    try:
        for row in scoreboard.rows_of(IMAGES):
            if row["name"] == NAMES[1]:
                assert row["images_per_second"] == np.median(found[NAMES[1]])
                assert row["seconds"] == row["images"] / row["images_per_second"]
            elif row["name"] == NAMES[0]:
                assert np.isnan(row["images_per_second"])
    finally:
        scoreboard.pace_file(IMAGES).unlink()


def test_flat_counts_neighbours_of_one_colour():
    pictures = np.full((1, 8, 8, 3), 255, "uint8")
    pictures[0, 2:6, 2:6] = 50  # four rows of three pairs
    assert scoreboard.flat(pictures) == 1.0
    pictures[0, 2, 3] = 60
    assert scoreboard.flat(pictures) == pytest.approx(10 / 12)
    assert scoreboard.flat(np.full((1, 8, 8, 3), 255, "uint8")) == 0.0


def test_larger_pictures_are_scored_smaller():
    stripes = np.zeros((2, 128, 128, 3), "uint8")
    stripes[:, :, ::2] = 200
    small = scoreboard.at_scoring_size(stripes)
    assert small.shape == (2, 64, 64, 3) and np.abs(small.astype(int) - 100).max() < 40
    same = np.zeros((1, 64, 64, 3), "uint8")
    assert scoreboard.at_scoring_size(same) is same


def test_speckle_and_silhouettes_see_bodies_only():
    pictures = np.full((1, 16, 16, 3), 255, "uint8")
    pictures[:, 4:12, 4:12] = (200, 40, 40)
    assert scoreboard.speckle(pictures) == 0
    shape = scoreboard.silhouettes(pictures)
    assert (shape[:, 4:12, 4:12] == 0).all() and shape.mean() > 150
    noisy = pictures.copy()
    noisy[:, 4:12, 4:12:2] = (40, 200, 40)
    assert scoreboard.speckle(noisy) > 100
    np.testing.assert_array_equal(scoreboard.silhouettes(noisy), shape)
    assert (scoreboard.silhouettes(pictures[:, 5:11, 5:11], ground=0) == 0).all()


def test_the_command_refuses_unknown_names(capsys):
    with pytest.raises(SystemExit):
        compare.main(["--only", "stylegan", "--images", "8"])
    assert "no recipe stylegan; there are rgba80" in capsys.readouterr().err
    assert not os.path.exists(scoreboard.folder_of(8))
