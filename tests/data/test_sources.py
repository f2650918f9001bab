"""Any source is fetched whole or not at all, once, and again when it is damaged."""

import os

import pytest
from drawings import save_disc

from pokeutils.common import files
from pokeutils.data import doodles, sources


def fetch(name, tmp_path, lines=None):
    progress = [].append if lines is None else lines.append
    return sources.fetch(name, tmp_path / "raw", progress)


def test_a_second_fetch_does_nothing_and_damage_is_repaired(few_doodles, tmp_path):
    lines = []
    raw = fetch("doodles", tmp_path, lines)
    assert len(lines) == 1
    assert fetch("doodles", tmp_path, lines) == raw and len(lines) == 1
    whole = (raw / "007.png").read_bytes()
    rows = (raw / "manifest.csv").read_text("utf-8").splitlines(keepends=True)
    harms = (
        lambda: (raw / "007.png").write_text("?"),
        lambda: (raw / "source.json").write_text("{"),
        lambda: (raw / "source.json").write_text("[]"),
        lambda: (raw / "007.png").unlink(),
        lambda: (raw / "manifest.csv").write_text("".join(rows[:-2])),
        lambda: (raw / "manifest.csv").write_text(rows[0]),
        lambda: (raw / "manifest.csv").write_text("".join(rows) * 2),
        lambda: (raw / "manifest.csv").write_bytes(bytes(200_000)),
    )
    for harm in harms:
        harm()
        fetch("doodles", tmp_path, lines)
        assert (raw / "007.png").read_bytes() == whole
        assert len(sources.manifest(raw)) == 9
    assert len(lines) == 1 + len(harms)
    assert os.listdir(tmp_path / "raw") == ["doodles"]
    row = sources.manifest(raw)[6]
    digest = files.sha256(raw / "007.png")
    values = "007.png", "7", "doodle-007", "", "0", "front", "0", digest, "drawn", ""
    assert row == dict(zip(sources.COLUMNS, values, strict=True))


def test_doodles_are_the_same_every_time_and_all_different():
    first = [doodles.draw(number) for number in range(1, 13)]
    assert doodles.draw(3).tobytes() == first[2].tobytes()
    assert len({image.tobytes() for image in first}) == 12
    for image in first:
        assert image.mode == "RGBA" and image.size == (128, 128)
        assert image.getpixel((0, 0))[3] == 0
        solid = sum(image.getchannel("A").histogram()[128:]) / 128**2
        assert 0.08 < solid < 0.75


FOREIGN = ("", "folder:", "Artwork", "folder", "artwork+", "artwork+cats", "kaggle:a/b")


@pytest.mark.parametrize("name", [*FOREIGN, "folder:x+kaggle:y/z"])
def test_an_unknown_source_lists_the_known_ones(name, tmp_path):
    with pytest.raises(ValueError, match="sprites, official, .* or folder:<path>"):
        fetch(name, tmp_path)


def test_describe_says_whose_the_pictures_are():
    assert sources.describe("artwork").expected == 649
    assert "GAME FREAK" in sources.describe("artwork").owner
    assert sources.describe("sprites").pixel_art == 32
    assert not sources.describe("folder:/tmp").pixel_art
    both = sources.describe("artwork+sprites")
    assert both.owner.count("Creatures") == 2


def test_names_of_several_sources():
    kaggle = "kaggle:kvpratama/pokemon-images-dataset"
    assert sources.parts(f"official+{kaggle}") == ["official", kaggle]
    assert sources.parts("folder:/a+b+sprites") == ["folder:/a+b", "sprites"]
    assert sources.parts("folder:/a+b") == ["folder:/a+b"]
    assert sources.parts("sprites+official+sprites") == ["sprites", "official"]
    assert "pixel" in sources.describe("folder:/a+sprites").title
    folder = sources.folder_name(f"official+{kaggle}")
    assert folder == "official+kaggle-pokemon-images-dataset"


def test_several_sources_become_one_folder_that_points_into_theirs(tmp_path):
    for name in ("cats/1", "cats/2", "dogs/1", "dogs/2"):
        save_disc(tmp_path / f"{name}.png", "red")
    pets = f"folder:{tmp_path}/cats+folder:{tmp_path}/dogs"
    raw = fetch(pets, tmp_path)
    rows = sources.manifest(raw)
    assert len(rows) == 4 and all((raw / row["file"]).is_file() for row in rows)
    assert sorted(os.listdir(raw)) == ["manifest.csv", "source.json"]
    save_disc(tmp_path / "dogs" / "3.png", "red")
    assert len(sources.manifest(fetch(pets, tmp_path))) == 5
    assert len(os.listdir(tmp_path / "raw")) == 3
