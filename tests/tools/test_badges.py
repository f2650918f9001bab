"""Stamping the repository's address, on copies of the real notebooks and README."""

import shutil

import badges
import nbformat
import pytest
import render

from pokeutils.common import env


@pytest.fixture
def copy(tmp_path):
    shutil.copy(env.ROOT / "README.md", tmp_path)
    (tmp_path / "notebooks").mkdir()
    for path in (env.ROOT / "notebooks").glob("*.ipynb"):
        shutil.copy(path, tmp_path / "notebooks")
    return tmp_path


def contents(folder):
    return {path: path.read_text("utf-8") for path in folder.rglob("*.*")}


def test_everything_opens_from_the_repository(copy):
    paths = sorted((copy / "notebooks").glob("*.ipynb"))
    before = [render.code_hash(nbformat.read(path, 4)) for path in paths]
    badges.main(["ada/creatures-2.0", "--root", str(copy)])
    # An address is no reason to execute everything again.
    assert [render.code_hash(nbformat.read(path, 4)) for path in paths] == before
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        title, _, line, *_ = notebook.cells[0].source.split("\n")
        assert title.startswith("# ")
        assert line.count(f"ada/creatures-2.0/blob/main/notebooks/{path.name}") == 2
        (cell,) = [c.source for c in notebook.cells if "REPOSITORY =" in c.source]
        assert '"https://github.com/ada/creatures-2.0")' in cell
        assert "OWNER/REPO" not in path.read_text("utf-8")
    readme = (copy / "README.md").read_text("utf-8")
    assert readme.count("[Colab](https://colab.research.google.com/github/ada/") >= 6
    once = contents(copy)
    badges.main(["ada/creatures-2.0", "--root", str(copy)])
    assert contents(copy) == once
    badges.main(["bob/other", "--root", str(copy)])
    assert not any("/ada/creatures" in text for text in contents(copy).values())


def test_what_is_no_repository_is_refused(copy, capsys):
    before = contents(copy)
    for wrong in ("creatures", "https://github.com/ada/creatures", "a/b/c", "a b/c"):
        with pytest.raises(SystemExit):
            badges.main([wrong, "--root", str(copy)])
        assert "expected owner/name" in capsys.readouterr().err
    assert contents(copy) == before
