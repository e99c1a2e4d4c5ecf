"""Know your articles: probes made from them, indexes compared, models tried, without any judgments.

In: an index, or two. Out: `Bench` (which way to search does best here). Nothing that is probed or compared is written to.

Deliberately not here: figures from judgments (`evaluation`), the figures and tests themselves (`metrics`).
"""

from __future__ import annotations

from semsearch.probing.benching import DEFAULT_PROBES, bench
from semsearch.probing.probes import KINDS, Probe
from semsearch.probing.values import Bench, BenchRow, Figures, Gap, Way

__all__ = ["DEFAULT_PROBES", "KINDS", "Bench", "BenchRow", "Figures", "Gap", "Probe", "Way", "bench"]
