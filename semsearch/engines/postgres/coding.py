"""Values as they stand in columns: PostgreSQL's binary format for COPY, and values read back.

Deliberately not here: SQL.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semsearch.records import Passage, Sentence

__all__ = [
    "COPY_HEAD",
    "COPY_TAIL",
    "bigint",
    "bigints",
    "halfvec",
    "halfvec_text",
    "integer",
    "json_text",
    "passage_of",
    "row_of",
    "smallint",
    "storable",
    "stored",
    "text",
    "tsvector",
    "vector_of",
]

COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
COPY_TAIL = struct.pack(">h", -1)
_INT8 = 20
"""The type of a bigint."""
_MOST_POSITION = 16_383
_MOST_POSITIONS = 256
"""Of a word in one tsvector; what comes later is counted, but no phrase is found there."""
_WEIGHTS = (3 << 14, 2 << 14, 0)
"""A, B and D: title, heading and text."""
_GAP = 1
"""Positions between parts, so that no phrase goes from one to the next."""
_ODD = re.compile("[\0\ud800-\udfff]|^\x01")


def storable(said: str) -> str:
    """A text as PostgreSQL can hold it: NUL and halves of surrogate pairs, which names of files may have, are written as JSON."""
    return "\x01" + json.dumps(said) if _ODD.search(said) else said


def stored(said: str) -> str:
    """The text again."""
    return str(json.loads(said[1:])) if said.startswith("\x01") else said


def json_text(value: Any) -> str:
    """JSON in ASCII: no text in it can be what PostgreSQL cannot hold."""
    return json.dumps(value, separators=(",", ":"))


def row_of(fields: Sequence[bytes]) -> bytes:
    """A row for COPY."""
    parts = [struct.pack(">h", len(fields))]
    for field in fields:
        parts += (struct.pack(">i", len(field)), field)
    return b"".join(parts)


def smallint(value: int) -> bytes:
    """Of two bytes."""
    return struct.pack(">h", value)


def integer(value: int) -> bytes:
    """Of four bytes."""
    return struct.pack(">i", value)


def bigint(value: int) -> bytes:
    """Of eight bytes."""
    return struct.pack(">q", value)


def text(said: str) -> bytes:
    """Any text, by `storable`."""
    return storable(said).encode()


def bigints(values: Sequence[int]) -> bytes:
    """A bigint[]."""
    if not values:
        return struct.pack(">iii", 0, 0, _INT8)
    cells = np.empty(len(values), np.dtype([("length", ">i4"), ("value", ">i8")]))
    cells["length"], cells["value"] = 8, values
    return struct.pack(">iiiii", 1, 0, _INT8, len(values), 1) + cells.tobytes()


def halfvec(vector: NDArray[np.float32]) -> bytes:
    """A vector in half precision."""
    return struct.pack(">hh", len(vector), 0) + vector.astype(">f2").tobytes()


def halfvec_text(vector: NDArray[np.float32]) -> str:
    """A vector as a parameter, not rounded."""
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


def vector_of(data: bytes) -> NDArray[np.float32]:
    """What `halfvec` made of a vector: float32 (d,)."""
    return np.frombuffer(data, ">f2", offset=4).astype(np.float32)


def tsvector(parts: Iterable[Sequence[str]]) -> bytes:
    """The terms of title, heading and text with their positions.

    No dictionary of PostgreSQL has a say in it: a term is what it is. Terms have less than 255 bytes, and no NUL.
    """
    positions: dict[str, list[int]] = {}
    at = 0
    for part, (weight, terms) in enumerate(zip(_WEIGHTS, parts, strict=True), 1):
        # What is in a later part is to be told from what is not, however often it was before.
        most = _MOST_POSITIONS - len(_WEIGHTS) + part
        for term in terms:
            at += 1
            places = positions.setdefault(term, [])
            if at <= _MOST_POSITION and len(places) < most:
                places.append(at | weight)
        at += _GAP
    found = [struct.pack(">i", len(positions))]
    for term, places in positions.items():
        found += (term.encode(), b"\0", struct.pack(f">{len(places) + 1}H", len(places), *places))
    return b"".join(found)


def passage_of(columns: Sequence[Any]) -> Passage:
    """A passage of its columns: text, headings, paragraph, line, start, stop, sentences, sentence_spans, page."""
    said, headings, paragraph, line, start, stop, sentences, spans, page = columns
    return Passage(
        stored(said),
        tuple(json.loads(headings)),
        paragraph,
        line,
        start,
        stop,
        tuple(Sentence(*pair) for pair in np.frombuffer(sentences, "<i4").reshape(-1, 2).tolist()),
        tuple((first, last) for first, last in np.frombuffer(spans, "<i8").reshape(-1, 2).tolist()),
        page,
    )
