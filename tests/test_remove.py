"""Taking articles out of an index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import build, found, segments, sentence, write

import semsearch
from semsearch.errors import IndexMissing, InputError


@pytest.fixture
def mixed(tmp_path) -> Path:
    folder = tmp_path / "mixed"
    write(folder, "a.md", "aid")
    write(folder, "sub/b.md", "oil")
    write(folder, "sub/c.md", "gas")
    write(folder, "subway.md", "sword")
    (folder / "d.jsonl").write_text("".join(json.dumps({"text": sentence(word)}) + "\n" for word in ("charter", "council")))
    return folder


def left(home: Path) -> str:
    return " ".join(sorted(hit.text.split()[1] for hit in found(home, "aid")))


@pytest.mark.parametrize(
    ("names", "removed", "remaining"),
    [
        (["a.md"], 1, "charter council gas oil sword"),
        (["sub"], 2, "aid charter council sword"),
        (["sub/"], 2, "aid charter council sword"),
        (["./sub/../sub/b.md"], 1, "aid charter council gas sword"),
        (["d.jsonl#2"], 1, "aid charter gas oil sword"),
        (["d.jsonl"], 1, "aid gas oil sword"),
        (["d.jsonl", "d.jsonl#1"], 1, "aid gas oil sword"),
        (["d.jsonl#1", "d.jsonl#2", "d.jsonl#2", "a.md"], 3, "gas oil sword"),
        (["sub", "sub/b.md"], 2, "aid charter council sword"),
        (["."], 5, ""),
    ],
)
@pytest.mark.parametrize("named", ["relative", "absolute", "elsewhere"])
def test_remove(mixed, tmp_path, monkeypatch, names, removed, remaining, named):
    # The index lies beside the articles: the folder around it is theirs.
    home = tmp_path / "mixed" / "index"
    monkeypatch.chdir(mixed)
    build(".", home)
    if named == "absolute":
        names = [f"{mixed}/{name}" for name in names]
    if named == "elsewhere" and names != ["."]:
        # As they were given, though that path leads nowhere from here.
        monkeypatch.chdir(tmp_path)
    assert semsearch.remove(names, home) == removed
    assert left(home) == remaining
    assert (mixed / "a.md").exists()


@pytest.mark.parametrize("unknown", ["nothing.md", "", "su", "sub/b", "d.jsonl#3", "d.jsonl#", "#1", "a.md#1", "/"])
def test_remove_of_something_unknown_removes_nothing(mixed, home, monkeypatch, unknown):
    monkeypatch.chdir(mixed.parent)
    build("mixed", home)
    if unknown == "/":
        unknown = "/nowhere"
    with pytest.raises(InputError, match=r"is not in the index .*: name it as it was indexed$"):
        semsearch.remove(["mixed/a.md", unknown], home)
    assert left(home) == "aid charter council gas oil sword"


def test_remove_of_nothing_and_from_nothing(notes, home):
    with pytest.raises(IndexMissing):
        semsearch.remove(notes, home)
    assert not home.exists()
    build(notes, home)
    with pytest.raises(InputError):
        semsearch.remove([], home)


def test_a_path_is_meant_before_a_name(tmp_path, home, monkeypatch):
    for place in ("one", "two"):
        write(tmp_path / place / "notes", "a.md", "aid" if place == "one" else "oil")
        monkeypatch.chdir(tmp_path / place)
        build("notes", home)
    assert semsearch.remove("notes", home) == 1
    assert left(home) == "aid"


def test_removed_files_come_back_with_a_refresh_and_are_encoded_again(notes, home):
    build(notes, home)
    assert semsearch.remove([notes / "one.md"], home) == 1
    report, encoded = build(notes, home)
    assert (report.added, report.unchanged, len(encoded)) == (1, 1, 2)


def test_everything_can_be_removed(notes, home):
    build(notes, home)
    assert semsearch.remove(notes, home) == 2
    results = found(home, "aid")
    assert (len(results), results.answerable) == (0, False)
    assert segments(home) == {}
