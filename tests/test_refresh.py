"""What a refresh does, and that it ends where a fresh build does."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest
from helpers import build, contents, found, segments, sentence, write

from semsearch import builder
from semsearch.store import segments as vector_side


def test_unchanged_files_are_not_encoded(notes, home):
    first, _ = build(notes, home)
    assert (first.articles, first.passages, first.added, first.encoded) == (2, 4, 2, 4)
    before = segments(home)
    report, encoded = build(notes, home)
    expected = {"articles": 2, "passages": 4, "added": 0, "changed": 0, "removed": 0, "unchanged": 2, "encoded": 0}
    assert {key: value for key, value in asdict(report).items() if key in expected} == expected
    assert encoded == []
    assert segments(home) == before


def test_an_edit_encodes_only_new_passages(notes, home):
    build(notes, home)
    write(notes, "one.md", "charter", "aid, vaccine", "oil oil", title="First")
    report, encoded = build(notes, home)
    assert (report.changed, report.unchanged, report.encoded, report.passages) == (1, 1, 1, 5)
    assert encoded == [sentence("charter")]
    (hit,) = found(home, "oil", 1)
    assert (hit.line, hit.paragraph) == (7, 3)


def test_renames_and_moves_encode_nothing(notes, home):
    build(notes, home)
    (notes / "sub").mkdir()
    (notes / "one.md").rename(notes / "sub" / "new.md")
    report, encoded = build(notes, home)
    assert (report.added, report.removed, report.encoded, encoded) == (1, 1, 0, [])
    assert found(home, "oil", 1)[0].source == str(notes / "sub" / "new.md")


def test_deleted_files_are_dropped(notes, home):
    build(notes, home)
    (notes / "two.md").unlink()
    report, _ = build(notes, home)
    assert (report.removed, report.articles, report.passages) == (1, 1, 2)
    assert {Path(hit.source).name for hit in found(home, "sword")} == {"one.md"}


def test_a_second_folder_keeps_the_first(notes, home, tmp_path):
    build(notes, home)
    write(tmp_path / "more", "three.md", "charter")
    report, encoded = build(tmp_path / "more", home)
    assert (report.articles, report.added, report.removed, len(encoded)) == (3, 1, 0, 1)
    assert found(home, "charter", 1)[0].source == str(tmp_path / "more" / "three.md")
    assert found(home, "oil", 1)[0].source == str(notes / "one.md")


def test_a_file_named_by_itself_stays_though_its_folder_passes_it_over(notes, home):
    log = write(notes, "notes.log", "charter")
    build([notes, log], home)
    report, _ = build(notes, home)
    assert (report.removed, report.articles) == (0, 3)
    log.unlink()
    report, _ = build(notes, home)
    assert (report.removed, report.articles) == (1, 2)


def test_problems_are_told_again(notes, home):
    (notes / "empty.txt").write_text(" ")
    (notes / "records.jsonl").write_text(json.dumps({"text": sentence("gas")}) + "\nno json\n")
    report, _ = build(notes, home)
    assert sorted(Path(problem.source).name for problem in report.problems) == ["empty.txt", "records.jsonl"]
    again, _ = build(notes, home)
    assert sorted(again.problems, key=str) == sorted(report.problems, key=str)
    assert again.unchanged == 4
    (notes / "empty.txt").write_text(sentence("aid"))
    healed, _ = build(notes, home)
    assert [Path(problem.source).name for problem in healed.problems] == ["records.jsonl"]
    assert healed.changed == 1


def test_names_that_are_not_utf8_are_problems(notes, home):
    try:
        (notes / os.fsdecode(b"caf\xe9.md")).write_text(sentence("aid"))
    except OSError:
        pytest.skip("the file system refuses such names")
    report, _ = build(notes, home)
    assert report.articles == 2
    (problem,) = report.problems
    assert "rename it" in problem.reason
    json.dumps(asdict(problem), ensure_ascii=False).encode()


def test_another_name_for_the_same_folder_relabels(notes, home, monkeypatch):
    build(notes, home)
    monkeypatch.chdir(notes.parent)
    report, _ = build("notes", home)
    assert report.unchanged == 2
    assert found(home, "oil", 1)[0].source == "notes/one.md"


def test_passages_are_cut_anew_when_the_cutting_changes(notes, home, monkeypatch):
    build(notes, home)
    from semsearch import passages

    monkeypatch.setattr(passages, "VERSION", passages.VERSION + 1)
    report, encoded = build(notes, home)
    assert (report.changed, encoded) == (2, [])
    report, _ = build(notes, home)
    assert report.unchanged == 2


def test_segments_merge_and_answers_stay(tmp_path, home, monkeypatch):
    monkeypatch.setattr(vector_side, "SMALL_SEGMENTS", 3)
    folder = tmp_path / "notes"
    for number in range(9):
        write(folder, f"{number}.md", f"aid{' oil' * number}")
        build(folder, home)
        assert len(segments(home)) <= 3
    build(folder, tmp_path / "new")
    assert found(home, "aid oil").hits == found(tmp_path / "new", "aid oil").hits
    assert contents(home) == contents(tmp_path / "new")


def test_many_segments_answer_as_one(notes, home, tmp_path, monkeypatch):
    build(notes, tmp_path / "one")
    for place in (vector_side, builder):
        monkeypatch.setattr(place, "SEGMENT_ROWS", 1)
    build(notes, home)
    assert len(segments(home)) == 4
    assert found(home, "aid oil").hits == found(tmp_path / "one", "aid oil").hits
