"""Prepared sets: complete, checked, repaired; and batches in an order that resumes."""

import errno
import json
import os

import numpy as np
import pytest
from drawings import save_disc

from pokeutils.common import files, images
from pokeutils.data import dataset, prepare, sources


def load(source, tmp_path, size=16, lines=None):
    progress = [].append if lines is None else lines.append
    return dataset.load(source, size, tmp_path / "data", progress)


def test_a_prepared_set_is_whole_and_decoded_once(pets, tmp_path, monkeypatch):
    ready = load(pets, tmp_path)
    assert ready.images.shape == (40, 16, 16, 4) and ready.images.dtype == np.uint8
    dataset.check_range(ready.images)
    assert set(ready.meta) == set(prepare.COLUMNS)
    assert all(len(column) == 40 for column in ready.meta.values())
    assert ready.meta["name"][5] == "Charizard" and ready.meta["generation"][5] == 1
    assert (ready.meta["type1"][5], ready.meta["type2"][5]) == ("fire", "flying")
    assert ready.meta["hp"][5] == 78 and ready.meta["speed"][5] == 100
    assert ready.meta["name"][28] == "Nidoran F" and ready.meta["type2"][6] == ""
    assert (ready.train ^ ready.holdout).all() and ready.train.any()
    report = json.loads((ready.folder / "report.json").read_text("utf-8"))
    assert report == ready.report
    assert report["pictures"] == 40 == report["train"] + report["holdout"]
    assert report["alpha"] == "premultiplied" and report["dropped"] == []
    assert report["fingerprint"] == ready.fingerprint and len(ready.fingerprint) == 64
    stamp = (ready.folder / "images.npy").stat().st_mtime_ns
    monkeypatch.setattr(prepare, "_Decoder", None)  # would fail if it were used
    again = load(pets, tmp_path)
    assert (again.folder / "images.npy").stat().st_mtime_ns == stamp
    assert (again.images == ready.images).all()
    assert again.fingerprint == ready.fingerprint


def test_a_preview_shows_whom_one_asks_for_and_leaves_out_what_is_broken(
    pets, tmp_path, monkeypatch
):
    monkeypatch.setenv("POKEUTILS_DATA", str(tmp_path / "data"))
    asked = dataset.preview(pets, 3, 16, numbers=(7, 40, 1))
    assert asked.shape == (3, 16, 16, 4) and asked.dtype == np.uint8
    assert asked[:, 8, 8, 0].tolist() == [6 * 7, 6 * 40, 6 * 1]
    every = dataset.preview(pets, 4, 16, numbers=(7, 4000))  # not all of them are here
    assert every[:, 8, 8, 0].tolist() == [6 * n for n in (1, 11, 21, 31)]

    for path in (tmp_path / "pets").glob("*1.png"):  # 001, 011, 021, 031
        path.write_bytes(b"<html>not found</html>")
    with pytest.raises(ValueError, match="none of the pictures tried can be read"):
        dataset.preview(pets, 4, 16)
    assert len(dataset.preview(pets, 40, 16)) == 36


def test_a_damaged_set_is_made_anew(pets, tmp_path, one_decoder):
    first = load(pets, tmp_path)
    changed = first.images.copy()
    changed[3, 8, 8, 0] ^= 1
    table = (first.folder / "meta.csv").read_text("utf-8").splitlines()
    for harm in (
        lambda: np.save(first.folder / "images.npy", first.images[:, :8]),
        lambda: np.save(first.folder / "images.npy", changed),
        lambda: (first.folder / "meta.csv").write_text("\n".join(table[:-1]) + "\n"),
        lambda: (first.folder / "meta.csv").write_bytes(bytes(200_000)),
        lambda: (first.folder / "report.json").write_text('{"version":'),
        lambda: (first.folder / "report.json").write_text("[]"),
        lambda: (first.folder / "images.npy").write_bytes(b"<html>not found</html>"),
        lambda: (first.folder / "images.npy").unlink(),
    ):
        harm()
        lines = []
        again = load(pets, tmp_path, lines=lines)
        assert "making it anew" in lines[0]
        assert again.fingerprint == first.fingerprint


@pytest.mark.parametrize(
    "source, size",
    [("doodles", 4), ("sprites", 48), ("animated", 128), ("artwork+sprites", 80)],
)
def test_impossible_sizes_are_refused(source, size, tmp_path):
    last = source.rpartition("+")[2]
    with pytest.raises(ValueError, match=f"{last} at {size} px; the size must be"):
        load(source, tmp_path, size)


def test_a_changed_folder_is_made_anew_where_there_is_room(pets, tmp_path, monkeypatch):
    first = load(pets, tmp_path)
    save_disc(tmp_path / "pets" / "041.png", (1, 2, 3, 255))  # it must be made anew

    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_bytes", full)
    with pytest.raises(OSError, match="is full"):
        load(pets, tmp_path)
    assert sorted(os.listdir(first.folder)) == ["images.npy", "meta.csv", "report.json"]
    assert os.listdir(first.folder.parent) == [first.folder.name]
    assert (np.load(first.folder / "images.npy") == first.images).all()
    monkeypatch.undo()
    assert len(load(pets, tmp_path).images) == 41


def test_order_is_a_fresh_permutation_each_epoch():
    indices, flips = dataset.order(count=10, batch=3, steps=9, seed=7)
    assert indices.shape == flips.shape == (9, 3)
    assert indices.dtype == np.int32 and flips.dtype == bool
    for epoch in range(3):  # 3 steps each; one picture sits out
        assert len(set(indices[3 * epoch : 3 * epoch + 3].ravel())) == 9
    assert (indices[:3] != indices[3:6]).any()
    assert (dataset.order(10, 3, 9, seed=8)[0] != indices).any()


@pytest.mark.parametrize("weights", [None, np.arange(1, 11)])
@pytest.mark.parametrize("start", [0, 1, 3, 5, 7])
def test_order_resumes_where_it_stopped(start, weights):
    indices, flips = dataset.order(10, 3, 12, seed=7, weights=weights)
    again = dataset.order(10, 3, 12 - start, seed=7, start=start, weights=weights)
    assert (again[0] == indices[start:]).all() and (again[1] == flips[start:]).all()


def test_the_order_of_unweighted_pictures_is_what_it_always_was():
    # Written down: with another order, old runs could not go on.
    indices, flips = dataset.order(10, 4, 3, seed=7)
    assert indices.tolist() == [[6, 3, 9, 1], [2, 0, 5, 7], [1, 9, 2, 8]]
    assert flips.astype(int).tolist() == [[0, 1, 0, 1], [0, 0, 0, 1], [1, 0, 0, 1]]
    same = dataset.order(10, 4, 3, seed=7, weights=np.full(10, 0.3))
    assert (same[0] == indices).all() and (same[1] == flips).all()


def test_weights_decide_how_often_a_picture_comes():
    weights = np.array([1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 2, 4])
    share = weights / weights.sum() * 10
    indices, flips = dataset.order(10, 5, 2 * 400, seed=3, weights=weights)
    epochs = indices.reshape(400, 10)
    counts = np.stack([np.bincount(epoch, minlength=10) for epoch in epochs])
    assert (np.abs(counts - share) < 1).all()  # in every single epoch
    assert np.allclose(counts.mean(axis=0), share, atol=0.08)
    assert 0.4 < flips.mean() < 0.6
    # Those that come again are spread over the epoch, not in a row.
    places = [np.flatnonzero(epoch == 9) for epoch in epochs]
    assert np.mean([np.ptp(place) + 1 == len(place) for place in places]) < 0.2


@pytest.mark.parametrize("count, batch", [(18, 32), (18, 128), (3, 4), (1, 16)])
@pytest.mark.parametrize("weighted", [False, True])
def test_fewer_pictures_than_a_batch_come_several_times(count, batch, weighted):
    weights = np.ones(count) if weighted else None
    indices, flips = dataset.order(count, batch, 3, seed=7, weights=weights)
    assert indices.shape == flips.shape == (3, batch)
    for row in indices:
        counts = np.bincount(row, minlength=count)
        assert len(counts) == count and np.ptp(counts) <= batch // count
        assert counts.max() <= -(-batch // count)
    later, _ = dataset.order(count, batch, 1, seed=7, start=2, weights=weights)
    assert (later[0] == indices[2]).all()


def test_every_species_weighs_the_same(tmp_path, one_decoder):
    looks = dict.fromkeys(("1", "25", "cat", "dog"), 0.0)
    for name, count in zip(looks, (1, 12, 1, 6), strict=True):
        for number in range(count):
            path = tmp_path / "pets" / str(number) / f"{name}.png"
            save_disc(path, (9 * number, 9, 9, 255))
    ready = load(f"folder:{tmp_path / 'pets'}", tmp_path)
    names = [file.split("/")[1][:-4] for file in ready.meta["file"]]
    for name, weight in zip(names, ready.weights, strict=True):
        looks[name] += weight
    assert list(looks.values()) == pytest.approx([1, 1, 1, 1])


@pytest.mark.parametrize("channels, mirror", [(4, True), (3, True), (4, False)])
def test_batches_follow_the_order(channels, mirror):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (21, 8, 8, channels), np.uint8)
    weights = rng.random(21) + 0.1 if channels == 3 else None
    arguments, places = (pictures, 4, 13, 5, mirror), dict(start=2, weights=weights)
    indices, flips = dataset.order(21, 4, 13, 5, **places)
    batches = [x.numpy() for x in dataset.batches(*arguments, **places)]
    for index, flip, batch in zip(indices, flips, batches, strict=True):
        assert batch.dtype == np.float32
        truth = [
            images.mirror(x) if f and mirror else x
            for x, f in zip(pictures[index], flip, strict=True)
        ]
        assert np.allclose(batch, np.array(truth) / 127.5 - 1, atol=1e-6)
    assert dataset.to_float(np.uint8([0, 255])).tolist() == [-1, 1]


def good():
    pictures = np.zeros((5, 16, 16, 4), np.uint8)
    for i in range(5):
        pictures[i, 4:12, 4:12] = (10 * i, 20, 30, 255)
    return pictures


@pytest.mark.parametrize(
    "spoil, reason",
    [
        (lambda x: dataset.to_float(x), "float32 of shape .*expected uint8"),
        (lambda x: x[..., :3], r"height, width, 4\)"),
        (lambda x: x[:, :8], r"got \(5, 8, 16, 4\)"),
        (lambda x: x[:1], "n >= 2"),
        (lambda x: x.tolist(), "expected uint8"),
        (lambda x: np.repeat(x[:1], 5, axis=0), "identical"),
        (lambda x: x | np.uint8([9, 0, 0, 0]), "straight RGBA"),
        (lambda x: x | np.uint8([0, 0, 0, 255]), "100% of the corner pixels"),
    ],
)
def test_check_range_catches(spoil, reason):
    dataset.check_range(good())
    with pytest.raises(ValueError, match=reason):
        dataset.check_range(spoil(good()))


@pytest.mark.parametrize("end", ["", "/", "//", "/.", "/../pets/"])
def test_a_folder_is_one_source_however_it_is_written(pets, tmp_path, one_decoder, end):
    """Or a run could not go on, as its pictures would count as others."""
    first = dataset.load(pets, 16, tmp_path, progress=[].append)
    again = dataset.load(f"{pets}{end}", 16, tmp_path, progress=[].append)
    assert again.source == first.source == pets
    assert again.fingerprint == first.fingerprint
    both = sources.spelled(f"{pets}{end}+doodles+{pets}")
    assert both == f"{pets}+doodles" and sources.spelled("sprites") == "sprites"
