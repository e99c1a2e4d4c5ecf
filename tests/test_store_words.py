"""The lexical side of an index directory: it follows the passages, and readers keep theirs."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest
from conftest import FakeEncoder
from helpers import replace
from stores import FINGERPRINT, ONE_WORD, agrees, by_words, edit, lexical_folders, passage, put, take_out, texts_of

from semsearch.errors import IndexCorrupt, InputError
from semsearch.lexical import Facts
from semsearch.records import Article
from semsearch.store import Reader, segments, words
from semsearch.store.writer import Writer


def test_words_follow_the_passages(tmp_path):
    folder = tmp_path / "index"
    put(folder, {"a.md": ["aid", "oil gas"]})
    assert by_words(folder, "oil") == {"oil gas"}
    assert by_words(folder, "a md") == {"aid", "oil gas"}
    first = lexical_folders(folder)
    put(folder, {})
    assert lexical_folders(folder) == first
    put(folder, {"b.md": ["oil sword"]})
    assert by_words(folder, "oil") == {"oil gas", "oil sword"}
    assert len(lexical_folders(folder)) == 1
    assert lexical_folders(folder) != first
    take_out(folder, "a.md")
    assert by_words(folder, "oil gas aid") == {"oil sword"}
    take_out(folder, "b.md")
    assert by_words(folder, "oil gas aid sword") == set()
    # Row numbers begin anew, and mean other texts now.
    put(folder, {"c.md": ["battle", "council"]})
    assert by_words(folder, "battle") == {"battle"}
    assert by_words(folder, "oil gas aid sword") == set()


@pytest.mark.parametrize("tolerated", [0, 10**9])
def test_large_indexes_wait_before_they_are_written_anew(tmp_path, monkeypatch, tolerated):
    monkeypatch.setattr(words, "TRUE_ROWS", 0)
    monkeypatch.setattr(words, "TOLERATED", tolerated)
    monkeypatch.setattr(segments, "SMALL_SEGMENTS", 2)
    folder = tmp_path / "index"
    put(folder, {f"{number}.md": [f"aid {'oil ' * number}", f"gas {'oil ' * number}"] for number in range(6)})
    for number in range(4):
        take_out(folder, f"{number}.md")
        put(folder, {f"new{number}.md": [f"sword {'oil ' * number}"]})
    agrees(folder, texts := by_words(folder, "oil gas aid sword"))
    assert texts == {
        *(f"{word} {'oil ' * number}" for word in ("aid", "gas") for number in (4, 5)),
        *(f"sword {'oil ' * number}" for number in range(4)),
    }
    with closing(Reader(folder)) as reader:
        assert reader.lexical().n_documents == 8
    deleted = Facts.read(folder / lexical_folders(folder).pop()).deleted
    assert (deleted == 0) == bool(tolerated)


def test_files_are_copied_where_they_cannot_be_linked(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    put(tmp_path / "index", {"a.md": ["aid"]})
    put(tmp_path / "index", {"b.md": ["aid oil"]})
    assert by_words(tmp_path / "index", "aid") == {"aid", "aid oil"}


def test_another_language_is_another_word(tmp_path):
    folder = tmp_path / "index"

    def say(language: str) -> None:
        opened = Writer(folder)
        opened.remove_files(file.id for file in opened.files().values())
        row = opened.add_file("a.md", "a.md", b"")
        each = passage("Häuser")
        opened.add_article(row, "", Article("a.md", "", {"language": language}, ()), [(each, b"hash")])
        if opened.unencoded():
            opened.add_vectors([b"hash"], FakeEncoder.vectors(["x"]), ONE_WORD)
        opened.commit(FINGERPRINT, "1.0")
        opened.close()

    say("pl")
    assert by_words(folder, "Haus") == set()
    say("de")
    assert by_words(folder, "Haus") == {"Häuser"}


def test_a_reader_keeps_the_words_of_its_generation(tmp_path):
    folder = tmp_path / "index"
    put(folder, {"a.md": ["aid", "oil gas"]})
    with closing(Reader(folder)) as early, closing(Reader(folder)) as late:
        assert texts_of(early, "oil") == {"oil gas"}
        take_out(folder, "a.md")
        put(folder, {"b.md": ["oil"]})
        assert texts_of(early, "oil") == {"oil gas"}
        assert late.lexical().search("oil", 5).rows.tolist() == [1]
        assert texts_of(late, "oil") == {"oil gas"}
        assert texts_of(late, '"oil gas"') == {"oil gas"}
    assert by_words(folder, "oil") == {"oil"}


def test_files_are_read_where_the_system_has_no_names_for_open_ones(tmp_path, monkeypatch):
    folder = tmp_path / "index"
    put(folder, {"a.md": ["aid"]})
    with closing(Reader(folder)) as reader:
        take_out(folder, "a.md")
        real = Path.exists
        monkeypatch.setattr(Path, "exists", lambda path: not path.as_posix().startswith("/dev/fd") and real(path))
        assert reader.lexical().search("aid", 5).rows.tolist() == [0]


def test_a_closed_reader_has_no_words(tmp_path):
    put(tmp_path / "index", {"a.md": ["aid"]})
    for use in (False, True):
        reader = Reader(tmp_path / "index")
        if use:
            reader.lexical()
        reader.close()
        reader.close()
        with pytest.raises(InputError, match=r"was closed: open it again$"):
            reader.lexical()


def test_only_files_of_ours_are_swept(tmp_path):
    folder = tmp_path / "index"
    put(folder, {"a.md": ["aid"]})
    (mine,) = lexical_folders(folder)
    (folder / mine / "notes.txt").write_text("x")
    kept = ["lexical-0", "lexical-0123456789abcdeX", "lexical-0123456789ABCDEF", "my-lexical-0123456789abcdef"]
    for name in [*kept, "lexical-0123456789abcdef"]:
        (folder / name).mkdir()
        (folder / name / "meta.json").write_text("{}")
        # As tantivy leaves it where it is killed.
        (folder / name / ".tmpA1b2C3").write_text("{")
    put(folder, {"b.md": ["oil"]})
    assert lexical_folders(folder) >= {mine, *kept[:3]}
    assert os.listdir(folder / mine) == ["notes.txt"]
    assert all((folder / name / "meta.json").exists() for name in kept)
    assert not (folder / "lexical-0123456789abcdef").exists()


def test_words_that_were_not_committed_are_gone(tmp_path, monkeypatch):
    folder = tmp_path / "index"
    put(folder, {"a.md": ["aid"]})
    before = lexical_folders(folder)
    opened = put(folder, {"b.md": ["oil"]}, commit=False)

    def full(*_):
        raise OSError(28, "No space left on device")

    for fails in ("sync", "LexicalWriter"):
        monkeypatch.setattr(words, fails, full)
        with pytest.raises(InputError, match=r"\(No space left on device\): check"):
            opened.commit(FINGERPRINT, "1.0")
        monkeypatch.undo()
    opened.close()
    assert lexical_folders(folder) == before
    assert by_words(folder, "aid oil") == {"aid"}


def test_damaged_words_are_told_and_mended_by_the_next_writer(tmp_path):
    folder = tmp_path / "index"
    put(folder, {"a.md": ["aid", "oil"]})
    for damage in ("cut", "missing", "json", "all"):
        (mine,) = lexical_folders(folder)
        for path in sorted((folder / mine).iterdir())[:: 1 if damage == "all" else 5]:
            if damage == "cut":
                replace(path, path.read_bytes()[:-1])
            elif damage == "json":
                replace(path, b"{" * path.stat().st_size)
            else:
                path.unlink()
        if damage != "json":
            with pytest.raises(
                IndexCorrupt, match=r"is (missing|cut short or grown): mend it with semsearch check --repair --index "
            ):
                Reader(folder)
        else:
            with closing(Reader(folder)) as reader, pytest.raises(IndexCorrupt):
                reader.lexical()
        put(folder, {f"{damage}.md": ["gas"]})
        assert by_words(folder, "aid oil gas") == {"aid", "oil", "gas"}


def test_another_analysis_is_written_anew(tmp_path, monkeypatch):
    folder = tmp_path / "index"
    put(folder, {"a.md": ["aid"]})
    before = lexical_folders(folder)
    monkeypatch.setattr(words.lexical, "VERSION", 0)
    put(folder, {})
    assert lexical_folders(folder) != before


@pytest.mark.parametrize("statement", ["DELETE FROM lexical", "UPDATE lexical SET name = '../../etc'", "DROP TABLE lexical"])
def test_words_that_are_not_listed_are_told(tmp_path, statement):
    put(tmp_path / "index", {"a.md": ["aid"]})
    edit(tmp_path / "index", statement)
    with pytest.raises(IndexCorrupt, match=r"make it anew with semsearch index SOURCE\.\.\. --fresh --index "):
        Reader(tmp_path / "index")
