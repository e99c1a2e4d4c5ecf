"""An evaluation as plain text: one table of figures, and for each comparison its differences and queries.

Pure. Deliberately not here: HTML (`report`).
"""

from __future__ import annotations

from collections.abc import Sequence

from semsearch.evaluation.values import Comparison, Evaluation, QueryDifference, Shown
from semsearch.render import safe_line

__all__ = ["aligned", "brief", "signed", "significance", "text"]

_WIDTH = 100


def text(evaluation: Evaluation) -> str:
    """All figures as text, without a line end behind it."""
    first = evaluation[0]
    metrics = list(first.metrics)
    lines = [
        f"{safe_line(evaluation.dataset)}: {len(evaluation.queries):,} queries, {first.documents:,} documents,"
        f" {first.passages:,} passages"
    ]
    rows = [["mode", "model", *metrics, "index s", "p50 ms", "p95 ms"]]
    for found in evaluation:
        latency = found.latency_ms
        figures = [f"{found.metrics[metric]:.4f}" for metric in metrics]
        times = [f"{found.seconds.get('index', 0):.1f}", f"{latency['p50']:.1f}", f"{latency['p95']:.1f}"]
        rows.append([found.mode, safe_line(found.model), *figures, *times])
    lines += aligned(rows, left=2)
    for found in evaluation:
        if found.comparison is not None:
            lines += ["", f"{safe_line(found.label)} against {safe_line(found.comparison.baseline)}"]
            lines += _compared(found.comparison)
            lines += _listed("won", found.comparison.won, evaluation)
            lines += _listed("lost", found.comparison.lost, evaluation)
    return "\n".join(lines)


def signed(difference: float) -> str:
    """A difference as it is printed; nothing is below 0 that is printed as 0."""
    return f"{round(difference, 4) + 0.0:+.4f}"


def significance(p: float) -> str:
    """A p value as it is printed."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _compared(comparison: Comparison) -> list[str]:
    rows = [["metric", "value", "other", "difference", "95 % interval", "p", "p (Holm)"]]
    for item in comparison.metrics:
        span = f"{signed(item.low)} to {signed(item.high)}"
        numbers = [f"{item.value:.4f}", f"{item.baseline:.4f}", signed(item.difference), span]
        rows.append([item.metric, *numbers, significance(item.p), significance(item.p_holm)])
    return aligned(rows, left=1)


def _listed(word: str, found: Sequence[QueryDifference], evaluation: Evaluation) -> list[str]:
    lines = [f"{word} most:"] if found else []
    for item in found:
        lines.append(f"  {signed(item.difference)}  {_cut(safe_line(item.text))}")
        for whose, top in (("this", item.top), ("other", item.baseline_top)):
            lines.append(f"           {whose:<5}  {_cut(safe_line(brief(top, evaluation.documents.get(top or ''))))}")
    return lines


def brief(document: str | None, known: Shown | None) -> str:
    """A document on one line: its id and what it is recognised by."""
    if document is None:
        return "nothing found"
    return f"{document}  {known.title or known.text}" if known else document


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def aligned(rows: list[list[str]], left: int) -> list[str]:
    """Rows with their columns aligned: the first ``left`` of them at the left, the numbers at the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
