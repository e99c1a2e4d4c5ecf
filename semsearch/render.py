"""Hits to text: plain, for a terminal, HTML, Markdown, lines for editors and for trec_eval.

What comes out of articles is data: control characters and bidirectional overrides never reach the terminal, and nothing
is HTML until it is escaped.

Pure, but for `terminal`, which draws on the console that it is given. Deliberately not here: JSON (`records`, `results`).
"""

from __future__ import annotations

import html as html_escape
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from semsearch.records import Hit, cited, has_lines, is_address

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = [
    "column",
    "html",
    "link",
    "markdown",
    "notes",
    "paths",
    "run_lines",
    "safe",
    "safe_json",
    "safe_line",
    "terminal",
    "text",
    "trec",
]

NOTHING = "no passages found"
_SURE = 0.5
"""Hits of this confidence are drawn green."""
_SHOWN_PLACES = 3
_SHOWN_TEXT = 1500
"""Characters of a passage that a notebook shows, as a paragraph of 250 words has."""
UNSURE = "nothing relevant found; the nearest passages:"
NEAREST = "nothing relevant found; the nearest "
_IN_ADDRESS = "/:?#@!$&'()*+,;=%~-._"
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

_MARKDOWN = re.compile(
    r"""
    [\\`*_{}\[\]<>#|&!~$^]        # what begins or ends marks, links, HTML, tables and formulas, wherever it stands
    | (?<=^)[-+=:](?=[-+=:\s]|$)      # at the beginning of a line: lists, rules, headings underlined, blocks
    | (?<=^)\d{1,9}(?=[.)])         # numbered lists: the mark behind the number is escaped
    | :(?=//) | (?<=\bwww)\.        # addresses that some make a link of
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SPACE = re.compile(r"\s")


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


def text(query: str, hits: Sequence[Hit], *, answerable: bool = True) -> str:
    """Plain text: two lines a hit and then its passage, indented.

    :param answerable: whether the hits are believed to answer; else it is said that they are not.
    """
    count = f"{len(hits)} passage{'s' if len(hits) > 1 else ''}" if hits else NOTHING
    lines = [f"{'' if answerable or not hits else NEAREST}{count} for: {question(query)}"]
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


def markdown(query: str, hits: Sequence[Hit], *, answerable: bool = True) -> str:
    """A numbered list in Markdown: title, score and place of each hit with a link to its file, and its passage as a quotation.

    The best sentence is bold. Whatever articles say is escaped: it is text to CommonMark and to its usual extensions, never a
    mark, a link or HTML.
    """
    blocks = [f"**{_escaped(question(query))}**"]
    if not hits:
        blocks.append(NOTHING)
    elif not answerable:
        blocks.append(UNSURE)
    for hit in hits:
        indent = " " * (len(str(hit.rank)) + 2)
        head = f"{hit.rank}. {_escaped(trail(hit))} ({hit.score:.2f}), {_linked(hit)}"
        details = [f"{indent}{_escaped(line)}" for line in notes(hit)]
        quoted = [f"{indent}> {line}".rstrip() for line in _quoted(hit)]
        blocks.append("\n".join([head, "", *quoted, *(("", "\\\n".join(details)) if details else ())]))
    return "\n\n".join(blocks)


def _quoted(hit: Hit) -> list[str]:
    """The lines of a passage, the best sentence between marks of bold text, line by line."""
    before, best, after = _around_highlight(hit)
    lines = [""]
    for part, bold, behind in ((before, False, best), (best, True, after), (after, False, "")):
        for number, line in enumerate(part.split("\n")):
            if number:
                lines.append("")
            last = number == part.count("\n")
            lines[-1] += _bold(line, lines[-1], behind if last else "") if bold else _escaped(line, first=not lines[-1])
    stripped = [line.strip() for line in lines]
    # A line's end is kept by a backslash before it, unless the next one is blank.
    return [f"{line}\\" if line and after else line for line, after in zip(stripped, [*stripped[1:], ""], strict=True)]


def _bold(line: str, before: str, behind: str) -> str:
    """Bold text, where marks are taken for marks: a sign of punctuation inside of one must have white space outside of it."""
    inner = line.strip()
    escaped = _escaped(line, first=not before)
    opens = bool(inner) and (inner[0].isalnum() or not before or before[-1].isspace())
    closes = bool(inner) and (inner[-1].isalnum() or not behind or behind[0].isspace() or line[-1].isspace())
    if not (opens and closes):
        return escaped
    left = " " if before and line[0].isspace() else ""
    return f"{left}**{_escaped(inner, first=not before)}**{' ' if line[-1].isspace() else ''}"


def _escaped(value: str, *, first: bool = True) -> str:
    """A text on one line with all that Markdown would take for more than text escaped.

    :param first: whether it stands at the beginning of a line.
    """
    value = safe_line(value).replace("\t", " ")
    value = value.lstrip() if first else value
    escaped = _MARKDOWN.sub(lambda match: _mark(match[0]), value if first else f"\0{value}")
    return escaped.removeprefix("\0")


def _mark(found: str) -> str:
    return f"{found}\\" if found[0].isdigit() else f"\\{found}"


def _linked(hit: Hit) -> str:
    label = _escaped(cited(hit.source, hit.line, hit.page))
    if is_address(hit.path):
        return f"[{label}](<{quote(safe_line(hit.path), safe=_IN_ADDRESS)}>)"
    if not Path(hit.path).is_absolute():
        return label
    at = f"#page={hit.page}" if hit.page else f"#L{hit.line}" if has_lines(hit.source) else ""
    return f"[{label}](<{Path(hit.path).as_uri()}{at}>)"


def paths(hits: Sequence[Hit]) -> str:
    """A line a hit as compilers and grep write it, which editors follow: ``file:line: `` and the best sentence.

    A file in the working directory or below is named from there, any other by its whole path. Of a PDF the page is told, of other
    files that have no lines nothing but their name.
    """
    places = [
        cited(_from_here(hit), hit.line, hit.page) if has_lines(hit.source) or hit.page else _from_here(hit) for hit in hits
    ]
    return "\n".join(
        f"{place}: {safe_line(hit.highlight.text or hit.text).strip()}" for place, hit in zip(places, hits, strict=True)
    )


def _from_here(hit: Hit) -> str:
    if is_address(hit.path) or not Path(hit.path).is_absolute():
        return safe_line(hit.source)
    path, here = Path(hit.path), Path.cwd()
    return safe_line(str(path.relative_to(here) if path.is_relative_to(here) else path))


def trec(query_id: str, hits: Sequence[Hit], tag: str) -> str:
    """The lines of a TREC run: each article once, by its best passage, and its source as its id."""
    best: dict[str, float] = {}
    for hit in hits:
        best.setdefault(hit.source, hit.score)
    return "".join(run_lines({query_id: list(best.items())}, tag)).rstrip("\n")


def column(identifier: str) -> str:
    """Return an id as a column of a TREC file can hold it: percent-encoded if it has white space or control characters."""
    if identifier and not _SPACE.search(identifier) and not _CONTROLS.search(identifier):
        return identifier
    return quote(identifier, safe="/:#<>@,;=+()[]", errors="surrogatepass")


def run_lines(rankings: Mapping[str, Sequence[tuple[str, float]]], tag: str) -> Iterator[str]:
    """The lines of a TREC run, with line ends; scores fall from rank to rank even in single precision."""
    import numpy as np

    for query, ranking in rankings.items():
        last = np.float32(np.inf)
        for rank, (document, score) in enumerate(ranking, 1):
            last = min(np.float32(score), np.nextafter(last, np.float32(-np.inf), dtype=np.float32))
            yield f"{column(query)} Q0 {column(document)} {rank} {float(last):.9g} {column(tag)}\n"


def terminal(hits: Sequence[Hit], console: Console) -> None:
    """Draw the hits: wrapped to the width, the best sentence bold, the file a link that opens it."""
    from rich.console import Group
    from rich.style import Style
    from rich.table import Table
    from rich.text import Text

    for hit in hits:
        where = Text()
        where.append(place(hit), style=Style(color="blue", link=link(hit)))
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


def link(hit: Hit) -> str | None:
    """Address of a hit's file for an OSC 8 link, with the line in the form that the terminal at hand understands.

    None if the path does not name a file, which an index of somebody else may have.
    """
    if is_address(hit.path):
        return quote(safe_line(hit.path), safe=_IN_ADDRESS)
    if not Path(hit.path).is_absolute():
        return None
    path = Path(hit.path).as_uri().removeprefix("file://")
    if hit.page:
        # As browsers have it, and many who show PDFs; others pass it over.
        return f"file://{quote(socket.gethostname())}{path}#page={hit.page}"
    if os.environ.get("TERM_PROGRAM") == "vscode":
        return f"vscode://file{path}:{hit.line}"
    address = f"file://{quote(socket.gethostname())}{path}"
    return f"{address}#{hit.line}" if os.environ.get("TERM") == "xterm-kitty" else address
