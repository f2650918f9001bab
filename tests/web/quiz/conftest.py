"""A set of doodles, and a quiz about it."""

import pytest
from quizzes import doodle_set, noise

from pokeutils.web.quiz import quiz


@pytest.fixture(scope="module")
def data():
    return doodle_set()


@pytest.fixture(scope="module")
def asked(data):
    return quiz.from_data(data, noise(40), seed=3)
