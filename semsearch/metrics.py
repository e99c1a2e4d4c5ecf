"""Judgments and rankings to figures, and how far to trust a difference: the one door to ir_measures and scipy.

In: judgments (``{query id: {document id: grade}}``) and rankings (``{query id: [document id, ...]}``, best first). Out: figures
bit-equal to trec_eval's, which ir_measures computes with trec_eval's own code (pytrec_eval).

Invariant: the order of a ranking is the order that is scored. trec_eval sorts by score and, where scores are equal in single
precision, by document id backwards; so it is handed scores that fall by one from rank to rank, and `order` brings a run of
scores from elsewhere into trec_eval's own order first.

Pure. Deliberately not here: searching, files, what is done with the figures (`evaluation`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import InputError

if TYPE_CHECKING:
    from ir_measures.measures import Measure

__all__ = [
    "CONFIDENCE",
    "DEFAULT_METRICS",
    "MAX_CUTOFF",
    "Judgments",
    "Rankings",
    "canonical",
    "deepest",
    "falling",
    "figures",
    "holm",
    "interval",
    "order",
    "p_value",
    "precision_at_recall",
    "rank_biased_overlap",
    "summary",
]

DEFAULT_METRICS = ("nDCG@10", "R@100", "RR@10", "AP", "P@5", "Success@1")
CONFIDENCE = 0.95
"""Of the intervals that `interval` gives."""
MAX_CUTOFF = 10_000
"""Deepest rank that a metric may look at."""
RECALL_LEVELS = tuple(step / 10 for step in range(11))
_RESAMPLES = 9999
_BATCH = 1000
"""Resamples held in memory at once."""
_SEED = 20_230_423

Judgments = Mapping[str, Mapping[str, int]]
"""Grades by query and document; 0 and below is not relevant, what is missing is unjudged and counts as not relevant."""
Rankings = Mapping[str, Sequence[str]]
"""Document ids by query, best first, each once."""


def canonical(metrics: Iterable[str]) -> tuple[str, ...]:
    """Names of metrics as figures are listed by, each once: ``MAP`` is ``AP``, ``NDCG@10`` is ``nDCG@10``.

    :raises InputError: if there is none, ir_measures knows no such name, or it takes what is not installed.
    """
    names = tuple(dict.fromkeys(str(_measure(name)) for name in metrics))
    if not names:
        raise InputError(f"no metric named: give one such as {DEFAULT_METRICS[0]}")
    return names


def _measure(name: str) -> Measure:
    import ir_measures

    try:
        measure = ir_measures.parse_measure(name)
        supported = _pipeline().supports(measure)
    # ir_measures lets out whatever its parser stumbles over, and asserts on parameters.
    except (ValueError, NameError, TypeError, KeyError, AttributeError, AssertionError, SyntaxError) as error:
        raise InputError(f"no metric {name!r}: give an ir_measures name such as nDCG@10, R@100, RR, AP or P(rel=2)@5") from error
    # trec_eval's code ends the whole process at a cutoff of 0.
    if not 1 <= _cutoff(measure) <= MAX_CUTOFF:
        raise InputError(f"metric {name!r} cuts at {_cutoff(measure)}: give a rank from 1 to {MAX_CUTOFF:,}")
    if measure.params.get("rel", 1) < 1:
        raise InputError(f"metric {name!r} counts every grade as relevant: give a rel of 1 or more")
    if not supported:
        raise InputError(f"metric {name!r} takes what is not installed or a parameter: see ir-measur.es for its name and package")
    return measure


def _cutoff(measure: Measure) -> int:
    """The rank at which a metric stops looking; 1 for one that looks at all."""
    given = measure.params.get("cutoff")
    return given if isinstance(given, int) else 1


def deepest(metrics: Iterable[str]) -> int:
    """The deepest rank that one of the metrics stops at, 1 where none stops."""
    return max(_cutoff(_measure(name)) for name in canonical(metrics))


def _pipeline() -> Any:
    """What computes: trec_eval's code wherever it knows the metric; nothing that starts another program."""
    import ir_measures
    from ir_measures.providers import FallbackProvider

    names = ("pytrec_eval", "cwl_eval", "compat", "pyndeval", "judged", "msmarco", "accuracy")
    return FallbackProvider([ir_measures.providers.registry[name] for name in names])  # type: ignore[no-untyped-call]


def figures(metrics: Iterable[str], judgments: Judgments, rankings: Rankings) -> dict[str, dict[str, float]]:
    """Each metric's value for each judged query, in the order of the judgments.

    A query without a ranking, or with an empty one, has the value of an empty ranking: 0. Rankings of queries without judgments
    are passed over.

    :return: ``{metric: {query id: value}}``, by the metrics' canonical names.
    :raises InputError: as `canonical` does.
    """
    measures = {name: _measure(name) for name in canonical(metrics)}
    run = {query: falling(rankings[query]) for query in judgments if rankings.get(query)}
    graded = {query: dict(grades) for query, grades in judgments.items()}
    found: dict[str, dict[str, float]] = {name: {} for name in measures}
    for metric in _pipeline().iter_calc(list(measures.values()), graded, run):
        found[str(metric.measure)][metric.query_id] = float(metric.value)
    return {name: {query: values[query] for query in judgments} for name, values in found.items()}


def falling(ranking: Sequence[str]) -> dict[str, float]:
    """Scores that any reader sorts into the order of the ranking: its length at rank 1, one less at each further rank."""
    return {document: float(len(ranking) - position) for position, document in enumerate(ranking)}


def summary(metric: str, values: Mapping[str, float]) -> float:
    """A metric over all queries: the mean, but for the few that count (``NumRet``), whose sum it is."""
    from ir_measures import MeanAgg

    # Summed exactly, so that it does not hang on the order of the queries.
    total = math.fsum(values.values())
    return total / len(values) if isinstance(_measure(metric).aggregator(), MeanAgg) else total


def order(scored: Mapping[str, float]) -> list[str]:
    """Documents in the order in which trec_eval ranks them: score in single precision falling, then document id falling."""
    return sorted(scored, key=lambda document: (float(np.float32(scored[document])), document.encode()), reverse=True)


def precision_at_recall(judgments: Judgments, rankings: Rankings) -> list[float]:
    """Interpolated precision at recall 0, 0.1 ... 1, the mean over all queries; 11 values.

    At each level the best precision at this or any higher recall (Manning, Raghavan and Schütze, Introduction to Information
    Retrieval, 2008, section 8.4).
    """
    names = [f"IPrec@{level}" for level in RECALL_LEVELS]
    values = figures(names, judgments, rankings)
    return [summary(name, values[name]) for name in canonical(names)]


def p_value(differences: Sequence[float]) -> float:
    """Two-sided p of a paired randomization test: how often random signs give a mean as far from 0 as the one seen.

    Fisher's test, which Smucker, Allan and Carterette (A comparison of statistical significance tests for information retrieval
    evaluation, CIKM 2007) recommend. Exact where 2**n is at most 9,999, else from 9,999 random drawings with a fixed seed.

    :param differences: one a query; queries without a difference leave p as it is.
    :return: in 0..1; 1 where nothing differs.
    """
    from scipy.stats import permutation_test

    told = _array(differences)
    told = told[told != 0]
    if not len(told):
        return 1.0
    if len(told) == 1:
        return 1.0  # Either sign is as far from 0, and scipy takes two at least.
    result = permutation_test(
        (told,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=_RESAMPLES,
        batch=_BATCH,
        random_state=np.random.default_rng(_SEED),
    )
    return min(1.0, float(result.pvalue))


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """95 % confidence interval of the mean difference: percentile bootstrap over queries, 9,999 drawings with a fixed seed.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    :return: both ends; the mean, at both ends, where all differences are equal, for then there is nothing to draw from.
    """
    from scipy.stats import bootstrap

    values = _array(differences)
    if not len(values):
        return 0.0, 0.0
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    result = bootstrap(
        (values,),
        np.mean,
        confidence_level=CONFIDENCE,
        n_resamples=_RESAMPLES,
        batch=_BATCH,
        method="percentile",
        random_state=np.random.default_rng(_SEED),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def rank_biased_overlap(one: Sequence[str], other: Sequence[str], persistence: float = 0.9) -> float:
    """How alike two rankings are, the first ranks counting most: extrapolated rank-biased overlap.

    ``(1 - p) / p * (sum over d = 1..l of X(d) / d * p^d + sum over d = s+1..l of X(s) * (d - s) / (s * d) * p^d)
    + ((X(l) - X(s)) / l + X(s) / s) * p^l``, where X(d) is the number of items that the first d of both have in common, s and l
    the lengths of the shorter and the longer, and p the persistence (Webber, Moffat and Zobel, A similarity measure for
    indefinite rankings, ACM Transactions on Information Systems 28(4), 2010, equation 32).

    :param persistence: p in 0..1, not either: at 0.9 the first ten ranks have 86 % of the weight.
    :return: in 0..1; 1 for equal rankings, two empty ones among them, 0 where nothing is in both.
    """
    shorter, longer = sorted((one, other), key=len)
    if not shorter:
        return float(not longer)
    s, last, p = len(shorter), len(longer), persistence
    common = [len(set(shorter[:depth]) & set(longer[:depth])) for depth in range(last + 1)]
    total = sum(common[depth] / depth * p**depth for depth in range(1, last + 1))
    total += sum(common[s] * (depth - s) / (s * depth) * p**depth for depth in range(s + 1, last + 1))
    return (1 - p) / p * total + ((common[last] - common[s]) / last + common[s] / s) * p**last


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for their number, in the order given: step-down, each at least as great as the one below it.

    ``adjusted(i) = max over j <= i of min(1, (m - j + 1) * p(j))`` for the sorted p(1) <= ... <= p(m) (Holm, A simple
    sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979).
    """
    adjusted = [0.0] * len(p_values)
    least = 0.0
    for step, position in enumerate(sorted(range(len(p_values)), key=lambda position: p_values[position])):
        least = max(least, min(1.0, (len(p_values) - step) * p_values[position]))
        adjusted[position] = least
    return adjusted


def _array(values: Sequence[float]) -> NDArray[np.float64]:
    return np.asarray(values, np.float64)
