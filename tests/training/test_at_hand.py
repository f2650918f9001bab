"""at_hand: a run to look at, wherever it comes from."""

import os
import shutil

import numpy as np
import pytest
from tiny import TINY

from pokeutils import sampling
from pokeutils.common import plots, saved
from pokeutils.data import dataset
from pokeutils.training import at_hand, runs

pytestmark = pytest.mark.usefixtures("outputs")


@pytest.fixture
def found():
    """Returns a function that finds a run, and what was said meanwhile."""

    def find(run=None):
        said = []
        show = lambda line="", **_: said.append(str(line))  # noqa: E731
        return at_hand.find(run, TINY, 0.5, show), "\n".join(said)

    return find


def test_where_no_run_is_one_is_trained_and_the_next_call_takes_it(found):
    run, said = found()
    assert "No run on this machine, so tiny8 is trained now, for at most" in said
    assert 'RUN = "hybrid64"' in said.replace("'", '"')
    assert (run / "generator.keras").exists() and len(runs.sample_files(run)) > 1
    assert found() == found(run.name) == found(str(run)) == (run, "")
    with pytest.raises(FileNotFoundError, match="No run 009-other"):
        found("009-other")


@pytest.fixture
def attached(tmp_path, monkeypatch):
    """A run in what is attached on Kaggle, where nothing can be written."""
    run = tmp_path / "input" / "mine" / "outputs" / "runs" / "004-tiny8"
    (run / "samples").mkdir(parents=True)
    (run / "params.json").write_text('{"recipe": {}, "data": {}, "seed": 0}')
    (run / "generator.keras").touch()
    monkeypatch.setattr(runs, "ATTACHED", tmp_path / "input")
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    access = os.access

    def ask(path, mode):
        return "input" not in str(path) and access(path, mode)

    monkeypatch.setattr(os, "access", ask)
    return run


def test_an_attached_run_is_read_and_what_is_made_of_it_goes_elsewhere(found, attached):
    run, said = found()
    assert run == runs.list_runs()[0] and run.name == "001-tiny8"
    assert "004-tiny8 can only be read, so it is copied to 001-tiny8" in said
    (run / "metrics.json").write_text("{}")
    assert not (attached / "metrics.json").exists()
    assert (run / "generator.keras").exists()
    assert found(attached) == (run, "")  # once
    shutil.rmtree(run)
    assert found(attached)[0] == run
    own = runs.new_run("other")
    (own / "generator.keras").touch()
    assert found()[0] == own  # before all that is attached


def test_what_comes_with_the_project_is_a_run_as_well(found, monkeypatch):
    load = dataset.load
    monkeypatch.setattr(dataset, "load", lambda name, size, **_: load("doodles", size))
    run, _ = found("hybrid64")
    card, sheets = saved.card(), runs.sample_files(run)
    assert sheets[0][0] == 0 and sheets[-1][0] == card["images_seen"]
    drawn = plots.cut(plots.tile(sampling.sample(saved.pretrained(), 32)), 64)
    last = plots.cut(sheets[-1][1], 64)
    assert np.abs(last.astype(int) - drawn).mean() < 5  # 96 colours
    log = runs.read_log(run)
    assert log["seconds"][-1] == card["log"]["seconds"][-1]
    assert saved.load_generator(run / "generator.keras").output_shape[1:] == (64, 64, 4)
    assert runs.read_params(run)["recipe"] == card["recipe"]
    assert found("hybrid64")[0] == run
    assert not runs.list_runs()  # none of one's own
