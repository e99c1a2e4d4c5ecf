"""Documents ranked by their passages, through an open index, and how long single searches take.

Invariant: a document's score is its best passage's, and a ranking is as deep as asked for unless the index is exhausted.

Deliberately not here: figures, where the index comes from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from semsearch.evaluation.datasets import Dataset, shown
from semsearch.evaluation.pairs import passage_id
from semsearch.evaluation.values import Scored, Shown
from semsearch.index import Index
from semsearch.records import Hit, Mode

__all__ = ["Ranked", "latencies", "rank"]

MAX_PASSAGES = 10_000
"""Passages that are asked for at most, however few documents they are of: what a search gives."""
_AT_ONCE = 64
_TIMED = 200
"""Single searches that are timed at most."""
_TIMED_K = 10


class Ranked(NamedTuple):
    """Documents by query, best first, and what all that were found are recognised by."""

    rankings: dict[str, tuple[Scored, ...]]
    documents: dict[str, Shown]


def rank(index: Index, mode: Mode, dataset: Dataset, depth: int, tell: Callable[[int], None]) -> Ranked:
    """Rank the documents for each query: more and more passages, until ``depth`` documents or all that the index gives.

    :param tell: told how many queries are done.
    """
    facts = index.status()
    known = {document for grades in dataset.judgments.values() for document in grades}
    found = Ranked({}, {})
    waiting = list(dataset.queries)
    # About as many passages as these documents have, to begin with.
    k = min(MAX_PASSAGES, depth * min(4, -(-facts["passages"] // max(1, facts["articles"]))))
    while waiting:
        again: list[str] = []
        for first in range(0, len(waiting), _AT_ONCE):
            chunk = waiting[first : first + _AT_ONCE]
            results = index.search_many([dataset.queries[query] for query in chunk], k, mode=mode, fold=False)
            for query, hits in zip(chunk, results, strict=True):
                ranking = _documents(hits, query, dataset, known, found.documents)
                if len(ranking) < depth and len(hits) == k < MAX_PASSAGES:
                    again.append(query)
                else:
                    found.rankings[query] = tuple(ranking[:depth])
            tell(len(found.rankings))
        waiting, k = again, min(2 * k, MAX_PASSAGES)
    return Ranked({query: found.rankings[query] for query in dataset.queries}, found.documents)


def _documents(hits: Sequence[Hit], query: str, dataset: Dataset, known: set[str], documents: dict[str, Shown]) -> list[Scored]:
    """The documents of some hits, each where its best passage stands."""
    ranking: dict[str, float] = {}
    for hit in hits:
        by_passage = query in dataset.by_passage
        document = passage_id(hit.source, hit.start, hit.end) if by_passage else _identifier(hit, dataset, known)
        if document not in ranking:
            ranking[document] = hit.score
            if document not in documents:
                documents[document] = shown(hit.title, hit.text)
    return [Scored(document, score) for document, score in ranking.items()]


def _identifier(hit: Hit, dataset: Dataset, known: set[str]) -> str:
    """The id by which the judgments may name a hit's article: that of a corpus, else the source, else one in the metadata."""
    named = [str(hit.metadata[key]) for key in ("_id", "id") if key in hit.metadata]
    if dataset.corpus is not None and named:
        return named[0]
    return next((name for name in (hit.source, *named) if name in known), hit.source)


def latencies(index: Index, mode: Mode, queries: Sequence[str]) -> tuple[float, ...]:
    """Milliseconds of single searches for ten passages, one after the other, of up to 200 of the queries, evenly chosen.

    The first search, which may load the model, is not among them.
    """
    chosen = queries[:: -(-len(queries) // _TIMED)] if queries else []
    for query in chosen[:1]:
        index.search(query, _TIMED_K, mode=mode)
    times = []
    for query in chosen:
        started = time.perf_counter()
        index.search(query, _TIMED_K, mode=mode)
        times.append((time.perf_counter() - started) * 1000)
    return tuple(times)
