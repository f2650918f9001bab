"""env: what it says about platforms, devices and folders, and how fast it is."""

import importlib
import pathlib
import shutil
import subprocess
import sys
import types

import pytest
from project import git, needs_git, repository

from pokeutils.common import device, env

VARIABLES = (
    "POKEUTILS_DATA",
    "POKEUTILS_OUTPUTS",
    "POKEUTILS_PROFILE",
    "POKEUTILS_SOURCE",
    "KAGGLE_KERNEL_RUN_TYPE",
    "COLAB_RELEASE_TAG",
    "CUDA_VISIBLE_DEVICES",
    "TPU_NAME",
    "KERAS_BACKEND",
)


T4 = {"name": "Tesla T4", "capability": 7.5, "memory": 15360}


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch, tmp_path):
    """No variables, no GPU: every test adds what it is about."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    programs = tmp_path / "programs"
    programs.mkdir()
    if git := shutil.which("git"):
        (programs / "git").symlink_to(git)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(device, "_cpu", lambda: ("Some CPU", frozenset({"avx2"})))
    device._nvidia_smi.cache_clear()
    yield
    device._nvidia_smi.cache_clear()


@pytest.fixture
def add_gpu(monkeypatch, tmp_path):
    """Returns a function that puts an `nvidia-smi` with this answer on the PATH."""

    def add(answer, tensorflow_sees_it=True):
        program = tmp_path / "programs" / "nvidia-smi"
        program.write_text(f"#!/bin/sh\necho '{answer}'\n")
        program.chmod(0o755)
        device._nvidia_smi.cache_clear()
        monkeypatch.setattr(device, "_cpu_only_backend", lambda: not tensorflow_sees_it)

    return add


def test_importing_env_is_fast_and_light():
    code = (
        "import sys, time; start = time.process_time(); import pokeutils.common.env;"
        "print(time.process_time() - start,"
        " {'tensorflow', 'keras', 'numpy', 'jax'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, cwd=env.ROOT, capture_output=True, text=True)
    seconds, modules = answer.stdout.split(maxsplit=1)
    assert modules.strip() == "set()"
    assert float(seconds) < 0.2


def test_import_is_silent_with_warnings_as_errors():
    command = [sys.executable, "-W", "error", "-c", "import pokeutils"]
    answer = subprocess.run(command, cwd=env.ROOT, capture_output=True, text=True)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


def test_platform(monkeypatch):
    assert env.platform() == "local"
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("colab"))
    assert env.platform() == "colab"
    # Kaggle's image is made from Colab's, so both marks may be there.
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    assert env.platform() == "kaggle"


def test_folders_are_in_the_project_or_where_the_variables_say(monkeypatch, tmp_path):
    assert env.data_dir() == env.ROOT / "data"
    assert env.outputs_dir() == env.ROOT / "outputs"
    monkeypatch.setenv("POKEUTILS_DATA", str(tmp_path / "pictures"))
    assert env.data_dir() == tmp_path / "pictures"
    assert env.outputs_dir() == env.ROOT / "outputs"


def test_folders_beside_a_project_that_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(env, "ROOT", tmp_path / "site-packages")  # no pyproject.toml
    assert env.outputs_dir() == tmp_path / "outputs"
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Batch")
    assert env.outputs_dir() == pathlib.Path("/kaggle/working/outputs")


def test_profile_follows_the_device_unless_told(monkeypatch, add_gpu):
    assert env.profile() == "quick"
    add_gpu("Tesla T4, 7.5, 15360")
    assert env.profile() == "full"
    monkeypatch.setenv("POKEUTILS_PROFILE", "tiny")
    assert env.profile() == "tiny"
    monkeypatch.setenv("POKEUTILS_PROFILE", "huge")
    with pytest.raises(ValueError, match="'huge'.*tiny, quick, full"):
        env.profile()


def test_a_gpu_that_tensorflow_cannot_use_does_not_make_a_full_run(add_gpu, capsys):
    add_gpu("Tesla T4, 7.5, 15360", tensorflow_sees_it=False)
    assert device.accelerator() == "cpu"
    assert env.profile() == "quick"
    env.report()
    assert "does not use the Tesla T4" in capsys.readouterr().out


@pytest.mark.parametrize(
    "system, package, found",
    [
        ("linux", "tensorflow", "gpu"),
        ("linux", "tensorflow-cpu", "cpu"),
        ("win32", "tensorflow", "cpu"),  # built without CUDA from 2.11 on
    ],
)
def test_the_tensorflow_that_is_installed_decides(
    monkeypatch, capsys, system, package, found
):
    monkeypatch.setattr(device, "gpu", lambda: T4)
    monkeypatch.setattr(device, "backend", lambda: "tensorflow")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(device, "version_of", {package: "2.20.0"}.get)
    assert device.accelerator() == found
    assert env.profile() == ("full" if found == "gpu" else "quick")
    env.report()
    said = "this TensorFlow does not use the Tesla T4" in capsys.readouterr().out
    assert said == (found == "cpu")


def test_jax_computes_on_a_gpu_with_its_plugin_only(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(device, "gpu", lambda: T4)
    monkeypatch.setattr(device, "backend", lambda: "jax")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "jax_plugins", raising=False)
    assert device.accelerator() == "cpu"
    env.report()
    assert "this JAX does not use the Tesla T4" in capsys.readouterr().out
    (tmp_path / "jax_plugins" / "xla_cuda12").mkdir(parents=True)
    importlib.invalidate_caches()
    assert device.accelerator() == "gpu"


def test_pick(monkeypatch):
    for profile, value in (("tiny", 1), ("quick", 2), ("full", 3)):
        monkeypatch.setenv("POKEUTILS_PROFILE", profile)
        assert env.pick(tiny=1, quick=2, full=3) == value
    monkeypatch.setenv("POKEUTILS_PROFILE", "tiny")
    assert env.pick(quick=2, full=3) == 2
    assert env.pick(tiny=None, quick=2, full=3) is None
    with pytest.raises(TypeError, match="quick"):
        env.pick(full=3)


def test_source(monkeypatch):
    assert env.source() == "artwork"
    monkeypatch.setenv("POKEUTILS_SOURCE", "folder:/some/pictures")
    assert env.source() == "folder:/some/pictures"


@pytest.mark.parametrize(
    "answer, dtype",
    [
        ("NVIDIA A100-SXM4-40GB, 8.0, 40960", "mixed_bfloat16"),
        ("NVIDIA L4, 8.9, 23034", "mixed_bfloat16"),
        ("Tesla T4, 7.5, 15360", "mixed_float16"),
        ("Tesla P100-PCIE-16GB, 6.0, 16384", "float32"),  # no tensor cores
        ("No devices were found", "float32"),
    ],
)
def test_dtype_of_gpus(add_gpu, answer, dtype):
    add_gpu(answer)
    assert device.compute_dtype() == dtype
    assert (device.gpu() is None) == answer.startswith("No")


@pytest.mark.parametrize("flag", ["amx_bf16", "avx512_bf16"])
def test_dtype_of_cpus(monkeypatch, flag):
    assert device.compute_dtype() == "float32"
    monkeypatch.setattr(device, "_cpu", lambda: ("Some CPU", frozenset({"avx2", flag})))
    assert device.compute_dtype() == "mixed_bfloat16"


def test_a_hidden_gpu_is_no_gpu(monkeypatch, add_gpu):
    add_gpu("Tesla T4, 7.5, 15360")
    assert device.device_name() == "Tesla T4, 15 GiB"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert device.gpu() is None
    assert device.device_name().startswith("Some CPU, ")


def test_trainings_compute_in_what_has_been_tried_or_is_asked_for(
    monkeypatch, capsys, add_gpu
):
    add_gpu("Tesla T4, 7.5, 15360")
    monkeypatch.delenv("POKEUTILS_DTYPE", raising=False)
    assert device.compute_dtype() == "mixed_float16"
    assert device.training_dtype() == "float32"
    monkeypatch.setenv("POKEUTILS_DTYPE", "mixed_float16")
    assert device.training_dtype() == "mixed_float16"
    env.report()
    assert "; mixed_float16\n" in capsys.readouterr().out
    monkeypatch.setenv("POKEUTILS_DTYPE", "half")
    with pytest.raises(ValueError, match="'half'; expected one of float32, mixed_bf"):
        device.training_dtype()


def test_report_names_no_folder_of_this_machine(capsys):
    env.report()
    text = capsys.readouterr().out
    assert "folders   data/, outputs/" in text
    assert str(env.ROOT) not in text and str(pathlib.Path.home()) not in text
    assert "No GPU" not in text  # nothing to click on at home


def test_report_says_where_to_click(monkeypatch, capsys, add_gpu):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    env.report()
    assert "Runtime > Change runtime type" in capsys.readouterr().out
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    env.report()
    assert "Settings > Accelerator" in (text := capsys.readouterr().out)
    assert "Settings > Internet" in text
    add_gpu("Tesla T4, 7.5, 15360")
    env.report()
    assert "No GPU" not in capsys.readouterr().out


def test_versions():
    versions = env.versions()
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert versions["keras"].startswith("3.") and versions["tensorflow"]


@needs_git
def test_commit(monkeypatch, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.setattr(env, "ROOT", project)
    assert env.git_commit() is None
    (project / "file").write_text("one")
    repository(project)
    assert env.git_commit() == git(project, "rev-parse", "HEAD").strip()
    (project / "file").write_text("two")
    assert env.git_commit().endswith("-dirty")


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.delenv("KAGGLE_KERNEL_RUN_TYPE", raising=False)
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    env.need("json", "json==1")  # is there: nothing happens
    with pytest.raises(RuntimeError, match="pip install no-such-thing==1"):
        env.need("no_such_thing", "no-such-thing==1")


def test_on_kaggle_without_internet_the_switch_is_named(monkeypatch, capsys):
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(env.subprocess, "run", no_network(env.subprocess.run))
    with pytest.raises(RuntimeError, match="Internet on"):
        env.need("no_such_thing", "no-such-thing==1")
    assert "pip install no-such-thing==1" in capsys.readouterr().out


def no_network(run):
    """pip itself runs; it only finds no index."""
    return lambda command: run(command, capture_output=True)
