"""HTML to blocks: trafilatura finds the article's body, lxml parses.

Offsets count in the extracted text, the blocks joined by a blank line; lines count in the file.

Deliberately not here: decoding, metadata under common names (`metadata`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from semsearch.errors import InputError
from semsearch.records import Block, BlockKind, Run

if TYPE_CHECKING:
    from lxml.html import HtmlElement

__all__ = ["Page", "plain_text", "read"]

BLOCK_GAP = "\n\n"
_TEXT_TAGS = frozenset(
    {"article", "blockquote", "caption", "dd", "div", "dt", "figcaption", "h1", "h2", "h3", "h4", "h5", "h6", "li", "p"}
    | {"pre", "section", "td", "th"}
)
_SILENT_TAGS = ("script", "style", "template", "noscript", "svg")


class Page(NamedTuple):
    """An HTML page: its title ("" if none), its metadata under the names found there, its blocks."""

    title: str
    metadata: dict[str, Any]
    blocks: list[Block]


def read(text: str) -> Page:
    """The article of a page; where none stands out, all of the page's text.

    :raises InputError: if the page has no text.
    """
    tree = _parse(text)
    finder = _LineFinder(tree)
    metadata: dict[str, Any] = _meta_tags(tree)
    from trafilatura import bare_extraction

    document = bare_extraction(
        text,
        favor_recall=True,
        include_comments=False,
        include_tables=True,
        with_metadata=True,
        deduplicate=False,
    )
    title = metadata.pop("title", "")
    if document is not None:
        found = document.as_dict()
        metadata |= {key: found[key] for key in ("date", "author", "url") if found.get(key) and key not in metadata}
        if found.get("tags") and "keywords" not in metadata:
            metadata["tags"] = ", ".join(found["tags"])
        title = found.get("title") or title
    pieces = list(_pieces(document.body)) if document is not None and document.body is not None else []
    if not any(kind != "heading" for kind, _, _ in pieces):
        pieces = [("paragraph", 0, part) for part in plain_text(text).split("\n") if part]
    if not pieces:
        raise InputError("no text in this HTML page")
    return Page(_squeeze(title), metadata, list(_to_blocks(pieces, finder)))


def plain_text(text: str) -> str:
    """All the text that a reader of some HTML sees, a line for each block."""
    try:
        tree = _parse(text)
    except InputError:
        return ""
    for element in tree.xpath("|".join(f"//{tag}" for tag in _SILENT_TAGS) + "|//comment()|//head"):
        element.drop_tree()
    parts: list[str] = []
    for element in tree.iter():
        if element.tag in _TEXT_TAGS or element.tag == "br":
            parts.append("\n")
        parts.append(element.text or "")
        if element.tag in ("td", "th"):
            parts.append(" ")
        parts.append(element.tail or "" if element is not tree else "")
    lines = (_squeeze(line) for line in re.split(r"\n", "".join(parts)))
    return "\n".join(line for line in lines if line)


def _parse(text: str) -> HtmlElement:
    from lxml import etree
    from lxml.html import HTMLParser, document_fromstring

    try:
        # Given as bytes: lxml refuses a str with an encoding declaration.
        parser = HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
        tree: HtmlElement = document_fromstring(text.encode("utf-8"), parser=parser)
    except (etree.LxmlError, ValueError, AssertionError) as error:
        raise InputError("no text in this HTML page") from error
    return tree


def _meta_tags(tree: HtmlElement) -> dict[str, Any]:
    wanted = {"date", "author", "keywords", "language", "description"}
    found: dict[str, Any] = {}
    for element in tree.iter("meta"):
        name, content = (element.get("name") or "").lower(), (element.get("content") or "").strip()
        if name in wanted and content:
            found.setdefault(name, content)
    for element in tree.iter("link"):
        if element.get("rel") == "canonical" and element.get("href"):
            found["url"] = element.get("href")
    language = tree.get("lang") or tree.get("{http://www.w3.org/XML/1998/namespace}lang")
    if language:
        found["language"] = language
    title = tree.findtext(".//title")
    return found | ({"title": title} if title else {})


_Piece = tuple[BlockKind, int, str]


def _pieces(body: Any) -> Iterator[_Piece]:
    """Kind, heading level and text of each block in trafilatura's tree."""
    for element in body:
        match element.tag:
            case "head":
                level = (element.get("rend") or "h2")[1:]
                yield from _piece("heading", element, int(level) if level.isdigit() else 2)
            case "list":
                ordered = element.get("rend") == "ol"
                for number, item in enumerate(element.iterfind("item"), 1):
                    text = _squeeze("".join(item.itertext()))
                    if text:
                        yield "item", 0, (f"{number}. " if ordered else "- ") + text
            case "table":
                rows = (" | ".join(_squeeze("".join(c.itertext())) for c in row) for row in element.iter("row"))
                table = "\n".join(row.strip(" |") for row in rows if row.strip(" |"))
                if table:
                    yield "table", 0, table
            case "quote":
                yield from _piece("quote", element)
            case "code":
                code = "".join(element.itertext()).strip("\n")
                if code.strip():
                    yield "code", 0, code
            case "div" if len(element):
                yield from _piece_text("paragraph", element.text)
                yield from _pieces(element)
            case _:
                yield from _piece("paragraph", element)
        yield from _piece_text("paragraph", element.tail)


def _piece(kind: BlockKind, element: Any, level: int = 0) -> Iterator[_Piece]:
    text = _squeeze(" ".join(element.itertext()) if element.tag == "quote" else "".join(element.itertext()))
    if text:
        yield kind, level, text


def _piece_text(kind: BlockKind, text: str | None) -> Iterator[_Piece]:
    if text and text.strip():
        yield kind, 0, _squeeze(text)


def _to_blocks(pieces: list[_Piece], finder: _LineFinder) -> Iterator[Block]:
    at = 0
    for kind, level, text in pieces:
        yield Block(kind, text, finder.line_of(text), (Run(0, len(text), at, at + len(text)),), level)
        at += len(text) + len(BLOCK_GAP)


class _LineFinder:
    """Lines of the file in which blocks begin, looked up in the order in which the blocks come."""

    def __init__(self, tree: HtmlElement) -> None:
        self._places: list[tuple[str, int]] = []
        for element in tree.iter(*_TEXT_TAGS):
            # The text up to the first block inside it is enough to know a block again.
            text = _letters("".join(_leading(element)))
            if text:
                self._places.append((text, int(element.sourceline or 1)))
        self._next = 0

    def line_of(self, text: str) -> int:
        wanted = _letters(re.sub(r"\A(?:- |\d+\. )", "", text))
        for position in [*range(self._next, len(self._places)), *range(self._next)]:
            candidate, line = self._places[position]
            if wanted.startswith(candidate) or candidate.startswith(wanted):
                self._next = position
                return line
        return self._places[self._next][1] if self._places else 1


def _leading(element: HtmlElement, limit: int = 60) -> Iterator[str]:
    length = 0
    for text in element.itertext():
        yield text
        length += len(text.strip())
        if length >= limit:
            return


def _letters(text: str, limit: int = 40) -> str:
    return re.sub(r"\W+", "", text)[:limit]


def _squeeze(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
