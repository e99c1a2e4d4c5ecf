"""The tables of an index, and their names.

All stand in one schema. ``state`` and ``meta`` are there once; the others belong to an edition, whose number is in their names:
forgetting an index makes the tables of the next edition, and readers of the one before keep theirs until they are done.

An article's filter values stand at the article; a passage is in three tables by what is done with it: ``passages`` is what
hits show, ``vectors`` what is near, ``lexical`` its words. ``ordinal`` numbers passages as they came: posting lists are short.

Deliberately not here: reading and writing rows (`snapshot`, `draft`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from psycopg import errors, sql

from semsearch.engines.postgres.connections import Connection
from semsearch.errors import EngineError, IndexTooNew

__all__ = [
    "FORMAT",
    "HNSW_DIMENSIONS",
    "SETTINGS",
    "State",
    "Tables",
    "create",
    "create_edition",
    "has_index",
    "make_indexes",
    "make_vectors",
    "share",
    "sweep",
]

FORMAT = 1
"""Raised when an earlier semsearch could not read the tables."""
HNSW_DIMENSIONS = 4000
"""What pgvector takes; vectors that are longer are searched one by one."""
_INLINE_DIMENSIONS = 3500
"""Vectors of up to so many dimensions stand in the row itself: a page has 8 KB."""
_VECTOR = (0, 8)
"""The first pgvector with iterative scans, without which filters lose what is near."""
_EDITIONED = (
    "counts",  # first: whoever reads an edition holds this one, and dropping waits here
    "files",
    "articles",
    "values",
    "passages",
    "vectors",
    "lexical",
    "terms",
    "postings",
    "segments",
)
_FIRST = tuple(name for name in _EDITIONED if name != "vectors")
"""The tables that an edition has from the beginning."""
_COUNTS = re.compile(r"counts_([1-9][0-9]{0,8})", re.ASCII)

SETTINGS = "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL idle_in_transaction_session_timeout = 0"
"""For each transaction, before anything else. Only names of PostgreSQL itself are found without their schema, because others may
have put functions and operators of the same names into any other schema, that of pgvector included; these run with the rights of
the user who searches. A transaction may wait for the model."""

_STATIC = """
CREATE TABLE {state} (
    format integer NOT NULL, edition integer NOT NULL, token text NOT NULL, one boolean PRIMARY KEY DEFAULT true CHECK (one)
);
CREATE TABLE {meta} (key text PRIMARY KEY, value text NOT NULL);
INSERT INTO {state} (format, edition, token) VALUES ({format}, 1, '');
"""
_EDITION = """
CREATE TABLE {counts} (
    passages bigint NOT NULL, title bigint NOT NULL, heading bigint NOT NULL, whole bigint NOT NULL,
    next_ordinal bigint NOT NULL, next_segment integer NOT NULL
);
INSERT INTO {counts} VALUES (0, 0, 0, 0, 0, 0);
CREATE TABLE {files} (
    id bigint PRIMARY KEY, path text NOT NULL, source text NOT NULL, sha256 bytea NOT NULL, problems text NOT NULL,
    columns text NOT NULL
);
CREATE TABLE {articles} (
    id bigint PRIMARY KEY, file bigint NOT NULL, n_passages integer NOT NULL, path text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL, record text COLLATE "C" NOT NULL, title text NOT NULL, metadata text NOT NULL,
    languages text NOT NULL, value_ids bigint[] NOT NULL
);
CREATE INDEX ON {articles} (file);
CREATE TABLE {values} (id bigint PRIMARY KEY, key text COLLATE "C" NOT NULL, value text NOT NULL);
CREATE INDEX ON {values} (key);
CREATE TABLE {passages} (
    "row" bigint PRIMARY KEY, article bigint NOT NULL, place integer NOT NULL, ordinal integer NOT NULL UNIQUE,
    paragraph integer NOT NULL, line integer NOT NULL, page integer NOT NULL, start bigint NOT NULL, stop bigint NOT NULL,
    language text NOT NULL, text text NOT NULL, headings text NOT NULL, sentences bytea NOT NULL, sentence_spans bytea NOT NULL,
    embedding bytea NOT NULL, words bytea NOT NULL, spans bytea NOT NULL, UNIQUE (article, place)
);
CREATE INDEX ON {passages} (embedding);
ALTER TABLE {passages} ALTER COLUMN words SET STORAGE EXTERNAL;
CREATE TABLE {lexical} (
    ordinal integer PRIMARY KEY, "row" bigint NOT NULL, article bigint NOT NULL, title integer NOT NULL,
    heading integer NOT NULL, whole integer NOT NULL, terms tsvector NOT NULL
);
CREATE INDEX ON {lexical} (article);
CREATE TABLE {terms} (
    term text COLLATE "C" PRIMARY KEY, id integer GENERATED ALWAYS AS IDENTITY, title integer NOT NULL,
    heading integer NOT NULL, whole integer NOT NULL
);
CREATE TABLE {postings} (
    term integer NOT NULL, field smallint NOT NULL, segment integer NOT NULL, data bytea NOT NULL,
    PRIMARY KEY (term, field, segment)
);
ALTER TABLE {postings} ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE TABLE {segments} (id integer PRIMARY KEY, first integer NOT NULL, stop integer NOT NULL, dead integer NOT NULL);
"""
_VECTORS = """
CREATE TABLE {vectors} (
    "row" bigint PRIMARY KEY, article bigint NOT NULL, ordinal integer NOT NULL, vector {halfvec}({dimension}) NOT NULL
);
ALTER TABLE {vectors} ALTER COLUMN vector SET STORAGE {storage};
CREATE INDEX {index} ON {vectors} (article);
"""


_STATE_AND_EXTENSION = """
SELECT to_regclass(%s) IS NOT NULL, (SELECT n.nspname::text FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector')
"""
_PUBLIC = "public"
"""Schema of pgvector where none is known or needed."""


class Tables:
    """The tables of an edition as SQL names them.

    :param extension: the schema of pgvector's types and operators.
    """

    def __init__(self, schema: str, edition: int, extension: str) -> None:
        self.schema, self.edition, self.extension = schema, edition, extension
        self._names: dict[str, sql.Composable] = {
            **{name: sql.Identifier(schema, name) for name in ("state", "meta")},
            **{name: sql.Identifier(schema, f"{name}_{edition}") for name in _EDITIONED},
            **{name: sql.Identifier(extension, name) for name in ("vector", "halfvec", "halfvec_ip_ops")},
            "inner_product": sql.SQL("OPERATOR({}.<#>)").format(sql.Identifier(extension)),
        }

    def index(self, name: str) -> sql.Composable:
        """The name of an index of ours, without its schema."""
        return sql.Identifier(f"{name}_{self.edition}")

    def sql(self, statement: str, **parts: sql.Composable) -> sql.Composed:
        """A statement with the names in it; ``parts`` are more of them, or conditions."""
        return sql.SQL(statement).format(**self._names, **parts)


@lru_cache(maxsize=64)
def tables_of(schema: str, edition: int, extension: str) -> Tables:
    """The same tables need not be named again."""
    return Tables(schema, edition, extension)


class State(NamedTuple):
    """What a transaction begins with: the tables of its edition and what is counted there.

    ``lengths``: numbers of terms of all passages, by `seam.Field`.
    """

    tables: Tables
    passages: int
    lengths: dict[str, int]
    next_ordinal: int
    next_segment: int

    @classmethod
    def read(cls, connection: Connection, schema: str, shown: str) -> State | None:
        """Of the newest edition, which is not dropped until the transaction is over; None if there never was any.

        :raises IndexTooNew: if a later semsearch wrote it.
        :raises psycopg.errors.UndefinedTable: if it went while we looked: a new transaction finds the next one.
        """
        # One round trip less than asking for both: a name that is not there is no error here.
        there = connection.execute(_STATE_AND_EXTENSION, [f'"{schema}"."state"']).fetchone()
        if there is None or not there[0]:
            return None
        first = connection.execute(sql.SQL("SELECT format, edition FROM {}").format(sql.Identifier(schema, "state"))).fetchone()
        if first is None:
            return None
        if first[0] > FORMAT:
            raise IndexTooNew(f"{shown} was written by a later semsearch: upgrade with python -m pip install -U semsearch")
        tables = tables_of(schema, first[1], there[1] or _PUBLIC)
        row = connection.execute(tables.sql("SELECT * FROM {counts}")).fetchone()
        assert row is not None
        passages, title, heading, whole, next_ordinal, next_segment = row
        return cls(tables, passages, {"title": title, "heading": heading, "whole": whole}, next_ordinal, next_segment)


def create(connection: Connection, schema: str, shown: str) -> None:
    """Make an empty index where there is none, within a transaction.

    :raises EngineError: if this server or this schema cannot hold one; the message says what would help.
    """
    encoding = connection.execute("SHOW server_encoding").fetchone()
    if encoding != ("UTF8",):
        raise EngineError(f"the database of {shown} is not in UTF8: make one with createdb --encoding=UTF8 --template=template0")
    _extend(connection, shown)
    connection.execute(SETTINGS)
    held = connection.execute(
        "SELECT count(c.oid), count(c.oid) FILTER (WHERE c.relname = 'state') FROM pg_catalog.pg_namespace n"
        " LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid WHERE n.nspname = %s GROUP BY n.oid",
        [schema],
    ).fetchone()
    if held is None:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    elif held[1]:
        return
    elif held[0]:
        raise EngineError(f"the schema {schema} holds tables that are not semsearch's: name another with index= in the address")
    tables = Tables(schema, 1, _PUBLIC)
    connection.execute(tables.sql(_STATIC, format=sql.Literal(FORMAT)))
    create_edition(connection, tables)


def create_edition(connection: Connection, tables: Tables) -> None:
    """Make the tables of an edition but that of vectors, whose dimension nobody knows yet."""
    connection.execute(tables.sql(_EDITION))


def make_vectors(connection: Connection, tables: Tables, dimension: int) -> None:
    """Make the table of vectors, unless it is there; whoever may read the others may read it, too."""
    if has_index(connection, tables, "vectors_article"):
        return
    # In a TOAST table each vector would be looked up on its own; what is compressed there would be unpacked each time.
    storage = sql.SQL("PLAIN" if dimension <= _INLINE_DIMENSIONS else "EXTERNAL")
    parts = {"dimension": sql.Literal(dimension), "storage": storage, "index": tables.index("vectors_article")}
    connection.execute(tables.sql(_VECTORS, **parts))
    share(connection, tables, tables, ["vectors"])


def share(connection: Connection, like: Tables, tables: Tables, names: Sequence[str] = _FIRST) -> None:
    """Let those read tables who were allowed to read others."""
    counts = sql.Literal(like.sql("{counts}").as_string(connection))
    found = connection.execute(
        sql.SQL(
            "SELECT DISTINCT CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee) END FROM pg_class c, aclexplode(c.relacl) a"
            " WHERE c.oid = {}::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner"
        ).format(counts)
    ).fetchall()
    shared = sql.SQL(", ").join(tables.sql(f"{{{name}}}") for name in names)
    for (role,) in found:
        whom = sql.Identifier(role) if role else sql.SQL("PUBLIC")
        connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(shared, whom))


def make_indexes(connection: Connection, tables: Tables) -> None:
    """Make what is made faster from all that is there than row by row; else put what is new in its place."""
    wanted = {
        "articles_value_ids": "CREATE INDEX {name} ON {articles} USING gin (value_ids)",
        "articles_order": "CREATE INDEX {name} ON {articles} (source, record, path, id)",
        "lexical_terms": "CREATE INDEX {name} ON {lexical} USING gin (terms)",
    }
    for name, statement in wanted.items():
        if not has_index(connection, tables, name):
            connection.execute(tables.sql(statement, name=tables.index(name)))
        elif name != "articles_order":
            # Else each search would go through what is not yet sorted in.
            where = sql.Literal(sql.Identifier(tables.schema, f"{name}_{tables.edition}").as_string(connection))
            connection.execute(sql.SQL("SELECT gin_clean_pending_list({}::regclass)").format(where))


def has_index(connection: Connection, tables: Tables, name: str) -> bool:
    """Whether there is an index of ours by this name."""
    qualified = sql.Identifier(tables.schema, f"{name}_{tables.edition}").as_string(connection)
    found = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [qualified]).fetchone()
    return bool(found and found[0])


def sweep(connection: Connection, schema: str, edition: int) -> None:
    """Drop the tables of earlier editions, unless somebody still reads them; outside of any transaction.

    :param edition: one that is or was the newest: another writer may have made a later one meanwhile.
    """
    found = connection.execute("SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = %s", [schema]).fetchall()
    numbers = [int(match[1]) for (name,) in found if (match := _COUNTS.fullmatch(name))]
    for number in numbers:
        if number >= edition:
            continue
        tables = Tables(schema, number, _PUBLIC)
        names = sql.SQL(", ").join(tables.sql(f"{{{name}}}") for name in _EDITIONED)
        try:
            with connection.transaction():
                connection.execute("SET LOCAL lock_timeout = '200ms'")
                connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(names))
        except (errors.LockNotAvailable, errors.InsufficientPrivilege):
            # The next writer will.
            continue


def _extend(connection: Connection, shown: str) -> None:
    """See to it that pgvector is there and new enough."""
    mend = "ask its administrator for CREATE EXTENSION vector in this database"
    version = connection.execute("SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'vector'").fetchone()
    if version is None:
        try:
            with connection.transaction():
                # It goes where the administrator has such things go.
                connection.execute("SET LOCAL search_path TO DEFAULT")
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        except errors.InsufficientPrivilege as error:
            raise EngineError(f"{shown} has no pgvector, and this user may not add it: {mend}") from error
        except errors.UniqueViolation:
            # Somebody who makes another index did so at the same moment.
            pass
        except (errors.FeatureNotSupported, errors.UndefinedFile) as error:
            raise EngineError(f"the server of {shown} has no pgvector: install pgvector 0.8 or later there") from error
        version = connection.execute("SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'vector'").fetchone()
    said = str(version[0]) if version else ""
    if tuple(int(part) for part in re.findall(r"\d+", said)[:2]) < _VECTOR:
        raise EngineError(f"{shown} has pgvector {said}: upgrade it to 0.8 or later, then ALTER EXTENSION vector UPDATE")
