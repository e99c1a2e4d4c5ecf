"""Ranked rows against the written formulas over all rows of a collection."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import WORDS, FakeEncoder
from helpers import Everything, build, records
from hypothesis import given, settings
from hypothesis import strategies as st

import semsearch
from semsearch import ranking, signs
from semsearch.index import words_for
from semsearch.protocols import Queries
from semsearch.ranking import Question, Ranking, rank, wanted

TEXTS = st.lists(st.sampled_from([*WORDS, "town", "river", "seven", "news"]), min_size=1, max_size=8).map(" ".join)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[semsearch.Index]:
    """300 passages, of which an arm's candidates are only a part."""
    draw = np.random.default_rng(5)
    others = [f"word{number}" for number in range(30)]
    texts = [" ".join(draw.choice([*WORDS, *others], draw.integers(3, 25))) + f" number{number}" for number in range(300)]
    folder = tmp_path_factory.mktemp("large")
    build(records(folder, texts), folder / "index")
    with semsearch.open(folder / "index", encoder=FakeEncoder()) as opened:
        yield opened


def ranked(index: semsearch.Index, query: str, k: int, mode: str = "hybrid", allowed: np.ndarray | None = None) -> Ranking:
    vectors, lexical = index._reader.vectors(), words_for(index._reader, mode)
    if mode == "lexical":
        return rank(query, mode, k, vectors=vectors, lexical=lexical, near=None, allowed=allowed)
    encoded = FakeEncoder().encode_queries([query])
    (question,) = Question.all_of([query], encoded, lexical)
    (near,) = vectors.search(encoded.vectors, wanted(k), allowed=allowed)
    return rank(question, mode, k, vectors=vectors, lexical=lexical, near=near, allowed=allowed)


QUERIES = ["aid", "oil vaccine", "word3 word7", "sword number17", "number251", "election word1 council", "nothing of all that"]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("few", [False, True])
def test_every_row_has_both_arms_true_scores_whichever_found_it(large, query, few, monkeypatch):
    if few:
        # So that most rows are found by one arm only.
        monkeypatch.setattr(ranking, "CANDIDATES", 20)
    found, everything = ranked(large, query, 10), Everything(large, query)
    places = np.searchsorted(everything.rows, found.rows)
    assert np.array_equal(everything.rows[places], found.rows)
    assert len(set(found.rows.tolist())) == len(found.rows) <= ranking.COMPARED
    assert found.parts.cosine == pytest.approx(everything.cosine[places], abs=1e-5)
    assert found.parts.late == pytest.approx(everything.late[places], abs=1e-5)
    assert found.bm25 == pytest.approx(everything.bm25[places], abs=1e-4)
    assert found.parts.lexical == pytest.approx(everything.lexical[places], abs=1e-4)
    assert found.scores == pytest.approx(found.parts.hybrid(), abs=1e-6)
    assert np.all(np.diff(found.scores) <= 0)
    for place in (0, len(found.rows) - 1):
        (codes,) = large._reader.vectors().words(found.rows[[place]])
        assert found.similarities(place).shape == (len(FakeEncoder().encode_queries([query]).tokens[0]), len(codes))


@pytest.mark.parametrize("mode", ["hybrid", "dense"])
@pytest.mark.parametrize("query", QUERIES)
def test_the_candidates_are_the_best_of_all_rows(large, query, mode):
    """Of all rows, those first by what is cheap to know are compared; what is dear to know then ranks them."""
    found, everything = ranked(large, query, 10, mode), Everything(large, query)
    cheap = everything.cosine + (0.45 * everything.lexical if mode == "hybrid" else 0)
    least = np.sort(cheap)[-ranking.COMPARED]
    assert len(found.rows) == ranking.COMPARED
    assert cheap[np.searchsorted(everything.rows, found.rows)].min() >= least - 1e-5
    surely = everything.rows[cheap > least + 1e-5]
    assert set(surely.tolist()) <= set(found.rows.tolist())


@settings(derandomize=True, max_examples=25, deadline=None, database=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=25), query=TEXTS)
def test_a_small_collection_is_ranked_as_the_formula_says(tmp_path_factory, texts, query):
    folder = tmp_path_factory.mktemp("small")
    build(records(folder, texts), folder / "index")
    with semsearch.open(folder / "index", encoder=FakeEncoder()) as index:
        everything = Everything(index, query)
        for mode, scores in (("hybrid", everything.hybrid), ("dense", everything.dense)):
            found = ranked(index, query, 50, mode)
            assert sorted(found.rows.tolist()) == everything.rows.tolist()
            assert found.scores == pytest.approx(scores[np.searchsorted(everything.rows, found.rows)], abs=1e-5)
            assert np.all(np.diff(found.scores) <= 0)
        found = ranked(index, query, 50, "lexical")
        assert found.rows.tolist() == index._reader.lexical().search(query, 50).rows.tolist()
        bound = index._reader.lexical().bound(query)
        known = dict(zip(everything.rows.tolist(), everything.bm25.tolist(), strict=True))
        assert found.scores == pytest.approx([known[row] / bound for row in found.rows.tolist()], abs=1e-5)
        assert np.all((np.diff(found.scores) < 0) == (np.diff(found.bm25) < 0))
        assert (found.scores > 0).all()
        assert found.similarities is None


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
@pytest.mark.parametrize("query", QUERIES)
def test_the_first_are_the_same_however_many_are_asked_for(large, query, mode):
    lists = [ranked(large, query, k, mode) for k in (1, 5, 10, ranking.COMPARED)]
    for each in lists[1:]:
        assert each.rows.tolist() == lists[0].rows[: len(each.rows)].tolist()
        assert each.scores.tolist() == lists[0].scores[: len(each.scores)].tolist()


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_only_what_is_allowed_comes_and_all_of_it(large, mode):
    everything = Everything(large, "aid word3")
    order = np.argsort(everything.cosine)
    # The furthest of all, which no candidate list would reach.
    allowed = np.sort(everything.rows[order[:15]])
    found = ranked(large, "aid word3", 50, mode, allowed)
    expected = allowed[everything.bm25[np.searchsorted(everything.rows, allowed)] > 0] if mode == "lexical" else allowed
    assert sorted(found.rows.tolist()) == expected.tolist()
    assert len(ranked(large, "aid", 10, mode, np.empty(0, np.int64)).rows) == 0


@pytest.mark.parametrize("query", ["contact", '"contact"', '"oil contact"', "contact oil gas", 'oil "contact" ' * 40])
def test_scores_by_words_are_in_the_order_of_bm25_and_below_1(tmp_path, query):
    draw = np.random.default_rng(3)
    articles = [
        {"title": " ".join(["contact"] * (number % 4)), "text": " ".join(draw.choice(["contact", "oil", "gas"], 5 + number))}
        for number in range(40)
    ]
    build(records(tmp_path, articles), tmp_path / "index")
    with semsearch.open(tmp_path / "index", encoder=FakeEncoder()) as index:
        found = ranked(index, query, 40, "lexical")
        assert len(set(found.bm25.tolist())) > 10
        assert np.all((np.diff(found.scores) < 0) == (np.diff(found.bm25) < 0))
        assert found.scores.max() < 1
        hits = index.search(query, 40, mode="lexical", fold=False)
        bm25 = [hit.scores["lexical"] for hit in hits]
        assert bm25 == sorted(bm25, reverse=True)


@pytest.mark.parametrize("mode", ["hybrid", "lexical"])
def test_a_phrase_of_what_a_filter_takes_away_does_not_empty_the_list(tmp_path, mode, monkeypatch):
    texts = ["the oil price fell"] * 2 + ["the price of oil", "gas and oil", "sword"]
    build(
        records(tmp_path, [{"text": f"{text} in {n} towns", "metadata": {"n": n}} for n, text in enumerate(texts)]),
        tmp_path / "index",
    )
    for candidates in (1, ranking.CANDIDATES):
        monkeypatch.setattr(ranking, "CANDIDATES", candidates)
        with semsearch.open(tmp_path / "index", encoder=FakeEncoder()) as index:
            assert len(index.search('"oil price"', 5, mode=mode, fold=False)) == 2
            hits = index.search('"oil price"', 5, mode=mode, fold=False, where={"metadata.n": {">=": 2}})
            plain = index.search("oil price", 5, mode=mode, fold=False, where={"metadata.n": {">=": 2}})
            assert [(hit.text, hit.score) for hit in hits] == [(hit.text, hit.score) for hit in plain]
            assert len(hits) == (3 if mode == "hybrid" else 2)


def test_tokens_weigh_as_their_words_are_rare(large):
    lexical = large._reader.lexical()
    query = "oil, number17 oil ..."
    (question,) = Question.all_of([query], FakeEncoder().encode_queries([query]), lexical)
    common, rare = lexical.rarity(["oil", "number17"])
    assert rare > 2 * common
    assert question.weights == pytest.approx(np.asarray([common, rare, common]) / (rare + 2 * common), abs=1e-6)
    assert question.weights.dtype == np.float32


def test_parts_of_words_weigh_as_their_word_and_what_is_none_is_not_compared(large):
    lexical = large._reader.lexical()
    query = "number17?!"
    spans = np.asarray([[0, 4], [4, 8], [8, 10]], np.int64)
    tokens = FakeEncoder.vectors(["a", "b", "c"])
    (question,) = Question.all_of([query], Queries(tokens[:1], [tokens], [spans], [1.0]), lexical)
    assert question.weights == pytest.approx([0.5, 0.5])
    assert np.array_equal(question.tokens, signs.turned(tokens[:2]))
    (question,) = Question.all_of(["?!?"], Queries(tokens[:1], [tokens], [np.asarray([[0, 1], [1, 2], [2, 3]])], [1.0]), lexical)
    assert question.weights == pytest.approx([1 / 3] * 3)


def test_words_that_nearly_every_passage_has_are_not_compared():
    query = "of oil and war"
    spans = np.asarray([[0, 2], [3, 6], [7, 10], [11, 14]], np.int64)
    tokens = FakeEncoder.vectors(["of", "oil", "and", "war"])
    lexical = SimpleNamespace(rarity=lambda words: [{"of": 0.01, "and": 0.6}.get(word, 4.0) for word in words])
    (question,) = Question.all_of([query], Queries(tokens[:1], [tokens], [spans], [1.0]), lexical)
    assert question.weights == pytest.approx(np.asarray([4, 0.6, 4]) / 8.6)
    assert np.array_equal(question.tokens, signs.turned(tokens[[1, 2, 3]]))
