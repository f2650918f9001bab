"""Collages keep what makes a creature look drawn, and say of whom they are made."""

import numpy as np
import pytest
from quizzes import SIZE

from pokeutils.common import images
from pokeutils.data import doodles
from pokeutils.web.quiz import collages


def test_a_palette_swap_keeps_shape_greys_and_shading():
    picture, donor = (np.asarray(doodles.draw(number)) for number in (0, 4))
    swapped = collages.swap_palette(picture, donor)
    assert np.array_equal(swapped[..., 3], picture[..., 3])
    assert collages.difference(picture, swapped) > 0.05

    steps = np.linspace(0, 255, 16).astype("uint8")
    ramp = np.dstack([steps, steps, steps, np.full(16, 255, "uint8")])
    red = np.tile(np.array([200, 40, 40, 255], "uint8"), (8, 16, 1))
    red[0] = ramp
    blue = np.tile(np.array([50, 70, 220, 255], "uint8"), (8, 16, 1))
    turned = collages.swap_palette(red, blue)
    assert np.abs(turned[0, :, :3].astype(int) - ramp[0, :, :3]).max() <= 2
    assert np.argmax(turned[4, 4, :3]) == 2  # red became blue, and keeps its strength
    assert collages.difference(turned[1:], blue[1:]) < 0.1
    pale = np.tile(np.array([150, 170, 250, 255], "uint8"), (8, 16, 1))
    assert collages.difference(collages.swap_palette(red, pale)[1:], pale[1:]) < 0.06
    grey = np.tile(ramp, (4, 1, 1))
    assert np.array_equal(collages.swap_palette(red, grey), red)


def test_colours_survive_the_way_there_and_back():
    colours = np.random.default_rng(0).integers(0, 256, (500, 3)).astype("uint8")
    assert (
        np.abs(collages.to_rgb(collages.to_lab(colours)).astype(int) - colours).max()
        <= 1
    )
    white, red = collages.to_lab(np.array([[255, 255, 255], [255, 0, 0]], "uint8"))
    assert white == pytest.approx([1, 0, 0], abs=1e-3)
    assert red == pytest.approx([0.628, 0.225, 0.126], abs=1e-3)  # Ottosson's figures


def bottle(neck, colour, size=64):
    """A creature with a neck of that width at half its height."""
    picture = np.zeros((size, size, 4), "uint8")
    picture[4:28, 16:48] = picture[34:60, 8:56] = (*colour, 255)
    picture[28:34, 32 - neck // 2 : 32 + neck // 2] = (*colour, 255)
    return picture


def test_a_fusion_joins_two_creatures_at_their_necks():
    head, body = bottle(12, (200, 40, 40)), bottle(16, (50, 90, 210))
    neck = collages.neck(head)
    assert 28 <= neck.row < 34 and (neck.left, neck.right) == (26, 38)
    fused, roughness = collages.fuse(head, body)
    solid = fused[..., 3] > 127
    widths = solid.sum(axis=1)
    assert abs(widths[: len(widths) // 3].max() - 32 * 16 / 12) <= 2  # head, enlarged
    assert widths[-10:].max() == 48  # body, as it was
    assert widths[len(widths) // 3 : -28].min() == pytest.approx(16, abs=2)
    assert all(np.ptp(np.flatnonzero(row)) + 1 == row.sum() for row in solid[1:-1])
    assert roughness < 0.1  # the head has the body's colours
    assert np.argmax(fused[8, fused.shape[1] // 2, :3]) == 2
    exact, _ = collages.fuse(head, body, whole_pixels=True)
    assert (exact[: len(exact) // 3, :, 3] > 127).sum(axis=1).max() == 32
    assert set(np.unique(exact[..., 3])) == {0, 255}
    two_legs = np.zeros((40, 40, 4), "uint8")
    two_legs[:, 5:10] = two_legs[:, 30:35] = 255
    assert collages.neck(two_legs) is None
    with pytest.raises(ValueError, match="no neck"):
        collages.fuse(two_legs, body)


def test_below_the_seam_the_body_keeps_its_outline():
    drawn = [images.crop(np.asarray(doodles.draw(number))) for number in range(40)]
    necks = [collages.neck(picture) for picture in drawn]
    usable = [i for i, neck in enumerate(necks) if neck and neck.narrowness < 0.75]
    for head, body in zip(usable[:6], usable[1:6], strict=False):
        fused, _ = collages.fuse(drawn[head], drawn[body])
        own = drawn[body][necks[body].row :, :, 3] > 16
        assert np.array_equal((fused[-len(own) :, :, 3] > 16).sum(1), own.sum(1))
    assert len(usable) > 3


def test_collages_are_new_varied_and_say_what_they_are(data):
    made = collages.make(data, 9, seed=1)
    assert made.pictures.shape == (9, SIZE, SIZE, 4)
    assert made.pictures.dtype == np.uint8
    assert (made.pictures[..., :3] <= made.pictures[..., 3:]).all()
    kinds = ["head of" in label for label in made.labels]
    assert 3 <= kinds.count(True) <= 5 and len(kinds) == 9
    for picture in made.pictures:
        apart = np.abs(data.images.astype(int) - picture).mean(axis=(1, 2, 3))
        assert apart.min() > 2
        assert images.box(images.unpremultiply(picture))[0] >= 1  # scaled as reals are
    named = {int(word) for label in made.labels if "head of" in label
             for word in label.replace(",", "").split() if word.isdigit()}  # fmt: skip
    assert len(named) == 2 * kinds.count(True) and named <= set(
        made.parents
    )  # no creature used twice
    again = collages.make(data, 9, seed=1)
    assert np.array_equal(made.pictures, again.pictures)


def test_one_picture_per_species_and_no_shinies(data):
    meta = {"species_id": np.array([1, 1, 2, 2, 0, 0]),
            "shiny": np.array([0, 1, 1, 0, 0, 0], bool)}  # fmt: skip
    found = collages.one_each(data._replace(meta=meta), np.random.default_rng(0))
    assert found.tolist() == [0, 3, 4, 5]


def test_too_few_or_grey_pictures_make_no_collages(data):
    grey = data.images.copy()
    grey[..., :3] = grey[..., 3:] // 2
    nowhere = data.folder.parent.parent / "gone" / "x" / "y"
    with pytest.raises(ValueError, match="of 9 collages"):
        collages.make(data._replace(images=grey, folder=nowhere), 9)
