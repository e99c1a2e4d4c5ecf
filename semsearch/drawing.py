"""Axes to draw on: the one door to matplotlib.

Deliberately not here: what is drawn on them (`evaluation.plots`, `maps.picture`).
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from semsearch.errors import MissingExtra

__all__ = ["axes", "check_installed", "plain", "saved"]

_FAMILIES = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Hiragino Sans", "Yu Gothic", "Microsoft YaHei", "WenQuanYi Micro Hei",
    "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai", "Arial Unicode MS",
)  # fmt: skip
"""Fonts that have letters which matplotlib's own lacks; those of them that are installed are used."""


def check_installed(what: str, extra: str) -> None:
    """Refuse early where nothing can be drawn.

    :param what: what wants to draw, as the message names it.
    :param extra: the extra that has it.
    :raises MissingExtra: if matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtra(f'{what} needs {error.name}: python -m pip install "semsearch[{extra}]"') from error


@contextmanager
def axes(width: float, height: float, *, ink: str = "black", salt: str = "") -> Iterator[Any]:
    """Axes of a figure of its own, which no window and no state of pyplot knows of; it must be saved inside the block.

    :param width: in inches, like ``height``.
    :param ink: colour of text and lines.
    :param salt: what the names inside an SVG are made of, which are then the same each time.
    """
    from matplotlib import font_manager, rc_context
    from matplotlib.figure import Figure

    known = set(font_manager.fontManager.get_font_names())
    families = ["sans-serif", *(family for family in _FAMILIES if family in known)]
    settings = {"svg.fonttype": "none", "svg.hashsalt": salt, "font.family": families, "font.size": 10}
    colours = dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), ink)
    # A letter that no font has is drawn as a box: nothing that a user could be told to do about.
    with rc_context({**settings, **colours}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield Figure(figsize=(width, height), layout="constrained").add_subplot()


def saved(drawn: Any, kind: str, **options: Any) -> bytes:
    """The figure that axes belong to as a file's bytes: ``svg`` or ``png``; the same each time."""
    file = io.BytesIO()
    facts = {"svg": {"Date": None}, "png": {"Software": None}}
    drawn.figure.savefig(file, format=kind, metadata=facts[kind], **options)
    return file.getvalue()


def plain(label: str) -> str:
    """A label that is not taken for mathematics, nor left out for a leading underscore."""
    return label.replace("$", r"\$").lstrip("_") or "-"
