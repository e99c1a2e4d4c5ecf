"""The record of an index: which draft counts, in which collections, as of when; one entity, so that it changes all at once.

Deliberately not here: who may change it (`lease`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from semsearch.engines.milvus.client import Client, Missing
from semsearch.engines.milvus.entities import GAP, NAMES, NO_VECTOR, RECORD
from semsearch.engines.milvus.scoring import Counts
from semsearch.errors import IndexCorrupt, IndexTooNew, InputError

__all__ = ["Record", "edition_of", "editions", "named", "read", "write"]

_NAME = "record"
_FORMAT = 1
_BODIES = tuple(column.name for column in RECORD if column.name.startswith("body"))
_PIECE = 16_000
"""Characters of a body: of 4 bytes each at most."""
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Record:
    """A generation.

    ``draft``: the number of the draft that made it; what is there at that draft is in it. ``edition``: in which collections.
    ``at``: the server's timestamp of the last write that it consists of. ``dimension``: of its vectors. ``meta``: its facts.
    ``past``: drafts before with when they stopped to count (seconds since 1970). ``left``: editions before, likewise.
    """

    draft: int
    edition: str
    at: int
    dimension: int
    counts: Counts
    meta: Mapping[str, str]
    past: tuple[tuple[int, float], ...] = ()
    left: Mapping[str, float] = field(default_factory=dict)

    @property
    def visible(self) -> str:
        """The condition that what is in it meets."""
        return f"born <= {self.draft} and gone > {self.draft}"

    def sees(self, entity: Mapping[str, Any]) -> bool:
        """Whether an entity is in it."""
        return bool(entity["born"] <= self.draft < entity["gone"])


def named(collection: str, edition: str) -> dict[str, str]:
    """The collections of an edition, by what is in them."""
    return {name: f"{collection}_{name}_{edition}" for name in NAMES}


def edition_of(draft: int) -> str:
    """A short name for what a draft makes."""
    text = ""
    while draft:
        draft, digit = divmod(draft, 36)
        text = _DIGITS[digit] + text
    return text


def editions(collection: str, names: list[str]) -> dict[str, list[str]]:
    """The editions of an index, with their collections."""
    found: dict[str, list[str]] = {}
    pattern = re.compile(rf"{re.escape(collection)}_(?:{'|'.join(NAMES)})_([0-9a-z]{{9,12}})")
    for name in names:
        if match := pattern.fullmatch(name):
            found.setdefault(match[1], []).append(name)
    return found


def read(client: Client, collection: str, at: int) -> Record | None:
    """The record of an index; None if nothing was ever committed.

    :raises IndexTooNew: if a later version wrote it.
    :raises IndexCorrupt: if it is none.
    """
    try:
        found = client.query(collection, f'name == "{_NAME}"', _BODIES, at)
    except Missing:
        return None
    if not found:
        return None
    try:
        stored = json.loads("".join(str(found[0][name]) for name in _BODIES))
        if stored["format"] > _FORMAT:
            raise IndexTooNew(f"the index in {collection} was written by a later version of semsearch: upgrade")
        return Record(
            int(stored["draft"]), str(stored["edition"]), int(stored["at"]), int(stored["dimension"]),
            Counts(int(stored["passages"]), dict(stored["terms"])), dict(stored["meta"]),
            tuple((int(draft), float(when)) for draft, when in stored["past"]), dict(stored["left"]),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise IndexCorrupt(f"the record of the index in {collection} cannot be read: index into another collection") from error


def write(client: Client, collection: str, record: Record) -> int:
    """Make this the record.

    :raises InputError: if there is more in it than one entity takes.
    """
    stored = {
        "format": _FORMAT, "draft": record.draft, "edition": record.edition, "at": record.at, "dimension": record.dimension,
        "passages": record.counts.passages, "terms": dict(record.counts.terms), "meta": dict(record.meta), "past": record.past,
        "left": dict(record.left),
    }  # fmt: skip
    text = json.dumps(stored, ensure_ascii=False)
    if len(text) > _PIECE * len(_BODIES):
        most = _PIECE * len(_BODIES)
        raise InputError(f"the facts on the index have {len(text)} characters, and Milvus takes {most}: shorten them")
    bodies = {name: text[place * _PIECE : (place + 1) * _PIECE] for place, name in enumerate(_BODIES)}
    return client.upsert(collection, [{"name": _NAME, **bodies, GAP: NO_VECTOR}])
