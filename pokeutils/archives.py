"""Archives from elsewhere, read without trusting them, and hashes of what is in them.

Nothing here writes: members come as bytes, once the names, kinds and sizes of all have
been looked at. Any of them being hostile condemns the archive.
"""

import base64
import contextlib
import gzip
import hashlib
import lzma
import pathlib
import re
import stat
import struct
import tarfile
import zipfile
import zlib

from pokeutils import files

MAX_MEMBER = 8 * 2**20  # bytes of one file inside an archive
# Pictures hardly shrink when they are packed: an archive that would unpack to ten times
# its size, and to more than a small set has, is a bomb.
MAX_RATIO = 10
SMALL = 64 * 2**20
TOO_LARGE = f"is larger than {MAX_MEMBER >> 20} MB"
# The last three are what Python's own readers let through of a damaged index.
DAMAGES = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError),
    *(IndexError, ValueError, struct.error),
)


def unpack(tarball, *wanted):
    """Returns {path: bytes} of the files in a .tar.gz that a regular expression wants.

    Paths are without their first folder ("package/"), patterns match from their start.
    Raises RuntimeError for a damaged archive, or one that holds links or paths that
    lead out of it, or unpacks to more than pictures do.
    """
    inside, pattern = {}, re.compile("|".join(wanted))
    try:
        with gzip.open(tarball) as stream:
            with tarfile.open(fileobj=_Limited(stream, tarball), mode="r|") as archive:
                for member in archive:
                    _check_name(member.name, tarball)
                    if member.isdir():
                        continue
                    if not member.isreg():
                        raise _refusal(tarball, member.name, "is a link or a device")
                    if member.issparse():  # its holes take no bytes of the stream
                        raise _refusal(tarball, member.name, "is a sparse file")
                    name = "/".join(pathlib.PurePosixPath(member.name).parts[1:])
                    if not pattern.match(name):
                        continue
                    if member.size > MAX_MEMBER:
                        raise _refusal(tarball, name, TOO_LARGE)
                    inside[name] = archive.extractfile(member).read()
    except (*DAMAGES, OSError) as error:
        raise RuntimeError(f"{tarball.name} is damaged or cut short: {error}") from None
    if not inside:
        raise RuntimeError(f"{tarball.name} holds none of {', '.join(wanted)}")
    return inside


class _Limited:
    """A stream that ends in RuntimeError once it has unpacked to too much."""

    def __init__(self, stream, path):
        self.stream, self.path, self.read_already = stream, path, 0
        self.limit = _limit(path)

    def read(self, size):
        data = self.stream.read(size)
        self.read_already += len(data)
        if self.read_already > self.limit:
            raise _bomb(self.path)
        return data


@contextlib.contextmanager
def members(path):
    """Yields {name: function that returns its bytes} of a zip file, or of a folder.

    Hidden files are left out. Raises RuntimeError for a damaged or hostile archive, and
    for a folder with links that lead out of it.
    """
    if path.is_dir():
        yield _folder_members(path.resolve())
        return
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            for info in infos:
                _check_zipped(info, path)
            if sum(info.file_size for info in infos) > _limit(path):
                raise _bomb(path)
            yield {
                info.filename: lambda info=info: archive.read(info)
                for info in infos
                if not _hidden(info.filename)
            }
    except (*DAMAGES, NotImplementedError) as error:
        raise RuntimeError(f"{path.name} is damaged or cut short: {error}") from None


def _check_zipped(info, path):
    _check_name(info.filename, path)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        problem = "is a link or a device"
    elif info.flag_bits & 1:
        problem = "is encrypted"
    elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        problem = "is packed in a way that sets of pictures do not use"
    elif info.file_size > MAX_MEMBER:
        problem = TOO_LARGE
    else:
        return
    raise _refusal(path, info.filename, problem)


def _folder_members(folder):
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or _hidden(name):
            continue
        if not path.resolve().is_relative_to(folder):
            raise RuntimeError(f"{path} is a link that leads out of its folder.")
        if path.stat().st_size <= MAX_MEMBER:
            found[name] = path.read_bytes
    return found


def _hidden(name):
    # macOS packs a "__MACOSX/._cat.png" with every cat.png.
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _check_name(name, path):
    parts = pathlib.PurePosixPath(name).parts
    # A backslash or a colon is nothing here, and a way out on Windows.
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
        raise _refusal(path, repr(name), "is an unsafe path")


def _limit(path):
    return max(SMALL, MAX_RATIO * path.stat().st_size)


def _bomb(path):
    size, limit = path.stat().st_size / 2**20, _limit(path) >> 20
    what = f"a file of {size:.1f} MB, unpacks to more than {limit} MB"
    return _refusal(path, what, "which no set of pictures does")


def _refusal(path, name, problem):
    return RuntimeError(
        f"{path.name}: {name} {problem}; nothing of this archive is used."
    )


# ------------------------------------------------------------------------------ hashes


def integrity(path):
    """Returns the sha512 of a file in npm's notation."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return "sha512-" + base64.b64encode(digest).decode()


def check_content(inside, folder, expected, base=""):
    """Checks every file of a folder against one hash, its paths relative to `base`."""
    lines = [
        f"{files.sha256(data)}  {name.removeprefix(base)}\n"
        for name, data in sorted(inside.items())
        if name.startswith(folder)
    ]
    check(files.sha256("".join(lines).encode()), expected, folder)


def check(found, expected, what):
    """Raises RuntimeError unless two hashes are the same."""
    if found != expected:
        raise RuntimeError(
            f"{what} is not what was published: expected {expected}, got {found}. The "
            "download is damaged or was replaced; nothing was kept. Try again."
        )
