"""Who sees what, and when: readers while a writer commits, threads that share an index, processes that were forked off."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections import Counter
from pathlib import Path

import pytest
from conftest import FakeEncoder
from helpers import build, write

import semsearch
from semsearch.errors import InputError, ModelMismatch

MODES = ("hybrid", "dense", "lexical")


def texts(index: semsearch.Index, query: str = "aid oil", mode: str = "hybrid") -> list[tuple[str, float]]:
    return [(hit.text, hit.score) for hit in index.search(query, 9, mode=mode, fold=False)]


def test_an_open_index_stays_what_it_is_until_it_is_refreshed(notes, home):
    build(notes, home)
    with semsearch.open(home, encoder=FakeEncoder()) as index:
        before = {mode: texts(index, mode=mode) for mode in MODES}
        assert index.refresh() is False
        write(notes, "three.md", "aid aid oil")
        (notes / "one.md").unlink()
        build(notes, home)
        # Nothing was read before the refresh that is read now.
        assert {mode: texts(index, mode=mode) for mode in MODES} == before
        old = index.search("aid", 1)[0]
        assert index.refresh() is True
        assert index.refresh() is False
        with semsearch.open(home, encoder=FakeEncoder()) as other:
            after = {mode: texts(other, mode=mode) for mode in MODES}
        assert {mode: texts(index, mode=mode) for mode in MODES} == after != before
        assert index.status()["generation"] == 2
        # A hit knows the generation that it came from.
        assert old.context().passage.text == old.text
        assert old.verify() == "STALE"
    with pytest.raises(InputError, match="was closed"):
        old.context()
    with pytest.raises(InputError, match="was closed"):
        texts(index)


@pytest.mark.usefixtures("no_model")
def test_an_index_that_was_made_anew_with_another_model(notes, home, monkeypatch):
    build(notes, home)
    other = FakeEncoder("other")
    with semsearch.open(home, encoder=FakeEncoder()) as given, semsearch.open(home) as loaded:
        before = texts(given)
        assert texts(loaded) == before
        build(notes, home, other, fresh=True)
        with pytest.raises(ModelMismatch, match="made anew with another model: open it again"):
            given.refresh()
        assert texts(given) == before
        monkeypatch.setattr("semsearch.encoder.load_for", lambda fingerprint, network: FakeEncoder(fingerprint.model))
        assert loaded.refresh() is True
        assert loaded.status()["model"] == "other"
        assert texts(loaded) == before


def test_generations_that_nobody_reads_are_gone_from_memory_and_disk(notes, home):
    build(notes, home)
    with semsearch.open(home, encoder=FakeEncoder()) as index:
        for number in range(5):
            texts(index)
            write(notes, "more.md", f"gas {'oil ' * number}")
            build(notes, home)
            assert index.refresh() is True
        texts(index)
        assert len(index._earlier) == 0
    if Path("/proc/self/fd").exists():
        held = [link for link in map(_link, os.listdir("/proc/self/fd")) if str(home) in link]
        assert held == []
    assert len(list(home.glob("lexical-*"))) == 1


def _link(name: str) -> str:
    try:
        return str(Path(f"/proc/self/fd/{name}").readlink())
    except OSError:
        return ""


def test_threads_share_an_index_while_it_is_written_and_refreshed(notes, home):
    build(notes, home)
    states = []
    for words in ("aid", "aid oil gas"):
        write(notes, "changing.md", words)
        build(notes, home)
        with semsearch.open(home, encoder=FakeEncoder()) as index:
            states.append({mode: texts(index, mode=mode) for mode in MODES})
    seen: Counter[int] = Counter()
    wrong: list[object] = []
    done = threading.Event()
    index = semsearch.open(home, encoder=FakeEncoder())

    def ask() -> None:
        while not done.is_set():
            for mode in MODES:
                try:
                    found = texts(index, mode=mode)
                except Exception as error:
                    wrong.append(error)
                    return
                which = [number for number, state in enumerate(states) if state[mode] == found]
                if not which:
                    wrong.append(found)
                    return
                seen[which[0]] += 1

    def check() -> None:
        while not done.is_set():
            report = semsearch.check(home, encoder=FakeEncoder())
            if not report.ok:
                wrong.append(report)
                return

    threads = [*(threading.Thread(target=ask) for _ in range(4)), threading.Thread(target=check)]
    for thread in threads:
        thread.start()
    for turn in range(12):
        write(notes, "changing.md", ("aid", "aid oil gas")[turn % 2])
        build(notes, home)
        assert index.refresh() is True
    done.set()
    for thread in threads:
        thread.join()
    index.close()
    assert wrong == []
    assert sum(seen.values()) > 12


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_is_refused_and_harms_nothing(notes, home):
    build(notes, home)
    index = semsearch.open(home, encoder=FakeEncoder())
    before = texts(index)
    hit = index.search("aid", 1)[0]
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = []
        for use in (
            lambda: texts(index),
            lambda: texts(index, mode="lexical"),
            index.status,
            index.refresh,
            hit.context,
            hit.verify,
        ):
            try:
                use()
                said.append("answered")
            except InputError as error:
                said.append(str(error))
        index.close()
        with semsearch.open(home, encoder=FakeEncoder()) as own:
            said.append(str(texts(own) == before))
        os.write(writing, "\n".join(said).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        *refused, own = pipe.read().decode().split("\n")
    assert os.waitpid(child, 0)[1] == 0
    assert len(refused) == 6
    assert all(line.endswith("was forked off: open it again in each process") for line in refused), refused
    assert own == "True"
    # What the child left behind is no worse for it.
    assert texts(index) == before
    index.close()
    assert semsearch.check(home, encoder=FakeEncoder()).ok


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="takes another user's rights")
def test_a_reader_that_may_not_write_is_told_when_the_owner_writes():
    """It can take no lock, and would get pages of two generations as one."""
    top = Path(tempfile.mkdtemp(prefix="semsearch-test-"))
    top.chmod(0o755)
    home = top / "index"
    for number in range(30):
        write(top / "notes", f"a{number}.md", f"aid {'oil ' * number}")
    build(top / "notes", home)
    os.setresuid(65534, 65534, 0)
    try:
        index = semsearch.open(home, encoder=FakeEncoder())
        before = texts(index)
    finally:
        os.setresuid(0, 0, 0)
    assert len(before) == 9
    for number in range(30):
        (top / "notes" / f"a{number}.md").unlink()
        write(top / "notes", f"b{number}.md", f"vaccine {'gas ' * number}")
    build(top / "notes", home, fresh=True)
    for mode in ("hybrid", "dense", "lexical"):
        with pytest.raises(InputError, match="was changed by its owner meanwhile: open it again"):
            texts(index, mode=mode)
    os.setresuid(65534, 65534, 0)
    try:
        assert index.refresh() is True
        assert {text for text, _ in texts(index, "vaccine gas")} != {text for text, _ in before}
    finally:
        os.setresuid(0, 0, 0)
    index.close()
    shutil.rmtree(top)


def test_what_was_closed_stays_closed(notes, home):
    build(notes, home)
    index = semsearch.open(home, encoder=FakeEncoder())
    index.close()
    index.close()
    write(notes, "three.md", "aid")
    build(notes, home)
    with pytest.raises(InputError, match="was closed"):
        index.refresh()


@pytest.mark.usefixtures("no_model")
def test_an_index_from_a_build_goes_on_to_another_model_as_any_other(notes, home, monkeypatch):
    index = semsearch.build(notes, home)
    build(notes, home, FakeEncoder("other"), fresh=True)
    monkeypatch.setattr("semsearch.encoder.load_for", lambda fingerprint, network: FakeEncoder(fingerprint.model))
    assert index.refresh() is True
    assert index.status()["model"] == "other"
    assert len(texts(index)) == 4
    index.close()


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_names_that_can_be_no_folders(notes, tmp_path, name):
    for use in (
        lambda: semsearch.open(tmp_path / name),
        lambda: semsearch.check(tmp_path / name),
        lambda: build(notes, tmp_path / name),
        lambda: semsearch.remove("x", tmp_path / name),
    ):
        with pytest.raises(InputError):
            use()
