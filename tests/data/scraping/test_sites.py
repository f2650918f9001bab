"""Pages written by hand in the shapes of the sites, and what is shown on them."""

import json
import time

import pytest

from pokeutils.data.scraping import polite, sites

HOME = "https://site.example"


def serebii_page(number, name, keys=(), titles=()):
    """A species page: Latin-1, unclosed tags, attributes twice and in capitals."""
    forms = "".join(
        f'<a class="sprite-select" TITLE="{title}" data-key="{key}" href="#"><img src='
        f'"/pokedex-swsh/icon/{key}.png" alt="{title}" class="pkmn" alt="x" /></a>'
        for key, title in zip(keys, titles, strict=True)
    )
    page = f"""<html><head><title>{name} - #{number} - Serebii.net Pok\xe9dex</title>
<meta property="og:image" content="https://www.serebii.net/pokemon/art/{number}.png">
<body><td><h1>&nbsp;#{number} {name}</h1></td>
<table class="dextable"><tr><td class="fooevo">Picture</td></tr>
<tr><td class="fooinfo" align="center"><table><tr>
<td class="pkmn"><img ID="sprite-regular" src="/swordshield/pokemon/{number}.png" />
<td class="pkmn"><img id="sprite-shiny" src="/Shiny/SWSH/{number}.png" /></td></tr>
</table><div align="center">{forms}</div>"""
    return page.encode("latin-1")


SEREBII_INDEX = b"""<select name="SelectURL"><option value="#">Galar: 001-100</option>
<option value="/pokedex-swsh/venusaur/">003 Venusaur
<option value="/pokedex-swsh/vulpix/">0037 Vulpix</option>
<option VALUE="/pokedex-swsh/mr.mime">0100 Mr. Mime</option>
<option value="/pokedex-swsh/sirfetch'd/">0865 Sirfetch'd</option>
<option value="/pokedex-swsh/vulpix/">037 Vulpix</option>
<option value="/pokedex-swsh/fire.shtml">Fire</option>
<option value="/pokedex-sm/037.shtml">037 Vulpix</option></select>"""


def species(name, pages):
    """What a site lists, where its pages are a dict of bytes."""
    return sites.SITES[name].species(lambda url: polite.text(pages[url]), HOME)


def pictures(name, page, of):
    """{file: what is known of it} on a species' page; the first of each counts."""
    shown = sites.SITES[name].pictures(sites.soup(polite.text(page)), of)
    return {picture["file"]: picture for picture in reversed(list(shown))}


VULPIX = {"url": f"{HOME}/pokedex-swsh/vulpix/", "slug": "vulpix", "species_id": ""}


def test_a_number_that_the_page_contradicts_stays_empty():
    page = serebii_page("037", "Vulpix").replace(b"- #037 -", b"- #999 -")
    shown = pictures("serebii", page, VULPIX)
    assert {picture["species_id"] for picture in shown.values()} == {""}


def test_a_key_that_is_no_form_is_left_alone():
    keys = ["../../x", "037-a", "037-" + "a" * 300, "²37"]
    page = polite.text(serebii_page("037", "Vulpix", keys, [""] * 4)).encode()
    shown = pictures("serebii", page, VULPIX)
    assert sorted(shown) == ["regular/037-a", "shiny/037-a"]
    assert shown["regular/037-a"]["form"] == "a", "no title: the letter of the form"


def kalos(number, name, *pictures):
    """Rows of pokemon.com's list: one per form, with the same number."""
    return [
        {
            "id": number,
            "number": f"{int(number):04d}",
            "slug": name,
            "detailPageURL": f"/us/pokedex/{name}",
            "ThumbnailImage": f"{HOME}/detail/{picture}.png",
        }
        for picture in pictures
    ]


def test_pokedex_keeps_the_base_and_the_forms():
    rows = kalos("1", "bulbasaur", "001")
    rows += kalos(6, "charizard", "006", "006_f2", "006_f3", "006_f2")
    rows += kalos(1000, "gholdengo", "1000")
    pages = {f"{HOME}/us/api/pokedex/kalos": json.dumps(rows).encode()}
    bulbasaur, charizard, gholdengo = species("pokedex", pages)
    assert bulbasaur["url"] == f"{HOME}/us/pokedex/bulbasaur"
    assert bulbasaur["species_id"] == 1

    def page(*images):
        return f'<div class="profile-images">{"".join(images)}</div>'.encode()

    foreign = '<img src="/full/025.png">'
    own = '<img class="active" src="/full/006.png">'
    lazy = '<img src="/placeholder.gif" data-src="/full/006_f2.png">'
    [shown] = pictures("pokedex", page(foreign), bulbasaur).values()
    assert (shown["file"], shown["url"]) == ("001", f"{HOME}/detail/001.png")
    assert not shown["form"] and not shown["shiny"]
    shown = pictures("pokedex", page(own, lazy), charizard)
    assert {file: picture["url"] for file, picture in shown.items()} == {
        "006": f"{HOME}/full/006.png",
        "006-f2": f"{HOME}/full/006_f2.png",
        "006-f3": f"{HOME}/detail/006_f3.png",  # in the list, not on the page
    }
    assert list(pictures("pokedex", page(), gholdengo)) == ["1000"]


@pytest.mark.parametrize("number", [0, -1, "1e3", 10**5, "9" * 300, "9" * 5000, None])
def test_a_number_that_no_species_has_is_no_list(number):
    rows = [row | {"id": number} for row in kalos(1, "bulbasaur", "001")]
    pages = {f"{HOME}/us/api/pokedex/kalos": json.dumps(rows).encode()}
    with pytest.raises((ValueError, TypeError)):  # scrape: the site has changed
        species("pokedex", pages)


BROKEN = "<!-->", "<!-- --!>", "<a b='c'' d=\">", "<//p>", "<link a <b>", "&# 1", "&#x"


@pytest.mark.parametrize("piece", BROKEN)
def test_a_broken_piece_costs_no_more_than_itself(piece):
    page = polite.text(serebii_page("037", "Vulpix")).replace("<td", 3 * piece + "<td")
    assert len(pictures("serebii", page.encode(), VULPIX)) == 2


OPTION = "<option value='/pokedex-swsh/a/'>"
FORM = "<a class='sprite-select' data-key='037-a' title='b'>"
HEAVY = {
    "boxes": "<div class=profile-images>" * 2000 + "<img>" * 2000,
    "options": OPTION * 4000,
    "forms": FORM * 4000,
    "tags": "<a " * 19_999,
    "comments": "<!--<a " * 9_999,
    "declarations": "<!-- -" * 19_999 + "- " * 900_000,
    "ends": "</a " * 19_999 + "a" * 1_900_000,
    "too many": "<i>" * 500_000,
    "too long": "<i>" + "a" * 8_000_000,
}


@pytest.mark.parametrize("kind", HEAVY)
def test_a_heavy_page_costs_seconds(kind):
    begin, page = time.process_time(), HEAVY[kind].encode()
    of = {"url": HOME, "species_id": 37, "thumbnails": [], "slug": "a"}
    for name in sites.SITES:
        assert len(pictures(name, page, of)) < 4
    assert len(species("serebii", {f"{HOME}/pokedex-swsh/": page})) < 2
    assert time.process_time() - begin < 4
    if "too" in kind:
        assert not sites.soup(HEAVY[kind]).find()
