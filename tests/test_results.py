from __future__ import annotations

import builtins
import json
import re
from collections.abc import Sequence
from dataclasses import FrozenInstanceError
from html.parser import HTMLParser

import pytest

from semsearch.errors import InputError, MissingExtra
from semsearch.records import Explanation, Highlight, Hit, Place
from semsearch.results import Results


def hit(rank: int = 1, **changes) -> Hit:
    values = {
        "rank": rank,
        "score": 0.75 / rank,
        "text": "Russia sent aid. It arrived.",
        "title": "Aid",
        "source": "notes/a.md",
        "start": 10,
        "end": 38,
        "line": 3,
        "paragraph": 2,
        "heading": "Help › Russia",
        "highlight": Highlight(10, 26, "Russia sent aid."),
        "scores": {"dense": 0.75 / rank, "lexical": None},
        "metadata": {"date": "2020-01-02"},
        "path": "/home/me/notes/a.md",
        "passage_id": "7-0123456789",
        "article_id": "2-9876543210",
    }
    return Hit(**{**values, **changes})


def results(*hits: Hit, query: str = "what aid") -> Results:
    return Results(query, "dense", 1.23456, bool(hits), hits)


def test_results_are_a_sequence():
    first, second, third = hit(1), hit(2), hit(3)
    found = results(first, second, third)
    assert isinstance(found, Sequence)
    assert (len(found), list(found), found[0], found[-1]) == (3, [first, second, third], first, third)
    assert found[1:] == (second, third)
    assert list(reversed(found)) == [third, second, first]
    assert second in found
    assert hit(4) not in found
    assert (found.index(third), found.count(first)) == (2, 1)
    with pytest.raises(IndexError):
        found[3]


def test_empty_results_are_falsy():
    assert not results()
    assert results(hit())
    assert (list(results()), results().to_dicts()) == ([], [])


def test_results_and_hits_are_frozen_and_hashable():
    with pytest.raises(FrozenInstanceError):
        results().query = "x"
    with pytest.raises(FrozenInstanceError):
        hit().score = 1.0
    assert len({results(hit()), results(hit())}) == 1


def test_to_dicts_has_the_keys_of_the_contract():
    assert results(hit()).to_dicts() == [
        {
            "rank": 1,
            "score": 0.75,
            "text": "Russia sent aid. It arrived.",
            "title": "Aid",
            "source": "notes/a.md",
            "start": 10,
            "end": 38,
            "line": 3,
            "paragraph": 2,
            "heading": "Help › Russia",
            "highlight": {"start": 10, "end": 26, "text": "Russia sent aid."},
            "scores": {"dense": 0.75, "lexical": None},
            "page": None,
            "passage_id": "7-0123456789",
            "article_id": "2-9876543210",
            "confidence": 0.0,
            "duplicates": [],
            "metadata": {"date": "2020-01-02"},
        }
    ]


def test_to_dicts_of_a_hit_that_has_more():
    place = Place("notes/b.md", 5, 33, 2, 1, "Copy")
    explanation = Explanation((("cosine", 0.51234567, 1.0), ("late", 0.25, 0.8)), (("aid", 1.23456),), None)
    shown = hit(confidence=0.987654, duplicates=(place,), explanation=explanation).to_dict()
    assert shown["confidence"] == 0.9877
    assert shown["duplicates"] == [
        {"source": "notes/b.md", "start": 5, "end": 33, "line": 2, "paragraph": 1, "title": "Copy", "page": 0}
    ]
    assert shown["explanation"] == {
        "parts": [{"name": "cosine", "value": 0.512346, "weight": 1.0}, {"name": "late", "value": 0.25, "weight": 0.8}],
        "words": {"aid": 1.2346},
        "rerank": None,
    }
    assert list(shown)[-4:] == ["confidence", "duplicates", "explanation", "metadata"]
    json.dumps(shown)


def test_a_hit_that_came_from_no_search_has_no_context():
    with pytest.raises(InputError, match=r"search again$"):
        hit().context()


def test_to_json_is_one_line_with_the_keys_of_the_contract():
    found = results(hit(1), hit(2))
    document = found.to_json()
    assert "\n" not in document
    assert json.loads(document) == {
        "query": "what aid",
        "mode": "dense",
        "took_ms": 1.235,
        "answerable": True,
        "hits": found.to_dicts(),
    }
    assert list(json.loads(document)) == ["query", "mode", "took_ms", "answerable", "hits"]
    assert json.loads(results().to_json())["hits"] == []


HOSTILE = 'a\x1b[31m\x07\x9b2J\u202e\u2066\u2028\x85\x7f\u200f\r\n\t\0 \ud800 é 中 😀 " \\ </script>'


def test_json_survives_hostile_text_and_steers_no_terminal():
    found = results(hit(text=HOSTILE, title=HOSTILE, source=HOSTILE, metadata={HOSTILE: [HOSTILE]}), query=HOSTILE)
    document = found.to_json()
    loaded = json.loads(document)
    assert loaded["query"] == loaded["hits"][0]["text"] == HOSTILE
    assert loaded["hits"] == found.to_dicts()
    assert not set(document) & set("\x1b\x07\x9b\x85\x7f\u202e\u2066\u2028\u200f\r\n\ud800")
    assert "é 中 😀" in document
    document.encode()


def test_to_pandas_without_pandas(monkeypatch):
    load = builtins.__import__

    def refuse(name, *rest, **options):
        if name == "pandas":
            raise ImportError(name)
        return load(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtra, match=r"pip install"):
        results(hit()).to_pandas()


def test_to_pandas():
    pytest.importorskip("pandas")
    frame = results(hit(1), hit(2)).to_pandas()
    assert list(frame.columns) == list(results(hit()).to_dicts()[0])
    assert frame["score"].tolist() == [0.75, 0.375]
    assert frame["highlight"][0] == {"start": 10, "end": 26, "text": "Russia sent aid."}
    assert list(results().to_pandas().columns) == list(frame.columns)
    assert len(results().to_pandas()) == 0


def test_to_pandas_flat():
    pytest.importorskip("pandas")
    frame = results(hit(1), hit(2, metadata={"tags": ["oil"]})).to_pandas(flat=True)
    assert frame["scores.dense"].tolist() == [0.75, 0.375]
    assert frame["highlight.text"].tolist() == ["Russia sent aid."] * 2
    assert frame["metadata.date"].tolist()[0] == "2020-01-02"
    assert frame["metadata.tags"].tolist()[1] == ["oil"]
    assert not {"scores", "highlight", "metadata"} & set(frame.columns)
    empty = results().to_pandas(flat=True)
    assert len(empty) == 0
    assert set(empty.columns) == {name for name in frame.columns if not name.startswith("metadata.")}


def test_repr_is_a_table():
    assert repr(results(hit(1), hit(2, heading="", text="One\nTwo"))) == (
        "2 passages for: what aid\n"
        "1. 0.75  Aid › Help › Russia\n"
        "   notes/a.md:3  (paragraph 2)\n"
        "   Russia sent aid. It arrived.\n"
        "2. 0.38  Aid\n"
        "   notes/a.md:3  (paragraph 2)\n"
        "   One\n"
        "   Two"
    )
    assert repr(results(hit())).startswith("1 passage for: what aid\n")
    assert repr(results()) == "no passages found for: what aid"


class _Seen(HTMLParser):
    """The elements of some HTML, their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.marked = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += data
        self.marked += data if self.tags[-1] == "mark" and not self.marked else ""


def test_html_marks_the_best_sentence():
    shown = _Seen(results(hit())._repr_html_())
    assert shown.marked == "Russia sent aid."
    assert "Russia sent aid. It arrived.notes/a.md:3  2020-01-02" in shown.text
    assert shown.tags[0] == "table"
    assert "no passages found" in results()._repr_html_()


def test_html_suits_the_notebook_it_is_in():
    """JupyterLab sets cells flush right, and notebooks are light or dark: the text has no colour of its own."""
    page = results(hit())._repr_html_()
    cells = re.findall(r"<t[dh] ([^>]*)>", page)
    assert len(cells) == 6
    assert all("text-align: left" in cell for cell in cells)
    assert set(re.findall(r"[^-]color: (\w+)", page)) == {"inherit"}
    assert "http" not in page


def test_html_says_when_nothing_relevant_was_found():
    doubtful = Results("what aid", "dense", 1.0, False, (hit(),))
    assert "nothing relevant found; the nearest passages:" in doubtful._repr_html_()
    assert "nothing relevant" not in results(hit())._repr_html_()
    assert "nothing relevant" not in results()._repr_html_()


@pytest.mark.parametrize(
    ("before", "best", "after", "shown"),
    [
        ("a" * 3000, "Here.", "b" * 3000, "…" + "a" * 498 + "Here." + "b" * 997 + "…"),
        ("a" * 3000, "Here.", "b" * 100, "…" + "a" * 1395 + "Here." + "b" * 100),
        ("a" * 100, "Here.", "b" * 3000, "a" * 100 + "Here." + "b" * 1395 + "…"),
        ("a" * 400, "Here.", "b" * 400, "a" * 400 + "Here." + "b" * 400),
        ("", "c" * 3000, "", "c" * 1500 + "…"),
    ],
)
def test_of_a_long_passage_html_has_what_is_around_the_best_sentence(before, best, after, shown):
    text = before + best + after
    long = hit(text=text, start=0, end=len(text), highlight=Highlight(len(before), len(before) + len(best), best))
    assert f"Help › Russia{shown}notes/a.md" in _Seen(results(long)._repr_html_()).text


def test_html_escapes_everything():
    attack = "<script>alert(\"x\")</script><img src=x onerror='y'>&amp;"
    wound = hit(
        text=attack, title=attack, source=attack, heading=attack, highlight=Highlight(10, 20, attack), metadata={"date": attack}
    )
    seen = _Seen(results(wound, query=attack)._repr_html_())
    ours = {"table", "caption", "thead", "tbody", "tr", "th", "td", "strong", "div", "mark", "br", "small"}
    assert set(seen.tags) <= ours
    assert seen.attributes == {"style"}
    assert seen.text.count(attack) == 6
