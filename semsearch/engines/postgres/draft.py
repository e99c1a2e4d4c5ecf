"""The next generation of an index: one transaction of PostgreSQL, from the lock to the commit.

Deliberately not here: the lock (`engine`), how values stand in columns (`coding`).
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import psycopg
from psycopg import errors, sql

from semsearch.engines.postgres import coding, postings, tables
from semsearch.engines.postgres.address import Address
from semsearch.engines.postgres.connections import Connection, translated
from semsearch.engines.postgres.lexical import FIELDS
from semsearch.engines.postgres.postings import RECORD
from semsearch.engines.postgres.tables import State, Tables
from semsearch.errors import EngineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semsearch.engines.seam import ArticleEntry, PassageEntry, Snapshot, Value
    from semsearch.store import FileRow

    Rows = NDArray[np.int64]

__all__ = ["PostgresDraft"]

_BUFFERED = 4_000_000
"""Postings that are held in memory: with what Python needs for them about half a gigabyte."""
_INDEXED_FROM = 10_000
"""Passages from which on vectors have an index: fewer are looked at one by one in a few milliseconds."""
_MEMORY = 1 << 30
"""Bytes that building the index of vectors may take without being told; ``options=-c maintenance_work_mem=...`` tells."""
_CHUNK = 2000
_WORN = 3
"""A segment of which one passage in so many is gone is written again."""
_COLUMNS = {
    "articles": "id, file, n_passages, path, source, record, title, metadata, languages, value_ids",
    "passages": (
        '"row", article, place, ordinal, paragraph, line, page, start, stop, language, text, headings, sentences, sentence_spans,'
        " embedding, words, spans"
    ),
    "vectors": '"row", article, ordinal, vector',
    "lexical": 'ordinal, "row", article, title, heading, whole, terms',
    "postings": "term, field, segment, data",
}


class Over(Protocol):
    """Told when a draft has come to its end, with its connection."""

    def __call__(self, connection: Connection, *, committed: bool) -> None:
        """Take the connection back."""
        ...


class PostgresDraft:
    """A `seam.Draft`."""

    def __init__(
        self,
        connection: Connection,
        address: Address,
        state: State,
        snapshot: Callable[[], AbstractContextManager[Snapshot]],
        decided: Callable[[str], bool],
        over: Over,
    ) -> None:
        self._connection, self._address = connection, address
        self._snapshot, self._decided, self._over = snapshot, decided, over
        self._before: tuple[AbstractContextManager[Snapshot], Snapshot] | None = None
        self._ended = False
        self._begin_with(state)

    def _begin_with(self, state: State) -> None:
        self._tables: Tables = state.tables
        self._passages, self._lengths = state.passages, dict(state.lengths)
        self._next_ordinal, self._next_segment = state.next_ordinal, state.next_segment
        self._values: set[int] = set()
        self._buffer = Buffer(self._next_ordinal)
        self._n_added = 0

    @property
    def before(self) -> Snapshot:
        """The generation that there is: nobody else can make another one meanwhile."""
        if self._before is None:
            context = self._snapshot()
            self._before = context, context.__enter__()
        return self._before[1]

    def forget(self) -> None:
        """Go on in tables of a new edition: who reads the others is not held up, and they are dropped when they may be."""
        with translated(self._address):
            fresh = Tables(self._tables.schema, self._tables.edition + 1, self._tables.extension)
            tables.create_edition(self._connection, fresh)
            tables.share(self._connection, self._tables, fresh)
            self._ask("UPDATE {state} SET edition = %s", [fresh.edition])
            self._begin_with(State(fresh, 0, dict.fromkeys(FIELDS, 0), 0, 0))

    def prepare(self, dimension: int) -> None:
        """Make the table of vectors, unless it is there."""
        with translated(self._address):
            tables.make_vectors(self._connection, self._tables, dimension)

    def put(self, articles: Sequence[ArticleEntry], passages: Sequence[PassageEntry], values: Sequence[Value]) -> None:
        """Add articles with all their passages and values."""
        with translated(self._address):
            chosen = {article.id: article for article in articles}
            there = {
                number
                for (number,) in self._ask("DELETE FROM {articles} WHERE id = ANY(%s::bigint[]) RETURNING id", [list(chosen)])
            }
            self._copy("articles", map(_article, chosen.values()))
            self._put_passages(
                [entry for entry in {entry.row: entry for entry in passages}.values() if entry.article not in there]
            )
            self._put_values(values)
            if self._buffer.n_postings >= _BUFFERED:
                self._flush()

    def _put_passages(self, entries: Sequence[PassageEntry]) -> None:
        first = self._next_ordinal
        if first + len(entries) > postings.MOST_ORDINAL:
            raise EngineError(f"{self._address.shown} took two billion passages: build it anew, or share them among several")
        split = [tuple(part.split() for part in entry.terms) for entry in entries]
        self._copy("passages", (_passage(entry, ordinal) for ordinal, entry in enumerate(entries, first)))
        self._copy("vectors", (_vector(entry, ordinal) for ordinal, entry in enumerate(entries, first)))
        self._copy(
            "lexical",
            (_lexical(entry, ordinal, parts) for ordinal, (entry, parts) in enumerate(zip(entries, split, strict=True), first)),
        )
        for ordinal, parts in enumerate(split, first):
            for field, length in zip(FIELDS, self._buffer.add(ordinal, parts), strict=True):
                self._lengths[field] += length
        self._next_ordinal += len(entries)
        self._passages += len(entries)
        self._n_added += len(entries)

    def _put_values(self, values: Sequence[Value]) -> None:
        fresh = {value.id: value for value in values if value.id not in self._values}
        self._values |= fresh.keys()
        if fresh:
            self._ask(
                "INSERT INTO {values} (id, key, value) SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[])"
                " ON CONFLICT (id) DO NOTHING",
                [
                    list(fresh),
                    *(
                        [coding.storable(said) for said in each]
                        for each in zip(*(value[1:] for value in fresh.values()), strict=True)
                    ),
                ],
            )

    def drop(self, articles: Sequence[int]) -> None:
        """Take articles out, with their passages and all that is counted of them."""
        with translated(self._address):
            for first in range(0, len(articles), _CHUNK):
                self._drop(list(articles[first : first + _CHUNK]))

    def _drop(self, articles: list[int]) -> None:
        self._ask("DELETE FROM {articles} WHERE id = ANY(%s::bigint[])", [articles])
        gone = self._ask("SELECT ordinal, title, heading, whole FROM {lexical} WHERE article = ANY(%s::bigint[])", [articles])
        if not gone:
            return
        ordinals = [ordinal for ordinal, *_ in gone]
        if max(ordinals) >= self._buffer.first:
            self._flush()
        self._ask(_UNCOUNT, [ordinals])
        self._ask(_WEAR, [ordinals])
        for name in ("passages", "vectors", "lexical"):
            self._ask("DELETE FROM {table} WHERE article = ANY(%s::bigint[])", [articles], table=self._tables.sql(f"{{{name}}}"))
        self._passages -= len(gone)
        for place, field in enumerate(FIELDS, 1):
            self._lengths[field] -= sum(row[place] for row in gone)

    def put_files(self, files: Sequence[FileRow]) -> None:
        """Add files, or put others in the place of those with the same ``id``."""
        with translated(self._address):
            chosen = {file.id: file for file in files}
            self._ask("DELETE FROM {files} WHERE id = ANY(%s::bigint[])", [list(chosen)])
            rows = [_file(file) for file in chosen.values()]
            with self._connection.cursor() as cursor:
                statement = "INSERT INTO {files} (id, path, source, sha256, problems, columns) VALUES (%s, %s, %s, %s, %s, %s)"
                cursor.executemany(self._tables.sql(statement), rows)

    def drop_files(self, files: Sequence[int]) -> None:
        """Take files out."""
        with translated(self._address):
            self._ask("DELETE FROM {files} WHERE id = ANY(%s::bigint[])", [list(files)])

    def commit(self, meta: Mapping[str, str]) -> None:
        """Make it the generation that there is.

        :raises EngineError: if that did not happen, or nobody knows.
        """
        token = secrets.token_hex(16)
        with translated(self._address):
            self._finish()
            self._ask("DELETE FROM {meta}")
            self._ask(
                "INSERT INTO {meta} SELECT * FROM unnest(%s::text[], %s::text[])",
                [list(map(coding.storable, part)) for part in (meta, meta.values())],
            )
            self._ask("UPDATE {state} SET token = %s", [token])
            try:
                self._connection.execute("COMMIT")
            except psycopg.OperationalError:
                if not self._connection.closed:
                    raise
                if not self._decided(token):
                    raise
        self._end(committed=True)

    def _finish(self) -> None:
        """All that is made of what was put, once it is all there."""
        self._flush()
        self._compact()
        self._merge()
        tables.make_indexes(self._connection, self._tables)
        self._index_vectors()
        self._ask(
            "UPDATE {counts} SET passages = %s, title = %s, heading = %s, whole = %s, next_ordinal = %s, next_segment = %s",
            [self._passages, *(self._lengths[field] for field in FIELDS), self._next_ordinal, self._next_segment],
        )
        if self._n_added * 10 > self._passages:
            # Autovacuum would see to it, but perhaps after the first questions.
            for name in ("articles", "values", "passages", "lexical", "terms", "postings"):
                self._ask("ANALYZE {table}", table=self._tables.sql(f"{{{name}}}"))
            if self._has_vectors():
                self._ask("ANALYZE {vectors}")

    def _has_vectors(self) -> bool:
        return tables.has_index(self._connection, self._tables, "vectors_article")

    def _index_vectors(self) -> None:
        if self._passages < _INDEXED_FROM or tables.has_index(self._connection, self._tables, "vectors_hnsw"):
            return
        found = self._ask("SELECT atttypmod FROM pg_attribute WHERE attrelid = {name}::regclass AND attname = 'vector'",
                          name=sql.Literal(self._tables.sql("{vectors}").as_string(self._connection)))  # fmt: skip
        dimension = found[0][0]
        if dimension > tables.HNSW_DIMENSIONS:
            return
        # A vector, its neighbours on about one level, and what holds them together.
        wanted = min(_MEMORY, int(self._passages * (2 * dimension + 1000)))
        self._ask(_WORK_MEMORY, [wanted // 1024])
        statement = self._tables.sql(_HNSW, name=self._tables.index("vectors_hnsw"))
        try:
            with self._connection.transaction():
                self._connection.execute(statement)
        except (errors.DiskFull, errors.OutOfMemory, errors.InsufficientResources):
            # In a container /dev/shm may be too small for workers that share memory; without them it is not needed.
            self._ask("SELECT set_config('max_parallel_maintenance_workers', '0', true)")
            self._connection.execute(statement)

    def _flush(self) -> None:
        """Make a segment of what is in memory."""
        buffer, segment = self._buffer, self._next_segment
        self._buffer = Buffer(self._next_ordinal)
        if self._next_ordinal == buffer.first:
            return
        counts = buffer.counted()
        ids = dict(self._ask(_COUNT, [buffer.texts, *counts.T.tolist()]))
        known = np.asarray([ids[text] for text in buffer.texts], np.int64)
        self._copy("postings", (_posting(term, field, segment, data) for term, field, data in buffer.lists(known)))
        self._ask("INSERT INTO {segments} VALUES (%s, %s, %s, 0)", [segment, buffer.first, self._next_ordinal])
        self._next_segment += 1

    def _compact(self) -> None:
        """Write segments again of which many passages are gone; take out those of which all are."""
        for number, first, stop in self._ask("SELECT id, first, stop FROM {segments} WHERE dead * %s > stop - first", [_WORN]):
            alive = self._ask("SELECT ordinal FROM {lexical} WHERE ordinal >= %s AND ordinal < %s", [first, stop])
            kept = np.zeros(stop - first, bool)
            kept[np.asarray([ordinal for (ordinal,) in alive], np.int64) - first] = True
            self._rewrite(number, first, kept)

    def _rewrite(self, segment: int, first: int, kept: NDArray[np.bool_]) -> None:
        """A segment without those that are gone, under the next number."""
        last = (-1, -1)
        while found := self._ask(
            "SELECT term, field, data FROM {postings} WHERE segment = %s AND (term, field) > (%s, %s)"
            " ORDER BY term, field LIMIT %s",
            [segment, *last, _CHUNK],
        ):
            last = found[-1][:2]
            shorter = []
            for term, field, data in found:
                records = np.frombuffer(data, RECORD)
                records = records[kept[records["ordinal"].astype(np.int64) - first]]
                if len(records):
                    shorter.append(_posting(term, field, self._next_segment, records.tobytes()))
            self._copy("postings", shorter)
        self._ask("DELETE FROM {postings} WHERE segment = %s", [segment])
        if kept.any():
            self._ask("UPDATE {segments} SET id = %s, dead = 0 WHERE id = %s", [self._next_segment, segment])
            self._next_segment += 1
        else:
            self._ask("DELETE FROM {segments} WHERE id = %s", [segment])

    def _merge(self) -> None:
        """Make one of the last segments, if there are many: their lists are put one behind the other in the server."""
        found = self._ask("SELECT id, first, stop, dead FROM {segments} ORDER BY first")
        number = postings.to_merge([stop - first for _, first, stop, _ in found])
        if not number:
            return
        chosen = found[-number:]
        ids = [segment for segment, *_ in chosen]
        self._ask(_MERGE, [self._next_segment, ids])
        self._ask("DELETE FROM {postings} WHERE segment = ANY(%s::int[])", [ids])
        self._ask("DELETE FROM {segments} WHERE id = ANY(%s::int[])", [ids])
        whole = [self._next_segment, chosen[0][1], chosen[-1][2], sum(dead for *_, dead in chosen)]
        self._ask("INSERT INTO {segments} VALUES (%s, %s, %s, %s)", whole)
        self._next_segment += 1

    def _ask(self, statement: str, parameters: Sequence[Any] = (), **parts: sql.Composable) -> list[tuple[Any, ...]]:
        with self._connection.cursor(binary=True) as cursor:
            cursor.execute(self._tables.sql(statement, **parts), parameters)
            return cursor.fetchall() if cursor.description else []

    def _copy(self, name: str, rows: Iterable[bytes]) -> None:
        columns = sql.SQL(_COLUMNS[name])
        statement = self._tables.sql("COPY {table} ({columns}) FROM STDIN (FORMAT binary)",
                                     table=self._tables.sql(f"{{{name}}}"), columns=columns)  # fmt: skip
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(coding.COPY_HEAD)
            for row in rows:
                copy.write(row)
            copy.write(coding.COPY_TAIL)

    def close(self) -> None:
        """Give up what was not committed, and let others write."""
        self._end(committed=False)

    def _end(self, *, committed: bool) -> None:
        if self._ended:
            return
        self._ended = True
        if self._before is not None:
            self._before[0].__exit__(None, None, None)
        self._over(self._connection, committed=committed)


class Buffer:
    """Postings of passages that came one after the other, until they are made a segment.

    :param first: the ordinal of the first passage.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self._ids: dict[str, int] = {}
        self._terms: list[int] = []
        self._fields: list[int] = []
        self._records: list[tuple[int, int, int]] = []

    @property
    def n_postings(self) -> int:
        """How many there are."""
        return len(self._terms)

    @property
    def texts(self) -> list[str]:
        """All terms."""
        return list(self._ids)

    def add(self, ordinal: int, parts: Sequence[Sequence[str]]) -> tuple[int, int, int]:
        """Add a passage.

        :param parts: terms of title, heading and text.
        :return: how many terms each field has.
        """
        title, heading, said = parts
        fields = (title, heading, [*title, *heading, *said])
        for number, terms in enumerate(fields):
            length = len(terms)
            for term, count in Counter(terms).items():
                self._terms.append(self._ids.setdefault(term, len(self._ids)))
                self._fields.append(number)
                self._records.append((ordinal, min(length, 0xFFFF), min(count, 0xFFFF)))
        return len(fields[0]), len(fields[1]), len(fields[2])

    def counted(self) -> NDArray[np.int64]:
        """In how many passages each of `texts` is, by field: int64 (n, 3)."""
        cells = np.asarray(self._terms, np.int64) * len(FIELDS) + np.asarray(self._fields, np.int64)
        return np.bincount(cells, minlength=len(self._ids) * len(FIELDS)).reshape(-1, len(FIELDS))

    def lists(self, ids: Rows) -> Iterable[tuple[int, int, bytes]]:
        """Term, field and records of each list.

        :param ids: of `texts`, as the index knows them.
        """
        records = np.asarray(self._records, RECORD)
        cells = ids[np.asarray(self._terms, np.int64)] * len(FIELDS) + np.asarray(self._fields, np.int64)
        order = np.argsort(cells, kind="stable")
        cells, records = cells[order], records[order]
        edges = np.flatnonzero(np.diff(cells, prepend=-1, append=-1))
        for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            term, field = divmod(int(cells[start]), len(FIELDS))
            yield term, field, records[start:stop].tobytes()


# Not ON CONFLICT: that takes a number for each term that is known already, too, and numbers end at two billion.
_COUNT = """
WITH given AS (
    SELECT * FROM unnest(%s::text[], %s::int[], %s::int[], %s::int[]) AS u (term, title, heading, whole)
), known AS (
    UPDATE {terms} t SET title = t.title + g.title, heading = t.heading + g.heading, whole = t.whole + g.whole
    FROM given g WHERE t.term = g.term RETURNING t.term, t.id
), fresh AS (
    INSERT INTO {terms} (term, title, heading, whole)
    SELECT g.* FROM given g WHERE NOT EXISTS (SELECT FROM {terms} t WHERE t.term = g.term) RETURNING term, id
)
SELECT * FROM known UNION ALL SELECT * FROM fresh
"""
_UNCOUNT = """
UPDATE {terms} t SET title = t.title - c.title, heading = t.heading - c.heading, whole = t.whole - c.whole FROM (
    SELECT u.lexeme, count(*) FILTER (WHERE 'A' = ANY(u.weights)) AS title,
        count(*) FILTER (WHERE 'B' = ANY(u.weights)) AS heading, count(*) AS whole
    FROM {lexical} l, unnest(l.terms) u WHERE l.ordinal = ANY(%s::int[]) GROUP BY u.lexeme
) c WHERE t.term = c.lexeme
"""
_WEAR = """
UPDATE {segments} s SET dead = s.dead + c.n FROM (
    SELECT s.id, count(*)::int AS n FROM unnest(%s::int[]) AS o (ordinal) JOIN {segments} s
        ON o.ordinal >= s.first AND o.ordinal < s.stop GROUP BY s.id
) c WHERE s.id = c.id
"""
_MERGE = """
INSERT INTO {postings} (term, field, segment, data) SELECT term, field, %s, string_agg(data, ''::bytea ORDER BY segment)
FROM {postings} WHERE segment = ANY(%s::int[]) GROUP BY term, field
"""
_WORK_MEMORY = """
SELECT set_config('maintenance_work_mem',
    greatest(%s, pg_size_bytes(current_setting('maintenance_work_mem')) / 1024) || 'kB', true)
"""
_HNSW = "CREATE INDEX {name} ON {vectors} USING hnsw (vector {halfvec_ip_ops}) WITH (m = 24, ef_construction = 200)"


def _file(file: FileRow) -> tuple[Any, ...]:
    problems = coding.json_text([[problem.source, problem.reason] for problem in file.problems])
    path, source = coding.storable(file.path), coding.storable(file.source)
    return file.id, path, source, file.sha256, problems, coding.json_text(file.columns)


def _article(entry: ArticleEntry) -> bytes:
    having = coding.bigints(entry.values)
    metadata, languages = coding.json_text(entry.metadata), coding.json_text(dict(entry.languages))
    return coding.row_of(
        [coding.bigint(entry.id), coding.bigint(entry.file), coding.integer(entry.n_passages), coding.text(entry.path),
         coding.text(entry.source), coding.text(entry.record), coding.text(entry.title), metadata.encode(), languages.encode(),
         having]
    )  # fmt: skip


def _passage(entry: PassageEntry, ordinal: int) -> bytes:
    passage, kept = entry.passage, entry.kept
    return coding.row_of(
        [coding.bigint(entry.row), coding.bigint(entry.article), *map(coding.integer, (entry.place, ordinal, passage.paragraph,
         passage.line, passage.page)), coding.bigint(passage.start), coding.bigint(passage.end), coding.text(entry.language),
         coding.text(passage.text), coding.json_text(passage.headings).encode(), np.asarray(passage.sentences, "<i4").tobytes(),
         np.asarray(passage.sentence_spans, "<i8").tobytes(), entry.embedding, kept.words.tobytes(),
         np.asarray(kept.spans, "<i4").tobytes()]
    )  # fmt: skip


def _vector(entry: PassageEntry, ordinal: int) -> bytes:
    numbers = (coding.bigint(entry.row), coding.bigint(entry.article), coding.integer(ordinal))
    return coding.row_of([*numbers, coding.halfvec(entry.kept.vector)])


def _lexical(entry: PassageEntry, ordinal: int, parts: Sequence[Sequence[str]]) -> bytes:
    title, heading, said = map(len, parts)
    lengths = map(coding.integer, (title, heading, title + heading + said))
    return coding.row_of(
        [coding.integer(ordinal), coding.bigint(entry.row), coding.bigint(entry.article), *lengths, coding.tsvector(parts)]
    )


def _posting(term: int, field: int, segment: int, data: bytes) -> bytes:
    return coding.row_of([coding.integer(term), coding.smallint(field), coding.integer(segment), data])
