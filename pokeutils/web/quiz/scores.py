"""What the answers to a quiz say: shares with intervals, d-prime, and how many answers
are still needed (NumPy only).

Answers of one person are not independent, nor are answers about one picture. Intervals
over several people allow for both, so they speak of other people and other pictures of
the same kind.
"""

import collections
import math

import numpy as np

from pokeutils.evaluation.statistics import (
    WIDTH,
    answers_needed,
    clustered,
    d_prime,
    wilson,
)
from pokeutils.web.quiz.quiz import GROUPS, PANEL

Person = collections.namedtuple("Person", "name quizzes knowledge shares sensitivity")
Scores = collections.namedtuple(
    "Scores", "people answers shares sensitivity needed pictures width"
)


# ----------------------------------------------------------------------- all together


def score(answers, quizzes, confidence=0.95, width=WIDTH):
    """Returns Scores of a list of quiz.Answers to a list of Quiz.

    `people`: one Person each (who gave no name counts anew in every file). `shares`:
    {group: Share} over all people; `sensitivity`: {"by hand" and "generated":
    (d-prime, low, high)} against the real ones. `needed`: {group: answers still needed
    for an interval of `width`}. `pictures`: {quiz id: share of people who judged each
    picture real}. `width`: the one given. Raises ValueError without answers or for
    answers to another quiz.
    """
    quizzes = {quiz.id: quiz for quiz in quizzes}
    if not answers:
        raise ValueError("There are no answers to count.")
    unknown = sorted({one.quiz for one in answers} - set(quizzes))
    if unknown:
        raise ValueError(f"There are answers to {unknown[0]}, a quiz that is missing.")

    who = [one.name.casefold() or one.response for one in answers]
    rows = []  # of (judged real, person, picture, group)
    for one, person in zip(answers, who, strict=True):
        pairs = zip(one.judged_real, quizzes[one.quiz].groups, strict=True)
        for number, (judged, group) in enumerate(pairs):
            rows.append((judged, person, f"{one.quiz} {number}", GROUPS[group]))
    judged, person, picture, group = (
        np.array(column) for column in zip(*rows, strict=True)
    )

    people = []
    for key in dict.fromkeys(who):
        own = [one for one, other in zip(answers, who, strict=True) if other == key]
        shares = {
            name: wilson(judged[here].sum(), here.sum(), confidence)
            for name in GROUPS
            if (here := (person == key) & (group == name)).any()
        }
        about = (own[0].name, [one.quiz for one in own], own[0].knowledge)
        people.append(Person(*about, shares, _sensitivity(shares, confidence)))

    shares = {
        name: clustered(judged[here], person[here], picture[here], confidence)
        for name in GROUPS
        if (here := group == name).any()
    }
    needed = {
        name: answers_needed(share, width, confidence) for name, share in shares.items()
    }
    seen = collections.defaultdict(list)
    for one in answers:
        seen[one.quiz].append(one.judged_real)
    pictures = {name: np.mean(rows, axis=0) for name, rows in seen.items()}
    sensitivity = _sensitivity(shares, confidence)
    return Scores(people, len(answers), shares, sensitivity, needed, pictures, width)


def _sensitivity(shares, confidence):
    return {
        name: d_prime(shares["real"], shares[name], confidence)
        for name in GROUPS[1:]
        if name in shares and "real" in shares
    }


def table(scores):
    """Returns Scores as a few lines of text."""
    people, more = len(scores.people), max(scores.needed.values())
    lines = [
        f"{scores.answers} file{'s' * (scores.answers != 1)} of answers by "
        f"{people} {'people' if people > 1 else 'person'}",
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
    lines.append("")
    if people > 1:
        lines.append("The intervals are for other people and other such pictures.")
    else:
        lines.append("One person: the intervals say nothing about other people.")
    if more:
        panels = max(map(len, scores.pictures.values())) // PANEL
        others = math.ceil(more / (panels * PANEL // len(GROUPS)))
        lines.append(
            f"For intervals of {50 * scores.width:.0f} points to either side, about "
            f"{more} more answers a group are needed:\n{others} more "
            f"{'people' if others > 1 else 'person'} on {panels} "
            f"panel{'s' * (panels > 1)}, better not all on the same pictures."
        )
    else:
        lines.append(f"No interval is wider than {100 * scores.width:.0f} points.")
    return "\n".join(lines)


# ------------------------------------------------------------------------- statistics
