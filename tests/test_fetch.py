"""Pages and feeds fetched from their addresses: on request, bounded, and never led to what only this machine can reach."""

from __future__ import annotations

import gzip
import pickle
import socket
import threading
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
    assert fetch._is_public(address) is public


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
