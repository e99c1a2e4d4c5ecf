"""Hits: copies folded into one, neighbours, explanations, the best sentence."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeEncoder
from helpers import build, found, records, sentence, write
from hypothesis import given, settings
from hypothesis import strategies as st

import semsearch
from semsearch import fusion, hits
from semsearch.errors import IndexCorrupt, InputError
from semsearch.index import words_for
from semsearch.records import Hit, Place

MODES = ("hybrid", "dense", "lexical")
LONG = (
    "On Friday the council said that aid for the valley had come by rail, {} of it, and that the rest would follow within days."
)


def folded(home: Path, query: str, k: int = 10, **options) -> tuple[Hit, ...]:
    return found(home, query, k, fold=True, **options).hits


def names(hit: Hit) -> list[str]:
    return [Path(each.source).name for each in (hit, *hit.duplicates)]


# Copies.


@pytest.mark.parametrize("mode", MODES)
def test_copies_in_several_files_are_one_hit_that_lists_their_places(notes, home, mode):
    write(notes, "a.md", "charter", "aid, vaccine", title="First")
    write(notes, "b.md", "aid, vaccine", "aid, vaccine", title="First")
    build(notes, home)
    hit = folded(home, "aid vaccine", mode=mode)[0]
    assert names(hit) == ["a.md", "b.md", "b.md", "one.md"]
    assert [(place.line, place.paragraph, place.title) for place in hit.duplicates] == [
        (3, 1, "First"),
        (5, 2, "First"),
        (3, 1, "First"),
    ]
    for each in (hit, *hit.duplicates):
        assert Path(each.source).read_text()[each.start : each.end] == hit.text
    assert isinstance(hit.duplicates[0], Place)
    apart = found(home, "aid vaccine", 4, mode=mode)
    assert [(hit.rank, Path(hit.source).name, hit.duplicates) for hit in apart] == [
        (rank, name, ()) for rank, name in enumerate(["a.md", "b.md", "b.md", "one.md"], 1)
    ]


@pytest.mark.parametrize("mode", MODES)
def test_a_copy_under_another_title_is_one_whatever_its_score(tmp_path, home, mode):
    text = LONG.format("seven tons")
    build(records(tmp_path, [{"title": "Aid aid aid", "text": text}, {"title": "Sword", "text": text}]), home)
    apart = found(home, "aid", mode=mode)
    assert apart[0].score - apart[1].score > 0.03
    for limit in (1, 10):
        (hit,) = folded(home, "aid", limit, mode=mode)
        assert hit.source.endswith("#1")
    assert [(place.title, place.line) for place in folded(home, "aid", mode=mode)[0].duplicates] == [("Sword", 2)]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("seven tons", "seven loads", False),
        ("seven tons", "SEVEN TONS", True),
        ("7 tons", "8 tons", False),
        ("7 tons", "7.5 tons", False),
        ("-7 tons", "7 tons", False),
        ("3 to 5 tons", "5 to 3 tons", False),
        ("½ ton", "¼ ton", False),
        ("7 tons of grain", "7 tons of the grain", True),
        ("7 tonnes", "7 tonns", True),
        ("it was safe", "it was not safe", False),
        ("prices rose", "prices fell", False),
        ("France beat Spain", "Spain beat France", False),
        ("seven tons for Odessa", "seven tons for", False),
        ("seven tons", "seven tons of flour, oil and other things that nobody had asked for", False),
    ],
)
def test_nearly_the_same_is_one_hit_unless_a_number_differs(tmp_path, home, one, other, same):
    texts = [LONG.format(one), LONG.format(other), "Elsewhere nothing of that kind was heard."]
    build(records(tmp_path, texts), home)
    for mode in ("hybrid", "dense"):
        hits_ = folded(home, "aid", mode=mode)
        assert len(hits_) == (2 if same else 3)
        assert sorted(len(hit.duplicates) for hit in hits_) == ([0, 1] if same else [0, 0, 0])
        assert [hit.rank for hit in hits_] == list(range(1, len(hits_) + 1))


def test_what_has_no_words_is_no_copy_of_what_has_none(tmp_path, home):
    build(records(tmp_path, ["😀 😀", "🚀 !", "* * *?"]), home)
    assert len(folded(home, "aid")) == len(found(home, "aid")) > 1


def test_the_same_words_far_apart_in_score_are_two(monkeypatch, tmp_path, home):
    build(records(tmp_path, [LONG.format("seven tons"), LONG.format("seven")]), home)
    one, other = folded(home, "aid tons")
    assert one.score - other.score > hits._CLOSE
    assert len(folded(home, "aid")) == 1
    monkeypatch.setattr(hits, "_CLOSE", 1)
    assert len(folded(home, "aid tons")) == 1


@pytest.mark.parametrize("k", [3, 10, 45, 70])
@pytest.mark.parametrize("mode", MODES)
def test_as_many_as_asked_for_come_though_copies_fold_away(many_copies, mode, k):
    results = many_copies.search("aid", k, mode=mode)
    assert len(results) == k
    assert len({hit.text for hit in results}) == k
    assert [hit.rank for hit in results] == list(range(1, k + 1))
    scores = [hit.score for hit in results]
    assert scores == sorted(scores, reverse=True)


@pytest.fixture(scope="module")
def many_copies(tmp_path_factory):
    """80 texts about aid, each four times under four titles; the numbers keep them apart."""
    folder = tmp_path_factory.mktemp("copies")
    texts = [{"title": f"T{copy_}", "text": LONG.format(f"{number} tons")} for number in range(80) for copy_ in range(4)]
    build(records(folder, texts), folder / "index")
    with semsearch.open(folder / "index", encoder=FakeEncoder()) as opened:
        yield opened


def test_all_there_are_when_there_are_fewer(many_copies):
    results = many_copies.search("aid", 1000)
    assert len(results) == 80
    assert {len(hit.duplicates) for hit in results} == {3}
    assert len(many_copies.search("aid", 1000, fold=False)) == 320


@settings(derandomize=True, max_examples=25, deadline=None, database=None)
@given(
    words=st.lists(
        st.lists(st.sampled_from(["aid", "oil gas", "sword 3", "sword 4"]), min_size=1, max_size=4), min_size=1, max_size=6
    )
)
def test_every_passage_is_a_hit_or_a_duplicate_once(tmp_path_factory, words):
    folder = tmp_path_factory.mktemp("folded")
    for number, paragraphs in enumerate(words):
        write(folder / "notes", f"{number}.md", *paragraphs, title=f"Title {number % 2}")
    build(folder / "notes", folder / "index")
    apart = found(folder / "index", "aid sword", 100)
    together = folded(folder / "index", "aid sword", 100)
    shown = [(each.source, each.start) for hit in together for each in (hit, *hit.duplicates)]
    assert sorted(shown) == sorted((hit.source, hit.start) for hit in apart)
    # The best of its copies is the hit.
    scores = {(hit.source, hit.start): hit.score for hit in apart}
    for hit in together:
        assert (
            scores[hit.source, hit.start]
            == hit.score
            >= max(scores[place.source, place.start] for place in (hit, *hit.duplicates))
        )
    assert not {("3" in hit.text) and ("4" in hit.text) for hit in together} - {False}


# How many of one article.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fold", [False, True])
def test_hits_of_one_article(tmp_path, home, mode, fold):
    for number in range(3):
        write(tmp_path / "notes", f"{number}.md", *[f"aid {number}{part}" for part in range(6)], title=f"T{number}")
    build(tmp_path / "notes", home)
    everything = found(home, "aid", 100, mode=mode).hits
    assert len(everything) == 18
    for per_article in (1, 2, 5, 9):
        results = found(home, "aid", 100, mode=mode, fold=fold, per_article=per_article)
        expected = [
            hit
            for place, hit in enumerate(everything)
            if sum(each.source == hit.source for each in everything[:place]) < per_article
        ]
        assert [(hit.source, hit.start, hit.score) for hit in results] == [(hit.source, hit.start, hit.score) for hit in expected]
        assert [hit.rank for hit in results] == list(range(1, len(expected) + 1))
        assert found(home, "aid", 2, mode=mode, fold=fold, per_article=per_article).hits == results[:2]
    for wrong in (0, -1, 1.5, "2"):
        with pytest.raises(InputError, match=r"per_article is .*: give a whole number from 1 to 10,000$"):
            found(home, "aid", per_article=wrong)


def test_records_of_one_file_are_articles_of_their_own(tmp_path, home):
    build(records(tmp_path, [LONG.format(f"{number} tons") for number in range(5)]), home)
    assert len(found(home, "aid", per_article=1)) == 5


# Neighbours.


@pytest.fixture
def story(tmp_path, home):
    write(tmp_path / "notes", "a.md", "aid", "oil", "sword", "gas")
    write(tmp_path / "notes", "b.md", "charter")
    build(tmp_path / "notes", home)
    with semsearch.open(home, encoder=FakeEncoder()) as opened:
        yield opened


@pytest.mark.parametrize(
    ("word", "before", "after", "expected"),
    [
        ("oil", 1, 1, (["aid"], ["sword"])),
        ("aid", 1, 1, ([], ["oil"])),
        ("gas", 1, 1, (["sword"], [])),
        ("sword", 0, 0, ([], [])),
        ("sword", 0, 2, ([], ["gas"])),
        ("sword", 9, 0, (["aid", "oil"], [])),
        ("sword", 1, 0, (["oil"], [])),
        ("gas", 2, 5, (["oil", "sword"], [])),
        ("charter", 3, 3, ([], [])),
        ("oil", -1, -5, ([], [])),
    ],
)
def test_context_is_the_neighbours_in_the_same_article(story, word, before, after, expected):
    for mode in MODES:
        hit = story.search(word, 1, mode=mode)[0]
        context = hit.context(before, after)
        left, right = ([sentence(each) for each in words] for words in expected)
        assert [passage.text for passage in context.before] == left
        assert (context.passage.text, context.passage.start, context.passage.line) == (hit.text, hit.start, hit.line)
        assert [passage.text for passage in context.after] == right
        assert context.text == "\n\n".join([*left, hit.text, *right])
    assert story.search("oil", 1)[0].context() == story.search("oil", 1)[0].context(1, 1)


def test_context_of_a_passage_that_is_there_twice_is_that_of_its_place(tmp_path, home):
    write(tmp_path / "notes", "a.md", "aid", "oil", title="Same")
    write(tmp_path / "notes", "b.md", "sword", "oil", title="Same")
    build(tmp_path / "notes", home)
    with semsearch.open(home, encoder=FakeEncoder()) as opened:
        contexts = [hit.context().before[0].text for hit in opened.search("oil", 2, fold=False)]
    assert contexts == [sentence("aid"), sentence("sword")]


def test_context_needs_an_open_index(story):
    hit = story.search("oil", 1)[0]
    moved = pickle.loads(pickle.dumps(hit))
    assert moved == hit
    assert hash(moved) == hash(hit)
    for lost in (moved, copy.deepcopy(hit), replace(hit, origin=None)):
        with pytest.raises(InputError, match=r"lost its index: search again$"):
            lost.context()
    assert replace(hit, rank=2).context() == hit.context()
    story.close()
    with pytest.raises(InputError, match=r"was closed: open it again$"):
        hit.context()


# Explanations.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("query", ["aid", "oil vaccine sword", '"oil oil" gas', "nothing all"])
def test_an_explanation_adds_up_to_the_score(notes, home, mode, query):
    build(notes, home)
    results = found(home, query, mode=mode, explain=True)
    with semsearch.open(home, encoder=FakeEncoder()) as opened:
        plain = opened.search(query, mode=mode, fold=False)
    assert [replace(hit, explanation=None) for hit in results] == list(plain)
    assert {hit.explanation for hit in plain} <= {None}
    for hit in results:
        parts, words, rerank = hit.explanation
        assert {name: weight for name, _, weight in parts} == fusion.weights(mode)
        total = sum(value * weight for _, value, weight in parts) / sum(weight for _, _, weight in parts)
        assert hit.score == pytest.approx(min(1, max(0, total)), abs=2e-6)
        assert rerank is None
        if mode == "dense":
            assert words == ()
        elif '"' not in query:
            assert sum(score for _, score in words) == pytest.approx(hit.scores["lexical"], abs=1e-3)
            assert {word for word, _ in words} == {
                word for word in query.split() if word in f"{hit.title} {hit.text}".lower().split()
            }


# The best sentence.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("word", ["sword", "battle", "council"])
def test_the_best_sentence_has_the_questions_word(notes, home, mode, word):
    build(notes, home)
    hit = found(home, f"the {word} of the town", 1, mode=mode)[0]
    assert hit.highlight.text == sentence(word)
    assert hit.text[hit.highlight.start - hit.start : hit.highlight.end - hit.start] == sentence(word)


@pytest.mark.parametrize("mode", MODES)
def test_of_equal_sentences_the_first_is_the_best(notes, home, mode):
    build(notes, home)
    hits_ = [hit for hit in found(home, "town", mode=mode) if hit.text.startswith("The sword")]
    assert [hit.highlight.text for hit in hits_] == [sentence("sword")]


def test_a_passage_without_sentences_is_its_own_highlight_and_a_wrong_number_of_them_is_corrupt(notes, home, monkeypatch):
    build(notes, home)
    with semsearch.open(home, encoder=FakeEncoder()) as opened:
        real = opened._reader.passages

        def changed(cut: int):
            def passages(*given, **options):
                return [
                    item._replace(
                        passage=replace(
                            item.passage, sentences=item.passage.sentences[:cut], sentence_spans=item.passage.sentence_spans[:cut]
                        )
                    )
                    for item in real(*given, **options)
                ]

            return passages

        monkeypatch.setattr(opened._reader, "passages", changed(0))
        for mode in MODES:
            hit = opened.search("aid", 1, mode=mode)[0]
            assert (hit.highlight.start, hit.highlight.end, hit.highlight.text) == (hit.start, hit.end, hit.text)
        monkeypatch.setattr(opened._reader, "passages", changed(1))
        for mode in ("hybrid", "dense"):
            with pytest.raises(IndexCorrupt, match=r"see semsearch check$"):
                opened.search("aid", 1, mode=mode)


def test_confidence_is_that_of_the_formula(notes, home):
    build(notes, home)
    for hit in found(home, "aid vaccine", explain=True):
        values = {name: value for name, value, _ in hit.explanation.parts}
        with semsearch.open(home, encoder=FakeEncoder()) as opened:
            bound = words_for(opened._reader, "hybrid").bound("aid vaccine")
        coverage = min(1, hit.scores["lexical"] / bound)
        assert hit.confidence == pytest.approx(fusion.confidence(values["cosine"], values["late"], coverage), abs=1e-5)
    for mode in MODES:
        confidences = np.asarray([hit.confidence for hit in found(home, "aid", mode=mode)])
        assert np.all((confidences > 0) & (confidences < 1))
