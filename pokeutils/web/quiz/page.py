"""The quiz as one HTML page: it works on a phone and with a keyboard, sends nothing,
shows the own result, and gives the answers as a JSON file."""

import pathlib

from pokeutils.common import files
from pokeutils.web import template
from pokeutils.web.quiz.quiz import FORMAT, PANEL, png, seal

SCRIPT = pathlib.Path(__file__).with_suffix(".js")
TILE = 128  # CSS pixels that a picture has about, on a screen with room for it


def write(quiz, path):
    """Writes the page of a quiz.Quiz to `path`, whole or not at all; returns the path.

    The page contains the answers, lightly encoded, to show the result at the end.
    """
    size = quiz.pictures.shape[1]
    page = template.render(
        "quiz/page.html",
        quiz.source,
        scripts=[SCRIPT.read_text("utf-8")],
        data={"id": quiz.id, "format": FORMAT, "panel": PANEL, "sealed": seal(quiz)},
        pictures=[template.data_uri(png(one), "image/png") for one in quiz.pictures],
        size=size,
        tile=size * max(1, round(TILE / size)),  # a whole factor: all pixels equal
    )
    files.write_text(path, page)
    return pathlib.Path(path)
