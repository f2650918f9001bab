"""The comparison: what is compared, training through a stop, the command's table."""

import dataclasses

import pytest

from pokeutils.evaluation import compare, features, scoreboard
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


@pytest.mark.parametrize("option", ["--minutes=nan", "--images=0", "--seeds=-1"])
def test_what_is_no_amount_is_refused(capsys, option):
    with pytest.raises(SystemExit):
        compare.main([option])
    words = option.replace("=", " is a positive number, not ")
    assert words in capsys.readouterr().err


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
        patch.setattr(scoreboard, "SAMPLES", 64)
        patch.setattr(compare, "contestants", lambda count: recipes)
        patch.setattr(scoreboard, "judges", lambda: {"": features.random_conv()})
        stopped = compare.train(recipes, 1, "doodles", minutes=1e-6)
        assert not stopped
        assert not (scoreboard.folder_of(IMAGES) / "pokegan_dense-seed0").exists()
        compare.main(["--images", str(IMAGES), "--seeds", "1"])
        assert compare.train(recipes, 1, "doodles", show=None)  # nothing left to say
        yield scoreboard.folder_of(IMAGES)


@pytest.mark.parametrize("name", ["sprites64", "pokegan_dense"])
def test_runs_are_finished_and_keep_no_checkpoints(folder, name):
    run = folder / f"{name}-seed0"
    assert (run / "generator.keras").exists() and not (run / "checkpoint").exists()
    log = runs.read_log(run)
    assert log["images"][-1] >= IMAGES


def test_the_command_writes_the_table(folder):
    path = folder.parents[2] / "gallery" / "recipes.csv"
    rows, command = scoreboard.read_table(path)
    assert command.endswith("evaluation.compare --images 320 --seeds 1")
    last = {row["name"] for row in rows if row["final"] == 1}
    assert last == {"sprites64", "pokegan_dense"}
    sheets = {sheet.stem for sheet in (path.parent / "recipes").iterdir()}
    assert sheets == last
