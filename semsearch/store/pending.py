"""What an unfinished build has encoded: kept beside the index until the build is committed, for the next one to go on from.

A database of its own, for the transaction that becomes the next generation is still open. Each batch is in it when the
encoder has finished it, and survives the process (not the machine: nothing waits for the disk); what a written segment has is
only listed. It is not part of the index: it may be removed at any time, and one that is damaged, or of another model, is.

Deliberately not here: what is encoded, and when.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw
import numpy as np
from numpy.typing import NDArray

from semsearch import signs
from semsearch.errors import IndexCorrupt
from semsearch.store.database import connect, one, reserve_checksums, translated
from semsearch.store.files import PENDING, Held, Listed, remove_database, writing
from semsearch.store.segments import Codes, listed

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

__all__ = ["Kept", "Pending", "pending_segments", "pending_texts"]

_SCHEMA = """
CREATE TABLE meta (vectors TEXT NOT NULL);
CREATE TABLE texts (hash BLOB PRIMARY KEY, vector BLOB NOT NULL, tokens BLOB NOT NULL, sentences BLOB NOT NULL);
CREATE TABLE segments (name TEXT PRIMARY KEY, files TEXT NOT NULL);
CREATE TABLE places (
    segment TEXT NOT NULL, place INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (segment, place)
) WITHOUT ROWID;
"""


class Kept(NamedTuple):
    """What was kept of one text: float32 (d,), uint8 (number of tokens, `signs.WIDTH`), int32 (number of sentences, 2)."""

    vector: NDArray[np.float32]
    tokens: NDArray[np.uint8]
    sentences: NDArray[np.int32]


class Pending:
    """What was encoded since the last commit, by the hashes of the texts.

    :param vectors: what the vectors depend on, as JSON; what was kept of others is forgotten.
    :raises InputError: if it cannot be written.
    """

    def __init__(self, folder: Path, vectors: str, dimension: int) -> None:
        self.folder = folder
        self._dimension = dimension
        try:
            self._database = self._open(vectors)
        except IndexCorrupt:
            self._database = self._anew(vectors)

    def _open(self, vectors: str) -> apsw.Connection:
        with translated(self.folder):
            database = _connect(self.folder)
            try:
                before = one(database, "SELECT vectors FROM meta")
                one(database, "SELECT count(*) FROM texts")
                same = before == vectors
            except apsw.SQLError:
                same = False
            except BaseException:
                database.close()
                raise
            if same:
                return database
            database.close()
        return self._anew(vectors)

    def _anew(self, vectors: str) -> apsw.Connection:
        with writing(self.folder):
            remove_database(self.folder, PENDING)
        with translated(self.folder):
            database = _connect(self.folder)
            with database:
                database.execute(_SCHEMA)
                database.execute("INSERT INTO meta VALUES (?)", (vectors,))
            return database

    def keep(self, hashes: Sequence[bytes], vectors: Matrix, codes: Codes) -> None:
        """Keep what was encoded of some texts."""
        with translated(self.folder), self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?)",
                (
                    (embedding, np.asarray(vector, "<f4").tobytes(), tokens.tobytes(), np.asarray(sentences, "<i4").tobytes())
                    for embedding, vector, tokens, sentences in zip(hashes, vectors, *codes, strict=True)
                ),
            )

    def known(self, hashes: Iterable[bytes]) -> dict[bytes, Kept]:
        """What was kept of those of the texts that anything was kept of."""
        found: dict[bytes, Kept] = {}
        with translated(self.folder):
            for embedding in hashes:
                row = self._database.execute(
                    "SELECT vector, tokens, sentences FROM texts WHERE hash = ?", (embedding,)
                ).fetchone()
                if row is not None:
                    vector = np.frombuffer(row[0], "<f4")
                    if vector.shape == (self._dimension,):
                        tokens = np.frombuffer(row[1], np.uint8).reshape(-1, signs.WIDTH)
                        found[embedding] = Kept(vector, tokens, np.frombuffer(row[2], "<i4").reshape(-1, 2))
        return found

    def add_segment(self, name: str, files: Sequence[Listed], hashes: Sequence[bytes]) -> None:
        """A segment of these texts was written: what it has need not be kept twice."""
        with translated(self.folder), self._database:
            self._database.execute("INSERT INTO segments VALUES (?, ?)", (name, json.dumps(files)))
            self._database.executemany(
                "INSERT INTO places VALUES (?, ?, ?)", ((name, place, embedding) for place, embedding in enumerate(hashes))
            )
            self._database.executemany("DELETE FROM texts WHERE hash = ?", ((embedding,) for embedding in hashes))

    def segments(self) -> Mapping[str, tuple[list[Listed], list[bytes]]]:
        """The segments that were written and are whole: their files, and the hashes of the texts in their order."""
        whole = {}
        with translated(self.folder):
            for name, files in self._database.execute("SELECT name, files FROM segments ORDER BY rowid").fetchall():
                try:
                    written = listed(self.folder, name, files)
                    held = Held(self.folder, written)
                except IndexCorrupt:
                    continue
                try:
                    held.verify()
                except IndexCorrupt:
                    continue
                finally:
                    held.close()
                rows = self._database.execute("SELECT hash FROM places WHERE segment = ? ORDER BY place", (name,))
                whole[name] = (written, [embedding for (embedding,) in rows])
        return whole

    def close(self) -> None:
        """Leave what was kept for the next build."""
        self._database.close()

    def remove(self) -> None:
        """The build was committed: all of it is in the index."""
        self._database.close()
        with writing(self.folder):
            remove_database(self.folder, PENDING)


def pending_texts(folder: Path) -> set[bytes]:
    """Hashes of the texts that an unfinished build has encoded; none where there was none, or what it says cannot be read."""
    return {embedding for (embedding,) in _asked(folder, "SELECT hash FROM texts UNION SELECT hash FROM places")}


def pending_segments(folder: Path) -> set[str]:
    """Names of segments that an unfinished build has written; none where there was none, or what it says cannot be read."""
    return {name for (name,) in _asked(folder, "SELECT name FROM segments")}


def _asked(folder: Path, statement: str) -> list[Any]:
    if not (folder / PENDING).is_file():
        return []
    try:
        database = _connect(folder)
        try:
            return list(database.execute(statement))
        finally:
            database.close()
    except apsw.Error:
        return []


def _connect(folder: Path) -> apsw.Connection:
    database = connect(folder.resolve() / PENDING, "mode=rwc")
    try:
        if not one(database, "SELECT count(*) FROM sqlite_master"):
            reserve_checksums(database)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")
    except BaseException:
        database.close()
        raise
    return database
