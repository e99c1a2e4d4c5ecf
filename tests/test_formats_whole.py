"""What a document says is read, all of it and in its order; what cannot be read is told."""

from __future__ import annotations

import base64
import io
import re
import zipfile
from collections.abc import Callable
from html import escape
from pathlib import Path

import made
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from semsearch.articles import SourceFile, documents, html, read
from semsearch.articles.documents import mail
from semsearch.articles.documents.draft import Draft
from semsearch.errors import InputError
from semsearch.records import Article, Problem


def draft(kind: str, data: bytes | str) -> Draft:
    (found,) = documents.read(kind, data if isinstance(data, bytes) else data.encode(), {})
    assert isinstance(found, Draft), found
    return found


def said(found: Draft | Article) -> list[str]:
    return [block.text for block in found.blocks]


def items(name: str, data: bytes | str) -> list[Article | Problem]:
    return list(read(SourceFile(Path("/nowhere") / name, name), data if isinstance(data, bytes) else data.encode()))


def only(name: str, data: bytes | str) -> Article:
    (article,) = items(name, data)
    assert isinstance(article, Article), article
    return article


def articles(name: str, data: bytes | str) -> list[Article]:
    return [item for item in items(name, data) if isinstance(item, Article)]


def reasons(name: str, data: bytes | str) -> list[str]:
    return [item.reason for item in items(name, data) if isinstance(item, Problem)]


# Every word comes out, in its order. A source is made of texts, each in a wrapping drawn for it.

HARD = ["ferry", "goat", "<b>", "a|b", "Vec<String>", "&", "1986.", "#", "^", "~"]
WORDS = st.lists(st.sampled_from(HARD), min_size=1, max_size=4)


def in_order(found: Draft, written: list[str]) -> None:
    """The texts, which are numbered, are those of the draft, whatever marks of lists and cells stand between."""
    everything = " ".join(said(found))
    assert re.findall(r"w\d+ .*? w\d+e", everything, re.DOTALL) == written


def numbered(texts: list[list[str]]) -> list[str]:
    return [f"w{at} {' '.join(words)} w{at}e" for at, words in enumerate(texts)]


HTML_WRAPS = [
    "<p>{}</p>", "<header><p>{}</p></header>", "<aside>{}</aside>", "<nav><a href='x'>{}</a></nav>", "<footer>{}</footer>",
    "<article><p>{}</p></article>", "<main><h2>{}</h2></main>", "<ul><li><a href='x'>{}</a></li></ul>", "<form><p>{}</p></form>",
    "<p><a href='x'>{}</a></p>", "<table><tr><td>{}</td></tr></table>", "<dl><dt>{}</dt></dl>", "<h1>{}</h1>", "{}<br/>",
    "<button>{}</button>", "<noscript><p>{}</p></noscript>", "<svg><text>{}</text></svg>",
]  # fmt: skip
LINK = '<w:hyperlink w:anchor="x"><w:r><w:t>{}</w:t></w:r></w:hyperlink>'
DOCX_WRAPS = [
    "<w:p><w:r><w:t>{}</w:t></w:r></w:p>",
    f"<w:p>{LINK}</w:p>",
    f"<w:tbl><w:tr><w:tc><w:p>{LINK}</w:p></w:tc></w:tr></w:tbl>",
    '<w:p><w:pPr><w:pStyle w:val="H1"/></w:pPr><w:r><w:t>{}</w:t></w:r></w:p>',
    "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>{}</w:t></w:r></w:p><w:p/></w:tc></w:tr></w:tbl>",
]
ODT_WRAPS = [
    "<text:p>{}</text:p>",
    '<text:h text:outline-level="2">{}</text:h>',
    "<text:list><text:list-item><text:p>{}</text:p></text:list-item></text:list>",
    "<text:list><text:list-item><text:list><text:list-header><text:p>{}</text:p></text:list-header></text:list></text:list-item>"
    "</text:list>",
    "<table:table><table:table-row><table:table-cell><text:p>{}</text:p></table:table-cell></table:table-row></table:table>",
    '<text:section text:name="x"><text:p><text:span>{}</text:span></text:p></text:section>',
    '<text:p text:style-name="Preformatted_20_Text">{}</text:p>',
]
RST_WRAPS = [
    "{}\n\n", "- {}\n\n", "   {}\n\n", ".. glossary::\n\n   x\n      {}\n\n", ".. todo:: {}\n\n",
    ".. dropdown:: More\n\n   {}\n\n",
    ".. cpp:function:: int f()\n\n   {}\n\n", ".. strange::\n   {}\n\n", ".. note:: {}\n   :unknown: x\n\n", "::\n\n   {}\n\n",
    ".. only:: html\n\n   {}\n\n", ".. code-block:: none\n   :what: x\n\n   {}\n\n", ".. autoclass:: x\n\n   {}\n\n",
    ".. sidebar:: Side\n\n   {}\n\n", ".. figure:: x.png\n   :nowhere: x\n\n   {}\n\n", ".. [1] {}\n\n",
    "a :strange:`role {}`\n\n",
    ".. table:: {}\n\n   malformed\n\n",
]  # fmt: skip
SOFT = ["ferry", "goat", "bridge", "Vec<String>", "&", "1986.", "a-b"]
RST_WORDS = st.lists(st.sampled_from(SOFT), min_size=1, max_size=4)


def of_wraps(wraps: list[str], words: st.SearchStrategy[list[str]] = WORDS) -> st.SearchStrategy[list[tuple[str, list[str]]]]:
    return st.lists(st.tuples(st.sampled_from(wraps), words), min_size=1, max_size=8)


def assembled(parts: list[tuple[str, list[str]]], quoted: Callable[[str], str] = escape) -> tuple[list[str], str]:
    written = numbered([words for _, words in parts])
    return written, "".join(wrap.format(quoted(text)) for (wrap, _), text in zip(parts, written, strict=True))


@given(of_wraps(HTML_WRAPS))
def test_every_word_of_a_book_is_read(parts):
    written, body = assembled(parts)
    in_order(draft("epub", made.epub([body, "<p>End.</p>"])), written)


@given(of_wraps(HTML_WRAPS))
def test_every_word_of_a_letter_in_html_is_read(parts):
    written, body = assembled(parts)
    in_order(draft("message", made.mail(html=body).as_bytes()), written)


@settings(max_examples=30)
@given(of_wraps(DOCX_WRAPS))
def test_every_word_of_a_docx_is_read(parts):
    written, body = assembled(parts)
    in_order(draft("docx", made.docx(body)), written)


@given(of_wraps(ODT_WRAPS))
def test_every_word_of_an_odt_is_read(parts):
    written, body = assembled(parts)
    in_order(draft("odt", made.odt(body)), written)


@settings(max_examples=40)
@given(of_wraps(RST_WRAPS, RST_WORDS))
def test_every_word_of_an_rst_is_read(parts):
    written, body = assembled(parts, lambda text: text)
    in_order(draft("rst", body), written)


@given(st.lists(st.tuples(st.sampled_from(["{}\n\n", "> {}\n", ">>> {}\n", "> > {}\n\n", "  {}\n"]), RST_WORDS), min_size=1))
def test_every_word_of_a_letter_is_read(parts):
    written, body = assembled(parts, lambda text: text)
    in_order(draft("message", made.mail(body).as_bytes()), written)


# Pages of HTML.


def test_what_no_reader_sees_stays_out():
    page = (
        "<html><head><title>no</title></head><body><script>no</script><style>no</style><template>no</template><p hidden>no</p>"
        '<p style="display: none">no</p><math><mi>x</mi><annotation>no</annotation></math><svg><title>no</title></svg><p>Yes.</p>'
        "<h2>Head ¶</h2></body></html>"
    )
    assert html.outline(page) == [("paragraph", 0, "x"), ("paragraph", 0, "Yes."), ("heading", 2, "Head")]


def test_xhtml_is_read_as_it_is_meant():
    chapter = "<pre/><p>One <em/>two.</p><p><![CDATA[a < b]]></p><hr/><p>Three<br/>four.</p>"
    assert said(draft("epub", made.epub([chapter]))) == ["One two.", "a < b", "Three four."]


def test_a_feed_says_what_is_html():
    feed = (
        '<feed xmlns="http://www.w3.org/2005/Atom"><title>S</title><entry><title>Vec&lt;String&gt;</title>'
        '<content type="text">a Vec&lt;String&gt; b</content></entry></feed>'
    )
    found = draft("feed", feed)
    assert (found.title, said(found)) == ("Vec<String>", ["a Vec<String> b"])
    links = "<ul><li><a href='x'>How the ferry was sold</a></li></ul><aside>The bridge closes.</aside>"
    feed = f'<rss version="2.0"><channel><title>t</title><item><description>{escape(links)}</description></item></channel></rss>'
    assert said(draft("feed", feed)) == ["- How the ferry was sold", "The bridge closes."]


def test_attributes_beyond_number_take_no_time():
    crowded = "<p " + " ".join(f"a{number}=1" for number in range(80_000)) + ">Here.</p>"
    assert html.outline(crowded) == [("paragraph", 0, "Here.")]
    assert html.plain_text(crowded) == "Here."


# ODT.


def test_odt_is_read_by_its_elements():
    body = (
        "<text:tracked-changes><text:changed-region><text:deletion><text:p>Gone.</text:p></text:deletion></text:changed-region>"
        '</text:tracked-changes><text:p text:style-name="Title">On Ferries</text:p>'
        "<text:table-of-content><text:index-body><text:p>Contents 1</text:p></text:index-body></text:table-of-content>"
        '<text:p>One<text:s text:c="2"/>two<text:tab/>three<text:line-break/>four<text:note><text:note-citation>i'
        "</text:note-citation><text:note-body><text:p>A note.</text:p></text:note-body></text:note>.<office:annotation><text:p>"
        "Comment</text:p></office:annotation></text:p>"
        '<text:list text:style-name="L1"><text:list-item><text:p>first</text:p><text:list><text:list-item><text:p>inner</text:p>'
        "</text:list-item></text:list></text:list-item><text:list-item><text:p>second</text:p></text:list-item></text:list>"
        '<text:p text:style-name="P1">x = 1</text:p><text:p text:style-name="P1"><text:s text:c="2"/>y</text:p>'
        "<table:table><table:table-header-rows><table:table-row><table:table-cell><text:p>ship</text:p></table:table-cell>"
        "<table:table-cell><text:p>cargo</text:p><text:p>tons</text:p></table:table-cell></table:table-row>"
        "</table:table-header-rows></table:table>"
        '<text:section text:display="none"><text:p>Hidden.</text:p></text:section>'
    )
    styles = (
        '<text:list-style style:name="L1"><text:list-level-style-number text:level="1" style:num-format="1"/>'
        '<text:list-level-style-bullet text:level="2"/></text:list-style>'
        '<style:style style:name="P1" style:parent-style-name="Preformatted_20_Text"/>'
    )
    found = draft("odt", replaced(made.odt(body), "content.xml", "<office:body>", f"{styles}<office:body>"))
    assert [(block.kind, block.level, block.text) for block in found.blocks] == [
        ("heading", 1, "On Ferries"),
        ("paragraph", 0, "One two three four[1]."),
        ("item", 0, "1. first"),
        ("item", 0, "- inner"),
        ("item", 0, "2. second"),
        ("code", 0, "x = 1\n  y"),
        ("table", 0, "ship | cargo tons"),
        ("item", 0, "1. A note."),
    ]


def replaced(data: bytes, name: str, before: str, after: str) -> bytes:
    """A package with something else in one of its parts."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    assert before.encode() in parts[name]
    return made.zipped({**parts, name: parts[name].replace(before.encode(), after.encode())})


def test_who_wrote_an_odt_goes_before_who_changed_it():
    meta = (
        "<meta:initial-creator>Alice</meta:initial-creator><meta:creation-date>2001-01-01T00:00:00</meta:creation-date>"
        "<meta:keyword>ferry</meta:keyword><meta:keyword>goat</meta:keyword></office:meta>"
    )
    found = only("a.odt", replaced(made.odt("<text:p>x</text:p>"), "meta.xml", "</office:meta>", meta))
    assert found.metadata == {"author": "Alice", "date": "2001-01-01T00:00:00", "tags": ["ferry", "goat"]}


def test_a_damaged_odt_is_told_and_not_read_in_part():
    content = made.odt("<text:p>One.</text:p><text:p>Two.</text:p>")
    cut = replaced(content, "content.xml", "Two.</text:p>", "Two.")
    assert reasons("a.odt", cut) == ["a damaged ODT file: it has no content that can be read"]
    sheet = replaced(content, "content.xml", "office:text>", "office:spreadsheet>")
    assert reasons("a.odt", sheet) == ["not an OpenDocument text, whatever its name says"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [("urn:isbn:123", {"source": "urn:isbn:123"}), ("https://x.org/b", {"url": "https://x.org/b"})],
)
def test_the_source_of_a_book_is_an_address_only_if_it_is_one(source, expected):
    book = replaced(made.epub(["<p>x</p>"]), "OEBPS/book.opf", "</metadata>", f"<dc:source>{source}</dc:source></metadata>")
    metadata = only("a.epub", book).metadata
    assert {key: metadata[key] for key in metadata if key in ("source", "url")} == expected


# reStructuredText.


RST = """\
=====
Title
=====

Sub only
========

Intro text that is wrapped
over two lines.

.. comment
   of two

.. glossary::

   ferry
      A boat.

.. py:function:: sail(*x)
                 row(y)

   Sails.

.. grid:: 1 2 3

   .. card:: A *card*
      :link: x

      In the card.

.. only:: html

   Inner
   -----

   Below it.

.. image-sg:: /auto/x.png

.. toctree::
   :caption: no

   chapter

.. csv-table::
   :file: /etc/passwd

.. include:: /etc/passwd

.. contents::

.. list-table::
   :strange: x

   * - ship
     - cargo

.. code-block:: python
   :caption: Listing

   x = 1

The |v| of :strange:`Guide <x>` and :samp:`List<int>` and :pep:`8`.

.. |v| unknown:: version
"""


def test_rst_shows_what_a_reader_sees_with_the_lines_of_the_file():
    found = draft("rst", RST)
    assert found.title == "Title"
    lines = RST.splitlines()
    assert [(block.text, lines[block.line - 1].strip()) for block in found.blocks] == [
        ("Title", "Title"),
        ("Sub only", "Sub only"),
        ("Intro text that is wrapped over two lines.", "Intro text that is wrapped"),
        ("- ferry", "ferry"),
        ("A boat.", "A boat."),
        ("sail(*x)", ".. py:function:: sail(*x)"),
        ("row(y)", ".. py:function:: sail(*x)"),
        ("Sails.", "Sails."),
        ("A card", ".. card:: A *card*"),
        ("In the card.", "In the card."),
        ("Inner", "Inner"),
        ("Below it.", "Below it."),
        ("ship | cargo", ".. list-table::"),
        ("Listing", ".. code-block:: python"),
        ("x = 1", "x = 1"),
        ("The version of Guide and List<int> and PEP 8.", lines[-3].strip()),
    ]


def test_rst_leaves_docutils_as_it_was():
    from docutils.parsers.rst import directives, roles

    before = directives.directive, roles.role, dict(roles._roles)
    draft("rst", ".. role:: strange(emphasis)\n\nA :strange:`role`.\n\n.. unknown:: Words here")
    with pytest.raises(InputError):
        draft("rst", ".. only a comment")
    assert (directives.directive, roles.role, roles._roles) == before


# Mail.

HEAD = "From: a@b.c\nSubject: Hello\nMIME-Version: 1.0\n"


def several(kind: str, *inner: str) -> str:
    return f"{HEAD}Content-Type: multipart/{kind}; boundary=X\n\n" + "".join(f"--X\n{part}\n" for part in inner) + "--X--\n"


PLAIN = "Content-Type: text/plain\n\n"
PAGE = "Content-Type: text/html\n\n<p>The ferry is sold.</p>"


def test_the_parts_of_a_letter_that_are_shown_are_read():
    assert said(draft("message", several("alternative", PLAIN, PAGE))) == ["The ferry is sold."]
    assert said(draft("message", several("alternative", f"{PLAIN}In words.", PAGE))) == ["In words."]
    picture = "Content-Type: image/png\nContent-Disposition: inline; filename=a.png\n\nxx"
    attached = "Content-Type: text/plain\nContent-Disposition: attachment; filename=a.txt\n\nnot this"
    assert said(draft("message", several("mixed", f"{PLAIN}One.", picture, f"{PLAIN}Two.", attached, PAGE))) == [
        "One.",
        "Two.",
        "The ferry is sold.",
    ]
    assert said(draft("message", several("signed", f"{PLAIN}One.", "Content-Type: text/plain\n\nsignature"))) == ["One."]


def test_a_forwarded_message_is_a_quote():
    inner = "Content-Type: message/rfc822\n\nFrom: q@b.c\nSubject: Inner\n\nOn ferries."
    found = draft("message", several("mixed", f"{PLAIN}See below.", inner))
    assert [(block.kind, block.text) for block in found.blocks] == [
        ("paragraph", "See below."),
        ("quote", "From: q@b.c; Subject: Inner"),
        ("quote", "On ferries."),
    ]


def der(tag: int, content: bytes, *, endless: bool = False) -> bytes:
    """A value in the Basic Encoding Rules; ``endless``: with a mark at its end in place of its length."""
    if endless:
        return bytes((tag, 0x80)) + content + b"\0\0"
    size = len(content).to_bytes(3, "big")
    return bytes((tag, 0x83)) + size + content


def signed(content: bytes, *, endless: bool, kind: str = "2a864886f70d010702") -> str:
    octets = der(0x24, der(4, content[:9]) + der(4, content[9:]), endless=True) if endless else der(4, content)
    held = der(0x30, der(6, bytes.fromhex("2a864886f70d010701")) + der(0xA0, octets, endless=endless), endless=endless)
    data = der(0x30, der(2, b"\1") + der(0x31, b"") + held + der(0x31, b""), endless=endless)
    whole = der(0x30, der(6, bytes.fromhex(kind)) + der(0xA0, data, endless=endless), endless=endless)
    encoded = base64.encodebytes(whole).decode()
    header = 'Content-Type: application/pkcs7-mime; name="smime.p7m"\nContent-Transfer-Encoding: base64\n'
    return f"{HEAD}{header}\n{encoded}"


@pytest.mark.parametrize("endless", [False, True])
def test_a_message_that_is_signed_as_a_whole_is_read(endless):
    assert said(draft("message", signed(PLAIN.encode() + b"The ferry is sold.", endless=endless))) == ["The ferry is sold."]


def test_what_is_encrypted_or_sealed_is_told():
    enveloped = signed(b"x", endless=False, kind="2a864886f70d010703")
    assert reasons("a.eml", enveloped) == ["an encrypted message"]
    broken = f"{HEAD}Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\n\nAAAA\n"
    assert reasons("b.eml", broken) == ["a signed message that cannot be read: save it without its signature"]
    bill = "Content-Type: application/octet-stream; name=bill.xml.p7m\n\nAAAA"
    assert said(draft("message", several("mixed", f"{PLAIN}The bill.", bill))) == ["The bill."]


@given(st.binary(max_size=300))
def test_whatever_stands_in_an_envelope_ends(data):
    assert isinstance(mail._signed_content(data), bytes)


def test_lines_at_pythons_prompt_are_no_quotes():
    found = draft("message", made.mail("Try:\n\n>>> import sail\n>>> sail.ask()\nNone\n\n> They wrote\n>> so\n").as_bytes())
    assert [(block.kind, block.text) for block in found.blocks] == [
        ("paragraph", "Try:"),
        ("paragraph", ">>> import sail >>> sail.ask() None"),
        ("quote", "They wrote so"),
    ]


def test_a_mailbox_without_blank_lines_is_taken_apart():
    box = (
        "From a@b.c Mon Mar  2 10:00:00 2020\nSubject: one\n\nIt rained.\nFrom Monday on, it snowed, too.\n"
        "From bob at b.c  Tue Mar  3 10:00:00 +0100 2020\nSubject: two\n\nbody two\n"
    )
    assert [(found.title, said(found)) for found in articles("a.mbox", box)] == [
        ("one", ["It rained. From Monday on, it snowed, too."]),
        ("two", ["body two"]),
    ]


def test_headers_are_bounded():
    long = ";\n ".join(f"x{number}=1" for number in range(32_000))
    found = draft("message", f"Subject: Hello\nContent-Type: text/plain; charset=utf-8; {long}\n\nThe café.\n")
    assert said(found) == ["The café."]
    names = ",\n ".join(f"Name {number} <n{number}@example.org>" for number in range(4000))
    found = draft("message", f"Subject: Hello\nTo: {names}\n\nHere.\n")
    assert found.metadata["to"].startswith("Name 0 <n0@example.org>, Name 1 <n1@example.org>")
    assert found.metadata["to"].endswith("@example.org>")
    assert len(found.metadata["to"]) < 2**16


def test_names_of_attachments_are_read_however_they_are_written():
    names = (
        "filename*=utf-8''Gl%C3%BCck.pdf",
        'filename="=?utf-8?q?Gl=C3=BCck=2Epdf?="',
        "filename*0*=utf-8''Gl%C3%BC;\n filename*1=ck.pdf",
        'filename="Glück.pdf"',
    )
    for name in names:
        attached = f"Content-Type: application/pdf\nContent-Disposition: attachment; {name}\n\nxx"
        found = draft("message", several("mixed", f"{PLAIN}One.", attached))
        assert (said(found), len(found.metadata["attachments"])) == (["One."], 1)
        if "ü" not in name:
            assert found.metadata["attachments"] == ["Glück.pdf"], name


# Addresses.


def test_an_address_alone_is_text_but_at_the_ends_of_what_was_written_by_hand():
    letter = "See:\n\nhttps://x.org/1\n\nand:\n\nhttps://x.org/2\n\nthanks\n\nhttps://x.org/3\n"
    found = only("a.eml", HEAD + "\n" + letter)
    assert said(found) == ["See:", "https://x.org/1", "and:", "https://x.org/2", "thanks", "https://x.org/3"]
    assert "url" not in found.metadata
    found = only("a.md", "# T\n\n" + letter)
    assert said(found) == ["See:", "https://x.org/1", "and:", "https://x.org/2", "thanks"]
    assert found.metadata["url"] == "https://x.org/3"
    found = only("b.md", "# T\n\nhttps://x.org/0\n\n" + letter)
    assert (found.metadata["url"], said(found)[0]) == ("https://x.org/0", "See:")


# Tables.


def test_rows_that_lose_text_are_told():
    table = "title,text\na,The ferry, sold\nb,fine\nc,x,,\nd,one,two\n"
    assert [said(found) for found in articles("a.csv", table)] == [["The ferry"], ["fine"], ["x"], ["one"]]
    assert reasons("a.csv", table) == ["2 rows have more fields than the header: lines 2, 5; what is beyond is left out"]
    many = "title,text\n" + "a,b,c\n" * 30
    assert reasons("b.csv", many) == [
        "30 rows have more fields than the header: lines 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 20 more; what is beyond is left out"
    ]


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_quote_that_is_never_closed_is_told(end):
    table = f'title,text\na,fine\nb,"The ferry\nc,swallowed{end}'
    assert reasons("a.csv", table) == ["line 3: a quote is never closed: all lines below are one field of that row"]
    assert [said(found) for found in articles("a.csv", table)] == [["fine"], ["The ferry c,swallowed"]]
    assert reasons("b.csv", f'title,text\na,"closed\n"{end}') == []


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("\ntitle,text\na,The ferry\n", 3),
        (" , \n\ntitle,text\na,The ferry\n", 4),
        ("sep=;\ntitle;text\na;The ferry\n", 3),
        ('"sep=\t"\r\ntitle\ttext\r\na\tThe ferry\r\n', 3),
        ('"a, b, c, d";text\nx;The ferry\n', 2),
        ("title;text\nx, y, z;The ferry\na, b;c, d, e\n", 2),
        ("text\ttitle\nThe ferry\ta, b\n", 2),
    ],
)
def test_how_columns_are_separated_is_seen(table, line):
    found = articles("a.csv", table)[0]
    assert (found.source, said(found)) == (f"a.csv#{line}", ["The ferry"])
    assert reasons("a.csv", table) == []


def test_of_two_columns_of_one_name_the_first_is_the_text():
    (found,) = articles("a.csv", "text,tag,text,tag\nThe ferry,a,the goat,b\n")
    assert (said(found), found.metadata) == (["The ferry"], {"tag": "a", "text.1": "the goat", "tag.1": "b"})


def test_parquet_that_stores_text_as_bytes_is_read():
    rows = [{"text": "The café".encode(), "lang": b"fr", "picture": b"\x89PNG\0", "title": b"T\xff"}]
    written = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), written)
    found = draft("parquet", written.getvalue())
    assert (found.title, said(found), found.metadata) == ("T\ufffd", ["The café"], {"lang": "fr"})
