"""Plain text to blocks: paragraphs between blank lines.

Deliberately not here: decoding, front matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from semsearch.records import Block, Run

__all__ = ["paragraphs", "take_title"]

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_SENTENCE_END = re.compile(r"[.!?:;,。！？]['\")\]]*\Z")
_MAX_TITLE_WORDS = 15
_WRAPPED = 200
"""A longer line was not wrapped by hand or by an editor: it is a paragraph of its own."""


def paragraphs(text: str, start: int = 0) -> Iterator[Block]:
    """Paragraphs from ``start`` on, between blank lines; the lines of each are joined by a space and trimmed."""
    line = 1 + _count_lines(text, start)
    pieces: list[str] = []
    runs: list[Run] = []
    length, first_line = 0, line
    for match in _LINE.finditer(text, start):
        content = match[0].strip()
        if pieces and (not content or len(content) > _WRAPPED or len(pieces[-1]) > _WRAPPED):
            yield Block("paragraph", " ".join(pieces), first_line, tuple(runs))
            pieces, runs = [], []
        if content:
            if not pieces:
                length, first_line = 0, line
            else:
                length += 1
            at = match.start() + match[0].index(content)
            runs.append(Run(length, length + len(content), at, at + len(content)))
            pieces.append(content)
            length += len(content)
        line += 1
    if pieces:
        yield Block("paragraph", " ".join(pieces), first_line, tuple(runs))


def take_title(blocks: list[Block]) -> str:
    """Title of a text whose first paragraph is one short line that is no sentence; that block is taken away.

    :return: "" if the text opens otherwise, or has nothing besides.
    """
    if len(blocks) < 2 or len(blocks[0].runs) != 1:
        return ""
    first = blocks[0].text
    if len(first.split()) > _MAX_TITLE_WORDS or len(first) > 200 or _SENTENCE_END.search(first):
        return ""
    del blocks[0]
    return first


def _count_lines(text: str, end: int) -> int:
    return text.count("\n", 0, end) + text.count("\r", 0, end) - text.count("\r\n", 0, end)
