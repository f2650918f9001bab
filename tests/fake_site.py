"""A web site for tests, on this machine: answers from a dict, and remembers the guests.

A reply is given for a path, or a list of them, the last of which stays. Hosts are told
apart by name: `url` and `images_url` are the same server under two names.
"""

import collections
import http.server
import io
import os
import threading
import time

import pytest
from PIL import Image, ImageDraw

Reply = collections.namedtuple(
    "Reply", "body status headers wait length cut", defaults=(200, {}, 0, True, None)
)


def png(number=1, size=64):
    """Return the file of a drawn picture: a disc, its colour given by a number."""
    image = Image.new("RGBA", (size, size))
    colour = (number * 71 % 256, number * 151 % 256, number * 37 % 256, 255)
    box = (size // 8, size // 4, size - size // 8, size - 1)
    ImageDraw.Draw(image).ellipse(box, colour, "black")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


class FakeSite:
    """`replies` by path; `asked` counts paths; `guests` are (agent, client port)."""

    def __init__(self):
        self.replies, self.asked = {}, collections.Counter()
        self.guests, self.sent, self.times = [], 0, []
        self.gates = {}  # path -> (reached, opened): an answer that waits for the test
        self._closing = threading.Event()
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # so that a connection can be used again

            def do_GET(self):
                site.answer(self)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *args: None  # guests that leave early
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.images_url = f"http://localhost:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=[0.02])
        self._thread.start()

    def close(self):
        self._closing.set()
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    def answer(self, handler):
        self.asked[handler.path] += 1
        self.times.append(time.monotonic())
        self.guests.append((handler.headers["User-Agent"], handler.client_address[1]))
        if handler.path in self.gates:
            reached, opened = self.gates[handler.path]
            reached.set()
            opened.wait(30)
        reply = self.replies.get(handler.path, Reply(b"nothing here", 404))
        if isinstance(reply, list):
            reply = reply.pop(0) if len(reply) > 1 else reply[0]
        reply = reply if isinstance(reply, Reply) else Reply(reply)
        self._closing.wait(reply.wait)
        size = reply.body if isinstance(reply.body, int) else len(reply.body)
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        if reply.length:
            handler.send_header("Content-Length", str(size))
        else:
            handler.send_header("Connection", "close")
            handler.close_connection = True
        handler.end_headers()
        if isinstance(reply.body, int):  # so many bytes of nothing in particular
            for _ in range(reply.body // 2**16):
                handler.wfile.write(bytes(2**16))
                self.sent += 2**16
        else:
            handler.wfile.write(reply.body[: reply.cut])
        if reply.cut is not None:
            handler.close_connection = True


@pytest.fixture
def site(monkeypatch):
    """A FakeSite with no robots.txt, which the visitors may ask without waiting."""
    from pokeutils.data.scraping import polite

    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(os, "fsync", lambda file: None)  # hundreds of small files
    monkeypatch.setattr(polite, "DELAY", 0)
    monkeypatch.setattr(polite, "BACK_OFF", 0)
    site = FakeSite()
    yield site
    site.close()
