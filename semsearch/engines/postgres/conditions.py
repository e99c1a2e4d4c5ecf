"""Which passages may come back, as SQL: `seam.Among` to a condition on a table's rows.

Nothing of a filter or a phrase becomes part of a statement: ids and phrases are parameters.

Deliberately not here: what a filter means (`narrowing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from psycopg import sql

from semsearch.engines.postgres.tables import Tables
from semsearch.engines.seam import Among, Every, Having, Numbered, Said, Without

__all__ = ["Condition", "condition", "havings", "is_of_articles", "phrases", "query_of"]

_NOTHING = sql.SQL("false")
_ANYTHING = sql.SQL("true")
_LOOKED_UP = 200
"""Values that an article's are compared with one by one, at most: about 30 times so many comparisons for each passage."""


class Condition(NamedTuple):
    """A condition and its parameters."""

    text: sql.Composable
    parameters: list[Any]


def condition(
    among: Among | None, tables: Tables, on: Literal["articles", "lexical", "vectors"], *, each: bool = False
) -> Condition:
    """What a row of a table has to meet; the table is called ``t``.

    :param on: articles have neither words nor rows: `is_of_articles` says whether they can be asked.
    :param each: look each row up on its own, and never begin with those that meet it: for rows that come in another order.
    """
    if among is None:
        return Condition(_ANYTHING, [])
    if isinstance(among, Having):
        return _having(among, tables, on, each)
    if isinstance(among, Said):
        return _said(among, tables, on, each)
    if isinstance(among, Numbered):
        # Words are found by ordinals.
        aside = tables.sql('t.ordinal IN (SELECT ordinal FROM {passages} WHERE "row" = ANY(%s::bigint[]))')
        here = sql.SQL('t."row" = ANY(%s::bigint[])')
        return Condition(aside if on == "lexical" and not each else here, [list(among.rows)])
    if isinstance(among, Without):
        inner = condition(among.of, tables, on, each=each)
        return Condition(sql.SQL("NOT ({})").format(inner.text), inner.parameters)
    parts = [condition(part, tables, on, each=each) for part in among.of]
    if not parts:
        return Condition(_ANYTHING if isinstance(among, Every) else _NOTHING, [])
    joined = sql.SQL(" AND " if isinstance(among, Every) else " OR ").join([part.text for part in parts])
    return Condition(sql.SQL("({})").format(joined), [each for part in parts for each in part.parameters])


def _having(among: Having, tables: Tables, on: str, each: bool) -> Condition:
    if not among.values:
        return Condition(_NOTHING, [])
    if on == "articles":
        text: sql.Composable = sql.SQL("t.value_ids && %s::bigint[]")
    elif not each:
        text = tables.sql("t.article IN (SELECT id FROM {articles} WHERE value_ids && %s::bigint[])")
    elif len(among.values) <= _LOOKED_UP:
        text = tables.sql("(SELECT a.value_ids && %s::bigint[] FROM {articles} a WHERE a.id = t.article)")
    else:
        # A set that is made once, and not joined with: comparing many values with an article's takes long.
        text = tables.sql("(t.article IN (SELECT id FROM {articles} WHERE value_ids && %s::bigint[])) IS TRUE")
    return Condition(text, [list(among.values)])


def _said(among: Said, tables: Tables, on: str, each: bool) -> Condition:
    wanted = query_of(among.ways)
    if not wanted:
        return Condition(_NOTHING, [])
    if on == "lexical":
        text: sql.Composable = sql.SQL("t.terms @@ %s::tsquery")
    elif each:
        text = tables.sql("(SELECT l.terms @@ %s::tsquery FROM {lexical} l WHERE l.ordinal = t.ordinal)")
    else:
        text = tables.sql("t.ordinal IN (SELECT ordinal FROM {lexical} WHERE terms @@ %s::tsquery)")
    return Condition(text, [wanted])


def query_of(ways: Sequence[Sequence[str]]) -> str:
    """A value of type tsquery: any of some sequences of terms, each one behind the other; "" if there are none."""
    return " | ".join("(" + " <-> ".join(map(_quoted, way)) + ")" for way in ways if way)


def _quoted(term: str) -> str:
    return "'" + term.replace("\\", "\\\\").replace("'", "''") + "'"


def is_of_articles(among: Among) -> bool:
    """Whether it can be told by articles alone."""
    return all(isinstance(each, Having) for each in _leaves(among))


def phrases(among: Among) -> list[Said]:
    """All that is said of words in it."""
    return [each for each in _leaves(among) if isinstance(each, Said)]


def havings(among: Among) -> list[Having]:
    """All that is said of articles in it."""
    return [each for each in _leaves(among) if isinstance(each, Having)]


def _leaves(among: Among) -> list[Having | Said | Numbered]:
    if isinstance(among, (Having, Said, Numbered)):
        return [among]
    if isinstance(among, Without):
        return _leaves(among.of)
    return [leaf for each in among.of for leaf in _leaves(each)]
