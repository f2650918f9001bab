"""What three web sites look like: their species, and the pictures on a species' page.

Written from descriptions and captures of the sites, which change when they like. What
is not found is left out, and a number that a page does not tell stays empty.
"""

import collections
import contextlib
import json
import pathlib
import re
import urllib.parse
import warnings

from pokeutils.data.scraping import polite

POKEMONDB_SET = "home"  # of some sixty pictures a species: one style, with all forms

# `origins`: its hosts, first the one with the pages. `terms`: what it says about being
# scraped. `species(read, home)` returns [{"url", "slug", "species_id", ...}], where
# read(url) is the text of a page; `pictures(soup, species)` yields {"url", "form",
# "shiny", "file" (without suffix)}, and "species_id" where only the page knows it.
Site = collections.namedtuple("Site", "origins terms species pictures")


def soup(page):
    """Parses the text of a page, however broken; what is no HTML at all is empty."""
    import bs4

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks about pages that are none
        try:
            return bs4.BeautifulSoup(page, "html.parser")
        except bs4.exceptions.ParserRejectedMarkup:
            return bs4.BeautifulSoup("", "html.parser")


def _address(tag, base):
    """Returns where a picture is; a lazy page has it in data-src, not in src."""
    place = tag.get("data-src") or tag.get("src") or tag.get("href") or ""
    try:
        return urllib.parse.urljoin(base, place.strip())
    except ValueError:
        return base


def _number(tag):
    """Returns the number in "#001", "#0001" or "Vulpix - #037 - ..."; else ""."""
    found = re.search(r"#(\d{1,4})\b", tag.get_text() if tag else "")
    return int(found[1]) if found else ""


# --------------------------------------------------------------------------- the sites


def _pokedex_species(read, home):
    # The "kalos" list covers the national dex. Forms are rows of their own with the
    # same id; `number` has been padded in two ways, so that only `id` counts.
    species = {}
    for row in json.loads(read(f"{home}/us/api/pokedex/kalos")):
        one = species.setdefault(
            int(row["id"]),
            {
                "url": urllib.parse.urljoin(home, row["detailPageURL"]),
                "slug": row["slug"],
                "species_id": int(row["id"]),
                "thumbnails": [],
            },
        )
        thumbnail = urllib.parse.urljoin(home, row["ThumbnailImage"])
        if thumbnail not in one["thumbnails"]:
            one["thumbnails"].append(thumbnail)
    return list(species.values())


def _pokedex_pictures(page, species):
    # The names of the files say whose they are; the list knows forms that a page hides.
    number, shown = species["species_id"], page.select(".profile-images img")
    shown = [_address(image, species["url"]) for image in shown]
    for url in shown + species["thumbnails"]:
        found = re.search(r"/0*(\d+)(?:_(f\d+))?\.(?:png|jpg)(?:\?|$)", url)
        if found and int(found[1]) == number:
            form = found[2] or ""
            file = f"{number:03d}{form and '-'}{form}"
            yield {"url": url, "file": file, "form": form, "shiny": False}


def _serebii_species(read, home):
    # The numbers in these options are padded wrongly and not always national ones.
    species = {}
    for option in soup(read(f"{home}/pokedex-swsh/")).select("option[value]"):
        found = re.fullmatch(r"/pokedex-swsh/([^/?#]+)/?", option["value"])
        if found and re.match(r"\s*\d", option.get_text()):
            slug = urllib.parse.unquote(found[1])  # mr.mime, sirfetch'd, type:null
            url = f"{home}/pokedex-swsh/{urllib.parse.quote(slug)}/"
            species.setdefault(url, {"url": url, "slug": slug, "species_id": ""})
    return list(species.values())


def _serebii_pictures(page, species):
    # The page's own script builds both addresses from the data-key of a form.
    said = _number(page.select_one("title"))
    titles = {
        form["data-key"]: form.get("title", "")
        for form in page.select("a.sprite-select[data-key]")
    }
    for hue in ("regular", "shiny"):
        for image in page.select(f"img#sprite-{hue}")[:1]:
            base = _address(image, species["url"])
            own = pathlib.PurePosixPath(urllib.parse.urlsplit(base).path).stem
            for key, title in (titles or {own: ""}).items():
                found = re.fullmatch(r"(\d{3,4})(?:-([a-z0-9-]+))?", key)
                if not found:
                    continue
                number, suffix = int(found[1]), found[2] or ""  # 037 or 037-a
                name = re.sub(r"[^a-z0-9]+", "-", title.lower().removesuffix(" form"))
                yield {
                    "url": urllib.parse.urljoin(base, f"{key}.png"),
                    "file": f"{hue}/{key}",
                    "species_id": number if said in (number, "") else "",
                    "form": suffix and (name.strip("-") or suffix),
                    "shiny": hue == "shiny",
                }


def _pokemondb_species(read, home):
    numbers = {}
    with contextlib.suppress(polite.Missing):  # then the numbers stay unknown
        for card in soup(read(f"{home}/pokedex/national")).select(".infocard"):
            for link in card.select("a.ent-name[href]"):
                slug = link["href"].rsplit("/", 1)[-1]
                numbers[slug] = _number(card.select_one("small"))
    index = soup(read(f"{home}/sprites")).select('a.infocard[href^="/sprites/"]')
    slugs = [link["href"].removeprefix("/sprites/") for link in index]
    slugs = [slug for slug in dict.fromkeys(slugs) if re.fullmatch(r"[a-z0-9-]+", slug)]
    return [
        {
            "url": f"{home}/sprites/{slug}",
            "slug": slug,
            "species_id": numbers.get(slug, ""),
            # porygon-z is a species, not a form of porygon
            "others": [other for other in slugs if other.startswith(f"{slug}-")],
        }
        for slug in slugs
    ]


def _pokemondb_pictures(page, species):
    slug, best = species["slug"], {}
    for tag in page.select("[data-src], img[src], a[href]"):
        url = _address(tag, species["url"])
        found = re.search(
            rf"/sprites/{POKEMONDB_SET}/(normal|shiny)/(?:(1x|2x)/)?"
            rf"({re.escape(slug)}(?:-[a-z0-9-]+)?)\.(?:png|jpg)(?:\?|$)",
            url,
        )
        if found and found[3] not in species["others"]:
            # The plain address is the full-sized PNG, 1x half of it, 2x a JPEG.
            rank = ("", "1x", "2x").index(found[2] or "")
            picture = (found[1], found[3])
            best[picture] = min(best.get(picture, (rank, url)), (rank, url))
    for (hue, name), (_, url) in best.items():
        hue = "shiny" if hue == "shiny" else "regular"
        form = name.removeprefix(slug).strip("-")
        yield {
            "url": url,
            "file": f"{hue}/{name}",
            "form": form,
            "shiny": hue == "shiny",
        }


SITES = {
    "pokedex": Site(
        ("https://www.pokemon.com", "https://assets.pokemon.com"),
        "Its terms of use (section 5) allow personal, non-commercial use at home; they "
        "forbid scripts that automate operation, and downloading quantities of content "
        "to a database. Its robots.txt sets no rules; it often answers a program with "
        "a challenge page.",
        _pokedex_species,
        _pokedex_pictures,
    ),
    "serebii": Site(
        ("https://www.serebii.net",),
        "It claims copyright in all its content and gives no licence to reuse it; its "
        "robots.txt allows the folders of sprites.",
        _serebii_species,
        _serebii_pictures,
    ),
    "pokemondb": Site(
        ("https://pokemondb.net", "https://img.pokemondb.net"),
        "Its sprite pages ask to download pictures rather than to link to them from "
        "elsewhere, and to link back; its robots.txt asks for 2 s between requests; "
        "heavy users are blocked.",
        _pokemondb_species,
        _pokemondb_pictures,
    ),
}
