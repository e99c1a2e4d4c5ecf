"""The vectors' side of an index directory: segments are added, held, and rewritten when they are worn.

Deliberately not here: how vectors are stored (`vectors`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import apsw
import numpy as np
from numpy.typing import NDArray

from semsearch.store.database import damaged, one
from semsearch.store.files import Held, Listed, is_segment, new_name, write, writing
from semsearch.vectors import SEGMENT_SUFFIX, Segment, segment_file

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

__all__ = ["SEGMENT_ROWS", "SMALL_SEGMENTS", "Codes", "HeldSegment", "drop_unused", "enlist", "hold", "listed", "write_segment"]

SEGMENT_ROWS = 16_384
"""Rows in a segment at most. A writer holds one in memory: at 384 dimensions and 100 words a passage about 70 MB."""
_MOST_ROWS = 2**48
SMALL_SEGMENTS = 8
"""More segments than this that are less than half full are merged, so that a search never visits many files."""


class Codes(NamedTuple):
    """What is kept of some texts, as `vectors.segment_file` takes it: the codes of their words, and of each the sentences."""

    tokens: Sequence[NDArray[np.uint8]]
    sentences: Sequence[NDArray[np.int32]]


class HeldSegment:
    """A segment's file, held whatever a writer removes, and opened when first asked for."""

    def __init__(self, folder: Path, name: str, first_row: int, n_rows: int, live: int, files: Sequence[Listed]) -> None:
        if not (0 <= first_row < _MOST_ROWS and 0 <= n_rows < _MOST_ROWS and 0 <= live <= n_rows):
            raise damaged(folder, "the rows of a segment are none")
        self.name, self.first_row, self.n_rows, self.live = name, first_row, n_rows, live
        self.held = Held(folder, files)

    def open(self, database: apsw.Connection, dimension: int) -> Segment:
        """The segment, which compares what is read of it with its checksums.

        :raises IndexCorrupt: if it is not the one that was written.
        """
        rows = None
        if self.live < self.n_rows:
            inside = (self.first_row, self.first_row + self.n_rows)
            cursor = database.execute("SELECT row FROM embeddings WHERE row >= ? AND row < ?", inside)
            rows = np.fromiter((row for (row,) in cursor), np.int64)
        return Segment(self.name, self.held.map(f"{self.name}{SEGMENT_SUFFIX}"), self.first_row, self.n_rows, dimension, rows)

    def close(self) -> None:
        """Let go of the file; a segment that was opened stays open."""
        self.held.close()


def listed(folder: Path, name: str, files: str) -> list[Listed]:
    """The file of a segment, one alone, as its row in the database lists it.

    :raises IndexCorrupt: if it is not just that which a segment of this name has.
    """
    try:
        found = [Listed(str(file), int(size), str(checksum)) for file, size, checksum in json.loads(files)]
    except (TypeError, ValueError, OverflowError) as error:
        raise damaged(folder, "the files of a segment are not listed") from error
    if not is_segment(name) or [file.name for file in found] != [f"{name}{SEGMENT_SUFFIX}"]:
        raise damaged(folder, "it names a strange file")
    return found


def hold(database: apsw.Connection, folder: Path, names: set[str] | None = None) -> list[HeldSegment]:
    """Take hold of the segments that the database lists, or of those of them with these names, in the order of their rows.

    :raises IndexCorrupt: if a file is missing or of another length.
    """
    rows = database.execute("SELECT name, first_row, n_rows, live, files FROM segments ORDER BY first_row").fetchall()
    held: list[HeldSegment] = []
    try:
        for name, first, n_rows, live, files in rows:
            if names is None or name in names:
                held.append(HeldSegment(folder, name, first, n_rows, live, listed(folder, name, files)))
    except BaseException:
        for segment in held:
            segment.close()
        raise
    return held


def write_segment(folder: Path, vectors: Matrix, codes: Codes) -> tuple[str, list[Listed]]:
    """Write a segment under a new name, which nothing lists yet; its name and its file.

    :param vectors: float32 (n, d), unit rows.
    :raises InputError: if it cannot be written.
    """
    name = new_name("segment")
    with writing(folder):
        return name, [write(folder / f"{name}{SEGMENT_SUFFIX}", segment_file(name, vectors, codes.tokens, codes.sentences))]


def enlist(database: apsw.Connection, name: str, files: Sequence[Listed], hashes: Sequence[bytes | None]) -> None:
    """Let the index have a segment that was written: the vectors of the texts with these hashes; None for one not wanted."""
    first = int(one(database, "SELECT coalesce(max(first_row + n_rows), 0) FROM segments"))
    wanted = [(embedding, first + place) for place, embedding in enumerate(hashes) if embedding is not None]
    database.execute(
        "INSERT INTO segments (name, first_row, n_rows, live, files) VALUES (?, ?, ?, ?, ?)",
        (name, first, len(hashes), len(wanted), json.dumps(files)),
    )
    database.executemany("INSERT OR REPLACE INTO embeddings (hash, row) VALUES (?, ?)", wanted)


def drop_unused(database: apsw.Connection, folder: Path, dimension: int) -> None:
    """Forget vectors that no passage has, and rewrite the segments that are mostly such, or small and many."""
    database.execute("DELETE FROM embeddings WHERE hash NOT IN (SELECT embedding FROM passages)")
    database.execute(
        "UPDATE segments SET live = found.n FROM (SELECT s.name, (SELECT count(*) FROM embeddings e"
        " WHERE e.row >= s.first_row AND e.row < s.first_row + s.n_rows) AS n FROM segments s) AS found"
        " WHERE segments.name = found.name AND segments.live != found.n"
    )
    database.execute("DELETE FROM segments WHERE live = 0")
    sparse = database.execute("SELECT name FROM segments WHERE live * 2 < n_rows").fetchall()
    small = database.execute("SELECT name FROM segments WHERE live * 2 < ?", (SEGMENT_ROWS,)).fetchall()
    worn = {name for (name,) in sparse} | ({name for (name,) in small} if len(small) > SMALL_SEGMENTS else set())
    if worn:
        _rewrite(database, folder, dimension, worn)


def _rewrite(database: apsw.Connection, folder: Path, dimension: int, worn: set[str]) -> None:
    """The rows of some segments that are still wanted, in new ones."""
    hashes: list[bytes] = []
    vectors: list[Matrix] = []
    codes = Codes([], [])
    for segment in _opened(database, folder, dimension, worn):
        rows = database.execute(
            "SELECT hash, row FROM embeddings WHERE row >= ? AND row < ? ORDER BY row",
            (segment.first_row, segment.first_row + segment.n_rows),
        ).fetchall()
        if hashes and len(hashes) + len(rows) > SEGMENT_ROWS:
            enlist(database, *write_segment(folder, np.concatenate(vectors), codes), hashes)
            hashes, vectors, codes = [], [], Codes([], [])
        hashes += [embedding for embedding, _ in rows]
        numbers = np.asarray([row for _, row in rows], np.int64)
        vectors.append(segment.vectors(numbers))
        codes = Codes(
            [*codes.tokens, *(segment.words(int(row)) for row in numbers)],
            [*codes.sentences, *(segment.sentences(int(row)) for row in numbers)],
        )
    enlist(database, *write_segment(folder, np.concatenate(vectors), codes), hashes)
    database.executemany("DELETE FROM segments WHERE name = ?", ((name,) for name in worn))


def _opened(database: apsw.Connection, folder: Path, dimension: int, names: set[str]) -> Iterator[Segment]:
    held = hold(database, folder, names)
    try:
        for segment in held:
            yield segment.open(database, dimension)
    finally:
        for segment in held:
            segment.close()
