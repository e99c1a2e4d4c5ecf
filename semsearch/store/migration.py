"""An index of an earlier format brought up to date, within the writer's transaction.

1 had neither a lexical side nor token vectors: its vectors come anew. 2 had no checksums of pages, nor of single rows, and those
of its files were SHA-256: its vectors are written again, its words are made again. What is derived anew is derived by the commit
that follows; killed before it, the index is what it was.

Deliberately not here: indexes that are only read (a reader refuses an earlier format).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray

from semsearch import signs
from semsearch.store import words
from semsearch.store.database import CHECKSUM_BYTES, SCHEMA, read_meta, reserve_checksums
from semsearch.store.files import is_segment
from semsearch.store.segments import Codes, write_segment
from semsearch.store.tables import fingerprint_of

__all__ = ["reserve", "run"]

_FROM_1 = """
ALTER TABLE passages ADD COLUMN language TEXT NOT NULL DEFAULT '';
DROP INDEX passages_by_embedding;
CREATE INDEX passages_by_embedding_and_language ON passages (embedding, language);
CREATE TABLE lexical (name TEXT PRIMARY KEY, files TEXT NOT NULL);
CREATE TABLE lexical_rows (row INTEGER PRIMARY KEY, hash BLOB NOT NULL, language TEXT NOT NULL);
DELETE FROM embeddings;
DELETE FROM segments;
"""
_FROM_2 = """
DELETE FROM lexical;
DELETE FROM lexical_rows;
"""
_CODES_2 = 81
"""Bytes before the vectors in a ``.faiss`` file of format 2."""


def reserve(database: apsw.Connection, folder: Path) -> None:
    """Give the pages of a database of an earlier format their checksums; what it says stays the same.

    Not within a transaction. Killed on the way, the database is what it was.
    """
    if not read_meta(database, folder) or database.reserve_bytes("main") == CHECKSUM_BYTES:
        return
    # Pages of another layout cannot go through the log.
    database.execute("PRAGMA journal_mode = DELETE")
    reserve_checksums(database)
    database.execute("VACUUM")
    database.execute("PRAGMA journal_mode = WAL")


def run(database: apsw.Connection, folder: Path, version: int) -> None:
    """Change tables and files of an earlier format to those of this one.

    :param version: the format that the database has.
    """
    if version < 2:
        database.execute(_FROM_1)
        words.add_languages(database)
    database.execute(_FROM_2)
    _make_strict(database)
    _write_segments_again(
        database, folder, fingerprint_of(dict(database.execute("SELECT key, value FROM meta")), folder).dimension
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


def _write_segments_again(database: apsw.Connection, folder: Path, dimension: int) -> None:
    """Format 2's segments as this one has them; one that is not whole is given up."""
    rows = database.execute("SELECT name, first_row, n_rows, files FROM segments").fetchall()
    for name, first_row, n_rows, files in rows:
        try:
            vectors, codes = _read_2(folder, name, n_rows, dimension, json.loads(files))
        except (OSError, ValueError, TypeError):
            database.execute("DELETE FROM embeddings WHERE row >= ? AND row < ?", (first_row, first_row + n_rows))
            database.execute("DELETE FROM segments WHERE name = ?", (name,))
            continue
        new, written = write_segment(folder, vectors, codes)
        database.execute("UPDATE segments SET name = ?, files = ? WHERE name = ?", (new, json.dumps(written), name))


def _read_2(folder: Path, name: str, n_rows: int, dimension: int, files: list[Any]) -> tuple[NDArray[np.float32], Codes]:
    """A segment of format 2.

    :raises ValueError: if it is not what was written.
    """
    if not is_segment(name) or len(files) != 4:
        raise ValueError("not a segment")
    parts: list[Any] = []
    for suffix, (_, size, digest) in zip((".faiss", ".tokens.npy", ".sentences.npy", ".offsets.npy"), files, strict=True):
        path = folder / f"{name}{suffix}"
        if path.stat().st_size != size or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise ValueError("not what was written")
        # By this numpy, too, which takes neither archives nor pickles here.
        parts.append(np.lib.format.open_memmap(path, mode="r") if suffix.endswith(".npy") else path.read_bytes())
    codes, tokens, sentences, offsets = parts
    vectors = np.frombuffer(codes, "<f2", offset=_CODES_2).reshape(n_rows, dimension).astype(np.float32)
    if offsets.shape != (n_rows + 1, 2) or tokens.shape[1:] != (signs.WIDTH,):
        raise ValueError("not a segment of this index")
    return vectors, Codes(
        [np.asarray(tokens[start:end], np.uint8) for start, end in zip(offsets[:-1, 0], offsets[1:, 0], strict=True)],
        [np.asarray(sentences[start:end], np.int32) for start, end in zip(offsets[:-1, 1], offsets[1:, 1], strict=True)],
    )
