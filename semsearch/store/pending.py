"""What an unfinished build has encoded: kept beside the index until the build is committed, for the next one to go on from.

A database of its own, for the transaction that becomes the next generation is still open. Each batch is in it when the
encoder has finished it, and survives the process (of a machine that fails, the last seconds may be lost: nothing waits for the
disk); what a written segment has is only listed. It is not part of the index: it may be removed at any time, and one that is
damaged, or of another model, is.

Deliberately not here: what is encoded, and when.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw
import numpy as np
from numpy.typing import NDArray

from semsearch import signs
from semsearch.errors import IndexCorrupt, InputError
from semsearch.store.database import check_schema, connect, lay_out, one, translated
from semsearch.store.files import PENDING, Held, Listed, remove_database, writing
from semsearch.store.segments import Codes, listed

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

__all__ = ["Kept", "Pending", "pending_network", "pending_segments", "pending_texts"]

_SCHEMA = """
CREATE TABLE meta (vectors TEXT NOT NULL, network BLOB NOT NULL) STRICT;
CREATE TABLE texts (hash BLOB PRIMARY KEY, vector BLOB NOT NULL, tokens BLOB NOT NULL, sentences BLOB NOT NULL) STRICT;
CREATE TABLE segments (name TEXT PRIMARY KEY, n_rows INTEGER NOT NULL, files TEXT NOT NULL) STRICT;
CREATE TABLE places (
    segment TEXT NOT NULL, place INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (segment, place)
) STRICT, WITHOUT ROWID;
"""


class Kept(NamedTuple):
    """What was kept of one text: float32 (d,), uint8 (number of tokens, `signs.WIDTH`), int32 (number of sentences, 2)."""

    vector: NDArray[np.float32]
    tokens: NDArray[np.uint8]
    sentences: NDArray[np.int32]


class Pending:
    """What was encoded since the last commit, by the hashes of the texts.

    Nothing hangs on it: where it turns out to be damaged, all that it kept is forgotten, and the build goes on.

    :param vectors: what the vectors depend on, as JSON; what was kept of others is forgotten.
    :param network: what they were encoded with, where the index does not have it yet.
    :raises InputError: if it cannot be written.
    """

    def __init__(self, folder: Path, vectors: str, dimension: int, network: bytes = b"") -> None:
        self.folder = folder
        self._vectors = vectors
        self._network = network
        self._dimension = dimension
        self._database = self._open()

    def _open(self) -> apsw.Connection:
        try:
            with translated(self.folder):
                database = _connect(self.folder, "mode=rwc")
                try:
                    check_schema(database, self.folder, _SCHEMA)
                    if one(database, "SELECT vectors FROM meta") == self._vectors:
                        return database
                except BaseException:
                    database.close()
                    raise
                database.close()
        except IndexCorrupt:
            pass
        return self._make()

    def _make(self) -> apsw.Connection:
        with writing(self.folder):
            remove_database(self.folder, PENDING)
        with translated(self.folder):
            database = _connect(self.folder, "mode=rwc")
            with database:
                database.execute(_SCHEMA)
                database.execute("INSERT INTO meta VALUES (?, ?)", (self._vectors, self._network))
            return database

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Where what was kept is damaged, it is forgotten."""
        try:
            with translated(self.folder):
                yield
        except InputError:
            raise
        except (IndexCorrupt, ValueError):
            self._database.close()
            self._database = self._make()

    def keep(self, hashes: Sequence[bytes], vectors: Matrix, codes: Codes) -> None:
        """Keep what was encoded of some texts."""
        with self._forgiving(), self._database:
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
        with self._forgiving():
            for embedding in hashes:
                statement = "SELECT vector, tokens, sentences FROM texts WHERE hash = ?"
                row = self._database.execute(statement, (embedding,)).fetchone()
                if row is not None and len(row[0]) == 4 * self._dimension:
                    tokens = np.frombuffer(row[1], np.uint8).reshape(-1, signs.WIDTH)
                    found[embedding] = Kept(np.frombuffer(row[0], "<f4"), tokens, np.frombuffer(row[2], "<i4").reshape(-1, 2))
        return found

    def add_segment(self, name: str, files: Sequence[Listed], hashes: Sequence[bytes]) -> None:
        """A segment of these texts was written: what it has need not be kept twice."""
        with self._forgiving(), self._database:
            self._database.execute("INSERT INTO segments VALUES (?, ?, ?)", (name, len(hashes), json.dumps(files)))
            self._database.executemany(
                "INSERT INTO places VALUES (?, ?, ?)", ((name, place, embedding) for place, embedding in enumerate(hashes))
            )
            self._database.executemany("DELETE FROM texts WHERE hash = ?", ((embedding,) for embedding in hashes))

    def segments(self) -> Mapping[str, tuple[list[Listed], list[bytes]]]:
        """The segments that were written and are whole: their files, and the hashes of the texts in their order."""
        whole: dict[str, tuple[list[Listed], list[bytes]]] = {}
        with self._forgiving():
            statement = "SELECT name, n_rows, files FROM segments ORDER BY rowid"
            for name, n_rows, files in self._database.execute(statement).fetchall():
                rows = self._database.execute(
                    "SELECT place, hash FROM places WHERE segment = ? ORDER BY place", (name,)
                ).fetchall()
                if [place for place, _ in rows] != list(range(n_rows)):
                    continue
                with suppress(IndexCorrupt):
                    written = listed(self.folder, name, files)
                    held = Held(self.folder, written)
                    try:
                        held.verify()
                    finally:
                        held.close()
                    whole[name] = (written, [embedding for _, embedding in rows])
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


def pending_network(folder: Path) -> tuple[str, bytes]:
    """What the vectors of an unfinished build depend on, as JSON, and the network that it calibrated; empty if there is none."""
    found: list[tuple[str, bytes]] = _asked(folder, "SELECT vectors, network FROM meta")
    return found[0] if found else ("", b"")


def _asked(folder: Path, statement: str) -> list[Any]:
    """What is only looked at, and may be another process's."""
    if not (folder / PENDING).is_file():
        return []
    try:
        database = _connect(folder, "mode=ro")
        try:
            check_schema(database, folder, _SCHEMA)
            return list(database.execute(statement))
        finally:
            database.close()
    except (apsw.Error, IndexCorrupt):
        return []


def _connect(folder: Path, how: str) -> apsw.Connection:
    database = connect(folder.resolve() / PENDING, how)
    try:
        if how != "mode=ro":
            if not one(database, "SELECT count(*) FROM sqlite_master"):
                lay_out(database)
            database.execute("PRAGMA journal_mode = WAL")
            # Whatever becomes of the machine, it is consistent; the last seconds may be lost.
            database.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        database.close()
        raise
    return database
