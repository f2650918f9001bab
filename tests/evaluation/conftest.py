"""Drawn creatures and the quickest network, made once. Not to be changed."""

import drawings
import pytest

from pokeutils.evaluation import features


@pytest.fixture(scope="session")
def creatures():
    return drawings.creatures(48)


@pytest.fixture(scope="session")
def on_white():
    return drawings.on_white(range(120))


@pytest.fixture(scope="session")
def random_conv():
    return features.random_conv()
