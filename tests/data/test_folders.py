"""Pictures of your own: copied, numbered where a name says so, and never trusted."""

import json
import os

import pytest
from PIL import Image

from pokeutils.data import dataset, folders, sources


def fetch(folder, tmp_path):
    return sources.fetch(f"folder:{folder}", tmp_path / "raw", lambda line: None)


def fill(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), "red").save(folder / name)
    return folder


def test_a_folder_is_copied_with_its_numbers(tmp_path):
    names = ["006.png", "25-mega.PNG", "below/cat.jpeg", "2021-05-01 dog.gif"]
    mine = fill(tmp_path / "My pets!", names)
    (mine / "notes.txt").write_text("not a picture")
    (mine / "._006.png").write_bytes(b"macOS leaves these")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (mine / "link.png").symlink_to(tmp_path / "secret.png")
    (mine / "own.png").symlink_to(mine / "006.png")
    raw = fetch(mine, tmp_path)
    assert raw.name.startswith("folder-my-pets-")
    numbers = {row["file"]: row["species_id"] for row in sources.manifest(raw)}
    of = ("6", "25", "", "", "")
    assert numbers == dict(zip([*names, "own.png"], of, strict=True))
    [dropped] = sources.about(raw)["dropped"]
    assert dropped["file"] == "link.png" and "out of the folder" in dropped["reason"]
    assert not (raw / "link.png").exists()


@pytest.mark.parametrize("name", ["mine", "./mine/", "{root}/mine"])
def test_a_relative_folder_is_one_wherever_a_process_is(tmp_path, monkeypatch, name):
    monkeypatch.setattr(folders.env, "ROOT", tmp_path / "project")
    places = [tmp_path / "project", tmp_path / "project" / "notebooks", tmp_path]
    for place in places:
        (place / "mine").mkdir(parents=True)
    for place in places:
        monkeypatch.chdir(place)
        found = folders.path(f"folder:{name.format(root=folders.env.ROOT)}")
        assert found == tmp_path / "project" / "mine"
    (places[0] / "mine").rmdir()
    assert folders.path("folder:mine") == tmp_path / "mine"


def test_a_folder_below_may_have_any_name_unless_it_is_hidden(tmp_path):
    names = ["cat.png", "download/cat.png", "download/more/dog.png"]
    hidden = [".thumbnails/cat.png", ".download/a.png", "download/.cache/b/c.png"]
    raw = fetch(fill(tmp_path / ".mine", [*names, *hidden]), tmp_path)
    assert [row["file"] for row in sources.manifest(raw)] == sorted(names)
    files = {p.relative_to(raw).as_posix() for p in raw.rglob("*") if p.is_file()}
    assert files == {*names, "manifest.csv", "source.json"}


def test_names_that_say_which_species_it_is(tmp_path):
    names = {
        "006.png": ("6", ""),
        "6-mega-x.png": ("6", "mega-x"),
        "6-at-the-beach.png": ("6", ""),
        "37-alola.png": ("37", "alola"),
        "pikachu.png": ("25", ""),
        "Porygon-Z.png": ("474", ""),
        "raichu-alola.png": ("26", "alola"),
        "mr-mime.png": ("122", ""),
        "basculin-red-striped.png": ("550", "red-striped"),
        "raichu-asleep.png": ("", ""),
        "0.png": ("", ""),
        "1026.png": ("", ""),
        "20210501.png": ("", ""),
    }
    raw = fetch(fill(tmp_path / "pets", names), tmp_path)
    rows = sources.manifest(raw)
    assert {r["file"]: (r["species_id"], r["form"]) for r in rows} == names


def test_an_empty_folder_or_a_single_picture_is_refused(tmp_path):
    mine = tmp_path / "mine"
    with pytest.raises(ValueError, match="not a folder"):
        fetch(mine, tmp_path)
    mine.mkdir()
    with pytest.raises(ValueError, match="holds no pictures; at least 2"):
        fetch(mine, tmp_path)
    fill(mine, ["only.png"])
    with pytest.raises(ValueError, match="holds one picture;"):
        fetch(mine, tmp_path)
    assert not (tmp_path / "raw").exists()


def test_a_changed_folder_is_copied_again_but_no_huge_file(tmp_path):
    mine = fill(tmp_path / "mine", ["a.png", "b.png"])
    fetch(mine, tmp_path)
    with open(mine / "huge.png", "wb") as file:
        os.truncate(file.fileno(), folders.MAX_FILE + 1)  # takes no room on the disk
    [dropped] = sources.about(fetch(mine, tmp_path))["dropped"]
    assert dropped == {"file": "huge.png", "reason": "larger than 64 MB"}


def misfit(kind, mine, name="bad.png"):
    """Puts something that cannot be used into a folder; returns what names it."""
    other = fill(mine.parent / "elsewhere", ["far.png"])
    if kind == "not UTF-8":
        os.rename(other / "far.png", os.fsencode(mine) + b"/\xe9t\xe9.png")
        return r"\udce9t\udce9.png"
    if kind == "line break":
        os.rename(other / "far.png", mine / "two\r\nlines.png")
        return r"two\r\nlines.png"
    if kind == "reserved":
        fill(mine, ["manifest.csv/cat.png"])
        return "manifest.csv/cat.png"
    if kind == "pipe":
        os.mkfifo(mine / name)
    else:
        to = {"loop": name, "nowhere": "gone.png", "outside": other / "far.png"}
        os.symlink(to.get(kind, other), mine / name)
    return name


KINDS = "not UTF-8,line break,reserved,pipe,loop,nowhere,outside,folder outside"


@pytest.mark.parametrize("kind", KINDS.split(","))
def test_one_bad_file_is_named_and_the_rest_goes_on(pets, tmp_path, kind, one_decoder):
    named = misfit(kind, tmp_path / "pets")
    lines = []
    ready = dataset.load(pets, 16, tmp_path / "data", lines.append)
    [dropped] = json.loads((ready.folder / "report.json").read_text())["dropped"]
    assert dropped["file"] == named and len(dropped["reason"]) > 5
    assert len(ready.images) == 40 and any(named in line for line in lines)
    assert dataset.load(pets, 16, tmp_path / "data").fingerprint == ready.fingerprint


@pytest.mark.parametrize("part", [b"\xe9t\xe9", b"two\nlines"])
def test_a_folder_whose_name_is_no_text_is_refused(tmp_path, part):
    name = f"folder:{tmp_path}/{os.fsdecode(part)}"
    for call in (sources.fetch, sources.folder_name, folders.state):
        with pytest.raises(ValueError, match="name that is not UTF-8.*rename"):
            call(name)


def test_links_inside_the_folder_are_followed_and_each_folder_is_read_once(tmp_path):
    mine = fill(tmp_path / "mine", ["cats/1.png", "cats/2.png", ".store/3.png"])
    for link, to in {"other": "cats", "a": ".", "cats/up": "..", "x": ".store"}.items():
        os.symlink(to, mine / link)
    files = [row["file"] for row in sources.manifest(fetch(mine, tmp_path))]
    assert files == ["cats/1.png", "cats/2.png", "x/3.png"]
    stamp = folders.state(f"folder:{mine}")
    fill(mine, [".store/4.png"])
    assert folders.state(f"folder:{mine}") != stamp


def test_what_is_made_here_is_no_picture_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setenv("POKEUTILS_DATA", str(tmp_path / "data"))
    mine = fill(tmp_path, ["a.png", "b.png"])
    for _ in range(2):  # copied once, and not the copies again
        raw = sources.fetch(f"folder:{mine}", None, lambda line: None)
        assert len(sources.manifest(raw)) == 2


def test_files_that_are_no_pictures_are_counted_aloud(tmp_path):
    mine = fill(tmp_path / "mine", ["a.png", "b.bmp", "c.TIFF", "d.jfif", "e.avif"])
    for name in ("pets.zip", "notes.txt", "more.txt", "film.mp4", "README", ".hidden"):
        (mine / name).write_text("no picture")
    lines = []
    raw = sources.fetch(f"folder:{mine}", tmp_path / "raw", lines.append)
    assert len(sources.manifest(raw)) == 5
    [told] = sources.about(raw)["left_out"]
    assert told in lines and "hidden" not in told and "Unpack archives" in told
    assert all(kind in told for kind in ("2 .txt", "1 .zip", "1 .mp4"))
    for path in (*mine.glob("*.*f"), mine / "a.png", mine / "b.bmp", mine / "c.TIFF"):
        path.unlink(missing_ok=True)
    with pytest.raises(ValueError, match="no pictures;.*1 .zip.* Unpack archives"):
        fetch(mine, tmp_path)
