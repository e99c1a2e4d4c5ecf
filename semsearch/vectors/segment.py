"""One segment: the vectors of a run of rows, the codes of their words, and of these which each sentence has, in one file.

The parts of a file stand one behind the other: codes to scan (`scan`); vectors, as a faiss index in half precision (cosines are
off by 0.00001, and half the bytes are read); of each row where its words and sentences begin; of each row a checksum of its
vector, and one of its words and sentences; words; sentences. Last comes where all these are and a checksum of each part. Parts
that are read as a whole are compared with their checksums when they are first read, what is read of single rows with theirs, so
that nothing has to be read for its checksum's sake.

Deliberately not here: searching several segments (`opened`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from semsearch import signs
from semsearch.errors import IndexCorrupt
from semsearch.signs import noise
from semsearch.vectors import scan

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

__all__ = ["MEND", "SEGMENT_SUFFIX", "Segment", "compare", "segment_file", "whole"]

SEGMENT_SUFFIX = ".vectors"
MEND = "mend it with semsearch check --repair"
_PARTS = ("scan", "vectors", "offsets", "checksums", "words", "sentences")
_MAGIC = b"semsearch segment 4\n"
_FOOTER = struct.Struct(f"<{len(_MAGIC)}s16s2q{'q16s' * len(_PARTS)}")
"""Magic, the segment's name without what all names begin with, dimension, rows; of each part its bytes and their checksum."""
_CHECKSUM = 8
"""Bytes of the footer's own checksum, behind it."""
_BLOCK = 1024
"""Rows that are turned to half precision at once."""
_FAISS_HEADER = struct.Struct("<4siqqq?iiifqqqq")
"""How faiss writes an `IndexScalarQuantizer` before its codes: kind, d, ntotal, two unused numbers, is_trained, metric; of the
quantizer its type, range statistic and its argument, d, bytes a vector, number of trained values; number of bytes of codes."""
_UNUSED = 1 << 20
_SEED = 4
_DIFFERENT = 0.01
"""Part of the codes that may be others when they are made again."""


def _faiss_header(dimension: int, n_rows: int) -> bytes:
    import faiss

    half, inner = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    width = 2 * dimension
    return _FAISS_HEADER.pack(
        b"IxSQ", dimension, n_rows, _UNUSED, _UNUSED, True, inner, half, 0, 0.0, dimension, width, 0, n_rows * width
    )


def segment_file(
    name: str, vectors: Matrix, words: Sequence[NDArray[np.uint8]], sentences: Sequence[NDArray[np.int32]]
) -> Iterator[bytes | memoryview]:
    """What is in a segment's file, in pieces to be written one behind the other.

    :param name: the segment's, which its file is known by again: 16 hexadecimal figures behind what all names begin with.
    :param vectors: float32 (n, d), unit rows.
    :param words: n arrays, uint8 (number of words, `signs.WIDTH`).
    :param sentences: n arrays, int32 (number of sentences, 2): places among the row's words.
    """
    n_rows, dimension = vectors.shape
    halved = np.empty(vectors.shape, "<f2")
    for first in range(0, n_rows, _BLOCK):
        halved[first : first + _BLOCK] = vectors[first : first + _BLOCK]
    offsets = np.zeros((n_rows + 1, 2), "<u4")
    offsets[1:, 0] = np.cumsum([len(part) for part in words])
    offsets[1:, 1] = np.cumsum([len(part) for part in sentences])
    checksums = np.empty((n_rows, 2), "<u8")
    checksums[:, 0] = _row_checksums(halved.view(np.uint8))
    checksums[:, 1] = [_codes_checksum(*codes) for codes in zip(words, sentences, strict=True)]
    parts: list[list[Any]] = [
        [scan.codes(halved.astype(np.float32))],
        [_faiss_header(dimension, n_rows), halved],
        [offsets],
        [checksums],
        list(words),
        [np.ascontiguousarray(part, "<i4") for part in sentences],
    ]
    table: list[int | bytes] = []
    for part in parts:
        digest, size = xxhash.xxh3_128(), 0
        for piece in _bytes(part):
            digest.update(piece)
            size += len(piece)
            yield piece
        table += [size, digest.digest()]
    footer = _FOOTER.pack(_MAGIC, _short(name), dimension, n_rows, *table)
    yield footer
    yield xxhash.xxh3_64_digest(footer)


def _bytes(pieces: Iterable[bytes | NDArray[Any]]) -> Iterator[bytes | memoryview]:
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
        elif piece.size:
            yield memoryview(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data)


def _short(name: str) -> bytes:
    return name.rpartition("-")[2].encode()[:16]


def _row_checksums(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """A checksum of each row, for thousands of rows at once: uint64 (n,).

    The row's numbers of 64 bits, each times an odd number of its own, added up modulo 2 ** 64 (multilinear hashing: Lemire and
    Kaser, "Strongly universal string hashing is fast", 2014): no change to one of these numbers is missed, and of changes to
    several one in about 2 ** 64.

    :param rows: uint8 (n, w).
    """
    missing = -rows.shape[1] % 8
    if missing:
        rows = np.pad(rows, ((0, 0), (0, missing)))
    numbers = np.ascontiguousarray(rows).view("<u8")
    return np.asarray(np.einsum("ij,j->i", numbers, _factors(numbers.shape[1])), np.uint64)


@lru_cache(maxsize=4)
def _factors(count: int) -> NDArray[np.uint64]:
    return np.asarray(noise(count, _SEED) | np.uint64(1), np.uint64)


def _codes_checksum(words: NDArray[np.uint8], sentences: NDArray[np.int32]) -> int:
    """XXH3 of a row's codes and sentences, 64 bits."""
    digest = xxhash.xxh3_64(np.ascontiguousarray(words).data if words.size else b"")
    if sentences.size:
        digest.update(np.ascontiguousarray(sentences, "<i4").data)
    return digest.intdigest()


class Segment:
    """The rows ``first_row`` to ``first_row + n_rows - 1``, over the bytes of their file.

    :param data: the bytes of the file; memory-mapped, they stay mapped as long as the segment lives.
    :param live: row numbers that are wanted, None for all.
    :raises IndexCorrupt: if it is not the file of this segment, with ``n_rows`` rows of ``dimension``.
    """

    def __init__(
        self, name: str, data: memoryview, first_row: int, n_rows: int, dimension: int, live: NDArray[np.int64] | None
    ) -> None:
        self.name = name
        self.first_row = first_row
        self.n_rows = n_rows
        self.dimension = dimension
        try:
            self._parts, self._checksums = _parts(name, data, n_rows, dimension)
            self._offsets = self._array("offsets", "<u4", (n_rows + 1, 2))
            self._sums = self._array("checksums", "<u8", (n_rows, 2))
            self._halves = np.frombuffer(self._parts["vectors"], np.uint8, offset=_FAISS_HEADER.size).reshape(
                n_rows, 2 * dimension
            )
            n_words, n_sentences = self._offsets[-1].tolist()
            self._words = self._array("words", "|u1", (n_words, signs.WIDTH))
            self._sentences = self._array("sentences", "<i4", (n_sentences, 2))
        except (ValueError, struct.error) as error:
            raise IndexCorrupt(f"the vectors {name} are not those of the index: {MEND}") from error
        self.n_words = n_words
        self._verified: set[str] = set()
        self._index: Any = None
        self.live: NDArray[np.bool_] | None = None
        """bool (n_rows,): which rows are wanted; None for all."""
        self._narrowed: _Narrowed | None = None
        if live is not None:
            self.live = np.zeros(n_rows, bool)
            self.live[live - first_row] = True
            self._narrowed = _Narrowed(self.live)

    def _array(self, part: str, dtype: str, shape: tuple[int, int]) -> NDArray[Any]:
        """A part of the file as an array, which is not copied.

        :raises ValueError: if the part is of another size.
        """
        return np.frombuffer(self._parts[part], dtype).reshape(shape)

    def verified(self, part: str) -> memoryview:
        """The bytes of a part, compared with their checksum when they are first asked for.

        :raises IndexCorrupt: if they are not what was written.
        """
        if part not in self._verified:
            if xxhash.xxh3_128_digest(self._parts[part]) != self._checksums[part]:
                raise IndexCorrupt(f"the {part} of {self.name} are not what was written: {MEND}")
            self._verified.add(part)
        return self._parts[part]

    def search(
        self, queries: Matrix, k: int, places: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Nearest wanted rows of each query: row numbers int64 (n, m), -1 where there are no more, and cosines float32 (n, m).

        m is ``k``, or less where the segment has less to give. Reads all vectors.

        :param queries: float32 (n, d), unit rows.
        :param places: int64, places in the segment: the only ones that may come back, of those that are wanted; None for all.
        """
        narrowed, most = self._narrowed, self.n_rows
        if places is not None:
            mask = np.zeros(self.n_rows, bool)
            mask[places] = True
            if self.live is not None:
                mask &= self.live
            narrowed, most = _Narrowed(mask), int(mask.sum())
        if not most:
            return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        parameters = None if narrowed is None else narrowed.parameters
        scores, rows = self._faiss().search(np.ascontiguousarray(queries, np.float32), min(k, most), params=parameters)
        return np.where(rows < 0, -1, rows + self.first_row), scores

    def _faiss(self) -> Any:
        if self._index is None:
            # Kept by the segment, for faiss has no more than a pointer to it.
            self._index = _over(self.verified("vectors"))
        return self._index

    def copy(self, rows: NDArray[np.int64], halves: NDArray[np.uint8], sums: NDArray[np.uint64]) -> None:
        """Copy what is kept of the vectors of some rows of this segment: their halves, uint8 (len(rows), 2 d), and checksums."""
        places = rows - self.first_row
        # Not to be raised at: then all would be copied once more.
        np.take(self._halves, places, axis=0, out=halves, mode="clip")
        np.take(self._sums[:, 0], places, out=sums, mode="clip")

    def vectors(self, rows: NDArray[np.int64]) -> Matrix:
        """Vectors of some rows of this segment: float32 (len(rows), d).

        :raises IndexCorrupt: if one is not what was written.
        """
        halves, sums = np.empty((len(rows), 2 * self.dimension), np.uint8), np.empty(len(rows), np.uint64)
        self.copy(rows, halves, sums)
        compare(rows, halves, sums)
        return whole(halves)

    def words(self, row: int) -> NDArray[np.uint8]:
        """The codes of a row's words: uint8 (number of words, `signs.WIDTH`).

        :raises IndexCorrupt: if they are not what was written.
        """
        return self._row(row)[0]

    def sentences(self, row: int) -> NDArray[np.int32]:
        """The first of each sentence's words and the one behind its last: int32 (number of sentences, 2).

        :raises IndexCorrupt: if they are not what was written.
        """
        words, spans = self._row(row)
        if not all(0 <= start <= end <= len(words) for start, end in spans.tolist()):
            raise IndexCorrupt(f"the sentences of row {row} are not where they should be: {MEND}")
        return spans

    def _row(self, row: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        place = row - self.first_row
        (word, sentence), (word_end, sentence_end) = self._offsets[place : place + 2].tolist()
        if not (0 <= word <= word_end <= len(self._words) and 0 <= sentence <= sentence_end <= len(self._sentences)):
            raise IndexCorrupt(f"the words of row {row} are not where they should be: {MEND}")
        words, sentences = self._words[word:word_end], self._sentences[sentence:sentence_end]
        if _codes_checksum(words, sentences) != self._sums[place, 1]:
            raise IndexCorrupt(f"the words of row {row} are not what was written: {MEND}")
        return words, sentences

    def scan_codes(self) -> NDArray[np.uint8]:
        """What `scan` reads of all rows: uint8 (bytes,), as `scan.codes` gives it.

        :raises IndexCorrupt: if they are not what was written.
        """
        return np.frombuffer(self.verified("scan"), np.uint8)

    def check(self) -> None:
        """Compare all parts with their checksums, and the codes to scan with the vectors.

        :raises IndexCorrupt: if something differs.
        """
        for part in _PARTS:
            self.verified(part)
        vectors = self.vectors(np.arange(self.first_row, self.first_row + self.n_rows))
        # Not all: where two points are as near, the processor's way of adding up decides.
        if self.n_rows and (self.scan_codes() != scan.codes(vectors)).mean() > _DIFFERENT:
            raise IndexCorrupt(f"the codes of {self.name} are not those of its vectors: {MEND}")


def _parts(name: str, data: memoryview, n_rows: int, dimension: int) -> tuple[dict[str, memoryview], dict[str, bytes]]:
    """The parts of a segment's file, and their checksums.

    :raises ValueError: if it is not this segment's; so does ``struct.error``.
    """
    end = len(data) - _FOOTER.size - _CHECKSUM
    footer = bytes(data[max(0, end) : max(0, end) + _FOOTER.size])
    magic, short, *facts = _FOOTER.unpack(footer)
    if magic != _MAGIC or xxhash.xxh3_64_digest(footer) != data[end + _FOOTER.size :] or short.rstrip(b"\0") != _short(name):
        raise ValueError("not this segment's file")
    sizes, checksums = facts[2::2], dict(zip(_PARTS, facts[3::2], strict=True))
    header = _faiss_header(dimension, n_rows)
    if facts[:2] != [dimension, n_rows] or sum(sizes) != end or min(sizes) < 0:
        raise ValueError("not the rows of this segment")
    ends = np.cumsum(sizes).tolist()
    parts = {part: data[last - size : last] for part, size, last in zip(_PARTS, sizes, ends, strict=True)}
    if parts["vectors"][: len(header)] != header or len(parts["vectors"]) != len(header) + 2 * dimension * n_rows:
        raise ValueError("not the vectors of this segment")
    if len(parts["scan"]) != scan.size(n_rows, dimension):
        raise ValueError("not the codes of this segment")
    return parts, checksums


def compare(rows: NDArray[np.int64], halves: NDArray[np.uint8], sums: NDArray[np.uint64]) -> None:
    """Compare vectors with their checksums.

    :raises IndexCorrupt: if one is not what was written.
    """
    wrong = _row_checksums(halves) != sums
    if wrong.any():
        raise IndexCorrupt(f"the vector of row {rows[int(np.argmax(wrong))]} is not what was written: {MEND}")


def whole(halves: NDArray[np.uint8]) -> Matrix:
    """Half precision to single: float32 (n, d), by faiss, which takes a sixth of numpy's time.

    :param halves: uint8 (n, 2 d).
    """
    if not len(halves):
        return np.empty((0, halves.shape[1] // 2), np.float32)
    return np.asarray(_codec(halves.shape[1] // 2).sa_decode(np.ascontiguousarray(halves)), np.float32)


@lru_cache(maxsize=4)
def _codec(dimension: int) -> Any:
    import faiss

    return faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


def _over(data: memoryview) -> Any:
    """A faiss index over its bytes, which are not copied."""
    import faiss

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
