"""The comparison: what is compared, training through a stop, the command's table."""

import dataclasses
import json
import shutil

import compare
import numpy as np
import pytest
from PIL import Image
from tiny import SILENT

from pokeutils.common import files
from pokeutils.evaluation import features, scoreboard
from pokeutils.recipes import catalogue
from pokeutils.training import runs

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


def test_the_table_says_what_logs_and_scores_say(folder, tmp_path):
    path = compare.publish(IMAGES, "one", tmp_path)
    (floor, first, second), command = scoreboard.read_table(path)
    assert command == "one" and floor["name"] == compare.REALS
    assert abs(floor["kid"]) < 5 * floor["kid_std"]
    log = runs.read_log(folder / f"{first['name']}-seed0")
    for column in ("seconds", "d_fake"):
        assert first[column] == pytest.approx(log[column][-1], rel=1e-3)
    assert min(first["kid"], second["kid"]) > 10 * floor["kid_std"]
    with Image.open(tmp_path / "recipes" / "sprites64.jpg") as picture:
        assert picture.size == (8 * 18 + 2, 4 * 18 + 2)


@pytest.fixture
def copied(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("POKEUTILS_OUTPUTS", str(tmp_path))
    return shutil.copytree(folder, compare.folder_of(IMAGES))


def test_a_network_does_not_judge_what_it_taught(copied, tmp_path):
    for path in copied.glob("*/params.json"):
        params = json.loads(path.read_text("utf-8"))
        params["recipe"]["second"] = [["input_size", 96]]
        files.write_json(path, params)
    for path in copied.glob("*/metrics.json"):
        path.unlink()
    judges = {end: features.random_conv(i) for i, end in enumerate(("", "_random"))}
    compare.score(IMAGES, judges, **SILENT)
    _, last, _ = scoreboard.read_table(compare.publish(IMAGES, "one", tmp_path))[0]
    assert np.isnan(last["kid"]) and last["kid_random"] > 0


def test_what_is_no_comparison_is_not_published(copied, tmp_path):
    path = compare.publish(IMAGES, "one", tmp_path)
    shutil.move(copied / "pokegan_dense-seed0", tmp_path / "away")
    with pytest.raises(RuntimeError, match="2 finished runs, and here are 1. Delete"):
        compare.publish(IMAGES, "two", tmp_path)
    assert scoreboard.read_table(path)[1] == "one"
    with pytest.raises(RuntimeError, match="no scores yet"):
        compare.publish(7, "two", tmp_path)
