"""Searching a lexical index: BM25 over title, headings and text, by tantivy.

Deliberately not here: what a word is (`analysis`), what a question means (`question`), writing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import IndexCorrupt
from semsearch.lexical import question
from semsearch.lexical.analysis import words as split
from semsearch.lexical.facts import Facts
from semsearch.lexical.question import Boosts, Question
from semsearch.lexical.reading import Reading
from semsearch.protocols import Found

if TYPE_CHECKING:
    from tantivy import Query, Searcher

__all__ = ["Lexical"]

K1 = 1.2
_DECIMALS = 4
"""Scores are rounded to so many: the last bits hang on the order in which a segment's terms are added up."""
_FEW = 1000
"""Rows that are picked out as alternatives of a query; more are picked out as a set, which costs more to begin with."""
_SIFTED = 4
"""How much less it costs to read one more row of the answer than to pick one more of the index, at 5,000 rows and 175,000."""
_KEPT = 10_000
"""Words whose ``idf`` is remembered."""
_NONE = Found(np.empty(0, np.int64), np.empty(0, np.float32))


class Lexical:
    """An open lexical index. Threads may share it; it stays what it was when opened.

    The score of a row for a question is the sum over the question's words and the row's fields of the field's boost times
    ``idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * dl / avgdl))``, with ``idf = ln(1 + (N - df + 0.5) / (df + 0.5))``,
    k1 = 1.2 and b = 0.75 (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, as
    Lucene and tantivy have it): ``tf`` is how often the field has the term, ``dl`` its length in words, kept in one byte
    and exact up to 40, ``df`` the number of rows whose field has the term. A quoted phrase adds what a term would whose ``idf``
    is the sum of those of its words. Rounded to four decimals; higher is better.

    Phrases that no row has are no more than their words. With ``allowed``, so is a phrase that none of these rows has: `search`,
    `scores`, `bound` and `must_match` agree where they are given the same.

    :param boosts: what each field counts.
    :raises IndexCorrupt: if it cannot be read.
    """

    def __init__(self, folder: Path, *, boosts: Boosts | None = None) -> None:
        import tantivy

        self.folder = folder
        self.boosts = boosts or Boosts()
        with _translated(folder):
            self._facts = Facts.read(folder)
            index = tantivy.Index.open(str(folder))
            # Else a thread would look for changes to the folder twice a second, and there are none.
            index.config_reader(reload_policy="manual")
            self._schema = index.schema
            self._searcher: Searcher = index.searcher()
            self.n_documents = int(self._searcher.num_docs)
        self._idfs: dict[str, float] = {}
        self._reading = Reading(self._facts.languages)
        self._read = self._reading.question

    @classmethod
    def open(cls, folder: Path, *, boosts: Boosts | None = None) -> Lexical:
        """Open the index that a `LexicalWriter` wrote."""
        return cls(folder, boosts=boosts)

    def weighing(self, boosts: Boosts) -> Lexical:
        """The same index with other boosts."""
        other = copy(self)
        other.boosts = boosts
        return other

    def search(self, query: str, k: int, *, allowed: NDArray[np.int64] | None = None) -> Found:
        """The k best rows of a question, of those that match at all; equal scores in order of their rows.

        A question with quoted phrases gives only rows that have each of the phrases, or any of them if none has all; a
        phrase that no row has is no more than its words.

        :param allowed: int64, ascending: the only rows that may come back; None for all.
        """
        with _translated(self.folder):
            if k < 1 or (allowed is not None and not len(allowed)):
                return _NONE
            wanted = self._query(self._read(query), allowed)
            if wanted is None:
                return _NONE
            if allowed is None:
                return self._best(wanted, k, k + 1, None)
            # As long as a list must be to hold k that are allowed, if they are spread evenly.
            length = k * self.n_documents // len(allowed) + 1
            if length > _SIFTED * len(allowed):
                return self._best(_among(self._schema, wanted, allowed.tolist()), k, k + 1, None)
            return self._best(wanted, k, length + length // 4, allowed)

    def scores(self, query: str, rows: NDArray[np.int64], *, allowed: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """The scores that `search` gives these rows: float32 (len(rows),), 0 where nothing matches.

        :param allowed: what `search` was given; rows beyond it have scores, too.
        """
        with _translated(self.folder):
            wanted = self._query(self._read(query), allowed) if len(rows) else None
            return np.zeros(len(rows), np.float32) if wanted is None else self._scores(wanted, rows)

    def rarity(self, words: Sequence[str]) -> NDArray[np.float32]:
        """``idf`` of some words as they stand in a text: float32 (len(words),), 0 for what is no word.

        A word that no row has is the rarest; one that is cut into several terms is as rare as its rarest.
        """
        with _translated(self.folder):
            return np.asarray([max(map(self._idf, split(word)), default=0.0) for word in words], np.float32)

    def bound(self, query: str, *, allowed: NDArray[np.int64] | None = None) -> float:
        """What no row's score for a question is above: that of a row which says it over and over in all fields.

        The sum over words, phrases and fields of ``boost * idf * (k1 + 1)``. A word that no row has counts as the rarest: so much
        do all rows fall short.

        :param allowed: what `search` was given.
        """
        with _translated(self.folder):
            asked, rows = self._read(query), self.n_documents + self._facts.deleted
            most = sum(
                max(
                    question.most_of_word(self._searcher, rows, word, self.boosts),
                    self.boosts.whole * self._idf(word.text) * word.count,
                )
                for word in asked.words
            )
            most += sum(
                question.most_of_phrase(self._searcher, rows, phrase, self.boosts) for phrase in self._phrases(asked, allowed)
            )
            return most * (K1 + 1)

    def must_match(self, query: str, *, allowed: NDArray[np.int64] | None = None) -> bool:
        """Whether a question has a quoted phrase that some row has, so that rows without it score 0.

        :param allowed: what `search` was given.
        """
        with _translated(self.folder):
            return bool(self._phrases(self._read(query), allowed))

    def overlap(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """How much of a question each text has, by the ``idf`` of the words they share: float32 (len(texts),)."""
        with _translated(self.folder):
            return self._reading.overlap(query, texts, self._idf)

    def _idf(self, word: str) -> float:
        known = self._idfs.get(word)
        if known is None:
            df = sum(self._searcher.doc_freq("whole", term) for term in self._reading.terms(word))
            known = question.idf(self.n_documents, df)
            if len(self._idfs) >= _KEPT:
                self._idfs.clear()
            self._idfs[word] = known
        return known

    def explain(self, query: str, row: int) -> list[tuple[str, float]]:
        """What each word of a question adds to a row's score, those that add nothing left out; phrases are not in it."""
        chosen = np.asarray([row], np.int64)
        with _translated(self.folder):
            parts = [
                (word.text, float(self._scores(question.of_words(self._searcher, self._schema, [word], self.boosts), chosen)[0]))
                for word in self._read(query).words
            ]
        return [(word, score) for word, score in parts if score > 0]

    def _phrases(self, asked: Question, allowed: NDArray[np.int64] | None) -> list[Sequence[Sequence[str]]]:
        """Those of a question's phrases that any of the rows has."""
        return [
            phrase for phrase in asked.phrases if self._is_found(question.of_phrase(self._schema, phrase, self.boosts), allowed)
        ]

    def _query(self, asked: Question, allowed: NDArray[np.int64] | None) -> Query | None:
        """The query of a question, None if there is nothing to look for."""
        from tantivy import Occur, Query

        if not asked.words or not self.n_documents:
            return None
        wanted = question.of_words(self._searcher, self._schema, asked.words, self.boosts)
        phrases = [question.of_phrase(self._schema, phrase, self.boosts) for phrase in self._phrases(asked, allowed)]
        if not phrases:
            return wanted
        all_of_them = Query.boolean_query([(Occur.Must, phrase) for phrase in phrases])
        if len(phrases) > 1 and not self._is_found(all_of_them, allowed):
            all_of_them = Query.boolean_query([(Occur.Should, phrase) for phrase in phrases])
        return Query.boolean_query([(Occur.Must, all_of_them), (Occur.Should, wanted)])

    def _best(self, wanted: Query, k: int, limit: int, allowed: NDArray[np.int64] | None) -> Found:
        """The k best rows, from lists that grow until they hold k that are allowed and all that equal the last one."""
        while True:
            limit = min(limit, self.n_documents)
            rows, scores = self._top(wanted, limit)
            exhausted = len(rows) < limit or limit == self.n_documents
            lowest = scores[-1] if len(scores) else 0.0
            if allowed is not None:
                kept = np.isin(rows, allowed)
                rows, scores = rows[kept], scores[kept]
            if exhausted or (len(rows) >= k and scores[k - 1] - lowest > 10.0**-_DECIMALS):
                break
            limit *= 4
        scores = np.round(scores, _DECIMALS)
        order = np.lexsort((rows, -scores))[:k]
        return Found(rows[order], scores[order])

    def _top(self, wanted: Query, limit: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        hits = self._searcher.search(wanted, limit, count=False).hits
        rows = self._searcher.fast_field_values("row", [address for _, address in hits])
        return np.asarray(rows, np.int64), np.asarray([score for score, _ in hits], np.float32)

    def _scores(self, wanted: Query, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        unique, places = np.unique(rows, return_inverse=True)
        found, values = self._top(_among(self._schema, wanted, unique.tolist()), len(unique))
        scores = np.zeros(len(unique), np.float32)
        scores[np.searchsorted(unique, found)] = np.round(values, _DECIMALS)
        return np.asarray(scores[places], np.float32)

    def _is_found(self, wanted: Query, allowed: NDArray[np.int64] | None) -> bool:
        """Whether any of the rows matches."""
        found = int(self._searcher.search(wanted, 1, count=True).count)  # type: ignore[attr-defined]
        if allowed is None or not found:
            return found > 0
        if found <= len(allowed):
            return bool(np.isin(self._top(wanted, found)[0], allowed).any())
        return len(allowed) > 0 and len(self._top(_among(self._schema, wanted, allowed.tolist()), 1)[0]) > 0


def _among(schema: Any, wanted: Query, rows: Sequence[int]) -> Query:
    """The same query, with the same scores, for some rows only."""
    from tantivy import Occur, Query

    if len(rows) <= _FEW:
        chosen = Query.boolean_query([(Occur.Should, Query.term_query(schema, "row", row, index_option="basic")) for row in rows])
    else:
        chosen = Query.term_set_query(schema, "row", rows)
    return Query.boolean_query([(Occur.Must, wanted), (Occur.Must, Query.const_score_query(chosen, 0.0))])


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    """Tantivy's errors as ours; where it meets what it holds impossible, it raises what is not even an `Exception`."""
    try:
        yield
    except IndexCorrupt:
        raise
    except BaseException as error:
        if isinstance(error, (ValueError, OSError, KeyError)) or type(error).__name__ == "PanicException":
            raise IndexCorrupt(f"the words in {folder} cannot be read: mend it with semsearch check --repair") from error
        raise
