"""What a search gives: the scores of the formula, whatever is asked for; quotes; filters; each mode alone."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WORDS, FakeEncoder
from helpers import Everything, build, cosine, found, records, sentence, write
from hypothesis import given, settings
from hypothesis import strategies as st

import semsearch
from semsearch import filters, limits
from semsearch.errors import InputError
from semsearch.protocols import Queries

MODES = ("hybrid", "dense", "lexical")


def test_scores_are_those_of_the_formula_by_hand(notes, home):
    build(notes, home)
    results = found(home, "aid", mode="dense")
    passage = f"First. {sentence('aid')} {sentence('vaccine')}"
    assert cosine("aid", passage) == pytest.approx((1 + 0.01) / (math.hypot(1, 0.1) * math.hypot(1, 1, 0.1)), abs=5e-4)
    # The question's one token is one of the passage's: a similarity of 1, as far as codes tell.
    assert results[0].score == pytest.approx((cosine("aid", passage) + 1.2) / 2.2, abs=0.02)
    # In the others the nearest is a word that is none of ours.
    lowest = min(
        cosine("aid", f"Second. {' '.join(map(sentence, words))}") for words in (["gas"], ["sword", "battle", "council"])
    )
    assert results[-1].score == pytest.approx((lowest + 1.2 * cosine("aid", "town")) / 2.2, abs=0.05)
    assert [hit.rank for hit in results] == [1, 2, 3, 4]
    assert [hit.scores["lexical"] for hit in results] == [None] * 4
    assert (results.answerable, results.mode, results.query) == (True, "dense", "aid")
    assert results.took_ms > 0


def test_hybrid_is_the_default_and_has_both_arms_scores(notes, home):
    build(notes, home)
    results = found(home, "aid")
    assert results.mode == "hybrid"
    dense, lexical = found(home, "aid", mode="dense"), found(home, "aid", mode="lexical")
    assert {hit.text: hit.scores["dense"] for hit in results} == pytest.approx({hit.text: hit.score for hit in dense}, abs=1e-6)
    assert {hit.text: hit.scores["lexical"] for hit in results if hit.scores["lexical"]} == {
        hit.text: hit.scores["lexical"] for hit in lexical
    }
    assert [hit.scores["dense"] for hit in lexical] == [None]
    with semsearch.open(home, encoder=FakeEncoder()) as opened:
        everything = Everything(opened, "aid")
    assert [hit.score for hit in results] == pytest.approx(sorted(everything.hybrid, reverse=True), abs=1e-5)


def test_scores_are_clipped(notes, home):
    build(notes, home)

    class Opposite(FakeEncoder):
        def encode_queries(self, texts):
            return Queries(
                -self.vectors(texts),
                [-self.vectors([text]) for text in texts],
                [np.asarray([[0, 1]])] * len(texts),
                [1.0] * len(texts),
            )

    with semsearch.open(home, encoder=Opposite()) as opened:
        # The opposite of a word that is none of ours: all there is points the other way.
        results = opened.search("town", mode="dense", fold=False)
        assert {hit.score for hit in results} == {0.0}
        # Equals come in the order of their places.
        assert [(Path(hit.source).name, hit.paragraph) for hit in results] == [
            ("one.md", 1), ("one.md", 2), ("two.md", 1), ("two.md", 2)
        ]  # fmt: skip
    assert not results.answerable


def test_a_hit_says_where_it_stands(notes, home):
    build(notes, home)
    source = (notes / "two.md").read_text()
    for mode in MODES:
        (hit,) = found(home, "council", 1, mode=mode)
        assert source[hit.start : hit.end] == hit.text == " ".join(map(sentence, ("sword", "battle", "council")))
        assert source[hit.highlight.start : hit.highlight.end] == hit.highlight.text == sentence("council")
        assert (hit.title, hit.source, hit.path) == ("Second", str(notes / "two.md"), str(notes / "two.md"))
        assert (hit.line, hit.paragraph, hit.heading) == (3, 1, "")


@pytest.mark.parametrize("options", [{}, {"fold": False, "per_article": 1}, {"explain": True}, {"where": "title=First"}])
@pytest.mark.parametrize("mode", MODES)
def test_search_many_equals_search(notes, home, mode, options):
    build(notes, home)
    queries = ["aid", "oil vaccine", '"sword" was', "nothing of all that"] * 8
    with semsearch.open(home, encoder=FakeEncoder()) as opened:
        many = opened.search_many(queries, 3, mode=mode, **options)
        assert [each.query for each in many] == queries
        single = {query: opened.search(query, 3, mode=mode, **options) for query in queries[:4]}
        assert [each.hits for each in many] == [single[query].hits for query in queries]
        assert [each.answerable for each in many] == [single[query].answerable for query in queries]
        assert opened.search_many([], mode=mode) == []


def test_opened_equals_built(notes, home):
    with semsearch.build(notes, home, encoder=FakeEncoder()) as built:
        assert built.search("aid oil", fold=False).hits == found(home, "aid oil").hits


@pytest.mark.parametrize("mode", MODES)
def test_unanswerable_question(notes, home, mode):
    build(notes, home)
    assert not found(home, "election", mode=mode).answerable


@pytest.mark.parametrize("mode", ["hybrid", "dense"])
def test_fewer_passages_than_k(notes, home, mode):
    build(notes, home)
    assert len(found(home, "aid", 10_000, mode=mode)) == 4
    assert len(found(home, "aid", np.int64(3), mode=mode)) == 3
    assert [hit.text for hit in found(home, "oil", 1, mode=mode)] == [sentence("oil oil")]
    assert len(found(home, "aid vaccine", 10_000, mode="lexical")) == 1


def test_duplicates_share_a_vector_and_all_come_back(notes, home):
    for name in ("a/copy.md", "b.md"):
        write(notes, name, "aid, vaccine", title="First")
    report, encoded = build(notes, home)
    assert (report.passages, report.encoded, len(encoded)) == (6, 4, 4)
    for mode in MODES:
        hits = found(home, "aid", 3, mode=mode).hits
        assert [Path(hit.path).name for hit in hits] == ["copy.md", "b.md", "one.md"]
        assert len({hit.score for hit in hits}) == 1
        sources = [hit.source for hit in found(home, "aid", 2, mode=mode)]
        assert sources == [str(notes / "a" / "copy.md"), str(notes / "b.md")]


@pytest.mark.parametrize("mode", MODES)
def test_equal_scores_are_told_apart_by_place_whatever_the_history(tmp_path, mode):
    for name in ("late", "early"):
        write(tmp_path / "notes", f"{name}.md", "aid", title="Plain")
        build(tmp_path / "notes", tmp_path / "grown")
    write(tmp_path / "notes", "early.md", "aid", title="Other")
    build(tmp_path / "notes", tmp_path / "grown")
    build(tmp_path / "notes", tmp_path / "new")
    for k in (1, 2):
        names = [[hit.source for hit in found(tmp_path / path, "aid", k, mode=mode)] for path in ("grown", "new")]
        assert names[0] == names[1] == [str(tmp_path / "notes" / f"{name}.md") for name in ("early", "late")][:k]


# Words that must be found.


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[semsearch.Index]:
    """300 passages, and in the 251st a name and a number that no other has."""
    draw = np.random.default_rng(3)
    common = [*WORDS, "town", "river", "seven", "news", "market", "weather"]
    texts: list[str | dict[str, Any]] = [" ".join(draw.choice(common, 20)) for _ in range(299)]
    texts.insert(250, "weather news of the river where Tschaikin paid 48213 seven town market news weather town town river")
    folder = tmp_path_factory.mktemp("large")
    build(records(folder, texts), folder / "index")
    with semsearch.open(folder / "index", encoder=FakeEncoder()) as opened:
        yield opened


@pytest.mark.parametrize(
    "query", ["Tschaikin", "what did Tschaikin do in the town", "48213", "who paid 48213 to the river", "tschaikin 48213"]
)
def test_a_rare_name_or_number_among_300_passages_is_first(large, query):
    """Though its vectors tell nothing of it: to the fake encoder all but ten words are one."""
    for mode in ("hybrid", "lexical"):
        assert "Tschaikin" in large.search(query, 5, mode=mode)[0].text


@pytest.mark.parametrize("mode", MODES)
def test_the_first_hits_are_the_same_however_many_are_asked_for(large, mode):
    """Of the 25 that are compared as many must be left when copies are folded; else more are, and may come between."""
    for query in ("aid for the town", "Tschaikin", "oil gas river"):
        for fold, deep in ((False, 25), (True, 20)):
            most = large.search(query, deep, mode=mode, fold=fold)
            for k in (1, 5, 10):
                assert large.search(query, k, mode=mode, fold=fold)[:k] == most[:k]
                if not fold:
                    assert large.search(query, k, mode=mode, fold=fold).hits == most[:k]


def test_ranks_count_from_1_and_scores_never_rise(large):
    for mode in MODES:
        results = large.search("aid river weather", 60, mode=mode)
        assert [hit.rank for hit in results] == list(range(1, 61))
        scores = [hit.score for hit in results]
        assert scores == sorted(scores, reverse=True)
        assert 0 < scores[-1] <= scores[0] <= 1
        assert results.answerable == (results[0].confidence >= semsearch.index.ANSWERABLE)


QUOTED = ["oil gas aid", "gas oil aid town", "oil and gas", "sword"]


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ('"oil gas"', [0]),
        ("“gas oil” aid", [1]),
        ('"oil gas" "gas oil"', [0, 1]),
        ('"aid" sword', [0, 1]),
        ('"gas aid" sword', [0]),
        # No passage has it: its words.
        ('"town sword"', [0, 1, 2, 3]),
    ],
)
def test_quoted_words_must_stand_so_in_hybrid_and_lexical(tmp_path, query, places):
    build(records(tmp_path, QUOTED), tmp_path / "index")
    results = found(tmp_path / "index", query)
    assert sorted(QUOTED.index(hit.text) for hit in results) == places
    with semsearch.open(tmp_path / "index", encoder=FakeEncoder()) as opened:
        assert [hit.score for hit in results] == pytest.approx(sorted(Everything(opened, query).hybrid, reverse=True), abs=1e-5)
    lexical = sorted(QUOTED.index(hit.text) for hit in found(tmp_path / "index", query, mode="lexical"))
    assert lexical == (places if len(places) < 4 else [1, 3])
    assert len(found(tmp_path / "index", query, mode="dense")) == 4


def test_lexical_never_loads_a_model(notes, home, monkeypatch):
    build(notes, home)

    def refuse(*_: object) -> FakeEncoder:
        raise AssertionError("loads a model")

    class Idle(FakeEncoder):
        encode_queries = refuse

    monkeypatch.setattr(semsearch.index.encoders, "load_for", refuse)
    for encoder in (None, Idle()):
        with semsearch.open(home, encoder=encoder) as opened:
            results = opened.search("oil", mode="lexical", explain=True)
            assert [hit.text for hit in results] == [sentence("oil oil")]
            assert results[0].scores["dense"] is None
            assert not opened.search("Jupiter", mode="lexical")
            for mode in ("dense", "hybrid"):
                with pytest.raises(AssertionError, match="loads a model"):
                    opened.search("oil", mode=mode)


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_index_answers_with_nothing(notes, home, mode):
    build(notes, home)
    semsearch.remove(notes, home)
    for options in ({}, {"where": "title=First"}, {"fold": False, "per_article": 1}):
        results = found(home, '"aid" oil', mode=mode, **options)
        assert (list(results), results.answerable, bool(results)) == ([], False, False)


# Filters.

KINDS = st.sampled_from(["x", "y", "z"])
ARTICLE = st.tuples(
    KINDS, st.integers(0, 4), st.lists(st.sampled_from(["aid", "oil gas", "sword", "council aid"]), min_size=1, max_size=3)
)
FILTERS = st.sampled_from(
    [
        "kind=x",
        "kind!=x",
        "kind=y|z",
        "n>=3",
        ["n<2", "kind!=z"],
        {"n": {">": 0, "<": 3}},
        "kind=q",
        "source=*3.md",
        {"kind": ["x", "z"]},
    ]
)


def article(folder: Path, number: int, kind: str, n: int, words: list[str]) -> None:
    body = "\n\n".join(map(sentence, words))
    (folder / f"{number}.md").write_text(f"---\nkind: {kind}\nn: {n}\n---\n# Title\n\n{body}\n")


@settings(derandomize=True, max_examples=25, deadline=None, database=None)
@given(articles=st.lists(ARTICLE, min_size=1, max_size=7), where=FILTERS)
def test_a_filtered_search_is_the_unfiltered_one_without_the_other_articles(tmp_path_factory, articles, where):
    folder = tmp_path_factory.mktemp("filtered") / "notes"
    folder.mkdir()
    for number, (kind, n, words) in enumerate(articles):
        article(folder, number, kind, n, words)
    build(folder, folder.parent / "index")
    wanted = filters.parse(where)
    for mode in MODES:
        everything = found(folder.parent / "index", "aid gas", 10_000, mode=mode)
        if mode != "lexical":
            assert len(everything) == sum(len(words) for _, _, words in articles)
        meant = [hit for hit in everything if wanted.matches(hit.source, hit.title, hit.metadata)]
        results = found(folder.parent / "index", "aid gas", 10_000, mode=mode, where=where)
        assert {(hit.source, hit.start) for hit in results} == {(hit.source, hit.start) for hit in meant}
        assert len(results) == len(meant)
        if mode != "hybrid":
            # Nothing of these scores hangs on what else there is.
            assert [(hit.source, hit.start, hit.score) for hit in results] == [
                (hit.source, hit.start, hit.score) for hit in meant
            ]
        folded = found(folder.parent / "index", "aid gas", 10_000, mode=mode, where=where, fold=True)
        shown = [(each.source, each.start) for hit in folded for each in (hit, *hit.duplicates)]
        assert sorted(shown) == sorted((hit.source, hit.start) for hit in meant)


def test_one_article_gives_all_its_passages_however_low_they_rank(tmp_path):
    folder = tmp_path / "notes"
    for number in range(120):
        write(folder, f"{number}.md", f"aid aid {'aid ' * (number % 9)}", title=f"Aid {number}")
    write(folder, "low.md", "sword", "battle battle", "council sword", "sword gas", title="Nothing of that")
    build(folder, tmp_path / "index")
    for mode in ("hybrid", "dense"):
        assert "low.md" not in {Path(hit.source).name for hit in found(tmp_path / "index", "aid", 50, mode=mode)}
        results = found(tmp_path / "index", "aid", 10, mode=mode, where="title=Nothing of that")
        assert sorted(hit.paragraph for hit in results) == [1, 2, 3, 4]
        assert {Path(hit.source).name for hit in results} == {"low.md"}


@pytest.mark.parametrize("mode", MODES)
def test_a_filter_that_leaves_nothing(notes, home, mode):
    build(notes, home)
    results = found(home, "aid", mode=mode, where="title=Third")
    assert (list(results), bool(results), results.answerable, len(results)) == ([], False, False, 0)
    assert found(home, "aid", mode=mode, where={}).hits == found(home, "aid", mode=mode).hits


def test_a_shared_passage_is_shown_in_the_article_that_is_meant(notes, home):
    write(notes, "b.md", "aid, vaccine", "charter", title="First")
    build(notes, home)
    for mode in MODES:
        for fold in (True, False):
            (hit,) = found(home, "aid", 1, mode=mode, where=f"source={notes}/one.md", fold=fold)
            assert (Path(hit.source).name, hit.duplicates) == ("one.md", ())


def test_one_thread_and_several_find_the_same(notes, home, monkeypatch):
    """With several the words are looked up beside the vectors."""
    build(notes, home)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    asked = ["aid oil", '"oil oil"', "sword, gas", "aid oil"]
    answers = {}
    for threads in ("1", "2"):
        monkeypatch.setenv(limits.THREADS, threads)
        with semsearch.open(home, encoder=FakeEncoder()) as index:
            one_by_one = [index.search(question, 3) for question in asked]
            together = index.search_many(asked, 3)
            assert (index._helpers is None) is (threads == "1")
        with pytest.raises(InputError, match="closed"):
            index.search("aid")
        answers[threads] = [[(hit.source, hit.start, hit.score) for hit in results] for results in (*one_by_one, *together)]
    assert answers["1"] == answers["2"]
    assert answers["1"][:4] == answers["1"][4:]
    assert all(answers["1"])
