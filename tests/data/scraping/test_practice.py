"""The web site to practise on holds what notebook 1 says of it."""

import io

import pytest
from PIL import Image

from pokeutils.data.scraping import practice


@pytest.fixture
def session():
    with practice.session() as session:
        yield session


@pytest.mark.parametrize(
    "name, error",
    [("pip", None), ("wren", "truncated"), ("tansy", "cannot identify")],
)
def test_one_picture_is_half_and_one_is_none_with_status_200(session, name, error):
    answer = session.get(f"{practice.HOME}pictures/{name}.png", timeout=1)
    assert answer.status_code == 200
    file = io.BytesIO(answer.content)
    if error is None:
        Image.open(file).load()
    else:
        with pytest.raises(OSError, match=f"(?i){error}"):
            Image.open(file).load()
