"""What the repository shows of an executed notebook, on notebooks made here."""

import nbformat
import pytest
import render
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from pokeutils.common import env

PICTURE = {"image/jpeg": "AAAA", "text/plain": "<IPython.core.display.Image object>"}


@pytest.fixture
def pair(tmp_path):
    """A committed notebook, and the same one executed."""

    def write(*outputs, code="print(1)", prose="What it is."):
        cells = [new_markdown_cell("What it was."), new_code_cell("print(1)")]
        notebook = new_notebook(cells=cells)
        notebook.cells[1].update(outputs=list(outputs), execution_count=3)
        nbformat.write(notebook, tmp_path / "executed.ipynb")
        notebook.cells[0].source = prose
        notebook.cells[1].update(outputs=[], execution_count=None, source=code)
        nbformat.write(notebook, tmp_path / "committed.ipynb")
        return tmp_path / "executed.ipynb", tmp_path / "committed.ipynb"

    return write


def shown(pair):
    return nbformat.reads(render.rendered(*pair), as_version=4)


def test_outputs_are_kept_with_the_newer_prose_and_the_hash_of_the_code(pair):
    place = f"it is in {env.ROOT}/outputs/runs/001"
    outputs = [
        new_output("stream", name="stdout", text=place),
        new_output("stream", name="stderr", text="oneDNN says something"),
        new_output("display_data", data={**PICTURE, "application/x+json": {"a": 1}}),
    ]
    notebook = shown(pair(*outputs))
    text, picture = notebook.cells[1].outputs
    assert notebook.cells[0].source == "What it is."
    assert text.text == "it is in outputs/runs/001"
    assert list(picture.data) == ["image/jpeg"]
    assert not render.stale(notebook)
    notebook.cells[0].source = "Prose may change."
    assert not render.stale(notebook)
    notebook.cells[1].source = "print(2)"
    assert render.stale(notebook)
    notebook.cells[1].outputs = []
    assert not render.stale(notebook)  # it shows nothing, so nothing wrong


def test_pictures_get_the_sentence_that_reads_them():
    pictures = [[new_output("display_data", data=PICTURE)] for _ in range(2)]
    notebook = new_notebook(
        cells=[
            new_markdown_cell("## Colours\n\nTwo things. Now *all* of them:"),
            new_code_cell("show()", outputs=pictures[0]),
            new_markdown_cell("## Next"),
            new_code_cell("show()", outputs=pictures[1]),
            new_markdown_cell("Most are [green](a.md),\nfew blue. And so on."),
        ]
    )
    render.describe(notebook)
    alts = [c.outputs[0].metadata["image/jpeg"]["alt"] for c in notebook.cells[1::2]]
    assert alts == ["Now all of them:", "Most are green, few blue."]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (new_output("error", ename="E", evalue="no disk", traceback=[]), "no disk"),
        (new_output("display_data", data={"image/png": "A" * 210_000}), "150,000"),
        (new_output("stream", name="stdout", text="a" * 1_300_000), "1,200,000"),
        (new_output("stream", name="stdout", text="/me/pictures"), "names /me/"),
    ],
)
def test_what_cannot_be_shown_is_refused(pair, monkeypatch, output, message):
    monkeypatch.setenv("HOME", "/me")
    with pytest.raises(ValueError, match=message):
        render.rendered(*pair(output))


def test_outputs_of_other_code_are_refused(pair):
    with pytest.raises(ValueError, match="other code"):
        render.rendered(*pair(code="print(2)"))
