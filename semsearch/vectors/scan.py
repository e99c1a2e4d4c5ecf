"""Half a byte for four numbers: codes of all rows that fit into memory, and a scan over them that picks the rows worth a look.

A vector is turned by the fixed rotation of `signs`, and of each four numbers the nearest of 16 points is kept (product
quantization: Jégou, Douze and Schmid, TPAMI 2011; scanned by faiss with tables in registers: André, Kermarrec and Le Scouarnec,
"Cache locality is not enough", VLDB 2015). The numbers of a turned unit vector are about normally distributed, so the points are
the best 16 for four normally distributed numbers, and nothing is learned from the vectors: rows that come later are coded as
well as the first ones (the idea of Zandieh et al., "TurboQuant", 2025). On a million vectors it found as many of the nearest as
points that were learned from them, in the same time (``benchmarks/README.md``).

Deliberately not here: multiplying the rows that were picked (`opened`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semsearch.signs import rotation

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

__all__ = ["Scan", "codes", "size"]

_NUMBERS = 4
"""Numbers of a vector that one code of 4 bits stands for."""
_BLOCK = 32
"""Rows whose codes faiss keeps together."""
_POINTS = np.asarray(
    [
        (0.000, 0.000, 0.000, 0.000), (-1.259, -0.230, -0.754, -0.828), (-1.143, 0.226, 0.713, 1.018),
        (-0.921, -0.365, 1.159, -0.763), (-0.898, 1.398, 0.101, -0.370), (-0.818, -1.409, -0.122, 0.510),
        (-0.755, 0.354, -1.184, 0.906), (0.334, -1.120, -0.236, -1.223), (0.377, 0.639, -1.309, -0.810),
        (0.428, 0.762, 1.438, 0.318), (0.477, 0.636, 0.546, -1.399), (0.559, -0.263, 0.139, 1.586),
        (0.612, -1.132, 1.104, 0.150), (0.653, -0.867, -1.248, 0.370), (0.661, 1.367, -0.355, 0.676),
        (1.704, 0.009, 0.022, -0.144),
    ],
    np.float32,
)  # fmt: skip
"""k-means of 2,000,000 draws of four numbers, the best of 18 runs: off by 0.341 of the variance. One is at the origin, the others
lie at 1.7 around it."""


def _padded(n_rows: int) -> int:
    return -(-n_rows // _BLOCK) * _BLOCK


def size(n_rows: int, dimension: int) -> int:
    """Bytes of the codes of so many rows."""
    return _padded(n_rows) * _width(dimension)


def _width(dimension: int) -> int:
    """Bytes of a row's codes: two codes in each, of an even number of codes."""
    return -(-dimension // (2 * _NUMBERS))


def _turned(rows: Matrix) -> Matrix:
    """Rows as they are coded: turned, and with zeros to an even number of codes."""
    dimension = rows.shape[1]
    turned = np.zeros((len(rows), 2 * _NUMBERS * _width(dimension)), np.float32)
    turned[:, :dimension] = rows @ rotation(dimension)
    return turned


def _empty(dimension: int) -> Any:
    """A faiss index with these points, and no rows."""
    import faiss

    n_codes = 2 * _width(dimension)
    index = faiss.IndexPQFastScan(_NUMBERS * n_codes, n_codes, 4, faiss.METRIC_INNER_PRODUCT, _BLOCK)
    faiss.copy_array_to_vector(np.tile(_POINTS / np.float32(np.sqrt(dimension)), (n_codes, 1)).ravel(), index.pq.centroids)
    index.is_trained = True
    return index


def codes(vectors: Matrix) -> NDArray[np.uint8]:
    """The codes of some vectors, as faiss keeps them for its scan: uint8 (`size`,).

    :param vectors: float32 (n, d), unit rows.
    """
    import faiss

    n_rows, dimension = vectors.shape
    if not n_rows:
        return np.empty(0, np.uint8)
    coder = _empty(dimension)
    coder.add(_turned(vectors))
    kept = faiss.rev_swig_ptr(coder.codes.get(), size(n_rows, dimension))
    return np.array(kept, np.uint8)


class Scan:
    """The codes of several segments, one behind the other, in this process's own memory: at 384 dimensions 48 bytes a row.

    :param parts: of each segment its first row, its number of rows, and their `codes`.
    """

    def __init__(self, dimension: int, parts: Sequence[tuple[int, int, NDArray[np.uint8]]]) -> None:
        import faiss

        width = _width(dimension)
        self._places = np.cumsum([0, *(_padded(n_rows) for _, n_rows, _ in parts)])
        self._first = np.asarray([first for first, _, _ in parts], np.int64)
        self._ends = np.asarray([first + n_rows for first, n_rows, _ in parts], np.int64)
        self._index = _empty(dimension)
        total = int(self._places[-1])
        self._index.codes.resize(total * width)
        kept = faiss.rev_swig_ptr(self._index.codes.get(), total * width)
        for start, (_, _, part) in zip(self._places.tolist(), parts, strict=False):
            kept[start * width : start * width + len(part)] = part
        self._index.ntotal = self._index.ntotal2 = total
        self.padding = total - int((self._ends - self._first).sum())
        """Rows that are none, and may be in the way of as many."""

    def search(self, queries: Matrix, k: int) -> list[NDArray[np.int64]]:
        """For each query about the k rows nearest by their codes, the nearest first: int64, row numbers."""
        found: list[NDArray[np.int64]] = []
        if not self._index.ntotal:
            return [np.empty(0, np.int64)] * len(queries)
        _, places = self._index.search(_turned(queries), min(k + self.padding, self._index.ntotal))
        for row in places:
            row = row[row >= 0]
            part = np.searchsorted(self._places, row, side="right") - 1
            rows = row - self._places[part] + self._first[part]
            found.append(rows[rows < self._ends[part]])
        return found
