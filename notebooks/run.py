"""Execute the numbered notebooks in order and show what they print while they print it.

    python notebooks/run.py                             all; the core six if quick
    python notebooks/run.py --only 04_train 05_animate  some of them

The executed notebooks and their web pages go to outputs/latest/notebooks/. The first
error ends the series; the notebook that failed is kept as <name>.failed.ipynb. Ctrl-C
or SIGTERM ends it, too, after a training that is under way has saved itself.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

HERE = pathlib.Path(__file__).resolve().parent
CORE = 6  # notebooks from nothing to an honest judgement
GRACE = 120  # seconds in which a training has to save itself
# Errors that say what is wrong and what to do: nobody needs the code that met them.
SPOKEN = ("NoRoom", "SourceUnavailable", "RunIsBusy", "OutOfMemory")
SPOKEN += ("UnusableFolder", "UnusablePictures")
sys.path.insert(0, str(HERE.parent))

from pokeutils.common import device, env, files  # noqa: E402
from pokeutils.common.env import say  # noqa: E402
from pokeutils.common.interruptions import Interruptions  # noqa: E402
from pokeutils.training import runs  # noqa: E402
from pokeutils.web import gallery, template  # noqa: E402


def main(arguments=None):
    """Runs the series; returns 0, or 1 after an error, or 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="such as 04_train")
    parser.add_argument("--folder", type=pathlib.Path, help="where results are written")
    options = parser.parse_args(arguments)
    try:
        env.profile(), env.source()
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

    say(f"Profile {env.profile()}, pictures {env.source()}, {device.device_name()}.")
    try:
        return run_all(paths, options)
    except KeyboardInterrupt:
        say("\nStopped.")
        return 130
    except OSError as error:  # such as a disk that is full
        say(f"\n{error}")
        return 1


def run_all(paths, options):
    """Executes the notebooks, then says where everything is; returns an exit code."""
    latest, started = env.outputs_dir() / "latest", time.monotonic()
    folder, page = options.folder or latest / "notebooks", latest / "index.html"
    code, judged = run_series(paths, folder, page)
    if code:
        return code
    if env.profile() != "tiny" and not options.only:
        make_hatchery()
    say(f"\nAll done in {minutes(time.monotonic() - started)}.")
    say(f"Notebooks  {folder}")
    if judged:
        # Once more: when a notebook wrote it, its own page and the next were missing.
        gallery.write(judged, latest)
        say(f"Gallery    {page}\n           {page.resolve().as_uri()}")
    return 0


def written(path):
    """Returns when a file was written last, or None without one."""
    return path.stat().st_mtime_ns if path.exists() else None


def make_hatchery():
    """Makes the page of the pretrained generator, to which the gallery links.

    Only after a series on the pictures that this generator learned from, and only where
    the page is missing. Whatever stops that, the series is done.
    """
    if env.source() != "artwork":
        return
    print("\nThe hatchery", flush=True)
    command = [sys.executable, "tools/hatchery.py", "--if-missing"]
    subprocess.run(command, cwd=HERE.parent, check=False)


def run_series(paths, folder, page):
    """Executes the notebooks `paths`, each in a fresh kernel. Returns the exit code and
    the run that a gallery was written of to `page`, or None."""
    files.make_folder(folder)
    stop = Stop()
    judged, before = None, written(page)
    try:
        with stop:
            for number, path in enumerate(paths, start=1):
                left = ", ".join(p.stem for p in paths[number:])
                say(f"\n{number}/{len(paths)} {path.stem}")
                started = time.monotonic()
                if not run_one(path, folder, stop):
                    return 1, None
                if written(page) != before:
                    judged, before = runs.latest_run(), written(page)
                took = minutes(time.monotonic() - started)
                say(f"  done in {took}" + (f"; left: {left}" if left else ""))
    except KeyboardInterrupt:
        say("\nStopped. The same command goes on.")
        return stop.code, None
    return 0, judged


def run_one(path, folder, stop):
    """Executes a notebook and writes what came of it; returns whether it went well."""
    notebook = nbformat.read(path, as_version=4)
    failed = folder / f"{path.stem}.failed.ipynb"
    try:
        execute(notebook, path.parent, stop)
    except (CellExecutionError, RuntimeError) as error:
        files.write_text(failed, nbformat.writes(notebook))
        say(f"\n{path.stem} stopped at an error; as far as it came: {failed}")
        say(explain(notebook, error))
        return False
    files.write_text(folder / path.name, nbformat.writes(notebook))
    write_page(notebook, folder / f"{path.stem}.html")
    failed.unlink(missing_ok=True)
    return True


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
                say(f"  | {line.rstrip().split(chr(13))[-1]}")
        return super().process_message(msg, cell, cell_index)


class Stop(Interruptions):
    """Passes the first signal on to the running kernel, as SIGTERM: a training saves
    itself and ends, all else ends at once. Whoever presses Ctrl-C again, or waits for
    longer than GRACE, ends a training, too.

    kernel: the process of the running notebook, or None
    """

    kernel, code = None, 130

    def note(self, number, frame):
        self.code = 128 + number
        if self.kernel is None:
            raise KeyboardInterrupt
        super().note(number, frame)

    def begin_to_stop(self):
        self.tell("\nA training is saved now, which Ctrl-C again would prevent.")
        self.kernel.terminate()
        timer = threading.Timer(GRACE, self.kernel.kill)
        timer.daemon = True
        timer.start()


def execute(notebook, working_folder, stop):
    """Executes all cells, or those before an `env.Done`, writing their outputs into
    `notebook`.

    Raises CellExecutionError for the first cell that fails, DeadKernelError when the
    kernel ends early, KeyboardInterrupt when `stop` ended it.
    """
    manager = AsyncKernelManager(kernel_spec_manager=ThisPython())
    client = LiveClient(
        notebook,
        km=manager,
        timeout=None,
        record_timing=False,
        coalesce_streams=True,
        shutdown_kernel="immediate",  # what is to be saved was saved: see Stop
        resources={"metadata": {"path": str(working_folder)}},
    )
    device.settle()  # the kernel gets the variables of this process
    # The package beside this file, whichever is installed.
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    path = path.rstrip(os.pathsep)  # an empty entry would be the working folder
    with client.setup_kernel(env={**os.environ, "PYTHONPATH": path}, cleanup_kc=True):
        stop.kernel = manager.provisioner.process
        try:
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
        except (CellExecutionError, DeadKernelError) as error:
            if getattr(error, "ename", None) == env.Done.__name__:
                print(f"  | {error.evalue}", flush=True)
            elif not stop.wanted:
                raise
        finally:
            stop.kernel = None
    if stop.wanted:
        raise KeyboardInterrupt


def explain(notebook, error):
    """Returns the failed cell, the calls that led to the error, and the error last."""
    if isinstance(error, DeadKernelError):
        return "Its Python ended without a message: most likely too little memory."
    if isinstance(error, RuntimeError):
        return f"Its Python did not start, for the reason above: {error}."
    if error.ename in SPOKEN:
        return error.evalue
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
