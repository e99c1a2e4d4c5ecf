"""BM25 against the written formula; what counts as one word, in many languages; any text is a safe question."""

from __future__ import annotations

import json
import math
import re
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch.errors import IndexCorrupt
from semsearch.lexical import Boosts, Facts, Lexical, LexicalWriter, analysis, is_lexical_file, languages, question, search
from semsearch.lexical.languages import _is_plain_english

K1, B = 1.2, 0.75
Document = tuple[str, str, str]


def make(folder: Path, documents: dict[int, Document | str], language: str | dict[int, str] = "en", boosts: Boosts | None = None):
    writer = LexicalWriter(folder)
    add(writer, documents, language)
    writer.commit()
    return Lexical.open(folder, boosts=boosts)


def add(writer: LexicalWriter, documents: dict[int, Document | str], language: str | dict[int, str] = "en") -> None:
    whole = [("", "", each) if isinstance(each, str) else each for each in documents.values()]
    spoken = [language if isinstance(language, str) else language[row] for row in documents]
    titles, headings, texts = zip(*whole, strict=True) if whole else ((), (), ())
    writer.add(list(documents), titles, headings, texts, spoken)


def ask(opened: Lexical, query: str, k: int = 50) -> list[int]:
    return opened.search(query, k).rows.tolist()


def finds(folder: Path, text: str, query: str, language: str = "en") -> bool:
    return ask(make(folder, {0: text, 1: "unrelated"}, language), query) == [0]


def of(document: Document, field: str) -> str:
    return " ".join(document) if field == "whole" else document[("title", "heading").index(field)]


def bm25(documents: dict[int, Document], query: list[str], boosts: Boosts) -> dict[int, float]:
    """The formula in the docstring of `Lexical`, over words that need no analysis."""
    scores: Counter[int] = Counter()
    n = len(documents)
    for field in ("title", "heading", "whole"):
        fields = {row: of(document, field).split() for row, document in documents.items()}
        average = sum(map(len, fields.values())) / n
        for word in query:
            df = sum(word in each for each in fields.values())
            idf = math.log(1 + (n - df + 0.5) / (df + 0.5))
            for row, each in fields.items():
                if tf := each.count(word):
                    length = K1 * (1 - B + B * len(each) / average)
                    scores[row] += getattr(boosts, field) * idf * tf * (K1 + 1) / (tf + length)
    return dict(scores)


# Scores.

WORDS = ["oil", "gas", "aid", "sword", "golf", "tank"]


@settings(derandomize=True, max_examples=60, deadline=None)
@given(data=st.data())
def test_scores_are_those_of_the_formula(tmp_path_factory, data):
    texts = st.lists(st.sampled_from(WORDS), max_size=13).map(" ".join)
    documents = {3 * n: d for n, d in enumerate(data.draw(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=12)))}
    boosts = Boosts(*data.draw(st.tuples(*[st.sampled_from([0.0, 0.5, 1.0, 2.0])] * 3)))
    query = data.draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5))
    opened = make(tmp_path_factory.mktemp("lexical"), documents, boosts=boosts)
    expected = bm25(documents, query, boosts)
    expected = {row: score for row, score in expected.items() if score > 0}
    found = opened.search(" ".join(query), 50)
    assert (found.rows.dtype, found.scores.dtype) == (np.int64, np.float32)
    scores = dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True))
    assert scores == pytest.approx(expected, abs=1e-4)
    assert found.rows.tolist() == sorted(scores, key=lambda row: (-scores[row], row))
    rows = np.asarray([*documents, 999, *documents], np.int64)
    assert opened.scores(" ".join(query), rows).tolist() == [scores.get(row, np.float32(0)) for row in rows.tolist()]
    for k in range(1, len(documents) + 1):
        assert opened.search(" ".join(query), k).rows.tolist() == found.rows[:k].tolist()
    for row, score in scores.items():
        assert sum(part for _, part in opened.explain(" ".join(query), row)) == pytest.approx(score, abs=3e-4)


QUOTED = st.lists(st.sampled_from([*WORDS, "running", "runs", "the"]), min_size=1, max_size=3).map(" ".join)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(data=st.data())
def test_no_score_is_above_the_bound(tmp_path_factory, data):
    texts = st.lists(st.sampled_from([*WORDS, "running", "runs", "the"]), max_size=30).map(" ".join)
    documents = dict(enumerate(data.draw(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=10))))
    spoken = {row: data.draw(st.sampled_from(["en", "de", ""])) for row in documents}
    boosts = Boosts(*data.draw(st.tuples(*[st.sampled_from([0.0, 0.25, 1.0, 2.0])] * 3)))
    quoted = data.draw(st.lists(QUOTED | QUOTED.map('"{}"'.format), min_size=1, max_size=4))
    gone = sorted(data.draw(st.sets(st.sampled_from(sorted(documents)))))
    folder = tmp_path_factory.mktemp("bound")
    opened = make(folder / "old", documents, spoken, boosts=boosts)
    if gone:
        writer = LexicalWriter(folder / "new", folder / "old")
        writer.delete(gone, [spoken[row] for row in gone])
        writer.commit()
        opened = Lexical.open(folder / "new", boosts=boosts)
    query = " ".join(quoted)
    allowed = np.asarray(sorted(data.draw(st.sets(st.sampled_from(sorted(documents))))), np.int64)
    for among in (None, allowed):
        found = opened.search(query, 20, allowed=among)
        assert (found.scores <= opened.bound(query, allowed=among) + 1e-4).all()
        # What decides on phrases is the same for all who were given the same.
        assert opened.scores(query, found.rows, allowed=among).tolist() == found.scores.tolist()
        kept = np.asarray(sorted(documents), np.int64) if among is None else among
        matching = kept[opened.scores(query, kept, allowed=among) > 0]
        assert sorted(matching.tolist()) == sorted(found.rows.tolist())
        if among is None:
            assert opened.must_match(query) == opened.must_match(query, allowed=np.asarray(sorted(documents), np.int64))


def test_the_bound_is_come_near_to(tmp_path):
    """By the row that says the question over and over, and nothing else: the bound is the least there is."""
    often = " ".join(["oil gas"] * 5000)
    documents = {0: (often, often, often), **{row: " ".join(["gas tank"] * 40_000) for row in range(1, 9)}}
    for boosts in (Boosts(), Boosts(0, 0, 1), Boosts(2, 0.5, 1), Boosts(1, 0, 0)):
        opened = make(tmp_path / str(boosts), documents, boosts=boosts)
        for query in ("oil", '"oil"', '"oil gas"', 'oil "gas oil"', '"oil tank"'):
            assert opened.search(query, 1).rows.tolist() == [0]
            assert opened.search(query, 1).scores[0] <= opened.bound(query) + 1e-4
            if query != '"oil tank"':
                assert opened.search(query, 1).scores[0] == pytest.approx(opened.bound(query), rel=0.01)
        # A word that no row has is one that this row falls short of.
        assert opened.bound("oil sword") >= opened.bound("oil") + boosts.whole * math.log(1 + 9.5 / 0.5) * 2.2 - 1e-6


@settings(derandomize=True, max_examples=60, deadline=None)
@given(data=st.data())
def test_allowed_rows_are_filtered_inside(tmp_path_factory, data):
    texts = data.draw(st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), min_size=1, max_size=30))
    opened = make(tmp_path_factory.mktemp("lexical"), dict(enumerate(texts)))
    allowed = np.asarray(sorted(data.draw(st.sets(st.integers(0, 35)))), np.int64)
    everything = opened.search("oil gas sword", 50)
    kept = np.isin(everything.rows, allowed)
    for few in (0, 1000):
        for sifted in (0, 10**9):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(search, "_FEW", few)
                patch.setattr(search, "_SIFTED", sifted)
                for k in (1, 3, 40):
                    found = opened.search("oil gas sword", k, allowed=allowed)
                    assert found.rows.tolist() == everything.rows[kept][:k].tolist()
                    assert found.scores.tolist() == everything.scores[kept][:k].tolist()


def test_a_word_said_twice_counts_twice(tmp_path):
    opened = make(tmp_path, {0: "oil", 1: "gas"})
    once, twice = opened.search("oil", 1).scores[0], opened.search("oil oil", 1).scores[0]
    assert twice == pytest.approx(2 * once, abs=2e-4)


def test_equal_scores_come_by_row_wherever_the_list_ends(tmp_path):
    opened = make(tmp_path, dict.fromkeys((9, 4, 7, 1, 30, 2, 8), "oil"))
    for k in range(1, 8):
        assert ask(opened, "oil", k) == [1, 2, 4, 7, 8, 9, 30][:k]


def test_a_word_of_a_rare_language_weighs_no_more(tmp_path):
    """Twenty passages in English, one in another language: `running` is `run` in the ones and itself in the other."""
    texts = {row: "running" if row % 2 else "sitting" for row in range(20)}
    opened = make(tmp_path, {**texts, 20: "running"}, {**dict.fromkeys(texts, "en"), 20: ""}, Boosts(0, 0, 1))
    found = opened.search("running", 50)
    assert sorted(found.rows.tolist()) == [*range(1, 20, 2), 20]
    idf = math.log(1 + (21 - 11 + 0.5) / (11 + 0.5))
    assert found.scores == pytest.approx(np.full(11, idf), abs=2e-4)


def test_nothing_to_find(tmp_path):
    empty = make(tmp_path / "empty", {})
    opened = make(tmp_path / "one", {0: "oil"})
    for each, query in ((empty, "oil"), (opened, ""), (opened, "?!"), (opened, "sword"), (opened, '""')):
        found = each.search(query, 5)
        assert (found.rows.shape, found.rows.dtype, found.scores.dtype) == ((0,), np.int64, np.float32)
        assert each.scores(query, np.asarray([0])).tolist() == [0]
        assert each.explain(query, 0) == []
    assert ask(opened, "oil", 0) == []
    assert opened.search("oil", 5, allowed=np.empty(0, np.int64)).rows.tolist() == []
    assert opened.scores("oil", np.empty(0, np.int64)).shape == (0,)
    assert (empty.n_documents, opened.n_documents) == (0, 1)
    assert empty.bound("oil") > 0
    assert not empty.must_match('"oil"')


# Phrases.


def test_a_phrase_must_stand_word_behind_word(tmp_path):
    opened = make(
        tmp_path, {0: "the oil price fell fell fell", 1: "price oil price price price oil oil", 2: "the price of oil", 3: "gas"}
    )
    assert sorted(ask(opened, '"oil price"')) == [0, 1]
    assert ask(opened, '"oil price fell"') == [0]
    assert ask(opened, '"price of oil"') == [2]
    assert set(ask(opened, "price of oil")) == {0, 1, 2}
    for left, right in ("“”", "„“", "„”", "«»", "»«", "””"):
        assert ask(opened, f"{left}price of oil{right}") == [2]
    # What no passage has is no more than its words; so is what is quoted by half.
    assert sorted(ask(opened, '"fell of gas"')) == [0, 3]
    assert set(ask(opened, '"oil price')) == {0, 1, 2}
    # Of two, both; where none has both, either.
    assert ask(opened, '"oil price" "fell fell"') == [0]
    assert set(ask(opened, '"price of oil" "fell fell"')) == {0, 2}
    assert opened.scores('"oil price fell"', np.asarray([0, 1])).tolist()[1] == 0


@pytest.mark.parametrize("few", [0, 1000])
def test_a_phrase_of_other_rows_than_those_allowed_is_no_more_than_its_words(tmp_path, few, monkeypatch):
    monkeypatch.setattr(search, "_FEW", few)
    texts = [
        "the oil price fell",
        "the price of oil",
        "gas and oil fell",
        "the oil price rose",
        "price of gas",
        "oil price",
        "oil price",
    ]
    opened = make(tmp_path, dict(enumerate(texts)))

    def among(query: str, *allowed: int) -> list[int]:
        rows = np.asarray(allowed, np.int64)
        found = opened.search(query, 10, allowed=rows)
        assert opened.scores(query, found.rows, allowed=rows).tolist() == found.scores.tolist()
        assert (found.scores <= opened.bound(query, allowed=rows) + 1e-4).all()
        return sorted(found.rows.tolist())

    assert ask(opened, '"oil price"') == ask(opened, '"oil price" gone') != []
    assert among('"oil price"', 1, 2, 4) == [1, 2, 4]
    assert not opened.must_match('"oil price"', allowed=np.asarray([1, 2, 4]))
    assert opened.must_match('"oil price"', allowed=np.asarray([1, 2, 3]))
    assert opened.must_match('"oil price"', allowed=np.asarray([0]))
    assert not opened.must_match('"oil price"', allowed=np.asarray([4]))
    assert not opened.must_match('"oil price"', allowed=np.empty(0, np.int64))
    assert among('"oil price"', 1, 2, 3) == [3]
    # Row 0 has both phrases; of the others, some have either.
    assert among('"oil price" fell "price fell"', 0, 2, 3) == [0]
    assert among('"oil price" "price fell"', 1, 3) == [3]
    assert among('"oil price fell" "price rose"', 0, 3, 4) == [0, 3]
    assert opened.bound('"oil price"', allowed=np.asarray([1])) == opened.bound("oil price") < opened.bound('"oil price"')


def test_phrases_of_one_word_and_of_stop_words(tmp_path):
    opened = make(tmp_path, {0: "to be or not to be", 1: "be or oil", 2: "gas oil"})
    assert ask(opened, '"to be or not to be"') == [0]
    assert ask(opened, '"gas" oil') == [2]
    assert ask(opened, '"S-300"') == []


def test_phrases_in_title_and_heading(tmp_path):
    opened = make(tmp_path, {0: ("oil price", "", "x"), 1: ("", "oil price", "x"), 2: ("oil", "price", "x")})
    assert sorted(ask(opened, '"oil price"')) == [0, 1]
    assert sorted(ask(opened, "oil price")) == [0, 1, 2]


# Words.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.5 million", ["3.5", "million"]),
        ("S-300", ["s", "300"]),
        ("COVID-19", ["covid", "19"]),
        ("O'Brien, Russia's; l’homme", ["o", "brien", "russia", "l", "homme"]),
        ("U.S. and U.S.A., e.g. J.R.R. Tolkien", ["us", "and", "usa", "eg", "jrr", "tolkien"]),
        ("C++, C#, notepad++ page#part", ["c++", "c#", "notepad++", "page", "part"]),
        ("1,000,000 or 24.12.2018", ["1000000", "or", "24.12", "2018"]),
        ("snake_case", ["snake", "case"]),
        ("e\u0301te\u0301 ﬁne ＡＢ", ["été", "fine", "ab"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("שָׁלוֹם", ["שלום"]),
        ("كِتَابٌ أحمد ـالـ ۱۲٣", ["كتاب", "احمد", "ال", "123"]),
        ("Москва́ ещё", ["москва", "еще"]),
        ("İstanbul", ["istanbul"]),
        ("日本語 茶 テスト", ["日本", "本語", "茶", "テス", "スト"]),
        ("한국어", ["한국", "국어"]),
        ("abc日本", ["abc", "日本"]),
        ("x" * 300 + " y", ["y"]),
        ("", []),
    ],
)
def test_words(text, expected):
    assert analysis.words(text) == expected


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=60) | st.text(alphabet="aA1.,'#+-_ sS", max_size=30))
def test_ascii_is_cut_as_everything_else_is(text):
    plain = analysis._plain(text)
    assert [word for word in analysis._ASCII_WORD.findall(plain) if len(word) < 255] == analysis._cutter().analyze(plain)
    for language in ("en", "de", ""):
        analyzer = analysis.Analyzer(language)
        assert analyzer.terms(text) == analyzer._of_text.analyze(plain)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.text(max_size=40), st.sampled_from([*analysis.STEMMERS, ""]))
def test_a_question_reads_words_as_a_passage_does(text, language):
    analyzer = analysis.Analyzer(language)
    assert [analyzer.term(word) for word in analysis.words(text)] == analyzer.terms(text)
    assert not any(re.search(r"\s", term) or not term for term in analyzer.terms(text))


STEMMED = [
    ("ar", "الكتاب الجديد", "كتاب"), ("da", "bøgerne", "bøger"), ("de", "die Häuser", "haus"), ("el", "πολέμου", "πόλεμος"),
    ("en", "he was running", "runs"), ("es", "las naciones", "nación"),
    ("fi", "talossa", "talo"), ("fr", "les nations", "nation"),
    ("hu", "házak", "ház"), ("it", "le nazioni", "nazione"), ("nl", "de huizen branden", "brandend"), ("no", "bøkene", "bøker"),
    ("pt", "as casas", "casa"), ("ro", "națiunilor", "națiune"), ("ru", "российские войска", "российский"),
    ("sv", "bilarna", "bilar"), ("ta", "மரங்கள்", "மரங்களை"), ("tr", "kitapları", "kitaplar"),
]  # fmt: skip


def test_every_language_is_stemmed_in_a_case():
    assert [language for language, _, _ in STEMMED] == sorted(analysis.STEMMERS)


@pytest.mark.parametrize(("language", "text", "query"), STEMMED)
def test_words_are_stemmed_in_the_passages_language(tmp_path, language, text, query):
    assert finds(tmp_path / "its", text, query, language)
    # Questions need no language: the index's languages are tried.
    opened = make(tmp_path / "two", {0: text, 1: "unrelated"}, {0: language, 1: "en"})
    assert ask(opened, query) == [0]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("日本の石油価格が上昇した", "石油価格"),
        ("俄罗斯提供了人道主义援助", "人道主义"),
        ("러시아가 인도적 지원을 제공했다", "지원"),
        ("รัสเซียเสนอความช่วยเหลือด้านมนุษยธรรม", "ความช่วยเหลือ"),
        ("ຣັດເຊຍໄດ້ສະເໜີການຊ່ວຍເຫຼືອ", "ຊ່ວຍເຫຼືອ"),
        ("រុស្ស៊ីបានផ្តល់ជំនួយមនុស្សធម៌", "ជំនួយ"),
        ("ရုရှားသည် အကူအညီ ပေးခဲ့သည်", "အကူအညီ"),
        ("रूस ने मानवीय सहायता की पेशकश की", "सहायता"),
        ("רוסיה הציעה סיוע", "סִיּוּעַ"),
        ("روسيا قدّمت مساعدات إنسانية", "انسانية"),
        ("روسیه کمک ارائه کرد", "كمك"),
        ("Müller ging", "muller"),
        ("naïve café", "cafe"),
    ],
)
def test_scripts_and_spellings_are_found(tmp_path, text, query):
    assert finds(tmp_path, text, query, "")


def test_a_phrase_without_spaces_is_exact(tmp_path):
    opened = make(tmp_path, {0: "石油価格の上昇", 1: "価格と石油、油価"}, "")
    assert ask(opened, '"石油価格"') == [0]


def test_stop_words_are_left_out_of_questions_that_have_others(tmp_path):
    opened = make(tmp_path, {0: "the aid", 1: "the", 2: "die Hilfe"}, {0: "en", 1: "en", 2: "de"})
    assert ask(opened, "the aid") == [0]
    assert ask(opened, "the") == [1, 0]
    analyzers = {language: analysis.Analyzer(language) for language in ("en", "de")}

    def looked_for(text: str) -> list[str]:
        return [word.text for word in question.read(text, {"en": 2, "de": 1}, analyzers).words]

    assert looked_for("the aid of the") == ["aid"]
    assert looked_for("what did the WHO say") == ["who", "say"]
    assert looked_for("WHAT DID THE U.S. SAY") == ["us", "say"]


# Any text is a question.

HOSTILE = [
    "AND OR NOT", "title:x", '"', '"" ""', "(((", "a^9", "*", "x~2", "[a TO b]", "\\", "\0", "\ud800", "'", "🙂",
    "\u00ad", "\u0301",
    "“”", "»«", "-x +y", "a" * 70_000, '"' + "a " * 500 + '"', '"水" x',
]  # fmt: skip


@pytest.fixture(scope="module")
def some(tmp_path_factory):
    documents = {0: "oil and not gas or title x", 1: "日本 水 🙂 a", 2: "die Häuser", 3: "x y a a a b"}
    return make(tmp_path_factory.mktemp("some"), documents, {0: "en", 1: "", 2: "de", 3: "en"})


@pytest.mark.parametrize("query", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_questions(some, query):
    is_safe(some, query)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="\"“”„«»a b水é'.-", max_size=30))
def test_any_text_is_a_safe_question(some, query):
    is_safe(some, query)


def is_safe(opened: Lexical, query: str) -> None:
    found = opened.search(query, 10)
    assert np.isfinite(found.scores).all()
    assert (found.scores > 0).all()
    assert opened.scores(query, found.rows).tolist() == found.scores.tolist()
    assert (found.scores <= opened.bound(query) + 1e-4).all()
    opened.must_match(query)
    opened.explain(query, 0)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=4), st.sampled_from(["en", "ar", "ta", ""]))
def test_any_text_can_be_indexed_and_is_found_by_itself(tmp_path_factory, texts, language):
    opened = make(tmp_path_factory.mktemp("any"), dict(enumerate(texts)), language)
    for row, text in enumerate(texts):
        if analysis.words(text):
            assert row in ask(opened, text)


# Writing.


def test_going_on_gives_the_scores_of_a_new_index(tmp_path):
    rng = np.random.default_rng(0)
    texts = {row: " ".join(rng.choice(WORDS, rng.integers(1, 40))) for row in range(200)}
    whole = make(tmp_path / "whole", texts)
    before = None
    for part in range(10):
        folder = tmp_path / f"part{part}"
        writer = LexicalWriter(folder, before)
        add(writer, {row: text for row, text in texts.items() if row % 10 == part})
        writer.commit()
        assert all(is_lexical_file(path.name) for path in folder.iterdir())
        before = folder
    grown = Lexical.open(folder)
    for query in ("oil", "gas sword tank", '"oil gas"'):
        one, other = whole.search(query, 200), grown.search(query, 200)
        assert one.rows.tolist() == other.rows.tolist()
        assert one.scores.tolist() == other.scores.tolist()
    segments = {path.stem for path in folder.glob("*.idx")}
    assert len(segments) < 10


def test_the_folder_gone_on_from_stays_and_its_deleted_rows_never_come_back(tmp_path):
    old = make(tmp_path / "old", {0: "oil", 1: "oil gas", 2: "gas"})
    names = {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()}
    writer = LexicalWriter(tmp_path / "new", tmp_path / "old")
    writer.delete([0, 2], ["en", "en"])
    add(writer, {2: "die Häuser"}, "de")
    writer.commit()
    assert {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()} == names
    new = Lexical.open(tmp_path / "new")
    assert (ask(old, "oil"), ask(new, "oil"), ask(new, "haus"), ask(new, "gas")) == ([0, 1], [1], [2], [1])
    assert Facts.read(tmp_path / "new") == Facts(analysis.VERSION, {"en": 1, "de": 1}, 2)
    assert new.n_documents == 2


def test_damage_is_told(tmp_path):
    make(tmp_path / "a", {0: "oil"})
    with pytest.raises(IndexCorrupt, match=r"mend it with semsearch check --repair$"):
        Lexical.open(tmp_path / "none")
    for name in ("meta.json", "lexical.json"):
        whole = (tmp_path / "a" / name).read_bytes()
        for broken in (b"", b"{", b"[]", b'{"languages": 3}'):
            (tmp_path / "a" / name).write_bytes(broken)
            with pytest.raises(IndexCorrupt, match=r"mend it with semsearch check --repair$"):
                Lexical.open(tmp_path / "a")
        (tmp_path / "a" / name).write_bytes(whole)
    assert ask(Lexical.open(tmp_path / "a"), "oil") == [0]


def test_threads_share_an_index(some):
    expected = ask(some, "oil häuser x 日本")
    wrong = []

    def work():
        for _ in range(50):
            if ask(some, "oil häuser x 日本") != expected:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# Languages.

GERMAN = "Die russische Regierung hat am Donnerstag angekündigt, dass sie humanitäre Hilfe in die Region schicken wird."
ENGLISH = (
    "The Russian government said on Thursday that it would send humanitarian aid to the region, which the war has left destroyed."
)
POLISH = (
    "Rząd rosyjski ogłosił w czwartek, że wyśle pomoc humanitarną do regionu zniszczonego przez wojnę, powiedział rzecznik rządu."
)


def test_languages():
    assert languages("", [ENGLISH, GERMAN, POLISH]) == ["en", "de", ""]
    # What is too short has the article's language: as declared, as read, or English.
    assert languages("", ["Kurz.", GERMAN]) == ["de", "de"]
    assert languages("", ["Kurz.", "Knapp."], "de-AT") == ["de", "de"]
    assert languages("", ["Kurz.", ENGLISH], "de") == ["de", "en"]
    assert languages("", ["Krótko."], "pl") == [""]
    assert languages("", ["12345"]) == ["en"]
    assert languages("", []) == []
    for odd in (None, 3, "", "?", "english", ["de"]):
        assert languages("", ["12345"], odd) == ["en"]
    assert languages("", ["\ud800" * 200]) == ["en"]


def test_quotes_are_read():
    analyzers = {"en": analysis.Analyzer("en")}
    read = question.read('"running dogs" oil “U.S. aid” "', {"en": 1}, analyzers)
    assert [word.text for word in read.words] == ["running", "dogs", "oil", "us", "aid"]
    assert read.phrases == ((("run", "dog"),), (("us", "aid"),))
    assert json.dumps(read.words[0].terms) == '["run"]'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The council met in the old town hall, and the mayor spoke of the harbour that was to be built by the sea.", True),
        ("Der Rat traf sich im alten Rathaus, and the mayor was nicht dabei, wie man hier seit vielen Jahren sagt.", False),
        ("El consejo se reunió en el antiguo ayuntamiento y el alcalde habló del puerto que se iba a construir.", False),
        ("The café and the naïve mayor of the town that is by the sea", False),
        ("and of that which is by itself", False),
        ("", False),
    ],
)
def test_what_is_plainly_english_is_not_asked_about(text, expected):
    assert _is_plain_english(text) is expected
