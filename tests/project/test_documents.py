"""What people read: links and pictures of pages, notebooks and docstrings, their
spelling, and the version."""

import json
import re
import subprocess
import sys

import pytest
from project import MODULES, committed, texts

import pokeutils
from pokeutils.common import env

LINK = re.compile(r"(!?)\[((?:[^][]|\[[^]]*\])*)\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)")
MOST = 600_000  # bytes of a picture in a page


def prose(path):
    """The Markdown of a page or a notebook, without its code."""
    text = path.read_text("utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        cells = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
        text = "\n\n".join(cells)
    return re.sub(r"(?s)```.*?```|`[^`\n]*`|<!--.*?-->", "", text)


def anchors(path):
    """The anchors that GitHub gives to the headings of a page."""
    found = set()
    for line in re.findall(r"(?m)^#+ (.+)$", path.read_text("utf-8")):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", line.strip().lower())
        found.add(re.sub(r"[^\w\- ]", "", words).replace(" ", "-"))
    return found


def pages():
    return [path for path in committed() if path.suffix in (".md", ".ipynb")]


def wrong_links(path):
    """Sentences on the links and pictures of a page that lead nowhere."""
    files = {file for file in committed() if file.is_relative_to(env.ROOT)}
    there = files | {folder for file in files for folder in file.parents}
    for picture, words, target in LINK.findall(prose(path)):
        if picture and not words.strip():
            yield f"the picture {target} has no alternative text"
        if re.match(r"https://|mailto:", target):
            continue
        address, _, anchor = target.partition("#")
        file = (path.parent / address).resolve() if address else path
        if file not in there or not file.is_relative_to(env.ROOT):
            yield f"{target} is not in the repository"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            yield f"{target}: {file.name} has no such heading"
        elif picture and file.stat().st_size > MOST:
            yield f"the picture {target} has more than {MOST:,} bytes"


def test_links_and_pictures_of_pages_and_notebooks():
    wrong = [f"{path.name}: {link}" for path in pages() for link in wrong_links(path)]
    assert not wrong


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("[a](nowhere.md)", "nowhere.md is not in the repository"),
        ("![](https://example.org/a.png)", "no alternative text"),
        ("[a](#not-there)", "no such heading"),
        ("[![pict](a.png)](b.md)", "b.md is not in"),
    ],
)
def test_a_wrong_link_is_noticed(tmp_path, monkeypatch, text, sentence):
    page = tmp_path / "page.md"
    page.write_text(f"# A heading: with `code`\n\n{text} [b](#a-heading-with-code)\n")
    monkeypatch.setattr(env, "ROOT", tmp_path)
    monkeypatch.setitem(globals(), "committed", lambda: [page])
    (found,) = wrong_links(page)
    assert sentence in found


def test_files_named_in_docstrings_and_messages_exist():
    """Such as outputs/README.md, in code and in prose."""
    name = r"(?<![\w/<>{}*.-])((?:notebooks|tests|tools|benchmarks|pokeutils|outputs)/"
    name += r"[\w/]+\.(?:py|md|ipynb|sh|json))\b"
    known = {path.relative_to(env.ROOT).as_posix() for path in committed()}
    made = re.compile(r"outputs/(runs|latest)/")
    for path in [*MODULES, *pages()]:
        for found in re.findall(name, path.read_text("utf-8")):
            assert found in known or made.match(found), f"{path.name} names {found}"


def test_spelling(tmp_path):
    """Known misspellings, in all that is committed: prose, code, notebooks' cells."""
    for path, text in texts():
        if path.suffix == ".ipynb":
            text = "\n".join("".join(c["source"]) for c in json.loads(text)["cells"])
        if path.suffix != ".keras" and path.name != "index.html":  # a bundle
            target = tmp_path / path.relative_to(env.ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
    names = "openin,ot"  # in JavaScript, and a package's name
    command = [sys.executable, "-m", "codespell_lib", "--ignore-words-list", names]
    answer = subprocess.run(
        [*command, "."], cwd=tmp_path, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_newest_change_is_this_version():
    versions = re.findall(
        r"(?m)^## (\S+) ", (env.ROOT / "CHANGELOG.md").read_text("utf-8")
    )
    assert versions[0] == pokeutils.__version__
