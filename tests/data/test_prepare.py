"""The same picture is found again, mirrored, smaller, as JPEG; another one is not."""

import io

import numpy as np
import pytest
from PIL import Image

from pokeutils.common import images
from pokeutils.data import doodles, prepare


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
    return images.cut_ground(rgba, fringe=images.FRINGE)


def test_drawings_of_their_own_are_no_pairs(drawn):
    assert prepare.pairs(fitted(drawn)) == []


def test_jpegs_of_the_same_pictures_are_found(drawn):
    again = [on_white(picture, "JPEG") for picture in drawn[20:]]
    found = prepare.pairs(fitted(drawn), fitted(again, 48))
    assert [(pair.first - 20, pair.second) for pair in found] == [
        (index, index) for index in range(40)
    ]
    assert not any(pair.mirrored for pair in found)
    assert max(pair.notes for pair in found) < prepare.FAR / 2


def test_mirror_images_are_found_and_called_that(drawn):
    turned = fitted([images.mirror(picture) for picture in drawn[:20]])
    found = prepare.pairs(fitted(drawn), turned)
    assert [(pair.first, pair.second) for pair in found] == [(i, i) for i in range(20)]
    assert all(pair.mirrored and pair.notes < 20 for pair in found)


def test_a_recolour_is_another_picture(drawn):
    recoloured = [picture[..., [2, 0, 1, 3]] for picture in drawn[:20]]
    assert len(prepare.pairs(fitted(drawn), fitted(recoloured))) < 3


def test_within_a_set_each_pair_is_named_once(drawn):
    pictures = fitted([*drawn[:5], *drawn[:2]])
    found = [(pair.first, pair.second) for pair in prepare.pairs(pictures)]
    assert found == [(0, 5), (1, 6)]
    pictures[2] = pictures[3] = 0  # nothing to see is no reason to stop
    assert (2, 3) in [pair[:2] for pair in prepare.pairs(pictures)]
