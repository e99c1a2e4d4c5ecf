"""What stands on the pages of a PDF, put into the order in which it is read: lines, columns, paragraphs.

In: `Segment`s, the stretches of text that a page draws, with their places. Out: paragraphs, in the order of reading, without the
rows that pages repeat at their heads and feet, and without the hyphens at which lines were broken.

A PDF says where letters are and nothing else; all of this is told from places and sizes. The rules, each where it is kept:

- A *gutter* is a stretch of white that lies between two pieces of prose in several rows (`_gutters`); the cells of a table lie
  above one another too, but are no prose. What lies across a gutter ends the columns above it.
- A row that pages near each other have at the same height at their head or foot is a running one, if it says the same on each
  but for the page's number (`without_running`). In doubt it is text: a number more is no harm, a row of a table less is.
- A paragraph ends where lines stand further apart than they mostly do, a line is set in, or the last one ends early (`_goes_on`).

Pure: no files, no library. Deliberately not here: how a PDF is opened, what becomes a heading (`pdf`).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from semsearch.scripts import UNSPACED

__all__ = ["Line", "Page", "Paragraph", "Segment", "paragraphs", "unmarked", "without_running"]

_MIN_ROWS = 4
"""Rows that must have the same white between them for it to part columns."""
_PROSE = 16
"""Characters that pieces of prose beside each other have on average, at least."""
_CELL = 1.2
"""Heights of a line that pieces of one line are apart when they are cells of a table."""
_MAX_GUTTERS = 4
_EDGE_ROWS = 3
"""Rows at the head and the foot of a page that may be running ones."""
_SAME_PLACE = 4.0
"""Points by which the places of a running row differ from page to page."""
_NEAR = 4
"""Pages on which the same is looked for: left and right ones have each their own, chapters too."""
_BOTH_WAYS = (*range(-_NEAR, 0), *range(1, _NEAR + 1))
_FEW_PAGES = 3
_PITCH = 1.2
"""Heights of a line that lines are apart, where nothing is known."""
_ROW_PITCH = 2.2
"""Times the distance of lines that the rows of a table are apart at most."""
_EVEN = 4
"""Rows that must be evenly apart for the outermost to belong to the others."""
_LARGER = 1.2
"""Times the size of most letters that those of a title have, and of no running row."""
_SMALLER = 0.9
"""Times the size of most letters that small print has at most."""
_LONGEST_NUMBER = 60
_LONGEST_RUNNING = 300
_LONGEST_WORD = 100
"""Characters; what is longer is no number, no running row, no word."""
_MAX_TRIES = 32
_MAX_LOOKED_AT = 200_000
"""Times that white is looked for on a page, and gaps that are looked at for it altogether: a drawing may be made of letters."""
_BESIDE = r"[^\w%‰$£€¥°+=<>]*"
_PAGE_NUMBER = re.compile(
    rf"{_BESIDE}(?:(?:page|seite|página|p){_BESIDE})?(?:\d{{1,4}}|[ivxlc]{{1,7}})"
    rf"(?:{_BESIDE}(?:of|von|de|sur|/)?{_BESIDE}\d{{1,4}})?{_BESIDE}",
    re.IGNORECASE,
)
"""What is measured, in percent or in euros, is none."""
_COUNTS = "\0\0"
"""What all rows are known as that have the number of their page set off."""
_ALONE = ("\0", 0)
"""What all numbers that stand alone are known as."""
_NUMBER = re.compile(r"(?<!\d)\d{1,6}(?!\d)")
_SET_OFF = re.compile(r"(?:(?:\b(?:page|seite|página|p|pg|s)\.?|(?:\A|\s)[|/·•–—-])\s*|(?:\A|\s)[A-Z][.-])\Z", re.IGNORECASE)
"""What stands before the number of a page."""
_ROMAN = re.compile(r"\b[ivxlc]+\b")
_ROMAN_VALUES = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_PRINTED_FOOT = re.compile(r"(?:file|https?)://\S+ \d+/\d+")
_PRINTED_HEAD = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4},? \d{1,2}:\d\d\b.*")
"""What browsers put below and above a page that they print."""
_DOTS = "•◦▪‣∙●○■□·\uf0b7\uf0a7"
_BULLET = re.compile(rf"[{_DOTS}–—*\-]\s+(?=\S)")
"""A dash or a star may as well stand within a sentence, at the beginning of a line."""
_NUMBERED = re.compile(r"(?:\(?\d{1,3}[.)]|\[\d{1,3}\]|[a-z][.)]|\([a-zivx]{1,4}\))\s+(?=\S)")
_SECTION = re.compile(r"(?:[A-Z]|\d{1,3}|[IVX]{1,5})(?:\.\d{1,3})*[.)]?")
_ENDS = re.compile(r"[.!?…:。！？][\"'”’»)\]\d]*\Z")
_NO_SYLLABLE = 4
"""Letters from which a part of a word that is a word by itself is hardly one by chance."""
_LEADERS = re.compile(r"(?:\s?[.…·_]){4,}\s*")
_WORDS = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_BROKEN_WORD = re.compile(r"([^\W\d_]+(?:-[^\W\d_]+)*)-\Z")
_FIRST_WORD = re.compile(r"[^\W\d_]+")
_HANGUL = "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"
_WIDE_MARK = "[\u3001-\u3004\u3008-\u3020\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]"
_UNSPACED = re.compile(rf"(?:(?![{_HANGUL}])[{UNSPACED}]){{2}}|{_WIDE_MARK}.|.{_WIDE_MARK}")
"""Two characters with no space between them: letters of scripts that put none there (Hangul has them), marks as wide as these."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text on one baseline; places in points, from the left and from the top."""

    text: str
    left: float
    right: float
    top: float
    bottom: float
    bold: bool = False

    @property
    def size(self) -> float:
        """The height of its letters' boxes, in points."""
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        """Half way between top and bottom."""
        return (self.top + self.bottom) / 2


@dataclass(frozen=True, slots=True)
class Page:
    """What a page draws, in whatever order. ``number`` counts from 1; ``height`` in points."""

    number: int
    height: float
    segments: Sequence[Segment]


@dataclass(slots=True)
class Line:
    """A line as it is read: ``cells`` from the left, one where it is no row of a table.

    ``number`` counts on its page from 1, ``column`` the columns of the page in the order of reading.
    """

    cells: list[str]
    gaps: list[tuple[float, float]]
    left: float
    right: float
    top: float
    bottom: float
    bold: bool
    page: int
    column: int
    number: int = 0

    @property
    def text(self) -> str:
        """Its cells, as those of a table are written."""
        return " | ".join(self.cells)

    @property
    def size(self) -> float:
        """The height of its letters' boxes, in points."""
        return self.bottom - self.top


@dataclass(slots=True)
class Paragraph:
    """Lines that belong together, as one text. ``starts`` has, for each page that it is on, where in the text that begins."""

    lines: list[Line]
    text: str = ""
    starts: list[tuple[int, int]] = field(default_factory=list)

    @property
    def is_table(self) -> bool:
        """Whether these are rows of cells."""
        return len(self.lines[0].cells) > 1


def unmarked(text: str) -> str:
    """The text of an item behind its bullet; "" where there is none."""
    match = _BULLET.match(text)
    return text[match.end() :] if match else ""


def without_running(pages: Sequence[Page]) -> list[Page]:
    """Pages without the rows that are theirs and not the text's: numbers, and what is repeated at heads and feet."""
    edges = _edges(pages)
    near: _Near = defaultdict(list)
    for edge in edges:
        # The numbers of a text say nothing of those that count pages.
        counted = [] if edge.flows else [*edge.doubtful, *((_COUNTS, ahead) for _, ahead in edge.names[1:])]
        for name in (*(edge.names[:1] if edge.flows else edge.names), *counted):
            if not edge.flows or name != _ALONE:
                near[edge.page, name].append(edge)
    printed = _printed(edges)
    gone: set[int] = set()
    for at, edge in enumerate(edges):
        runs = _numbers_page if edge.names[0] == _ALONE else _repeats
        if at in printed or runs(edge, near, len(pages)):
            gone.update(map(id, edge.row))
    return [Page(page.number, page.height, [item for item in page.segments if id(item) not in gone]) for page in pages]


@dataclass(frozen=True, slots=True)
class _Edge:
    """A row at the head or the foot of a page.

    ``names`` is what it is known as on other pages: all of it first, then without a number that may count pages, with how far
    that is ahead of the page's. ``doubtful`` are more of these, of numbers that are not set off from the rest.
    """

    page: int
    row: Sequence[Segment]
    text: str
    names: Sequence[tuple[str, int]]
    doubtful: Sequence[tuple[str, int]]
    flows: bool
    """Whether it stands among rows that are evenly apart and of one size, as those of a table and of a text do."""
    among: bool
    """Whether the same stands further inside on its page, too."""
    large: bool
    """Whether its letters are larger than those of the text, as those of a title are."""

    @property
    def top(self) -> float:
        """Where it begins, in points."""
        return self.row[0].top


_Near = Mapping[tuple[int, tuple[str, int]], list[_Edge]]


def _edges(pages: Sequence[Page]) -> list[_Edge]:
    """The first and the last rows of each page, in its outer fifths."""
    letters: Counter[float] = Counter()
    for page in pages:
        for segment in page.segments:
            letters[round(segment.size, 1)] += len(segment.text)
    body = letters.most_common(1)[0][0] if letters else 0.0
    return [edge for page in pages for edge in _edges_of(page, body)]


def _edges_of(page: Page, body: float) -> list[_Edge]:
    rows = _rows(page.segments)
    head = [at for at, row in enumerate(rows[:_EDGE_ROWS]) if row[0].top < 0.2 * page.height]
    # Of a few rows the last is the foot, whatever the first ones are.
    first = len(head) if len(rows) <= 2 * _EDGE_ROWS else len(rows) - _EDGE_ROWS
    foot = [at for at in range(first, len(rows)) if rows[at][0].bottom > 0.8 * page.height]
    inside = Counter(map(_written, rows[len(head) : len(rows) - len(foot)]))
    found = []
    for at in [*head, *foot]:
        row, text = rows[at], _written(rows[at])
        inwards = rows[at : at + _EVEN] if at in head else rows[max(0, at - _EVEN + 1) : at + 1]
        size = _widest(row).size
        names, doubtful = _names(row, text, page.number, small=size <= _SMALLER * body)
        found.append(_Edge(page.number, row, text, names, doubtful, _are_even(inwards), inside[text] > 0, size > _LARGER * body))
    return found


def _written(row: Sequence[Segment]) -> str:
    return " ".join(segment.text for segment in row)


def _widest(row: Sequence[Segment]) -> Segment:
    """The piece that a row is measured by: what is small beside the rest, a raised number, is not."""
    return max(row, key=lambda segment: segment.right - segment.left)


def _are_even(rows: Sequence[Sequence[Segment]]) -> bool:
    measured = [_widest(row) for row in rows]
    pitches = [below.middle - above.middle for above, below in pairwise(measured)]
    sizes = [segment.size for segment in measured]
    even = len(rows) == _EVEN and max(pitches) <= 1.15 * min(pitches) + 0.5
    return even and max(sizes) - min(sizes) <= 0.08 * max(sizes)


def _names(row: Sequence[Segment], text: str, page: int, *, small: bool) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """What a row is known as, and what it may be known as: ``names`` and ``doubtful`` of an edge.

    :param small: of letters smaller than the text's.
    """
    if len(text) <= _LONGEST_NUMBER and _PAGE_NUMBER.fullmatch(text):
        return [_ALONE, *(("", value - page) for value in _values(text)[:1])], []
    names: list[tuple[str, int]] = [(text.casefold(), 0)]
    doubtful: list[tuple[str, int]] = []
    if len(text) > _LONGEST_RUNNING:
        return names, doubtful
    at = 0
    for segment in row:
        alone = len(segment.text) <= _LONGEST_NUMBER and _PAGE_NUMBER.fullmatch(segment.text) is not None
        for number in _NUMBER.finditer(segment.text):
            begin, end = at + number.start(), at + number.end()
            # "Example 3" is the third example; in small print, or set off from the rest, it is a page.
            known = alone or small or _SET_OFF.search(text[max(0, begin - 12) : begin])
            (names if known else doubtful).append((f"{text[:begin]}\0{text[end:]}".casefold(), int(number[0]) - page))
        at += len(segment.text) + 1
    return names, doubtful


def _repeated(edge: _Edge, name: tuple[str, int], near: _Near, pages: Iterable[int]) -> list[_Edge]:
    """What is known by the same name at the same height of pages near by, counted from this one's."""
    found: list[_Edge] = []
    for away in pages:
        found += [other for other in near.get((edge.page + away, name), ()) if abs(other.top - edge.top) <= _SAME_PLACE]
    return found


def _repeats(edge: _Edge, near: _Near, count: int) -> bool:
    """Whether a row says what the same row says on pages near by, but for the page's number."""
    enough = 1 if count <= _FEW_PAGES else 2
    if len(_repeated(edge, edge.names[0], near, _BOTH_WAYS)) >= enough:
        if not (edge.flows or edge.large):
            return True
        return _said_before(edge, near)
    if edge.flows or edge.large:
        return False
    # As far ahead as the numbers of pages that are set off, at this height.
    counts = [name for name in edge.doubtful if _repeated(edge, (_COUNTS, name[1]), near, _BOTH_WAYS)]
    return any(len(_repeated(edge, name, near, _BOTH_WAYS)) >= enough for name in (*edge.names[1:], *counts))


def _said_before(edge: _Edge, near: _Near) -> bool:
    """Whether a row that may be the head of a table, or a title, is on three pages that follow each other, not first on this one.

    Two rows of a table may be the same by chance, those of numbers above all.
    """
    by_chance = edge.flows and _NUMBER.search(edge.text) and len(_repeated(edge, edge.names[0], near, _BOTH_WAYS)) <= 2
    if edge.among or by_chance:
        return False
    before, earlier, after = (bool(_repeated(edge, edge.names[0], near, (away,))) for away in (-1, -2, 1))
    return before and (earlier or after)


def _numbers_page(edge: _Edge, near: _Near, count: int) -> bool:
    """Whether a number that stands alone counts pages; one of a table does not."""
    if edge.flows:
        return False
    mine = _values(edge.text)
    if count == 1:
        return edge.page in mine
    # Some pages may be counted double, or not at all.
    return any(
        0 <= (theirs - own) * (1 if other.page > edge.page else -1) <= 2 * abs(other.page - edge.page)
        for other in _repeated(edge, _ALONE, near, _BOTH_WAYS)
        for theirs, own in zip(_values(other.text), mine, strict=False)
    )


def _values(text: str) -> list[int]:
    """The numbers of what is a number alone."""
    numbers = [int(number) for number in _NUMBER.findall(text)]
    roman = _ROMAN.search(text.casefold())
    if numbers or not roman:
        return numbers
    values = [_ROMAN_VALUES[letter] for letter in roman[0]]
    return [sum(-value if value < following else value for value, following in pairwise([*values, 0]))]


def _printed(edges: Sequence[_Edge]) -> set[int]:
    """Places, among the rows, of what browsers put above and below a page that they print: theirs where both are there."""
    heads = {edge.page: at for at, edge in enumerate(edges) if _PRINTED_HEAD.fullmatch(edge.text)}
    feet = {edge.page: at for at, edge in enumerate(edges) if _PRINTED_FOOT.fullmatch(edge.text)}
    both = heads.keys() & feet.keys()
    return {places[page] for page in both for places in (heads, feet)}


def paragraphs(pages: Sequence[Page]) -> list[Paragraph]:
    """The text of pages, paragraph by paragraph; one that goes on in the next column or on the next page is one."""
    lines = [line for page in pages for line in _lines(page)]
    _find_tables(lines)
    margins = _margins(lines)
    pitches = _pitches(lines)
    found: list[Paragraph] = []
    for line in lines:
        if found and _goes_on(found[-1].lines, line, margins, pitches):
            found[-1].lines.append(line)
        else:
            found.append(Paragraph([line]))
    words = _words(lines)
    for paragraph in found:
        _join(paragraph, words)
    return found


def _lines(page: Page) -> list[Line]:
    """A page's lines, column by column."""
    gutters = _gutters(page.segments)
    across: list[Segment] = []
    held: list[Segment] = []
    for segment in page.segments:
        reach = 0.3 * segment.size
        crosses = any(segment.left < gutter - reach and segment.right > gutter + reach for gutter in gutters)
        (across if crosses else held).append(segment)
    lines: list[Line] = []
    column = 0
    rest = deque(sorted(held, key=lambda segment: segment.middle))
    for spanning in [*_rows(across), []]:
        limit = min((segment.middle for segment in spanning), default=float("inf"))
        band = list(_taken(rest, limit))
        for inside in _by_column(band, gutters):
            lines += [_line(row, page.number, column) for row in _rows(inside)]
            column += 1
        if spanning:
            lines.append(_line(spanning, page.number, column))
            # Those across that follow each other are one column.
            column += 1 if not rest or rest[0].middle < spanning[0].bottom + spanning[0].size else 0
    for place, line in enumerate(lines, 1):
        line.number = place
    return lines


def _taken(segments: deque[Segment], limit: float) -> Iterator[Segment]:
    """Those above a limit, taken from the front."""
    while segments and segments[0].middle < limit:
        yield segments.popleft()


def _by_column(segments: Sequence[Segment], gutters: Sequence[float]) -> list[list[Segment]]:
    found: dict[int, list[Segment]] = defaultdict(list)
    for segment in segments:
        found[bisect_right(gutters, (segment.left + segment.right) / 2)].append(segment)
    return [found[column] for column in sorted(found)]


def _rows(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Segments on one baseline together, from the left; rows from the top."""
    rows: list[list[Segment]] = []
    for segment in sorted(segments, key=lambda segment: (segment.middle, segment.left)):
        if rows and any(_beside(segment, other) for other in rows[-1][-_EDGE_ROWS:]):
            rows[-1].append(segment)
        else:
            rows.append([segment])
    for row in rows:
        row.sort(key=lambda segment: segment.left)
    return rows


def _beside(one: Segment, other: Segment) -> bool:
    """Whether two segments are on one line: they share most of the smaller one's height, and do not lie over each other."""
    shared = min(one.bottom, other.bottom) - max(one.top, other.top)
    over = min(one.right, other.right) - max(one.left, other.left)
    return shared > 0.55 * min(one.size, other.size) and over < 0.5 * min(one.right - one.left, other.right - other.left) + 1


def _line(row: Sequence[Segment], page: int, column: int) -> Line:
    cells: list[list[str]] = [[row[0].text]]
    gaps = []
    for before, segment in pairwise(row):
        gap = segment.left - before.right
        numbers_it = len(cells) == 1 and before is row[0] and _SECTION.fullmatch(before.text)
        if gap > _CELL * max(before.size, segment.size) and not numbers_it:
            cells.append([segment.text])
            gaps.append((before.right, segment.left))
        else:
            # A raised number, or a letter of another font, stands close by.
            unspaced = _UNSPACED.fullmatch(before.text[-1:] + segment.text[:1])
            cells[-1] += ["" if gap < (0.5 if unspaced else 0.12) * before.size else " ", segment.text]
    widest = _widest(row)
    return Line(
        cells=[_LEADERS.sub(" ", "".join(cell)).strip() for cell in cells],
        gaps=gaps,
        left=row[0].left,
        right=max(segment.right for segment in row),
        top=widest.top,
        bottom=widest.bottom,
        bold=all(segment.bold for segment in row),
        page=page,
        column=column,
    )


def _gutters(segments: Sequence[Segment]) -> list[float]:
    """Where white parts columns of prose: places from the left, in order."""
    gaps: list[tuple[Segment, Segment]] = []
    for row in _rows(segments):
        gaps += [(left, right) for left, right in pairwise(row) if right.left - left.right > 0.6 * min(left.size, right.size)]
    gutters: list[float] = []
    looked_at = 0
    for _ in range(_MAX_TRIES):
        looked_at += len(gaps)
        if not gaps or looked_at > _MAX_LOOKED_AT or len(gutters) == _MAX_GUTTERS:
            break
        place = _most_shared(gaps)
        here = [(left, right) for left, right in gaps if left.right <= place <= right.left]
        gaps = [(left, right) for left, right in gaps if not left.right <= place <= right.left]
        if len(here) < _MIN_ROWS:
            break
        letters = [sum(len(side[which].text) for side in here) / len(here) for which in (0, 1)]
        if min(letters) >= _PROSE:
            gutters.append(place)
    return sorted(gutters)


def _most_shared(gaps: Sequence[tuple[Segment, Segment]]) -> float:
    """The middle of the stretch that lies in the most gaps."""
    edges = sorted([(left.right, 0) for left, _ in gaps] + [(right.left, 1) for _, right in gaps])
    most = depth = 0
    best = edges[0][0]
    for (place, closes), (following, _) in pairwise(edges):
        depth += -1 if closes else 1
        if depth > most:
            most, best = depth, (place + following) / 2
    return best


def _find_tables(lines: Sequence[Line]) -> None:
    """A row of cells has another one above or below it, with white at the same place; others are lines with a wide space."""

    def shares(line: Line, other: Line) -> bool:
        return (line.page, line.column) == (other.page, other.column) and _overlap(line.gaps, other.gaps)

    chained = [shares(above, below) for above, below in pairwise(lines)]
    for at, line in enumerate(lines):
        if not any(chained[max(0, at - 1) : at + 1]):
            line.cells, line.gaps = [" ".join(line.cells)], []


def _overlap(ones: Sequence[tuple[float, float]], others: Sequence[tuple[float, float]]) -> bool:
    """Whether two rows of stretches, each from the left, have a place in common."""
    at = beside = 0
    while at < len(ones) and beside < len(others):
        (begins, ends), (starts, stops) = ones[at], others[beside]
        if min(ends, stops) > max(begins, starts):
            return True
        at, beside = (at + 1, beside) if ends <= stops else (at, beside + 1)
    return False


_Columns = Mapping[tuple[int, int], tuple[float, float]]


def _margins(lines: Sequence[Line]) -> _Columns:
    """Where the lines of each column begin and end."""
    columns: dict[tuple[int, int], list[Line]] = defaultdict(list)
    for line in lines:
        columns[line.page, line.column].append(line)
    # A title, or a line that sticks out, is not what the others are set to.
    return {
        key: (
            sorted(line.left for line in there)[int(0.1 * (len(there) - 1))],
            sorted(line.right for line in there)[int(0.9 * (len(there) - 1))],
        )
        for key, there in columns.items()
    }


def _pitches(lines: Sequence[Line]) -> dict[int, float]:
    """How far the lines of each size are apart, mostly; sizes in whole points. Under 0, for all others: in heights of a line."""
    found: dict[int, Counter[float]] = defaultdict(Counter)
    for above, below in pairwise(lines):
        pitch = below.top - above.top
        beside = (above.page, above.column) == (below.page, below.column)
        if beside and _same_size(above, below) and 0 < pitch < 2.5 * above.size:
            found[round(above.size)][round(pitch, 1)] += 1
            found[0][round(pitch / above.size, 1)] += 1
    # The smallest of those that are about as frequent: paragraphs of one line stand as far apart as paragraphs do.
    pitches = {0: _PITCH}
    for size, counted in found.items():
        if counted.total() >= _MIN_ROWS:
            most = max(counted.values())
            pitches[size] = min(pitch for pitch, count in counted.items() if 2 * count >= most)
    return pitches


def _same_size(one: Line, other: Line) -> bool:
    return abs(one.size - other.size) <= 0.08 * max(one.size, other.size)


def _goes_on(before: Sequence[Line], line: Line, margins: _Columns, pitches: Mapping[int, float]) -> bool:
    """Whether a line goes on with a paragraph."""
    last = before[-1]
    is_row = len(line.cells) > 1
    if not _same_size(last, line) or is_row != (len(last.cells) > 1):
        return False
    ended = _ENDS.search(last.text) is not None
    left, right = margins[last.page, last.column]
    if (last.page, last.column) != (line.page, line.column):
        fills = last.right >= right - 0.12 * (right - left)
        begins = line.text[:1].islower() or last.text.endswith("-") or (fills and not ended)
        return not is_row and begins and last.bold == line.bold and not _BULLET.match(line.text)
    pitch = pitches.get(round(last.size), pitches[0] * last.size)
    if is_row:
        return 0 <= line.top - last.top <= _ROW_PITCH * pitch
    if last.bold != line.bold or not -last.size <= line.top - last.top <= 1.25 * pitch + 0.5:
        return False
    marked = _BULLET.match(line.text) or _NUMBERED.match(line.text)
    if marked and (ended or line.text[0] in _DOTS or _BULLET.match(before[0].text) or _NUMBERED.match(before[0].text)):
        return False
    # The first line of a paragraph is set in, the others are not.
    set_in = line.left - left > 0.7 * line.size and line.left - last.left > 0.5 * line.size
    ends_early = last.right < right - 0.25 * (right - left)
    return not (ended and (set_in or ends_early))


def _join(paragraph: Paragraph, words: Counter[str]) -> None:
    """Make one text of a paragraph's lines."""
    parts: list[str] = []
    length = page = 0
    for line in paragraph.lines:
        if parts and (length or parts[-1]):
            parts[-1] = f"{parts[-1]}\n" if paragraph.is_table else _before(parts[-1], line.text, words)
            length += len(parts[-1])
        if line.page != page:
            page = line.page
            paragraph.starts.append((page, length))
        parts.append(line.text)
    paragraph.text = "".join(parts)


def _words(lines: Sequence[Line]) -> Counter[str]:
    """How often lines have each word, but for the parts of those that are broken at their ends."""
    words: Counter[str] = Counter()
    broken = False
    for line in lines:
        found = _WORDS.findall(line.text)
        ends = line.text.endswith("-")
        words.update(word.casefold() for word in found[broken : len(found) - ends])
        broken = ends
    return words


def _before(text: str, following: str, words: Counter[str]) -> str:
    """A line as it stands before the next one: with a space, or without the hyphen at which a word was broken."""
    end = text[-_LONGEST_WORD:]
    broken = _BROKEN_WORD.search(end) if end.endswith("-") else None
    first = _FIRST_WORD.match(following)
    if broken and first:
        with_hyphen, joined = f"{broken[1]}-{first[0]}".casefold(), f"{broken[1]}{first[0]}".casefold()
        # A word that has a hyphen anyway keeps it: as the rest of the text spells it, and before a capital. Where the text says
        # neither, two words that it has, and that are no syllables, are two words.
        halves = broken[1].casefold().rpartition("-")[2], first[0].casefold()
        two = not words[joined] and all(words[half] and len(half) >= _NO_SYLLABLE for half in halves)
        return text if words[with_hyphen] > words[joined] or two or not first[0][0].islower() else text[:-1]
    # A range or a date is not torn apart, and between some letters there are no spaces.
    whole = following[:1].isalnum() and re.search(r"\w[-–]\Z", end) is not None
    return text if whole or _UNSPACED.fullmatch(end[-1:] + following[:1]) else f"{text} "
