"""How many rows have to be picked by their codes for the nearest to be among them: measured against all rows multiplied.

Deliberately not here: which questions it is measured with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from semsearch.protocols import Found, Matrix
    from semsearch.vectors.opened import Vectors

__all__ = ["TARGET_RECALL", "Recall", "measure"]

TARGET_RECALL = 0.98
"""Where nothing else was asked for."""
_K = 10
_DEPTHS = (200, 400, 800, 1200, 1600, 2400, 3200, 4800, 6400, 9600, 12_800, 19_200, 25_600, 38_400, 51_200)
"""At first as many as a search for ten hits asks for anyway, twice over."""
_ANYWAY = 6400
_WORTH = 100
"""More than `_ANYWAY` are picked where they are one in so many: one that is picked takes as long as 30 in their order."""
_ROUNDING = 1e-6
_CERTAIN = 2.0
"""Standard errors that the measured mean has to be above what is asked for."""


class Recall(NamedTuple):
    """What was measured: the share of the ``k`` nearest ``rows`` that a search finds which picks ``depth`` of ``n_rows``.

    ``depth`` is None where no number of them gave what was asked for (``target``), so that all rows have to be multiplied; then
    ``recall`` is that of the most that were tried.
    """

    target: float
    recall: float
    depth: int | None
    n_rows: int
    n_queries: int
    k: int = _K


def measure(vectors: Vectors, queries: Matrix, target: float) -> Recall:
    """The least number of rows to pick that gives the recall asked for, with 97 % certainty.

    :param queries: float32 (n, d), unit rows, n > 0: questions of the kind that is asked.
    :param target: share of the ten nearest rows, in 0..1; for 1 all rows are multiplied.
    """
    if target >= 1:
        return Recall(target, 1.0, None, vectors.n_rows, len(queries))
    exact = _searched(vectors, queries, None)
    mean = 0.0
    for depth in (depth for depth in _DEPTHS if depth <= max(_ANYWAY, vectors.n_rows // _WORTH)):
        shares = [_share(near, found) for near, found in zip(exact, _searched(vectors, queries, depth), strict=True)]
        mean = float(np.mean(shares))
        if mean - _CERTAIN * float(np.std(shares)) / np.sqrt(len(shares)) >= target:
            return Recall(target, round(mean, 4), depth, vectors.n_rows, len(queries))
    return Recall(target, round(mean, 4), None, vectors.n_rows, len(queries))


def _share(near: Found, found: Found) -> float:
    """How many of the nearest were found, or others that are as near as the last of them (as ann-benchmarks counts)."""
    if not len(near.rows):
        return 1.0
    return float((found.scores >= near.scores[-1] - _ROUNDING).sum()) / len(near.rows)


def _searched(vectors: Vectors, queries: Matrix, depth: int | None) -> Sequence[Found]:
    return vectors.search(queries, _K, depth=depth)
