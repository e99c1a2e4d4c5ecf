"""Plots as SVG that a page can hold: in the page's own colour of text, so that they are legible on light and on dark.

Deliberately not here: the page around them (`report`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

from semsearch import drawing
from semsearch.metrics import RECALL_LEVELS
from semsearch.render import safe_line

__all__ = ["bars", "latency", "precision_recall"]

_INK = "#010203"
"""Stands for the page's colour of text until the plot is part of the page."""
_COLOURS = ("#3b82c4", "#d9772b", "#2a9d74", "#b667a0", "#c9a227", "#7d8590")
"""Told apart by those who do not see all colours, after Okabe and Ito."""
_BETTER, _WORSE = "#2a9d74", "#d9572b"
_MARKERS = ("o", "s", "^", "D", "v", "P")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.6)), (0, (6, 2, 1.2, 2)), (0, (9, 3)), (0, (4, 1.5, 1, 1.5, 1, 1.5)))
_WIDTH = 6.2
_MOST_BINS = 40
_LABEL = 50
"""Characters of a label in a legend, which is inside the plot."""


class _Plot:
    """Axes to draw on, and the SVG that comes of them."""

    def __init__(self, axes: Any) -> None:
        self.axes = axes
        self.svg = ""


@contextmanager
def _plot(title: str, x: str, y: str, height: float = 3.2) -> Iterator[_Plot]:
    """Axes in the style of the page; ``svg`` is there when the block is left.

    :param title: what the plot says, for those who cannot see it.
    """
    with drawing.axes(_WIDTH, height, ink=_INK, salt=title) as axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color=_INK, alpha=0.12, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        plot = _Plot(axes)
        yield plot
        drawn = drawing.saved(axes, "svg", transparent=True).decode()
    plot.svg = _for_a_page(drawn, title)


def _for_a_page(svg: str, title: str) -> str:
    """The ``<svg>`` element alone, as wide as the page lets it be, named, without metadata and a style for the whole page."""
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'font: (?:[^;"]*?)(\d+)px [^;"]*', r"font-size: \1px; font-family: inherit", svg)
    svg = svg.replace(_INK, "currentColor")
    return re.sub(
        r'(<svg [^>]*?)width="[^"]*"',
        lambda match: f'{match[1]}role="img" aria-label="{escape(title)}"',
        re.sub(r' height="[^"]*pt"', "", svg, count=1),
        count=1,
    )


def bars(values: Sequence[float], metric: str, *, differences: bool) -> str:
    """One bar a query, the greatest at the left: differences from 0 up and down, or values."""
    ranked = sorted(values, reverse=True)
    what = f"difference in {metric}" if differences else metric
    with _plot(f"{what} of each query", f"{len(ranked):,} queries, by {what}", what) as plot:
        colours = [_BETTER if value > 0 else _WORSE for value in ranked] if differences else _COLOURS[0]
        # Bars of many queries touch, or they would flicker.
        plot.axes.bar(range(len(ranked)), ranked, width=0.85 if len(ranked) <= 150 else 1.0, color=colours)
        plot.axes.axhline(0, color=_INK, linewidth=0.8)
        plot.axes.set_xlim(-0.6, len(ranked) - 0.4)
        plot.axes.set_xticks([])
        if not differences:
            plot.axes.set_ylim(0, max(1.0, *ranked))
    return plot.svg


def precision_recall(curves: Mapping[str, Sequence[float]], dashed: Mapping[str, Sequence[float]]) -> str:
    """Interpolated precision at eleven levels of recall, a line a run; ``dashed`` are those that are compared with.

    Each line is thinner than the one that it may lie on, and has gaps, so that of equal ones both are seen.
    """
    with _plot("Interpolated precision at eleven levels of recall", "recall", "precision (interpolated)", 3.6) as plot:
        for number, (label, precisions) in enumerate(curves.items()):
            style = number % len(_COLOURS)
            plot.axes.plot(
                RECALL_LEVELS,
                precisions,
                marker=_MARKERS[style],
                markersize=max(3.5, 8 - 2 * number),
                linestyle=_DASHES[style],
                linewidth=max(1.3, 3.2 - 0.8 * number),
                color=_COLOURS[style],
                label=_label(label),
            )
        for label, precisions in dashed.items():
            plot.axes.plot(RECALL_LEVELS, precisions, linestyle="--", linewidth=1.6, color=_INK, alpha=0.6, label=_label(label))
        plot.axes.set_xlim(-0.02, 1.02)
        plot.axes.set_ylim(0, 1.02)
        _legend(plot.axes, len(curves) + len(dashed))
    return plot.svg


def latency(times: Mapping[str, Sequence[float]]) -> str:
    """How many single searches took how many milliseconds, a histogram a run."""
    import numpy as np

    with _plot("Milliseconds of single searches", "milliseconds", "searches", 2.8) as plot:
        everything = np.concatenate([np.asarray(found, np.float64) for found in times.values()])
        edges = np.histogram_bin_edges(everything, bins=min(_MOST_BINS, 8 + len(everything) // 8))
        for number, (label, found) in enumerate(times.items()):
            colour = _COLOURS[number % len(_COLOURS)]
            plot.axes.hist(found, bins=edges, histtype="stepfilled", color=colour, alpha=0.55, label=_label(label))
            for share, style in ((50, "-"), (95, ":")):
                plot.axes.axvline(np.percentile(found, share), color=colour, linestyle=style, linewidth=1.6)
        _legend(plot.axes, len(times))
    return plot.svg


def _label(text: str) -> str:
    """Return a label without characters that an SVG cannot hold. A long text, such as a path, is truncated at the start."""
    line = safe_line(text)
    return drawing.plain(line if len(line) <= _LABEL else "…" + line[1 - _LABEL :])


def _legend(axes: Any, lines: int) -> None:
    if lines > 1:
        axes.legend(frameon=False, fontsize=9, handlelength=3.6)
