"""tools/train.py: what `make train` trains, and what it says when it cannot."""

import pytest
import train as program

from pokeutils.common import env, files, saved
from pokeutils.data import dataset, download
from pokeutils.recipes import catalogue, finetune
from pokeutils.training import runs


@pytest.fixture
def calls(monkeypatch):
    """The trainings that are asked for; none is done."""
    calls = []

    def record(recipe, source, seed, run=None, **options):
        calls.append((recipe.name, source, seed, run, options))

    monkeypatch.setattr(program.training, "train", record)
    return calls


def test_trains_what_is_asked_for(calls, monkeypatch, capsys):
    program.main([])
    monkeypatch.setenv("POKEUTILS_RECIPE", "sprites64")
    monkeypatch.delenv("POKEUTILS_SOURCE")
    program.main(["--minutes", "2.5", "--run", "new", "--seed", "3"])
    assert calls == [
        ("tiny16", "doodles", 0, None, {"minutes": None, "show": env.say}),
        ("sprites64", "sprites", 3, "new", {"minutes": 2.5, "show": env.say}),
    ]
    assert "the same command goes on" in capsys.readouterr().out


def test_makes_a_run_again_from_its_params(calls, tmp_path, capsys):
    data = dataset.load("doodles", 16)
    params = runs.params(catalogue.get("tiny16"), data, seed=7)
    files.write_json(tmp_path / "params.json", params)
    program.main(["--params", str(tmp_path / "params.json"), "--minutes", "1"])
    assert calls[0][:4] == ("tiny16", "doodles", 7, None)
    with pytest.raises(SystemExit):
        program.main(["--params", str(tmp_path / "none.json")])
    assert "none.json" in capsys.readouterr().err


def test_goes_on_from_a_trained_generator(calls, monkeypatch):
    monkeypatch.setenv("POKEUTILS_SOURCE", "sprites")
    program.main(["--start", "flagship"])
    program.main(["--start", saved.FLAGSHIP, "--minutes", "3"])
    names = finetune.starts()[0], saved.FLAGSHIP
    assert [call[:2] for call in calls] == [(f"from-{n}", "sprites") for n in names]
    assert [call[4]["minutes"] for call in calls] == [finetune.MINUTES, 3]


START = ["--start", "flagship"]


@pytest.mark.parametrize(
    "options, variable, value, words",
    [
        (["--start", "pikachu"], "RECIPE", "", "No trained generator 'pikachu' to"),
        (START, "RECIPE", "quick32", "START brings its own recipe"),
        ([*START, "--params", "x.json"], "RECIPE", "", "leave RECIPE and PARAMS"),
        *((["--minutes", n], "RECIPE", "", f"not {n}.") for n in ("-1", "0", "nan")),
        ([], "SOURCE", "artwrok", "unknown picture source 'artwrok'; expected"),
        ([], "SOURCE", "folder:/no/pictures", "/no/pictures is not a folder"),
        ([], "RECIPE", "modern46", "'modern46'. Choose one of"),
        ([], "PROFILE", "fast", "'fast'; expected one of tiny, quick, full"),
    ],
)
def test_refuses_in_words(calls, monkeypatch, capsys, options, variable, value, words):
    monkeypatch.setenv(f"POKEUTILS_{variable}", value)
    with pytest.raises(SystemExit):
        program.main(options)
    printed = capsys.readouterr()
    assert words in printed.err and not printed.out and not calls


@pytest.mark.parametrize(
    "error, sentence",
    [
        (download.SourceUnavailable("No network."), "^No network.$"),
        (files.NoRoom(28, "The disk is full."), "^The disk is full.$"),
        (PermissionError(13, "Permission denied", "/data"), "denied: '/data'"),
        (KeyboardInterrupt(), "^Stopped; the same command goes on"),
    ],
)
def test_ends_with_a_sentence(monkeypatch, error, sentence):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(program.training, "train", fail)
    with pytest.raises(SystemExit, match=sentence):
        program.main([])
