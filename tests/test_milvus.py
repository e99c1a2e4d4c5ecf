"""What is Milvus' alone: addresses, errors without secrets, an old server, long bodies, leases, what killed writers leave."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pytest
from engine_entries import DIMENSION, META, article_of, file_of
from milvus_server import address
from test_engine_seam import fill, put

from semsearch.engines import numbers
from semsearch.engines.milvus import connect, draft, entities, lease
from semsearch.engines.milvus import snapshot as snapshots
from semsearch.engines.milvus.address import TOKEN, parse
from semsearch.engines.milvus.client import Client
from semsearch.engines.milvus.conditions import condition_of, is_of_articles
from semsearch.engines.seam import Every, Having, Said, Some, Terms, Without
from semsearch.errors import EngineError, IndexLocked, InputError, MissingExtra


@pytest.fixture
def engine():
    made = connect(address())
    yield made
    made.close()


def entities_of(engine) -> dict[str, int]:
    """How many entities there are in each of an index's collections, whoever sees them."""
    client = engine._client
    name = engine._address.collection
    return {
        each.removeprefix(f"{name}_").split("_")[0]: client.count(each, "born >= 0", 0)
        for each in client.collections()
        if each.startswith(f"{name}_")
    }


def test_an_address_is_read_whole():
    found = parse(
        "milvus://root:s%40fe@db.example:443/articles?database=news&tls=true&ca_pem=/c.pem&server_name=db&timeout=2.5&ef=400"
    )
    assert found.shown == "milvus://db.example:443/articles?database=news"
    assert (found.uri, found.token, found.database, found.timeout) == ("https://db.example:443", "root:s@fe", "news", 2.5)
    assert found.tls == {"server_pem_path": "/c.pem", "server_name": "db", "secure": True}
    both = parse("milvus://host/a?ca_pem=/c.pem&client_pem=/m.pem&client_key=/m.key")
    assert both.tls == {"ca_pem_path": "/c.pem", "client_pem_path": "/m.pem", "client_key_path": "/m.key", "secure": True}
    assert (found.index, found.ef) == ("HNSW", 400)
    assert "s@fe" not in repr(found)
    plain = parse("milvus://[::1]/articles_2")
    assert (plain.shown, plain.uri, plain.tls, plain.token) == ("milvus://[::1]/articles_2", "http://[::1]:19530", {}, "")
    assert parse("milvus://t0ken@host/a").token == "t0ken"


def test_a_token_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv(TOKEN, "from-outside")
    assert parse("milvus://host/a").token == "from-outside"
    assert parse("milvus://mine@host/a").token == "mine"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("milvus://host", "host and collection"),
        ("milvus:///a", "host and collection"),
        ("http://host/a", "host and collection"),
        ("milvus://host:port/a", "no address"),
        ("milvus://host/a-b", "letters, digits and underscores"),
        ("milvus://host/1a", "letters, digits and underscores"),
        ("milvus://host/a?passwort=x", "ca_pem, client_key"),
        ("milvus://host/a?tls=maybe", "true or false"),
        ("milvus://host/a?tls=false&ca_pem=/c.pem", "leave out one"),
        ("milvus://host/a?client_pem=/m.pem", "belong together"),
        ("milvus://host/a?timeout=0", "above 0"),
        ("milvus://host/a?timeout=nan", "above 0"),
        ("milvus://host/a?index=IVF", "AUTOINDEX, FLAT"),
        ("milvus://host/a?ef", "no address"),
        ("milvus://s3cret/s3cret@host/a", "%2F"),
        ("milvus://s3cret?s3cret@host/a", "host and collection|no address"),
        ("milvus://host:s3cret/a", "no address"),
    ],
)
def test_a_wrong_address_is_refused(wrong: str, told: str):
    with pytest.raises(InputError, match=told) as caught:
        parse(wrong if "s3cret" in wrong else wrong.replace("://", "://user:s3cret@", 1))
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_server_that_does_not_answer_is_told_without_secrets():
    engine = connect("milvus://root:s3cret@127.0.0.1:9/articles?timeout=0.5")
    with pytest.raises(EngineError, match=r"milvus://127.0.0.1:9/articles does not answer") as caught, engine.snapshot():
        pass
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    engine.close()


def test_certificates_that_are_not_there_are_told():
    engine = connect("milvus://127.0.0.1:9/articles?timeout=0.5&server_pem=/no/such.pem")
    with pytest.raises(EngineError, match="check the files"), engine.snapshot():
        pass


def test_connections_are_not_shared_between_addresses():
    """pymilvus gives one to all who name the same host and token, whatever certificates they name."""
    where = address()
    engines = [connect(where), connect(f"{where}?timeout=9")]
    connections = [engine._client._connected()._get_connection() for engine in engines]
    assert connections[0] is not connections[1]
    engines[0].close()
    with engines[1].snapshot() as snapshot:
        assert dict(snapshot.meta) == {}
    engines[1].close()


def test_secrets_are_cut_out_of_what_a_server_says():
    pymilvus = pytest.importorskip("pymilvus")
    client = Client(parse("milvus://root:s3cret@host/a"))
    told = client._told(pymilvus.MilvusException(65535, "auth check failure: root:s3cret,\nor s3cret \x1b[31m"))
    assert str(told) == (
        "milvus://host/a lets nobody in like this (auth check failure: ..., or ... [31m): check user, password or token"
    )


def test_a_server_that_knows_no_bm25_is_refused(engine, monkeypatch):
    """Milvus 2.3 takes the schema and forgets the functions."""
    real = Client._call

    def old(self, method, *given, **options):
        told = real(self, method, *given, **options)
        return {**told, "functions": []} if method == "describe_collection" else told

    writing = engine.draft()
    try:
        monkeypatch.setattr(Client, "_call", old)
        with pytest.raises(EngineError, match=r"needs Milvus 2\.5 or later"):
            writing.prepare(DIMENSION)
    finally:
        writing.close()
    assert entities_of(engine) == {}


def test_terms_become_words_that_every_analyzer_leaves_whole():
    words = ["aid", "2014", "größe", "o'clock", "zebra", "per%cent", "a" * 50, "Ünï", "x_y", "\ud800"]
    tokens = [entities.token(word) for word in words]
    assert tokens[:2] == ["aid", "2014"]
    assert len(set(tokens)) == len(words)
    assert all((token.isascii() and token.isalnum() and token.islower()) or token.isdigit() for token in tokens)
    for terms in (Terms("aid oil", "", "gas"), Terms("", "", ""), Terms("", "a", ""), Terms("t", "", "x y"), Terms("", "", "x")):
        assert [" ".join(part) for part in entities.parts_of(entities.whole_of(terms))] == list(terms)


def test_conditions_are_numbers_and_words_only():
    said = Said((("a", 'x" or born >= 0 or "'), ()))
    everything = Every((Having((1, 2)), Without(Some((said, Having(()))))))
    word = entities.token('x" or born >= 0 or "')
    assert word.isalnum()
    assert condition_of(everything) == (
        f'(array_contains_any(having, [1, 2]) and not (((whole like "% a {word} %") or born < 0)))'
    )
    assert condition_of(None) == ""
    assert is_of_articles(Every((Having((1,)), Without(Having((2,))))))
    assert not is_of_articles(Without(Some((Having((1,)), said))))


@pytest.mark.parametrize(
    "term",
    [
        '"',
        "\\",
        '\\"',
        '%" or born >= 0 or whole like "%',
        "' or 1 == 1",
        "_%",
        "{x}",
        "$$",
        "\0",
        "\n",
        "\u2028",
        "\ud800",
        "a b",
        "＂",
        "İ",
        "١",
    ],
)
def test_a_hostile_term_is_a_word_in_an_expression(term: str):
    shown = condition_of(Some((Said(((term, "aid"),)), Having((-1, 2**62)))))
    pattern = r'\(\(whole like "% [a-z0-9]+ aid %"\) or array_contains_any\(having, \[-1, 4611686018427387904\]\)\)'
    assert re.fullmatch(pattern, shown, re.ASCII), shown


def test_long_bodies_are_cut_and_come_back(engine):
    """A body of more than one entity, characters of more than a byte, and what is no character at all."""
    article, passages, values = article_of(1)
    metadata = {"note": "größe€😀" * 30_000, "odd": "\ud800", "nul": "\0"}
    article = article._replace(metadata=metadata)
    words = np.random.default_rng(0).integers(0, 256, (9000, 16), np.uint8)
    passages = [entry._replace(kept=entry.kept._replace(words=words)) for entry in passages]
    writing = engine.draft()
    writing.prepare(DIMENSION)
    writing.put([article], passages, values)
    writing.commit(META)
    writing.close()
    with engine.snapshot() as snapshot:
        assert snapshot.numbered([article.id]) == [article]
        assert snapshot.articles_of([article.file]) == [article]
        kept = snapshot.kept(np.asarray([passages[0].row], np.int64))[0]
        np.testing.assert_array_equal(kept.words, words)
        assert snapshot.passages([passages[0].row])[0].metadata == metadata


def test_what_milvus_cannot_take_is_refused_before_anything_shows(engine):
    article, passages, values = article_of(1)
    long = passages[0]._replace(terms=Terms("", "", " ".join(["größe"] * 5000)))
    writing = engine.draft()
    try:
        writing.prepare(DIMENSION)
        with pytest.raises(InputError, match="--passage-tokens"):
            writing.put([article], [long], values)
    finally:
        writing.close()
    with engine.snapshot() as snapshot:
        assert dict(snapshot.meta) == {}


def test_facts_that_are_too_long_are_refused(engine):
    writing = engine.draft()
    try:
        writing.prepare(DIMENSION)
        with pytest.raises(InputError, match="facts"):
            writing.commit({**META, "long": "x" * 200_000})
    finally:
        writing.close()


def test_dropped_and_put_again_is_there_for_both_generations(engine):
    fill(engine, {0: 0, 1: 0})
    article, passages, values = article_of(1)
    rows = [entry.row for entry in passages]
    with engine.snapshot() as before:
        frequencies = before.frequencies("whole", ["version0"])
        writing = engine.draft()
        writing.prepare(DIMENSION)
        writing.drop([article.id])
        writing.put([article], passages, values)
        new = article_of(2)
        writing.put([new[0]], new[1], new[2])
        writing.drop([new[0].id])
        assert len(before.passages(rows)) == len(rows)
        writing.commit({**META, "generation": "2"})
        writing.close()
        with engine.snapshot() as after:
            for each in (before, after):
                assert len(each.passages(rows)) == len(rows)
                assert each.frequencies("whole", ["version0"]) == frequencies
                assert each.numbered([new[0].id]) == []


def test_what_is_gone_may_come_back_while_readers_are_still_at_it(engine):
    """A row that was taken out and is put again has a version of its own until the old one is deleted."""
    fill(engine, {0: 0, 1: 0})
    article, passages, _ = article_of(1)
    row = passages[0].row
    with engine.snapshot() as first:
        fill(engine, {}, {**META, "generation": "2"}, (article.id,))
        with engine.snapshot() as second:
            assert second.passages([row]) == []
            fill(engine, {1: 0}, {**META, "generation": "3"})
            with engine.snapshot() as third:
                assert [len(each.passages([row])) for each in (first, second, third)] == [1, 0, 1]
                assert [each.numbered([article.id]) == [] for each in (first, second, third)] == [False, True, False]
                assert [len(each.kept(np.asarray([row], np.int64))) for each in (first, third)] == [1, 1]
                assert [each.place_of(row) for each in (first, second, third)] == [(article.id, 0), None, (article.id, 0)]
                found = [
                    each.nearest(np.eye(1, DIMENSION, dtype=np.float32), 100, None)[0].rows.tolist() for each in (first, third)
                ]
                assert found[0] == found[1]


def test_what_nobody_can_see_is_deleted_after_a_while(engine, monkeypatch):
    fill(engine, {0: 0, 1: 0})
    one = entities_of(engine)
    gone = article_of(1)[0].id
    fill(engine, {}, {**META, "generation": "2"}, (gone,))
    fill(engine, {}, {**META, "generation": "3"})
    assert entities_of(engine)["passages"] == one["passages"]
    monkeypatch.setattr(draft, "GRACE", 0.0)
    fill(engine, {}, {**META, "generation": "4"})
    assert entities_of(engine)["passages"] == len(article_of(0)[1])
    writing = engine.draft()
    writing.forget()
    writing.prepare(DIMENSION)
    put(writing, {2: 0})
    writing.commit({**META, "generation": "5"})
    writing.close()
    engine.draft().close()
    assert entities_of(engine)["passages"] == len(article_of(2)[1])
    with engine.snapshot() as snapshot:
        assert [article.file for article in snapshot.articles(0, 10, None)] == [file_of(2).id]


def killed(engine):
    """A draft of a process that was killed: it wrote, marked what was there as gone, and let nobody know."""
    writing = engine.draft()
    writing.prepare(DIMENSION)
    put(writing, {1: 1, 2: 0})
    writing.drop([article_of(0)[0].id])
    writing._take_out()
    writing._put_counts()
    writing._lease._done.set()
    return writing


def test_the_next_writer_goes_on_where_one_was_killed(engine, monkeypatch):
    fill(engine, {0: 0, 1: 0})
    before = entities_of(engine)
    killed(engine)
    with pytest.raises(IndexLocked):
        engine.draft()
    later = time.time() + lease.LASTS + 1
    monkeypatch.setattr(lease.time, "time", lambda: later)
    fill(engine, {3: 0}, {**META, "generation": "2"})
    with engine.snapshot() as snapshot:
        assert {article.file for article in snapshot.articles(0, 9, None)} == {file_of(number).id for number in (0, 1, 3)}
        assert snapshot.frequencies("whole", ["version1"]) == [0]
        three = article_of(3)
        assert snapshot.frequencies("whole", ["version0"])[0] == sum(
            "version0" in entry.terms.text for number in (0, 1, 3) for entry in article_of(number)[1]
        )
        assert entities_of(engine)["passages"] == before["passages"] + len(three[1])


def test_a_writer_whose_right_has_lapsed_cannot_commit(engine, monkeypatch):
    fill(engine, {0: 0})
    slow = killed(engine)
    with monkeypatch.context() as patched:
        later = time.time() + lease.LASTS + 1
        patched.setattr(lease.time, "time", lambda: later)
        fill(engine, {3: 0}, {**META, "generation": "2"})
    # Its clock says that there is time left; the server says that its ticket has gone.
    with pytest.raises(EngineError, match="lapsed"):
        slow.commit({**META, "generation": "2b"})
    slow._lease._renewed -= lease.LASTS
    with pytest.raises(EngineError, match="lapsed"):
        slow.put([], [], [])
    with engine.snapshot() as snapshot:
        assert snapshot.meta["generation"] == "2"
        assert {article.file for article in snapshot.articles(0, 9, None)} == {file_of(number).id for number in (0, 3)}


def test_of_many_who_come_at_once_at_most_one_writes(engine):
    engine.draft().close()
    won, start = [], threading.Barrier(4)

    def come() -> None:
        start.wait()
        with suppress(IndexLocked):
            won.append(engine.draft())

    threads = [threading.Thread(target=come) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) <= 1
    for each in won:
        each.close()
    engine.draft().close()


def test_a_ticket_is_put_down_anew_while_its_writer_lives(engine, monkeypatch):
    class Waited:
        told = iter((False, True))

        def wait(self, seconds: float) -> bool:
            assert 0 < seconds < lease.LASTS / 2
            return next(self.told)

        def set(self) -> None:
            pass

    writing = engine.draft()
    try:
        right = writing._lease
        right._done.set()
        right._renewing.join()
        later = time.time() + lease.LASTS / 2
        monkeypatch.setattr(lease.time, "time", lambda: later)
        monkeypatch.setattr(right, "_done", Waited())
        right._renew()
        assert right._renewed_at == later
        # Nobody else gets in when the first ticket would have lapsed.
        monkeypatch.setattr(lease.time, "time", lambda: later + lease.LASTS * 0.8)
        with pytest.raises(IndexLocked):
            engine.draft()
        right.confirm()
    finally:
        writing.close()


def test_another_dimension_is_refused(engine):
    fill(engine, {0: 0})
    writing = engine.draft()
    try:
        with pytest.raises(EngineError, match="index again from the start"):
            writing.prepare(DIMENSION + 1)
    finally:
        writing.close()


def test_the_pip_line_is_told_where_pymilvus_is_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(MissingExtra, match=r"semsearch\[milvus\]"), connect("milvus://host/a").snapshot():
        pass


def test_pymilvus_comes_with_the_first_call_only():
    code = "import sys, semsearch.engines.milvus as m; m.connect('milvus://host/a').close(); print('pymilvus' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_what_is_whole_is_not_asked_whose_it_is(engine, monkeypatch):
    """Generations are told apart only where there is anything else than the newest one."""
    asked: list[str] = []
    search = Client.search

    def told(self, collection, field, queries, k, condition, fields, at, options):
        asked.append(condition)
        return search(self, collection, field, queries, k, condition, fields, at, options)

    def conditions() -> list[bool]:
        """Of the searches for the nearest: whether each asked for the generation; and all that is there was found."""
        asked.clear()
        with engine.snapshot() as snapshot:
            (found,) = snapshot.nearest(np.eye(1, DIMENSION, dtype=np.float32), 100, None)
            assert len(found.rows) == len(snapshot.sample(100))
        return ["born" in condition for condition in asked]

    monkeypatch.setattr(Client, "search", told)
    monkeypatch.setattr(draft, "GRACE", 0.0)
    fill(engine, {0: 0, 1: 0})
    assert conditions() == [False]
    writing = engine.draft()
    writing.prepare(DIMENSION)
    put(writing, {2: 0})
    # What the draft has written is found, and not taken.
    assert conditions() == [False, True]
    writing.close()
    assert conditions() == [False]
    fill(engine, {2: 0}, {**META, "generation": "2"}, (article_of(1)[0].id,))
    assert conditions() == [True]
    fill(engine, {3: 0}, {**META, "generation": "3"})
    assert conditions() == [False]


def test_what_few_may_come_back_is_compared_one_by_one(engine, monkeypatch):
    """A graph of many equal vectors may not lead to the others at all."""
    fill(engine, dict.fromkeys(range(6), 0))
    queries = np.random.default_rng(0).standard_normal((3, DIMENSION)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    few = Having((numbers.value_id("metadata.nested.flag", True),))
    with engine.snapshot() as snapshot:
        monkeypatch.setattr(snapshots, "_COMPARED", 0)
        searched = snapshot.nearest(queries, 4, few)
        monkeypatch.undo()
        monkeypatch.setattr(Client, "search", None)
        for found, wanted in zip(snapshot.nearest(queries, 4, few), searched, strict=True):
            assert found.rows.tolist() == wanted.rows.tolist()
            assert found.scores == pytest.approx(wanted.scores, abs=1e-5)
        assert [len(found.rows) for found in snapshot.nearest(queries, 4, Having((1,)))] == [0, 0, 0]
