"""`Index` with an encoder whose vectors can be computed by hand."""

from __future__ import annotations

import gc
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeEncoder
from hypothesis import given, settings
from hypothesis import strategies as st

import semsearch
from semsearch import builder
from semsearch import index as module
from semsearch.errors import (
    IndexCorrupt,
    IndexLocked,
    IndexMissing,
    InputError,
    ModelMismatch,
)
from semsearch.store import Reader, Writer, writer

FILLER = "was there all day long and nobody in the whole town said a word of it"


def sentence(words: str) -> str:
    return f"The {words} {FILLER}."


def write(folder: Path, name: str, *paragraphs: str, title: str = "Title") -> Path:
    """A Markdown file of paragraphs, each of the words given: ``"aid, oil"`` is one paragraph of two sentences."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "\n\n".join(" ".join(sentence(words) for words in paragraph.split(", ")) for paragraph in paragraphs)
    path.write_text(f"# {title}\n\n{body}\n")
    return path


def cosine(one: str, other: str) -> float:
    a, b = FakeEncoder.vectors([one, other])
    return float(a @ b)


@pytest.fixture
def notes(tmp_path) -> Path:
    folder = tmp_path / "notes"
    write(folder, "one.md", "aid, vaccine", "oil oil", title="First")
    write(folder, "two.md", "sword, battle, council", "gas", title="Second")
    return folder


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "index"


def build(sources, path: Path, encoder: FakeEncoder | None = None, **options):
    """Build with an encoder of its own; the report and what was encoded."""
    encoder = encoder or FakeEncoder()
    with semsearch.build(sources, path, encoder=encoder, **options) as built:
        return built.report, encoder.encoded


def found(path: Path, query: str, k: int = 10):
    with semsearch.open(path, encoder=FakeEncoder()) as opened:
        return opened.search(query, k)


def segments(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.glob("segment-*")}


# What a search gives.


def test_scores_are_the_mean_of_passage_and_best_sentence(notes, home):
    build(notes, home)
    results = found(home, "aid")
    assert len(results) == 4
    passage = f"First. {sentence('aid')} {sentence('vaccine')}"
    by_hand = 1 / math.hypot(1, 0.1)
    assert cosine("aid", sentence("aid")) == pytest.approx(1)
    assert cosine("aid", passage) == pytest.approx((1 + 0.01) / (math.hypot(1, 0.1) * math.hypot(1, 1, 0.1)), abs=1e-6)
    assert results[0].score == pytest.approx((1 + cosine("aid", passage)) / 2, abs=1e-4)
    assert results[0].scores == {"dense": results[0].score, "lexical": None}
    # The others share nothing with the question but the little that all have.
    assert results[-1].score < 0.1 * by_hand
    assert [hit.rank for hit in results] == [1, 2, 3, 4]
    assert (results.answerable, results.mode, results.query) == (True, "dense", "aid")
    assert results.took_ms > 0


def test_scores_are_clipped_and_keep_their_order(notes, home):
    build(notes, home)

    class Opposite(FakeEncoder):
        def encode_queries(self, texts):
            return -self.vectors(texts)

    with semsearch.open(home, encoder=Opposite()) as opened:
        results = opened.search("oil")
    assert {hit.score for hit in results} == {0.0}
    assert results[-1].text == sentence("oil oil")
    assert not results.answerable


def test_a_hit_says_where_it_stands(notes, home):
    build(notes, home)
    (hit,) = found(home, "council", 1)
    source = (notes / "two.md").read_text()
    assert source[hit.start : hit.end] == hit.text == " ".join(map(sentence, ("sword", "battle", "council")))
    assert source[hit.highlight.start : hit.highlight.end] == hit.highlight.text == sentence("council")
    assert (hit.title, hit.source, hit.path) == ("Second", str(notes / "two.md"), str(notes / "two.md"))
    assert (hit.line, hit.paragraph, hit.heading) == (3, 1, "")


def test_search_many_equals_search(notes, home):
    build(notes, home)
    queries = ["aid", "oil vaccine", "sword", "nothing of all that"] * 8
    with semsearch.open(home, encoder=FakeEncoder()) as opened:
        many = opened.search_many(queries, 3)
        assert [each.query for each in many] == queries
        assert [each.hits for each in many] == [opened.search(query, 3).hits for query in queries]
        assert opened.search_many([]) == []


def test_opened_equals_built(notes, home):
    with semsearch.build(notes, home, encoder=FakeEncoder()) as built:
        assert built.search("aid oil").hits == found(home, "aid oil").hits


def test_unanswerable_question(notes, home):
    build(notes, home)
    assert not found(home, "election").answerable


def test_fewer_passages_than_k(notes, home):
    build(notes, home)
    assert len(found(home, "aid", 10_000)) == 4
    assert len(found(home, "aid", np.int64(3))) == 3
    assert [hit.text for hit in found(home, "oil", 1)] == [sentence("oil oil")]


@pytest.mark.parametrize("k", [0, -1, 10_001, 2.5, "3", None])
def test_k_out_of_range_is_refused(notes, home, k):
    build(notes, home)
    with semsearch.open(home, encoder=FakeEncoder()) as opened, pytest.raises(InputError, match=r"from 1 to 10,000$"):
        opened.search("aid", k)
    with pytest.raises(InputError):
        semsearch.ask("aid", notes, k=k)


@pytest.mark.parametrize("query", ["", "  \n\t", "\0", None, 7])
def test_empty_questions_are_refused(notes, home, query):
    build(notes, home)
    with semsearch.open(home, encoder=FakeEncoder()) as opened:
        with pytest.raises(InputError, match="the question is"):
            opened.search(query)
        with pytest.raises(InputError):
            opened.search_many(["aid", query])
        with pytest.raises(InputError, match=r"use search for one$"):
            opened.search_many("aid")
    with pytest.raises(InputError):
        semsearch.ask(query, notes)


def test_unknown_modes_are_refused(notes, home):
    build(notes, home)
    with semsearch.open(home, encoder=FakeEncoder()) as opened, pytest.raises(InputError, match=r"no mode 'x': use 'dense'$"):
        opened.search("aid", mode="x")
    with pytest.raises(InputError):
        semsearch.ask("aid", notes, mode="x")


@pytest.mark.parametrize("query", ["aid \ud800", "aid\0", "aid " * 50_000, "😀", '"aid" AND (NOT *', "?!"])
def test_strange_questions_get_an_answer(notes, home, query):
    build(notes, home)
    results = found(home, query)
    assert len(results) == 4
    json.loads(results.to_json())


def test_duplicates_share_a_vector_and_all_come_back(notes, home):
    for name in ("a/copy.md", "b.md"):
        write(notes, name, "aid, vaccine", title="First")
    report, encoded = build(notes, home)
    assert (report.passages, report.encoded, len(encoded)) == (6, 4, 4)
    hits = found(home, "aid", 3).hits
    assert [Path(hit.path).name for hit in hits] == ["copy.md", "b.md", "one.md"]
    assert len({hit.score for hit in hits}) == 1
    assert [hit.source for hit in found(home, "aid", 2)] == [str(notes / "a" / "copy.md"), str(notes / "b.md")]


def test_equal_scores_are_told_apart_by_place_whatever_the_history(tmp_path):
    for name in ("late", "early"):
        write(tmp_path / "notes", f"{name}.md", "aid", title="Plain")
        build(tmp_path / "notes", tmp_path / "grown")
    write(tmp_path / "notes", "early.md", "aid", title="Other")
    build(tmp_path / "notes", tmp_path / "grown")
    build(tmp_path / "notes", tmp_path / "new")
    for k in (1, 2):
        names = [[hit.source for hit in found(tmp_path / path, "aid", k)] for path in ("grown", "new")]
        assert names[0] == names[1] == [str(tmp_path / "notes" / f"{name}.md") for name in ("early", "late")][:k]


def test_a_passage_without_sentences_is_its_own_highlight(notes, home):
    build(notes, home)
    with semsearch.open(home, encoder=FakeEncoder()) as opened:
        item = opened._reader.passages([0], 1)[0]
        bare = item._replace(
            passage=type(item.passage)(*[*[getattr(item.passage, name) for name in item.passage.__slots__[:6]], (), ()])
        )
        hit = module._hit(1, bare, 0.5, 0)
        assert (hit.highlight.start, hit.highlight.end, hit.highlight.text) == (hit.start, hit.end, hit.text)
        with pytest.raises(IndexCorrupt):
            module._hit(1, item, 0.5, 99)


# What a refresh does.


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


def contents(path: Path) -> list[tuple]:
    """All passages of an index, with their vectors and those of their sentences."""
    with closing(Reader(path)) as reader:
        found = []
        for segment in reader.segments():
            rows = list(range(segment.first_row, segment.first_row + segment.n_rows))
            for item in reader.passages(rows, 100):
                vectors = segment.vectors(np.asarray([item.row])).tolist()
                found.append((*item[1:], vectors, segment.sentences(item.row).tolist()))
        assert len(found) == reader.counts()["passages"]
        return sorted(found, key=lambda item: (item[1], item[0].start))


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


@settings(derandomize=True, max_examples=25, deadline=None, database=None)
@given(runs=st.lists(st.lists(CHANGES, min_size=1, max_size=4), min_size=1, max_size=5))
def test_refreshing_ends_where_a_fresh_build_does(tmp_path_factory, runs):
    top = tmp_path_factory.mktemp("runs")
    folder = top / "notes"
    write(folder, "always.md", "election")
    with pytest.MonkeyPatch.context() as patch:
        for place in (writer, builder):
            patch.setattr(place, "SEGMENT_ROWS", 4)
        patch.setattr(writer, "SMALL_SEGMENTS", 2)
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
            known = {f"{item[3]}|{item[0].text}" for item in contents(top / "grown")}
            # A text under the same title that was there before is not encoded again.
            assert report.encoded <= len(known - before)


def test_segments_merge_and_answers_stay(tmp_path, home, monkeypatch):
    monkeypatch.setattr(writer, "SMALL_SEGMENTS", 3)
    folder = tmp_path / "notes"
    for number in range(9):
        write(folder, f"{number}.md", f"aid{' oil' * number}")
        build(folder, home)
        assert len(segments(home)) <= 3 * 3
    build(folder, tmp_path / "new")
    assert found(home, "aid oil").hits == found(tmp_path / "new", "aid oil").hits
    assert contents(home) == contents(tmp_path / "new")


def test_many_segments_answer_as_one(notes, home, tmp_path, monkeypatch):
    build(notes, tmp_path / "one")
    for place in (writer, builder):
        monkeypatch.setattr(place, "SEGMENT_ROWS", 1)
    build(notes, home)
    assert len(segments(home)) == 3 * 4
    assert found(home, "aid oil").hits == found(tmp_path / "one", "aid oil").hits


# What goes wrong, and what is left then.


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
    assert segments(home) == files
    assert contents(home) == before
    report, _ = build(notes, home)
    assert (report.added, report.passages) == (8, 12)


def test_an_interrupted_first_build_leaves_a_folder_to_build_in(notes, home):
    for options in ({}, {"fresh": True}):
        with pytest.raises(KeyboardInterrupt):
            build(notes, home, Failing(KeyboardInterrupt(), 1), **options)
        assert os.listdir(home) == ["semsearch.lock"]
        with pytest.raises(IndexMissing):
            semsearch.open(home)
    assert build(notes, home)[0].passages == 4


def test_an_interrupt_from_progress_is_as_any_other(notes, home):
    def interrupt(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(notes, home, progress=interrupt)
    assert os.listdir(home) == ["semsearch.lock"]


KILLED = """
import os, sys
sys.path.insert(0, {tests!r})
from conftest import FakeEncoder
import semsearch
from semsearch.store import writer

class Killed(FakeEncoder):
    def encode_passages(self, passages):
        yield from super().encode_passages(passages)
        if {when!r} == "encoding":
            os._exit(9)

if {when!r} == "committed":
    writer.Writer.close = lambda self: os._exit(9)
else:
    writer._sync_folder = lambda folder: os._exit(9)
semsearch.build({notes!r}, {home!r}, encoder=Killed())
"""


@pytest.mark.parametrize("when", ["encoding", "committing", "committed"])
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
    assert (report.passages, len(encoded)) == (5, 0 if when == "committed" else 1)
    assert len(segments(home)) == 3 * 2


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
from semsearch.store import Writer
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


def test_an_open_index_keeps_its_generation(notes, home):
    build(notes, home)
    with semsearch.open(home, encoder=FakeEncoder()) as old:
        write(notes, "one.md", "charter", title="First")
        (notes / "two.md").unlink()
        with semsearch.build(notes, home, encoder=FakeEncoder(), fresh=True) as new:
            assert [hit.text for hit in new.search("oil")] == [sentence("charter")]
        assert old.search("oil", 1)[0].text == sentence("oil oil")
        assert len(old.search("oil")) == 4
        assert (old.status()["generation"], old.status()["passages"]) == (1, 4)


def test_threads_share_an_index(notes, home, monkeypatch):
    build(notes, home)
    made = []

    class Alone(FakeEncoder):
        def __init__(self):
            super().__init__()
            self.busy = threading.Lock()
            made.append(self)

        def encode_queries(self, texts):
            assert self.busy.acquire(blocking=False), "two threads in one encoder"
            time.sleep(0.001)
            self.busy.release()
            return super().encode_queries(texts)

    monkeypatch.setattr(module.encoders, "load_for", lambda fingerprint: Alone())
    queries = ["aid", "oil", "sword gas", "council"]
    expected = [found(home, query).hits for query in queries]
    failures = []
    with semsearch.open(home) as opened:

        def work() -> None:
            try:
                for _ in range(5):
                    for query, hits in zip(queries, expected, strict=True):
                        assert opened.search(query).hits == hits
                    opened.status()
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    assert len(made) == 1


def test_searching_a_closed_index_says_so(notes, home):
    build(notes, home)
    opened = semsearch.open(home, encoder=FakeEncoder())
    opened.close()
    opened.close()
    for use in (lambda: opened.search("aid"), lambda: opened.search_many([]), opened.status):
        with pytest.raises(InputError, match=r"was closed: open it again$"):
            use()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_closing_lets_go_of_every_handle(notes, home):
    def held() -> list[str]:
        gc.collect()
        links = [os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
        names = [os.path.realpath(link) for link in links] + Path("/proc/self/maps").read_text().split()
        return [name for name in names if str(home) in name]

    with semsearch.build(notes, home, encoder=FakeEncoder()) as opened:
        opened.search("aid")
        assert held()
    assert held() == []
    with pytest.raises(ModelMismatch):
        semsearch.open(home, encoder=FakeEncoder("other"))
    assert held() == []
    shutil.rmtree(home)


def test_status(notes, home):
    build(notes, home)
    with semsearch.open(home) as opened:
        facts = opened.status()
    assert facts.pop("bytes") > 10_000
    assert facts == {
        "articles": 2,
        "passages": 4,
        "files": 2,
        "model": "fake",
        "dimension": 11,
        "max_tokens": 64,
        "generation": 1,
        "format": 1,
        "written_by": semsearch.__version__,
        "path": str(home),
    }


# Taking articles out.


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
    with semsearch.open(home, encoder=FakeEncoder()) as opened:
        hits = opened.search("aid").hits
    return " ".join(sorted(hit.text.split()[1] for hit in hits))


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


# The one line.


def test_ask(notes, home, tmp_path, monkeypatch):
    monkeypatch.setattr(module.encoders, "load", lambda name: FakeEncoder())
    monkeypatch.setattr(module.encoders, "load_for", lambda fingerprint: FakeEncoder())
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(module.tempfile, "tempdir", str(scratch))
    once = semsearch.ask("oil", notes, k=2)
    assert once[0].text == sentence("oil oil")
    assert len(once) == 2
    assert os.listdir(scratch) == []
    assert semsearch.ask("oil", [notes], index=home).hits == found(home, "oil").hits
    assert semsearch.ask("oil", index=home, k=1).hits == found(home, "oil", 1).hits
    with pytest.raises(InputError, match="no articles named"):
        semsearch.ask("oil")
    with pytest.raises(IndexMissing):
        semsearch.ask("oil", index=tmp_path / "missing")


def test_searching_loads_only_what_it_needs(notes, home, root):
    build(notes, home)
    script = f"""
import sys
sys.path.insert(0, {str(root / "tests")!r})
import semsearch
from semsearch.index import Index
from semsearch.protocols import Fingerprint
import numpy as np

class Plain:
    fingerprint = Fingerprint("fake", "fake", "words", "none", "mean", "", "", 64, 11)
    def encode_queries(self, texts):
        return np.eye(11, dtype=np.float32)[:1]

with semsearch.open({str(home)!r}, encoder=Plain()) as opened:
    assert opened.search("aid")[0].text.startswith("The aid")
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=root, check=True, timeout=60, capture_output=True, text=True)
    heavy = {"torch", "transformers", "sentence_transformers", "openvino", "lxml", "trafilatura", "markdown_it", "yaml"}
    heavy |= {"rich", "click", "pandas", "filelock", "sentencex", "charset_normalizer"}
    assert heavy & set(done.stdout.split()) == set()
