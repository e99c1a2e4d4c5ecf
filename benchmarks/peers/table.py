"""Figures to Markdown, as they are pasted into a README."""

from __future__ import annotations

from typing import Any

HEAD = (
    "cold question, s",
    "times semsearch",
    "memory asking, MB",
    "warm p50 / p95, ms",
    "nDCG@10",
    "R@100",
    "indexing, s",
    "articles/s",
    "memory indexing, MB",
    "on disk, MB",
)


def markdown(figures: dict[str, Any], titles: dict[str, str]) -> str:
    """A table for each collection, a row for each tool; what failed stands below."""
    tables = [_table(name, measured, titles) for name, measured in figures["sets"].items()]
    failures = [f"- {titles[name]}, installing: {_line(reason)}" for name, reason in figures["missing"].items()]
    for name, measured in figures["sets"].items():
        for peer, rows in measured["peers"].items():
            failures += [f"- {titles[peer]}, {name}, {what}: {text}" for what, row in rows.items() if (text := _failed(row))]
    return "\n\n".join([*tables, "\n".join(failures)]).strip()


def _table(name: str, measured: dict[str, Any], titles: dict[str, str]) -> str:
    rows = [(f"{name}, {measured['articles']:,} articles", *HEAD), ("---",) * (1 + len(HEAD))]
    rows += [(titles[peer], *_cells(figures)) for peer, figures in measured["peers"].items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(figures: dict[str, Any]) -> list[str]:
    index, cold, warm, rank = (figures.get(what, {}) for what in ("index", "cold", "warm", "rank"))
    return [
        _spread(cold, "seconds", 2),
        _spread(cold, "times semsearch", 1),
        f"{cold['peak MB']['median']:.0f}" if "peak MB" in cold else "failed",
        f"{warm['p50 ms']:.1f} / {warm['p95 ms']:.1f}" if "p50 ms" in warm else "failed",
        *(f"{rank[name]:.4f}" if name in rank else "failed" for name in ("nDCG@10", "R@100")),
        *(f"{index[name]:,.{digits}f}" if name in index else "failed" for name, digits in INDEXING.items()),
    ]


INDEXING = {"seconds": 1, "articles/s": 0, "peak MB": 0, "disk MB": 1}
"""Figures of indexing, with digits after the point."""


def _spread(figures: dict[str, Any], name: str, digits: int) -> str:
    if name not in figures:
        return "failed"
    least, middle, most = (f"{figures[name][part]:.{digits}f}" for part in ("min", "median", "max"))
    return f"{middle} ({least}-{most})"


def _failed(row: dict[str, Any]) -> str:
    """What went wrong, "" if nothing did."""
    if "error" in row:
        return _line(row["error"])
    return f"{row['failed']} questions, the first with {_line(row['first failure'])}" if row.get("failed") else ""


def _line(text: str) -> str:
    """The end of a message, where programs say what is wrong."""
    return text.strip().splitlines()[-1][-200:] if text.strip() else "no message"
