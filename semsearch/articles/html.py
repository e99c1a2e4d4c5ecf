"""HTML to blocks: trafilatura finds the article's body, lxml parses.

trafilatura is right about most pages of news, and now and then keeps a fraction of a page, or makes one line of it. What it
gives is compared with the page's own blocks (`outline`), and these are taken where it lost too much.

Offsets count in the extracted text, the blocks joined by a blank line; lines count in the file.

Deliberately not here: decoding, metadata under common names (`metadata`).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from semsearch.articles.outline import HIDDEN, Piece, Walker, drop, letters, squeeze
from semsearch.errors import InputError
from semsearch.records import Block, BlockKind, Run

if TYPE_CHECKING:
    from lxml.html import HtmlElement

__all__ = ["Page", "flat_cells", "outline", "plain_text", "read", "walked"]

_MAX_ELEMENTS = 20_000
_MAX_DEPTHS = 1_000_000
"""Pages of more elements, or whose elements' depths add up to more, are left to their own blocks: what trafilatura takes grows by
more than either, and is some seconds there. An ordinary page has a thousand elements, ten deep."""
_MAX_ATTRIBUTES = 256
"""Further ones of an element are passed over, for libxml2 compares each with all before it: 50,000 took it a minute."""
_REACH = 300
"""A block whose text is that of no element is looked for among so many elements behind the last one found."""
_KNOWN_BY = 40
"""Letters by which a block is known again."""
_NO_LETTER = re.compile(r"\W+")
_MARKER = re.compile(r"\A(?:- |\d+\. )")
_ALIKE = 10
"""An element of fewer letters may begin as a block does by chance."""
BLOCK_GAP = "\n\n"
_TEXT_TAGS = frozenset(
    {"article", "blockquote", "caption", "dd", "div", "dt", "figcaption", "h1", "h2", "h3", "h4", "h5", "h6", "li", "p"}
    | {"pre", "section", "td", "th"}
)
_PLACED = _TEXT_TAGS | {"body", "br", "table", "tr"}
_LINE_TAGS = (_TEXT_TAGS - {"td", "th"}) | {"br", "hr", "summary", "tr"}
_KEPT_OF_MARKED = 0.95
_KEPT = 0.85
"""Least part of a page's own text that trafilatura must keep: a page that marks its main part has less around it. It takes a
section with the id "menus" for navigation, for instance."""
_SILENT_TAGS = ("script", "style", "template", "noscript", "svg")


# As HTML's own rules have it, and with one way only to read anything, so that no time goes into trying others.
_ATTRIBUTE = r"""[\s/]*=?[^\s=>/]+(?![^\s=>/])(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>"'][^\s>]*(?![^\s>])|(?=>))|(?!\s*=))"""
_CROWDED = re.compile(rf"(<[a-z][^\s/>]*(?:{_ATTRIBUTE}){{{_MAX_ATTRIBUTES}}})((?:{_ATTRIBUTE})+)", re.IGNORECASE)
_PARAGRAPH_CELL = re.compile(
    r"<(t[dh])((?: [^<>]*)?)>\s*<p(?: [^<>]*)?>((?:(?!</?(?:p|table|t[dhr])\b).)*)</p>\s*</\1>", re.DOTALL
)
_PERMALINK = re.compile(r"\s*[¶🔗]\s*\Z")


class Page(NamedTuple):
    """An HTML page: its title ("" if none), its metadata under the names found there, its blocks."""

    title: str
    metadata: dict[str, Any]
    blocks: list[Block]


def read(text: str) -> Page:
    """The article of a page; where none stands out, all of the page's text.

    :raises InputError: if the page has no text.
    """
    text = _uncrowded(text)
    tree, own_tree = _parse(text), _parse(text)
    if tree is None or own_tree is None:
        raise InputError("no text in this HTML page")
    own = Walker(own_tree)
    metadata: dict[str, Any] = _meta_tags(tree)
    title = squeeze(metadata.pop("title", ""))
    # trafilatura takes care of scripts, and reads metadata from some.
    drop(tree, f"//template|//style|//svg|{HIDDEN}")
    document = _extract(tree) if _is_manageable(tree) else None
    if document is not None:
        found = document.as_dict()
        metadata |= {key: found[key] for key in ("date", "author", "url") if found.get(key) and key not in metadata}
        if found.get("tags") and "keywords" not in metadata:
            metadata["tags"] = ", ".join(found["tags"])
        title = title or squeeze(found.get("title") or "")
    pieces = list(_pieces(document.body)) if document is not None and document.body is not None else []
    if _lost_too_much(pieces, own):
        pieces = own.pieces
    if not any(kind != "heading" for kind, _, _ in pieces):
        pieces = [("paragraph", 0, part) for part in plain_text(text).split("\n") if part]
    if not pieces:
        raise InputError("no text in this HTML page")
    pieces = [(kind, level, _PERMALINK.sub("", text) if level else text) for kind, level, text in pieces]
    return Page(_top_heading(pieces) or title, metadata, list(_to_blocks(pieces, _LineFinder(own_tree))))


def _lost_too_much(found: list[Piece], own: Walker) -> bool:
    """Whether blocks that were found in a page are much less than its own, or all of them run together."""
    kept = sum(letters(text) for _, _, text in found)
    there = sum(letters(text) for _, _, text in own.pieces)
    collapsed = sum(kind != "heading" for kind, _, _ in found) <= 1 and len(own.pieces) > len(found)
    return collapsed or kept < (_KEPT_OF_MARKED if own.marked else _KEPT) * there


def _top_heading(pieces: list[Piece]) -> str:
    """The only heading of the first level, if there is one."""
    tops = [text for _, level, text in pieces if level == 1]
    return tops[0] if len(tops) == 1 else ""


def outline(text: str) -> list[Piece]:
    """The blocks of some HTML that is an article and nothing besides, as it was sent by mail or made of a document.

    :raises InputError: if it is nested too deeply.
    """
    found = walked(text)
    if found is None:
        return []
    return [(kind, level, _PERMALINK.sub("", text) if level else text) for kind, level, text in found.pieces]


def walked(text: str) -> Walker | None:
    """As `outline`, with the lines that the HTML tells; None if there is nothing in it."""
    tree = _parse(_uncrowded(text)) if text.strip() else None
    return None if tree is None else Walker(tree, whole=True)


def flat_cells(text: str) -> str:
    """HTML made of a document, where a cell that is one paragraph is that text, and no layout."""
    return _PARAGRAPH_CELL.sub(r"<\1\2>\3</\1>", text)


def plain_text(text: str) -> str:
    """All the text that a reader of some HTML sees, a line for each block; "" if there is none."""
    tree = _parse(_uncrowded(text))
    if tree is None:
        return ""
    drop(tree, "|".join(f"//{tag}" for tag in (*_SILENT_TAGS, "head")))
    from lxml.etree import iterwalk

    parts: list[str] = []
    for event, element in iterwalk(tree, events=("start", "end")):
        if element.tag in ("td", "th"):
            parts.append(" ")
        elif element.tag in _LINE_TAGS:
            parts.append("\0")
        parts.append((element.text if event == "start" else element.tail) or "")
    # A line end in the source is only white space; NUL is in no HTML text.
    lines = (squeeze(line) for line in "".join(parts).split("\0"))
    return "\n".join(line for line in lines if line)


def _uncrowded(text: str) -> str:
    """HTML without the attributes that are too many. Lines are counted, so their ends stay."""
    return _CROWDED.sub(lambda found: found[1] + "\n" * found[2].count("\n"), text)


def _parse(text: str) -> HtmlElement | None:
    """The tree of some HTML, None if there is nothing in it.

    :raises InputError: if it is nested so deeply that lxml leaves out the rest.
    """
    from lxml import etree
    from lxml.html import HTMLParser, document_fromstring

    try:
        # Given as bytes: lxml refuses a str with an encoding declaration.
        parser = HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
        tree: HtmlElement = document_fromstring(text.encode("utf-8"), parser=parser)
    except (etree.LxmlError, ValueError, AssertionError):
        return None
    if any("depth" in entry.message for entry in parser.error_log):
        raise InputError("HTML nested too deeply to be read: save the page's text instead")
    return tree


def _is_manageable(tree: HtmlElement) -> bool:
    """Whether trafilatura can be given a page."""
    from lxml.etree import iterwalk

    elements = depth = depths = 0
    for event, _ in iterwalk(tree, events=("start", "end")):
        if event == "end":
            depth -= 1
            continue
        elements, depth, depths = elements + 1, depth + 1, depths + depth
        if elements > _MAX_ELEMENTS or depths > _MAX_DEPTHS:
            return False
    return True


def _extract(tree: HtmlElement) -> Any:
    """What trafilatura makes of a page, the article in its ``body``; None if it finds none."""
    from trafilatura import bare_extraction

    try:
        return bare_extraction(
            tree, favor_recall=True, include_comments=False, include_tables=True, with_metadata=True, deduplicate=False
        )
    except Exception:
        # Whatever it stumbles over: all of the page's text is taken then.
        return None


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


def _pieces(body: Any) -> Iterator[Piece]:
    """Kind, heading level and text of each block in trafilatura's tree."""
    for element in body:
        match element.tag:
            case "head":
                level = (element.get("rend") or "h2")[1:]
                yield from _piece("heading", element, int(level) if level.isdigit() else 2)
            case "list":
                yield from _items(element)
            case "table":
                rows = (" | ".join(_text(cell) for cell in row) for row in element.iter("row"))
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


def _items(element: Any) -> Iterator[Piece]:
    """The items of a list; a term and its definition are one."""
    ordered = element.get("rend") == "ol"
    term = ""
    for number, item in enumerate(element.iterfind("item"), 1):
        text = _text(item)
        if (item.get("rend") or "").startswith("dt"):
            if term:
                yield "item", 0, f"- {term}"
            term = text
        elif text:
            yield "item", 0, (f"{number}. " if ordered else "- ") + (f"{term}: " if term else "") + text
            term = ""
    if term:
        yield "item", 0, f"- {term}"


def _piece(kind: BlockKind, element: Any, level: int = 0) -> Iterator[Piece]:
    text = _text(element)
    if text:
        yield kind, level, text


def _text(element: Any) -> str:
    """Text of an element of trafilatura's tree, without its tail: words do not run together across lines and blocks."""
    from lxml.etree import iterwalk

    parts: list[str] = []
    for event, part in iterwalk(element, events=("start", "end")):
        if part.tag in ("cell", "item", "lb", "list", "p", "row", "table"):
            parts.append(" ")
        parts.append((part.text if event == "start" else part.tail if part is not element else "") or "")
    return squeeze("".join(parts))


def _piece_text(kind: BlockKind, text: str | None) -> Iterator[Piece]:
    if text and text.strip():
        yield kind, 0, squeeze(text)


def _to_blocks(pieces: list[Piece], finder: _LineFinder) -> Iterator[Block]:
    at = 0
    for kind, level, text in pieces:
        yield Block(kind, text, finder.line_of(text), (Run(0, len(text), at, at + len(text)),), level)
        at += len(text) + len(BLOCK_GAP)


class _LineFinder:
    """Lines of the file in which blocks begin, looked up in the order in which the blocks come."""

    def __init__(self, tree: HtmlElement) -> None:
        from lxml.etree import iterwalk

        parts: list[str] = []
        length = 0
        # Where the letters of each element begin and end, and its line.
        spans: list[tuple[int, int, int]] = []
        open_elements: list[int] = []
        for event, element in iterwalk(tree, events=("start", "end")):
            wanted = element.tag in _PLACED
            if wanted and event == "start":
                open_elements.append(len(spans))
                spans.append((length, 0, int(element.sourceline or 1)))
            if wanted and event == "end":
                at = open_elements.pop()
                spans[at] = (spans[at][0], length, spans[at][2])
            found = _NO_LETTER.sub("", (element.text if event == "start" else element.tail) or "")
            parts.append(found)
            length += len(found)
            if wanted and event == "end" and element.tag == "br":
                # What stands behind a break is its text.
                spans[at] = (length - len(found), length, spans[at][2])
        everything = "".join(parts)
        self._places: list[tuple[str, int]] = []
        self._known: dict[str, list[int]] = {}
        for start, end, line in spans:
            # The text up to the first block inside it is enough to know a block again.
            if start < end:
                text = everything[start : min(end, start + _KNOWN_BY)]
                self._known.setdefault(text, []).append(len(self._places))
                self._places.append((text, line))
        self._next = 0

    def line_of(self, text: str) -> int:
        # More than enough of a block to have as many letters, if it is not mostly signs.
        wanted = _NO_LETTER.sub("", _MARKER.sub("", text, count=1)[: 10 * _KNOWN_BY])[:_KNOWN_BY]
        if not self._places:
            return 1
        same = self._known.get(wanted, [])
        later = bisect_left(same, self._next)
        self._next = same[later] if later < len(same) else self._alike(wanted, same[0] if same else self._next)
        return self._places[self._next][1]

    def _alike(self, wanted: str, otherwise: int) -> int:
        """The next place near by that begins as the block does; a place of a word or two may begin so by chance."""
        for at in range(self._next, min(len(self._places), self._next + _REACH)):
            candidate = self._places[at][0]
            if candidate.startswith(wanted) or (len(candidate) >= _ALIKE and wanted.startswith(candidate)):
                return at
        return otherwise
