"""Whatever happens to articles and index, in whatever order: a refresh ends where a fresh build does, and the index is sound."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from conftest import FakeEncoder
from helpers import build, contents, found, sentence, write
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import semsearch
from semsearch import builder
from semsearch.store import Reader, embedding_hash, segments, words

QUESTIONS = ("aid", "oil gas", '"charter aid" sword')


WORDS = st.sampled_from(["aid", "vaccine", "oil, gas", "sword, aid, oil", "council", "charter aid"])
NAMES = st.sampled_from(["a.md", "b.md", "sub/c.md", "sub/deep/d.md", "e.jsonl"])


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


class Recording(FakeEncoder):
    """Notes what it is given, and gives up after some batches of two."""

    def __init__(self, batches: int = 10**6) -> None:
        super().__init__()
        self.batches = batches
        self.given: list[bytes] = []

    def encode_passages(self, passages):
        for encoded in super().encode_passages(passages):
            self.given += [embedding_hash(passages[position]) for position in encoded.positions]
            yield encoded
            self.batches -= 1
            if self.batches <= 0:
                raise KeyboardInterrupt


class Refreshes(RuleBasedStateMachine):
    """A folder of articles, an index that follows it, and now and then another one, built anew."""

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp(prefix="semsearch-test-")) / "home"
        self.moves = 0
        # What interrupted runs have encoded since the last one that was not.
        self.kept: set[bytes] = set()
        write(self.folder, "always.md", "election")
        self.patch = pytest.MonkeyPatch()
        for place in (segments, builder):
            self.patch.setattr(place, "SEGMENT_ROWS", 4)
        self.patch.setattr(segments, "SMALL_SEGMENTS", 2)
        self.patch.setattr(words, "TRUE_ROWS", 20_000)

    @property
    def folder(self) -> Path:
        return self.top / "notes"

    @property
    def index(self) -> Path:
        return self.top / "index"

    def teardown(self) -> None:
        self.patch.undo()
        shutil.rmtree(self.top.parent)

    @rule(name=NAMES, texts=st.lists(WORDS, min_size=1, max_size=4), title=st.sampled_from(["One", "Two"]))
    def write(self, name, texts, title):
        change(self.folder, "write", name, texts, title)

    @rule(kind=st.sampled_from(["rename", "copy"]), name=NAMES, other=NAMES)
    def put_elsewhere(self, kind, name, other):
        change(self.folder, kind, name, other)

    @rule(name=NAMES)
    def delete(self, name):
        change(self.folder, "delete", name)

    @rule(name=NAMES)
    def make_unreadable_as_text(self, name):
        if (self.folder / name).exists():
            (self.folder / name).write_bytes(b"\0\1\2\xff" * 50)

    @rule()
    def move_all(self):
        self.moves += 1
        self.top = self.top.rename(self.top.parent / f"home {self.moves} é")

    @precondition(lambda self: (self.index / "semsearch.sqlite").exists())
    @rule()
    def copy_the_index(self):
        shutil.copytree(self.index, self.top / "copy")
        shutil.rmtree(self.index)
        (self.top / "copy").rename(self.index)

    @rule(batches=st.integers(1, 4), fresh=st.booleans())
    def interrupt(self, batches, fresh):
        encoder = Recording(batches)
        before = self.kept | (set() if fresh else self.hashes())
        try:
            build(self.folder, self.index, encoder, fresh=fresh)
            # It was done before it could be interrupted.
            self.kept = set()
        except KeyboardInterrupt:
            self.kept |= set(encoder.given)
        assert not before & set(encoder.given)

    @rule()
    def refresh(self):
        before = self.kept | self.hashes()
        encoder = Recording()
        report, _ = build(self.folder, self.index, encoder)
        assert not before & set(encoder.given)
        assert len(encoder.given) == len(set(encoder.given)) == report.encoded
        anew, _ = build(self.folder, self.top / "anew", fresh=True)
        assert (report.articles, report.passages, len(report.problems)) == (anew.articles, anew.passages, len(anew.problems))
        assert contents(self.index) == contents(self.top / "anew")
        for question in QUESTIONS:
            for mode in ("hybrid", "dense", "lexical"):
                assert found(self.index, question, 9, mode=mode).hits == found(self.top / "anew", question, 9, mode=mode).hits
            assert by_words(self.index, question) == by_words(self.top / "anew", question)
        generation = self.generation()
        again, encoded = build(self.folder, self.index)
        assert (again.added, again.changed, again.removed, encoded) == (0, 0, 0, [])
        assert self.generation() == generation
        self.kept = set()

    def hashes(self) -> set[bytes]:
        """What the index has vectors of."""
        if not (self.index / "semsearch.sqlite").exists():
            return set()
        with closing(Reader(self.index)) as reader:
            return {embedding for (embedding,) in reader._database.execute("SELECT hash FROM embeddings")}

    def generation(self) -> int:
        with semsearch.open(self.index) as opened:
            return opened.status()["generation"]

    @precondition(lambda self: (self.index / "semsearch.sqlite").exists())
    @rule(name=NAMES)
    def remove(self, name):
        """What was taken out comes back with the next refresh."""
        path = str(self.folder / name)
        with closing(Reader(self.index)) as reader:
            known = path in {file.path for file in reader.files()}
        if known:
            assert semsearch.remove(path, self.index) == 1
        else:
            with pytest.raises(semsearch.InputError):
                semsearch.remove(path, self.index)

    @invariant()
    def is_sound(self):
        if (self.index / "semsearch.sqlite").exists():
            report = semsearch.check(self.index, encoder=FakeEncoder())
            assert report.ok, report.problems


TestRefreshes = Refreshes.TestCase
TestRefreshes.settings = settings(derandomize=True, max_examples=25, stateful_step_count=14, deadline=None, database=None)
