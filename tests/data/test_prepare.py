"""Pictures become arrays: broken ones are named, the split holds, copies are found."""

import io
import itertools
import os
import time

import numpy as np
import pytest
from drawings import save_disc
from PIL import Image

from pokeutils.common import background, images
from pokeutils.data import dataset, doodles, prepare
from pokeutils.evaluation import copies, measures, report


def load(source, tmp_path, size=16, lines=None):
    progress = [].append if lines is None else lines.append
    return dataset.load(source, size, tmp_path / "data", progress)


def test_what_cannot_be_used_is_named_and_too_much_of_it_refused(pets, tmp_path):
    (tmp_path / "pets" / "page.png").write_text("<!DOCTYPE html><html>not found")
    whole = (tmp_path / "pets" / "001.png").read_bytes()
    (tmp_path / "pets" / "cut.png").write_bytes(whole[:90])
    ready = load(pets, tmp_path)
    reasons = {item["file"]: item["reason"] for item in ready.report["dropped"]}
    assert set(reasons) == {"page.png", "cut.png"} and len(ready.images) == 40
    assert "not a picture" in reasons["page.png"]
    assert "page.png" not in ready.meta["file"]
    (tmp_path / "pets" / "broken.png").write_bytes(b"?")
    with pytest.raises(RuntimeError, match=r"3 of 43 .* \(broken.png: not a picture"):
        load(pets, tmp_path)
    assert os.listdir(ready.folder.parent) == [ready.folder.name]


def test_deadly_and_endless_pictures_are_dropped(pets, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "SECONDS", 5)
    deep = "<g opacity='0.5'>" * 20_000 + "<path d='M0 0'/>" + "</g>" * 20_000
    slow = '<filter id="f"><feTurbulence numOctaves="9999999" baseFrequency="1"/>'
    slow += '</filter><rect width="9" height="9" filter="url(#f)"/>'
    head = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">'
    for name, body in (("deep", deep), ("slow", slow)):
        (tmp_path / "pets" / f"{name}.svg").write_text(f"{head}{body}</svg>")
    ready = load(pets, tmp_path)
    assert len(ready.images) == 40
    reasons = {item["file"]: item["reason"] for item in ready.report["dropped"]}
    assert "decoder crashed" in reasons["deep.svg"]
    assert "more than 5 s" in reasons["slow.svg"]


def test_the_split_is_by_species(tmp_path, one_decoder):
    for number in range(1, 60):
        for look in ("regular", "shiny", "mega"):
            save_disc(tmp_path / "pets" / look / f"{number}.png", (number, 9, 9, 255))
    for name in ("cat", "dog"):
        save_disc(tmp_path / "pets" / "regular" / f"{name}.png", (9, 9, 9, 255))
        save_disc(tmp_path / "pets" / "shiny" / f"{name}.png", (9, 9, 99, 255))
    meta = load(f"folder:{tmp_path / 'pets'}", tmp_path).meta
    for key in ("species_id", "slug"):
        for species in set(meta[key]) - {0}:
            assert len(set(meta["split"][meta[key] == species])) == 1
    assert 0 < (meta["split"] == "holdout").mean() < 0.3


def test_the_split_never_changes():
    # Written down: a changed split would leak hold-out species into old models.
    held = [n for n in range(1, 1026) if prepare.is_holdout(n)]
    assert held[:8] == [10, 13, 40, 45, 48, 52, 54, 66] and len(held) == 96
    assert prepare.is_holdout("7") == prepare.is_holdout(7)


def test_pictures_that_sources_share_are_kept_once_and_told_of(tmp_path, one_decoder):
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    for number in range(1, 9):
        doodles.draw(number).save(folders[0] / f"{number}.png")
    for number in range(5, 21):  # on white, turned, as JPEG
        turned = np.asarray(doodles.draw(number))[:, ::-1]
        white = Image.fromarray(images.composite(images.premultiply(turned)))
        white.save(folders[1] / f"{number}.jpg", quality=95)
    name = "+".join(f"folder:{folder}" for folder in folders)
    for attempt in range(2):  # prepared, then read
        lines = []
        ready = load(name, tmp_path, 48, lines)
        assert len(ready.images) == 8 + 12 and len(ready.report["duplicates"]) == 4
        [warning] = [line for line in lines if "Warning" in line]
        assert "share pictures. 4 are left out" in warning, attempt
    kept = {file.split("/")[-1] for file in ready.meta["file"]}
    assert kept == {f"{n}.{'png' if n < 9 else 'jpg'}" for n in range(1, 21)}
    for pair in ready.report["duplicates"]:
        name = pair["same_as"].split("/")[-1]
        assert pair["file"].split("/")[-1] == name.replace("png", "jpg")
    raw = tmp_path / "data" / "raw" / ready.folder.name.removesuffix("-48")
    assert all((raw / file).is_file() for file in ready.meta["file"])


def rows(names):
    """Rows of meta.csv for file names without a number, or {number: files}."""
    return [
        {"species_id": number, "slug": slug, "sha256": f"{number} {slug} {copy}"}
        for number, slug, count in names
        for copy in range(count)
    ]


@pytest.mark.parametrize(
    "names, together",
    [
        ([("10", "10 (0)", 40)], False),  # a species that is held out elsewhere
        ([("1", "a", 40), ("2", "b", 40)], False),
        ([("10", "a", 19), ("", "b", 1)], False),
        ([("", f"cat{n}", 1) for n in range(20)], True),
        ([("", f"cat{n}", 2) for n in range(10)], True),
        ([(str(n), "", 3) for n in range(1, 60)], True),
        ([("", "x", 3), *(("", f"cat{n}", 1) for n in range(57))], True),
    ],
)
def test_a_tenth_of_ones_own_is_held_out_whatever_they_are_called(names, together):
    mine = rows(names)
    held = prepare.split(mine, own=True)
    assert 0.05 * len(mine) < sum(held) <= 0.1 * len(mine)
    sides = set(zip((r["species_id"] or r["slug"] for r in mine), held, strict=True))
    assert (len(sides) == len(names)) == together
    assert prepare.split(mine[::-1], own=True) == held[::-1]


@pytest.mark.parametrize("count", [19, 20])
def test_twenty_pictures_of_ones_own_are_enough(tmp_path, count, one_decoder):
    for number in range(count):
        save_disc(tmp_path / "pets" / f"10 ({number}).png", (9 * number, 90, 9, 255))
    if count < 20:
        with pytest.raises(RuntimeError, match="19 of 19 .* at least 20 are needed"):
            load(f"folder:{tmp_path / 'pets'}", tmp_path)
        return
    ready = load(f"folder:{tmp_path / 'pets'}", tmp_path)
    assert ready.holdout.sum() == 2 and not ready.groups.any()
    reals = ready.images[ready.train]
    assert measures.Halves(18, ready.groups[ready.train]).most >= report.FEWEST // 2
    assert copies.Originals(reals, groups=ready.groups[ready.train]).count == 10


def test_boxes_are_said_and_counted(pets, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (5, 5, 3), np.uint8)
    for name, ground in (("photo", noise), ("blue", noise[:1, :1])):
        image = Image.fromarray(ground).resize((60, 60), Image.Resampling.BICUBIC)
        image.paste((200, 60, 60), (20, 10, 40, 50))
        image.paste((60, 200, 60), (12, 24, 48, 36))
        image.save(tmp_path / "pets" / f"{name}.jpg")
    lines = []
    ready = load(pets, tmp_path, lines=lines)
    assert ready.report["boxes"] == ["photo.jpg"]
    [line] = [line for line in lines if "Warning" in line]
    assert "1 of 42 pictures fill a box, such as photo.jpg" in line


@pytest.fixture(scope="module")
def drawn():
    return [np.asarray(doodles.draw(number)) for number in range(1, 61)]


def fitted(pictures, size=64):
    return np.stack([images.fit(picture, size) for picture in pictures])


def on_white(rgba, kind, quality=90):
    """What a JPEG of it would be, with a margin, and read as any opaque file is."""
    rgb = Image.fromarray(images.composite(images.premultiply(rgba)))
    canvas = Image.new("RGB", (220, 180), "white")
    canvas.paste(rgb.resize((160, 160), Image.Resampling.LANCZOS), (40, 10))
    buffer = io.BytesIO()
    canvas.save(buffer, kind, quality=quality)
    rgba = np.asarray(Image.open(buffer).convert("RGBA"))
    return background.cut(rgba, fringe=background.FRINGE)


def test_jpegs_and_mirror_images_of_the_same_pictures_are_found(drawn):
    again = [on_white(picture, "JPEG") for picture in drawn[20:]]
    turned = [images.mirror(picture) for picture in drawn[:20]]
    pairs = prepare.pairs(fitted([*drawn, *turned, *again]))
    found = [(pair.first, pair.second - 60, pair.mirrored) for pair in pairs]
    assert found == [(index, index, index < 20) for index in range(60)]
    assert max(pair.notes for pair in pairs) < prepare.FAR / 2
    recoloured = [picture[..., [2, 0, 1, 3]] for picture in drawn[:20]]
    assert len(prepare.pairs(fitted([*drawn[:20], *recoloured]))) < 3


def test_within_a_set_each_pair_is_named_once(drawn):
    pictures = fitted([*drawn[:5], *drawn[:2], *drawn[5:]])
    pairs = [(pair.first, pair.second) for pair in prepare.pairs(pictures)]
    assert pairs == [(0, 5), (1, 6)]  # and no two drawings of their own
    pictures[2] = pictures[3] = 0  # nothing to see is no reason to stop
    assert (2, 3) in [pair[:2] for pair in prepare.pairs(pictures)]


def test_pairs_are_those_of_the_definition(drawn, monkeypatch):
    monkeypatch.setattr(prepare, "ROWS", 7)  # several parts, the last one ragged
    shades = [picture // 4 * 4 for picture in drawn[:8]]  # near copies
    turned = [images.mirror(picture) for picture in drawn[4:12]]
    pictures = fitted([*drawn[:16], *shades, *turned], 32)
    notes, mirrored, cells = prepare._describe(pictures, print)
    expected = []
    for first, second in itertools.combinations(range(len(pictures)), 2):
        apart = [(own[first] != notes[second]).sum() for own in (notes, mirrored)]
        ours = cells[first][:, ::-1] if apart[1] < apart[0] else cells[first]
        hues = np.abs(ours - cells[second]).mean()
        if min(apart) <= prepare.FAR and hues <= prepare.COLOUR:
            expected.append((first, second, min(apart), apart[1] < apart[0]))
    assert 16 <= len(expected) < 60
    assert sorted(map(tuple, prepare.pairs(pictures))) == expected


def test_many_pictures_take_seconds_and_are_told_of(monkeypatch):
    monkeypatch.setattr(prepare, "TELL", 1024)
    many = np.random.default_rng(0).integers(0, 256, (3000, 8, 8, 4), np.uint8)
    many[..., 3], lines, begin = 255, [], time.process_time()
    assert len(prepare.pairs(many, progress=lines.append)) < 9
    assert time.process_time() - begin < 15 and len(lines) == 4
    monkeypatch.setattr(prepare, "MOST", 9)
    monkeypatch.setattr(prepare, "ROWS", 10)
    copies = prepare.pairs(np.repeat(many[:1], 50, axis=0), progress=lines.append)
    assert 9 < len(copies) < 50 * 49 / 2 and "more than 9 pairs" in lines[-1]
