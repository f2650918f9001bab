"""Sheets, GIFs and the way out of the networks."""

import io

import numpy as np
import pytest
from PIL import Image

from pokeutils import plots


def test_to_uint8_rounds_and_clips():
    x = np.array([-2.0, -1.0, 0.0, 0.9999, 1.0, 3.0])
    np.testing.assert_array_equal(plots.to_uint8(x), [0, 0, 128, 255, 255, 255])


def test_over_puts_transparent_corners_on_the_ground():
    pictures = np.zeros((1, 2, 2, 4), "uint8")
    pictures[0, 0, 0] = (100, 50, 0, 128)  # premultiplied, half transparent
    white = plots.over(pictures)[0]
    np.testing.assert_array_equal(white[1, 1], [255, 255, 255])
    np.testing.assert_array_equal(white[0, 0], [227, 177, 127])
    red = plots.over(pictures, (255, 0, 0))[0]
    np.testing.assert_array_equal(red[1, 1], [255, 0, 0])


def test_tile_places_rows_scales_and_gaps():
    pictures = np.arange(3, dtype="uint8")[:, None, None, None] * np.ones(
        (1, 2, 2, 3), "uint8"
    )
    sheet = plots.tile(pictures, columns=2, scale=3, gap=1, background=9)
    assert sheet.shape == (2 * 7 + 1, 2 * 7 + 1, 3)
    assert (sheet[1:7, 8:14] == 1).all() and (sheet[8:14, 1:7] == 2).all()
    assert (sheet[8:, 8:] == 9).all() and (sheet[0] == 9).all()


@pytest.mark.parametrize("shape, dtype", [
    ((2, 4, 4, 3), "float64"), ((4, 4, 3), "uint8"), ((0, 2, 2, 3), "uint8")
])  # fmt: skip
def test_tile_refuses_what_is_no_picture(shape, dtype):
    with pytest.raises(ValueError, match="uint8 pictures"):
        plots.tile(np.zeros(shape, dtype))


def test_gif_keeps_every_frame_and_its_milliseconds(tmp_path):
    rng = np.random.default_rng(0)
    frames = [np.full((8, 8, 3), value, "uint8") for value in rng.integers(0, 255, 12)]
    frames[3] = frames[2]  # equal neighbours must not be merged away silently
    path = plots.gif(tmp_path / "a.gif", frames, milliseconds=120, last=900)
    with Image.open(path) as image:
        shown = 0
        for i in range(image.n_frames):
            image.seek(i)
            shown += image.info["duration"]
        assert image.info["loop"] == 0
    assert shown == 11 * 120 + 900


def test_gif_without_frames_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        plots.gif(tmp_path / "a.gif", [])
    assert not list(tmp_path.iterdir())


def test_jpeg_of_an_array_and_of_a_figure():
    picture = Image.open(io.BytesIO(plots.to_jpeg(np.zeros((4, 6, 3), "uint8"), 30)))
    assert picture.size == (30, 20)
    figure = plots.curves([0, 1, 2], {"a": [1, 2, 3], "b": [3, 2, 1]}, smooth=3)
    picture = Image.open(io.BytesIO(plots.to_jpeg(figure)))
    assert picture.size[0] > 300
