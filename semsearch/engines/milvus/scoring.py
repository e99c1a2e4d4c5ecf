"""BM25 of passages by the formula, from their terms and the counts of the whole index.

Deliberately not here: where terms and counts come from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semsearch.engines.milvus.entities import parts_of
from semsearch.engines.seam import K1, Asked, B

__all__ = ["Counts", "scores", "tokens_of"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Of all passages: how many there are, and how many terms their fields have together (title, heading, whole)."""

    passages: int
    terms: Mapping[str, int]

    def mean(self, field: str) -> float:
        """Terms that a field has on average."""
        return self.terms[field] / max(1, self.passages)


def tokens_of(field: str, whole: str) -> list[str]:
    """What a field of a passage says, out of what `entities.whole_of` made of it."""
    if field == "whole":
        return whole.split()
    title, heading, _ = parts_of(whole)
    return title if field == "title" else heading


def scores(
    asked: Sequence[Asked], tokens: Sequence[list[str]], frequencies: Mapping[str, int], counts: Counts, field: str
) -> NDArray[np.float32]:
    """The BM25 score of each passage, as `seam.Snapshot.matching` has it: float32 (len(tokens),).

    :param asked: with tokens for ways.
    :param tokens: of each passage, in this field.
    :param frequencies: in how many passages of the index each token is.
    """
    lengths = np.asarray([len(each) for each in tokens], np.float64)
    norms = K1 * (1 - B + B * lengths / max(counts.mean(field), 1e-9))
    found = np.zeros(len(tokens))
    for word in asked:
        df = min(counts.passages, sum(frequencies.get(way, 0) for way in word.ways))
        idf = math.log(1 + (counts.passages - df + 0.5) / (df + 0.5))
        tf = np.asarray([max(map(each.count, word.ways), default=0) for each in tokens], np.float64)
        found += word.times * idf * tf * (K1 + 1) / (tf + norms)
    return found.astype(np.float32)
