"""Every engine does what the seam says: the same values as brute force over lists in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from engine_entries import DIMENSION, META, article_of, file_of
from engine_servers import ENGINES
from memory_engine import MemoryEngine

from semsearch.engines import numbers
from semsearch.engines.narrowing import among
from semsearch.engines.seam import Among, Asked, Draft, Engine, Every, Having, Numbered, Said, Snapshot, Some, Without
from semsearch.errors import IndexCorrupt, IndexLocked
from semsearch.filters import parse

N_FILES = 60
QUERIES = np.random.default_rng(1).standard_normal((5, DIMENSION)).astype(np.float32)
QUERIES /= np.linalg.norm(QUERIES, axis=1, keepdims=True)
WORDS = [Asked(1, ("harbour",)), Asked(2, ("oil", "bees")), Asked(1, ("nowhere",)), Asked(1, ("o'clock",)), Asked(1, ("größe",))]
NARROW: dict[str, Callable[[Snapshot], Among | None]] = {
    "all": lambda snapshot: None,
    "dates": lambda snapshot: among(parse(["date>=2014", "date<2020-06"]), snapshot.values),
    "tags": lambda snapshot: among(parse({"tags": ['quo"te', "per%cent"]}), snapshot.values),
    "not": lambda snapshot: among(parse(["tags!=back\\slash", "nested.deep!=2"]), snapshot.values),
    "flag": lambda snapshot: among(parse({"nested.flag": True, "nested": 1}), snapshot.values),
    "folder": lambda snapshot: among(parse("source=articles/part-1"), snapshot.values),
    "pattern": lambda snapshot: among(parse("title=*oil*"), snapshot.values),
    "one": lambda snapshot: among(parse("source=articles/part-2/file-005.md"), snapshot.values),
    "phrase": lambda snapshot: Said((("part", "one"), ("not", "there"))),
    "phrases": lambda snapshot: Some((Said((("oil", "gas"),)), Said((("gas", "aid"),)), Said((("o'clock", "oil"),)))),
    "rows": lambda snapshot: Every(
        (
            Numbered(tuple(article_of(9)[0].n_passages * [7]) + tuple(entry.row for entry in article_of(9)[1])),
            Said((("part", "one"),)),
        )
    ),
    "nobody": lambda snapshot: Having(()),
    "everybody": lambda snapshot: Without(Having((12345,))),
    "mixed": lambda snapshot: Every((Some((Having((numbers.value_id("metadata.nested.deep", 1),)), Said((("part", "one"),)))),)),
    "neither": lambda snapshot: Some(()),
}


def fill(engine: Engine, files: dict[int, int], meta: dict[str, str] = META, drop: tuple[int, ...] = ()) -> None:
    """Put files in these versions into an engine."""
    draft = engine.draft()
    try:
        draft.prepare(DIMENSION)
        put(draft, files)
        draft.drop(drop)
        draft.commit(meta)
    finally:
        draft.close()


def put(draft: Draft, files: dict[int, int]) -> None:
    made = [article_of(number, version) for number, version in files.items()]
    for first in range(0, len(made), 7):
        chosen = made[first : first + 7]
        draft.put(
            [article for article, _, _ in chosen],
            [entry for _, entries, _ in chosen for entry in entries],
            [value for _, _, values in chosen for value in values],
        )
    draft.put_files([file_of(number, version) for number, version in files.items()])


@pytest.fixture(scope="module", params=sorted(ENGINES))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty(kind: str) -> Iterator[Engine]:
    """An engine that holds nothing under this address."""
    with ENGINES[kind]() as engine:
        yield engine


@pytest.fixture(scope="module")
def pair(kind: str) -> Iterator[tuple[Engine, MemoryEngine]]:
    """An engine and the oracle, both filled: one file in a second version, two taken out."""
    oracle = MemoryEngine()
    with ENGINES[kind]() as engine:
        for each in (engine, oracle):
            fill(each, dict.fromkeys(range(N_FILES), 0))
            gone = tuple(article_of(number)[0].id for number in (3, 4, 5 + 1))
            fill(each, {6: 1}, {**META, "generation": "2"}, gone)
        yield engine, oracle


@pytest.fixture
def snapshots(pair: tuple[Engine, MemoryEngine]) -> Iterator[tuple[Snapshot, Snapshot]]:
    with pair[0].snapshot() as snapshot, pair[1].snapshot() as oracle:
        yield snapshot, oracle


def same(found, wanted, near: float) -> None:
    """Equal scores in order; rows may change places where scores are equal to the precision."""
    np.testing.assert_allclose(found.scores, wanted.scores, atol=near)
    assert (np.diff(found.scores) <= near).all()
    last = wanted.scores[-1] if len(wanted.scores) else 0
    clear = {row for row, score in zip(wanted.rows.tolist(), wanted.scores.tolist(), strict=True) if score > last + 2 * near}
    assert clear <= set(found.rows.tolist())
    assert len(set(found.rows.tolist())) == len(wanted.rows)


@pytest.mark.parametrize("name", NARROW)
def test_the_nearest_are_those_of_brute_force(snapshots, name: str):
    snapshot, oracle = snapshots
    for found, wanted in zip(
        snapshot.nearest(QUERIES, 10, NARROW[name](snapshot)), oracle.nearest(QUERIES, 10, NARROW[name](oracle)), strict=True
    ):
        same(found, wanted, 2e-3)


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("field", ["title", "heading", "whole"])
def test_bm25_is_that_of_the_formula(snapshots, name: str, field: str):
    snapshot, oracle = snapshots
    same(
        snapshot.matching(field, WORDS[:1], 10, NARROW[name](snapshot)),
        oracle.matching(field, WORDS[:1], 10, NARROW[name](oracle)),
        1e-3,
    )
    rows = np.asarray(oracle.sample(30), np.int64)
    for word in WORDS:
        if len(word.ways) == 1:
            np.testing.assert_allclose(snapshot.matched(field, [word], rows), oracle.matched(field, [word], rows), atol=1e-3)


def test_words_that_read_in_several_ways_count_about_as_one(snapshots):
    snapshot, oracle = snapshots
    found, wanted = snapshot.matching("whole", WORDS, 20, None), oracle.matching("whole", WORDS, 20, None)
    assert len(set(found.rows.tolist()) & set(wanted.rows.tolist())) >= 15


def test_frequencies_are_counted(snapshots):
    snapshot, oracle = snapshots
    terms = ["harbour", "oil", "nowhere", "o'clock", "größe", "version1", "one"]
    for field in ("title", "heading", "whole"):
        assert snapshot.frequencies(field, terms) == oracle.frequencies(field, terms)


@pytest.mark.parametrize("name", [name for name in NARROW if name != "all"])
def test_it_is_known_whether_there_are_any_and_how_many(snapshots, name: str):
    snapshot, oracle = snapshots
    assert snapshot.is_any(NARROW[name](snapshot)) == oracle.is_any(NARROW[name](oracle))
    assert snapshot.n_articles(NARROW[name](snapshot)) == oracle.n_articles(NARROW[name](oracle))
    assert snapshot.articles(1, 7, NARROW[name](snapshot)) == oracle.articles(1, 7, NARROW[name](oracle))
    found = {article.id for article in snapshot.every_article(NARROW[name](snapshot))}
    assert found == {article.id for article in oracle.articles(0, 1000, NARROW[name](oracle))}


def test_what_was_kept_comes_back(snapshots):
    snapshot, oracle = snapshots
    rows = np.asarray(oracle.sample(25)[::-1], np.int64)
    for found, wanted in zip(snapshot.kept(rows), oracle.kept(rows), strict=True):
        np.testing.assert_array_equal(found.vector, wanted.vector)
        np.testing.assert_array_equal(found.words, wanted.words)
        np.testing.assert_array_equal(found.spans, wanted.spans)
    with pytest.raises(IndexCorrupt):
        snapshot.kept(np.asarray([7], np.int64))
    hashes = [entry.embedding for entry in article_of(8)[1]]
    found = snapshot.known([*hashes, b"0" * 16])
    assert set(found) == set(hashes)
    np.testing.assert_array_equal(found[hashes[0]].vector, oracle.known(hashes)[hashes[0]].vector)


def test_passages_and_articles_come_back(snapshots):
    snapshot, oracle = snapshots
    rows = oracle.sample(40)
    key = lambda item: item.row  # noqa: E731
    assert sorted(snapshot.passages([*rows, 7]), key=key) == sorted(oracle.passages(rows), key=key)
    assert snapshot.place_of(rows[0]) == oracle.place_of(rows[0])
    assert snapshot.place_of(7) is None
    for article in oracle.articles(0, 200, None):
        assert snapshot.numbered([article.id, 7]) == [article]
        assert snapshot.passages_of(article.id, 1, 2) == oracle.passages_of(article.id, 1, 2)
    assert snapshot.numbered([7]) == []
    assert snapshot.articles(10, 5, None) == oracle.articles(10, 5, None)
    files = sorted(oracle.files())
    assert sorted(snapshot.files()) == files
    assert snapshot.file(files[3].id) == files[3]
    assert snapshot.file(7) is None
    chosen = [file.id for file in files[:9]]
    by_id = lambda item: item.id  # noqa: E731
    assert sorted(snapshot.articles_of(chosen), key=by_id) == sorted(oracle.articles_of(chosen), key=by_id)
    articles = [article.id for article in oracle.articles(0, 6, None)]
    for found, wanted in zip(snapshot.entries(articles), oracle.entries(articles), strict=True):
        assert found[:5] == wanted[:5]
        np.testing.assert_array_equal(found.kept.vector, wanted.kept.vector)
    assert snapshot.sample(12) == snapshot.sample(12)
    assert len(set(snapshot.sample(12))) == 12
    assert set(snapshot.sample(12)) <= set(oracle.sample(10_000))


def test_values_are_listed(snapshots):
    snapshot, oracle = snapshots
    for key in ("title", "source", "metadata.tags", "metadata.nested.deep", "metadata.nowhere"):
        assert set(oracle.values(key)) <= set(snapshot.values(key))
    assert snapshot.keys() == oracle.keys()


def test_nothing_shows_before_it_is_committed(empty: Engine):
    with empty.snapshot() as snapshot:
        assert dict(snapshot.meta) == {}
    fill(empty, {0: 0, 1: 0})
    before = article_of(1)[0]
    draft = empty.draft()
    try:
        draft.prepare(DIMENSION)
        put(draft, {1: 1, 2: 0})
        draft.drop([before.id])
        with empty.snapshot() as snapshot:
            assert snapshot.meta["generation"] == "1"
            assert {article.id for article in snapshot.articles(0, 10, None)} == {article_of(0)[0].id, before.id}
            assert {row.article for row in snapshot.passages(snapshot.sample(100))} == {article_of(0)[0].id, before.id}
            found = snapshot.nearest(QUERIES[:1], 100, None)[0]
            assert len(found.rows) == len(article_of(0)[1]) + len(article_of(1)[1])
            assert snapshot.frequencies("whole", ["version1"]) == [0]
    finally:
        draft.close()
    with empty.snapshot() as snapshot:
        assert {article.id for article in snapshot.articles(0, 10, None)} == {article_of(0)[0].id, before.id}
    # What was given up does not come back with the next one.
    fill(empty, {3: 0}, {**META, "generation": "2"})
    with empty.snapshot() as snapshot:
        assert {article.file for article in snapshot.articles(0, 10, None)} == {file_of(number).id for number in (0, 1, 3)}
        assert snapshot.frequencies("whole", ["version1"]) == [0]


def test_a_snapshot_stays_whole_while_another_generation_is_made(empty: Engine):
    fill(empty, {0: 0, 1: 0})
    with empty.snapshot() as snapshot:
        assert snapshot.meta["generation"] == "1"
        fill(empty, {1: 1, 2: 0}, {**META, "generation": "2"}, (article_of(1)[0].id,))
        assert snapshot.numbered([article_of(1)[0].id]) == [article_of(1)[0]]
        assert len(snapshot.nearest(QUERIES[:1], 100, None)[0].rows) == len(article_of(0)[1]) + len(article_of(1)[1])
    with empty.snapshot() as snapshot:
        assert snapshot.meta["generation"] == "2"
        assert {article.id for article in snapshot.articles(0, 10, None)} == {
            article_of(number, version)[0].id for number, version in ((0, 0), (1, 1), (2, 0))
        }


def test_writing_the_same_again_changes_nothing(empty: Engine):
    fill(empty, {0: 0, 1: 0})
    fill(empty, {0: 0, 1: 0}, {**META, "generation": "2"})
    with empty.snapshot() as snapshot:
        assert len(snapshot.articles(0, 10, None)) == 2
        count = len(article_of(0)[1]) + len(article_of(1)[1])
        assert len(snapshot.sample(100)) == count
        assert len(snapshot.nearest(QUERIES[:1], 100, None)[0].rows) == count


def test_all_is_forgotten_at_once(empty: Engine):
    fill(empty, {0: 0, 1: 0})
    draft = empty.draft()
    try:
        draft.forget()
        draft.prepare(DIMENSION)
        put(draft, {2: 0})
        with empty.snapshot() as snapshot:
            assert len(snapshot.articles(0, 10, None)) == 2
        draft.commit({**META, "generation": "2", "codes": "none"})
    finally:
        draft.close()
    with empty.snapshot() as snapshot:
        assert [article.file for article in snapshot.articles(0, 10, None)] == [file_of(2).id]
        assert dict(snapshot.meta) == {**META, "generation": "2", "codes": "none"}
        assert [file.id for file in snapshot.files()] == [file_of(2).id]


def test_one_writes_at_a_time(empty: Engine):
    draft = empty.draft()
    try:
        with pytest.raises(IndexLocked, match="try again"):
            empty.draft()
    finally:
        draft.close()
    empty.draft().close()


def test_threads_share_an_engine(empty: Engine):
    fill(empty, dict.fromkeys(range(10), 0))
    found: list[int] = []

    def read() -> None:
        for _ in range(5):
            with empty.snapshot() as snapshot:
                found.append(len(snapshot.nearest(QUERIES[:1], 5, None)[0].rows))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [5] * 20
