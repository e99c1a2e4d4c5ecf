"""Articles of an index as a whole: in order, around a passage, listed, and what they can be told apart by."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import FakeEncoder
from helpers import build, records, sentence, write

import semsearch
from semsearch.errors import InputError

PARAGRAPHS = ["aid, vaccine", "oil oil", "sword, battle", "gas", "charter"]


@pytest.fixture
def index(tmp_path: Path):
    write(tmp_path / "notes", "one.md", *PARAGRAPHS, title="First")
    write(tmp_path / "notes" / "deep", "two.md", "election", title="Second")
    build(tmp_path / "notes", tmp_path / "index")
    with semsearch.open(tmp_path / "index", encoder=FakeEncoder()) as opened:
        yield opened


def test_a_hit_leads_to_its_article(index):
    hit = index.search("oil", 1)[0]
    found = index.article(hit.article_id)
    assert (found.article.title, found.article.n_passages, found.first) == ("First", len(PARAGRAPHS), 0)
    assert [passage.text for passage in found.passages] == [
        " ".join(sentence(words) for words in paragraph.split(", ")) for paragraph in PARAGRAPHS
    ]
    (same,) = [passage for passage in found.passages if passage.passage_id == hit.passage_id]
    assert (same.text, same.line, same.start, same.end) == (hit.text, hit.line, hit.start, hit.end)
    assert found.article.path == hit.path
    assert found.article.source == hit.source


@pytest.mark.parametrize(("first", "limit"), [(0, 2), (1, 3), (4, 10), (5, 10), (0, 0)])
def test_a_part_of_an_article(index, first: int, limit: int):
    whole = index.article(index.search("oil", 1)[0].article_id).passages
    part = index.article(index.search("oil", 1)[0].article_id, first=first, limit=limit)
    assert (part.first, part.passages) == (first, whole[first : first + limit])


@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 1), (3, 0), (50, 50)])
def test_around_a_passage(index, before: int, after: int):
    hit = index.search("oil", 1)[0]
    whole = index.article(hit.article_id).passages
    found = index.around(hit.passage_id, before, after)
    assert found.first == max(0, 1 - before)
    assert found.passages == whole[max(0, 1 - before) : 2 + after]


def test_names_stay_and_never_mean_something_else(index, tmp_path: Path):
    hit = index.search("oil", 1)[0]
    other = index.search("election", 1)[0]
    # The same numbers for other texts: an index made anew of other articles.
    write(tmp_path / "notes", "one.md", "election", "council", title="First")
    build(tmp_path / "notes", tmp_path / "index", fresh=True)
    with semsearch.open(tmp_path / "index", encoder=FakeEncoder()) as newer:
        for stale in (hit.passage_id, f"{hit.passage_id.split('-')[0]}-{'0' * 10}"):
            with pytest.raises(InputError, match="there is no passage"):
                newer.around(stale)
        kept = newer.search("election", 10, fold=False)
        assert {found.source: found.article_id for found in kept}[other.source].endswith(other.article_id.split("-")[1])
        for found in kept:
            assert newer.around(found.passage_id, 0, 0).passages[0].text == found.text


@pytest.mark.parametrize(
    "name", ["", "1", "1-", "0-0000000000", "-1-0000000000", "1-zzzzzzzzzz", "9" * 40, "1-0000000000\n", "é"]
)
def test_names_that_are_none(index, name: str):
    with pytest.raises(InputError, match="there is no article"):
        index.article(name)
    with pytest.raises(InputError, match="there is no passage"):
        index.around(name)


def test_articles_are_listed_by_source(index):
    listed = index.articles()
    assert [info.title for info in listed] == ["Second", "First"]
    assert [info.title for info in index.articles(first=1)] == ["First"]
    assert [info.title for info in index.articles(limit=1)] == ["Second"]
    assert [info.title for info in index.articles(where="title=First")] == ["First"]
    assert index.articles(where="title=Third") == []
    assert index.article(listed[0].article_id).article == listed[0]


def test_facets(tmp_path: Path):
    given = [
        {"text": "Aid.", "date": "2019-09-27", "tags": ["oil", "gas"], "n": 1, "ok": True},
        {"text": "Oil.", "date": "2020", "tags": ["oil"], "n": 2},
        {"text": "Gas.", "date": "someday", "tags": "gas", "note": "x" * 100, "nested": {"a": 1}},
    ]
    source = records(tmp_path / "a" / "b", given)
    build(source, tmp_path / "index")
    with semsearch.open(tmp_path / "index", encoder=FakeEncoder()) as opened:
        found = opened.facets()
    assert found.n_articles == 3
    assert found.dates == ("2019-09-27", "2020")
    assert found.sources[0][1] == 3
    assert {key: dict(values) for key, values in found.values.items()} == {
        "date": {"2019-09-27": 1, "2020": 1, "someday": 1},
        "tags": {"gas": 2, "oil": 2},
        "n": {"1": 1, "2": 1},
        "ok": {"true": 1},
    }
    for key, value in (("tags", "oil"), ("n", "1"), ("ok", "true")):
        with semsearch.open(tmp_path / "index", encoder=FakeEncoder()) as opened:
            assert len(opened.articles(where=f"{key}={value}")) == dict(found.values[key])[value]


def test_keys_that_tell_single_articles_apart_are_no_facets(tmp_path: Path):
    source = records(
        tmp_path, [{"text": f"Text {number}.", "id": f"id-{number}", "half": str(number // 2)} for number in range(500)]
    )
    build(source, tmp_path / "index")
    with semsearch.open(tmp_path / "index", encoder=FakeEncoder()) as opened:
        found = opened.facets()
    assert set(found.values) == {"half"}
    assert len(found.values["half"]) == 200


def test_a_closed_index_says_so(index):
    index.close()
    for ask in (index.facets, index.articles, lambda: index.article("1-0000000000"), lambda: index.around("1-0000000000")):
        with pytest.raises(InputError, match="was closed"):
            ask()
