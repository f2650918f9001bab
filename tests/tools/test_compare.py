"""The comparison: what is compared, training through a stop, the command's table."""

import dataclasses
import shutil

import compare
import numpy as np
import pytest
from PIL import Image
from tiny import SILENT

from pokeutils.common import files
from pokeutils.evaluation import features, scoreboard
from pokeutils.recipes import catalogue

IMAGES = 320
OPTIONS = {"sprites64": ("width", 16), "pokegan_dense": ("widths", (32,))}


def test_everything_is_compared_on_equal_terms():
    recipes = compare.contestants(60_000)
    assert [r.name for r in catalogue.REBUILT] + ["modern64"] == list(recipes)[:8]
    assert {recipe.images for recipe in recipes.values()} == {60_000}
    for name, change in compare.ABLATIONS.items():
        for field, value in change.items():
            before = getattr(recipes["modern64"], field)
            assert before != value, f"{name} changes nothing"
            assert getattr(recipes[f"modern64-{name}"], field) == value


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a comparison of two small recipes that was stopped once."""
    small, recipes = {"size": 16, "batch": 32, "images": IMAGES}, {}
    for name, option in OPTIONS.items():
        for network in ("generator", "discriminator"):
            small[f"{network}_options"] = (option,)
        recipes[name] = dataclasses.replace(catalogue.get(name), **small)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POKEUTILS_OUTPUTS", str(tmp_path_factory.mktemp("outputs")))
        patch.setattr(compare, "SOURCE", "doodles")
        patch.setattr(compare, "contestants", lambda count: recipes)
        patch.setattr(compare, "judges", lambda: {"": features.random_conv()})
        stopped = compare.train(recipes, 1, "doodles", minutes=1e-6)
        assert not stopped
        assert not (compare.folder_of(IMAGES) / "pokegan_dense-seed0").exists()
        compare.main(["--images", str(IMAGES), "--seeds", "1"])
        assert compare.train(recipes, 1, "doodles", show=None)  # nothing left to say
        yield compare.folder_of(IMAGES)


def test_the_command_writes_the_table(folder):
    path = folder.parents[2] / "gallery" / "recipes.csv"
    rows, command = scoreboard.read_table(path)
    assert command.endswith("tools/compare.py --images 320 --seeds 1")
    last = {row["name"] for row in rows if row["final"] == 1}
    assert last == {"sprites64", "pokegan_dense"}
    sheets = {sheet.stem for sheet in (path.parent / "recipes").iterdir()}
    assert sheets == last


# Scores and table ---------------------------------------------------------------------

FEW = 64  # images of each run
COMMAND = "python tools/compare.py"
BACKBONES = {  # quick ones in the places of Lite0, the random one and the Inception
    end: features.random_conv(seed)
    for seed, end in enumerate(("", "_random", "_inception"))
}


def make_run(folder, name, source="doodles", seed=0, **recipe):
    """A run folder as `compare` leaves it."""
    run = folder / f"{name}-seed{seed}"
    tiny = dataclasses.replace(catalogue.get("tiny16"), name=name, images=FEW)
    about = {"recipe": {**vars(tiny), **recipe}, "seed": seed, "device": "a machine"}
    about |= {"data": {"source": source}, "backend": "tensorflow"}
    files.write_json(run / "params.json", about)
    log = "step,images,seconds,d_loss,g_loss,d_real,d_fake,images_per_second\n"
    log += "1,32,1.0,0,0,0.5,0.25,32\n2,64,2.5,0,0,0.75,0.5,32\n"
    files.write_text(run / "log.csv", log)
    tiny.build().generator.save(run / "generator.keras")
    return run


@pytest.fixture
def empty(tmp_path, monkeypatch):
    monkeypatch.setenv("POKEUTILS_OUTPUTS", str(tmp_path))
    return compare.folder_of(FEW)


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """The folder of two scored runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POKEUTILS_OUTPUTS", str(tmp_path_factory.mktemp("outputs")))
        folder = compare.folder_of(FEW)
        for name in ("a", "b"):
            make_run(folder, name)
        lines = []
        compare.score(FEW, BACKBONES, lambda line, **_: lines.append(line))
        assert len(lines) == 2 and lines[0].startswith("a-seed0: KID x 1000")
        compare.score(FEW, BACKBONES, lambda line, **_: lines.append(line))
        assert len(lines) == 2, "what is done was done again"
    return folder


@pytest.fixture
def copied(scored, empty):
    shutil.copytree(scored, empty)
    return empty


def test_the_table_says_what_logs_and_scores_say(copied, tmp_path):
    path = compare.publish(FEW, COMMAND, tmp_path)
    rows, command = scoreboard.read_table(path)
    assert command == COMMAND
    floor, *rest = rows
    assert floor["name"] == compare.REALS
    assert abs(floor["kid"]) < 5 * floor["kid_std"]
    assert [(row["name"], row["final"]) for row in rest] == [("a", 1), ("b", 1)]
    assert rest[0]["seconds"] == 2.5 and rest[0]["d_fake"] == 0.5
    assert 0 < rest[0]["kid_inception"] != rest[0]["kid"] > 10 * floor["kid_std"]
    sheet, _ = sorted((tmp_path / "recipes").iterdir())
    with Image.open(sheet) as picture:
        assert sheet.name == "a.jpg" and picture.size == (8 * 18 + 2, 4 * 18 + 2)


def test_a_network_does_not_judge_what_it_taught(empty, tmp_path):
    make_run(empty, "taught", second=[["input_size", 96]])
    compare.score(FEW, BACKBONES, **SILENT)
    path = compare.publish(FEW, "one", tmp_path)
    _, last = scoreboard.read_table(path)[0]
    assert np.isnan(last["kid"]) and last["kid_random"] > 0


def test_what_is_no_comparison_is_not_published(copied, tmp_path):
    path = compare.publish(FEW, "one", tmp_path)
    shutil.move(copied / "b-seed0", tmp_path / "b-seed0")
    with pytest.raises(RuntimeError, match="2 finished runs, and here are 1. Delete"):
        compare.publish(FEW, "two", tmp_path)
    assert scoreboard.read_table(path)[1] == "one"
    with pytest.raises(RuntimeError, match="no scores yet"):
        compare.publish(7, "two", tmp_path)
