"""The quiz as one self-contained HTML page, for people who have nothing but a browser.

Everything is inside, and a content security policy keeps it so: it opens from a file,
on a phone and with a keyboard, sends nothing, and gives the answers as a JSON file.
"""

import base64
import hashlib
import html
import json
import pathlib
import re

from pokeutils.common import files
from pokeutils.web import gallery
from pokeutils.web.quiz.quiz import FORMAT, PANEL, png, seal

TEMPLATE = pathlib.Path(__file__).with_suffix(".html")
TILE = 128  # CSS pixels that a picture has about, on a screen with room for it
OWNERS = {
    "Pokémon": "Pokémon, their names and their pictures belong to Nintendo, Creatures "
    "Inc., GAME FREAK inc. and The Pokémon Company, who have nothing to do with this "
    "page. The fakes are made from their pictures. The page is for study among people "
    "you know; do not publish it.",
    "drawn": "The creatures were drawn by this project's own code, and the fakes were "
    "made from them.",
    "": "The pictures, and the fakes that were made from them, belong to whoever made "
    "the originals.",
}
OPEN = (
    "To show you the result, the page has to know which pictures are real. That is in "
    "it in a form that nobody reads by accident, but it is no secret: a page that "
    "counts by itself cannot keep one."
)
SHUT = (
    "Which pictures are real is not in this page at all: it cannot be looked up here, "
    "and the page cannot show you a result."
)


def write(quiz, path, reveal=True):
    """Writes the page of a quiz.Quiz to `path`, whole or not at all; returns the path.

    With `reveal`, it shows the taker's own result at the end, for which the page must
    contain the answers, lightly encoded. Without, it contains none: only key.json,
    which `quiz.save` writes and which stays with you, says which is which.
    """
    pokemon = quiz.owner.startswith("Nintendo")
    owners = "Pokémon" if pokemon else "drawn" if quiz.source == "doodles" else ""
    data = {"id": quiz.id, "format": FORMAT, "panel": PANEL}
    if reveal:
        data["sealed"] = seal(quiz)
    size = quiz.pictures.shape[1]
    template = TEMPLATE.read_text("utf-8")
    script = template.rpartition("<script>")[2].partition("</script>")[0]
    digest = hashlib.sha256(script.encode()).digest()
    parts = {
        "script_hash": base64.b64encode(digest).decode(),
        "shared_style": gallery.STYLE.strip(),
        "tile": size * max(1, round(TILE / size)),  # a whole factor: all pixels equal
        "count": len(quiz.pictures),
        "noun": "Pokémon" if pokemon else "creatures",
        "panels": "\n".join(_panels(quiz.pictures)),
        "honesty": OPEN if reveal else SHUT,
        "owners": OWNERS[owners],
        "id": html.escape(quiz.id),
        "data": json.dumps(data).replace("<", "\\u003c"),
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: str(parts[found[1]]), template)
    files.write_text(path, page)
    return pathlib.Path(path)


def _panels(pictures):
    size = pictures.shape[1]
    for start in range(0, len(pictures), PANEL):
        number = start // PANEL + 1
        yield f'<div class="panel" role="group" aria-label="Panel {number}" hidden>'
        for picture in pictures[start : start + PANEL]:
            source = base64.b64encode(png(picture)).decode()
            yield (
                f'<button type="button"><img src="data:image/png;base64,{source}" '
                f'alt="" width="{size}" height="{size}" draggable="false">'
                '<span class="mark"></span></button>'
            )
        yield "</div>"
