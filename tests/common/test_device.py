"""device: what computes here, in which precision, and how TensorFlow is settled."""

import json
import subprocess
import sys

import keras
import pytest

from pokeutils.common import device, env

pytestmark = pytest.mark.usefixtures("bare_machine")

T4 = {"name": "Tesla T4", "capability": 7.5, "memory": 15360}


def fresh_python(code, **variables):
    """Runs code in a process with these environment variables; returns its JSON."""
    command = [sys.executable, "-W", "error", "-c", f"import json, os, sys; {code}"]
    options = {"cwd": env.ROOT, "capture_output": True, "text": True}
    answer = subprocess.run(command, env=variables, **options)
    assert (answer.returncode, answer.stderr) == (0, "")
    return json.loads(answer.stdout)  # nothing else was printed


def test_importing_the_package_is_quick_and_silent_and_changes_nothing():
    before, after, seconds, loaded = fresh_python(
        "import time; start, before = time.process_time(), dict(os.environ);"
        "import pokeutils.common.env; seconds = time.process_time() - start;"
        "loaded = list({'tensorflow', 'keras', 'numpy', 'jax'} & set(sys.modules));"
        "print(json.dumps([before, dict(os.environ), seconds, loaded]))"
    )
    assert before == after and not loaded
    assert seconds < 0.2


@pytest.mark.parametrize("call", ["device.settle()", "env.report()"])
def test_tensorflow_is_settled_before_it_is_imported(call):
    names = "TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL"
    code = (
        "import contextlib\nfrom pokeutils.common import device, env\n"
        f"with contextlib.redirect_stdout(None): {call}\n"
        f"values = [os.environ[name] for name in {names}]\n"
        "print(json.dumps([*values, 'tensorflow' in sys.modules]))"
    )
    assert fresh_python(code) == ["1", "3", False]
    assert fresh_python(code, **dict.fromkeys(names, "0")) == ["0", "0", False]


def test_a_gpu_counts_if_tensorflow_can_use_it_and_is_not_hidden(monkeypatch, add_gpu):
    add_gpu("Tesla T4, 7.5, 15360", tensorflow_sees_it=False)
    assert device.accelerator() == "cpu"
    add_gpu("Tesla T4, 7.5, 15360")
    assert device.accelerator() == "gpu"
    assert device.device_name() == "Tesla T4, 15 GiB"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert device.gpu() is None
    assert device.device_name().startswith("Some CPU, ")


@pytest.mark.parametrize(
    "system, package, found",
    [
        ("linux", "tensorflow", "gpu"),
        ("linux", "tensorflow-cpu", "cpu"),
        ("win32", "tensorflow", "cpu"),  # built without CUDA from 2.11 on
    ],
)
def test_the_tensorflow_that_is_installed_decides(monkeypatch, system, package, found):
    monkeypatch.setattr(device, "gpu", lambda: T4)
    monkeypatch.setattr(device, "backend", lambda: "tensorflow")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(device, "version_of", {package: "2.20.0"}.get)
    assert device.accelerator() == found


@pytest.mark.parametrize(
    "answer, dtype",
    [
        ("NVIDIA A100-SXM4-40GB, 8.0, 40960", "mixed_bfloat16"),
        ("NVIDIA L4, 8.9, 23034", "mixed_bfloat16"),
        ("Tesla T4, 7.5, 15360", "float32"),  # has float16 only
        ("Tesla P100-PCIE-16GB, 6.0, 16384", "float32"),  # no tensor cores
        ("No devices were found", "float32"),
    ],
)
def test_dtype_of_gpus(add_gpu, answer, dtype):
    add_gpu(answer)
    assert device.compute_dtype() == dtype
    assert (device.gpu() is None) == answer.startswith("No")


def test_dtype_of_cpus(monkeypatch):
    assert device.compute_dtype() == "float32"
    for flag in ("amx_bf16", "avx512_bf16"):
        monkeypatch.setattr(device, "_cpu", lambda f=flag: ("Some CPU", frozenset({f})))
        assert device.compute_dtype() == "mixed_bfloat16"


def test_trainings_compute_in_what_is_fastest_or_asked_for(monkeypatch, add_gpu):
    add_gpu("Tesla T4, 7.5, 15360")
    assert device.training_dtype() == "float32"
    monkeypatch.setenv("POKEUTILS_DTYPE", "mixed_bfloat16")
    assert device.training_dtype() == "mixed_bfloat16"
    monkeypatch.setenv("POKEUTILS_DTYPE", "half")
    with pytest.raises(ValueError, match="'half'; expected one of float32, mixed_bf"):
        device.training_dtype()


def test_sums_add_up_in_the_order_in_which_they_are_written():
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow" or tf.config.list_logical_devices("GPU"):
        pytest.skip("promised for TensorFlow on CPUs")
    device.tune(64)

    @tf.function
    def total(x):
        late = x
        for _ in range(12):
            late = tf.sin(late)
        return tf.add_n([0 * late + 1e8, 0 * x - 1e8, x])  # 1e8 + 1 is 1e8 in float32

    large = tf.ones((8_000_000,))  # only large graphs are reordered
    assert float(total(large)[0]) == 1
