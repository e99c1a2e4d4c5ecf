"""The Milvus engine on ``milvus-lite server``: recall against brute force, and what is left when servers and writers are killed.

``recall``: passages of ``scale-passages.jsonl.gz``, encoded once by the bundled model, put into a server; the ten nearest of 100
questions against brute force, of all passages and of those that a filter leaves; then once more after the server was killed (-9)
and started again. ``kill``: the server is killed in the middle of drafts, at random; started again, everything that was committed
has to be there, and nothing else. ``writers``: a process that writes is killed in the middle of drafts, and the next goes on.

    python benchmarks/milvus.py recall [--passages 20000] [--work FOLDER] [--options "?index=HNSW"]
    python benchmarks/milvus.py kill [--rounds 20]
    python benchmarks/milvus.py writers [--rounds 10]
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from common import data_folder

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from milvus_server import Server

from semsearch.engines import numbers
from semsearch.engines.milvus import connect, draft, lease
from semsearch.engines.seam import ArticleEntry, Asked, Having, Kept, PassageEntry, Terms, Value
from semsearch.errors import EngineError, IndexLocked
from semsearch.records import Passage, Sentence

SHARES = {"half": 0.5, "tenth": 0.1, "hundredth": 0.01, "thousandth": 0.001}
META = {"format": "1"}
N_QUESTIONS = 100
K = 10


def encoded(n: int, work: Path) -> tuple[list[list[str]], np.ndarray, list[str], np.ndarray]:
    """Titles and texts of passages with their vectors, questions with theirs; encoded if they are not in the folder yet."""
    texts, vectors = work / f"texts-{n}.json", work / f"vectors-{n}.npz"
    if not vectors.exists():
        from semsearch.encoder import load
        from semsearch.protocols import PassageText

        rows, asked = [], []
        with gzip.open(data_folder() / "scale-passages.jsonl.gz", "rt") as lines:
            for place, line in enumerate(lines):
                read = json.loads(line)
                if place % 7 == 0 and len(rows) < n:
                    rows.append([read.get("title", ""), read["text"][:350]])
                elif place % 211 == 1 and len(asked) < N_QUESTIONS:
                    asked.append(read["text"][:90])
        encoder = load()
        passages = np.zeros((len(rows), encoder.fingerprint.dimension), np.float32)
        for some in encoder.encode_passages([PassageText(title, text, (Sentence(0, len(text)),)) for title, text in rows]):
            passages[some.positions] = some.vectors
        work.mkdir(parents=True, exist_ok=True)
        texts.write_text(json.dumps([rows, asked]))
        np.savez(vectors, passages=passages, questions=encoder.encode_queries(asked).vectors)
    rows, asked = json.loads(texts.read_text())
    with np.load(vectors) as stored:
        return rows, stored["passages"], asked[:N_QUESTIONS], stored["questions"][:N_QUESTIONS]


def article(number: int, title: str, texts: list[str], vectors: np.ndarray, values: tuple[int, ...]) -> tuple[Any, list[Any]]:
    """An article of some passages."""
    key = numbers.article_id(f"/{number}", "", [title.encode(), *map(str.encode, texts)])
    entry = ArticleEntry(key, number + 1, f"/{number}", f"{number}", "", title, {}, values, len(texts), {"en": len(texts)})
    passages = []
    for place, (text, vector) in enumerate(zip(texts, vectors, strict=True)):
        words = text.lower().split()
        terms = Terms(
            *(" ".join("".join(filter(str.isalnum, word)) for word in part.split()) for part in (title.lower(), "", text))
        )
        said = Passage(text, (), place + 1, 1, 0, len(text), (Sentence(0, len(text)),), ((0, len(text)),))
        codes = np.zeros((len(words), 16), np.uint8)
        kept = Kept(vector, codes, np.asarray([[0, len(words)]], np.int32))
        hashed = numbers.passage_row(key, place).to_bytes(16, "little")
        passages.append(PassageEntry(numbers.passage_row(key, place), key, place, said, hashed, "en", terms, kept))
    return entry, passages


def recall(n: int, work: Path, options: str) -> dict[str, Any]:
    rows, vectors, asked, questions = encoded(n, work)
    drawn = np.random.default_rng(0).random(len(rows))
    of = {name: numbers.value_id("share", name) for name in SHARES}
    server = Server()
    try:
        address = server.address(options)
        engine = connect(address)
        started = time.perf_counter()
        writing = engine.draft()
        writing.prepare(vectors.shape[1])
        known = np.zeros(len(rows), np.int64)
        for first in range(0, len(rows), 500):
            made = []
            for place in range(first, min(first + 500, len(rows))):
                values = tuple(of[name] for name, share in SHARES.items() if drawn[place] < share)
                made.append(article(place, rows[place][0], [rows[place][1]], vectors[place : place + 1], values))
                known[place] = made[-1][1][0].row
            writing.put([one for one, _ in made], [each for _, some in made for each in some], [])
        put = time.perf_counter() - started
        writing.commit({**META, "generation": "1"})
        writing.close()
        committed = time.perf_counter() - started
        figures: dict[str, Any] = {"put_s": round(put, 1), "committed_s": round(committed, 1)}
        time.sleep(5)
        figures["asked"] = measured(engine, known, vectors, questions, drawn, of, asked)
        engine.close()
        server.kill()
        started = time.perf_counter()
        server.start()
        engine = connect(address)
        with engine.snapshot() as snapshot:
            snapshot.nearest(questions[:1], K, None)
        figures["started_again_s"] = round(time.perf_counter() - started, 1)
        figures["asked_after_kill"] = measured(engine, known, vectors, questions, drawn, of, asked)
        engine.close()
        return figures
    finally:
        server.end()


def measured(
    engine: Any,
    known: np.ndarray,
    vectors: np.ndarray,
    questions: np.ndarray,
    drawn: np.ndarray,
    of: dict[str, int],
    asked: list[str],
) -> dict[str, Any]:
    figures = {}
    with engine.snapshot() as snapshot:
        for name, share in {"all": 1.0, **SHARES}.items():
            kept = np.flatnonzero(drawn < share)
            best = np.argsort(-(questions @ vectors[kept].T), axis=1)[:, :K]
            among = None if name == "all" else Having((of[name],))
            # All at once, since milvus-lite looks at every passage for every filter, with 50 microseconds each.
            got = snapshot.nearest(questions, K, among)
            found = sum(len(set(each.rows.tolist()) & set(known[kept[w]].tolist())) for each, w in zip(got, best, strict=True))
            seconds = []
            for question in questions[:5]:
                started = time.perf_counter()
                snapshot.nearest(question[None], K, among)
                seconds.append(time.perf_counter() - started)
            figures[name] = {"recall@10": round(found / best.size, 4), "ms": round(1000 * median(seconds), 1)}
        words: list[float] = []
        for text in asked[:20]:
            said = [
                Asked(1, (word,)) for word in sorted({"".join(filter(str.isalnum, each)) for each in text.lower().split()} - {""})
            ]
            started = time.perf_counter()
            snapshot.matching("whole", said, 100, None)
            words.append(time.perf_counter() - started)
        figures["words"] = {"ms": round(1000 * median(words), 1)}
    return figures


DIMENSION = 32
MADE, LIVES = 10, 3


def plan(generation: int) -> tuple[list[Any], list[Any]]:
    """The articles that a generation adds, with all their passages; the one that is `LIVES` later takes them out."""
    drawn = np.random.default_rng(generation)
    articles, passages = [], []
    for place in range(MADE):
        number = generation * MADE + place
        texts = [f"generation {generation} says {' '.join(drawn.choice(WORDS, 30))}" for _ in range(drawn.integers(1, 9))]
        vectors = drawn.standard_normal((len(texts), DIMENSION)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        one, some = article(number, f"title {number}", texts, vectors, (1, 2))
        articles.append(one)
        passages += some
    return articles, passages


WORDS = ["aid", "oil", "gas", "bees", "harbour", "letter", "winter", "market"]


def write(engine: Any, generation: int) -> None:
    """Commit a generation."""
    writing = engine.draft()
    try:
        writing.prepare(DIMENSION)
        articles, passages = plan(generation)
        for one in articles:
            writing.put(
                [one], [each for each in passages if each.article == one.id], [Value(1, "k", '"v"'), Value(2, "k", '"w"')]
            )
        if generation > LIVES:
            writing.drop([one.id for one in plan(generation - LIVES)[0]])
        writing.commit({**META, "generation": str(generation)})
    finally:
        writing.close()


def wrong_with(engine: Any) -> tuple[int, list[str]]:
    """Which generation there is, and what of it is missing or too much."""
    with engine.snapshot() as snapshot:
        there = int(snapshot.meta.get("generation", 0))
        alive = [plan(each) for each in range(max(1, there - LIVES + 1), there + 1)]
        articles = {one.id: one for some, _ in alive for one in some}
        passages = {each.row: each for _, some in alive for each in some}
        wrong = []
        if {one.id for one in snapshot.articles(0, 10_000, None)} != set(articles):
            wrong.append("articles")
        if {one.row for one in snapshot.passages(list(passages))} != set(passages) or set(snapshot.sample(10**6)) != set(
            passages
        ):
            wrong.append("passages")
        if passages:
            found = snapshot.nearest(np.eye(1, DIMENSION, dtype=np.float32), 10_000, None)[0]
            if set(found.rows.tolist()) != set(passages):
                wrong.append("vectors")
            rows = np.asarray(list(passages), np.int64)
            if any(
                not np.allclose(kept.vector, passages[row].kept.vector)
                for row, kept in zip(rows.tolist(), snapshot.kept(rows), strict=True)
            ):
                wrong.append("what is kept")
        said = [set(each.terms.text.split()) for each in passages.values()]
        words = [*WORDS, str(there), str(there + 1)]
        if snapshot.frequencies("whole", words) != [
            sum(word in one or word in each.terms.title.split() for one, each in zip(said, passages.values(), strict=True))
            for word in words
        ]:
            wrong.append("frequencies")
        if there and snapshot.n_articles(Having((1,))) != len(articles):
            wrong.append("filters")
        return there, wrong


def patiently(do: Any) -> Any:
    """Do something once the right to write of whoever was killed has lapsed."""
    while True:
        try:
            return do()
        except IndexLocked:
            time.sleep(0.2)


def kill(rounds: int) -> dict[str, Any]:
    lease.LASTS, draft.GRACE = 3.0, 1.0
    drawn = random.Random(0)
    server = Server()
    address = server.address()
    acknowledged, told, commits, faults = 0, [], 0, 0
    try:
        for number in range(rounds):
            # Gives up soon once the server is away, and others have time on a busy machine.
            engine = connect(f"{address}?timeout=5")

            def writing(engine: Any = engine) -> None:
                nonlocal acknowledged, commits
                with suppress(EngineError):
                    while True:
                        following = acknowledged + 1
                        patiently(partial(write, engine, following))
                        acknowledged, commits = following, commits + 1

            thread = threading.Thread(target=writing)
            thread.start()
            time.sleep(drawn.uniform(0.3, 2.5) + (3.5 if number else 0))
            server.kill()
            thread.join(60)
            engine.close()
            server.start()
            engine = connect(address)
            there, wrong = wrong_with(engine)
            engine.close()
            if there < acknowledged:
                wrong.append(f"generation {acknowledged} was acknowledged and {there} is there")
            faults += bool(wrong)
            told.append({"acknowledged": acknowledged, "there": there, "wrong": wrong})
            print(json.dumps(told[-1]), file=sys.stderr, flush=True)
            acknowledged = there
        return {
            "kills": rounds,
            "commits": commits,
            "faults": faults,
            "ahead": sum(one["there"] > one["acknowledged"] for one in told),
        }
    finally:
        server.end()


def writers(rounds: int) -> dict[str, Any]:
    drawn = random.Random(1)
    server = Server()
    address = server.address("?timeout=5")
    faults, committed = 0, 0
    lease.LASTS = 3.0
    try:
        for _ in range(rounds):
            command = [sys.executable, __file__, "writer", "--address", address]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout
                acknowledged = int(process.stdout.readline() or 0)
                threading.Timer(drawn.uniform(0.05, 1.0), process.send_signal, [signal.SIGKILL]).start()
                for line in process.stdout:
                    acknowledged = int(line)
            engine = connect(address)
            there, wrong = wrong_with(engine)
            engine.close()
            if there not in (acknowledged, acknowledged + 1):
                wrong.append(f"generation {acknowledged} was acknowledged and {there} is there")
            print(json.dumps({"acknowledged": acknowledged, "there": there, "wrong": wrong}), file=sys.stderr, flush=True)
            faults += bool(wrong)
            committed = there
        return {"killed": rounds, "generations": committed, "faults": faults}
    finally:
        server.end()


def writer(address: str) -> None:
    """Write generations until killed; tell which are committed."""
    lease.LASTS, draft.GRACE = 3.0, 1.0
    engine = connect(address)
    with engine.snapshot() as snapshot:
        generation = int(snapshot.meta.get("generation", 0))
    while True:
        generation += 1
        patiently(partial(write, engine, generation))
        print(generation, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["recall", "kill", "writers", "writer"])
    parser.add_argument("--passages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "semsearch-milvus")
    parser.add_argument("--options", default="")
    parser.add_argument("--address", default="")
    given = parser.parse_args()
    if given.what == "writer":
        writer(given.address)
    elif given.what == "recall":
        print(json.dumps(recall(given.passages, given.work, given.options), indent=1))
    else:
        print(json.dumps((kill if given.what == "kill" else writers)(given.rounds), indent=1))
