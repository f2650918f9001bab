"""Hostile archives, made for real: refused, and nothing is written anywhere."""

import gzip
import os
import stat
import tarfile
import tracemalloc
import zipfile

import pytest
from packed import tarball, zipped

from pokeutils.data import download

MB = 2**20


def everything(folder):
    return sorted(path for path in folder.rglob("*"))


def special(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


# --------------------------------------------------------------------------------- tar


def test_the_wanted_files_and_no_others(tmp_path):
    inside = {"top/a/b.png": b"b", "top/a/c/d.png": b"d", "top/e.json": b"e"}
    path = tarball(tmp_path / "set.tgz", inside)
    assert download.unpack(path, "a/") == {"a/b.png": b"b", "a/c/d.png": b"d"}
    assert set(download.unpack(path, "a/[^/]+$", "e")) == {"a/b.png", "e.json"}
    with pytest.raises(RuntimeError, match="holds none of z/"):
        download.unpack(path, "z/")


@pytest.mark.parametrize(
    "name, member, reason",
    [
        ("top/../../evil.png", b"x", "unsafe path"),
        ("top/a/../../../evil.png", b"x", "unsafe path"),
        ("/etc/evil.png", b"x", "unsafe path"),
        ("top/a/..\\..\\evil.png", b"x", "unsafe path"),
        ("C:/evil.png", b"x", "unsafe path"),
        ("", special("top/a/1.png", tarfile.SYMTYPE, "/etc/passwd"), "is a link"),
        ("", special("top/z/1.png", tarfile.LNKTYPE, "top/x"), "is a link"),
        ("", special("top/a/1.png", tarfile.FIFOTYPE), "a link or a device"),
        ("", special("top/a/1.png", tarfile.CHRTYPE), "a link or a device"),
        ("", special("top/a/1.png", tarfile.GNUTYPE_SPARSE), "a sparse file"),
        ("top/a/big.png", bytes(download.MAX_MEMBER + 1), "larger than 8 MB"),
    ],
)
def test_hostile_tarballs_are_refused(tmp_path, name, member, reason):
    path = tarball(tmp_path / "set.tgz", {"top/a/good.png": b"good", name: member})
    before = everything(tmp_path)
    with pytest.raises(RuntimeError, match=f"set.tgz.*{reason}.*nothing of this"):
        download.unpack(path, "a/")
    assert everything(tmp_path) == before


def test_a_tar_bomb_is_stopped_early_and_in_little_memory(tmp_path):
    path = tmp_path / "bomb.tgz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        header = tarfile.TarInfo("top/unwanted")
        header.size = 20_000 * MB
        file.write(header.tobuf())
        for _ in range(100):  # all that there is of it
            file.write(bytes(MB))
    tracemalloc.start()
    with pytest.raises(RuntimeError, match="unpacks to more than 64 MB"):
        download.unpack(path, "a/")
    assert tracemalloc.get_traced_memory()[1] < 20 * MB
    tracemalloc.stop()


def test_holes_that_take_no_bytes_of_the_archive_are_refused(tmp_path):
    whole = bytearray(special("top/a/1.png", tarfile.GNUTYPE_SPARSE).tobuf())
    whole[483:495] = b"%011o\0" % (8 * MB)  # the size of what is unpacked
    whole[148:156] = b" " * 8
    whole[148:156] = b"%06o\0 " % sum(whole)
    with gzip.open(tmp_path / "set.tgz", "wb") as file:
        file.write(whole * 1000 + bytes(1024))  # 8 GB in a few kilobytes
    with pytest.raises(RuntimeError, match="1.png is a sparse file; nothing of this"):
        download.unpack(tmp_path / "set.tgz", "a/")


def test_a_damaged_tarball_is_refused(tmp_path):
    path = tarball(tmp_path / "a.tgz", {"top/a/b": os.urandom(50_000)})
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(RuntimeError, match="damaged or cut short"):
        download.unpack(path, "a/")
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(RuntimeError, match="damaged or cut short"):
        download.unpack(path, "a/")


# --------------------------------------------------------------------------------- zip


def read_all(path):
    with download.members(path) as members:
        return {name: read() for name, read in members.items()}


def test_members_of_a_zip_and_of_a_folder(tmp_path):
    inside = {"a/b.png": b"b", "c.csv": b"c", "__MACOSX/a/._b.png": b"?", ".x": b"?"}
    path = zipped(tmp_path / "set.zip", inside)
    assert read_all(path) == {"a/b.png": b"b", "c.csv": b"c"}
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "folder")
    assert read_all(tmp_path / "folder") == read_all(path)


@pytest.mark.parametrize(
    "name", ["../evil.png", "a/../../evil.png", "/etc/evil.png", "a\\..\\evil", "C:/e"]
)
def test_a_zip_that_leads_out_is_refused(tmp_path, name):
    path = zipped(tmp_path / "set.zip", {"a/good.png": b"good", name: b"evil"})
    before = everything(tmp_path)
    with pytest.raises(RuntimeError, match="unsafe path; nothing of this archive"):
        read_all(path)
    assert everything(tmp_path) == before


def test_a_zip_with_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("a/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(RuntimeError, match="a/link.png is a link"):
        read_all(tmp_path / "set.zip")


def test_an_encrypted_zip_is_refused(tmp_path):
    path = zipped(tmp_path / "set.zip", {"a.png": b"secret"})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(RuntimeError, match="is encrypted"):
        read_all(path)


def test_zip_bombs_are_refused(tmp_path):
    # 10,000 : 1 is beyond what the usual packing can do in a straight way ...
    path = zipped(tmp_path / "a.zip", {"1.png": bytes(32 * MB)}, zipfile.ZIP_BZIP2)
    assert path.stat().st_size * 10_000 < 32 * MB
    with pytest.raises(RuntimeError, match="packed in a way"):
        read_all(path)
    # ... or it names the same packed bytes again and again (Fifield, 2019).
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.png", bytes(7 * MB))
        for number in range(1, 200):
            again = zipfile.ZipInfo(f"{number}.png")
            for field in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(again, field, getattr(archive.filelist[0], field))
            again.compress_type = zipfile.ZIP_DEFLATED
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again
    assert (tmp_path / "b.zip").stat().st_size * 30_000 < 200 * 7 * MB
    with pytest.raises(RuntimeError, match="unpacks to more than 64 MB"):
        read_all(tmp_path / "b.zip")
    path = zipped(tmp_path / "c.zip", {"1.png": bytes(download.MAX_MEMBER + 1)})
    with pytest.raises(RuntimeError, match="1.png is larger than 8 MB"):
        read_all(path)


def test_a_zip_that_lies_about_its_sizes_does_not_get_through(tmp_path):
    path = zipped(tmp_path / "set.zip", {"a.png": bytes(9 * MB)})
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        place = data.index(mark) + offset
        data[place : place + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(RuntimeError, match="damaged"):
        read_all(path)


def test_a_damaged_zip_is_refused(tmp_path):
    path = zipped(tmp_path / "set.zip", {"a.png": os.urandom(5000)})
    whole = path.read_bytes()
    changed = whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]
    for spoiled in (whole[:2000], changed, b"<html>"):
        path.write_bytes(spoiled)
        with pytest.raises(RuntimeError, match="damaged or cut short"):
            read_all(path)


def test_a_folder_with_a_link_out_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "folder" / "a.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(RuntimeError, match="leads out of its folder"):
        read_all(tmp_path / "folder")
