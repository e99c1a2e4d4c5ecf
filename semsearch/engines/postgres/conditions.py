"""Which passages may come back, as SQL: `seam.Among` to a condition on a table's rows.

Nothing of a filter or a phrase becomes part of a statement: ids and phrases are parameters.

Deliberately not here: what a filter means (`narrowing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from psycopg import sql

from semsearch.engines.postgres.tables import Tables
from semsearch.engines.seam import Among, Every, Having, Said, Some, Without

__all__ = ["Condition", "condition", "havings", "is_of_articles", "phrases", "query_of"]

_NOTHING = sql.SQL("false")
_ANYTHING = sql.SQL("true")


class Condition(NamedTuple):
    """A condition and its parameters."""

    text: sql.Composable
    parameters: list[Any]


def condition(
    among: Among | None, tables: Tables, on: Literal["articles", "lexical", "vectors"], *, hashed: bool = False
) -> Condition:
    """What a row of a table has to meet; the table is called ``t``.

    :param on: articles have no words: `is_of_articles` says whether they can be asked.
    :param hashed: hold each row against sets that are made once, and never begin with them: for scans in another order.
    """
    if among is None:
        return Condition(_ANYTHING, [])
    if isinstance(among, Having):
        return _having(among, tables, on, hashed)
    if isinstance(among, Said):
        return _said(among, tables, on, hashed)
    if isinstance(among, Without):
        inner = condition(among.of, tables, on, hashed=True)
        return Condition(sql.SQL("NOT ({})").format(inner.text), inner.parameters)
    parts = [condition(each, tables, on, hashed=hashed or isinstance(among, Some)) for each in among.of]
    if not parts:
        return Condition(_ANYTHING if isinstance(among, Every) else _NOTHING, [])
    joined = sql.SQL(" AND " if isinstance(among, Every) else " OR ").join([part.text for part in parts])
    return Condition(sql.SQL("({})").format(joined), [each for part in parts for each in part.parameters])


def _having(among: Having, tables: Tables, on: str, hashed: bool) -> Condition:
    if not among.values:
        return Condition(_NOTHING, [])
    if on == "articles":
        return Condition(sql.SQL("t.value_ids && %s::bigint[]"), [list(among.values)])
    text = tables.sql("t.article IN (SELECT id FROM {articles} WHERE value_ids && %s::bigint[])")
    return Condition(_alone(text) if hashed else text, [list(among.values)])


def _said(among: Said, tables: Tables, on: str, hashed: bool) -> Condition:
    wanted = query_of(among.ways)
    if not wanted:
        return Condition(_NOTHING, [])
    if on == "lexical":
        return Condition(sql.SQL("t.terms @@ %s::tsquery"), [wanted])
    text = tables.sql('t."row" IN (SELECT "row" FROM {lexical} WHERE terms @@ %s::tsquery)')
    return Condition(_alone(text) if hashed else text, [wanted])


def _alone(text: sql.Composable) -> sql.Composable:
    """A set that the planner makes on its own, once, in place of joining with it."""
    return sql.SQL("({}) IS TRUE").format(text)


def query_of(ways: Sequence[Sequence[str]]) -> str:
    """A value of type tsquery: any of some sequences of terms, each one behind the other; "" if there are none."""
    return " | ".join("(" + " <-> ".join(map(_quoted, way)) + ")" for way in ways if way)


def _quoted(term: str) -> str:
    return "'" + term.replace("\\", "\\\\").replace("'", "''") + "'"


def is_of_articles(among: Among) -> bool:
    """Whether it can be told by articles alone."""
    return not phrases(among)


def phrases(among: Among) -> list[Said]:
    """All that is said of words in it."""
    return [each for each in _leaves(among) if isinstance(each, Said)]


def havings(among: Among) -> list[Having]:
    """All that is said of articles in it."""
    return [each for each in _leaves(among) if isinstance(each, Having)]


def _leaves(among: Among) -> list[Having | Said]:
    if isinstance(among, (Having, Said)):
        return [among]
    if isinstance(among, Without):
        return _leaves(among.of)
    return [leaf for each in among.of for leaf in _leaves(each)]
