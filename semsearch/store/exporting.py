"""The passages of an index one after the other, with all that is known of them, in the order in which they were added.

Deliberately not here: the files that they are written to (`exchange`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import apsw

from semsearch.records import Passage
from semsearch.store.tables import PASSAGE, metadata_of
from semsearch.store.tables import passage as passage_of

__all__ = ["StoredRow", "article_ids", "n_passages", "stored_rows"]

_ROWS = f"""
SELECT p.id, e.row, p.embedding, f.path, f.source, a.record, f.sha256, a.title, a.metadata, {PASSAGE}
FROM passages p JOIN articles a ON a.id = p.article JOIN files f ON f.id = a.file JOIN embeddings e ON e.hash = p.embedding
WHERE p.article IN (SELECT value FROM json_each(?)) AND p.id > ? ORDER BY p.id LIMIT ?
"""
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
        StoredRow(number, row, embedding, path, source, record, digest, title, metadata_of(metadata), passage_of(*columns))
        for number, row, embedding, path, source, record, digest, title, metadata, *columns in found
    ]
