"""Everything in an index directory compared with everything else that says something about it.

Nothing is changed, and damage is no error: it is what is looked for. What an index holds twice (texts and their hashes, rows and
their segments, words and their rows) must agree; what it holds once has a checksum.

Deliberately not here: the model and the articles (`semsearch.checking`), and mending.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import numpy as np

from semsearch import passages
from semsearch.errors import IndexCorrupt, InputError
from semsearch.lexical import Lexical
from semsearch.protocols import Fingerprint, PassageText
from semsearch.records import Damage
from semsearch.store import words
from semsearch.store.database import (
    connect_to_read,
    interrupted_after,
    is_there,
    missing,
    names_listed,
    one,
    read_meta,
    torn_pages,
    translated,
)
from semsearch.store.files import DATABASE, PENDING, leftovers
from semsearch.store.pending import pending_segments
from semsearch.store.schema import FORMAT
from semsearch.store.segments import HeldSegment, listed
from semsearch.store.tables import PASSAGE, embedding_hash, fingerprint_of, metadata_of, passage, sentence_spans
from semsearch.vectors import Segment

__all__ = ["Inspection", "inspect"]

_NORM = 0.002
"""How far a vector's length may be from 1: half precision rounds each of its numbers by one part in 2,048."""
_SHOWN = 5
"""Findings of one kind that are told one by one; of more there is a number."""
_BLOCK = 4096
_STEPS = 10_000_000
"""Maximum steps of SQLite's virtual machine for one of `_RULES`, plus `_STEPS_PER_PAGE` for each page of the database.

30,000 passages in one segment need 470 steps a page. Thousands of segments that overlap, which no writer makes, need far more."""
_STEPS_PER_PAGE = 100_000
_RULES = (
    ("vectors", "passages have no vector", "SELECT count(*) FROM passages WHERE embedding NOT IN (SELECT hash FROM embeddings)"),
    ("vectors", "vectors have no passage", "SELECT count(*) FROM embeddings WHERE hash NOT IN (SELECT embedding FROM passages)"),
    (
        "vectors",
        "vectors are in no segment",
        "SELECT count(*) FROM embeddings e WHERE NOT EXISTS"
        " (SELECT 1 FROM segments WHERE e.row >= first_row AND e.row < first_row + n_rows)",
    ),
    (
        "vectors",
        "segments say that they have other rows than they have",
        "SELECT count(*) FROM segments s WHERE live !="
        " (SELECT count(*) FROM embeddings WHERE row >= s.first_row AND row < s.first_row + s.n_rows)",
    ),
    (
        "vectors",
        "segments have the same rows",
        "SELECT count(*) FROM segments a JOIN segments b ON a.name < b.name"
        " AND a.first_row < b.first_row + b.n_rows AND b.first_row < a.first_row + a.n_rows",
    ),
)
"""What the tables must not say, as questions to the database whose answer is how often they say it."""


@dataclass
class Inspection:
    """What was found.

    ``unreadable`` says that the database itself is damaged, which is the truth that all else is made of again. ``segments`` are
    the names of those that have to be written again, ``words`` whether the lexical side has.
    """

    problems: list[Damage] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    leftovers: list[str] = field(default_factory=list)
    fingerprint: Fingerprint | None = None
    generation: int = 0
    unreadable: bool = False
    outdated: bool = False
    segments: set[str] = field(default_factory=set)
    words: bool = False

    def add(self, kind: str, where: str, what: str) -> None:
        """One more thing that is wrong."""
        self.problems.append(Damage(kind, where, what))


def inspect(folder: Path) -> Inspection:
    """Look at all of an index.

    :raises IndexMissing: if there is none.
    :raises IndexTooNew: if a later semsearch wrote it.
    :raises InputError: if it is another program's, or cannot be read.
    """
    while True:
        found = Inspection()
        _inspect(folder, found)
        if not found.problems or found.unreadable or _generation(folder) == found.generation:
            return found
        # A writer took away what was looked at.


def _generation(folder: Path) -> int:
    with translated(folder), closing(connect_to_read(folder)) as database:
        return int(read_meta(database, folder).get("generation", 0))


def _inspect(folder: Path, found: Inspection) -> None:
    if not is_there(folder):
        raise missing(folder)
    try:
        with translated(folder), closing(connect_to_read(folder)) as database:
            meta = read_meta(database, folder)
            if not meta:
                raise missing(folder)
            found.generation = int(meta["generation"])
            if int(meta["format"]) < FORMAT:
                found.outdated = True
                found.add("format", DATABASE, f"it is of format {meta['format']}, this semsearch reads {FORMAT}")
                return
            _database(database, folder, found)
            if not found.unreadable:
                found.fingerprint = fingerprint_of(meta, folder)
                _network(database, found)
                _passages(database, found)
                _segments(database, folder, found)
                _words(database, folder, found)
                _rules(database, found)
                kept = names_listed(database) | pending_segments(folder)
                found.leftovers = sorted(path.name for path in leftovers(folder, kept))
                found.leftovers += [PENDING] if (folder / PENDING).exists() else []
    except InputError:
        raise
    except (IndexCorrupt, TypeError, KeyError, ValueError) as error:
        found.unreadable = True
        if not found.problems:
            found.add("database", DATABASE, str(error).partition(": make it anew")[0])


def _database(database: apsw.Connection, folder: Path, found: Inspection) -> None:
    """The pages, and SQLite's own check of how they hang together."""
    path = folder / DATABASE
    found.counts["pages"] = int(one(database, "PRAGMA page_count"))
    torn = list(torn_pages(database, path))
    if torn:
        # A writer may have been at them.
        time.sleep(0.2)
        again = set(torn_pages(database, path))
        torn = [page for page in torn if page in again]
    for page in torn[:_SHOWN]:
        found.add("database", DATABASE, f"page {page} is not what was written")
    if len(torn) > _SHOWN:
        found.add("database", DATABASE, f"{len(torn) - _SHOWN:,} more pages are not what was written")
    if not torn:
        for (said,) in database.execute(f"PRAGMA integrity_check({_SHOWN})").fetchall():
            if said != "ok":
                found.add("database", DATABASE, str(said))
        for table, row, parent, _ in database.execute("PRAGMA foreign_key_check").fetchall()[:_SHOWN]:
            found.add("database", DATABASE, f"row {row} of {table} belongs to none of {parent}")
    found.unreadable = bool(found.problems)


def _passages(database: apsw.Connection, found: Inspection) -> None:
    """Every passage: its text, headings and sentences are what its vector was made of, its spans lie where spans can lie."""
    statement = (
        f"SELECT f.source || a.record, p.embedding, a.title, a.metadata, {', '.join(f'p.{name}' for name in PASSAGE.split(', '))}"
        " FROM passages p JOIN articles a ON a.id = p.article JOIN files f ON f.id = a.file"
    )
    found.counts["passages"] = 0
    wrong: list[Damage] = []
    for source, embedding, title, metadata, *columns in database.execute(statement):
        found.counts["passages"] += 1
        try:
            metadata_of(metadata)
            item = passage(*columns)
            text = PassageText(passages.context(title, item.headings), item.text, item.sentences)
            if embedding_hash(text) != embedding:
                wrong.append(Damage("passages", source, f"paragraph {item.paragraph} is not what its vector was made of"))
            elif not item.in_place:
                wrong.append(Damage("passages", source, f"the spans of paragraph {item.paragraph} are out of place"))
        except (ValueError, TypeError):
            wrong.append(Damage("passages", source, "a passage cannot be read"))
    found.problems += wrong[:_SHOWN]
    if len(wrong) > _SHOWN:
        found.add("passages", DATABASE, f"{len(wrong) - _SHOWN:,} more passages are not what was written")
    found.counts["articles"] = int(one(database, "SELECT count(*) FROM articles"))
    if found.counts["passages"] != int(one(database, "SELECT count(*) FROM passages")):
        found.add("passages", DATABASE, "passages belong to no article")


def _network(database: apsw.Connection, found: Inspection) -> None:
    """The network in 8 bits is the one that the fingerprint names."""
    expected = found.fingerprint.quantized if found.fingerprint else ""
    if expected and hashlib.sha256(one(database, "SELECT data FROM network") or b"").hexdigest() != expected:
        found.add("model", DATABASE, "the network in 8 bits is not the one that encoded: index the articles again with --fresh")


def _segments(database: apsw.Connection, folder: Path, found: Inspection) -> None:
    """Every segment: its files' checksums, its vectors' lengths, of each row its codes and how many sentences it has."""
    assert found.fingerprint is not None
    found.counts["vectors"] = found.counts["files"] = 0
    for name, first_row, n_rows, live, files in database.execute(
        "SELECT name, first_row, n_rows, live, files FROM segments ORDER BY first_row"
    ).fetchall():
        try:
            held = HeldSegment(folder, name, first_row, n_rows, live, listed(folder, name, files))
            try:
                found.counts["files"] += len(held.held.listed)
                held.held.verify()
                segment = held.open(database, found.fingerprint.dimension)
                segment.check()
            finally:
                held.close()
            wrong = next(_rows(database, segment, found), None)
        except IndexCorrupt as error:
            wrong = str(error).partition(": mend it")[0]
        if wrong:
            found.segments.add(name)
            found.add("vectors", name, wrong)


def _rows(database: apsw.Connection, segment: Segment, found: Inspection) -> Iterator[str]:
    """What is wrong with rows of a segment that are wanted."""
    inside = (segment.first_row, segment.first_row + segment.n_rows)
    # All passages of a hash have the same sentences: they are in the hash.
    statement = (
        "SELECT e.row, (SELECT sentences FROM passages WHERE embedding = e.hash LIMIT 1) FROM embeddings e"
        " WHERE e.row >= ? AND e.row < ? ORDER BY e.row"
    )
    rows = database.execute(statement, inside).fetchall()
    found.counts["vectors"] += len(rows)
    for first in range(0, len(rows), _BLOCK):
        block = rows[first : first + _BLOCK]
        norms = np.linalg.norm(segment.vectors(np.asarray([row for row, _ in block], np.int64)), axis=1)
        # Not the other way round, which is False for what is no number.
        if not (np.abs(norms - 1) <= _NORM).all():
            yield f"row {block[int(np.argmax(~(np.abs(norms - 1) <= _NORM)))][0]} is not of length 1"
        for row, sentences in block:
            spans = segment.sentences(row)
            if sentences is not None and len(spans) not in (0, len(sentence_spans(sentences)[0])):
                yield f"row {row} has other sentences than its passage"


def _words(database: apsw.Connection, folder: Path, found: Inspection) -> None:
    """The lexical side: its files' checksums, and that it has the rows that it should have."""
    try:
        held = words.hold(database, folder)
        try:
            found.counts["files"] += len(held.held.listed)
            opened: Lexical = held.open()
        finally:
            held.close()
        rows = int(one(database, "SELECT count(*) FROM lexical_rows"))
        stale = words.stale_rows(database)
        wrong = ""
        if opened.n_documents != rows or stale:
            wrong = f"{opened.n_documents:,} rows, of which {rows:,} are listed and {stale:,} do not fit the vectors"
    except IndexCorrupt as error:
        wrong = str(error).partition(": mend it")[0].partition(": make it anew")[0]
    if wrong:
        found.words = True
        found.add("words", "lexical", wrong)


def _rules(database: apsw.Connection, found: Inspection) -> None:
    steps = _STEPS + _STEPS_PER_PAGE * found.counts["pages"]
    for kind, what, question in _RULES:
        try:
            with interrupted_after(steps, database):
                count = int(one(database, question))
        except apsw.InterruptError:
            found.add(kind, DATABASE, f"cannot count how many {what}: the check exceeds its step limit")
            continue
        if count:
            found.add(kind, DATABASE, f"{count:,} {what}")
            if "segments" in what:
                found.segments |= {name for (name,) in database.execute("SELECT name FROM segments")}
