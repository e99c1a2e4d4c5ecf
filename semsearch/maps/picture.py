"""A map as a picture.

Deliberately not here: matplotlib's own settings (`drawing`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from semsearch import drawing
from semsearch.maps import colors
from semsearch.render import question as shown_question
from semsearch.render import safe_line

if TYPE_CHECKING:
    from semsearch.maps import PassageMap

__all__ = ["png"]

_WIDTH, _HEIGHT = 10.0, 6.6
_INK, _ACCENT, _OTHERS = "#1b1d22", "#c2260c", "#b9bec7"
_LABEL = 34
"""Characters of a label in the legend."""
_FEW = 500
_BRIGHT = 175
"""Green, of 255, from which on a colour takes dark letters."""


def png(drawn: PassageMap, dpi: int) -> bytes:
    """The picture's file, the same each time.

    :raises MissingExtra: if matplotlib is not installed.
    """
    drawing.check_installed("to_png()", "plot")
    with drawing.axes(_WIDTH, _HEIGHT, ink=_INK) as axes:
        axes.set_title(drawing.plain(shown_question(drawn.query)), loc="left", fontsize=12, fontweight="bold", pad=22, wrap=True)
        axes.text(0, 1.02, drawn.summary(), transform=axes.transAxes, fontsize=9, color="#5b626d")
        # One scale for both axes, or distances would lie.
        axes.set_aspect("equal", adjustable="datalim")
        axes.spines[:].set_color(_OTHERS)
        axes.set_xticks([])
        axes.set_yticks([])
        _dots(axes, drawn)
        _hits(axes, drawn)
        axes.scatter(
            *drawn.question, marker="*", s=320, color=_ACCENT, edgecolors="white", linewidths=1, zorder=5, label="question"
        )
        _legend(axes, drawn)
        return drawing.saved(axes, "png", dpi=dpi, facecolor="white")


def _dots(axes: Any, drawn: PassageMap) -> None:
    for group, (label, color) in _groups(drawn).items():
        inside = drawn.colored.groups == group
        if inside.any():
            size = 22 if len(drawn) <= _FEW else 7
            x, y = drawn.coordinates[inside].T
            axes.scatter(x, y, s=size, color=color, alpha=0.8, linewidths=0, zorder=1 if group < 0 else 2, label=_label(label))


def _hits(axes: Any, drawn: PassageMap) -> None:
    groups = _groups(drawn)
    # The best one last, so that it lies on top.
    for place in sorted(np.flatnonzero(drawn.ranks).tolist(), key=lambda place: -int(drawn.ranks[place])):
        x, y = drawn.coordinates[place]
        rank, (_, color) = int(drawn.ranks[place]), groups[int(drawn.colored.groups[place])]
        axes.scatter(x, y, s=130, color=color, edgecolors=_ACCENT, linewidths=1.6, zorder=3 + 1 / rank)
        ink = _INK if int(color[3:5], 16) > _BRIGHT else "white"
        text = {"ha": "center", "va": "center_baseline", "fontsize": 7, "fontweight": "bold"}
        axes.annotate(str(rank), (x, y), color=ink, zorder=3 + 1 / rank, **text)


def _legend(axes: Any, drawn: PassageMap) -> None:
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "alignment": "left"}
    legend = axes.legend(frameon=False, fontsize=8, title=_label(drawn.colored.by), **place)
    # Of many passages the dots are too small to tell a colour by; the last one is the question's star.
    for dot in legend.legend_handles[:-1]:
        dot.set_sizes([36])


def _groups(drawn: PassageMap) -> dict[int, tuple[str, str]]:
    """What each group is called, and its colour; the others last."""
    palette = colors.palette(drawn.colored, colors.LIGHT, colors.LIGHT_SCALE)
    named = dict(enumerate(zip(drawn.colored.labels, palette, strict=True)))
    return {**named, colors.OTHERS: (drawn.colored.others, _OTHERS)}


def _label(text: str) -> str:
    line = safe_line(text)
    return drawing.plain(line if len(line) <= _LABEL else line[: _LABEL - 1] + "…")
