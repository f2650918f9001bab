"""The comparison: what is compared, training through a stop, snapshots."""

import dataclasses

import numpy as np
import pytest

from pokeutils import sampling
from pokeutils.common import images, plots, saved
from pokeutils.evaluation import compare, scoreboard
from pokeutils.recipes import catalogue
from pokeutils.training import loop, runs

IMAGES = 320


def test_everything_is_compared_on_equal_terms():
    recipes = compare.contestants(60_000)
    assert [r.name for r in catalogue.REBUILT] + ["modern64"] == list(recipes)[:8]
    assert {recipe.images for recipe in recipes.values()} == {60_000}
    swept = compare.contestants(60_000, "sweep")
    assert recipes["modern64"] == swept["modern64"]
    for changes, known in ((compare.ABLATIONS, recipes), (compare.SWEEP, swept)):
        for name, change in changes.items():
            for field, value in change.items():
                before = getattr(recipes["modern64"], field)
                assert before != value, f"{name} changes nothing"
                assert getattr(known[f"modern64-{name}"], field) == value


def test_the_sweep_can_be_built():
    swept = compare.contestants(64, "sweep")
    widths = {
        name: swept[f"modern64-{name}"].build().generator.count_params()
        for name in ("narrow", "wide")
    }
    assert widths["narrow"] < widths["wide"]
    model = swept["modern64-no-minibatch-std"].build()
    kinds = {type(layer).__name__ for layer in model.discriminator.layers}
    assert "MinibatchStdDev" not in kinds


def test_heads_differ_in_their_heads_alone():
    heads = compare.contestants(64, "heads")
    assert list(heads) == ["palette32", "plain32", "palette64", "plain64"]
    for size in (32, 64):
        palette, plain = heads[f"palette{size}"], heads[f"plain{size}"]
        assert palette.source == plain.source == "sprites" and plain.size == size
        options = palette.generator_options
        changes = {"name": palette.name, "generator_options": options}
        assert dataclasses.replace(plain, **changes) == palette
        assert set(options) - set(plain.generator_options) == {("palette", 16)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a comparison of two small recipes that was stopped once."""
    small = {"size": 16, "batch": 32, "images": IMAGES}
    options = {
        "sprites64": ((("width", 16),), (("width", 16),)),
        "pokegan_dense": ((("widths", (32, 64)),), (("widths", (32,)),)),
    }
    recipes = {
        name: dataclasses.replace(
            catalogue.get(name),
            generator_options=generator,
            discriminator_options=discriminator,
            **small,
        )
        for name, (generator, discriminator) in options.items()
    }
    lines = []

    def show(*words, **_):
        lines.append(" ".join(map(str, words)))

    settings = {"seeds": 1, "source": "doodles", "samples": 64, "show": show}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POKEUTILS_OUTPUTS", str(tmp_path_factory.mktemp("outputs")))
        assert not compare.train(recipes, minutes=1e-6, **settings)
        assert not (scoreboard.folder_of(IMAGES) / "pokegan_dense-seed0").exists()
        assert compare.train(recipes, **settings)
        count = len(lines)
        assert compare.train(recipes, **settings)
        assert len(lines) == count, "what is done was done again"
        yield scoreboard.folder_of(IMAGES)


@pytest.mark.parametrize("name", ["sprites64", "pokegan_dense"])
def test_runs_are_finished_and_keep_no_checkpoints(folder, name):
    run = folder / f"{name}-seed0"
    assert (run / "generator.keras").exists() and not (run / "checkpoint").exists()
    log = runs.read_log(run)
    taken = [int(path.stem) for path in scoreboard.snapshot_files(run)]
    assert taken[-1] == log["images"][-1] >= IMAGES
    # One sheet for each point that an epoch of its own came to.
    assert set(taken) <= set(log["images"].astype(int))


def test_snapshots_are_the_samples_of_the_generator(folder):
    run = folder / "sprites64-seed0"
    generator = saved.load_generator(run / "generator.keras")
    pictures = plots.cut(scoreboard.snapshot_files(run)[-1], 16, gap=0)
    assert pictures.shape == (64, 16, 16, 3)
    expected = images.over(sampling.sample(generator, 8))
    assert np.abs(pictures[:8].astype(int) - expected).max() <= 1


def test_a_run_goes_on_until_it_blows_up(folder, tmp_path, monkeypatch):
    """The checkpoint of a finished run, its rates times 50, and what is shown of it."""
    outputs = folder.parents[2]
    monkeypatch.setenv("POKEUTILS_OUTPUTS", str(outputs))
    recipe = dataclasses.replace(catalogue.get("tiny16"), images=IMAGES)
    run = compare._open_run(recipe, "doodles", 0, "tiny16-seed0")
    loop.train(recipe, "doodles", 0, run, show=lambda *words, **_: None)
    run = compare.blow_up(recipe, "doodles", tmp_path, lambda *words, **_: None)
    assert run.name == "blow-up" and runs.read_log(run)["images"][-1] > 0
    names = ["blow-up-0.jpg", "blow-up-1.jpg", "blow-up-2.jpg"]
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == [*names, "blow-up.csv", "blow-up.json"]


def test_the_command_refuses_unknown_names(capsys):
    with pytest.raises(SystemExit):
        compare.main(["--only", "stylegan", "--images", "8"])
    assert "no recipe stylegan; there are rgba80" in capsys.readouterr().err
    assert not scoreboard.folder_of(8).exists()
