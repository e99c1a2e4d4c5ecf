"""The tables of an index database, in this format and in earlier ones.

Not here: what is in the tables (`tables`), the change from one format to the next (`migration`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

__all__ = ["FORMAT", "META_STATEMENTS", "NETWORK", "SCHEMA", "statements", "statements_of"]

FORMAT = 6
"""What a writer leaves. A reader refuses an earlier one, and a writer brings it up to date (`migration`)."""

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE files (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, source TEXT NOT NULL, sha256 BLOB NOT NULL, problems TEXT NOT NULL,
    columns TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE TABLE articles (
    id INTEGER PRIMARY KEY, file INTEGER NOT NULL REFERENCES files, record TEXT NOT NULL, title TEXT NOT NULL,
    metadata TEXT NOT NULL
) STRICT;
CREATE INDEX articles_by_file ON articles (file);
CREATE TABLE passages (
    id INTEGER PRIMARY KEY, article INTEGER NOT NULL REFERENCES articles, text TEXT NOT NULL, headings TEXT NOT NULL,
    paragraph INTEGER NOT NULL, line INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
    sentences BLOB NOT NULL, embedding BLOB NOT NULL, language TEXT NOT NULL DEFAULT '',
    page INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX passages_by_article ON passages (article);
CREATE INDEX passages_by_embedding_and_language ON passages (embedding, language);
CREATE TABLE embeddings (hash BLOB PRIMARY KEY, row INTEGER NOT NULL UNIQUE) STRICT, WITHOUT ROWID;
CREATE TABLE segments (
    name TEXT PRIMARY KEY, first_row INTEGER NOT NULL UNIQUE, n_rows INTEGER NOT NULL, live INTEGER NOT NULL,
    files TEXT NOT NULL
) STRICT;
CREATE TABLE lexical (name TEXT PRIMARY KEY, files TEXT NOT NULL) STRICT;
CREATE TABLE lexical_rows (row INTEGER PRIMARY KEY, hash BLOB NOT NULL, language TEXT NOT NULL) STRICT;
CREATE TABLE canaries (text TEXT PRIMARY KEY, vector BLOB NOT NULL) STRICT, WITHOUT ROWID;
"""
NETWORK = "CREATE TABLE network (data BLOB NOT NULL) STRICT;"
"""At most one, of 8 bits: what the index was encoded with, should the model itself not have done it."""
SCHEMA += NETWORK

META_STATEMENTS = frozenset(
    f"CREATE TABLE meta(key TEXT PRIMARY KEY,value TEXT NOT NULL){strict}WITHOUT ROWID" for strict in ("STRICT,", "")
)
"""Statements that make the table ``meta`` in all formats up to `FORMAT`, normalized as by `statements`."""
_WITH_PAGES = 6
_WITH_NETWORK = 5
_STRICT = 3
_WITH_LANGUAGES = 2


def statements(found: Iterable[str]) -> frozenset[str]:
    """Normalize SQL statements: drop spacing, and the quotation marks that SQLite gives a renamed table."""
    spaced = (re.sub(r"\s*([(),])\s*", r"\1", " ".join(statement.replace('"', " ").split())) for statement in found)
    return frozenset(statement for statement in spaced if statement)


@cache
def statements_of(version: int) -> frozenset[str]:
    """Return the statements of the schema of a format: those of `SCHEMA` without what later formats added."""
    schema = SCHEMA
    if version < _WITH_PAGES:
        schema = schema.replace(",\n    columns TEXT NOT NULL DEFAULT '{}'", "")
        schema = schema.replace(",\n    page INTEGER NOT NULL DEFAULT 0", "")
    if version < _WITH_NETWORK:
        schema = schema.replace(NETWORK, "")
    if version < _STRICT:
        schema = re.sub(r"CREATE TABLE canaries [^;]*;", "", schema)
        schema = schema.replace(" STRICT,", "").replace(" STRICT;", ";")
    if version < _WITH_LANGUAGES:
        schema = re.sub(r"CREATE TABLE lexical[^;]*;", "", schema)
        schema = schema.replace(", language TEXT NOT NULL DEFAULT ''", "")
        schema = schema.replace(
            "passages_by_embedding_and_language ON passages (embedding, language)",
            "passages_by_embedding ON passages (embedding)",
        )
    return statements(schema.split(";"))
