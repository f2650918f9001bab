"""What the answers to a quiz say: which share of each group was taken for real, and how
well people tell the groups from real creatures.

Every answer counts alike. Answers of one person resemble each other, so with few people
the truth is less certain than the intervals say.
"""

import collections

import numpy as np

from pokeutils.evaluation import statistics
from pokeutils.web.quiz.quiz import GROUPS

Scores = collections.namedtuple("Scores", "files people shares sensitivity")


def score(answers, quizzes):
    """Returns Scores of a list of quiz.Answers to a list of Quiz.

    files, people: how many (who gave no name counts anew in every file)
    shares: {group: statistics.Share that was judged real}
    sensitivity: {group that is not real: (d-prime, low, high) against the real ones}
    Raises ValueError without answers or for answers to another quiz.
    """
    quizzes = {quiz.id: quiz for quiz in quizzes}
    if not answers:
        raise ValueError("There are no answers to count.")
    unknown = sorted({sheet.quiz for sheet in answers} - set(quizzes))
    if unknown:
        raise ValueError(f"There are answers to {unknown[0]}, a quiz that is missing.")
    people = {sheet.name.casefold() or sheet.response for sheet in answers}
    judged = np.concatenate([sheet.judged_real for sheet in answers])
    groups = np.concatenate([quizzes[sheet.quiz].groups for sheet in answers])
    shares = {
        name: statistics.wilson(judged[groups == i].sum(), (groups == i).sum())
        for i, name in enumerate(GROUPS)
    }
    sensitivity = {
        name: statistics.d_prime(shares["real"], shares[name]) for name in GROUPS[1:]
    }
    return Scores(len(answers), len(people), shares, sensitivity)


def table(scores):
    """Returns Scores as a few lines of text."""
    lines = [
        f"{scores.files} file{'s' * (scores.files != 1)} of answers by "
        f"{scores.people} {'people' if scores.people > 1 else 'person'}",
        "",
        f"{'':12} judged real    share   95 % interval   d-prime against real",
    ]
    for name, share in scores.shares.items():
        line = f"{name:12} {share.judged:4} of {share.total:4} {share.share:8.0%}"
        line += f"   {share.low:5.0%} to {share.high:4.0%} "
        if name in scores.sensitivity:
            value, low, high = scores.sensitivity[name]
            line += f"    {value:.1f} ({low:.1f} to {high:.1f})"
        lines.append(line.rstrip())
    if scores.people == 1:
        lines.append("\nOne person: the intervals say nothing about other people.")
    return "\n".join(lines)
