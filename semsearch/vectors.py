"""Rows of vectors in files, and exact search over them: the one door to faiss.

A segment is a run of consecutive row numbers in three files that are written once and never changed: the passages'
vectors (a faiss flat index, float32), their sentences' vectors (int8 ``.npy``; only the direction is kept) and where each
row's sentences begin (int64 ``.npy``). All are memory-mapped when read.

Invariants: similarity is the cosine, higher is better; faiss's padding (-1) and rows that are no longer wanted never come
back from a search.

Deliberately not here: texts, which row is which passage, transactions.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import IndexCorrupt

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

__all__ = ["SEGMENT_SUFFIXES", "Found", "Segment", "search", "write_segment"]

_MEND = "remove the index and index the articles again"
SEGMENT_SUFFIXES = (".faiss", ".sentences.npy", ".offsets.npy")


class Found(NamedTuple):
    """Nearest rows of one query, best first: ``rows`` int64 (m,), ``scores`` float32 (m,) cosines; m <= k."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


def write_segment(folder: Path, name: str, vectors: Matrix, sentences: Sequence[Matrix]) -> list[Path]:
    """Write a segment's files under names that must not exist yet; they are not synced.

    :param vectors: float32 (n, d), unit rows.
    :param sentences: n arrays, float32 (number of sentences, d), unit rows.
    """
    import faiss

    paths = [folder / f"{name}{suffix}" for suffix in SEGMENT_SUFFIXES]
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, np.float32))
    # Through numpy, so that a path with any letters works on every platform.
    paths[0].write_bytes(faiss.serialize_index(index).tobytes())
    rows = np.concatenate(sentences) if sentences else np.empty((0, vectors.shape[1]), np.float32)
    largest = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-12) if len(rows) else 1.0
    np.save(paths[1], np.rint(rows / largest * 127).astype(np.int8), allow_pickle=False)
    offsets = np.cumsum([0, *(len(matrix) for matrix in sentences)], dtype=np.int64)
    np.save(paths[2], offsets, allow_pickle=False)
    return paths


class Segment:
    """The rows ``first_row`` to ``first_row + n_rows - 1``, opened from files.

    :param live: row numbers that may come back from a search, None for all.
    :raises IndexCorrupt: if the files cannot be read or do not hold ``n_rows`` rows of ``dimension``.
    """

    def __init__(
        self, folder: Path, name: str, first_row: int, n_rows: int, dimension: int, live: NDArray[np.int64] | None
    ) -> None:
        import faiss

        self.first_row = first_row
        self.n_rows = n_rows
        try:
            index, *arrays = (folder / f"{name}{suffix}" for suffix in SEGMENT_SUFFIXES)
            self._index = faiss.read_index(str(index), faiss.IO_FLAG_MMAP_IFC)
            self._offsets = _mapped(arrays[1], np.int64, (n_rows + 1,))
            self._sentences = _mapped(arrays[0], np.int8, (int(self._offsets[-1]), dimension))
        except (OSError, ValueError, RuntimeError) as error:
            raise IndexCorrupt(f"the vectors {name} in {folder} cannot be read: {_MEND}") from error
        if not isinstance(self._index, faiss.IndexFlatIP) or (self._index.ntotal, self._index.d) != (n_rows, dimension):
            raise IndexCorrupt(f"the vectors {name} in {folder} are not those of the index: {_MEND}")
        self._parameters = None
        if live is not None:
            mask = np.zeros(n_rows, bool)
            mask[live - first_row] = True
            # faiss keeps a pointer to the bits, not a copy.
            self._bits = np.packbits(mask, bitorder="little")
            self._selector = faiss.IDSelectorBitmap(self._bits)  # type: ignore[call-arg, arg-type]
            self._parameters = faiss.SearchParameters(sel=self._selector)  # type: ignore[call-arg]

    def search(self, queries: Matrix, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Nearest rows of each query: row numbers int64 (n, m), -1 where there are no more, and cosines float32 (n, m).

        m is ``k``, or ``n_rows`` where that is less.
        """
        if not self.n_rows:
            return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        scores, rows = self._index.search(np.ascontiguousarray(queries, np.float32), min(k, self.n_rows), params=self._parameters)
        return np.where(rows < 0, -1, rows + self.first_row), scores

    def vectors(self, rows: NDArray[np.int64]) -> Matrix:
        """Vectors of some rows of this segment: float32 (len(rows), d)."""
        return np.asarray(self._index.reconstruct_batch(np.ascontiguousarray(rows - self.first_row)), np.float32)

    def sentences(self, row: int) -> Matrix:
        """Vectors of a row's sentences: float32 (number of sentences, d), unit rows.

        :raises IndexCorrupt: if the files have no such place.
        """
        start, end = self._offsets[row - self.first_row : row - self.first_row + 2].tolist()
        if not 0 <= start <= end <= len(self._sentences):
            raise IndexCorrupt(f"the sentence vectors of row {row} are not where they should be: {_MEND}")
        matrix = self._sentences[start:end].astype(np.float32)
        return np.asarray(matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12), np.float32)


def _mapped(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    # Not np.load, which takes archives and pickles, too.
    array = np.lib.format.open_memmap(path, mode="r")
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{path} holds something else")
    return array


def search(segments: Iterable[Segment], queries: Matrix, k: int) -> list[Found]:
    """The k nearest rows of each query over all segments, exactly; equal scores in order of their rows.

    Which of several rows that share the k-th best score come back is left open.

    :param queries: float32 (n, d), unit rows.
    """
    import faiss

    # faiss shares out questions, not rows: for one question its threads only wake up, and cost half of the time.
    faiss.omp_set_num_threads(1 if len(queries) == 1 else os.cpu_count() or 1)
    parts = [segment.search(queries, k) for segment in segments]
    if not parts:
        return [Found(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
    rows = np.concatenate([part[0] for part in parts], axis=1)
    scores = np.concatenate([part[1] for part in parts], axis=1)
    found = []
    for query_rows, query_scores in zip(rows, scores, strict=True):
        query_rows, query_scores = query_rows[query_rows >= 0], query_scores[query_rows >= 0]
        order = np.lexsort((query_rows, -query_scores))[:k]
        found.append(Found(query_rows[order], query_scores[order]))
    return found
