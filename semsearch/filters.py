"""Filters: which articles a search is about, by where they stand, what they are called and what their metadata says.

In goes a ``where`` as a caller or a shell gives it, out comes a `Filter` that says of an article whether it is meant. Every
value is kept as its text; what the text means depends on what it is compared with:

- Equal are the same text, a stored number and the same number (``1`` and ``1.0``), true and ``true``, and a date that lies in
  the date asked for. A stored text that reads as a number, as all that HTML says of itself, is equal to a number only as its
  text to a text, so that version ``1.10`` is not ``1.1``; unless in Python a number is asked for: ``{"v": 1}`` means the text
  ``1.0``, too, and ``{"v": "1"}`` and a shell's ``v=1`` do not (``v>=1`` with ``v<=1`` does). A text with ``*``, ``?`` or
  ``[`` is a pattern as in `fnmatch` (case counts, ``*`` takes ``/``, too).
- Before and after are numbers and dates only. Where both sides read as numbers they are compared as such, else as dates.
- A date is ISO 8601: ``2019``, ``2019-09``, ``2019-09-27``, ``2019-09-27T10:30``, with seconds, a fraction and a zone. It
  stands for its whole year, month, day, minute or second: ``date=2019-09`` is any day of that month, ``date>2019`` is
  after the end of that year, ``date<=2019-09`` lasts until that month's end. An article's own date may be as vague, and
  is meant only if all of it is. Where one of two times has no zone, both are read off the clock, without theirs.

Of a list or mapping, any value in it is enough, for each condition by itself. A key that an article does not have meets
no condition but ``!=``, which is met whenever ``=`` is not: ``author=*`` are the articles with an author, ``author!=*``
those without.

Filters are put together by `all_of`, `any_of` and `none_of`, which is how the filters of other systems are said in ours; a shell
has no words for it.

Deliberately not here: reading articles, and which passages an article has.
"""

from __future__ import annotations

import datetime
import math
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, Literal, cast, get_args

from semsearch.condition_values import MAX_LENGTH, NOT_PARSED, Equality, is_pattern, ordered, read
from semsearch.errors import InputError

__all__ = [
    "Alternatives",
    "Condition",
    "Filter",
    "Operator",
    "Where",
    "all_of",
    "any_of",
    "described",
    "is_pattern",
    "is_plain",
    "none_of",
    "parse",
]

Operator = Literal["=", "!=", ">=", "<=", ">", "<"]

_SHELL = re.compile(r"([^=!<>]*)(>=|<=|!=|==?|>|<)(.*)", re.DOTALL)
_RECORD = re.compile(r"#\d+\Z")
_LARGEST = 10**MAX_LENGTH
_FORMS = "write KEY=VALUE, KEY!=VALUE, KEY>=VALUE, KEY<=VALUE, KEY>VALUE, KEY<VALUE or KEY=a|b|c"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on an article; ``values``, sorted, are alternatives, and more than one only for ``=`` and ``!=``.

    ``numbers`` are those of the values that were given as numbers and not as texts; only ``=`` and ``!=`` tell them apart.
    """

    key: str
    operator: Operator
    values: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    _equality: Equality | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        """Arrange the values for comparison."""
        if self.operator in ("=", "!="):
            object.__setattr__(self, "_equality", Equality.of(self.values, self.numbers))

    def holds(self, found: Collection[Any]) -> bool:
        """Whether it is met by an article that has these under its key: strings, numbers and booleans."""
        if self._equality is not None:
            return any(map(self._equality.holds, found)) == (self.operator == "=")
        return any(ordered(stored, self.operator, self.values[0]) for stored in found)


@dataclass(frozen=True, slots=True)
class Alternatives:
    """Filters of which an article must meet one at least, or where ``negated`` none; made by `any_of` and `none_of`."""

    filters: tuple[Filter, ...]
    negated: bool

    @property
    def needs_metadata(self) -> bool:
        """As `Filter.needs_metadata`."""
        return any(each.needs_metadata for each in self.filters)

    def holds_for(self, source: str, title: str, metadata: Mapping[str, Any]) -> bool:
        """As `Filter.matches`."""
        return any(each.matches(source, title, metadata) for each in self.filters) != self.negated


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions that an article must meet, all of them; falsy if there are none. Hashable; made by `parse`, `all_of` and others.

    The key ``source`` is where an article stands, as hits show it; its value names the article, the file of a record
    (``dump.jsonl`` for ``dump.jsonl#17``) or a folder above it, and a pattern may match any of these. ``title`` is the
    article's. Every other key is looked up in the metadata, a dotted one in what is nested there if it is not itself a key;
    behind ``metadata.`` stands any, ``source`` and ``title`` of the metadata among them.
    """

    conditions: tuple[Condition | Alternatives, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any condition."""
        return bool(self.conditions)

    @property
    def needs_metadata(self) -> bool:
        """Whether `matches` looks at the metadata at all."""
        return any(
            condition.needs_metadata if isinstance(condition, Alternatives) else condition.key not in ("source", "title")
            for condition in self.conditions
        )

    def matches(self, source: str, title: str, metadata: Mapping[str, Any]) -> bool:
        """Whether an article is meant.

        :param source: as hits show it, with the number of a record.
        :param metadata: JSON values.
        """
        return all(
            condition.holds_for(source, title, metadata)
            if isinstance(condition, Alternatives)
            else condition.holds(_found(condition.key, source, title, metadata))
            for condition in self.conditions
        )


Where = Filter | Mapping[str, Any] | str | Sequence[str] | None
"""What `parse` takes."""


def parse(where: Where) -> Filter:
    """A filter from what a caller gave; a filter comes back as it is.

    Either a mapping of keys to a value, a list or set of alternatives, or a mapping of operators to either (all must hold);
    or conditions as one writes them in a shell, one or several of ``KEY=VALUE``, ``KEY!=VALUE``, ``KEY>=VALUE``,
    ``KEY<=VALUE``, ``KEY>VALUE``, ``KEY<VALUE``, with ``|`` between alternatives. None or nothing is no filter.

    ::

        parse({"date": {">=": "2019", "<": 2021}, "tags": ["oil", "gas"]})
        parse(["date>=2019", "date<2021", "tags=oil|gas"])

    :raises InputError: if a condition has no key, an unknown operator, or a value that cannot be compared so.
    """
    if isinstance(where, Filter):
        return where
    if isinstance(where, Mapping):
        conditions = [condition for key, value in where.items() for condition in _of_pair(key, value)]
    elif isinstance(where, str):
        conditions = [_of_text(where)] if where.strip() else []
    elif where is None or isinstance(where, Sequence):
        conditions = [_of_text(text) for text in where or ()]
    else:
        raise InputError(f"the filter is {where!r}: give a mapping such as {{'date': '2019'}} or strings such as 'date=2019'")
    ordered = sorted(set(conditions), key=lambda each: (each.key, each.operator, each.values, each.numbers))
    return Filter(tuple(ordered))


def all_of(*filters: Filter) -> Filter:
    """What meets all of these; of none of them, whatever there is."""
    return Filter(tuple(dict.fromkeys(condition for each in filters for condition in each.conditions)))


def any_of(*filters: Filter) -> Filter:
    """What meets one of these at least; of none of them, nothing."""
    return filters[0] if len(filters) == 1 else Filter((Alternatives(filters, negated=False),))


def none_of(*filters: Filter) -> Filter:
    """What meets none of these; of none of them, whatever there is."""
    return Filter((Alternatives(filters, negated=True),)) if filters else Filter()


def described(source: str, title: str, metadata: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """All that a condition may find of an article: pairs of a key and a string, number or boolean, the same ones perhaps twice.

    The keys are ``source``, ``title``, and those of the metadata behind ``metadata.``: what `Filter.matches` finds under a key
    ``K`` of the metadata is here under ``metadata.K``.
    """
    yield from (("source", place) for place in _places(source))
    if title:
        yield "title", title
    for key in dict.fromkeys(_keys(metadata)):
        yield from ((f"metadata.{key}", value) for value in _values(metadata, key))


def _keys(node: Any, above: str = "") -> Iterator[str]:
    """Every key that finds something, dotted ones for what is nested."""
    if isinstance(node, list):
        for element in node:
            yield from _keys(element, above)
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield above + key
            yield from _keys(value, f"{above}{key}.")


def is_plain(value: str) -> bool:
    """Whether only the same text, or true or false of that name, is equal to a value: it is no pattern, number or date."""
    return not is_pattern(value) and read(value) == NOT_PARSED and not _is_printed_number(value)


def _is_printed_number(text: str) -> bool:
    """Whether a stored number may have this text, though as a text it reads as none: ``nan``, ``inf``, very long ones."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _of_text(text: Any) -> Condition:
    match = _SHELL.fullmatch(text) if isinstance(text, str) else None
    # What begins with a sign is a misspelt operator: =>, =<, <>.
    if match is None or match[3].lstrip().startswith(("=", "<", ">")):
        raise InputError(f"the condition {text!r} cannot be read: {_FORMS}")
    key, operator, value = (part.strip() for part in match.groups())
    alternatives = [each.strip() for each in value.split("|")]
    return _condition(key, operator, alternatives)


def _of_pair(key: Any, value: Any) -> Iterator[Condition]:
    if not isinstance(key, str):
        raise InputError(f"the key {key!r} of a filter is not a string: give a key such as 'date'")
    if not isinstance(value, Mapping):
        yield _condition(key, "=", value)
        return
    if not value:
        raise InputError(f"nothing is asked of {key!r}: give {{'{key}': {{'>=': VALUE}}}}")
    for operator, bound in value.items():
        yield _condition(key, operator, bound)


def _condition(key: str, operator: Any, value: Any) -> Condition:
    operator = "=" if operator == "==" else operator
    key = key.strip()
    if not key:
        raise InputError(f"a condition has no key: {_FORMS}")
    if operator not in get_args(Operator):
        raise InputError(f"no operator {operator!r} for {key!r}: use one of {' '.join(get_args(Operator))}")
    given = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    if not given:
        raise InputError(f"no value for {key!r}: give at least one, or '{key}!=*' for articles without it")
    values = tuple(sorted({_text(key, each) for each in given}))
    if operator in ("=", "!="):
        numbers = {_text(key, each) for each in given if not isinstance(each, str | bool) and isinstance(each, Real)}
        return Condition(key, cast(Operator, operator), values, tuple(sorted(numbers)))
    if len(values) > 1 or read(values[0]) == NOT_PARSED:
        raise InputError(f"{key!r} cannot be {operator} {'|'.join(values)}: give a number, or a date such as 2019-09-27")
    return Condition(key, cast(Operator, operator), values)


def _text(key: str, value: Any) -> str:
    """The text that a value is kept as."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, datetime.date | datetime.time):
        text = value.isoformat()
    elif isinstance(value, Integral) and abs(int(value)) < _LARGEST:
        # Through Python's own types: numpy's are printed otherwise.
        text = str(int(value))
    elif isinstance(value, Real) and not isinstance(value, Integral) and math.isfinite(value):
        text = str(float(value))
    else:
        raise InputError(
            f"{key!r} cannot be compared with this {type(value).__name__}: give a string, a finite number, a date, True or False"
        )
    if not text:
        raise InputError(f"no value for {key!r}: give one, or '{key}!=*' for articles without it")
    # As sources are kept: no "./" before them, no "/" behind.
    return posixpath.normpath(text) if key == "source" else text


def _found(key: str, source: str, title: str, metadata: Mapping[str, Any]) -> Collection[Any]:
    """What an article has under a key."""
    if key == "source":
        return _places(source)
    if key == "title":
        return [title] if title else []
    found = list(_values(metadata, key))
    if not found and key.startswith("metadata."):
        found = list(_values(metadata, key.removeprefix("metadata.")))
    return found


def _places(source: str) -> tuple[str, ...]:
    """An article's own name, its file's, and those of all folders above it, without a slash behind."""
    places = [source]
    place = _RECORD.sub("", source)
    while place:
        places.append(place)
        parent = place.rpartition("/")[0]
        place = parent or ("/" if place.startswith("/") and place != "/" else "")
    return tuple(dict.fromkeys(places))


def _values(node: Any, key: str) -> Iterator[Any]:
    """All strings, numbers and booleans under a key; of a list, under the key in each of its elements."""
    if isinstance(node, list):
        for element in node:
            yield from _values(element, key)
    elif isinstance(node, Mapping):
        if key in node:
            yield from _leaves(node[key])
            return
        if "." in key:
            # Look at the names of the article, not at the dots of the key: a request may name a key of thousands of dots.
            for name, value in node.items():
                if key.startswith(f"{name}."):
                    yield from _values(value, key[len(name) + 1 :])


def _leaves(node: Any) -> Iterator[Any]:
    if isinstance(node, list):
        for element in node:
            yield from _leaves(element)
    elif isinstance(node, Mapping):
        for element in node.values():
            yield from _leaves(element)
    elif node is not None:
        yield node
