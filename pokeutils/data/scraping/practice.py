"""A web site to practise on: it lives in this process, and needs no network.

A scraper meets there what it meets elsewhere: lazy pictures, a folder that robots.txt
closes, a file that is cut short, and an error page that pretends to be a picture.
"""

import functools
import io

import requests
from PIL import Image, ImageDraw

from pokeutils.data import doodles

HOME = "https://zoo.example/"  # nobody can own a name that ends like this (RFC 2606)

_DOODLES = {"bramble": 5, "wisp": 10, "dusk": 24, "pip": 27, "moss": 30, "coral": 20}
_PLACES = [f"/pictures/{name}.png" for name in (*_DOODLES, "wren", "tansy")]
_PLACES += ["/nursery/egg.png"]

ROBOTS = """\
# Programs are welcome. The eggs need their sleep.
User-agent: *
Disallow: /nursery/
Crawl-delay: 0.5

User-agent: greedybot
Disallow: /
"""


def session():
    """Returns a requests.Session for which the site at HOME exists."""
    result = requests.Session()
    result.mount(HOME, _Zoo())
    return result


class _Zoo(requests.adapters.BaseAdapter):
    """Answers requests as a web server would."""

    def send(self, request, **options):
        body = _files().get(request.path_url)
        answer = requests.Response()
        answer.request, answer.url = request, request.url
        answer.status_code, answer.reason = 200, "OK"
        if body is None:
            answer.status_code, answer.reason = 404, "Not Found"
        answer.encoding, answer.raw = "utf-8", io.BytesIO(body or b"")
        return answer

    def close(self):
        pass


@functools.cache
def _files():
    """Returns {path: bytes} of the whole site."""
    line = '<img alt="{}" src="/grey.png" data-src="{}">'
    lines = [line.format(place[1:-4].split("/")[1], place) for place in _PLACES]
    page = ["<!DOCTYPE html>", "<h1>The doodle zoo</h1>", *lines]
    whole = _png(doodles.draw(7))
    return {
        "/": "\n".join(page).encode(),
        "/robots.txt": ROBOTS.encode(),
        "/grey.png": _png(_grey_dot()),
        **{f"/pictures/{n}.png": _png(doodles.draw(k)) for n, k in _DOODLES.items()},
        "/pictures/wren.png": whole[: len(whole) // 2],
        "/pictures/tansy.png": b"<!DOCTYPE html><title>We could not find that</title>",
        "/nursery/egg.png": whole,
    }


def _grey_dot():
    """Returns what a lazy page shows until the picture is there."""
    picture = Image.new("RGBA", (128, 128))
    ImageDraw.Draw(picture).ellipse((40, 40, 87, 87), (190, 190, 190, 255))
    return picture


def _png(picture):
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
