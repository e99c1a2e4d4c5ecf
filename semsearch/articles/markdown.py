"""Markdown to blocks, by markdown-it-py (CommonMark with tables).

markdown-it tells the lines of a block but not the places of its words, so each piece of clean text is looked up in the
block's lines, left to right. What a reader sees stays (link texts, image descriptions, code); marks and addresses go.
Text whose place cannot be told has a run of no length, where the text before it ends.

Deliberately not here: decoding, front matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.helpers import parseLinkDestination
from markdown_it.token import Token

from semsearch.articles import text as plain
from semsearch.articles.html import plain_text
from semsearch.records import Block, BlockKind, Run

__all__ = ["bare_address", "blocks"]

_ADDRESS = re.compile(r"<?(?:https?|ftp)://\S+>?\Z")
_LINE_END = re.compile(r"\r\n|\r|\n")
_BREAK = re.compile(r"<br\b", re.IGNORECASE)
_SPACE = re.compile(r"\s*")
_LINK_END = re.compile(r"""(?:\s+(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\((?:\\.|[^()\\])*\)))?\s*\)""", re.DOTALL)
# A table's cell has "|" where the source has "\|".
_WORDS = re.compile(r"\s+|\||[^\s|]+")
_MAX_NESTING = 40
"""Quotes and list items inside one another; every "[" of a row of them takes time in proportion to this number."""
_PATIENCE = 20
"""A block's pieces that are not found may have been looked for in so many times its length; further ones are looked for only so
near as `_NEAR`, so that a block of nothing else takes no longer than its length squared."""
_NEAR = 1000


@cache
def _parser() -> MarkdownIt:
    # text_join off: an escape or an entity stays a token of its own, with its spelling in the source.
    return MarkdownIt("commonmark", {"maxNesting": _MAX_NESTING}).enable(["table", "strikethrough"]).disable("text_join")


def blocks(text: str, start: int = 0) -> Iterator[Block]:
    """Blocks of the Markdown from ``start`` on, in order; blocks without words (comments, empty cells) do not come, rules do.

    Markdown nested more than `_MAX_NESTING` deep is read as plain text, because markdown-it leaves out what is deeper.
    """
    lines = [start, *(match.end() for match in _LINE_END.finditer(text, start))]
    if lines[-1] != len(text):
        lines.append(len(text))
    first_line = 1 + len(_LINE_END.findall(text, 0, start))
    # markdown-it counts "\r\n" and "\r" as "\n", and so does the table of lines above.
    tokens = _parser().parse(text[start:])
    if any(token.level >= _MAX_NESTING - 1 and token.type in ("blockquote_open", "list_item_open") for token in tokens):
        yield from plain.paragraphs(text, start)
        return
    for kind, level, marker, group in _groups(tokens):
        if kind == "rule":
            yield Block(kind, "", first_line + (group[0].map or [0])[0], ())
            continue
        reader = _Reader(text, lines)
        for token in group:
            reader.read(token)
        clean, runs = reader.finish(marker)
        if clean:
            top = group[0].map[0] if group[0].map else 0
            yield Block(kind, clean, first_line + top, runs, level)


def bare_address(block: Block) -> str:
    """The address that a block consists of, "" if it has words of its own."""
    return block.text.strip("<>") if _ADDRESS.match(block.text) else ""


def _groups(tokens: list[Token]) -> Iterator[tuple[BlockKind, int, str, list[Token]]]:
    """Tokens with text, gathered to blocks: kind, heading level, list marker, tokens."""
    quotes = 0
    markers: list[str] = []
    numbers: list[int] = []
    heading = 0
    table: list[Token] | None = None
    for token in tokens:
        match token.type:
            case "blockquote_open":
                quotes += 1
            case "blockquote_close":
                quotes -= 1
            case "ordered_list_open":
                numbers.append(int(token.attrGet("start") or 1) - 1)
            case "bullet_list_open":
                numbers.append(-1)
            case "ordered_list_close" | "bullet_list_close":
                numbers.pop()
            case "list_item_open":
                if numbers[-1] >= 0:
                    numbers[-1] += 1
                markers.append("- " if numbers[-1] < 0 else f"{numbers[-1]}. ")
            case "list_item_close":
                markers.pop()
            case "heading_open":
                heading = int(token.tag[1])
            case "heading_close":
                heading = 0
            case "table_open":
                table = []
            case "table_close":
                if table:
                    yield "table", 0, "", table
                table = None
            case "tr_open" if table is not None:
                table.append(token)
            case "inline" if table is not None:
                table.append(token)
            case "inline" if heading:
                yield "heading", heading, "", [token]
            case "inline" if markers:
                yield "item", 0, markers[-1], [token]
                markers[-1] = ""
            case "inline":
                yield ("quote" if quotes else "paragraph"), 0, "", [token]
            case "fence" | "code_block":
                yield "code", 0, "", [token]
            case "hr":
                yield "rule", 0, "", [token]
            case "html_block":
                yield "paragraph", 0, "", [token]


class _Reader:
    """Gathers the clean text of a block with the runs that lead back to the source."""

    def __init__(self, source: str, lines: list[int]) -> None:
        self._source = source
        self._lines = lines
        self._parts: list[str] = []
        self._runs: list[Run] = []
        self._length = 0
        self._at = 0
        self._end = 0
        self._start: int | None = None
        self._missed = 0
        self._automatic = False

    def read(self, token: Token) -> None:
        if token.map:
            top, bottom = token.map
            # A fence's first line has the language, which is no text.
            self._at = max(self._at, self._lines[top + (token.type == "fence")])
            self._end = max(self._end, self._lines[min(bottom, len(self._lines) - 1)])
            self._start = self._at if self._start is None else self._start
        if token.type == "tr_open":
            self._glue("\n")
        elif token.type == "inline":
            if self._parts and self._parts[-1] != "\n":
                self._glue(" | ")
            for child in token.children or []:
                self._read_inline(child)
        elif token.type == "html_block":
            clean = plain_text(token.content)
            if clean:
                self._add(clean, self._at, self._end)
        else:
            for number, line in enumerate(token.content.splitlines()):
                if number:
                    self._glue("\n")
                self._find(line, self._end)

    def _read_inline(self, token: Token) -> None:
        match token.type:
            case "text" if self._automatic:
                self._add_address(token.content)
            case "text":
                self._find(token.content, self._end)
            case "code_inline":
                marks = re.compile(rf"(?<!`){token.markup}(?!`)")
                opening = self._search(marks)
                self._at = opening.end() if opening else self._at
                closing = self._search(marks)
                self._find(token.content, closing.start() if closing else self._end)
                self._at = closing.end() if closing else self._at
            case "text_special":
                at = self._place(token.markup, self._end)
                if at >= 0:
                    self._add(token.content, at, at + len(token.markup))
                else:
                    self._add(token.content, self._at, self._at)
            case "softbreak" | "hardbreak":
                self._glue(" ")
            case "html_inline":
                at = self._place(token.content, self._end)
                self._at = max(self._at, at + len(token.content) if at >= 0 else 0)
                if _BREAK.match(token.content):
                    self._glue(" ")
            case "image":
                for child in token.children or []:
                    self._read_inline(child)
                self._skip_address()
            case "link_open" if token.info == "auto":
                self._automatic = True
            case "link_close" if token.info == "auto":
                self._automatic = False
            case "link_close":
                self._skip_address()

    def _find(self, piece: str, end: int) -> None:
        """Take a piece as it stands in the source before ``end``; word by word where the source breaks lines inside it."""
        if not piece:
            return
        at = self._place(piece, end)
        if at >= 0:
            self._add(piece, at, at + len(piece))
            return
        for word in _WORDS.findall(piece):
            if word.isspace():
                self._glue(word)
                continue
            at = self._place(word, end)
            if at >= 0:
                self._add(word, at, at + len(word))
            else:
                self._add(word, self._at, self._at)

    def _place(self, piece: str, end: int) -> int:
        """Where a piece stands next, -1 if it does not before ``end``."""
        end = min(end, self._limit(len(piece)))
        at = self._source.find(piece, self._at, end)
        self._missed += max(0, end - self._at) if at < 0 else 0
        return at

    def _search(self, marks: re.Pattern[str]) -> re.Match[str] | None:
        end = self._limit(0)
        found = marks.search(self._source, self._at, end)
        self._missed += end - self._at if found is None else 0
        return found

    def _limit(self, length: int) -> int:
        """How far a piece of this length may be looked for."""
        patience = _PATIENCE * (self._end - (self._start or 0))
        return self._end if self._missed <= patience else min(self._end, self._at + length + _NEAR)

    def _add_address(self, address: str) -> None:
        """An address between angle brackets, whose text may be spelled otherwise."""
        opening = self._place("<", self._end)
        closing = self._source.find(">", opening, self._end) if opening >= 0 else -1
        if closing < 0:
            self._add(address, self._at, self._at)
            return
        same = self._source[opening + 1 : closing] == address
        # Runs of the same length on both sides are the same: one that is not takes the bracket with it.
        self._add(address, opening + (same or closing - opening - 1 != len(address)), closing)

    def _skip_address(self) -> None:
        """Step over the ``](address "title")`` or ``][label]`` behind a link's text, and the marks in between."""
        closing = self._source.find("]", self._at, self._end)
        if closing < 0:
            return
        self._at = closing + 1
        opening = self._source[self._at : self._at + 1]
        if opening == "[":
            self._at = max(self._at, self._source.find("]", self._at, self._end) + 1)
        elif opening == "(":
            address = _SPACE.match(self._source, self._at + 1, self._end)
            after = address.end() if address else self._at + 1
            found = parseLinkDestination(self._source, after, self._end)
            end = _LINK_END.match(self._source, found.pos if found.ok else after, self._end)
            self._at = end.end() if end else self._at

    def _add(self, clean: str, start: int, end: int) -> None:
        self._runs.append(Run(self._length, self._length + len(clean), start, end))
        self._at = end
        self._glue(clean)

    def _glue(self, clean: str) -> None:
        self._parts.append(clean)
        self._length += len(clean)

    def finish(self, marker: str) -> tuple[str, tuple[Run, ...]]:
        """Clean text, trimmed, behind a list item's marker; and its runs."""
        text = "".join(self._parts)
        trimmed = text.strip()
        if not trimmed:
            return "", ()
        shift = len(marker) - (len(text) - len(text.lstrip()))
        end = len(marker) + len(trimmed)
        runs = []
        for run in self._runs:
            start, stop = max(run.start + shift, len(marker)), min(run.end + shift, end)
            if start >= stop:
                continue
            if run.end - run.start == run.source_end - run.source_start:
                cut = start - (run.start + shift)
                runs.append(Run(start, stop, run.source_start + cut, run.source_start + cut + stop - start))
            else:
                runs.append(Run(start, stop, run.source_start, run.source_end))
        return marker + trimmed, tuple(_merge(runs))


def _merge(runs: list[Run]) -> list[Run]:
    """Adjacent verbatim runs as one."""
    merged: list[Run] = []
    for run in runs:
        last = merged[-1] if merged else None
        verbatim = run.end - run.start == run.source_end - run.source_start
        if (
            last
            and verbatim
            and last.end == run.start
            and last.source_end == run.source_start
            and last.end - last.start == last.source_end - last.source_start
        ):
            merged[-1] = Run(last.start, run.end, last.source_start, run.source_end)
        else:
            merged.append(run)
    return merged
