"""What a refresh does, and that it ends where a fresh build does."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest
from helpers import build, contents, found, segments, sentence, write
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch import builder
from semsearch.store import Reader
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


WORDS = st.sampled_from(["aid", "vaccine", "oil, gas", "sword, aid, oil", "council", "charter aid"])
NAMES = st.sampled_from(["a.md", "b.md", "sub/c.md", "sub/deep/d.md", "e.jsonl"])
CHANGES = st.one_of(
    st.tuples(st.just("write"), NAMES, st.lists(WORDS, min_size=1, max_size=4), st.sampled_from(["One", "Two"])),
    st.tuples(st.just("rename"), NAMES, NAMES),
    st.tuples(st.just("copy"), NAMES, NAMES),
    st.tuples(st.just("delete"), NAMES),
)


def change(folder: Path, kind: str, name: str, *rest) -> None:
    path = folder / name
    if kind == "write" and name.endswith(".jsonl"):
        words, title = rest
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps({"title": title, "text": sentence(each)}) + "\n" for each in words))
    elif kind == "write":
        write(folder, name, *rest[0], title=rest[1])
    elif path.exists() and kind == "delete":
        path.unlink()
    elif path.exists() and path.suffix == Path(rest[0]).suffix and name != rest[0]:
        (folder / rest[0]).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copy if kind == "copy" else os.replace)(path, folder / rest[0])


def by_words(home: Path, query: str) -> list[tuple[float, str]]:
    """What the lexical side finds, without the rows, which tell of the index's history."""
    with closing(Reader(home)) as reader:
        rows = reader.lexical().search(query, 50)
        texts = {item.row: f"{item.title}|{item.passage.text}" for item in reader.passages(rows.rows.tolist(), 1)}
        return sorted((score, texts[row]) for row, score in zip(rows.rows.tolist(), rows.scores.tolist(), strict=True))


@settings(derandomize=True, max_examples=25, deadline=None, database=None)
@given(runs=st.lists(st.lists(CHANGES, min_size=1, max_size=4), min_size=1, max_size=5))
def test_refreshing_ends_where_a_fresh_build_does(tmp_path_factory, runs):
    top = tmp_path_factory.mktemp("runs")
    folder = top / "notes"
    write(folder, "always.md", "election")
    with pytest.MonkeyPatch.context() as patch:
        for place in (vector_side, builder):
            patch.setattr(place, "SEGMENT_ROWS", 4)
        patch.setattr(vector_side, "SMALL_SEGMENTS", 2)
        known: set[str] = set()
        for changes in runs:
            for each in changes:
                change(folder, *each)
            before = known
            report, encoded = build(folder, top / "grown")
            fresh, everything = build(folder, top / "fresh", fresh=True)
            assert report.passages == fresh.passages
            assert set(encoded) <= set(everything)
            assert len(encoded) == report.encoded
            assert contents(top / "grown") == contents(top / "fresh")
            for query in ("aid", "oil gas", "council sword"):
                for k in (2, 50):
                    assert found(top / "grown", query, k).hits == found(top / "fresh", query, k).hits
                assert by_words(top / "grown", query) == by_words(top / "fresh", query)
            known = {f"{item[3]}|{item[0].text}" for item in contents(top / "grown")}
            # A text under the same title that was there before is not encoded again.
            assert report.encoded <= len(known - before)


def test_segments_merge_and_answers_stay(tmp_path, home, monkeypatch):
    monkeypatch.setattr(vector_side, "SMALL_SEGMENTS", 3)
    folder = tmp_path / "notes"
    for number in range(9):
        write(folder, f"{number}.md", f"aid{' oil' * number}")
        build(folder, home)
        assert len(segments(home)) <= 4 * 3
    build(folder, tmp_path / "new")
    assert found(home, "aid oil").hits == found(tmp_path / "new", "aid oil").hits
    assert contents(home) == contents(tmp_path / "new")


def test_many_segments_answer_as_one(notes, home, tmp_path, monkeypatch):
    build(notes, tmp_path / "one")
    for place in (vector_side, builder):
        monkeypatch.setattr(place, "SEGMENT_ROWS", 1)
    build(notes, home)
    assert len(segments(home)) == 4 * 4
    assert found(home, "aid oil").hits == found(tmp_path / "one", "aid oil").hits
