"""Planted copies are found, whatever was done to them, and other pictures are not."""

import csv
import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pokeutils.common import env, images
from pokeutils.evaluation import copies, likeness, planted, statistics

SIZE = 48


def creature(number):
    """Ellipses and triangles with outlines, at random: straight RGBA, 192 px."""
    random, image = np.random.default_rng(number), Image.new("RGBA", (192, 192))
    pen = ImageDraw.Draw(image)
    for _ in range(7):
        centre, reach = random.uniform(50, 142, 2), random.uniform(10, 48, 2)
        fill = tuple(map(int, random.integers(40, 256, 3)))
        if random.random() < 0.6:
            corners = [*(centre - reach), *(centre + reach)]
            pen.ellipse(corners, fill, "black", 4)
        else:
            corners = centre + random.uniform(-60, 60, (3, 2))
            pen.polygon([tuple(corner) for corner in corners], fill, "black", 4)
    return np.asarray(image)


@pytest.fixture(scope="module")
def creatures():
    """80 creatures, premultiplied RGBA."""
    return np.stack([images.fit(creature(number), SIZE) for number in range(80)])


@pytest.fixture(scope="module")
def reals(creatures):
    return creatures[:60]


@pytest.fixture(scope="module")
def others(creatures):
    return creatures[60:]


# ------------------------------------------------------------------ the whole search


def test_copies_planted_among_samples_are_found(reals, others):
    samples, random = others.copy(), np.random.default_rng(0)
    places, originals = [2, 5, 11, 13, 17], [3, 30, 44, 59, 21]
    changes = (
        lambda one: one,
        planted.mirrored,
        lambda one: one[..., [1, 2, 0, 3]],
        lambda one: np.roll(one, (3, -2), axis=(1, 2)),
        lambda one: planted.all_at_once(one, random),
    )
    for place, original, change in zip(places, originals, changes, strict=True):
        samples[place] = change(reals[original : original + 1])[0]
    found = copies.search(samples, reals, plant=0)
    assert np.flatnonzero(found.flagged).tolist() == places
    assert found.original[places].tolist() == originals
    assert found.mirrored[places].tolist() == [False, True, False, False, True]
    assert found.by[11] == "drawing"  # colours do not find a recoloured copy
    share = found.shares["together"]
    assert (share.judged, share.total) == (5, 20) and share.low < 0.25 < share.high


def test_the_search_tries_itself_on_planted_copies(reals, others):
    found = copies.search(others[:5], reals, held_out=others, plant=30)
    assert list(found.planted) == list(planted.KINDS)
    least = {"exact": 1, "spoilt": 0.5, "cut off": 0}  # it may miss many of these
    for kind, shares in found.planted.items():
        one, *alone = shares.values()
        assert list(shares) == ["together", "colours", "drawing"]
        assert one.total == 30 and one.share >= least.get(kind, 0.9), kind
        assert one.share >= max(share.share for share in alone)
    assert found.planted["cut off"]["together"].share < 0.9  # which the table then says
    one = found.planted["all at once"]
    assert one["colours"].share < 0.9 < one["drawing"].share
    unseen = found.false_alarms["together"]
    assert (unseen.judged, unseen.total) == (0, 20)
    lines = str(found).splitlines()
    assert lines[1].startswith("samples") and lines[3].startswith("planted: exact")
    record = json.loads(json.dumps(found.record()))
    assert record["planted"]["exact"]["together"]["judged"] == 30
    assert record["samples"]["drawing"]["total"] == 5


def real_set(name):
    """Pictures, species, and which to train on; skips where it is not prepared."""
    folder = env.ROOT / "data" / "prepared" / name
    if not (folder / "report.json").exists():
        pytest.skip(f"{name} is not prepared here")
    with open(folder / "meta.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    species = np.array([int(row["species_id"]) for row in rows])
    train = np.array([row["split"] == "train" for row in rows])
    return np.load(folder / "images.npy"), species, train


def check_search(found):
    assert found.false_alarms["together"].share < 0.02
    share = {kind: one["together"].share for kind, one in found.planted.items()}
    assert share["exact"] == share["mirrored"] == 1
    hard = {kind: share.pop(kind) for kind in ("spoilt", "cut off")}
    assert min(share.values()) >= 0.9, found
    assert hard["cut off"] < hard["spoilt"] < 0.95  # a search that says so is honest


def test_real_artwork():
    """The same on the pictures that this is for."""
    pictures, species, train = real_set("artwork-32")
    unseen, known = pictures[~train], pictures[train][::2]
    groups = species[train][::2]
    check_search(copies.search(unseen[:9], known, unseen, groups=groups, plant=40))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["artwork-32", "artwork-64", "sprites-32"])
def test_the_table_of_planted_copies(name):
    pictures, species, train = real_set(name)
    known, unseen = pictures[train], pictures[~train]
    groups = species[train]
    found = copies.search(unseen, known, unseen, groups=groups, plant=200)
    print(f"\n{name}: {len(known)} training pictures\n{found}")
    check_search(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["artwork-32", "sprites-32"])
def test_real_species_that_were_held_out_in_turn_are_no_copies(name):
    """Every species is held out once, in five parts, so that hundreds are judged."""
    pictures, species, _ = real_set(name)
    part, flags = species * 2654435761 % 2**32 % 5, []
    for k in range(5):
        known = copies.Originals(pictures[part != k], groups=species[part != k])
        flags += known.look(pictures[part == k]).flagged.tolist()
    share = statistics.wilson(sum(flags), len(flags))
    print(f"\n{name}: {share}")
    assert len(flags) == len(pictures) and share.share < 0.02


def test_a_tilted_copy_is_found(reals):
    known, turned = copies.Originals(reals), planted.tilted(reals[:20], 6)
    found = known.look(turned)
    assert (found.original == np.arange(20)).all() and found.flagged.all()
    # And it comes out nearer than without the tilted originals.
    upright = copies.distances(likeness.drawing(turned), likeness.drawing(reals))
    nearest = found.nearest["drawing"].distances[:, 0]
    assert nearest.mean() < 0.9 * np.diag(upright).mean()
    assert np.abs(planted.tilted(reals, 0).astype(int) - reals).max() <= 1
    rotated = planted.tilted(reals[:3], 90)
    assert (rotated == np.rot90(reals[:3], axes=(1, 2))).mean() > 0.99


def test_what_a_search_misses_is_said(reals):
    """Reals that are all alike leave no room for a limit, and the trial tells."""
    alike = np.repeat(reals[:10], 4, axis=0)
    found = copies.search(alike[:4], alike, plant=20)
    assert not found.flagged.any() and found.planted["exact"]["together"].share == 0
    # The same pictures, known to be of ten species: now each is singled out.
    species = np.repeat(np.arange(1, 11), 4)
    found = copies.search(alike[:4], alike, groups=species, plant=20)
    assert found.flagged.all() and found.planted["exact"]["together"].share == 1


def test_the_limit_is_what_one_real_in_a_hundred_is_below(creatures):
    many = np.concatenate([creatures, planted.all_kinds(creatures)["warped"][:40]])
    ranks = []
    for describe in (likeness.colours, likeness.drawing):
        own, views = describe(many), []
        for one in (many, np.ascontiguousarray(many[:, :, ::-1])):
            views += [describe(planted.tilted(one, angle)) for angle in (-4, 0, 4)]
        apart = np.min(
            [[np.linalg.norm(view - a, axis=1) for a in own] for view in views], axis=0
        )
        alone = []
        for i, row in enumerate(apart):
            near = sorted(np.delete(row, i))[:10]
            alone.append(near[0] / np.mean(near[1:]))
        ranks.append([np.mean(np.array(alone) <= one) for one in alone])
    p = np.sort(np.min(ranks, axis=0))
    assert copies.Originals(many).limit == pytest.approx(p[1])  # of 120 one is below


def test_a_feature_network_may_search_as_well(reals):
    def middle(pictures):
        return pictures[:, 16:32, 16:32].reshape(len(pictures), -1)

    samples = np.zeros_like(reals[:3])
    samples[:, 16:32, 16:32] = reals[:3, 16:32, 16:32]  # nothing else is the same
    samples[1] = samples[1, :, ::-1]
    found = copies.search(samples, reals, features={"middle": middle}, plant=0)
    assert list(found.nearest) == ["colours", "drawing", "middle"]
    assert found.flagged.all() and set(found.by) == {"middle"}
    assert found.original.tolist() == [0, 1, 2]
    assert found.mirrored.tolist() == [False, True, False]
    with pytest.raises(ValueError, match="NaN"):
        copies.search(samples, reals, features=lambda x: np.full((len(x), 3), np.nan))


def test_rgb_and_rgba_are_compared_alike(reals):
    rgb = images.composite(reals)
    for samples, others in ((rgb, reals), (reals, rgb), (rgb, rgb)):
        found = copies.search(samples[:9], others, plant=0)
        assert found.flagged.all() and found.original.tolist() == list(range(9))


def test_a_blob_is_near_to_many_and_so_no_copy(reals):
    blob = np.broadcast_to(reals.mean(0), (2, SIZE, SIZE, 4)).astype("uint8").copy()
    blob[1] = 0  # a blank picture
    found = copies.search(blob, reals, plant=0)
    assert not found.flagged.any()
    assert found.nearest["colours"].distances[1] == pytest.approx(1)
    # No two of these reals are alike, so even this blob is rare among them.
    assert found.p[0] == 0 and copies.ALONE < found.alone["colours"][0] < 0.8


def test_side_by_side_shows_the_sample_then_its_nearest(reals):
    samples = reals[[4, 7]][:, :, ::-1]
    found = copies.search(samples, reals, plant=0)
    sheet = copies.side_by_side(samples, reals, found, [1, 0], count=2)
    size, gap = SIZE, SIZE // 4
    assert sheet.shape == (size + 4, 2 * (3 * size + 2 * gap + 2) + 2, 3)
    left = sheet[2:-2, 2 : 2 + 3 * size + gap]
    own, first = left[:, :size], left[:, size + gap : 2 * size + gap]
    assert (own == images.composite(samples[1])).all() and (own == first).all()


# ------------------------------------------------------------------ what is compared


def test_a_body_is_found_wherever_it_is_and_however_large(creatures):
    small = np.zeros((10, SIZE, SIZE, 4), "uint8")
    halves = creatures[:10].reshape(10, SIZE // 2, 2, SIZE // 2, 2, 4)
    small[:, 3:27, 22:46] = halves.mean((2, 4))
    for describe, near in ((likeness.colours, 0.2), (likeness.drawing, 0.4)):
        apart = copies.distances(describe(small), describe(creatures[:10]))
        assert (np.diag(apart) < near).all()
        assert (apart.argmin(1) == np.arange(10)).all()


def test_a_stray_pixel_moves_no_body(creatures):
    dirty = creatures[:10].copy()
    dirty[:, 1, 1] = dirty[:, 45:46, 1] = (200, 30, 30, 255)
    for describe in (likeness.colours, likeness.drawing):
        vectors, others = describe(creatures[:10]), describe(dirty)
        assert (np.linalg.norm(vectors - others, axis=1) < 0.25).all()


def test_the_drawing_is_blind_to_colours(creatures):
    some = creatures[:20]
    other = some[..., [2, 0, 1, 3]]
    same = np.linalg.norm(likeness.drawing(some) - likeness.drawing(other), axis=1)
    assert same == pytest.approx(0, abs=1e-3)  # an exchange of channels turns the hues
    differ = np.linalg.norm(likeness.colours(some) - likeness.colours(other), axis=1)
    assert np.median(differ) > 0.2
    assert np.linalg.norm(likeness.drawing(some), axis=1) == pytest.approx(1)


def test_the_drawing_turns_with_the_picture(creatures):
    upright, lying = creatures[:10], np.rot90(creatures[:10], axes=(1, 2))
    for one, other in zip(
        likeness.drawing(upright), likeness.drawing(lying), strict=True
    ):
        assert np.sort(one) == pytest.approx(np.sort(other), abs=1e-3)
        assert np.linalg.norm(one - other) > 0.5


@pytest.mark.parametrize("angle", [0, 45, 90, 135])
def test_the_drawing_knows_which_way_an_edge_runs(angle):
    y, x = np.mgrid[:64, :64] - 31.5
    turn = np.deg2rad(angle)
    disc = x**2 + y**2 < 28**2

    def striped(way):
        picture = np.zeros((64, 64, 4), "uint8")
        picture[disc] = 255
        stripes = np.sin((x * np.cos(way) + y * np.sin(way)) * 0.6) > 0
        picture[disc & stripes, :3] = 90
        return picture

    own, inverse = striped(turn), striped(turn)
    inverse[disc, :3] = 345 - inverse[disc, :3].astype(int)
    across = striped(turn + np.pi / 2)
    one, other, third = likeness.drawing(np.stack([own, inverse, across]))
    assert np.linalg.norm(one - other) < 0.2  # from dark to light, from light to dark
    assert np.linalg.norm(one - third) > 0.7


# ------------------------------------------------------------------ planted copies


def test_planted_copies_are_what_they_are_called(creatures):
    some = creatures[:12]
    made = planted.all_kinds(some, seed=4)
    again = planted.all_kinds(some, seed=4)
    for kind, pictures in made.items():
        assert pictures.dtype == np.uint8 and pictures.shape == some.shape, kind
        assert (pictures == again[kind]).all(), kind
        assert (pictures[..., :3].max(-1) <= pictures[..., 3]).all(), kind
    assert (made["mirrored"][:, :, ::-1] == some).all()
    for kind in ("hue turned", "palette swapped"):
        assert (made[kind][..., 3] == some[..., 3]).all()
        assert all((a != b).any() for a, b in zip(made[kind], some, strict=True))
    body, left = some[..., 3] > images.SOFT, made["cut off"][..., 3] > images.SOFT
    for own, rest in zip(body.any(2), left.any(2), strict=True):
        own, rest = np.flatnonzero(own), np.flatnonzero(rest)
        assert own[0] == rest[0] and 0.7 < np.ptp(rest) / np.ptp(own) < 0.8
    there = made["cut off"][..., 3] > 0
    assert (made["cut off"][there] == some[there]).all()
    apart = 1 - likeness.largest_piece(made["spoilt"])
    assert (apart > 0.01).all() and 0.03 < np.median(apart) < 0.1
    assert (made["spoilt"][body][:, 3] < some[body][:, 3]).mean() == pytest.approx(
        planted.THIN, abs=0.04
    )
    solid = (some[..., 3] > 127).mean((1, 2))
    moved = (made["warped"][..., 3] > 127) != (some[..., 3] > 127)
    assert (moved.mean((1, 2)) > 0.01).all()
    assert (moved.mean((1, 2)) < 0.6 * solid).all()


@pytest.mark.parametrize("kind", ["spoilt", "cut off"])
def test_damage_is_the_same_on_white(kind, creatures):
    some = creatures[:8]
    made = planted.KINDS[kind](some, np.random.default_rng(2))
    white = planted.KINDS[kind](images.composite(some), np.random.default_rng(2))
    assert white.shape == (8, SIZE, SIZE, 3) and white.dtype == np.uint8
    differ = np.abs(white.astype(int) - images.composite(made)).max(-1)
    assert (differ > 3).mean() < 0.02  # at rims it is not certain where a body ends
    blank = np.zeros((1, SIZE, SIZE, 4), "uint8")
    assert (planted.KINDS[kind](blank, np.random.default_rng(0)) == blank).all()


def test_a_palette_is_that_of_another_creature():
    pictures = np.zeros((2, 32, 32, 4), "uint8")
    pictures[:, 4:28, 4:28] = np.array([(200, 40, 40, 255), (60, 90, 250, 255)])[
        :, None, None
    ]
    pictures[:, 4:28, 4:10, :3] //= 4
    swapped = planted.palette_swapped(pictures, np.random.default_rng(1))
    for own, other in ((0, 1), (1, 0)):
        for place in ((16, 20), (16, 6)):
            new, wanted = swapped[own][place], pictures[other][place]
            assert new.astype(int) == pytest.approx(wanted.astype(int), abs=2)


# ------------------------------------------------------------------ neighbours, errors


def test_nearest_features_are_the_nearest():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(4, 6)), random.normal(size=(20, 6))
    found = copies.nearest_features(a, b, count=3)
    for row, indices, distances in zip(a, found.indices, found.distances, strict=True):
        by_hand = np.sqrt(((b - row) ** 2).sum(1))
        assert indices.tolist() == by_hand.argsort()[:3].tolist()
        assert distances == pytest.approx(np.sort(by_hand)[:3])
    found = copies.nearest_features(b, b, count=19, itself=True)
    assert (found.indices != np.arange(20)[:, None]).all()
    assert not found.mirrored.any()


def test_neighbours_are_of_different_species(reals):
    known = copies.Originals(reals, groups=np.arange(60) // 4 + 1)
    near = known.look(reals[:8]).nearest["drawing"]
    species = known.groups[near.indices]
    assert all(len(set(row)) == known.count for row in species.tolist())
    assert (species[:, 0] == [1, 1, 1, 1, 2, 2, 2, 2]).all()
    unknown = copies.Originals(reals, groups=np.zeros(60, int))
    assert unknown.count == 10 and len(set(unknown.groups)) == 60


def test_what_cannot_be_searched_is_refused(reals):
    with pytest.raises(ValueError, match="prepare the real pictures at the samples'"):
        copies.search(reals[:, :32, :32], reals)
    with pytest.raises(ValueError, match="Expected uint8 pictures.*float64"):
        copies.search(reals / 255, reals)
    with pytest.raises(ValueError, match="Expected uint8 pictures.*float64"):
        copies.search(np.full(reals.shape, np.nan), reals)
    with pytest.raises(ValueError, match="Expected samples as one array.*got list"):
        copies.search([reals[0], reals[1, :32]], reals)
    with pytest.raises(ValueError, match="Expected held_out as one array.*ndarray"):
        copies.search(reals, reals, held_out=reals[0])
    with pytest.raises(ValueError, match="n > 0"):
        copies.search(reals[:0], reals)
    with pytest.raises(ValueError, match="straight RGBA"):
        copies.search(images.unpremultiply(np.minimum(reals, 99)) | 1, reals)
    with pytest.raises(ValueError, match="Got 3 kinds of pictures; at least 4"):
        copies.search(reals, reals[:3])
    with pytest.raises(ValueError, match=r"groups has shape \(5,\); expected \(60,\)"):
        copies.search(reals, reals, groups=np.arange(5))
    with pytest.raises(ValueError, match="count=9 neighbours of 3"):
        copies.nearest_features(np.eye(3), np.eye(3), count=9)
