"""Any source is fetched whole or not at all, once, and again when it is damaged."""

import os

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pokeutils.common import files
from pokeutils.data import doodles, sources


def fetch(name, tmp_path, said=None):
    progress = [].append if said is None else said.append
    return sources.fetch(name, tmp_path / "raw", progress)


@pytest.fixture
def pets(tmp_path):
    """Two folders of five pictures, of which one is in both."""
    rng = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        for number in range(1, 6):
            image = Image.new("RGBA", (48, 48))
            draw = ImageDraw.Draw(image)
            draw.ellipse([4, 4, 44, 44], fill=(150, 150, 150))
            for _ in range(6):
                x, y = rng.integers(8, 32, 2)
                shade = int(rng.integers(256))
                draw.rectangle([x, y, x + 8, y + 8], fill=(shade, 255 - shade, 90))
            image.save(tmp_path / name / f"{number}.png")
    Image.open(tmp_path / "cats" / "3.png").transpose(
        Image.Transpose.FLIP_LEFT_RIGHT
    ).save(tmp_path / "dogs" / "4.png")
    return f"folder:{tmp_path}/cats+folder:{tmp_path}/dogs"


def test_a_second_fetch_does_nothing_and_damage_is_repaired(few_doodles, tmp_path):
    said = []
    raw = fetch("doodles", tmp_path, said)
    assert len(said) == 1
    assert fetch("doodles", tmp_path, said) == raw and len(said) == 1
    whole = (raw / "007.png").read_bytes()
    rows = (raw / "manifest.csv").read_text("utf-8").splitlines(keepends=True)
    harms = (
        lambda: (raw / "007.png").write_text("?"),
        lambda: (raw / "source.json").write_text("{"),
        lambda: (raw / "source.json").write_text("[]"),
        lambda: (raw / "007.png").unlink(),
        lambda: (raw / "manifest.csv").write_text("".join(rows[:-2])),
        lambda: (raw / "manifest.csv").write_bytes(bytes(200_000)),
    )
    for harm in harms:
        harm()
        fetch("doodles", tmp_path, said)
        assert (raw / "007.png").read_bytes() == whole
        assert len(sources.manifest(raw)) == 9
    assert len(said) == 1 + len(harms)
    assert os.listdir(tmp_path / "raw") == ["doodles"]


def test_what_a_manifest_says(few_doodles, tmp_path):
    raw = fetch("doodles", tmp_path)
    row = sources.manifest(raw)[6]
    assert tuple(row) == sources.COLUMNS and row == {
        "file": "007.png",
        "species_id": "7",
        "slug": "doodle-007",
        "form": "",
        "shiny": "0",
        "view": "front",
        "frame": "0",
        "sha256": files.sha256(raw / "007.png"),
        "url_or_package": "drawn",
    }


def test_doodles_are_the_same_every_time_and_all_different():
    first = [doodles.draw(number) for number in range(1, 13)]
    assert doodles.draw(3).tobytes() == first[2].tobytes()
    assert len({image.tobytes() for image in first}) == 12
    for image in first:
        assert image.mode == "RGBA" and image.size == (128, 128)
        assert image.getpixel((0, 0))[3] == 0
        solid = sum(image.getchannel("A").histogram()[128:]) / 128**2
        assert 0.08 < solid < 0.75


# ------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    "name",
    [
        "",
        "pokemon",
        "folder:",
        "Artwork",
        "folder",
        "artwork+",
        "artwork+cats",
        "folder:x+kaggle:y/z",
    ],
)
def test_an_unknown_source_lists_the_known_ones(name, tmp_path):
    with pytest.raises(ValueError, match="sprites, official, .* or folder:<path>"):
        fetch(name, tmp_path)


def test_describe_says_whose_the_pictures_are():
    assert sources.describe("artwork").expected == 649
    assert sources.describe("official").expected == 809
    assert "GAME FREAK" in sources.describe("artwork").owner
    assert sources.describe("sprites").pixel_art == 32
    assert sources.describe("animated").pixel_art == 96
    assert not sources.describe("folder:/tmp").pixel_art
    both = sources.describe("artwork+sprites")
    assert both.owner.count("Creatures") == 2 and both.licence.count("study") == 1


def test_names_of_several_sources():
    kaggle = "kaggle:kvpratama/pokemon-images-dataset"
    assert sources.parts(f"official+{kaggle}") == ["official", kaggle]
    assert sources.parts("folder:/a+b+sprites") == ["folder:/a+b", "sprites"]
    assert sources.parts("folder:/a+b") == ["folder:/a+b"]
    assert sources.parts("sprites+official+sprites") == ["sprites", "official"]
    assert "pixel" in sources.describe("folder:/a+sprites").title
    folder = sources.folder_name(f"official+{kaggle}@~/archive.zip")
    assert folder == "official+kaggle-pokemon-images-dataset"


# -------------------------------------------------------------------- several together


def test_several_sources_become_one_folder_that_points_into_theirs(pets, tmp_path):
    raw = fetch(pets, tmp_path)
    rows = sources.manifest(raw)
    assert len(rows) == 10 and all((raw / row["file"]).is_file() for row in rows)
    assert sorted(os.listdir(raw)) == ["manifest.csv", "source.json"]
    Image.new("RGB", (9, 9), "red").save(tmp_path / "dogs" / "6.png")
    assert len(sources.manifest(fetch(pets, tmp_path))) == 11
    assert len(os.listdir(tmp_path / "raw")) == 3
