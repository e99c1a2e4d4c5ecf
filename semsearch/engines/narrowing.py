"""Filters as engines can evaluate them, meaning just what they mean in a folder's index.

What an article can be told apart by is kept as ids of values (`values_of`); a condition is first held against the values that
there are under its key, here, by `filters`, and the engine is given the ids of those that meet it. No text of a filter ever
becomes part of an engine's expression.

Deliberately not here: what a filter means (`filters`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from semsearch.engines.numbers import key_id, value_id
from semsearch.engines.seam import Among, Every, Having, Some, Value, Without
from semsearch.filters import Alternatives, Condition, Filter, described, is_plain
from semsearch.limits import check_deadline

__all__ = ["MOST_VALUES", "among", "values_of"]

MOST_VALUES = 4000
"""Values of an article that filters can look at: Milvus takes arrays of 4,096."""
_OWN = ("source", "title")
_METADATA = "metadata."
_ANYTHING = "*"


def values_of(source: str, title: str, metadata: Mapping[str, Any]) -> tuple[list[Value], list[int]]:
    """What an article has under every key that a filter can ask for, each once, and the ids that say that it has these keys."""
    found: dict[int, Value] = {}
    keys: dict[int, None] = {}
    for key, value in described(source, title, metadata):
        number = value_id(key, value)
        found.setdefault(number, Value(number, key, json.dumps(value, ensure_ascii=False)))
        keys[key_id(key)] = None
    return list(found.values()), list(keys)


def among(wanted: Filter, values: Callable[[str], Sequence[Value]]) -> Among:
    """The passages that a filter leaves.

    :param values: what there is under a key, as `Snapshot.values` has it.
    """
    return Every(tuple(_of(condition, values) for condition in wanted.conditions))


def _of(condition: Condition | Alternatives, values: Callable[[str], Sequence[Value]]) -> Among:
    if isinstance(condition, Alternatives):
        some = Some(tuple(among(each, values) for each in condition.filters))
        return Without(some) if condition.negated else some
    if condition.operator == "!=":
        return Without(_met(Condition(condition.key, "=", condition.values, condition.numbers), values))
    return _met(condition, values)


def _met(condition: Condition, values: Callable[[str], Sequence[Value]]) -> Among:
    """Articles that have a value which meets a condition other than ``!=``."""
    if condition.key in _OWN:
        return _under(condition.key, condition, values)
    key = _METADATA + condition.key
    if not condition.key.startswith(_METADATA) or not values(key):
        return _under(_METADATA + condition.key.removeprefix(_METADATA), condition, values)
    # Behind "metadata." any key stands, unless the metadata have such a key themselves.
    plainly = Every((Without(Having((key_id(key),))), _under(condition.key, condition, values)))
    return Some((_under(key, condition, values), plainly))


def _under(key: str, condition: Condition, values: Callable[[str], Sequence[Value]]) -> Having:
    if condition.operator == "=" and condition.values == (_ANYTHING,):
        return Having((key_id(key),))
    if condition.operator == "=" and all(map(is_plain, condition.values)):
        # Only the same text is equal to such a one, which need not be looked for.
        return Having(tuple(sorted(_plain(key, condition.values))))
    return Having(tuple(sorted(each.id for each in values(key) if _holds(condition, each))))


def _holds(condition: Condition, value: Value) -> bool:
    check_deadline()
    return condition.holds([json.loads(value.value)])


def _plain(key: str, texts: Sequence[str]) -> Iterator[int]:
    for text in texts:
        yield value_id(key, text)
        if text.lower() in ("true", "false"):
            yield value_id(key, text.lower() == "true")
