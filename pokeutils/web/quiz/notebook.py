"""The quiz inside a notebook, with ipywidgets; without them, it points to the page."""

import datetime
import importlib.util
import pathlib
import time
import uuid

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pokeutils.common import plots
from pokeutils.web.quiz import page, quiz, scores

TILE, GAP = 128, 10  # pixels of a picture and between two
FRAME, YES, NO, GROUND = (42, 122, 116), (31, 111, 105), (163, 74, 37), (236, 235, 230)
KNOWLEDGE = [("(not said)", ""), ("hardly any", "few"), ("some", "some")]
KNOWLEDGE += [("most", "most")]


def take(quiz, folder):
    """Asks a quiz.Quiz in this notebook; the answers are written into `folder`.

    Returns the Taking, which shows itself. Where ipywidgets or the notebook is missing,
    writes the page into `folder` instead, says so, and returns None.
    """
    folder = pathlib.Path(folder)
    if importlib.util.find_spec("ipywidgets") and _in_notebook():
        return Taking(quiz, folder).show()
    path = page.write(quiz, folder / "quiz.html")
    print(
        "Buttons need a notebook and ipywidgets (pip install ipywidgets). The quiz is "
        f"on a page instead: open {path} in a browser, then put the file that it saves "
        f"into {folder}."
    )
    return None


def _in_notebook():
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return hasattr(get_ipython(), "kernel")


class Taking:
    """One person's way through a quiz: `judge`, `move`, `turn`, and widgets for them.

    `judged` is a list of True (real), False and None (not yet), `path` the file of
    answers once it is written.
    """

    def __init__(self, quiz, folder):
        import ipywidgets as widgets

        self.quiz, self.folder, self.path = quiz, pathlib.Path(folder), None
        self.judged, self.at = [None] * len(quiz.pictures), 0
        self.response, self.started = uuid.uuid4().hex, time.monotonic()

        def button(label, action, style=""):
            made = widgets.Button(description=label, button_style=style)
            made.layout.min_height = "44px"
            made.on_click(lambda _: action())
            return made

        self.name = widgets.Text(placeholder="a name, if you like")
        question = widgets.Label("How many such creatures could you name?")
        self.knowledge = widgets.Dropdown(options=KNOWLEDGE, layout={"width": "130px"})
        self.panel = widgets.Image(format="png")
        self.text = widgets.HTML()
        self.yes = button("Real", lambda: self.judge(True), "success")
        self.no = button("Not real", lambda: self.judge(False), "warning")
        self.before = button("Previous picture", lambda: self.move(-1))
        self.after = button("Next picture", lambda: self.move(1))
        self.back = button("Back", lambda: self.turn(-1))
        self.next = button("Next panel", lambda: self.turn(1))
        self.widget = widgets.VBox(
            [
                widgets.HBox([self.name, question, self.knowledge]),
                self.text,
                self.panel,
                widgets.HBox([self.yes, self.no]),
                widgets.HBox([self.before, self.after, self.back, self.next]),
            ]
        )
        self._draw()

    def show(self):
        """Displays the widgets; returns itself."""
        from IPython.display import display

        display(self.widget)
        return self

    def judge(self, real):
        """Answers for the framed picture, and frames the next one that is open."""
        self.judged[self.at] = bool(real)
        still = self._open(self._panel())
        if still:
            self.at = next((i for i in still if i > self.at), still[0])
        self._draw()

    def move(self, steps):
        """Frames another picture of this panel."""
        panel = self._panel()
        if (self.at + steps) // quiz.PANEL == panel and self.at + steps >= 0:
            self.at += steps
        self._draw()

    def turn(self, by):
        """Goes to another panel; from the last one, when all is judged, finishes."""
        panel = self._panel()
        last = len(self.judged) // quiz.PANEL - 1
        if self.path or panel + by < 0 or (by > 0 and self._open(panel)):
            return
        if panel + by > last:
            self._finish()
            return
        self.at = (self._open(panel + by) or [(panel + by) * quiz.PANEL])[0]
        self._draw()

    def _panel(self):
        return self.at // quiz.PANEL

    def _open(self, panel):
        first = panel * quiz.PANEL
        return [i for i in range(first, first + quiz.PANEL) if self.judged[i] is None]

    def _draw(self):
        panel, last = self._panel(), len(self.judged) // quiz.PANEL - 1
        still = len(self._open(panel))
        self._show(self._picture(panel))
        self.text.value = (
            f"<b>Panel {panel + 1} of {last + 1}</b>: is the framed one real? "
            f"{quiz.PANEL - still} of {quiz.PANEL} judged."
        )
        self.back.disabled = panel == 0
        self.next.disabled = still > 0
        self.next.description = "Finish" if panel == last else "Next panel"

    def _show(self, picture):
        self.panel.value = quiz.png(picture, optimize=False)
        # Without a width, JupyterLab stretches it to that of the notebook.
        self.panel.layout.width = f"{picture.shape[1]}px"
        self.panel.layout.align_self = "flex-start"
        self.panel.layout.max_width = "100%"

    def _picture(self, panel):
        """The panel as RGB uint8: nine pictures, marks on judged ones, one frame."""
        size = self.quiz.pictures.shape[1]
        times = max(1, round(TILE / size))
        tile = size * times
        side = 3 * tile + 4 * GAP
        image = Image.fromarray(np.full((side, side, 3), GROUND, "uint8"))
        draw, font = ImageDraw.Draw(image), ImageFont.load_default(14)
        for place in range(quiz.PANEL):
            number = panel * quiz.PANEL + place
            x = GAP + place % 3 * (tile + GAP)
            y = GAP + place // 3 * (tile + GAP)
            picture = self.quiz.pictures[number].repeat(times, 0).repeat(times, 1)
            image.paste(Image.fromarray(picture), (x, y))
            if number == self.at:
                corners = (x - 5, y - 5, x + tile + 4, y + tile + 4)
                draw.rectangle(corners, outline=FRAME, width=4)
            if self.judged[number] is not None:
                real = self.judged[number]
                wide = 38 if real else 62
                bottom = y + tile - 1
                draw.rectangle((x, bottom - 21, x + wide, bottom), YES if real else NO)
                words = "real" if real else "not real"
                draw.text((x + 6, bottom - 19), words, "white", font)
        return np.asarray(image)

    def _finish(self):
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        seconds = round(time.monotonic() - self.started)
        about = self.name.value.strip()[:80], self.knowledge.value
        self.path = quiz.write_answers(
            self.folder, self.quiz, self.judged, self.response, *about, seconds, now
        )
        (answers,), _ = quiz.read_answers([self.path], self.quiz)
        table = scores.table(scores.score([answers], [self.quiz]))
        self.text.value = (
            f"<b>Thank you.</b> Your answers are in {self.path.name}.<pre>{table}</pre>"
            "Row by row, those that were real, faked by hand, and generated:"
        )
        rows = np.argsort(self.quiz.groups, kind="stable")
        each = len(rows) // len(quiz.GROUPS)
        times = max(1, 64 // self.quiz.pictures.shape[1])
        sheet = plots.tile(self.quiz.pictures[rows], each, times, 6, GROUND)
        self._show(sheet)
        self.widget.children = [self.text, self.panel]
