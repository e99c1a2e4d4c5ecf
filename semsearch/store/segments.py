"""The vectors' side of an index directory: segments are added, and rewritten when they are worn.

Deliberately not here: opening them to read (`database.open_segments`), how vectors are stored (`vectors`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from semsearch.store.database import one, open_segments
from semsearch.store.files import new_name, sync, writing
from semsearch.vectors import write_segment

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

__all__ = ["SEGMENT_ROWS", "SMALL_SEGMENTS", "add", "drop_unused"]

SEGMENT_ROWS = 16_384
"""Rows in a segment at most. A writer holds one in memory: at 384 dimensions and 130 tokens a passage about 95 MB, and twice that
while it is written."""
SMALL_SEGMENTS = 8
"""More segments than this that are less than half full are merged, so that a search never visits many files."""


def add(
    database: sqlite3.Connection,
    folder: Path,
    hashes: Sequence[bytes],
    vectors: Matrix,
    tokens: Sequence[NDArray[np.uint8]],
    sentences: Sequence[NDArray[np.int32]],
) -> None:
    """A new segment: the vectors of the texts with these hashes, as `vectors.write_segment` takes them."""
    name = new_name("segment")
    first = int(one(database, "SELECT coalesce(max(first_row + n_rows), 0) FROM segments"))
    with writing(folder):
        files = [(path.name, *sync(path)) for path in write_segment(folder, name, vectors, tokens, sentences)]
    database.execute(
        "INSERT INTO segments (name, first_row, n_rows, live, files) VALUES (?, ?, ?, ?, ?)",
        (name, first, len(hashes), len(hashes), json.dumps(files)),
    )
    database.executemany(
        "INSERT OR REPLACE INTO embeddings (hash, row) VALUES (?, ?)",
        ((embedding, first + number) for number, embedding in enumerate(hashes)),
    )


def drop_unused(database: sqlite3.Connection, folder: Path, dimension: int) -> None:
    """Forget vectors that no passage has, and rewrite the segments that are mostly such, or small and many."""
    database.execute("DELETE FROM embeddings WHERE hash NOT IN (SELECT embedding FROM passages)")
    database.execute(
        "UPDATE segments SET live = (SELECT count(*) FROM embeddings WHERE row >= first_row AND row < first_row + n_rows)"
    )
    database.execute("DELETE FROM segments WHERE live = 0")
    sparse = database.execute("SELECT name FROM segments WHERE live * 2 < n_rows").fetchall()
    small = database.execute("SELECT name FROM segments WHERE live * 2 < ?", (SEGMENT_ROWS,)).fetchall()
    worn = {name for (name,) in sparse} | ({name for (name,) in small} if len(small) > SMALL_SEGMENTS else set())
    if worn:
        _rewrite(database, folder, dimension, worn)


def _rewrite(database: sqlite3.Connection, folder: Path, dimension: int, worn: set[str]) -> None:
    """The rows of some segments that are still wanted, in new ones."""
    hashes: list[bytes] = []
    vectors: list[Matrix] = []
    tokens: list[NDArray[np.uint8]] = []
    sentences: list[NDArray[np.int32]] = []
    for segment in open_segments(database, folder, dimension, worn):
        rows = database.execute(
            "SELECT hash, row FROM embeddings WHERE row >= ? AND row < ? ORDER BY row",
            (segment.first_row, segment.first_row + segment.n_rows),
        ).fetchall()
        if hashes and len(hashes) + len(rows) > SEGMENT_ROWS:
            add(database, folder, hashes, np.concatenate(vectors), tokens, sentences)
            hashes, vectors, tokens, sentences = [], [], [], []
        hashes += [embedding for embedding, _ in rows]
        numbers = np.asarray([row for _, row in rows], np.int64)
        vectors.append(segment.vectors(numbers))
        tokens += [segment.tokens(int(row)) for row in numbers]
        sentences += [segment.sentences(int(row)) for row in numbers]
    add(database, folder, hashes, np.concatenate(vectors), tokens, sentences)
    database.executemany("DELETE FROM segments WHERE name = ?", ((name,) for name in worn))
