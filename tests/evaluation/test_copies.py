"""Planted copies are found, whatever was done to them, and other pictures are not."""

import json

import numpy as np
import pytest

from pokeutils.common import images
from pokeutils.evaluation import copies, likeness, planted

SIZE = 48


@pytest.fixture(scope="module")
def reals(creatures):
    return creatures[:60]


@pytest.fixture(scope="module")
def others(creatures):
    return creatures[60:]


def test_copies_planted_among_samples_are_found(reals, others):
    samples, random = others.copy(), np.random.default_rng(0)
    places, originals = [2, 5, 11, 13, 17], [3, 30, 44, 59, 21]
    changes = (
        lambda one: one,
        lambda one: one[:, :, ::-1],
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
    least = {"exact": 1, "cut off": 0}  # it may miss many of these
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
    with pytest.raises(ValueError, match="Got float64 of shape.*expected uint8"):
        copies.search(reals / 255, reals)
    with pytest.raises(ValueError, match="straight RGBA"):
        copies.search(images.unpremultiply(np.minimum(reals, 99)) | 1, reals)
    with pytest.raises(ValueError, match="Got 3 kinds of pictures; at least 4"):
        copies.search(reals, reals[:3])
    with pytest.raises(ValueError, match=r"groups has shape \(5,\); expected \(60,\)"):
        copies.search(reals, reals, groups=np.arange(5))
