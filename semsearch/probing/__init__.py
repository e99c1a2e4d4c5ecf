"""Know your articles: probes made from them, indexes compared, models tried, without any judgments.

In: an index, or two. Out: `Bench` (which way to search does best here), `Diff` (which answers differ, and why).
Nothing that is probed or compared is written to.

Deliberately not here: figures from judgments (`evaluation`), the figures and tests themselves (`metrics`).
"""

from __future__ import annotations

from semsearch.probing.benching import DEFAULT_PROBES, bench
from semsearch.probing.differences import diff
from semsearch.probing.probes import KINDS, Probe
from semsearch.probing.values import (
    DIFFERENCES,
    Answer,
    Bench,
    BenchRow,
    ContentChange,
    Diff,
    Fact,
    Figures,
    Gap,
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
    "Diff",
    "Fact",
    "Figures",
    "Gap",
    "Probe",
    "QuestionDiff",
    "Way",
    "bench",
    "diff",
    "difference_name",
]
