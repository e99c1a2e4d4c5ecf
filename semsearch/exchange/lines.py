"""Files of JSON lines: the header, then a passage a line. Vectors, and codes of words, are base64 of their bytes.

Deliberately not here: what the values may be (`rows`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from semsearch.errors import InputError
from semsearch.exchange.rows import Header, Row, Wrong, checked_metadata, foreign, plain, row_of

__all__ = ["sink", "source"]

_LONGEST = 256 * 2**20
"""Bytes of a line: a text and metadata of the longest, each letter escaped."""


@contextmanager
def sink(path: Path, header: Header) -> Iterator[_Sink]:
    """See `exchange.writing`."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(header.to_json() + "\n")
        yield _Sink(file)


class _Sink:
    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, rows: Sequence[Row]) -> None:
        """Some rows more."""
        self._file.writelines(json.dumps(_values(row), ensure_ascii=False) + "\n" for row in rows)


def _values(row: Row) -> dict[str, Any]:
    passage = row.passage
    values: dict[str, Any] = {
        "source": row.source + row.record,
        "record": row.record,
        "path": row.path,
        "sha256": row.sha256.hex(),
        "title": row.title,
        "metadata": dict(row.metadata),
        "headings": list(passage.headings),
        "paragraph": passage.paragraph,
        "line": passage.line,
        "page": passage.page,
        "start": passage.start,
        "end": passage.end,
        "text": passage.text,
        "sentences": [[*inner, *outer] for inner, outer in zip(passage.sentences, passage.sentence_spans, strict=True)],
    }
    if row.vector is not None:
        values["vector"] = _base64(np.ascontiguousarray(row.vector, "<f4").tobytes())
        if row.words is not None and row.spans is not None:
            values["words"] = _base64(row.words.tobytes())
            values["word_spans"] = row.spans.tolist()
        values["checksum"] = row.checksum
    return values


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


@contextmanager
def source(path: Path) -> Iterator[_Source]:
    """See `exchange.reading`."""
    with path.open("rb") as file:
        first = file.readline(_LONGEST)
        if not first.strip().startswith(b"{"):
            raise foreign(path)
        yield _Source(path, file, Header.from_json(first, path))


class _Source:
    def __init__(self, path: Path, file: IO[bytes], header: Header) -> None:
        self._path = path
        self._file = file
        self.header = header

    def __iter__(self) -> Iterator[Row]:
        count = 0
        number = 1
        while line := self._file.readline(_LONGEST):
            number += 1
            if not line.strip():
                continue
            count += 1
            try:
                if len(line) == _LONGEST:
                    raise Wrong("is too long for a passage")
                yield row_of(_decoded(plain(line)), self.header)
            except KeyError as error:
                raise self._wrong(number, f"has no {error}") from error
            except (ValueError, TypeError, OverflowError, RecursionError) as error:
                raise self._wrong(number, str(error) if isinstance(error, Wrong) else "is no passage") from error
        if count != self.header.n_passages:
            raise InputError(f"{self._path} has {count:,} of its {self.header.n_passages:,} passages: export them again")

    def _wrong(self, number: int, reason: str) -> InputError:
        return InputError(f"{self._path} line {number}: {reason}: export the passages again")


def _decoded(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise Wrong("is no passage")
    found["metadata"] = checked_metadata(found["metadata"])
    if found.get("vector") is not None:
        found["vector"] = np.frombuffer(base64.b64decode(found["vector"], validate=True), "<f4")
    if found.get("words") is not None:
        found["words"] = base64.b64decode(found["words"], validate=True)
    return found
