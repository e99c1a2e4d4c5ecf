"""Pages and feeds fetched from their addresses: on request, bounded, and never led to what only this machine can reach."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import FakeEncoder
from helpers import build

import semsearch
from semsearch.articles import SourceFile, fetch, find, load, read
from semsearch.articles.documents import Missing
from semsearch.errors import InputError
from semsearch.records import Article

PAGE = (
    "<html><head><title>Goats</title></head><body><article><h1>Goats</h1><p>The goat that crossed the bridge first was called"
    " {}, and it lived to be nineteen.</p></article></body></html>"
)


class _Pages(BaseHTTPRequestHandler):
    """What stands at some paths. ``pages`` is the test's: path to status, headers and body."""

    pages: dict[str, tuple[int, dict[str, str], bytes]]
    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        status, headers, body = self.pages.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for first in range(0, len(body), 65_536):
            try:
                self.wfile.write(body[first : first + 65_536])
            except OSError:
                return

    def log_message(self, *arguments):
        pass


@pytest.fixture
def site() -> Iterator[tuple[str, dict[str, tuple[int, dict[str, str], bytes]]]]:
    pages: dict[str, tuple[int, dict[str, str], bytes]] = {}
    handler = type("Handler", (_Pages,), {"pages": pages, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", pages
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def html(name: str = "Olga", **headers: str) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "text/html; charset=utf-8", **headers}, PAGE.format(name).encode()


def refused(address: str) -> str:
    with pytest.raises(InputError) as error:
        fetch.fetch(address)
    return str(error.value)


def test_a_page_is_an_article_whose_source_is_its_address(site, tmp_path):
    root, pages = site
    pages["/goats?id=1"] = html()
    address = f"{root}/goats?id=1"
    report, encoded = build([f"{address}#top"], tmp_path / "index")
    assert (report.added, len(encoded)) == (1, 1)
    with semsearch.open(tmp_path / "index", encoder=FakeEncoder()) as index:
        (hit,) = index.search("goat bridge")
        assert (hit.source, hit.path, hit.title, hit.metadata["url"]) == (address, address, "Goats", address)
        # An index may be somebody else's: no address is asked because it says so.
        with pytest.raises(InputError, match="was fetched, and is not fetched again to compare"):
            hit.verify()
    report = semsearch.check(tmp_path / "index", sources=True)
    assert report.citations == {"OK": 0, "MOVED": 0, "STALE": 0}
    pages["/goats?id=1"] = html("Berta")
    # Fetched again only where it is named again; kept beside what else is indexed.
    (tmp_path / "a.txt").write_text("a file of another kind")
    report, _ = build(str(tmp_path / "a.txt"), tmp_path / "index")
    assert (report.articles, report.added, report.removed) == (2, 1, 0)
    report, _ = build([address], tmp_path / "index")
    assert (report.changed, report.articles) == (1, 2)
    del pages["/goats?id=1"]
    report, _ = build([address], tmp_path / "index")
    assert (report.unchanged, report.problems[0].reason) == (1, "the server answers 404; kept as it was indexed")
    assert semsearch.remove(address, tmp_path / "index") == 1


def test_an_index_that_moves_keeps_its_addresses(site, tmp_path):
    root, pages = site
    pages["/"] = html()
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.txt").write_text("a file that moves along with its index")
    build([root, str(tmp_path / "one" / "a.txt")], tmp_path / "one" / "index")
    (tmp_path / "one").rename(tmp_path / "two")
    report, _ = build(str(tmp_path / "two" / "a.txt"), tmp_path / "two" / "index")
    assert (report.unchanged, report.articles) == (1, 2)
    with semsearch.open(tmp_path / "two" / "index", encoder=FakeEncoder()) as index:
        assert {hit.path for hit in index.search("goat file bridge index")} == {f"{root}/", str(tmp_path / "two" / "a.txt")}


def test_what_it_is_is_told_by_what_it_says(site):
    root, pages = site
    feed = b"<rss version='2.0'><channel><title>t</title><item><title>Goat</title><description>On a bridge</description></item>"
    pages["/feed"] = 200, {"Content-Type": "application/rss+xml"}, feed + b"</channel></rss>"
    pages["/notes.md"] = 200, {"Content-Type": "text/plain"}, b"# Notes\n\n*Goats* again"
    pages["/packed"] = 200, {"Content-Type": "text/html", "Content-Encoding": "gzip"}, gzip.compress(PAGE.format("Olga").encode())
    pages["/latin"] = 200, {"Content-Type": "text/html; charset=iso-8859-2"}, PAGE.format("Žofie").encode("iso-8859-2")
    said = {}
    for path in pages:
        (file,) = find([root + path]).files
        (article,) = read(file, load(file))
        assert isinstance(article, Article)
        said[path] = (article.source.removeprefix(root), article.title, article.blocks[-1].text[:60])
    assert said["/feed"] == ("/feed#1", "Goat", "On a bridge")
    assert said["/notes.md"] == ("/notes.md", "Notes", "Goats again")
    assert said["/packed"][1] == "Goats"
    assert "Žofie" in said["/latin"][2]


def test_redirects_are_followed_but_not_to_private_addresses(site):
    root, pages = site
    pages["/old"] = 301, {"Location": "/new"}, b""
    pages["/new"] = html()
    assert fetch.fetch(f"{root}/old").endswith(b"</html>")
    for private in (
        "http://localhost:1/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest",
        "http://[::1]:1/",
        "http://0.0.0.0:1/",
    ):
        pages["/out"] = 302, {"Location": private}, b""
        assert "is on this machine or in its own network: it is not followed" in refused(f"{root}/out")
    pages["/file"] = 302, {"Location": "file:///etc/passwd"}, b""
    assert refused(f"{root}/file").startswith("not an address of a page")
    pages["/round"] = 302, {"Location": "/round"}, b""
    assert refused(f"{root}/round") == "more than 5 redirects"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *[(address, True) for address in ("93.184.216.34", "2606:2800:220:1::1")],
        *[(address, False) for address in ("127.0.0.1", "::ffff:127.0.0.1", "fe80::1%eth0", "224.0.0.1", "192.168.1.1", "::")],
    ],
)
def test_which_addresses_are_public(address, public):
    assert fetch._is_public(address) is public


def test_a_page_is_bounded_in_bytes_and_in_time(site, monkeypatch):
    root, pages = site
    pages["/big"] = 200, {}, bytes(300_000)
    monkeypatch.setattr(fetch, "MAX_BYTES", 2**18)
    assert refused(f"{root}/big") == "more than 0 MB"
    pages["/bomb"] = 200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(2**19))
    assert "when unpacked" in refused(f"{root}/bomb")
    monkeypatch.setattr(fetch, "SECONDS", 0.0)
    assert refused(f"{root}/big") == "takes more than 0 seconds to be fetched"
    pages["/odd"] = 200, {"Content-Encoding": "br"}, b"x"
    monkeypatch.undo()
    assert refused(f"{root}/odd") == "the server sends it packed as 'br', which was not asked for"
    assert refused("http://127.0.0.1:1/").startswith("cannot be fetched")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("HTTP://Example.org", "http://example.org/"),
        ("https://example.org:8080/a b?q=ö#part", "https://example.org:8080/a%20b?q=%C3%B6"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
    ],
)
def test_addresses_are_kept_in_one_form(given, kept):
    assert fetch.normal(given) == kept
    assert find([given]).files == [SourceFile(Path(kept), kept, kept)]


def test_addresses_that_are_none_are_refused():
    with pytest.raises(InputError, match="with a name and password in it"):
        fetch.normal("https://me:secret@example.org/")
    with pytest.raises(InputError, match="not an address"):
        fetch.normal("https://")
    with pytest.raises(InputError, match="not an address"):
        fetch.normal("http://[::1/")


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "httpcore", None)
    with pytest.raises(Missing, match=r'python -m pip install "semsearch\[formats\]"'):
        fetch.fetch("http://127.0.0.1:1/")
