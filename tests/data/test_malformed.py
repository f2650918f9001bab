"""Damaged and hostile files of every kind that is read: each a clear error or a counted
skip, within seconds, without a write outside its folder and without much memory."""

import io
import resource
import shutil
import signal
import sys
import zipfile

import keras
import numpy as np
import pytest
from packed import zipped
from PIL import Image

from pokeutils import models
from pokeutils.common import images
from pokeutils.common.saved import load_generator
from pokeutils.data import packs

SECONDS = 5  # for one file, of the processor's time
WAITING = 60  # seconds on the clock, which a busy machine stretches
MEGABYTES = 1000  # by which all of them together may raise this process's peak
CLEAR = (ValueError, RuntimeError, FileNotFoundError)


def mutations(data, count, seed):
    """Broken versions of a good file: cut, flipped, zeroed, spliced, empty, foreign."""
    rng = np.random.Generator(np.random.Philox(seed))
    fixed = [b"", b"\0" * 64, b"<html>not a picture</html>", data[:1], data + data]
    yield from fixed[: count // 2]
    for i in range(count - len(fixed[: count // 2])):
        broken = bytearray(data)
        if i % 4 == 0:
            broken = broken[: int(rng.integers(1, len(data)))]
        elif i % 4 == 1:
            for place in rng.integers(0, len(data), 1 + i % 7):
                broken[place] ^= 1 << int(rng.integers(8))
        elif i % 4 == 2:
            start = int(rng.integers(len(data)))
            broken[start : start + 16] = bytes(len(broken[start : start + 16]))
        else:
            start, other = (int(x) for x in rng.integers(0, len(data), 2))
            broken[start:start] = data[other : other + 32]
        yield bytes(broken)


def attempt(kind, read):
    """Calls `read`; True if it went well. Fails on a crash, a hang or a vague error."""

    def late(number, frame):
        raise AssertionError(f"{kind}: longer than {SECONDS} s")

    before = {n: signal.signal(n, late) for n in (signal.SIGALRM, signal.SIGPROF)}
    signal.alarm(WAITING)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        read()
        good = True
    except CLEAR as error:
        assert len(str(error)) > 10, f"{kind}: {error!r} says nothing"
        good = False
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
    return good


def batter(path, read, count, seed):
    """Reads a good file, then broken versions; returns which of these went well."""
    assert attempt(path.name, read)
    good = []
    for broken in mutations(path.read_bytes(), count, seed):
        path.write_bytes(broken)
        good.append(attempt(path.name, read))
    return good


@pytest.fixture(scope="module", autouse=True)
def little_memory():
    """Linux counts in kilobytes, macOS in bytes: only Linux is held to it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < MEGABYTES * 1024 or sys.platform != "linux"


@pytest.fixture(autouse=True)
def nothing_outside(tmp_path):
    """Reading writes nothing beside the file that is read."""
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "mine.txt").write_text("mine")
    (tmp_path / "in").mkdir()
    yield
    assert [p.name for p in beside.iterdir()] == ["mine.txt"]
    assert {p.name for p in tmp_path.iterdir()} <= {"beside", "in", "data"}


def creature(side=40):
    rgba = np.zeros((side, side, 4), "uint8")
    rgba[8:30, 6:34] = np.random.default_rng(0).integers(0, 255, (22, 28, 4))
    rgba[8:30, 6:34, 3] = 255
    return Image.fromarray(rgba)


def saved(kind):
    buffer = io.BytesIO()
    more = dict(save_all=True, append_images=[creature().rotate(90)])
    picture = creature().convert("RGB" if kind == "JPEG" else "RGBA")
    picture.save(buffer, kind, **(more if kind == "GIF" else {}))
    return buffer.getvalue()


SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40"><g fill="#a33">
<path d="M5 5h30v30h-30z" stroke="#000"/><circle cx="20" cy="20" r="8"/></g></svg>"""


KINDS = "PNG GIF JPEG WEBP SVG AVIF BMP TIFF ICO TGA QOI".split()


@pytest.mark.parametrize("kind", KINDS)
def test_pictures(kind, tmp_path):
    path = tmp_path / "in" / f"x.{kind.lower()}"
    path.write_bytes(SVG if kind == "SVG" else saved(kind))
    assert images.read(path).shape[-1] == 4
    good = batter(path, lambda: images.read(path), 30, seed=1)
    assert not all(good), "some of these must be refused"
    if kind == "GIF":
        path.write_bytes(saved(kind))
        assert len(packs.read_frames(path.read_bytes(), 48)) >= 1
        batter(path, lambda: packs.read_frames(path.read_bytes(), 48), 24, seed=2)


@pytest.mark.parametrize(
    "text, readable",
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="1e9" height="1e9"/>', True),
        (SVG.replace(b"<circle", b"<g>" * 5000 + b"<circle"), False),
        (SVG.replace(b"M5 5", b"M5 5" + b"l1 1 " * 100_000), True),
        (SVG.replace(b"<c", b'<g id="a"><use href="#a"/></g><use href="#a"/><c'), True),
    ],
    ids=["huge", "deep", "long", "circle"],
)
def test_hostile_svg(text, readable, tmp_path):
    path = tmp_path / "in" / "x.svg"
    path.write_bytes(text)
    assert attempt("SVG", lambda: images.read(path)) == readable


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "generator.keras"
    models.pyramid_generator(8, latent_dim=4, widths=(4,), detail=4).save(path)
    return path


def test_generators(generator, tmp_path):
    path = tmp_path / "in" / "generator.keras"
    shutil.copy(generator, path)
    batter(path, lambda: load_generator(path), 24, seed=7)


@pytest.mark.parametrize(
    "old, new, reason",
    [
        (b'"class_name": "ReLU"', b'"class_name": "Lambda"', "Lambda"),
        (b'"module": "keras.layers"', b'"module": "os"', "asks for os"),
        (b'"module": "keras.layers"', b'"module": "keras.utils"', "keras.utils"),
        (b'"filters": 4', b'"filters": 400000000', "layer of 400000000"),
        (b'"name": "generator"', b'"name": 1e999', "layer of inf"),
        (b'"class_name"', b'"classname"', ""),
        (b"[", b"[[", ""),
    ],
)
def test_hostile_generators(generator, tmp_path, old, new, reason):
    path = tmp_path / "in" / "generator.keras"
    with zipfile.ZipFile(generator) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    inside["config.json"] = inside["config.json"].replace(old, new)
    zipped(path, inside, zipfile.ZIP_STORED)
    with pytest.raises(ValueError, match="cannot be used as a generator") as caught:
        load_generator(path)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({'"kernel_size": [3, 3]': '"kernel_size": [4000, 4000]'}, "more weights"),
        ({'"filters": 4': '"filters": 4000', '"units": 16': '"units": 999'}, "weights"),
        ({'"size": [2, 2]': '"size": [4000, 4000]'}, "numbers"),
        ({'"units": 16': '"units": 4096', "[2, 2, 4]": "[32, 32, 4]"}, "more weights"),
        ({'"trainable": true': '"trainable": ' + "[" * 900 + "]" * 900}, ""),
    ],
)
def test_generators_that_would_not_fit_into_memory(tmp_path, changes, reason):
    """Every number is below its limit; the product of all is not."""
    latents = keras.Input((4,))
    x = keras.layers.Reshape((2, 2, 4))(keras.layers.Dense(16)(latents))
    x = keras.layers.UpSampling2D()(keras.layers.Conv2D(4, 3, padding="same")(x))
    path = tmp_path / "in" / "generator.keras"
    keras.Model(latents, x).save(path)
    assert load_generator(path).output_shape == (None, 4, 4, 4)
    with zipfile.ZipFile(path) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    config = inside["config.json"].decode()
    for old, new in changes.items():
        assert old in config
        config = config.replace(old, new)
    zipped(path, inside | {"config.json": config.encode()}, zipfile.ZIP_STORED)
    with pytest.raises(ValueError, match=f"cannot be used as a generator.*{reason}"):
        load_generator(path)


def test_generator_with_more_inside(generator, tmp_path):
    path = shutil.copy(generator, tmp_path / "in")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../beside/evil.py", "print('evil')")
    assert not attempt(".keras", lambda: load_generator(path))
    models.pyramid_discriminator(8, widths=(4,)).save(path)
    with pytest.raises(ValueError, match="not latents into pictures"):
        load_generator(path)
