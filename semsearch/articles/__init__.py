"""Files to articles: `find` names the files, `read` gives the articles in one of them.

In: paths. Out: `Article`s with clean blocks whose runs lead back to the file, and `Problem`s for what could not be read.
A file that cannot be read never stops the others.

Deliberately not here: passages, sentences, anything that knows the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from semsearch.articles import html, jsonl, markdown, text
from semsearch.articles.decode import decode
from semsearch.articles.files import HTML, JSONL, MARKDOWN, SUFFIXES, Found, SourceFile, find
from semsearch.articles.metadata import body_after_front_matter, normalise, split_front_matter
from semsearch.errors import InputError
from semsearch.records import Article, Block, Problem

__all__ = ["MAX_ARTICLE_BYTES", "SUFFIXES", "Found", "SourceFile", "find", "load", "read"]

MAX_ARTICLE_BYTES = 32 * 2**20
"""A file that is one article may be this large (the King James Bible has 4.4 MB); a JSONL file may be larger."""

_FOOTER_WORDS = 8


def load(file: SourceFile) -> bytes:
    """The bytes of a file.

    :raises InputError: if it cannot be read, is empty, or is too large for one article.
    """
    try:
        size = file.path.stat().st_size
        if size > MAX_ARTICLE_BYTES and file.path.suffix.lower() not in JSONL:
            raise InputError(
                f"{size / 2**20:.0f} MB, more than the {MAX_ARTICLE_BYTES // 2**20} MB of one article: split the file"
            )
        data = file.path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}") from error
    if not data.strip():
        raise InputError("empty file")
    return data


def read(file: SourceFile, data: bytes) -> Iterator[Article | Problem]:
    """The articles in a file's bytes, in order, and what was wrong with it or with parts of it."""
    suffix = file.path.suffix.lower()
    try:
        content = decode(data, html=suffix in HTML)
        if suffix in JSONL:
            yield from _read_jsonl(file, content)
        elif suffix in HTML:
            page = html.read(content)
            yield _article(file.source, page.title or _stem(file.path), normalise(page.metadata), page.blocks)
        else:
            yield from _read_text(file, content, suffix in MARKDOWN)
    except InputError as error:
        yield Problem(file.source, str(error))
    except RecursionError:
        yield Problem(file.source, "nested too deeply to be read")


def _read_jsonl(file: SourceFile, content: str) -> Iterator[Article | Problem]:
    for record in jsonl.records(content):
        if not isinstance(record, jsonl.Record):
            yield Problem(file.source, str(record[1]))
            continue
        blocks = [
            Block(block.kind, block.text, record.line, block.runs) for block in text.paragraphs(record.text or record.title)
        ]
        yield Article(f"{file.source}#{record.line}", record.title, record.metadata, tuple(blocks))


def _read_text(file: SourceFile, content: str, is_markdown: bool) -> Iterator[Article | Problem]:
    try:
        metadata, start = split_front_matter(content)
    except InputError as error:
        yield Problem(file.source, str(error))
        metadata, start = {}, body_after_front_matter(content)
    title = str(metadata.pop("title", "")).strip()
    if is_markdown:
        blocks = list(markdown.blocks(content, start))
    else:
        blocks = list(text.paragraphs(content, start))
        title = title or text.take_title(blocks)
    if not any(block.text for block in blocks):
        raise InputError("no text in this file")
    yield _article(file.source, title, metadata, blocks, _stem(file.path))


def _article(source: str, title: str, metadata: dict[str, Any], blocks: list[Block], stem: str = "") -> Article:
    """An article whose title left the body, and whose bare addresses and footer lines became metadata."""
    kept: list[Block] = []
    for block in blocks:
        address = markdown.bare_address(block)
        if address:
            metadata.setdefault("url", address)
            continue
        if block.kind == "heading" and block.level == 1 and (not title or _same(block.text, title)):
            title = title or block.text
            continue
        kept.append(block)
    footer = _take_footer(kept)
    if footer:
        metadata.setdefault("footer", footer)
    if not any(block.kind not in ("heading", "rule") for block in kept):
        # Only headings, or nothing but an address: what there is, is the text.
        kept = [Block("paragraph", block.text, block.line, block.runs) for block in blocks if block.text]
    return Article(source, title or stem, metadata, tuple(kept))


def _take_footer(blocks: list[Block]) -> str:
    """The lines behind the last rule, taken away, where they are no more than an outlet's name or a signature."""
    last = max((at for at, block in enumerate(blocks) if block.kind == "rule"), default=-1)
    below = blocks[last + 1 :]
    if last <= 0 or any(block.kind != "paragraph" or len(block.text.split()) > _FOOTER_WORDS for block in below):
        return ""
    del blocks[last:]
    return "\n".join(block.text for block in below)


def _same(one: str, other: str) -> bool:
    return re.sub(r"\W+", "", one).casefold() == re.sub(r"\W+", "", other).casefold()


def _stem(path: Path) -> str:
    return re.sub(r"[\s_-]+", " ", path.stem).strip() or path.name
