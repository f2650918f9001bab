"""Tell notebooks and README where the repository is: `make badges REPO=owner/name`.

Writes the address into the cell that clones the project, badges that open a notebook
on Colab and Kaggle below its title, and links beside each notebook in the README. Again
with another name: replaces them.
"""

import argparse
import pathlib
import re
import sys

import nbformat

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pokeutils.common import files  # noqa: E402

COLAB = "https://colab.research.google.com/github/{repo}/blob/main/notebooks/{name}"
KAGGLE = "https://kaggle.com/kernels/welcome?src="
KAGGLE += "https://github.com/{repo}/blob/main/notebooks/{name}"
BADGES = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    f"({COLAB}) "
    "[![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)]"
    f"({KAGGLE})"
)
LINKS = f" ([Colab]({COLAB}), [Kaggle]({KAGGLE}))"
ADDRESS = r"https://github\.com/[\w.-]+/[\w.-]+"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repo", metavar="owner/name", help="on GitHub")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT, help="the project")
    options = parser.parse_args(arguments)
    if not re.fullmatch(r"[\w-]+/[\w.-]+", options.repo):
        parser.error(f"REPO={options.repo!r}; expected owner/name, as GitHub writes it")
    paths = sorted((options.root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        stamp(notebook, options.repo, path.name)
        files.write_text(path, nbformat.writes(notebook) + "\n")
    readme = options.root / "README.md"
    files.write_text(readme, with_links(readme.read_text("utf-8"), options.repo))
    print(f"README.md and {len(paths)} notebooks open from github.com/{options.repo}")


def stamp(notebook, repo, name):
    """Puts address and badges into a notebook, in place of older ones."""
    title, *rest = notebook.cells[0].source.split("\n")
    text = "\n".join(rest).strip("\n")
    if text.startswith("[![Open in Colab]"):
        text = text.partition("\n")[2].strip("\n")
    badges = BADGES.format(repo=repo, name=name)
    notebook.cells[0].source = f"{title}\n\n{badges}\n\n{text}".rstrip()
    for cell in notebook.cells:
        if "bootstrap" in cell.metadata.get("tags", []):
            address = f"https://github.com/{repo}"
            cell.source = re.sub(ADDRESS, address, cell.source)


def with_links(text, repo):
    """Returns the README with links behind the notebooks in its table."""
    text = re.sub(r" \(\[Colab\]\(\S+\), \[Kaggle\]\(\S+\)\)", "", text)
    row = r"^(\| \[[^]]+\]\(notebooks/([\w.]+)\))"
    add = lambda found: found[1] + LINKS.format(repo=repo, name=found[2])  # noqa: E731
    return re.sub(row, add, text, flags=re.MULTILINE)


if __name__ == "__main__":
    main()
