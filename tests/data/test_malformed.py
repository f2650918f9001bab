"""Damaged and hostile files of every kind that is read: each a clear error or a counted
skip, within seconds, without a write outside its folder and without much memory."""

import functools
import gzip
import io
import json
import resource
import shutil
import signal
import sys
import zipfile

import numpy as np
import pytest
from packed import tarball, zipped
from PIL import Image

from pokeutils import models
from pokeutils.common import images
from pokeutils.common.saved import load_generator
from pokeutils.data import dataset, download, packs, sources
from pokeutils.training import runs

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
    creature().convert("RGB" if kind == "JPEG" else "RGBA").save(
        buffer, kind, **(more if kind == "GIF" else {})
    )
    return buffer.getvalue()


SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40"><g fill="#a33">
<path d="M5 5h30v30h-30z" stroke="#000"/><circle cx="20" cy="20" r="8"/></g></svg>"""


@pytest.mark.parametrize("kind", ["PNG", "GIF", "JPEG", "WEBP", "SVG"])
def test_pictures(kind, tmp_path):
    data = SVG if kind == "SVG" else saved(kind)
    path = tmp_path / "in" / f"x.{kind.lower()}"
    path.write_bytes(data)
    assert images.read(path).shape[-1] == 4
    good = []
    for broken in mutations(data, 30, seed=1):
        path.write_bytes(broken)
        good.append(attempt(kind, lambda: images.read(path)))
    assert not all(good), "some of these must be refused"


@pytest.mark.parametrize(
    "text, readable",
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="1e9" height="1e9"/>', True),
        (SVG.replace(b"<g", b'<image href="/etc/passwd"/><g'), False),
        (b'<!DOCTYPE s [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + SVG, False),
        (SVG.replace(b"<circle", b"<g>" * 5000 + b"<circle"), False),
        (SVG.replace(b"M5 5", b"M5 5" + b"l1 1 " * 100_000), True),
        (SVG.replace(b"<c", b'<g id="a"><use href="#a"/></g><use href="#a"/><c'), True),
    ],
    ids=["huge", "foreign file", "entities", "deep", "long", "circle"],
)
def test_hostile_svg(text, readable, tmp_path):
    path = tmp_path / "in" / "x.svg"
    path.write_bytes(text)
    assert attempt("SVG", lambda: images.read(path)) == readable


def test_animations():
    data = saved("GIF")
    assert len(packs.read_frames(data, 48)) >= 1
    for broken in mutations(data, 24, seed=2):
        attempt("GIF frames", lambda broken=broken: packs.read_frames(broken, 48))


def test_archives(tmp_path):
    folder = tmp_path / "in"
    zipped(folder / "x.zip", {"images/1.png": saved("PNG"), "x.csv": b"Name,Type1"})
    tarball(folder / "x.tar.gz", {"package/1.png": saved("PNG")})

    for name in ("x.zip", "x.tar.gz"):
        read = functools.partial(download.unpack, folder / name, ".*png")
        assert read()
        for broken in mutations((folder / name).read_bytes(), 30, seed=3):
            (folder / name).write_bytes(broken)
            attempt(name, read)
    with gzip.open(folder / "x.tar.gz", "wb") as file:  # not a tarball inside
        file.write(bytes(10_000))
    assert not attempt("x.tar.gz", read)


def test_prepared_sets(folders, few_doodles):
    """A damaged prepared set is made again from its originals, or refused."""
    load = functools.partial(dataset.load, "doodles", 16, progress=[].append)
    first = load()
    for name, count in (("images.npy", 3), ("meta.csv", 2), ("report.json", 2)):
        good = (first.folder / name).read_bytes()
        for broken in mutations(good, count, seed=4):
            (first.folder / name).write_bytes(broken)
            if attempt(name, load):  # never other pictures without a word
                assert load().fingerprint == first.fingerprint
            (first.folder / name).write_bytes(good)


def test_manifests(folders, few_doodles):
    """A damaged manifest is never half believed: fetched again, or refused."""
    raw = sources.fetch("doodles", progress=lambda text: None)
    good, rows = (raw / "manifest.csv").read_bytes(), sources.manifest(raw)
    lines = good.splitlines(keepends=True)
    whole_lines = [b"".join(lines[:count]) for count in (1, 2, len(lines) - 1)]
    for broken in (*mutations(good, 10, seed=5), *whole_lines, bytes(200_000)):
        (raw / "manifest.csv").write_bytes(broken)
        fetch = functools.partial(sources.fetch, "doodles", progress=[].append)
        assert attempt("manifest.csv", fetch)
        assert sources.manifest(raw) == rows


@pytest.mark.parametrize(
    "name, good, read",
    [
        ("log.csv", "step,d_loss\r\n1,0.5\r\n2,0.25\r\n", runs.read_log),
        ("params.json", '{"recipe": {"name": "x"}, "seed": 0}', runs.read_params),
        ("alarms.json", "[]", runs.read_alarms),
    ],
)
def test_run_folders(tmp_path, name, good, read):
    path = tmp_path / "in" / name
    path.write_text(good)
    assert attempt(name, lambda: read(path.parent))
    for broken in mutations(good.encode(), 20, seed=6):
        path.write_bytes(broken)
        attempt(name, lambda: read(path.parent))


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "generator.keras"
    models.pyramid_generator(8, latent_dim=4, widths=(4,), detail=4).save(path)
    return path


def repacked(good, path, change):
    """Copies a .keras file with its members changed by `change(name, bytes)`."""
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            target.writestr(name, change(name, source.read(name)))


def test_generators(generator, tmp_path):
    path = tmp_path / "in" / "generator.keras"
    data = generator.read_bytes()
    path.write_bytes(data)
    assert attempt(".keras", lambda: load_generator(path))
    for broken in mutations(data, 24, seed=7):
        path.write_bytes(broken)
        attempt(".keras", lambda: load_generator(path))


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

    def change(name, data):
        return data.replace(old, new) if name == "config.json" else data

    repacked(generator, path, change)
    with pytest.raises(ValueError, match="cannot be used as a generator") as caught:
        load_generator(path)
    assert reason in str(caught.value)
    attempt(".keras", lambda: load_generator(path))


def test_generator_with_more_inside(generator, tmp_path):
    path = tmp_path / "in" / "generator.keras"
    shutil.copy(generator, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../beside/evil.py", "print('evil')")
    assert not attempt(".keras", lambda: load_generator(path))
    models.pyramid_discriminator(8, widths=(4,)).save(path)
    with pytest.raises(ValueError, match="not latents into pictures"):
        load_generator(path)
