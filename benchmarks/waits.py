"""Everything else that one waits for: imports, the first step, preparing a set, drawing
creatures, metrics, a GIF. Each in a process of its own."""

import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from benchmarks import cases
from benchmarks.child import Clock, call
from pokeutils.common import env

IMPORTS = {
    "import pokeutils": "import pokeutils",
    "import env, images, plots, sources": (
        "import pokeutils.common.env, pokeutils.common.images, pokeutils.common.plots, "
        "pokeutils.data.sources"
    ),
    "import quiz": "from pokeutils.web.quiz import quiz",
    "import recipes (brings TensorFlow and Keras)": (
        "from pokeutils.recipes import catalogue"
    ),
}


def imports(code):
    """Returns the least of several starts of Python with `code`, less those without."""
    with_code, without = least(code), least("")
    return {kind: max(0.0, with_code[kind] - without[kind]) for kind in without}


def least(code, repeats=3):
    taken = []
    while len(taken) < repeats and (not taken or taken[0]["cpu"] < 1.0):
        clock = Clock()
        subprocess.run(
            [sys.executable, "-c", code], check=True, cwd=env.ROOT, capture_output=True
        )
        taken.append(clock.read())
    return {kind: min(t[kind] for t in taken) for kind in ("wall", "cpu")}


def first_step(name):
    """Builds a recipe and takes its first step."""
    from pokeutils.data import dataset
    from pokeutils.recipes import catalogue

    recipe = catalogue.get(name)
    model = recipe.build(seed=0)
    shape = (recipe.batch, recipe.size, recipe.size, recipe.channels)
    black = np.zeros(shape, np.uint8)
    batches = dataset.batches(black, recipe.batch, 1, seed=0)
    model.fit(batches, steps_per_epoch=1, epochs=1)


def prepare(source, size, data_dir):
    """Makes a set from its raw files, then loads it again."""
    from pokeutils.data import dataset

    taken = {}
    for name in (f"prepare {source} at {size} px", f"load {source} again"):
        clock = Clock()
        pictures = dataset.load(source, size, data_dir, progress=lambda line: None)
        taken[name] = {**clock.read(), "note": f"{len(pictures.images)} pictures"}
    return taken


def creatures():
    """Draws 64 creatures of the generator in the repository, and writes a GIF in which
    twelve walk through the latent space (its frames are drawn before)."""
    from pokeutils import sampling
    from pokeutils.common import plots, saved

    taken = {}
    clock = Clock()
    generator = saved.pretrained()
    taken["load the trained generator (TensorFlow is there)"] = clock.read()
    for name in ("draw 64 creatures", "draw 64 again"):
        clock = Clock()
        sampling.sample(generator, 64, seed=0)
        taken[name] = clock.read()

    stations = sampling.draw(12 * 4, generator.input_shape[-1]).reshape(12, 4, -1)
    walks = [
        sampling.paint(generator, sampling.walk(places, 15)) for places in stations
    ]
    frames = [plots.tile(np.stack(frame), 4) for frame in zip(*walks, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        clock = Clock()
        path = plots.gif(pathlib.Path(folder) / "walk.gif", frames)
        size = os.path.getsize(path) / 1e6
        taken["write a GIF of 60 frames"] = {
            **clock.read(),
            "note": f"12 creatures of 64 px, {size:.1f} MB",
        }
    return taken


def judge(source, count=128, size=64):
    """Measures `report.report` on `count` pictures, twice: the second time cached."""
    from pokeutils.data import dataset
    from pokeutils.evaluation import report

    reals = dataset.load(source, size).images
    samples, reals = reals[:count], reals[count : 2 * count]
    taken = {}
    with tempfile.TemporaryDirectory() as cache:
        for name in ("metrics, first time", "metrics, features of reals cached"):
            clock = Clock()
            report.report(samples, reals, cache=pathlib.Path(cache))
            taken[name] = {**clock.read(), "note": f"{count} against {len(reals)}"}
    return taken


def measure(options, say):
    """Yields one table of all waits, again after every line of it, so that what has
    been measured is kept."""
    rows = {}
    for taken in each():
        for name, seconds in taken.items():
            say(f"{name}: {seconds}")
        rows.update(taken)
        yield "waits", {"rows": rows}


def each():
    for name, code in IMPORTS.items():
        yield {name: imports(code)}
    yield call("benchmarks.waits:creatures")
    source = cases.source()
    for kind in dict.fromkeys(("doodles", source)):
        with tempfile.TemporaryDirectory() as folder:
            if kind != "doodles":  # fetched before; the network's speed is not ours
                os.symlink(env.data_dir() / "raw", f"{folder}/raw")
            yield call(
                "benchmarks.waits:prepare", source=kind, size=64, data_dir=folder
            )
    for recipe in ("quick32", "modern64"):
        clock = Clock()
        call("benchmarks.waits:first_step", name=recipe)
        yield {f"from nothing to the first step of {recipe}": clock.read()}
    yield call("benchmarks.waits:judge", source=source)
