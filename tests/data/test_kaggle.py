"""The Kaggle sets: found wherever they lie, each picture once, types joined."""

import io
import sys

import pytest
from packed import zipped
from PIL import Image, ImageDraw

from pokeutils.data import dataset, download, kaggle, sources

POKEMON, TYPES = f"kaggle:{kaggle.POKEMON}", f"kaggle:{kaggle.TYPES}"


def picture(number, kind="PNG"):
    """A creature of its own, with transparency or on white."""
    mode, background = ("RGBA", (0, 0, 0, 0)) if kind == "PNG" else ("RGB", "white")
    image = Image.new(mode, (64, 64), background)
    draw = ImageDraw.Draw(image)
    draw.ellipse([8, 8 + number % 20, 50, 56], fill=(40 + number % 200, 90, 160))
    draw.rectangle([20 + number % 30, 4, 30 + number % 30, 40], fill=(200, 40, 20))
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=95)
    return buffer.getvalue()


def numbered():
    """As the set of numbers lies: everything as PNG, and again as JPEG."""
    stems = ["1", "6", "6-mega-x", "25", "521", "521f", "585-autumn"]
    inside = {}
    for place, stem in enumerate(stems):
        inside[f"pokemon/pokemon/{stem}.png"] = picture(7 * place)
        inside[f"pokemon_jpg/pokemon_jpg/{stem}.jpg"] = picture(7 * place, "JPEG")
    return inside


def named():
    """As the set of names lies: PNG, then JPEG for the newest, and a table."""
    stems = ("bulbasaur", "nidoran-f", "aegislash-blade", "pikachu", "nobody")
    inside = {"pokemon.csv": b"Name,Type1,Type2,Evolution\n"}
    for place, stem in enumerate(stems):
        inside[f"images/images/{stem}.png"] = picture(9 * place)
    for folder in ("images/images", "images"):
        inside[f"{folder}/rockruff.jpg"] = picture(60, "JPEG")
    return inside


def unpacked(folder, inside):
    for name, data in inside.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder on a machine with neither Kaggle nor kagglehub."""
    for name in kaggle.MOUNTS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(kaggle, "INPUT", str(tmp_path / "kaggle" / "input"))
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    return tmp_path / "data"


def fetch(name, data):
    return sources.fetch(name, data / "raw", lambda line: None)


def table(raw):
    rows = sources.manifest(raw)
    return {r["file"]: (r["species_id"], r["form"], r["slug"]) for r in rows}


def test_each_numbered_picture_is_read_once_with_what_is_known_of_it(data):
    inside = {"another/25.jpg": picture(1, "JPEG"), **numbered()}  # PNG comes first
    zipped(data / "downloads" / "pokemon-images-dataset.zip", inside)
    lines = []
    raw = sources.fetch(POKEMON, data / "raw", lines.append)
    assert "Warning" in lines[-1] and "819 pictures; 7 came from" in lines[-1]
    assert str(raw) in lines[-1] and raw.name == "kaggle-pokemon-images-dataset"
    others = {"6-mega-x": ("6", "mega-x", ""), "521f": ("521", "female", "")}
    others["585-autumn"] = ("585", "autumn", "")
    known = {n: (n, "", "") for n in ("1", "6", "25", "521")} | others
    assert table(raw) == {f"{stem}.png": row for stem, row in known.items()}
    assert (raw / "25.png").read_bytes() == picture(21)
    assert sources.about(raw)["left_out"] == ["files with the same pictures again: 8"]
    meta = dataset.load(POKEMON, 32, data, lambda line: None).meta
    types = list(zip(meta["type1"], meta["type2"], meta["hp"], strict=True))
    assert types[1:3] == [("fire", "flying", 78), ("fire", "dragon", 78)]
    assert meta["speed"][2] == 100 and meta["attack"][2] == 130  # Mega X, not Charizard
    assert types[5] == ("", "", 0) and meta["name"][5] == "Unfezant"
    assert meta["generation"].tolist() == [1, 1, 1, 1, 5, 5, 5]


def test_named_pictures_get_numbers(data):
    zipped(data / "downloads" / "pokemon-images-and-types.zip", named())
    raw = fetch(TYPES, data)
    assert sources.about(raw)["left_out"] == ["files with the same pictures again: 1"]
    assert table(raw) == {
        "bulbasaur.png": ("1", "", ""),
        "pikachu.png": ("25", "", ""),
        "nidoran-f.png": ("29", "", ""),
        "aegislash-blade.png": ("681", "blade", ""),
        "rockruff.jpg": ("744", "", ""),
        "nobody.png": ("", "", "nobody"),
    }


@pytest.mark.parametrize(
    "below",
    ["pokemon-images-dataset", "datasets/kvpratama/pokemon-images-dataset", None],
)
def test_kaggle_and_colab_inputs_are_found(data, tmp_path, monkeypatch, below):
    place = tmp_path / "kaggle" / "input"
    if below is None:
        place, below = tmp_path / "mount", "pokemon-images-dataset"
        monkeypatch.setenv("COLAB_CACHE_MOUNT_FOLDER", str(place))
    unpacked(place / below, numbered())
    assert len(sources.manifest(fetch(POKEMON, data))) == 7


HUB = """
import os, pathlib, time
def dataset_download(handle):
    here = pathlib.Path(__file__).parent
    if (here / "endless").exists():
        file = pathlib.Path(os.environ["KAGGLEHUB_CACHE"], "datasets", handle, "1.zip")
        file.write_bytes(bytes(2 << 20))
        time.sleep(60)
    if not (here / "set").exists():
        raise ConnectionError("no route to host")
    return str(here / "set") if handle == {handle!r} else None
"""


def test_kagglehub_is_asked_when_it_is_installed(data, tmp_path, monkeypatch):
    (tmp_path / "kagglehub.py").write_text(HUB.format(handle=kaggle.POKEMON))
    monkeypatch.delitem(sys.modules, "kagglehub")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "MOST_LOADED", 2**20)
    with pytest.raises(sources.SourceUnavailable, match="no route to host"):
        fetch(POKEMON, data)
    (tmp_path / "endless").touch()
    with pytest.raises(sources.SourceUnavailable, match="no end of .* after 1 MB"):
        fetch(POKEMON, data)
    (tmp_path / "endless").unlink()
    monkeypatch.setattr(download, "MOST_LOADED", 2**30)
    unpacked(tmp_path / "set", numbered())
    assert len(sources.manifest(fetch(POKEMON, data))) == 7


def test_nowhere_to_be_found_says_every_way(data):
    with pytest.raises(download.SourceUnavailable) as caught:
        fetch(TYPES, data)
    message = str(caught.value)
    assert "kagglehub" in message and "SOURCE=doodles" in message
    assert "\n" not in message
    assert "https://www.kaggle.com/datasets/vishalsubbiah/" in message
    assert str(data / "downloads" / "pokemon-images-and-types.zip") in message
