"""What the answers to a quiz say: shares with intervals, d-prime, and how many answers
are still needed (NumPy only).

Answers of one person are not independent, nor are answers about one picture. Intervals
over several people allow for both, so they speak of other people and other pictures of
the same kind.
"""

import collections
import math

import numpy as np

from pokeutils.evaluation import statistics
from pokeutils.web.quiz.quiz import GROUPS, PANEL

Scores = collections.namedtuple(
    "Scores", "files people shares sensitivity needed panels width"
)


def score(answers, quizzes, confidence=0.95, width=statistics.WIDTH):
    """Returns Scores of a list of quiz.Answers to a list of Quiz.

    files, people: how many (who gave no name counts anew in every file)
    shares: {group: statistics.Share that was judged real}
    sensitivity: {"by hand" and "generated": (d-prime, low, high) against the real ones}
    needed: {group: answers still needed for an interval of `width`}
    panels: of the longest quiz
    Raises ValueError without answers or for answers to another quiz.
    """
    quizzes = {quiz.id: quiz for quiz in quizzes}
    if not answers:
        raise ValueError("There are no answers to count.")
    unknown = sorted({sheet.quiz for sheet in answers} - set(quizzes))
    if unknown:
        raise ValueError(f"There are answers to {unknown[0]}, a quiz that is missing.")

    # One row per judged picture.
    rows = []
    for sheet in answers:
        person = sheet.name.casefold() or sheet.response
        pairs = zip(sheet.judged_real, quizzes[sheet.quiz].groups, strict=True)
        for number, (judged, group) in enumerate(pairs):
            rows.append((judged, person, f"{sheet.quiz} {number}", group))
    judged, people, pictures, groups = map(np.array, zip(*rows, strict=True))

    shares = {}
    for number, name in enumerate(GROUPS):
        own = groups == number
        columns = judged[own], people[own], pictures[own]
        shares[name] = statistics.clustered(*columns, confidence)
    sensitivity = {
        name: statistics.d_prime(shares["real"], shares[name], confidence)
        for name in GROUPS[1:]
    }
    needed = {
        name: statistics.answers_needed(share, width, confidence)
        for name, share in shares.items()
    }
    panels = max(len(sheet.judged_real) for sheet in answers) // PANEL
    counts = len(answers), len(set(people))
    return Scores(*counts, shares, sensitivity, needed, panels, width)


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
    lines.append("")

    if scores.people > 1:
        lines.append("The intervals are for other people and other such pictures.")
    else:
        lines.append("One person: the intervals say nothing about other people.")
    more, panels = max(scores.needed.values()), scores.panels
    if more:
        others = math.ceil(more / (panels * PANEL // len(GROUPS)))
        lines.append(
            f"For intervals of {50 * scores.width:.0f} points to either side, about "
            f"{more} more answers per group are needed:\n{others} more "
            f"{'people' if others > 1 else 'person'} on {panels} "
            f"panel{'s' * (panels > 1)}, better not all on the same pictures."
        )
    else:
        lines.append(f"No interval is wider than {100 * scores.width:.0f} points.")
    return "\n".join(lines)
