"""The quiz: panels that hide the answer, and files of answers that are checked."""

import base64
import json
import math

import numpy as np
import pytest
from quizzes import COUNT, SIZE, answer, noise

from pokeutils.common import images
from pokeutils.web.quiz import collages, quiz

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


def test_reals_are_whole_and_no_part_of_them_is_in_a_collage(data, asked):
    labels = np.array(asked.labels)
    reals = set(labels[asked.groups == 0])
    assert len(reals) == 9
    made = [
        label.partition(" in the colours")[0] for label in labels[asked.groups == 1]
    ]
    shapes = " ".join(f"{label}." for label in made)
    assert not [name for name in reals if f"{name}," in shapes or f"{name}." in shapes]
    for label, picture in zip(asked.labels, asked.pictures, strict=True):
        if label in reals:
            original = data.images[int(label.split()[1])]
            assert np.array_equal(picture, images.composite(original))


def test_no_other_form_of_a_collage_is_among_the_reals(data, monkeypatch):
    pairs = np.arange(COUNT) // 2 + 1  # two forms of every species
    parents = np.arange(0, 20, 2)
    made = collages.Collages(data.images[parents] // 2, ["fake"] * 10, parents)
    monkeypatch.setattr(collages, "make", lambda *arguments: made)
    meta = {**data.meta, "species_id": pairs}
    asked = quiz.from_data(data._replace(meta=meta), noise(9), seed=1)
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


def test_sealed_answers_do_not_show(asked):
    sealed = quiz.seal(asked)  # that the page opens it again, test_page.py says
    assert "Doodle" not in sealed + base64.b64decode(sealed).decode("latin-1")
    other = quiz.make(noise(9), noise(9, seed=1), noise(9, seed=2))
    assert len(quiz.seal(other)) == len(sealed)  # nor does the length tell


# ---------------------------------------------------------------------------- answers


def test_good_answers_are_read(asked, tmp_path):
    judged = np.arange(27) % 2 == 0
    answer(asked, tmp_path, judged, 1, name="  Ada   L. ")
    quiz.save(asked, tmp_path)  # key.json in the same folder is no file of answers
    (answers,), refused = quiz.read_answers(tmp_path, asked)
    assert not refused and answers.name == "Ada L." and answers.seconds == 100
    assert np.array_equal(answers.judged_real, judged)
    assert answers.judged_real.dtype == bool


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
    answer(asked, tmp_path, [True] * 27, 2, **changes)
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
