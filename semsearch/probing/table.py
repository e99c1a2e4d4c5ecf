"""What probing gave as plain text.

Pure. Deliberately not here: what is measured.
"""

from __future__ import annotations

from collections import Counter

from semsearch.evaluation.table import aligned, signed, significance
from semsearch.probing.values import ALL, Bench, BenchRow
from semsearch.render import safe_line

__all__ = ["of_bench"]


def of_bench(found: Bench) -> str:
    """All figures as text, without a line end behind it."""
    counted = Counter(probe.kind for probe in found.probes)
    kinds = ", ".join(f"{count:,} {kind}s" for kind, count in counted.items())
    lines = [
        f"{safe_line(found.index)}: {found.articles:,} articles, {found.passages:,} passages; probes: {kinds}",
        *map(safe_line, found.notes),
    ]
    columns: list[str] = [*counted, ALL] if len(counted) > 1 else [*counted]
    head = [f"RR@10 {kind}" for kind in columns]
    rows = [["mode", "model", "tokens", *head, "95 % interval", "R@1", "R@10", "to best", "95 % interval", "p (Holm)"]]
    rows += [_row(row, columns) for row in found.rows]
    return "\n".join([*lines, *aligned(rows, left=3), "", safe_line(found.verdict)])


def _row(row: BenchRow, columns: list[str]) -> list[str]:
    way, every, gap = row.way, row.figures[ALL], row.gap
    values = [f"{row.figures[kind].rr:.3f}" for kind in columns]
    behind = ["best", "", ""]
    if gap is not None:
        behind = [signed(gap.difference), f"{signed(gap.low)} to {signed(gap.high)}", significance(gap.p_holm)]
    return [
        way.mode,
        safe_line(way.model),
        "most" if way.passage_tokens is None else str(way.passage_tokens),
        *values,
        f"{every.low:.3f} to {every.high:.3f}",
        f"{every.r1:.3f}",
        f"{every.r10:.3f}",
        *behind,
    ]
