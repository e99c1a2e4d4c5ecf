"""Articles of an index with all their passages, for those who make another index of them.

Deliberately not here: files (`Reader.files`), what is shown of articles (`browsing`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import apsw

from semsearch.records import Passage
from semsearch.store.tables import PASSAGE, metadata_of, passage

__all__ = ["ArticleText", "SizedArticle", "articles_of", "rows_of", "sizes"]

_AT_ONCE = 500


class SizedArticle(NamedTuple):
    """An article by its number in the index, which file it is of, its whole source, and how many passages it has."""

    id: int
    file: int
    source: str
    n_passages: int


class ArticleText(NamedTuple):
    """An article with its passages, in the order of its text."""

    source: str
    title: str
    metadata: Mapping[str, Any]
    passages: tuple[Passage, ...]


def sizes(database: apsw.Connection) -> list[SizedArticle]:
    """All articles, by their sources."""
    statement = (
        "SELECT a.id, f.id, f.source || a.record, (SELECT count(*) FROM passages p WHERE p.article = a.id)"
        " FROM articles a JOIN files f ON f.id = a.file ORDER BY f.source, f.path, a.id"
    )
    return [SizedArticle(*row) for row in database.execute(statement)]


def articles_of(database: apsw.Connection, numbers: Sequence[int]) -> Iterator[ArticleText]:
    """Articles by their numbers, in the order given.

    :raises ValueError: if one cannot be read; so does ``TypeError``.
    """
    for number in numbers:
        source, title, metadata = database.execute(
            "SELECT f.source || a.record, a.title, a.metadata FROM articles a JOIN files f ON f.id = a.file WHERE a.id = ?",
            (number,),
        ).fetchone()
        rows = database.execute(f"SELECT {PASSAGE} FROM passages WHERE article = ? ORDER BY id", (number,))
        yield ArticleText(source, title, metadata_of(metadata), tuple(passage(*row) for row in rows))


def rows_of(database: apsw.Connection, hashes: Sequence[bytes]) -> dict[bytes, int]:
    """The rows of those of some texts that have vectors."""
    found: dict[bytes, int] = {}
    for first in range(0, len(hashes), _AT_ONCE):
        chunk = [embedding.hex() for embedding in hashes[first : first + _AT_ONCE]]
        statement = "SELECT hash, row FROM embeddings WHERE hash IN (SELECT unhex(value) FROM json_each(?))"
        found.update(database.execute(statement, (json.dumps(chunk),)).fetchall())
    return found
