"""What computes here: the accelerator, its name, the cores, its best arithmetic. To
answer, it never imports TensorFlow.
"""

import contextlib
import functools
import os
import pathlib
import shutil
import subprocess
import sys


def settle():
    """Sets two environment variables, unless they are set, that TensorFlow reads when
    it is imported. Call it before that; `env.report()` does."""
    # Off by default on CPUs without AVX512, where a train step is 1.4 times faster.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Its C++ remarks would end up in the notebooks. Real errors are Python exceptions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def accelerator():
    """Returns "gpu" or "cpu": what Keras will compute on. A GPU does not count when the
    TensorFlow installed is built without CUDA."""
    return "gpu" if gpu() is not None and not _without_cuda() else "cpu"


def has_tpu():
    """Whether a TPU is attached, as Colab and Kaggle attach them."""
    names = {"TPU_NAME", "TPU_ACCELERATOR_TYPE", "COLAB_TPU_1VM"}
    return not names.isdisjoint(os.environ) or pathlib.Path("/dev/accel0").exists()


def gpu():
    """Returns {"name", "capability", "memory"} of the first NVIDIA GPU, or None: CUDA's
    compute capability as a float (T4: 7.5), and MiB."""
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
        memory = int(float(memory))
        return {"name": name, "capability": float(capability), "memory": memory}
    except (OSError, subprocess.TimeoutExpired, IndexError, ValueError):
        return None  # a driver without a device, or one too old to ask


def _without_cuda():
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
    """Returns the Keras dtype policy that is fastest on this device: bfloat16 where the
    hardware has it, else "float32", also on a T4 or a V100: float16, which only they
    have, was never tried there."""
    fast = _cpu()[1] & {"amx_bf16", "avx512_bf16"}
    if accelerator() == "gpu":
        fast = gpu()["capability"] >= 8
    return "mixed_bfloat16" if fast else "float32"


DTYPES = "float32", "mixed_bfloat16", "mixed_float16"  # the last on request only


def training_dtype():
    """Returns the Keras dtype policy of trainings: POKEUTILS_DTYPE, else the fastest
    one. Raises ValueError if POKEUTILS_DTYPE is none of `DTYPES`."""
    asked = os.environ.get("POKEUTILS_DTYPE")
    if asked and asked not in DTYPES:
        raise ValueError(
            f"POKEUTILS_DTYPE is {asked!r}; expected one of {', '.join(DTYPES)}."
        )
    return asked or compute_dtype()


def device_name():
    """Returns a line for people, such as "Tesla T4, 15 GiB" or "Xeon ..., 2 cores"."""
    if accelerator() == "gpu":
        return f"{gpu()['name']}, {gpu()['memory'] / 1024:.0f} GiB"
    return f"{_cpu()[0]}, {cores()} core{'s' if cores() > 1 else ''}"


def backend():
    """Returns Keras' backend: "tensorflow" unless KERAS_BACKEND says otherwise."""
    if "keras" in sys.modules:
        return sys.modules["keras"].config.backend()
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


def version_of(distribution):
    """Returns the version of an installed package, or None."""
    from importlib import metadata  # a fifth of what importing this module took

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def tune(batch):
    """Sets up TensorFlow in this process for training with batches of that size. On
    CPUs its graph optimiser is switched off: in large graphs it adds up terms in the
    order in which they come to be ready, so that one run may differ from the next. On
    GPUs only the part is that gives up on a convolution with bias and leaky ReLU
    (TensorFlow 2.20). On two cores, small batches get one core per operation: on both
    they take a fifth longer (benchmarks/README.md)."""
    import tensorflow as tf

    if batch <= 16 and cores() == 2 and "TF_NUM_INTRAOP_THREADS" not in os.environ:
        if not tf.config.threading.get_intra_op_parallelism_threads():
            with contextlib.suppress(RuntimeError):  # it has begun
                tf.config.threading.set_intra_op_parallelism_threads(1)
    on_gpu = bool(tf.config.list_logical_devices("GPU"))
    options = {"remapping": False, "disable_meta_optimizer": not on_gpu}
    tf.config.optimizer.set_experimental_options(options)
