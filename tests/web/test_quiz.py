"""The quiz: fakes that look right, panels that hide the answer, files that are checked,
and intervals that hold what they promise."""

import io
import json
import math

import numpy as np
import pytest
from PIL import Image

from pokeutils.common import images
from pokeutils.data import doodles
from pokeutils.data.dataset import PictureSet
from pokeutils.evaluation import statistics
from pokeutils.web.quiz import collages, notebook, quiz, scores

SIZE, COUNT = 32, 90


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """90 creatures as `dataset.load` gives them, with their files beside."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "raw" / "doodles").mkdir(parents=True)
    pictures = []
    for number in range(COUNT):
        drawn = doodles.draw(number)
        drawn.save(folder / "raw" / "doodles" / f"{number}.png")
        pictures.append(images.fit(np.asarray(drawn), SIZE))
    meta = {
        "file": np.array([f"{i}.png" for i in range(COUNT)]),
        "name": np.array([f"Doodle {i}" for i in range(COUNT)]),
        "species_id": np.arange(1, COUNT + 1),
        "shiny": np.zeros(COUNT, bool),
    }
    place = folder / "prepared" / f"doodles-{SIZE}"
    return PictureSet("doodles", SIZE, np.stack(pictures), meta, {}, place)


@pytest.fixture(scope="module")
def asked(data):
    return quiz.from_data(data, noise(40), seed=3)


def noise(count, size=SIZE, seed=0):
    """Premultiplied RGBA pictures that nobody takes for real."""
    random = np.random.default_rng(seed)
    colours = random.integers(0, 256, (count, size, size, 4)).astype("uint8")
    return np.stack([images.premultiply(one) for one in colours])


# ------------------------------------------------------------------------------ fakes


def test_a_palette_swap_keeps_shape_greys_and_shading():
    picture, donor = (np.asarray(doodles.draw(number)) for number in (0, 4))
    swapped = collages.swap_palette(picture, donor)
    assert np.array_equal(swapped[..., 3], picture[..., 3])
    assert collages.difference(picture, swapped) > 0.05

    steps = np.linspace(0, 255, 16).astype("uint8")
    ramp = np.dstack([steps, steps, steps, np.full(16, 255, "uint8")])
    red = np.tile(np.array([200, 40, 40, 255], "uint8"), (8, 16, 1))
    red[0] = ramp
    blue = np.tile(np.array([50, 70, 220, 255], "uint8"), (8, 16, 1))
    turned = collages.swap_palette(red, blue)
    assert np.abs(turned[0, :, :3].astype(int) - ramp[0, :, :3]).max() <= 2
    assert np.argmax(turned[4, 4, :3]) == 2  # red became blue, and keeps its strength
    assert collages.difference(turned[1:], blue[1:]) < 0.1
    pale = np.tile(np.array([150, 170, 250, 255], "uint8"), (8, 16, 1))
    assert collages.difference(collages.swap_palette(red, pale)[1:], pale[1:]) < 0.06
    grey = np.tile(ramp, (4, 1, 1))
    assert np.array_equal(collages.swap_palette(red, grey), red)


def test_colours_survive_the_way_there_and_back():
    colours = np.random.default_rng(0).integers(0, 256, (500, 3)).astype("uint8")
    assert (
        np.abs(collages.to_rgb(collages.to_lab(colours)).astype(int) - colours).max()
        <= 1
    )
    white, red = collages.to_lab(np.array([[255, 255, 255], [255, 0, 0]], "uint8"))
    assert white == pytest.approx([1, 0, 0], abs=1e-3)
    assert red == pytest.approx([0.628, 0.225, 0.126], abs=1e-3)  # Ottosson's figures


def bottle(neck, colour, size=64):
    """A creature with a neck of that width at half its height."""
    picture = np.zeros((size, size, 4), "uint8")
    picture[4:28, 16:48] = picture[34:60, 8:56] = (*colour, 255)
    picture[28:34, 32 - neck // 2 : 32 + neck // 2] = (*colour, 255)
    return picture


def test_a_fusion_joins_two_creatures_at_their_necks():
    head, body = bottle(12, (200, 40, 40)), bottle(16, (50, 90, 210))
    neck = collages.neck(head)
    assert 28 <= neck.row < 34 and (neck.left, neck.right) == (26, 38)
    fused, roughness = collages.fuse(head, body)
    solid = fused[..., 3] > 127
    widths = solid.sum(axis=1)
    assert abs(widths[: len(widths) // 3].max() - 32 * 16 / 12) <= 2  # head, enlarged
    assert widths[-10:].max() == 48  # body, as it was
    assert widths[len(widths) // 3 : -28].min() == pytest.approx(16, abs=2)
    assert all(np.ptp(np.flatnonzero(row)) + 1 == row.sum() for row in solid[1:-1])
    assert roughness < 0.1  # the head has the body's colours
    assert np.argmax(fused[8, fused.shape[1] // 2, :3]) == 2
    exact, _ = collages.fuse(head, body, whole_pixels=True)
    assert (exact[: len(exact) // 3, :, 3] > 127).sum(axis=1).max() == 32
    assert set(np.unique(exact[..., 3])) == {0, 255}
    two_legs = np.zeros((40, 40, 4), "uint8")
    two_legs[:, 5:10] = two_legs[:, 30:35] = 255
    assert collages.neck(two_legs) is None
    with pytest.raises(ValueError, match="no neck"):
        collages.fuse(two_legs, body)


def test_below_the_seam_the_body_keeps_its_outline():
    drawn = [images.crop(np.asarray(doodles.draw(number))) for number in range(40)]
    necks = [collages.neck(picture) for picture in drawn]
    usable = [i for i, neck in enumerate(necks) if neck and neck.narrowness < 0.75]
    for head, body in zip(usable[:6], usable[1:6], strict=False):
        fused, _ = collages.fuse(drawn[head], drawn[body])
        own = drawn[body][necks[body].row :, :, 3] > 16
        assert np.array_equal((fused[-len(own) :, :, 3] > 16).sum(1), own.sum(1))
    assert len(usable) > 3


def test_fakes_are_new_varied_and_say_what_they_are(data):
    made = collages.make(data, 9, seed=1)
    assert made.pictures.shape == (9, SIZE, SIZE, 4)
    assert made.pictures.dtype == np.uint8
    assert (made.pictures[..., :3] <= made.pictures[..., 3:]).all()
    kinds = ["head of" in label for label in made.labels]
    assert 3 <= kinds.count(True) <= 5 and len(kinds) == 9
    for picture in made.pictures:
        apart = np.abs(data.images.astype(int) - picture).mean(axis=(1, 2, 3))
        assert apart.min() > 2
        assert images.box(images.unpremultiply(picture))[0] >= 1  # scaled as reals are
    named = {int(word) for label in made.labels if "head of" in label
             for word in label.replace(",", "").split() if word.isdigit()}  # fmt: skip
    assert len(named) == 2 * kinds.count(True) and named <= set(
        made.parents
    )  # no creature used twice
    again = collages.make(data, 9, seed=1)
    assert np.array_equal(made.pictures, again.pictures)


def test_one_picture_a_species_and_no_shinies(data):
    meta = {"species_id": np.array([1, 1, 2, 2, 0, 0]),
            "shiny": np.array([0, 1, 1, 0, 0, 0], bool)}  # fmt: skip
    found = collages.one_each(data._replace(meta=meta), np.random.default_rng(0))
    assert found.tolist() == [0, 3, 4, 5]


def test_too_few_or_grey_pictures_make_no_fakes(data):
    grey = data.images.copy()
    grey[..., :3] = grey[..., 3:] // 2
    nowhere = data.folder.parent.parent / "gone" / "x" / "y"
    with pytest.raises(ValueError, match="of 9 fakes"):
        collages.make(data._replace(images=grey, folder=nowhere), 9)


def test_a_folder_of_fakes_is_read_or_refused_by_name(tmp_path, data):
    for number in range(3):
        doodles.draw(200 + number).save(tmp_path / f"by_anna_{number}.png")
    made = collages.from_folder(tmp_path, SIZE)
    assert made.pictures.shape == (3, SIZE, SIZE, 4)
    assert made.labels == [f"by anna {number}" for number in range(3)]
    asked = quiz.from_data(data, noise(9), panels=1, by_hand=made)
    assert sorted(asked.labels)[-3:] == made.labels
    (tmp_path / "broken.png").write_bytes(b"\x89PNG, or so")
    with pytest.raises(ValueError, match="broken.png"):
        collages.from_folder(tmp_path, SIZE)
    with pytest.raises(ValueError, match="No picture"):
        collages.from_folder(tmp_path / "nothing", SIZE)


# ----------------------------------------------------------------------------- panels


def test_nine_of_each_kind_in_an_order_that_tells_nothing(data, asked):
    assert asked.pictures.shape == (27, SIZE, SIZE, 3)
    assert np.bincount(asked.groups).tolist() == [9, 9, 9]
    assert len(set(asked.id)) > 3 and len(asked.id) == 12
    orders, counts = set(), set()
    for seed in range(6):
        made = quiz.make(data.images, noise(30), noise(30, seed=1), seed=seed)
        orders.add(tuple(made.groups))
        counts.update(np.bincount(made.groups[:9], minlength=3).tolist())
    assert len(orders) == 6 and len(counts) > 2  # not three of each on every panel


def test_reals_are_whole_and_no_part_of_them_is_in_a_fake(data, asked):
    reals = {label for label, group in zip(asked.labels, asked.groups, strict=True)
             if group == 0}  # fmt: skip
    assert len(reals) == 9
    shapes = " ".join(
        label.partition(" in the colours")[0] + "."
        for label, group in zip(asked.labels, asked.groups, strict=True)
        if group == 1
    )
    assert not [name for name in reals if f"{name}," in shapes or f"{name}." in shapes]
    for label, picture in zip(asked.labels, asked.pictures, strict=True):
        if label in reals:
            original = data.images[int(label.split()[1])]
            assert np.array_equal(picture, images.composite(original))


def test_no_other_form_of_a_faked_creature_is_among_the_reals(data):
    pairs = np.arange(COUNT) // 2 + 1  # two forms of every species
    made = collages.Fakes(data.images[:20:2] // 2, ["fake"] * 10, np.arange(0, 20, 2))
    meta = {**data.meta, "species_id": pairs}
    asked = quiz.from_data(data._replace(meta=meta), noise(9), by_hand=made, seed=1)
    names = [asked.labels[i] for i in np.flatnonzero(asked.groups == 0)]
    assert min(int(name.split()[1]) for name in names) >= 20


def test_all_are_composited_and_scaled_alike(data):
    large = data.images.repeat(3, 1).repeat(3, 2)  # 96 px
    asked = quiz.make(large, noise(9, 96), noise(9, 96, 1)[..., :3])
    assert asked.pictures.shape == (27, 48, 48, 3)
    assert (asked.pictures[asked.groups == 0][:, 0, 0] == 255).all()  # on white


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda a: a.astype("float32"), "uint8"),
        (lambda a: a[0], "uint8 pictures"),
        (lambda a: a[:, :16], "not square"),
        (lambda a: a[:, :16, :16], "one size"),
        (lambda a: a[:5], "9 different pictures"),
        (lambda a: a[[0] * 20], "there are 1"),
    ],
)
def test_unsuitable_pictures_are_refused(data, change, words):
    with pytest.raises(ValueError, match=words):
        quiz.make(data.images, noise(20), change(noise(20, seed=1)))


def test_a_picture_in_two_groups_is_refused(data):
    with pytest.raises(ValueError, match="two groups"):
        quiz.make(data.images[:9], noise(9), data.images[:9])


def test_a_quiz_is_kept_and_checked(asked, tmp_path):
    folder = quiz.save(asked, tmp_path / "quiz")
    back = quiz.load(folder)
    assert back.id == asked.id and back.labels == asked.labels
    assert np.array_equal(back.pictures, asked.pictures)
    assert np.array_equal(back.groups, asked.groups)
    key = json.loads((folder / "key.json").read_text("utf-8"))
    key["groups"] = key["groups"][::-1]
    (folder / "key.json").write_text(json.dumps(key))
    with pytest.raises(ValueError, match="do not belong together"):
        quiz.load(folder)
    for broken in ("{", "[]", "{}", json.dumps({**key, "groups": ["other"]})):
        (folder / "key.json").write_text(broken)
        with pytest.raises(ValueError, match="No quiz can be read"):
            quiz.load(folder)


def test_sealed_answers_open_again_and_do_not_show(asked):
    sealed = quiz.seal(asked)
    opened = quiz.unseal(sealed, asked.id)
    assert opened == {"groups": asked.groups.tolist(), "labels": asked.labels}
    assert "Doodle" not in sealed
    other = quiz.make(noise(9), noise(9, seed=1), noise(9, seed=2))
    assert len(quiz.seal(other)) == len(sealed)  # the length tells nothing either


# ---------------------------------------------------------------------------- answers


def answer(asked, folder, judged, number=0, name="", changes=None):
    """Write answers, return the path. `judged`: 27 bools, or a share for each group."""
    if len(judged) == 3:
        judged = np.random.default_rng(number).random(27) < np.take(
            judged, asked.groups
        )
    path = quiz.write_answers(
        folder, asked, judged, f"{number:032x}", name, "some", 100, "2026-11-22T07:00Z"
    )
    if changes:
        record = json.loads(path.read_text("utf-8"))
        record |= changes
        path.write_text(json.dumps({k: v for k, v in record.items() if v != "gone"}))
    return path.rename(path.with_name(f"{number}.json"))


def test_good_answers_are_read(asked, tmp_path):
    judged = np.arange(27) % 2 == 0
    answer(asked, tmp_path, judged, 1, name="  Ada   L. ")
    quiz.save(asked, tmp_path)  # key.json in the same folder is no file of answers
    (one,), refused = quiz.read_answers(tmp_path, asked)
    assert not refused and one.name == "Ada L." and one.seconds == 100
    assert np.array_equal(one.judged_real, judged) and one.judged_real.dtype == bool


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"format": "something"}, "not a file of answers"),
        ({"quiz": "0123456789ab"}, "not to"),
        ({"judged_real": [True] * 26}, "26 answers to 27"),
        ({"judged_real": [1] * 27}, "true and false"),
        ({"judged_real": [None] * 27}, "true and false"),
        ({"judged_real": {}}, "true and false"),
        ({"response": "abc"}, "random number"),
        ({"knowledge": "all"}, "none of few, some, most"),
        ({"seconds": -1}, "seconds"),
        ({"seconds": math.nan}, "seconds"),
        ({"seconds": True}, "seconds"),
        ({"name": ["x"]}, "'name' is not a text"),
        ({"finished": "gone"}, "missing or unknown entries: 'finished'"),
        ({"score": 27}, "missing or unknown entries: 'score'"),
    ],
)
def test_answers_that_cannot_be_right_are_refused_by_name(
    asked, tmp_path, changes, reason
):
    answer(asked, tmp_path, [True] * 27, 1)
    answer(asked, tmp_path, [True] * 27, 2, changes=changes)
    accepted, refused = quiz.read_answers(tmp_path, [asked])
    assert [one.file for one in accepted] == ["1.json"]
    assert list(refused) == ["2.json"] and reason in refused["2.json"]


@pytest.mark.parametrize(
    "content",
    [b"", b'{"format": ', b"\xff\xfe\x00", b"[" * 50_000, b"[1, 2]", b"x" * 200_000],
)
def test_files_that_are_no_answers_are_refused_by_name(asked, tmp_path, content):
    (tmp_path / "broken.json").write_bytes(content)
    accepted, refused = quiz.read_answers(tmp_path, asked)
    assert not accepted and list(refused) == ["broken.json"]


def test_who_answers_twice_counts_once(asked, tmp_path):
    first = answer(asked, tmp_path, [True] * 27, 1, name="Ada")
    (tmp_path / "2 copy.json").write_bytes(first.read_bytes())
    answer(asked, tmp_path, [False] * 27, 3, name="ADA")
    answer(asked, tmp_path, [False] * 27, 4)  # nameless people are different people
    answer(asked, tmp_path, [False] * 27, 5)
    accepted, refused = quiz.read_answers(tmp_path, asked)
    assert [one.file for one in accepted] == ["1.json", "4.json", "5.json"]
    assert "the same answers, already read from 1.json" in refused["2 copy.json"]
    assert "another file of 'ADA', already read from 1.json" in refused["3.json"]
    missing = tmp_path / "nowhere.json"
    assert "cannot be read" in quiz.read_answers([missing], asked)[1]["nowhere.json"]


# ----------------------------------------------------------------------------- scores


def test_wilson_agrees_with_published_values():
    # Newcombe 1998, table I, method 3.
    for judged, total, low, high in (
        (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):  # fmt: skip
        share = statistics.wilson(judged, total)
        assert (share.low, share.high) == pytest.approx((low, high), abs=5e-5)
    for impossible in ((3, 2), (-1, 4), (0, 0)):
        with pytest.raises(ValueError, match="no share"):
            statistics.wilson(*impossible)


def test_student_agrees_with_published_values():
    for degrees, t in ((1, 12.706), (2, 4.303), (3, 3.182), (8, 2.306), (30, 2.042)):
        assert statistics.student(degrees) == pytest.approx(t, abs=6e-4)
    assert statistics.student(5, 0.99) == pytest.approx(4.032, abs=6e-4)


def test_d_prime():
    half, most, few = (statistics.wilson(n, 100) for n in (50, 84, 16))
    assert statistics.d_prime(half, half)[0] == 0
    assert statistics.d_prime(most, few)[0] == pytest.approx(2 * 0.9807, abs=1e-3)
    value, low, high = statistics.d_prime(
        statistics.wilson(9, 9), statistics.wilson(0, 9)
    )
    assert value == pytest.approx(2 * 1.6449, abs=1e-3)  # log-linear: 9.5 / 10
    assert 0 < low < value < high < 6


def test_how_many_answers_are_needed():
    assert statistics.answers_needed() == 93  # Wilson, a half, ten points either side
    for judged, total in ((0, 9), (5, 9), (30, 100), (0, 2000)):
        share = statistics.wilson(judged, total)
        more = statistics.answers_needed(share)
        low, high = statistics._wilson(share.share, total + more, 1.959964)
        assert high - low <= 0.2
        if more:
            low, high = statistics._wilson(share.share, total + more - 1, 1.959964)
            assert high - low > 0.2
    with pytest.raises(ValueError, match="width"):
        statistics.answers_needed(width=20)


def test_intervals_hold_for_other_people_and_other_pictures():
    # People and pictures differ; a plain interval then is far too sure of itself.
    random = np.random.default_rng(0)
    people, pictures, trials = 12, 9, 250
    logits = random.normal(0, 0.7, 10**5) + random.normal(0, 1, 10**5) - 1
    truth = (1 / (1 + np.exp(-logits))).mean()
    who = np.repeat(np.arange(people), pictures)
    what = np.tile(np.arange(pictures), people)
    held = {"clustered": 0, "plain": 0}
    for _ in range(trials):
        own = random.normal(0, 0.7, people)[who] + random.normal(0, 1, pictures)[what]
        judged = random.random(len(who)) < 1 / (1 + np.exp(1 - own))
        for name, share in (
            ("clustered", statistics.clustered(judged, who, what)),
            ("plain", statistics.wilson(judged.sum(), len(judged))),
        ):
            held[name] += share.low <= truth <= share.high
    assert 0.92 <= held["clustered"] / trials <= 1
    assert held["plain"] / trials < 0.85


def test_the_effect_of_people_who_always_say_the_same():
    # 4 people, 9 pictures, two always say yes: by hand, 4 * 9 / (4 - 1) - 1.
    who, what = np.repeat(np.arange(4), 9), np.tile(np.arange(9), 4)
    share = statistics.clustered(who < 2, who, what)
    assert share.effect == pytest.approx(11) and share.clusters == 4
    assert share.worth == pytest.approx(36 / 11 * (1.95996 / 3.18245) ** 2, rel=1e-4)
    assert statistics.clustered(what % 2 == 0, who * 0, what).worth == 36


def test_agreement_does_not_make_an_interval_vanish():
    share = statistics.clustered([True] * 27, [0, 1, 2] * 9, np.arange(27) // 3)
    assert share.share == share.high == 1 and share.low < 0.7


def test_scores_of_several_people_and_quizzes(asked, data, tmp_path):
    second = quiz.make(data.images, noise(9), noise(9, seed=1))
    for number in range(4):
        answer(asked, tmp_path, (1, 0.4, 0), number, name=f"P{number}")
    answer(second, tmp_path, (1, 0.4, 0), 8, name="p0")
    answers, refused = quiz.read_answers(tmp_path, [asked, second])
    assert len(answers) == 5 and not refused
    counted = scores.score(answers, [asked, second])
    assert len(counted.people) == 4  # P0 took both
    assert counted.people[0].shares["real"].total == 18
    assert [counted.shares[g].total for g in quiz.GROUPS] == [45, 45, 45]
    assert counted.shares["real"].share == 1 and counted.shares["generated"].share == 0
    assert counted.shares["generated"].high > statistics.wilson(0, 45).high
    assert counted.sensitivity["generated"][0] > counted.sensitivity["by hand"][0] > 0
    seen = counted.pictures[asked.id]
    assert np.array_equal(seen[asked.groups == 0], np.ones(9))
    total = sum(one.judged_real for one in answers if one.quiz == asked.id)
    assert np.allclose(seen, total / 4)
    text = scores.table(counted)
    assert "5 files of answers by 4 people" in text
    assert "generated       0 of   45       0%" in text and "other people" in text
    with pytest.raises(ValueError, match=second.id):
        scores.score(answers, [asked])
    with pytest.raises(ValueError, match="no answers"):
        scores.score([], [asked])


def test_one_person_is_told_what_one_person_is_worth(asked, tmp_path):
    answers, _ = quiz.read_answers([answer(asked, tmp_path, (1, 0, 0))], asked)
    counted = scores.score(answers, [asked])
    assert counted.shares["real"] == statistics.wilson(9, 9)
    text = scores.table(counted)
    assert "One person" in text and "7 more answers" in text
    assert "10 points to either side" in text
    assert "\n1 more person on 3 panels, better" in text


def test_a_table_says_the_width_and_the_panels_that_were_asked_for(data, tmp_path):
    asked = quiz.make(data.images, noise(3), noise(3, seed=1), panels=1)
    path = answer(asked, tmp_path, (asked.groups == 0).tolist())
    answers, _ = quiz.read_answers([path], asked)
    text = scores.table(scores.score(answers, [asked], width=0.3))
    assert "For intervals of 15 points to either side, about 6 more" in text
    assert "\n2 more people on 1 panel, better" in text
    text = scores.table(scores.score(answers, [asked], width=0.99))
    assert "No interval is wider than 99 points." in text


# ------------------------------------------------------------------------ in a notebook


def test_taken_in_a_notebook(asked, tmp_path):
    pytest.importorskip("ipywidgets")
    taking = notebook.Taking(asked, tmp_path)
    pictures = []
    for panel in range(3):
        assert taking.next.disabled
        taking.turn(1)  # not before all nine are judged
        assert taking.at // 9 == panel
        for place in range(9):
            assert taking.at == 9 * panel + place
            pictures.append(taking.panel.value)
            (taking.yes if asked.groups[taking.at] == 0 else taking.no).click()
        assert taking.next.description == ("Finish" if panel == 2 else "Next panel")
        if panel == 0:  # change of mind, there and back
            taking.before.click()
            taking.yes.click()
            taking.no.click()
            taking.judged[:9] = (asked.groups[:9] == 0).tolist()
        taking.next.click()
    assert len(set(pictures)) == 27
    assert Image.open(io.BytesIO(pictures[0])).size == (424, 424)
    assert taking.path.parent == tmp_path and "Thank you" in taking.text.value
    (one,), refused = quiz.read_answers(tmp_path, asked)
    assert not refused and np.array_equal(one.judged_real, asked.groups == 0)
    with pytest.raises(ValueError, match="'name'"):
        quiz.write_answers(tmp_path, asked, [True] * 27, "a" * 32, 5, "", 1, "")


def test_without_widgets_or_a_notebook_there_is_the_page(asked, tmp_path, capsys):
    assert notebook.take(asked, tmp_path) is None
    assert (tmp_path / "quiz.html").exists()
    assert "quiz.html" in capsys.readouterr().out
