"""Rows of vectors in files, and exact search over them: the one door to faiss.

A segment is a run of consecutive row numbers in files that are written once and never changed: the passages' vectors (a faiss
flat index in half precision: cosines are off by 0.00001, and half the bytes are read), the codes of their tokens (uint8
``.npy``, see `signs`), which of these each sentence has (int32 ``.npy``), and of each row where its tokens and sentences begin
and a checksum of both (int64 ``.npy``: codes are read of some rows only, so these are compared row by row). All are
memory-mapped when read.

Invariants: similarity is the cosine, higher is better; faiss's padding (-1) and rows that are no longer wanted never come
back from a search; of rows that a search is narrowed to, none is missed; nothing is read by faiss or numpy but what has just the
header that `segment_files` wrote.

Deliberately not here: files, texts, which row is which passage, transactions.
"""

from __future__ import annotations

import io
import os
import struct
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from semsearch import signs
from semsearch.errors import IndexCorrupt
from semsearch.protocols import Found

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

__all__ = [
    "SEGMENT_SUFFIXES",
    "WHOLE_SUFFIXES",
    "Found",
    "Segment",
    "search",
    "segment_files",
    "sentences",
    "take",
    "tokens",
]

_MEND = "mend it with semsearch check --repair"
SEGMENT_SUFFIXES = (".faiss", ".tokens.npy", ".sentences.npy", ".offsets.npy")
WHOLE_SUFFIXES = (".faiss", ".offsets.npy")
"""The files that every search reads from end to end; the others have a checksum for each row."""
_FEW = 500
"""Up to so many allowed rows of a segment are taken out and multiplied. Of 16,384 rows and for one question, 100 take 0.015 ms so
and 0.040 ms when faiss passes over the others; 1,000 take 0.20 and 0.13 ms. For 32 questions at once: 0.06 and 0.5 ms."""
_BLOCK = 1024
"""Rows that are turned to half precision at once."""
_FAISS_HEADER = struct.Struct("<4siqqq?iiifqqqq")
"""How faiss writes an `IndexScalarQuantizer` before its codes: kind, d, ntotal, two unused numbers, is_trained, metric; of the
quantizer its type, range statistic and its argument, d, bytes a vector, number of trained values; number of bytes of codes."""
_UNUSED = 1 << 20


def _faiss_header(dimension: int, n_rows: int) -> bytes:
    import faiss

    half, inner = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    width = 2 * dimension
    return _FAISS_HEADER.pack(
        b"IxSQ", dimension, n_rows, _UNUSED, _UNUSED, True, inner, half, 0, 0.0, dimension, width, 0, n_rows * width
    )


@lru_cache(maxsize=256)
def _npy_header(dtype: str, shape: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


def segment_files(
    vectors: Matrix, tokens: Sequence[NDArray[np.uint8]], sentences: Sequence[NDArray[np.int32]]
) -> dict[str, Iterable[bytes | memoryview]]:
    """What is in a segment's files, by their suffixes, in parts to be written one behind the other.

    :param vectors: float32 (n, d), unit rows.
    :param tokens: n arrays, uint8 (number of tokens, `signs.WIDTH`).
    :param sentences: n arrays, int32 (number of sentences, 2): places among the row's tokens.
    """
    n_rows, dimension = vectors.shape
    counts = np.asarray([[0, 0], *zip(map(len, tokens), map(len, sentences), strict=True)], np.int64)
    offsets = np.zeros((n_rows + 1, 3), "<i8")
    np.cumsum(counts, axis=0, out=offsets[:, :2])
    offsets[:n_rows, 2] = [_row_checksum(*codes) for codes in zip(tokens, sentences, strict=True)]
    n_tokens, n_sentences = offsets[-1, :2].tolist()
    return {
        ".faiss": _parts(
            _faiss_header(dimension, n_rows),
            (vectors[first : first + _BLOCK].astype("<f2") for first in range(0, n_rows, _BLOCK)),
        ),
        ".tokens.npy": _parts(_npy_header("|u1", (n_tokens, signs.WIDTH)), tokens),
        ".sentences.npy": _parts(_npy_header("<i4", (n_sentences, 2)), sentences),
        ".offsets.npy": _parts(_npy_header("<i8", offsets.shape), [offsets]),
    }


def _parts(header: bytes, arrays: Iterable[NDArray[Any]]) -> Iterable[bytes | memoryview]:
    yield header
    for array in arrays:
        if array.size:
            yield np.ascontiguousarray(array).data


def _row_checksum(tokens: NDArray[np.uint8], sentences: NDArray[np.int32]) -> int:
    """XXH3 of a row's codes and sentences: a signed number of 64 bits."""
    digest = xxhash.xxh3_64(np.ascontiguousarray(tokens).data if tokens.size else b"")
    if sentences.size:
        digest.update(np.ascontiguousarray(sentences, "<i4").data)
    return int.from_bytes(digest.digest(), "little", signed=True)


class Segment:
    """The rows ``first_row`` to ``first_row + n_rows - 1``, over the bytes of its files.

    :param files: the bytes of each file by its suffix; memory-mapped, they stay mapped as long as the segment lives.
    :param live: row numbers that may come back from a search, None for all.
    :raises IndexCorrupt: if the files do not hold ``n_rows`` rows of ``dimension``.
    """

    def __init__(
        self,
        name: str,
        files: Mapping[str, memoryview],
        first_row: int,
        n_rows: int,
        dimension: int,
        live: NDArray[np.int64] | None,
    ) -> None:
        self.name = name
        self.first_row = first_row
        self.n_rows = n_rows
        self.dimension = dimension
        codes, *arrays = (files[suffix] for suffix in SEGMENT_SUFFIXES)
        try:
            self._index = _over(codes, dimension, n_rows)
            self._offsets = _array(arrays[2], "<i8", (n_rows + 1, 3))
            n_tokens, n_sentences = self._offsets[-1, :2].tolist()
            self._tokens = _array(arrays[0], "|u1", (n_tokens, signs.WIDTH))
            self._sentences = _array(arrays[1], "<i4", (n_sentences, 2))
        except (ValueError, OverflowError, RuntimeError, struct.error) as error:
            raise IndexCorrupt(f"the vectors {name} are not those of the index: {_MEND}") from error
        # Faiss keeps a pointer to them.
        self._codes = codes
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

        :raises IndexCorrupt: if they are not what was written.
        """
        return self._row(row)[0]

    def sentences(self, row: int) -> NDArray[np.int32]:
        """The first of each sentence's tokens and the one behind its last: int32 (number of sentences, 2).

        :raises IndexCorrupt: if they are not what was written.
        """
        tokens, spans = self._row(row)
        if not all(0 <= start <= end <= len(tokens) for start, end in spans.tolist()):
            raise IndexCorrupt(f"the sentences of row {row} are not where they should be: {_MEND}")
        return spans

    def _row(self, row: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        place = row - self.first_row
        (token, sentence, written), (token_end, sentence_end, _) = self._offsets[place : place + 2].tolist()
        if not (0 <= token <= token_end <= len(self._tokens) and 0 <= sentence <= sentence_end <= len(self._sentences)):
            raise IndexCorrupt(f"the tokens of row {row} are not where they should be: {_MEND}")
        tokens, sentences = self._tokens[token:token_end], self._sentences[sentence:sentence_end]
        if _row_checksum(tokens, sentences) != written:
            raise IndexCorrupt(f"the tokens of row {row} are not what was written: {_MEND}")
        return tokens, sentences


def _over(data: memoryview, dimension: int, n_rows: int) -> Any:
    """A faiss index over its bytes, which are not copied.

    :raises ValueError: if they are those of another one.
    """
    import faiss

    header = _faiss_header(dimension, n_rows)
    if data[: len(header)] != header or len(data) != len(header) + 2 * dimension * n_rows:
        raise ValueError("not the vectors of this segment")
    reader = faiss.ZeroCopyIOReader(  # type: ignore[attr-defined]
        faiss.swig_ptr(np.frombuffer(data, np.uint8)), len(data)
    )
    return faiss.read_index(reader)


class _Narrowed:
    """What tells faiss to pass over the places that are not set in a mask; it keeps pointers, so all of this must live on."""

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        import faiss

        self._bits = np.packbits(mask, bitorder="little")
        self._selector = faiss.IDSelectorBitmap(self._bits)  # type: ignore[call-arg, arg-type]
        self.parameters = faiss.SearchParameters(sel=self._selector)  # type: ignore[call-arg]


def _nothing(queries: Matrix) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)


def _array(data: memoryview, dtype: str, shape: tuple[int, int]) -> NDArray[Any]:
    """An array over the bytes of its file, which are not copied. Not by np.load, which takes archives and pickles, too.

    :raises ValueError: if they are those of another one.
    """
    header = _npy_header(dtype, shape)
    if data[: len(header)] != header or len(data) != len(header) + np.dtype(dtype).itemsize * shape[0] * shape[1]:
        raise ValueError("not the array of this segment")
    return np.frombuffer(data, dtype, offset=len(header)).reshape(shape)


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
    """Vectors of rows of any of the segments, in their order: float32 (len(rows), d).

    :raises IndexCorrupt: if a row is in none of them.
    """
    taken = np.empty((len(rows), segments[0].dimension if segments else 0), np.float32)
    missing = len(rows)
    for segment in segments:
        inside = (rows >= segment.first_row) & (rows < segment.first_row + segment.n_rows)
        if inside.any():
            taken[inside] = segment.vectors(rows[inside])
            missing -= int(inside.sum())
    if missing:
        raise _stray()
    return taken


def tokens(segments: Sequence[Segment], rows: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
    """Codes of the tokens of rows, in their order: len(rows) arrays, uint8 (number of tokens, `signs.WIDTH`)."""
    return [_home(segments, row).tokens(row) for row in rows.tolist()]


def sentences(segments: Sequence[Segment], row: int) -> NDArray[np.int32]:
    """Which of a row's tokens each of its sentences has: `Segment.sentences`."""
    return _home(segments, row).sentences(row)


def _home(segments: Sequence[Segment], row: int) -> Segment:
    place = bisect_right(segments, row, key=lambda segment: segment.first_row) - 1
    if place < 0 or row >= segments[place].first_row + segments[place].n_rows:
        raise _stray()
    return segments[place]


def _stray() -> IndexCorrupt:
    return IndexCorrupt(f"passages have vectors that are in no file: {_MEND}")
