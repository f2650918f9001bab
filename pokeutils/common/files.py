"""Files that are whole or absent (atomic writes), their hashes, and locks."""

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import pathlib
import shutil
import time
import uuid

from pokeutils.common import env

FILELOCK = "filelock==4.3.*"
FULL = (errno.ENOSPC, errno.EDQUOT)
ONE_DAY = 24 * 3600  # seconds; a temporary folder older than this has lost its owner


@contextlib.contextmanager
def atomic(path):
    """Yields a temporary path beside `path`; on success it becomes `path`, on an error
    `path` stays as it was. Raises NoRoom for a disk that is full or not writable."""
    path = pathlib.Path(path)
    temporary = _sibling(make_folder(path.parent) / path.name, path.suffix)
    with _explained(path.parent):
        try:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path, keep=lambda: False):
    """Yields a temporary folder beside `path`; on success it takes the place of `path`.
    On an error `path` stays as it was, and so it does when `keep()` finds that another
    process was there first with a good folder."""
    path = pathlib.Path(path)
    make_folder(path.parent)
    _sweep(path)
    temporary = _sibling(path, "")
    with _explained(path.parent):
        try:
            temporary.mkdir()
            yield temporary
            _swap(temporary, path, keep)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def make_folder(path):
    """Makes a folder, and those above it, where they are missing; returns its path.
    Raises NoRoom for a disk that is full or not writable."""
    path = pathlib.Path(path)
    with _explained(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


class NoRoom(OSError):
    """Nothing can be written to a folder; says why, and what to do."""

    def __str__(self):
        return self.strerror


def write_bytes(path, data):
    """Writes `data` to `path` atomically."""
    with atomic(path) as temporary, open(temporary, "wb") as file:
        file.write(data)


def write_text(path, text):
    """Writes `text` to `path` atomically, as UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path, value):
    """Writes `value` to `path` atomically, as indented JSON in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path, kind=dict):
    """Returns the content of a JSON file, which must be of a `kind`. Raises ValueError
    that names the file when it is damaged or holds something else."""
    try:
        content = json.loads(pathlib.Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}).") from None
    if not isinstance(content, kind):
        raise ValueError(f"{path} is damaged (no {kind.__name__}).")
    return content


def set_aside(path, error, show=print):
    """Renames a damaged file to damaged-<name>: work goes on as without it."""
    aside = pathlib.Path(path).with_name(f"damaged-{pathlib.Path(path).name}")
    with contextlib.suppress(OSError):  # in a folder that is only read
        os.replace(path, aside)
    show(f"{error} It is set aside as {aside.name}.")


def csv_bytes(columns, rows):
    """Returns a CSV file of `rows`, dicts that have all `columns`, as bytes."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def sha256(source):
    """Returns the sha256 of a bytes object, or of the file at a path, as hex."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return hashlib.sha256(source).hexdigest()
    with open(source, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Busy(RuntimeError):
    """Another process holds what `lock` was asked for; `owner` says which."""

    def __init__(self, folder, owner):
        super().__init__(f"{folder} is in use by {owner}; wait until it is done.")
        self.owner = owner


@contextlib.contextmanager
def lock(path, show=print):
    """Holds the file at `path`, until the process ends at the latest. Raises Busy where
    another has it. Where the drive has no locks it says so and goes on."""
    env.need("filelock", FILELOCK, show)
    import filelock

    path, owner = pathlib.Path(path), pathlib.Path(f"{path}.owner")
    held = filelock.FileLock(path)
    try:
        held.acquire(timeout=0)
    except filelock.Timeout:
        name = owner.read_text("utf-8") if owner.exists() else "another process"
        raise Busy(path.parent, name) from None
    except OSError as error:
        show(
            f"Note: no locks on this drive ({error}); let no other process work in "
            f"{path.parent}."
        )
    try:
        owner.write_text(f"process {os.getpid()}", "utf-8")
        yield
    finally:
        held.release()


def _sibling(path, suffix):
    # A random name: two processes that write the same result must not meet.
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.tmp{suffix}")


def _swap(new, path, keep):
    # A folder cannot be renamed onto a full one, so the old one steps aside first.
    for _ in range(20):
        try:
            os.rename(new, path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if keep():
            return
        aside = _sibling(path, "")
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, aside)
            shutil.rmtree(aside, ignore_errors=True)
    raise OSError(f"{path} is being replaced by another process all the time.")


def _sweep(path):
    # What a killed process left behind, long enough ago that it cannot be at work.
    for old in path.parent.glob(f".{path.stem}.*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - old.stat().st_mtime > ONE_DAY:
                shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _explained(folder):
    """Turns what a full or read-only disk raises into NoRoom."""
    try:
        yield
    except OSError as error:
        folder = next(p for p in (folder, *folder.absolute().parents) if p.exists())
        full = error.errno in FULL
        if isinstance(error, NoRoom) or not (full or not os.access(folder, os.W_OK)):
            raise
        text = f"{folder} cannot be written to. Set"
        if full:
            free = shutil.disk_usage(folder).free / 2**20
            text = f"The disk that holds {folder} is full ({free:.0f} MB free); "
            text += "nothing was changed. Free some space, or set"
        place = "on a larger disk" if full else "of yours"
        text += f" POKEUTILS_DATA and POKEUTILS_OUTPUTS to folders {place}."
        raise NoRoom(error.errno, text) from error
