"""Make .venv and install what a `make` command needs; nearly free when it is there.

    python tools/set_up.py run    or another name in EXTRAS

Needs only the standard library. A record in .venv says what was installed, and is
written last, so that an interrupted installation is done again.
"""

import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
RECORD = VENV / "installed.json"
LOG = VENV / "install.log"
# Not sys.executable, which may be that of a broken .venv to be replaced.
BASE = getattr(sys, "_base_executable", sys.executable)
# Commands with a .venv of their own, and the folder that has it and requirements.txt.
APART = {"bench": ROOT / "benchmarks"}
EXTRAS = {
    "run": ["notebooks"],
    "render": ["notebooks"],
    "badges": ["notebooks"],
    "test": ["notebooks", "test"],
    "lab": ["notebooks", "lab"],
    "train": ["notebooks"],
    "compare": ["notebooks"],
    "hatchery": ["notebooks"],
    "bench": [],
}
IMPORTS = {
    "run": "keras, tensorflow, matplotlib.pyplot, nbconvert, ipykernel.kernelapp",
    "render": "keras, tensorflow, matplotlib.pyplot, nbconvert, ipykernel.kernelapp",
    "badges": "nbformat",
    "test": "keras, tensorflow, matplotlib.pyplot, nbconvert, jax, pytest",
    "lab": "keras, tensorflow, matplotlib.pyplot, ipykernel.kernelapp, jupyterlab",
    "train": "keras, tensorflow",
    "compare": "keras, tensorflow",
    "hatchery": "keras, tensorflow",
    "bench": "keras, tensorflow, torch",
}


def main(command):
    started = time.monotonic()

    def say(line):
        print(f"set-up {time.monotonic() - started:4.0f} s  {line}", flush=True)

    if command in APART:
        move_to(APART[command])
    # Open for writing, though nothing is written: NFS locks no other files.
    project = ROOT / "pyproject.toml"
    with open(project, "rb+" if os.access(project, os.W_OK) else "rb") as file:
        wait_for_other_set_ups(file, say)
        set_up(command, tomllib.load(file)["project"], say)


def move_to(folder):
    """Lets everything from here on be about the .venv in `folder`."""
    global VENV, RECORD, LOG
    VENV = folder / ".venv"
    RECORD, LOG = VENV / "installed.json", VENV / "install.log"


def set_up(command, project, say):
    """Brings .venv up to what `project`, a pyproject table, asks for `command`."""
    apart = command in APART
    more = APART[command] / "requirements.txt" if apart else None
    described = json.dumps(project) + (more.read_text() if apart else "")
    wanted = hashlib.sha256(described.encode()).hexdigest()
    record = read_record()
    python_is_there = (VENV / "bin" / "python").exists()
    current = record and record["project"] == wanted and python_is_there
    done = record["extras"] if current else []
    if current and set(EXTRAS[command]) <= set(done):
        return
    device = record["device"] if record else "gpu" if has_gpu() else "cpu"
    device = "cpu" if apart else device  # what is compared there is for processors
    extras = sorted({*done, *EXTRAS[command]})

    if not (python_is_there and can_install()):
        version = ".".join(map(str, sys.version_info[:3]))
        say(f"Python {version} ({BASE}) makes .venv")
        make_venv()
    say(f"installing packages into .venv for `make {command}`, on {device}")
    install([device, *extras], say, more)
    first_import(command, say)
    new_record = {"project": wanted, "device": device, "extras": extras}
    temporary = RECORD.with_suffix(".new")
    temporary.write_text(json.dumps(new_record))
    os.replace(temporary, RECORD)
    say("ready")


def wait_for_other_set_ups(file, say):
    """Locks the open `file`, until it is closed; goes on where drives have no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("waiting for another set-up of this folder")
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        say(f"no locks on this drive ({error}): one `make` at a time, please")


def read_record():
    try:
        return json.loads(RECORD.read_text())
    except (OSError, ValueError):
        return None


def has_gpu():
    program = shutil.which("nvidia-smi")
    if program is None or sys.platform != "linux":
        return False
    return subprocess.run([program, "-L"], capture_output=True).returncode == 0


def can_install():
    command = [VENV / "bin" / "python", "-m", "pip", "--version"]
    return subprocess.run(command, capture_output=True).returncode == 0


def make_venv():
    command = [BASE, "-m", "venv", "--clear", str(VENV)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stdout + done.stderr).strip().splitlines() or ["no reason given"]
        sys.exit(f"{BASE} could not make .venv: {reason[-1]}")


def install(extras, say, more=None):
    """Runs pip, shows its larger steps, keeps all it says in .venv/install.log.

    more: a file of further requirements.
    """
    command = [VENV / "bin" / "python", "-m", "pip", "install", "--progress-bar=off"]
    command += ["--disable-pip-version-check", "-e", f".[{','.join(extras)}]"]
    command += ["-r", str(more)] if more else []
    # Less than a tenth of it is ever imported: first_import() compiles just that.
    command += ["--no-compile"]
    with (
        open(LOG, "w") as log,
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as pip,
    ):
        for line in pip.stdout:
            log.write(line)
            # "Downloading x-1.0-py3-none-any.whl (253.2 MB)", or "Using cached ..."
            wheel = re.match(r"\s*(\w+ )+(\S+?-[^-\s]+)-\S+ \((\d\d+)\.\d MB\)", line)
            if wheel:
                say(f"{wheel[1].lower()}{wheel[2]}, {wheel[3]} MB")
            elif line.startswith("Installing collected packages:"):
                say(f"unpacking {line.count(',') + 1} packages")
    if pip.returncode:
        sys.exit(explain(LOG.read_text()))


def first_import(command, say):
    """Compiles what is imported, also where Python is told to write no bytecode."""
    say("first import, which compiles what is used")
    settings = {"PYTHONDONTWRITEBYTECODE": "", "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [VENV / "bin" / "python", "-c", f"import {IMPORTS[command]}"],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )
    if done.returncode in (-signal.SIGILL, -signal.SIGABRT):  # it ends itself, mostly
        sys.exit("TensorFlow cannot start on this processor: it needs AVX.")
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        sys.exit(f"The first import was ended by {name}; is the memory too small?")
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1]
        sys.exit(f"The packages are installed but cannot be imported: {reason}")


def explain(log):
    """Returns one sentence about why pip failed."""
    where = f"(all that pip said: {os.path.relpath(LOG, ROOT)})"
    if "No space left on device" in log:
        free = shutil.disk_usage(ROOT).free / 2**30
        return f"The disk is full: {free:.1f} GB free, about 3 GB needed {where}."
    if re.search(r"NewConnection|NameResolution|ProxyError|timed out|SSLError", log):
        return (
            "pip cannot reach its package index: check the network, the proxy or "
            f"pip's configuration, then run the same command again {where}."
        )
    errors = [line for line in log.splitlines() if line.startswith("ERROR: ")]
    return f"pip failed: {errors[-1][7:] if errors else 'no reason given'} {where}"


if __name__ == "__main__":
    main(sys.argv[1])
