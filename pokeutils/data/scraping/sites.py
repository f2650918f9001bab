"""What two web sites look like: their species, and the pictures on a species' page.

Written from descriptions and captures of the sites, which change when they like. What
is not found is left out, and a number that a page does not tell stays empty.
"""

import collections
import html.parser
import json
import pathlib
import re
import urllib.parse
import warnings

# `origins`: its hosts, first the one with the pages. `terms`: what it says about being
# scraped. `species(read, home)` returns [{"url", "slug", "species_id", ...}], where
# read(url) is the text of a page; `pictures(soup, species)` yields {"url", "form",
# "shiny", "file" (without suffix)}, and "species_id" where only the page knows it.
Site = collections.namedtuple("Site", "origins terms species pictures")

MOST_LETTERS, MOST_TAGS = 2**21, 20_000  # of a page; real ones have less by far
MOST_BROKEN = 20  # pieces of a page that have no end
STRAY = re.compile("&#(?![0-9]|[xX][0-9a-fA-F])")  # at which the parser would stop
HIGHEST = 9_999  # national number


def soup(page):
    """Parses a page, however broken, up to the last of MOST_BROKEN pieces without an
    end, such as a tag without ">". What is no HTML, or too much, is empty."""
    import bs4

    if len(page) > MOST_LETTERS or page.count("<") > MOST_TAGS:
        page = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks about pages that are none
        try:
            # What has no end is text to the parser, up to the next tag; but to see that
            # it reads to the end of the page, so that there may be only a few of these.
            reader, rest = html.parser.HTMLParser(), page
            for _ in range(MOST_BROKEN):
                reader.reset()
                reader.feed(rest)
                piece = reader.rawdata
                rest = piece[piece.find(">", 1) + 1 or piece.find("<", 1) :]
            page = page[: len(page) - len(rest)]
            return bs4.BeautifulSoup(STRAY.sub("&amp;#", page), "html.parser")
        except (AssertionError, bs4.exceptions.ParserRejectedMarkup):
            return bs4.BeautifulSoup("", "html.parser")


def address(image, base):
    """Returns where a picture is; a lazy page has it in data-src, not in src."""
    place = image.get("data-src") or image.get("src") or ""
    try:
        return urllib.parse.urljoin(base, place.strip())
    except ValueError:
        return base


def _pokedex_species(read, home):
    # The "kalos" list covers the national dex. Forms are rows of their own with the
    # same id; `number` has been padded in two ways, so that only `id` counts.
    species = {}
    for row in json.loads(read(f"{home}/us/api/pokedex/kalos")):
        if not 1 <= int(row["id"]) <= HIGHEST:
            raise ValueError("no national number")
        entry = species.setdefault(
            int(row["id"]),
            {
                "url": urllib.parse.urljoin(home, row["detailPageURL"]),
                "slug": row["slug"],
                "species_id": int(row["id"]),
                "thumbnails": [],
            },
        )
        thumbnail = urllib.parse.urljoin(home, row["ThumbnailImage"])
        if thumbnail not in entry["thumbnails"]:
            entry["thumbnails"].append(thumbnail)
    return list(species.values())


def _pokedex_pictures(page, species):
    # The names of the files say whose they are; the list knows forms that a page hides.
    # Not select(".profile-images img"), which climbs all the way up from every picture.
    boxes = page.select(".profile-images", limit=4)
    number, shown = species["species_id"], [b.find_all("img") for b in boxes]
    shown = [address(image, species["url"]) for image in sum(shown, [])]
    for url in shown + species["thumbnails"]:
        match = re.search(r"/0*(\d+)(?:_(f\d{1,3}))?\.(?:png|jpg)(?:\?|$)", url)
        if match and match[1] == str(number):
            form = match[2] or ""
            file = f"{number:03d}{form and '-'}{form}"
            yield {"url": url, "file": file, "form": form, "shiny": False}


def _serebii_species(read, home):
    # The numbers in these options are padded wrongly and not always national ones.
    species = {}
    for option in soup(read(f"{home}/pokedex-swsh/")).select("option[value]"):
        match = re.fullmatch(r"/pokedex-swsh/([^/?#]+)/?", option["value"])
        # Only what follows at once: unclosed options lie within each other.
        text = option.next_element if isinstance(option.next_element, str) else ""
        if match and re.match(r"\s*\d", text):
            slug = urllib.parse.unquote(match[1])  # mr.mime, sirfetch'd, type:null
            url = f"{home}/pokedex-swsh/{urllib.parse.quote(slug)}/"
            species.setdefault(url, {"url": url, "slug": slug, "species_id": ""})
    return list(species.values())


def _serebii_pictures(page, species):
    title = page.select_one("title")  # Vulpix - #037 - Serebii.net Pokédex
    in_title = re.search(r"#(\d{1,4})\b", title.get_text() if title else "")
    forms = {
        form["data-key"]: form.get("title", "")
        for form in page.select("a.sprite-select[data-key]")
    }
    # The page's own script builds both addresses from the data-key of a form.
    for hue in ("regular", "shiny"):
        for image in page.select(f"img#sprite-{hue}")[:1]:
            base = address(image, species["url"])
            own_key = pathlib.PurePosixPath(urllib.parse.urlsplit(base).path).stem
            for key, name in (forms or {own_key: ""}).items():
                match = re.fullmatch(r"(\d{3,4})(?:-([a-z0-9-]{1,40}))?", key)
                if not match:
                    continue
                number, suffix = int(match[1]), match[2] or ""  # 037 or 037-a
                name = re.sub(r"[^a-z0-9]+", "-", name.lower().removesuffix(" form"))
                name = name[:40]
                agreed = not in_title or int(in_title[1]) == number
                yield {
                    "url": urllib.parse.urljoin(base, f"{key}.png"),
                    "file": f"{hue}/{key}",
                    "species_id": number if agreed else "",
                    "form": suffix and (name.strip("-") or suffix),
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
}
