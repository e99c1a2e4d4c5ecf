"""Reading an index: one generation, as it was when opened."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semsearch.errors import IndexCorrupt, IndexMissing
from semsearch.protocols import Fingerprint
from semsearch.records import Passage, Sentence
from semsearch.store.database import DATABASE, connect_to_read, is_ours, one, open_segments, read_meta, translated
from semsearch.vectors import Segment

__all__ = ["PassageRow", "Reader"]


_VARIABLES = 500
"""SQLite takes 999 variables in a statement where it is old."""
_PASSAGES = (
    "SELECT e.row, p.text, p.headings, p.paragraph, p.line, p.start, p.stop, p.sentences,"
    " f.source, a.record, f.path, a.title, a.metadata"
    " FROM embeddings e JOIN passages p ON p.embedding = e.hash"
    " JOIN articles a ON a.id = p.article JOIN files f ON f.id = a.file"
)


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
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / DATABASE).is_file():
            raise IndexMissing(f"no index in {folder}: make one with semsearch index SOURCE --index {folder}")
        self._lock = threading.RLock()
        self._segments: list[Segment] | None = None
        with translated(folder):
            self._database = connect_to_read(folder)
            try:
                self.meta = read_meta(self._database, folder)
                self.fingerprint = Fingerprint(**json.loads(self.meta["fingerprint"]))
            except (sqlite3.Error, json.JSONDecodeError, KeyError, TypeError) as error:
                self._database.close()
                raise IndexCorrupt(f"{folder / DATABASE} is not a whole index: remove it and index the articles again") from error
            except BaseException:
                self._database.close()
                raise

    def close(self) -> None:
        """Close every handle; no reading afterwards."""
        with self._lock:
            self._segments = None
            self._database.close()

    def segments(self) -> list[Segment]:
        """The segments, opened when first wanted."""
        with self._lock, translated(self.folder):
            if self._segments is None:
                self._segments = open_segments(self._database, self.folder, self.fingerprint.dimension)
            return self._segments

    def counts(self) -> dict[str, int]:
        """How many ``files``, ``articles``, ``passages`` there are, and the ``bytes`` on disk."""
        with self._lock, translated(self.folder):
            tables = ("files", "articles", "passages")
            counted = {table: int(one(self._database, f"SELECT count(*) FROM {table}")) for table in tables}
        size = sum(path.stat().st_size for path in self.folder.iterdir() if is_ours(path.name))
        return {**counted, "bytes": size}

    def passages(self, rows: Sequence[int]) -> list[PassageRow]:
        """The passages that have these rows as their vectors, in no order; several may share a row."""
        found: list[PassageRow] = []
        with self._lock, translated(self.folder):
            cursor = self._database.cursor()
            cursor.row_factory = sqlite3.Row
            for first in range(0, len(rows), _VARIABLES):
                chunk = [int(row) for row in rows[first : first + _VARIABLES]]
                cursor.execute(f"{_PASSAGES} WHERE e.row IN ({','.join('?' * len(chunk))})", chunk)
                found += map(self._passage_row, cursor)
        return found

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
        path = os.path.normpath(os.path.join(self.folder.resolve().parent, row["path"]))
        source = row["source"] + row["record"]
        return PassageRow(row["row"], passage, source, path, row["title"], json.loads(row["metadata"]))
