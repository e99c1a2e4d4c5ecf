"""One bit a direction: how the vectors of tokens are kept, and how near a question's tokens are to them.

A vector is turned by a fixed rotation, and of each of 128 directions only the sign is kept: 16 bytes in place of 1,536. The
question's vectors are not rounded, so that the product of the two, divided by what it is for equal vectors,
estimates the cosine (the asymmetric estimate of Gao and Long, "RaBitQ", SIGMOD 2024, section 3, without its correction for
each vector). The rotation is made of signs, shuffles and Hadamard transforms (Ailon and Chazelle, "The Fast
Johnson-Lindenstrauss Transform", SIAM J. Comput. 2009): nothing is learned, so the codes of a text depend on the model alone.

With them in place of whole vectors, mean nDCG@10 over nine collections was the same to 0.2 (``benchmarks/README.md``).

Deliberately not here: where codes are kept (`vectors`), what is made of the similarities (`fusion`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

    Codes = NDArray[np.uint8]

__all__ = ["BITS", "WIDTH", "noise", "pack", "rotation", "similarities", "turned"]

BITS = 128
WIDTH = BITS // 8
"""Bytes of a code."""
_ROUNDS = 2
"""Signs, shuffle and transform, so often: once leaves traces of single coordinates."""
_BLOCK = 512
"""Codes that are unpacked at once: half a megabyte as numbers, which stays near the processor."""


def pack(tokens: Matrix) -> Codes:
    """The codes of some vectors: uint8 (n, `WIDTH`).

    :param tokens: float32 (n, d), of any length but zero; only their directions count.
    """
    return np.packbits(tokens @ _matrix(tokens.shape[1]) > 0, axis=1)


@lru_cache(maxsize=4)
def rotation(dimension: int) -> Matrix:
    """A fixed rotation, float32 (d, d), for rows to be multiplied with, as in ``rows @ matrix``.

    It spreads what a vector says over all its coordinates, each of which is then about normally distributed.
    """
    return _rotated(np.eye(dimension, dtype=np.float32), 0)


def turned(queries: Matrix) -> Matrix:
    """A question's vectors as `similarities` takes them: float32 (m, `BITS`).

    :param queries: float32 (m, d), unit rows.
    """
    # A coordinate of a unit vector is sqrt(2 / (pi d)) in the mean, without its sign.
    dimension = queries.shape[1]
    return np.asarray(queries @ _matrix(dimension) * (np.sqrt(np.pi * dimension / 2) / BITS), np.float32)


def similarities(queries: Matrix, codes: Codes) -> Matrix:
    """Estimated cosines of vectors and codes: float32 (m, n), off by 0.08 for one in three, and not bounded by 1.

    :param queries: float32 (m, `BITS`), from `turned`.
    :param codes: uint8 (n, `WIDTH`), made of vectors of the same dimension.
    """
    columns = np.ascontiguousarray(queries.T)
    result = np.empty((len(codes), len(queries)), np.float32)
    for first in range(0, len(codes), _BLOCK):
        bits = np.unpackbits(codes[first : first + _BLOCK], axis=1).astype(np.float32)
        # Of signs s = 2 b - 1, so that q . s = 2 q . b - sum(q).
        np.matmul(bits, 2 * columns, out=result[first : first + len(bits)])
    result -= queries.sum(axis=1)
    return np.asarray(result.T, np.float32)


@lru_cache(maxsize=4)
def _matrix(dimension: int) -> Matrix:
    """What `_turned` does, as a matrix: float32 (d, `BITS`)."""
    return _turned(np.eye(dimension, dtype=np.float32))


def _turned(rows: Matrix) -> Matrix:
    """Rows along 128 directions: float32 (n, `BITS`). Up to 128 dimensions these are of several rotations."""
    dimension = rows.shape[1]
    parts = [_rotated(rows, number) for number in range(-(-BITS // dimension))]
    return np.ascontiguousarray(np.concatenate(parts, axis=1)[:, :BITS])


def _rotated(rows: Matrix, number: int) -> Matrix:
    dimension = rows.shape[1]
    rows = _transformed(rows)
    for step in range(_ROUNDS):
        drawn = noise(dimension, number * _ROUNDS + step)
        flips = np.where(drawn & np.uint64(1), np.float32(-1), np.float32(1))
        rows = _transformed((rows * flips)[:, np.argsort(drawn, kind="stable")])
    return rows


def _transformed(rows: Matrix) -> Matrix:
    """Walsh-Hadamard transforms of the powers of two that the dimension is the sum of; keeps lengths and angles."""
    dimension = rows.shape[1]
    parts = []
    first = 0
    for size in (1 << bit for bit in reversed(range(dimension.bit_length())) if dimension >> bit & 1):
        parts.append(rows[:, first : first + size] @ _hadamard(size))
        first += size
    return np.concatenate(parts, axis=1)


@lru_cache(maxsize=32)
def _hadamard(size: int) -> Matrix:
    """Sylvester's matrix of a power of two, scaled so that its square is the identity: float32 (size, size)."""
    signs = np.ones((1, 1), np.float32)
    while len(signs) < size:
        signs = np.block([[signs, signs], [signs, -signs]])
    return np.asarray(signs / np.float32(np.sqrt(size)), np.float32)


def noise(count: int, seed: int) -> NDArray[np.uint64]:
    """Fixed random numbers: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), the same everywhere and for ever."""
    step = 0x9E3779B97F4A7C15
    state = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(step) + np.uint64(seed * 0xD1B54A32D192ED03 % 2**64)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(state ^ (state >> np.uint64(31)), np.uint64)
