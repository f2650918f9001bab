"""Where am I: platform, folders, profile, versions, and a report of them all.

Answers come from environment variables, the file system and `nvidia-smi`, never from
importing TensorFlow, so that `import pokeutils.common.env` and `report()` are fast.
"""

import importlib.util
import os
import pathlib
import subprocess
import sys

from pokeutils.common import device

ROOT = pathlib.Path(__file__).resolve().parents[2]  # the folder that holds pokeutils/
DRIVE = pathlib.Path("/content/drive/MyDrive")  # where Colab mounts Google Drive
PROFILES = ("tiny", "quick", "full")
_MISSING = object()


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
    """Returns "tiny" (for tests), "quick" (a CPU) or "full" (a GPU or TPU):
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
    """Returns the name of the picture set to use: POKEUTILS_SOURCE, else "artwork"."""
    return os.environ.get("POKEUTILS_SOURCE") or "artwork"


def need(module, requirement, show=print):
    """Makes sure that `module` can be imported. Colab and Kaggle lack a few: there its
    pinned `requirement` is installed. Elsewhere, raises RuntimeError that says how."""
    if importlib.util.find_spec(module):
        return
    if platform() == "local":
        raise RuntimeError(f"{module} is not installed: pip install {requirement}")
    show(f"pip install {requirement}")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", *requirement.split()]
    if subprocess.run(pip).returncode:
        raise RuntimeError(
            f"{module} is missing, and `pip install {requirement}` failed. On Kaggle, "
            "switch Settings > Internet on; then run this again."
        )
    importlib.invalidate_caches()


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
    names |= {name: (name,) for name in ("jax", "numpy", "pillow", "resvg_py")}
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


def report():
    """Prints platform, profile, versions, device and folders, and what could be better;
    no absolute path, so that a notebook can be saved with it. Call it before TensorFlow
    is imported, which it makes fast and quiet: see `device.settle()`."""
    device.settle()
    found = versions()
    names = ("python", "keras", device.backend(), "numpy")
    packages = ", ".join(f"{name} {found.get(name, 'missing')}" for name in names)
    chosen = "POKEUTILS_PROFILE" if os.environ.get("POKEUTILS_PROFILE") else "device"
    print(f"platform  {platform()}, {packages}")
    name, dtype = device.device_name(), device.training_dtype()
    print(f"device    {device.accelerator().upper()}: {name}; {dtype}")
    print(f"profile   {profile()} (chosen by {chosen}), pictures: {source()}")
    print(f"folders   {_short(data_dir())}, {_short(outputs_dir())}")
    for hint in _hints():
        print(hint)


def _short(path):
    """Returns `path` relative to the project, else to the home folder, else whole."""
    home = os.path.expanduser("~")  # as it is for a user without one
    for base, prefix in ((ROOT, ""), (home, "~/")):
        if path.is_relative_to(base):
            return f"{prefix}{path.relative_to(base).as_posix()}/"
    return f"{path.as_posix()}/"


def _hints():
    where = platform()
    if device.gpu() is not None and device.accelerator() == "cpu":
        framework = {"tensorflow": "TensorFlow", "jax": "JAX"}[device.backend()]
        name = device.gpu()["name"]
        yield f"Note: this {framework} does not use the {name} that is here."
    if device.accelerator() == "cpu" and where == "colab":
        yield "No GPU: Runtime > Change runtime type > T4 GPU, then Run all again."
    if device.accelerator() == "cpu" and where == "kaggle":
        yield "No GPU: Settings > Accelerator > GPU T4 x2, then Run all again."
    if where == "kaggle":
        yield "Pictures need the network: Settings > Internet > On (verified accounts)."
