"""Building: what goes wrong, and what is left then; what is refused; where an index lies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from conftest import FakeEncoder
from helpers import build, contents, found, segments, sentence, write

import semsearch
from semsearch import builder
from semsearch.errors import IndexCorrupt, IndexLocked, IndexMissing, InputError, ModelMismatch
from semsearch.store import database
from semsearch.store.writer import Writer


def found_in(home: Path) -> set[str]:
    """All that is in an index directory, whatever a reader left of SQLite's log."""
    return {name for name in os.listdir(home) if not name.endswith(("-wal", "-shm"))}


def files_of(home: Path) -> set[str]:
    """Derived files that the index lists."""
    with closing(database.connect_to_read(home)) as opened:
        names = database.names_listed(opened)
    return {name for name in os.listdir(home) if name.split(".")[0] in names}


def pending(home: Path):
    return database.connect(home.resolve() / "pending.sqlite", "mode=rw")


class Failing(FakeEncoder):
    def __init__(self, error: BaseException, after: int) -> None:
        super().__init__()
        self.error, self.after = error, after

    def encode_passages(self, passages):
        for encoded in super().encode_passages(passages):
            if len(self.encoded) > self.after:
                raise self.error
            yield encoded


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("engine"), MemoryError()])
@pytest.mark.parametrize("fresh", [False, True])
def test_an_interrupted_refresh_leaves_the_last_state(notes, home, error, fresh, monkeypatch):
    build(notes, home)
    before, files = contents(home), segments(home)
    for number in range(8):
        write(notes, f"new{number}.md", f"gas {'aid ' * number}")
    monkeypatch.setattr(builder, "SEGMENT_ROWS", 2)
    with pytest.raises(type(error)):
        build(notes, home, Failing(error, 4), fresh=fresh)
    assert files.items() <= segments(home).items()
    assert contents(home) == before
    # What was encoded is kept, and is not encoded again.
    report, encoded = build(notes, home)
    assert (report.added, report.passages) == (8, 12)
    assert len(encoded) == report.encoded == 8 - 4
    assert found_in(home) == {*files_of(home), "semsearch.lock", "semsearch.sqlite"}
    anew = home.parent / "anew"
    build(notes, anew)
    assert contents(home) == contents(anew)


def test_an_interrupted_first_build_keeps_what_it_has_encoded(notes, home):
    for options, after in (({}, 2), ({"fresh": True}, 0)):
        with pytest.raises(KeyboardInterrupt):
            build(notes, home, Failing(KeyboardInterrupt(), after), **options)
        with pytest.raises(IndexMissing):
            semsearch.open(home)
        with closing(pending(home)) as kept:
            assert kept.execute("SELECT count(*) FROM texts").fetchone() == (2,)
    report, encoded = build(notes, home)
    assert (report.passages, report.encoded, len(encoded)) == (4, 2, 2)
    anew = home.parent / "anew"
    build(notes, anew)
    assert contents(home) == contents(anew)


def test_what_was_kept_of_another_model_is_not_used(notes, home):
    with pytest.raises(KeyboardInterrupt):
        build(notes, home, Failing(KeyboardInterrupt(), 2))
    report, encoded = build(notes, home, FakeEncoder("other"))
    assert (report.passages, len(encoded)) == (4, 4)


@pytest.mark.parametrize("fresh", [False, True])
def test_damage_to_what_was_kept_holds_up_no_build(notes, home, fresh):
    for number in range(20):
        write(notes, f"more{number}.md", *[f"gas {'aid ' * number}{'oil ' * more}" for more in range(5)])
    with pytest.raises(KeyboardInterrupt):
        build(notes, home, Failing(KeyboardInterrupt(), 60))
    with closing(pending(home)) as kept:
        # All of it in the one file.
        kept.wal_checkpoint()
    build(notes, home.parent / "right")
    whole = (home / "pending.sqlite").read_bytes()
    for page in range(len(whole) // 4096):
        shutil.rmtree(home)
        home.mkdir()
        at = 4096 * page + 100 + 37 * page
        (home / "pending.sqlite").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        report, _ = build(notes, home, fresh=fresh)
        assert report.encoded >= 104 - 62
        assert contents(home) == contents(home.parent / "right")
        assert not list(home.glob("pending*"))


def test_a_damaged_index_that_is_made_anew_is_there_until_it_is(notes, home):
    build(notes, home)
    path = home / "semsearch.sqlite"
    damaged = path.read_bytes()
    damaged = damaged[:9000] + bytes([damaged[9000] ^ 1]) + damaged[9001:]
    path.write_bytes(damaged)
    before = segments(home)
    for error in (KeyboardInterrupt(), RuntimeError("engine")):
        with pytest.raises(type(error)):
            build(notes, home, Failing(error, 0), fresh=True)
        assert path.read_bytes() == damaged
        assert before.items() <= segments(home).items()
    # A process that is killed meanwhile leaves it under another name.
    path.rename(home / "damaged.sqlite")
    with pytest.raises(IndexCorrupt):
        build(notes, home)
    assert path.read_bytes() == damaged
    path.rename(home / "damaged.sqlite")
    report, _ = build(notes, home, fresh=True)
    assert report.passages == 4
    assert found_in(home) == {*files_of(home), "semsearch.lock", "semsearch.sqlite"}
    assert semsearch.check(home, encoder=FakeEncoder()).ok


def test_an_interrupt_from_progress_is_as_any_other(notes, home):
    def interrupt(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(notes, home, progress=interrupt)
    assert os.listdir(home) == ["semsearch.lock"]
    assert build(notes, home)[0].passages == 4


KILLED = """
import os, sys
sys.path.insert(0, {tests!r})
from conftest import FakeEncoder
import semsearch
from semsearch.store import words, writer

class Killed(FakeEncoder):
    def encode_passages(self, passages):
        yield from super().encode_passages(passages)
        if {when!r} == "encoding":
            os._exit(9)

if {when!r} == "committed":
    writer.Writer.close = lambda self: os._exit(9)
elif {when!r} == "writing words":
    words.LexicalWriter.add = lambda *_: os._exit(9)
else:
    writer.sync_folder = lambda folder: os._exit(9)
semsearch.build({notes!r}, {home!r}, encoder=Killed())
"""


@pytest.mark.parametrize("when", ["encoding", "writing words", "committing", "committed"])
def test_a_killed_process_leaves_the_last_state_or_the_next(notes, home, root, when):
    build(notes, home)
    before = contents(home)
    write(notes, "three.md", "charter")
    script = KILLED.format(tests=str(root / "tests"), when=when, notes=str(notes), home=str(home))
    done = subprocess.run([sys.executable, "-c", script], cwd=root, check=False, timeout=60)
    assert done.returncode == 9
    texts = [item[0].text for item in contents(home)]
    assert texts == sorted(
        [*[item[0].text for item in before], *([sentence("charter")] if when == "committed" else [])], key=texts.index
    )
    assert len(texts) == (5 if when == "committed" else 4)
    report, encoded = build(notes, home)
    # Encoding was at its end, whenever it was.
    assert (report.passages, len(encoded)) == (5, 0)
    assert found_in(home) == {*files_of(home), "semsearch.lock", "semsearch.sqlite"}
    assert len(segments(home)) == 2
    assert len(list(home.glob("lexical-*"))) == 1


def test_progress_tells_both_stages_to_their_end(notes, home):
    told = []
    build(notes, home, progress=lambda *step: told.append(step))
    assert [step for step in told if step[0] == "reading"][-1] == ("reading", 2, 2)
    assert [step for step in told if step[0] == "encoding"][-1] == ("encoding", 4, 4)
    assert [step[0] for step in told] == sorted((step[0] for step in told), reverse=True)
    assert all(0 <= done <= total for _, done, total in told)


def test_a_second_writer_is_refused(notes, home):
    build(notes, home)
    opened = Writer(home)
    for write_too in (lambda: build(notes, home), lambda: semsearch.remove(notes, home)):
        with pytest.raises(IndexLocked, match="another process is writing"):
            write_too()
    assert len(found(home, "aid")) == 4
    opened.close()
    build(notes, home)


def test_a_writer_in_another_process_is_seen(notes, home, root):
    script = f"""
import sys
from pathlib import Path
from semsearch.store import database
from semsearch.store.writer import Writer
opened = Writer(Path({str(home)!r}))
print("ready", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as other:
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(IndexLocked):
            build(notes, home)
        with pytest.raises(IndexMissing):
            semsearch.open(home)
        other.kill()
    assert build(notes, home)[0].passages == 4


def test_another_model_is_refused_and_fresh_builds_anew(notes, home):
    build(notes, home)
    with pytest.raises(ModelMismatch, match="--fresh"):
        build(notes, home, FakeEncoder("other"))
    with pytest.raises(ModelMismatch, match=r"open it without an encoder$"):
        semsearch.open(home, encoder=FakeEncoder("other"))
    report, encoded = build(notes, home, FakeEncoder("other"), fresh=True)
    assert (report.added, len(encoded)) == (2, 4)
    with semsearch.open(home, encoder=FakeEncoder("other")) as opened:
        assert opened.status()["model"] == "other"
        assert opened.status()["generation"] == 2


def test_what_encodes_nothing_loads_no_model(notes, home, monkeypatch):
    build(notes, home)
    loaded: list[FakeEncoder] = []

    def load_for(fingerprint, network):
        assert fingerprint == FakeEncoder().fingerprint
        loaded.append(FakeEncoder())
        return loaded[-1]

    monkeypatch.setattr("semsearch.encoder.load_for", load_for)
    (notes / "two.md").unlink()
    with semsearch.build(notes, home) as opened:
        assert (opened.report.removed, opened.report.encoded) == (1, 0)
        assert not loaded
        assert sentence("vaccine") in opened.search("vaccine", fold=False).hits[0].text
        assert len(loaded) == 1
    write(notes, "three.md", "charter")
    with semsearch.build(notes, home) as opened:
        assert opened.report.encoded == 1
        assert opened.search("charter", fold=False).hits[0].text == sentence("charter")
    assert [each.encoded for each in loaded] == [[], [sentence("charter")]]


def test_fresh_forgets_other_sources(notes, home, tmp_path):
    build(notes, home)
    write(tmp_path / "more", "three.md", "charter")
    report, _ = build(tmp_path / "more", home, fresh=True)
    assert (report.articles, report.added) == (1, 1)


def test_sources_that_are_none_are_refused_before_anything_is_made(tmp_path, home):
    (tmp_path / "none").mkdir()
    for sources in (tmp_path / "missing", [], tmp_path / "none", tmp_path / "*.md"):
        with pytest.raises(InputError):
            build(sources, home)
    assert not home.exists()


def test_an_index_folder_of_something_else_is_refused(notes):
    before = sorted(os.listdir(notes))
    with pytest.raises(InputError, match="not an index and not empty"):
        build(notes, notes)
    with pytest.raises(InputError, match="is a file"):
        build(notes, notes / "one.md")
    with pytest.raises(IndexMissing, match="make one with semsearch index SOURCE --index"):
        semsearch.open(notes)
    assert sorted(os.listdir(notes)) == before


# Where an index lies, and who has it open.


def test_index_and_articles_move_together(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path("old/notes"), "one.md", "aid")
    monkeypatch.chdir("old")
    build("notes", Path("index"))
    monkeypatch.chdir(tmp_path)
    shutil.move("old", "new place")
    monkeypatch.chdir("new place")
    (hit,) = found(Path("index"), "aid")
    assert hit.path == str(tmp_path / "new place" / "notes" / "one.md")
    report, encoded = build("notes", Path("index"))
    assert (report.unchanged, report.added, report.removed, encoded) == (1, 0, 0, [])


@pytest.mark.parametrize("place", ["copy/index", "notes/sub/index", "index2"])
def test_an_index_copied_without_its_articles_still_knows_them(notes, tmp_path, place):
    write(notes, "sub/one.md", "charter")
    write(tmp_path / "outside", "three.md", "council")
    build([notes, tmp_path / "outside"], tmp_path / "index")
    (tmp_path / place).parent.mkdir(exist_ok=True)
    shutil.copytree(tmp_path / "index", tmp_path / place)
    for _ in range(2):
        report, encoded = build([notes, tmp_path / "outside"], tmp_path / place)
        assert (report.unchanged, report.added, report.removed, report.articles, encoded) == (4, 0, 0, 4, [])
    assert {hit.path for hit in found(tmp_path / place, "aid")} == {hit.path for hit in found(tmp_path / "index", "aid")}
