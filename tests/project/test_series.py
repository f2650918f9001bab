"""The notebooks as `make run` executes them, on doodles, in the tiny profile: eight of
them in a minute, and apart, because they take longer, 7, 10 and 11."""

import json
import re
import subprocess
import sys

import drawings
import nbformat
import numpy as np
import pytest
from PIL import Image

from pokeutils.common import env
from pokeutils.training import runs

QUICK = "01_scrape 02_explore 03_preprocess 04_train 05_animate 06_evaluate".split()
QUICK += ["08_restore", "09_latent_space"]


def execute(names):
    """Executes some notebooks; returns what that printed."""
    command = [sys.executable, "notebooks/run.py", "--only", *names]
    answer = subprocess.run(
        command, cwd=env.ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]
    print(answer.stdout)
    return answer.stdout


@pytest.mark.slow
def test_the_notebooks_that_take_longer_run_as_well(folders):
    execute(["07_compare_recipes", "10_creatures_on_demand", "11_your_own_pictures"])
    assert not list(folders.rglob("*.failed.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one number", "boxes", "grey"])
def test_twenty_pictures_of_ones_own_are_enough(folders, monkeypatch, kind):
    mine = folders / "mine"
    mine.mkdir()
    for number in range(20):
        image = Image.fromarray(drawings.creature(number))
        if kind != "one number":
            noise = np.random.default_rng(number).integers(0, 255, (5, 5, 3), "uint8")
            ground = noise if kind == "boxes" else noise[:1, :1] // 9 + 200
            white = Image.fromarray(ground).resize(image.size).convert("RGBA")
            image = Image.alpha_composite(white, image)
            image = image.convert("L" if kind == "grey" else "RGB")
        image.save(mine / f"10 ({number}).png")
    monkeypatch.setenv("POKEUTILS_SOURCE", f"folder:{mine}")
    names = [name for name in QUICK if name[:2] != "08"] + ["10_creatures_on_demand"]
    printed = execute(names)
    assert "No types known." in printed and "18 pictures, 2 held out" in printed
    assert (folders / "outputs" / "latest" / "index.html").exists()
    assert ("fill a box" in printed) == (kind == "boxes")
    assert ("There is no quiz" in printed) == (kind == "grey")


def test_the_series_runs_from_nothing_to_the_gallery(folders):
    printed = execute(QUICK)
    latest = folders / "outputs" / "latest"
    assert str(latest / "index.html") in printed
    page = (latest / "index.html").read_text()
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    for name in QUICK:
        notebook = nbformat.read(latest / "notebooks" / f"{name}.ipynb", as_version=4)
        outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
        pictures = [o for o in outputs if "image/jpeg" in o.get("data", {})]
        assert pictures, f"{name} shows no picture"
        assert all(len(o.data["image/jpeg"]) * 3 / 4 <= 150_000 for o in pictures)
        assert (latest / "notebooks" / f"{name}.html").exists()

    run = runs.latest_run()  # not that of notebook 8, whose generator takes pictures
    assert run.name == "001-tiny16"
    assert json.loads((run / "params.json").read_text())["data"]["source"] == "doodles"
    for name in ("log.csv", "generator.keras", "animation.gif", "metrics.json"):
        assert (run / name).stat().st_size > 0
    assert len(list((run / "samples").glob("0*.png"))) >= 2
    assert not list(folders.rglob("*.failed.ipynb"))

    for path in (folders / "outputs").iterdir():  # 1: git would take it in; 128: no git
        command = ["git", "check-ignore", "-q", f"outputs/{path.name}/"]
        assert subprocess.run(command, cwd=env.ROOT).returncode != 1, path.name
