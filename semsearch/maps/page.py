"""A map as HTML: a drawing that stands without scripts, and a script that adds what is seen on pointing at it.

Invariants: what comes from articles and questions is escaped, and text, never HTML; nothing is loaded from anywhere.

Deliberately not here: the script and the style sheet (``map.js``, ``map.css``), pictures (`picture`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semsearch.maps import colors
from semsearch.records import cited
from semsearch.render import question as shown_question
from semsearch.render import safe_line

if TYPE_CHECKING:
    from semsearch.maps import PassageMap

__all__ = ["fragment", "page"]

_WIDTH, _HEIGHT, _MARGIN = 900, 600, 26
_TEXT, _TITLE = 200, 120
"""Characters of a passage, and of a title, that are shown on pointing at it."""
_ZOOM = (("+", "nearer"), ("−", "farther"), ("⤢", "all of it"))
_STAR, _INNER = 12.0, 5.0
_DOT = 7.0, 3.5
"""Widths of a dot, in pixels, on a map of few passages and of many."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(drawn: PassageMap) -> str:
    """The map as a page of its own."""
    title = escape(shown_question(drawn.query))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n</head>\n"
        f'<body class="semsearch-map-page">\n<main>\n{fragment(drawn, "h1")}\n</main>\n</body>\n</html>\n'
    )


def fragment(drawn: PassageMap, heading: str = "strong") -> str:
    """The map as a part of a page, such as a notebook is.

    :param heading: the element that has the question.
    """
    places = _on_screen(drawn)
    asked = escape(shown_question(drawn.query))
    zoom = "".join(f'<button type="button" title="{name}" aria-label="{name}">{sign}</button>' for sign, name in _ZOOM)
    return (
        f'<div class="semsearch-map"><style>{_asset("map.css")}{_colors(drawn)}</style>'
        f"<header><{heading}>{asked}</{heading}><span>{escape(_told(drawn))}</span></header>"
        f'<div class="parts"><div class="stage">{_svg(drawn, places)}'
        f'<div class="zoom" hidden>{zoom}</div><div class="card" role="status" hidden></div></div>'
        f'<div class="side">{_legend(drawn)}{_hits(drawn)}</div></div>'
        f'<script type="application/json">{_data(drawn, places)}</script><script>{_asset("map.js")}</script></div>'
    )


@cache
def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _told(drawn: PassageMap) -> str:
    """The summary, and what follows from it."""
    advice = "; near on the map is not always near in meaning: see the similarity" if drawn.explained_variance else ""
    return drawn.summary() + advice


def _on_screen(drawn: PassageMap) -> NDArray[np.float64]:
    """The places of the passages, and of the question last, in the drawing's own measure: float64 (n + 1, 2).

    Both axes have one scale, or distances would lie; y grows downwards.
    """
    places = np.concatenate([drawn.coordinates, drawn.question[None]]).astype(np.float64) * (1, -1)
    low, high = places.min(axis=0), places.max(axis=0)
    room = np.asarray([_WIDTH, _HEIGHT]) - 2 * _MARGIN
    scale = (room / np.maximum(high - low, 1e-9)).min()
    return np.asarray(np.round((places - (low + high) / 2) * scale + (_WIDTH / 2, _HEIGHT / 2), 2))


def _colors(drawn: PassageMap) -> str:
    """The groups' colours, for light ground and for dark."""
    light = colors.palette(drawn.colored, colors.LIGHT, colors.LIGHT_SCALE)
    dark = colors.palette(drawn.colored, colors.DARK, colors.DARK_SCALE)
    # Of this map alone: a notebook may show several.
    return "".join(
        f".semsearch-map .{_group(drawn, number)}{{--c:light-dark({day},{night})}}"
        for number, (day, night) in enumerate(zip(light, dark, strict=True))
    )


def _group(drawn: PassageMap, number: int) -> str:
    """The class of a group; steps have others than groups have, for a notebook may show maps of both."""
    return "others" if number == colors.OTHERS else f"{'step' if drawn.colored.stepped else 'group'}{number}"


def _svg(drawn: PassageMap, places: NDArray[np.float64]) -> str:
    few, many = _DOT
    width = few if len(drawn) <= 500 else many
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(_told(drawn))}">',
        f'<g class="view" stroke-width="{width}">',
    ]
    order = [colors.OTHERS, *range(len(drawn.colored.labels))]
    for group in order:
        inside = np.flatnonzero((drawn.colored.groups == group) & (drawn.ranks == 0))
        dots = "".join(f"M{x:g} {y:g}h0" for x, y in places[inside].tolist())
        parts.append(f'<path class="dots {_group(drawn, group)}" data-group="{group}" d="{dots}"/>')
    parts.append("</g>")
    # The best one last, so that it lies on top.
    for place in sorted(np.flatnonzero(drawn.ranks).tolist(), key=lambda place: -int(drawn.ranks[place])):
        x, y = places[place].tolist()
        rank, group = int(drawn.ranks[place]), _group(drawn, int(drawn.colored.groups[place]))
        title = escape(safe_line(drawn.rows[place].title or drawn.rows[place].source)[:_TITLE])
        parts.append(
            f'<g class="hit {group}" data-at="{place}" transform="translate({x:g} {y:g})"><title>{rank}. {title}</title>'
            f'<circle r="{9 if rank < 100 else 11}"/><text dy=".35em">{rank}</text></g>'
        )
    x, y = places[-1].tolist()
    parts.append(f'<g class="star" transform="translate({x:g} {y:g})"><title>the question</title><path d="{_star()}"/></g></svg>')
    return "".join(parts)


def _star() -> str:
    corners = []
    for corner in range(10):
        radius = _INNER if corner % 2 else _STAR
        angle = math.pi * corner / 5
        corners.append(f"{radius * math.sin(angle):.1f} {-radius * math.cos(angle):.1f}")
    return f"M{'L'.join(corners)}Z"


def _legend(drawn: PassageMap) -> str:
    """What the colours say; each line is a button, which hides and shows its passages."""
    counts = drawn.colored.counts()
    named = [(number, label) for number, label in enumerate(drawn.colored.labels) if counts[number]]
    if counts[-1]:
        named.append((colors.OTHERS, drawn.colored.others))
    lines = "".join(
        f'<li><button type="button" aria-pressed="true" data-group="{number}"><i class="{_group(drawn, number)}"></i>'
        f"<span>{escape(safe_line(label)[:_TITLE])}</span> <small>{counts[number]:,}</small></button></li>"
        for number, label in named
    )
    return f'<p class="by">color: {escape(safe_line(drawn.colored.by)[:_TITLE])}</p><ul class="legend">{lines}</ul>'


def _hits(drawn: PassageMap) -> str:
    places = {int(drawn.ranks[place]): place for place in np.flatnonzero(drawn.ranks).tolist()}
    lines = "".join(
        f'<li><button type="button" data-at="{places[hit.rank]}"><b>{hit.rank}</b>'
        f"<span>{escape(safe_line(hit.title or hit.source)[:_TITLE])}</span> <small>{hit.score:.2f}</small></button></li>"
        for hit in drawn.results
    )
    return f'<p class="by">★ the question, and its hits</p><ol class="hits">{lines}</ol>' if lines else ""


def _data(drawn: PassageMap, places: NDArray[np.float64]) -> str:
    """What the script shows of each passage, as JSON that can stand in a page."""
    articles = {row.article: number for number, row in enumerate({row.article: row for row in drawn.rows}.values())}
    named = {articles[row.article]: row for row in drawn.rows}
    document: dict[str, Any] = {
        "width": _WIDTH,
        "height": _HEIGHT,
        "x": places[:-1, 0].tolist(),
        "y": places[:-1, 1].tolist(),
        "star": places[-1].tolist(),
        "group": drawn.colored.groups.tolist(),
        "near": [round(float(value), 3) for value in drawn.similarity],
        "article": [articles[row.article] for row in drawn.rows],
        "articles": [[_short(row.title or row.source, _TITLE), _short(row.source, _TITLE)] for row in named.values()],
        "place": [cited("", row.passage.line, row.passage.page) for row in drawn.rows],
        "heading": list(_headings(drawn)),
        "text": [_short(row.passage.text, _TEXT) for row in drawn.rows],
        "hits": {
            str(place): [int(drawn.ranks[place]), round(drawn.results[int(drawn.ranks[place]) - 1].score, 2)]
            for place in np.flatnonzero(drawn.ranks).tolist()
        },
    }
    # A tag that would end the script cannot begin.
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _headings(drawn: PassageMap) -> Iterator[str]:
    return (_short(row.passage.heading, _TITLE) for row in drawn.rows)


def _short(text: str, most: int) -> str:
    line = safe_line(text[: 2 * most])
    return line if len(text) <= most else line[:most] + "…"
