"""What is done for size: searching by codes with a recall that was measured, indexes without codes of words, little written."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeEncoder
from helpers import build, found, records, run, segments

import semsearch
from semsearch import builder
from semsearch.errors import InputError
from semsearch.store import Reader
from semsearch.vectors import Vectors

WORDS = ["aid", "vaccine", "oil", "gas", "sword", "battle", "council", "election", "charter", "harbour"]


def texts(count: int, first: int = 0) -> list[str]:
    """Passages that all differ, in their words and in how often they have them."""
    draw = np.random.default_rng(first)
    return [
        f"Number{number} " + " ".join(f"{word} " * int(draw.integers(0, 4)) for word in WORDS)
        for number in range(first, first + count)
    ]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes are scanned from 300 rows on."""
    monkeypatch.setattr(builder, "EXACT_ROWS", 300)


@pytest.fixture
def picked(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """How many rows each search by codes picked, None where all were multiplied."""
    told: list[int | None] = []
    by_codes, exact = Vectors._picked, Vectors._exact

    def pick(self, queries, k, allowed, depth):
        told.append(depth)
        return by_codes(self, queries, k, allowed, depth)

    def multiply(self, queries, k, allowed):
        told.append(None)
        return exact(self, queries, k, allowed)

    monkeypatch.setattr(Vectors, "_picked", pick)
    monkeypatch.setattr(Vectors, "_exact", multiply)
    return told


@pytest.mark.usefixtures("few")
def test_many_rows_are_searched_by_codes_with_the_recall_that_was_measured(tmp_path, home, picked):
    source = records(tmp_path / "articles", texts(400))
    build(source, home)
    picked.clear()
    with semsearch.open(home, encoder=FakeEncoder()) as index:
        facts = index.status()["search"]
        results = index.search("oil council", 10, fold=False)
    assert facts.pop("measured_recall") >= 0.98
    depth = facts.pop("rescored")
    assert facts == {"kind": "approximate", "target_recall": 0.98, "of_nearest": 10, "queries": 400, "vectors": 400}
    assert picked == [max(depth, 200)]
    build(source, tmp_path / "exact", target_recall=1.0)
    picked.clear()
    exact = found(tmp_path / "exact", "oil council")
    assert picked == [None]
    assert results.hits == exact.hits
    (told,) = [line for line in run("status", "--index", str(home)).stdout.splitlines() if line.startswith("search ")]
    assert told.split(maxsplit=1)[1].startswith("approximate, target recall 0.98, meas")


@pytest.mark.usefixtures("few")
def test_the_recall_is_kept_with_the_index_and_measured_again_when_it_has_grown(tmp_path, home):
    def state() -> dict[str, object]:
        with closing(Reader(home)) as reader:
            return {"generation": reader.meta["generation"], **json.loads(reader.meta["recall"] or "{}")}

    folder = tmp_path / "articles"
    records(folder / "a", texts(310))
    build(folder, home, target_recall=0.9)
    first = state()
    assert (first["target"], first["n_rows"]) == (0.9, 310)
    build(folder, home)
    assert state() == first
    records(folder / "b", texts(20, 1000))
    build(folder, home)
    assert (state()["generation"], state()["n_rows"], state()["target"]) == ("2", 310, 0.9)
    records(folder / "c", texts(50, 2000))
    build(folder, home)
    assert (state()["generation"], state()["n_rows"], state()["target"]) == ("3", 380, 0.9)
    build(folder, home, target_recall=0.99)
    assert (state()["generation"], state()["target"]) == ("4", 0.99)
    for name in ("b", "c"):
        (folder / name / "all.jsonl").unlink()
    records(folder / "a", texts(100))
    build(folder, home)
    with semsearch.open(home) as index:
        assert index.status()["search"] == {"kind": "exact"}
    assert semsearch.check(home, encoder=FakeEncoder()).ok


@pytest.mark.usefixtures("few")
def test_where_no_number_of_rows_is_enough_all_are_multiplied(tmp_path, home, monkeypatch, caplog, picked):
    monkeypatch.setattr("semsearch.vectors.recall._CERTAIN", 10**6)
    monkeypatch.setattr("semsearch.vectors.recall._DEPTHS", (1,))
    source = records(tmp_path / "articles", texts(400))
    build(source, home)
    assert "where 0.980 was asked for: every search goes over all vectors" in caplog.text
    picked.clear()
    with semsearch.open(home, encoder=FakeEncoder()) as index:
        assert index.status()["search"] == {"kind": "exact"}
        assert len(index.search("oil council", 10, fold=False)) == 10
    assert picked == [None]


@pytest.mark.parametrize("share", [0, -1, 1.01, float("nan")])
def test_a_recall_that_is_no_share_is_refused(notes, home, share):
    with pytest.raises(InputError, match=r"give a share above 0, such as 0\.98, or 1 for exact search"):
        build(notes, home, target_recall=share)
    assert not home.exists()


@pytest.mark.parametrize(
    "stored", ["", "x", "[]", '{"depth": 5}', '{"target": 1, "recall": 1, "depth": -3, "n_rows": 4, "n_queries": 1}']
)
def test_a_recall_that_cannot_be_read_means_exact_search(notes, home, stored):
    from stores import edit

    build(notes, home)
    edit(home, "INSERT OR REPLACE INTO meta VALUES ('recall', ?)", stored)
    edit(home, "INSERT OR REPLACE INTO meta VALUES ('target_recall', ?)", stored)
    with semsearch.open(home, encoder=FakeEncoder()) as index:
        assert index.status()["search"] == {"kind": "exact"}
        assert index.search("oil")
    build(notes, home)


@pytest.mark.usefixtures("few")
def test_a_filter_keeps_the_recall(tmp_path, home):
    given = [{"text": text, "kind": "rare" if number % 40 == 0 else "common"} for number, text in enumerate(texts(600))]
    source = records(tmp_path / "articles", given)
    build(source, home)
    build(source, tmp_path / "exact", target_recall=1.0)
    for where in ("kind=rare", "kind=common", "kind!=common"):
        for query in ("oil council", "sword", "vaccine aid election"):
            assert found(home, query, where=where).hits == found(tmp_path / "exact", query, where=where).hits


# Without codes of words.


@pytest.mark.usefixtures("no_model")
def test_a_compact_index_has_no_codes_and_answers(notes, home, tmp_path):
    assert run("index", str(notes), "--index", str(home), "--compact").exit_code == 0
    build(notes, tmp_path / "whole")
    with semsearch.open(home, encoder=FakeEncoder()) as index:
        assert index.status()["compact"] is True
        assert not index._reader.vectors().has_words
        for mode, names in (("hybrid", ["cosine", "lexical", "feedback"]), ("dense", ["cosine"]), ("lexical", ["lexical"])):
            results = index.search("vaccine", mode=mode, explain=True)
            assert "vaccine" in results[0].highlight.text
            assert 0 < results[0].confidence < 1
            assert [name for name, _, _ in results[0].explanation.parts] == names
            total = sum(value * weight for _, value, weight in results[0].explanation.parts)
            assert results[0].score == pytest.approx(
                total / sum(weight for _, _, weight in results[0].explanation.parts), abs=2e-6
            )
    assert semsearch.check(home, encoder=FakeEncoder()).ok
    small, large = (sum(map(len, segments(path).values())) for path in (home, tmp_path / "whole"))
    assert small < large


def test_a_compact_index_stays_compact_and_another_does_not_become_it(notes, home, tmp_path):
    build(notes, home, compact=True)
    (notes / "three.md").write_text("# Third\n\nThe harbour council met about oil.\n")
    report, _ = build(notes, home)
    assert report.encoded == 1
    with semsearch.open(home, encoder=FakeEncoder()) as index:
        assert index.status()["compact"] is True
    build(notes, home, compact=True)
    with pytest.raises(InputError, match="built without codes of words: add --fresh"):
        build(notes, home, compact=False)
    build(notes, home, compact=False, fresh=True)
    with semsearch.open(home, encoder=FakeEncoder()) as index:
        assert index.status()["compact"] is False
    with pytest.raises(InputError, match="built with codes of words: add --fresh"):
        build(notes, home, compact=True)


def test_a_repair_keeps_a_compact_index_compact(notes, home):
    build(notes, home, compact=True)
    for path in home.glob("segment-*"):
        path.unlink()
    assert semsearch.check(home, encoder=FakeEncoder(), repair=True).ok
    with semsearch.open(home, encoder=FakeEncoder()) as index:
        assert not index._reader.vectors().has_words


# Little is written for little.


def test_one_more_article_rewrites_no_file_of_the_others(tmp_path, home):
    folder = tmp_path / "articles"
    records(folder, texts(500))
    build(folder, home)
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in home.rglob("*") if path.is_file()}
    (folder / "new.md").write_text("# New\n\nThe harbour council met about oil.\n")
    build(folder, home)
    for path, (inode, written) in before.items():
        if path.name.startswith("segment-"):
            assert (path.stat().st_ino, path.stat().st_mtime_ns) == (inode, written)
    # The lexical side is another folder, of the same files and a few small ones.
    inodes = {inode for inode, _ in before.values()}
    fresh = [path for path in Path(home).rglob("*") if path.is_file() and path.stat().st_ino not in inodes]
    assert sum(path.stat().st_size for path in fresh) < 10_000
