"""Looking at a web address: real requests to a small server on this machine's loopback."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from runbook.facts.http import Site
from runbook.facts.synthetic import _is_stale, virus
from runbook.facts.web import assets_of
from runbook.parameters import WebSettings

if TYPE_CHECKING:
    from collections.abc import Iterator


class Pages(BaseHTTPRequestHandler):
    """Answers well, slowly, drop by drop, or not at all."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # the name that http.server asks for
        if self.path == "/drip":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(100):
                self.wfile.write(b"x")
                time.sleep(0.05)
            return
        if self.path == "/slam":
            self.close_connection = True
            return
        body = f"{self.headers['Host']} {self.path}".encode()
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Stay quiet."""


@pytest.fixture(scope="module")
def settings() -> Iterator[WebSettings]:
    """Return the settings of a server that runs while this module's tests do."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield WebSettings(url="http://pazpaz.test", connect_to=f"127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    server.server_close()


def test_one_connection_serves_several_requests(settings: WebSettings) -> None:
    with Site(settings, timeout_seconds=5, verified=False) as site:
        answers = [site.request("GET", path)[0] for path in ("/a", "/none", "/b")]
    assert [(answer.status, answer.text) for answer in answers] == [
        (200, "pazpaz.test /a"),
        (404, "pazpaz.test /none"),
        (200, "pazpaz.test /b"),
    ]


def test_a_dripping_answer_ends_at_the_deadline(settings: WebSettings) -> None:
    """Each byte comes in time, the whole does not."""
    begun = time.monotonic()
    with Site(settings, timeout_seconds=0.4, verified=False) as site:
        answer, _ = site.request("GET", "/drip")
    assert (answer.status, answer.error) == (0, "no answer in time")
    assert time.monotonic() - begun < 2


def test_a_closed_connection_is_an_answer_and_the_next_request_works(settings: WebSettings) -> None:
    with Site(settings, timeout_seconds=2, verified=False) as site:
        assert site.request("GET", "/slam")[0].error
        assert site.request("GET", "/a")[0].status == 200


def test_nobody_listens() -> None:
    settings = WebSettings(url="https://pazpaz.test", connect_to="127.0.0.1:1")
    with Site(settings, timeout_seconds=2, verified=False) as site:
        assert site.request("GET", "/")[0].error == "connection refused"


@pytest.mark.parametrize(
    ("page", "assets"),
    [
        ('<link rel="stylesheet" href="/a.css"><script src="b.js?v=1" defer></script>', ("/a.css", "/b.js?v=1")),
        ('<script>inline()</script><link rel="icon" href="/i.png">', ()),
        ('<script src="//cdn.example/x.js"></script><script src="https://pazpaz.test/y.js"></script>', ("/y.js",)),
        ('<script src="/a.js"></script>' * 3, ("/a.js",)),
        ("<script src='/unclosed", ()),
    ],
)
def test_assets_of_a_page(page: str, assets: tuple[str, ...]) -> None:
    assert assets_of(page, "https://pazpaz.test/") == assets


def test_the_test_virus_is_the_published_one() -> None:
    """EICAR's file: 68 bytes, with this MD5 (published at eicar.org)."""
    import hashlib  # noqa: PLC0415 (only here)

    assert len(virus()) == 68
    assert hashlib.md5(virus()).hexdigest() == "44d88612fea8a8f36de82e1278abb02f"  # noqa: S324 (the published fingerprint is an MD5)


@pytest.mark.parametrize(
    ("name", "stale"),
    [
        ("runbook-walk-1000-ab12", True),
        ("runbook-walk-1399-ab12.bin", True),
        ("runbook-walk-1400-ab12", False),
        ("runbook-walk-x-ab12", False),
        ("runbook-walk-", False),
        ("Synthetic Canary", False),
    ],
)
def test_leftovers_are_told_by_their_names(name: str, stale: bool) -> None:
    """What a walk that runs now has made is never taken for a leftover."""
    assert _is_stale(name, now=2000) is stale
