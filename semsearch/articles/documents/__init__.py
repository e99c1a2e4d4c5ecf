"""Formats beside text, Markdown, HTML and JSONL: what kind a file is of, and its articles.

In: the bytes of a file. Out: `Draft`s, and what was wrong with parts of it. Those whose reader is another project's library,
which may take for ever, all memory, or the process with it, are read in a process of their own (`apart`).

Deliberately not here: what becomes of a draft's title and metadata (`articles`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from semsearch.articles.decode import decode
from semsearch.articles.documents.draft import Draft
from semsearch.errors import InputError

__all__ = ["APART", "GROWING", "KINDS", "ROWS", "TEXT_KINDS", "Draft", "Missing", "check_installed", "read", "sniffed"]

KINDS = {
    ".txt": "text",
    ".text": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".mdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".pdf": "pdf",
    ".docx": "docx",
    ".epub": "epub",
    ".odt": "odt",
    ".rtf": "rtf",
    ".eml": "message",
    ".mbox": "mailbox",
    ".rss": "feed",
    ".atom": "feed",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".rst": "rst",
    ".rest": "rst",
}
"""Suffix to kind."""
TEXT_KINDS = frozenset({"text", "markdown", "html", "jsonl"})
"""What `articles` reads by itself."""
GROWING = frozenset({"jsonl", "mailbox", "csv", "parquet"})
"""Kinds of many articles: their files may be of any size."""
ROWS = frozenset({"csv", "parquet"})
"""Kinds whose articles are rows: what is in their columns is taken as it stands."""
APART = frozenset({"pdf", "docx", "epub", "odt", "rtf", "feed", "parquet", "rst"})
"""Kinds that are read in a process of their own."""
_LIBRARIES = {
    "pdf": "pypdfium2",
    "docx": "mammoth",
    "rtf": "striprtf",
    "feed": "feedparser",
    "parquet": "pyarrow",
    "rst": "docutils",
}
_MARKS = (
    (b"%PDF-", "pdf"),
    (b"{\\rtf", "rtf"),
    (b"PAR1", "parquet"),
)
_HEAD = 8192
_FIRST_TAG = re.compile(
    rb"(?:<\?[^>]*\?>\s*|<!--.*?-->\s*|<!doctype (?!html)[^>]*>\s*)*<(!doctype html|[a-z:]+)(?=[\s>])", re.IGNORECASE | re.DOTALL
)
"""The first element of a page or feed, behind declarations and comments."""


class Missing(InputError):
    """A kind of file whose library is not installed."""


def check_installed(kind: str) -> None:
    """Refuse a kind whose library is not there.

    :raises Missing: with the pip line.
    """
    library = _LIBRARIES.get(kind)
    if library is not None and find_spec(library) is None:
        raise Missing(f'{kind} files need {library}: python -m pip install "semsearch[formats]"')


def sniffed(data: bytes) -> str:
    """The kind of a file whose name does not tell it; text, where nothing says otherwise."""
    head = data[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n")
    for mark, kind in _MARKS:
        if head.startswith(mark):
            return kind
    if head.startswith(b"PK\x03\x04"):
        packed = data[:_HEAD]
        return "epub" if b"application/epub+zip" in packed else "odt" if b"opendocument.text" in packed else "docx"
    begins = _FIRST_TAG.match(data[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n"))
    tag = begins[1].lower() if begins else b""
    if tag in (b"rss", b"feed", b"rdf:rdf"):
        return "feed"
    if tag in (b"!doctype html", b"html", b"head", b"body"):
        return "html"
    return "text"


def read(kind: str, data: bytes, columns: Mapping[str, str]) -> Iterator[Draft | InputError]:
    """The articles in a file, in order, and what was wrong with parts of it.

    :param columns: of tables, by what they are: ``text``, ``title``.
    :raises InputError: if it cannot be read.
    """
    # Each reader imports the library that it needs, and no other.
    if kind == "pdf":
        from semsearch.articles.documents import pdf

        yield from pdf.read(data)
    elif kind == "docx":
        from semsearch.articles.documents import docx

        yield from docx.read(data)
    elif kind == "epub":
        from semsearch.articles.documents import epub

        yield from epub.read(data)
    elif kind == "odt":
        from semsearch.articles.documents import odt

        yield from odt.read(data)
    elif kind == "rtf":
        from semsearch.articles.documents import rtf

        yield from rtf.read(data)
    elif kind == "rst":
        from semsearch.articles.documents import rst

        yield from rst.read(decode(data))
    elif kind == "feed":
        from semsearch.articles.documents import feed

        yield from feed.read(data)
    elif kind in ("message", "mailbox"):
        from semsearch.articles.documents import mail

        yield from mail.message(data) if kind == "message" else mail.mailbox(data)
    else:
        from semsearch.articles.documents import rows

        yield from rows.from_csv(decode(data), columns) if kind == "csv" else rows.from_parquet(data, columns)
