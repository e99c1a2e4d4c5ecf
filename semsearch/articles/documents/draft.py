"""What a reader of some format gives: articles in the making, their blocks laid out as one text.

Deliberately not here: any format.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from semsearch.articles.outline import Piece
from semsearch.records import Block, Run

__all__ = ["BLOCK_GAP", "Draft", "blocks_of"]

BLOCK_GAP = "\n\n"
"""What stands between blocks in extracted text."""


class Draft(NamedTuple):
    """An article as it stands in its file.

    ``title`` is "" where there is none; ``metadata`` goes by the names that were found. ``record`` tells one of several in a
    file: "" or ``#NUMBER``. ``page_starts`` are offsets in the extracted text.
    """

    title: str
    metadata: dict[str, Any]
    blocks: list[Block]
    record: str = ""
    page_starts: tuple[int, ...] = ()


def blocks_of(pieces: Iterable[Piece]) -> list[Block]:
    """Blocks whose offsets and lines count in the extracted text, which is all of them with a blank line in between."""
    blocks = []
    at, line = 0, 1
    for kind, level, text in pieces:
        blocks.append(Block(kind, text, line, (Run(0, len(text), at, at + len(text)),), level))
        at += len(text) + len(BLOCK_GAP)
        line += text.count("\n") + len(BLOCK_GAP)
    return blocks
