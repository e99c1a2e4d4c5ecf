"""Questions made to hurt: query syntax, a megabyte of anything, what is no text; each has an answer or is refused in one line.

The index is of a few articles with the fake encoder, and asked in every mode. What a long question costs is counted in words that
are looked up, phrases, and characters that the model is given, not in seconds.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeEncoder
from helpers import build, run, write
from hypothesis import given, settings
from hypothesis import strategies as st
from test_render import FORBIDDEN

import semsearch
from semsearch import ranking, render
from semsearch.errors import InputError
from semsearch.index import words_for
from semsearch.lexical import analysis, question
from semsearch.lexical.analysis import Analyzer, words
from semsearch.protocols import Encoder

MODES = ("hybrid", "dense", "lexical")
MILLION = 1_000_000


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("questions")
    write(folder / "notes", "one.md", "aid, vaccine", "oil oil", title="First")
    write(folder / "notes", "two.md", "sword, battle, council", "gas", title="Second")
    (folder / "notes/thai.txt").write_text("สภาพบกันที่เมืองเก่า\n\nแล้วก็ไม่พูดอะไรเลย\n")
    build(folder / "notes", folder / "index")
    with semsearch.open(folder / "index", encoder=FakeEncoder()) as opened:
        yield opened


def answers(index: semsearch.Index, query: str) -> dict[str, list[str]]:
    """The sources found in each mode, for which all promises are checked; none where the question was refused."""
    found = {}
    if not query.replace("\0", " ").strip():
        for mode in MODES:
            with pytest.raises(InputError, match=r"^the question is empty: give a few words$"):
                index.search(query, 5, mode=mode)
        return {mode: [] for mode in MODES}
    for mode in MODES:
        results = index.search(query, 5, mode=mode, explain=True)
        assert results.query == query
        scores = [hit.score for hit in results]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)
        assert all(0 <= hit.confidence <= 1 for hit in results)
        assert [hit.rank for hit in results] == list(range(1, len(results) + 1))
        assert all(np.isfinite([score for score in hit.scores.values() if score is not None]).all() for hit in results)
        assert not FORBIDDEN.search(repr(results))
        json.loads(results.to_json())
        found[mode] = [hit.source.rpartition("/")[2] for hit in results]
    # By meaning all passages are near, more or less.
    assert len(found["dense"]) == 5
    return found


SYNTAX = [
    "title:oil", "whole:oil", "row:1", "row:[0 TO 9]", "*:*", "*", "?", "o*", "o?l", "+oil -gas", "-oil", "oil && gas",
    "oil || gas", "!oil", "(oil", "oil)", "{oil}", "[oil TO gas]", "oil^9", "oil^", "oil~2", '"oil gas"~3', '"oil', 'oil"',
    '"', '""', '"""', "\\", "\\oil", "/oil/", "oil AND gas", "oil OR gas", "NOT oil", "IN [oil gas]", "AND", "OR NOT", "IN",
    "oil:", ":oil", "oil::gas", "'oil'", "`oil`", "<oil>", "oil;", "%s oil", "oil' OR '1'='1", "oil--", "\x00oil", "oil\x00",
    "$oil", "${oil}", "oil\n\ngas", "\toil", "oil\x1b[31m",
]  # fmt: skip


@pytest.mark.parametrize("query", SYNTAX)
def test_query_syntax_is_words_like_any_other(index, query):
    plain = re.sub(r"\W+", " ", query).strip()
    assert answers(index, query)["lexical"] == (answers(index, plain)["lexical"] if plain else [])
    if "oil" in query:
        assert answers(index, query)["hybrid"][0] == answers(index, query)["lexical"][0] != "thai.txt"


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    st.text(st.characters(exclude_categories=()), max_size=30)
    | st.lists(
        st.sampled_from([*SYNTAX, "oil ", " ", "the ", "\u202e", "\u200b", "\u0301", "ก", "ิ", "\ud800", "🙂", "«", "»", "“"]),
        max_size=8,
    ).map("".join)
)
def test_any_text_is_answered_or_refused(index, query):
    answers(index, query)


@pytest.mark.parametrize(
    "query",
    ["\ud800", "\udfff oil", "🙂", "\u202e", "\u200b", "\u0301" * 40, "ก" + "ิ" * 300, "...", "?!", "the of and", "\x1b]0;x\x07"],
)
def test_what_has_no_words_is_answered_by_meaning_alone_or_not_at_all(index, query):
    found = answers(index, query)
    assert len(found["dense"]) == 5
    if not words(query):
        assert found["lexical"] == []


@pytest.mark.parametrize("query", ["", " ", "\n\t", "\0", "\0 \0", "\u3000", "\u2028"])
def test_nothing_is_refused(index, query):
    assert answers(index, query) == {"hybrid": [], "dense": [], "lexical": []}


LONG = {
    "one word": "x" * MILLION,
    "one word and oil": "oil " + "x" * MILLION,
    "distinct words": " ".join(f"w{at}" for at in range(200_000)),
    "distinct words and oil": "oil " + " ".join(f"é{at}" for at in range(200_000)),
    "quotation marks": '"' * MILLION,
    "open quotation marks": "“" * MILLION,
    "guillemets": "«»" * (MILLION // 2),
    "phrases": " ".join(f'"oil w{at}"' for at in range(80_000)),
    "one phrase": '"' + "the oil " * (MILLION // 8) + '"',
    "syntax": "".join(SYNTAX) * 2000,
    "brackets": "(" * MILLION,
    "marks": "e" + "\u0301\u0323" * (MILLION // 2),
    "Thai marks": "ก" + "\u0e49" * MILLION,
    "letters without space": "水" * MILLION,
    "emoji": "🙂" * MILLION,
    "right to left": "\u202eשלום " * (MILLION // 6),
    "zero width": "\u200b" * MILLION,
    "surrogates": "\ud800" * (MILLION // 4),
    "white space": "oil" + " " * MILLION + "gas",
    "stop words": "the of and " * (MILLION // 11),
    "acronyms": "u.s." * (MILLION // 4),
    "thousands": "1,000," * (MILLION // 6),
}


@pytest.mark.parametrize("kind", LONG)
def test_a_megabyte_is_a_question_like_any_other(index, kind):
    query = LONG[kind]
    found = answers(index, query)
    assert len(found["dense"]) == 5
    if kind in ("one word and oil", "distinct words and oil", "phrases", "one phrase", "white space", "syntax"):
        assert "one.md" in found["lexical"]
        assert "one.md" in found["hybrid"]
    if kind in ("one word", "quotation marks", "open quotation marks", "guillemets", "brackets", "emoji", "zero width"):
        assert found["lexical"] == []
    assert len(repr(index.search(query, 1, mode="lexical"))) < 2000


def test_what_is_looked_up_of_a_long_question_is_bounded_and_its_beginning():
    analyzers = {"en": Analyzer("en"), "": Analyzer("")}
    read = question.read(LONG["distinct words"], {"en": 1, "": 1}, analyzers)
    assert [word.text for word in read.words] == [f"w{at}" for at in range(question.MAX_WORDS)]
    read = question.read("oil the " * 5000 + LONG["phrases"], {"en": 1, "": 1}, analyzers)
    assert [(word.text, word.count) for word in read.words[:2]] == [("oil", 85_000), ("w0", 1)]
    assert [phrase[0] for phrase in read.phrases] == [("oil", f"w{at}") for at in range(question.MAX_PHRASES)]
    limit = question.MAX_PHRASE
    exact, longer = '"' + "oil gas " * (limit // 2) + '"', '"' + "oil gas " * (limit // 2) + 'oil"'
    assert [len(phrase[0]) for phrase in question.read(f"{longer} {exact}", {"en": 1}, {"en": Analyzer("en")}).phrases] == [limit]


def test_the_same_phrase_over_and_over_is_one():
    read = question.read('"oil gas" ' * 1000 + '"gas oil"', {"en": 1}, {"en": Analyzer("en")})
    assert read.phrases == ((("oil", "gas"),), (("gas", "oil"),))


def test_stop_words_do_not_take_the_places_of_others():
    stopped = " ".join(f"{word} " for word in analysis._ENGLISH) * 50
    read = question.read(stopped + "oil", {"en": 1}, {"en": Analyzer("en")})
    assert [word.text for word in read.words] == ["oil"]


def test_rarity_is_asked_only_of_what_the_model_read(index, monkeypatch):
    asked: list[int] = []
    lexical = words_for(index._reader, "hybrid")
    rarity = type(lexical).rarity

    def counted(self, given_words):
        asked.append(len(given_words))
        return rarity(self, given_words)

    monkeypatch.setattr(type(lexical), "rarity", counted)
    index.search(LONG["distinct words"], 3)
    # The fake encoder reads 64 words.
    assert asked[0] == 64


def test_weights_of_a_question_are_those_of_its_words_as_far_as_it_was_read(index):
    spans = np.asarray([(0, 3), (4, 6), (6, 7)], np.int64)
    weights = ranking._weights("oil gases " + "sword " * 1000, spans, words_for(index._reader, "hybrid"))
    oil, gases = words_for(index._reader, "hybrid").rarity(["oil", "gases"])
    # A word of two tokens is as rare as the whole word is.
    assert weights == pytest.approx(np.asarray([oil, gases, gases]) / (oil + 2 * gases))


# Words of any text, in time that is proportional to it.


def test_marks_in_a_row_are_brought_to_one_form_some_at_a_time(monkeypatch):
    lengths: list[int] = []
    normalize = analysis.unicodedata.normalize

    class Counted:
        category = staticmethod(analysis.unicodedata.category)

        @staticmethod
        def normalize(form: str, text: str) -> str:
            lengths.append(len(text))
            return normalize(form, text)

    monkeypatch.setattr(analysis, "unicodedata", Counted)
    flood = "e" + "\u0301\u0323" * 50_000
    text = f"Caf\u0065\u0301 Größe {flood} ﬁn " * 2
    found = words(text)
    assert max(lengths) <= 1000
    assert sum(lengths) == len(text)
    assert (found[0], found[1], found[-1]) == ("café", "größe", "fin")


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["é", "e\u0301", "a\u0323\u0302", "ﬁ", "水", "한", "ﾊﾟ", " ", "\n", "Ω", "ก็", "x", "."]), max_size=60
    ).map("".join)
)
def test_one_form_is_the_same_however_long_the_text_is(piece):
    # Words are short: where there is none for a thousand characters, a text may be cut inside of one.
    text = (piece + " ") * (1 + 2500 // (len(piece) + 1))
    assert analysis._composed(text) == analysis.unicodedata.normalize("NFKC", text)


def test_a_long_run_without_spaces_is_found_by_any_part_of_it():
    run_of_letters = "สภาพบกันที่เมืองเก่าแล้วก็ไม่พูดอะไรเลย" * 10
    assert len(run_of_letters.encode()) > 1000
    terms = Analyzer("").terms(run_of_letters)
    assert set(words("เมืองเก่า")) <= set(terms)
    assert words("水" * 300) == ["水水"] * 299
    assert words("x" * 254 + " " + "x" * 255 + " " + "é" * 127 + " " + "é" * 128) == ["x" * 254, "é" * 127]


# What is shown.


def test_a_long_question_is_not_shown_whole_above_its_hits():
    assert render.text("oil " * 1000, []) == "no passages found for: " + "oil " * 50 + "…"
    assert render.text("oil " * 50, []) == "no passages found for: " + "oil " * 50
    assert len(render.html("<&" * MILLION, [])) < 2000


@pytest.mark.usefixtures("no_model")
def test_the_command_line_takes_a_long_question(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "notes", "one.md", "aid, vaccine", "oil oil")
    for query in ("oil \x1b[31m\udcff " + "x " * 50_000, '"oil ' + "(" * 50_000):
        result = run("ask", query, "notes", "--mode", "lexical")
        assert result.exit_code in (0, 1)
        assert "The oil oil was there" in result.stdout
        assert not FORBIDDEN.search(result.stdout + result.stderr)
        assert len(result.stdout) < 2000
    assert run("ask", "\0\n", "notes").stderr == "semsearch: the question is empty: give a few words\n"


@pytest.mark.model
def test_the_model_is_given_the_beginning_of_a_long_question(bundled: Encoder):
    # More than the model takes, and less than is looked at.
    beginning = "what aid did the council offer " * 100
    assert 100 * bundled.fingerprint.max_tokens > len(beginning)
    encoded = bundled.encode_queries([beginning, beginning + "what aid did the council offer " * 30_000 + "sword " * 10_000])
    assert np.abs(encoded.vectors[0] - encoded.vectors[1]).max() < 1e-5
    assert encoded.spans[0].tolist() == encoded.spans[1].tolist()
    assert len(encoded.tokens[0]) == len(encoded.spans[0]) < bundled.fingerprint.max_tokens
    for query in (LONG["one word"], LONG["white space"], LONG["emoji"], LONG["marks"]):
        encoded = bundled.encode_queries([query])
        assert np.linalg.norm(encoded.vectors[0]) == pytest.approx(1, abs=1e-5)
        assert len(encoded.tokens[0]) == len(encoded.spans[0])
