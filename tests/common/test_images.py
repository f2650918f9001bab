"""Canvases: what is read, cut out and resized; real files, real decoders."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pokeutils.common import images

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="{}" height="{}">{}</svg>'
RED = '<rect width="100%" height="100%" fill="#f00"/>'


def creature(size=256):
    """A light disc with a hole on nothing at all, as files hold it: straight RGBA."""
    large = Image.new("RGBA", (4 * size, 4 * size))
    draw = ImageDraw.Draw(large)
    draw.ellipse([size, size // 2, 3 * size, 3 * size], fill=(250, 220, 60, 255))
    draw.ellipse([size * 2, size, size * 5 // 2, size * 2], fill=(0, 0, 0, 0))
    small = large.convert("RGBa").resize((size, size), Image.Resampling.BOX)
    return np.asarray(small.convert("RGBA"))


def test_premultiplied_resizing_has_no_dark_fringe():
    rgba = creature()
    left, top, right, bottom = images.box(rgba)
    ours = images.composite(images.fit(rgba, 64)).astype(float)

    # The truth: on white first, then resized. The mistake: each channel for itself.
    def resized(array):
        image = Image.fromarray(array).crop((left, top, right, bottom))
        scale = round(64 * 0.92) / max(image.size)
        shape = [round(side * scale) for side in image.size]
        planes = [plane.resize(shape, Image.LANCZOS) for plane in image.split()]
        ground = "white" if image.mode == "RGB" else (0, 0, 0, 0)
        canvas = Image.new(image.mode, (64, 64), ground)
        x, y = ((64 - side) // 2 for side in shape)
        canvas.paste(Image.merge(image.mode, planes), (x, y))
        return np.asarray(canvas)

    truth = resized(images.composite(images.premultiply(rgba))).astype(float)
    plain = images.composite(images.premultiply(resized(rgba))).astype(float)
    alpha = images.fit(rgba, 64)[..., 3]
    edge = (alpha > 5) & (alpha < 250)
    error = abs(ours - truth)[edge].mean()
    mistake = abs(plain - truth)[edge].mean()
    assert edge.sum() > 100 and error < 2 and mistake > 4 * error
    assert (plain - truth)[edge].mean() < -5  # the mistake is dark


def test_fit_centres_the_creature_with_a_margin():
    rgba = np.zeros((90, 200, 4), np.uint8)
    rgba[3:43, 150:190] = (10, 200, 30, 255)  # 40 x 40, far from the middle
    rgba[80, 5] = (255, 255, 255, 9)  # a breath of alpha that is not creature
    fitted = images.fit(rgba, 64)
    assert fitted.shape == (64, 64, 4) and fitted.dtype == np.uint8
    assert images.box(fitted) == (2, 2, 61, 61)  # 59 px = 92 % of 64
    assert (fitted[..., :3] <= fitted[..., 3:]).all()
    assert tuple(fitted[30, 30]) == (10, 200, 30, 255)
    for shape in ((1, 1), (1, 400), (300, 2)):
        fitted = images.fit(np.full((*shape, 4), 255, np.uint8), 32)
        assert fitted.shape == (32, 32, 4) and fitted[..., 3].any()


def test_place_keeps_every_pixel():
    rng = np.random.default_rng(0)
    art = rng.integers(0, 256, (20, 13, 4), np.uint8)
    art[..., 3] = 255
    canvas = np.zeros((56, 68, 4), np.uint8)
    canvas[30:50, 50:63] = art
    placed = images.place(canvas, 32)
    assert (placed[6:26, 9:22] == art).all() and placed[..., 3].sum() == 255 * 260
    with pytest.raises(ValueError, match="33 x 5 px does not fit 32 x 32"):
        images.place(np.full((5, 33, 4), 255, np.uint8), 32)
    with pytest.raises(ValueError, match="every pixel is transparent"):
        images.fit(np.zeros((9, 9, 4), np.uint8), 32)


def outlined(side, body=(200, 60, 20, 255)):
    """A square with a dark rim of 2 px on nothing, and the colours in it."""
    art = np.zeros((side, side, 4), np.uint8)
    art[4:-4, 4:-4] = (20, 20, 30, 255)
    art[6:-6, 6:-6] = body
    return art


@pytest.mark.parametrize("side, smaller", [(80, 64), (97, 64), (60, 31), (70, 69)])
def test_pixel_art_is_reduced_to_its_own_colours_with_a_whole_rim(side, smaller):
    art = outlined(side)[4:-4, 4:-4]
    small = images.reduce_pixel_art(art, smaller)
    assert small.shape == (smaller, smaller, 4)
    known = {tuple(c) for c in art.reshape(-1, 4)}
    assert {tuple(c) for c in small.reshape(-1, 4)} <= known
    rim = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    assert (rim == (20, 20, 30, 255)).all()
    assert (small[4:-4, 4:-4] == (200, 60, 20, 255)).all()
    wide = images.reduce_pixel_art(art[:20], smaller)
    assert wide.shape == (round(20 * smaller / len(art)), smaller, 4)


def test_small_pixel_art_keeps_its_scale_on_a_canvas_smaller_than_its_own(tmp_path):
    for side, drawn in ((40, 32), (96, 64)):
        Image.fromarray(outlined(side)).save(tmp_path / f"{side}.png")
        canvas = images.canvas(tmp_path / f"{side}.png", 64, pixel_art=96)
        left, top, right, bottom = images.box(canvas)
        assert (right - left, bottom - top) == (drawn, drawn)
        assert len(np.unique(canvas.reshape(-1, 4), axis=0)) <= 3


def test_premultiply_round_trip_and_composite():
    rgba = np.stack(np.meshgrid(*[np.arange(0, 256, 15)] * 4), -1).reshape(1, -1, 4)
    rgba = rgba.astype(np.uint8)
    premultiplied = images.premultiply(rgba)
    assert (premultiplied[..., :3] <= premultiplied[..., 3:]).all()
    back = images.unpremultiply(premultiplied).astype(int)
    solid = rgba[..., 3] >= 30
    step = 255 / rgba[..., 3:].clip(1)  # what one grey level of alpha can tell apart
    assert (abs(back - rgba)[..., :3] <= step)[solid].all()
    straight, alpha = rgba[..., :3].astype(float), rgba[..., 3:] / 255
    for ground in (255, (50, 205, 50)):
        truth = straight * alpha + np.array(ground) * (1 - alpha)
        assert abs(images.composite(premultiplied, ground) - truth).max() <= 1.01


def test_to_uint8_rounds_and_clips_and_mirror_flips():
    batch = np.arange(2 * 2 * 3 * 4, dtype=np.uint8).reshape(2, 2, 3, 4)
    assert (images.mirror(batch) == batch[:, :, [2, 1, 0]]).all()
    x = np.array([-2.0, -1.0, 0.0, 0.9999, 1.0, 3.0])
    np.testing.assert_array_equal(images.to_uint8(x), [0, 0, 128, 255, 255, 255])


def test_over_puts_transparent_corners_on_the_ground():
    pictures = np.zeros((1, 2, 2, 4), "uint8")
    pictures[0, 0, 0] = (100, 50, 0, 128)  # premultiplied, half transparent
    white = images.over(pictures)[0]
    assert white[1, 1].tolist() == [255, 255, 255]
    assert white[0, 0].tolist() == [227, 177, 127]
    assert images.over(pictures, (255, 0, 0))[0, 1, 1].tolist() == [255, 0, 0]
    assert images.over(white) is white


def test_shrink_takes_block_means_by_whole_factors():
    pictures = np.arange(2 * 12 * 12 * 4, dtype="uint32").reshape(2, 12, 12, 4) % 251
    pictures = pictures.astype("uint8")
    small = images.shrink(pictures, 5)  # 2 is the largest factor that leaves 5 px
    assert small.shape == (2, 6, 6, 4)
    mean = pictures[1, 4:6, 6:8].mean(axis=(0, 1))
    np.testing.assert_allclose(small[1, 2, 3], mean, atol=0.5)
    assert images.shrink(pictures, 7) is pictures


@pytest.mark.parametrize(
    "wrong, channels, message",
    [
        (np.zeros((2, 4, 4, 3)), (3, 4), "Got float64 of shape.*width, 3 or 4"),
        (np.zeros((4, 4, 3), "uint8"), (3, 4), r"Got uint8 of shape \(4, 4, 3\)"),
        (np.zeros((2, 4, 4, 3), "uint8"), (4,), r"4, 4, 3\).*width, 4\)"),
        ([np.zeros((4, 4, 3)), np.zeros((5, 4, 3))], (3, 4), "must have one size"),
        ("samples.png", (3, 4), "expected uint8 pictures"),
    ],
)
def test_what_is_no_picture_is_refused(wrong, channels, message):
    pictures = np.zeros((2, 4, 4, 3), "uint8")
    assert images.check(pictures) is pictures
    with pytest.raises(ValueError, match=message):
        images.check(wrong, channels)
    straight = np.array([[[[200, 0, 0, 100]]]], "uint8")
    with pytest.raises(ValueError, match="straight RGBA. Use images.premultiply"):
        images.check_premultiplied(straight)
    images.check_premultiplied(images.premultiply(straight))
    images.check_premultiplied(straight[..., :3])


def test_bilinear_reads_between_pixels_and_beyond_the_border():
    picture = np.zeros((1, 2, 3, 1), "uint8")
    picture[0, :, :, 0] = [[0, 100, 200], [50, 150, 250]]
    rows = np.array([[[0, 0.5, 0.25, -5, 0]]])
    columns = np.array([[[2, 1.5, 0, 0, 2.5]]])
    values = images.bilinear(picture, rows, columns, outside=80)
    assert values.ravel().tolist() == [200, 175, 12.5, 80, 140]


@pytest.mark.parametrize(
    "mode, name",
    [("RGBA", "a.png"), ("LA", "a.png"), ("P", "a.gif"), ("RGBA", "a.webp")],
)
def test_every_mode_becomes_rgba_with_its_transparency(tmp_path, mode, name):
    image = Image.new("RGBA", (40, 30), (0, 255, 0, 0))
    image.paste((90, 90, 90, 255), (10, 5, 30, 25))
    if mode == "P":
        flat = image.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE)
        flat.save(tmp_path / name, transparency=flat.getpixel((0, 0)))
    else:
        image.convert(mode).save(tmp_path / name, lossless=True)
    rgba = images.read(tmp_path / name)
    assert rgba.shape == (30, 40, 4) and rgba.dtype == np.uint8
    assert images.box(rgba) == (10, 5, 30, 25) and rgba[0, 0, 3] == 0
    assert abs(rgba[15, 20].astype(int) - (90, 90, 90, 255)).max() <= 1


GROUNDS = {
    "white": (255, 255, 255),
    "blue": (120, 190, 240),
    "black": (0, 0, 0),
    "green": (0, 255, 0),
    "beige": (240, 225, 200),
}


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize(
    "kind, quality",
    [("PNG", None), ("GIF", None), ("JPEG", 90), ("JPEG", 75), ("WEBP", 60)],
)
def test_a_ground_of_one_colour_goes_whatever_it_is(tmp_path, ground, kind, quality):
    image = Image.new("RGB", (96, 80), GROUNDS[ground])
    ImageDraw.Draw(image).ellipse([20, 16, 76, 64], fill=(150, 60, 70))
    ImageDraw.Draw(image).ellipse([40, 30, 54, 44], fill=GROUNDS[ground])  # an eye
    image.save(tmp_path / "a", kind, **({"quality": quality} if quality else {}))
    rgba = images.read(tmp_path / "a")
    body = images.crop(rgba)
    assert abs(np.array(images.box(rgba)) - (20, 16, 77, 65)).max() <= 2
    assert rgba[37, 47, 3] == 255 and not images.is_box(body)
    y, x = np.mgrid[:80, :96]
    outside = np.hypot((x - 48) / 28.5, (y - 40) / 24.5) > 1
    assert (rgba[outside][:, 3] > 0).sum() < 0.08 * (~outside).sum()


@pytest.mark.parametrize("alpha", ["none", "254", "round corners"])
def test_nearly_opaque_counts_as_opaque(tmp_path, alpha):
    blue = GROUNDS["blue"] + (254 if alpha == "254" else 255,)
    image = Image.new("RGBA", (80, 80), blue)
    ImageDraw.Draw(image).ellipse([20, 20, 60, 60], fill=(150, 60, 70, 255))
    if alpha == "round corners":
        mask = Image.new("L", image.size)
        ImageDraw.Draw(mask).rounded_rectangle([0, 0, 79, 79], 9, fill=255)
        image.putalpha(mask)
    image.save(tmp_path / "a.png")
    assert images.box(images.read(tmp_path / "a.png")) == (20, 20, 61, 61)


@pytest.mark.parametrize("white", [0, 12], ids=["everywhere", "but a white corner"])
def test_a_ground_of_many_colours_stays_and_is_told_from_a_body(tmp_path, white):
    noise = np.random.default_rng(0).integers(0, 255, (5, 5, 3)).astype("uint8")
    photo = Image.fromarray(noise).resize((96, 96), Image.Resampling.BICUBIC)
    photo.paste("white", (0, 0, white, 2 * white))
    photo.save(tmp_path / "a.jpg")
    rgba = images.read(tmp_path / "a.jpg")
    assert (rgba[..., 3] > 0).mean() > 0.95
    for size in (16, 32, 64):
        assert images.is_box(images.fit(rgba, size))
        assert not images.is_box(images.fit(creature(), size))


@pytest.mark.parametrize("see_through", [False, True])
def test_greys_of_16_bits_keep_their_shades(tmp_path, see_through):
    greys = np.linspace(0, 65535, 32 * 32).round().astype(np.uint16).reshape(32, 32)
    greys[-1] = 65535  # a white ground
    options = {"transparency": 65535} if see_through else {}
    Image.fromarray(greys).save(tmp_path / "a.png", **options)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "I;16"
    rgba = images.read(tmp_path / "a.png")
    shown = rgba[:24]  # far from what is taken for white
    assert (shown[..., :3] == (greys[:24, :, None] / 257).round()).all()
    assert (shown[..., 3] == 255).all() and (rgba[-1, :, 3] == 0).all()


def test_svgs_and_large_rasters_are_made_to_fit(tmp_path):
    Image.fromarray(creature(700)).save(tmp_path / "a.png")
    assert images.read(tmp_path / "a.png", long_side=256).shape == (256, 256, 4)
    for width, height, shape in [(30, 60, (256, 128)), (600, 200, (86, 256))]:
        (tmp_path / "a.svg").write_text(SVG.format(width, height, RED))
        rgba = images.read(tmp_path / "a.svg")
        assert rgba.shape == (*shape, 4) and tuple(rgba[9, 9]) == (255, 0, 0, 255)


def test_files_that_are_no_pictures_say_why(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(creature()).save(buffer, "PNG")
    bad = {
        "page.png": (b"<!DOCTYPE html><html>", "not a picture.*<!DOCTYPE"),
        "empty.png": (b"", "not a picture"),
        "cut.png": (buffer.getvalue()[:900], "(?i)truncated"),
        "zeroed.png": (buffer.getvalue()[:700] + bytes(4000), "checksum|broken"),
        "page.svg": (b"<html><body>hello</body></html>", "root node|SVG"),
        "cut.svg": (SVG.format(9, 9, RED).encode()[:80], "."),
    }
    for name, (data, reason) in bad.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=reason):
            images.read(tmp_path / name)


@pytest.mark.parametrize(
    "bad",  # Pillow raises struct.error and AttributeError
    [b"\x01\x02\x00\x02", b"\x01\x0f\x00\x0b"],
)
def test_what_a_camera_wrote_may_be_broken(tmp_path, bad):
    good = b"\x01\x0f\x00\x02"
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"  # lies on its side
    exif[0x8769] = {0x9003: "2020:01:01 00:00:00"}
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.jpg", exif=exif)
    assert images.read(tmp_path / "a.jpg").shape == (40, 30, 4)
    data = (tmp_path / "a.jpg").read_bytes()
    assert data.count(good) == 1
    (tmp_path / "a.jpg").write_bytes(data.replace(good, bad))
    assert images.read(tmp_path / "a.jpg").shape == (30, 40, 4)  # no way up is known


def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    Image.new("1", (9000, 8000)).save(tmp_path / "bomb.png")  # 72 megapixels, 9 KB
    assert (tmp_path / "bomb.png").stat().st_size < 20_000
    with pytest.raises(ValueError, match="9000 x 8000 px is too large"):
        images.read(tmp_path / "bomb.png")
    monkeypatch.setattr(images, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match="at most"):
        images.read(tmp_path / "bomb.png")
