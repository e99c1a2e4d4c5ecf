"""Documents, books, mail, feeds and tables: text, titles, metadata; what is damaged, encrypted or made to do harm is told."""

from __future__ import annotations

import csv
import gzip
import io
import json
import mailbox
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zipfile
from itertools import pairwise
from pathlib import Path

import made
import pyarrow
import pytest
from conftest import FakeEncoder
from helpers import build, found
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

import semsearch
from semsearch import articles
from semsearch.articles import SourceFile, apart, documents, read
from semsearch.articles.documents import packed
from semsearch.errors import InputError
from semsearch.records import Article, Problem

BRIDGE = "The bridge over the sound was opened on a Sunday, and the first to cross it was a goat."
FERRY = "From that day on the ferry had no passengers but the ferryman himself and his dog."


def items(name: str, data: bytes, columns: dict[str, str] | None = None) -> list[Article | Problem]:
    return list(read(SourceFile(Path("/nowhere") / name, name), data, columns or {}))


def only(name: str, data: bytes) -> Article:
    (article,) = items(name, data)
    assert isinstance(article, Article), article
    return article


def reason(name: str, data: bytes) -> str:
    (problem,) = items(name, data)
    assert isinstance(problem, Problem), problem
    assert problem.source == name
    return problem.reason


def texts(article: Article) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in article.blocks]


CORE = (
    '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" xmlns:dc='
    '"http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/"><dc:title>The Sound</dc:title><dc:creator>Ann'
    "</dc:creator><cp:keywords>bridges, goats</cp:keywords><dcterms:created>2019-05-06T07:08:09Z</dcterms:created>"
    "</cp:coreProperties>"
)
RTF = (
    rb"{\rtf1\ansi\ansicpg1252{\info{\title The Sound}{\author Ann}{\creatim\yr2019\mo5\dy6}}{\fonttbl{\f0 Times;}}"
    rb"\pard\b Opening\b0\par The caf\'e9 stayed open.\par " + BRIDGE.encode() + rb"\par}"
)
FEED = f"""<?xml version="1.0"?><rss version="2.0"><channel><title>News of the Sound</title><link>http://example.org</link>
<description>d</description><item><title>Goat &amp;amp; bridge</title><link>http://example.org/1</link><category>bridges</category>
<pubDate>Mon, 02 Mar 2020 10:00:00 GMT</pubDate><description>&lt;p&gt;{BRIDGE}&lt;/p&gt;&lt;script&gt;steal()&lt;/script&gt;
</description></item><item><title>Only a title here</title></item></channel></rss>"""
ATOM = f"""<feed xmlns="http://www.w3.org/2005/Atom"><title>Sound</title><entry><title>Goat</title>
<updated>2020-03-02T10:00:00Z</updated><link href="http://example.org/2"/><author><name>Ann</name></author>
<content type="html">&lt;p&gt;{FERRY}&lt;/p&gt;</content></entry>
</feed>"""
RST = f"""
=========
The Sound
=========

:Author: Ann
:Date: 2019-05-06

Opening
=======

{BRIDGE} See :ref:`the ferry <ferry>` and :meth:`~bridge.Bridge.open`.

.. note::

   {FERRY}

.. include:: /etc/passwd

.. raw:: html

   <b>raw</b>

.. code-block:: python
   :emphasize-lines: 1

   bridge.open()
"""


def test_docx():
    article = only("a.docx", made.docx(f"! The Sound\n# Opening\n{BRIDGE}\n{FERRY}", core=CORE))
    assert article.title == "The Sound"
    assert texts(article) == [("heading", "Opening"), ("paragraph", BRIDGE), ("paragraph", FERRY)]
    assert article.metadata == {"author": "Ann", "tags": ["bridges", "goats"], "date": "2019-05-06T07:08:09Z"}
    table = "<w:tbl>" + "".join(
        "<w:tr>" + "".join(f"<w:tc><w:p><w:r><w:t>{cell}</w:t></w:r></w:p></w:tc>" for cell in row.split()) + "</w:tr>"
        for row in ("ship cargo", "Aurora cork")
    )
    assert ("table", "ship | cargo\nAurora | cork") in texts(only("b.docx", made.docx(f"<w:p/>{table}</w:tbl>")))


def test_epub():
    chapters = [f"<h1>One</h1><p>{BRIDGE}</p>", f'<h1>Two</h1><p>{FERRY}<a id="x"/> It barked.</p><aside>note</aside>']
    article = only("a.epub", made.epub(chapters))
    assert article.title == "The Book"
    assert texts(article) == [
        ("heading", "One"),
        ("paragraph", BRIDGE),
        ("heading", "Two"),
        ("paragraph", f"{FERRY} It barked."),
        ("paragraph", "note"),
    ]
    assert article.metadata == {"author": "Ann Author", "language": "en", "date": "2011-05-06"}


def test_odt():
    body = f'<text:h text:outline-level="1">Opening</text:h><text:p>{BRIDGE}</text:p><text:list><text:list-item><text:p>5-a-day'
    article = only("a.odt", made.odt(f"{body}</text:p></text:list-item></text:list><text:p>{FERRY}</text:p>"))
    assert article.title == "The Report"
    assert texts(article)[:2] == [("heading", "Opening"), ("paragraph", BRIDGE)]
    assert [text for _, text in texts(article)[2:]] == ["- 5-a-day", FERRY]
    assert article.metadata["author"] == "Ann Author"


def test_rtf():
    article = only("a.rtf", RTF)
    assert article.title == "The Sound"
    assert [text for _, text in texts(article)] == ["Opening", "The café stayed open.", BRIDGE]
    assert article.metadata == {"author": "Ann", "date": "2019-05-06"}


def test_rst_reads_what_is_shown_and_no_other_file():
    article = only("a.rst", RST.encode())
    assert article.title == "The Sound"
    assert article.metadata["author"] == "Ann"
    said = [text for _, text in texts(article)]
    assert said[:2] == ["Opening", f"{BRIDGE} See the ferry and bridge.Bridge.open."]
    assert FERRY in said
    assert said[-1] == "bridge.open()"
    assert not any("root:" in text or "raw" in text for text in said)


def test_feeds():
    goat, title_only = items("a.rss", FEED.encode())
    assert isinstance(goat, Article)
    assert (goat.source, goat.title) == ("a.rss#1", "Goat & bridge")
    assert texts(goat) == [("paragraph", BRIDGE)]
    assert goat.metadata == {
        "url": "http://example.org/1",
        "date": "2020-03-02T10:00:00Z",
        "tags": ["bridges"],
        "feed": "News of the Sound",
    }
    assert isinstance(title_only, Article)
    assert texts(title_only) == [("paragraph", "Only a title here")]
    atom = only("a.atom", ATOM.encode())
    assert (atom.title, texts(atom), atom.metadata["author"]) == ("Goat", [("paragraph", FERRY)], "Ann")
    assert reason("b.rss", b"<html><body>no feed</body></html>") == "not an RSS or Atom feed"


def test_mail():
    message = made.mail(
        f"Dear all,\n\n{BRIDGE}\n\nOn Sunday Bob wrote:\n> {FERRY}\n> Bye\n\n-- \nZoë, Bridge Office", attached=["plan.pdf"]
    )
    article = only("a.eml", message.as_bytes())
    assert article.title == "Minutes"
    assert texts(article) == [
        ("paragraph", "Dear all,"),
        ("paragraph", BRIDGE),
        ("paragraph", "On Sunday Bob wrote:"),
        ("quote", f"{FERRY} Bye"),
    ]
    assert article.metadata == {
        "author": "Zoë <zoe@example.org>",
        "to": "all@example.org",
        "date": "2020-03-02T10:00:00+01:00",
        "attachments": ["plan.pdf"],
    }
    html = made.mail(html=f"<p>{BRIDGE}</p><script>x</script><p>{FERRY}</p>")
    assert texts(only("b.eml", html.as_bytes())) == [("paragraph", BRIDGE), ("paragraph", FERRY)]
    wrong = b"Subject: =?no-such-charset?q?x?=\nContent-Type: text/plain; charset=no-such\nDate: never\n\n" + BRIDGE.encode()
    assert texts(only("c.eml", wrong)) == [("paragraph", BRIDGE)]
    assert reason("d.eml", b"Content-Type: multipart/encrypted; boundary=x\n\n--x--") == "an encrypted message"


def test_a_message_that_is_no_text_says_why():
    assert reason("a.eml", b"Subject: x\n\n\xff\0" * 20).startswith("binary file: it has NUL bytes")


def test_a_mailbox_is_an_article_a_message(tmp_path):
    box = mailbox.mbox(tmp_path / "a.mbox")
    for text in (BRIDGE, FERRY):
        box.add(made.mail(f"{text}\n\nFrom here on it rained.\n", subject=text[:10]))
    box.close()
    messages = items("a.mbox", (tmp_path / "a.mbox").read_bytes())
    assert [article.source for article in messages] == ["a.mbox#1", "a.mbox#2"]
    assert [texts(article) for article in messages if isinstance(article, Article)] == [
        [("paragraph", BRIDGE), ("paragraph", "From here on it rained.")],
        [("paragraph", FERRY), ("paragraph", "From here on it rained.")],
    ]
    assert reason("b.mbox", b"no mailbox") == "not a mailbox: it does not begin with a line 'From ...'"


ROWS = [
    {"headline": "Opening", "abstract": f"{BRIDGE}\n\nIt was called Olga.", "year": 1999},
    {"headline": "", "abstract": "", "year": 2000},
    {"headline": "Ferry", "abstract": FERRY, "year": 2001},
]
NAMED = {"text": "abstract", "title": "headline"}


def table(delimiter: str = ",") -> bytes:
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, ROWS[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return written.getvalue().encode("utf-8-sig")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_columns_are_named(delimiter):
    opening, ferry, empty = items("a.csv", table(delimiter), NAMED)
    # Lines of the file: the first row has three of them.
    assert (opening.source, ferry.source) == ("a.csv#2", "a.csv#6")
    assert (opening.title, texts(opening)) == ("Opening", [("paragraph", BRIDGE), ("paragraph", "It was called Olga.")])
    assert ferry.metadata == {"year": "2001"}
    assert empty == Problem("a.csv", "1 rows without text")
    assert reason("b.csv", b"a,b\n1,2\n") == "no column of text: say which with --column text=NAME (there are: a, b)"
    assert texts(only("c.csv", f'Title,BODY\nx,"{BRIDGE}"\n'.encode())) == [("paragraph", BRIDGE)]


def test_parquet_columns_are_named():
    written = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([{**row, "picture": b"\0"} for row in ROWS]), written)
    opening, ferry, empty = items("a.parquet", written.getvalue(), NAMED)
    assert (opening.source, ferry.source, ferry.metadata) == ("a.parquet#1", "a.parquet#3", {"year": 2001})
    assert texts(ferry) == [("paragraph", FERRY)]
    assert empty == Problem("a.parquet", "1 rows without text")
    assert reason("b.parquet", b"PAR1 nothing").startswith("a Parquet file that cannot be read")


def test_keys_of_records_are_named_too():
    line = json.dumps({"headline": "Ferry", "abstract": FERRY, "title": "other"}).encode()
    (article,) = items("a.jsonl", line, NAMED)
    assert (article.title, article.metadata) == ("Ferry", {"title": "other"})
    assert texts(article) == [("paragraph", FERRY)]


@pytest.mark.parametrize("name", ["a.md", "a.html", "a.jsonl", "a.rst", "a.csv"])
def test_any_of_them_may_be_packed(name):
    content = {"a.md": f"# T\n\n{BRIDGE}", "a.html": f"<p>{BRIDGE}</p>", "a.jsonl": json.dumps({"text": BRIDGE}), "a.rst": BRIDGE}
    data = gzip.compress(content.get(name, f'text\n"{BRIDGE}"').encode())
    (article,) = items(f"{name}.gz", data)
    assert [text for kind, text in texts(article) if kind == "paragraph"] == [BRIDGE]
    assert SourceFile(Path(f"/x/{name}.gz"), f"{name}.gz").kind == SourceFile(Path(f"/x/{name}"), name).kind


@given(st.lists(st.binary(max_size=3000).filter(lambda data: not packed.is_gzip(data)), min_size=1, max_size=4), st.integers(1))
def test_gzip_is_unpacked_as_gzip_does_it(members, cut):
    data = b"".join(map(gzip.compress, members))
    assert packed.gunzipped(data, 12_000) == b"".join(members)
    last = gzip.compress(members[-1])
    with pytest.raises(InputError, match=r"it ends too early|cannot be unpacked"):
        packed.gunzipped(data[: -1 - cut % (len(last) - 3)], 12_000)


def test_bombs_are_bounded(monkeypatch):
    monkeypatch.setattr(articles, "MAX_ARTICLE_BYTES", 2**20)
    monkeypatch.setattr(packed, "_MAX_PART", 2**20)
    monkeypatch.setattr(packed, "_MAX_PARTS", 20)
    assert reason("a.md.gz", gzip.compress(bytes(2**21))) == "more than 1 MB when unpacked: unpack and split the file"
    assert reason("a.md.gz", gzip.compress(gzip.compress(b"text"))) == "packed twice: unpack it once"
    assert reason("a.md.gz", gzip.compress(b"a") + b"more").endswith("something else follows what was packed")
    assert only("a.md.gz", gzip.compress(BRIDGE.encode()) + bytes(512)).blocks
    assert reason("a.md.gz", gzip.compress(b"") * 200_001).endswith("something else follows what was packed")
    assert reason("a.md.gz", gzip.compress(BRIDGE.encode())[:-12]) == "a damaged gzip file: it ends too early"
    inflated = made.zipped({**_parts(made.docx(BRIDGE)), "word/document.xml": b" " * 2**21})
    with pytest.raises(InputError, match=r"word/document.xml has 2 MB when unpacked, more than is read: split it"):
        list(documents.read("docx", inflated, {}))
    with pytest.raises(InputError, match="21 parts, more than 20: it is not read"):
        list(documents.read("epub", made.zipped({f"{number}.xml": b"" for number in range(21)}), {}))


def test_xml_that_means_harm_is_told():
    names = "abcdefghij"
    entities = "".join(f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in pairwise(names))
    laughs = _parts(made.docx(BRIDGE))
    declared = f'<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">{entities}]>'.encode()
    laughs["word/document.xml"] = declared + laughs["word/document.xml"].replace(b"The bridge", b"&j;")
    refused = "word/document.xml has a DOCTYPE, as no DOCX file has: it is not read"
    assert reason("b.docx", made.zipped(laughs)) == refused
    for encoding in ("utf-16", "utf-16-le"):
        veiled = '<?xml version="1.0"?><!-- > --><!DOCTYPE d [<!ENTITY x "y">]><d>&x;</d>'.encode(encoding)
        assert reason("d.docx", made.zipped({**laughs, "word/document.xml": veiled})) == refused, encoding
    parts = _parts(made.odt("<text:p>&x;</text:p>"))
    parts["content.xml"] = b'<!DOCTYPE d [<!ENTITY x "y">]>' + parts["content.xml"]
    assert reason("a.odt", made.zipped(parts)) == "content.xml has a DOCTYPE, as no ODT file has: it is not read"
    file = b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    parts = _parts(made.epub([f"<p>{BRIDGE}</p>"], title="&x;"))
    parts["OEBPS/book.opf"] = file + parts["OEBPS/book.opf"]
    assert "root:" not in only("a.epub", made.zipped(parts)).title
    assert reason("c.docx", made.docx("<w:p>" * 20_000))


def _parts(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_what_is_encrypted_is_told():
    locked = bytearray(made.zipped({"[Content_Types].xml": "x", "word/document.xml": "x"}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := locked.find(mark, at + 1)) >= 0:
            struct.pack_into("<H", locked, at + offset, 1)
    assert reason("a.docx", bytes(locked)) == "encrypted: save it without its password"
    assert reason("b.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)).startswith("encrypted, or of an earlier format")
    drm = '<encryption xmlns="urn:x"><EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/></encryption>'
    assert reason("a.epub", made.epub([BRIDGE], extra={"META-INF/encryption.xml": drm})).startswith("protected against copying")
    fonts = drm.replace("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "http://www.idpf.org/2008/embedding")
    assert only("b.epub", made.epub([f"<p>{BRIDGE}</p>"], extra={"META-INF/encryption.xml": fonts})).blocks
    veiled = '<manifest:file-entry manifest:full-path="x"><manifest:encryption-data/></manifest:file-entry>'
    assert reason("a.odt", made.odt("<text:p>x</text:p>", manifest=veiled)) == "encrypted: save it without its password"


@pytest.mark.parametrize(
    "name", ["a.docx", "a.epub", "a.odt", "a.rtf", "a.rss", "a.parquet", "a.pdf", "a.mbox", "a.rst", "a.csv"]
)
@pytest.mark.parametrize("data", [b"\0\1\2 not of the kind", b"PK\x03\x04 cut", b"{\\rtf1 {{{{", b"%PDF-1.4 x", b"<", b"a"])
def test_what_is_none_is_told_in_one_line(name, data):
    for item in items(name, data):
        assert isinstance(item, Article) or (item.source == name and item.reason and "\n" not in item.reason)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"%PDF-1.4", "pdf"),
        (made.docx("x"), "docx"),
        (made.epub(["x"]), "epub"),
        (made.odt(""), "odt"),
        (RTF, "rtf"),
        (FEED.encode(), "feed"),
        (b"\xef\xbb\xbf <!DOCTYPE html><p>x", "html"),
        (b"just text", "text"),
        (b"#include <header.h>\nint main() { std::vector<int> x; }", "text"),
        (b"A note on <rss> and <html>", "text"),
        (b"<!-- " + b"x" * 3000 + b" -->\n<html><body>x", "html"),
        (b'<?xml version="1.0"?><!-- c --><feed xmlns="x">', "feed"),
    ],
)
def test_a_file_whose_name_says_nothing_says_what_it_is(data, kind):
    assert documents.sniffed(data) == kind


# The process of its own.


def test_a_reader_that_hangs_is_ended_and_the_next_file_is_read(monkeypatch):
    assert only("a.rtf", RTF)
    child = apart._idle
    assert child is not None
    monkeypatch.setattr(apart, "SECONDS", 0.2)
    os.kill(child.process.pid, signal.SIGSTOP)
    assert reason("b.rtf", RTF) == "takes too long to be read: the file is damaged, or made to do so"
    assert child.process.poll() is not None
    monkeypatch.undo()
    assert only("c.rtf", RTF)


def test_a_reader_that_crashes_costs_its_file_alone():
    assert only("a.rtf", RTF)
    child = apart._idle
    assert child is not None
    os.kill(child.process.pid, signal.SIGSTOP)
    killer = threading.Timer(0.1, os.kill, (child.process.pid, signal.SIGKILL))
    killer.start()
    assert reason("b.rtf", RTF) == "cannot be read: its reader crashed (signal 9)"
    killer.join()
    assert only("c.rtf", RTF)


def test_only_what_is_waited_for_counts(monkeypatch):
    table_of_many = ("text\n" + f'"{FERRY}"\n' * 300).encode()
    written = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([{"text": FERRY}] * 300), written)
    source = SourceFile(Path("/nowhere/a.parquet"), "a.parquet")
    # The child process imports pyarrow before the limit is set, which can take a second on a busy machine.
    assert len(list(read(source, written.getvalue()))) == 300
    monkeypatch.setattr(apart, "SECONDS", 0.5)
    monkeypatch.setattr(apart, "SECONDS_PER_MEGABYTE", 0.0)
    count = 0
    for _ in read(source, written.getvalue()):
        count += 1
        time.sleep(0.003)
    assert count == 300
    assert len(items("a.csv", table_of_many)) == 300


def test_what_is_not_read_to_its_end_is_in_nobodys_way():
    first = read(SourceFile(Path("/nowhere/a.rss"), "a.rss"), FEED.encode())
    assert isinstance(next(first), Article)
    second = read(SourceFile(Path("/nowhere/b.rss"), "b.rss"), FEED.encode())
    assert isinstance(next(second), Article)
    assert len(list(second)) == 1
    first.close()  # type: ignore[attr-defined]
    assert only("a.rtf", RTF)
    held = read(SourceFile(Path("/nowhere/a.rss"), "a.rss"), FEED.encode())
    next(held)
    threads = [threading.Thread(target=only, args=("a.rtf", RTF)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)


def test_the_process_ends_with_the_run(tmp_path):
    (tmp_path / "a.rtf").write_bytes(RTF)
    build(str(tmp_path / "a.rtf"), tmp_path / "index")
    assert apart._idle is None


def test_a_reader_bounds_its_own_time(monkeypatch):
    """Should the process that waits for it be gone, nobody else would end it."""
    code = "import resource; from semsearch.articles import apart; apart._bound_time(0)\nwhile True: pass"
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == -signal.SIGXCPU


def test_no_process_to_be_had_is_told(monkeypatch):
    apart.close()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert reason("a.rtf", RTF).startswith("cannot be read: no process can be started for it")


def test_nothing_is_imported_from_the_folder_of_articles(tmp_path, monkeypatch):
    apart.close()
    (tmp_path / "striprtf.py").write_text("raise SystemExit('taken from the working directory')")
    monkeypatch.chdir(tmp_path)
    assert only("a.rtf", RTF)


# Through an index.


def test_a_folder_of_all_of_them_is_one_index(tmp_path, monkeypatch):
    folder = tmp_path / "articles"
    folder.mkdir()
    said = {
        "report.pdf": made.pdf([[FERRY], [BRIDGE]]),
        "letter.docx": made.docx("The goat of the docx was white all over and very old."),
        "book.epub": made.epub(["<p>The goat of the epub was black all over and very young.</p>"]),
        "note.txt.gz": gzip.compress(b"The goat of the gzip was brown all over and middle aged."),
        "box.eml": made.mail("The goat of the mail was grey all over and rather tired.").as_bytes(),
        "scan.pdf": made.pdf([[]]),
    }
    for name, data in said.items():
        (folder / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    report, encoded = build("articles", tmp_path / "index")
    assert (report.added, report.articles, len(encoded)) == (5, 5, 6)
    assert [problem.source for problem in report.problems] == ["articles/scan.pdf"]
    hit = found(tmp_path / "index", BRIDGE, 1)[0]
    assert (hit.source, hit.page, hit.line, hit.to_dict()["page"]) == ("articles/report.pdf", 2, 1, 2)
    with semsearch.open(tmp_path / "index", encoder=FakeEncoder()) as index:
        hits = index.search("goat all over", 6)
        assert {str(hit.verify()) for hit in hits} == {"OK"}
        assert {hit.page for hit in hits if not hit.source.endswith(".pdf")} == {0}
    report, encoded = build("articles", tmp_path / "index")
    assert (report.unchanged, encoded) == (6, [])


def test_files_whose_library_is_missing_are_one_line_and_are_read_once_it_is_there(tmp_path, monkeypatch):
    folder = tmp_path / "articles"
    folder.mkdir()
    (folder / "a.txt").write_text(BRIDGE)
    for name in ("b.pdf", "c.pdf"):
        (folder / name).write_bytes(made.pdf([[FERRY]]))
    with monkeypatch.context() as patch:
        patch.setattr(documents, "find_spec", lambda name: None)
        report, _ = build(str(folder), tmp_path / "index")
    assert report.articles == 1
    (problem,) = report.problems
    assert problem.source == f"{folder.as_posix()}/b.pdf and 1 more"
    assert problem.reason.endswith('python -m pip install "semsearch[formats]"')
    report, _ = build(str(folder), tmp_path / "index")
    assert (report.articles, report.added, report.problems) == (3, 2, ())


def test_columns_are_remembered_for_each_file(tmp_path):
    one, other = tmp_path / "a.csv", tmp_path / "b.csv"
    one.write_text("headline,abstract,summary\nx,the goat,the ferry\n")
    other.write_text("body,summary\nthe sound,the bridge\n")
    with pytest.raises(InputError, match="no column of text"):
        build(str(one), tmp_path / "index")
    build(str(one), tmp_path / "index", columns={"text": "abstract"})
    build(str(other), tmp_path / "index", columns={"text": "summary"})
    one.write_text("headline,abstract,summary\nx,the goat,the ferry\ny,the bridge,the sound\n")
    report, encoded = build([str(one), str(other)], tmp_path / "index")
    assert (report.changed, report.unchanged) == (1, 1)
    texts_now = {hit.text for hit in found(tmp_path / "index", "goat bridge ferry sound")}
    assert texts_now == {"the goat", "the bridge"}
    report, encoded = build(str(one), tmp_path / "index", columns={"text": "summary"})
    assert (report.changed, len(encoded)) == (1, 2)
    with semsearch.open(tmp_path / "index", encoder=FakeEncoder()) as index:
        assert {str(hit.verify()) for hit in index.search("goat bridge ferry sound")} == {"OK"}
    with pytest.raises(InputError, match="no column can be named for 'date', only for text and title"):
        build(str(one), tmp_path / "index", columns={"date": "x"})
