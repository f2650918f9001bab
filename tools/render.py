"""Save the notebooks as the repository shows them, outputs included: `make render`.

    python tools/render.py                     executes all and saves them
    python tools/render.py --only 05_animate   some of them
    python tools/render.py --saved             saves what `make run` executed last

A notebook is saved with a hash of its code, so that outputs that no longer belong to
the code are noticed (`stale`), and only if its outputs are small, whole and name no
folder of this machine. Nothing is saved before all of them have run.
"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import sys

import nbformat

ROOT = pathlib.Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
sys.path[:0] = [str(ROOT), str(NOTEBOOKS)]

import run  # noqa: E402

from pokeutils.common import env, files  # noqa: E402

MOST = 1_200_000  # bytes of a notebook
MOST_PICTURE = 150_000  # bytes of a picture in it


def main(arguments=None):
    """Executes and saves; returns 0, or the exit code of the series that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="such as 05_animate")
    parser.add_argument("--saved", action="store_true", help="execute nothing")
    options = parser.parse_args(arguments)
    paths = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    names = options.only or [path.stem for path in paths]
    executed = env.outputs_dir() / "latest" / "notebooks"
    if not options.saved:
        code = run.main(["--only", *names, "--folder", str(executed)])
        if code:
            return code
    ready = [executed / path.name for path in paths if path.stem in names]
    missing = [path.stem for path in ready if not path.exists()]
    if missing:
        parser.error(f"not executed yet: {', '.join(missing)}; leave out --saved")
    texts = {path.name: rendered(path, NOTEBOOKS / path.name) for path in ready}
    for name, text in texts.items():
        files.write_text(NOTEBOOKS / name, text)
        print(f"{name}: {len(text) / 1e6:.2f} MB")
    return 0


def rendered(executed, committed):
    """Returns the text of the notebook file `committed` with the outputs of `executed`.

    Prose may have changed since the execution; code may not. Raises ValueError if it
    has, or if an output is an error, is too large, or names a folder of this machine.
    """
    notebook = nbformat.read(committed, as_version=4)
    ran = [c for c in nbformat.read(executed, as_version=4).cells if is_code(c)]
    cells = [cell for cell in notebook.cells if is_code(cell)]
    if [c.source for c in cells] != [c.source for c in ran]:
        raise ValueError(f"{committed.name} has other code than what was executed.")
    for cell, done in zip(cells, ran, strict=True):
        cell.outputs = [clean(output) for output in done.outputs if is_shown(output)]
        cell.execution_count = done.execution_count
    describe(notebook)
    notebook.metadata["rendered"] = {"code": code_hash(notebook)}
    text = nbformat.writes(notebook) + "\n"
    problem = trouble(notebook, text)
    if problem:
        raise ValueError(f"{committed.name} cannot be shown: {problem}.")
    return text


def is_code(cell):
    return cell.cell_type == "code"


def is_shown(output):
    """Whether readers see it: not what libraries say about this machine."""
    return not (output.output_type == "stream" and output.name == "stderr")


def clean(output):
    """Returns an output without widgets, and with paths seen from the project."""
    output = nbformat.from_dict(output)
    data = output.get("data", {})
    for kind in [kind for kind in data if kind.startswith("application/")]:
        del data[kind]
    if any(kind.startswith("image/") for kind in data):
        data.pop("text/plain", None)  # one picture, one format
    for holder, key in [(output, "text"), *((data, kind) for kind in data)]:
        if isinstance(holder.get(key), str) and not key.startswith("image/"):
            holder[key] = holder[key].replace(f"{ROOT}/", "")
    return output


def describe(notebook):
    """Gives every picture an alternative text: what its cell's metadata say ("alt"),
    else the sentence below that reads it, else the one above, which announces it."""
    for index, cell in enumerate(notebook.cells):
        above = [c for c in notebook.cells[:index] if not is_code(c)]
        for output in cell.get("outputs", []):
            for kind in output.get("data", {}):
                if kind.startswith("image/"):
                    text = cell.metadata.get("alt")
                    text = text or sentence(notebook.cells[index + 1 :], first=True)
                    text = text or sentence(above[::-1], first=False)
                    output.metadata.setdefault(kind, {})["alt"] = text


def sentence(cells, first):
    """Returns the first or last plain sentence of the first of `cells`, if it is prose
    without a heading before it; else ""."""
    source = cells[0].source if cells and cells[0].cell_type == "markdown" else ""
    if first and source.startswith("#"):
        return ""
    blocks = [block for block in source.split("\n\n") if block[:1] not in "#|<-$`"]
    text = " ".join((blocks[0] if first else blocks[-1]).split()) if blocks else ""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)|[*`$]", r"\1", text)
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z])", text)
    return sentences[0 if first else -1]


def trouble(notebook, text):
    """Returns what forbids showing the notebook, or None."""
    if len(text) > MOST:
        return f"it is {len(text):,} bytes long, more than {MOST:,}"
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    for output in outputs:
        if output.output_type == "error":
            return f"an output is an error ({output.evalue})"
        for kind, data in output.get("data", {}).items():
            if kind.startswith("image/") and len(data) * 3 / 4 > MOST_PICTURE:
                return f"a picture has more than {MOST_PICTURE:,} bytes"
    shown = json.dumps(outputs)
    for place in (str(ROOT), os.path.expanduser("~/")):
        if place in shown:
            return f"an output names {place}, a folder of this machine"
    return None


def code_hash(notebook):
    """Returns a hash of the notebook's code, 16 hexadecimal digits. The cell that finds
    the project does not count: it holds the repository's address."""
    cells = [cell for cell in notebook.cells if is_code(cell)]
    cells = [c for c in cells if "bootstrap" not in c.metadata.get("tags", [])]
    code = json.dumps([cell.source for cell in cells])
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def stale(notebook):
    """Whether the notebook shows outputs of code that has changed since."""
    if not any(cell.outputs for cell in notebook.cells if is_code(cell)):
        return False
    return notebook.metadata.get("rendered", {}).get("code") != code_hash(notebook)


if __name__ == "__main__":
    sys.exit(main())
