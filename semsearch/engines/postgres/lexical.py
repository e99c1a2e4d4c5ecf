"""The words of a snapshot: BM25 out of posting lists, fetched as far as they can change what comes out.

Deliberately not here: the formula (`postings`), filters (`conditions`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from psycopg import sql

from semsearch.engines.postgres import postings
from semsearch.engines.postgres.postings import RECORD, Records, Word
from semsearch.engines.postgres.tables import State
from semsearch.protocols import Found

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semsearch.engines.seam import Asked, Field

    Rows = NDArray[np.int64]

__all__ = ["FIELDS", "NONE", "Ask", "Words"]

FIELDS: tuple[Field, ...] = ("title", "heading", "whole")
NONE = Found(np.zeros(0, np.int64), np.zeros(0, np.float32))
AT_ONCE = 65_536
"""Postings that are fetched without asking whether they matter: half a megabyte."""
_EXAMINED = 4_096
"""Passages of which words are looked up one by one, at most, before whole lists are fetched."""
_HOPEFUL = 0.5
"""Of what all other words can give: if the k-th best has less without them, their lists will be needed: nothing is looked up."""
_RANKS = postings.ranks()
_BETWEEN = (_RANKS[:-1] + _RANKS[1:]) / 2
_FORWARD = {
    "title": sql.SQL("ts_filter(t.terms, '{a}')"),
    "heading": sql.SQL("ts_filter(t.terms, '{b}')"),
    "whole": sql.SQL("t.terms"),
}


class Ask(Protocol):
    """A statement with names of tables in braces, its parameters, and more parts that stand in braces, to rows."""

    def __call__(self, statement: str, parameters: Sequence[Any] = (), **parts: sql.Composable) -> list[tuple[Any, ...]]:
        """Ask it."""
        ...


class Term(NamedTuple):
    """What is known of a term: its id, and in how many passages it is, by field."""

    id: int
    n_passages: dict[Field, int]


class Words:
    """The words of one snapshot; what was fetched is kept for as long as it is."""

    def __init__(self, ask: Ask, state: State) -> None:
        self._ask, self._state = ask, state
        self._terms: dict[str, Term | None] = {}
        self._lists: dict[tuple[Field, int], Records] = {}

    def frequencies(self, field: Field, terms: Sequence[str]) -> list[int]:
        """In how many passages each term is."""
        known = self._known(terms)
        return [0 if (term := known[each]) is None else term.n_passages[field] for each in terms]

    def matching(
        self, field: Field, asked: Sequence[Asked], k: int, sift: Callable[[Rows], dict[int, int]], allowed: Rows | None
    ) -> Found:
        """The k passages with the greatest score that may come back, best first.

        The rarest words come first. What has none of them cannot come out once k passages have more than all other words can
        give; then their lists stay where they are, and only those of these passages are looked up.

        :param sift: of some ordinals those whose passages are there and may come back, with their rows.
        :param allowed: ordinals that may come back, if they are known.
        """
        words = self._words(field, asked)
        taken, postings_taken = 0, 0
        while taken < len(words) and (not taken or postings_taken + words[taken].n_passages <= AT_ONCE):
            postings_taken += words[taken].n_passages
            taken += 1
        while taken:
            found = self._settled(field, words[:taken], words[taken:], k, sift, allowed)
            if found is not None:
                return found
            taken += 1
        return NONE

    def matched(self, field: Field, asked: Sequence[Asked], ordinals: Rows) -> NDArray[np.float64]:
        """The scores of some passages, by their ordinals."""
        ordinals, again = np.unique(ordinals, return_inverse=True)
        scores = np.zeros(len(ordinals))
        far: list[Word] = []
        fetched = 0
        for word in self._words(field, asked):
            if not all((field, term) in self._lists for term in word.terms):
                fetched += word.n_passages
            if fetched > AT_ONCE:
                far.append(word)
                continue
            found, values = postings.added([(word, self._records(field, [word]))], self._mean(field))
            places = np.minimum(np.searchsorted(found, ordinals), len(found) - 1)
            scores += np.where(found[places] == ordinals, values[places], 0) if len(found) else 0
        return np.asarray((scores + self._forward(field, far, ordinals))[again])

    def _settled(
        self,
        field: Field,
        words: Sequence[Word],
        others: Sequence[Word],
        k: int,
        sift: Callable[[Rows], dict[int, int]],
        allowed: Rows | None,
    ) -> Found | None:
        """The k best, if these words' lists and what is looked up of the others are enough to know them."""
        self._fetch(field, words)
        mean = self._mean(field)
        ordinals, scores = postings.added([(word, self._records(field, [word])) for word in words], mean)
        if allowed is not None:
            kept = np.isin(ordinals, allowed)
            ordinals, scores = ordinals[kept], scores[kept]
        rest = sum(word.weight for word in others)
        if rest and (len(scores) < k or np.partition(scores, -k)[-k] < _HOPEFUL * rest):
            return None
        rows, values = np.zeros(0, np.int64), np.zeros(0)
        examined = 0
        for places in postings.descending(scores, max(256, 2 * k)):
            last = values[k - 1] if len(values) >= k else -1.0
            if last >= scores[places[0]] + rest:
                return _best(rows, values, k)
            if rest and examined >= _EXAMINED:
                return None
            examined += len(places)
            here = sift(ordinals[places])
            found = np.asarray([place for place in places.tolist() if int(ordinals[place]) in here], np.int64)
            whole = scores[found] + (self._forward(field, others, ordinals[found]) if others else 0)
            rows = np.concatenate([rows, np.asarray([here[ordinal] for ordinal in ordinals[found].tolist()], np.int64)])
            values = np.concatenate([values, whole])
            order = np.lexsort((rows, -values))
            rows, values = rows[order], values[order]
        return _best(rows, values, k) if not rest or (len(values) >= k and values[k - 1] >= rest) else None

    def _forward(self, field: Field, words: Sequence[Word], ordinals: Rows) -> NDArray[np.float64]:
        """What some words add to the scores of some passages, looked up in the passages' own terms.

        In C, PostgreSQL counts words by ``ts_rank`` only, which can be undone for a single word.
        """
        scores = np.zeros(len(ordinals))
        texts = list(dict.fromkeys(text for word in words for text in word.texts))
        if not texts or not len(ordinals):
            return scores
        queries = ["'" + text.replace("\\", "\\\\").replace("'", "''") + "'" for text in texts]
        told = self._ask(
            "SELECT t.ordinal, t.{length}, ARRAY(SELECT ts_rank('{{1,1,1,1}}', {part}, asked::tsquery)"
            " FROM unnest(%s::text[]) WITH ORDINALITY AS u (asked, n) ORDER BY n)"
            " FROM {lexical} t WHERE t.ordinal = ANY(%s::int[])",
            [queries, ordinals.tolist()],
            length=sql.Identifier(field),
            part=_FORWARD[field],
        )
        place_of = {ordinal: place for place, ordinal in enumerate(ordinals.tolist())}
        places = np.asarray([place_of[ordinal] for ordinal, _, _ in told], np.int64)
        lengths = np.asarray([length for _, length, _ in told], np.int64)
        counts = np.searchsorted(_BETWEEN, np.asarray([found for _, _, found in told], np.float32).reshape(len(told), len(texts)))
        for word in words:
            most = counts[:, [texts.index(text) for text in word.texts]].max(axis=1)
            scores[places] += postings.weights(word, most, lengths, self._mean(field))
        return scores

    def _words(self, field: Field, asked: Sequence[Asked]) -> list[Word]:
        """The words that any passage has, the rarest first."""
        known = self._known([way for each in asked for way in each.ways])
        words = []
        for each in asked:
            terms = [(way, term.id, term.n_passages[field]) for way in each.ways if (term := known[way]) is not None]
            word = postings.word_of(each, [term for term in terms if term[2]], self._state.passages)
            if word.terms:
                words.append(word)
        return sorted(words, key=lambda word: word.n_passages)

    def _known(self, terms: Iterable[str]) -> dict[str, Term | None]:
        missing = [term for term in dict.fromkeys(terms) if term not in self._terms]
        if missing:
            self._terms |= dict.fromkeys(missing)
            statement = "SELECT term, id, title, heading, whole FROM {terms} WHERE term = ANY(%s::text[])"
            for text, number, *counts in self._ask(statement, [[term for term in missing if "\0" not in term]]):
                self._terms[text] = Term(number, dict(zip(FIELDS, counts, strict=True)))
        return self._terms

    def _fetch(self, field: Field, words: Sequence[Word]) -> None:
        missing = sorted({term for word in words for term in word.terms if (field, term) not in self._lists})
        if not missing:
            return
        pieces: dict[int, list[bytes]] = {term: [] for term in missing}
        statement = "SELECT term, data FROM {postings} WHERE field = %s AND term = ANY(%s::int[])"
        for term, data in self._ask(statement, [FIELDS.index(field), missing]):
            pieces[term].append(data)
        for term, parts in pieces.items():
            self._lists[field, term] = np.frombuffer(b"".join(parts), RECORD)

    def _records(self, field: Field, words: Sequence[Word]) -> Records:
        self._fetch(field, words)
        return np.concatenate([self._lists[field, term] for word in words for term in word.terms])

    def _mean(self, field: Field) -> float:
        return self._state.lengths[field] / max(1, self._state.passages)


def _best(rows: Rows, values: NDArray[np.float64], k: int) -> Found:
    return Found(rows[:k], values[:k].astype(np.float32))
