"""Files to articles: `find` names the files, `read` gives the articles in one of them.

In: paths. Out: `Article`s with clean blocks whose runs lead back to the file, and `Problem`s for what could not be read.
A file that cannot be read never stops the others.

Deliberately not here: passages, sentences, anything that knows the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from semsearch.articles import html, jsonl, markdown, text
from semsearch.articles.decode import decode
from semsearch.articles.files import HTML, JSONL, MARKDOWN, SUFFIXES, Found, SourceFile, find, folders_below, read_regular
from semsearch.articles.metadata import normalise, split_front_matter
from semsearch.errors import InputError
from semsearch.records import Article, Block, Problem

__all__ = ["MAX_ARTICLE_BYTES", "SUFFIXES", "Found", "SourceFile", "Unreadable", "find", "folders_below", "load", "read"]

MAX_ARTICLE_BYTES = 32 * 2**20
"""A file that is one article may be this large (the King James Bible has 4.4 MB); a JSONL file may be larger."""

MAX_TITLE = 1000
"""Characters of a title, which is read, and kept in the index, with each of its passages: what is longer is cut at a word. A
heading that is longer is a paragraph. The longest title of twelve collections of papers and news has 300."""

_LINE_END = re.compile(r"\r\n|\r|\n")
_FOOTER_WORDS = 12
_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", "।", "؟", ":")


class Unreadable(InputError):
    """A file that is there but could not be read this time: permissions, a device that is away."""


def load(file: SourceFile) -> bytes:
    """The bytes of a file.

    :raises Unreadable: if the system does not let it be read.
    :raises InputError: if it is empty, or too large for one article.
    """
    growing = file.suffix in JSONL
    try:
        if growing:
            # No more than there is now: what is being written to may grow for ever.
            size = file.path.stat().st_size
            data, size = read_regular(file.path, max(size, MAX_ARTICLE_BYTES))
        else:
            data, size = read_regular(file.path, MAX_ARTICLE_BYTES + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from error
    if not growing and len(data) > MAX_ARTICLE_BYTES:
        raise InputError(
            f"{max(size, len(data)) / 2**20:.0f} MB, more than the {MAX_ARTICLE_BYTES // 2**20} MB of one article: split the file"
        )
    if not data.strip():
        raise InputError("empty file")
    return data


def read(file: SourceFile, data: bytes) -> Iterator[Article | Problem]:
    """The articles in a file's bytes, in order, and what was wrong with it or with parts of it."""
    try:
        content = decode(data, html=file.suffix in HTML)
        if file.suffix in JSONL:
            yield from _read_jsonl(file, content)
        elif file.suffix in HTML:
            page = html.read(content)
            yield _article(file, page.title, normalise(page.metadata), page.blocks)
        else:
            yield from _read_text(file, content)
    except InputError as error:
        yield Problem(file.source, str(error))
    except RecursionError:
        yield Problem(file.source, "nested too deeply to be read")


def _read_jsonl(file: SourceFile, content: str) -> Iterator[Article | Problem]:
    for record in jsonl.records(content):
        if not isinstance(record, jsonl.Record):
            yield Problem(file.source, str(record))
            continue
        body = record.text if record.text.strip() else record.title
        blocks = tuple(Block(block.kind, block.text, record.line, block.runs) for block in text.paragraphs(body))
        yield Article(f"{file.source}#{record.line}", _shortened(record.title), record.metadata, blocks)


def _read_text(file: SourceFile, content: str) -> Iterator[Article | Problem]:
    metadata, start, wrong = split_front_matter(content)
    if wrong:
        yield Problem(file.source, wrong)
    title = str(metadata.pop("title", "")).strip()
    if file.suffix in MARKDOWN:
        blocks = list(markdown.blocks(content, start))
    else:
        blocks = list(text.paragraphs(content, start))
        title = title or text.take_title(blocks)
    if not any(block.text for block in blocks):
        raise InputError("no text in this file")
    starts = (0, *(match.end() for match in _LINE_END.finditer(content)))
    yield replace(_article(file, title, metadata, blocks), line_starts=starts)


def _article(file: SourceFile, title: str, metadata: dict[str, Any], blocks: list[Block]) -> Article:
    """An article whose title left the body, and whose bare addresses and footer lines became metadata."""
    blocks = [
        replace(block, kind="paragraph", level=0) if block.kind == "heading" and len(block.text) > MAX_TITLE else block
        for block in blocks
    ]
    title = _shortened(title or _top_heading(blocks))
    plain_title = _plain(title)
    kept: list[Block] = []
    for block in blocks:
        address = markdown.bare_address(block)
        if address:
            metadata.setdefault("url", address)
            continue
        if block.kind == "heading" and block.level == 1 and _plain(block.text) == plain_title:
            continue
        kept.append(block)
    footer = _take_footer(kept)
    if footer:
        metadata.setdefault("footer", footer)
    if not any(block.kind not in ("heading", "rule") for block in kept):
        # Only headings, or nothing but an address: what there is, is the text.
        kept = [Block("paragraph", block.text, block.line, block.runs) for block in blocks if block.text]
    return Article(file.source, title or _stem(file.path), metadata, tuple(kept))


def _top_heading(blocks: list[Block]) -> str:
    """The heading of the first level that stands above everything, or is the only one; else ""."""
    tops = [block for block in blocks if block.kind == "heading" and block.level == 1]
    first = next((block for block in blocks if block.text and not markdown.bare_address(block)), None)
    return tops[0].text if tops and (len(tops) == 1 or tops[0] is first) else ""


def _take_footer(blocks: list[Block]) -> str:
    """The lines behind the last rule, taken away, where they are no more than an outlet's name or a signature.

    A sentence is not taken, however short.
    """
    last = max((at for at, block in enumerate(blocks) if block.kind == "rule"), default=-1)
    below = blocks[last + 1 :]
    if last <= 0 or any(block.kind != "paragraph" or block.text.endswith(_SENTENCE_ENDS) for block in below):
        return ""
    if sum(len(block.text.split()) for block in below) > _FOOTER_WORDS or sum(len(block.text) for block in below) > 120:
        return ""
    del blocks[last:]
    return "\n".join(block.text for block in below)


def _plain(title: str) -> str:
    """What two spellings of a title have in common."""
    return re.sub(r"\W+", "", title).casefold()


def _shortened(title: str) -> str:
    if len(title) <= MAX_TITLE:
        return title
    kept = title[:MAX_TITLE]
    return (kept.rpartition(" ")[0].rstrip() or kept) + "…"


def _stem(path: Path) -> str:
    return re.sub(r"[\s_-]+", " ", path.stem).strip() or path.name
