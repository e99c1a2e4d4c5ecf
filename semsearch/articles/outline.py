"""The blocks of an HTML page as they stand, for pages of which the finder of article bodies keeps too little.

What is no text of the page goes (scripts, navigation, hidden parts), and outside a marked main part so does what is mostly
links. HTML that is an article and nothing besides, as books, mail and documents have it, keeps all that a reader sees. Depth
costs no recursion.

Deliberately not here: choosing between this and trafilatura (`html`).
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from semsearch.records import BlockKind

if TYPE_CHECKING:
    from lxml.html import HtmlElement

__all__ = ["HIDDEN", "LINE", "Piece", "Walker", "drop", "letters", "squeeze"]

Piece = tuple[BlockKind, int, str]
"""Kind, heading level (0 for all else) and text of a block."""

HIDDEN = "//*[@hidden]|//*[contains(translate(@style, ' ', ''), 'display:none')]"
"""XPath of what a page keeps from its readers."""
_NO_TEXT = (
    "//script|//style|//template|//noscript|//svg|//head|//nav|//aside|//footer|//form|//button|//iframe"
    "|//header[not(ancestor::main or ancestor::article or descendant::h1)]|//*[@role='navigation']"
    f"|//a[contains(@class, 'headerlink')]|{HIDDEN}"
)
_NEVER_SEEN = (
    f"//script|//style|//template|//head|//iframe|//annotation|//annotation-xml|//svg//title|//svg//desc|//svg//metadata|{HIDDEN}"
)
"""XPath of what no reader of a book or a letter sees, formulas' sources among it."""
LINE = "data-semsearch-line"
"""Attribute that says in which line of a file an element begins."""
_MAIN = ("//main", "//*[@role='main']", "//article")
_BLOCK_NAMES = (
    "address article aside blockquote body button caption center dd details dialog dir div dl dt fieldset figcaption figure"
    " footer form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav noscript ol optgroup option p pre search"
    " section select summary table text textarea tr ul"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_KINDS: dict[str, BlockKind] = {"li": "item", "dt": "item", "dd": "item", "blockquote": "quote", "pre": "code"}
_IN_LAYOUT = ("p", "div", "table", "h1", "h2", "h3", "ul", "ol")
_DROPPED = "semsearch-dropped"
_MOSTLY_LINKS = 0.6


def drop(tree: HtmlElement, path: str) -> None:
    """Take away the elements that an XPath names, but for the root; the text behind each stays.

    All at once: one by one, the text before a place is copied for each that goes there.
    """
    from lxml.etree import strip_elements

    for element in tree.xpath(path):
        if element.getparent() is not None:
            element.tag = _DROPPED
    strip_elements(tree, _DROPPED, with_tail=False)


def _main_part(tree: HtmlElement) -> tuple[HtmlElement, bool]:
    """The part of a page that its marks call the main one, and whether there is just one such; else all of the page."""
    for path in _MAIN:
        found = tree.xpath(path)
        if len(found) == 1 and letters(found[0].text_content()):
            return found[0], True
    return tree, False


def _is_layout(table: Any) -> bool:
    """Whether a table has blocks in it; no further than to the first of them is looked, for tables may be nested."""
    return any(element is not table for element in islice(table.iter(*_IN_LAYOUT), 2))


def letters(text: str) -> int:
    """How many letters and digits a text has."""
    return len(re.sub(r"[\W_]+", "", text))


def squeeze(text: str) -> str:
    """The text with each stretch of white space as one space."""
    return re.sub(r"\s+", " ", text).strip()


class Walker:
    """Goes through a tree once and gathers its blocks in ``pieces``. The tree loses what is no text.

    ``marked``: whether the page marks its main part, outside of which nothing was gathered. ``lines``: where each of the pieces
    begins in a file, as `LINE` says it; 1 for all where nothing does.

    :param whole: it is no page of a site but an article: all that is not hidden is its text.
    """

    def __init__(self, tree: HtmlElement, *, whole: bool = False) -> None:
        drop(tree, _NEVER_SEEN if whole else _NO_TEXT)
        root, self.marked = (tree, True) if whole else _main_part(tree)
        self.pieces: list[Piece] = []
        self.lines: list[int] = []
        self._line = 1
        self._first_line = 0
        self._kinds: list[BlockKind] = []
        self._numbers: list[int] = []
        self._rows: list[str] | None = None
        self._parts: list[str] = []
        self._marker = ""
        self._term = self._cells = False
        self._links = self._linked = 0
        self._walk(root)

    def _walk(self, root: HtmlElement) -> None:
        from lxml.etree import iterwalk

        for event, element in iterwalk(root, events=("start", "end")):
            if event == "start":
                self._enter(element)
                self._add(element.text)
            else:
                self._leave(element)
                if element is not root:
                    self._add(element.tail)
        self._flush()

    def _enter(self, element: Any) -> None:
        tag = element.tag
        line = element.get(LINE, "")
        if line.isdecimal() and len(line) < 10:
            self._line = int(line)
        if tag == "a":
            self._links += 1
        elif tag == "br":
            self._parts.append("\n" if "code" in self._kinds else " ")
        elif tag == "table" and self._rows is None and not _is_layout(element):
            self._flush()
            self._rows, self._first_line = [], self._line
        elif tag in _BLOCKS and self._rows is None and not (tag == "dd" and self._term):
            self._flush()
        if tag in ("ol", "ul"):
            self._numbers.append(0 if tag == "ol" else -1)
        elif tag == "li":
            self._number()
        elif tag == "dt":
            self._marker = "- "
        if tag in _KINDS:
            self._kinds.append(_KINDS[tag])

    def _number(self) -> None:
        if self._numbers and self._numbers[-1] >= 0:
            self._numbers[-1] += 1
            self._marker = f"{self._numbers[-1]}. "
        else:
            self._marker = "- "

    def _leave(self, element: Any) -> None:
        tag = element.tag
        if tag == "a":
            self._links -= 1
        elif tag in ("td", "th"):
            self._parts.append(" | ")
            self._cells = True
        elif tag == "dt":
            # The definition follows in the same block.
            self._parts.append(": ")
            self._term = True
        elif self._rows is not None and tag in ("tr", "caption"):
            self._rows.append(squeeze("".join(self._parts)).strip("| "))
            self._parts = []
        elif tag == "table" and self._rows is not None:
            table = "\n".join(row for row in self._rows if row)
            self._rows = None
            if table:
                self._append("table", 0, table)
        elif tag in _BLOCKS and self._rows is None:
            self._flush(int(tag[1]) if tag[0] == "h" and tag[1:].isdigit() else 0)
        if tag in ("ol", "ul") and self._numbers:
            self._numbers.pop()
        if tag in _KINDS and self._kinds:
            self._kinds.pop()

    def _add(self, text: str | None) -> None:
        if text:
            if not self._first_line and not text.isspace():
                self._first_line = self._line
            self._parts.append(text)
            self._linked += letters(text) if self._links else 0

    def _flush(self, level: int = 0) -> None:
        """What was gathered becomes a block."""
        joined = "".join(self._parts)
        linked, self._parts, self._linked, self._term = self._linked, [], 0, False
        ends, self._cells = "| " if self._cells else " ", False
        kind: BlockKind = "heading" if level else self._kinds[-1] if self._kinds else "paragraph"
        text = joined.strip("\n").rstrip() if kind == "code" else squeeze(joined).strip(ends)
        if not text.strip() or not (self.marked or level or linked <= _MOSTLY_LINKS * letters(text)):
            self._first_line = 0
            return
        if kind == "item":
            text, self._marker = self._marker + text.removesuffix(":"), ""
        self._append(kind, level, text)

    def _append(self, kind: BlockKind, level: int, text: str) -> None:
        self.pieces.append((kind, level, text))
        self.lines.append(self._first_line or self._line)
        self._first_line = 0
