"""Articles of an index as a whole: their passages in order, lists of them, what they can be told apart by.

Deliberately not here: searching, and which articles a filter leaves (`filtering`).
"""

from __future__ import annotations

import json
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray

from semsearch.errors import InputError
from semsearch.records import ArticleInfo, Excerpt, Facets, StoredPassage
from semsearch.store.database import one
from semsearch.store.tables import PASSAGE, metadata_of, number_of, public_id
from semsearch.store.tables import passage as passage_of

__all__ = ["around", "article", "articles", "counted", "facets"]

_INFO = """
SELECT a.id, f.source || a.record, f.path, a.title, a.metadata, (SELECT count(*) FROM passages p WHERE p.article = a.id)
FROM articles a JOIN files f ON f.id = a.file
"""
_IN_ORDER = "ORDER BY f.source, f.path, a.id LIMIT ? OFFSET ?"
_DATE = re.compile(r"\d{4}(?:-\d\d(?:-\d\d)?)?", re.ASCII)
_SHOWN = 200
"""Values of a key, and sources, at most."""
_DISTINCT = 5000
"""A key with more values tells single articles apart, not groups of them; so many values of a key are counted at most."""
_LONGEST = 80


def article(database: apsw.Connection, article_id: str, first: int, limit: int) -> Excerpt:
    """Passages of an article, from a place on, counted from 0.

    :raises InputError: if there is no such article.
    """
    info, number = _named(database, article_id)
    return Excerpt(info, first, _passages(database, number, info.source, first, limit))


def around(database: apsw.Connection, passage_id: str, before: int, after: int) -> Excerpt:
    """A passage with its neighbours.

    :raises InputError: if there is no such passage.
    """
    number = number_of(passage_id)
    row = database.execute("SELECT article, text FROM passages WHERE id = ?", (number,)).fetchone()
    info = None if row is None else _info(database, row[0])
    if info is None or public_id(number, info.source, row[1]) != passage_id:
        raise _none("passage", passage_id)
    place = int(one(database, "SELECT count(*) FROM passages WHERE article = ? AND id < ?", (row[0], number)))
    first = max(0, place - before)
    return Excerpt(info, first, _passages(database, row[0], info.source, first, place - first + 1 + after))


def articles(database: apsw.Connection, first: int, limit: int, wanted: NDArray[np.int64] | None = None) -> Iterator[ArticleInfo]:
    """Articles by their sources, from a place on.

    :param wanted: int64: the only ones that may come back; None for all.
    """
    if wanted is None:
        found = database.execute(f"{_INFO} {_IN_ORDER}", (limit, first))
    else:
        chosen = json.dumps(wanted.tolist())
        found = database.execute(f"{_INFO} WHERE a.id IN (SELECT value FROM json_each(?)) {_IN_ORDER}", (chosen, limit, first))
    return (_article_info(*row) for row in found)


def facets(database: apsw.Connection) -> Facets:
    """What the articles can be told apart by."""
    rows = database.execute("SELECT f.source, a.metadata FROM articles a JOIN files f ON f.id = a.file")
    return counted((source, metadata_of(metadata)) for source, metadata in rows)


def counted(articles: Iterable[tuple[str, Mapping[str, Any]]]) -> Facets:
    """What articles can be told apart by, each given by its file's source and its metadata."""
    sources: Counter[str] = Counter()
    values: dict[str, Counter[str]] = {}
    dates: set[str] = set()
    n_articles = 0
    for source, metadata in articles:
        n_articles += 1
        sources.update(_and_above(source))
        for key, value in metadata.items():
            if key == "date" and isinstance(value, str) and (date := _DATE.match(value)):
                dates.add(date[0])
            counted = values.setdefault(key, Counter())
            if len(counted) <= _DISTINCT:
                counted.update(set(_texts(value)))
    grouping = {key: counted for key, counted in values.items() if 0 < len(counted) <= _DISTINCT and _groups(counted)}
    return Facets(
        n_articles,
        tuple(_first(sources)),
        {key: tuple(_first(grouping[key])) for key in sorted(grouping)},
        (min(dates), max(dates)) if dates else None,
    )


def _groups(counted: Counter[str]) -> bool:
    """Whether a key's values are worth choosing from: some articles have the same, or there are few."""
    return len(counted) <= _SHOWN or counted.total() >= 2 * len(counted)


def _first(counted: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]


def _and_above(source: str) -> Iterator[str]:
    """A source, and the folders above it."""
    while source and source != "/":
        yield source
        source = posixpath.dirname(source)


def _texts(value: Any) -> Iterator[str]:
    """The short texts that a filter would be given for a value."""
    if isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, str | int | float) and 0 < len(str(value)) <= _LONGEST:
        yield str(value)


def _named(database: apsw.Connection, article_id: str) -> tuple[ArticleInfo, int]:
    number = number_of(article_id)
    info = _info(database, number)
    if info is None or info.article_id != article_id:
        raise _none("article", article_id)
    return info, number


def _none(what: str, public: str) -> InputError:
    return InputError(f"there is no {what} {public[:60]!r}: its file may have changed since; search again")


def _info(database: apsw.Connection, number: int) -> ArticleInfo | None:
    row = database.execute(f"{_INFO} WHERE a.id = ?", (number,)).fetchone()
    return None if row is None else _article_info(*row)


def _article_info(number: int, source: str, path: str, title: str, metadata: str, n_passages: int) -> ArticleInfo:
    return ArticleInfo(public_id(number, source), title, source, path, metadata_of(metadata), n_passages)


def _passages(database: apsw.Connection, number: int, source: str, first: int, limit: int) -> tuple[StoredPassage, ...]:
    statement = f"SELECT id, {PASSAGE} FROM passages WHERE article = ? ORDER BY id LIMIT ? OFFSET ?"
    return tuple(_stored(source, *row) for row in database.execute(statement, (number, limit, first)))


def _stored(source: str, number: int, *columns: Any) -> StoredPassage:
    found = passage_of(*columns)
    return StoredPassage(
        public_id(number, source, found.text),
        found.text,
        found.heading,
        found.paragraph,
        found.line,
        found.start,
        found.end,
        found.page,
    )
