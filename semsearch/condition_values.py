"""Values of conditions on articles: parsing, and comparison with stored values.

Input: the values of a condition as text, and the values that an article stores. The rules are those of
the docstring of `filters`.

Not here: conditions and keys (`filters`).
"""

from __future__ import annotations

import calendar
import datetime
import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

__all__ = ["MAX_LENGTH", "NOT_PARSED", "Equality", "ParsedText", "is_pattern", "ordered", "read"]

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?: ?([Zz]|[+-]\d\d(?::?\d\d)?))?)?)?)?",
    re.ASCII,
)
MAX_LENGTH = 64
"""Maximum length of a number or date, in characters."""
_EXACT = 18
"""Maximum length of an integer that is read exactly, in characters. Longer ones are read in double precision."""
_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_DAY = 24 * 60 * _MINUTE


class _Date(NamedTuple):
    """A half-open period by the clock, in microseconds since the year 1; ``offset`` to UTC, None without a zone."""

    start: int
    end: int
    offset: int | None


class ParsedText(NamedTuple):
    """Number and date that a text parses as, each None if it is not one."""

    number: float | int | None
    date: _Date | None


NOT_PARSED = ParsedText(None, None)
"""Result for a text that is neither a number nor a date."""


@dataclass(frozen=True, slots=True)
class _Periods:
    """Periods of time, arranged to find one that contains another. Made by `of`.

    ``ends[i]`` is the latest end of the periods that start at ``starts[i]`` or before.
    """

    starts: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, periods: Iterable[tuple[int, int]]) -> _Periods:
        """Arrange periods given by start and end."""
        ordered = sorted(periods)
        return cls(tuple(start for start, _ in ordered), tuple(accumulate((end for _, end in ordered), max)))

    def contain(self, start: int, end: int) -> bool:
        """Return True if one of the periods contains this one."""
        place = bisect_right(self.starts, start)
        return place > 0 and end <= self.ends[place - 1]


@dataclass(frozen=True, slots=True)
class _Dates:
    """Dates, arranged to find one that contains a stored date. Made by `of`."""

    by_clock: _Periods
    without_zone: _Periods
    in_utc: _Periods
    """The dates that have a zone."""

    @classmethod
    def of(cls, dates: Sequence[_Date]) -> _Dates:
        """Arrange dates."""
        return cls(
            _Periods.of((date.start, date.end) for date in dates),
            _Periods.of((date.start, date.end) for date in dates if date.offset is None),
            _Periods.of((date.start - date.offset, date.end - date.offset) for date in dates if date.offset is not None),
        )

    def contain(self, date: _Date) -> bool:
        """Return True if one of the dates contains this one; two times that both have a zone are compared in UTC."""
        if date.offset is None:
            return self.by_clock.contain(date.start, date.end)
        start, end = date.start - date.offset, date.end - date.offset
        return self.without_zone.contain(date.start, date.end) or self.in_utc.contain(start, end)


@dataclass(frozen=True, slots=True)
class Equality:
    """Values of an ``=`` condition, arranged to compare a stored value with all of them at once. Made by `of`.

    Sets, a sorted list of dates and one regular expression: only patterns cost time for each value, linear in their characters.
    """

    texts: frozenset[str]
    truths: frozenset[str]
    """Of the texts, those that equal a stored boolean, in lower case."""
    pattern: re.Pattern[str] | None
    numbers: frozenset[float]
    """The values read as numbers, for comparison with stored numbers."""
    typed: frozenset[float]
    """The values given as numbers, for comparison with stored texts that read as numbers."""
    dates: _Dates | None

    @classmethod
    def of(cls, values: Collection[str], numbers: Collection[str]) -> Equality:
        """Arrange values; ``numbers`` are those given as numbers."""
        patterns = [value for value in values if is_pattern(value)]
        readings = {value: read(value) for value in values if not is_pattern(value)}
        read_as = {value: reading.number for value, reading in readings.items() if reading.number is not None}
        dates = [reading.date for reading in readings.values() if reading.date is not None]
        return cls(
            texts=frozenset(values),
            truths=frozenset(value.lower() for value in values) & {"true", "false"},
            # A pattern that `translate` gives never backtracks past a star.
            pattern=re.compile("|".join(map(translate, patterns))) if patterns else None,
            numbers=frozenset(read_as.values()),
            typed=frozenset(read_as[value] for value in numbers if value in read_as),
            dates=_Dates.of(dates) if dates else None,
        )

    def holds(self, stored: Any) -> bool:
        """Return True if a stored value equals one of the values."""
        text = _stored_text(stored)
        if text in self.texts or (isinstance(stored, bool) and text in self.truths):
            return True
        if self.pattern is not None and self.pattern.match(text):
            return True
        if not isinstance(stored, str):
            return not isinstance(stored, bool) and stored in self.numbers
        if not self.typed and self.dates is None:
            return False
        number, date = read(text)
        return number in self.typed or (date is not None and self.dates is not None and self.dates.contain(date))


def is_pattern(value: str) -> bool:
    """Return True if a value is a pattern."""
    return any(sign in value for sign in "*?[")


def ordered(stored: Any, operator: str, value: str) -> bool:
    """Return True if a stored value is ``>=``, ``<=``, ``>`` or ``<`` the value of a condition."""
    if isinstance(stored, bool):
        return False
    asked, own = read(value), read(_stored_text(stored))
    number = stored if isinstance(stored, int | float) else own.number
    if asked.number is not None and number is not None:
        return _is_beyond(number, number, operator, asked.number, asked.number)
    if asked.date is None or own.date is None:
        return False
    shift = _shift(own.date, asked.date)
    # Ends are half open: the last moment is one before.
    return _is_beyond(own.date.start + shift, own.date.end + shift - 1, operator, asked.date.start, asked.date.end - 1)


def _is_beyond(first: float, last: float, operator: str, asked_first: float, asked_last: float) -> bool:
    """Compare a period with that of a condition; a number is a period with equal ends."""
    if operator == ">":
        return first > asked_last
    if operator == ">=":
        return first >= asked_first
    return last < asked_first if operator == "<" else last <= asked_last


def _shift(date: _Date, asked: _Date) -> int:
    """Return the microseconds between the clock of a stored date and that of the condition."""
    return 0 if date.offset is None or asked.offset is None else asked.offset - date.offset


def _stored_text(stored: Any) -> str:
    return str(stored).lower() if isinstance(stored, bool) else str(stored)


def read(text: str) -> ParsedText:
    """Read a text as a number and as a date."""
    return _read_short(text) if len(text) <= MAX_LENGTH else NOT_PARSED


@lru_cache(maxsize=4096)
def _read_short(text: str) -> ParsedText:
    number: float | int | None = None
    if _NUMBER.fullmatch(text):
        number = int(text) if len(text) <= _EXACT and text.lstrip("+-").isdigit() else float(text)
    return ParsedText(number, _date(text))


def _date(text: str) -> _Date | None:
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        first = datetime.date(int(year), int(month or 1), int(day or 1)).toordinal()
        clock = datetime.time(int(hour or 0), int(minute or 0), int(second or 0))
        offset = None if zone is None else _offset(zone)
    except ValueError:
        return None
    start = first * _DAY + (clock.hour * 60 + clock.minute) * _MINUTE + clock.second * _SECOND
    if fraction:
        digits = fraction[:6]
        start += int(digits.ljust(6, "0"))
        return _Date(start, start + 10 ** (6 - len(digits)), offset)
    if hour:
        return _Date(start, start + (_SECOND if second else _MINUTE), offset)
    if day:
        return _Date(start, start + _DAY, offset)
    days = calendar.monthrange(int(year), int(month))[1] if month else 365 + calendar.isleap(int(year))
    return _Date(start, start + days * _DAY, offset)


def _offset(zone: str) -> int:
    if zone in "Zz":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:]) if len(zone) > 3 else 0
    if hours > 23 or minutes > 59:
        raise ValueError("no such zone")
    return (hours * 60 + minutes) * (-_MINUTE if zone[0] == "-" else _MINUTE)
