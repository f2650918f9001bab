"""What all pages share: escaped text, one policy, the owners of the pictures."""

import base64
import hashlib
import re

import jinja2
import pytest
from chromium import visits

from pokeutils.data import sources
from pokeutils.web import template

HOSTILE = '"><img src=x onerror="document.title=1">{{ 7 * 7 }}</script>'
PAGE = """{% extends "base.html" %}
{% block title %}{{ name }}{% endblock %}
{% block main %}<h1 title="{{ name }}">{{ name }}</h1>{% endblock %}
{% block data %}
<script type="application/json" id="data">{{ {"name": name} | tojson }}</script>
{% endblock %}"""


@pytest.fixture(autouse=True)
def small_page(monkeypatch):
    both = [jinja2.DictLoader({"page.html": PAGE}), template.ENVIRONMENT.loader]
    monkeypatch.setattr(template.ENVIRONMENT, "loader", jinja2.ChoiceLoader(both))


def policy(page):
    return re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]


def test_hostile_text_stays_text(browser, tmp_path):
    script = "document.body.dataset.name = JSON.parse(data.textContent).name;"
    page = template.render("page.html", name=HOSTILE, scripts=[script])
    (tmp_path / "a.html").write_text(page, "utf-8")
    with visits(browser) as open_page:
        opened = open_page((tmp_path / "a.html").as_uri())
        assert opened.title() == opened.text_content("h1") == HOSTILE
        assert opened.get_attribute("h1", "title") == HOSTILE
        assert opened.get_attribute("body", "data-name") == HOSTILE
        assert opened.locator("img").count() == 0


def test_the_policy_allows_the_pages_own_scripts_and_nothing_else():
    page = template.render("page.html", name="a", scripts=["  let one;", "let two;"])
    scripts = re.findall(r"(?s)<script>(.+?)</script>", page)
    assert [script.strip() for script in scripts] == ["let one;", "let two;"]
    digests = [hashlib.sha256(text.encode()).digest() for text in scripts]
    allowed = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    rules = policy(page).split("; ")
    assert "default-src 'none'" in rules and "script-src " + " ".join(allowed) in rules
    assert "connect-src" not in policy(page) and "unsafe-eval" not in policy(page)
    assert "script-src" not in policy(template.render("page.html", name="a"))
    with_wasm = policy(template.render("page.html", name="a", scripts=["1"], wasm=True))
    assert "connect-src data:" in with_wasm and "'wasm-unsafe-eval'" in with_wasm


def test_what_would_go_wrong_is_refused():
    with pytest.raises(jinja2.UndefinedError, match="name"):
        template.render("page.html")
    for script in ("'</SCRIPT>'", "'<!--'"):
        with pytest.raises(ValueError, match="cannot go into a page"):
            template.render("page.html", name="a", scripts=[script])


@pytest.mark.parametrize(
    "source, whose, words",
    [
        ("artwork", template.POKEMON, sources.OWNER.split(" / ")),
        ("kaggle:kvpratama/pokemon-images-dataset", template.POKEMON, ["Nintendo"]),
        ("folder:/x+sprites", template.POKEMON, ["The Pokémon Company"]),
        ("doodles", template.DRAWN, ["own code"]),
        ("folder:/x", template.OTHER, ["whoever made the originals"]),
        ("gone", template.OTHER, ["whoever made the originals"]),
    ],
)
def test_every_page_names_the_owners(source, whose, words):
    assert template.whose(source) == whose
    page = " ".join(template.render("page.html", source, name="a").split())
    assert all(word in page for word in words)
    assert ("Nintendo" in page) == (whose == template.POKEMON)
