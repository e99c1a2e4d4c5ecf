"""Text to sentences, by sentencex, as exact character spans.

sentencex was the best of seven libraries measured on hand-labelled news text in eleven languages, and the fastest. What
is added here was found necessary in that measurement: windows (it is quadratic on long text without spaces, and loses
sentence ends far behind an unclosed quote), characters that it fails on, and a few joins that it does not make.

Deliberately not here: paragraphs, tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sentencex import get_sentence_boundaries

__all__ = ["spans"]

_WINDOW = 4000
_TAIL = 200
"""Sentence ends this near to a window's end are found again in the next window, where more follows them."""

# One for one, so that offsets stay. sentencex 1.0.32 panics at a capital letter before a space that is not ASCII.
_SAFE = {
    **dict.fromkeys(range(0xD800, 0xE000), 0xFFFD),
    **dict.fromkeys([0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000], 0x20),
}
_PLAIN_END = re.compile(r"[.!?…]+[\"”’)]*\s+|[。！？।؟]+[”」』\"]*\s*")
_CLOCK = re.compile(r"\b[ap]\.m\.\Z")
_CALENDAR = re.compile(
    r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b|(?:Eastern|Central|Pacific|Mountain|Greenwich|GMT|UTC|[ECMP][SD]?T)\b"
    r"|(?:Jan|Feb|March|April|May|June|July|Aug|Sept?|Oct|Nov|Dec)"
)
_TITLE = re.compile(r"(?:\A|[\s(«“\"])(?:M|MM|Mme|Dr|Prof|Lt|Col|Sgt|Gen|Sen|Rep|est|approx|Sr|Sra|Dra)\.\Z")
_SAID = re.compile(r"(?:[\w’'-]+\.? ){1,4}(?:said|says|asked|asks|told|added|replied|shouted|wrote)\b")
_NEW_START = re.compile(r"(?:(?<=\w…)|(?<=\?!)|(?<=!\?))[\"”’)]*(\s+)(?=[\"“‘(]*[^\W\d_a-zß-öø-ÿа-яё])")


def spans(text: str, language: str = "en") -> list[tuple[int, int]]:
    """Spans of the sentences of one paragraph: in order, trimmed of white space, together all that is not white space.

    :param language: ISO 639-1 code; unknown ones are split by general rules. Time is linear in the length of the text.
    """
    joined: list[tuple[int, int]] = []
    for start, end in _raw(text.translate(_SAFE), language):
        if joined and _belongs(text[max(joined[-1][0], start - 60) : start], text[start : min(end, start + 120)]):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    cut = [piece for start, end in joined for piece in _cut(text, start, end)]
    trimmed = ((_first_letter(text, start, end), _last_letter(text, start, end)) for start, end in cut)
    return [(start, end) for start, end in trimmed if start < end]


def _raw(text: str, language: str) -> Iterator[tuple[int, int]]:
    """Adjacent spans that together are the text."""
    sentence_start = window_start = 0
    while window_start < len(text):
        window_end = min(len(text), window_start + _WINDOW)
        ends = [window_start + end for end in _ends(text[window_start:window_end], language)]
        if window_end < len(text):
            ends = [end for end in ends[:-1] if end <= window_end - _TAIL] or ends[:-1]
        if not ends:
            space = text.rfind(" ", window_start + _WINDOW // 2, window_end) + 1
            window_start = space or window_end
            continue
        for end in ends:
            yield sentence_start, end
            sentence_start = end
        window_start = sentence_start
    if sentence_start < len(text):
        yield sentence_start, len(text)


def _ends(text: str, language: str) -> list[int]:
    try:
        return [boundary["end_index"] for boundary in get_sentence_boundaries(language, text)]
    except BaseException as error:
        # A panic of the Rust library derives from BaseException and has no importable name.
        if type(error).__name__ != "PanicException":
            raise
        return [match.end() for match in _PLAIN_END.finditer(text)] + [len(text)]


def _belongs(before: str, after: str) -> bool:
    """Whether what follows a sentence end that was found still belongs to the sentence."""
    left, right = before.rstrip(), after.lstrip()
    if not left or not right:
        return True
    if left[-1] == ".":
        lower = right[0].islower() and not re.match(r"[a-z]{1,3}[A-Z]", right)
        clock = _CLOCK.search(left[-6:]) is not None and _CALENDAR.match(right) is not None
        return lower or clock or _TITLE.search(left[-8:]) is not None
    return left[-1] in '"”' and left[-2:-1] in ("?", "!") and _SAID.match(right) is not None


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A span, cut at the ends that sentencex passes over."""
    piece = text[start:end]
    if "…" in piece or "?!" in piece or "!?" in piece:
        for match in _NEW_START.finditer(text, start, end):
            yield start, match.start(1)
            start = match.end(1)
    yield start, end


def _first_letter(text: str, start: int, end: int) -> int:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip())


def _last_letter(text: str, start: int, end: int) -> int:
    return start + len(text[start:end].rstrip())
