"""All passages of an index as a table."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
from conftest import FakeEncoder
from helpers import records, sentence, write

import semsearch
from semsearch import frames
from semsearch.errors import InputError, MissingExtra
from semsearch.store import reader as reading

pytest.importorskip("pandas")

FIXED = ["passage_id", "article_id", "source", "title", "heading", "paragraph", "line", "page", "start", "end", "text"]


@pytest.fixture
def index(notes, home):
    with semsearch.build(notes, home, encoder=FakeEncoder()) as built:
        yield built


def test_a_row_a_passage_in_the_order_of_the_articles(index, notes):
    frame = index.to_dataframe()
    assert list(frame.columns) == FIXED
    assert [text.split()[1] for text in frame["text"]] == ["aid", "oil", "sword", "gas"]
    assert frame["title"].tolist() == ["First", "First", "Second", "Second"]
    for row in frame.to_dict("records"):
        excerpt = index.around(row["passage_id"], 0, 0)
        (passage,) = excerpt.passages
        assert (excerpt.article.article_id, excerpt.article.source) == (row["article_id"], row["source"])
        assert {name: row[name] for name in FIXED[4:]} == {name: getattr(passage, name) for name in FIXED[4:]}
        text = (notes / row["source"].rpartition("/")[2]).read_text()
        assert text[row["start"] : row["end"]] == row["text"]
    # What is a hit's, too, is called the same.
    hit = index.search("oil", 1)[0].to_dict()
    found = frame.set_index("passage_id").loc[hit["passage_id"]]
    assert {**{name: found[name] for name in FIXED[1:]}, "page": None} == {name: hit[name] for name in FIXED[1:]}


def test_all_that_a_passage_has_is_a_column(index):
    (record, *_), *_ = index._reader.records()
    assert [*(name for name in record if name != "metadata")] == list(index.to_dataframe().columns)


def test_metadata_has_columns_of_its_own(tmp_path):
    given = [
        {"text": sentence("oil"), "title": "A", "year": 2001, "tags": ["x", "y"], "source": "elsewhere"},
        {"text": sentence("gas"), "title": "B", "year": 2002},
    ]
    with semsearch.build(records(tmp_path / "all", given), tmp_path / "index", encoder=FakeEncoder()) as built:
        frame = built.to_dataframe()
        assert list(frame.columns) == [*FIXED, "metadata.source", "metadata.tags", "metadata.year"]
        assert frame["metadata.year"].tolist() == [2001, 2002]
        assert frame["metadata.tags"].tolist()[0] == ["x", "y"]
        assert frame["metadata.source"].isna().tolist() == [False, True]
        assert frame["source"].str.endswith("all.jsonl#2").tolist() == [False, True]
        left = built.to_dataframe(where="year>=2002")
        assert left["title"].tolist() == ["B"]
        assert list(left.columns) == list(frame.columns)
        nothing = built.to_dataframe(where="year>2002", vectors=True)
        assert list(nothing.columns) == [*frame.columns, "vector"]
        assert len(nothing) == 0
        assert nothing["line"].dtype == np.int64
        with pytest.raises(InputError):
            built.to_dataframe(where="year")


def test_vectors_are_those_of_their_passages(index):
    frame = index.to_dataframe(vectors=True)
    expected = FakeEncoder.vectors([f"{title} {text}" for title, text in zip(frame["title"], frame["text"], strict=True)])
    assert np.array_equal(np.stack(frame["vector"]), expected)


def test_copies_are_rows_of_their_own(tmp_path):
    for name in ("a.md", "b.md"):
        write(tmp_path / "notes", name, "oil, gas", title="Same")
    with semsearch.build(tmp_path / "notes", tmp_path / "index", encoder=FakeEncoder()) as built:
        frame = built.to_dataframe(vectors=True)
        assert frame["source"].str[-4:].tolist() == ["a.md", "b.md"]
        assert frame["passage_id"].nunique() == 2
        assert np.array_equal(*frame["vector"])


def test_passages_are_read_some_at_a_time(index, monkeypatch):
    whole = index.to_dataframe(vectors=True)
    monkeypatch.setattr(reading, "_AT_ONCE", 3)
    assert [len(batch) for batch in index._reader.records()] == [3, 1]
    parts = index.to_dataframe(vectors=True)
    assert parts.drop(columns="vector").equals(whole.drop(columns="vector"))
    assert np.array_equal(np.stack(parts["vector"]), np.stack(whole["vector"]))


def test_too_many_keys_are_one_column(tmp_path, monkeypatch):
    given = [{"text": sentence(word), word: number} for number, word in enumerate(("oil", "gas", "aid"))]
    with semsearch.build(records(tmp_path / "all", given), tmp_path / "index", encoder=FakeEncoder()) as built:
        monkeypatch.setattr(frames, "MOST_KEYS", 3)
        assert {"metadata.aid", "metadata.gas", "metadata.oil"} <= set(built.to_dataframe().columns)
        monkeypatch.setattr(frames, "MOST_KEYS", 2)
        frame = built.to_dataframe()
        assert list(frame.columns) == [*FIXED, "metadata"]
        assert frame["metadata"].tolist() == [{"oil": 0}, {"gas": 1}, {"aid": 2}]


def test_without_pandas(index, monkeypatch):
    load = builtins.__import__

    def refuse(name, *rest, **options):
        if name == "pandas":
            raise ImportError(name)
        return load(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtra, match=r'to_dataframe\(\) needs pandas: python -m pip install "semsearch\[pandas\]"'):
        index.to_dataframe()


def test_an_index_that_was_closed(index):
    index.close()
    with pytest.raises(InputError, match="closed"):
        index.to_dataframe()
