"""Tables to articles: a row of a CSV or Parquet file each, its text and title in named columns, all else metadata.

Deliberately not here: which columns these are, if not those of the common names (`Columns` says it).
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
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
"""Characters, and no more than `_MAX_ROWS` rows, by which it is told how columns are separated."""
_MAX_ROWS = 100
_MAX_SHOWN = 10
_END = "\ue000semsearch\ue000"
"""No file has a line of this."""
_TOLD = re.compile(r"\s*\"?sep=([^\r\n\"])\"?[ \t]*(?:\r\n|\r|\n)", re.IGNORECASE)
"""The line by which Excel is told how columns are separated."""
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_DELIMITERS = ",;\t|"
_BATCH = 1024
_MAX_COLUMNS = 10_000


def from_csv(content: str, named: Mapping[str, str]) -> Iterator[Draft | InputError]:
    """The rows of a CSV file with a header, each known by the number of its line; and what was wrong with some.

    :param named: columns by what they are: ``text``, ``title``.
    :raises InputError: if it has no header, or no column of text.
    """
    limit = csv.field_size_limit(_MAX_FIELD)
    try:
        yield from _from_csv(content, named)
    finally:
        csv.field_size_limit(limit)


def _from_csv(content: str, named: Mapping[str, str]) -> Iterator[Draft | InputError]:
    told = _TOLD.match(content)
    delimiter = told[1] if told is not None else _delimiter(content)
    # One line more than there is: where the last row is not just that, a quote before it was never closed.
    lines = io.StringIO(content[told.end() :] if told is not None else content, newline="")
    reader = csv.reader(chain(lines, [_END]), delimiter=delimiter, strict=False)
    above = len(told[0].splitlines()) if told is not None else 0
    header: list[str] = []
    columns: dict[str, str] = {}
    empty, long, line = 0, list[int](), above + 1
    try:
        for row in reader:
            at, line = line, above + reader.line_num + 1
            if row == [_END]:
                break
            if not row or (not header and not any(map(str.strip, row))):
                continue
            if not header:
                header = _distinct([printable(name).strip() for name in row])
                columns = _chosen(header, named)
                continue
            if row[-1].endswith(_END):
                row[-1] = row[-1].removesuffix(_END)
                yield InputError(f"line {at}: a quote is never closed: all lines below are one field of that row")
            if any(map(str.strip, row[len(header) :])):
                long.append(at)
            draft = _draft(dict(zip(header, row, strict=False)), columns, at)
            if draft is None:
                empty += 1
            else:
                yield draft
    except csv.Error as error:
        raise InputError(f"line {above + reader.line_num}: not CSV ({error})") from error
    if not header:
        _chosen(header, named)
    if long:
        yield InputError(_too_long(long))
    if empty:
        yield InputError(f"{empty:,} rows without text")


def _too_long(lines: list[int]) -> str:
    """What to say of rows with more fields than there are names for: what is beyond is not read."""
    shown = ", ".join(map(str, lines[:_MAX_SHOWN]))
    more = f" and {len(lines) - _MAX_SHOWN:,} more" if len(lines) > _MAX_SHOWN else ""
    which = "1 row has more fields than the header: line"
    if len(lines) > 1:
        which = f"{len(lines):,} rows have more fields than the header: lines"
    return f"{which} {shown}{more}; what is beyond is left out"


def _delimiter(content: str) -> str:
    """How the columns are separated: so that most rows at the beginning have as many fields as the header, and that some."""
    sample = content[:_SAMPLE]
    best, score = ",", (0.0, 0)
    for delimiter in _DELIMITERS:
        try:
            rows = [row for row in islice(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter), _MAX_ROWS) if row]
        except csv.Error:
            continue
        if len(sample) < len(content) and len(rows) > 1:
            # The last one may be cut.
            rows.pop()
        if not rows or len(rows[0]) < 2:
            continue
        found = (sum(len(row) == len(rows[0]) for row in rows) / len(rows), len(rows[0]))
        if found > score:
            best, score = delimiter, found
    return best


def _distinct(header: Sequence[str]) -> list[str]:
    """The names of columns; a second one of a name is told from the first by a number, as pandas does it.

    :raises InputError: if they are too many.
    """
    if len(header) > _MAX_COLUMNS:
        raise InputError(f"{len(header):,} columns, more than {_MAX_COLUMNS:,}")
    seen = Counter[str]()
    names = []
    for name in header:
        names.append(f"{name}.{seen[name]}" if name and seen[name] else name)
        seen[name] += 1
    return names


def from_parquet(data: bytes, named: Mapping[str, str]) -> Iterator[Draft | InputError]:
    """The rows of a Parquet file, each known by its number.

    :param named: columns by what they are: ``text``, ``title``.
    :raises InputError: if it is damaged, or has no column of text.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(io.BytesIO(data))
        header = _distinct(file.schema_arrow.names)
        columns = _chosen(header, named)
        number = empty = 0
        for batch in file.iter_batches(_BATCH, use_threads=False):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                said = {name: _said(value, name in columns.values()) for name, value in zip(header, row, strict=True)}
                draft = _draft(said, columns, number)
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


def _said(value: Any, is_text: bool) -> Any:
    """A value; bytes as the text that they are where they are one, for some programs store it so."""
    if not isinstance(value, bytes):
        return value
    try:
        said = value.decode("utf-8", "replace" if is_text else "strict")
    except UnicodeDecodeError:
        return None
    return said if is_text or not _CONTROL.search(said) else None


def _chosen(header: Sequence[str], named: Mapping[str, str]) -> dict[str, str]:
    """The columns of text and title.

    :raises InputError: if one that was named is not there, or there is none of text.
    """
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
