"""An open index: its generation, its threads, its handles, its one line; and what is refused as a question."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import FakeEncoder
from helpers import build, found, sentence, write

import semsearch
from semsearch import index as module
from semsearch.errors import IndexMissing, InputError, ModelMismatch


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
    with (
        semsearch.open(home, encoder=FakeEncoder()) as opened,
        pytest.raises(InputError, match=r"no mode 'x': use 'hybrid' or 'dense' or 'lexical'$"),
    ):
        opened.search("aid", mode="x")
    with pytest.raises(InputError):
        semsearch.ask("aid", notes, mode="x")


@pytest.mark.parametrize(
    ("query", "with_words"),
    [("aid \ud800", 1), ("aid\0", 1), ("aid " * 50_000, 1), ("😀", 0), ('"aid OR (NOT *', 1), ('"" AND (NOT *', 4), ("?!", 0)],
)
def test_strange_questions_get_an_answer(notes, home, query, with_words):
    build(notes, home)
    for mode, number in (("hybrid", 4), ("dense", 4), ("lexical", with_words)):
        results = found(home, query, mode=mode)
        assert len(results) == number
        json.loads(results.to_json())


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

    monkeypatch.setattr(module.encoders, "load_for", lambda fingerprint, network: Alone())
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
        "passage_tokens": None,
        "generation": 1,
        "engine": "fake",
        "precision": "float",
        "compact": False,
        "search": {"kind": "exact"},
        "format": 6,
        "written_by": semsearch.__version__,
        "path": str(home),
    }


def test_ask(notes, home, tmp_path, monkeypatch):
    monkeypatch.setattr(module.encoders, "load", lambda name: FakeEncoder())
    monkeypatch.setattr(module.encoders, "load_for", lambda fingerprint, network: FakeEncoder())
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
from semsearch.protocols import Fingerprint, Queries
import numpy as np

class Plain:
    fingerprint = Fingerprint("fake", "fake", "words", "none", "mean", "", "", 64, 11)
    def encode_queries(self, texts):
        return Queries(np.eye(11, dtype=np.float32)[:1], [np.eye(11, dtype=np.float32)[:1]], [np.array([[0, 3]])], [1.0])

with semsearch.open({str(home)!r}, encoder=Plain()) as opened:
    assert opened.search("aid")[0].text.startswith("The aid")
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=root, check=True, timeout=60, capture_output=True, text=True)
    heavy = {"torch", "transformers", "sentence_transformers", "openvino", "lxml", "trafilatura", "markdown_it", "yaml"}
    heavy |= {"py3langid", "rich", "click", "pandas", "filelock", "sentencex", "charset_normalizer"}
    assert heavy & set(done.stdout.split()) == set()
