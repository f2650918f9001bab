"""The gallery page is whole, self-contained and safe, whatever a run folder holds."""

import base64
import io

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from pokeutils.common import files, plots
from pokeutils.web import gallery

COLUMNS = "epoch,step,images,seconds,images_per_second,d_loss,g_loss,d_real,d_fake,r1"
DATA = {"source": "artwork", "size": 16, "pictures": 649, "training_pictures": 583}
PARAMS = {
    "recipe": {"name": "modern64"},
    "seed": 3,
    "data": DATA | {"fingerprint": "ab" * 32},
    "backend": "jax",
    "dtype": "float32",
    "device": "Tesla T4, 15 GiB",
    "versions": {"python": "3.12.3", "keras": "3.13.2", "jax": "0.10.2"},
    "git_commit": "0123456789abcdef0123",
}
ROWS = {
    "samples": {"kid": {"value": 0.0412, "interval": [0.0392, 0.0432]}},
    "real halves": {"kid": {"value": -0.0001, "interval": [-0.0005, 0.0003]}},
    "blur": {"kid": {"value": 0.0123}},
}


def share(judged, total):
    return {"together": {"judged": judged, "total": total, "low": 0.003, "high": 0.02}}


PLANTED = {"exact": share(49, 50), "warped": share(49, 50)}
METRICS = {
    "samples": 512,
    "reals": 649,
    "spaces": {"Lite0": {"network": "lite0-224", "rows": ROWS}},
    "copies": {"samples": share(4, 512), "held out": share(1, 66), "planted": PLANTED},
}


def opened(path):
    """The page at a path; `page(tag)` finds its tags."""
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


def text(page):
    return " ".join(page.get_text().split())


@pytest.fixture
def run(tmp_path):
    """A run folder with everything that the page can show."""
    folder = tmp_path / "007-modern64"
    random = np.random.default_rng(0)
    for name in ("000000000", "000012800", "reals"):
        creatures = random.integers(0, 256, (64, 16, 16, 3)).astype("uint8")
        plots.save_png(folder / "samples" / f"{name}.png", plots.tile(creatures))
    frames = random.integers(0, 256, (3, 40, 40, 3)).astype("uint8")
    plots.gif(folder / "animation.gif", frames)
    plots.save_png(folder / "nearest.png", frames[0])
    rows = [
        f"{i},{i},{640 * i},{6.5 * i},98,0.9,{2 + i},0.7,0.8,0" for i in range(1, 21)
    ]
    (folder / "log.csv").write_text("\n".join([COLUMNS, *rows, "21,21,13"]))
    files.write_json(folder / "params.json", PARAMS)
    files.write_json(folder / "metrics.json", METRICS)
    return folder


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    """A repository of its own, whose trained generators the page shows: none yet."""
    monkeypatch.setattr(gallery.env, "ROOT", tmp_path / "repository")
    return tmp_path / "repository"


def test_trained_generators_of_the_repository_are_shown(run, repository, tmp_path):
    card = {"images_seen": 123_456, "hours": 2.2, "device": "a CPU", "seed": 0}
    outputs = repository / "outputs"
    for name in ("big", "without_picture"):
        files.write_json(outputs / "pretrained" / f"{name}.json", card)
    sheet = plots.to_jpeg(np.zeros((64, 64, 3), "uint8"))
    files.write_bytes(outputs / "gallery" / "big.jpg", sheet)
    page = opened(gallery.write(run, tmp_path / "latest"))
    assert "big after 123,456 pictures, 2 h 12 min on a CPU" in text(page)
    assert "without_picture" not in text(page)
    assert any(i["src"].startswith("data:image/jpeg;base64,") for i in page("img"))


def test_everything_is_on_the_page(run, tmp_path):
    pages = tmp_path / "latest" / "notebooks"
    pages.mkdir(parents=True)
    names = "01_scrape.html 01_scrape.ipynb 02_explore.ipynb x.html"
    for name in [*names.split(), "04_train.failed.ipynb"]:
        (pages / name).touch()
    (tmp_path / "latest" / "quiz.html").touch()
    path = gallery.write(run, tmp_path / "latest", notebooks=["06_evaluate"])
    assert path == tmp_path / "latest" / "index.html"
    page = opened(path)
    shown = """007-modern64 | Creatures nobody drew | 583 artworks of Pokémon
        | real halves -0.1 ± 0.4 blur 12.3 samples 41.2 ± 2.0 | 4 of 512 samples
        | 512 samples | 0.3% to 2.0% | Of 66 real pictures | takes 1 for | 98 of 100
        | 649 at 16 px | Tesla T4, 15 GiB | float32 | jax 0.10.2 | 0123456789ab
        | 12,800 | 2 minutes | 98 pictures per second | Seed3 | make run | Nintendo"""
    for words in " ".join(shown.split()).split(" | "):
        assert words in text(page), words
    links = [a["href"] for a in page("a")]
    names = ["01_scrape.html", "02_explore.ipynb", "06_evaluate.html"]
    assert links == ["quiz.html", *(f"notebooks/{name}" for name in names)]
    charts = [chart["src"].partition(",")[0] for chart in page("img", class_="chart")]
    assert charts == ["data:image/svg+xml;base64"] * 2
    assert len(page("h1")) == len(page("title")) == len(page("main")) == 1


def test_pictures_are_inside_described_and_enlarged_by_whole_numbers(run, tmp_path):
    page = opened(gallery.write(run, tmp_path))
    kinds = []
    for picture in page("img", style=True):
        assert len(picture["alt"]) > 20
        head, content = picture["src"].split(";base64,")
        image = Image.open(io.BytesIO(base64.b64decode(content)))
        assert head == f"data:image/{image.format.lower()}"
        kinds.append((image.format, getattr(image, "n_frames", 1)))
        assert (int(picture["width"]), int(picture["height"])) == image.size
        shown = int(picture["style"].removeprefix("width:").removesuffix("px"))
        assert shown % image.width == 0 and shown <= 1060
    # Samples, reals, animation, nearest.
    assert kinds == [("PNG", 1), ("PNG", 1), ("GIF", 3), ("PNG", 1)]
    newest = base64.b64encode((run / "samples" / "000012800.png").read_bytes()).decode()
    assert page("img")[0]["src"].endswith(newest)
    (still,) = page("source")  # instead of the animation, for who wants no motion
    assert still["srcset"].endswith(newest) and "reduced-motion" in still["media"]


LOST = {
    "metrics.json": "How good they are",
    "nearest.png": "Are they copies",
    "samples": "None was picked",
    "animation.gif": "The same random inputs",
    "log.csv": "losses",
    "params.json": "Data fingerprint",
}


@pytest.mark.parametrize("missing", LOST)
def test_one_missing_part_is_left_out(run, tmp_path, missing):
    (run / missing).rename(tmp_path / "elsewhere")
    page = opened(gallery.write(run, tmp_path))
    assert "Go further" in text(page) and LOST[missing] not in text(page)
    assert "None" not in text(page).replace("None was picked", "")
    assert "nan" not in text(page)


TORN = [b"", b"\0" * 200_000, b"[" * 100_000, b'{"torn', b"[1]", b"step\n1\n", b"\xff"]


@pytest.mark.parametrize("content", TORN, ids=range(len(TORN)))
@pytest.mark.parametrize("name", ["metrics.json", "params.json", "log.csv"])
def test_a_damaged_part_is_named_and_left_out(run, tmp_path, capsys, name, content):
    (run / name).write_bytes(content)
    page = opened(gallery.write(run, tmp_path))
    assert "Go further" in text(page) and LOST[name] not in text(page)
    if name != "log.csv" or content != TORN[5]:  # which lacks columns, and is whole
        assert f"{name} is damaged" in capsys.readouterr().out


@pytest.mark.parametrize("change", [lambda x: x[:60], lambda x: x[:-40], lambda x: b""])
def test_damaged_pictures_are_named_and_left_out(run, tmp_path, capsys, change):
    for name in ("samples/000012800.png", "animation.gif", "nearest.png"):
        (run / name).write_bytes(change((run / name).read_bytes()))
    page = opened(gallery.write(run, tmp_path))
    assert len(page("img", style=True)) == 2  # reals, an older sheet
    assert "damaged" in capsys.readouterr().out


def test_an_empty_run_folder_gives_a_page(tmp_path):
    files.write_text(tmp_path / "001-new" / "log.csv", COLUMNS + "\n")
    page = opened(gallery.write(tmp_path / "001-new", tmp_path))
    assert "001-new" in text(page) and not page("img")
