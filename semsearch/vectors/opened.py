"""All segments of an index: the nearest rows of a question, and what is kept of single rows.

Deliberately not here: how a file is laid out (`segment`), how rows are picked by their codes (`scan`).
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import IndexCorrupt
from semsearch.limits import processors
from semsearch.protocols import Found
from semsearch.vectors.scan import Scan
from semsearch.vectors.segment import MEND, Segment, compare, whole

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

    Rows = NDArray[np.int64]

__all__ = ["EXACT_ROWS", "Vectors"]

EXACT_ROWS = 50_000
"""Up to so many rows all are multiplied, in 2.5 ms; a scan and 200 rows multiplied take 0.5."""
_FEW = 2000
"""Up to so many allowed rows are taken out and multiplied; of more, all vectors of their segments are read."""
_AT_ONCE = 512
"""Rows that are multiplied at once: for what takes more than a megabyte the system is asked each time, which doubled the time."""
_SPREAD = 32
"""Of allowed rows that are less than one in so many, all are multiplied; else more rows are picked and the allowed ones kept."""


class Vectors:
    """The vectors of one generation of an index. Threads may share them.

    :param segments: in the order of their rows.
    :param depth: rows that are picked by their codes and then multiplied, at least; None to multiply all.
    """

    def __init__(self, segments: Sequence[Segment], dimension: int, depth: int | None = None) -> None:
        self.segments = segments
        self.dimension = dimension
        self.n_rows = sum(segment.n_rows for segment in segments)
        self.has_words = any(segment.n_words for segment in segments)
        """Whether there are codes of words to compare; an index may be built without."""
        self._depth = depth
        self._firsts = [segment.first_row for segment in segments]
        self._ends = np.asarray([segment.first_row + segment.n_rows for segment in segments], np.int64)
        self._lock = threading.Lock()
        self._scan: Scan | None = None
        dead = [segment.first_row + np.flatnonzero(~segment.live) for segment in segments if segment.live is not None]
        self._dead = np.concatenate(dead) if dead else np.empty(0, np.int64)

    def search(self, queries: Matrix, k: int, *, allowed: Rows | None = None, depth: int | None = None) -> list[Found]:
        """The k nearest rows of each query; equal scores in order of their rows.

        All of them where all rows are multiplied, or all that are allowed; else as many of them as was measured. Which of several
        rows that share the k-th best score come back is left open.

        :param queries: float32 (n, d), unit rows.
        :param allowed: int64, ascending: the only rows that may come back, however far they are; None for all.
        :param depth: in place of that which the vectors were opened with.
        """
        import faiss

        # faiss shares out questions, not rows: for one question its threads only wake up, and cost half of the time.
        faiss.omp_set_num_threads(1 if len(queries) == 1 else processors())
        depth = self._depth if depth is None else depth
        if allowed is not None and len(allowed) <= _FEW:
            rows = self._wanted(allowed)
            return [self._nearest(query, rows, k) for query in queries]
        if depth is None or (allowed is not None and len(allowed) * _SPREAD < self.n_rows):
            return self._exact(queries, k, allowed)
        return self._picked(queries, k, allowed, max(depth, 2 * k))

    def _exact(self, queries: Matrix, k: int, allowed: Rows | None) -> list[Found]:
        parts = []
        for segment in self.segments:
            places = None
            if allowed is not None:
                bounds = np.searchsorted(allowed, [segment.first_row, segment.first_row + segment.n_rows])
                places = allowed[slice(*bounds)] - segment.first_row
            parts.append(segment.search(queries, k, places))
        if not parts:
            return [_best(np.empty(0, np.int64), np.empty(0, np.float32), k) for _ in queries]
        rows = np.concatenate([part[0] for part in parts], axis=1)
        scores = np.concatenate([part[1] for part in parts], axis=1)
        return [_best(row[row >= 0], score[row >= 0], k) for row, score in zip(rows, scores, strict=True)]

    def _picked(self, queries: Matrix, k: int, allowed: Rows | None, depth: int) -> list[Found]:
        """The nearest of those that are nearest by their codes."""
        reachable = self.n_rows - len(self._dead) if allowed is None else len(allowed)
        many = depth if reachable == self.n_rows else depth * self.n_rows * 5 // (4 * max(1, reachable)) + 1
        found = []
        for query, rows in zip(queries, self._scanned().search(queries, many), strict=True):
            kept = self._wanted(rows)
            if allowed is not None:
                kept = kept[_among(kept, allowed)]
            if len(kept) >= min(depth, reachable) or many >= self.n_rows:
                # In the order of their rows, so that few segments are looked into at a time.
                found.append(self._nearest(query, np.sort(kept[:depth]), k))
            else:
                # What is allowed is rarer near this question than elsewhere, and where it begins codes tell little.
                found += self._exact(query[None], k, allowed)
        return found

    def _scanned(self) -> Scan:
        with self._lock:
            if self._scan is None:
                parts = [(segment.first_row, segment.n_rows, segment.scan_codes()) for segment in self.segments]
                self._scan = Scan(self.dimension, parts)
            return self._scan

    def _wanted(self, rows: Rows) -> Rows:
        """Those of some rows that there are, and that are wanted; in their order."""
        if not self.segments:
            return rows[:0]
        part = np.searchsorted(self._firsts, rows, side="right") - 1
        kept = rows[(part >= 0) & (rows < self._ends[part])]
        return kept[~_among(kept, self._dead)] if len(self._dead) else kept

    def _nearest(self, query: Matrix, rows: Rows, k: int) -> Found:
        scores = np.empty(len(rows), np.float32)
        for first in range(0, len(rows), _AT_ONCE):
            scores[first : first + _AT_ONCE] = self.take(rows[first : first + _AT_ONCE]) @ query
        return _best(rows, scores, k)

    def take(self, rows: Rows) -> Matrix:
        """Vectors of rows, in their order: float32 (len(rows), d).

        :raises IndexCorrupt: if a row is in no segment, or not what was written.
        """
        if not len(rows):
            return np.empty((0, self.dimension), np.float32)
        if (rows[1:] >= rows[:-1]).all():
            return self._ascending(rows)
        order = np.argsort(rows, kind="stable")
        taken = np.empty((len(rows), self.dimension), np.float32)
        taken[order] = self._ascending(rows[order])
        return taken

    def _ascending(self, rows: Rows) -> Matrix:
        """`take` of rows that ascend, of which there are some: segment by segment."""
        halves = np.empty((len(rows), 2 * self.dimension), np.uint8)
        sums = np.empty(len(rows), np.uint64)
        part = np.searchsorted(self._firsts, rows, side="right") - 1
        if part[0] < 0 or (rows >= self._ends[part]).any():
            raise _stray()
        edges = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(rows)]
        for first, behind in pairwise(edges):
            self.segments[part[first]].copy(rows[first:behind], halves[first:behind], sums[first:behind])
        compare(rows, halves, sums)
        return whole(halves)

    def words(self, rows: Rows) -> list[NDArray[np.uint8]]:
        """Codes of the words of rows, in their order: len(rows) arrays, uint8 (number of words, `signs.WIDTH`)."""
        return [self._home(row).words(row) for row in rows.tolist()]

    def sentences(self, row: int) -> NDArray[np.int32]:
        """Which of a row's words each of its sentences has: `Segment.sentences`."""
        return self._home(row).sentences(row)

    def _home(self, row: int) -> Segment:
        place = bisect_right(self._firsts, row) - 1
        if place < 0 or row >= self._firsts[place] + self.segments[place].n_rows:
            raise _stray()
        return self.segments[place]


def _stray() -> IndexCorrupt:
    return IndexCorrupt(f"passages have vectors that are in no file: {MEND}")


def _among(rows: Rows, known: Rows) -> NDArray[np.bool_]:
    """Which of some rows are among the known ones, which ascend: bool (len(rows),)."""
    if not len(known):
        return np.zeros(len(rows), bool)
    places = np.minimum(np.searchsorted(known, rows), len(known) - 1)
    return np.asarray(known[places] == rows, bool)


def _best(rows: Rows, scores: NDArray[np.float32], k: int) -> Found:
    order = np.lexsort((rows, -scores))[:k]
    return Found(rows[order], scores[order])
