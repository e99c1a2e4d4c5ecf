"""The index directory below `Index`: what is refused, what is swept, what a reader sees."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeEncoder

from semsearch.errors import IndexCorrupt, IndexLocked, IndexMissing, IndexTooNew, InputError
from semsearch.lexical import Facts
from semsearch.protocols import PassageText
from semsearch.records import Article, Passage, Problem, Sentence
from semsearch.store import DATABASE, Reader, Writer, database, embedding_hash, segments, words, writer

FINGERPRINT = FakeEncoder().fingerprint
ONE_WORD = [[part] for part in FakeEncoder.tokens(PassageText("", "oil", (Sentence(0, 3),)))]


def passage(text: str, sentences: int = 1, headings: tuple[str, ...] = ()) -> Passage:
    cuts = np.linspace(0, len(text), sentences + 1).astype(int).tolist()
    spans = tuple(Sentence(*cut) for cut in pairwise(cuts))
    return Passage(text, headings, 1, 3, 10, 10 + len(text), spans, tuple((10 + a, 10 + b) for a, b in spans))


def put(folder: Path, files: dict[str, list[str]], *, commit: bool = True) -> Writer:
    """Add files of passages, encode what is new, as `index` does it."""
    opened = Writer(folder)
    for name, texts in files.items():
        row = opened.add_file(name, f"as/{name}", name.encode())
        cut = [passage(text, number % 3) for number, text in enumerate(texts)]
        hashed = [(each, embedding_hash(PassageText("", each.text, each.sentences))) for each in cut]
        opened.add_article(row, "", Article(f"as/{name}", name.upper(), {"file": name}, ()), hashed)
    pending = opened.unencoded()
    for first in range(0, len(pending), segments.SEGMENT_ROWS):
        hashes = pending[first : first + segments.SEGMENT_ROWS]
        texts = [PassageText("", text, spans) for _, _, text, spans in opened.passage_texts(hashes)]
        tokens, sentences = zip(*map(FakeEncoder.tokens, texts), strict=True)
        opened.add_vectors(hashes, FakeEncoder.vectors([text.text for text in texts]), tokens, sentences)
    if commit:
        opened.commit(FINGERPRINT, "1.0")
        opened.close()
    return opened


def stored(folder: Path) -> dict[str, np.ndarray]:
    """Every passage's text with the vector that the index has for it."""
    with closing(Reader(folder)) as reader:
        found = {}
        for segment in reader.segments():
            rows = list(range(segment.first_row, segment.first_row + segment.n_rows))
            for item in reader.passages(rows, 10):
                found[item.passage.text] = segment.vectors(np.asarray([item.row]))[0]
                tokens, sentences = FakeEncoder.tokens(PassageText("", item.passage.text, item.passage.sentences))
                assert np.array_equal(segment.tokens(item.row), tokens)
                assert np.array_equal(segment.sentences(item.row), sentences)
        return found


def agrees(folder: Path, texts: set[str]) -> None:
    found = stored(folder)
    assert set(found) == texts
    for text, vector in found.items():
        assert np.array_equal(vector, FakeEncoder.vectors([text])[0])
    with closing(Reader(folder)) as reader:
        names = {name for (name,) in reader._database.execute("SELECT name FROM segments")}
    assert {path.name.split(".")[0] for path in folder.glob("segment-*")} == names


def test_what_was_written_is_read(tmp_path):
    put(tmp_path / "index", {"a.md": ["aid", "oil gas"], "b.md": ["aid"]})
    with closing(Reader(tmp_path / "index")) as reader:
        assert reader.fingerprint == FINGERPRINT
        assert (reader.meta["generation"], reader.meta["version"]) == ("1", "1.0")
        counts = reader.counts()
        assert counts.pop("bytes") == sum(path.stat().st_size for path in (tmp_path / "index").rglob("*") if path.is_file())
        assert counts == {"files": 2, "articles": 2, "passages": 3}
        (segment,) = reader.segments()
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
        assert len(list(folder.glob("segment-*.faiss"))) <= 2


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
    (folder / "segment-0123456789abcdef.faiss").write_bytes(b"half")
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
        (segment,) = reader.segments()
        assert np.array_equal(segment.vectors(np.asarray([0])), FakeEncoder.vectors(["aid"]))
        assert [item.passage.text for item in reader.passages([0], 9)] == ["aid"]
        assert reader.meta["generation"] == "1"
    agrees(folder, {"oil"})


def test_a_reader_that_lost_a_race_takes_the_next_generation(tmp_path, monkeypatch):
    from semsearch.store import reader as module

    folder = tmp_path / "index"
    put(folder, {"a.md": ["aid"]})
    real, calls = module.open_segments, []

    def late(*arguments):
        calls.append(1)
        if len(calls) == 1:
            opened = Writer(folder, fresh=True)
            opened.commit(FINGERPRINT, "2.0")
            opened.close()
        return real(*arguments)

    monkeypatch.setattr(module, "open_segments", late)
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


# What is refused.


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
        with pytest.raises(IndexCorrupt, match=r"remove it and index the articles again$"):
            make(tmp_path)
    assert listing(tmp_path) == before


def edit(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as opened:
        opened.execute(statement, values)


def test_a_newer_format_is_refused(tmp_path):
    put(tmp_path / "index", {"a.md": ["aid"]})
    edit(tmp_path / "index", "UPDATE meta SET value = ? WHERE key = 'format'", str(database.FORMAT + 1))
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
    with pytest.raises(IndexCorrupt, match=r"index the articles again$"):
        Reader(tmp_path / "index")


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
        with pytest.raises(IndexCorrupt, match=f"{path.name} is missing or cut short"):
            Reader(tmp_path / "index")
        path.unlink()
        with pytest.raises(IndexCorrupt):
            Reader(tmp_path / "index")
        path.write_bytes(whole)
    agrees(tmp_path / "index", {"aid", "oil"})


def test_a_closed_reader_says_so(tmp_path):
    put(tmp_path / "index", {"a.md": ["aid"]})
    reader = Reader(tmp_path / "index")
    reader.close()
    reader.close()
    for use in (reader.segments, reader.counts, lambda: reader.passages([0], 1)):
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
    monkeypatch.setattr(segments, "write_segment", full)
    with pytest.raises(InputError, match=r"\(No space left on device\): check"):
        opened.add_vectors([b"x"], FakeEncoder.vectors(["oil"]), *ONE_WORD)
    opened.close()
    agrees(folder, {"aid"})


def test_error_messages_of_sqlite():
    cases = [
        (sqlite3.OperationalError("database is locked"), IndexLocked),
        (sqlite3.OperationalError("attempt to write a readonly database"), InputError),
        (sqlite3.OperationalError("unable to open database file"), InputError),
        (sqlite3.OperationalError("disk I/O error"), InputError),
        (sqlite3.OperationalError("no such table: passages"), IndexCorrupt),
        (sqlite3.DatabaseError("database disk image is malformed"), IndexCorrupt),
        (sqlite3.ProgrammingError("Cannot operate on a closed database."), InputError),
        (json.JSONDecodeError("x", "", 0), IndexCorrupt),
    ]
    for raised, expected in cases:
        with pytest.raises(expected) as told, database.translated(Path("here")):
            raise raised
        assert "\n" not in str(told.value)
        assert "the index here" in str(told.value)
        assert ": " in str(told.value)


@pytest.fixture(params=["as written", "as readers leave it"])
def read_only(request):
    """A folder with an index that this process may read and not write, even where the tests run as root."""
    top = Path(tempfile.mkdtemp(prefix="semsearch-test-"))
    top.chmod(0o755)
    folder = top / "index"
    put(folder, {"a.md": ["aid"]})
    if request.param == "as readers leave it":
        agrees(folder, {"aid"})
        assert (folder / f"{DATABASE}-shm").exists()
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
        assert reader.segments()[0].n_rows == 1


# The lexical side.


def by_words(folder: Path, query: str) -> set[str]:
    """The texts that have a question's words."""
    with closing(Reader(folder)) as reader:
        return texts_of(reader, query)


def texts_of(reader: Reader, query: str) -> set[str]:
    rows = reader.lexical().search(query, 100).rows.tolist()
    return {item.passage.text for item in reader.passages(rows, 9)}


def lexical_folders(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("lexical-*")}


def take_out(folder: Path, *names: str) -> None:
    opened = Writer(folder)
    files = opened.files()
    opened.remove_files(files[name].id for name in names)
    opened.commit(FINGERPRINT, "1.0")
    opened.close()


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
    def refuse(*_):
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
            opened.add_vectors([b"hash"], FakeEncoder.vectors(["x"]), *ONE_WORD)
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
                path.write_bytes(path.read_bytes()[:-1])
            elif damage == "json":
                path.write_bytes(b"{" * path.stat().st_size)
            else:
                path.unlink()
        if damage != "json":
            with pytest.raises(IndexCorrupt, match=r"missing or cut short: .* index the articles again$"):
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
    with pytest.raises(IndexCorrupt, match=r"index the articles again$"):
        Reader(tmp_path / "index")


def as_format_1(folder: Path) -> None:
    """What the index was before it had a lexical side, and kept vectors of sentences where it has codes of tokens now."""
    for statement in (
        "DROP INDEX passages_by_embedding_and_language",
        "ALTER TABLE passages DROP COLUMN language",
        "CREATE INDEX passages_by_embedding ON passages (embedding)",
        "DROP TABLE lexical",
        "DROP TABLE lexical_rows",
        "UPDATE meta SET value = '1' WHERE key = 'format'",
    ):
        edit(folder, statement)
    for name in lexical_folders(folder):
        shutil.rmtree(folder / name)
    with closing(sqlite3.connect(folder / DATABASE)) as opened:
        names = opened.execute("SELECT name, n_rows FROM segments").fetchall()
    for name, n_rows in names:
        (folder / f"{name}.tokens.npy").unlink()
        np.save(folder / f"{name}.sentences.npy", np.zeros((n_rows, 11), np.int8))
        np.save(folder / f"{name}.offsets.npy", np.arange(n_rows + 1))
        files = [(path.name, path.stat().st_size, "") for path in sorted(folder.glob(f"{name}.*"))]
        edit(folder, "UPDATE segments SET files = ? WHERE name = ?", json.dumps(files), name)


def schema(folder: Path) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(folder / DATABASE)) as opened:
        columns = [
            (table, row[1])
            for (table,) in opened.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
            for row in opened.execute(f"SELECT * FROM pragma_table_info('{table}')").fetchall()
        ]
    return set(columns)


def test_an_index_of_format_1_is_refused_and_brought_up_to_date(tmp_path):
    folder = tmp_path / "index"
    put(folder, {"a.md": ["aid", "oil gas"], "b.md": ["aid"]})
    before = schema(folder)
    as_format_1(folder)
    assert schema(folder) != before
    with pytest.raises(
        IndexCorrupt, match=r"earlier version of semsearch: bring it up to date with semsearch index SOURCE --index"
    ):
        Reader(folder)
    # What is given up changes nothing.
    Writer(folder).close()
    with pytest.raises(IndexCorrupt, match="earlier version"):
        Reader(folder)
    old = {path.name for path in folder.glob("segment-*")}
    with closing(Writer(folder)) as opened:
        # Codes of tokens are not to be had from what it holds: all is encoded anew.
        assert len(opened.unencoded()) == 2
    assert {path.name for path in folder.glob("segment-*")} == old
    put(folder, {})
    assert not old & {path.name for path in folder.glob("segment-*")}
    agrees(folder, {"aid", "oil gas"})
    assert schema(folder) == before
    assert by_words(folder, "aid") == {"aid"}
    with closing(sqlite3.connect(folder / DATABASE)) as opened:
        assert set(opened.execute("SELECT language FROM passages")) == {("en",)}
