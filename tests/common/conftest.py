"""A machine without variables and GPU, for the tests of env and device."""

import shutil

import pytest

from pokeutils.common import device

VARIABLES = (
    *("POKEUTILS_DATA", "POKEUTILS_OUTPUTS", "POKEUTILS_PROFILE", "POKEUTILS_SOURCE"),
    *("POKEUTILS_DTYPE", "KAGGLE_KERNEL_RUN_TYPE", "COLAB_RELEASE_TAG", "TPU_NAME"),
    *("CUDA_VISIBLE_DEVICES", "KERAS_BACKEND"),
)


@pytest.fixture
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
def add_gpu(bare_machine, monkeypatch, tmp_path):
    """Returns a function that puts an `nvidia-smi` with this answer on the PATH."""

    def add(answer, tensorflow_sees_it=True):
        program = tmp_path / "programs" / "nvidia-smi"
        program.write_text(f"#!/bin/sh\necho '{answer}'\n")
        program.chmod(0o755)
        device._nvidia_smi.cache_clear()
        monkeypatch.setattr(device, "_without_cuda", lambda: not tensorflow_sees_it)

    return add
