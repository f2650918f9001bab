"""Where am I: platform, folders, profile, device, versions and seeds.

Answers come from environment variables, the file system and `nvidia-smi`, never from
importing TensorFlow, so that `import pokeutils.env` and `report()` are fast.
"""

import functools
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]  # the folder that holds pokeutils/
DRIVE = pathlib.Path("/content/drive/MyDrive")  # where Colab mounts Google Drive
PROFILES = ("tiny", "quick", "full")
_MISSING = object()


# ---------------------------------------------------------------- platform, folders


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
    """Returns the folder of runs and galleries (may not exist yet).

    On Colab it is on the Drive if one is mounted: what is elsewhere ends with the
    session, in the middle of a training.
    """
    told = os.environ.get("POKEUTILS_OUTPUTS")
    if not told and platform() == "colab" and DRIVE.is_dir():
        return DRIVE / "pokemon-gan" / "outputs"
    return _project_folder("POKEUTILS_OUTPUTS", "outputs")


def _project_folder(variable, name):
    if os.environ.get(variable):
        return pathlib.Path(os.environ[variable]).expanduser().resolve()
    is_checkout = (ROOT / "pyproject.toml").exists()  # not a copy in site-packages
    if is_checkout and os.access(ROOT, os.W_OK):
        return ROOT / name
    kaggle = pathlib.Path("/kaggle/working")  # what Kaggle keeps; its inputs are fixed
    return (kaggle if platform() == "kaggle" else pathlib.Path.cwd()) / name


# ----------------------------------------------------------------- profile and source


def profile():
    """Returns "tiny", "quick" or "full": POKEUTILS_PROFILE, else by the device.

    "tiny" is for tests, "quick" for a CPU (10 minutes in all), "full" for a GPU or TPU.
    Raises ValueError when POKEUTILS_PROFILE is none of the three.
    """
    name = os.environ.get("POKEUTILS_PROFILE")
    if not name:
        return "quick" if accelerator() == "cpu" else "full"
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


# ----------------------------------------------------------------------------- device


def accelerator():
    """Returns "gpu", "tpu" or "cpu": what Keras will compute on, as far as one can see.

    A GPU does not count when the TensorFlow or JAX installed is built without CUDA.
    """
    if gpu() is not None and not _cpu_only_backend():
        return "gpu"
    if "TPU_NAME" in os.environ or pathlib.Path("/dev/accel0").exists():
        return "tpu"
    return "cpu"


def gpu():
    """Returns {"name", "capability", "memory"} of the first NVIDIA GPU, or None.

    `capability` is CUDA's compute capability as a float (T4: 7.5), `memory` is in MiB.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return None
    return _nvidia_smi()


@functools.cache
def _nvidia_smi():
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=name,compute_cap,memory.total"]
    command += ["--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20)
        name, capability, memory = answer.stdout.splitlines()[0].split(", ")
        return {
            "name": name,
            "capability": float(capability),
            "memory": int(float(memory)),
        }
    except (OSError, subprocess.TimeoutExpired, IndexError, ValueError):
        return None  # a driver without a device, or one too old to ask


def _cpu_only_backend():
    if backend() == "jax":  # which finds its CUDA plugins by these names, too
        found = importlib.util.find_spec("jax_plugins")
        places = found.submodule_search_locations if found else ()
        return not any(list(pathlib.Path(place).glob("*cuda*")) for place in places)
    if backend() != "tensorflow":
        return False
    if "tensorflow" in sys.modules:
        return not sys.modules["tensorflow"].config.list_physical_devices("GPU")
    # From 2.11 on, TensorFlow for Windows is built without CUDA. WSL is Linux.
    return sys.platform == "win32" or version_of("tensorflow-cpu") is not None


@functools.cache
def _cpu():
    """Returns (model name, feature flags) from /proc/cpuinfo, where it exists."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return "CPU", frozenset()
    lines = (line.partition(":") for line in text.splitlines())
    fields = {key.strip(): value.strip() for key, _, value in lines}
    return fields.get("model name", "CPU"), frozenset(fields.get("flags", "").split())


def cores():
    """Returns how many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def compute_dtype():
    """Returns the Keras dtype policy that is fastest and safe on this device.

    "mixed_bfloat16": TPUs, GPUs from compute capability 8 (A100 and later), and CPUs
    with AMX or AVX512 bfloat16 instructions. "mixed_float16": GPUs with tensor cores
    but no bfloat16 (T4, V100); needs loss scaling. Otherwise "float32".
    """
    device = accelerator()
    if device == "gpu":
        capability = gpu()["capability"]
        if capability >= 8:
            return "mixed_bfloat16"
        return "mixed_float16" if capability >= 7 else "float32"
    if device == "tpu" or _cpu()[1] & {"amx_bf16", "avx512_bf16"}:
        return "mixed_bfloat16"
    return "float32"


DTYPES = "float32", "mixed_bfloat16", "mixed_float16"


def training_dtype():
    """Returns the Keras dtype policy of trainings: POKEUTILS_DTYPE, else the fastest
    one that has been tried.

    Cards that know float16 only (T4, V100) compute in float32 unless asked: float16
    works with loss scaling (`scaling`), but nobody has measured there what it brings.
    Raises ValueError if POKEUTILS_DTYPE is none of `DTYPES`.
    """
    asked = os.environ.get("POKEUTILS_DTYPE")
    if asked and asked not in DTYPES:
        raise ValueError(
            f"POKEUTILS_DTYPE is {asked!r}; expected one of {', '.join(DTYPES)}."
        )
    dtype = compute_dtype()
    return asked or ("float32" if dtype == "mixed_float16" else dtype)


def device_name():
    """Returns a line for people, such as "Tesla T4, 15 GiB" or "Xeon ..., 2 cores"."""
    device = accelerator()
    if device == "gpu":
        return f"{gpu()['name']}, {gpu()['memory'] / 1024:.0f} GiB"
    if device == "tpu":
        return f"TPU {os.environ.get('TPU_ACCELERATOR_TYPE', '')}".strip()
    return f"{_cpu()[0]}, {cores()} core{'s' if cores() > 1 else ''}"


# ------------------------------------------------------------------ versions and seeds


def backend():
    """Returns Keras' backend: "tensorflow" unless KERAS_BACKEND says otherwise."""
    if "keras" in sys.modules:
        return sys.modules["keras"].config.backend()
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


def need(module, requirement, show=print):
    """Makes sure that `module` can be imported; `requirement` is its pinned package.

    Colab and Kaggle lack a few small packages: there it is installed. Elsewhere, raises
    RuntimeError with the command that installs it.
    """
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


def versions():
    """Returns {name: version} of Python and the packages that decide a run."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    names = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "keras": ("keras",)}
    names |= {name: (name,) for name in ("jax", "numpy", "pillow", "resvg_py")}
    for name, distributions in names.items():
        for version in filter(None, map(version_of, distributions)):
            found.setdefault(name, version)
    return found


def version_of(distribution):
    """Returns the version of an installed package, or None."""
    from importlib import metadata  # a fifth of what importing this module took

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


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


def seed_everything(seed):
    """Seed Python, NumPy and the Keras backend. Bit-exact on CPU, nearly so on GPU."""
    import keras

    keras.utils.set_random_seed(seed)


# ----------------------------------------------------------------------------- report


def report():
    """Prints platform, profile, versions, device and folders, and what could be better.

    No absolute path is printed for folders inside the project, so that a notebook can
    be saved with this output.
    """
    found = versions()
    names = ("python", "keras", backend(), "numpy")
    packages = ", ".join(f"{name} {found.get(name, 'missing')}" for name in names)
    chosen = "POKEUTILS_PROFILE" if os.environ.get("POKEUTILS_PROFILE") else "device"
    print(f"platform  {platform()}, {packages}")
    print(f"device    {accelerator().upper()}: {device_name()}; {training_dtype()}")
    print(f"profile   {profile()} (chosen by {chosen}), pictures: {source()}")
    print(f"folders   {_short(data_dir())}, {_short(outputs_dir())}")
    for hint in _hints():
        print(hint)


def _short(path):
    """Returns `path` relative to the project, else to the home folder, else whole."""
    for base, prefix in ((ROOT, ""), (pathlib.Path.home(), "~/")):
        if path.is_relative_to(base):
            return f"{prefix}{path.relative_to(base).as_posix()}/"
    return f"{path.as_posix()}/"


def _hints():
    where = platform()
    if gpu() is not None and accelerator() == "cpu":
        framework = {"tensorflow": "TensorFlow", "jax": "JAX"}[backend()]
        yield f"Note: this {framework} does not use the {gpu()['name']} that is here."
    if accelerator() == "cpu" and where == "colab":
        yield "No GPU: Runtime > Change runtime type > T4 GPU, then Run all again."
    if accelerator() == "cpu" and where == "kaggle":
        yield "No GPU: Settings > Accelerator > GPU T4 x2, then Run all again."
    if where == "kaggle":
        yield "Pictures need the network: Settings > Internet > On (verified accounts)."
