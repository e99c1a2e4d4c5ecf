"""How well questions are answered: a data set with judgments through any search, to figures, comparisons and a report.

In: a data set, and an index or a search. Out: an `Evaluation`. The figures are trec_eval's (`metrics`); a document's score is
its best passage's, and the order of documents is the order that is scored.

Deliberately not here: ranking (`index`), the figures and the significance tests themselves (`metrics`).
"""

from __future__ import annotations

from semsearch.evaluation.datasets import questions
from semsearch.evaluation.harness import evaluate, evaluate_search
from semsearch.evaluation.ranking import latencies
from semsearch.evaluation.thresholds import parse as parse_threshold
from semsearch.evaluation.values import Comparison, Difference, Evaluation, Measurement, QueryDifference, Scored, Shown

__all__ = [
    "Comparison",
    "Difference",
    "Evaluation",
    "Measurement",
    "QueryDifference",
    "Scored",
    "Shown",
    "evaluate",
    "evaluate_search",
    "latencies",
    "parse_threshold",
    "questions",
]
