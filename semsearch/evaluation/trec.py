"""Lines of TREC: runs written and read, judgments read.

Invariant: a run that was written is read back in the same order, whatever its ids hold; white space in them, which TREC's
columns cannot hold, is written as in an address (``%20``).

Deliberately not here: figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from semsearch.errors import InputError
from semsearch.evaluation.values import Scored
from semsearch.metrics import order
from semsearch.render import column, run_lines

__all__ = ["Grades", "column", "numbered_lines", "read_judgments", "read_run", "run_lines"]

Grades = dict[str, dict[str, int]]


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file that are not blank, with their numbers.

    :raises InputError: if it cannot be read, or is not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}): check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (at byte {error.start}): convert it") from error
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def read_run(path: Path, queries: Iterable[str], documents: Iterable[str]) -> dict[str, tuple[Scored, ...]]:
    """The rankings of a run of six columns, in the order in which trec_eval ranks them; ranks in the file are not looked at.

    :param queries: ids that may occur, so that those with white space are known again; so are ``documents``.
    :raises InputError: if a line is no line of a run, names a document twice, or no query is one of these.
    """
    known_queries = {column(query): query for query in queries}
    known_documents = {column(document): document for document in documents}
    found: dict[str, dict[str, float]] = {}
    for number, line in numbered_lines(path):
        parts = line.split()
        if len(parts) != 6:
            raise InputError(f"{path} line {number}: {len(parts)} columns, not the 6 of a TREC run: give a file made with --run")
        query, document = known_queries.get(parts[0], parts[0]), known_documents.get(parts[2], parts[2])
        score = _number(parts[4])
        if score is None:
            raise InputError(f"{path} line {number}: {parts[4]!r} is no score: give a file made with --run")
        if document in found.setdefault(query, {}):
            raise InputError(f"{path} line {number}: {document!r} comes twice for query {query!r}: keep its best line")
        found[query][document] = score
    if not found.keys() & set(known_queries.values()):
        raise InputError(f"{path} has none of the queries evaluated: give a run of the same data set")
    return {query: tuple(Scored(document, scores[document]) for document in order(scores)) for query, scores in found.items()}


def _number(text: str) -> float | None:
    """A finite number; None for all else."""
    value = float(text) if _is_number(text) else math.nan
    return value if math.isfinite(value) else None


def _is_number(text: str) -> bool:
    """Whether it is written as a number, be it a fraction, ``nan`` or ``inf``."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_judgments(path: Path) -> Grades:
    """Judgments of four columns (query, iteration, document, grade), or of BEIR's three (query, document, grade) with a header.

    :raises InputError: if a line is none, or one document is judged twice with different grades.
    """
    found: Grades = {}
    for position, (number, line) in enumerate(numbered_lines(path)):
        parts = line.split("\t") if line.count("\t") >= 2 else line.split()
        if len(parts) not in (3, 4):
            raise InputError(f"{path} line {number}: {len(parts)} columns: judgments have 4 (TREC) or 3 (BEIR)")
        query, document, written = parts[0].strip(), parts[-2].strip(), parts[-1].strip()
        if position == 0 and len(parts) == 3 and not _is_number(written):
            continue  # BEIR's header.
        grade = _number(written)
        if grade is None or grade != int(grade):
            raise InputError(f"{path} line {number}: {written!r} is no grade: give a whole number")
        if found.setdefault(query, {}).setdefault(document, int(grade)) != int(grade):
            raise InputError(f"{path} line {number}: {document!r} is judged twice for query {query!r}: keep one line")
    if not found:
        raise InputError(f"{path} has no judgments: give a line for each, query and document and grade")
    return found
