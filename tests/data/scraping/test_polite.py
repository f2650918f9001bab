"""A visitor waits, obeys, gives up, believes nothing; a real server plays the site."""

import email.utils
import gzip
import io
import os
import time

import pytest
from fake_site import Reply, png
from PIL import Image

from pokeutils.common import files
from pokeutils.data.scraping import polite

WALL = b"""<html><head><noscript><title>Pardon Our Interruption</title></noscript>
<script src="/_Incapsula_Resource?SWJIYLWA=0123"></script></head><body></body></html>"""


@pytest.fixture
def visitor(site):
    """A guest of the fake site, who is told to sleep but does not."""
    slept, lines = [], []
    me = "me@example.org"
    with polite.Visitor([site.url], me, lines.append, slept.append) as visitor:
        visitor.slept, visitor.lines = slept, lines
        yield visitor


def picture(visitor, site, tmp_path, path="/a.png"):
    return visitor.picture(site.url + path, tmp_path / "kept" / "a")


def nothing_kept(tmp_path):
    folder = tmp_path / "kept"
    return not folder.exists() or os.listdir(folder) == []


def test_a_page_is_asked_for_once_by_name_after_robots(site, visitor):
    site.replies["/page"] = "Pokédex".encode()
    assert visitor.page(site.url + "/page") == "Pokédex"
    assert list(site.asked) == ["/robots.txt", "/page"]
    agent = site.guests[0][0]
    assert agent.startswith("pokeutils/0") and "me@example.org" in agent
    for _ in range(5):
        visitor.page(site.url + "/page")
    assert site.asked["/robots.txt"] == 1
    assert len({port for _, port in site.guests}) == 1, "one connection, used again"


def test_pages_are_decoded_whatever_they_claim(site, visitor):
    header = {"Content-Type": "text/html; charset=utf-8"}
    site.replies["/latin"] = Reply("<title>Pokédex".encode("latin-1"), headers=header)
    site.replies["/bom"] = "\ufeffFlabébé".encode()
    packed = gzip.compress("Pokédex".encode())
    site.replies["/packed"] = Reply(packed, headers={"Content-Encoding": "gzip"})
    assert visitor.page(site.url + "/latin") == "<title>Pokédex"
    assert visitor.page(site.url + "/bom") == "Flabébé"
    assert visitor.page(site.url + "/packed") == "Pokédex"


def test_a_picture_is_kept_with_the_suffix_of_its_kind(site, visitor, tmp_path):
    jpeg = io.BytesIO()
    Image.new("RGB", (20, 30), "red").save(jpeg, "JPEG")
    site.replies |= {"/a.png": png(), "/b.png": jpeg.getvalue()}
    kept = picture(visitor, site, tmp_path)
    assert kept.path == tmp_path / "kept" / "a.png"
    assert kept.sha256 == files.sha256(kept.path) == files.sha256(png())
    assert kept.bytes == len(png())
    assert picture(visitor, site, tmp_path, "/b.png").path.suffix == ".jpg"
    assert sorted(os.listdir(tmp_path / "kept")) == ["a.jpg", "a.png"]


def test_it_waits_two_seconds_between_requests(site, visitor, monkeypatch):
    monkeypatch.setattr(polite, "DELAY", 2.0)
    site.replies["/page"] = b"hello"
    for _ in range(3):
        visitor.page(site.url + "/page")
    assert len(visitor.slept) == 3, "not before the first request, which is robots.txt"
    assert all(1.5 < seconds <= 2 for seconds in visitor.slept)


@pytest.mark.parametrize(
    "rules, seconds",
    [
        ("User-agent: *\nCrawl-delay: 7", 7),
        ("User-agent: *\nCrawl-delay: 2.5\n", 2.5),
        ("User-agent: *\nCrawl-delay: 1", 2),
        ("User-agent: *\nRequest-rate: 1/9", 9),
        ("User-agent: other\nCrawl-delay: 7", 2),
        ("<!DOCTYPE html><html><body>Pokemon</body></html>", 2),
    ],
)
def test_robots_txt_says_how_long(site, visitor, monkeypatch, rules, seconds):
    monkeypatch.setattr(polite, "DELAY", 2.0)
    site.replies |= {"/robots.txt": rules.encode(), "/page": b"hello"}
    visitor.page(site.url + "/page")
    assert visitor.robots(site.url)[1] == seconds
    assert seconds - 0.5 < visitor.slept[-1] <= seconds


@pytest.mark.parametrize(
    "rules",
    [
        "User-agent: *\nDisallow: /hidden/",
        "\ufeffUser-agent: *\n\nDisallow: /hidden/",
        "User-agent: other\nDisallow:\n\nUser-agent: Pokeutils\nDisallow: /hidden/",
    ],
)
def test_what_robots_txt_forbids_is_not_asked_for(site, visitor, rules):
    site.replies |= {"/robots.txt": rules.encode(), "/open": b"hello"}
    site.replies["/door"] = Reply(b"", 302, {"Location": "/hidden/page"})
    assert visitor.page(site.url + "/open") == "hello"
    for path in ("/hidden/page", "/door"):
        with pytest.raises(polite.Failed, match="robots.txt forbids .*/hidden/page"):
            visitor.page(site.url + path)
    assert "/hidden/page" not in site.asked


EXAMPLE = """User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot"""


@pytest.mark.parametrize(
    "me, rules, allowed, forbidden",
    [
        # What Python's own parser, where the first match wins, gets wrong.
        ("", "User-agent: *\nAllow: /\nDisallow: /private/", "/a", "/private/a"),
        ("", "User-agent: *\nDisallow: /*.png$", "/a/b.png?big /a", "/a/b.png"),
        # RFC 9309, 5.1: a group of one's own replaces that of all others.
        ("", EXAMPLE, "/publications/ /a.gif/", "/example/a /a/b.gif"),
        ("foobot", EXAMPLE, "/example/page.html /example/allowed.gif", "/ /a.gif"),
        ("barbot", EXAMPLE, "/example/a /a.gif", "/example/page.html"),
        ("bazbot", EXAMPLE, "/example/a /a.gif", "/example/page.html"),
        ("quxbot", EXAMPLE, "/example/page.html /a.gif", ""),
        # 5.2: the longest match wins, whatever the order.
        (
            "foobot",
            "User-Agent: foobot\nAllow: /example/page/\n"
            "Disallow: /example/page/disallowed.gif",
            "/example/page/ /example/page/allowed.gif",
            "/example/page/disallowed.gif",
        ),
        # 2.2.1: groups of the same name are one; names have no case.
        (
            "ExampleBot",
            "User-Agent: ExampleBot\nDisallow: /foo/\nDisallow: /bar\n\n"
            "User-Agent: eXamplebot\nDisallow: /baz",
            "/food",
            "/foo/ /bar /baz",
        ),
        # 2.2.2: what is percent-encoded, and need not be, is the same as plain.
        ("", "User-agent: *\nDisallow: /foo?baz=quz", "/foo", "/foo?baz=quz"),
        ("", "User-agent: *\nDisallow: /a/ツ", "/a/", "/a/ツ /a/%E3%83%84"),
        ("", "User-agent: *\nDisallow: /a/%62%61%7A", "/a/", "/a/baz /a/%62%61%7A"),
        # 2.2.3: a star, or a dollar, that means itself; remarks.
        ("", "User-agent: *\nDisallow: /%2A.html # stars", "/a.html", "/*.html"),
        ("", "User-agent: *\nDisallow: /this/path/exactly$", "/this/path/exactly/", ""),
    ],
)
def test_robots_txt_is_read_as_rfc_9309_wants_it(
    site, visitor, monkeypatch, me, rules, allowed, forbidden
):
    monkeypatch.setattr(polite, "NAME", me or polite.NAME)
    site.replies["/robots.txt"] = rules.encode()
    for path in allowed.split():
        assert visitor.robots(site.url)[0].can_fetch(site.url + path, polite.NAME)
    for path in forbidden.split():
        with pytest.raises(polite.Failed, match="robots.txt forbids"):
            visitor.page(site.url + path)
    assert list(site.asked) == ["/robots.txt"]


@pytest.mark.parametrize(
    "rules, reason",
    [
        ("User-agent: *\nCrawl-delay: 999999999", "asks for 999999999 s"),
        ("User-agent: *\nRequest-rate: 1/30m", "asks for 1800 s between requests"),
        ("User-agent: *\nRequest-rate: 1/" + "9" * 400, "asks for 1000000000 s"),
        (
            "".join(f"User-agent: a{n}\nDisallow: /{n}\n" for n in range(501)),
            "has 1002 rules; more than 1000",
        ),
    ],
    ids=["delay", "rate", "digits", "many"],
)
def test_an_absurd_robots_txt_ends_the_run(site, visitor, rules, reason):
    site.replies |= {"/robots.txt": rules.encode(), "/page": b"hello"}
    with pytest.raises(polite.Blocked, match=f"robots.txt {reason}"):
        visitor.page(site.url + "/page")
    assert visitor.slept == [] and "/page" not in site.asked


@pytest.mark.parametrize(
    "line",
    [
        *("Crawl-delay: \xb2", "Crawl-delay: 1e400", "Crawl-delay: nan"),
        *("Request-rate: 0/1", "Request-rate: a/b"),
        *("Disallow: http://[x", "Allow: %zz"),
        *("Visit-time: 9", ":", "\0\0", "\n" * 300_000, "Disallow: /" + "*a" * 50_000),
    ],
)
def test_a_malformed_line_of_robots_txt_costs_nothing_but_itself(site, visitor, line):
    rules = f"User-agent: *\n{line}\nDisallow: /hidden/"
    site.replies |= {"/robots.txt": rules.encode(), "/page": b"hello"}
    begin = time.process_time()
    assert visitor.page(site.url + "/page") == "hello"
    with pytest.raises(polite.Failed, match="robots.txt forbids"):
        visitor.page(site.url + "/hidden/page")
    assert time.process_time() - begin < 5


@pytest.mark.parametrize("status", [404, 410, 403])
def test_no_robots_txt_means_no_rules(site, visitor, status):
    site.replies |= {"/robots.txt": Reply(b"no", status), "/page": b"hello"}
    assert visitor.page(site.url + "/page") == "hello"


@pytest.mark.parametrize(
    "reply, reason",
    [
        (Reply(b"later", 503), "HTTP status 503, 4 times"),
        (Reply(b"", 301, {"Location": "http://example.org/robots.txt"}), "leads away"),
        (Reply(b"", 204), "HTTP status 204"),
    ],
)
def test_a_robots_txt_that_cannot_be_read_forbids_all(site, visitor, reply, reason):
    site.replies |= {"/robots.txt": reply, "/page": b"hello"}
    with pytest.raises(polite.Blocked, match=f"robots.txt cannot be read.*{reason}"):
        visitor.page(site.url + "/page")
    assert "/page" not in site.asked


def test_500_twice_then_good(site, visitor, monkeypatch):
    monkeypatch.setattr(polite, "BACK_OFF", 5.0)
    site.replies["/page"] = [Reply(b"", 500), Reply(b"", 502), b"hello"]
    assert visitor.page(site.url + "/page") == "hello"
    assert [round(seconds) for seconds in visitor.slept] == [5, 10]
    assert "HTTP status 500; asking again in 5 s" in visitor.lines[0]


@pytest.mark.parametrize("as_date", [False, True])
def test_429_waits_as_long_as_it_is_told(site, visitor, as_date):
    wait = email.utils.formatdate(time.time() + 60, usegmt=True) if as_date else "60"
    reply = Reply(b"", 429, {"Retry-After": wait})
    site.replies["/page"] = [reply, b"hello"]
    assert visitor.page(site.url + "/page") == "hello"
    assert len(visitor.slept) == 1 and 57 < visitor.slept[0] <= 60


@pytest.mark.parametrize(
    "reply, error, reason, asked",
    [
        *((Reply(b"", n), polite.Blocked, f"status {n}", 1) for n in (401, 403, 451)),
        *((Reply(b"", n), polite.Missing, f"status {n}", 1) for n in (404, 410)),
        *((Reply(b"", n), polite.Failed, f"status {n}", 1) for n in (400, 418)),
        (Reply(b"", 429, {"Retry-After": "3600"}), polite.Blocked, "in 60 min", 1),
        (Reply(b"", 429), polite.Blocked, "asks for fewer requests", polite.ATTEMPTS),
    ],
)
def test_an_answer_that_is_a_no(site, visitor, reply, error, reason, asked):
    site.replies["/page"] = reply
    with pytest.raises(error, match=reason):
        visitor.page(site.url + "/page")
    assert site.asked["/page"] == asked


@pytest.mark.parametrize("value", [None, "", "soon", "-5", "\xb2", "9" * 5000])
def test_a_strange_retry_after_says_nothing(value):
    assert polite.retry_after(value) == 0
    assert polite.MAX_WAIT < polite.retry_after("9" * 400) <= 24 * 3600


def test_a_slow_answer_is_asked_for_again(site, visitor, monkeypatch):
    monkeypatch.setattr(polite, "TIMEOUT", 0.5)
    site.replies["/page"] = [Reply(b"late", wait=2), b"hello"]
    assert visitor.page(site.url + "/page") == "hello"
    site.replies["/page"] = Reply(b"late", wait=2)
    with pytest.raises(polite.Unanswered, match="no answer in 0.5 s, 4 times"):
        visitor.page(site.url + "/page")
    assert site.asked["/page"] == 2 + polite.ATTEMPTS


def test_a_connection_cut_half_way_is_asked_for_again(site, visitor, tmp_path):
    site.replies["/a.png"] = [Reply(png(), cut=100), png()]
    assert picture(visitor, site, tmp_path).bytes == len(png())
    site.replies["/a.png"] = Reply(png(), cut=100)
    with pytest.raises(polite.Unanswered, match="no whole answer: .*IncompleteRead"):
        picture(visitor, site, tmp_path)


def test_a_machine_that_is_not_there_fails_in_words(site, visitor):
    site.close()
    with pytest.raises(polite.Blocked, match="robots.txt cannot be read.*refused"):
        visitor.page(site.url + "/page")
    site.close = lambda: None


@pytest.mark.parametrize(
    "reply",
    [
        Reply(WALL),
        Reply(b"<html>Request unsuccessful. Incapsula incident ID: 12-34</html>", 403),
        Reply(b"<title>Just a moment...</title>" + b" " * 20_000, 503),
        Reply(b"<script>window._cf_chl_opt={}</script>", 403),
        Reply(b"Forbidden", 403, {"CF-Mitigated": "challenge"}),
    ],
)
@pytest.mark.parametrize("path", ["/a.png", "/robots.txt"])
def test_a_challenge_page_ends_the_run_at_once(site, visitor, tmp_path, reply, path):
    site.replies[path] = reply
    with pytest.raises(polite.Blocked, match="challenge page.*people in, not programs"):
        picture(visitor, site, tmp_path)
    assert site.asked[path] == 1 and nothing_kept(tmp_path)
    site.replies["/page"] = WALL + b"<p>real</p>" * 2000  # has passed the filter
    site.replies.pop("/robots.txt", None)
    assert "real" in visitor.page(site.url + "/page")


def test_redirects_are_followed_a_few_times(site, visitor):
    for step in range(5):
        site.replies[f"/{step}"] = Reply(b"", 302, {"Location": f"/{step + 1}"})
    site.replies["/5"] = b"hello"
    assert visitor.page(site.url + "/0") == "hello"
    site.replies["/loop"] = Reply(b"", 301, {"Location": "/loop"})
    with pytest.raises(polite.Failed, match="redirected more than 5 times"):
        visitor.page(site.url + "/loop")
    assert site.asked["/loop"] == 6


@pytest.mark.parametrize(
    "place",
    [
        *("http://example.org/", "//example.org/", "file:///etc/passwd", "http://["),
        *("https://127.0.0.1/", "{host}@example.org/", "{other name}/"),
    ],
)
def test_no_other_host_is_asked(site, visitor, place):
    place = place.replace("{host}", site.url).replace("{other name}", site.images_url)
    site.replies["/page"] = Reply(b"", 302, {"Location": place})
    for address in (site.url + "/page", place.replace("//ex", "http://ex", 1)):
        with pytest.raises(polite.Failed, match="leads away from|not a web address"):
            visitor.page(address)
    assert sum(site.asked.values()) == 2


def test_what_is_or_unpacks_to_too_much_is_cut_off_early(site, visitor, tmp_path):
    site.replies["/a.png"] = Reply(200 * 2**20)
    with pytest.raises(polite.Failed, match="200 MB; at most 8 MB"):
        picture(visitor, site, tmp_path)
    bomb = gzip.compress(bytes(40 * 2**20), 1)
    site.replies["/a.png"] = Reply(bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(polite.Failed, match="cut off at 8 MB"):
        picture(visitor, site, tmp_path)
    for status in (200, 302, 404):
        headers, site.sent = {"Location": "/b.png"}, 0
        site.replies["/a.png"] = Reply(200 * 2**20, status, headers, length=False)
        with pytest.raises(polite.Failed, match="cut off at 8 MB"):
            picture(visitor, site, tmp_path)
        time.sleep(0.05)
        assert 8 * 2**20 < site.sent < 40 * 2**20, "what the buffers on the way hold"
    assert nothing_kept(tmp_path)


def test_a_trickle_is_left_after_a_while(site, visitor, monkeypatch):
    monkeypatch.setattr(polite, "DEADLINE", 0)
    site.replies["/page"] = b"hello"
    with pytest.raises(polite.Blocked, match="not complete after 0 s, 4 times"):
        visitor.page(site.url + "/page")


def broken_exif():
    """A JPEG of whose metadata a decoder makes an error of its own."""
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112], exif[0x010F] = 6, "maker"
    Image.new("RGB", (40, 30), "red").save(file, "JPEG", exif=exif)
    return file.getvalue().replace(b"\x01\x0f\x00\x02", b"\x01\x02\x00\x02")


@pytest.mark.parametrize(
    "body, reason",
    [
        (b"<!DOCTYPE html><title>Not found</title>", "begins with '<!DOCTYPE html>"),
        (b"", "begins with ''"),
        (png()[:200], "broken picture: "),
        (png()[:-40] + bytes(40), "broken picture: "),
        (broken_exif(), "broken picture: cannot be decoded"),
        (b"\x89PNG\r\n\x1a\n<html>", "broken picture: "),
        (png(size=8), "8 x 8 px: a placeholder"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a PNG, JPEG or GIF"),
    ],
)
def test_what_is_no_whole_picture_is_not_kept(site, visitor, tmp_path, body, reason):
    site.replies["/a.png"] = body
    with pytest.raises(polite.Failed, match=reason):
        picture(visitor, site, tmp_path)
    assert site.asked["/a.png"] == 1 and nothing_kept(tmp_path)


def test_the_name_given_to_sites_stays_one_header():
    with pytest.raises(ValueError, match="plain ASCII on one line"):
        polite.Visitor(["http://127.0.0.1"], "me\r\nX-Evil: 1")
