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
from semsearch.errors import InputError

__all__ = ["normalise", "split_front_matter"]

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)(?:^|\n)(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)
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


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases, so that a small document cannot stand for a huge one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


def split_front_matter(text: str) -> tuple[dict[str, Any], int]:
    """Metadata of a text that opens with YAML between two lines of ``---``, and where its body starts.

    A text that opens with a rule, not with front matter, comes back as no metadata and 0.

    :raises InputError: if what stands there is not YAML; the message has the line.
    """
    match = _FRONT_MATTER.match(text[: _MAX_FRONT_MATTER + 8])
    if match is None:
        return {}, 0
    try:
        loaded = yaml.load(match[1], _PlainLoader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if not re.match(r"\s*[\w-]+\s*:", match[1]):
            return {}, 0
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 2})" if mark is not None else ""
        raise InputError(f"front matter is not YAML{where}: its metadata is left out") from error
    if loaded is None:
        return {}, match.end()
    return (normalise(loaded), match.end()) if isinstance(loaded, dict) else ({}, 0)


def body_after_front_matter(text: str) -> int:
    """Where the body of a text starts whose front matter could not be read."""
    match = _FRONT_MATTER.match(text)
    return match.end() if match else 0


def normalise(raw: Mapping[Any, Any]) -> dict[str, Any]:
    """Metadata as JSON values: ``title date author language tags url`` by these names, whatever else as it was called.

    Dates become ISO 8601, ``tags`` a list. An address under ``source`` becomes ``url``, since a hit's source is its file.
    """
    result: dict[str, Any] = {}
    for key, value in raw.items():
        name = str(key).strip()
        name = _SYNONYMS.get(name.lower(), name.lower() if name.lower() in {*_SYNONYMS.values(), "title"} else name)
        plain = _json_value(value)
        if name.lower() == "source" and isinstance(plain, str) and re.match(r"https?://", plain):
            name = "url"
        if name == "tags" and isinstance(plain, str):
            plain = [tag.strip() for tag in plain.split(",") if tag.strip()]
        if name and plain not in (None, ""):
            result.setdefault(name, plain)
    return result


def _json_value(value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if depth < _MAX_DEPTH and isinstance(value, Mapping):
        return {printable(str(key)): _json_value(item, depth + 1) for key, item in value.items()}
    if depth < _MAX_DEPTH and isinstance(value, list | tuple | set):
        return [_json_value(item, depth + 1) for item in value]
    return printable(str(value)).strip()
