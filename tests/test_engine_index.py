"""One contract for every place that an index can be in: a folder, and each engine, give the same values for the same articles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FakeEncoder
from engine_servers import ENGINES, Lasting
from helpers import build, run, write
from hypothesis import example, given, settings
from hypothesis import strategies as st
from memory_engine import MemoryEngine, State

import semsearch
from semsearch import engines, filters
from semsearch.encoder import cache_folder
from semsearch.engines import narrowing
from semsearch.engines.narrowing import values_of
from semsearch.engines.seam import Among, Every, Having, Some, Without
from semsearch.errors import IndexCorrupt, IndexLocked, IndexMissing, IndexTooNew, InputError, ModelMismatch
from semsearch.importer import import_passages
from semsearch.store import DATABASE

ADDRESS = "milvus://someone:secret@nowhere:1/articles?timeout=3"
SHOWN = ("end", "line", "paragraph", "page", "text", "title", "heading", "metadata", "path", "highlight", "duplicates")
QUESTIONS = ["aid", "vaccine oil", "the battle of the council", "gas sanction", "nobody in the whole town", "election"]


@pytest.fixture(params=["folder", *sorted(ENGINES)])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where an index is to be that is not there yet: a path or an address."""
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    if request.param == "folder":
        yield str(tmp_path / "there")
        return
    with ENGINES[request.param]() as engine:
        monkeypatch.setattr(engines, "connect", lambda address: Lasting(engine))
        yield ADDRESS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Articles that a test may change."""
    return written(tmp_path / "articles")


def written(folder: Path) -> Path:
    """Articles of all kinds: records, copies, metadata of several types, sentences, headings."""
    write(folder, "one.md", "aid, vaccine", "oil oil", title="First aid")
    write(folder, "two.md", "sword, battle, council", "gas", title="Second")
    write(folder, "deep/three.md", "charter, aid", "sanction", "gas, election", title="Third")
    (folder / "deep" / "headed.md").write_text(
        "---\ndate: 2019-09-27\ntags: [energy, peace]\nn: 3\n---\n# Headed\n\n## Oil\n\nThe gas was paid for.\n\n"
        "Nobody said a word.\n"
    )
    (folder / "deep" / "later.md").write_text(
        "---\ndate: 2021\ntags: energy\nn: '3.0'\ndraft: true\n---\n"
        '# Later\n\nThe council met about the gas in the "old town" hall.\n'
    )
    lines = [
        {"title": f"Record {n}", "text": f"Sanction {n} was about {word}.", "kind": word}
        for n, word in enumerate(["oil", "gas", "aid"])
    ]
    (folder / "records.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same articles for all tests that change none."""
    return written(tmp_path_factory.mktemp("unchanged") / "articles")


@pytest.fixture(scope="module")
def local(unchanged: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[semsearch.Index]:
    """Them in a folder's index, which is the measure."""
    home = tmp_path_factory.mktemp("local") / "index"
    build(unchanged, home)
    with semsearch.open(home, encoder=FakeEncoder()) as opened:
        yield opened


@pytest.fixture(scope="module", params=["folder", *sorted(ENGINES)])
def index(request: pytest.FixtureRequest, unchanged: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[semsearch.Index]:
    """Them in every place, for tests that only read."""
    folder = tmp_path_factory.mktemp("read")
    with ExitStack() as stack:
        place = str(folder / "there")
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("SEMSEARCH_CACHE", str(folder / "cache"))
        if request.param != "folder":
            engine = stack.enter_context(ENGINES[request.param]())
            patch.setattr(engines, "connect", lambda address: Lasting(engine))
            place = ADDRESS
        build(unchanged, place)
        opened = stack.enter_context(semsearch.open(place, encoder=FakeEncoder()))
        # What is open asks its own engine; tests that run in between have others.
        patch.undo()
        yield opened


def same(found: semsearch.Results, wanted: semsearch.Results) -> None:
    """The same hits with the same values, in the same order where scores differ."""
    assert found.answerable == wanted.answerable
    others = {(hit.source, hit.start): hit for hit in wanted}
    assert {(hit.source, hit.start) for hit in found} == set(others)
    assert len(found) == len(wanted)
    last = 1.0
    for hit in found:
        other = others[hit.source, hit.start]
        assert other.score <= last + 8e-3
        last = other.score
        assert hit.score == pytest.approx(other.score, abs=8e-3)
        for name in (
            "end",
            "line",
            "paragraph",
            "page",
            "text",
            "title",
            "heading",
            "metadata",
            "path",
            "highlight",
            "duplicates",
        ):
            assert getattr(hit, name) == getattr(other, name)
        assert hit.confidence == pytest.approx(other.confidence, abs=0.02)
        for arm, score in hit.scores.items():
            given = other.scores[arm]
            assert (score is None) == (given is None)
            # Tantivy keeps lengths above 40 words in steps.
            assert score is None or score == pytest.approx(given, rel=0.03, abs=3e-3)


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_hits_are_the_same(index, local, mode: str):
    for question in QUESTIONS:
        same(index.search(question, 50, mode=mode, fold=False), local.search(question, 50, mode=mode, fold=False))
        same(index.search(question, 3, mode=mode, per_article=1), local.search(question, 3, mode=mode, per_article=1))


@pytest.mark.parametrize(
    "where",
    [
        "date=2019", "date>=2020", "date<2020", "date!=2019-09", "tags=energy", "tags!=peace", "tags=*", "draft=true", "n=3",
        "n>=3", "source=articles/deep", "source=articles/records.jsonl", "source=articles/records.jsonl#2", "title=*d*",
        "title!=First aid", "kind=oil|gas", "metadata.kind=aid", "kind=o*", "nothing=here", "author!=*",
    ],
)  # fmt: skip
def test_filters_mean_the_same(index, local, where: str):
    where = where.replace("articles/", str(local.articles()[0].source.split("/deep")[0]) + "/")
    for mode in ("hybrid", "dense", "lexical"):
        same(
            index.search("gas oil", 50, mode=mode, where=where, fold=False),
            local.search("gas oil", 50, mode=mode, where=where, fold=False),
        )
    assert [article.source for article in index.articles(where=where)] == [
        article.source for article in local.articles(where=where)
    ]


_KEYS = st.sampled_from(["a", "b", "a.b", "metadata", "metadata.a", "metadata.metadata.a", "source", "title", "", ".", "a."])
_LEAVES = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(
    [1.5, float("nan"), float("inf"), 10**70, "", "true", "True", "1", "1.0", "2019", "2019-09-27", "oil", "a*", "nan", "x" * 70]
)  # fmt: skip
_METADATA = st.dictionaries(
    _KEYS,
    st.recursive(_LEAVES, lambda below: st.lists(below, max_size=3) | st.dictionaries(_KEYS, below, max_size=3), max_leaves=6),
    max_size=4,
)
_VALUES = st.booleans() | st.integers(-2, 2) | st.sampled_from(
    ["true", "TRUE", "1", "1.0", "2019", "2019-09", "oil", "o*", "*", "[a-z]*", "nan", "inf", str(10**70), "x" * 70, "a"]
)  # fmt: skip
_CONDITIONS = st.builds(
    lambda key, operator, values: filters.parse({key: {operator: values}}),
    st.sampled_from(["a", "b", "a.b", "a.a", "metadata.a", "metadata.metadata.a", "metadata.a.b", "source", "title", "."]),
    st.sampled_from(["=", "!="]),
    st.lists(_VALUES, min_size=1, max_size=3),
) | st.builds(
    lambda key, operator, value: filters.parse({key: {operator: value}}),
    st.sampled_from(["a", "b", "metadata.a"]), st.sampled_from([">", ">=", "<"]), st.sampled_from([0, 1, "2019", "2019-09"]),
)  # fmt: skip
_FILTERS = st.recursive(
    _CONDITIONS,
    lambda below: st.tuples(
        st.sampled_from([filters.all_of, filters.any_of, filters.none_of]), st.lists(below, max_size=3)
    ).map(lambda made: made[0](*made[1])),
    max_leaves=4,
)  # fmt: skip
_ARTICLES = st.tuples(st.sampled_from(["a/b.md", "a/c.jsonl#3", "/x"]), st.sampled_from(["", "oil", "2019"]), _METADATA)


def _meets(ids: set[int], among: Among) -> bool:
    if isinstance(among, Having):
        return not ids.isdisjoint(among.values)
    if isinstance(among, Without):
        return not _meets(ids, among.of)
    assert isinstance(among, Every | Some)
    return (all if isinstance(among, Every) else any)(_meets(ids, each) for each in among.of)


@settings(max_examples=100, deadline=None)
@given(st.lists(_ARTICLES, min_size=1, max_size=3), _FILTERS)
@example([("a", "", {"a": float("nan")})], filters.parse("a=nan"))
@example([("a", "", {"a": 10**70})], filters.parse(f"a={10**70}"))
def test_filters_leave_what_they_match(articles: list[tuple[str, str, dict[str, Any]]], wanted: filters.Filter):
    stored = [values_of(*article) for article in articles]
    values = {value.id: value for found, _ in stored for value in found}.values()
    left = narrowing.among(wanted, lambda key: [value for value in values if value.key == key])
    for article, (found, keys) in zip(articles, stored, strict=True):
        assert _meets({*keys, *(value.id for value in found)}, left) == wanted.matches(*article)


def test_filters_of_python_mean_the_same(index, local):
    from semsearch.filters import any_of, none_of, parse

    for where in ({"n": 3}, {"n": "3"}, any_of(parse("kind=oil"), parse("date>2020")), none_of(parse("tags=energy"))):
        same(index.search("gas", 50, where=where, fold=False), local.search("gas", 50, where=where, fold=False))


def test_quoted_phrases_must_be_there(index, local):
    for question in ('"paid for" gas', '"old town" "nobody said"', '"no such words" gas', '"whole town" aid'):
        for mode in ("hybrid", "lexical"):
            found = index.search(question, 50, mode=mode, fold=False)
            wanted = local.search(question, 50, mode=mode, fold=False)
            assert {(hit.source, hit.start) for hit in found} == {(hit.source, hit.start) for hit in wanted}
    found = index.search('"old town" gas', where="date=2019")
    assert [hit.source for hit in found] == [hit.source for hit in local.search('"old town" gas', where="date=2019")]


def test_scores_are_explained(index, local):
    (found,), (wanted,) = (each.search("gas council", 1, explain=True) for each in (index, local))
    assert dict(found.explanation.words) == pytest.approx(dict(wanted.explanation.words), abs=2e-3)
    for (name, value, weight), other in zip(found.explanation.parts, wanted.explanation.parts, strict=True):
        assert (name, weight) == (other[0], other[2])
        assert value == pytest.approx(other[1], abs=3e-3)


def test_many_are_asked_at_once(index, local):
    for found, wanted in zip(index.search_many(QUESTIONS, 5), local.search_many(QUESTIONS, 5), strict=True):
        same(found, wanted)


def test_neighbours_and_articles_are_read(index, local):
    hit = index.search("sanction", 20, fold=False)[0]
    mine = next(hit for hit in index.search("sanction", 20, fold=False) if hit.source.endswith("three.md"))
    theirs = next(hit for hit in local.search("sanction", 20, fold=False) if hit.source.endswith("three.md"))
    assert mine.context(1, 1) == theirs.context(1, 1)
    assert mine.verify() == "OK"
    around, other = index.around(mine.passage_id, 5, 1), local.around(theirs.passage_id, 5, 1)
    assert around.first == other.first
    assert [each.text for each in around.passages] == [each.text for each in other.passages]
    assert mine.passage_id in {each.passage_id for each in around.passages}
    article, other = index.article(mine.article_id, first=1, limit=1), local.article(theirs.article_id, first=1, limit=1)
    assert [each.text for each in article.passages] == [each.text for each in other.passages]
    assert (article.article.title, article.article.n_passages) == (other.article.title, other.article.n_passages)
    assert hit.passage_id.partition("-")[0].isdigit()
    with pytest.raises(InputError, match="search again"):
        index.article("12-0123456789")
    with pytest.raises(InputError, match="search again"):
        index.around("12-0123456789")
    listed = [(article.source, article.title, dict(article.metadata), article.n_passages) for article in index.articles()]
    assert listed == [(article.source, article.title, dict(article.metadata), article.n_passages) for article in local.articles()]
    assert index.facets() == local.facets()


def test_tables_are_the_same(index, local):
    pytest.importorskip("pandas")
    names = [name for name in local.to_dataframe().columns if not name.endswith("_id")]
    mine, theirs = index.to_dataframe(vectors=True), local.to_dataframe(vectors=True)
    order = ["source", "start"]
    mine, theirs = (table.sort_values(order).reset_index(drop=True) for table in (mine, theirs))
    assert mine[names].equals(theirs[names])
    np.testing.assert_allclose(np.stack(mine["vector"]), np.stack(theirs["vector"]), atol=1e-3)


def test_a_refresh_encodes_only_what_is_new(folder: Path, place: str):
    report, encoded = build(folder, place)
    assert len(encoded) == report.passages - 0
    report, encoded = build(folder, place)
    assert (report.unchanged, encoded) == (6, [])
    with semsearch.open(place, encoder=FakeEncoder()) as opened:
        generation = opened.generation
    write(folder, "two.md", "sword, battle, council", "gas, gas", title="Second")
    write(folder, "four.md", "aid, vaccine", title="First aid")
    (folder / "one.md").unlink()
    (folder / "deep" / "three.md").rename(folder / "moved.md")
    report, encoded = build(folder, place)
    assert (report.added, report.changed, report.removed, report.unchanged) == (2, 1, 2, 3)
    # A passage that moved, and one of another file, are known; what changed is not.
    assert len(encoded) == 1
    assert encoded[0].count("gas") == 2
    with semsearch.open(place, encoder=FakeEncoder()) as opened:
        assert opened.generation == generation + 1
        sources = {Path(article.source).name for article in opened.articles()}
        assert sources == {
            "two.md",
            "four.md",
            "moved.md",
            "headed.md",
            "later.md",
            "records.jsonl#1",
            "records.jsonl#2",
            "records.jsonl#3",
        }
        assert not [hit for hit in opened.search("aid oil", 100, fold=False) if Path(hit.source).name == "one.md"]
        counts = opened.status()
        assert counts["articles"] == 8
        assert counts["files"] == 6
        assert counts["passages"] == len(opened.search("the", 100, mode="dense", fold=False))


def test_articles_are_removed(folder: Path, place: str):
    build(folder, place)
    assert semsearch.remove([folder / "deep", f"{folder}/records.jsonl#2"], place) == 4
    with semsearch.open(place, encoder=FakeEncoder()) as opened:
        assert {Path(article.source).name for article in opened.articles()} == {
            "one.md",
            "two.md",
            "records.jsonl#1",
            "records.jsonl#3",
        }
        assert {Path(hit.source).name for hit in opened.search("gas oil sanction aid", 100, fold=False)} <= {
            "one.md", "two.md", "records.jsonl#1", "records.jsonl#3",
        }  # fmt: skip
        assert opened.status()["passages"] == 6
    with pytest.raises(InputError, match="not in the index"):
        semsearch.remove(["nowhere.md"], place)


def test_an_open_index_goes_on(folder: Path, place: str):
    build(folder, place)
    with semsearch.open(place, encoder=FakeEncoder()) as opened:
        assert opened.refresh() is False
        write(folder, "five.md", "election election", title="Fifth")
        build(folder, place)
        assert opened.refresh() is True
        assert opened.refresh() is False
        assert Path(opened.search("election election", fold=False)[0].source).name == "five.md"


def test_there_is_none_yet(place: str):
    with pytest.raises(IndexMissing):
        semsearch.open(place)
    with pytest.raises(IndexMissing):
        semsearch.remove(["a.md"], place)


def test_another_model_is_refused(folder: Path, place: str):
    build(folder, place)
    other = FakeEncoder("other")
    with pytest.raises(ModelMismatch):
        build(folder, place, other)
    with pytest.raises(ModelMismatch):
        semsearch.open(place, encoder=other)
    report, encoded = build(folder, place, other, fresh=True)
    assert len(encoded) == report.passages
    with semsearch.open(place, encoder=other) as opened:
        assert opened.search("aid")


def test_an_index_without_codes_stays_so(folder: Path, place: str, tmp_path: Path):
    build(folder, place, compact=True)
    build(folder, tmp_path / "compact", compact=True)
    with (
        semsearch.open(place, encoder=FakeEncoder()) as opened,
        semsearch.open(tmp_path / "compact", encoder=FakeEncoder()) as other,
    ):
        assert opened.status()["compact"] is True
        for question in QUESTIONS:
            same(opened.search(question, 50, fold=False), other.search(question, 50, fold=False))


def test_a_file_that_is_named_otherwise_is_found_under_its_new_name(folder: Path, place: str, monkeypatch: pytest.MonkeyPatch):
    build(folder, place)
    monkeypatch.chdir(folder)
    _, encoded = build(["one.md", "deep"], place)
    assert encoded == []
    with semsearch.open(place, encoder=FakeEncoder()) as opened:
        found = {article.source for article in opened.articles()}
        assert {"one.md", "deep/three.md", "deep/headed.md"} <= found
        assert len(found) == 8
        assert [hit.source for hit in opened.search("vaccine", 1)] == ["one.md"]
        assert [hit.source for hit in opened.search("charter", 1, where="source=deep")] == ["deep/three.md"]


def test_passages_move_from_place_to_place(unchanged: Path, place: str, tmp_path: Path, local, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    encoder = FakeEncoder()
    file = tmp_path / "passages.parquet"
    assert local.export(file, vectors=True) == local.status()["passages"]
    report = semsearch.import_passages(file, place, encoder=encoder)
    assert report.passages == local.status()["passages"]
    assert report.encoded == 0
    with semsearch.open(place, encoder=FakeEncoder()) as opened:
        for question in QUESTIONS:
            same(opened.search(question, 50, fold=False), local.search(question, 50, fold=False))
        back = tmp_path / "back.jsonl"
        assert opened.export(back, vectors=True) == report.passages
    # The articles lie as they did: all is known.
    report, encoded = build(unchanged, place)
    assert (encoded, report.added, report.removed) == ([], 0, 0)
    report = semsearch.import_passages(back, tmp_path / "again", encoder=encoder)
    assert report.encoded == 0
    with semsearch.open(tmp_path / "again", encoder=FakeEncoder()) as opened:
        for question in QUESTIONS:
            same(opened.search(question, 50, fold=False), local.search(question, 50, fold=False))


def test_commands_take_an_address(folder: Path, place: str, no_model, tmp_path: Path):
    assert run("index", str(folder), "--index", place).exit_code == 0
    answered = run("ask", "vaccine", "--index", place, "--json")
    assert json.loads(answered.stdout)["hits"][0]["source"].endswith("one.md")
    told = json.loads(run("status", "--index", place, "--json").stdout)
    assert (told["articles"], told["files"]) == (8, 6)
    assert run("check", "--index", place).exit_code == 0
    assert json.loads(run("remove", str(folder / "two.md"), "--index", place, "--json").stdout) == {"removed": 1}
    told = json.loads(run("status", "--index", place, "--json").stdout)
    assert told["articles"] == 7
    assert run("export", str(tmp_path / "out.jsonl"), "--index", place).exit_code == 0
    assert "secret" not in json.dumps(told)
    for command in (("status",), ("check",), ("ask", "aid"), ("remove", "nothing")):
        result = run(*command, "--index", place)
        assert "secret" not in result.stdout + result.stderr


@pytest.fixture
def remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_model) -> str:
    """The address of an index that is kept in memory: for what only asks what the contract above is about."""
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    engine = MemoryEngine()
    monkeypatch.setattr(engines, "connect", lambda address: Lasting(engine))
    return ADDRESS


def test_indexes_in_different_places_are_compared(folder: Path, tmp_path: Path, remembered: str):
    build(folder, remembered)
    build(folder, tmp_path / "local")
    found = semsearch.diff(tmp_path / "local", remembered, QUESTIONS)
    assert (found.summary["lost"], found.summary["gained"]) == (0, 0)
    assert found.content == (0, 0, 12)
    assert "secret" not in repr(found)


def test_an_index_in_an_engine_is_benched_and_evaluated(folder: Path, tmp_path: Path, remembered: str):
    build(folder, remembered)
    build(folder, tmp_path / "local")
    one, other = (semsearch.bench(place, kinds=["title"], encoder=FakeEncoder()) for place in (tmp_path / "local", remembered))
    assert [(row.way, row.figures) for row in one.rows] == [(row.way, row.figures) for row in other.rows]
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("vaccine\tone.md\nelection\tthree.md\n")
    mine, theirs = (semsearch.evaluate(pairs, index=place) for place in (remembered, tmp_path / "local"))
    assert mine.measurements[0].metrics == theirs.measurements[0].metrics
    assert mine.measurements[0].metrics["RR@10"] == 1


def test_an_index_in_an_engine_is_checked(folder: Path, remembered: str):
    build(folder, remembered)
    report = semsearch.check(remembered, sources=True, encoder=FakeEncoder())
    assert report.ok
    assert report.counts["passages"] == 12
    assert report.citations == {"OK": 12, "MOVED": 0, "STALE": 0}
    with pytest.raises(InputError, match="leave --repair out"):
        semsearch.check(remembered, repair=True)
    state = engines.connect(remembered).state
    state.meta["n_passages"] = "13"
    row, entry = next(iter(state.passages.items()))
    state.passages[row] = entry._replace(kept=entry.kept._replace(vector=-entry.kept.vector))
    damages = {damage.kind for damage in semsearch.check(remembered, encoder=FakeEncoder()).problems}
    assert damages == {"database", "vectors"}
    del state.passages[row]
    assert "passages" in {damage.kind for damage in semsearch.check(remembered, encoder=FakeEncoder()).problems}


def test_what_an_interrupted_build_encoded_is_kept(folder: Path, remembered: str):
    class Interrupted(FakeEncoder):
        def encode_passages(self, passages):
            for number, batch in enumerate(super().encode_passages(passages)):
                if number == 3:
                    raise KeyboardInterrupt
                yield batch

    with pytest.raises(KeyboardInterrupt):
        build(folder, remembered, Interrupted())
    with pytest.raises(IndexMissing):
        semsearch.open(remembered)
    report, encoded = build(folder, remembered)
    assert report.passages == 12
    assert len(encoded) == 12 - 2 * 3


def test_two_do_not_write_at_once(folder: Path, remembered: str):
    build(folder, remembered)
    draft = engines.connect(remembered).draft()
    with pytest.raises(IndexLocked):
        build(folder, remembered)
    draft.close()
    build(folder, remembered)


def test_hits_outlive_their_generation_and_say_when_they_are_gone(folder: Path, remembered: str):
    build(folder, remembered)
    with semsearch.open(remembered, encoder=FakeEncoder()) as opened:
        hit = next(hit for hit in opened.search("vaccine", fold=False) if hit.source.endswith("one.md"))
        write(folder, "five.md", "election", title="Fifth")
        build(folder, remembered)
        assert hit.verify() == "OK"
        assert hit.context().passage.text == hit.text
        semsearch.remove([folder / "one.md"], remembered)
        for ask in (hit.verify, hit.context):
            with pytest.raises(InputError, match="does not have this passage any more"):
                ask()
    with pytest.raises(InputError, match="closed"):
        hit.context()


def test_of_two_folders_that_are_called_alike_one_is_named_by_its_path(
    tmp_path: Path, remembered: str, monkeypatch: pytest.MonkeyPatch
):
    for who in ("mine", "yours"):
        write(tmp_path / who / "notes", "a.md", "aid", title=who)
        write(tmp_path / who / "notes", "deep/b.md", "oil", title=who)
        monkeypatch.chdir(tmp_path / who)
        build("notes", remembered)
    monkeypatch.chdir(tmp_path)
    for named in ("notes", "notes/a.md", "notes/deep"):
        with pytest.raises(InputError, match=f"mine/{named}, .*yours/{named}"):
            semsearch.remove([named], remembered)
    monkeypatch.chdir(tmp_path / "mine")
    assert semsearch.remove(["notes/a.md"], remembered) == 1
    monkeypatch.chdir(tmp_path)
    assert semsearch.remove(["yours/notes"], remembered) == 2
    # What nobody else is called is known by its name wherever one is.
    assert semsearch.remove(["notes/deep/b.md"], remembered) == 1


@pytest.mark.parametrize("address", ["postgressql://u:secret@host/notes", "mysql://host/x", "milvus:/host/x"])
def test_an_engine_that_there_is_not_is_no_folder(address: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for command in (("index", str(folder)), ("ask", "aid"), ("status",)):
        result = run(*command, "--index", address)
        assert result.exit_code == 2
        assert "write milvus://HOST:PORT/COLLECTION" in result.stderr
        assert "secret" not in result.stderr
    assert not list(tmp_path.glob("*:*"))


def test_eight_bits_are_refused(folder: Path, remembered: str):
    with pytest.raises(InputError, match="leave the precision out"):
        build(folder, remembered, precision="int8")


def test_later_versions_are_refused_and_earlier_words_made_anew(folder: Path, remembered: str):
    build(folder, remembered)
    meta = engines.connect(remembered).state.meta
    meta["format"] = "999"
    with pytest.raises(IndexTooNew, match="upgrade semsearch"):
        semsearch.open(remembered)
    with pytest.raises(IndexTooNew):
        build(folder, remembered)
    meta.update(format="1", words="0")
    with pytest.raises(IndexCorrupt, match="--fresh"):
        semsearch.open(remembered)
    report, encoded = build(folder, remembered, fresh=True)
    assert len(encoded) == report.passages == 12
    del engines.connect(remembered).state.meta["n_files"]
    with pytest.raises(IndexCorrupt, match="does not say what it is"):
        semsearch.open(remembered)


def test_an_index_that_was_dropped_and_made_anew_is_another(folder: Path, tmp_path: Path, remembered: str):
    """Its generations count from 1 again, and nothing that was remembered of the old ones is taken for theirs."""
    engine = engines.connect(remembered)
    build(folder, remembered)
    with semsearch.open(remembered, encoder=FakeEncoder()) as opened:
        opened.search("gas", mode="lexical", where="n>=3")
        vars(engine.state).update(vars(State()))
        write(tmp_path / "others", "four.md", "gas, oil", "aid", title="Fourth")
        build(tmp_path / "others", remembered)
        with semsearch.open(remembered, encoder=FakeEncoder()) as wanted:
            assert wanted.generation == opened.generation == 1
            for mode in ("hybrid", "dense", "lexical"):
                found = opened.search("gas aid", mode=mode)
                assert [hit.to_dict() for hit in found] == [hit.to_dict() for hit in wanted.search("gas aid", mode=mode)]
        assert opened.refresh()


def test_a_damaged_folder_of_what_is_not_committed_is_made_anew(folder: Path, remembered: str, caplog):
    class Failing(FakeEncoder):
        def encode_passages(self, passages):
            yield next(iter(super().encode_passages(passages)))
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        build(folder, remembered, Failing())
    (staged,) = (cache_folder() / "engines").iterdir()
    (staged / DATABASE).write_bytes(b"no database at all" * 1000)
    report, encoded = build(folder, remembered)
    assert len(encoded) == report.passages == 12
    assert "is not used" in caplog.text
    assert not staged.exists()


def test_an_article_of_more_values_than_filters_look_at_is_told(tmp_path: Path, remembered: str, caplog):
    (tmp_path / "many.jsonl").write_text(json.dumps({"title": "Many", "text": "The gas was sold.", "tags": [*range(5000)]}))
    build(tmp_path / "many.jsonl", remembered)
    assert "many.jsonl#1: filters look at 4,000 of the 5,0" in caplog.text
    with semsearch.open(remembered, encoder=FakeEncoder()) as opened:
        assert len(opened.search("gas", where=["title=Many", "tags=7"])) == 1


def test_what_an_interrupted_run_has_encoded_outlasts_a_removal(folder: Path, remembered: str):
    class Failing(FakeEncoder):
        def encode_passages(self, passages):
            for n, encoded in enumerate(super().encode_passages(passages)):
                if n == 3:
                    raise RuntimeError("stopped")
                yield encoded

    build(folder / "two.md", remembered)
    with pytest.raises(RuntimeError, match="stopped"):
        build(folder, remembered, Failing())
    semsearch.remove(str(folder / "two.md"), remembered)
    _, encoded = build([str(path) for path in folder.rglob("*.*") if path.name != "two.md"], remembered)
    assert len(encoded) < 10
    left = cache_folder() / "engines"
    assert not list(left.iterdir())


def test_two_names_of_a_file_are_one_in_an_import(folder: Path, tmp_path: Path, remembered: str, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with semsearch.build([str(folder)], tmp_path / "local", encoder=FakeEncoder()) as local:
        local.export(tmp_path / "all.jsonl")
    header, *lines = (tmp_path / "all.jsonl").read_text().splitlines()
    rows = [{**json.loads(line), "path": path} for line, path in zip(lines, ("a.md", "./a.md"), strict=False)]
    (tmp_path / "two.jsonl").write_text("\n".join([header, *map(json.dumps, rows)]))
    with pytest.raises(InputError, match=r"two\.jsonl"):
        import_passages(tmp_path / "two.jsonl", remembered, encoder=FakeEncoder())


def test_an_article_has_a_number_of_its_own_whatever_its_metadata_say(folder: Path, remembered: str, monkeypatch):
    """Under the same number engines may have what is gone, and keep it: so a number stands for all that is kept."""
    engine = engines.connect(remembered)
    known: dict[int, object] = {}

    def see() -> None:
        for number, article in engine.state.articles.items():
            assert known.setdefault(number, article) == article

    def named(name: str) -> None:
        monkeypatch.chdir(folder.parent)
        build(name, remembered)
        see()

    path = folder / "deep" / "later.md"
    named(str(folder))
    for n in (3, 4):
        path.write_text(path.read_text().replace("draft: true", f"draft: {n}").replace("draft: 3", f"draft: {n}"))
        named(str(folder))
        named("articles")


def test_only_records_that_changed_are_written_again(folder: Path, remembered: str):
    build(folder, remembered)
    before = dict(engines.connect(remembered).state.passages)
    lines = (folder / "records.jsonl").read_text().splitlines()
    (folder / "records.jsonl").write_text("\n".join([*lines, json.dumps({"title": "Record 3", "text": "The gas was new."})]))
    report, encoded = build(folder, remembered)
    assert (report.changed, len(encoded)) == (1, 1)
    after = engines.connect(remembered).state.passages
    assert len(after) == 13
    assert all(after[number] is entry for number, entry in before.items())


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (ADDRESS, "milvus://nowhere:1/articles"),
        ("postgresql://u:p@one:1,two:2/db?index=a&password=x", "postgresql://one:1,two:2/db?index=a"),
        ("postgresql://u:pass/word@host/db", "postgresql://host/db"),
        ("postgresql://u:pass?word@host/db", "postgresql://..."),
        ("postgresql://u:pass#word@host/db", "postgresql://host/db"),
        ("postgresql:///db?user=a@b&password=x", "postgresql:///db"),
        ("postgresql://u@[::1]:5432/db", "postgresql://[::1]:5432/db"),
        ("milvus://token?word@host/articles", "milvus://..."),
        ("milvus://token@host/articles?index=FLAT&database=news", "milvus://host/articles?database=news"),
        ("index", "index"),
    ],
)
def test_addresses_are_shown_without_secrets(address: str, shown: str):
    assert engines.shown(address) == shown


def test_an_address_in_a_file_that_was_only_found_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "semsearch.toml").write_text(f'index = "{ADDRESS}"\n')
    result = run("status")
    assert result.exit_code == 2
    assert "--config" in result.stderr
    assert "secret" not in result.stderr
