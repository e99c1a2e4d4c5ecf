"""The index directory below `Index`: what is written is read, what a reader sees, what is swept."""

from __future__ import annotations

import os
from contextlib import closing

import numpy as np
import pytest
from conftest import FakeEncoder
from stores import FINGERPRINT, agrees, passage, put

from semsearch.errors import IndexLocked, IndexMissing
from semsearch.protocols import PassageText
from semsearch.records import Article, Problem, Sentence
from semsearch.store import Reader, embedding_hash, segments
from semsearch.store.writer import Writer


def test_what_was_written_is_read(tmp_path):
    put(tmp_path / "index", {"a.md": ["aid", "oil gas"], "b.md": ["aid"]})
    with closing(Reader(tmp_path / "index")) as reader:
        assert reader.fingerprint == FINGERPRINT
        assert (reader.meta["generation"], reader.meta["version"]) == ("1", "1.0")
        counts = reader.counts()
        assert counts.pop("bytes") == sum(path.stat().st_size for path in (tmp_path / "index").rglob("*") if path.is_file())
        assert counts == {"files": 2, "articles": 2, "passages": 3}
        (segment,) = reader.vectors().segments
        assert segment.n_rows == 2
        one, two = reader.passages([0], 10)
        assert (one.source, two.source, one.row, two.row) == ("as/a.md", "as/b.md", 0, 0)
        assert (one.title, one.metadata, one.path) == ("A.MD", {"file": "a.md"}, str(tmp_path / "a.md"))
        (other,) = reader.passages([1, 7], 10)
        assert other.passage == passage("oil gas", 1)
        assert [item.source for item in reader.passages([0, 1], 1)] == ["as/a.md", "as/a.md"]
        assert reader.passages([], 1) == []


def test_unencoded_comes_once_in_order(tmp_path):
    opened = put(tmp_path / "index", {"a.md": ["aid"]}, commit=True)
    opened = Writer(tmp_path / "index")
    row = opened.add_file("b.md", "b.md", b"")
    texts = ["oil", "aid", "gas", "oil"]
    opened.add_article(row, "", Article("b.md", "", {}, ()), [(passage(text), text.encode()) for text in texts])
    assert opened.unencoded() == [b"oil", b"aid", b"gas"]
    opened.close()


def test_embedding_hash_tells_all_parts_apart():
    texts = [
        PassageText("", "ab", ()),
        PassageText("a", "b", ()),
        PassageText("ab", "", ()),
        PassageText("", "ab", (Sentence(0, 2),)),
        PassageText("", "ab", (Sentence(0, 1), Sentence(1, 2))),
    ]
    hashes = {embedding_hash(text) for text in texts}
    assert len(hashes) == 5
    assert {len(each) for each in hashes} == {16}


def test_worn_segments_are_rewritten_and_old_files_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_ROWS", 4)
    folder = tmp_path / "index"
    texts = {f"{i}.md": [f"aid {'oil ' * i}".strip()] for i in range(10)}
    put(folder, texts)
    agrees(folder, {text for (text,) in texts.values()})
    opened = Writer(folder)
    files = opened.files()
    opened.remove_files(files[f"{i}.md"].id for i in (0, 1, 2, 5))
    opened.commit(FINGERPRINT, "1.0")
    opened.close()
    agrees(folder, {texts[f"{i}.md"][0] for i in (3, 4, 6, 7, 8, 9)})
    with closing(Reader(folder)) as reader:
        assert sorted(reader._database.execute("SELECT n_rows, live FROM segments").fetchall()) == [(1, 1), (2, 2), (4, 3)]


def test_small_segments_are_merged(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "SMALL_SEGMENTS", 2)
    folder = tmp_path / "index"
    texts = set()
    for i in range(7):
        put(folder, {f"{i}.md": [f"aid {'oil ' * i}", f"gas {'oil ' * i}"]})
        texts |= {f"aid {'oil ' * i}", f"gas {'oil ' * i}"}
        agrees(folder, texts)
        assert len(list(folder.glob("segment-*.vectors"))) <= 2


def test_nothing_left_to_find(tmp_path):
    put(tmp_path / "index", {"a.md": ["aid"]})
    opened = Writer(tmp_path / "index")
    opened.remove_files([opened.files()["a.md"].id])
    opened.commit(FINGERPRINT, "1.0")
    opened.close()
    agrees(tmp_path / "index", set())


def test_uncommitted_is_gone(tmp_path):
    folder = tmp_path / "index"
    put(folder, {"a.md": ["aid"]})
    before = {path.name: path.read_bytes() for path in folder.glob("segment-*")}
    put(folder, {"b.md": ["oil"]}, commit=False).close()
    assert {path.name: path.read_bytes() for path in folder.glob("segment-*")} == before
    agrees(folder, {"aid"})


@pytest.mark.parametrize("fresh", [False, True])
def test_uncommitted_first_build_leaves_only_the_lock(tmp_path, fresh):
    Writer(tmp_path / "index", fresh=fresh).close()
    put(tmp_path / "index", {"b.md": ["oil"]}, commit=False).close()
    assert os.listdir(tmp_path / "index") == ["semsearch.lock"]
    with pytest.raises(IndexMissing):
        Reader(tmp_path / "index")
    put(tmp_path / "index", {"b.md": ["oil"]})
    agrees(tmp_path / "index", {"oil"})


def test_fresh_that_is_given_up_keeps_the_old(tmp_path):
    put(tmp_path / "index", {"a.md": ["aid"]})
    opened = Writer(tmp_path / "index", fresh=True)
    assert opened.files() == {}
    assert opened.fingerprint is None
    agrees(tmp_path / "index", {"aid"})
    opened.close()
    agrees(tmp_path / "index", {"aid"})


def test_an_interrupt_just_behind_the_commit_loses_nothing(tmp_path, monkeypatch):
    opened = put(tmp_path / "index", {"a.md": ["aid"]}, commit=False)

    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(opened, "_sweep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        opened.commit(FINGERPRINT, "1.0")
    monkeypatch.undo()
    opened.close()
    agrees(tmp_path / "index", {"aid"})


def test_leftovers_of_a_killed_writer_are_swept(tmp_path):
    folder = tmp_path / "index"
    put(folder, {"a.md": ["aid"]})
    (folder / "segment-0123456789abcdef.vectors").write_bytes(b"half")
    put(folder, {"b.md": ["oil"]})
    agrees(folder, {"aid", "oil"})


def test_a_reader_keeps_its_generation_when_its_segments_are_replaced(tmp_path):
    folder = tmp_path / "index"
    put(folder, {"a.md": ["aid"]})
    with closing(Reader(folder)) as reader:
        opened = Writer(folder, fresh=True)
        opened.commit(FINGERPRINT, "2.0")
        opened.close()
        put(folder, {"b.md": ["oil"]})
        (segment,) = reader.vectors().segments
        assert np.array_equal(segment.vectors(np.asarray([0])), FakeEncoder.vectors(["aid"]))
        assert [item.passage.text for item in reader.passages([0], 9)] == ["aid"]
        assert reader.meta["generation"] == "1"
    agrees(folder, {"oil"})


def test_a_reader_that_lost_a_race_takes_the_next_generation(tmp_path, monkeypatch):
    from semsearch.store import reader as module

    folder = tmp_path / "index"
    put(folder, {"a.md": ["aid"]})
    real, calls = module.segments.hold, []

    def late(*arguments):
        calls.append(1)
        if len(calls) == 1:
            opened = Writer(folder, fresh=True)
            opened.commit(FINGERPRINT, "2.0")
            opened.close()
        return real(*arguments)

    monkeypatch.setattr(module.segments, "hold", late)
    with closing(Reader(folder)) as reader:
        assert (reader.meta["generation"], len(calls)) == ("2", 2)


def test_one_writer_at_a_time(tmp_path):
    opened = Writer(tmp_path / "index")
    with pytest.raises(IndexLocked, match=r"try again when it is done$"):
        Writer(tmp_path / "index")
    opened.close()
    Writer(tmp_path / "index").close()


def test_problems_and_labels_are_kept(tmp_path):
    opened = put(tmp_path / "index", {"a.md": ["aid"]}, commit=False)
    row = opened.files()["a.md"].id
    opened.set_problems(row, [Problem("a.md", "line 3: bad")])
    opened.relabel(row, "elsewhere/a.md")
    opened.commit(FINGERPRINT, "1.0")
    opened.close()
    opened = Writer(tmp_path / "index")
    file = opened.files()["a.md"]
    opened.close()
    assert (file.source, file.problems, file.sha256) == ("elsewhere/a.md", [Problem("a.md", "line 3: bad")], b"a.md")


def test_paths_are_relative_to_the_folder_around_the_index(tmp_path):
    opened = Writer(tmp_path / "x" / "index")
    for path, kept in ((tmp_path / "x" / "notes" / "a.md", "notes/a.md"), (tmp_path / "y.md", str(tmp_path / "y.md"))):
        assert opened.stored_path(path) == kept
        assert opened.real_path(kept) == path
    opened.close()
