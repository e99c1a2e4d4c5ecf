"""PDF to blocks with the pages on which they stand: PDFium reads (by way of pypdfium2), `layout` puts in order.

What becomes a heading is told by the size and the weight of its letters; the title is what the file says of itself, if its first
page says so too, else the largest line there.

Deliberately not here: recognising letters in pictures (a scan is reported), forms, comments, attachments.
"""

from __future__ import annotations

import ctypes
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from semsearch.articles.decode import printable
from semsearch.articles.documents import layout
from semsearch.articles.documents.draft import BLOCK_GAP, Draft, blocks_of
from semsearch.articles.documents.layout import Page, Paragraph, Segment
from semsearch.articles.outline import Piece, squeeze
from semsearch.errors import InputError
from semsearch.records import Block
from semsearch.scripts import UNSPACED

__all__ = ["read"]

_MAX_PAGES = 20_000
_HYPHENS = frozenset((0x02, 0xAD, 0xFFFE))
"""What PDFium gives for a hyphen at the end of a line, and what producers write for one."""
_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\xa0": " ", "‐": "-"}
    # Fonts of TeX without names for their letters: what stands there in the encoding T1.
    | dict(
        zip("\x10\x11\x12\x15\x16\x1b\x1c\x1d\x1e\x1f", ("“", "”", "„", "–", "—", "ff", "fi", "fl", "ffi", "ffl"), strict=True)
    )
)
_BOLD = 600
"""Weight from which letters are bold."""
_APART = 1.2
"""Heights of letters between two that are no longer one stretch: no space is as wide, in narrow columns neither."""
_BACK = 0.6
"""Heights of letters that one may stand behind where the last one ends, as accents and kerned letters do."""
_FIRST_LEFTWARDS = "\u0590"
_MARGIN = 0.1
"""Share of the width and the height of a page that is its margin, on each side."""
_SIDEWAYS = 0.05
"""Share of the letters of a page that are set at another quarter from which these are text."""
_SAME_BOX = 0.1
"""Points that the left edges of one box are apart."""
_LARGER = 1.12
"""Times the size of most letters that those of a heading have."""
_NEARLY = 1.05
"""Times as large that of two letters of one size one is at most."""
_HEADING_WORDS = 20
_UNSPACED = re.compile(f"[{UNSPACED}]")
"""Two of these letters are a word, about."""
_FILE_NAME = re.compile(r"(?:microsoft word\s*-.*|\S+\.\w{2,5}|untitled.*|document\d*|\W*)\Z", re.IGNORECASE)
_DATE = re.compile(r"(?:D:)?(\d{4})(\d{2})?(\d{2})?")
_NO_LETTER = re.compile(r"[\W_]+")
_ACCENTS = {"´": "\u0301", "ˆ": "\u0302", "¨": "\u0308", "˜": "\u0303", "¸": "\u0327", "ˇ": "\u030c", "˚": "\u030a"}
_ACCENTED = re.compile(rf"([{''.join(_ACCENTS)}]) ?([^\W\d_])")
"""TeX sets an accent and then its letter."""


class _Letter(NamedTuple):
    """A letter with its box, in points from the left and from the top; ``quarter`` counts the quarter turns it is set at."""

    text: str
    left: float
    right: float
    top: float
    bottom: float
    bold: bool
    quarter: int

    @property
    def size(self) -> float:
        """Height in points; 0 for what is no letter."""
        return self.bottom - self.top


_SPACE = _Letter(" ", 0, 0, 0, 0, False, 0)
_END = _Letter("", 0, 0, 0, 0, False, 0)
"""Between two stretches of text."""


def read(data: bytes) -> Iterator[Draft]:
    """The article in a PDF.

    :raises InputError: if it is encrypted, damaged, or has no text.
    """
    import pypdfium2
    from pypdfium2.raw import FPDF_ERR_PASSWORD

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == FPDF_ERR_PASSWORD:
            raise InputError("encrypted: save it without its password") from error
        raise InputError("a damaged PDF, which cannot be read") from error
    try:
        count = len(document)
        if count > _MAX_PAGES:
            raise InputError(f"{count:,} pages, more than {_MAX_PAGES:,}: split the file")
        pages = [_page(document, number) for number in range(count)]
        facts = document.get_metadata_dict(skip_empty=True)
    finally:
        document.close()
    found = layout.paragraphs(layout.without_running(pages))
    if not found:
        raise InputError("no text in this PDF: if it is a scan, have its letters recognised first (OCRmyPDF does it)")
    pieces = _pieces(found)
    blocks = [replace(block, line=paragraph.lines[0].number) for block, paragraph in zip(blocks_of(pieces), found, strict=True)]
    yield Draft(
        _title(facts.get("Title", ""), pieces, found), _metadata(facts, count), blocks, "", _page_starts(count, blocks, found)
    )


def _page(document: Any, number: int) -> Page:
    """What a page draws; one that is damaged draws nothing."""
    import pypdfium2

    nothing = Page(number + 1, 0.0, [])
    try:
        page = document[number]
    except pypdfium2.PdfiumError:
        return nothing
    try:
        shown = page.get_bbox()
        text = page.get_textpage()
        try:
            letters = list(_letters(text.raw, shown))
        finally:
            text.close()
    except pypdfium2.PdfiumError:
        return nothing
    finally:
        page.close()
    return Page(number + 1, *_drawn(letters, shown[2] - shown[0], shown[3] - shown[1]))


def _drawn(letters: Sequence[_Letter], width: float, height: float) -> tuple[float, list[Segment]]:
    """The height of a page once it stands upright, and what is on it; what is set at other quarters follows below it."""
    upright, across, down = _upright(letters, width, height)
    found = list(_segments([letter for letter in upright if _is_mark(letter) or _is_on(letter, across, down)]))
    turns = Counter(letter.quarter for letter in letters if not _is_mark(letter))
    below = down
    for quarter, _ in turns.most_common()[1:]:
        so = [letter for letter in letters if _is_mark(letter) or (letter.quarter == quarter and _is_amid(letter, width, height))]
        # A stamp stands in the margin, and what is written along an axis is little.
        if sum(not _is_mark(letter) for letter in so) < _SIDEWAYS * turns.total():
            continue
        turned, _, deep = _upright(so, width, height)
        found += [replace(item, top=item.top + below, bottom=item.bottom + below) for item in _segments(turned)]
        below += deep
    return down, found


def _is_mark(letter: _Letter) -> bool:
    return letter is _SPACE or letter is _END


def _is_amid(letter: _Letter, width: float, height: float) -> bool:
    """Whether a letter is on a page and not in its margins."""
    beside, above = _MARGIN * width, _MARGIN * height
    return letter.right > beside and letter.left < width - beside and letter.bottom > above and letter.top < height - above


def _is_on(letter: _Letter, width: float, height: float) -> bool:
    return letter.right > 0 and letter.left < width and letter.bottom > 0 and letter.top < height


def _letters(text: Any, shown: tuple[float, float, float, float]) -> Iterator[_Letter]:
    """The letters of a page in the order in which it draws them, as PDFium makes words and lines of them.

    :param shown: left, bottom, right and top of what is shown of the page.
    """
    import pypdfium2.raw as pdfium

    left, _, _, top = shown
    box = pdfium.FS_RECTF()
    reference = ctypes.byref(box)
    bold, quarter, inside = False, 0, False
    for at in range(pdfium.FPDFText_CountChars(text)):
        code = pdfium.FPDFText_GetUnicode(text, at)
        if code in (0x0A, 0x0D, 0):
            inside = False
            yield _END
        elif code in (0x09, 0x20, 0xA0):
            inside = False
            yield _SPACE
        elif pdfium.FPDFText_GetLooseCharBox(text, at, reference):
            if not inside:
                # Once a word is enough.
                inside = True
                bold = pdfium.FPDFText_GetFontWeight(text, at) >= _BOLD
                quarter = round(pdfium.FPDFText_GetCharAngle(text, at) / (math.pi / 2)) % 4
            letter = "-" if code in _HYPHENS else chr(code) if code <= 0x10FFFF else "\ufffd"
            yield _Letter(letter, box.left - left, box.right - left, top - box.top, top - box.bottom, bold, quarter)


def _upright(letters: Sequence[_Letter], width: float, height: float) -> tuple[list[_Letter], float, float]:
    """The letters that are set as most are, the page turned so that these stand upright, and its width and height then.

    What is set otherwise is left out.
    """
    turns = Counter(letter.quarter for letter in letters if not _is_mark(letter))
    quarter = turns.most_common(1)[0][0] if turns else 0
    if set(turns) == {0}:
        return list(letters), width, height
    turned = []
    for letter in letters:
        _, left, right, top, bottom, _, own = letter
        if _is_mark(letter) or own == quarter == 0:
            turned.append(letter)
        elif own == quarter == 1:
            turned.append(letter._replace(left=top, right=bottom, top=width - right, bottom=width - left))
        elif own == quarter == 2:
            turned.append(letter._replace(left=width - right, right=width - left, top=height - bottom, bottom=height - top))
        elif own == quarter == 3:
            turned.append(letter._replace(left=height - bottom, right=height - top, top=left, bottom=right))
    return (turned, height, width) if quarter % 2 else (turned, width, height)


def _segments(letters: Sequence[_Letter]) -> Iterator[Segment]:
    """Stretches of letters on one baseline, with no more between them than spaces."""
    held: list[_Letter] = []
    last = None
    for letter in letters:
        if letter is _SPACE:
            if held and held[-1] is not _SPACE:
                held.append(_SPACE)
            continue
        if letter is _END or (last is not None and not _follows(last, letter)):
            yield from _segment(held)
            held, last = [], None
        if letter is not _END:
            held.append(letter)
            last = letter
    yield from _segment(held)


def _follows(last: _Letter, letter: _Letter) -> bool:
    """Whether a letter goes on with the stretch of the one before it."""
    size = max(last.bottom - last.top, letter.bottom - letter.top)
    leftwards = letter.text >= _FIRST_LEFTWARDS and unicodedata.bidirectional(letter.text) in ("R", "AL")
    gap = last.left - letter.right if leftwards else letter.left - last.right
    # The letters of a ligature have each the whole of its box.
    if not (-_BACK * size < gap < _APART * size or abs(letter.left - last.left) < _SAME_BOX):
        return False
    if last.top == letter.top and last.bottom == letter.bottom:
        return True
    shared = min(last.bottom, letter.bottom) - max(last.top, letter.top)
    return shared > 0.3 * min(last.size, letter.size)


def _segment(letters: Sequence[_Letter]) -> Iterator[Segment]:
    text = printable("".join(letter.text for letter in letters).translate(_LIGATURES)).strip()
    text = _ACCENTED.sub(_composed, text)
    shown = [letter for letter in letters if letter is not _SPACE]
    if text:
        yield Segment(
            text,
            min(letter.left for letter in shown),
            max(letter.right for letter in shown),
            *_height(shown),
            all(letter.bold for letter in shown),
        )


def _composed(found: re.Match[str]) -> str:
    letter = unicodedata.normalize("NFC", found[2] + _ACCENTS[found[1]])
    return letter if len(letter) == 1 else found[0]


def _height(letters: Sequence[_Letter]) -> tuple[float, float]:
    """Top and bottom of most letters of a stretch: there may be others of another font or size among them."""
    first = letters[0].top, letters[0].bottom
    boxes = Counter((letter.top, letter.bottom) for letter in letters)
    return first if len(boxes) == 1 else boxes.most_common(1)[0][0]


def _pieces(found: Sequence[Paragraph]) -> list[Piece]:
    """Kind, level and text of each paragraph."""
    letters: Counter[float] = Counter()
    for paragraph in found:
        for line in paragraph.lines:
            letters[round(line.size, 1)] += len(line.text)
    body = letters.most_common(1)[0][0] if letters else 0.0
    sizes = _sizes(paragraph.lines[0].size for paragraph in found if _is_heading(paragraph, body) and _is_large(paragraph, body))
    pieces: list[Piece] = []
    for paragraph in found:
        item = layout.unmarked(paragraph.text)
        if paragraph.is_table:
            pieces.append(("table", 0, paragraph.text))
        elif _is_heading(paragraph, body):
            # Behind all that are larger; those that are as large as the text, but bold, are the last.
            level = sum(size > _NEARLY * paragraph.lines[0].size for size in sizes)
            pieces.append(("heading", min(6, 1 + level), paragraph.text))
        elif item:
            pieces.append(("item", 0, f"- {item}"))
        else:
            pieces.append(("paragraph", 0, paragraph.text))
    return pieces


def _sizes(sizes: Iterable[float]) -> list[float]:
    """The sizes that can be told apart, the largest first: those of one size are not all equally high."""
    found: list[float] = []
    for size in sorted(sizes, reverse=True):
        if not found or found[-1] > _NEARLY * size:
            found.append(size)
    return found


def _is_large(paragraph: Paragraph, body: float) -> bool:
    return paragraph.lines[0].size > _LARGER * body


def _is_heading(paragraph: Paragraph, body: float) -> bool:
    text = paragraph.text
    words = len(text.split()) + len(_UNSPACED.findall(text)) // 2
    if paragraph.is_table or not any(map(str.isalpha, text)) or words > 2 * _HEADING_WORDS:
        return False
    if _is_large(paragraph, body):
        # Sentences may be set larger, too.
        return words <= _HEADING_WORDS // 3 or not text.endswith((".", "”", '"', ":", ","))
    return all(line.bold for line in paragraph.lines) and words <= _HEADING_WORDS and not text.endswith((".", ",", ";", ":"))


def _title(told: str, pieces: Sequence[Piece], found: Sequence[Paragraph]) -> str:
    """What the file says, where its first page says so; else its largest heading; else what the file says, if it is no name."""
    told = squeeze(printable(told))
    first = found[0].lines[0].page if found else 1
    here = [piece for piece, paragraph in zip(pieces, found, strict=True) if paragraph.lines[0].page == first]
    known = _NO_LETTER.sub("", told).casefold()
    if known and known in _NO_LETTER.sub("", "".join(text for _, _, text in here)).casefold():
        return told
    tops = [text for kind, level, text in here if kind == "heading" and level == 1]
    if tops:
        return tops[0]
    return "" if _FILE_NAME.match(told) else told


def _metadata(facts: Mapping[str, str], count: int) -> dict[str, Any]:
    found: dict[str, Any] = {"pages": count}
    for key, name in (("Author", "author"), ("Keywords", "tags"), ("Subject", "subject")):
        if facts.get(key, "").strip():
            found[name] = facts[key]
    date = _DATE.match(facts.get("CreationDate", ""))
    if date:
        found["date"] = "-".join(part for part in date.groups() if part)
    return found


def _page_starts(count: int, blocks: Sequence[Block], found: Sequence[Paragraph]) -> tuple[int, ...]:
    """Where each page begins in the extracted text; one without text where the next one does."""
    first: dict[int, int] = {}
    end = 0
    for block, paragraph in zip(blocks, found, strict=True):
        at = block.runs[0].source_start
        end = at + len(block.text) + len(BLOCK_GAP)
        for page, inner in paragraph.starts:
            first.setdefault(page, at + min(inner, len(block.text)))
    starts = []
    for page in range(count, 0, -1):
        end = min(end, first.get(page, end))
        starts.append(end)
    return tuple(reversed(starts))
