"""EPUB to blocks: the chapters in the order of its spine, each a page of HTML.

Deliberately not here: pictures, styles, the table of contents, which says nothing that the chapters' headings do not say.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from html import escape
from typing import Any
from urllib.parse import unquote

from semsearch.articles import html
from semsearch.articles.decode import decode
from semsearch.articles.documents.draft import Draft, blocks_of
from semsearch.articles.documents.packed import Package
from semsearch.articles.documents.properties import of_core, parsed
from semsearch.articles.outline import Piece
from semsearch.errors import InputError

__all__ = ["read"]

_EMPTY = re.compile(
    r"<(?!(?:area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr)[\s/])([a-z][\w:.-]*)(\s[^<>]*)?/>",
    re.IGNORECASE,
)
"""Elements that XML closes at once, and HTML does not."""
_CDATA = re.compile(r"<!\[CDATA\[((?:(?!\]\]>|<!\[CDATA\[).)*)\]\]>", re.DOTALL)
_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
"""Ways to veil fonts: a book whose fonts alone are veiled can be read."""


def read(data: bytes) -> Iterator[Draft]:
    """The book.

    :raises InputError: if it is damaged, protected against copying, or has no text.
    """
    package = Package(data, "EPUB")
    if _is_protected(package.read("META-INF/encryption.xml")):
        raise InputError("protected against copying (DRM): only a copy without that can be read")
    container = parsed(package.read("META-INF/container.xml") or b"<none/>")
    root = next((str(element.get("full-path") or "") for element in _named(container, "rootfile")), "")
    described = package.read(root)
    book = parsed(described) if described else None
    if book is None:
        raise InputError("a damaged EPUB file: it does not say what is in it")
    folder = posixpath.dirname(root)
    items = {item.get("id"): item for item in _named(book, "item")}
    pieces: list[Piece] = []
    for reference in _named(book, "itemref"):
        item = items.get(reference.get("idref"))
        if item is None or "nav" in (item.get("properties") or "").split() or "html" not in (item.get("media-type") or "html"):
            continue
        chapter = package.read(posixpath.normpath(posixpath.join(folder, unquote(item.get("href") or ""))))
        if chapter.strip():
            pieces += html.outline(_as_html(decode(chapter, html=True)))
    if not pieces:
        raise InputError("no text in this book")
    metadata = of_core(described)
    title = str(metadata.pop("title", ""))
    yield Draft(title, metadata, blocks_of(pieces))


def _as_html(page: str) -> str:
    """XHTML with what HTML writes otherwise."""
    page = _CDATA.sub(lambda found: escape(found[1], quote=False), page)
    return _EMPTY.sub(lambda found: f"<{found[1]}{found[2] or ''}></{found[1]}>", page)


def _named(root: Any, name: str) -> list[Any]:
    """The elements of a name, in whatever namespace."""
    if root is None:
        return []
    return [element for element in root.iter() if isinstance(element.tag, str) and element.tag.rpartition("}")[2] == name]


def _is_protected(encryption: bytes) -> bool:
    methods = _named(parsed(encryption), "EncryptionMethod") if encryption.strip() else []
    return any(method.get("Algorithm") not in _FONTS for method in methods)
