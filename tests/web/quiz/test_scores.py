"""Scores count people, allow for them in the intervals, and say what is missing."""

import pytest
from quizzes import answer, noise

from pokeutils.evaluation import statistics
from pokeutils.web.quiz import quiz, scores


def test_scores_of_several_people_and_quizzes(asked, data, tmp_path):
    second = quiz.make(data.images, noise(9), noise(9, seed=1))
    for number in range(4):
        answer(asked, tmp_path, (1, 0.4, 0), number, name=f"P{number}")
    answer(second, tmp_path, (1, 0.4, 0), 8, name="p0")
    answers, refused = quiz.read_answers(tmp_path, [asked, second])
    assert len(answers) == 5 and not refused
    counted = scores.score(answers, [asked, second])
    assert counted.people == 4  # P0 took both
    assert [counted.shares[g].total for g in quiz.GROUPS] == [45, 45, 45]
    assert counted.shares["real"].share == 1 and counted.shares["generated"].share == 0
    assert counted.shares["generated"].high > statistics.wilson(0, 45).high
    assert counted.sensitivity["generated"][0] > counted.sensitivity["by hand"][0] > 0
    text = scores.table(counted)
    assert "5 files of answers by 4 people" in text
    assert "generated       0 of   45       0%" in text and "other people" in text
    with pytest.raises(ValueError, match=second.id):
        scores.score(answers, [asked])
    with pytest.raises(ValueError, match="no answers"):
        scores.score([], [asked])


def test_one_person_learns_what_one_person_is_worth(asked, tmp_path):
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
