"""A run to look at, on a machine that may have none: what is here, what is attached on
Kaggle, what came with the project, or one that is trained for some minutes.
"""

import csv
import os
import shutil

import numpy as np
from PIL import Image, ImageSequence

from pokeutils.common import env, files, plots, saved
from pokeutils.data import dataset
from pokeutils.training import loop, runs


def find(run, recipe, minutes=3.0, show=print):
    """Returns the folder of a run with a generator, which can be written to.

    run: its name or path, or the name of a pretrained generator; None takes the newest,
        and where there is none, says so and trains.
    recipe, minutes: what is trained in that case, and for how long; on the pictures of
        POKEUTILS_SOURCE, or else the recipe's own.
    Raises FileNotFoundError for a run that is not here, and what `loop.train` raises.
    """
    if run in saved.names():
        return shipped(run, show)
    try:
        folder = runs.find_run(run) if run else runs.latest_run()
    except FileNotFoundError:
        if run:
            raise
        show(
            f"No run on this machine, so {recipe.name} is trained now, for at most "
            f"{minutes:g} min. RUN = {saved.FLAGSHIP!r} would show the long run that "
            "comes with the project."
        )
        source = os.environ.get("POKEUTILS_SOURCE") or recipe.source
        return loop.train(recipe, source, minutes=minutes, show=show)
    return writable(folder, show)


def writable(run, show=print):
    """Returns `run`, or a copy in outputs/runs where its folder can only be read."""
    if os.access(run, os.W_OK):
        return run
    params = (run / "params.json").read_bytes()
    for known in runs.list_runs():
        path = known / "params.json"
        if known.name[4:] == run.name[4:] and path.exists():
            if path.read_bytes() == params:
                return known
    new = runs.new_run(run.name[4:])
    with files.atomic_folder(new) as folder:
        shutil.copytree(run, folder, dirs_exist_ok=True)
        os.chmod(folder, 0o755)
    show(f"{run} can only be read, so it is copied to {new.name}.")
    return new


def shipped(name=saved.FLAGSHIP, show=print):
    """Returns a run folder of a pretrained generator, made of its card and of its film
    in the gallery: sheets of 32 creatures. It has no checkpoint."""
    card, folder = saved.card(name), env.outputs_dir() / "runs" / "pretrained" / name
    if (folder / "params.json").exists():
        return folder
    size = card["data"]["size"]
    data = dataset.load(card["data"]["source"], size, progress=show)
    with files.atomic_folder(folder) as new:
        (new / "samples").mkdir()
        with Image.open(env.ROOT / "outputs" / "gallery" / f"{name}.gif") as film:
            frames = [
                np.asarray(f.convert("RGB")) for f in ImageSequence.all_frames(film)
            ]
        seen = card["on_the_way"]["images"]
        places = np.linspace(0, len(seen) - 1, len(frames))  # as tools/publish.py
        for place, frame in zip(places, frames, strict=True):
            sheet = plots.tile(plots.cut(frame, size), columns=8)
            plots.save_png(new / "samples" / f"{seen[round(place)]:09d}.png", sheet)
        reals = data.images[data.train][:64]
        plots.save_png(new / "samples" / "reals.png", plots.tile(reals))
        log = {"step": np.array(card["log"]["images"]) // card["recipe"]["batch"]}
        log |= card["log"]
        with open(new / "log.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([log, *zip(*log.values(), strict=True)])
        saved.pretrained(name).save(new / "generator.keras")
        names = "recipe seed data backend dtype device versions git_commit".split()
        files.write_json(new / "params.json", {name: card[name] for name in names})
    return folder
