"""Execute the numbered notebooks in order and show what they print while they print it.

    python notebooks/run.py                             all; the core six if quick
    python notebooks/run.py --only 04_train 05_animate  some of them

The executed notebooks and their web pages go to outputs/latest/notebooks/. The first
error ends the series; the notebook that failed is kept as <name>.failed.ipynb.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

HERE = pathlib.Path(__file__).resolve().parent
CORE = 6  # notebooks from nothing to an honest judgement
sys.path.insert(0, str(HERE.parent))

from pokeutils.common import device, env, files  # noqa: E402
from pokeutils.training import runs  # noqa: E402
from pokeutils.web import gallery, template  # noqa: E402


def main(arguments=None):
    """Runs the series; returns 0, or 1 after an error, or 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="such as 04_train")
    parser.add_argument("--folder", type=pathlib.Path, help="where results are written")
    options = parser.parse_args(arguments)
    try:
        env.profile()
    except ValueError as error:
        parser.error(str(error))

    paths = sorted(HERE.glob("[0-9][0-9]_*.ipynb"))
    names = [path.stem for path in paths]
    unknown = sorted(set(options.only or ()) - set(names))
    if unknown:
        parser.error(f"no notebook {', '.join(unknown)}; there are {', '.join(names)}")
    if options.only:
        paths = [path for path in paths if path.stem in options.only]
    elif env.profile() == "quick":  # ten minutes: without what lies beyond
        paths = paths[:CORE]
    latest = env.outputs_dir() / "latest"
    folder = options.folder or latest / "notebooks"

    print(f"Profile {env.profile()}, pictures {env.source()}, {device.device_name()}.")
    started = time.time()
    code = run_series(paths, folder)
    if code == 0:
        if env.profile() != "tiny" and not options.only:
            make_hatchery()
        print(f"\nAll done in {minutes(time.time() - started)}.")
        print(f"Notebooks  {folder}")
        page = latest / "index.html"
        if page.exists() and page.stat().st_mtime >= started:
            # Once more: when the last notebook wrote it, its own page was missing.
            gallery.write(runs.latest_run(), latest)
            print(f"Gallery    {page}\n           {page.resolve().as_uri()}")
    return code


def make_hatchery():
    """Makes the page of the pretrained generator, to which the gallery links.

    Only after a series on the pictures that this generator learned from, and only where
    the page is missing. Whatever stops that, the series is done.
    """
    if env.source() != "artwork":
        return
    print("\nThe hatchery", flush=True)
    command = [sys.executable, "-m", "pokeutils.web.hatchery", "--if-missing"]
    subprocess.run(command, cwd=HERE.parent, check=False)


def run_series(paths, folder):
    """Executes the notebooks `paths`, each in a fresh kernel; returns the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(paths, start=1):
        left = ", ".join(p.stem for p in paths[number:])
        print(f"\n{number}/{len(paths)} {path.stem}", flush=True)
        started = time.monotonic()
        notebook = nbformat.read(path, as_version=4)
        failed = folder / f"{path.stem}.failed.ipynb"
        try:
            execute(notebook, path.parent)
        except KeyboardInterrupt:
            print("\nStopped.")
            return 130
        except (CellExecutionError, DeadKernelError) as error:
            files.write_text(failed, nbformat.writes(notebook))
            print(f"\n{path.stem} stopped at an error; as far as it came: {failed}")
            print(explain(notebook, error))
            return 1
        files.write_text(folder / path.name, nbformat.writes(notebook))
        write_page(notebook, folder / f"{path.stem}.html")
        failed.unlink(missing_ok=True)
        took = minutes(time.monotonic() - started)
        print(f"  done in {took}" + (f"; left: {left}" if left else ""), flush=True)
    return 0


def minutes(seconds):
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} minutes"


# ---------------------------------------------------------------------- execution


class ThisPython(KernelSpecManager):
    """Kernels of the Python that runs this file, whatever "python3" is elsewhere."""

    def get_kernel_spec(self, kernel_name):
        command = [sys.executable, "-m", "ipykernel_launcher"]
        command += ["-f", "{connection_file}", "--HistoryManager.enabled=False"]
        command += ["--IPKernelApp.log_level=ERROR"]  # no remarks on encryption
        return KernelSpec(argv=command, display_name=kernel_name, language="python")


class LiveClient(NotebookClient):
    """A NotebookClient that prints each finished line of the cells' standard output."""

    unfinished = ""

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] == "stream" and msg["content"]["name"] == "stdout":
            text = self.unfinished + msg["content"]["text"]
            *lines, self.unfinished = text.split("\n")
            for line in lines:  # a progress bar writes over itself with \r
                print(f"  | {line.rstrip().split(chr(13))[-1]}", flush=True)
        return super().process_message(msg, cell, cell_index)


def execute(notebook, working_folder):
    """Executes all cells, writing their outputs into `notebook`.

    Raises CellExecutionError for the first cell that fails, DeadKernelError when the
    kernel ends early, KeyboardInterrupt after Ctrl-C.
    """
    manager = AsyncKernelManager(kernel_spec_manager=ThisPython())
    client = LiveClient(
        notebook,
        km=manager,
        timeout=None,
        record_timing=False,
        coalesce_streams=True,
        shutdown_kernel="immediate",  # nothing is left to save
        resources={"metadata": {"path": str(working_folder)}},
    )
    device.settle()  # the kernel gets the variables of this process
    # The package beside this file, whichever is installed.
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    path = path.rstrip(os.pathsep)  # an empty entry would be the working folder
    with client.setup_kernel(env={**os.environ, "PYTHONPATH": path}, cleanup_kc=True):
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)


def explain(notebook, error):
    """Returns the failed cell, the calls that led to the error, and the error last."""
    if isinstance(error, DeadKernelError):
        return "Its Python ended without a message: most likely too little memory."
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    failed = next(c for c in cells if any(o.output_type == "error" for o in c.outputs))
    source = failed.source.splitlines()
    if len(source) > 12:
        source = [*source[:12], "..."]
    traceback = re.sub(r"\x1b\[[0-9;]*m", "", error.traceback).splitlines()
    calls = [line for line in traceback if re.match(r"(File|Cell In|-+> ?\d)", line)]
    lines = ["", *source, "", *calls[-8:], "", f"{error.ename}: {error.evalue}"]
    return "\n".join(f"  {line}".rstrip() for line in lines)


# ---------------------------------------------------------------------- web pages


def write_page(notebook, path):
    """Writes `notebook` as one page that needs no network, with links to the others.

    Its cells are nbconvert's "basic" template; around them is our own page. nbconvert's
    "lab" would add 290 kB of style to each, and asks four times for the network.
    """
    from nbconvert import HTMLExporter  # a second, needed only once there is a result
    from pygments.formatters import HtmlFormatter

    exporter = HTMLExporter(
        template_name="basic",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    cells, _ = exporter.from_notebook_node(notebook)
    # Links to other notebooks, absolute or not (tools/badges.py): to their pages here.
    link = r'href="(?:https://github\.com/[^"]*/notebooks/)?(\d\d_\w+)\.ipynb'
    cells = re.sub(link, r'href="\1.html', cells)
    light, dark = (
        HtmlFormatter(style=style).get_style_defs(".highlight")
        for style in ("default", "github-dark")
    )
    names = {page.stem for page in HERE.glob("[0-9][0-9]_*.ipynb")} | {path.stem}
    page = template.render(
        "notebook.html",
        env.source(),
        name=path.stem,
        names=sorted(names),
        cells=cells,
        light=light,
        dark=dark,
    )
    files.write_text(path, page)


if __name__ == "__main__":
    sys.exit(main())
