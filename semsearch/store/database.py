"""The database and the segments of an index directory, as reader and writer both see them.

Deliberately not here: what is read, what is written.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from semsearch.errors import IndexCorrupt, IndexLocked, IndexTooNew, InputError
from semsearch.store.files import DATABASE
from semsearch.vectors import Segment

FORMAT = 2
"""What a writer leaves. A reader refuses an earlier one, and a writer brings it up to date: 1 had no lexical side."""
APPLICATION_ID = 0x53454D53  # "SEMS"

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, source TEXT NOT NULL, sha256 BLOB NOT NULL, problems TEXT NOT NULL
);
CREATE TABLE articles (
    id INTEGER PRIMARY KEY, file INTEGER NOT NULL REFERENCES files, record TEXT NOT NULL, title TEXT NOT NULL,
    metadata TEXT NOT NULL
);
CREATE INDEX articles_by_file ON articles (file);
CREATE TABLE passages (
    id INTEGER PRIMARY KEY, article INTEGER NOT NULL REFERENCES articles, text TEXT NOT NULL, headings TEXT NOT NULL,
    paragraph INTEGER NOT NULL, line INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
    sentences BLOB NOT NULL, embedding BLOB NOT NULL, language TEXT NOT NULL DEFAULT ''
);
CREATE INDEX passages_by_article ON passages (article);
CREATE INDEX passages_by_embedding_and_language ON passages (embedding, language);
CREATE TABLE embeddings (hash BLOB PRIMARY KEY, row INTEGER NOT NULL UNIQUE) WITHOUT ROWID;
CREATE TABLE segments (
    name TEXT PRIMARY KEY, first_row INTEGER NOT NULL UNIQUE, n_rows INTEGER NOT NULL, live INTEGER NOT NULL,
    files TEXT NOT NULL
);
CREATE TABLE lexical (name TEXT PRIMARY KEY, files TEXT NOT NULL);
CREATE TABLE lexical_rows (row INTEGER PRIMARY KEY, hash BLOB NOT NULL, language TEXT NOT NULL);
"""

FROM_1 = """
ALTER TABLE passages ADD COLUMN language TEXT NOT NULL DEFAULT '';
DROP INDEX passages_by_embedding;
CREATE INDEX passages_by_embedding_and_language ON passages (embedding, language);
CREATE TABLE lexical (name TEXT PRIMARY KEY, files TEXT NOT NULL);
CREATE TABLE lexical_rows (row INTEGER PRIMARY KEY, hash BLOB NOT NULL, language TEXT NOT NULL);
DELETE FROM embeddings;
DELETE FROM segments;
"""
"""What makes a database of format 1 one of format 2, but for the passages' languages, and for their vectors, which come anew."""

_BUSY = ("locked", "busy")
_OUTSIDE = ("full", "readonly", "unable to open", "disk I/O")
"""What SQLite says where the disk or its permissions are to blame, and not the index."""


@contextmanager
def translated(folder: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except sqlite3.ProgrammingError as error:
        if "closed" in str(error):
            raise closed(folder) from error
        raise
    except sqlite3.OperationalError as error:
        reason = str(error)
        if any(word in reason for word in _BUSY):
            raise IndexLocked(f"the index {folder} is busy: try again when the other process is done") from error
        if any(word in reason for word in _OUTSIDE):
            raise InputError(f"the index {folder} cannot be used ({reason}): check the disk's space and permissions") from error
        raise damaged(folder, reason) from error
    except (sqlite3.DatabaseError, json.JSONDecodeError) as error:
        raise damaged(folder, str(error)) from error


def closed(folder: Path) -> InputError:
    """The error of reading from an index that was closed."""
    return InputError(f"the index {folder} was closed: open it again")


def damaged(folder: Path, reason: str) -> IndexCorrupt:
    """The error of a database that does not hold what it should."""
    return IndexCorrupt(f"the index {folder} is damaged ({reason}): remove it and index the articles again")


def connect_to_read(folder: Path) -> sqlite3.Connection:
    """A connection that sees one generation for as long as it is open."""
    uri = (folder / DATABASE).resolve().as_uri()
    try:
        return _pinned(f"{uri}?mode=ro")
    except sqlite3.OperationalError:
        log = folder / f"{DATABASE}-wal"
        if os.access(folder, os.W_OK) or (log.exists() and log.stat().st_size):
            raise
        # A folder that cannot be written has no place for the files that readers and writers share: no one can write.
        return _pinned(f"{uri}?immutable=1")


def _pinned(uri: str) -> sqlite3.Connection:
    """A connection in a transaction; its first read fixes the generation for as long as it lasts."""
    database = connect(uri)
    try:
        database.execute("BEGIN")
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def connect_to_write(folder: Path) -> sqlite3.Connection:
    """A connection whose commits are on the disk when they return."""
    database = connect((folder / DATABASE).resolve().as_uri())
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
    except BaseException:
        database.close()
        raise
    return database


def connect(uri: str) -> sqlite3.Connection:
    """A connection without implicit transactions."""
    database = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=10)
    database.execute("PRAGMA trusted_schema = OFF")
    return database


def read_meta(database: sqlite3.Connection, folder: Path) -> dict[str, str]:
    """The facts on the index, checked as far as to know that it can be read; none where it was never committed.

    :raises InputError: if the database is another program's.
    :raises IndexTooNew: if a later version wrote it.
    """
    application = int(one(database, "PRAGMA application_id"))
    if application != APPLICATION_ID:
        if application or one(database, "SELECT count(*) FROM sqlite_master"):
            raise InputError(f"{folder / DATABASE} is another program's database: give another folder with --index")
        return {}
    meta: dict[str, str] = dict(database.execute("SELECT key, value FROM meta").fetchall())
    try:
        version = int(meta["format"])
        int(meta["generation"])
    except (KeyError, ValueError, TypeError) as error:
        raise damaged(folder, "its format is not noted") from error
    if version > FORMAT:
        raise IndexTooNew(
            f"the index {folder} was written by semsearch {meta.get('version', 'of a later version')}: upgrade semsearch"
        )
    return meta


def open_segments(database: sqlite3.Connection, folder: Path, dimension: int, names: set[str] | None = None) -> list[Segment]:
    """The segments that the database lists, or those of them with these names."""
    opened = []
    for name, first, n_rows, live, files in database.execute(
        "SELECT name, first_row, n_rows, live, files FROM segments ORDER BY first_row"
    ).fetchall():
        if names is not None and name not in names:
            continue
        if not name.startswith("segment-") or not name.removeprefix("segment-").isalnum():
            raise damaged(folder, "it names a strange file")
        for file, size, _ in json.loads(files):
            path = folder / Path(file).name
            if not path.is_file() or path.stat().st_size != size:
                raise IndexCorrupt(f"{path} is missing or cut short: remove the index and index the articles again")
        rows = None
        if live < n_rows:
            cursor = database.execute("SELECT row FROM embeddings WHERE row >= ? AND row < ?", (first, first + n_rows))
            rows = np.asarray([row for (row,) in cursor], np.int64)
        opened.append(Segment(folder, name, first, n_rows, dimension, rows))
    return opened


def one(database: sqlite3.Connection, statement: str) -> Any:
    """The only value of the only row."""
    return database.execute(statement).fetchone()[0]
