"""Files to articles: `find` names the files, `load` and `read` give the articles in one of them.

In: paths. Out: `Article`s with clean blocks whose runs lead back to the file, and `Problem`s for what could not be read.
A file that cannot be read never stops the others.

Deliberately not here: passages, sentences, anything that knows the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from semsearch.articles import apart, documents, html, jsonl, markdown, text
from semsearch.articles.decode import decode
from semsearch.articles.documents import Draft, Missing
from semsearch.articles.documents.packed import gunzipped, is_gzip
from semsearch.articles.files import SUFFIXES, Content, Found, SourceFile, find, folders_below, read_regular
from semsearch.articles.metadata import normalise, split_front_matter
from semsearch.errors import InputError
from semsearch.records import Article, Block, Problem

__all__ = [
    "COLUMNS",
    "MAX_ARTICLE_BYTES",
    "NAMED",
    "SUFFIXES",
    "Found",
    "Missing",
    "SourceFile",
    "Unreadable",
    "close",
    "find",
    "folders_below",
    "load",
    "read",
]

COLUMNS = ("text", "title")
"""What columns of a table, or keys of a record, can be named for."""
NAMED = documents.ROWS | {"jsonl"}
"""Kinds of files whose columns can be named."""
MAX_ARTICLE_BYTES = 32 * 2**20
"""A file that is one article may be this large (the King James Bible has 4.4 MB); one of many articles may be larger."""
_MAX_DOCUMENT_BYTES = 512 * 2**20
"""Of a document, whose pictures take most of it."""
_MAX_UNPACKED_BYTES = 2 * 2**30
"""What gzip may make of a file of many articles."""

MAX_TITLE = 1000
"""Characters of a title, which is read, and kept in the index, with each of its passages: what is longer is cut at a word. A
heading that is longer is a paragraph. The longest title of twelve collections of papers and news has 300."""

_NO_COLUMNS: Mapping[str, str] = MappingProxyType({})
_LINE_END = re.compile(r"\r\n|\r|\n")
_FOOTER_WORDS = 12
_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", "।", "؟", ":")


class Unreadable(InputError):
    """A file that is there but could not be read this time: permissions, a device that is away."""


def close() -> None:
    """End the process in which some formats are read; the next such file starts another."""
    apart.close()


def load(file: SourceFile) -> bytes:
    """The bytes of a file, or of what stands at an address.

    :raises Unreadable: if the system does not let it be read, or it cannot be fetched.
    :raises Missing: if what reads its kind is not installed.
    :raises InputError: if it is empty, or too large for one article.
    """
    documents.check_installed(file.kind)
    data = _fetched(file.address) if file.address else _from_disk(file)
    if not data.strip():
        raise InputError("empty file")
    documents.check_installed(_kind(file, data))
    return data


def _fetched(address: str) -> Content:
    # Not at the top: it is asked for by few.
    from semsearch.articles.fetch import fetch

    try:
        return fetch(address)
    except Missing:
        raise
    except InputError as error:
        raise Unreadable(str(error)) from error


def _from_disk(file: SourceFile) -> bytes:
    growing = file.kind in documents.GROWING
    most = _most(file.kind)
    try:
        # Read a growing file only up to its current size.
        data, size = read_regular(file.path, MAX_ARTICLE_BYTES if growing else most + 1, growing=growing)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from error
    if not growing and len(data) > most:
        raise InputError(
            f"{max(size, len(data)) / 2**20:.0f} MB, more than the {most // 2**20} MB of one article: split the file"
        )
    return data


def _kind(file: SourceFile, data: bytes) -> str:
    """The kind of a file, by its name or by what is in it."""
    if file.kind:
        return file.kind
    if isinstance(data, Content):
        return data.kind
    return documents.sniffed(data)


def read(file: SourceFile, data: bytes, columns: Mapping[str, str] = _NO_COLUMNS) -> Iterator[Article | Problem]:
    """The articles in a file's bytes, in order, and what was wrong with it or with parts of it.

    :param columns: of tables and records, by what they are (`COLUMNS`), in place of those that are usual.
    """
    try:
        if is_gzip(data):
            data = gunzipped(data, _MAX_UNPACKED_BYTES if file.kind in documents.GROWING else _most(file.kind))
        kind = _kind(file, data)
        if kind == "jsonl":
            yield from _read_jsonl(file, decode(data), columns)
        elif kind == "html":
            page = html.read(decode(data, html=True))
            yield _article(file, page.title, normalise(page.metadata), page.blocks)
        elif kind in documents.TEXT_KINDS:
            yield from _read_text(file, decode(data), kind)
        else:
            yield from _read_document(file, kind, data, columns)
    except InputError as error:
        yield Problem(file.source, str(error))
    except RecursionError:
        yield Problem(file.source, "nested too deeply to be read")


def _most(kind: str) -> int:
    """Bytes that a file of one article may have; those whose name does not tell their kind are read as texts first."""
    return _MAX_DOCUMENT_BYTES if kind and kind not in documents.TEXT_KINDS else MAX_ARTICLE_BYTES


def _read_document(file: SourceFile, kind: str, data: bytes, columns: Mapping[str, str]) -> Iterator[Article | Problem]:
    reader = apart.read if kind in documents.APART else documents.read
    for draft in reader(kind, data, columns):
        if isinstance(draft, InputError):
            yield Problem(file.source, str(draft))
        elif draft.record and kind in documents.ROWS:
            yield Article(file.source + draft.record, _shortened(draft.title), normalise(draft.metadata), tuple(draft.blocks))
        else:
            yield _of_draft(file, draft)


def _of_draft(file: SourceFile, draft: Draft) -> Article:
    found = _article(file, draft.title, normalise(draft.metadata), draft.blocks, written_by_hand=False)
    title = "" if draft.record and not draft.title else found.title
    return replace(found, source=file.source + draft.record, title=title, page_starts=draft.page_starts)


def _read_jsonl(file: SourceFile, content: str, columns: Mapping[str, str]) -> Iterator[Article | Problem]:
    for record in jsonl.records(content, columns):
        if not isinstance(record, jsonl.Record):
            yield Problem(file.source, str(record))
            continue
        body = record.text if record.text.strip() else record.title
        blocks = tuple(Block(block.kind, block.text, record.line, block.runs) for block in text.paragraphs(body))
        yield Article(f"{file.source}#{record.line}", _shortened(record.title), record.metadata, blocks)


def _read_text(file: SourceFile, content: str, kind: str) -> Iterator[Article | Problem]:
    metadata, start, wrong = split_front_matter(content)
    if wrong:
        yield Problem(file.source, wrong)
    title = str(metadata.pop("title", "")).strip()
    if kind == "markdown":
        blocks = list(markdown.blocks(content, start))
    else:
        blocks = list(text.paragraphs(content, start))
        title = title or text.take_title(blocks)
    if not any(block.text for block in blocks):
        raise InputError("no text in this file")
    starts = (0, *(match.end() for match in _LINE_END.finditer(content)))
    yield replace(_article(file, title, metadata, blocks), line_starts=starts)


def _article(
    file: SourceFile, title: str, metadata: dict[str, Any], blocks: list[Block], *, written_by_hand: bool = True
) -> Article:
    """An article whose title left the body, and whose footer lines became metadata.

    :param written_by_hand: an address alone above all text, or below it, says where that is from, and is metadata, too. In other
        documents, and in between, it is text.
    """
    blocks = [
        replace(block, kind="paragraph", level=0) if block.kind == "heading" and len(block.text) > MAX_TITLE else block
        for block in blocks
    ]
    title = _shortened(title or _top_heading(blocks))
    plain_title = _plain(title)
    kept = [block for block in blocks if not (block.kind == "heading" and block.level == 1 and _plain(block.text) == plain_title)]
    if written_by_hand:
        for address in _take_addresses(kept):
            metadata.setdefault("url", address)
    if file.address:
        metadata.setdefault("url", file.address)
    footer = _take_footer(kept)
    if footer:
        metadata.setdefault("footer", footer)
    if not any(block.kind not in ("heading", "rule") for block in kept):
        # Only headings, or nothing but an address: what there is, is the text.
        kept = [Block("paragraph", block.text, block.line, block.runs) for block in blocks if block.text]
    return Article(file.source, title or _stem(file), metadata, tuple(kept))


def _take_addresses(blocks: list[Block]) -> list[str]:
    """The addresses that are the first or last block, or stand by a footer, taken away."""
    said = [at for at, block in enumerate(blocks) if block.text]
    rule = max((at for at, block in enumerate(blocks) if block.kind == "rule"), default=-1)
    ends = {*said[:1], *said[-1:]}
    if rule > 0 and _is_footer([block for block in blocks[rule + 1 :] if not markdown.bare_address(block)]):
        ends.update(range(rule + 1, len(blocks)))
    found = {at: address for at in sorted(ends) if (address := markdown.bare_address(blocks[at]))}
    blocks[:] = [block for at, block in enumerate(blocks) if at not in found]
    return list(found.values())


def _top_heading(blocks: list[Block]) -> str:
    """The heading of the first level that stands above everything, or is the only one; else ""."""
    tops = [block for block in blocks if block.kind == "heading" and block.level == 1]
    first = next((block for block in blocks if block.text and not markdown.bare_address(block)), None)
    return tops[0].text if tops and (len(tops) == 1 or tops[0] is first) else ""


def _take_footer(blocks: list[Block]) -> str:
    """The lines behind the last rule, taken away, where they are no more than an outlet's name or a signature."""
    last = max((at for at, block in enumerate(blocks) if block.kind == "rule"), default=-1)
    below = blocks[last + 1 :]
    if last <= 0 or not _is_footer(below):
        return ""
    del blocks[last:]
    return "\n".join(block.text for block in below)


def _is_footer(below: list[Block]) -> bool:
    """Whether some blocks are no more than an outlet's name or a signature. A sentence is none, however short."""
    if any(block.kind != "paragraph" or block.text.endswith(_SENTENCE_ENDS) for block in below):
        return False
    return sum(len(block.text.split()) for block in below) <= _FOOTER_WORDS and sum(len(block.text) for block in below) <= 120


def _plain(title: str) -> str:
    """What two spellings of a title have in common."""
    return re.sub(r"\W+", "", title).casefold()


def _shortened(title: str) -> str:
    if len(title) <= MAX_TITLE:
        return title
    kept = title[:MAX_TITLE]
    return (kept.rpartition(" ")[0].rstrip() or kept) + "…"


def _stem(file: SourceFile) -> str:
    if file.address:
        return file.address
    stem = file.path.name.removesuffix(".gz").rpartition(".")[0] or file.path.name
    return re.sub(r"[\s_-]+", " ", stem).strip() or file.path.name
