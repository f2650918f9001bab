"""Scores count files, people and answers."""

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
    assert counted.shares["real"] == statistics.wilson(45, 45)
    assert counted.shares["generated"] == statistics.wilson(0, 45)
    text = scores.table(counted)
    assert "5 files of answers by 4 people" in text and "One person" not in text
    assert "generated       0 of   45       0%" in text
    assert "One person" in scores.table(scores.score(answers[:1], [asked]))
