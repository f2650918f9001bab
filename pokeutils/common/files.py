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
ONE_DAY = 24 * 3600  # seconds; a temporary folder older than this has lost its owner


@contextlib.contextmanager
def atomic(path):
    """Yields a temporary path beside `path`; on success it becomes `path`, on an error
    `path` stays as it was. A full disk raises OSError that says what to do."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _sibling(path, path.suffix)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        _explain_if_full(error, path.parent)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path, keep=lambda: False):
    """Yields a temporary folder beside `path`; on success it takes the place of `path`.
    On an error `path` stays as it was, and so it does when `keep()` finds that another
    process was there first with a good folder."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    temporary = _sibling(path, "")
    try:
        temporary.mkdir()
        yield temporary
        _swap(temporary, path, keep)
    except OSError as error:
        _explain_if_full(error, path.parent)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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


def _explain_if_full(error, folder):
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return
    free = shutil.disk_usage(folder).free / 2**20
    raise OSError(
        error.errno,
        f"The disk that holds {folder} is full ({free:.0f} MB free); nothing was "
        "changed. Free some space, or set POKEUTILS_DATA and POKEUTILS_OUTPUTS to "
        "folders on a larger disk",
    ) from error
