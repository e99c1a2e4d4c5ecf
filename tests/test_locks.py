"""Lock files: a link instead of one is never followed, in the index and in the cache."""

from __future__ import annotations

import os
from pathlib import Path

import filelock
import pytest
from helpers import build

import semsearch
from semsearch.encoder import export
from semsearch.encoder.model import ModelFiles
from semsearch.errors import InputError
from semsearch.locks import file_lock

pytestmark = pytest.mark.skipif(os.name != "posix", reason="makes links and pipes")


def symbolic(lock: Path, victim: Path) -> None:
    lock.symlink_to(victim)


def dangling(lock: Path, victim: Path) -> None:
    lock.symlink_to(victim.with_name("new.txt"))


def hard(lock: Path, victim: Path) -> None:
    lock.hardlink_to(victim)


def pipe(lock: Path, victim: Path) -> None:
    os.mkfifo(lock)


def folder(lock: Path, victim: Path) -> None:
    lock.mkdir()


REPLACEMENTS = [symbolic, dangling, hard, pipe, folder]


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "precious.txt"
    path.write_text("precious")
    return path


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace filelock by a lock that follows links and truncates; return the names of the files that it locked."""
    names: list[str] = []

    class Truncating:
        def __init__(self, path: Path, timeout: float = -1) -> None:
            self._path = path

        def acquire(self) -> None:
            names.append(self._path.name)
            self._path.open("w").close()

        def release(self) -> None:
            pass

        def __enter__(self) -> None:
            self.acquire()

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(filelock, "FileLock", Truncating)
    return names


@pytest.mark.parametrize("replace", REPLACEMENTS)
def test_a_link_or_pipe_as_lock_file_is_rejected_by_every_writer(notes, home, victim, locked, replace):
    build(notes, home)
    assert locked == ["semsearch.lock"]
    (home / "semsearch.lock").unlink()
    replace(home / "semsearch.lock", victim)
    for write in (
        lambda: build(notes, home),
        lambda: build(notes, home, fresh=True),
        lambda: semsearch.remove(notes / "one.md", home),
        lambda: semsearch.check(home, repair=True),
    ):
        with pytest.raises(InputError, match=r"semsearch\.lock is a link or not a file: remove it"):
            write()
    assert locked == ["semsearch.lock"]
    assert victim.read_text() == "precious"
    assert not victim.with_name("new.txt").exists()


@pytest.mark.parametrize("replace", REPLACEMENTS)
def test_a_link_or_pipe_as_lock_file_is_rejected_in_the_cache(tmp_path, victim, locked, replace, monkeypatch, caplog):
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    files = ModelFiles("name", tmp_path, "weights", "tokenizer", "config")
    made: list[Path] = []
    monkeypatch.setattr(export, "_make", lambda _, target, agrees: made.append(target))
    export._ensure(files, lambda *_: True)
    (lock,) = locked
    assert made[0].parent == tmp_path / "cache" / "models"
    path = tmp_path / "cache" / "models" / lock
    path.unlink()
    replace(path, victim)
    export._ensure(files, lambda *_: True)
    assert len(locked) == 1
    assert not made[1].is_relative_to(tmp_path / "cache")
    assert "is a link or not a file: remove it" in caplog.text
    assert victim.read_text() == "precious"
    assert not victim.with_name("new.txt").exists()


def test_a_copy_by_hard_links_can_be_locked(tmp_path):
    (tmp_path / "lock").touch()
    (tmp_path / "copy").hardlink_to(tmp_path / "lock")
    with file_lock(tmp_path / "copy"), pytest.raises(filelock.Timeout):
        file_lock(tmp_path / "lock", timeout=0).acquire()


def test_a_link_that_appears_after_the_check_is_refused_by_filelock(tmp_path, victim):
    lock = file_lock(tmp_path / "lock", timeout=0)
    (tmp_path / "lock").symlink_to(victim)
    with pytest.raises((OSError, filelock.Timeout)):
        lock.acquire()
    assert victim.read_text() == "precious"
