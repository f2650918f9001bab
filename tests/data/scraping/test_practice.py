"""The web site to practise on holds what notebook 1 says of it."""

import io

import protego
import pytest
import requests
from PIL import Image

from pokeutils.data.scraping import practice, sites


@pytest.fixture
def session():
    with practice.session() as session:
        yield session


def test_robots_txt_closes_the_nursery_to_all_and_everything_to_one(session):
    rules = protego.Protego.parse(session.get(practice.HOME + "robots.txt").text)
    assert rules.crawl_delay("pokeutils") == 0.5
    for path, name, allowed in [
        *[("", "pokeutils", True), ("pictures/pip.png", "pokeutils", True)],
        *[("nursery/egg.png", "pokeutils", False), ("", "greedybot", False)],
    ]:
        assert rules.can_fetch(practice.HOME + path, name) == allowed


@pytest.mark.parametrize(
    "name, error",
    [("pip", None), ("wren", "truncated"), ("tansy", "cannot identify")],
)
def test_one_picture_is_half_and_one_is_none_though_the_status_says_200(
    session, name, error
):
    answer = session.get(f"{practice.HOME}pictures/{name}.png", timeout=1)
    assert answer.status_code == 200
    file = io.BytesIO(answer.content)
    if error is None:
        Image.open(file).load()
    else:
        with pytest.raises(OSError, match=f"(?i){error}"):
            Image.open(file).load()
