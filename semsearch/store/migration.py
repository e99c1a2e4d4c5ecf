"""An index of an earlier format brought up to date, within the writer's transaction.

Formats 1 to 3 had other files of vectors: all vectors come anew, and so do the words. 1 had no lexical side, 1 and 2 no checksums
of pages; in all three the spans of sentences took more bytes. 4 had no place for a network in 8 bits, 5 none for the numbers of
pages and the names of columns. What is derived anew is derived by the commit that follows; killed before it, the index is what it
was.

Deliberately not here: indexes that are only read (a reader refuses an earlier format).
"""

from __future__ import annotations

from pathlib import Path

import apsw

from semsearch.store import words
from semsearch.store.database import CHECKSUM_BYTES, read_meta, reserve_checksums
from semsearch.store.schema import NETWORK, SCHEMA
from semsearch.store.tables import former_sentence_spans, sentence_bytes

__all__ = ["reserve", "run"]

_FROM_1 = """
ALTER TABLE passages ADD COLUMN language TEXT NOT NULL DEFAULT '';
DROP INDEX passages_by_embedding;
CREATE INDEX passages_by_embedding_and_language ON passages (embedding, language);
CREATE TABLE lexical (name TEXT PRIMARY KEY, files TEXT NOT NULL);
CREATE TABLE lexical_rows (row INTEGER PRIMARY KEY, hash BLOB NOT NULL, language TEXT NOT NULL);
"""
_DERIVED = """
DELETE FROM embeddings;
DELETE FROM segments;
DELETE FROM lexical;
DELETE FROM lexical_rows;
"""
_FROM_5 = """
ALTER TABLE passages ADD COLUMN page INTEGER NOT NULL DEFAULT 0;
ALTER TABLE files ADD COLUMN columns TEXT NOT NULL DEFAULT '{}';
"""
_STRICT = 3
"""The first format whose tables are strict."""
_NETWORK = 5
"""The first format with a place for a network in 8 bits."""
_ONE_FILE = 4
"""The first format whose segments are those of today."""


def reserve(database: apsw.Connection, folder: Path) -> None:
    """Give the pages of a database of an earlier format their checksums; what it says, and how long they are, stays the same.

    Not within a transaction. Killed on the way, the database is what it was.
    """
    if not read_meta(database, folder) or database.reserve_bytes("main") == CHECKSUM_BYTES:
        return
    # Pages of another layout cannot go through the log.
    database.execute("PRAGMA journal_mode = DELETE")
    reserve_checksums(database)
    database.execute("VACUUM")
    database.execute("PRAGMA journal_mode = WAL")


def run(database: apsw.Connection, version: int) -> None:
    """Change the tables of an earlier format to those of this one.

    :param version: the format that the database has.
    """
    if version < 2:
        database.execute(_FROM_1)
        words.add_languages(database)
    database.execute(_FROM_5)
    if version < _STRICT:
        _make_strict(database)
    elif version < _NETWORK:
        database.execute(NETWORK)
    if version >= _ONE_FILE:
        return
    database.execute(_DERIVED)
    for number, stored in database.execute("SELECT id, sentences FROM passages").fetchall():
        database.execute(
            "UPDATE passages SET sentences = ? WHERE id = ?", (sentence_bytes(former_sentence_spans(stored)), number)
        )


def _make_strict(database: apsw.Connection) -> None:
    """The tables of earlier formats as this one has them: SQLite sees to it that each value is of its column's type."""
    known = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    indexes = []
    for statement in filter(None, map(str.strip, SCHEMA.split(";"))):
        name = statement.split()[2]
        if statement.startswith("CREATE INDEX"):
            indexes.append(statement)
        elif name not in known:
            database.execute(statement)
        else:
            database.execute(statement.replace(f"CREATE TABLE {name} ", f"CREATE TABLE new_{name} ", 1))
            database.execute(f"INSERT INTO new_{name} SELECT * FROM {name}")
            database.execute(f"DROP TABLE {name}")
            database.execute(f"ALTER TABLE new_{name} RENAME TO {name}")
    for statement in indexes:
        database.execute(statement)
