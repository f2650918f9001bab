"""The page of a small generator, and a browser that has it open."""

import pytest
from hatched import DESK, pyramid

from pokeutils.common import env
from pokeutils.data import download
from pokeutils.web.hatchery import build


@pytest.fixture(scope="module")
def runtime():
    try:  # kept in the project's own folder, so it is fetched once
        return build.fetch_runtime(env.ROOT / "data" / "tensorflowjs")
    except download.SourceUnavailable as error:
        pytest.skip(f"NO RUNTIME, so the hatchery was not tested: {error}")


@pytest.fixture(scope="module")
def generator():
    return pyramid()


@pytest.fixture(scope="module")
def path(generator, runtime, tmp_path_factory):
    to = tmp_path_factory.mktemp("page") / "index.html"
    return build.write(generator, to, "artwork", runtime)


@pytest.fixture(scope="module")
def calm(browser, path):
    """One page for all tests that only read from it."""
    page = browser.new_page(viewport=DESK, reduced_motion="reduce")
    page.goto(path.as_uri() + "#seed=Ada")
    page.wait_for_selector("html[data-ready]")
    yield page
    page.close()
