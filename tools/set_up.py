"""Make .venv and install what a `make` command needs; nearly free when it is there.

    python tools/set_up.py run    or another make command

Needs only the standard library: pip installs uv, and uv the rest. A record in .venv
says what was installed. It is written last, so an interrupted installation is done
again.
"""

import ast
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
# Not sys.executable, which may belong to a broken .venv that is to be replaced.
BASE = getattr(sys, "_base_executable", sys.executable)
UV = "uv==0.13.*"
# bench has a .venv of its own, and requirements.txt beside it.
EXTRAS = {"test": {"notebooks", "test"}, "lab": {"notebooks", "lab"}, "bench": set()}
IMPORTS = "keras, tensorflow, matplotlib.pyplot, nbconvert, ipykernel.kernelapp"
# What pip is configured with, and where uv looks for it.
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "constraint": "UV_CONSTRAINT",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
STARTED = time.monotonic()


def say(line):
    print(f"set-up {time.monotonic() - STARTED:4.0f} s  {line}", flush=True)


def main(command):
    sys.stdout.reconfigure(errors="replace")  # a terminal may have no letter é
    if not has_home():
        sys.exit(
            "This user has no home folder to write to, which Jupyter needs: set HOME "
            f"to one, as in HOME=/tmp make {command}."
        )
    try:
        locked(command)
    except OSError as error:
        sys.exit(f"{ROOT} cannot be set up: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped; the same command installs it anew.")


def has_home():
    """Whether there is a home folder, or can be one. A container that runs as a number
    without a name has none, or /."""
    home = pathlib.Path(os.path.expanduser("~"))
    while not home.exists() and home != home.parent:
        home = home.parent
    return home.is_absolute() and os.access(home, os.W_OK)


def locked(command):
    """Sets up as soon as no other process does that in this folder."""
    project = ROOT / "pyproject.toml"
    # Open for writing, though nothing is written: NFS locks no other files.
    with open(project, "rb+" if os.access(project, os.W_OK) else "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another set-up of this folder")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            say(f"no locks on this drive ({error}): one `make` at a time, please")
        set_up(command, tomllib.load(file)["project"], ROOT)


def set_up(command, project, root):
    """Brings .venv up to what `project`, a table of pyproject.toml, asks for."""
    venv, more = root / ".venv", []
    if command == "bench":
        venv = root / "benchmarks" / ".venv"
        more = ["-r", venv.parent / "requirements.txt"]
    described = json.dumps(project) + "".join(path.read_text() for path in more[1:])
    wanted = hashlib.sha256(described.encode()).hexdigest()
    record, works = read_record(venv), is_working(venv)
    is_current = works and record.get("project") == wanted
    extras = record["extras"] if is_current else set()
    needed = EXTRAS.get(command, {"notebooks"})
    if is_current and needed <= extras:
        return

    if not works:
        say(f"{BASE} makes .venv with Python {sys.version.split()[0]}")
        run([BASE, "-m", "venv", "--clear", venv])
    device = "cpu" if more else record.get("device") or device_here()
    extras = sorted(extras | needed)
    say(f"installing packages into .venv for `make {command}`, on {device}")
    install(venv, ["-e", f"{root}[{','.join([device, *extras])}]", *more])
    first_import(venv, "keras, tensorflow, torch" if more else IMPORTS)
    new = {"project": wanted, "device": device, "extras": extras}
    (venv / "installed.new").write_text(json.dumps(new))
    os.replace(venv / "installed.new", venv / "installed.json")
    say("ready")


def read_record(venv):
    """Returns what the record in `venv` says; {} where it says nothing of use."""
    try:
        record = json.loads((venv / "installed.json").read_text())
        return {**record, "extras": set(record["extras"])}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}


def is_working(venv):
    """Whether the Python of `venv` starts and finds its packages. Once the system has
    moved on to another version of Python, it looks for them in another folder."""
    try:
        command = [venv / "bin" / "python", "-c", "import pip"]
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def device_here():
    """Returns the extra with the TensorFlow of this machine: "gpu" or "cpu"."""
    program = shutil.which("nvidia-smi")
    if program is None or sys.platform != "linux":
        return "cpu"
    try:
        answer = subprocess.run([program, "-L"], capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):  # a driver without a device
        return "cpu"
    return "cpu" if answer.returncode else "gpu"


def install(venv, packages):
    """Installs `packages` into `venv`: uv with pip, and the rest with uv."""
    python = venv / "bin" / "python"
    run([python, "-m", "pip", "install", "--quiet", UV])
    configured = [python, "-m", "pip", "config", "list"]
    configured = subprocess.run(configured, capture_output=True, text=True).stdout
    uv = [venv / "bin" / "uv", "pip", "install", "--python", python]
    run([*uv, *packages], uv_settings(configured))


def uv_settings(configured):
    """Returns environment variables that let uv install from where pip does: uv does
    not read pip's configuration. Those that are set already win.

    configured: what `pip config list` prints.
    """
    # As pip does: the best version of all indexes, and the system's certificates.
    found = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_SYSTEM_CERTS": "1"}
    for section in ("global", "install", ":env:"):  # the later ones win
        for line in configured.splitlines():
            key, _, value = line.partition("=")
            name = UV_NAMES.get(key.removeprefix(f"{section}."))
            if name:
                comma = "," if name == "UV_FIND_LINKS" else " "
                found[name] = comma.join(ast.literal_eval(value).split())
    return {**found, **os.environ}


def run(command, environment=None):
    """Runs an installer and shows its larger steps. Exits if it fails, and says why."""
    lines = []
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        for line in process.stdout:
            lines.append(line)
            if re.match(r"(Resolved|Downloading|Prepared|Installed) ", line):
                say(line.strip())
    if process.returncode:
        sys.exit(explain(lines[-20:]))


def explain(lines):
    """Returns why an installer failed, from its last lines: a reason and a sentence."""
    free = shutil.disk_usage(ROOT).free / 2**30
    known = {
        "No space left on device": f"The disk is full: {free:.1f} GB free, about 3 GB "
        "needed.",
        "Read-only file system|Permission denied": f"{ROOT} cannot be written to: copy "
        "it to a folder of yours.",
        "NewConnection|Proxy|timed out|SSLError|Failed to fetch": "The package index "
        "cannot be reached: check the network, the proxy or pip's configuration, then "
        "run the same command again.",
    }
    for pattern, sentence in known.items():
        found = [line.strip() for line in lines if re.search(pattern, line)]
        if found:
            return f"{found[-1]}\n{sentence}"
    return f"{''.join(lines)}\nThe installation failed, for the reason above."


def first_import(venv, modules):
    """Imports `modules`, which compiles them, and exits if they cannot start here."""
    say("first import, which compiles what is used")
    settings = {"PYTHONDONTWRITEBYTECODE": "", "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [venv / "bin" / "python", "-c", f"import {modules}"]
    done = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True
    )
    if done.returncode in (-signal.SIGILL, -signal.SIGABRT):  # it ends itself, mostly
        sys.exit("TensorFlow cannot start on this processor: it needs AVX.")
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        sys.exit(f"The first import was ended by {name}; is the memory too small?")
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1]
        sys.exit(f"The packages are installed but cannot be imported: {reason}")


if __name__ == "__main__":
    main(sys.argv[1])
