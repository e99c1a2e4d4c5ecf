"""OpenDocument texts (ODT) to blocks: the elements of their content are given the names that HTML has, and read as HTML is.

Notes follow the text, each with the number by which it is referred to, as they do where DOCX is read.

Deliberately not here: comments, what tracked changes took away, headers and footers, pictures, tables of contents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from semsearch.articles.documents.draft import Draft, blocks_of
from semsearch.articles.documents.packed import Package
from semsearch.articles.documents.properties import of_odf, parsed, refuse_doctypes
from semsearch.articles.outline import Piece, Walker
from semsearch.errors import InputError

__all__ = ["read"]

_SPACES = {name: f"urn:oasis:names:tc:opendocument:xmlns:{name}:1.0" for name in ("drawing", "office", "style", "table", "text")}
_SVG = "urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0"
_OFFICE, _STYLE, _TABLE, _TEXT = (f"{{{_SPACES[name]}}}" for name in ("office", "style", "table", "text"))
_UNSEEN_NAMES = (
    "alphabetical-index alphabetical-index-source bibliography-source hidden-paragraph hidden-text illustration-index"
    " illustration-index-source index-source-styles object-index script table-index table-of-content tracked-changes user-index"
)
_UNSEEN = (
    frozenset(_TEXT + name for name in _UNSEEN_NAMES.split())
    | {_OFFICE + name for name in ("annotation", "binary-data", "forms", "scripts")}
    | {f"{{{_SVG}}}{name}" for name in ("title", "desc")}
    | {"{http://www.w3.org/1998/Math/MathML}annotation"}
    | {_TABLE + name for name in ("covered-table-cell", "desc", "title")}
)
"""What a reader of the document does not see, or sees elsewhere. What tracked changes took away stands in a list of them."""
_RENAMED = {
    _TEXT + "p": "p",
    _TEXT + "list-item": "li",
    _TEXT + "list-header": "div",
    _TEXT + "numbered-paragraph": "div",
    _TEXT + "line-break": "br",
    _TEXT + "section": "div",
    _TEXT + "a": "a",
    _TABLE + "table": "table",
    _TABLE + "table-row": "tr",
    _TABLE + "table-cell": "td",
    f"{{{_SPACES['drawing']}}}text-box": "div",
}
_STYLED = {"Title": "h1", "Quotations": "blockquote", "Preformatted_20_Text": "pre"}
"""Styles that mean something, by their names in every file."""
_MAX_SPACES = 1000
_MAX_PARENTS = 20
_DROPPED = "semsearch-dropped"


def read(data: bytes) -> Iterator[Draft]:
    """The article in an ODT file.

    :raises InputError: if it is encrypted, damaged, has a DOCTYPE, or has no text.
    """
    package = Package(data, "ODT")
    if b"encryption-data" in package.read("META-INF/manifest.xml"):
        raise InputError("encrypted: save it without its password")
    refuse_doctypes(data, "ODT")
    content = parsed(package.read("content.xml"), strict=True)
    if content is None:
        raise InputError("a damaged ODT file: it has no content that can be read")
    body = content.find(f"{_OFFICE}body/{_OFFICE}text")
    if body is None:
        raise InputError("not an OpenDocument text, whatever its name says")
    styles = parsed(package.read("styles.xml") or b"<none/>")
    pieces = _pieces(body, _Styles([tree for tree in (styles, content) if tree is not None]))
    if not pieces:
        raise InputError("no text in this document")
    metadata = of_odf(package.read("meta.xml"))
    title = str(metadata.pop("title", ""))
    yield Draft(title, metadata, blocks_of(pieces))


class _Styles:
    """What the styles of a document mean: of paragraphs, which name of HTML they come to; of lists, which levels are numbered."""

    def __init__(self, trees: list[Any]) -> None:
        self._parents: dict[str, str] = {}
        self._numbered: dict[str, set[int]] = {}
        for tree in trees:
            for style in tree.iter(_STYLE + "style"):
                self._parents[style.get(_STYLE + "name") or ""] = style.get(_STYLE + "parent-style-name") or ""
            for style in tree.iter(_TEXT + "list-style"):
                levels = style.iterfind(_TEXT + "list-level-style-number")
                self._numbered[style.get(_STYLE + "name") or ""] = {
                    int(level.get(_TEXT + "level"))
                    for level in levels
                    if re.fullmatch(r"\d{1,2}", level.get(_TEXT + "level") or "", re.ASCII) and level.get(_STYLE + "num-format")
                }

    def tag(self, style: str) -> str:
        """The name that a paragraph of a style has in HTML."""
        for _ in range(_MAX_PARENTS):
            if style in _STYLED or not style:
                break
            style = self._parents.get(style, "")
        return _STYLED.get(style, "p")

    def is_numbered(self, style: str, level: int) -> bool:
        return level in self._numbered.get(style, ())


def _pieces(body: Any, styles: _Styles) -> list[Piece]:
    from lxml.etree import strip_elements

    for element in body.iter():
        if element.tag in _UNSEEN or (element.tag == _TEXT + "section" and element.get(_TEXT + "display") == "none"):
            element.tag = _DROPPED
    strip_elements(body, _DROPPED, with_tail=False)
    _move_notes(body)
    _rename(body, styles)
    return Walker(body, whole=True).pieces


def _move_notes(body: Any) -> None:
    """Put the notes behind all text, where each is an item of one list; where a note stood, its number stays."""
    from lxml.etree import SubElement

    notes = list(body.iter(_TEXT + "note"))
    if not notes:
        return
    behind = SubElement(body, "ol")
    for number, note in enumerate(notes, 1):
        item = SubElement(behind, "li")
        for part in note.iterfind(_TEXT + "note-body"):
            item.extend(list(part))
        note.clear(keep_tail=True)
        note.text = f"[{number}]"


def _rename(body: Any, styles: _Styles) -> None:
    """Give the elements the names that they have in HTML."""
    from lxml.etree import iterwalk

    # The style of each list that is open: one inside another goes by the style of that, if it has none.
    lists: list[str] = []
    for event, element in iterwalk(body, events=("start", "end")):
        if element.tag == _TEXT + "list" and event == "start":
            lists.append(element.get(_TEXT + "style-name") or (lists[-1] if lists else ""))
        elif element.tag == _TEXT + "list":
            # No other is open behind it, and what it is called matters to nothing inside.
            element.tag = "ol" if styles.is_numbered(lists.pop(), len(lists) + 1) else "ul"
        elif event == "end":
            _rename_one(element, styles)
    for cell in body.iter("td"):
        # What is a paragraph there is a cell's text, and no layout.
        if all(part.tag == "p" for part in cell):
            for part in cell:
                part.tag = "span"
                part.tail = " "
    _join_code(body)


def _rename_one(element: Any, styles: _Styles) -> None:
    attributes: Mapping[str, str] = element.attrib
    if element.tag == _TEXT + "h":
        level = attributes.get(_TEXT + "outline-level", "1")
        element.tag = f"h{level}" if level in ("1", "2", "3", "4", "5", "6") else "h6" if level.isdecimal() else "h1"
    elif element.tag == _TEXT + "p":
        element.tag = styles.tag(attributes.get(_TEXT + "style-name", ""))
    elif element.tag == _TEXT + "s":
        count = attributes.get(_TEXT + "c", "1")
        element.text = " " * (min(int(count), _MAX_SPACES) if re.fullmatch(r"\d{1,6}", count, re.ASCII) else 1)
    elif element.tag == _TEXT + "tab":
        element.text = "\t"
    else:
        element.tag = _RENAMED.get(element.tag, element.tag)


def _join_code(body: Any) -> None:
    """Make one of the lines of a listing, each of which is a paragraph in OpenDocument."""
    for line in list(body.iter("pre")):
        before = line.getprevious()
        if before is not None and before.tag == "pre":
            line.tag = "span"
            line.text = "\n" + (line.text or "")
            line.tail = None
            before.append(line)
