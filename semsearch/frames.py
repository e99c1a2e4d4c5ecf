"""Dictionaries to DataFrames: the one door to pandas.

Deliberately not here: what is in the dictionaries (`results`, `store`, `maps`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from semsearch.errors import MissingExtra

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MOST_KEYS", "frame", "passages"]

MOST_KEYS = 1000
"""Keys of metadata that become columns, at most: a table of a thousand columns more is of no use, and does not fit."""
_KINDS = {
    **dict.fromkeys(("passage_id", "article_id", "source", "title", "heading"), "str"),
    **dict.fromkeys(("paragraph", "line", "page", "start", "end"), "int64"),
    "text": "str",
}
"""The columns of a passage that every one has, and the kind of their values."""


def frame(records: Sequence[Mapping[str, Any]], like: Mapping[str, Any], *, flat: bool = False) -> pd.DataFrame:
    """One row a record, one column a key.

    :param like: a record that tells the columns where there is none.
    :param flat: whether the values of a dictionary have columns of their own, named ``key.key``.
    :raises MissingExtra: if pandas is not installed.
    """
    pandas = _pandas("to_pandas()")
    given = list(records) or [like]
    made: pd.DataFrame = pandas.json_normalize(given, max_level=1) if flat else pandas.DataFrame(given)
    return made if records else made.iloc[:0]


def passages(batches: Iterable[Sequence[Mapping[str, Any]]], keys: Sequence[str], others: Sequence[str] = ()) -> pd.DataFrame:
    """One row a passage, the columns those of `store.PassageRow.to_dict`, its metadata behind the others as ``metadata.KEY``.

    What an article does not say is missing (NaN, None). Of more than `MOST_KEYS` keys none has a column of its own: there is one,
    ``metadata``, of dictionaries.

    :param batches: passages, some at a time: what is read is put into columns before more is read.
    :param keys: all that the metadata may have.
    :param others: keys that the passages have beside these, whose columns come last.
    :raises MissingExtra: if pandas is not installed.
    """
    pandas = _pandas("to_dataframe()")
    spread = {key: f"metadata.{key}" for key in keys} if len(keys) <= MOST_KEYS else {}
    told = spread.values() if spread or not keys else ("metadata",)
    # Those of known kind come batch by batch, for lists of texts take twice as much; of the others all values tell the kind.
    parts: dict[str, list[Any]] = {name: [pandas.Series([], dtype=kind)] for name, kind in _KINDS.items()}
    lists: dict[str, list[Any]] = {name: [] for name in (*told, *others)}
    for batch in batches:
        for name, kind in _KINDS.items():
            parts[name].append(pandas.Series([record[name] for record in batch], dtype=kind))
        for key, name in spread.items():
            lists[name] += [record["metadata"].get(key) for record in batch]
        for name in ("metadata", *others):
            if name in lists:
                lists[name] += [record[name] for record in batch]
    # What a column was made of goes when the column is there.
    columns = {name: pandas.concat(parts.pop(name), ignore_index=True) for name in _KINDS}
    columns |= {name: pandas.Series(lists.pop(name)) for name in list(lists)}
    made: pd.DataFrame = pandas.DataFrame(columns, copy=False)
    return made


def _pandas(what: str) -> Any:
    try:
        import pandas
    except ImportError as error:
        raise MissingExtra(f'{what} needs pandas: python -m pip install "semsearch[pandas]"') from error
    return pandas
