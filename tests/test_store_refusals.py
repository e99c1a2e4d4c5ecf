"""The index directory below `Index`: what is refused and left as it was, and in what words."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from conftest import FakeEncoder
from stores import ONE_WORD, agrees, by_words, edit, put

from semsearch.errors import IndexCorrupt, IndexLocked, IndexMissing, IndexTooNew, InputError
from semsearch.store import DATABASE, FORMAT, Reader, database, segments, writer
from semsearch.store.writer import Writer


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_other_folders_are_refused_untouched(tmp_path):
    (tmp_path / "thesis.doc").write_text("x")
    with pytest.raises(InputError, match=r"not an index and not empty \(thesis.doc\): give another folder"):
        Writer(tmp_path)
    assert listing(tmp_path) == {"thesis.doc": b"x"}


def test_files_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="is a file: give a folder"):
            Writer(path)
        with pytest.raises(IndexMissing):
            Reader(path)


def test_a_folder_with_a_readme_is_taken(tmp_path):
    (tmp_path / "README.md").write_text("x")
    (tmp_path / ".gitignore").write_text("*")
    put(tmp_path, {"a.md": ["aid"]})
    agrees(tmp_path, {"aid"})


@pytest.mark.parametrize(
    "statements", ["CREATE TABLE meta (a)", "PRAGMA application_id = 7", "PRAGMA journal_mode = WAL; CREATE TABLE t (a)"]
)
def test_foreign_databases_are_refused_untouched(tmp_path, statements):
    with closing(sqlite3.connect(tmp_path / DATABASE)) as foreign:
        foreign.executescript(statements)
    before = listing(tmp_path)
    for make in (Writer, Reader, lambda folder: Writer(folder, fresh=True)):
        with pytest.raises(InputError, match="another program's database: give another folder"):
            make(tmp_path)
    after = listing(tmp_path)
    assert {name: after[name] for name in before} == before
    assert not any(after[name] for name in set(after) - set(before) if not name.endswith("-shm"))
    assert "semsearch.lock" not in after


def test_what_is_no_database_is_corrupt_and_untouched(tmp_path):
    (tmp_path / DATABASE).write_bytes(b"no database at all " * 100)
    before = listing(tmp_path)
    for make in (Writer, Reader):
        with pytest.raises(IndexCorrupt, match=r"semsearch index SOURCE\.\.\. --fresh --index .*$"):
            make(tmp_path)
    assert listing(tmp_path) == before


def test_a_newer_format_is_refused(tmp_path):
    put(tmp_path / "index", {"a.md": ["aid"]})
    edit(tmp_path / "index", "UPDATE meta SET value = ? WHERE key = 'format'", str(FORMAT + 1))
    for make in (Writer, Reader):
        with pytest.raises(IndexTooNew, match=r"was written by semsearch 1.0: upgrade semsearch$"):
            make(tmp_path / "index")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM meta",
        "DROP TABLE meta",
        "DELETE FROM meta WHERE key = 'fingerprint'",
        "UPDATE meta SET value = '[]' WHERE key = 'fingerprint'",
        "UPDATE meta SET value = '{' WHERE key = 'fingerprint'",
        "UPDATE meta SET value = '{\"model\": 1}' WHERE key = 'fingerprint'",
        "UPDATE meta SET value = 'one' WHERE key = 'format'",
        "UPDATE meta SET value = 'one' WHERE key = 'generation'",
        "UPDATE segments SET name = '../../etc/passwd'",
        "UPDATE segments SET files = 'x'",
        "UPDATE segments SET n_rows = 3",
        "DROP TABLE segments",
    ],
)
def test_damage_is_told_on_opening(tmp_path, statement):
    put(tmp_path / "index", {"a.md": ["aid"]})
    edit(tmp_path / "index", statement)
    mends = r"(make it anew with semsearch index SOURCE\.\.\. --fresh --index |mend it with semsearch check --repair$)"
    with pytest.raises(IndexCorrupt, match=mends), closing(Reader(tmp_path / "index")) as reader:
        reader.vectors()


@pytest.mark.parametrize("statement", ["UPDATE passages SET sentences = x'00'", "UPDATE passages SET headings = 'x'"])
def test_damaged_passages_are_told_when_read(tmp_path, statement):
    put(tmp_path / "index", {"a.md": ["aid"]})
    edit(tmp_path / "index", statement)
    with closing(Reader(tmp_path / "index")) as reader, pytest.raises(IndexCorrupt):
        reader.passages([0], 1)


def test_missing_and_cut_segments_are_told_on_opening(tmp_path):
    put(tmp_path / "index", {"a.md": ["aid", "oil"]})
    for path in sorted((tmp_path / "index").glob("segment-*")):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        with pytest.raises(IndexCorrupt, match=f"{path.name} is cut short or grown: mend it with semsearch check --repair"):
            Reader(tmp_path / "index")
        path.unlink()
        with pytest.raises(IndexCorrupt, match=f"{path.name} is missing"):
            Reader(tmp_path / "index")
        path.write_bytes(whole)
    agrees(tmp_path / "index", {"aid", "oil"})


def test_a_closed_reader_says_so(tmp_path):
    put(tmp_path / "index", {"a.md": ["aid"]})
    reader = Reader(tmp_path / "index")
    reader.close()
    reader.close()
    for use in (reader.vectors, reader.counts, lambda: reader.passages([0], 1)):
        with pytest.raises(InputError, match=r"was closed: open it again$"):
            use()


def test_a_full_disk_is_told_and_changes_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "index"
    put(folder, {"a.md": ["aid"]})
    real = writer.connect_to_write

    def small(path):
        opened = real(path)
        opened.execute("PRAGMA max_page_count = 20")
        return opened

    monkeypatch.setattr(writer, "connect_to_write", small)
    opened = Writer(folder)
    with pytest.raises(InputError, match=r"\(database or disk is full\): check the disk's space and permissions$"):
        opened.add_file("x" * 100_000, "", b"")
    opened.close()
    monkeypatch.undo()

    def full(*_):
        raise OSError(28, "No space left on device")

    opened = Writer(folder)
    monkeypatch.setattr(segments, "write", full)
    with pytest.raises(InputError, match=r"\(No space left on device\): check"):
        opened.add_vectors([b"x"], FakeEncoder.vectors(["oil"]), ONE_WORD)
    opened.close()
    agrees(folder, {"aid"})


def unreadable(code: int) -> apsw.Error:
    error = apsw.exception_for(code)
    assert isinstance(error, apsw.Error)
    return error


def test_error_messages_of_sqlite():
    cases = [
        (unreadable(apsw.SQLITE_BUSY), IndexLocked),
        (unreadable(apsw.SQLITE_LOCKED), IndexLocked),
        (unreadable(apsw.SQLITE_READONLY), InputError),
        (unreadable(apsw.SQLITE_CANTOPEN), InputError),
        (unreadable(apsw.SQLITE_FULL), InputError),
        (unreadable(apsw.SQLITE_IOERR_WRITE), InputError),
        (unreadable(apsw.SQLITE_IOERR_DATA), IndexCorrupt),
        (unreadable(apsw.SQLITE_IOERR_SHORT_READ), IndexCorrupt),
        (unreadable(apsw.SQLITE_CORRUPT), IndexCorrupt),
        (unreadable(apsw.SQLITE_NOTADB), IndexCorrupt),
        (unreadable(apsw.SQLITE_ERROR), IndexCorrupt),
        (apsw.ConnectionClosedError("closed"), InputError),
        (json.JSONDecodeError("x", "", 0), IndexCorrupt),
        (RecursionError(), IndexCorrupt),
    ]
    for raised, expected in cases:
        with pytest.raises(expected) as told, database.translated(Path("here")):
            raise raised
        assert "\n" not in str(told.value)
        assert "the index here" in str(told.value)
        assert ": " in str(told.value)


@pytest.fixture
def read_only():
    """A folder with an index that this process may read and not write, even where the tests run as root."""
    top = Path(tempfile.mkdtemp(prefix="semsearch-test-"))
    top.chmod(0o755)
    folder = top / "index"
    put(folder, {"a.md": ["aid"]})
    agrees(folder, {"aid"})
    within = [path for path in folder.rglob("*") if path.is_dir()]
    for path in folder.rglob("*"):
        # Others may read what was written with the usual umask, and nobody may write.
        path.chmod(path.stat().st_mode & 0o555)
    folder.chmod(0o555)
    root = os.name == "posix" and os.geteuid() == 0
    if root:
        try:
            os.setresuid(65534, 65534, 0)
        except OSError:
            pytest.skip("cannot become another user")
    yield folder
    if root:
        os.setresuid(0, 0, 0)
    for path in (folder, *within):
        path.chmod(0o755)
    shutil.rmtree(top)


def test_a_read_only_folder_can_be_read(read_only):
    agrees(read_only, {"aid"})
    assert by_words(read_only, "aid") == {"aid"}
    with pytest.raises(InputError, match=r"cannot write to .* \(Permission denied\): check"):
        Writer(read_only)
    with pytest.raises(InputError, match="cannot write to"):
        Writer(read_only / "new")


@pytest.mark.parametrize("name", ["with space", "Übersicht ж 中", "q'\"#?%41&x=1"])
def test_index_folders_of_any_letters(tmp_path, name):
    put(tmp_path / name, {"a.md": ["aid"]})
    agrees(tmp_path / name, {"aid"})


def test_a_folder_whose_name_is_not_utf8_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not UTF-8: give another folder"):
        Writer(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")))


def test_a_relative_path_outlives_a_change_of_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(Path("index"), {"a.md": ["aid"]})
    with closing(Reader(Path("index"))) as reader:
        monkeypatch.chdir("/")
        assert reader.passages([0], 1)[0].path == str(tmp_path / "a.md")
        assert reader.counts()["bytes"] > 0
        assert reader.vectors().n_rows == 1
