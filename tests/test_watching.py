"""An index that follows its articles: what it notices, what it passes over, what it survives, how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import watchfiles
from conftest import FakeEncoder
from helpers import build, contents, found, write

import semsearch
from semsearch import watching
from semsearch.errors import InputError, MissingExtra
from semsearch.records import Refresh, is_address
from semsearch.store.writer import Writer


@pytest.fixture
def follow(monkeypatch) -> Iterator:
    """Follows sources; fails rather than waits for ever."""
    monkeypatch.setattr(watching, "_QUIET", 50)
    monkeypatch.setattr(watching, "_TICK", 50)
    monkeypatch.setattr(watching, "_AGAIN", (0.05,))
    stop = threading.Event()
    timer = threading.Timer(60, stop.set)
    timer.start()
    running = []

    def start(sources, home: Path, **options) -> Iterator[Refresh]:
        refreshes = semsearch.watch(sources, home, stop=stop, **{"encoder": FakeEncoder(), **options})
        running.append(refreshes)
        return refreshes

    yield start
    timer.cancel()
    for refreshes in running:
        refreshes.close()


def counts(refresh: Refresh) -> tuple[int, int, int]:
    assert refresh.report is not None, refresh.error
    return refresh.report.added, refresh.report.changed, refresh.report.removed


def test_it_follows_files_and_folders(notes: Path, home: Path, tmp_path: Path, follow):
    refreshes = follow(notes, home)
    assert counts(next(refreshes)) == (2, 0, 0)
    write(notes, "three.md", "charter", title="Third")
    assert counts(next(refreshes)) == (1, 0, 0)
    # As editors save: another file in its place.
    write(tmp_path, "draft.md", "sanction", title="Third").replace(notes / "three.md")
    assert counts(next(refreshes)) == (0, 1, 0)
    write(notes / "deep" / "er", "four.md", "election", title="Fourth")
    assert counts(next(refreshes)) == (1, 0, 0)
    # The folder that has come is watched, too.
    write(notes / "deep" / "er", "four.md", "election, gas", title="Fourth")
    assert counts(next(refreshes)) == (0, 1, 0)
    shutil.rmtree(notes / "deep")
    assert counts(next(refreshes)) == (0, 0, 1)
    write(notes / "deep" / "er", "four.md", "oil", title="Fourth")
    assert counts(next(refreshes)) == (1, 0, 0)
    write(tmp_path / "away", "five.md", "gas", title="Fifth")
    (tmp_path / "away").rename(notes / "away")
    assert counts(next(refreshes)) == (1, 0, 0)
    build(notes, tmp_path / "fresh")
    assert contents(home) == contents(tmp_path / "fresh")


def test_what_an_index_open_elsewhere_sees(notes: Path, home: Path, follow):
    refreshes = follow(notes, home)
    first = next(refreshes)
    with semsearch.open(home, encoder=FakeEncoder()) as opened:
        assert opened.generation == first.generation
        write(notes, "new.md", "charter, sanction", title="New")
        second = next(refreshes)
        assert opened.refresh()
        assert opened.generation == second.generation > first.generation
        assert opened.search("charter")[0].title == "New"


def test_a_source_that_is_gone_stays_indexed_until_it_is_back(notes: Path, home: Path, tmp_path: Path, follow):
    other = write(tmp_path / "other", "x.md", "gas")
    refreshes = follow([notes, other], home)
    next(refreshes)
    notes.rename(tmp_path / "elsewhere")
    assert "notes is gone" in str(next(refreshes).error)
    write(tmp_path / "other", "x.md", "gas, oil")
    assert counts(next(refreshes)) == (0, 1, 0)
    assert len(found(home, "sword")) == 5
    (tmp_path / "elsewhere").rename(notes)
    write(notes, "one.md", "charter", title="First")
    assert counts(next(refreshes)) == (0, 1, 0)
    # And one that comes anew in its place.
    shutil.rmtree(notes)
    write(notes, "one.md", "sanction", title="First")
    refresh = next(refreshes)
    while refresh.report is None:
        refresh = next(refreshes)
    assert counts(refresh) == (0, 1, 1)


def test_files_named_by_themselves_and_patterns(notes: Path, home: Path, follow, monkeypatch):
    monkeypatch.chdir(notes)
    (notes / "log.rst").write_text("The gas was there.\n")
    refreshes = follow(["one.md", "*.rst"], home)
    assert counts(next(refreshes)) == (2, 0, 0)
    write(notes, "two.md", "not asked for")
    write(notes, "one.md", "charter", title="First")
    assert counts(next(refreshes)) == (0, 1, 0)
    (notes / "more.rst").write_text("The oil was there.\n")
    assert counts(next(refreshes)) == (1, 0, 0)
    write(notes / "unmatched", "x.md", "gas")
    write(notes / "matched" / "in", "x.md", "gas")
    places = watching._Places.of(["one.md", "m*d"])
    assert places.deep == {str(notes), str(notes / "matched"), str(notes / "matched" / "in")}


def test_a_folder_that_comes_before_it_listens_is_followed(notes: Path, home: Path, follow, monkeypatch):
    real = watching._ticks

    def late(*arguments, **options):
        # Between the listing of the folders and the first of what is told of them.
        write(notes / "late", "three.md", "charter", title="Third")
        return real(*arguments, **options)

    monkeypatch.setattr(watching, "_ticks", late)
    refreshes = follow(notes, home)
    assert counts(next(refreshes)) == (3, 0, 0)
    monkeypatch.setattr(watching, "_ticks", real)
    threading.Timer(0.5, lambda: write(notes / "late", "three.md", "gas", title="Third")).start()
    assert counts(next(refreshes)) == (0, 1, 0)


def test_what_does_not_matter_makes_no_refresh(notes: Path, follow, monkeypatch):
    home = notes / "index"
    refreshes = follow(notes, home)
    next(refreshes)
    built = []
    original = semsearch.Index.build.__func__
    monkeypatch.setattr(semsearch.Index, "build", classmethod(lambda cls, *a, **k: built.append(1) or original(cls, *a, **k)))
    places = watching._Places.of([str(notes)])
    for name in ("index/semsearch.sqlite", "index/segment-1.vectors", ".hidden.md", ".git/x.md", "picture.png", "one.md~"):
        assert not places.matter(str(notes / name)), name
        assert not places.moved([str(notes / name)]), name
    assert places.matter(str(notes / "gone.md"))
    # Its own writing is not noticed: the next refresh is that of the file.
    write(notes, "three.md", "charter", title="Third")
    assert counts(next(refreshes)) == (1, 0, 0)
    assert len(built) == 1


def test_what_cannot_be_read_and_a_locked_index_are_told_and_survived(notes: Path, home: Path, follow):
    refreshes = follow(notes, home)
    next(refreshes)
    (notes / "bad.md").write_bytes(b"\0\1\2")
    refresh = next(refreshes)
    assert [problem.source.endswith("bad.md") for problem in refresh.report.problems] == [True]
    writer = Writer(home)
    write(notes, "three.md", "charter", title="Third")
    assert "another process is writing" in str(next(refreshes).error)
    writer.close()
    # Without any other change: it is tried again.
    assert counts(next(refreshes)) == (1, 0, 0)


class Failing(FakeEncoder):
    fails = False

    def encode_passages(self, passages):
        if self.fails:
            raise RuntimeError("the engine\nis out of order")
        return super().encode_passages(passages)


def test_a_model_that_fails_ends_nothing(notes: Path, home: Path, follow):
    encoder = Failing()
    refreshes = follow(notes, home, encoder=encoder)
    next(refreshes)
    encoder.fails = True
    write(notes, "three.md", "charter", title="Third")
    assert str(next(refreshes).error) == "the refresh failed (RuntimeError: the engine): it is tried again"
    encoder.fails = False
    assert counts(next(refreshes)) == (1, 0, 0)


def test_the_model_stays_loaded_and_another_one_takes_its_place(notes: Path, home: Path, follow, monkeypatch):
    from semsearch import encoder

    loaded = []

    def load(name="default"):
        loaded.append(name)
        return FakeEncoder(name)

    monkeypatch.setattr(encoder, "load", load)
    monkeypatch.setattr(encoder, "load_for", lambda fingerprint, network: load(fingerprint.model))
    monkeypatch.setattr(encoder, "check_unchanged", lambda fingerprint: None)
    refreshes = follow(notes, home, encoder=None, model="mine")
    next(refreshes)
    for words in ("charter", "sanction"):
        write(notes, "three.md", words, title="Third")
        next(refreshes)
    assert loaded == ["mine"]
    build(notes, home, FakeEncoder("other"), fresh=True)
    write(notes, "three.md", "gas", title="Third")
    assert counts(next(refreshes)) == (0, 1, 0)
    assert loaded == ["mine", "other"]


def test_where_the_system_tells_nothing_folders_are_looked_through(notes: Path, home: Path, follow, monkeypatch, caplog):
    import watchfiles

    real, asked = watchfiles.watch, []

    def watch(*paths, force_polling=None, **options):
        asked.append(force_polling)
        if not force_polling:
            raise OSError("OS file watch limit reached")
        return real(*paths, force_polling=force_polling, poll_delay_ms=20, **options)

    monkeypatch.setattr(watchfiles, "watch", watch)
    refreshes = follow(notes, home)
    next(refreshes)
    assert "OS file watch limit reached" in caplog.text
    write(notes, "three.md", "charter", title="Third")
    assert counts(next(refreshes)) == (1, 0, 0)
    assert asked == [None, True]


links = pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")


@links
def test_a_folder_replaced_by_a_link_is_not_followed(notes: Path, home: Path, tmp_path: Path, follow):
    write(notes / "sub", "a.md", "gas", title="Own")
    outside = write(tmp_path / "outside", "a.md", "charter", title="Private").parent
    refreshes = follow(notes, home)
    assert counts(next(refreshes)) == (3, 0, 0)
    (notes / "sub").rename(tmp_path / "moved")
    (notes / "sub").symlink_to(outside)
    refresh = next(refreshes)
    while refresh.report.removed == 0:
        refresh = next(refreshes)
    assert [problem.reason.partition(":")[0] for problem in refresh.report.problems] == ["a link that leads out of its folder"]
    places = watching._Places.of([str(notes)])
    assert places.deep == {str(notes)}
    write(outside, "b.md", "charter", title="Private")
    (notes / "sub").unlink()
    (tmp_path / "moved").rename(notes / "sub")
    assert counts(next(refreshes)) == (1, 0, 0)
    assert {hit.title for hit in found(home, "charter gas sword oil", 20)} == {"First", "Second", "Own"}


@links
def test_a_file_replaced_by_a_link_or_a_pipe_is_neither_followed_nor_waited_for(notes: Path, home: Path, tmp_path: Path, follow):
    outside = write(tmp_path / "outside", "a.md", "charter", title="Private")
    file = write(notes, "three.md", "gas", title="Third")
    alone = write(tmp_path / "alone", "four.md", "gas", title="Fourth")
    refreshes = follow([notes, alone], home)
    assert counts(next(refreshes)) == (4, 0, 0)
    file.unlink()
    file.symlink_to(outside)
    refresh = next(refreshes)
    while refresh.report.removed == 0:
        refresh = next(refreshes)
    assert [problem.source for problem in refresh.report.problems] == [str(file)]
    alone.unlink()
    os.mkfifo(alone)
    refresh = next(refreshes)
    while len(refresh.report.problems) < 2:
        refresh = next(refreshes)
    assert {problem.reason.partition(":")[0] for problem in refresh.report.problems} == {
        "a link that leads out of its folder",
        "neither a file nor a folder",
    }
    file.unlink()
    os.mkfifo(file)
    write(notes, "five.md", "gas", title="Fifth")
    refresh = next(refreshes)
    while refresh.report.added == 0:
        refresh = next(refreshes)
    # What was indexed of a file that was named by itself stays.
    assert {hit.title for hit in found(home, "gas charter sword oil", 20)} == {"First", "Second", "Fourth", "Fifth"}


@links
def test_a_pattern_watches_no_folder_that_a_link_leads_out_to(notes: Path, tmp_path: Path):
    (notes / "sub").mkdir()
    (tmp_path / "outside" / "deep").mkdir(parents=True)
    (notes / "out").symlink_to(tmp_path / "outside")
    (notes / "in").symlink_to("sub")
    (notes / "loop").symlink_to("loop")
    for pattern in ("*", "*/*.md", "**/*.md"):
        assert watching._Places.of([str(notes / pattern)]).deep == {str(notes), str(notes / "sub")}, pattern


@links
def test_a_link_to_itself_does_not_end_the_watch_where_folders_are_looked_through(notes: Path, home: Path, follow, monkeypatch):
    monkeypatch.setenv("WATCHFILES_FORCE_POLLING", "true")
    monkeypatch.setattr("watchfiles.watch", partial(watchfiles.watch, poll_delay_ms=20))
    refreshes = follow(notes, home)
    assert counts(next(refreshes)) == (2, 0, 0)
    (notes / "loop.md").symlink_to("loop.md")
    refresh = next(refreshes)
    while refresh.error is None:
        refresh = next(refreshes)
    assert "the folders cannot be watched" in str(refresh.error)
    # The files are read every so often; the failure is reported once.
    write(notes, "three.md", "charter", title="Third")
    refresh = next(refreshes)
    while refresh.report.added == 0:
        refresh = next(refreshes)
    (notes / "loop.md").unlink()
    write(notes, "four.md", "charter", title="Fourth")
    refresh = next(refreshes)
    while refresh.report.added == 0:
        refresh = next(refreshes)
    assert refresh.report.articles == 4


def test_an_address_among_the_sources_makes_no_refresh(notes: Path, home: Path, follow, monkeypatch):
    built = []
    original = semsearch.Index.build.__func__

    def build_without_network(cls, sources, *arguments, **options):
        built.append([source for source in sources if is_address(source)])
        return original(cls, [source for source in sources if not is_address(source)], *arguments, **options)

    monkeypatch.setattr(semsearch.Index, "build", classmethod(build_without_network))
    refreshes = follow([str(notes), "https://example.org/"], home)
    assert counts(next(refreshes)) == (2, 0, 0)
    threading.Timer(0.5, lambda: write(notes, "three.md", "charter", title="Third")).start()
    assert counts(next(refreshes)) == (1, 0, 0)
    assert built == [["https://example.org/"], []]


def test_it_begins_with_what_cannot_be_and_without_its_library(tmp_path: Path, home: Path, follow, monkeypatch):
    with pytest.raises(InputError, match="no such file or folder"):
        next(follow(tmp_path / "none", home))
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(MissingExtra, match=r'pip install "semsearch\[watch\]"'):
        semsearch.watch(tmp_path, home)


def test_it_ends_when_it_is_told(notes: Path, home: Path, monkeypatch):
    monkeypatch.setattr(watching, "_TICK", 50)
    stop = threading.Event()
    refreshes = semsearch.watch(notes, home, encoder=FakeEncoder(), stop=stop)
    next(refreshes)
    stop.set()
    assert list(refreshes) == []


SCRIPT = """
import signal
import sys
# In a shell's background it is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {tests!r})
from conftest import FakeEncoder
from semsearch import encoder
encoder.load = lambda name="": FakeEncoder()
encoder.load_for = lambda fingerprint, network: FakeEncoder()
from semsearch.__main__ import run
run()
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_sigterm_is_taken_as_ctrl_c():
    from semsearch.cli.watch import _terminating

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), _terminating():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_the_command_tells_a_line_a_refresh_and_ends_cleanly(notes: Path, tmp_path: Path):
    script = SCRIPT.format(tests=str(Path(__file__).parent))
    command = [sys.executable, "-c", script, "index", "notes", "--watch", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        first = json.loads(process.stdout.readline())
        assert (first["added"], first["generation"]) == (2, 1)
        write(notes, "three.md", "charter", title="Third")
        second = json.loads(process.stdout.readline())
        assert (second["added"], second["generation"]) == (1, 2)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (0, "")
    told = stderr.splitlines()
    assert told[0].startswith("semsearch: files: 2 added; ")
    assert told[1] == "semsearch: watching notes (stop with Ctrl-C)"
    assert told[2].startswith("semsearch: files: 1 added, 2 unchanged; ")
    assert told[3] == "semsearch: no longer watching: the index is as the last refresh left it"
    assert len(told) == 4
