"""What the answers to a quiz say: which share of each group was taken for real.

Every answer counts alike. Answers of one person resemble each other, so with few people
the truth is less certain than the intervals say.
"""

import collections

import numpy as np

from pokeutils.evaluation import statistics
from pokeutils.web.quiz.quiz import GROUPS

Scores = collections.namedtuple("Scores", "files people shares")


def score(answers, quizzes):
    """Returns Scores of a list of quiz.Answers to a list of Quiz.

    files, people: how many (who gave no name counts anew in every file)
    shares: {group: statistics.Share that was judged real}
    """
    quizzes = {quiz.id: quiz for quiz in quizzes}
    people = {sheet.name.casefold() or sheet.response for sheet in answers}
    judged = np.concatenate([sheet.judged_real for sheet in answers])
    groups = np.concatenate([quizzes[sheet.quiz].groups for sheet in answers])
    shares = {
        name: statistics.wilson(judged[groups == i].sum(), (groups == i).sum())
        for i, name in enumerate(GROUPS)
    }
    return Scores(len(answers), len(people), shares)


def table(scores):
    """Returns Scores as a few lines of text."""
    lines = [
        f"{scores.files} file{'s' * (scores.files != 1)} of answers by "
        f"{scores.people} {'people' if scores.people > 1 else 'person'}",
        "",
        f"{'':12} judged real    share   95 % interval",
    ]
    for name, share in scores.shares.items():
        line = f"{name:12} {share.judged:4} of {share.total:4} {share.share:8.0%}"
        lines.append(f"{line}   {share.low:5.0%} to {share.high:4.0%}")
    if scores.people == 1:
        lines.append("\nOne person: the intervals say nothing about other people.")
    return "\n".join(lines)
