"""Tell notebooks and README where the repository is: `make badges`.

The repository is the one that git calls origin; `make badges REPO=owner/name` names
another. Writes its address into the cell that clones the project, badges that open a
notebook on Colab and Kaggle below its title, and links beside each notebook in the
README. Links from notebook to notebook become absolute: Colab and Kaggle have only the
one that is open. Again with another name: replaces them.
"""

import argparse
import pathlib
import re
import subprocess
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
    parser.add_argument("repo", metavar="owner/name", nargs="?", help="on GitHub")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT, help="the project")
    options = parser.parse_args(arguments)
    repo = options.repo or origin(options.root)
    if not re.fullmatch(r"[\w-]+/[\w.-]+", repo):
        parser.error(
            f"the repository is {repo!r}; expected one on GitHub: make badges "
            "REPO=owner/name"
        )
    paths = sorted((options.root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        stamp(notebook, repo, path.name)
        files.write_text(path, nbformat.writes(notebook) + "\n")
    readme = options.root / "README.md"
    files.write_text(readme, with_links(readme.read_text("utf-8"), repo))
    print(f"README.md and {len(paths)} notebooks open from github.com/{repo}")


def origin(root):
    """Returns owner/name of the repository on GitHub that git calls origin, or what it
    says instead."""
    command = ["git", "-C", str(root), "remote", "get-url", "origin"]
    url = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    found = re.search(r"github\.com[:/]([\w-]+/[\w.-]+?)(\.git)?/?$", url)
    return found[1] if found else url


def stamp(notebook, repo, name):
    """Puts address, badges and absolute links into a notebook, replacing older ones."""
    new = f"https://github.com/{repo}"
    for cell in notebook.cells:
        if "bootstrap" in cell.metadata.get("tags", []):
            old = re.search(ADDRESS, cell.source)[0]
            cell.source = cell.source.replace(old, new)
    title, *rest = notebook.cells[0].source.split("\n")
    text = "\n".join(rest).strip("\n")
    if text.startswith("[![Open in Colab]"):
        text = text.partition("\n")[2].strip("\n")
    notebook.cells[0].source = text
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = absolute(relative(cell.source, old), new)
    badges = BADGES.format(repo=repo, name=name)
    text = notebook.cells[0].source
    notebook.cells[0].source = f"{title}\n\n{badges}\n\n{text}".rstrip()


def relative(text, address):
    """Returns Markdown whose links into the repository are relative to notebooks/."""
    link = rf"\]\({re.escape(address)}/(?:blob|raw)/main/(notebooks/)?"
    return re.sub(link, lambda found: "](" if found[1] else "](../", text)


def absolute(text, address):
    """Returns Markdown whose relative links, seen from notebooks/, name the address."""

    def full(found):
        kind = "raw" if found["picture"] else "blob"
        folder = "" if found["up"] else "notebooks/"
        return f"{found['words']}{address}/{kind}/main/{folder}"

    link = r"(?P<words>(?P<picture>!?)\[[^][]*\]\()(?!\w+:|#)(?P<up>\.\./)?"
    return re.sub(link, full, text)


def with_links(text, repo):
    """Returns the README with links behind the notebooks in its table."""
    text = re.sub(r" \(\[Colab\]\(\S+\), \[Kaggle\]\(\S+\)\)", "", text)
    row = r"^(\| \[[^]]+\]\(notebooks/([\w.]+)\))"
    add = lambda found: found[1] + LINKS.format(repo=repo, name=found[2])  # noqa: E731
    return re.sub(row, add, text, flags=re.MULTILINE)


if __name__ == "__main__":
    main()
