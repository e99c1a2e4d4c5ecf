"""Both arms of a search over an engine, as `ranking` asks them: `vectors.Vectors` and `lexical.Lexical` of a folder's index.

Deliberately not here: what is asked of an engine (`seam`), what is made of the scores (`ranking`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from semsearch.engines.seam import K1, Among, Asked, Every, Field, Kept, Numbered, Said, Snapshot
from semsearch.errors import IndexCorrupt
from semsearch.lexical import Boosts, Question, Reading, Word, idf, words
from semsearch.protocols import Found

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

    Rows = NDArray[np.int64]

__all__ = ["Cache", "EngineLexical", "EngineVectors"]

_DECIMALS = 4
_LEAST = 100
"""Passages that each field is asked for, at least, where several count."""
_TRIES = 4
"""How often each field is asked for four times as many, until no other passage can be among the best."""
_MOST = 10_000
_ROWS = 4096
"""Passages of which is remembered what was kept of them: at 384 dimensions and 100 words about 13 MB."""
_NONE = Found(np.empty(0, np.int64), np.empty(0, np.float32))


class Cache:
    """What an engine was asked of one generation, which is asked again. Threads may share it."""

    def __init__(self) -> None:
        self.kept: dict[int, Kept] = {}
        self.frequencies: dict[tuple[Field, str], int] = {}

    def keep(self, rows: Sequence[int], kept: Sequence[Kept]) -> None:
        """Remember what is kept of passages."""
        if len(self.kept) + len(rows) > _ROWS:
            self.kept = {}
        self.kept.update(zip(rows, kept, strict=True))


class EngineVectors:
    """The vectors of a snapshot.

    :param has_words: whether there are codes of words to compare.
    """

    def __init__(self, snapshot: Snapshot, cache: Cache, dimension: int, *, has_words: bool) -> None:
        self._snapshot = snapshot
        self._cache = cache
        self.dimension = dimension
        self.has_words = has_words

    def search(self, queries: Matrix, k: int, *, allowed: Among | None = None) -> list[Found]:
        """The k nearest rows of each query, as near as the engine finds them; equal scores in order of their rows."""
        return [_ordered(found.rows, found.scores, k) for found in self._snapshot.nearest(queries, k, allowed)]

    def take(self, rows: Rows) -> Matrix:
        """Vectors of rows, in their order: float32 (len(rows), d).

        :raises IndexCorrupt: if a row is not there.
        """
        if not len(rows):
            return np.empty((0, self.dimension), np.float32)
        return np.stack([kept.vector for kept in self._kept(rows)])

    def words(self, rows: Rows) -> list[NDArray[np.uint8]]:
        """Codes of the words of rows, in their order: len(rows) arrays, uint8 (number of words, `signs.WIDTH`)."""
        return [kept.words for kept in self._kept(rows)]

    def sentences(self, row: int) -> NDArray[np.int32]:
        """Which of a row's words each of its sentences has: int32 (number of sentences, 2).

        :raises IndexCorrupt: if they are not its words.
        """
        (kept,) = self._kept(np.asarray([row], np.int64))
        if not all(0 <= start <= end <= len(kept.words) for start, end in kept.spans.tolist()):
            raise IndexCorrupt(f"the sentences of row {row} are not where they should be: see semsearch check")
        return kept.spans

    def _kept(self, rows: Rows) -> list[Kept]:
        known = self._cache.kept
        missing = [row for row in dict.fromkeys(rows.tolist()) if row not in known]
        if missing:
            found = self._snapshot.kept(np.asarray(missing, np.int64))
            self._cache.keep(missing, found)
            # Another thread may have made room meanwhile.
            known = {**known, **dict(zip(missing, found, strict=True))}
        return [known[row] for row in rows.tolist()]


class EngineLexical:
    """The words of a snapshot: BM25 by the engine, over the terms that `lexical` makes.

    The score of a row is the sum over the fields of the field's boost times its BM25 score there (`seam.Snapshot.matching`);
    rounded to four decimals. What a quoted phrase asks for is there, and adds nothing to the score beside its words.

    :param n_documents: passages of the index.
    """

    def __init__(self, snapshot: Snapshot, cache: Cache, reading: Reading, n_documents: int) -> None:
        self._snapshot = snapshot
        self._cache = cache
        self._reading = reading
        self.n_documents = n_documents
        self.boosts = Boosts()
        self._said: dict[tuple[str, Among | None], tuple[Among, ...]] = {}

    def weighing(self, boosts: Boosts) -> EngineLexical:
        """The same with other boosts."""
        other = copy(self)
        other.boosts = boosts
        return other

    def search(self, query: str, k: int, *, allowed: Among | None = None) -> Found:
        """The k best rows of a question, of those that match at all; as `Lexical.search`."""
        asked = self._asked(query)
        if k < 1 or not asked:
            return _NONE
        return self._best(asked, k, self._narrowed(query, allowed))

    def scores(self, query: str, rows: Rows, *, allowed: Among | None = None) -> NDArray[np.float32]:
        """The scores that `search` gives these rows: float32 (len(rows),), 0 where nothing matches."""
        asked = self._asked(query)
        if not len(rows) or not asked:
            return np.zeros(len(rows), np.float32)
        scores = self._totals(asked, rows)
        if phrases := self._phrases(query, allowed):
            saying = Every((*phrases, Numbered(tuple(rows.tolist()))))
            scores[~np.isin(rows, self._snapshot.matching("whole", asked, len(rows), saying).rows)] = 0
        return scores

    def rarity(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """``idf`` of some words as they stand in a text: float32 (len(texts),), 0 for what is no word."""
        cut = [words(text) for text in texts]
        self._look_up(term for parts in cut for word in parts for term in self._reading.terms(word))
        return np.asarray([max(map(self._idf, parts), default=0.0) for parts in cut], np.float32)

    def bound(self, query: str, *, allowed: Among | None = None) -> float:  # noqa: ARG002 (phrases add nothing)
        """What no row's score for a question is above; as `Lexical.bound`."""
        asked = self._reading.question(query)
        for field in self._fields():
            self._look_up((term for word in asked.words for term in word.terms), field)
        most = (max(self._most(word), self.boosts.whole * self._idf(word.text) * word.count) for word in asked.words)
        return sum(most) * (K1 + 1)

    def _most(self, word: Word) -> float:
        most = 0.0
        for field, boost in self._fields().items():
            df = sum(self._cache.frequencies[field, term] for term in word.terms)
            most += boost * idf(self.n_documents, df) if df else 0.0
        return word.count * most

    def must_match(self, query: str, *, allowed: Among | None = None) -> bool:
        """Whether a question has a quoted phrase that some row has, so that rows without it score 0."""
        return bool(self._phrases(query, allowed))

    def overlap(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """How much of a question each text has, by the ``idf`` of the words they share: float32 (len(texts),)."""
        asked = self._reading.question(query).words
        self._look_up(term for word in asked for term in self._reading.terms(word.text))
        return self._reading.overlap(query, texts, self._idf)

    def explain(self, query: str, row: int) -> list[tuple[str, float]]:
        """What each word of a question adds to a row's score, those that add nothing left out."""
        rows = np.asarray([row], np.int64)
        asked = self._reading.question(query).words
        parts = [(word.text, float(self._totals([_asked_of(word)], rows)[0])) for word in asked]
        return [(word, score) for word, score in parts if score > 0]

    def _fields(self) -> dict[Field, float]:
        return {cast(Field, name): boost for name, boost in self.boosts.fields()}

    def _asked(self, query: str) -> list[Asked]:
        question: Question = self._reading.question(query)
        return [_asked_of(word) for word in question.words] if self.n_documents else []

    def _best(self, asked: Sequence[Asked], k: int, among: Among | None) -> Found:
        fields = self._fields()
        if len(fields) == 1:
            ((field, boost),) = fields.items()
            found = self._snapshot.matching(field, asked, k, among)
            return _ordered(found.rows, np.round(found.scores * np.float32(boost), _DECIMALS), k)
        # Fagin, Lotem and Naor, "Optimal Aggregation Algorithms for Middleware", PODS 2001: none beyond all lists can have more
        # than their ends together.
        depth = max(_LEAST, 2 * k)
        for _ in range(_TRIES):
            lists = [(boost, self._snapshot.matching(field, asked, depth, among)) for field, boost in fields.items()]
            rows = np.unique(np.concatenate([found.rows for _, found in lists]))
            best = _ordered(rows, self._totals(asked, rows), k)
            beyond = sum(boost * float(found.scores[-1]) for boost, found in lists if len(found.rows) == depth)
            if beyond == 0 or (len(best.rows) == k and float(best.scores[-1]) >= beyond) or depth >= _MOST:
                break
            depth = min(_MOST, 4 * depth)
        return best

    def _totals(self, asked: Sequence[Asked], rows: Rows) -> NDArray[np.float32]:
        total = np.zeros(len(rows), np.float32)
        if len(rows):
            for field, boost in self._fields().items():
                total += np.float32(boost) * self._snapshot.matched(field, asked, rows)
        return np.asarray(np.round(total, _DECIMALS), np.float32)

    def _narrowed(self, query: str, allowed: Among | None) -> Among | None:
        phrases = self._phrases(query, allowed)
        if not phrases:
            return allowed
        return Every((*phrases, *(() if allowed is None else (allowed,))))

    def _phrases(self, query: str, allowed: Among | None) -> tuple[Among, ...]:
        """What rows must say: all of a question's phrases that any of the rows has, or any of them if none has all."""
        known = self._said.get((query, allowed))
        if known is None:
            known = self._said[query, allowed] = self._look_for(self._reading.question(query), allowed)
        return known

    def _look_for(self, question: Question, allowed: Among | None) -> tuple[Among, ...]:
        within: tuple[Among, ...] = () if allowed is None else (allowed,)
        there = [said for phrase in question.phrases if self._is_any(said := Said(phrase), *within)]
        if len(there) < 2 or self._is_any(*there, *within):
            return tuple(there)
        return (Said(tuple(way for said in there for way in said.ways)),)

    def _is_any(self, *among: Among) -> bool:
        return self._snapshot.is_any(Every(among))

    def _idf(self, word: str) -> float:
        known = self._cache.frequencies
        terms = self._reading.terms(word)
        if any(("whole", term) not in known for term in terms):
            self._look_up(terms)
        return idf(self.n_documents, sum(known["whole", term] for term in terms))

    def _look_up(self, terms: Iterable[str], field: Field = "whole") -> None:
        """Ask in how many passages terms are, of those that nobody knows."""
        known = self._cache.frequencies
        unknown = [term for term in dict.fromkeys(terms) if (field, term) not in known]
        if unknown:
            for term, df in zip(unknown, self._snapshot.frequencies(field, unknown), strict=True):
                known[field, term] = df


def _asked_of(word: Word) -> Asked:
    return Asked(word.count, word.terms)


def _ordered(rows: Rows, scores: NDArray[np.float32], k: int) -> Found:
    """The k best, of those with any score; equal ones in order of their rows."""
    order = np.lexsort((rows, -scores))[:k]
    return Found(rows[order], np.asarray(scores[order], np.float32))
