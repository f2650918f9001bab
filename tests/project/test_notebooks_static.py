"""Rules that every notebook keeps, read from the files without running them."""

import ast
import re
import statistics

import badges
import nbformat
import pytest
import render
from project import BOOTSTRAP, NOTEBOOKS, code_cells

CORE = "01_scrape 02_explore 03_preprocess 04_train 05_animate 06_evaluate".split()


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def tagged(notebook, tag):
    return [c for c in notebook.cells if tag in c.metadata.get("tags", [])]


def headings(notebook):
    """All markdown headings in order, as (level, text)."""
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    found = re.findall(r"^(#+) (.+)$", "\n\n".join(prose), flags=re.MULTILINE)
    return [(len(marks), text.strip()) for marks, text in found]


def test_the_core_six_are_there():
    assert [path.stem for path in NOTEBOOKS][:6] == CORE


def test_valid_and_for_any_python_3(notebook):
    nbformat.validate(notebook)
    kernel = notebook.metadata.kernelspec
    assert (kernel.name, kernel.display_name) == ("python3", "Python 3")
    assert not {"widgets", "colab"} & set(notebook.metadata)


def test_one_title_with_the_number_of_the_file(path, notebook):
    titles = [text for level, text in headings(notebook) if level == 1]
    assert len(titles) == 1
    assert titles[0].startswith(f"{int(path.stem[:2])}. ")
    assert notebook.cells[0].source.startswith("# ")
    assert "*You will*" in notebook.cells[0].source + notebook.cells[1].source


def test_begins_with_bootstrap_report_and_parameters(notebook):
    first, second, third, *rest = code_cells(notebook)
    assert tagged(notebook, "bootstrap") == [first]
    plain = re.sub(badges.ADDRESS, "https://github.com/OWNER/REPO", first.source)
    assert plain.strip() == BOOTSTRAP
    assert "from pokeutils.common import" in second.source
    assert "env.report(" in second.source
    assert tagged(notebook, "parameters") == [third]
    tree = ast.parse(third.source)
    names = [t.id for node in tree.body if isinstance(node, ast.Assign)
             for t in node.targets]  # fmt: skip
    assert names and all(name.isupper() for name in names)


def test_ends_with_takeaways_questions_and_what_comes_next(notebook):
    last = [text for level, text in headings(notebook) if level == 2][-3:]
    assert last == ["Takeaways", "Check yourself", "Next"]
    prose = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    questions = prose[prose.index("## Check yourself") :]
    assert 3 <= questions.count("<details>") == questions.count("</details>") <= 4


def test_cells_are_short(notebook):
    cells = code_cells(notebook)[1:]
    lengths = []
    for cell in cells:
        lines = cell.source.splitlines()
        lengths.append(len(lines))
        defines = re.search(r"^\s*(def|class) ", cell.source, flags=re.MULTILINE)
        assert len(lines) <= (30 if defines else 15), cell.source
        assert max(map(len, lines)) <= 88, max(lines, key=len)
        assert not re.search(r"^\s*[!%]\s*(pip|conda|apt)", cell.source, re.MULTILINE)
    assert statistics.median(lengths) <= 8
    assert len(lengths) <= 45


def test_what_is_committed_is_read_from_the_project(notebook):
    """Not from the folder of outputs, which may be on a Drive."""
    code = "\n".join(cell.source for cell in code_cells(notebook))
    assert not re.search(r"outputs_dir\(\) / .(gallery|pretrained)", code)


def test_prose_stands_between_the_cells(notebook):
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds.count("markdown") >= kinds.count("code") / 2
    assert not re.search(r"[\U0001F000-\U0001FAFF\u2600-\u27BF]", str(notebook.cells))


def test_outputs_are_small_and_clean(path, notebook):
    assert render.trouble(notebook, path.read_text("utf-8")) is None
    for output in [out for cell in code_cells(notebook) for out in cell.outputs]:
        pictures = [k for k in output.get("data", {}) if k.startswith("image/")]
        assert not pictures or list(output.data) == pictures[:1], "one format"
        assert all(output.metadata[kind]["alt"] for kind in pictures)
        lines = output.get("text", "").splitlines()
        # A page wraps longer ones in the middle of a word.
        assert max(map(len, lines), default=0) <= 98, max(lines, key=len)


def test_prose_names_no_result(notebook):
    """A reader's own run would contradict it: cells print results, prose reads them."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"`[^`]*`|\"[^\"]*\"|\]\([^)]*\)", "", cell.source)
            found = re.findall(r"\d+\.\d+|\d+,\d{3}|\d+ ?%", prose)
            assert not set(found) - {"0 %", "50 %", "95 %", "100 %"}, cell.source


def test_outputs_belong_to_the_code(path, notebook):
    assert not render.stale(notebook), f"make render ONLY={path.stem}"
