"""Filters inside an index: which rows they leave, which passages are shown, what is kept for the next time."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FakeEncoder
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import edit

from semsearch import limits
from semsearch.errors import IndexCorrupt, InputError
from semsearch.filters import Filter, parse
from semsearch.protocols import Allowed, PassageText
from semsearch.records import Article, Passage
from semsearch.store import Codes, Reader, embedding_hash, filtering, reader
from semsearch.store.writer import Writer

Articles = dict[str, tuple[dict[str, Any], list[str]]]
ARTICLES: Articles = {
    "notes/a.md": ({"date": "2019-09-27", "tags": ["oil"]}, ["aid", "oil gas", "shared"]),
    "notes/b.md": ({"date": "2020-01-01", "tags": ["gas", "oil"]}, ["shared", "battle", "shared"]),
    "dump.jsonl#1": ({"date": "2019-10"}, ["shared", "council"]),
    "dump.jsonl#2": ({"date": "2021"}, ["vaccine"]),
    "dump.jsonl#12": ({}, ["aid"]),
    "empty.md": ({"date": "2019-09-27"}, []),
}


def write(folder: Path, articles: Articles) -> None:
    """An index of articles of one-sentence passages, titled by their number."""
    with closing(Writer(folder)) as writer:
        files: dict[str, int] = {}
        for number, (source, (metadata, texts)) in enumerate(articles.items()):
            file, sign, line = source.partition("#")
            if file not in files:
                files[file] = writer.add_file(file, file, file.encode())
            cut = [Passage(text, (), place, 1, 0, len(text), (), ()) for place, text in enumerate(texts, 1)]
            hashed = [(each, embedding_hash(PassageText("", each.text, ()))) for each in cut]
            writer.add_article(files[file], sign + line, Article(source, f"Article {number}", metadata, ()), hashed)
        hashes = writer.unencoded()
        if hashes:
            texts = [text for _, _, text, _ in writer.passage_texts(hashes)]
            tokens, sentences = zip(*(FakeEncoder.tokens(PassageText("", text, ())) for text in texts), strict=True)
            writer.add_vectors(hashes, FakeEncoder.vectors(texts), Codes(tokens, sentences))
        writer.commit(FakeEncoder().fingerprint, "1.0")


def shown(opened: Reader, where: Any, limit: int = 100) -> list[tuple[str, str]]:
    """Source and text of every passage that comes back for the rows that a filter leaves."""
    allowed = opened.allowed(parse(where))
    assert (allowed.rows.dtype, allowed.articles.dtype) == (np.int64, np.int64)
    for array in (allowed.rows, allowed.articles):
        assert array.tolist() == sorted(set(array.tolist()))
    return [(item.source, item.passage.text) for item in opened.passages(allowed.rows.tolist(), limit, allowed=allowed)]


@pytest.fixture
def opened(tmp_path):
    write(tmp_path / "index", ARTICLES)
    with closing(Reader(tmp_path / "index")) as made:
        yield made


@pytest.mark.parametrize(
    ("where", "sources"),
    [
        ("source=notes/a.md", ["notes/a.md"]),
        ("source=notes", ["notes/a.md", "notes/b.md"]),
        ("source=dump.jsonl", ["dump.jsonl#1", "dump.jsonl#2", "dump.jsonl#12"]),
        ("source=dump.jsonl#1", ["dump.jsonl#1"]),
        ("title=Article 3", ["dump.jsonl#2"]),
        ("date=2019", ["notes/a.md", "dump.jsonl#1", "empty.md"]),
        ("date>2019-09", ["notes/b.md", "dump.jsonl#1", "dump.jsonl#2"]),
        ({"tags": ["gas", "coal"]}, ["notes/b.md"]),
        ("date!=*", ["dump.jsonl#12"]),
        (["date=2019", "source=*.jsonl"], ["dump.jsonl#1"]),
        ("date=1999", []),
        ("source=empty.md", []),
        (None, list(ARTICLES)),
    ],
)
def test_all_passages_of_the_articles_that_are_meant_and_no_others(opened, where, sources):
    expected = [(source, text) for source in sources for text in ARTICLES[source][1]]
    assert sorted(shown(opened, where)) == sorted(expected)


def test_a_shared_row_shows_only_copies_of_articles_that_are_meant(opened):
    (row,) = [item.row for item in opened.passages(range(10), 1) if item.passage.text == "shared"]
    allowed = opened.allowed(parse("source=notes/b.md"))
    assert row in allowed.rows
    # The limit counts copies that are shown, not those passed over before them.
    (only,) = opened.passages([row], 1, allowed=allowed)
    assert only.source == "notes/b.md"
    assert [item.passage.paragraph for item in opened.passages([row], 5, allowed=allowed)] == [1, 3]
    assert len(opened.passages([row], 9)) == 4
    assert opened.passages([row], 5, allowed=opened.allowed(parse("source=dump.jsonl#2"))) == []


def test_the_last_filters_are_kept_and_no_more(opened, monkeypatch):
    looked: list[Filter] = []
    find = filtering.find

    def counted(execute: filtering.Execute, wanted: Filter) -> Allowed:
        looked.append(wanted)
        return find(execute, wanted)

    monkeypatch.setattr(filtering, "find", counted)
    first = parse("date=2019")
    kept = opened.allowed(first)
    for number in range(reader._FILTERS - 1):
        opened.allowed(parse({"date": str(3000 + number)}))
        assert opened.allowed(parse({"date": ["2019"]})) is kept
    assert len(looked) == reader._FILTERS
    opened.allowed(parse("date=4000"))
    assert opened.allowed(first) is kept
    opened.allowed(parse("date=3000"))
    assert looked[-1] == parse("date=3000")
    assert len(opened._allowed) == reader._FILTERS


def test_other_threads_read_while_a_filter_is_evaluated(opened, monkeypatch):
    counts: list[dict[str, int]] = []

    def matches(*_: Any) -> bool:
        # The reader's lock is reentrant, so only another thread shows that it is free.
        reading = threading.Thread(target=lambda: counts.append(opened.counts()), daemon=True)
        reading.start()
        reading.join(10)
        return True

    monkeypatch.setattr(Filter, "matches", matches)
    assert opened.allowed(parse("tags=oil")).n_articles == len(ARTICLES) == len(counts)


def test_a_filter_is_evaluated_until_the_deadline(opened, monkeypatch):
    looked: list[str] = []
    monkeypatch.setattr(Filter, "matches", lambda _, source, *__: looked.append(source))
    with limits.deadline(time.monotonic() + 3600):
        opened.allowed(parse("tags=oil"))
    assert len(looked) == len(ARTICLES)
    with limits.deadline(time.monotonic() - 1), pytest.raises(limits.DeadlineExceeded):
        opened.allowed(parse("tags=gas"))
    assert len(looked) == len(ARTICLES)


def test_an_open_index_filters_its_own_generation(opened, tmp_path):
    before = shown(opened, "source=notes/a.md")
    write(tmp_path / "index", {"later.md": ({"date": "2019"}, ["aid"])})
    assert shown(opened, "source=notes/a.md") == before
    assert shown(opened, "source=later.md") == []
    with closing(Reader(tmp_path / "index")) as again:
        assert shown(again, "source=later.md") == [("later.md", "aid")]


def test_many_articles_go_in_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(filtering, "_BATCH", 3)
    articles: Articles = {f"{number}.md": ({"n": number}, ["shared", f"own {number}"]) for number in range(20)}
    write(tmp_path / "index", articles)
    with closing(Reader(tmp_path / "index")) as opened:
        found = shown(opened, {"n": {">=": 5}})
    assert sorted(found) == sorted((f"{n}.md", text) for n in range(5, 20) for text in ("shared", f"own {n}"))


def test_a_closed_reader_and_damaged_metadata_are_told(tmp_path):
    write(tmp_path / "index", ARTICLES)
    edit(tmp_path / "index", "UPDATE articles SET metadata = '{' WHERE id = 2")
    opened = Reader(tmp_path / "index")
    with pytest.raises(IndexCorrupt, match="make it anew with semsearch index"):
        opened.allowed(parse("date=2019"))
    # What needs no metadata is not held up by it.
    kept = parse("source=dump.jsonl")
    assert len(opened.allowed(kept).articles) == 3
    opened.close()
    with pytest.raises(InputError, match="was closed"):
        opened.allowed(kept)


TEXTS = ["aid", "oil", "gas gas", "sword", "aid oil", "battle", "council aid"]


@settings(derandomize=True, max_examples=40, deadline=None, database=None)
@given(
    articles=st.lists(
        st.tuples(st.sampled_from(["x", "y", "z"]), st.lists(st.sampled_from(TEXTS), max_size=4)), min_size=1, max_size=6
    ),
    meant=st.sampled_from(["kind=x", "kind!=x", "kind=y|z", "kind=q"]),
    k=st.integers(1, 30),
)
def test_what_a_filtered_search_shows_is_all_there_is_to_see(tmp_path_factory, articles, meant, k):
    """From filter to passages against a sort of everything: however low a passage ranks among all, it comes."""
    folder = tmp_path_factory.mktemp("filtered")
    write(folder / "index", {f"{number}.md": ({"kind": kind}, texts) for number, (kind, texts) in enumerate(articles)})
    query = FakeEncoder.vectors(["aid"])
    with closing(Reader(folder / "index")) as opened:
        allowed = opened.allowed(parse(meant))
        (found,) = opened.vectors().search(query, k, allowed=allowed.rows)
        items = opened.passages(found.rows.tolist(), 100, allowed=allowed)
    chosen = [
        (f"{number}.md", text)
        for number, (kind, texts) in enumerate(articles)
        if parse(meant).matches("", "", {"kind": kind})
        for text in texts
    ]
    scores = {text: float(FakeEncoder.vectors([text])[0] @ query[0]) for _, text in chosen}
    assert sorted(found.scores.tolist(), reverse=True) == pytest.approx(sorted(scores.values(), reverse=True)[:k], abs=1e-6)
    texts = {item.passage.text for item in items}
    assert len(texts) == len(found.rows)
    assert sorted((item.source, item.passage.text) for item in items) == sorted(each for each in chosen if each[1] in texts)
