"""What two arms and the tokens say of some passages, made into one score.

::

    hybrid = (cosine + 1.2 late + 0.45 lexical + 0.6 feedback) / 3.25
    dense  = (cosine + 1.2 late) / 2.2

without ``late`` where an index has no codes of words, and divided by so much less.

- ``cosine`` of the question's vector and the passage's.
- ``late``: for each of the question's tokens the most similar token of the passage, their mean weighted by how rare the word is
  in the index (late interaction: Khattab and Zaharia, "ColBERT", SIGIR 2020; here without training, on the token vectors that
  the passage's vector is the mean of).
- ``lexical``: the BM25 score, divided by that of the best passage.
- ``feedback``: the mean cosine to the four best passages by the other three, itself left out (pseudo-relevance feedback).

All are on scales of their own that do not hang on which candidates there are, but for ``lexical``; so a question's weight on
the two arms is the arms' own spread. The weights lie on a plateau (``benchmarks/README.md`` has what they give, and what else
was tried).

Deliberately not here: where candidates come from (`ranking`), vectors, words.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from semsearch.protocols import Matrix
    from semsearch.records import Mode

    Scores = NDArray[np.float32]

__all__ = ["FEEDBACK", "LATE", "LEXICAL", "Parts", "confidence", "feedback", "late", "strongest_sentence", "weights"]

LATE = 1.2
LEXICAL = 0.45
FEEDBACK = 0.6
_FEEDBACK_ROWS = 4
_DECIMALS = 5


class Parts(NamedTuple):
    """What is known of some candidates, float32 (n,) each; zeros for what takes no part, None for what cannot."""

    cosine: Scores
    late: Scores | None
    lexical: Scores
    feedback: Scores

    def dense(self) -> Scores:
        """Score of the dense arm, in 0..1."""
        return _bounded(self._near() / (1 if self.late is None else 1 + LATE))

    def hybrid(self) -> Scores:
        """Score of both arms, in 0..1."""
        total = 1 + LEXICAL + FEEDBACK + (0 if self.late is None else LATE)
        return _bounded((self.before_feedback() + FEEDBACK * self.feedback) / total)

    def before_feedback(self) -> Scores:
        """What decides which are the best, whose neighbours feedback favours."""
        return np.asarray(self._near() + LEXICAL * self.lexical, np.float32)

    def _near(self) -> Scores:
        return self.cosine if self.late is None else np.asarray(self.cosine + LATE * self.late, np.float32)

    def each(self, change: Callable[[Scores], Scores]) -> Parts:
        """The same with each part changed."""
        return Parts(*(None if part is None else change(part) for part in self))  # type: ignore[arg-type]


def weights(mode: Mode) -> dict[str, float]:
    """What each of the `Parts` counts."""
    known = {"cosine": 1.0, "late": LATE, "lexical": LEXICAL, "feedback": FEEDBACK}
    counted = {"hybrid": tuple(known), "dense": ("cosine", "late"), "lexical": ("lexical",)}[mode]
    return {name: known[name] if len(counted) > 1 else 1.0 for name in counted}


def _bounded(scores: NDArray[Any]) -> Scores:
    return np.asarray(np.clip(scores, 0.0, 1.0), np.float32)


def late(similarities: Matrix, weights: Scores, sizes: NDArray[np.int64]) -> Scores:
    """Late interaction of a question with some passages: float32 (n,), about in -1..1; 0 for a passage without tokens.

    :param similarities: float32 (m, t): of the question's tokens with those of all passages, one passage behind the other.
    :param weights: float32 (m,), sum 1.
    :param sizes: int64 (n,): tokens of each passage; their sum is t.
    """
    scores = np.zeros(len(sizes), np.float32)
    filled = np.flatnonzero(sizes)
    if len(filled):
        starts = (np.cumsum(sizes) - sizes)[filled]
        scores[filled] = weights @ np.maximum.reduceat(similarities, starts, axis=1)
    return scores


def strongest_sentence(similarities: Matrix, weights: Scores, sentences: NDArray[np.int32]) -> int:
    """The sentence that late interaction finds nearest to the question; the first of equals.

    :param similarities: float32 (m, t): of the question's tokens with those of one passage.
    :param sentences: int32 (s, 2), s > 0: the first of a sentence's tokens and the one behind its last.
    """
    if len(sentences) == 1:
        return 0
    filled = np.flatnonzero(sentences[:, 0] < sentences[:, 1])
    scores = np.full(len(sentences), -1.0, np.float32)
    if len(filled):
        # Of the borders in a row every second stretch is a sentence; the last may end where there is nothing more.
        ended = np.concatenate([similarities, np.full((len(similarities), 1), -1, np.float32)], axis=1)
        scores[filled] = weights @ np.maximum.reduceat(ended, sentences[filled].ravel(), axis=1)[:, ::2]
    return int(scores.round(_DECIMALS).argmax())


def feedback(vectors: Matrix, scores: Scores) -> Scores:
    """Mean cosine of each candidate to the best four by these scores, itself left out: float32 (n,); 0 for one alone.

    What equals the fourth is one of them, too: the order of equals tells of the index's history.

    :param vectors: float32 (n, d), unit rows.
    """
    rounded = np.round(scores, _DECIMALS)
    best = np.flatnonzero(rounded >= np.sort(rounded)[-_FEEDBACK_ROWS:][:1])
    cosines = vectors @ vectors[best].T
    others = np.ones_like(cosines)
    others[best, np.arange(len(best))] = 0
    return np.asarray((cosines * others).sum(axis=1) / np.maximum(others.sum(axis=1), 1), np.float32)


_FITTED: dict[tuple[bool, bool, bool], tuple[float, ...]] = {
    (True, True, True): (-5.31, 6.49, 1.62, 3.31),
    (True, True, False): (-6.11, 6.23, 4.69),
    (True, False, True): (-4.85, 6.95, 4.28),
    (True, False, False): (-4.49, 8.48),
    (False, False, True): (-2.1, 7.94),
}
"""Constant and factors for what is known of cosine, late and coverage: logistic regressions over ten collections, each weighing
the same, of the best hits of questions asked of their own collection against those of the same questions where the answers were
taken out and of questions asked of another collection, as many of the former as of both (``benchmarks/answerable.py --fit``)."""


def confidence(cosine: float | None, late: float | None, coverage: float | None) -> float:
    """Probability that a passage answers, in 0..1.

    :param cosine: as in `Parts`, like ``late``; None where the dense arm took no part.
    :param late: None, too, where the index has no codes of words.
    :param coverage: the BM25 score as a part of what a passage could have that says nothing but the question's words, over and
        over; None where the lexical arm took no part.
    """
    given = (cosine, late, coverage)
    first, *factors = _FITTED[cosine is not None, late is not None, coverage is not None]
    known = [value for value in given if value is not None]
    return 1 / (1 + math.exp(-first - sum(factor * value for factor, value in zip(factors, known, strict=True))))
