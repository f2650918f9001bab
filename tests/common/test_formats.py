"""What is taken off a picture file before it is decoded, and what is refused there."""

import gzip
import io
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pokeutils.common import formats, images

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40">{}</svg>'
PREFIXES = '<g kvg:element="&#x6c34;"><a xlink:href="#b"/>{}</g>'
BODY = '<rect x="5" y="5" width="30" height="30" fill="#a33"/>'


def picture(mode="RGBA"):
    image = Image.new("RGBA", (40, 40))
    ImageDraw.Draw(image).ellipse([8, 8, 30, 33], fill=(170, 50, 50, 255))
    if mode != "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", (40, 40), "white"), image)
    return image.convert(mode)


def png(*chunks):
    """A PNG with more chunks: (kind, content, whether its checksum is right)."""
    buffer = io.BytesIO()
    picture().save(buffer, "PNG")
    data = buffer.getvalue()
    for kind, content, right in chunks:
        check = zlib.crc32(kind + content) ^ (not right)
        chunk = len(content).to_bytes(4, "big") + kind + content
        data = data[:33] + chunk + check.to_bytes(4, "big") + data[33:]  # after IHDR
    return data


@pytest.mark.parametrize(
    "chunk",
    [
        (b"tEXt", b"Comment\0" + b"a" * (2 << 20), True),
        (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(70 << 20)), True),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"x" * 2**21), True),
        (b"tEXt", b"Comment\0wrong checksum", False),
        (b"iCCP", b"no profile", True),
        (b"eXIf", b"MM\0*", False),
        (b"prVt", b"of some program", False),
    ],
    ids=lambda chunk: chunk[0].decode(),
)
def test_notes_in_a_png_cost_no_picture(chunk, tmp_path):
    (tmp_path / "a.png").write_bytes(png(chunk))
    (tmp_path / "b.png").write_bytes(png())
    with_notes, without = (images.read(tmp_path / f"{name}.png") for name in "ab")
    assert (with_notes == without).all()
    assert len(formats.bare_png(png(chunk))) < 3000
    (tmp_path / "c.png").write_bytes(png((b"tRNS", b"\0", False)))  # decides pixels
    with pytest.raises(ValueError):
        images.read(tmp_path / "c.png")


@pytest.mark.parametrize(
    "kind, suffix, mode",
    [
        ("BMP", ".bmp", "RGB"),
        ("JPEG", ".jfif", "RGB"),
        ("TIFF", ".tiff", "RGBA"),
        ("TIFF", ".tif", "CMYK"),
        ("AVIF", ".avif", "RGBA"),
        ("WEBP", ".webp", "RGBA"),
        ("ICO", ".ico", "RGBA"),
        ("TGA", ".tga", "RGBA"),
        ("PPM", ".ppm", "RGB"),
        ("QOI", ".qoi", "RGBA"),
    ],
)
def test_what_pillow_reads_is_read(kind, suffix, mode, tmp_path):
    assert suffix in formats.suffixes()
    picture(mode).save(tmp_path / f"a{suffix}", kind)
    rgba = images.read(tmp_path / f"a{suffix}")
    assert rgba[0, 0, 3] == 0 and rgba[20, 20, 3] == 255
    assert abs(rgba[20, 20, :3].astype(int) - (170, 50, 50)).max() < 16


def test_what_would_start_another_program_is_no_picture(tmp_path):
    picture("RGB").save(tmp_path / "a.png", "EPS")
    assert ".eps" not in formats.suffixes()
    with pytest.raises(ValueError, match="not a picture.*%!PS"):
        images.read(tmp_path / "a.png")


ILLUSTRATOR = """<?xml version="1.0" encoding="{}"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/svg11.dtd" [
  <!ENTITY ns_svg "http://www.w3.org/2000/svg">
  <!ENTITY ns_ai 'http://ns.adobe.com/AdobeIllustrator/10.0/'>
]>
<svg xmlns="&ns_svg;" xmlns:i="&ns_ai;" i:viewOrigin="0 0" viewBox="0 0 40 40">
<switch><foreignObject requiredExtensions="&ns_ai;" width="1" height="1"/>
<g i:extraneous="self">{}</g></switch></svg>"""


@pytest.mark.parametrize(
    "data",
    [
        ILLUSTRATOR.format("utf-8", BODY).encode(),
        ILLUSTRATOR.format("utf-16", BODY).encode("utf-16"),
        ILLUSTRATOR.format("utf-16", BODY).encode("utf-16-be"),
        SVG.format(BODY).encode("utf-16-le"),
        b"\xef\xbb\xbf" + SVG.format(BODY).encode(),
        SVG.format(PREFIXES.format(BODY)).encode(),
        SVG.format('<path d="M0 0h40v40h-40z" fill="#8bf"/>' + BODY).encode(),
        gzip.compress(SVG.format(BODY).encode()),
        gzip.compress(ILLUSTRATOR.format("utf-16", BODY).encode("utf-16")),
    ],
    ids="Illustrator UTF-16 big-endian no-BOM BOM prefixes background svgz all".split(),
)
@pytest.mark.parametrize("name", ["a.svg", "a.svgz"])
def test_harmless_svgs_are_drawn(data, name, tmp_path):
    (tmp_path / name).write_bytes(data)
    rgba = images.read(tmp_path / name, long_side=40)
    assert images.box(rgba) == (5, 5, 35, 35)
    assert rgba[20, 20].tolist() == [170, 51, 51, 255]


@pytest.mark.parametrize(
    "entities, body",
    [
        ('<!ENTITY a SYSTEM "file:///etc/passwd">', "&a;"),
        ('<!ENTITY a PUBLIC "x" "http://x/">', "&a;"),
        ('<!ENTITY % a "b"> %a;', ""),
        ('<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">', "&b;"),
        ("<!ENTITY a \"<image href='x.png'/>\">", "&a;"),
        ('<!ENTITY a "&#60;image/>">', "&a;"),
        (f'<!ENTITY a "{"x" * 99_999}">', "&a;" * 9999),
        ("", '<image href="x.png"/>'),
        ("", '<svg:feImage href="x.png"/>'),
    ],
)
def test_hostile_svgs_are_refused_however_they_are_packed(entities, body):
    text = f"<!DOCTYPE svg [{entities}]>{SVG.format(body)}"
    for data in (text.encode(), text.encode("utf-16"), gzip.compress(text.encode())):
        with pytest.raises(ValueError, match="embeds other|more than 64 MB"):
            formats.svg_text(data)


def test_what_unpacks_to_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(formats, "MAX_BYTES", 10_000)
    assert len(formats.svg_text(gzip.compress(bytes(10_000)))) == 10_000
    with pytest.raises(ValueError, match="unpacks to more than"):
        formats.svg_text(gzip.compress(bytes(10_001)))
    with pytest.raises(ValueError, match="cannot be unpacked"):
        formats.svg_text(b"\x1f\x8bnot gzip at all")


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_that_shows_something_counts(kind, tmp_path):
    empty = Image.new("RGBA", (40, 40))
    frames = [empty, picture(), picture().rotate(90)]
    options = {"lossless": True} if kind == "WEBP" else {"disposal": 2}
    options = {} if kind == "PNG" else options
    path = tmp_path / f"a.{kind.lower()}"
    empty.save(path, kind, save_all=True, append_images=frames[1:], **options)
    rgba = images.read(path)
    wanted = np.asarray(picture())[..., 3] > 127
    assert ((rgba[..., 3] > 127) == wanted).all()
    empty.save(path, kind, save_all=True, append_images=[empty], **options)
    assert not images.read(path)[..., 3].any()  # nor is it an endless search
