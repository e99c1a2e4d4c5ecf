"""Hits to text: plain, for a terminal, HTML.

What comes out of articles is data: control characters and bidirectional overrides never reach the terminal, and nothing
is HTML until it is escaped.

Pure, but for `terminal`, which draws on the console that it is given. Deliberately not here: JSON (`records`, `results`).
"""

from __future__ import annotations

import html as html_escape
import os
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from semsearch.records import Hit, cited, is_address

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["html", "link", "notes", "safe", "safe_json", "safe_line", "terminal", "text"]

NOTHING = "no passages found"
_SURE = 0.5
"""Hits of this confidence are drawn green."""
_SHOWN_PLACES = 3
_SHOWN_TEXT = 1500
"""Characters of a passage that a notebook shows, as a paragraph of 250 words has."""
UNSURE = "nothing relevant found; the nearest passages:"
_TABLE = "border-collapse: collapse; max-width: 60em"
_CAPTION = "caption-side: top; text-align: left; color: inherit; padding: 0.4em; overflow-wrap: anywhere"
_LEFT = "text-align: left; vertical-align: top"
_TEXT = f"{_LEFT}; white-space: normal; overflow-wrap: anywhere; line-height: 1.45"
_LINES = "white-space: pre-line; margin: 0.2em 0"
_MARK = "background: rgba(255, 196, 0, 0.35); color: inherit; padding: 0"
_TEXT_WIDTH = 100
_SHOWN_QUESTION = 200
"""Characters of a question that are shown again above its hits."""
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_LINE_ENDS = re.compile("\r\n|[\r\u0085\u2028\u2029]")
# A lone surrogate, which a file's name may hold, cannot be printed at all.
_CONTROLS = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}\ud800-\udfff]")
_ESCAPED_IN_JSON = re.compile(f"[\x7f-\x9f\u2028\u2029{_BIDI}\ud800-\udfff]")


def safe(value: str) -> str:
    """The text without what could steer a terminal; line ends (as a line feed) and tabs stay."""
    return _CONTROLS.sub("", _LINE_ENDS.sub("\n", value))


def safe_line(value: str) -> str:
    """`safe` on one line."""
    return safe(value).replace("\n", " ")


def safe_json(document: str) -> str:
    """A JSON document with what could steer a terminal escaped; it means the same.

    :param document: as ``json.dumps`` gives it, which escapes the controls of ASCII itself.
    """
    # None of these occurs outside of a string, where an escape would not be JSON.
    return _ESCAPED_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", document)


def trail(hit: Hit) -> str:
    """Title and headings of a hit on one line; its source, where it has neither."""
    return safe_line(" › ".join(part for part in (hit.title, hit.heading) if part) or hit.source)


def place(hit: Hit) -> str:
    """Where a hit stands: file, line or page."""
    return safe_line(cited(hit.source, hit.line, hit.page))


def notes(hit: Hit) -> list[str]:
    """What else there is to say of a hit, a line each: where its copies are, and how its score came about if that was asked."""
    lines = []
    if hit.duplicates:
        places = [cited(copy.source, copy.line, copy.page) for copy in hit.duplicates[:_SHOWN_PLACES]]
        more = len(hit.duplicates) - len(places)
        lines.append(safe_line(f"also in {', '.join(places)}{f' and {more} more' if more else ''}"))
    if hit.explanation is not None:
        total = sum(weight for _, _, weight in hit.explanation.parts)
        added = " + ".join(f"{weight:g} x {name} {value:.3f}" for name, value, weight in hit.explanation.parts)
        lines.append(f"score: ({added}) / {total:g}; confidence {hit.confidence:.2f}")
        if hit.explanation.rerank is not None:
            lines.append(f"reranked: {hit.explanation.rerank:.3f}")
        if hit.explanation.words:
            words = sorted(hit.explanation.words, key=lambda item: -item[1])
            lines.append(safe_line("words: " + ", ".join(f"{word} {score:.2f}" for word, score in words)))
    return lines


def question(query: str) -> str:
    """A question on one line, its end left out if it is very long."""
    return safe_line(query if len(query) <= _SHOWN_QUESTION else query[:_SHOWN_QUESTION] + "…")


def text(query: str, hits: Sequence[Hit]) -> str:
    """Plain text: two lines a hit and then its passage, indented."""
    count = f"{len(hits)} passage{'s' if len(hits) > 1 else ''}" if hits else NOTHING
    lines = [f"{count} for: {question(query)}"]
    for hit in hits:
        lines += [
            f"{hit.rank}. {hit.score:.2f}  {trail(hit)}",
            f"   {place(hit)}  (paragraph {hit.paragraph})",
            "   " + safe(hit.text).replace("\n", "\n   "),
            *(f"   {line}" for line in notes(hit)),
        ]
    return "\n".join(lines)


def html(query: str, hits: Sequence[Hit], *, answerable: bool = True) -> str:
    """A fragment of HTML for notebooks: a table, the best sentence of each passage in ``<mark>``; everything escaped.

    No scripts and no style sheet, which some viewers take out and which would reach beyond the table: what must look otherwise
    than the notebook has it, such as cells that JupyterLab sets flush right, says so itself. Colours are the notebook's own, so
    that they suit light and dark. Of a long passage the part around its best sentence is shown.

    :param answerable: whether the best hit is believed to answer.
    """
    rows = "".join(map(_table_row, hits)) or f'<tr><td colspan="3" style="{_LEFT}">{NOTHING}</td></tr>'
    doubt = f"<br>{UNSURE}" if hits and not answerable else ""
    caption = f'<caption style="{_CAPTION}"><strong>{html_escape.escape(question(query))}</strong>{doubt}</caption>'
    head = f'<tr><th style="{_LEFT}">#</th><th style="{_LEFT}">score</th><th style="{_LEFT}">passage</th></tr>'
    return f'<table style="{_TABLE}">{caption}<thead>{head}</thead><tbody>{rows}</tbody></table>'


def _table_row(hit: Hit) -> str:
    before, best, after = map(html_escape.escape, _shortened(*_around_highlight(hit)))
    marked = f'<mark style="{_MARK}">{best}</mark>' if best else ""
    date = hit.metadata.get("date")
    where = f"{place(hit)}  {safe_line(str(date))}" if date else place(hit)
    small = "<br>".join(map(html_escape.escape, (where, *notes(hit))))
    return (
        f'<tr><td style="{_LEFT}">{hit.rank}</td><td style="{_LEFT}">{hit.score:.2f}</td>'
        f'<td style="{_TEXT}"><strong>{html_escape.escape(trail(hit))}</strong>'
        f'<div style="{_LINES}">{before}{marked}{after}</div><small>{small}</small></td></tr>'
    )


def _shortened(before: str, best: str, after: str) -> tuple[str, str, str]:
    """A text's three parts with what is far from the best one left out."""
    best = best if len(best) <= _SHOWN_TEXT else best[:_SHOWN_TEXT] + "…"
    rest = max(0, _SHOWN_TEXT - len(best))
    earlier = min(len(before), max(rest // 3, rest - len(after)))
    later = min(len(after), rest - earlier)
    return (
        before if earlier == len(before) else "…" + before[len(before) - earlier :],
        best,
        after if later == len(after) else after[:later] + "…",
    )


def terminal(hits: Sequence[Hit], console: Console) -> None:
    """Draw the hits: wrapped to the width, the best sentence bold, the file a link that opens it."""
    from rich.console import Group
    from rich.style import Style
    from rich.table import Table
    from rich.text import Text

    for hit in hits:
        where = Text()
        where.append(place(hit), style=Style(color="blue", link=link(hit) if hit.path else None))
        where.append(f"  paragraph {hit.paragraph}", style="dim")
        date = hit.metadata.get("date")
        if date:
            where.append(f"  {safe_line(str(date))}", style="dim")
        parts = [
            Text(trail(hit), style="bold cyan"),
            _marked(hit, Text),
            where,
            *(Text(line, style="dim") for line in notes(hit)),
        ]
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=2, justify="right", style="bold")
        grid.add_column(width=4, style="bold green" if hit.confidence >= _SURE else "yellow")
        grid.add_column(max_width=_TEXT_WIDTH)
        grid.add_row(str(hit.rank), f"{hit.score:.2f}", Group(*parts, ""))
        console.print(grid)


def _marked(hit: Hit, make: type[Text]) -> Text:
    before, best, after = _around_highlight(hit)
    marked = make(before)
    marked.append(best, style="bold")
    marked.append(after)
    return marked


def _around_highlight(hit: Hit) -> tuple[str, str, str]:
    """The text before its best sentence, that sentence, the text behind it."""
    best = hit.highlight.text
    # The same sentence may stand there twice. Offsets are the source's, which is the text with some markup.
    share = (hit.highlight.start - hit.start) / max(1, hit.end - hit.start)
    places = [match.start() for match in re.finditer(re.escape(best), hit.text)]
    if not best or not places:
        return safe(hit.text), "", ""
    at = min(places, key=lambda place: abs(place - share * len(hit.text)))
    end = at + len(best)
    return safe(hit.text[:at]), safe(hit.text[at:end]), safe(hit.text[end:])


def link(hit: Hit) -> str:
    """Address of a hit's file for an OSC 8 link, with the line in the form that the terminal at hand understands."""
    if is_address(hit.path):
        return safe_line(hit.path)
    path = Path(hit.path).as_uri().removeprefix("file://")
    if hit.page:
        # As browsers have it, and many who show PDFs; others pass it over.
        return f"file://{quote(socket.gethostname())}{path}#page={hit.page}"
    if os.environ.get("TERM_PROGRAM") == "vscode":
        return f"vscode://file{path}:{hit.line}"
    address = f"file://{quote(socket.gethostname())}{path}"
    return f"{address}#{hit.line}" if os.environ.get("TERM") == "xterm-kitty" else address
