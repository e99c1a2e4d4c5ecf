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

from semsearch.records import Hit

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["html", "safe", "terminal", "text"]

NOTHING = "no passages found"
_MARGIN = 9
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def safe(value: str) -> str:
    """The text without what could steer a terminal; line ends and tabs stay."""
    return _CONTROLS.sub("", value.replace("\r\n", "\n").replace("\r", "\n"))


def trail(hit: Hit) -> str:
    """Title and headings of a hit on one line."""
    return safe(" › ".join(part for part in (hit.title, hit.heading) if part)).replace("\n", " ")


def place(hit: Hit) -> str:
    """Where a hit stands, as compilers and grep write it: file, line."""
    return safe(f"{hit.source}:{hit.line}").replace("\n", " ")


def text(query: str, hits: Sequence[Hit]) -> str:
    """Plain text: three lines a hit, its passage on one line."""
    lines = [f"{len(hits)} passages for: {safe(query)}" if hits else f"{NOTHING} for: {safe(query)}"]
    for hit in hits:
        lines += [
            f"{hit.rank}. {hit.score:.2f}  {trail(hit)}",
            f"   {place(hit)}  (paragraph {hit.paragraph})",
            "   " + safe(hit.text).replace("\n", "\n   "),
        ]
    return "\n".join(lines)


def html(query: str, hits: Sequence[Hit]) -> str:
    """A fragment of HTML: a table, the best sentence of each passage in ``<mark>``; everything escaped."""
    rows = []
    for hit in hits:
        before, best, after = map(html_escape.escape, _around_highlight(hit))
        rows.append(
            f"<tr><td>{hit.rank}</td><td>{hit.score:.2f}</td><td><strong>{html_escape.escape(trail(hit))}</strong><br>"
            f"{before}<mark>{best}</mark>{after}<br><small>{html_escape.escape(place(hit))}</small></td></tr>"
        )
    caption = f"<caption>{html_escape.escape(safe(query))}</caption>"
    head = "<tr><th>#</th><th>score</th><th>passage</th></tr>"
    return f"<table>{caption}{head}{''.join(rows) or f'<tr><td colspan=3>{NOTHING}</td></tr>'}</table>"


def terminal(hits: Sequence[Hit], console: Console) -> None:
    """Draw the hits: wrapped to the width, the best sentence bold, the file a link that opens it."""
    from rich.padding import Padding
    from rich.text import Text

    for hit in hits:
        head = Text(f"{hit.rank:>2}  ", style="bold")
        head.append(f"{hit.score:.2f}", style="bold green" if hit.score >= 0.5 else "yellow")
        head.append(" ")
        head.append(trail(hit), style="bold cyan")
        console.print(head, no_wrap=True, overflow="ellipsis")
        console.print(Padding(_marked(hit, Text), (0, 2, 0, _MARGIN)))
        where = Text(place(hit), style=f"blue link {link(hit)}" if hit.path else "blue")
        where.append(f"  paragraph {hit.paragraph}", style="dim not underline")
        date = hit.metadata.get("date")
        if date:
            where.append(f"  {safe(str(date))}", style="dim")
        console.print(Padding(where, (0, 0, 1, _MARGIN)))


def _marked(hit: Hit, make: type[Text]) -> Text:
    before, best, after = _around_highlight(hit)
    marked = make(before)
    marked.append(best, style="bold")
    marked.append(after)
    return marked


def _around_highlight(hit: Hit) -> tuple[str, str, str]:
    """The text before its best sentence, that sentence, the text behind it."""
    at = max(0, hit.text.find(hit.highlight.text))
    end = at + len(hit.highlight.text)
    return safe(hit.text[:at]), safe(hit.text[at:end]), safe(hit.text[end:])


def link(hit: Hit) -> str:
    """Address of a hit's file for an OSC 8 link, with the line in the form that the terminal at hand understands."""
    path = quote(Path(hit.path).as_posix())
    if os.environ.get("TERM_PROGRAM") == "vscode":
        return f"vscode://file{path}:{hit.line}"
    address = f"file://{socket.gethostname()}{path}"
    return f"{address}#{hit.line}" if os.environ.get("TERM") == "xterm-kitty" else address
