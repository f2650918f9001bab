"""Files are whole or absent, whatever goes wrong in between."""

import errno
import json
import os
import subprocess
import sys
import time

import pytest

from pokeutils.common import env, files


def test_atomic_replaces_on_success(tmp_path):
    files.write_json(tmp_path / "new" / "a.json", {"b": 1, "a": [2]})
    files.write_json(tmp_path / "new" / "a.json", {"b": 2, "a": "é"})
    text = (tmp_path / "new" / "a.json").read_text("utf-8")
    assert text.endswith("}\n") and json.loads(text) == {"b": 2, "a": "é"}
    assert list(json.loads(text)) == ["b", "a"]
    assert os.listdir(tmp_path / "new") == ["a.json"]


def test_atomic_keeps_the_old_file_on_error(tmp_path):
    files.write_text(tmp_path / "a.txt", "old")
    with pytest.raises(KeyError), files.atomic(tmp_path / "a.txt") as temporary:
        assert temporary.suffix == ".txt" and temporary.parent == tmp_path
        temporary.write_text("half")
        raise KeyError
    assert (tmp_path / "a.txt").read_text("utf-8") == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_atomic_folder_replaces_or_keeps(tmp_path):
    target = tmp_path / "set"
    for text in ("one", "two"):
        with files.atomic_folder(target) as new:
            (new / "a").write_text(text)
    assert (target / "a").read_text("utf-8") == "two"
    with pytest.raises(KeyError), files.atomic_folder(target) as new:
        (new / "a").write_text("half")
        raise KeyError
    with files.atomic_folder(target, keep=lambda: True) as new:
        (new / "a").write_text("late")
    assert (target / "a").read_text("utf-8") == "two"
    assert os.listdir(tmp_path) == ["set"]


def test_a_full_disk_is_said_in_words(tmp_path):
    with pytest.raises(OSError, match="is full .* Free some space") as caught:
        with files.atomic_folder(tmp_path / "set"):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.errno == errno.ENOSPC
    if not os.path.exists("/dev/full"):
        return
    # /dev/full answers every write as a full disk does.
    with pytest.raises(OSError, match="is full .* nothing was changed"):
        with files.atomic(tmp_path / "images.npy") as temporary:
            temporary.symlink_to("/dev/full")
            with open(temporary, "wb") as file:
                file.write(b"pixels")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("code", ["EROFS", "EACCES", "EPERM"])
@pytest.mark.parametrize("write", ["atomic", "atomic_folder", "make_folder"])
def test_a_folder_only_read_is_said_in_words(tmp_path, monkeypatch, write, code):
    target = tmp_path / "new" / "set"

    def refuse(*arguments, **options):
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))

    monkeypatch.setattr(files.pathlib.Path, "mkdir", refuse)
    monkeypatch.setattr(files.os, "access", lambda path, how: path != tmp_path)
    with pytest.raises(files.NoRoom) as caught:
        if write == "make_folder":
            files.make_folder(target)
        else:
            with getattr(files, write)(target):
                pass
    assert str(caught.value) == (
        f"{tmp_path} cannot be written to. Set POKEUTILS_DATA and POKEUTILS_OUTPUTS to "
        "folders of yours."
    )


def test_what_a_killed_process_left_is_swept_after_a_day(tmp_path):
    for name, age in ((".set.1234.tmp", 2), (".set.5678.tmp", 0)):
        (tmp_path / name).mkdir()
        past = time.time() - age * files.ONE_DAY
        os.utime(tmp_path / name, (past, past))
    with files.atomic_folder(tmp_path / "set"):
        pass
    assert sorted(os.listdir(tmp_path)) == [".set.5678.tmp", "set"]


def test_many_writers_leave_one_whole_folder(tmp_path):
    code = (
        "import sys; from pokeutils.common import files\n"
        "for _ in range(25):\n"
        "    with files.atomic_folder(sys.argv[1]) as new:\n"
        "        (new / 'a').write_text(sys.argv[2])\n"
        "        (new / 'b').write_text(sys.argv[2])\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "set")]
    writers = [subprocess.Popen([*command, n], cwd=env.ROOT) for n in ("one", "two")]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    both = {(tmp_path / "set" / name).read_text("utf-8") for name in "ab"}
    assert len(both) == 1 and os.listdir(tmp_path) == ["set"]


HOLD = """
import sys
from pokeutils.common import files
with files.lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_names_its_owner_and_ends_with_it(tmp_path):
    path = tmp_path / ".lock"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=env.ROOT, text=True,
    )  # fmt: skip
    assert other.stdout.readline() == "held\n"
    with pytest.raises(files.Busy, match="in use by process") as caught:
        with files.lock(path):
            pass
    assert caught.value.owner == f"process {other.pid}"
    other.kill()
    other.communicate()
    with files.lock(path), pytest.raises(files.Busy, match=f"process {os.getpid()};"):
        with files.lock(path):  # nor twice in one process
            pass
    with files.lock(path):
        pass


def test_a_drive_without_locks_is_used_with_a_note(tmp_path, monkeypatch):
    def refuse(file, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    notes = []
    with files.lock(tmp_path / ".lock", show=notes.append):
        assert "no locks on this drive" in notes[0] and str(tmp_path) in notes[0]
