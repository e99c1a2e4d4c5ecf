"""What PostgreSQL has of its own: addresses, segments of posting lists, editions, what is lost and who is killed.

What every engine does is in test_engine_seam.
"""

from __future__ import annotations

import builtins
import multiprocessing
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import postgres_server
import psycopg
import pytest
from conftest import FakeEncoder
from engine_entries import DIMENSION, META, article_of, entry_of
from helpers import records, run, write
from memory_engine import MemoryEngine
from test_engine_seam import NARROW, QUERIES, WORDS, fill, put, same

import semsearch
from semsearch.engines.postgres import connect, draft, lexical, postings, snapshot, tables
from semsearch.engines.postgres.address import Address
from semsearch.engines.postgres.engine import PostgresEngine
from semsearch.engines.seam import Asked, Said, Terms
from semsearch.errors import EngineError, IndexLocked, IndexTooNew, InputError, MissingExtra
from semsearch.records import Passage, Sentence
from semsearch.store import FileRow


@pytest.fixture
def engine() -> Iterator[PostgresEngine]:
    opened = connect(f"{postgres_server.shared().address}?index=own_{uuid.uuid4().hex}")
    assert isinstance(opened, PostgresEngine)
    yield opened
    opened.close()


@pytest.fixture
def oracle() -> MemoryEngine:
    return MemoryEngine()


def ask(engine: PostgresEngine, statement: str) -> list[tuple]:
    """Ask the server itself, as its administrator would; ``{}`` is the schema."""
    with psycopg.connect(postgres_server.shared().address, autocommit=True) as connection:
        found = connection.execute(statement.replace("{}", engine._address.schema))
        return found.fetchall() if found.description else []


# Addresses


def test_half_a_password_is_not_taken_for_a_host():
    with pytest.raises(InputError, match="%2F") as caught:
        Address.parse("postgresql://u:sec/ret@host/db")
    assert "ret" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "schema", "shown"),
    [
        ("postgresql://host/db", "semsearch", "postgresql://host/db?index=semsearch"),
        ("postgres://u:s%40cret@host:5433/db?index=notes", "notes", "postgresql://u@host:5433/db?index=notes"),
        ("postgresql://u:secret@a:1,b:2/db?target_session_attrs=read-write&index=n2", "n2", "postgresql://u@a:1,b:2/db?index=n2"),
        ("postgresql://u@[::1]/db?password=secret&sslpassword=secret", "semsearch", "postgresql://u@[::1]/db?index=semsearch"),
        ("postgresql:///db?host=/var/run&port=5433", "semsearch", "postgresql://%2Fvar%2Frun:5433/db?index=semsearch"),
    ],
)
def test_an_address_is_libpqs_with_the_name_of_the_index(address: str, schema: str, shown: str):
    parsed = Address.parse(address)
    assert (parsed.schema, parsed.shown) == (schema, shown)
    assert "index=" not in parsed.conninfo
    assert "secret" not in parsed.shown
    assert "cret" not in repr(parsed)


@pytest.mark.parametrize(
    "address",
    ["postgresql://u:secret%zz@h/db", "postgresql://u:secret@h/db?nonsense=secret", "mysql://secret"],
)
def test_what_is_no_address_is_refused_without_its_password(address: str):
    with pytest.raises(InputError, match=r"write postgresql://|have no parameter 'nonsense'") as raised:
        Address.parse(address)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    "name", ["", "pg_x", "a.b", 'a"; drop schema public; --', "A", "1x", "x" * 64, "information_schema", "ä"]
)
def test_the_name_of_an_index_is_a_plain_one(name: str):
    with pytest.raises(InputError, match="no name for an index"):
        Address.parse(f"postgresql://h/db?index={name}")


def test_without_psycopg_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    importing = builtins.__import__

    def refuse(name: str, *arguments, **named):
        if name == "psycopg":
            raise ImportError("no psycopg")
        return importing(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtra, match=r'pip install "semsearch\[postgres\]"'):
        connect("postgresql://h/db")


# Who may in, and what is there


def test_an_open_index_shows_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_model: None):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from starlette.testclient import TestClient

    from semsearch.web.app import create_app

    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    address = f"{postgres_server.shared().address}?index=own_{uuid.uuid4().hex}"
    write(tmp_path / "notes", "a.md", "aid")
    shown = ""
    with semsearch.build([tmp_path / "notes"], address, encoder=FakeEncoder()) as index:
        results = index.search("aid")
        shown += repr((index, index.report, index.status(), index.facets(), index.articles(), results, index._reader))
        shown += f"{vars(index)} {vars(index._reader)} {Address.parse(address)!r} {connect(address)!r}"
        with TestClient(create_app(index), base_url="http://127.0.0.1") as client:
            shown += "".join(client.get(path).text for path in ("/status", "/healthz", "/facets", "/articles", "/search?q=aid"))
    for command in (
        ("status",),
        ("status", "--json"),
        ("-v", "ask", "aid", "--json"),
        ("check",),
        ("index", str(tmp_path / "notes")),
    ):
        result = run(*command, "--index", address)
        assert result.exit_code == 0, result.stderr
        shown += result.stdout + result.stderr
    assert "secret" not in shown
    assert "password" not in shown


HOSTILE = [
    "' OR '1'='1", "'; DROP TABLE state; --", '"; DROP SCHEMA public CASCADE; --', "\\'; SELECT 1; --", "$$ $x$ $1 :a",
    "%s %(a)s %% {}", "{passages} {meets}", "E'\\x00'", "\0 nul", "\ud800 half", "'a' | 'b' & !c <-> (d:*)", "x:*A' \\' ''",
    "/* */ --", "\x01{", "gas\\", "'",
]  # fmt: skip


def test_hostile_texts_stay_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_model: None):
    """Everywhere: articles, names, metadata, questions, phrases, filters, patterns; as in a folder."""
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    address = f"{postgres_server.shared().address}?index=own_{uuid.uuid4().hex}"
    every = [
        {
            "title": f"T {mark}",
            "text": f"The oil {number} {mark} was sold. Gas {mark}.",
            f"k {mark}": f"v {mark}",
            "tag": mark,
            "n": number,
        }
        for number, mark in enumerate(HOSTILE)
    ]
    records(tmp_path / "all", every)
    name = "it's; DROP TABLE state; -- %s {} $$ \\ \".md"
    (tmp_path / "all" / name).write_text("# Gas ' %s\n\n## It's {} ;\n\nOil and gas.\n", encoding="utf-8")
    with (
        semsearch.build([tmp_path / "all"], address, encoder=FakeEncoder()) as theirs,
        semsearch.build([tmp_path / "all"], tmp_path / "local", encoder=FakeEncoder()) as ours,
    ):
        assert theirs.report is not None
        assert (theirs.report.articles, theirs.report.problems) == (len(HOSTILE) + 1, ())
        for mark in HOSTILE:
            for where in (
                f"tag={mark}",
                f"k {mark}=v {mark}",
                f"title=T {mark}",
                f"title~{mark}*",
                f"tag!={mark}",
                f"tag>{mark}",
            ):
                try:
                    wanted = {info.source for info in ours.articles(where=[where])}
                except InputError:
                    continue
                assert {info.source for info in theirs.articles(where=[where])} == wanted, where
                assert len(theirs.search("oil", 50, where=[where], fold=False)) == len(
                    ours.search("oil", 50, where=[where], fold=False)
                )
            for question in (mark, f"oil {mark}", f'"oil" "{mark}"', f'gas "{mark.replace(chr(34), "")}"'):
                for mode in ("hybrid", "lexical"):
                    try:
                        wanted = {hit.passage_id: hit.text for hit in ours.search(question, 50, mode=mode, fold=False)}
                    except InputError:
                        continue
                    found = theirs.search(question, 50, mode=mode, fold=False)
                    assert sorted(hit.text for hit in found) == sorted(wanted.values()), question
        assert semsearch.remove([str(tmp_path / "all" / name)], address) == 1
        assert theirs.refresh()
        kept = [(info.title, info.metadata) for info in theirs.articles(limit=100)]
        expected = [(info.title, info.metadata) for info in ours.articles(limit=100) if not info.source.endswith(".md")]
        assert sorted(map(repr, kept)) == sorted(map(repr, expected))


@pytest.mark.parametrize(
    "index", ["a'b", 'a"b', "a;b", "pg_x", "information_schema", "A", "a b", "a.b", "", "%27", "a%00", "é", "a" * 64, "$$", "1a"]
)
def test_names_of_indexes_cannot_be_sql(index: str):
    address = f"postgresql://u:s3cret@127.0.0.1:1/db?index={index}"
    if index:
        with pytest.raises(InputError, match="no name for an index") as caught:
            Address.parse(address)
        assert "s3cret" not in str(caught.value)


CAPTURES = [
    "set_config(text, text, boolean) RETURNS text",
    "set_config(varchar, text, boolean) RETURNS text",
    "current_setting(text) RETURNS text",
    "quote_ident(name) RETURNS text",
    "to_regclass(text) RETURNS regclass",
    "pg_try_advisory_xact_lock(integer) RETURNS boolean",
    "pg_try_advisory_xact_lock(bigint) RETURNS boolean",
    "pg_total_relation_size(oid) RETURNS bigint",
    "unnest(text[]) RETURNS SETOF text",
    "unnest(integer[]) RETURNS SETOF integer",
    "unnest(bigint[], text[], text[]) RETURNS SETOF record",
    "ts_rank(text, tsvector, tsquery) RETURNS real",
    "ts_filter(tsvector, text) RETURNS tsvector",
    "pg_size_bytes(text) RETURNS bigint",
    "gin_clean_pending_list(regclass) RETURNS bigint",
    "aclexplode(aclitem[]) RETURNS SETOF record",
    "pg_get_userbyid(oid) RETURNS name",
    "overlapping(bigint[], bigint[]) RETURNS boolean",
    "equal(bigint, bigint) RETURNS boolean",
    "matching(tsvector, tsquery) RETURNS boolean",
    "joined(text, text) RETURNS text",
]
OPERATORS = [
    "&& (function = {}.overlapping, leftarg = bigint[], rightarg = bigint[])",
    "= (function = {}.equal, leftarg = bigint, rightarg = bigint)",
    "@@ (function = {}.matching, leftarg = tsvector, rightarg = tsquery)",
    "|| (function = {}.joined, leftarg = text, rightarg = text)",
]


@pytest.mark.parametrize("schema", ["public", "evil"])
def test_functions_of_others_are_not_run(schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_model: None):
    """Whoever may make functions in the schema of pgvector, or in one that comes first by default, gets nothing run by us."""
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    for name, limit in (("EXACT", 0), ("FEW", 0)):
        monkeypatch.setattr(snapshot, name, limit)
    monkeypatch.setattr(draft, "_INDEXED_FROM", 1)
    own = f"own_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server.shared().address, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {own} TEMPLATE template0")
        server.execute(f"ALTER DATABASE {own} SET search_path = evil, public, pg_catalog")
    try:
        database = postgres_server.shared().address.rpartition("/")[0] + f"/{own}"
        with psycopg.connect(database, autocommit=True) as server:
            server.execute("SET search_path = pg_catalog")
            server.execute("CREATE EXTENSION vector SCHEMA public")
            server.execute("CREATE SCHEMA IF NOT EXISTS evil")
            for each in CAPTURES:
                body = "BEGIN RAISE EXCEPTION 'captured'; END"
                server.execute(f"CREATE FUNCTION {schema}.{each} LANGUAGE plpgsql AS $${body}$$")
            for each in OPERATORS:
                server.execute(f"CREATE OPERATOR {schema}.{each.format(schema)}")
        write(tmp_path / "notes", "a.md", "aid oil", "gas", title="Aid")
        write(tmp_path / "notes", "b.md", "oil", "election", title="Oil")
        for fresh in (False, False, True):
            with semsearch.build([tmp_path / "notes"], database, encoder=FakeEncoder(), fresh=fresh) as index:
                for mode in ("hybrid", "dense", "lexical"):
                    assert index.search("oil", mode=mode, fold=False)[0].title
                    assert {hit.title for hit in index.search('"oil" was', mode=mode, where=["title=Oil"])} == {"Oil"}
                assert index.status()["articles"] == 2
                assert [info.title for info in index.articles(where=["title=Aid"])] == ["Aid"]
                assert index.facets()
            (tmp_path / "notes" / "a.md").write_text("# Aid\n\nThe aid was sold for gas.\n", encoding="utf-8")
        assert semsearch.check(database, encoder=FakeEncoder()).ok
        assert semsearch.remove([str(tmp_path / "notes" / "a.md")], database) == 1
    finally:
        with psycopg.connect(postgres_server.shared().address, autocommit=True) as server:
            server.execute(f"DROP DATABASE {own} WITH (FORCE)")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE {}.articles_1 SET metadata = '{{'",
        "UPDATE {}.articles_1 SET metadata = '[1]'",
        "UPDATE {}.articles_1 SET title = E'\\x01bad'",
        "UPDATE {}.passages_1 SET text = E'\\x01bad'",
        "UPDATE {}.passages_1 SET headings = '7'",
        "UPDATE {}.passages_1 SET words = '\\x01'",
        "UPDATE {}.passages_1 SET spans = '\\x010203'",
        "UPDATE {}.passages_1 SET sentences = '\\x0102030405'",
        "UPDATE {}.passages_1 SET sentence_spans = '\\x01'",
        "ALTER TABLE {}.passages_1 ALTER text DROP NOT NULL; UPDATE {}.passages_1 SET text = NULL",
        "ALTER TABLE {}.passages_1 DROP line",
        "UPDATE {}.postings_1 SET data = '\\x01'",
        "UPDATE {}.terms_1 SET whole = -5, title = 2000000000",
        "UPDATE {}.counts_1 SET passages = -5",
        "UPDATE {}.values_1 SET value = E'\\x01bad'",
        "UPDATE {}.state SET edition = 99",
        "UPDATE {}.meta SET value = 'x'",
    ],
)
def test_rows_of_others_are_answered_or_refused_in_one_line(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_model: None
):
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    schema = f"own_{uuid.uuid4().hex}"
    address = f"{postgres_server.shared().address}?index={schema}"
    write(tmp_path / "notes", "a.md", "aid oil", "gas", title="Aid")
    semsearch.build([tmp_path / "notes"], address, encoder=FakeEncoder()).close()
    with psycopg.connect(postgres_server.shared().address, autocommit=True) as server:
        server.execute(change.replace("{}", schema).replace("{{", "{"))
    refused = 0
    for command in (
        ("ask", "oil aid"), ("ask", "oil", "--mode", "lexical"), ("ask", "oil", "--where", "title=Aid"), ("status",), ("check",),
        ("export", str(tmp_path / "all.jsonl"), "--vectors"), ("plot", "oil", "--output", str(tmp_path / "map.html")),
    ):  # fmt: skip
        result = run(*command, "--index", address)
        assert result.exit_code in (0, 1, 2)
        refused += result.exit_code == 2
        assert result.exit_code < 2 or result.stderr.count("\n") == 1, result.stderr
    assert refused or "counts" in change or "terms" in change or "values" in change


def test_a_wrong_password_is_said_at_once_and_not_shown():
    address = postgres_server.shared().address.replace("secret%20word", "wrong%20one")
    with pytest.raises(EngineError, match="password authentication failed") as raised, connect(address).snapshot():
        pass
    assert "wrong" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_where_nobody_listens_it_is_tried_again_and_then_given_up(monkeypatch: pytest.MonkeyPatch):
    from semsearch.engines.postgres import connections

    pauses: list[float] = []
    monkeypatch.setattr(connections.time, "sleep", pauses.append)
    address = f"postgresql://u:secret@127.0.0.1:{postgres_server.free_port()}/db"
    with (
        pytest.raises(EngineError, match=r"cannot connect to postgresql://u@127\.0\.0\.1:") as raised,
        connect(address).snapshot(),
    ):
        pass
    assert len(pauses) == 6
    assert "secret" not in str(raised.value)


def test_an_index_of_a_later_version_is_neither_read_nor_written(engine: PostgresEngine):
    fill(engine, {0: 0})
    ask(engine, "UPDATE {}.state SET format = 99")
    with pytest.raises(IndexTooNew, match="upgrade"), engine.snapshot():
        pass
    with pytest.raises(IndexTooNew, match="upgrade"):
        engine.draft()


def test_a_schema_of_others_is_left_alone(engine: PostgresEngine):
    ask(engine, "CREATE SCHEMA {}")
    ask(engine, "CREATE TABLE {}.meta (mine int)")
    with engine.snapshot() as snapshot:
        assert snapshot.meta == {}
    with pytest.raises(EngineError, match="name another"):
        engine.draft()
    assert ask(engine, "SELECT count(*) FROM pg_tables WHERE schemaname = '{}'") == [(1,)]


def test_who_may_only_read_reads_and_is_told_that_writing_is_not_for_them(engine: PostgresEngine):
    fill(engine, {0: 0})
    role = f"reader_{uuid.uuid4().hex}"
    ask(engine, f"CREATE ROLE {role} LOGIN PASSWORD 'secret word'")
    ask(engine, f"GRANT USAGE ON SCHEMA {{}} TO {role}")
    ask(engine, f"GRANT SELECT ON ALL TABLES IN SCHEMA {{}} TO {role}")
    server = postgres_server.shared()
    reader = connect(f"{server.address.replace('semsearch:', f'{role}:')}?index={engine._address.schema}")
    with reader.snapshot() as snapshot:
        assert len(snapshot.nearest(QUERIES[:1], 3, None)[0].rows) == min(3, len(article_of(0)[1]))
    with pytest.raises(EngineError, match="ask its administrator"):
        fill(reader, {1: 0})
    # Also when all was forgotten, and the tables are others.
    opened = engine.draft()
    opened.forget()
    opened.prepare(DIMENSION)
    put(opened, {2: 0})
    opened.commit(META)
    with reader.snapshot() as snapshot:
        assert [article.id for article in snapshot.articles(0, 9, None)] == [article_of(2)[0].id]
        assert len(snapshot.nearest(QUERIES[:1], 99, None)[0].rows) == len(article_of(2)[1])
        assert snapshot.frequencies("whole", ["part"]) == [len(article_of(2)[1]) - 1]
    reader.close()


def test_who_writes_sees_all_that_was_committed_before_it_was_their_turn(engine: PostgresEngine):
    """Also where the default is that a transaction sees what there was at its first statement."""
    fill(engine, {0: 0})
    options = "options=-c%20default_transaction_isolation%3Dserializable"
    other = connect(f"{postgres_server.shared().address}?index={engine._address.schema}&{options}")
    assert isinstance(other, PostgresEngine)
    is_locked = other._is_locked

    def late(connection: psycopg.Connection) -> bool:
        fill(engine, {1: 0}, {**META, "generation": "2"})
        return is_locked(connection)

    other._is_locked = late  # type: ignore[method-assign]
    fill(other, {2: 0}, {**META, "generation": "3"})
    with engine.snapshot() as snapshot:
        assert len(snapshot.articles(0, 9, None)) == 3
    other.close()


def test_a_server_that_takes_no_writes_says_which_one_does(engine: PostgresEngine):
    fill(engine, {0: 0})
    options = "options=-c%20default_transaction_read_only%3Don"
    standby = connect(f"{postgres_server.shared().address}?index={engine._address.schema}&{options}")
    with standby.snapshot() as snapshot:
        assert snapshot.meta == META
    with pytest.raises(EngineError, match="may only be read: write to the primary"):
        fill(standby, {1: 0})
    standby.close()


def test_two_who_come_first_at_once_both_make_an_index():
    """Each in its schema: only one of them adds pgvector to the database."""
    server = postgres_server.shared()
    name = f"db_{uuid.uuid4().hex}"
    with psycopg.connect(server.address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    address = server.address.replace("/postgres", f"/{name}")
    first, second = connect(f"{address}?index=a"), connect(f"{address}?index=b")
    with psycopg.connect(address) as other:
        # Not committed yet: who comes next waits, and is then told that there is one.
        other.execute("CREATE EXTENSION vector")
        thread = threading.Thread(target=lambda: fill(first, {0: 0}))
        thread.start()
        while not other.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchall():
            assert thread.is_alive()
        other.commit()
    thread.join()
    fill(second, {0: 0})
    for each in (first, second):
        with each.snapshot() as snapshot:
            assert snapshot.meta == META
        each.close()


def test_nothing_of_an_index_that_is_not_there_is_an_error(engine: PostgresEngine):
    with engine.snapshot() as snapshot:
        assert snapshot.meta == {}
        assert snapshot.nearest(QUERIES[:2], 3, None)[1].rows.tolist() == []
        assert snapshot.matching("whole", WORDS, 3, None).rows.tolist() == []
        assert snapshot.matched("whole", WORDS, np.asarray([5], np.int64)).tolist() == [0]
        assert snapshot.frequencies("whole", ["a"]) == [0]
        assert (snapshot.is_any(Said((("a",),))), snapshot.n_articles(Said((("a",),)))) == (False, 0)
        assert (snapshot.known([b"x"]), snapshot.passages([1]), snapshot.sample(3), snapshot.n_bytes()) == ({}, [], [], 0)
        assert (snapshot.numbered([1]), snapshot.articles(0, 5, None), snapshot.articles_of([1])) == ([], [], [])
        assert (list(snapshot.files()), snapshot.values("x"), snapshot.keys(), list(snapshot.entries([1]))) == ([], [], [], [])
        assert (snapshot.place_of(1), snapshot.passages_of(1, 0, 5), snapshot.kept(np.zeros(0, np.int64))) == (None, [], [])


# Words


@pytest.mark.parametrize("few", [-1, 10**6])
@pytest.mark.parametrize("name", NARROW)
def test_lists_that_cannot_matter_are_left_where_they_are(monkeypatch: pytest.MonkeyPatch, filled, name: str, few: int):
    """The same scores as those of all lists, whether they are fetched or looked up passage by passage."""
    engine, oracle = filled
    asked = [Asked(1, ("harbour",)), Asked(2, ("oil",)), Asked(1, ("one",)), Asked(1, ("version0", "nowhere"))]
    asked += [Asked(1, ("o'clock",)), Asked(1, ("größe",))]
    monkeypatch.setattr(lexical, "AT_ONCE", 1)
    monkeypatch.setattr(snapshot, "FEW", few)
    looked_up: list[int] = []
    forward = lexical.Words._forward
    monkeypatch.setattr(
        lexical.Words,
        "_forward",
        lambda self, field, words, rows: looked_up.append(len(words)) or forward(self, field, words, rows),
    )
    with engine.snapshot() as here, oracle.snapshot() as wanted:
        for field in ("title", "heading", "whole"):
            for k in (3, 200):
                found = here.matching(field, asked, k, NARROW[name](here))
                same(found, wanted.matching(field, asked, k, NARROW[name](wanted)), 1e-4)
            rows = np.asarray(wanted.sample(40) * 2, np.int64)
            np.testing.assert_allclose(here.matched(field, asked, rows), wanted.matched(field, asked, rows), atol=1e-4)
    assert name != "all" or max(looked_up) > 1


@pytest.fixture(scope="module")
def filled() -> Iterator[tuple[PostgresEngine, MemoryEngine]]:
    opened, oracle = connect(f"{postgres_server.shared().address}?index=words_{uuid.uuid4().hex}"), MemoryEngine()
    for each in (opened, oracle):
        fill(each, dict.fromkeys(range(40), 0))
    assert isinstance(opened, PostgresEngine)
    yield opened, oracle
    opened.close()


def test_many_drafts_leave_few_segments_and_the_scores_of_the_formula(engine: PostgresEngine, oracle: MemoryEngine):
    for number in range(11):
        for each in (engine, oracle):
            gone = [article_of(number - 3)[0].id] if number % 3 == 0 and number >= 3 else []
            fill(each, {number: 0}, {**META, "generation": str(number)}, tuple(gone))
    assert ask(engine, "SELECT count(*) <= 9 FROM {}.segments_1") == [(True,)]
    compare(engine, oracle)
    for each in (engine, oracle):
        fill(each, {20: 0}, META, tuple(article_of(number)[0].id for number in range(1, 11)))
    compare(engine, oracle)
    # What is gone is gone from the lists, too: they are not longer than what is there, and a third.
    (lists, postings_there) = ask(
        engine,
        "SELECT (SELECT sum(octet_length(data)) / 8 FROM {}.postings_1 WHERE field = 2),"
        " (SELECT sum(length(terms)) FROM {}.lexical_1)",
    )[0]
    assert postings_there <= lists <= postings_there * 1.5


def test_terms_that_are_known_take_no_numbers(engine: PostgresEngine):
    """Numbers end at two billion, which drafts that take one for each of their terms would come to."""
    for number in range(4):
        fill(engine, {number: 0}, {**META, "generation": str(number)})
    assert ask(engine, "SELECT max(id) = count(*), max(id) = (SELECT last_value FROM {}.terms_1_id_seq) FROM {}.terms_1") == [
        (True, True)
    ]


def test_segments_as_wide_as_may_be_are_left_alone_however_many():
    wide = [4_000_000] * 12
    assert postings.to_merge([*wide, 3_000_000, 1]) == 0
    assert postings.to_merge([*wide, 3_000_000, *[1] * 9]) == 9
    assert postings.to_merge([3_000_000, *[1] * 9]) == 9
    assert postings.to_merge([5] * 9) == 9
    # So many drafts leave so few, and none is written again by each of them.
    sizes, written = [*wide], 0
    for _ in range(1000):
        sizes.append(1000)
        number = postings.to_merge(sizes)
        if number:
            written += sum(sizes[-number:])
            sizes[-number:] = [sum(sizes[-number:])]
    assert len(sizes) - len(wide) <= 8
    assert written < 10 * 1000 * 1000


def compare(engine: PostgresEngine, oracle: MemoryEngine) -> None:
    with engine.snapshot() as here, oracle.snapshot() as wanted:
        for field in ("title", "heading", "whole"):
            for asked in (WORDS, [Asked(1, ("oil",)), Asked(1, ("part",)), Asked(1, ("bees", "gas"))]):
                terms = [way for word in asked for way in word.ways]
                assert here.frequencies(field, terms) == wanted.frequencies(field, terms)
                same(here.matching(field, asked, 50, None), wanted.matching(field, asked, 50, None), 1e-4)


def test_what_is_put_and_dropped_in_one_draft_is_not_counted(engine: PostgresEngine, oracle: MemoryEngine):
    for each in (engine, oracle):
        opened = each.draft()
        opened.prepare(DIMENSION)
        put(opened, {0: 0, 1: 0})
        opened.drop([article_of(1)[0].id])
        put(opened, {2: 0, 1: 0})
        opened.drop([article_of(0)[0].id, 12345])
        opened.commit(META)
        opened.close()
    compare(engine, oracle)


HOSTILE = ["'; DROP TABLE passages; --", "a\\b", "it''s", '"quoted"', "%s %(x)s {} {passages}", "\\'", "ÿ", "a:1A", "&|!<->", "🜁"]


def said(number: int, text: str, terms: str, path: str | None = None, title: str = "T") -> tuple:
    article = article_of(number)[0]
    passage = Passage(text, ("H",), 1, 1, 0, len(text), (Sentence(0, len(text)),), ((0, len(text)),))
    entry = entry_of(article.id, 0, title, passage)
    entry = entry._replace(terms=entry.terms._replace(title="t", heading="h", text=terms))
    path = path or article.path
    return article._replace(n_passages=1, path=path, source=path, title=title, values=(1, 2)), entry


def put_one(engine: PostgresEngine | MemoryEngine, article, entry) -> None:
    opened = engine.draft()
    opened.prepare(DIMENSION)
    opened.put([article], [entry], [])
    opened.put_files([FileRow(7, article.path, article.source, b"x" * 32, [], {"a": article.source})])
    opened.commit({"generation": "1", article.title: article.source})
    opened.close()


def test_no_text_is_taken_for_anything_else(engine: PostgresEngine):
    text, path = " ".join(HOSTILE), "/odd/\udcff'\0 \\ %s {}"
    article, entry = said(1, text, text, path, title="\x01 'T\"")
    put_one(engine, article, entry)
    with engine.snapshot() as snapshot:
        assert snapshot.meta["\x01 'T\""] == path
        assert snapshot.numbered([article.id]) == [article]
        (found,) = snapshot.passages([entry.row])
        assert (found.passage, found.path, found.title) == (entry.passage, path, article.title)
        assert next(snapshot.files()) == FileRow(7, path, path, b"x" * 32, [], {"a": path})
        for term in text.split():
            assert snapshot.frequencies("whole", [term]) == [1]
            assert snapshot.matching("whole", [Asked(1, (term,))], 5, None).rows.tolist() == [entry.row]
            assert snapshot.is_any(Said(((term,),)))
            assert not snapshot.is_any(Said(((term, "nowhere"),)))


def test_passages_that_are_longer_than_positions_are_counted_all_the_same(engine: PostgresEngine, oracle: MemoryEngine):
    """Positions of a tsvector end at 16,383, and a word has 256 of them: phrases are found up to there, words everywhere."""
    terms = " ".join(["often"] * 300 + ["early", "bird"] + [f"w{number}" for number in range(17_000)] + ["late", "bird"])
    article, entry = said(1, "x", terms)
    for each in (engine, oracle):
        put_one(each, article, entry) if each is engine else put_one_in_memory(each, article, entry)
    asked = [Asked(1, ("often",)), Asked(1, ("late",))]
    with engine.snapshot() as here, oracle.snapshot() as wanted:
        same(here.matching("whole", asked, 5, None), wanted.matching("whole", asked, 5, None), 1e-4)
        assert here.is_any(Said((("early", "bird"),)))
        assert here.is_any(Said((("late",),)))
        assert not here.is_any(Said((("late", "bird"),)))
    fill(engine, {}, META, (article.id,))
    with engine.snapshot() as here:
        assert here.frequencies("whole", ["often", "late", "w16999", "t"]) == [0, 0, 0, 0]


def test_a_word_that_is_in_all_parts_is_uncounted_in_all_of_them_however_often(engine: PostgresEngine):
    article, entry = said(1, "x", "")
    often = " ".join(["often"] * 400)
    put_one(engine, article, entry._replace(terms=Terms(often, f"{often} head", "often")))
    fields = ("title", "heading", "whole")
    with engine.snapshot() as here:
        assert [here.frequencies(field, ["often"]) for field in fields] == [[1], [1], [1]]
    fill(engine, {}, META, (article.id,))
    with engine.snapshot() as here:
        assert [here.frequencies(field, ["often"]) for field in fields] == [[0], [0], [0]]


def put_one_in_memory(engine: MemoryEngine, article, entry) -> None:
    opened = engine.draft()
    opened.prepare(DIMENSION)
    opened.put([article], [entry], [])
    opened.commit(META)
    opened.close()


def test_pieces_of_a_ranking_are_in_its_order_and_whole():
    scores = np.random.default_rng(1).integers(0, 50, 5000) / 7
    for first in (1, 16, 1000, 9000):
        pieces = list(postings.descending(scores, first))
        assert len(pieces[0]) == min(first, 5000)
        places = np.concatenate(pieces)
        assert sorted(places.tolist()) == list(range(5000))
        assert (np.diff(scores[places]) <= 0).all()


def test_scores_are_added_up_alike_wherever_ordinals_are():
    drawn = np.random.default_rng(1)
    word = postings.Word((1, 2), ("a", "b"), 9, 3.0)
    near = postings.counted(drawn.integers(0, 500, 90), drawn.integers(1, 90, 90), drawn.integers(1, 9, 90))
    far = near.copy()
    far["ordinal"] *= 4_000_000
    ordinals, scores = postings.added([(word, near), (word, near)], 20.0)
    assert (np.diff(ordinals) > 0).all()
    far_ordinals, far_scores = postings.added([(word, far), (word, far)], 20.0)
    assert far_ordinals.tolist() == (ordinals * 4_000_000).tolist()
    np.testing.assert_allclose(far_scores, scores)
    best = {int(each): 0.0 for each in near["ordinal"]}
    for record in near:
        tf = float(record["count"])
        most = max(float(other["count"]) for other in near if other["ordinal"] == record["ordinal"])
        if tf == most:
            best[int(record["ordinal"])] = max(
                best[int(record["ordinal"])], 2 * 3 * tf / (tf + 1.2 * (0.25 + 0.75 * float(record["length"]) / 20))
            )
    assert ordinals.tolist() == sorted(best)


# Vectors


@pytest.mark.parametrize("name", NARROW)
def test_the_index_of_vectors_finds_the_same(indexed, monkeypatch: pytest.MonkeyPatch, name: str):
    engine, oracle = indexed
    monkeypatch.setattr(snapshot, "EXACT", -1)
    with engine.snapshot() as here, oracle.snapshot() as wanted:
        found = here.nearest(QUERIES, 10, NARROW[name](here))
        for each, best in zip(found, wanted.nearest(QUERIES, 10, NARROW[name](wanted)), strict=True):
            same(each, best, 2e-3)


@pytest.fixture(scope="module")
def indexed() -> Iterator[tuple[PostgresEngine, MemoryEngine]]:
    opened, oracle = connect(f"{postgres_server.shared().address}?index=hnsw_{uuid.uuid4().hex}"), MemoryEngine()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draft, "_INDEXED_FROM", 1)
        for each in (opened, oracle):
            fill(each, dict.fromkeys(range(40), 0))
            fill(each, dict.fromkeys(range(40, 60), 0), META, (article_of(3)[0].id,))
    assert isinstance(opened, PostgresEngine)
    assert ask(opened, "SELECT count(*) FROM pg_indexes WHERE schemaname = '{}' AND indexname LIKE 'vectors_hnsw%'") == [(1,)]
    yield opened, oracle
    opened.close()


def test_the_index_of_vectors_is_really_asked(indexed, monkeypatch: pytest.MonkeyPatch):
    engine, _ = indexed
    monkeypatch.setattr(snapshot, "EXACT", -1)
    scans = "SELECT idx_scan FROM pg_stat_all_indexes WHERE indexrelname LIKE 'vectors_hnsw%' AND schemaname = '{}'"
    before = ask(engine, scans)[0][0]
    with engine.snapshot() as here:
        here.nearest(QUERIES, 10, None)
        here._connection.execute("SELECT pg_stat_force_next_flush()")
    assert ask(engine, scans)[0][0] >= before + len(QUERIES)


# Editions


def test_forgetting_holds_up_no_reader_and_is_swept_up_later(engine: PostgresEngine):
    fill(engine, {0: 0, 1: 0})
    with engine.snapshot() as before:
        opened = engine.draft()
        opened.forget()
        opened.prepare(3)
        opened.commit({"generation": "2"})
        opened.close()
        assert len(before.articles(0, 9, None)) == 2
        assert len(before.nearest(QUERIES[:1], 99, None)[0].rows) == sum(len(article_of(number)[1]) for number in (0, 1))
        assert ask(engine, "SELECT count(*) FROM pg_tables WHERE schemaname = '{}' AND tablename LIKE 'articles%'") == [(2,)]
    with engine.snapshot() as after:
        assert (dict(after.meta), after.articles(0, 9, None), after.sample(9)) == ({"generation": "2"}, [], [])
    opened = engine.draft()
    opened.commit({"generation": "3"})
    assert ask(engine, "SELECT tablename FROM pg_tables WHERE schemaname = '{}' AND tablename LIKE 'articles%'") == [
        ("articles_2",)
    ]


def test_the_edition_of_a_writer_who_came_in_between_is_not_swept_up(engine: PostgresEngine):
    """Who has committed looks for what to drop when others may write again."""
    fill(engine, {0: 0})
    opened = engine.draft()
    opened.forget()
    opened.prepare(DIMENSION)
    put(opened, {1: 0})
    opened.commit({"generation": "2"})
    with psycopg.connect(postgres_server.shared().address, autocommit=True) as connection:
        tables.sweep(connection, engine._address.schema, 1)
    with engine.snapshot() as snapshot:
        assert [article.id for article in snapshot.articles(0, 9, None)] == [article_of(1)[0].id]


def test_readers_find_a_generation_while_others_are_forgotten(engine: PostgresEngine):
    fill(engine, {0: 0})
    stop, counted, wrong = threading.Event(), [0], []

    def read() -> None:
        while not stop.is_set():
            try:
                with engine.snapshot() as snapshot:
                    there = snapshot.articles(0, 9, None)
                    assert (
                        [str(article.file) for article in there] == [snapshot.meta["file"]] if "file" in snapshot.meta else there
                    )
                    counted[0] += 1
            except Exception as error:
                wrong.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(1, 6):
        opened = engine.draft()
        opened.forget()
        opened.prepare(DIMENSION)
        put(opened, {number: 0})
        opened.commit({"generation": str(number), "file": str(article_of(number)[0].file)})
    stop.set()
    thread.join()
    assert not wrong
    assert counted[0] > 5


# What is lost


def test_an_idle_connection_that_was_lost_is_replaced(engine: PostgresEngine):
    fill(engine, {0: 0})
    ask(engine, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'semsearch'")
    with engine.snapshot() as snapshot:
        assert snapshot.meta == META


def test_a_snapshot_that_is_lost_says_so(engine: PostgresEngine):
    fill(engine, {0: 0})
    with engine.snapshot() as snapshot:
        ask(engine, f"SELECT pg_terminate_backend({snapshot._connection.info.backend_pid})")
        with pytest.raises(EngineError, match=r"lost postgresql://semsearch@127.*again"):
            snapshot.articles(0, 9, None)
    with engine.snapshot() as snapshot:
        assert snapshot.meta == META


def test_a_question_has_a_time_limit(engine: PostgresEngine):
    fill(engine, {0: 0})
    limited = connect(f"{postgres_server.shared().address}?index={engine._address.schema}&options=-c%20statement_timeout%3D50ms")
    with pytest.raises(EngineError, match="statement_timeout"), limited.snapshot() as snapshot:
        snapshot._ask("SELECT pg_sleep(5)")
    limited.close()


@pytest.mark.parametrize("committed", [False, True])
def test_a_commit_whose_answer_was_lost_is_looked_up(engine: PostgresEngine, committed: bool):
    fill(engine, {0: 0})
    opened = engine.draft()
    opened.prepare(DIMENSION)
    put(opened, {1: 0})
    connection = opened._connection
    execute = connection.execute

    def lose(statement, *arguments):
        if statement != "COMMIT":
            return execute(statement, *arguments)
        if committed:
            execute("COMMIT")
        connection.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    connection.execute = lose
    if committed:
        opened.commit({"generation": "2"})
    else:
        with pytest.raises(EngineError, match="run this again"):
            opened.commit({"generation": "2"})
    opened.close()
    with engine.snapshot() as snapshot:
        assert snapshot.meta["generation"] == ("2" if committed else META["generation"])
        assert len(snapshot.articles(0, 9, None)) == (2 if committed else 1)
    engine.draft().close()


def write_for_long(address: str, ready: Any) -> None:
    opened = connect(address).draft()
    opened.prepare(DIMENSION)
    put(opened, {1: 0, 2: 0})
    ready.set()
    threading.Event().wait(60)


def test_a_writer_that_is_killed_leaves_nothing_and_holds_up_nobody(engine: PostgresEngine):
    fill(engine, {0: 0})
    forking = multiprocessing.get_context("fork")
    ready = forking.Event()
    address = f"{postgres_server.shared().address}?index={engine._address.schema}"
    process = forking.Process(target=write_for_long, args=(address, ready))
    process.start()
    assert ready.wait(30)
    with pytest.raises(IndexLocked):
        engine.draft()
    process.kill()
    process.join()
    for _ in range(100):
        try:
            fill(engine, {3: 0}, {**META, "generation": "2"})
            break
        except IndexLocked:
            # The server takes a moment to see that nobody is there any more.
            threading.Event().wait(0.05)
    with engine.snapshot() as snapshot:
        assert snapshot.meta["generation"] == "2"
        assert {article.id for article in snapshot.articles(0, 9, None)} == {article_of(number)[0].id for number in (0, 3)}
        said_so = ["version0" in entry.terms.text for number in (0, 3) for entry in article_of(number)[1]]
        assert snapshot.frequencies("whole", ["version0"]) == [sum(said_so)]


def test_processes_that_were_forked_open_connections_of_their_own(engine: PostgresEngine):
    fill(engine, {0: 0})
    with engine.snapshot():
        pass
    forking = multiprocessing.get_context("fork")
    found = forking.SimpleQueue()

    def read() -> None:
        with engine.snapshot() as snapshot:
            found.put((snapshot.meta["generation"], snapshot._connection.info.backend_pid))

    process = forking.Process(target=read)
    process.start()
    generation, child = found.get()
    process.join(30)
    with engine.snapshot() as snapshot:
        assert (generation, process.exitcode) == (snapshot.meta["generation"], 0)
        assert child != snapshot._connection.info.backend_pid


def test_a_standby_takes_over_with_all_that_was_acknowledged():
    from postgres_failover import failover

    counts = failover(1)
    assert counts["acknowledged before the kill"] <= counts["there behind it"]
    assert counts["acknowledged in the end"] == counts["there in the end"] > counts["there behind it"]
