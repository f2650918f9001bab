"""A visitor waits, obeys, gives up, believes nothing; a real server plays the site."""

import contextlib
import email.utils
import gzip
import io
import os
import socket
import threading
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
    assert visitor.page(site.url + "/latin") == "<title>Pokédex"
    assert visitor.page(site.url + "/bom") == "Flabébé"


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


@pytest.mark.parametrize(
    "rules, seconds",
    [
        ("User-agent: *\nCrawl-delay: 7", 7),
        ("User-agent: *\nCrawl-delay: 2.5\n", 2.5),
        ("User-agent: *\nCrawl-delay: 1", 2),
        ("User-agent: *\nRequest-rate: 1/9", 9),
        ("User-agent: other\nCrawl-delay: 7", 2),
        ("<!DOCTYPE html><html><body>Pokemon</body></html>", 2),
        *((Reply(b"no", status), 2) for status in (404, 410, 403)),  # no rules
    ],
)
def test_robots_txt_says_how_long(site, visitor, monkeypatch, rules, seconds):
    monkeypatch.setattr(polite, "DELAY", 2.0)
    rules = rules.encode() if isinstance(rules, str) else rules
    site.replies |= {"/robots.txt": rules, "/page": b"hello"}
    for _ in range(3):
        assert visitor.page(site.url + "/page") == "hello"
    assert visitor.robots(site.url)[1] == seconds
    assert len(visitor.slept) == 3, "not before the first request, which is robots.txt"
    assert all(seconds - 0.5 < slept <= seconds for slept in visitor.slept)


STRANGE = (
    *("Crawl-delay: \xb2", "Crawl-delay: 1e400", "Crawl-delay: nan"),
    *("Request-rate: 0/1", "Request-rate: a/b", "Disallow: http://[x", "Allow: %zz"),
    *("Visit-time: 9", ":", "\0\0", "\n" * 300_000, "Disallow: /" + "*a" * 50_000),
)


@pytest.mark.parametrize(
    "group",
    [
        *("User-agent: *", "\ufeffUser-agent: *\n"),
        "User-agent: other\nDisallow:\n\nUser-agent: Pokeutils",
        *(f"User-agent: *\n{line}" for line in STRANGE),  # cost nothing but themselves
    ],
)
def test_what_robots_txt_forbids_is_not_asked_for(site, visitor, group):
    rules = f"{group}\nDisallow: /hidden/"
    site.replies |= {"/robots.txt": rules.encode(), "/open": b"hello"}
    site.replies["/door"] = Reply(b"", 302, {"Location": "/hidden/page"})
    begin = time.process_time()
    assert visitor.page(site.url + "/open") == "hello"
    for path in ("/hidden/page", "/door"):
        with pytest.raises(polite.Failed, match="robots.txt forbids .*/hidden/page"):
            visitor.page(site.url + path)
    assert "/hidden/page" not in site.asked and time.process_time() - begin < 5


GROUPS = """User-agent: *
Disallow: /a\n
User-agent: foo
User-agent: bar
Disallow: /b\n
User-agent: qux"""
BOT = "User-Agent: Bot\nDisallow: /foo/"


@pytest.mark.parametrize(
    "me, rules, allowed, forbidden",
    [
        # What Python's own parser, where the first match wins, gets wrong.
        ("", "User-agent: *\nAllow: /\nDisallow: /private/", "/a", "/private/a"),
        ("", "User-agent: *\nDisallow: /*.png$", "/a/b.png?big /a", "/a/b.png"),
        # RFC 9309, 5.1: a group of one's own replaces that of all others.
        *(("", GROUPS, "/b", "/a"), ("qux", GROUPS, "/a /b", "")),
        *(("foo", GROUPS, "/a", "/b"), ("bar", GROUPS, "/a", "/b")),
        # 5.2: the longest match wins, whatever the order.
        ("", "User-Agent: *\nAllow: /a/\nDisallow: /a/b.gif", "/a/ /a/a", "/a/b.gif"),
        # 2.2.1: groups of the same name are one; names have no case.
        ("Bot", f"{BOT}\nDisallow: /b\n\n{BOT.lower()}\nDisallow: /z", "/a", "/b /z"),
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


AWAY = Reply(b"", 301, {"Location": "http://example.org/robots.txt"})
MANY = b"".join(b"User-agent: a%d\nDisallow: /%d\n" % (n, n) for n in range(501))


@pytest.mark.parametrize(
    "reply, reason",
    [
        (b"User-agent: *\nCrawl-delay: 999999999", "asks for 999999999 s"),
        (b"User-agent: *\nRequest-rate: 1/30m", "asks for 1800 s between requests"),
        (b"User-agent: *\nRequest-rate: 1/" + b"9" * 400, "asks for 1000000000 s"),
        (MANY, "has 1002 rules; more than 1000"),
        (Reply(b"later", 503), "cannot be read.*HTTP status 503, 4 times"),
        (AWAY, "cannot be read.*leads away"),
        (Reply(b"", 204), "cannot be read.*HTTP status 204"),
    ],
)
def test_an_absurd_or_unreadable_robots_txt_ends_the_run(site, visitor, reply, reason):
    site.replies |= {"/robots.txt": reply, "/page": b"hello"}
    with pytest.raises(polite.Blocked, match=f"robots.txt {reason}"):
        visitor.page(site.url + "/page")
    assert max(visitor.slept, default=0) < 60 and "/page" not in site.asked


def test_it_waits_longer_each_time_or_as_long_as_it_is_told(site, visitor, monkeypatch):
    monkeypatch.setattr(polite, "BACK_OFF", 5.0)
    date = email.utils.formatdate(time.time() + 60, usegmt=True)
    told = [Reply(b"", 429, {"Retry-After": wait}) for wait in ("60", date)]
    site.replies["/page"] = [Reply(b"", 500), Reply(b"", 502), *told[:1], b"hello"]
    assert visitor.page(site.url + "/page") == "hello"
    assert [round(seconds) for seconds in visitor.slept] == [5, 10, 60]
    assert "HTTP status 500; asking again in 5 s" in visitor.lines[0]
    site.replies["/page"] = [told[1], b"hello"]
    assert visitor.page(site.url + "/page") == "hello"
    assert 50 < visitor.slept[3] <= 60 and len(visitor.slept) == 4


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


@pytest.mark.parametrize(
    "reply, reason",
    [
        (Reply(png(), wait=2), "no answer in 0.5 s, 4 times"),
        (Reply(png(), cut=100), "no whole answer: .*IncompleteRead"),
    ],
)
def test_slow_or_cut_answers_are_asked_again(
    site, visitor, monkeypatch, tmp_path, reply, reason
):
    monkeypatch.setattr(polite, "TIMEOUT", 0.5)
    site.replies["/a.png"] = [reply, png()]
    assert picture(visitor, site, tmp_path).bytes == len(png())
    site.replies["/a.png"] = reply
    with pytest.raises(polite.Unanswered, match=reason):
        picture(visitor, site, tmp_path)
    assert site.asked["/a.png"] == 2 + polite.ATTEMPTS


HEAD = b"HTTP/1.1 200 OK\r\n"
GZIPPED = HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10]
TRICKLES = {  # how an answer begins, and what then comes again and again
    "status": (b"", b" "),
    "headers": (HEAD, b"A: b\r\n"),
    "length of a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "body": (HEAD + b"\r\n", b"a"),
    "nothing, packed": (GZIPPED, b"\0\0\0\xff\xff"),  # blocks without content
}


@pytest.mark.parametrize("part", TRICKLES)
def test_the_deadline_holds_for_the_whole_answer(monkeypatch, part):
    monkeypatch.setattr(polite, "DEADLINE", 0.5)
    monkeypatch.setattr(polite, "ATTEMPTS", 1)
    monkeypatch.setattr(polite, "DELAY", 0)
    head, more = TRICKLES[part]
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            with contextlib.suppress(OSError):
                guest, _ = server.accept()
                with guest:
                    guest.sendall(head)
                    while not over.wait(0.05):
                        guest.sendall(more)

        over = threading.Event()
        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        begin = time.monotonic()
        with polite.Visitor([url], "", [].append, [].append) as visitor:
            with pytest.raises(polite.Blocked, match="not complete after 0.5 s"):
                visitor.page(f"{url}/page")
        assert time.monotonic() - begin < 5
        over.set()
        thread.join()


def test_cookies_are_not_collected(site, visitor):
    site.replies["/page"] = Reply(b"hello", headers={"Set-Cookie": "a=" + "b" * 4000})
    visitor.page(site.url + "/page")
    assert not list(visitor._session.cookies)


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
    site.replies["/Pok%C3%A9"] = b"there"
    for place in ("/Pok\xc3\xa9", "/Pok\xe9", "/Pok%C3%A9"):  # UTF-8, Latin-1, correct
        site.replies["/a"] = Reply(b"", 302, {"Location": place})
        assert visitor.page(site.url + "/a") == "there"
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
    for kind, body in (("gzip", bomb), ("gzip, gzip", gzip.compress(bomb))):
        site.replies["/a.png"] = Reply(body, headers={"Content-Encoding": kind})
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


@pytest.mark.parametrize(
    "body, reason",
    [
        (b"<!DOCTYPE html><title>Not found</title>", "begins with '<!DOCTYPE html>"),
        (b"", "begins with ''"),
        (png()[:200], "broken picture: "),
        (png()[:-40] + bytes(40), "broken picture: "),
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
