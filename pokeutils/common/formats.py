"""Which picture files are read, and what is taken off them before they are decoded:
notes, text entities and compression, which change no pixel and may be damaged or huge.
"""

import functools
import re
import zlib

from PIL import Image

MAX_BYTES = 64 * 2**20  # of one file, as it lies there and unpacked
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
    return {".svg", ".svgz", ".mpo"} | {
        end for end, name in known if name in readable()
    }


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
