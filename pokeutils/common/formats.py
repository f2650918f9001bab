"""Which picture files are read, and how: `decode`. What changes no pixel and may be
damaged or huge is taken off before: notes, text entities, compression.
"""

import functools
import io
import re
import warnings
import zlib

import numpy as np
from PIL import Image, ImageOps

MAX_BYTES = 64 * 2**20  # of one file, as it lies there and unpacked
MAX_PIXELS = 64 * 10**6  # of one raster picture, before it is decoded
FRAMES = 100  # of an animation, in which one that shows something is looked for
RESVG = "resvg_py==0.5.0"  # the renderer decides pixels, so it is pinned
# What Pillow decodes by itself. It would hand an EPS to Ghostscript, whatever its name.
FORMATS = (
    *("PNG", "JPEG", "MPO", "GIF", "WEBP", "AVIF", "BMP", "DIB", "TIFF", "JPEG2000"),
    *("ICO", "ICNS", "PPM", "PSD", "QOI", "DDS", "SGI", "PCX", "TGA"),
)
LOSSY = ("JPEG", "MPO", "WEBP", "AVIF", "JPEG2000")  # colours run at edges
PNG = b"\x89PNG\r\n\x1a\n"
CHUNKS = (b"tRNS", b"acTL", b"fcTL", b"fdAT")  # beside those in capitals
ENTITY = re.compile(r"""<!ENTITY\s+([\w:.-]+)\s+(?:"([^"<&%]*)"|'([^'<&%]*)')\s*>""")
PREFIX = re.compile(r"[\s</]([A-Za-z_][\w.-]*):[A-Za-z_][\w.-]*\s*[=>/\s]")
DECLARED = re.compile(r"\sxmlns:([\w.-]+)\s*=")
SPACES = {"xlink": "http://www.w3.org/1999/xlink"}
FOREIGN = re.compile(r"<([^\s<>/]+:)?(image|feImage)\b|<!ENTITY", re.IGNORECASE)


@functools.cache
def readable():
    """Returns the names of the formats that this Pillow can read."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


@functools.cache
def suffixes():
    """Returns the endings of files that are read, in lower case, such as ".png"."""
    known = Image.registered_extensions().items()
    return {".svg", ".svgz", ".mpo"} | {end for end, n in known if n in readable()}


def bare_png(data):
    """Returns a PNG without its notes (text, profiles), of which one that is too large
    or damaged would cost the picture. What is no PNG comes back as it is."""
    if not data.startswith(PNG):
        return data
    parts, place, kind = [PNG], len(PNG), b""
    while place < len(data) and kind != b"IEND":
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        chunk, kind = data[place:end], data[place + 4 : place + 8]
        # Which way is up is worth a note, if it is whole.
        whole = chunk[-4:] == zlib.crc32(chunk[4:-4]).to_bytes(4, "big")
        if kind[:1].isupper() or kind in CHUNKS or (kind == b"eXIf" and whole):
            parts.append(chunk)
        place = end
    return b"".join(parts)


def svg_text(data):
    """Returns the text of an SVG file: unpacked, decoded, and with entities that stand
    for plain text put in. Raises ValueError for one that is damaged or too large when
    unpacked, or embeds other files or entities."""
    if data.startswith(b"\x1f\x8b"):  # .svgz
        try:
            data = zlib.decompressobj(31).decompress(data, MAX_BYTES + 1)
        except zlib.error as error:
            raise ValueError(f"cannot be unpacked: {error}") from None
        if len(data) > MAX_BYTES:
            raise ValueError(f"unpacks to more than {MAX_BYTES >> 20} MB")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    elif data[:2] in (b"<\0", b"\0<"):
        text = data.decode("utf-16-le" if data[1] == 0 else "utf-16-be", "replace")
    else:
        text = data.decode("utf-8-sig", "replace")
    plain = {name: one or two for name, one, two in ENTITY.findall(text)}
    text = ENTITY.sub("", text)
    # An SVG can name files of this machine, and its renderer would open them.
    if FOREIGN.search(text):
        raise ValueError("the SVG embeds other files or entities")
    used = re.compile(r"&([\w:.-]+);")
    size = len(text) + sum(len(plain.get(name, "")) for name in used.findall(text))
    if size > MAX_BYTES:
        raise ValueError(f"its entities make more than {MAX_BYTES >> 20} MB")
    text = used.sub(lambda match: plain.get(match[1], match[0]), text)
    # Cut out of a web page, or with a DTD that declares them, prefixes may be unknown.
    unknown = set(PREFIX.findall(text)) - set(DECLARED.findall(text)) - {"xml", "xmlns"}
    spaces = (f' xmlns:{p}="{SPACES.get(p, "urn:" + p)}"' for p in sorted(unknown))
    return re.sub(r"<svg\b", lambda _: "<svg" + "".join(spaces), text, count=1)


def decode(data, suffix, long_side):
    """Returns the picture in the bytes of a file as straight RGBA, uint8 (h, w, 4), and
    whether its format is lossy. An SVG is drawn `long_side` px long, a JPEG decoded no
    finer than twice that. Raises ValueError for what is no whole picture."""
    if not data:
        raise ValueError("not a picture: the file is empty")
    if suffix in (".svg", ".svgz"):
        return _draw(svg_text(data), long_side), False
    return _read_raster(data, long_side)


def _draw(text, long_side):
    try:
        import resvg_py
    except ImportError:
        raise RuntimeError(f"SVGs need {RESVG}: pip install {RESVG}") from None

    png = resvg_py.svg_to_bytes(
        svg_string=text,
        width=long_side,  # both given: drawn to fit inside, proportions kept
        height=long_side,
        skip_system_fonts=True,  # the same pixels on every machine
    )
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def _read_raster(data, long_side):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)  # on what a camera wrote into it
        try:
            rgba, lossy = _decode(bare_png(data), long_side)
        except Image.UnidentifiedImageError:
            start = data[:16].decode("ascii", "replace").strip()
            raise ValueError(f"not a picture (it begins with {start!r})") from None
        except ValueError:
            raise
        except Exception as error:  # decoders raise nearly every kind there is
            reason = str(error) or type(error).__name__
            raise ValueError(f"cannot be decoded: {reason}") from None
    return rgba, lossy


def _decode(data, long_side):
    """Returns straight RGBA, upright, and whether its format is lossy."""
    image = Image.open(io.BytesIO(data), formats=readable())
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width} x {image.height} px is too large")
    image.verify()  # checksums: a zeroed PNG would decode without complaint
    image = Image.open(io.BytesIO(data), formats=readable())
    image.draft(None, (2 * long_side, 2 * long_side))  # JPEG: decode no finer
    rgba = first = _frame(image, long_side)
    for number in range(1, FRAMES):
        if rgba[..., 3].any():
            break
        try:
            image.seek(number)
        except EOFError:
            return first, False
        rgba = _frame(image, long_side)
    return rgba, image.format in LOSSY


def _frame(image, long_side):
    """Returns the frame that an opened picture stands at, as straight RGBA."""
    image.load()
    try:
        frame = ImageOps.exif_transpose(image)
    except Exception:  # what a camera wrote into it is broken; the picture is not
        frame = image
    frame = _eight_bits(frame)
    if not frame.has_transparency_data:  # CMYK and the like have no direct way to RGBA
        frame = frame.convert("RGB")
    frame = frame.convert("RGBA")
    # What is many times too large is reduced before arrays are made of it: with them, a
    # GIF of 46 kB would take 2 GB.
    factor = max(frame.size) // (4 * long_side)
    return np.asarray(frame.reduce(factor) if factor > 1 else frame)


def _eight_bits(image):
    """Greys of 16 bits, or floats, scaled to 8; Pillow would clip them."""
    if image.mode[0] not in "IF":
        return image
    greys = np.nan_to_num(np.asarray(image, np.float32))
    most = 65535 if image.mode[0] == "I" else 1 if greys.max() <= 1 else 255
    scaled = (greys.clip(0, most) * (255 / most)).round()
    scaled = Image.fromarray(scaled.astype(np.uint8))
    if "transparency" in image.info:  # a grey that means nothing is there
        seen = greys != image.info["transparency"]
        scaled.putalpha(Image.fromarray(np.where(seen, np.uint8(255), np.uint8(0))))
    return scaled
