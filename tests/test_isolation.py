"""No document makes its reader read another file, connect to an address, or fill memory: includes, images, entities."""

from __future__ import annotations

import io
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import made
import pytest

from semsearch.articles import SourceFile, documents, read
from semsearch.errors import InputError
from semsearch.records import Article, Problem

# reStructuredText reads no other file.

SECRET = "The treasure is buried below the third oak."
INSERTING = {
    "include": ".. include:: {name}",
    "include as a literal": ".. include:: {name}\n   :literal:",
    "include as code": ".. include:: {name}\n   :code: text",
    "include of some lines": ".. include:: {name}\n   :start-line: 0\n   :parser: rst",
    "literalinclude": ".. literalinclude:: {name}",
    "raw of a file": ".. raw:: html\n   :file: {name}",
    "raw of an address": ".. raw:: html\n   :url: {url}",
    "a table of a file": ".. csv-table:: Numbers\n   :file: {name}",
    "a table of an address": ".. csv-table:: Numbers\n   :url: {url}",
    "an image": ".. image:: {name}",
    "an image of an address": ".. image:: {url}",
    "an image to embed": ".. image:: {name}\n   :loading: embed",
    "an image of an address to embed": ".. image:: {url}\n   :loading: embed",
    "an image of a file's address to embed": ".. image:: file:{path}\n   :loading: embed",
    "a figure to embed": ".. figure:: {name}\n   :loading: embed\n\n   The caption.",
    "a substitution to embed": "Here |it| is.\n\n.. |it| image:: {name}\n   :loading: embed",
    "an image to measure": ".. image:: {name}\n   :scale: 50",
    "a role for raw": ".. role:: html(raw)\n   :format: html\n\n:html:`<object data='{name}'></object><b>raw</b>`",
    "a formula": ".. math::\n\n   \\input{{{name}}}",
    "a formula's role": ":math:`\\input{{{name}}}`",
    "code": ".. code-block:: text\n   :file: {name}",
    "a graph": ".. graphviz:: {name}",
    "a substitution": "Here |it| is.\n\n.. |it| include:: {name}",
}


@pytest.fixture
def private(tmp_path, monkeypatch) -> Path:
    """The working directory and home, of whose files none may be read, and some of which docutils looks for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "secret.txt").write_text(SECRET)
    (tmp_path / "secret.csv").write_text(f"{SECRET},1\n")
    (tmp_path / "secret.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg"><text>{SECRET}</text></svg>')
    conf = "[general]\nfile_insertion_enabled: yes\nraw_enabled: yes\nimage_loading: embed\nstylesheet: secret.txt\n"
    for name in ("docutils.conf", ".docutils"):
        (tmp_path / name).write_text(conf)
    monkeypatch.setenv("DOCUTILSCONFIG", str(tmp_path / "docutils.conf"))
    for name in ("minimal.css", "plain.css", "math.css", "template.txt"):
        (tmp_path / name).write_text(SECRET)
    return tmp_path


_watching: list[str] | None = None
"""Files that were opened and addresses that were connected to, while a test watches."""


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _watching is not None and event in ("open", "os.open", "socket.connect", "socket.getaddrinfo", "subprocess.Popen"):
        _watching.append(f"{event} {arguments[0]} {arguments[1]}")


@pytest.fixture(scope="module", autouse=True)
def _hook() -> None:
    sys.addaudithook(_watch)


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    seen: list[str] = []
    monkeypatch.setattr(sys.modules[__name__], "_watching", seen)
    return seen


def shown(kind: str, data: bytes) -> str:
    """All that a reader gives of a file, in this process; why it refuses it, if it does."""
    try:
        found = list(documents.read(kind, data, {}))
    except InputError as error:
        found = [error]
    return "\n".join(str(item) for item in found)


@pytest.mark.parametrize("suffix", ["txt", "csv", "svg", "png"])
@pytest.mark.parametrize("case", INSERTING)
def test_restructured_text_reads_no_other_file(case, suffix, private, opened):
    shown("rst", b"Title\n=====\n\nWords, so that all is imported: :math:`a`.\n")
    if suffix == "png":
        (private / "secret.txt").rename(private / "secret.png")
    for name in (f"secret.{suffix}", str(private / f"secret.{suffix}")):
        inserting = INSERTING[case].format(name=name, path=private / name, url=f"http://127.0.0.1:9/{name}")
        opened.clear()
        said = shown("rst", f"Title\n=====\n\nBefore it.\n\n{inserting}\n\nAfter it.\n".encode())
        assert "Before it." in said
        assert "After it." in said
        assert "treasure" not in said
        assert not [line for line in opened if str(private) in line or "secret" in line or not line.startswith("open ")]
        assert not [line for line in opened if Path(line.split()[1]).suffix in (".css", ".conf")]


# No XML makes its reader read another file, or fill memory.

LAUGHS = '<!ENTITY l0 "ha ha ha ha ha ">\n' + "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">\n' for n in range(12))
XML = {
    "an external file": ("[\n<!ENTITY it SYSTEM '{folder}/secret.txt'>\n]", "&it;"),
    "a file's address": ("[\n<!ENTITY it SYSTEM 'file://{folder}/secret.txt'>\n]", "&it;"),
    "an external address": ("[\n<!ENTITY it SYSTEM '{url}'>\n]", "&it;"),
    "an external DTD": ("SYSTEM 'file://{folder}/secret.dtd'", "&it;"),
    "a DTD at an address": ("PUBLIC '-//it' '{url}'", "&it;"),
    "a parameter entity": ("[\n<!ENTITY % dtd SYSTEM 'file://{folder}/secret.dtd'>\n%dtd;\n]", "&it;"),
    "a parameter entity at an address": ("[\n<!ENTITY % dtd SYSTEM '{url}'>\n%dtd;\n]", "&it;"),
    "billion laughs": (f"[\n{LAUGHS}]", "&l12;"),
    "quadratic blow-up": (f'[\n<!ENTITY it "{"ha " * 3000}">\n]', "&it;" * 1000),
    "an entity of itself": ('[\n<!ENTITY it "&other;">\n<!ENTITY other "&it;">\n]', "&it;"),
    "XInclude": (
        "",
        "<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='file://{folder}/secret.txt' parse='text'/>",
    ),
}
CORE_OF_ANN = "<cp:coreProperties xmlns:cp='c' xmlns:dc='http://purl.org/dc/elements/1.1/'><dc:creator>Ann</dc:creator>"
PACKED = {
    "docx": made.docx("Words of the letter.", core=f"{CORE_OF_ANN}</cp:coreProperties>"),
    "odt": made.odt("<text:p>Words of the letter.</text:p>"),
    "epub": made.epub(["<h1>One</h1><p>Words of the chapter.</p>"]),
}
PARTS = [
    ("docx", "word/document.xml", "</w:t>"),
    ("docx", "word/_rels/document.xml.rels", "</Relationships>"),
    ("docx", "docProps/core.xml", "</dc:creator>"),
    ("odt", "content.xml", "</text:p>"),
    ("odt", "META-INF/manifest.xml", "</manifest:manifest>"),
    ("epub", "META-INF/container.xml", "</container>"),
    ("epub", "OEBPS/book.opf", "</dc:title>"),
    ("epub", "OEBPS/text/c 0.xhtml", "</p>"),
]
RSS = "<rss version='2.0'><channel><title>Feed</title><item><title>Goat</title><description>Words of it. {it}</description>"
ATOM = "<feed xmlns='http://www.w3.org/2005/Atom'><title>Feed</title><entry><title>Goat {it}</title>"
PAGE = "<html xmlns='http://www.w3.org/1999/xhtml'><head><title>Page</title></head><body><p>Words of it. {it}</p></body></html>"
PLAIN = [
    ("rss", RSS + "<link>{it}</link></item></channel></rss>"),
    ("atom", ATOM + "<content type='html'>Words of it. {it}</content></entry></feed>"),
    ("xhtml", PAGE),
]


def declared(body: str, doctype: str, name: str = "it", encoding: str = "utf-8") -> bytes:
    """XML, with a DOCTYPE where it has one."""
    head = f'<?xml version="1.0" encoding="{encoding}"?>\n' + (f"<!DOCTYPE {name} {doctype}>\n" if doctype else "")
    return (head + body).encode(encoding)


@pytest.fixture
def requests() -> Iterator[list[str]]:
    """Paths that were asked for of the server of `url`, which is the last of them to begin with."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f'<!ENTITY it "{SECRET}">'.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        asked.append(f"http://127.0.0.1:{server.server_port}/it.dtd")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield asked
        server.shutdown()


@pytest.mark.parametrize("case", XML)
def test_xml_reads_nothing_else_and_does_not_grow(case, private, requests):
    url = requests.pop()
    (private / "secret.dtd").write_text(f'<!ENTITY it "{SECRET}">')
    doctype, it = (text.replace("{folder}", str(private)).replace("{url}", url) for text in XML[case])
    files = [(kind, declared(body.replace("{it}", it), doctype, body[1:5].strip())) for kind, body in PLAIN]
    for kind, name, end in PARTS:
        with zipfile.ZipFile(io.BytesIO(PACKED[kind])) as package:
            parts = {part: package.read(part) for part in package.namelist()}
        body = parts[name].decode().partition("?>")[2] or parts[name].decode()
        assert body.count(end) == 1
        files.append((kind, made.zipped(parts | {name: declared(body.replace(end, it + end), doctype)})))
    files += [(kind, declared(body.replace("{it}", it), doctype, encoding="utf-16")) for kind, body in PLAIN[:2]]
    for kind, data in files:
        (found,) = list(read(SourceFile(Path(f"/nowhere/a.{kind}"), f"a.{kind}"), data))
        said = found.reason if isinstance(found, Problem) else f"{found.title} {found.metadata} {[b.text for b in found.blocks]}"
        assert "treasure" not in said
        assert len(said) < 2_000 + 30 * len(it)
        # Office files with a DOCTYPE are refused; in no case is it time or memory that runs out.
        assert "Words of" in said or not said.startswith(("takes ", "cannot be read"))
    assert not requests


def test_a_feed_may_define_short_entities():
    body = PLAIN[0][1].replace("{it}", "&it;")
    (article,) = read(SourceFile(Path("/nowhere/a.rss"), "a.rss"), declared(body, '[\n<!ENTITY it "the goat">\n]', "rss"))
    assert isinstance(article, Article)
    assert article.blocks[0].text == "Words of it. the goat"
