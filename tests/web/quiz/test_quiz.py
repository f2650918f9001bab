"""The quiz: panels that hide the answer, and files of answers that are checked."""

import math
import re

import numpy as np
import pytest
from quizzes import SIZE, answer, noise

from pokeutils.common import images
from pokeutils.web.quiz import quiz


def test_nine_of_each_kind_in_an_order_that_tells_nothing(data, asked):
    assert asked.pictures.shape == (27, SIZE, SIZE, 3)
    assert np.bincount(asked.groups).tolist() == [9, 9, 9] and len(asked.id) == 12
    makes = [
        quiz.make(data.images, noise(30), noise(30, seed=1), seed=seed)
        for seed in (0, 0, 1, 2, 3, 4, 5)
    ]
    assert makes[0].id == makes[1].id
    assert len({tuple(made.groups) for made in makes}) == 6
    counts = {n for q in makes for n in np.bincount(q.groups[:9], minlength=3)}
    assert len(counts) > 2  # not three of each on every panel


def test_reals_are_whole_and_the_others_visibly_recoloured(data, asked):
    for group, label, picture in zip(*asked[2:4], asked.pictures, strict=True):
        if group < 2:
            original = images.composite(data.images[int(label.split()[1])])
            change = np.abs(picture.astype(int) - original).mean()
            assert change == 0 if group == 0 else change > quiz.SEEN
            white = (original == 255).all(-1)
            assert (picture[white] == 255).all()  # the shape has stayed
    named = [label for label in asked.labels if label]
    assert len(named) == len(set(named)) == 18


def test_one_picture_per_species_no_shinies_and_nothing_grey(data):
    meta = {
        **data.meta,
        "species_id": np.arange(90) // 2 + 1,
        "shiny": np.arange(90) < 9,
    }
    asked = quiz.from_data(data._replace(meta=meta), noise(9))
    numbers = [int(label.split()[1]) for label in asked.labels if label]
    assert len({number // 2 for number in numbers}) == 18 and min(numbers) >= 9
    # A folder's names may all begin with one number; then species decide nothing.
    split = np.where(np.arange(90) < 9, "holdout", "train")
    one = {**data.meta, "species_id": np.full(90, 10), "split": split}
    assert len(quiz.from_data(data._replace(meta=one), noise(9)).pictures) == 27
    grey = data.images.copy()
    grey[..., :3] = grey[..., 3:] // 2
    with pytest.raises(ValueError, match="9 different pictures that are recoloured"):
        quiz.from_data(data._replace(images=grey), noise(9))


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda a: a.astype("float32"), "uint8 pictures"),
        (lambda a: a[:, :16, :16], "one size"),
        (lambda a: a[:5], "9 different pictures"),
        (lambda a: a[[0] * 20], "there are 1"),
        (lambda a: noise(20), "two groups"),
    ],
)
def test_unsuitable_pictures_are_refused(data, change, words):
    with pytest.raises(ValueError, match=words):
        quiz.make(data.images, noise(20), change(noise(20, seed=1)))


def test_good_answers_are_read(asked, tmp_path):
    judged = np.arange(27) % 2 == 0
    answer(asked, tmp_path, judged, 1, name="  Ada   L. ")
    (answers,), refused = quiz.read_answers(tmp_path, [asked])
    assert not refused and answers.name == "Ada L." and answers.seconds == 100
    assert np.array_equal(answers.judged_real, judged)
    assert answers.judged_real.dtype == bool


@pytest.mark.parametrize(
    "changes",
    [
        *({"format": "something"}, {"quiz": "0123456789ab"}, {"response": "abc"}),
        *({"judged_real": [value] * 27} for value in (1, None)),
        *({"judged_real": [True] * 26}, {"judged_real": {}}, {"knowledge": "all"}),
        *({"seconds": value} for value in (-1, math.nan, True)),
        *({"name": ["x"]}, {"finished": "gone"}, {"score": 27}),
    ],
)
def test_answers_that_cannot_be_right_are_refused_by_name(asked, tmp_path, changes):
    answer(asked, tmp_path, [True] * 27, 1)
    answer(asked, tmp_path, [True] * 27, 2, **changes)
    accepted, refused = quiz.read_answers(tmp_path, [asked])
    assert [one.file for one in accepted] == ["1.json"]
    assert list(refused) == ["2.json"]
    assert re.search("the quiz wrote|to another quiz", refused["2.json"])


@pytest.mark.parametrize(
    "content",
    [b"", b'{"format": ', b"\xff\xfe\x00", b"[" * 50_000, b"[1, 2]", b"x" * 200_000],
)
def test_files_that_are_no_answers_are_refused_by_name(asked, tmp_path, content):
    (tmp_path / "broken.json").write_bytes(content)
    accepted, refused = quiz.read_answers(tmp_path, [asked])
    assert not accepted and list(refused) == ["broken.json"]


def test_who_answers_twice_counts_once(asked, tmp_path):
    first = answer(asked, tmp_path, [True] * 27, 1, name="Ada")
    (tmp_path / "2 copy.json").write_bytes(first.read_bytes())
    answer(asked, tmp_path, [False] * 27, 3, name="ADA")
    answer(asked, tmp_path, [False] * 27, 4)  # nameless people are different people
    answer(asked, tmp_path, [False] * 27, 5)
    accepted, refused = quiz.read_answers(tmp_path, [asked])
    assert [one.file for one in accepted] == ["1.json", "4.json", "5.json"]
    assert "the same answers, already read from 1.json" in refused["2 copy.json"]
    assert "another file of 'ADA', already read from 1.json" in refused["3.json"]
    missing = tmp_path / "nowhere.json"
    assert "cannot be read" in quiz.read_answers([missing], [asked])[1]["nowhere.json"]
