"""The scores of snapshots: measured once, published as a table, read again."""

import dataclasses
import shutil

import numpy as np
import pytest
from PIL import Image
from tiny import SILENT

from pokeutils.common import env, files, saved
from pokeutils.data import dataset
from pokeutils.evaluation import features, measures, scoreboard
from pokeutils.recipes import catalogue

IMAGES = 64  # of each run
COMMAND = "python -m pokeutils.evaluation.compare"
BACKBONES = {  # quick ones in the places of Lite0, the random one and the Inception
    end: features.random_conv(seed)
    for seed, end in enumerate(("", "_random", "_inception"))
}


def make_run(folder, name, source="doodles", seed=0, **recipe):
    """A run folder as `compare` leaves it."""
    run = folder / f"{name}-seed{seed}"
    tiny = dataclasses.replace(catalogue.get("tiny16"), name=name, images=IMAGES)
    about = {"recipe": {**vars(tiny), **recipe}, "seed": seed, "device": "a machine"}
    about |= {"data": {"source": source}, "backend": "tensorflow"}
    files.write_json(run / "params.json", about)
    log = "step,images,seconds,d_loss,g_loss,d_real,d_fake,images_per_second\n"
    log += "1,32,1.0,0,0,0.5,0.25,32\n2,64,2.5,0,0,0.75,0.5,32\n"
    files.write_text(run / "log.csv", log)
    tiny.build().generator.save(run / "generator.keras")
    return run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("POKEUTILS_OUTPUTS", str(tmp_path))
    return scoreboard.folder_of(IMAGES)


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """The folder of two scored runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POKEUTILS_OUTPUTS", str(tmp_path_factory.mktemp("outputs")))
        folder = scoreboard.folder_of(IMAGES)
        for name in ("a", "b"):
            make_run(folder, name)
        lines = []
        scoreboard.score(IMAGES, BACKBONES, lambda line, **_: lines.append(line))
        assert len(lines) == 2 and lines[0].startswith("a-seed0: KID x 1000")
        scoreboard.score(IMAGES, BACKBONES, lambda line, **_: lines.append(line))
        assert len(lines) == 2, "what is done was done again"
    return folder


@pytest.fixture
def copied(scored, folder):
    shutil.copytree(scored, folder)
    return folder


def test_the_table_says_what_logs_and_scores_say(copied, tmp_path):
    path = scoreboard.publish(IMAGES, COMMAND, tmp_path)
    rows, command = scoreboard.read_table(path)
    assert command == COMMAND
    floor, *rest = rows
    assert floor["name"] == scoreboard.REALS
    assert abs(floor["kid"]) < 5 * floor["kid_std"]
    assert [(row["name"], row["final"]) for row in rest] == [("a", 1), ("b", 1)]
    assert rest[0]["seconds"] == 2.5 and rest[0]["d_fake"] == 0.5
    assert 0 < rest[0]["kid_inception"] != rest[0]["kid"] > 10 * floor["kid_std"]
    sheet, _ = sorted((tmp_path / "recipes").iterdir())
    with Image.open(sheet) as picture:
        assert sheet.name == "a.jpg" and picture.size == (8 * 18 + 2, 4 * 18 + 2)


def test_a_floor_sees_no_twins(folder, tmp_path, monkeypatch):
    data, backbone = dataset.load("doodles", 16), BACKBONES[""]
    twice = data._replace(
        images=np.concatenate([data.images, data.images]),
        meta={k: np.concatenate([v, v]) for k, v in data.meta.items()},
        folder=tmp_path,
    )
    twice.meta["species_id"] = np.tile(np.arange(len(data.images)) + 1, 2)
    monkeypatch.setattr(dataset, "load", lambda *place: twice)
    floor = scoreboard._Reals("doodles", 16, 255, {"": backbone}).floor
    seen = backbone(data.images)
    blind = measures.kid_floor(np.concatenate([seen, seen]))
    assert floor["kid_std"] > 1.3 * blind[1]


def test_a_network_does_not_judge_what_it_taught(folder, tmp_path):
    make_run(folder, "taught", second=[["input_size", 96]])
    scoreboard.score(IMAGES, BACKBONES, **SILENT)
    path = scoreboard.publish(IMAGES, "one", tmp_path)
    _, last = scoreboard.read_table(path)[0]
    assert np.isnan(last["kid"]) and last["kid_random"] > 0


def test_samples_that_are_all_the_same_have_no_kid(folder):
    run = make_run(folder, "collapsed")
    generator = saved.load_generator(run / "generator.keras")
    generator.set_weights([0 * weight for weight in generator.get_weights()])
    generator.save(run / "generator.keras")
    scoreboard.score(IMAGES, BACKBONES, **SILENT)
    scores = files.read_json(run / "metrics.json")["samples"]
    assert np.isnan(scores["kid"])


def test_what_is_no_comparison_is_not_published(copied, tmp_path):
    path = scoreboard.publish(IMAGES, "one", tmp_path)
    shutil.move(copied / "b-seed0", tmp_path / "b-seed0")
    with pytest.raises(RuntimeError, match="2 finished runs, and here are 1. Delete"):
        scoreboard.publish(IMAGES, "two", tmp_path)
    assert scoreboard.read_table(path)[1] == "one"
    with pytest.raises(RuntimeError, match="no scores yet"):
        scoreboard.publish(7, "two", tmp_path)


@pytest.mark.parametrize("name", ["recipes", "sweep", "heads"])
def test_the_committed_tables_can_be_read(name, tmp_path):
    path = env.ROOT / "outputs" / "gallery" / f"{name}.csv"
    rows, command = scoreboard.read_table(path)
    assert command.startswith("python -m pokeutils.")
    assert {row["final"] for row in rows} >= {0.0, 1.0}
    scoreboard.write_table(tmp_path / "again.csv", rows, command)
    again = scoreboard.read_table(tmp_path / "again.csv")[0]
    for row, same in zip(rows, again, strict=True):
        for column, value in same.items():
            wanted = row[column]
            if column not in scoreboard.WORDS:
                wanted = pytest.approx(wanted, rel=1e-5, nan_ok=True)
            assert value == wanted, column


# ------------------------------------------------------------------ pictures


def test_larger_pictures_are_scored_smaller():
    stripes = np.zeros((2, 128, 128, 3), "uint8")
    stripes[:, :, ::2] = 200
    small = scoreboard.at_scoring_size(stripes)
    assert small.shape == (2, 64, 64, 3) and np.abs(small.astype(int) - 100).max() < 40
    same = np.zeros((1, 64, 64, 3), "uint8")
    assert scoreboard.at_scoring_size(same) is same
