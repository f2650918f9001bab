"""The quiz as one HTML page, for people who have nothing but a browser.

It works on a phone and with a keyboard, sends nothing, and gives the answers as a JSON
file.
"""

import pathlib

from pokeutils.common import files
from pokeutils.web import template
from pokeutils.web.quiz.quiz import FORMAT, PANEL, png, seal

SCRIPT = pathlib.Path(__file__).with_suffix(".js")
TILE = 128  # CSS pixels that a picture has about, on a screen with room for it


def write(quiz, path, reveal=True):
    """Writes the page of a quiz.Quiz to `path`, whole or not at all; returns the path.

    With `reveal`, it shows the taker's own result at the end, for which the page must
    contain the answers, lightly encoded. Without, it contains none: only key.json,
    which `quiz.save` writes and which stays with you, says which is which.
    """
    data = {"id": quiz.id, "format": FORMAT, "panel": PANEL}
    if reveal:
        data["sealed"] = seal(quiz)
    size = quiz.pictures.shape[1]
    page = template.render(
        "quiz/page.html",
        quiz.source,
        scripts=[SCRIPT.read_text("utf-8")],
        data=data,
        reveal=reveal,
        pictures=[template.data_uri(png(one), "image/png") for one in quiz.pictures],
        size=size,
        tile=size * max(1, round(TILE / size)),  # a whole factor: all pixels equal
    )
    files.write_text(path, page)
    return pathlib.Path(path)
