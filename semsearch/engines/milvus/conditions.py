"""`Among` as an expression of Milvus: numbers and tokens only, so nothing of a question or a filter can mean something else.

Deliberately not here: what filters mean (`engines.narrowing`), and which generation sees what.
"""

from __future__ import annotations

from semsearch.engines.milvus.entities import token
from semsearch.engines.seam import Among, Every, Having, Numbered, Said, Some

__all__ = ["condition_of", "is_of_articles"]

_ALL = "born >= 0"
_NONE = "born < 0"


def condition_of(among: Among | None) -> str:
    """The condition that passages meet; "" for all."""
    return "" if among is None else _of(among)


def _of(among: Among) -> str:
    if isinstance(among, Having):
        return f"array_contains_any(having, {list(among.values)})" if among.values else _NONE
    if isinstance(among, Said):
        # One space is between terms and two between parts, so that a phrase is found inside one part only.
        said = [f'whole like "% {" ".join(map(token, way))} %"' for way in among.ways if way]
        return _joined(said, "or", _NONE)
    if isinstance(among, Numbered):
        return f"row in {list(among.rows)}" if among.rows else _NONE
    if isinstance(among, Every):
        return _joined([_of(each) for each in among.of], "and", _ALL)
    if isinstance(among, Some):
        return _joined([_of(each) for each in among.of], "or", _NONE)
    return f"not ({_of(among.of)})"


def _joined(conditions: list[str], by: str, none: str) -> str:
    return f"({f' {by} '.join(conditions)})" if conditions else none


def is_of_articles(among: Among) -> bool:
    """Whether all passages of an article meet it, or none."""
    if isinstance(among, (Having, Numbered, Said)):
        return isinstance(among, Having)
    parts = among.of if isinstance(among, (Every, Some)) else (among.of,)
    return all(map(is_of_articles, parts))
