"""Sheets, GIFs and the way out of the networks."""

import sys
import types

import numpy as np
import pytest
from PIL import Image

from pokeutils.common import plots


def test_tile_places_rows_scales_and_gaps():
    pictures = np.arange(3, dtype="uint8").repeat(12).reshape(3, 2, 2, 3)
    for wrong in ({"columns": 0}, {"scale": 0}, {"gap": -1}, {"columns": 2.5}):
        with pytest.raises(ValueError, match="expected a whole number"):
            plots.tile(pictures, **wrong)
    sheet = plots.tile(pictures, columns=2, scale=3, gap=1, background=9)
    assert sheet.shape == (2 * 7 + 1, 2 * 7 + 1, 3)
    assert (sheet[1:7, 8:14] == 1).all() and (sheet[8:14, 1:7] == 2).all()
    assert (sheet[8:, 8:] == 9).all() and (sheet[0] == 9).all()


def test_cut_takes_apart_what_tile_put_together(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3)).astype("uint8")
    for gap in (0, 2):
        cut = plots.cut(plots.tile(pictures, columns=3, gap=gap), 4, gap)
        assert cut.shape == (6, 4, 4, 3) and (cut[5] == 255).all()
        np.testing.assert_array_equal(cut[:5], pictures)
    plots.save_png(tmp_path / "sheet.png", plots.tile(pictures))
    cut = plots.cut(tmp_path / "sheet.png", 4)[:5]
    np.testing.assert_array_equal(cut, pictures)
    with pytest.raises(ValueError, match="uint8 pictures"):
        plots.tile(pictures / 255)


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


@pytest.mark.parametrize("darkest, colours", [(200, 16), (250, 128)])
def test_a_gif_has_one_palette_and_its_white_stays_white(tmp_path, darkest, colours):
    rng, shown = np.random.default_rng(0), []
    frames = rng.integers(darkest, 256, (4, 32, 32, 3), dtype=np.uint8)  # pale pixels
    frames[:, :8] = 255
    path = plots.gif(tmp_path / "a.gif", frames, colours=colours)
    with Image.open(path) as animation:
        for place in range(animation.n_frames):
            animation.seek(place)
            shown.append(np.asarray(animation.convert("RGB")))
            assert (shown[-1][:8] == 255).all()
    assert len(np.unique(np.reshape(shown, (-1, 3)), axis=0)) <= colours


def test_an_mp4_only_where_the_plugin_is_installed(tmp_path, monkeypatch):
    frames = [np.full((33, 35, 3), value, "uint8") for value in (0, 90, 200)]
    with monkeypatch.context() as patch:
        patch.setattr(plots.importlib.util, "find_spec", lambda name: None)
        assert plots.mp4(tmp_path / "a.mp4", frames) is None
    assert not list(tmp_path.iterdir())
    pytest.importorskip("imageio_ffmpeg")
    path = plots.mp4(tmp_path / "a.mp4", frames, milliseconds=100)
    assert path.read_bytes()[4:8] == b"ftyp"
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]


def test_every_curve_is_drawn_and_can_be_told_from_the_others():
    figure = plots.curves([0, 1, 2], {f"no. {i}": [i, 2, i] for i in range(9)})
    (axis,) = figure.axes
    assert [line.get_label() for line in axis.lines] == [f"no. {i}" for i in range(9)]
    looks = {(line.get_color(), line.get_linestyle()) for line in axis.lines}
    assert len(looks) == 9
    assert {line.get_linestyle() for line in axis.lines[:4]} == {"-"}


def test_jpeg_gives_up_quality_to_stay_small():
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), "uint8")
    free = plots.to_jpeg(noise, limit=10**9)
    assert len(free) > 90_000 >= len(plots.to_jpeg(noise, limit=90_000))
    calm = np.full((300, 300, 3), 128, "uint8")  # what is small anyway stays as it is
    assert plots.to_jpeg(calm, limit=90_000) == plots.to_jpeg(calm, limit=10**9)


def test_labelled_keeps_every_pixel():
    rng = np.random.default_rng(1)
    sheets = [rng.integers(0, 256, (20, 30 + 7 * i, 3), "uint8") for i in range(3)]
    figure = plots.labelled(sheets, ["a", "b\nc", "d"], scale=2, gap=10, columns=2)
    shown = np.asarray(plots._as_image(figure))
    band = 10 + 2 * 14
    top, left = band, 10 + 10 + 2 * 44  # the wider sheet of the first column is d
    places = (top, 10), (top, left), (top + 40 + band + 8, 10)
    for sheet, (y, x) in zip(sheets, places, strict=True):
        part = shown[y : y + 40, x : x + 2 * sheet.shape[1]]
        np.testing.assert_array_equal(part, sheet.repeat(2, 0).repeat(2, 1))


def test_scatter_puts_pictures_where_they_belong():
    red, half = np.zeros((2, 8, 8, 4), "uint8")
    red[...] = (255, 0, 0, 255)
    half[...] = (0, 0, 128, 128)  # premultiplied
    sheet = plots.scatter([red, half], [0, 1], [0, 1], side=8, width=40, height=20)
    assert sheet.shape == (20, 40, 3)
    assert (sheet[:8, :8] == (255, 0, 0)).all()
    assert (sheet[12:, 32:] == (127, 127, 255)).all()
    assert (sheet[:12, 8:] == 255).all()
    # The later one lies over the earlier one, and stays away if it must keep apart.
    over = plots.scatter([red, half], [0, 0], [0, 0], side=8, width=40, height=20)
    assert (over[:8, :8] == (127, 0, 128)).all()
    apart = plots.scatter([red, half], [0, 0.1], [0, 0], 8, 40, 20, apart=1.0)
    assert (apart[:8, :8] == (255, 0, 0)).all() and (apart[:, 8:] == 255).all()
    assert plots.scatter([red, half], [0, 1], [0, 1], 4, 40, 20).shape == (20, 40, 3)


@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_a_wheel_has_the_strong_outside_and_goes_round_by_angle(count):
    pictures = np.zeros((count, 8, 8, 4), "uint8")
    pictures[..., 0], pictures[..., 3] = np.arange(count)[:, None, None], 255
    strengths = 7 * np.arange(count) % 60
    wheel = plots.wheel(pictures, np.arange(count), strengths, width=300)
    assert wheel.dtype == np.uint8 and wheel.shape[0] == wheel.shape[1] <= 300
    if count == 60:  # five rings of 1, 6, 13, 19 and 21
        seen = [np.argwhere((wheel == (n, 0, 0)).all(-1)) for n in range(count)]
        y, x = (np.array([np.median(at, axis=0) for at in seen]) - 149.5).T
        outer = np.flatnonzero(np.hypot(x, y) > 3.5 * 300 / 9)
        assert set(strengths[outer]) == set(range(39, 60))
        off = np.arctan2(x, -y)[outer] - 2 * np.pi * outer / count
        assert np.abs(np.angle(np.exp(1j * off))).max() < 0.4  # radians


def test_smooth_and_checkerboard():
    ramp = np.linspace(-20, 280, 8)[None, :, None] * np.ones((8, 1, 3))
    smooth = plots.smooth(ramp, 64)
    assert smooth.shape == (64, 64, 3) and smooth.dtype == np.uint8
    assert smooth[32, 0, 0] == 0 and smooth[32, -1, 0] == 255
    assert np.abs(np.diff(smooth[32, :, 0].astype(int))).max() < 12
    picture = np.zeros((8, 8, 4), "uint8")
    picture[0, 0] = (9, 8, 7, 255)
    board = plots.on_checkerboard(picture, square=4)
    assert board[0, 0].tolist() == [9, 8, 7]
    assert {*board[1:4, 1:4].flat} == {225} and {*board[1:4, 5:].flat} == {255}


def test_bars_read_from_the_top_and_have_their_colours():
    figure, axis = plots.chart(4, 2)
    plots.bars(axis, ["many", "few"], [5, 2], ["#ff0000", "#0000ff"])
    top, bottom = sorted(axis.patches, key=lambda bar: -bar.get_y())
    assert (top.get_width(), bottom.get_width()) == (5, 2)
    assert top.get_facecolor()[:3] == (1, 0, 0)
    assert [text.get_text() for text in axis.texts] == ["2", "5"]
    assert plots._as_image(figure).size == (640, 320)


@pytest.mark.parametrize("count, text", [(1, "{:.0%}"), (2, None)])
def test_heat_maps_show_every_share_under_its_names(count, text):
    tables = count * [np.array([[0.0, 0.25, 1.0], [0.5, 0.75, np.nan]])]
    titles = [f"table {i}" for i in range(count)]
    figure = plots.heat_maps(tables, titles, ["a", "b"], ["c", "d", "e"], text=text)
    assert [axis.get_title() for axis in figure.axes] == titles
    for axis, table in zip(figure.axes, tables, strict=True):
        np.testing.assert_array_equal(axis.images[0].get_array().filled(np.nan), table)
        assert axis.images[0].get_clim() == (0, 1)
        assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b"]
        shares = [cell.get_text() for cell in axis.texts]
        assert shares == (["0%", "25%", "100%", "50%", "75%", "nan%"] if text else [])


@pytest.mark.parametrize(
    "installed, asks, shown",
    [(True, True, 1), (True, False, 0), (False, True, 0)],
)
def test_sliders_where_somebody_can_move_them(installed, asks, shown, monkeypatch):
    calls = []
    widgets = types.SimpleNamespace(interact=lambda *a, **k: calls.append((a, k)))
    monkeypatch.setitem(sys.modules, "ipywidgets", widgets if installed else None)
    shell = types.SimpleNamespace(kernel=types.SimpleNamespace(_allow_stdin=asks))
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    plots.sliders(print, share=(0, 1, 0.1))
    assert calls == shown * [((print,), {"share": (0, 1, 0.1)})]


@pytest.mark.parametrize("name", [r"$\frac{1}{$", "a$b$_^{", "100 $", "<b>&amp;"])
def test_names_with_dollars_are_no_formulas(name):
    figure, axis = plots.chart(4, 1)
    plots.bars(axis, [name, "plain"], [1, 2])
    assert len(plots.to_jpeg(figure)) > 1000
    sheet = np.zeros((20, 20, 3), "uint8")
    assert len(plots.to_jpeg(plots.labelled([sheet], [name]))) > 500
