"""The passages of an index one after the other, with all that is known of them, in the order in which they were added.

Deliberately not here: the files that they are written to (`exchange`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apsw

from semsearch.records import Passage
from semsearch.store.tables import PASSAGE, metadata_of
from semsearch.store.tables import passage as passage_of

__all__ = ["StoredArticle", "StoredRow", "article_ids", "n_passages", "stored_articles", "stored_rows"]

_ROWS = f"""
SELECT p.id, e.row, p.embedding, f.path, f.source, a.record, f.sha256, a.title, a.metadata, p.language, {PASSAGE}
FROM passages p JOIN articles a ON a.id = p.article JOIN files f ON f.id = a.file JOIN embeddings e ON e.hash = p.embedding
WHERE p.article IN (SELECT value FROM json_each(?)) AND p.id > ? ORDER BY p.id LIMIT ?
"""
_ARTICLES = """
SELECT a.id, f.path, f.source, a.record, a.title, a.metadata FROM articles a JOIN files f ON f.id = a.file ORDER BY a.id
"""
_ALL = 2**31
_COUNT = "SELECT count(*) FROM passages WHERE article IN (SELECT value FROM json_each(?))"


class StoredRow(NamedTuple):
    """A passage as it stands in the database; ``path`` as stored, ``embedding`` the hash of what the encoder is given."""

    id: int
    row: int
    embedding: bytes
    path: str
    source: str
    record: str
    sha256: bytes
    title: str
    metadata: dict[str, Any]
    language: str
    passage: Passage


def article_ids(database: apsw.Connection) -> list[int]:
    """All articles, in the order in which they were added, which is that of their passages."""
    return [article for (article,) in database.execute("SELECT id FROM articles ORDER BY id")]


def n_passages(database: apsw.Connection, articles: Sequence[int]) -> int:
    """How many passages some articles have."""
    return int(next(iter(database.execute(_COUNT, (json.dumps(list(articles)),))))[0])


def stored_rows(database: apsw.Connection, articles: Sequence[int], after: int, limit: int) -> list[StoredRow]:
    """The passages of some articles that come behind one, by its id; 0 for the first ones.

    :raises ValueError: if one cannot be read; so does ``TypeError``.
    """
    found = database.execute(_ROWS, (json.dumps(list(articles)), after, limit)).fetchall()
    return [
        StoredRow(
            number, row, embedding, path, source, record, digest, title, metadata_of(metadata), language, passage_of(*columns)
        )
        for number, row, embedding, path, source, record, digest, title, metadata, language, *columns in found
    ]


class StoredArticle(NamedTuple):
    """An article as it stands in the database, with all its passages."""

    path: str
    source: str
    record: str
    title: str
    metadata: dict[str, Any]
    rows: list[StoredRow]


def stored_articles(database: apsw.Connection) -> Iterator[StoredArticle]:
    """All articles, those without passages among them, in the order in which they were added.

    :raises ValueError: if one cannot be read; so does ``TypeError``.
    """
    articles = database.execute(_ARTICLES)
    for number, path, source, record, title, metadata in articles:
        yield StoredArticle(path, source, record, title, metadata_of(metadata), stored_rows(database, [number], 0, _ALL))
