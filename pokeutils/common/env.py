"""Where am I: platform, folders, profile, versions, and a report of them all, which
never import TensorFlow, and so are fast.
"""

import importlib.util
import os
import pathlib
import re
import socket
import subprocess
import sys

from pokeutils.common import device


def _checkout():
    """The project that this file belongs to; where pip has copied the package alone to
    site-packages, the one around the working folder, if there is one."""
    own = pathlib.Path(__file__).resolve().parents[2]
    if not (own / "pyproject.toml").exists():
        here = pathlib.Path.cwd()
        for folder in (here, *here.parents):
            if (folder / "pyproject.toml").exists() and (folder / "pokeutils").exists():
                return folder
    return own


ROOT = _checkout()  # what is committed is read here: pretrained networks, the gallery
DRIVE = pathlib.Path("/content/drive/MyDrive")  # where Colab mounts Google Drive
PROFILES = ("tiny", "quick", "full")
_MISSING = object()


class Done(Exception):
    """Raised in a notebook that has nothing left to do, with a sentence that says why:
    its cells end there, without a traceback, and for `make run` all is well."""

    def _render_traceback_(self):  # what Jupyter shows instead of one
        return [str(self)]


def platform():
    """Returns "colab", "kaggle" or "local"."""
    # Kaggle first: its image is built on Colab's and carries some of its marks.
    if "KAGGLE_KERNEL_RUN_TYPE" in os.environ or "kaggle_secrets" in sys.modules:
        return "kaggle"
    if "COLAB_RELEASE_TAG" in os.environ or "google.colab" in sys.modules:
        return "colab"
    return "local"


def data_dir():
    """Returns the folder of fetched and prepared pictures (may not exist yet)."""
    return _project_folder("POKEUTILS_DATA", "data")


def outputs_dir():
    """Returns the folder of runs and galleries (may not exist yet): on Colab it is on
    the Drive if one is mounted, as what is elsewhere ends with the session."""
    configured = os.environ.get("POKEUTILS_OUTPUTS")
    if not configured and platform() == "colab" and DRIVE.is_dir():
        return DRIVE / "pokemon-gan" / "outputs"
    return _project_folder("POKEUTILS_OUTPUTS", "outputs")


def _project_folder(variable, name):
    is_checkout = (ROOT / "pyproject.toml").exists()  # not a copy in site-packages
    if os.environ.get(variable):
        # Not from the current folder: a notebook's is another than that of `make run`.
        start = ROOT if is_checkout else pathlib.Path.cwd()
        return (start / pathlib.Path(os.environ[variable]).expanduser()).resolve()
    if is_checkout and os.access(ROOT, os.W_OK):
        return ROOT / name
    kaggle = pathlib.Path("/kaggle/working")  # what Kaggle keeps; its inputs are fixed
    return (kaggle if platform() == "kaggle" else pathlib.Path.cwd()) / name


def profile():
    """Returns "tiny" (for tests), "quick" (a CPU) or "full" (a GPU):
    POKEUTILS_PROFILE, else by the device. Raises ValueError for another."""
    name = os.environ.get("POKEUTILS_PROFILE")
    if not name:
        return "quick" if device.accelerator() == "cpu" else "full"
    if name not in PROFILES:
        raise ValueError(
            f"POKEUTILS_PROFILE is {name!r}; expected one of {', '.join(PROFILES)}."
        )
    return name


def pick(*, quick, full, tiny=_MISSING):
    """Returns the value for the current profile; without `tiny`, tiny uses `quick`."""
    values = {"tiny": quick if tiny is _MISSING else tiny, "quick": quick, "full": full}
    return values[profile()]


def source():
    """Returns the name of the picture set to use: POKEUTILS_SOURCE, else "artwork".
    Raises ValueError for one that nobody can print."""
    name = os.environ.get("POKEUTILS_SOURCE") or "artwork"
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no text
        raise ValueError(
            f"POKEUTILS_SOURCE is not UTF-8: {ascii(name)}. Rename that folder."
        ) from None
    return name


# Missing packages ---------------------------------------------------------------------

INTERNET = "on Kaggle, switch Settings > Internet on, then run this again"


def install_missing(show=print):
    """Installs, on Colab and Kaggle, what pyproject.toml asks for and is not there at
    all; the versions that they have stay. Elsewhere, and where pip fails, it says what
    is left out: what does not need that works all the same."""
    missing = [wanted for wanted in _requirements() if not _is_installed(wanted)]
    if missing and (platform() == "local" or not _pip(missing)):
        how = INTERNET if platform() == "kaggle" else f"pip install {' '.join(missing)}"
        names = ", ".join(map(_name, missing))
        show(f"Left out, as it is not installed: {names}. To have it: {how}.")


def need(module, requirement, show=print):
    """Makes sure that `module` can be imported. Colab and Kaggle lack a few: there its
    pinned `requirement` is installed. Elsewhere, raises RuntimeError that says how."""
    if importlib.util.find_spec(module):
        return
    if platform() == "local":
        raise RuntimeError(f"{module} is not installed: pip install {requirement}")
    show(f"pip install {requirement}")
    if not _pip(requirement.split()):
        raise RuntimeError(
            f"{module} is missing, and `pip install {requirement}` failed: {INTERNET}."
        )


def _requirements():
    import tomllib  # needed once

    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
        return project["project"]["dependencies"]
    except FileNotFoundError:  # pip has installed the package, and what it asks for
        return []


def _is_installed(requirement):
    return device.version_of(_name(requirement)) is not None


def _name(requirement):
    return re.match(r"[\w.-]+", requirement)[0]


def _pip(requirements):
    """Installs quietly; returns whether that worked, soon also without a network."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--retries=1"]
    pip += ["--disable-pip-version-check", "--root-user-action=ignore", *requirements]
    done = subprocess.run(pip, capture_output=True).returncode == 0
    importlib.invalidate_caches()
    return done


# The report ---------------------------------------------------------------------------


def say(*words, **options):
    """Prints on whatever is there: with question marks for what it has no letters for,
    and in silence once nobody listens. In `make run | tee log`, tee is gone after
    Ctrl-C, before what is to be saved is saved."""
    options = {"flush": True, **options}
    try:
        print(*words, **options)
    except UnicodeEncodeError:
        sys.stdout.reconfigure(errors="replace")
        print(*words, **options)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def versions():
    """Returns {name: version} of Python and the packages that decide a run."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    names = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "keras": ("keras",)}
    names |= {name: (name,) for name in ("numpy", "pillow", "resvg_py")}
    for name, distributions in names.items():
        for version in filter(None, map(device.version_of, distributions)):
            found.setdefault(name, version)
    return found


def git_commit():
    """Returns the commit this checkout stands on ("-dirty" when edited), or None."""
    if not (ROOT / ".git").exists():
        return None
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    command += ["--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None


def report(trains=False):
    """Prints platform, profile, versions, device and folders, and what could be better;
    no absolute path, so that a notebook can be saved with it. Call it before TensorFlow
    is imported, which it makes fast and quiet: see `device.settle()`.

    trains: the notebook trains a network, and would be faster on a GPU.
    """
    device.settle()
    found = versions()
    names = ("python", "keras", "tensorflow", "numpy")
    packages = ", ".join(f"{name} {found.get(name, 'missing')}" for name in names)
    chosen = "POKEUTILS_PROFILE" if os.environ.get("POKEUTILS_PROFILE") else "device"
    print(f"platform  {platform()}, {packages}")
    name, dtype = device.device_name(), device.training_dtype()
    print(f"device    {device.accelerator().upper()}: {name}; {dtype}")
    print(f"profile   {profile()} (chosen by {chosen})")
    print(f"folders   {_short(data_dir())}, {_short(outputs_dir())}")
    for hint in _hints(trains):
        print(hint)


def _short(path):
    """Returns `path` relative to the project, else to the home folder, else whole."""
    home = os.path.expanduser("~")  # as it is for a user without one
    for base, prefix in ((ROOT, ""), (home, "~/")):
        if path.is_relative_to(base):
            return f"{prefix}{path.relative_to(base).as_posix()}/"
    return f"{path.as_posix()}/"


def _hints(trains):
    where = platform()
    if not importlib.util.find_spec("tensorflow"):
        yield (
            "TensorFlow is missing, and without it nothing can be trained or drawn: "
            'pip install "tensorflow==2.20.*"'
        )
    elif device.accelerator() == "cpu":
        if gpu := device.gpu():
            yield f"Note: this TensorFlow does not use the {gpu['name']} that is here."
        if trains and where == "colab":
            yield "No GPU: Runtime > Change runtime type > T4 GPU, then Run all again."
        if trains and where == "kaggle":
            yield "No GPU: Settings > Accelerator > GPU T4 x2, then Run all again."
    here = source() == "doodles" or (data_dir() / "raw" / source()).exists()
    if where == "kaggle" and not here and not _is_online():
        yield (
            "GitHub does not answer, so pictures may be out of reach: Settings > "
            "Internet > On (verified accounts), or `%env POKEUTILS_SOURCE=doodles`."
        )


def _is_online():
    try:
        socket.create_connection(("github.com", 443), timeout=3).close()
    except OSError:
        return False
    return True
