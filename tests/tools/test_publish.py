"""Publishing a run's generator in half precision, loading it, hatching from it."""

import dataclasses
import json

import numpy as np
import publish
import pytest
from PIL import Image
from tiny import SILENT

from pokeutils import sampling
from pokeutils.common import files, images, saved
from pokeutils.data import dataset, traits
from pokeutils.evaluation import features, measures
from pokeutils.recipes import catalogue
from pokeutils.training import checkpoints, loop, runs


def test_what_the_repository_ships_is_small_and_draws_creatures():
    folder = saved.folder()
    names = saved.names()
    assert saved.FLAGSHIP in names and len(names) <= 2
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 24e6
    for name in names:
        card = saved.card(name)
        pictures = sampling.sample(saved.pretrained(name), 64)
        whole = int((traits.largest_piece(pictures) >= publish.WHOLE).sum())
        assert 0 < whole < 64 and abs(card["whole"]["64"] - whole) <= 1
        # make train PARAMS=<card> trains what the recipe of that name is.
        made_from = catalogue.read(folder / f"{name}.json")
        assert made_from == (catalogue.get(name), card["data"]["source"], card["seed"])
        size = card["recipe"]["size"]
        assert pictures.shape == (64, size, size, 4)
        alpha = pictures[..., 3]
        assert 0.05 < (alpha > 128).mean() < 0.8 and np.mean(alpha < 16) > 0.1
        assert len({picture.tobytes() for picture in pictures}) == 64
        page = (folder / f"{name}.md").read_text("utf-8")
        assert f"{card['images_seen']:,}" in page


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run in two parts, whose scores on the way were measured."""
    patch = pytest.MonkeyPatch()
    patch.setenv("POKEUTILS_OUTPUTS", str(tmp_path_factory.mktemp("outputs")))
    folder = tmp_path_factory.mktemp("outputs") / "pretrained"
    folder.mkdir()
    patch.setattr(saved, "folder", lambda: folder)
    run = loop.train(catalogue.get("tiny16"), "doodles", **SILENT)
    params = json.loads((run / "params.json").read_text("utf-8"))
    files.write_json(run / "params.json", {**params, "parts": ["320 images", "more"]})
    yield run
    patch.undo()


@pytest.fixture(scope="module")
def published(run):
    return publish.publish(run, ["It is tiny."])


def test_half_precision_draws_the_same_creatures(run, published):
    half = saved.pretrained("tiny16")
    whole = saved.load_generator(run / "generator.keras")
    assert half.compute_dtype == whole.compute_dtype == "float32"
    a, b = (sampling.sample(one, 16).astype("int16") for one in (half, whole))
    assert np.abs(a - b).max() <= 4 and np.ptp(a) > 50
    assert published.stat().st_size < (run / "generator.keras").stat().st_size


def test_a_training_goes_on_from_what_was_published(run, published):
    """From generator and discriminators, but for what half precision rounds off."""
    was, now = (catalogue.get("tiny16").build(seed) for seed in (0, 1))
    checkpoints.load(was, run)
    saved.warm(now, "tiny16")
    for name in ("discriminator", "averaged"):
        pairs = (getattr(model, name).weights for model in (was, now))
        for old, new in zip(*pairs, strict=True):
            if "moving" not in old.path:  # measured anew before it was saved
                np.testing.assert_allclose(old, new, rtol=1e-3, atol=1e-4)
    for old, new in zip(now.averaged.weights, now.generator.weights, strict=True):
        np.testing.assert_array_equal(old, new)
    warm = dataclasses.replace(catalogue.get("tiny16"), warm="tiny16").build(seed=2)
    pictures = [sampling.sample(x, 4) for x in (warm.generator, now.generator)]
    np.testing.assert_array_equal(*pictures)


def test_what_is_unfinished_is_not_listed_but_can_be_gone_on_from(run, published):
    page = publish.publish(run, ["Blots."], "half", finished=False).with_suffix(".md")
    assert saved.names() == ["tiny16"]
    assert not (published.parents[1] / "gallery" / "half.jpg").exists()
    with pytest.raises(ValueError, match="No trained generator 'half'"):
        saved.pretrained("half")
    code = page.read_text("utf-8").split("```python\n")[1].split("\ntraining.train")[0]
    space = {}
    exec(code.replace("outputs/pretrained", str(published.parent)), space)
    model = space["recipe"].build(dtype="float32")
    pictures = [
        sampling.sample(x, 4) for x in (model.generator, saved.pretrained("tiny16"))
    ]
    np.testing.assert_allclose(*np.int16(pictures), atol=1)


@pytest.mark.parametrize("changes, words", [
    ({"generator_options": (("widths", (8, 4)), ("latent_dim", 16), ("detail", 8))},
     "tiny16 has other layers"),
    ({"discriminator_options": (("widths", (8, 4)),)}, "of other discriminators"),
])  # fmt: skip
def test_a_training_goes_on_with_the_same_networks_only(published, changes, words):
    other = dataclasses.replace(catalogue.get("tiny16"), warm="tiny16", **changes)
    with pytest.raises(ValueError, match=words):
        other.build()


def test_the_card_says_what_was_done(published):
    card = saved.card("tiny16")
    assert card["images_seen"] >= catalogue.get("tiny16").images
    assert card["recipe"]["name"] == "tiny16" and card["flaws"] == ["It is tiny."]
    assert card["on_the_way"] == {}
    assert len({len(values) for values in card["log"].values()}) == 1
    text = published.with_suffix(".md").read_text("utf-8")
    remake = "make train PARAMS=outputs/pretrained/tiny16.json"
    for part in ("640", "doodles", remake, "It is tiny.", "NOTICE"):
        assert part in text
    assert "| In parts | 320 images |\n| In parts | more |" in text
    creatures = sampling.sample(saved.pretrained("tiny16"), 512)
    whole = traits.largest_piece(creatures) >= publish.WHOLE
    assert abs(card["whole"]["512"] - whole.sum()) <= 5  # half precision: a level
    assert f"{card['whole']['64']} of the first 64 and" in text


def test_the_card_has_scores_on_the_way_if_they_were_measured(run, published):
    reals = dataset.load("doodles", 16).images
    found = publish.measure_on_the_way(run, reals, {"random": "random"})
    assert found["images"] == [seen for seen, _ in runs.sample_files(run)]
    # The first sheet is of the untrained network, the last of what is published.
    last = sampling.sample(saved.load_generator(run / "generator.keras"), 64)
    look = features.random_conv()
    value, _ = measures.kid(look(reals), look(last), subset_size=64)
    first, *_, last = found["random"]
    assert first != last == pytest.approx(value, rel=0.02)
    publish.publish(run, [], "measured")
    way, log = saved.card("measured")["on_the_way"], runs.read_log(run)
    assert way["random"] == [round(1000 * v, 1) for v in found["random"]]
    assert way["seconds"][0] == 0
    assert way["seconds"][-1] == pytest.approx(log["seconds"][-1], abs=1)


def test_its_pictures_go_to_the_gallery(published):
    gallery = published.parents[1] / "gallery"
    with Image.open(gallery / "tiny16.jpg") as sheet:
        assert sheet.size == (16 * 18 + 2, 4 * 18 + 2)
    with Image.open(gallery / "tiny16.gif") as film:
        assert film.size == (16 * 18 + 2, 2 * 18 + 2) and film.n_frames > 3
    with Image.open(gallery / "tiny16-on-the-way.jpg") as way:
        assert way.size[0] > 8 * 18


def test_hatching_writes_transparent_creatures(published, tmp_path):
    generator = saved.pretrained("tiny16")
    pictures = sampling.hatch(generator, tmp_path, count=5, seed=3)
    assert len(list(tmp_path.glob("3-0*.png"))) == 5
    read = np.asarray(Image.open(tmp_path / "3-001.png"))
    assert read.shape == (16, 16, 4) and read.dtype == np.uint8
    np.testing.assert_array_equal(read[..., 3], pictures[1][..., 3])
    back = images.premultiply(read).astype("int16")
    assert np.abs(back - pictures[1]).max() <= 1


def test_unknown_names_and_other_files_are_refused(published):
    with pytest.raises(ValueError, match="No trained generator 'big'.*tiny16"):
        saved.pretrained("big")
    warm = dataclasses.replace(catalogue.get("tiny16"), warm="tiny16")
    second = published.with_name("tiny16-discriminators.npz")
    for path, read in (
        (published, lambda: saved.pretrained("tiny16")),
        (second, warm.build),
    ):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + b"x")
        with pytest.raises(ValueError, match="not the file that its card describes"):
            read()
        path.write_bytes(content)
