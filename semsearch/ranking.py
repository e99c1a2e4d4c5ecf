"""The rows that answer a question best, out of the candidates of one arm or of both.

In: an open index's vectors and words, and a question with its vectors. Out: rows with scores, and what the scores are made of.
Invariants: a candidate has both arms' true scores, whichever arm found it; the first hits are the same however many are asked
for, up to 25; what a filter leaves is never missed for what it takes away.

Deliberately not here: the formulas (`fusion`), texts, hits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semsearch import fusion, signs
from semsearch.fusion import Parts
from semsearch.lexical import Boosts
from semsearch.records import Mode

if TYPE_CHECKING:
    from semsearch.protocols import DenseArm, Found, LexicalArm, Matrix, Queries

    Rows = NDArray[np.int64]

__all__ = ["CANDIDATES", "COMPARED", "HYBRID_BOOSTS", "Question", "Ranking", "compared", "rank", "wanted"]

CANDIDATES = 100
"""Candidates of each arm, at least."""
COMPARED = 25
"""Candidates whose tokens are compared with the question's, at least: with 40 or with 100 the ranking is as good to 0.05."""
HYBRID_BOOSTS = Boosts(title=0.0, heading=0.0)
"""Title and headings count as words among others where there is a dense arm, which has them, too: counting them once more, as the
lexical arm does for itself, took 0.2 from the mean nDCG@10 of nine collections."""
_DECIMALS = 6
_ROUNDING = 1e-5
"""More than a score is off by, whichever way it is calculated."""
_AT_ONCE = 100
_NEGLIGIBLE = 0.15
"""A question's token with less than this part of the mean weight is not compared: punctuation, the commonest words."""
_READABLE = 0.5
"""Share of a question's tokens that the model must know for its vectors to mean anything."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Question:
    """A question with what the model made of it: ``vector`` (d,), the ``tokens`` that matter (m, `signs.BITS`) as `signs.turned`
    gives them, and their ``weights`` (m,), sum 1.

    ``known``: whether the model can read it, which has no word for most of what is written in scripts that it was not made for.
    """

    text: str
    vector: Matrix
    tokens: Matrix
    weights: NDArray[np.float32]
    known: bool

    @classmethod
    def all_of(cls, texts: Sequence[str], encoded: Queries, lexical: LexicalArm) -> list[Question]:
        """The questions that an encoder was given."""
        questions = []
        for row, text in enumerate(texts):
            weights = _weights(text, encoded.spans[row], lexical)
            kept = weights >= _NEGLIGIBLE / max(1, len(weights))
            tokens = signs.turned(encoded.tokens[row][kept])
            known = encoded.known[row] >= _READABLE
            questions.append(cls(text, encoded.vectors[row], tokens, weights[kept] / weights[kept].sum(), known))
        return questions


def _weights(text: str, spans: NDArray[np.int64], lexical: LexicalArm) -> NDArray[np.float32]:
    """How much each token counts: as its word is rare; all the same where there is nothing to tell by."""
    end = int(spans[:, 1].max(initial=0))
    # A long question goes on behind what the model read of it.
    inside = takewhile(lambda found: found.start() < end, _WORD.finditer(text))
    words = [(found.start(), found.end(), found[0]) for found in inside]
    weights = np.zeros(len(spans), np.float32)
    for (start, end, _), idf in zip(words, lexical.rarity([word for _, _, word in words]), strict=True):
        touched = (spans[:, 0] < end) & (spans[:, 1] > start)
        weights[touched] = np.maximum(weights[touched], idf)
    total = weights.sum()
    return weights / total if total > 0 else np.full(len(spans), 1 / max(1, len(spans)), np.float32)


class Ranking(NamedTuple):
    """Rows, best first, with scores in 0..1; ``parts`` and ``bm25`` are in the same order, ``bm25`` as the lexical arm has it.

    ``similarities`` gives, for a place in the ranking, those of the question's tokens and the row's words: float32 (m, t); None
    where the mode or the index has none.
    """

    rows: Rows
    scores: NDArray[np.float32]
    parts: Parts
    bm25: NDArray[np.float32]
    similarities: Callable[[int], Matrix] | None


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Rows with what is known of them."""

    rows: Rows
    cosines: NDArray[np.float32]
    bm25: NDArray[np.float32]
    best_bm25: float
    vectors: Matrix = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def at(self, places: NDArray[np.int64], vectors: DenseArm) -> _Candidates:
        """Some of them, with their vectors."""
        rows = self.rows[places]
        return _Candidates(rows, self.cosines[places], self.bm25[places], self.best_bm25, vectors.take(rows))

    def lexical(self) -> NDArray[np.float32]:
        return self.bm25 / np.float32(self.best_bm25) if self.best_bm25 > 0 else self.bm25


def compared(k: int) -> int:
    """Rows that `rank` gives for so many hits, if there are as many."""
    return max(COMPARED, k)


def wanted(k: int) -> int:
    """Candidates of each arm for so many hits."""
    return max(CANDIDATES, 2 * k)


def rank(
    question: Question | str,
    mode: Mode,
    k: int,
    *,
    vectors: DenseArm | None,
    lexical: LexicalArm,
    near: Found | None,
    said: Found | None = None,
    allowed: Any,
) -> Ranking:
    """Rows in the order of their scores: `compared` of them, if there are so many.

    :param question: its text alone where ``mode`` is lexical.
    :param vectors: None where ``mode`` is lexical.
    :param near: the rows nearest to the question's vector, `wanted` of them; None where ``mode`` is lexical.
    :param said: the rows that the lexical side gives for the question, `wanted` of them; None to ask it.
    :param allowed: the only rows that may come back, as the arms take them; None for all.
    """
    if isinstance(question, str) or near is None or vectors is None:
        return _by_words(str(question), k, lexical, allowed)
    if mode == "dense":
        zeros = np.zeros(len(near.rows), np.float32)
        candidates = _Candidates(near.rows, near.scores, zeros, 0.0)
    else:
        said = said or lexical.search(question.text, wanted(k), allowed=allowed)
        candidates = _union(question, near, said, k, vectors, lexical, allowed)
    first = np.argsort(-(candidates.cosines + fusion.LEXICAL * candidates.lexical()), kind="stable")[: compared(k)]
    candidates = candidates.at(first, vectors)
    codes = vectors.words(candidates.rows)
    nothing = np.zeros(len(codes), np.float32)
    late, compared_first = _late(question, codes) if vectors.has_words else (None, [])
    parts = Parts(candidates.cosines, late, candidates.lexical(), nothing)
    if mode == "hybrid":
        parts = parts._replace(feedback=fusion.feedback(candidates.vectors, parts.before_feedback()))
    # The last bits hang on how many questions are asked at once, and would tell equals apart.
    parts = parts.each(lambda part: np.round(part, _DECIMALS))
    scores = np.round(parts.dense() if mode == "dense" else parts.hybrid(), _DECIMALS)
    order = np.argsort(-scores, kind="stable")

    def similarities(place: int) -> Matrix:
        number = int(order[place])
        if number < len(compared_first):
            return compared_first[number]
        return signs.similarities(question.tokens, codes[number])

    return Ranking(
        candidates.rows[order],
        scores[order],
        parts.each(lambda part: part[order]),
        candidates.bm25[order],
        None if late is None else similarities,
    )


def _late(question: Question, codes: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.float32], list[Matrix]]:
    """Late interaction with each passage, and the similarities that it took of the first of them.

    Some at a time, and not all are kept: a question's similarities with a million tokens are 100 MB.
    """
    parts: list[NDArray[np.float32]] = []
    kept: list[Matrix] = []
    for first in range(0, len(codes), _AT_ONCE):
        chunk = codes[first : first + _AT_ONCE]
        sizes = np.asarray([len(part) for part in chunk], np.int64)
        similarities = signs.similarities(question.tokens, np.concatenate(chunk))
        parts.append(fusion.late(similarities, question.weights, sizes))
        if not first:
            kept = np.split(similarities, np.cumsum(sizes)[:-1], axis=1)
    return np.concatenate([np.empty(0, np.float32), *parts]), kept


def _by_words(text: str, k: int, lexical: LexicalArm, allowed: Any) -> Ranking:
    found = lexical.search(text, compared(k), allowed=allowed)
    nothing = np.zeros(len(found.rows), np.float32)
    # Not rounded once more: what differs in BM25 differs in its score.
    bound = max(lexical.bound(text, allowed=allowed), 1e-9)
    scores = np.clip(found.scores.astype(np.float64) / bound, 0, 1).astype(np.float32)
    return Ranking(found.rows, scores, Parts(nothing, nothing, scores, nothing), found.scores, None)


def _union(
    question: Question, near: Found, found: Found, k: int, vectors: DenseArm, lexical: LexicalArm, allowed: Any
) -> _Candidates:
    """What either arm found and may be compared, with the scores of both.

    Where a quoted phrase is in any row allowed, only rows that have it.
    """
    best = float(found.scores[0]) if len(found.scores) else 0.0
    # An arm's list that is shorter than it may be has all that it could.
    most_cosine = float(near.scores[-1]) if len(near.scores) else 0.0
    most_bm25 = float(found.scores[-1]) if len(found.scores) == wanted(k) else 0.0
    rows = np.union1d(near.rows, found.rows)
    cosines, has_cosine = _given(near, rows, most_cosine)
    bm25, has_bm25 = _given(found, rows, most_bm25)
    must_match = lexical.must_match(question.text, allowed=allowed)
    if len(rows) > compared(k) and not must_match:
        # Fagin, Lotem and Naor, "Optimal Aggregation Algorithms for Middleware", PODS 2001: the other arm is not asked about
        # rows which could not come first even if they were the next in its list.
        scale = fusion.LEXICAL / best if best > 0 else 0.0
        least = np.where(has_cosine, cosines + scale * np.where(has_bm25, bm25, 0), -np.inf)
        kept = cosines + scale * bm25 >= np.partition(least, -compared(k))[-compared(k)] - _ROUNDING
        rows, cosines, has_cosine = rows[kept], cosines[kept], has_cosine[kept]
        bm25, has_bm25 = bm25[kept], has_bm25[kept]
    if most_bm25 > 0 and not has_bm25.all():
        bm25[~has_bm25] = lexical.scores(question.text, rows[~has_bm25], allowed=allowed)
    if must_match:
        kept = bm25 > 0
        rows, cosines, has_cosine, bm25 = rows[kept], cosines[kept], has_cosine[kept], bm25[kept]
    if not has_cosine.all():
        cosines[~has_cosine] = vectors.take(rows[~has_cosine]) @ question.vector
    return _Candidates(rows, cosines, bm25, best)


def _given(found: Found, rows: Rows, missing: float) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What an arm gave each of some rows, all of its own among them, and which it gave: float32 and bool (len(rows),).

    :param rows: ascending.
    :param missing: what the others get.
    """
    scores, has = np.full(len(rows), missing, np.float32), np.zeros(len(rows), bool)
    places = np.searchsorted(rows, found.rows)
    scores[places], has[places] = found.scores, True
    return scores, has
