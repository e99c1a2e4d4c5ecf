"""A run against another: differences, how far to trust them, the queries that make them.

Deliberately not here: the tests themselves (`metrics`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from semsearch import metrics
from semsearch.evaluation.values import Comparison, Difference, QueryDifference, Scored

__all__ = ["compare"]

SHOWN_QUERIES = 5
"""Queries won and lost that are listed, of each."""


def compare(
    name: str,
    queries: Mapping[str, str],
    judgments: metrics.Judgments,
    values: Mapping[str, Mapping[str, float]],
    rankings: Mapping[str, Sequence[Scored]],
    baseline: Mapping[str, Sequence[Scored]],
) -> Comparison:
    """Compare a run with another, ``baseline``, on the same queries; queries that the other lacks count 0 there.

    :param values: the run's figures by metric and query; the first metric decides which queries are won and lost.
    :param rankings: the run's documents, best first; ``baseline`` those of the other.
    """
    others = metrics.figures(
        values, judgments, {query: [item.document for item in ranking] for query, ranking in baseline.items()}
    )
    differences = {metric: [found[query] - others[metric][query] for query in queries] for metric, found in values.items()}
    p_values = {metric: metrics.p_value(found) for metric, found in differences.items()}
    adjusted = dict(zip(p_values, metrics.holm(list(p_values.values())), strict=True))
    listed = []
    for metric, found in differences.items():
        value, other = metrics.summary(metric, values[metric]), metrics.summary(metric, others[metric])
        low, high = metrics.interval(found)
        listed.append(Difference(metric, value, other, value - other, low, high, p_values[metric], adjusted[metric]))
    first = next(iter(values))
    by_query = [
        QueryDifference(query, text, values[first][query], others[first][query], _top(rankings, query), _top(baseline, query))
        for query, text in queries.items()
    ]
    by_query.sort(key=lambda item: -item.difference)
    won = tuple(item for item in by_query[:SHOWN_QUERIES] if item.difference > 0)
    lost = tuple(item for item in by_query[: -SHOWN_QUERIES - 1 : -1] if item.difference < 0)
    return Comparison(name, tuple(listed), won, lost, others, {query: baseline.get(query, ()) for query in queries})


def _top(rankings: Mapping[str, Sequence[Scored]], query: str) -> str | None:
    ranking = rankings.get(query)
    return ranking[0].document if ranking else None
