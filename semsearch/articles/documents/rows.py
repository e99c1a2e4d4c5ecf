"""Tables to articles: a row of a CSV or Parquet file each, its text and title in named columns, all else metadata.

Deliberately not here: which columns these are, if not those of the common names (`Columns` says it).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from semsearch.articles import text
from semsearch.articles.decode import printable
from semsearch.articles.documents.draft import Draft
from semsearch.errors import InputError

__all__ = ["TEXT_COLUMNS", "TITLE_COLUMNS", "from_csv", "from_parquet"]

TEXT_COLUMNS = ("text", "body", "content", "article")
TITLE_COLUMNS = ("title", "headline", "subject", "name")
_MAX_FIELD = 32 * 2**20
_SAMPLE = 65_536
_DELIMITERS = ",;\t|"
_BATCH = 1024
_MAX_COLUMNS = 10_000


def from_csv(content: str, named: Mapping[str, str]) -> Iterator[Draft | InputError]:
    """The rows of a CSV file with a header, each known by the number of its line.

    :param named: columns by what they are: ``text``, ``title``.
    :raises InputError: if it has no header, or no column of text.
    """
    reader = csv.reader(io.StringIO(content, newline=""), _dialect(content), strict=False)
    limit = csv.field_size_limit(_MAX_FIELD)
    try:
        header = [printable(name).strip() for name in next(reader, [])]
        columns = _chosen(header, named)
        empty = 0
        line = reader.line_num + 1
        for row in reader:
            at, line = line, reader.line_num + 1
            if not row:
                continue
            draft = _draft(dict(zip(header, row, strict=False)), columns, at)
            if draft is None:
                empty += 1
            else:
                yield draft
        if empty:
            yield InputError(f"{empty:,} rows without text")
    except csv.Error as error:
        raise InputError(f"line {reader.line_num}: not CSV ({error})") from error
    finally:
        csv.field_size_limit(limit)


def _dialect(content: str) -> Any:
    """How the columns are separated: as most lines at the beginning have it."""
    sample = content[:_SAMPLE]
    first = sample.partition("\n")[0]
    counts = {delimiter: first.count(delimiter) for delimiter in _DELIMITERS}
    most = max(counts, key=lambda delimiter: counts[delimiter])

    class Found(csv.excel):
        delimiter = most if counts[most] else ","

    return Found


def from_parquet(data: bytes, named: Mapping[str, str]) -> Iterator[Draft | InputError]:
    """The rows of a Parquet file, each known by its number.

    :param named: columns by what they are: ``text``, ``title``.
    :raises InputError: if it is damaged, or has no column of text.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(io.BytesIO(data))
        header = file.schema_arrow.names
        columns = _chosen(header, named)
        number = empty = 0
        for batch in file.iter_batches(_BATCH, use_threads=False):
            for row in batch.to_pylist():
                number += 1
                draft = _draft({name: value for name, value in row.items() if not isinstance(value, bytes)}, columns, number)
                if draft is None:
                    empty += 1
                else:
                    yield draft
        if empty:
            yield InputError(f"{empty:,} rows without text")
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"a Parquet file that cannot be read ({str(error).splitlines()[0][:200] if str(error) else error})"
        ) from error


def _chosen(header: Sequence[str], named: Mapping[str, str]) -> dict[str, str]:
    """The columns of text and title.

    :raises InputError: if one that was named is not there, or there is none of text.
    """
    if len(header) > _MAX_COLUMNS:
        raise InputError(f"{len(header):,} columns, more than {_MAX_COLUMNS:,}")
    there = ", ".join(header[:20]) or "none"
    chosen: dict[str, str] = {}
    for role, usual in (("text", TEXT_COLUMNS), ("title", TITLE_COLUMNS)):
        wanted = named.get(role)
        if wanted is not None and wanted in header:
            chosen[role] = wanted
            continue
        found = _first(header, usual)
        if found is not None:
            chosen[role] = found
    if "text" not in chosen:
        raise InputError(f"no column of text: say which with --column text=NAME (there are: {there})")
    return chosen


def _first(header: Sequence[str], usual: Iterable[str]) -> str | None:
    folded = {name.casefold(): name for name in reversed(header)}
    return next((folded[name] for name in usual if name in folded), None)


def _draft(row: dict[str, Any], columns: Mapping[str, str], number: int) -> Draft | None:
    """The article of a row; None if it has no text."""
    written = row.pop(columns["text"], None)
    title = row.pop(columns["title"], None) if "title" in columns else None
    body = printable(str(written)) if written is not None else ""
    name = " ".join(printable(str(title)).split()) if title is not None else ""
    blocks = [replace(block, line=number) for block in text.paragraphs(body if body.strip() else name)]
    if not blocks:
        return None
    return Draft(name, {key: value for key, value in row.items() if key and value not in (None, "")}, blocks, f"#{number}")
