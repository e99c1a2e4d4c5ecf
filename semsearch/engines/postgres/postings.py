"""Posting lists: which passages a term is in, how often, and how long they are; and BM25 made of them.

PostgreSQL has no BM25: `ts_rank` knows neither how rare a word is nor how long a text is, and what a full text index finds must
be looked up row by row to be counted. So terms have posting lists of their own, of 8 bytes a passage, which are fetched for the
words of a question and added up here: 147,757 passages are asked in milliseconds. A list is cut into segments, one for each
draft, which are joined when they become many by putting the pieces one behind the other, in the server.

Deliberately not here: SQL; which lists are fetched (`lexical`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semsearch.engines.seam import K1, Asked, B

__all__ = [
    "MOST_ORDINAL",
    "RECORD",
    "Records",
    "Word",
    "added",
    "counted",
    "descending",
    "ranks",
    "to_merge",
    "weights",
    "word_of",
]

RECORD = np.dtype([("ordinal", "<u4"), ("length", "<u2"), ("count", "<u2")])
"""A passage in the list of a term: its ordinal, how many terms its field has, how often this is one of them."""
Records = NDArray[np.void]
MOST_ORDINAL = 2**31 - 1
_MOST = 2**16 - 1
_SPREAD = 16
"""Postings that are farther apart in the mean are sorted; else they are added up in an array with a place for every passage."""
_SEGMENTS = 8
_WIDEST = 4_000_000
"""Passages in a segment at most: of a word that is in all of them 32 MB."""
_SMALL = 1_000_000


class Word(NamedTuple):
    """A word of a question, as it is looked for: the terms that it reads, in how many passages they are, and its weight.

    ``weight``: ``times * idf * (k1 + 1)``, which no passage's score for the word is above.
    """

    terms: tuple[int, ...]
    texts: tuple[str, ...]
    n_passages: int
    weight: float


def word_of(asked: Asked, known: Sequence[tuple[str, int, int]], n_passages: int) -> Word:
    """A word by the terms that are known of it.

    :param known: of each term its text, id, and in how many passages it is.
    """
    found = min(n_passages, sum(number for _, _, number in known))
    idf = math.log(1 + (n_passages - found + 0.5) / (found + 0.5))
    return Word(tuple(term for _, term, _ in known), tuple(text for text, _, _ in known), found, asked.times * idf * (K1 + 1))


def counted(ordinals: Sequence[int], lengths: Sequence[int], counts: Sequence[int]) -> Records:
    """Records of a term's list."""
    records = np.empty(len(ordinals), RECORD)
    records["ordinal"] = ordinals
    records["length"], records["count"] = np.minimum(lengths, _MOST), np.minimum(counts, _MOST)
    return records


def weights(word: Word, counts: NDArray[np.integer], lengths: NDArray[np.integer], mean: float) -> NDArray[np.float64]:
    """Scores of a word for passages that have it so often and are so long.

    :param mean: terms that the field has in the mean of all passages.
    """
    tf = counts.astype(np.float64)
    return np.asarray(word.weight * tf / (tf + K1 * (1 - B + B * lengths / max(mean, 1e-9))))


def added(lists: Sequence[tuple[Word, Records]], mean: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """All passages that have any of some words, and their scores.

    :param lists: of each word the records of all its terms; of a passage that is there twice the greater count is taken.
    :return: ordinals, ascending, int64 (n,), and float64 (n,).
    """
    scored = [(records["ordinal"].astype(np.int64), weights(word, records["count"], records["length"], mean))
              for word, records in ((word, _once(word, records)) for word, records in lists)]  # fmt: skip
    if not scored:
        return np.zeros(0, np.int64), np.zeros(0)
    ordinals, scores = (np.concatenate(each) for each in zip(*scored, strict=True))
    if not len(ordinals):
        return ordinals, scores
    first, last = int(ordinals.min()), int(ordinals.max())
    if last - first < max(_SMALL, _SPREAD * len(ordinals)):
        dense = np.bincount(ordinals - first, scores)
        found = np.flatnonzero(dense)
        return (found + first).astype(np.int64), dense[found].astype(np.float64)
    unique, places = np.unique(ordinals, return_inverse=True)
    return unique, np.bincount(places, scores).astype(np.float64)


def _once(word: Word, records: Records) -> Records:
    """The records of a word that reads in several ways, each passage once."""
    if len(word.terms) < 2:
        return records
    records = records[np.lexsort((-records["count"].astype(np.int32), records["ordinal"]))]
    return records[np.flatnonzero(np.diff(records["ordinal"].astype(np.int64), prepend=-1))]


def descending(scores: NDArray[np.float64], first: int) -> Iterator[NDArray[np.int64]]:
    """Places of scores, the greatest first, in pieces that become longer.

    :param first: the length of the first piece.
    """
    others = np.arange(len(scores))
    if len(scores) > 4 * first:
        # Sorting them all takes longer than everything else, and is hardly ever needed.
        chosen = np.argpartition(-scores, first)[:first]
        yield chosen[np.lexsort((chosen, -scores[chosen]))]
        kept = np.ones(len(scores), bool)
        kept[chosen] = False
        others, first = np.flatnonzero(kept), 4 * first
    order = others[np.lexsort((others, -scores[others]))]
    while len(order):
        yield order[:first]
        order, first = order[first:], 4 * first


def ranks() -> NDArray[np.float32]:
    """``ts_rank`` for one word that is 0, 1, 2... times in a text, all weights 1: sums of ``1 / n**2``, over a constant.

    Source: ``calc_rank_or`` in PostgreSQL's ``tsrank.c``.
    """
    sums = np.cumsum(1 / np.arange(1, 257, dtype=np.float64) ** 2) / 1.64493406685
    return np.concatenate([[0], sums]).astype(np.float32)


def to_merge(sizes: Sequence[int]) -> int:
    """How many of the last segments to make one of: so many that there are about as many as the number of passages has digits.

    :param sizes: passages of each, the oldest first.
    """
    # Those that are as wide as may be stay so, however many: else each draft would write the last of the others again.
    if sum(2 * size <= _WIDEST for size in sizes) <= _SEGMENTS:
        return 0
    total, number = 0, 0
    for size in reversed(sizes):
        if (number and size > 2 * total and number > 1) or total + size > _WIDEST:
            break
        total, number = total + size, number + 1
    return number if number > 1 else 0
