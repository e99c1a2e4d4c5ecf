"""Front matter, meta tags and JSON keys to one kind of metadata: JSON values under common names.

Deliberately not here: where in a file the metadata stands, except for front matter.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

import yaml

from semsearch.articles.decode import printable

__all__ = ["json_value", "normalise", "split_front_matter"]

# As in pandoc, a blank line behind the first rule makes it a rule: a paragraph below it may well read as YAML.
_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(?![ \t]*\r?\n)(.*?)^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_KEY_FIRST = re.compile(r"(?:\s*#[^\n]*\n)*\s*[\w-]+\s*:")
_MAX_FRONT_MATTER = 65_536
_SYNONYMS = {
    "lang": "language",
    "authors": "author",
    "keywords": "tags",
    "published": "date",
    "link": "url",
    "canonical": "url",
}
_MAX_DEPTH = 20
_MAX_BITS = 2048
"""A number of more is kept as a text: Python refuses to write out one of some thousand digits, or of 640 where it is told to."""
_MAX_REASON = 200


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases, so that a small document cannot stand for a huge one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases are not read", problem_mark=mark)
        return super().compose_node(parent, index)


def split_front_matter(text: str) -> tuple[dict[str, Any], int, str]:
    """Metadata of a text that opens with YAML between two lines of ``---``, where its body starts, and what is wrong.

    A text that opens with a rule, not with front matter, comes back as no metadata and 0. What is wrong is "", or why no
    metadata could be read, with the line.
    """
    match = _FRONT_MATTER.match(text[: _MAX_FRONT_MATTER + 8])
    if match is None:
        return {}, 0, ""
    try:
        loaded = yaml.load(match[1], _PlainLoader) or {}  # noqa: S506 (a SafeLoader)
    # PyYAML lets out whatever its constructors stumble over: KeyError at "!!bool x", AttributeError at "!!timestamp x".
    except (yaml.YAMLError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError) as error:
        if not _KEY_FIRST.match(match[1]):
            return {}, 0, ""
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 2}: {str(getattr(error, 'problem', None))[:_MAX_REASON]})" if mark is not None else ""
        return {}, match.end(), f"front matter is not YAML{where}: its metadata is left out"
    return (normalise(loaded), match.end(), "") if isinstance(loaded, dict) else ({}, 0, "")


def normalise(raw: Mapping[Any, Any]) -> dict[str, Any]:
    """Metadata as JSON values: ``title date author language tags url`` by these names, whatever else as it was called.

    Dates become ISO 8601, ``tags`` a list. An address under ``source`` becomes ``url``, since a hit's source is its file.
    """
    result: dict[str, Any] = {}
    for key, value in raw.items():
        name = _text(key)
        name = _SYNONYMS.get(name.lower(), name.lower() if name.lower() in {*_SYNONYMS.values(), "title"} else name)
        plain = json_value(value)
        if name.lower() == "source" and isinstance(plain, str) and re.match(r"https?://", plain):
            name = "url"
        if name == "tags" and isinstance(plain, str):
            plain = [tag.strip() for tag in plain.split(",") if tag.strip()]
        if name and plain not in (None, ""):
            result.setdefault(name, plain)
    return result


def json_value(value: Any, depth: int = 0) -> Any:
    """Convert a value to JSON types: dates to ISO 8601, other types to text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= _MAX_BITS else hex(value)
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if depth < _MAX_DEPTH and isinstance(value, Mapping):
        return {_text(key): json_value(item, depth + 1) for key, item in value.items()}
    if depth < _MAX_DEPTH and isinstance(value, list | tuple | set):
        return [json_value(item, depth + 1) for item in value]
    return _text(value)


def _text(value: Any) -> str:
    try:
        return printable(str(value)).strip()
    except ValueError:
        # A number too long to be written out, by itself or inside of something.
        return hex(value) if isinstance(value, int) else ""
