"""The sharpener: what it is taught, what it learns in seconds, what is kept of it."""

import keras
import numpy as np
import pytest
from tiny import eagerly

from pokeutils.common import images
from pokeutils.data import dataset
from pokeutils.studio import degrade, flaws, sharpen

SPOILT = {"blur": 0.5, "wash": 0.2, "mottle": 0.05}


@pytest.fixture(scope="module")
def trained(clean):
    return sharpen.train(clean[:40], SPOILT, steps=45, rate=4e-3, batch=6, show=None)


def test_untrained_it_changes_next_to_nothing(clean):
    same = sharpen.sharpen(sharpen.network(), clean[:4])
    assert np.abs(same.astype("int16") - clean[:4]).max() <= 10
    twice = sharpen.sharpen(sharpen.network(2), clean[:4])
    assert twice.shape == (4, 64, 64, 4)
    difference = np.abs(images.shrink(twice, 32).astype("int16") - clean[:4])
    assert difference.mean() < 6


def test_the_loss_is_zero_for_the_clean_and_counts_steps():
    flat, spot = np.zeros((1, 8, 8, 4), "float32"), np.zeros((1, 8, 8, 4), "float32")
    assert float(sharpen.loss(flat, flat)) == 0
    assert float(sharpen.loss(flat, flat + 0.5)) == pytest.approx(0.5)
    spot[0, 4, 4] = 1  # one pixel of 64, two steps of 56 in each direction
    expected = 1 / 64 + 1.5 * (2 / 56 + 2 / 56)
    assert float(sharpen.loss(flat, spot)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("scale", [1, 2])
def test_pairs_fit_together_and_come_again(clean, scale):
    large = clean.repeat(2, 1).repeat(2, 2)
    pairs = sharpen.Pairs(large, {}, steps=40, batch=4, scale=scale, seed=1)
    for step in (0, 39):
        spoilt, whole = pairs[step]
        assert spoilt.shape == (4, 32, 32, 4)
        assert whole.shape == (4, 32 * scale, 32 * scale, 4)
        # Nothing was spoilt, so both are the same piece in the same direction.
        np.testing.assert_allclose(spoilt.repeat(scale, 1).repeat(scale, 2), whole)
    again = sharpen.Pairs(large, {}, steps=40, batch=4, scale=scale, seed=1)
    np.testing.assert_array_equal(again[39][0], spoilt)


def test_it_restores_pictures_that_it_has_never_seen(trained, clean):
    unseen = clean[40:]
    bad = degrade.degrade(unseen, SPOILT, seed=77)
    good = sharpen.sharpen(trained, bad)
    assert sharpen.psnr(good, unseen) > sharpen.psnr(bad, unseen) + 1
    before, after = flaws.measure(bad), flaws.measure(good)
    assert after["outer"] > before["outer"] + 0.008
    assert (good[..., :3] <= good[..., 3:]).all()


def test_batches_and_numbers_of_pictures_do_not_matter(trained, clean):
    whole = sharpen.sharpen(trained, clean[:5])
    parts = sharpen.sharpen(trained, clean[:5], batch=2)
    assert np.abs(whole.astype("int16") - parts).max() <= 1


def test_a_palette_has_so_many_colours_and_leaves_what_is_not_there(clean):
    noisy = degrade.degrade(clean[:6], {"speckle": 0.3})
    few = images.reduce_palette(noisy, 8)
    assert (few[..., 3] == noisy[..., 3]).all()
    assert not few[few[..., 3] == 0].any()
    for one, before in zip(few, noisy, strict=True):
        solid = one[..., 3] == 255
        assert 1 < len(np.unique(one[solid], axis=0)) <= 8
        assert len(np.unique(before[solid], axis=0)) > 8
    for wrong in (0, 257):
        with pytest.raises(ValueError, match="1 to 256"):
            images.reduce_palette(noisy, wrong)


def test_rgb_pictures_come_back_with_transparency(clean):
    done = sharpen.sharpen(sharpen.network(), images.over(clean[:2]))
    assert done.shape[-1] == 4 and not done[:, 0, 0].any()


def test_psnr_and_enlarging():
    black = np.zeros((2, 8, 8, 4), "uint8")
    assert sharpen.psnr(black, black + np.uint8(255)) == pytest.approx(0)
    assert sharpen.psnr(black, black + np.uint8(1)) == pytest.approx(48.13, abs=0.01)
    assert (sharpen.enlarge(black + np.uint8(90), 2) == 90).all()


def test_saved_and_loaded_without_trust(trained, clean, tmp_path):
    facts = {"strengths": SPOILT, "steps": 45}
    sharpen.save(trained, tmp_path / "kept", facts)
    again, found = sharpen.load(tmp_path / "kept")
    assert found == facts
    assert (
        sharpen.sharpen(again, clean[:2]) == sharpen.sharpen(trained, clean[:2])
    ).all()

    path = tmp_path / "kept" / "sharpener.keras"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match="cannot be used as a sharpener"):
        sharpen.load(tmp_path / "kept")


def test_one_is_made_for_each_generator_and_kept(outputs):
    data = dataset.load("doodles", 16)
    samples = data.images[data.holdout]
    made = []

    def make(name="001-a", steps=1, scale=1, samples=samples):
        made.clear()
        options = {"show": lambda line, **_: made.append(line)}
        with eagerly():
            settings = (name, data, SPOILT, samples, steps, scale)
            return sharpen.made_for(*settings, **options)

    first = make()
    assert made and (sharpen.folder("001-a") / "same size" / "params.json").exists()
    again = make()
    assert not made
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        assert (a == b).all()
    make(steps=2)
    assert made
    make(samples=255 - samples)
    assert made
    path = sharpen.folder("001-a") / "same size" / "sharpener.keras"
    path.write_bytes(b"torn")
    make(samples=255 - samples)
    assert made


@pytest.mark.slow
def test_a_critic_sees_samples_and_leaves_their_coarse_colours(clean):
    samples = degrade.degrade(clean[40:], SPOILT, seed=5)
    lines = []
    model = sharpen.train(
        *(clean[:40], SPOILT),
        steps=5,
        samples=samples,
        batch=4,
        show=lambda line, **_: lines.append(line),
    )
    assert len(lines) == 5 and all(np.isfinite(float(x.split()[-1])) for x in lines)
    done = sharpen.sharpen(model, samples)
    coarse = [images.shrink(one, 8).astype("float32") for one in (samples, done)]
    assert 0 < np.abs(coarse[0] - coarse[1]).mean() < 20
    alone = sharpen.train(clean[:40], SPOILT, steps=5, batch=4, show=None)
    assert (sharpen.sharpen(alone, samples) != done).any()


def test_another_network_is_no_sharpener(tmp_path):
    other = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    sharpen.save(other, tmp_path, {})
    with pytest.raises(ValueError, match="it turns"):
        sharpen.load(tmp_path)


def test_sizes_that_do_not_fit_are_refused(clean):
    with pytest.raises(ValueError, match="multiple of 4"):
        sharpen.sharpen(sharpen.network(), clean[:, :30, :30])
    with pytest.raises(ValueError, match="keeps the size or doubles"):
        sharpen.network(3)
