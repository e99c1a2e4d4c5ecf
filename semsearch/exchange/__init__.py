"""Passages in one file, to be taken to another index without their articles: the one door to the writing of Parquet.

A file is JSON lines or Parquet, by its suffix. It says of itself how its passages were cut and which model their vectors are of
(`Header`), and then has the passages, one a line or row, article by article in the order of the index (`Row`). What is read is
untrusted: each value is of its type and within its bounds, spans lie where spans can lie, paths are names and lead nowhere
upwards, or there is one error that names the line. Both directions hold some hundred passages at a time.

Deliberately not here: what is in an index (`store`), and putting it there (`importer`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from semsearch.errors import InputError
from semsearch.exchange import lines, table
from semsearch.exchange.rows import FORMAT, Header, Row, Sink, Source, checksum

__all__ = ["FORMAT", "SUFFIXES", "Header", "Row", "Sink", "Source", "checksum", "reading", "writing"]

SUFFIXES = (".jsonl", ".ndjson", ".parquet")
_PARQUET = ".parquet"


@contextmanager
def writing(path: Path, header: Header) -> Iterator[Sink]:
    """A file to be filled; it takes the place of one of its name when all is written, and until then that one is as it was.

    :raises InputError: if the suffix is none of `SUFFIXES`, or it cannot be written.
    :raises MissingExtra: for Parquet, if pyarrow is not installed.
    """
    suffix = _suffix(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder: give a file ({' '.join(SUFFIXES)})")
    draft = path.with_name(f".{path.name}.part")
    try:
        with table.sink(draft, header) if suffix == _PARQUET else lines.sink(draft, header) as sink:
            yield sink
        draft.replace(path)
    except BaseException as error:
        with suppress(OSError):
            draft.unlink()
        if isinstance(error, OSError):
            raise InputError(
                f"cannot write {path} ({error.strerror or error}): check the disk's space and permissions"
            ) from error
        raise


@contextmanager
def reading(path: Path) -> Iterator[Source]:
    """The header of a file, and its rows to be read one after the other, once.

    :raises InputError: if it cannot be read, or is no file of ours; so do the rows, where one is not as it should be.
    :raises MissingExtra: for Parquet, if pyarrow is not installed.
    """
    suffix = _suffix(path)
    with ExitStack() as opened:
        try:
            if not path.is_file():
                raise InputError(f"{path} is {'no file' if path.exists() else 'not there'}: give one that semsearch export wrote")
            opening: AbstractContextManager[Source] = table.source(path) if suffix == _PARQUET else lines.source(path)
            source = opened.enter_context(opening)
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror or error}): check the path and permissions") from error
        yield source


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{str(path)!r} does not say what kind of file it is: name it .jsonl or .parquet")
    return suffix
