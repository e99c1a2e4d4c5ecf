"""Reading an index: one generation, as it was when opened."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semsearch.errors import IndexCorrupt, IndexMissing
from semsearch.protocols import Fingerprint
from semsearch.records import Passage, Sentence
from semsearch.store.database import (
    DATABASE,
    closed,
    connect_to_read,
    damaged,
    is_ours,
    one,
    open_segments,
    read_meta,
    translated,
)
from semsearch.vectors import Segment

__all__ = ["PassageRow", "Reader"]


# A boilerplate paragraph may stand in every article: what is long is read only of those that are wanted.
_PASSAGES = """
WITH chosen AS (
    SELECT e.row, p.id, row_number() OVER (PARTITION BY e.row ORDER BY f.source, f.path, p.id) AS nth
    FROM embeddings e JOIN passages p ON p.embedding = e.hash
    JOIN articles a ON a.id = p.article JOIN files f ON f.id = a.file
    WHERE e.row IN (SELECT value FROM json_each(?))
)
SELECT
    c.row, p.text, p.headings, p.paragraph, p.line, p.start, p.stop, p.sentences,
    f.source, a.record, f.path, a.title, a.metadata
FROM chosen c JOIN passages p ON p.id = c.id JOIN articles a ON a.id = p.article JOIN files f ON f.id = a.file
WHERE c.nth <= ? ORDER BY f.source, f.path, p.id
"""


class PassageRow(NamedTuple):
    """A passage as stored, with what a hit shows of its article. ``row`` is that of its vector."""

    row: int
    passage: Passage
    source: str
    path: str
    title: str
    metadata: dict[str, Any]


class Reader:
    """One generation of an index, as it was when opened. Threads may share it.

    :raises IndexMissing: if there is no index in the folder.
    :raises IndexTooNew: if a later semsearch wrote it.
    :raises IndexCorrupt: if it is damaged.
    :raises InputError: if its database is another program's, or cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # The working directory may change while the index is open.
        self.home = folder.resolve()
        self.meta: dict[str, str] = {}
        self._lock = threading.RLock()
        if not (folder / DATABASE).is_file():
            raise _missing(folder)
        with translated(folder):
            while not self._open():
                pass

    def _open(self) -> bool:
        """Open database and segments; False if a writer took the segments away in between, for the next generation's."""
        self._database = connect_to_read(self.folder)
        try:
            self.meta = read_meta(self._database, self.folder)
            if not self.meta:
                raise _missing(self.folder)
            self.fingerprint = _fingerprint(self.meta, self.folder)
            # All now, for they may be gone later; what is mapped stays.
            self._segments: list[Segment] | None = open_segments(self._database, self.folder, self.fingerprint.dimension)
        except BaseException as error:
            self._database.close()
            if isinstance(error, IndexCorrupt) and self._superseded():
                return False
            raise
        return True

    def _superseded(self) -> bool:
        with closing(connect_to_read(self.folder)) as database:
            return read_meta(database, self.folder).get("generation") != self.meta.get("generation")

    def close(self) -> None:
        """Close every handle; no reading afterwards."""
        with self._lock:
            self._segments = None
            self._database.close()

    def segments(self) -> list[Segment]:
        """The segments, in the order of their rows.

        :raises InputError: if the reader was closed.
        """
        with self._lock:
            if self._segments is None:
                raise closed(self.folder)
            return self._segments

    def counts(self) -> dict[str, int]:
        """How many ``files``, ``articles``, ``passages`` there are, and the ``bytes`` on disk."""
        with self._lock, translated(self.folder):
            tables = ("files", "articles", "passages")
            counted = {table: int(one(self._database, f"SELECT count(*) FROM {table}")) for table in tables}
        return {**counted, "bytes": sum(map(_size, self.home.iterdir()))}

    def passages(self, rows: Sequence[int], limit: int) -> list[PassageRow]:
        """The passages that have these rows as their vectors, by source and place; several may share a row.

        :param limit: how many of each row, at most.
        """
        with self._lock, translated(self.folder):
            cursor = self._database.cursor()
            cursor.row_factory = sqlite3.Row
            try:
                return [self._passage_row(row) for row in cursor.execute(_PASSAGES, (json.dumps(list(rows)), limit))]
            except (ValueError, TypeError) as error:
                raise damaged(self.folder, "a passage cannot be read") from error

    def _passage_row(self, row: sqlite3.Row) -> PassageRow:
        spans = np.frombuffer(row["sentences"], "<i4").reshape(-1, 4).tolist()
        passage = Passage(
            text=row["text"],
            headings=tuple(json.loads(row["headings"])),
            paragraph=row["paragraph"],
            line=row["line"],
            start=row["start"],
            end=row["stop"],
            sentences=tuple(Sentence(left, right) for left, right, _, _ in spans),
            sentence_spans=tuple((left, right) for _, _, left, right in spans),
        )
        path = os.path.normpath(os.path.join(self.home.parent, row["path"]))
        source = row["source"] + row["record"]
        return PassageRow(row["row"], passage, source, path, row["title"], json.loads(row["metadata"]))


def _missing(folder: Path) -> IndexMissing:
    return IndexMissing(f"no index in {folder}: make one with semsearch index SOURCE --index {folder}")


def _fingerprint(meta: dict[str, str], folder: Path) -> Fingerprint:
    try:
        return Fingerprint(**json.loads(meta["fingerprint"]))
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder, "its model is not noted") from error


def _size(path: Path) -> int:
    """Bytes of a file, if it is the index's own and still there."""
    try:
        return path.stat().st_size if is_ours(path.name) else 0
    except FileNotFoundError:
        return 0
