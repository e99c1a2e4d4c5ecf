"""Pages and feeds fetched from their addresses: on request, bounded, and never led to what only this machine can reach."""

from __future__ import annotations

import gzip
import ipaddress
import pickle
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import httpcore
import pytest
from conftest import FakeEncoder
from helpers import build

import semsearch
from semsearch.articles import SourceFile, addresses, fetch, find, load, read
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


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that answers what it likes, byte by byte if it likes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    try:
                        connection.recv(65_536)
                        answer(connection)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


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


def test_addresses_that_differ_are_not_one(site, tmp_path):
    root, pages = site
    names = ["/a", "/a/", "/b/c", "/b//c", "/b/c?", "/b/./c"]
    for name in names:
        pages[name] = html()
    sources = [root + name for name in names]
    assert [file.source for file in find(sources).files] == sorted({root + name for name in names if name != "/b/c?"})
    assert build(sources, tmp_path / "index")[0].added == 5
    # Named by itself it is what it was, and the others stay.
    report, _ = build([f"{root}/a/"], tmp_path / "index")
    assert (report.unchanged, report.changed, report.articles) == (1, 0, 5)
    assert semsearch.remove(f"{root}/a", tmp_path / "index") == 1
    with semsearch.open(tmp_path / "index", encoder=FakeEncoder()) as index:
        (hit,) = index.search("goat bridge")
        sources = {hit.source, *(place.source for place in hit.duplicates)}
        assert sources == {root + name for name in ("/a/", "/b/c", "/b//c", "/b/./c")}


def test_an_address_is_taken_out_however_it_is_written(site, tmp_path):
    root, pages = site
    entries = "".join(f"<item><title>Goat {number}</title><description>On a bridge</description></item>" for number in (1, 2, 3))
    pages["/feed"] = (
        200,
        {"Content-Type": "application/rss+xml"},
        f"<rss version='2.0'><channel>{entries}</channel></rss>".encode(),
    )
    pages["/page"] = html()
    loud = root.replace("http", "HTTP")
    for name in (f"{loud}/page#part", f"{loud}/page#2"):
        build([name], tmp_path / "index")
        assert semsearch.remove(name, tmp_path / "index") == 1
    build([f"{loud}/feed#top"], tmp_path / "index")
    with pytest.raises(InputError, match="is not in the index"):
        semsearch.remove(f"{root}/feed#4", tmp_path / "index")
    # Neither is an address below a folder, wherever the index is.
    with pytest.raises(InputError, match="is not in the index"):
        semsearch.remove(str(tmp_path), tmp_path / "index")
    assert semsearch.remove(f"{loud}/feed#2", tmp_path / "index") == 1
    with semsearch.open(tmp_path / "index", encoder=FakeEncoder()) as index:
        (hit,) = index.search("goat bridge")
        assert {hit.title, *(place.title for place in hit.duplicates)} == {"Goat 1", "Goat 3"}
    assert semsearch.remove(f"{loud}/feed#top", tmp_path / "index") == 1


def test_nothing_is_said_to_be_kept_of_what_never_came(site, tmp_path):
    root, pages = site
    (tmp_path / "a.txt").write_text("a file beside an address that is dead")
    sources = [f"{root}/dead", str(tmp_path / "a.txt")]
    for _ in range(2):
        report, _ = build(sources, tmp_path / "index")
        assert [problem.reason for problem in report.problems] == ["the server answers 404"]
    pages["/dead"] = html()
    assert build(sources, tmp_path / "index")[0].articles == 2
    del pages["/dead"]
    report, _ = build(sources, tmp_path / "index")
    assert [problem.reason for problem in report.problems] == ["the server answers 404; kept as it was indexed"]


KINDS = [
    ("/p", "text/html", b"<title>t</title><p>The ferry", "html"),
    ("/p", "text/html; charset=utf-8", b"<!-- " + b"x" * 3000 + b" --><!DOCTYPE html><html><body>", "html"),
    ("/p", "text/html", b"<html><body>how a feed begins: <pre>&lt;rss <rss version", "html"),
    ("/p", "text/html", b"<?xml version='1.0'?><rss version='2.0'>", "feed"),
    ("/p", "application/rss+xml", b"<!-- " + b"x" * 3000 + b" --><rss version='2.0'>", "feed"),
    ("/p", "application/atom+xml", b"<!doctype html><html><title>not found", "html"),
    ("/p", "application/xml", b"<feed xmlns='http://www.w3.org/2005/Atom'>", "feed"),
    ("/p", "text/markdown; charset=utf-8", b"# Ferries\n\n```\n<html><head>\n```", "markdown"),
    ("/p.txt", "TEXT/CSV", b"title,text\na,b", "csv"),
    ("/p", "text/plain", b"write <html> first", "text"),
    ("/p", "text/plain", b"\n<!doctype html><title>a page", "html"),
    ("/p.md", "text/plain", b"# a\n\n<html>", "markdown"),
    ("/p.pdf", "text/plain", b"there was a file here", "text"),
    ("/p.jsonl?raw=1", "application/octet-stream", b'{"text": "a"}', "jsonl"),
    ("/p.md", "", b"# a", "markdown"),
    ("/", "", b"a host may be named as a file is", "text"),
    ("/p.html", "text/html", b"%PDF-1.7", "pdf"),
    ("/p", "text/plain; charset=iso-8859-1", b"%PDF-1.7 \xe4", "pdf"),
    ("/p", "application/pdf", b"\0\0junk %PDF-1.7", "pdf"),
    ("/p", "application/pdf", b"<!doctype html><title>log in", "html"),
    ("/p", "application/epub+zip", b"PK\x03\x04 of whatever order", "epub"),
    ("/p", "application/octet-stream", b"PK\x03\x04 and application/epub+zip", "epub"),
]


@pytest.mark.parametrize(("path", "told", "data", "kind"), KINDS)
def test_the_kind_is_what_the_server_says_where_no_mark_tells(path, told, data, kind):
    content = fetch._content(data, told, "http://example.rest" + path, "http://example.rest/")
    assert (content.kind, bytes(content)[-4:]) == (kind, data[-4:])
    # So it comes to the process in which some kinds are read.
    assert pickle.loads(pickle.dumps(content)).kind == kind


def test_the_kind_is_known_to_the_reader(site):
    root, pages = site
    pages["/fragment"] = 200, {"Content-Type": "text/html"}, b"<title>Ferry</title><p>The ferry was <b>sold</b> in May.</p>"
    pages["/rows"] = 200, {"Content-Type": "text/csv"}, b"title,text\nFerry,It was sold\nGoat,It crossed"
    pages["/notes"] = 200, {"Content-Type": "text/markdown"}, b"# Ferry\n\nIt was *sold*"
    pages["/moved"] = 301, {"Location": "/rows"}, b""
    pages["/rows.csv.gz"] = 200, {"Content-Type": "application/gzip"}, gzip.compress(pages["/rows"][2])
    said = {}
    for path in pages:
        (file,) = find([root + path]).files
        said[path] = [(item.title, item.blocks[-1].text) for item in read(file, load(file)) if isinstance(item, Article)]
    rows = [("Ferry", "It was sold"), ("Goat", "It crossed")]
    assert said == {
        "/fragment": [("Ferry", "The ferry was sold in May.")],
        "/rows": rows,
        "/notes": [("Ferry", "It was sold")],
        "/moved": rows,
        "/rows.csv.gz": rows,
    }


RUSSIAN = (
    '<?xml version="1.0" encoding="windows-1251"?><rss version="2.0"><channel><title>Новости</title><item><title>Паром</title>'
    "<link>/posts/1?a=1&amp;b=2</link><description>Паром продан</description></item></channel></rss>"
)


@pytest.mark.parametrize("told", ["application/rss+xml; charset=windows-1251", "text/xml", "text/xml; charset=ISO-8859-5"])
def test_a_feed_is_read_in_the_encoding_that_the_server_says(site, told):
    root, pages = site
    encoding = told.partition("charset=")[2] or "windows-1251"
    pages["/news/feed"] = 200, {"Content-Type": told}, RUSSIAN.encode(encoding)
    (file,) = find([f"{root}/news/feed"]).files
    (article,) = read(file, load(file))
    assert isinstance(article, Article)
    assert (article.title, article.metadata["feed"], article.blocks[0].text) == ("Паром", "Новости", "Паром продан")
    # The address of an entry is whole.
    assert article.metadata["url"] == f"{root}/posts/1?a=1&b=2"


def test_relative_links_start_where_the_feed_stands_at_last_or_says():
    def based(data: bytes) -> bytes:
        return bytes(fetch._content(data, "application/atom+xml", "http://x.org/a?b&c", "http://y.org/"))

    assert based(b"<!-- <feed> --><?xml?>\n<!DOCTYPE feed><feed>") == (
        b'<!-- <feed> --><?xml?>\n<!DOCTYPE feed><feed xml:base="http://x.org/a?b&amp;c">'
    )
    for left in (b"<feed xml:base='/b'><entry>", b"<feeds>", "<feed>".encode("utf-16"), b"<!-- <rss>", b"<?a?>" * 400):
        assert based(left) == left


@pytest.mark.parametrize(
    ("told", "data", "text"),
    [
        ("text/plain; charset=iso-8859-1", "“naïve”".encode("cp1252"), "“naïve”"),
        ("text/plain; charset=us-ascii", "“naïve” Größe".encode(), "“naïve” Größe"),
        ("text/html; charset=utf-8", b"<meta charset=latin1><p>caf\xc3\xa9", "<meta charset=latin1><p>café"),
        ("text/html; charset=UTF-16LE", "<p>Größe".encode("utf-16-le"), "<p>Größe"),
        ("text/plain; charset=gb2312", "東京鎔".encode("gbk"), "東京鎔"),
        ("text/plain; charset=shift_jis", "東京①".encode("cp932"), "東京①"),
    ],
)
def test_text_is_decoded_as_the_server_says(told, data, text):
    content = fetch._content(data, told, "http://x.org/", "http://x.org/")
    assert bytes(content) == b"\xef\xbb\xbf" + text.encode()
    (article,) = read(find(["http://x.org/"]).files[0], content)
    assert isinstance(article, Article)
    assert article.blocks[0].text == text.rpartition(">")[2]


@pytest.mark.parametrize(
    ("told", "data"),
    [
        ("text/plain; charset=ISO-8859-1", b"%PDF-1.7 \xe4"),
        ("text/html; charset=ISO-8859-1", b"PK\x03\x04\xe4"),
        ("text/plain; charset=ISO-8859-1", b"\x89PNG\0\xe4"),
        ("text/plain; charset=ISO-8859-1", "\ufeffGröße".encode("utf-16")),
        ("text/plain; charset=utf-8", b"Gr\xf6\xdfe"),
        ("text/plain; charset=punycode", b"ab-cd"),
        ("text/plain; charset=rot13", b"ab-cd"),
        ("text/plain; charset=utf-7", b"a +AGE- b"),
        ("text/plain; charset=none-such", b"ab"),
        ("message/rfc822; charset=utf-8", b"Subject: a\n\nb"),
    ],
)
def test_what_is_no_text_of_the_encoding_that_the_server_says_is_left_as_it_is(told, data):
    assert bytes(fetch._content(data, told, "http://x.org/", "http://x.org/")) == data


def test_a_package_is_read_whatever_the_server_calls_it(site):
    root, pages = site
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr("META-INF/container.xml", '<container><rootfiles><rootfile full-path="a.opf"/></rootfiles></container>')
        archive.writestr(
            "a.opf", '<package><manifest><item id="a" href="a.html"/></manifest><spine><itemref idref="a"/></spine></package>'
        )
        archive.writestr("a.html", "<html><body><p>The goat of the book was called Größe.</p></body></html>")
    pages["/book"] = 200, {"Content-Type": "text/plain; charset=ISO-8859-1"}, packed.getvalue()
    (file,) = find([f"{root}/book"]).files
    assert [item.blocks[0].text for item in read(file, load(file)) if isinstance(item, Article)] == [
        "The goat of the book was called Größe."
    ]


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
        "http://127.0.0.1:1/",
        root.replace("127.0.0.1", "localhost"),
    ):
        pages["/out"] = 302, {"Location": private}, b""
        assert "is on this machine or in its own network: it is not followed" in refused(f"{root}/out")
    pages["/file"] = 302, {"Location": "file:///etc/passwd"}, b""
    assert refused(f"{root}/file").startswith("not an address of a page")
    pages["/round"] = 302, {"Location": "/round"}, b""
    assert refused(f"{root}/round") == "more than 5 redirects"


def test_a_name_cannot_mean_another_address_a_moment_later(site, monkeypatch):
    root, pages = site
    asked = []
    port = int(root.rpartition(":")[2])
    public = "93.184.216.34"

    real = socket.getaddrinfo

    def look_up(host, port, *arguments, **options):
        if host == "127.0.0.1":
            return real(host, port, *arguments, **options)
        asked.append((host, port))
        if host == "intranet":
            return [(2, 1, 6, "", ("10.0.0.1", port)), (2, 1, 6, "", ("127.0.0.1", port))]
        return [(2, 1, 6, "", (public if asked.count((host, port)) == len(asked) == 1 else "127.0.0.1", port))]

    connect = httpcore.SyncBackend.connect_tcp

    def connected(self, host, port, *arguments, **options):
        if host == "10.0.0.1":
            raise httpcore.ConnectError("nobody there")
        assert host == public or asked[0][0] == "intranet"
        return connect(self, "127.0.0.1", port, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connected)
    # To the same port one comes back to what was found at first.
    pages["/a"] = 302, {"Location": "/b"}, b""
    pages["/b"] = html()
    assert fetch.fetch(f"http://evil.example:{port}/a").kind == "html"
    assert asked == [("evil.example", port)]
    # Another port is another server, which may be none for all.
    asked.clear()
    pages["/a"] = 302, {"Location": "http://evil.example:1/"}, b""
    assert "leads to evil.example, which is on this machine" in refused(f"http://evil.example:{port}/a")
    assert asked == [("evil.example", port), ("evil.example", 1)]
    # A page of one's own network that was named, by whichever of its addresses answers.
    asked.clear()
    assert fetch.fetch(f"http://intranet:{port}/b").kind == "html"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *[(address, True) for address in ("93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822")],
        *[
            (address, False)
            for address in (
                "127.0.0.1",
                "::ffff:127.0.0.1",
                "fe80::1%eth0",
                "224.0.0.1",
                "192.168.1.1",
                "::",
                "::1",
                "100.64.0.1",
            )
        ],
        *[(address, False) for address in ("64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "64:ff9b::e000:1", "fec0::1")],
        *[(address, False) for address in ("2002:7f00:1::", "2001:0:1::80ff:fffe", "::7f00:1", "::ffff:0:7f00:1", "fd00::1")],
    ],
)
def test_which_addresses_are_public(address, public):
    assert addresses.is_public(address) is public


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "::1"])
def test_addresses_of_this_machine_are_its_own(address):
    if address == "::1" and not addresses._binds(ipaddress.ip_address(address)):
        pytest.skip("no IPv6 here")
    assert addresses.is_own(address)


@pytest.mark.parametrize("address", ["192.0.2.7", "::ffff:192.0.2.7", "64:ff9b::c000:207", "2001:db8::7"])
def test_addresses_that_nobody_has_are_not_this_machines(address):
    assert not addresses.is_own(address)


OWN = "93.184.216.34"
SECOND = "93.184.216.99"
OWN_6 = "2606:2800:220:1::5"


def one_interface(monkeypatch: pytest.MonkeyPatch, *, binds_any: bool = False) -> None:
    """Simulate a machine with public addresses: two of IPv4 in one network, and one of IPv6."""
    mine = [ipaddress.ip_address(address) for address in (OWN, SECOND, OWN_6)]
    monkeypatch.setattr(addresses, "_binds", lambda address: binds_any or address in mine)
    # Linux reaches a further address of a network from the first one.
    monkeypatch.setattr(addresses, "_source_to", lambda address: mine[2 if address.version == 6 else 0])


@pytest.mark.parametrize(
    ("address", "own"),
    [
        (OWN, True),
        (SECOND, True),
        (OWN_6, True),
        (f"::ffff:{OWN}", True),
        (f"::ffff:{SECOND}", True),
        ("64:ff9b::5db8:d822", True),
        ("64:ff9b::5db8:d863", True),
        ("2606:2800:220:1:ffff::9", True),
        ("2606:2800:220:2::5", False),
        ("93.184.216.35", False),
        ("::ffff:93.184.216.35", False),
        ("64:ff9b::5db8:d823", False),
    ],
)
def test_which_public_addresses_are_own(monkeypatch, address, own):
    one_interface(monkeypatch)
    assert addresses.is_public(address)
    assert addresses.is_own(address) is own


def test_a_system_that_binds_any_address_still_leads_somewhere(monkeypatch):
    one_interface(monkeypatch, binds_any=True)
    assert [addresses.is_own(address) for address in (OWN, OWN_6, "93.184.216.35", "2606:2800:220:2::5")] == [
        True,
        True,
        False,
        False,
    ]


def test_an_address_that_is_out_of_reach_is_nobodys(monkeypatch):
    def unreachable(*arguments):
        raise OSError("address family not supported")

    monkeypatch.setattr(socket, "socket", unreachable)
    assert not addresses.is_own(OWN)
    assert not addresses.is_own(OWN_6)


@pytest.mark.parametrize("target", [OWN, SECOND, f"[{OWN_6}]", f"[::ffff:{OWN}]", "[64:ff9b::5db8:d822]", "mine.example"])
def test_no_redirect_leads_to_a_public_address_of_this_machine(site, monkeypatch, target):
    root, pages = site
    one_interface(monkeypatch)
    real = socket.getaddrinfo

    def look_up(host, port, *arguments, **options):
        if host == "mine.example":
            return [(2, 1, 6, "", (OWN, port)), (10, 1, 6, "", (OWN_6, port, 0, 0))]
        return real(host, port, *arguments, **options)

    connected = []
    connect = httpcore.SyncBackend.connect_tcp

    def recorded(self, host, port, *arguments, **options):
        connected.append(host)
        return connect(self, "127.0.0.1", int(root.rpartition(":")[2]), *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", recorded)
    pages["/out"] = 302, {"Location": f"http://{target}:81/"}, b""
    assert "is on this machine or in its own network: it is not followed" in refused(f"{root}/out")
    assert connected == ["127.0.0.1"]
    # Named by the user it is asked, and only at the port that was named.
    pages["/"] = html()
    connected.clear()
    assert fetch.fetch(f"http://{target}:81/").kind == "html"
    assert "is on this machine or in its own network" in refused(f"http://{target}:82/out")
    assert len(connected) == 2


def test_of_a_named_host_its_own_addresses_count_like_private_ones(monkeypatch):
    one_interface(monkeypatch)
    found_addresses = [OWN, "10.0.0.1", "93.184.216.35"]
    monkeypatch.setattr(fetch, "_looked_up", lambda *arguments: found_addresses)
    network = fetch._Network("http://several.example/", time.monotonic() + 5)
    assert network._allowed("several.example", 80) == ["93.184.216.35"]
    assert network._allowed("several.example", 81) == ["93.184.216.35"]
    found_addresses.pop()
    network = fetch._Network("http://several.example/", time.monotonic() + 5)
    assert network._allowed("several.example", 80) == [OWN, "10.0.0.1"]
    assert network._allowed("several.example", 81) == []


PUBLIC_MACHINE = """
set -e
ip link set lo up
ip link add near type veth peer name far
ip link set near up
ip link set far up
ip addr add 93.184.216.34/32 dev lo
ip addr add 8.8.4.5/24 dev near
ip addr add 8.8.4.6/24 dev near
ip route add default via 8.8.4.1
ip addr add 2a01:4f8:1:2::5/128 dev lo
ip addr add 2a02:4f8:1:2::5/64 dev near nodad
ip -6 route add default via 2a02:4f8:1:2::1
exec "$@"
"""
ASK_OWN = "from semsearch.articles.addresses import is_own; import sys; print([is_own(address) for address in sys.argv[1:]])"


def test_the_system_tells_its_own_addresses():
    own = ["93.184.216.34", "8.8.4.5", "8.8.4.6", "::ffff:8.8.4.6", "64:ff9b::808:406", "2a01:4f8:1:2::5", "2a02:4f8:1:2::5"]
    others = ["8.8.4.7", "1.1.1.1", "::ffff:1.1.1.1", "2a01:4f8:1:2::6", "2600::1", "64:ff9b::101:101"]
    unshare = shutil.which("unshare")
    if not unshare or not shutil.which("ip"):
        pytest.skip("needs unshare and ip of Linux")
    inside = [unshare, "--user", "--map-root-user", "--net", "sh", "-c", PUBLIC_MACHINE, "sh"]
    ready = subprocess.run([*inside, "true"], capture_output=True, text=True, check=False)
    if ready.returncode:
        pytest.skip(f"no network namespace can be made: {ready.stderr.strip()[:200]}")
    command = [*inside, sys.executable, "-c", ASK_OWN, *own, "2a02:4f8:1:2::7", *others]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([True] * (len(own) + 1) + [False] * len(others))


def test_a_page_is_bounded_in_bytes_and_in_time(site, monkeypatch):
    root, pages = site
    pages["/big"] = 200, {}, bytes(300_000)
    monkeypatch.setattr(fetch, "MAX_BYTES", 2**18)
    assert refused(f"{root}/big") == "more than 0 MB"
    pages["/bomb"] = 200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(2**19))
    assert "when unpacked" in refused(f"{root}/bomb")
    with monkeypatch.context() as patched:
        patched.setattr(fetch, "SECONDS", 0.0)
        assert refused(f"{root}/big") == "takes more than 0 seconds to be fetched"
    pages["/odd"] = 200, {"Content-Encoding": "br"}, b"x"
    monkeypatch.undo()
    assert refused(f"{root}/odd") == "the server sends it packed as 'br', which was not asked for"
    assert refused("http://127.0.0.1:1/").startswith("cannot be fetched")


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("first", "drop"),
    [(b"", b"H"), (HEAD, b"X: 1\r\n"), (HEAD + b"\r\n", b"x"), (b"", b"HTTP/1.1 100 Continue\r\n\r\n")],
    ids=["status", "headers", "body", "informed"],
)
def test_what_drips_takes_no_more_time_than_there_is(monkeypatch, first, drop):
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(first)
        # Not for ever, where it is not given up in time.
        for _ in range(200):
            if over.wait(0.01):
                return
            connection.sendall(drop)

    monkeypatch.setattr(fetch, "SECONDS", 0.15)
    with serving(drip) as port:
        try:
            assert refused(f"http://127.0.0.1:{port}/") == "takes more than 0.15 seconds to be fetched"
        finally:
            over.set()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch, scheme):
    over = threading.Event()
    monkeypatch.setattr(fetch, "_STEP", 0.05)
    with serving(lambda connection: over.wait(5) and None) as port:
        try:
            assert refused(f"{scheme}://127.0.0.1:{port}/") == "no answer within 0.05 seconds"
        finally:
            over.set()


def test_a_name_that_is_looked_up_for_ever_is_not_waited_for(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(fetch, "SECONDS", 0.05)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: over.wait(5) and [])
    try:
        assert refused("http://slow.example/") == "takes more than 0.05 seconds to be fetched"
    finally:
        over.set()


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
    for name in ("exa mple", "a\0b", "a..b", "a%20b"):
        with pytest.raises(InputError, match="not a name of a host"):
            fetch.normal(f"http://{name}/")


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "httpcore", None)
    with pytest.raises(Missing, match=r'python -m pip install "semsearch\[formats\]"'):
        fetch.fetch("http://127.0.0.1:1/")
