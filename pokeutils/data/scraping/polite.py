"""A polite visitor to web sites, who trusts nothing that a site sends.

It says who it is, obeys robots.txt, waits between requests, asks again only where that
can help, and leaves when a site puts up a challenge page: that is a no.
"""

import collections
import contextlib
import http.cookiejar
import math
import time
import urllib.parse

import pokeutils
from pokeutils.common import env, files, images
from pokeutils.data.download import SourceUnavailable, within

NAME = "pokeutils"  # what robots.txt may call us by
PROTEGO = "protego==0.7.*"

DELAY = 2.0  # seconds between requests; more where robots.txt asks for more
TIMEOUT = 20  # seconds without a byte
DEADLINE = 120  # seconds for one whole answer, from looking up the name on
ATTEMPTS = 4
BACK_OFF = 5.0  # seconds before asking again; then twice, then four times as long
MAX_WAIT = 600  # seconds; a site that asks for more is left alone for today

MAX_BODY = 8 * 2**20  # bytes, unpacked; the largest page or picture is under 2 MB
MAX_REDIRECTS = 5
MAX_RULES = 1000  # lines of robots.txt; reading takes (user agents x rules) time
MIN_SIDE = 16  # px; what is smaller is a placeholder
SMALL_PAGE = 15_000  # bytes; challenge pages have about 6,000

REDIRECTS = (301, 302, 303, 307, 308)
FIELDS = ("user", "allow", "dis", "dia", "crawl", "request", "visit")  # of its rules
CHALLENGES = (
    *(b"_Incapsula_Resource", b"Pardon Our Interruption", b"Incapsula incident"),
    *(b"cf_chl_opt", b"__cf_chl", b"Just a moment..."),
)
# How a file begins, and the suffix it gets, whatever its address says.
KINDS = {b"\x89PNG\r\n\x1a\n": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif"}

Answer = collections.namedtuple("Answer", "status headers body")
Kept = collections.namedtuple("Kept", "path sha256 bytes")


class Blocked(SourceUnavailable):
    """The site does not want to be asked any further; says how it said so."""


class Missing(Exception):
    """The site says that there is nothing at an address, and will say so again."""


class Failed(Exception):
    """Nothing that can be kept came from an address, this time."""


class Unanswered(Failed):
    """No answer came from an address, or only excuses, after several attempts."""


class Visitor:
    """A guest on one web site, who asks for one thing at a time and waits in between.
    `origins` are the only "https://host" that are ever asked, also after redirects.
    `contact` (an address of yours) goes into the User-Agent. Blocked means that the run
    must end; Missing and Failed concern one address only."""

    def __init__(self, origins, contact="", progress=print, sleep=time.sleep):
        env.need("protego", PROTEGO, progress)
        if not (contact.isascii() and contact.isprintable()):
            raise ValueError(f"contact {contact!r} must be plain ASCII on one line.")
        self.origins, self.progress, self.sleep = tuple(origins), progress, sleep
        self.delay = DELAY  # seconds before the next request
        self._robots, self._last_answer = {}, -math.inf
        purpose = "; ".join(filter(None, ["pictures for private study", contact]))
        self._agent = f"{NAME}/{pokeutils.__version__} ({purpose})"
        self._begin()

    def _begin(self):
        """Opens a session, the first one or after one that hangs."""
        import requests

        self._session = requests.Session()
        self._session.headers = {"User-Agent": self._agent, "Accept-Encoding": "gzip"}
        # requests would read the body of a redirect on its own, and without a limit.
        self._session.get_redirect_target = lambda answer: None
        # No cookies: a site could send more and more of them.
        self._session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy((), ()))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._session.close()

    def page(self, url):
        """Returns the text at `url`. Raises Blocked, Missing or Failed."""
        return text(self._get(url))

    def picture(self, url, path):
        """Saves the picture at `url` as `path` plus the suffix of its kind: a Kept.
        Raises Blocked, Missing, or Failed unless it decodes and is no placeholder."""
        body = self._get(url)
        suffixes = [suffix for start, suffix in KINDS.items() if body.startswith(start)]
        if not suffixes:
            start = body[:24].decode("ascii", "replace").strip()
            raise Failed(f"not a PNG, JPEG or GIF (it begins with {start!r})")

        path = path.with_name(path.name + suffixes[0])
        with files.atomic(path) as temporary:
            temporary.write_bytes(body)
            try:
                height, width = images.read(temporary).shape[:2]
            except ValueError as error:
                raise Failed(f"broken picture: {error}") from None
            if max(height, width) < MIN_SIDE:
                raise Failed(f"{width} x {height} px: a placeholder")
        return Kept(path, files.sha256(body), len(body))

    def _get(self, url):
        """Returns the body at `url`, where robots.txt allows to ask for it."""
        answer = self._follow(url, obey=True)
        if answer.status == 200:
            return answer.body
        if answer.status in (404, 410):
            raise Missing(f"HTTP status {answer.status}")
        if answer.status in (401, 403, 451):
            raise Blocked(f"{url} was refused with HTTP status {answer.status}.")
        raise Failed(f"HTTP status {answer.status}")

    def _follow(self, url, obey):
        """Returns the Answer at the end of a few redirects."""
        for _ in range(MAX_REDIRECTS + 1):
            try:
                parts = urllib.parse.urlsplit(url)
            except ValueError:
                raise Failed(f"{url!r} is not a web address") from None
            origin = f"{parts.scheme}://{parts.netloc}"
            if origin not in self.origins:
                allowed = ", ".join(self.origins)
                raise Failed(f"{url} leads away from {allowed}: not followed")
            rules, delay = self.robots(origin) if obey else (None, DELAY)
            if rules and not rules.can_fetch(url, NAME):
                raise Failed(f"{origin}/robots.txt forbids {url}")
            self.delay = delay
            answer = self._persist(url, delay)
            # UTF-8 or Latin-1, as pages are, and read as Latin-1 by the library.
            place = text(answer.headers.get("Location", "").encode("latin-1"))
            if answer.status not in REDIRECTS or not place:
                return answer
            with contextlib.suppress(ValueError):
                place = urllib.parse.urljoin(url, place)
            url = place
        raise Failed(f"redirected more than {MAX_REDIRECTS} times")

    def robots(self, origin):
        """Returns what robots.txt says, asked for once: (protego.Protego, seconds to
        wait between requests). By RFC 9309, a client error such as 404 means that there
        are no rules; where it cannot be had, nothing may be asked for: raises Blocked.
        """
        if origin not in self._robots:
            url = f"{origin}/robots.txt"
            try:
                answer = self._follow(url, obey=False)
            except Failed as error:
                raise Blocked(
                    f"{url} cannot be read ({error}); until it can, nothing may be "
                    "fetched from there (RFC 9309)."
                ) from None
            if answer.status != 200 and not 400 <= answer.status < 500:
                raise Blocked(f"{url} cannot be read: HTTP status {answer.status}.")
            body = answer.body if answer.status == 200 else b""
            self._robots[origin] = _parse_robots(url, text(body))
        return self._robots[origin]

    def _persist(self, url, delay):
        """Returns the Answer to a request, made again after 429, 5xx and timeouts."""
        wait = delay
        for attempt in range(ATTEMPTS):
            rest = self._last_answer + wait - time.monotonic()
            if rest > 0:
                self.sleep(rest)
            try:
                answer = self._ask(url)
            except Unanswered as error:
                reason, asked = str(error), 0
            else:
                _refuse_challenge(url, answer)
                if answer.status != 429 and answer.status < 500:
                    return answer
                reason = f"HTTP status {answer.status}"
                asked = retry_after(answer.headers.get("Retry-After"))
            finally:
                self._last_answer = time.monotonic()

            if asked > MAX_WAIT:
                raise Blocked(f"{url}: {reason}, come back in {asked / 60:.0f} min.")
            wait = max(delay, asked, BACK_OFF * 2**attempt)
            if attempt < ATTEMPTS - 1:
                self.progress(f"{url}: {reason}; asking again in {wait:.0f} s")
        if reason == "HTTP status 429":
            raise Blocked(f"{url}: the site asks for fewer requests ({reason}).")
        raise Unanswered(f"{reason}, {ATTEMPTS} times")

    def _ask(self, url):
        """Returns the Answer to one request. Raises Unanswered or Failed."""
        import requests
        import urllib3

        try:
            return within(DEADLINE, self._receive, self._session, url)
        except TimeoutError:
            self._begin()
            raise Unanswered(f"not complete after {DEADLINE} s") from None
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            raise Unanswered(f"no answer in {TIMEOUT} s") from None
        except (requests.ConnectionError, urllib3.exceptions.ProtocolError) as error:
            raise Unanswered(f"no whole answer: {_root(error)}") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise Failed(f"no usable answer: {_root(error)}") from None

    def _receive(self, session, url):
        options = {"stream": True, "allow_redirects": False, "timeout": TIMEOUT}
        with session.get(url, **options) as answer:
            body = _read_limited(answer)
            return Answer(answer.status_code, answer.headers, body)


def _read_limited(answer):
    """Returns the body of a response, unpacked. Raises Failed beyond MAX_BODY bytes."""
    length = answer.headers.get("Content-Length", "")
    if length.isdecimal() and len(length) < 20 and int(length) > MAX_BODY:
        raise Failed(f"{int(length) >> 20} MB; at most {MAX_BODY >> 20} MB")
    body = bytearray()
    while part := answer.raw.read1(2**16, decode_content=True):
        body += part
        if len(body) > MAX_BODY:
            raise Failed(f"cut off at {MAX_BODY >> 20} MB, with no end")
    return bytes(body)


def _parse_robots(url, content):
    """Returns what `robots` does. Raises Blocked for more rules, or a longer wait, than
    there is patience for."""
    import protego

    lines = content.splitlines()
    count = sum(line.strip().lower().startswith(FIELDS) for line in lines)
    if count > MAX_RULES:
        raise Blocked(f"{url} has {count} rules; more than {MAX_RULES} are not read.")
    rules = protego.Protego.parse(content)
    rate = rules.request_rate(NAME)
    # An integer may have more digits than a float can hold.
    per_request = min(rate.seconds // rate.requests, 10**9) if rate else 0
    delay = max(DELAY, rules.crawl_delay(NAME) or 0, per_request)
    if delay > MAX_WAIT:
        raise Blocked(f"{url} asks for {delay:.0f} s between requests.")
    return rules, delay


def _refuse_challenge(url, answer):
    """Raises Blocked for the wall of a bot filter (Imperva, Cloudflare)."""
    # A page that was let through may carry the filter's script too, but is larger.
    real_page = answer.status == 200 and len(answer.body) >= SMALL_PAGE
    marked = any(mark in answer.body for mark in CHALLENGES) and not real_page
    if marked or answer.headers.get("cf-mitigated") == "challenge":
        raise Blocked(
            f"{url} answered with a challenge page (HTTP status {answer.status}): the "
            "site lets people in, not programs."
        )


def retry_after(value):
    """Returns the seconds that a Retry-After header asks for, a number or an HTTP date,
    at most a day; 0 where it says nothing."""
    import urllib3

    try:
        seconds = urllib3.Retry().parse_retry_after(value)
    except (TypeError, ValueError, OverflowError, urllib3.exceptions.HTTPError):
        return 0
    return min(seconds, 24 * 3600)


def text(body):
    """Decodes a page: UTF-8 where it is that, else the Latin-1 of older sites. What a
    page says about itself is not asked: it is sometimes wrong."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")


def _root(error):
    """Returns the innermost reason of an exception, without the addresses around it."""
    while error.args and isinstance(error.args[0], Exception):
        error = error.args[0]
    error = getattr(error, "reason", error)
    return str(error.args[0])[:200] if error.args else type(error).__name__
