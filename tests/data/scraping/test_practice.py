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


def test_the_page_names_its_pictures_where_lazy_pages_do(session):
    page = session.get(practice.HOME)
    images = sites.soup(page.text).select("img")
    assert page.status_code == 200 and len({i["alt"] for i in images}) == 9
    assert {image["src"] for image in images} == {"/grey.png"}
    closed = [i["alt"] for i in images if i["data-src"].startswith("/nursery/")]
    assert closed == ["egg"]


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


def test_what_is_not_there_is_a_404(session):
    with pytest.raises(requests.HTTPError, match="404 Client Error: Not Found"):
        session.get(practice.HOME + "unicorn").raise_for_status()
