"""What people read: links and pictures of pages, notebooks and docstrings, their
spelling, and the version."""

import json
import re
import subprocess
import sys

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


def test_links_and_pictures_of_pages_and_notebooks():
    there = set(committed())
    there |= {folder for file in there for folder in file.parents}
    for path in pages():
        for picture, words, target in LINK.findall(prose(path)):
            where = f"{path.name}: {target}"
            assert words.strip() or not picture, f"{where} has no alternative text"
            if re.match(r"https://|mailto:", target):
                continue
            address, _, anchor = target.partition("#")
            file = (path.parent / address).resolve() if address else path
            assert file in there and file.is_relative_to(env.ROOT), f"{where} is gone"
            if anchor and file.suffix == ".md":
                assert anchor in anchors(file), f"{where} is no heading there"
            assert not picture or file.stat().st_size <= MOST, f"{where} is too large"


def test_the_readme_is_short():
    words = re.sub(r"\]\([^)]*\)", "]", prose(env.ROOT / "README.md")).split()
    numbers = [word for word in words if re.search(r"\d", word)]
    assert len(words) <= 1000 and len(numbers) <= 60


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
    names = "openin,ot,caf"  # in JavaScript, a package's name, half a word
    command = [sys.executable, "-m", "codespell_lib", "--ignore-words-list", names]
    done = subprocess.run([*command, "."], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_newest_change_is_this_version():
    text = (env.ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(r"(?m)^## (\S+) ", text)[1] == pokeutils.__version__
