"""`check`: damage is told, what can be made again is, and what still stands in the articles is told from what does not."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeEncoder
from helpers import build, contents, found, replace, run, segments, sentence, write
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import edit

import semsearch
from semsearch.errors import IndexCorrupt, IndexLocked, IndexMissing, IndexTooNew, InputError, ModelMismatch
from semsearch.store import FORMAT, Reader, database
from semsearch.store.writer import Writer

QUESTIONS = ("aid", "oil gas", '"sword vaccine"', "nothing of it")
MODES = ("hybrid", "dense", "lexical")


def check(home: Path, **options):
    return semsearch.check(home, encoder=FakeEncoder(), **options)


def kinds(home: Path, **options) -> set[str]:
    return {damage.kind for damage in check(home, **options).problems}


@pytest.fixture
def built(notes: Path, home: Path) -> Path:
    build(notes, home)
    return home


def test_a_sound_index_is_sound_and_all_of_it_is_looked_at(built):
    report = check(built)
    assert (report.ok, report.problems, report.repaired, report.leftovers) == (True, (), (), ())
    files = [path for path in built.rglob("*") if path.is_file() and path.name not in ("semsearch.lock", "semsearch.sqlite")]
    locks = [path for path in files if path.name.startswith(".tantivy")]
    assert report.counts["files"] == len(files) - len(locks)
    size = (built / "semsearch.sqlite").stat().st_size
    assert report.counts == {
        "pages": size // 8192,
        "articles": 2,
        "passages": 4,
        "vectors": 4,
        "files": report.counts["files"],
        "canaries": 4,
        "compared": 4,
    }
    assert json.loads(json.dumps(report.to_dict()))["ok"] is True


def test_without_an_index_there_is_nothing_to_check(tmp_path, home):
    with pytest.raises(IndexMissing):
        check(home)
    (home).mkdir()
    (home / "semsearch.sqlite").write_bytes(b"")
    with pytest.raises(IndexMissing):
        check(home)


def test_another_programs_database_is_no_damaged_index(home):
    home.mkdir()
    with closing(sqlite3.connect(home / "semsearch.sqlite")) as foreign:
        foreign.execute("CREATE TABLE meta (a)")
    with pytest.raises(InputError, match="another program's database"):
        check(home)


def test_a_later_format_is_refused(built):
    edit(built, "UPDATE meta SET value = '99' WHERE key = 'format'")
    with pytest.raises(IndexTooNew):
        check(built)


# What the tables say.


@pytest.mark.parametrize(
    ("statement", "kind", "what"),
    [
        ("UPDATE passages SET text = text || '.' WHERE id = 2", "passages", "is not what its vector was made of"),
        ("UPDATE articles SET title = 'Other' WHERE id = 1", "passages", "is not what its vector was made of"),
        ("UPDATE passages SET headings = '[\"x\"]' WHERE id = 1", "passages", "is not what its vector was made of"),
        ("UPDATE passages SET headings = 'x' WHERE id = 1", "passages", "cannot be read"),
        ("UPDATE passages SET sentences = x'00' WHERE id = 1", "passages", "cannot be read"),
        ("UPDATE articles SET metadata = '{' WHERE id = 1", "passages", "cannot be read"),
        ("UPDATE passages SET start = stop + 1 WHERE id = 1", "passages", "out of place"),
        ("UPDATE passages SET start = -1 WHERE id = 1", "passages", "out of place"),
        ("UPDATE passages SET stop = stop - 5 WHERE id = 1", "passages", "out of place"),
        ("DELETE FROM articles WHERE id = 1", "database", "belongs to none of articles"),
        ("DELETE FROM files WHERE id = 1", "database", "belongs to none of files"),
        ("DELETE FROM embeddings WHERE row = 1", "vectors", "passages have no vector"),
        ("UPDATE embeddings SET row = 99 WHERE row = 1", "vectors", "vectors are in no segment"),
        ("INSERT INTO embeddings VALUES (x'00', 99)", "vectors", "vectors have no passage"),
        ("UPDATE segments SET live = 2", "vectors", "other rows than they have"),
        ("UPDATE segments SET n_rows = 3", "vectors", "the rows of a segment are none"),
        ("UPDATE segments SET n_rows = 5", "vectors", "not those of the index"),
        ("UPDATE segments SET name = '../../etc/passwd'", "vectors", "names a strange file"),
        ("UPDATE segments SET files = '[]'", "vectors", "names a strange file"),
        ("DELETE FROM segments", "vectors", "vectors are in no segment"),
        ("DELETE FROM lexical", "words", "has no words"),
        ("UPDATE lexical SET name = '../../etc'", "words", "has no words"),
        ('UPDATE lexical SET files = \'[["../../x", 1, ""]]\'', "words", "strange file"),
        ("DELETE FROM lexical_rows WHERE row = 1", "words", "do not fit the vectors"),
        ("UPDATE lexical_rows SET language = 'fr' WHERE row = 1", "words", "do not fit the vectors"),
        ("DELETE FROM meta WHERE key = 'fingerprint'", "database", ""),
        ("UPDATE meta SET value = '[]' WHERE key = 'fingerprint'", "database", ""),
        ("DROP INDEX passages_by_article", "database", "its tables are not ours"),
        ("CREATE VIEW more AS SELECT 1", "database", "its tables are not ours"),
        (
            "CREATE TRIGGER t AFTER INSERT ON files BEGIN DELETE FROM files; END",
            "database",
            "its tables are not ours",
        ),
        ("UPDATE canaries SET vector = zeroblob(44)", "model", "other vectors than when the index was built"),
        ("UPDATE canaries SET vector = x'00'", "database", "tell the model"),
    ],
)
def test_tables_that_do_not_agree_are_told(built, statement, kind, what):
    edit(built, statement)
    try:
        problems = check(built).problems
    except IndexCorrupt as error:
        problems = (semsearch.Damage("database", "", str(error)),)
    assert kind in {damage.kind for damage in problems}, problems
    assert any(what in damage.what for damage in problems if damage.kind == kind), problems


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM embeddings WHERE row = 1",
        "UPDATE embeddings SET row = 99 WHERE row = 1",
        "INSERT INTO embeddings VALUES (x'00', 99)",
        "UPDATE segments SET live = 2",
        "UPDATE segments SET n_rows = 3",
        "UPDATE segments SET files = '[]'",
        "DELETE FROM segments",
        "DELETE FROM lexical",
        "UPDATE lexical SET name = '../../etc'",
        "DELETE FROM lexical_rows WHERE row = 1",
        "DELETE FROM canaries",
    ],
)
def test_what_is_derived_is_made_again(notes, built, statement):
    before = answers(built)
    edit(built, statement)
    report = check(built, repair=True)
    assert report.ok, report.problems
    assert check(built).ok
    assert answers(built) == before


def answers(home: Path) -> list[list[tuple]]:
    return [
        [(hit.text, hit.source, hit.start, hit.end, hit.score, hit.scores) for hit in found(home, question, mode=mode)]
        for question in QUESTIONS
        for mode in MODES
    ]


def test_vectors_of_other_texts_are_told_and_made_again(notes, built):
    """Every checksum is right, and every vector belongs to another passage."""
    before = answers(built)
    with closing(database.connect_to_write(built)) as opened:
        rows = opened.execute("SELECT hash, row FROM embeddings ORDER BY row").fetchall()
        opened.execute("UPDATE embeddings SET row = row + 100")
        for (embedding, _), (_, row) in zip(rows, rows[1:] + rows[:1], strict=True):
            opened.execute("UPDATE embeddings SET row = ? WHERE hash = ?", (row, embedding))
    problems = check(built).problems
    assert any("is of another text" in damage.what for damage in problems) or any(
        "other sentences" in damage.what for damage in problems
    )
    assert check(built, repair=True).ok
    assert answers(built) == before


# What the files hold.


def derived(home: Path) -> list[Path]:
    return sorted(
        path
        for path in home.rglob("*")
        if (path.is_file() and path.name.startswith(("segment-", "meta", "lexical", ".managed"))) or len(path.stem) == 32
    )


@settings(derandomize=True, max_examples=40, deadline=None, database=None)
@given(data=st.data())
def test_any_flipped_byte_is_told_refused_and_mended(tmp_path_factory, data):
    """In derived files, where it can be mended, and in the database, where it can be told."""
    top = tmp_path_factory.mktemp("flipped")
    home = top / "index"
    write(top / "notes", "one.md", "aid, vaccine", "oil gas")
    write(top / "notes", "two.md", "sword, council", "oil")
    build(top / "notes", home)
    right = answers(home)
    path = data.draw(st.sampled_from([*derived(home), home / "semsearch.sqlite"]))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    replace(path, bytes(content))
    assert not check(home).ok
    with suppress(IndexCorrupt):
        assert answers(home) == right
    if path.name != "semsearch.sqlite":
        report = check(home, repair=True)
        assert report.ok
        assert report.repaired
        assert answers(home) == right
    else:
        assert not check(home, repair=True).ok
        build(top / "notes", home, fresh=True)
        assert check(home).ok
        assert answers(home) == right
    # A thread of tantivy may still make a file of its own there.
    shutil.rmtree(top, ignore_errors=True)


@pytest.mark.parametrize("how", ["cut", "emptied", "removed", "grown", "swapped"])
def test_files_of_another_length_or_place_are_told_and_mended(notes, built, how):
    right = answers(built)
    for number in range(len(derived(built))):
        paths = derived(built)
        path = paths[number]
        content = path.read_bytes()
        if how == "cut":
            replace(path, content[: len(content) // 2])
        elif how == "emptied":
            replace(path, b"")
        elif how == "removed":
            path.unlink()
        elif how == "grown":
            replace(path, content + b"\0")
        elif how == "swapped":
            other = paths[number - 1]
            replace(path, other.read_bytes())
            replace(other, content)
        assert not check(built).ok
        report = check(built, repair=True)
        assert report.ok, report.problems
        assert answers(built) == right


# Leftovers.


def test_leftovers_are_no_damage_and_repair_removes_them(notes, built):
    (built / "segment-0123456789abcdef.vectors").write_bytes(b"half")
    (built / "lexical-0123456789abcdef").mkdir()
    report = check(built)
    assert report.ok
    assert report.leftovers == ("lexical-0123456789abcdef", "segment-0123456789abcdef.vectors")
    report = check(built, repair=True)
    assert (report.ok, report.leftovers, report.repaired) == (True, (), ("removed what unfinished runs left",))
    assert check(built).leftovers == ()


def test_what_an_interrupted_build_has_encoded_outlives_a_repair(notes, built):
    class Interrupted(FakeEncoder):
        def encode_passages(self, passages):
            yield next(super().encode_passages(passages))
            raise KeyboardInterrupt

    for number in range(4):
        write(notes, f"new{number}.md", f"gas {'aid ' * number}")
    with pytest.raises(KeyboardInterrupt):
        build(notes, built, Interrupted())
    assert check(built, repair=True).leftovers == ("pending.sqlite",)
    shutil.copy(built / "pending.sqlite", built.parent)
    report, encoded = build(notes, built)
    assert (report.added, len(encoded)) == (4, 2)
    # As it is where a process is killed between its commit and its last word.
    shutil.copy(built.parent / "pending.sqlite", built)
    report = check(built, repair=True)
    assert (report.ok, report.leftovers, report.repaired) == (True, (), ("removed what unfinished runs left",))


def test_a_repair_meets_a_writer(built):
    for path in built.glob("segment-*.vectors"):
        path.unlink()
    with closing(Writer(built)):
        assert not check(built).ok
        with pytest.raises(IndexLocked):
            check(built, repair=True)
    assert check(built, repair=True).ok


# The model.


def test_another_model_is_told(built, monkeypatch):
    report = semsearch.check(built, encoder=FakeEncoder("other"))
    (damage,) = report.problems
    assert (damage.kind, damage.where) == ("model", "fake")
    for path in built.glob("segment-*.vectors"):
        path.unlink()
    with pytest.raises(ModelMismatch):
        semsearch.check(built, encoder=FakeEncoder("other"), repair=True)
    assert not check(built).ok


def test_a_model_that_gives_other_vectors_under_its_old_name_is_told(built):
    class Drifted(FakeEncoder):
        def encode_queries(self, texts):
            queries = super().encode_queries(texts)
            turned = np.roll(queries.vectors, 1, axis=1)
            return queries._replace(vectors=turned)

    (damage,) = semsearch.check(built, encoder=Drifted()).problems
    assert damage.kind == "model"
    assert "gives other vectors than when the index was built" in damage.what


# The articles.


def states(home: Path) -> dict[str, str]:
    report = check(home, sources=True)
    assert report.ok
    assert sum(report.citations.values()) == report.counts["passages"]
    assert {state: list(map(str, report.changed)).count(state) for state in ("MOVED", "STALE")} == {
        state: count for state, count in report.citations.items() if state != "OK"
    }
    return {f"{Path(citation.source).name}:{citation.line}": str(citation) for citation in report.changed}


def test_citations_are_ok_moved_or_stale(notes, built):
    assert states(built) == {}
    one, two = notes / "one.md", notes / "two.md"
    text = one.read_text()
    one.write_text(text.replace("# First", "# First\n\nA word of ours before it all, which nobody had said in the town."))
    assert states(built) == {"one.md:5": "MOVED", "one.md:7": "MOVED"}
    one.write_text(text.replace("vaccine", "medicine"))
    assert states(built) == {"one.md:3": "STALE", "one.md:5": "MOVED"}
    # What is only another title is the same passage.
    one.write_text(text.replace("# First", "# Prima"))
    assert states(built) == {}
    one.write_text(text)
    two.unlink()
    assert states(built) == {"two.md:3": "STALE", "two.md:5": "STALE"}


def test_a_hit_is_verified_by_itself(notes, home):
    build(notes, home)
    with semsearch.open(home, encoder=FakeEncoder()) as opened:
        hit = opened.search("aid", 1)[0]
        citation = hit.verify()
        assert citation == "OK"
        assert (citation.source, citation.start, citation.end, citation.line) == (hit.source, hit.start, hit.end, hit.line)
        path = notes / "one.md"
        path.write_text("\n\n" + path.read_text())
        citation = hit.verify()
        assert citation == "MOVED"
        assert (citation.start, citation.end, citation.line) == (hit.start + 2, hit.end + 2, hit.line + 2)
        assert path.read_text()[citation.start : citation.end] == hit.text
        assert citation.to_dict()["reason"] == f"it was at line {hit.line}"
        path.write_text(sentence("council"))
        assert hit.verify() == "STALE"
        path.unlink()
        assert hit.verify().reason.startswith("cannot be read")
    with pytest.raises(semsearch.InputError, match="was closed"):
        hit.verify()


def test_records_are_verified_where_they_went(tmp_path, home):
    path = tmp_path / "all.jsonl"
    lines = [json.dumps({"title": word, "text": sentence(word)}) + "\n" for word in ("aid", "oil", "gas")]
    path.write_text("".join(lines))
    build(path, home)
    path.write_text(lines[2] + lines[0])
    report = check(home, sources=True)
    assert {(str(each), each.source) for each in report.changed} == {
        ("MOVED", f"{path}#1"),
        ("MOVED", f"{path}#2"),
        ("STALE", f"{path}#2"),
    }


# The command.


@pytest.mark.usefixtures("no_model")
def test_the_command_tells_and_mends(notes, built):
    done = run("check", "--index", str(built))
    assert done.exit_code == 0
    assert done.stdout == f"{built}: sound (2 articles, 4 passages, 4 vectors, 10 files, {pages(built)} pages)\n"
    (path,) = built.glob("segment-*.vectors")
    data = path.read_bytes()
    replace(path, data[:-1] + bytes([data[-1] ^ 0xFF]))
    done = run("check", "--index", str(built))
    assert done.exit_code == 1
    assert "not sound" in done.stdout
    assert f"vectors: {path.name.split('.')[0]}: {path} is not what was written\n" in done.stdout
    assert done.stderr == "semsearch: semsearch check --repair makes them anew\n"
    done = run("check", "--repair", "--json", "--index", str(built))
    assert done.exit_code == 0
    assert json.loads(done.stdout)["repaired"] == ["encoded 4 passages anew"]
    assert run("check", "--index", str(built)).exit_code == 0
    assert run("check", "--index", str(built.parent / "none")).exit_code == 2


def pages(home: Path) -> int:
    return (home / "semsearch.sqlite").stat().st_size // 8192


@pytest.mark.usefixtures("no_model")
def test_the_command_reads_the_articles_again(notes, built):
    done = run("check", "--sources", "--index", str(built))
    assert done.stdout.splitlines()[1:] == ["citations: 4 OK, 0 MOVED, 0 STALE"]
    (notes / "two.md").unlink()
    done = run("check", "--sources", "--index", str(built))
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1] == "citations: 2 OK, 0 MOVED, 2 STALE"
    assert done.stdout.splitlines()[2].startswith(f"STALE {notes / 'two.md'}:3 (cannot be read")
    assert "brings the index up to date" in done.stderr


def test_a_check_ends_though_thousands_of_segments_overlap(notes, home):
    build(notes, home)
    edit(
        home,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000)"
        " INSERT INTO segments SELECT printf('segment-%016x', i), 1000 + i, 1000000, 0, '[]' FROM n",
    )
    problems = semsearch.check(home, encoder=FakeEncoder()).problems
    assert ("vectors", "cannot count how many segments have the same rows: the check exceeds its step limit") in {
        (each.kind, each.what) for each in problems
    }


# Earlier formats, as their versions left them.


@pytest.mark.model
@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("how", ["repair", "index", "interrupted"])
def test_an_index_of_an_earlier_format_is_brought_up_to_date(tmp_path, root, model_cache, monkeypatch, version, how):
    top = tmp_path / "archive"
    shutil.copytree(root / "tests" / "data" / f"format-{version}", top)
    before = (top / "index" / "semsearch.sqlite").read_bytes()
    with pytest.raises(IndexCorrupt, match="bring it up to date with semsearch check --repair"):
        semsearch.open(top / "index")
    report = semsearch.check(top / "index")
    assert [damage.kind for damage in report.problems] == ["format"]
    assert (top / "index" / "semsearch.sqlite").read_bytes() == before
    if how == "interrupted":
        files = {path: path.read_bytes() for path in (top / "index").rglob("*") if path.name.startswith("segment-")}
        with monkeypatch.context() as patch:
            # As where a process is killed: nothing is tidied up.
            patch.setattr(Writer, "_give_up", lambda writer: writer._database.close())
            Writer(top / "index").close()
        Writer(top / "index").close()
        assert {path: path.read_bytes() for path in files} == files
        with pytest.raises(IndexCorrupt, match="earlier version"):
            Reader(top / "index")
    if how == "index":
        monkeypatch.chdir(top)
        with semsearch.build("articles", "index") as index:
            assert index.report is not None
            assert index.report.unchanged == 3
            assert index.report.encoded == 7
    else:
        report = semsearch.check(top / "index", repair=True)
        assert "encoded 7 passages anew" in report.repaired
        assert report.repaired[:2] == ("brought the index to this version's format", "made the words anew")
    report = semsearch.check(top / "index", sources=True)
    assert report.ok, report.problems
    assert report.citations == {"OK": 7, "MOVED": 0, "STALE": 0}
    with semsearch.open(top / "index") as index:
        assert index.status()["format"] == FORMAT
        hit = index.search("how much honey does a hive need", 1)[0]
        assert hit.text == "A hive needs about fifteen kilograms of honey to come through a winter in the mountains."
        assert hit.source == "articles/bees.txt"
    semsearch.build(top / "articles", top / "anew").close()
    anew, old = contents(top / "anew"), contents(top / "index")
    assert [item[0] for item in old] == [item[0] for item in anew]
    assert [item[5:] for item in old] == [item[5:] for item in anew]
    # Nothing of the old is left.
    assert {path.name[:8] for path in (top / "index").iterdir()} == {"lexical-", "segment-", "semsearc"}
    assert len(list((top / "index").iterdir())) == 1 + 1 + 2


@pytest.mark.model
@pytest.mark.parametrize("how", ["repair", "index"])
@pytest.mark.parametrize("version", [4, 5])
def test_an_index_of_a_later_format_keeps_its_vectors(tmp_path, root, model_cache, monkeypatch, version, how):
    top = tmp_path / "archive"
    shutil.copytree(root / "tests" / "data" / f"format-{version}", top)
    with pytest.raises(IndexCorrupt, match="bring it up to date with semsearch check --repair"):
        semsearch.open(top / "index")
    before = segments(top / "index")
    if how == "index":
        monkeypatch.chdir(top)
        with semsearch.build("articles", "index") as index:
            assert index.report is not None
            assert (index.report.unchanged, index.report.encoded) == (3, 0)
    else:
        report = semsearch.check(top / "index", repair=True)
        assert "brought the index to this version's format" in report.repaired
    assert segments(top / "index") == before
    report = semsearch.check(top / "index", sources=True)
    assert report.ok, report.problems
    assert report.citations == {"OK": 7, "MOVED": 0, "STALE": 0}
    with semsearch.open(top / "index") as index:
        assert index.status()["format"] == FORMAT
