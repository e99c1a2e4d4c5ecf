"""Rows of vectors in files, and exact search over them: the one door to faiss.

A segment is a run of consecutive row numbers in files that are written once and never changed: the passages' vectors (a faiss
flat index in half precision: cosines are off by 0.00001, and half the bytes are read), the codes of their tokens (uint8
``.npy``, see `signs`), which of these each sentence has (int32 ``.npy``), and where each row's tokens and sentences begin (int64
``.npy``). All are memory-mapped when read.

Invariants: similarity is the cosine, higher is better; faiss's padding (-1) and rows that are no longer wanted never come
back from a search; of rows that a search is narrowed to, none is missed.

Deliberately not here: texts, which row is which passage, transactions.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semsearch import signs
from semsearch.errors import IndexCorrupt
from semsearch.protocols import Found

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

__all__ = ["SEGMENT_SUFFIXES", "Found", "Segment", "search", "sentences", "take", "tokens", "write_segment"]

_MEND = "remove the index and index the articles again"
SEGMENT_SUFFIXES = (".faiss", ".tokens.npy", ".sentences.npy", ".offsets.npy")
_FEW = 500
"""Up to so many allowed rows of a segment are taken out and multiplied. Of 16,384 rows and for one question, 100 take 0.015 ms so
and 0.040 ms when faiss passes over the others; 1,000 take 0.20 and 0.13 ms. For 32 questions at once: 0.06 and 0.5 ms."""


def write_segment(
    folder: Path, name: str, vectors: Matrix, tokens: Sequence[NDArray[np.uint8]], sentences: Sequence[NDArray[np.int32]]
) -> list[Path]:
    """Write a segment's files under names that must not exist yet; they are not synced.

    :param vectors: float32 (n, d), unit rows.
    :param tokens: n arrays, uint8 (number of tokens, `signs.WIDTH`).
    :param sentences: n arrays, int32 (number of sentences, 2): places among the row's tokens.
    """
    import faiss

    paths = [folder / f"{name}{suffix}" for suffix in SEGMENT_SUFFIXES]
    index = faiss.IndexScalarQuantizer(vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.add(np.ascontiguousarray(vectors, np.float32))
    # Through numpy, so that a path with any letters works on every platform.
    paths[0].write_bytes(faiss.serialize_index(index).tobytes())
    np.save(paths[1], np.concatenate([np.empty((0, signs.WIDTH), np.uint8), *tokens]), allow_pickle=False)
    np.save(paths[2], np.concatenate([np.empty((0, 2), np.int32), *sentences]), allow_pickle=False)
    sizes = np.asarray([[0, 0], *zip(map(len, tokens), map(len, sentences), strict=True)], np.int64)
    np.save(paths[3], np.cumsum(sizes, axis=0), allow_pickle=False)
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
        self.dimension = dimension
        try:
            index, *arrays = (folder / f"{name}{suffix}" for suffix in SEGMENT_SUFFIXES)
            self._index = faiss.read_index(str(index), faiss.IO_FLAG_MMAP_IFC)
            self._offsets = _mapped(arrays[2], np.int64, (n_rows + 1, 2))
            n_tokens, n_sentences = self._offsets[-1].tolist()
            self._tokens = _mapped(arrays[0], np.uint8, (n_tokens, signs.WIDTH))
            self._sentences = _mapped(arrays[1], np.int32, (n_sentences, 2))
        except (OSError, ValueError, RuntimeError) as error:
            raise IndexCorrupt(f"the vectors {name} in {folder} cannot be read: {_MEND}") from error
        if not _is_half(self._index) or (self._index.ntotal, self._index.d) != (n_rows, dimension):
            raise IndexCorrupt(f"the vectors {name} in {folder} are not those of the index: {_MEND}")
        self._live: NDArray[np.bool_] | None = None
        self._narrowed: _Narrowed | None = None
        if live is not None:
            self._live = np.zeros(n_rows, bool)
            self._live[live - first_row] = True
            self._narrowed = _Narrowed(self._live)

    def search(
        self, queries: Matrix, k: int, allowed: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Nearest rows of each query: row numbers int64 (n, m), -1 where there are no more, and cosines float32 (n, m).

        m is ``k``, or less where the segment has less to give.

        :param allowed: int64, ascending: the only rows that may come back, of any segment; None for all.
        """
        queries = np.ascontiguousarray(queries, np.float32)
        narrowed, most = self._narrowed, self.n_rows
        if allowed is not None:
            bounds = np.searchsorted(allowed, [self.first_row, self.first_row + self.n_rows])
            places = allowed[slice(*bounds)] - self.first_row
            places = places if self._live is None else places[self._live[places]]
            if len(places) <= _FEW:
                return self._multiply(queries, k, places)
            most = len(places)
            mask = np.zeros(self.n_rows, bool)
            mask[places] = True
            narrowed = _Narrowed(mask)
        if not most:
            return _nothing(queries)
        parameters = None if narrowed is None else narrowed.parameters
        scores, rows = self._index.search(queries, min(k, most), params=parameters)
        return np.where(rows < 0, -1, rows + self.first_row), scores

    def _multiply(self, queries: Matrix, k: int, places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if not len(places):
            return _nothing(queries)
        scores = np.asarray(queries @ self._index.reconstruct_batch(places).T, np.float32)
        rows = np.broadcast_to(places + self.first_row, scores.shape)
        if k < len(places):
            best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
            rows, scores = np.take_along_axis(rows, best, axis=1), np.take_along_axis(scores, best, axis=1)
        return rows, scores

    def vectors(self, rows: NDArray[np.int64]) -> Matrix:
        """Vectors of some rows of this segment: float32 (len(rows), d)."""
        return np.asarray(self._index.reconstruct_batch(np.ascontiguousarray(rows - self.first_row)), np.float32)

    def tokens(self, row: int) -> NDArray[np.uint8]:
        """The codes of a row's tokens: uint8 (number of tokens, `signs.WIDTH`).

        :raises IndexCorrupt: if the files have no such place.
        """
        return self._part(self._tokens, row, 0)

    def sentences(self, row: int) -> NDArray[np.int32]:
        """The first of each sentence's tokens and the one behind its last: int32 (number of sentences, 2).

        :raises IndexCorrupt: if the files have no such place.
        """
        spans = self._part(self._sentences, row, 1)
        tokens = int(self._offsets[row - self.first_row + 1, 0] - self._offsets[row - self.first_row, 0])
        if not all(0 <= start <= end <= tokens for start, end in spans.tolist()):
            raise IndexCorrupt(f"the sentences of row {row} are not where they should be: {_MEND}")
        return spans

    def _part(self, array: NDArray[Any], row: int, kind: int) -> NDArray[Any]:
        start, end = self._offsets[row - self.first_row : row - self.first_row + 2, kind].tolist()
        if not 0 <= start <= end <= len(array):
            raise IndexCorrupt(f"the tokens of row {row} are not where they should be: {_MEND}")
        return np.asarray(array[start:end])


def _is_half(index: Any) -> bool:
    """Whether this is the kind of index that `write_segment` writes."""
    import faiss

    return (
        isinstance(index, faiss.IndexScalarQuantizer)
        and index.metric_type == faiss.METRIC_INNER_PRODUCT
        and index.sq.qtype == faiss.ScalarQuantizer.QT_fp16
    )


class _Narrowed:
    """What tells faiss to pass over the places that are not set in a mask; it keeps pointers, so all of this must live on."""

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        import faiss

        self._bits = np.packbits(mask, bitorder="little")
        self._selector = faiss.IDSelectorBitmap(self._bits)  # type: ignore[call-arg, arg-type]
        self.parameters = faiss.SearchParameters(sel=self._selector)  # type: ignore[call-arg]


def _nothing(queries: Matrix) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)


def _mapped(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    # Not np.load, which takes archives and pickles, too.
    array = np.lib.format.open_memmap(path, mode="r")
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{path} holds something else")
    # As plain arrays, whose slices cost a third.
    return array.view(np.ndarray)


def search(segments: Iterable[Segment], queries: Matrix, k: int, *, allowed: NDArray[np.int64] | None = None) -> list[Found]:
    """The k nearest rows of each query over all segments, exactly; equal scores in order of their rows.

    Which of several rows that share the k-th best score come back is left open.

    :param queries: float32 (n, d), unit rows.
    :param allowed: int64, ascending: the only rows that may come back, however far they are; None for all.
    """
    import faiss

    # faiss shares out questions, not rows: for one question its threads only wake up, and cost half of the time.
    faiss.omp_set_num_threads(1 if len(queries) == 1 else os.cpu_count() or 1)
    parts = [segment.search(queries, k, allowed) for segment in segments]
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


def take(segments: Sequence[Segment], rows: NDArray[np.int64]) -> Matrix:
    """Vectors of rows of any of the segments, in their order: float32 (len(rows), d)."""
    taken = np.empty((len(rows), segments[0].dimension if segments else 0), np.float32)
    for segment in segments:
        inside = (rows >= segment.first_row) & (rows < segment.first_row + segment.n_rows)
        if inside.any():
            taken[inside] = segment.vectors(rows[inside])
    return taken


def tokens(segments: Sequence[Segment], rows: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
    """Codes of the tokens of rows, in their order: len(rows) arrays, uint8 (number of tokens, `signs.WIDTH`)."""
    return [_home(segments, row).tokens(row) for row in rows.tolist()]


def sentences(segments: Sequence[Segment], row: int) -> NDArray[np.int32]:
    """Which of a row's tokens each of its sentences has: `Segment.sentences`."""
    return _home(segments, row).sentences(row)


def _home(segments: Sequence[Segment], row: int) -> Segment:
    return segments[bisect_right(segments, row, key=lambda segment: segment.first_row) - 1]
