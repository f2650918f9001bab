"""What the tests of the quiz ask about, and answers to it."""

import json

import numpy as np
from drawings import transparent

from pokeutils.common import images
from pokeutils.data.dataset import PictureSet
from pokeutils.web.quiz import quiz

SIZE, COUNT = 32, 90


def doodle_set():
    """90 creatures, each of its own species, as `dataset.load` gives them."""
    meta = {
        "name": np.array([f"Doodle {i}" for i in range(COUNT)]),
        "species_id": np.arange(1, COUNT + 1),
        "slug": np.full(COUNT, ""),
        "split": np.full(COUNT, "train"),
        "shiny": np.zeros(COUNT, bool),
    }
    return PictureSet("doodles", SIZE, transparent(range(COUNT)), meta, {}, None)


def noise(count, size=SIZE, seed=0):
    """Premultiplied RGBA pictures that nobody takes for real."""
    random = np.random.default_rng(seed)
    colours = random.integers(0, 256, (count, size, size, 4)).astype("uint8")
    return images.premultiply(colours)


def answer(asked, folder, judged, number=0, name="", **changes):
    """Writes answers as the page does; returns the path.

    judged: a bool per picture, or a share per group; changes: other entries, "gone" for
    none.
    """
    if len(judged) == len(quiz.GROUPS):
        shares = np.take(judged, asked.groups)
        judged = np.random.default_rng(number).random(len(shares)) < shares
    record = {
        "format": quiz.FORMAT,
        "quiz": asked.id,
        "response": f"{number:032x}",
        "name": name,
        "knowledge": "some",
        "judged_real": [bool(value) for value in judged],
        "seconds": 100,
        "finished": "2026-11-22T07:00Z",
    }
    record = {k: v for k, v in {**record, **changes}.items() if v != "gone"}
    path = folder / f"{number}.json"
    path.write_text(json.dumps(record), "utf-8")
    return path
