"""Reading an index: one generation, as it was when opened."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from semsearch.errors import IndexCorrupt, IndexMissing
from semsearch.protocols import Fingerprint
from semsearch.records import Context, Passage, Sentence
from semsearch.store import filtering, words
from semsearch.store.database import (
    FORMAT,
    closed,
    connect_to_read,
    damaged,
    one,
    open_segments,
    read_meta,
    translated,
)
from semsearch.store.files import DATABASE, size_of
from semsearch.store.filtering import Allowed
from semsearch.vectors import Segment

if TYPE_CHECKING:
    from semsearch.filters import Filter
    from semsearch.lexical import Lexical

__all__ = ["PassageRow", "Reader"]


# A boilerplate paragraph may stand in every article: what is long is read only of those that are wanted.
_PASSAGES = """
WITH chosen AS (
    SELECT e.row, p.id, row_number() OVER (PARTITION BY e.row ORDER BY f.source, f.path, p.id) AS nth
    FROM embeddings e JOIN passages p ON p.embedding = e.hash
    JOIN articles a ON a.id = p.article JOIN files f ON f.id = a.file
    WHERE e.row IN (SELECT value FROM json_each(?)) {narrowed}
)
SELECT
    c.row, p.id, p.text, p.headings, p.paragraph, p.line, p.start, p.stop, p.sentences,
    f.source, a.record, f.path, a.title, a.metadata
FROM chosen c JOIN passages p ON p.id = c.id JOIN articles a ON a.id = p.article JOIN files f ON f.id = a.file
WHERE c.nth <= ? ORDER BY f.source, f.path, p.id
"""
_OF_ARTICLES = "AND p.article IN (SELECT value FROM json_each(?))"
_FILTERS = 8
"""Filters whose results are kept: a server is asked for the same ones again. At a million passages each takes up to 16 MB."""


class PassageRow(NamedTuple):
    """A passage as stored, with what a hit shows of its article. ``row`` is that of its vector, ``id`` its own."""

    row: int
    id: int
    passage: Passage
    source: str
    path: str
    title: str
    metadata: dict[str, Any]


class Reader:
    """One generation of an index, as it was when opened. Threads may share it.

    :raises IndexMissing: if there is no index in the folder.
    :raises IndexTooNew: if a later semsearch wrote it.
    :raises IndexCorrupt: if it is damaged, or of an earlier format.
    :raises InputError: if its database is another program's, or cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # The working directory may change while the index is open.
        self.home = folder.resolve()
        self.meta: dict[str, str] = {}
        self._lock = threading.RLock()
        self._lexical: Lexical | None = None
        self._allowed: dict[Filter, Allowed] = {}
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
            if int(self.meta["format"]) < FORMAT:
                raise _outdated(self.folder)
            self.fingerprint = _fingerprint(self.meta, self.folder)
            # All now, for they may be gone later; what is mapped stays.
            self._segments: list[Segment] | None = open_segments(self._database, self.folder, self.fingerprint.dimension)
            self._held = words.hold(self._database, self.home)
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
            self._segments = self._lexical = None
            self._held.close()
            self._database.close()

    def segments(self) -> list[Segment]:
        """The segments, in the order of their rows.

        :raises InputError: if the reader was closed.
        """
        with self._lock:
            if self._segments is None:
                raise closed(self.folder)
            return self._segments

    def lexical(self) -> Lexical:
        """The lexical side, opened with the first use.

        :raises IndexCorrupt: if it cannot be read.
        :raises InputError: if the reader was closed.
        """
        with self._lock:
            if self._segments is None:
                raise closed(self.folder)
            if self._lexical is None:
                self._lexical = self._held.open()
                self._held.close()
            return self._lexical

    def counts(self) -> dict[str, int]:
        """How many ``files``, ``articles``, ``passages`` there are, and the ``bytes`` on disk."""
        with self._lock, translated(self.folder):
            tables = ("files", "articles", "passages")
            counted = {table: int(one(self._database, f"SELECT count(*) FROM {table}")) for table in tables}
        return {**counted, "bytes": sum(map(size_of, self.home.iterdir()))}

    def n_articles(self) -> int:
        """How many articles there are."""
        with self._lock, translated(self.folder):
            return int(one(self._database, "SELECT count(*) FROM articles"))

    def allowed(self, wanted: Filter) -> Allowed:
        """What a filter leaves of the index; kept for the next time.

        :raises InputError: if the reader was closed.
        """
        with self._lock, translated(self.folder):
            self.segments()
            found = self._allowed.pop(wanted, None) or filtering.find(self._database, wanted)
            # The one used last stands last.
            self._allowed[wanted] = found
            if len(self._allowed) > _FILTERS:
                del self._allowed[next(iter(self._allowed))]
            return found

    def passages(self, rows: Sequence[int], limit: int, *, allowed: Allowed | None = None) -> list[PassageRow]:
        """The passages that have these rows as their vectors, by source and place; several may share a row.

        :param limit: how many of each row, at most.
        :param allowed: what a filter leaves: passages of other articles do not come back. None for all.
        """
        with self._lock, translated(self.folder):
            given: list[Any] = [json.dumps(list(rows)), limit]
            if allowed is not None:
                given.insert(1, json.dumps(filtering.among(self._database, rows, allowed.articles)))
            statement = _PASSAGES.format(narrowed="" if allowed is None else _OF_ARTICLES)
            cursor = self._database.cursor()
            cursor.row_factory = sqlite3.Row
            try:
                return [self._passage_row(row) for row in cursor.execute(statement, given)]
            except (ValueError, TypeError) as error:
                raise damaged(self.folder, "a passage cannot be read") from error

    def around(self, passage: int, before: int, after: int) -> Context:
        """A passage with its neighbours in the article.

        :param passage: its ``id``.
        """
        with self._lock, translated(self.folder):
            cursor = self._database.cursor()
            cursor.row_factory = sqlite3.Row
            middle = cursor.execute("SELECT * FROM passages WHERE id = ?", (passage,)).fetchone()
            place = (middle["article"], passage)
            left = "SELECT * FROM passages WHERE article = ? AND id < ? ORDER BY id DESC LIMIT ?"
            right = "SELECT * FROM passages WHERE article = ? AND id > ? ORDER BY id LIMIT ?"
            earlier = [_passage(row) for row in cursor.execute(left, (*place, before))]
            later = [_passage(row) for row in cursor.execute(right, (*place, after))]
            return Context(tuple(reversed(earlier)), _passage(middle), tuple(later))

    def _passage_row(self, row: sqlite3.Row) -> PassageRow:
        path = os.path.normpath(os.path.join(self.home.parent, row["path"]))
        source = row["source"] + row["record"]
        return PassageRow(row["row"], row["id"], _passage(row), source, path, row["title"], json.loads(row["metadata"]))


def _passage(row: sqlite3.Row) -> Passage:
    spans = np.frombuffer(row["sentences"], "<i4").reshape(-1, 4).tolist()
    return Passage(
        text=row["text"],
        headings=tuple(json.loads(row["headings"])),
        paragraph=row["paragraph"],
        line=row["line"],
        start=row["start"],
        end=row["stop"],
        sentences=tuple(Sentence(left, right) for left, right, _, _ in spans),
        sentence_spans=tuple((left, right) for _, _, left, right in spans),
    )


def _missing(folder: Path) -> IndexMissing:
    return IndexMissing(f"no index in {folder}: make one with semsearch index SOURCE --index {folder}")


def _outdated(folder: Path) -> IndexCorrupt:
    return IndexCorrupt(
        f"the index {folder} is of an earlier version of semsearch: bring it up to date with "
        f"semsearch index SOURCE --index {folder}"
    )


def _fingerprint(meta: dict[str, str], folder: Path) -> Fingerprint:
    try:
        return Fingerprint(**json.loads(meta["fingerprint"]))
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(folder, "its model is not noted") from error
