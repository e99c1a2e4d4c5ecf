"""JSONL to records: one article a line, as `(line, title, text, metadata)`.

Deliberately not here: how the text of a record is cut into blocks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from semsearch.articles.decode import printable
from semsearch.articles.metadata import normalise
from semsearch.errors import InputError

__all__ = ["Record", "records"]

_TEXT_KEYS = ("text", "body", "content")


class Record(NamedTuple):
    """A line of a JSONL file: its number, and what it holds."""

    line: int
    title: str
    text: str
    metadata: dict[str, Any]


def records(text: str, columns: Mapping[str, str]) -> Iterator[Record | InputError]:
    """The records of a file, or for a line that is none what is wrong with it. Blank lines are passed over.

    :param columns: keys that take the place of ``text`` and ``title`` where a record has them.
    """
    # Not splitlines(): a JSON string may hold U+2028 and the like unescaped.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield _record(number, line, columns)
        except InputError as error:
            yield error


def _record(number: int, line: str, columns: Mapping[str, str]) -> Record:
    try:
        loaded = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"line {number}: not JSON ({error.msg} at column {error.colno})") from error
    except (RecursionError, ValueError) as error:
        raise InputError(f"line {number}: JSON that cannot be read ({error})") from error
    if not isinstance(loaded, dict):
        raise InputError(f"line {number}: not a JSON object with a 'text' key")
    keys = [key for key in (columns.get("text", "text"), *_TEXT_KEYS) if isinstance(loaded.get(key), str)]
    if not keys:
        raise InputError(f"line {number}: no 'text' key with a string")
    text = printable(loaded.pop(next((key for key in keys if loaded[key].strip()), keys[0])))
    title = loaded.pop(columns["title"] if columns.get("title") in loaded else "title", None)
    title = printable(str(title)).strip() if isinstance(title, str | int | float) else ""
    try:
        metadata = normalise(loaded)
    except RecursionError as error:
        raise InputError(f"line {number}: metadata nested too deeply to be read") from error
    if not text.strip() and not title:
        raise InputError(f"line {number}: the text is empty")
    return Record(number, title, text, metadata)
