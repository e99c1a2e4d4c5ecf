"""The articles that are probed: all of an index, or as many as are bounded, as they are indexed or read and cut anew.

Deliberately not here: probes, other indexes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from semsearch import articles, passages
from semsearch.articles import SourceFile
from semsearch.cutting import Cutting
from semsearch.errors import InputError
from semsearch.probing.probes import Place, near_copy
from semsearch.protocols import Encoder
from semsearch.records import Article, Problem
from semsearch.store import ArticleText, FileRow, SizedArticle

if TYPE_CHECKING:
    from semsearch.engines import View

__all__ = ["Material", "as_indexed", "chosen", "cut", "elsewhere", "read_again"]

_LOOKED_AT = 5
"""Passages with the most of a probe's words, among which a near copy of it would be."""


class Material(NamedTuple):
    """Articles with their passages, by source; ``left_out`` counts those whose files are no longer what was indexed."""

    articles: list[ArticleText]
    left_out: int = 0

    @property
    def n_passages(self) -> int:
        """Of all articles together."""
        return sum(len(article.passages) for article in self.articles)


def chosen(reader: View, most: int, seed: int) -> list[SizedArticle]:
    """Articles of an index until they have so many passages: all, or some by chance, the same for the same seed."""
    known = reader.sized_articles()
    if sum(article.n_passages for article in known) <= most:
        return known

    def chance(article: SizedArticle) -> bytes:
        return hashlib.blake2b(f"{seed}\0{article.source}".encode("utf-8", "surrogatepass"), digest_size=8).digest()

    found: list[SizedArticle] = []
    room = most
    for article in sorted(known, key=chance):
        if article.n_passages <= room:
            found.append(article)
            room -= article.n_passages
    return sorted(found, key=lambda article: article.source)


def as_indexed(reader: View, wanted: Sequence[SizedArticle]) -> Material:
    """Articles as they are in the index."""
    return Material([article for article in reader.article_texts([item.id for item in wanted]) if article.passages])


def read_again(reader: View, wanted: Sequence[SizedArticle]) -> tuple[list[Article], int]:
    """Articles out of their files, by source, and how many are left out because their file is not what was indexed.

    :raises InputError: if none of the files is.
    """
    files = {file.id: file for file in reader.files()}
    by_file: dict[int, set[str]] = {}
    for article in wanted:
        by_file.setdefault(article.file, set()).add(article.source)
    found = [article for number, sources in by_file.items() for article in _of_file(files[number], sources)]
    if not found:
        raise InputError(
            "the files of the articles are not where they were, or have changed: run semsearch index SOURCE... first"
        )
    return sorted(found, key=lambda article: article.source), len(wanted) - len(found)


def _of_file(file: FileRow, sources: set[str]) -> Iterator[Article]:
    known = SourceFile(Path(file.path), file.source)
    try:
        data = articles.load(known)
    except InputError:
        return
    if hashlib.sha256(data).digest() != file.sha256:
        return
    for article in articles.read(known, data, file.columns):
        if not isinstance(article, Problem) and article.source in sources:
            yield article


def cut(read: Sequence[Article], encoder: Encoder, tokens: int | None) -> list[ArticleText]:
    """Articles cut as they would be indexed with an encoder, and passages of so many tokens at most."""
    limit = Cutting(str(passages.VERSION), tokens=tokens).limit(encoder.passage_tokens)
    return [
        ArticleText(article.source, article.title, article.metadata, tuple(passages.cut(article, limit, encoder.count_tokens)))
        for article in read
    ]


def elsewhere(reader: View, text: str, sources: frozenset[str], place: Place | None) -> bool:
    """Whether an index has nearly the same words in other articles, or, where a place is given, anywhere but there."""
    rows = reader.lexical().search(text, _LOOKED_AT).rows
    for item in reader.passages(rows.tolist(), _LOOKED_AT):
        passage = item.passage
        own = item.source in sources
        if place is not None:
            own = item.source == place.source and passage.start < place.end and place.start < passage.end
        if not own and near_copy(text, passage.text):
            return True
    return False
