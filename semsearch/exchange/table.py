"""Parquet files: a row a passage, the header as ``semsearch`` in the file's own metadata; the one door to pyarrow.

Vectors are a column of lists of a fixed size, so that other tools read them as a matrix. Pages have checksums, which are
compared.

Deliberately not here: what the values may be (`rows`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import numpy as np

from semsearch.errors import InputError, MissingExtra
from semsearch.exchange.rows import Header, Row, Wrong, checked_metadata, foreign, plain, row_of

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["sink", "source"]

_KEY = b"semsearch"
_ROWS = 4096
"""In a group, at most: with vectors and codes some 20 MB."""
_BYTES = 64 * 2**20
"""Of texts in a group, about."""
_AT_ONCE = 256
_MOST_BYTES = 2**30
"""That a group may have before it is packed; those written here have far less."""
_MOST_VALUES = 2**25
"""That a column of a group may have: numbers that repeat take next to nothing in a file. A group of vectors has two million."""
_MAX_FOOTER = 2**20
_FOOTER_PART = 32
"""Maximum size of the footer, which describes the groups and columns: 1 MB and 1/32 of the file. Exports of 30,000 passages had
1/100; parsed, a footer fills up to 200 times as much memory."""
_MAX_UNPACKED = 256 * 2**20
_MAX_EXPANSION = 100
"""Maximum size of all values: 256 MB and 100 times the file. A value that repeats takes next to nothing in a file, and is stored
with each article. Exports unpack to 3 to 10 times their size."""
_SENTENCE_BYTES = 16


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra('Parquet files need pyarrow: python -m pip install "semsearch[parquet]"') from error
    return pa, pq


def _schema(pa: ModuleType, header: Header) -> Any:
    """The columns, with the header."""
    text, number = pa.string(), pa.int32()
    columns = [
        ("source", text),
        ("record", text),
        ("path", text),
        ("sha256", text),
        ("title", text),
        ("metadata", text),
        ("headings", pa.list_(text)),
        ("paragraph", number),
        ("line", number),
        ("page", number),
        ("start", number),
        ("end", number),
        ("text", text),
        ("sentences", pa.list_(pa.list_(number, 4))),
    ]
    if header.vectors:
        columns.append(("vector", pa.list_(pa.float32(), header.fingerprint.dimension)))
        if header.codes:
            columns += [("words", pa.binary()), ("word_spans", pa.list_(pa.list_(number, 2)))]
        columns.append(("checksum", text))
    return pa.schema(columns, {_KEY: header.to_json().encode()})


@contextmanager
def sink(path: Path, header: Header) -> Iterator[_Sink]:
    """See `exchange.writing`."""
    pa, pq = _pyarrow()
    schema = _schema(pa, header)
    plain_columns = ["text", "vector", "words", "sentences", "checksum"]
    # Vectors and codes do not repeat: a dictionary of them is only tried in vain.
    repeating = [name for name in schema.names if name not in plain_columns]
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeating, write_page_checksum=True) as writer:
        filled = _Sink(pa, writer, schema)
        yield filled
        filled.flush()


class _Sink:
    def __init__(self, pa: ModuleType, writer: Any, schema: Any) -> None:
        self._pa, self._writer, self._schema = pa, writer, schema
        self._waiting: list[Row] = []
        self._bytes = 0

    def write(self, rows: Sequence[Row]) -> None:
        """Some rows more."""
        for row in rows:
            self._waiting.append(row)
            self._bytes += len(row.passage.text)
            if len(self._waiting) == _ROWS or self._bytes > _BYTES:
                self.flush()

    def flush(self) -> None:
        """Write what waits as a group."""
        if self._waiting:
            columns = [self._column(field) for field in self._schema]
            self._writer.write_table(self._pa.Table.from_arrays(columns, schema=self._schema))
        self._waiting, self._bytes = [], 0

    def _column(self, field: Any) -> Any:
        rows = self._waiting
        if field.name == "vector":
            values = np.concatenate([row.vector for row in rows if row.vector is not None])
            return self._pa.FixedSizeListArray.from_arrays(self._pa.array(values), type=field.type)
        return self._pa.array([_VALUES[field.name](row) for row in rows], field.type)


_VALUES: dict[str, Any] = {
    "source": lambda row: row.source + row.record,
    "record": lambda row: row.record,
    "path": lambda row: row.path,
    "sha256": lambda row: row.sha256.hex(),
    "title": lambda row: row.title,
    "metadata": lambda row: json.dumps(dict(row.metadata), ensure_ascii=False),
    "headings": lambda row: list(row.passage.headings),
    "paragraph": lambda row: row.passage.paragraph,
    "line": lambda row: row.passage.line,
    "page": lambda row: row.passage.page,
    "start": lambda row: row.passage.start,
    "end": lambda row: row.passage.end,
    "text": lambda row: row.passage.text,
    "sentences": lambda row: [
        [*inner, *outer] for inner, outer in zip(row.passage.sentences, row.passage.sentence_spans, strict=True)
    ],
    "words": lambda row: row.words.tobytes(),
    "word_spans": lambda row: row.spans.tolist(),
    "checksum": lambda row: row.checksum,
}


@contextmanager
def source(path: Path) -> Iterator[_Source]:
    """See `exchange.reading`."""
    pa, pq = _pyarrow()
    with path.open("rb") as handle:
        size = _checked_size(handle, path)
        try:
            # Columns of texts that repeat are read as such: unpacked at once they might fill any memory.
            texts = ["source", "record", "path", "sha256", "title", "metadata", "text"]
            file = pq.ParquetFile(handle, read_dictionary=texts, page_checksum_verification=True)
            noted = (file.schema_arrow.metadata or {}).get(_KEY)
        except KeyError as error:
            # A column that was to be read so is not there.
            raise foreign(path) from error
        except (pa.ArrowException, OSError) as error:
            _raise_ours(path, error)
        if noted is None:
            raise foreign(path)
        header = Header.from_json(noted, path)
        _check(pa, file, header, path)
        yield _Source(pa, file, header, path, _MAX_UNPACKED + _MAX_EXPANSION * size)


def _checked_size(handle: IO[bytes], path: Path) -> int:
    """Return the size of a file, in bytes.

    :raises InputError: if its footer is too large. The last eight bytes are the footer's length and a mark.
    """
    size = handle.seek(0, os.SEEK_END)
    handle.seek(max(0, size - 8))
    footer, mark = int.from_bytes(handle.read(4), "little"), handle.read(4)
    handle.seek(0)
    if mark == b"PAR1" and footer > _MAX_FOOTER + size // _FOOTER_PART:
        raise InputError(f"{path} has a footer of {footer:,} bytes, too many for a file of {size:,}: export the passages again")
    return size


def _raise_ours(path: Path, error: Exception) -> NoReturn:
    """An error of Parquet's reader as ours; what is wrong with bytes, it tells as an error of the system without a number."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None):
        raise error
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    raise InputError(f"{path} cannot be read as Parquet ({reason}): export the passages again") from error


def _check(pa: ModuleType, file: Any, header: Header, path: Path) -> None:
    """Refuse a file of other columns than ours, or of groups that are too large."""
    for field in _schema(pa, header):
        place = file.schema_arrow.get_field_index(field.name)
        found = None if place < 0 else file.schema_arrow.field(place).type
        if found is not None and pa.types.is_dictionary(found):
            found = found.value_type
        if found is None or not found.equals(field.type):
            raise InputError(f"{path} has no column {field.name} of type {field.type}: export the passages again")
    if file.metadata.num_rows != header.n_passages:
        raise InputError(f"{path} has {file.metadata.num_rows:,} of its {header.n_passages:,} passages: export them again")
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        if group.total_byte_size > _MOST_BYTES:
            raise InputError(f"{path} has more than {_MOST_BYTES // 2**20:,} MB in a group of rows: export the passages again")
        if max(group.column(place).num_values for place in range(group.num_columns)) > _MOST_VALUES:
            raise InputError(f"{path} has more than {_MOST_VALUES:,} values in a column of a group: export the passages again")


class _Source:
    """Rows of a file.

    :param limit: maximum size of all values, in bytes; a character counts as one.
    """

    def __init__(self, pa: ModuleType, file: Any, header: Header, path: Path, limit: int) -> None:
        self._pa, self._file, self._path = pa, file, path
        self._columns = _schema(pa, header).names
        self._limit = self._left = limit
        self._metadata: tuple[Any, Any, int] = (None, {}, 0)
        self.header = header

    def __iter__(self) -> Iterator[Row]:
        number = 0
        article = None
        try:
            for batch in self._batches():
                columns = {name: batch.column(name) for name in self._columns}
                self._metadata = (None, {}, 0)
                for place in range(batch.num_rows):
                    number += 1
                    row = self._row({name: column[place] for name, column in columns.items()}, number)
                    if (row.source, row.record) != article:
                        article = (row.source, row.record)
                        self._count(self._metadata[2])
                    yield row
        except (self._pa.ArrowException, OSError) as error:
            _raise_ours(self._path, error)

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            most = f"{self._limit / 2**20:,.0f} MB"
            raise InputError(f"{self._path} unpacks to more than {most}, too much for its size: export the passages as .jsonl")

    def _batches(self) -> Iterator[Any]:
        # Group by group: over all of them at once, what was read of the earlier ones is held, too.
        for group in range(self._file.num_row_groups):
            yield from self._file.iter_batches(_AT_ONCE, row_groups=[group], columns=self._columns, use_threads=False)

    def _row(self, scalars: dict[str, Any], number: int) -> Row:
        try:
            vector, metadata = scalars.pop("vector", None), scalars.pop("metadata")
            found = {name: scalar.as_py() for name, scalar in scalars.items()}
            if vector is not None and vector.is_valid:
                found["vector"] = vector.values.to_numpy()
            found["metadata"] = self._parsed(metadata)
            row = row_of(found, self.header)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            if isinstance(error, InputError | self._pa.ArrowException):
                raise
            reason = str(error) if isinstance(error, Wrong) else "is no passage"
            raise InputError(f"{self._path} row {number}: {reason}: export the passages again") from error
        self._count(_size(row))
        return row

    def _parsed(self, scalar: Any) -> dict[str, Any]:
        """Return metadata, parsed once for consecutive rows of a batch that share it, as those of an article do."""
        place = scalar.index.as_py()
        if place is None or place != self._metadata[0]:
            text = scalar.as_py()
            self._count(len(text))
            self._metadata = (place, checked_metadata(plain(text)), len(text))
        metadata: dict[str, Any] = self._metadata[1]
        return metadata


def _size(row: Row) -> int:
    """Return the size of a row without its metadata, in bytes."""
    passage = row.passage
    texts = len(passage.text) + len(row.title) + sum(map(len, passage.headings))
    arrays = sum(array.nbytes for array in (row.vector, row.words, row.spans) if array is not None)
    return texts + arrays + _SENTENCE_BYTES * len(passage.sentences)
