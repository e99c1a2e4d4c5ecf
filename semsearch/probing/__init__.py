"""Know your articles: probes made from them, indexes compared, models tried, without any judgments.

In: an index, or two. Out: `Bench` (which way to search does best here), `Diff` (which answers differ, and why),
`ModelComparison` (both, for a model that one thinks of). Nothing that is probed or compared is written to.

Deliberately not here: figures from judgments (`evaluation`), the figures and tests themselves (`metrics`).
"""

from __future__ import annotations

from semsearch.probing.benching import DEFAULT_PROBES, bench
from semsearch.probing.candidates import compare_model
from semsearch.probing.differences import diff
from semsearch.probing.probes import KINDS, Probe
from semsearch.probing.values import (
    DIFFERENCES,
    Answer,
    Bench,
    BenchRow,
    ContentChange,
    Cost,
    Diff,
    Fact,
    Figures,
    Gap,
    ModelComparison,
    QuestionDiff,
    Way,
    difference_name,
)

__all__ = [
    "DEFAULT_PROBES",
    "DIFFERENCES",
    "KINDS",
    "Answer",
    "Bench",
    "BenchRow",
    "ContentChange",
    "Cost",
    "Diff",
    "Fact",
    "Figures",
    "Gap",
    "ModelComparison",
    "Probe",
    "QuestionDiff",
    "Way",
    "bench",
    "compare_model",
    "diff",
    "difference_name",
]
