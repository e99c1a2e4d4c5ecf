"""One figure, in a process of its own: ``python -m size.measuring PART ARGUMENTS`` prints it as JSON.

Deliberately not here: which figures there are, and what is made of them (``benchmarks/million.py``).
"""

from __future__ import annotations

import json
import mmap
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from common import data_folder

import semsearch
from semsearch import signs
from semsearch.limits import THREADS
from semsearch.store import SEGMENT_ROWS
from semsearch.vectors import SEGMENT_SUFFIX, TARGET_RECALL, Segment, Vectors, measure, segment_file
from size.recombined import NOISE, RecombiningEncoder, Sentences, write_windows

ASKED = 200
MEGABYTE = 2**20


def questions(count: int = ASKED) -> list[str]:
    """Real questions, of two collections in turns."""
    sets = []
    for name in ("wikimix-dev", "scifact"):
        lines = (data_folder() / name / "queries.jsonl").read_text(encoding="utf-8").splitlines()
        texts = [json.loads(line)["text"] for line in lines]
        sets.append(texts[:: max(1, len(texts) // count)])
    return [text for pair in zip(*sets, strict=False) for text in pair][:count]


def own_memory() -> int:
    """Bytes that this process has of its own, not of files."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


class _Peak:
    """The most memory of its own that this process has had; looked at every 0.1 seconds."""

    def __init__(self) -> None:
        self.most = own_memory()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.most = max(self.most, own_memory())
            time.sleep(0.1)


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """In milliseconds."""
    return {f"p{part}": round(float(np.percentile(seconds, part)) * 1000, 2) for part in (25, 50, 75, 95)}


def timed(ask: Callable[[Any], Any], given: Sequence[Any]) -> list[float]:
    """Seconds of each call, one after the other."""
    found = []
    for each in given:
        started = time.perf_counter()
        ask(each)
        found.append(time.perf_counter() - started)
    return found


def build(work: str, passages: str) -> dict[str, Any]:
    """Real passages and windows, with vectors that are known."""
    folder = Path(work)
    sentences = Sentences(folder / "base")
    with semsearch.open(folder / "base") as base:
        count = int(passages) - base.status()["passages"]
    if not (folder / "windows").exists():
        write_windows(sentences, folder / "windows", count)
    encoder = RecombiningEncoder(sentences, folder / "base", count)
    memory = own_memory()
    peak = _Peak()
    with semsearch.build([folder / "real", folder / "windows"], folder / "index", encoder=encoder) as index:
        assert index.report is not None
        return {
            "passages": index.report.passages,
            "seconds": round(index.report.seconds, 1),
            "seconds of making vectors up": round(encoder.seconds, 1),
            "peak MB of its own, beside the benchmark's": round((peak.most - memory) / MEGABYTE),
            "not as written": encoder.strange,
            "search": index.status()["search"],
        }


def parts(index: str) -> dict[str, Any]:
    """What the vectors' files are made of, and how many sentences a passage has."""
    with semsearch.open(index) as opened:
        segments = opened._reader.vectors().segments
        rows = sum(segment.n_rows for segment in segments)
        sizes: dict[str, int] = {}
        for segment in segments:
            for part, data in segment._parts.items():
                sizes[part] = sizes.get(part, 0) + len(data)
        return {
            "sentences a passage": round(sum(len(segment._sentences) for segment in segments) / rows, 2),
            "bytes a row": {part: round(size / rows, 1) for part, size in sizes.items()},
        }


def warm(index: str) -> dict[str, Any]:
    """Single questions to an open index; its dense arm against single precision and all rows."""
    asked = questions()
    with semsearch.open(index) as opened:
        for question in asked[:20]:
            opened.search(question)
        memory = own_memory()
        times = {
            mode: timed(lambda question, mode=mode: opened.search(question, mode=mode), asked)
            for mode in ("hybrid", "dense", "lexical")
        }
        after = own_memory()
        vectors = opened._reader.vectors()
        encoder = opened._loaded(opened._reader)
        queries = encoder.encode_queries(asked).vectors
        encoding = timed(lambda question: encoder.encode_queries([question]), asked)
        picked = timed(lambda query: vectors.search(query[None], 100), queries)
        near = [found.rows[:10] for found in (vectors.search(query[None], 100)[0] for query in queries)]
        exact, flat = _flat(vectors, queries)
    shares = [len(set(a.tolist()) & set(b.tolist())) / 10 for a, b in zip(near, exact, strict=True)]
    return {
        **{f"{mode} ms": percentiles(seconds) for mode, seconds in times.items()},
        "encoding ms": percentiles(encoding),
        "dense arm ms": percentiles(picked),
        "flat faiss fp32 ms, one thread": percentiles(flat),
        "recall@10 of the dense arm": round(float(np.mean(shares)), 4),
        "least": min(shares),
        "MB of its own": round(memory / MEGABYTE),
        "after 600 questions": round(after / MEGABYTE),
    }


def _flat(vectors: Vectors, queries: np.ndarray) -> tuple[list[np.ndarray], list[float]]:
    """The ten nearest rows by faiss's flat index in single precision, and the seconds of each question."""
    import faiss

    index = faiss.IndexFlatIP(vectors.dimension)
    rows = []
    for segment in vectors.segments:
        numbers = np.arange(segment.first_row, segment.first_row + segment.n_rows)
        index.add(segment.vectors(numbers))
        rows.append(numbers)
    known = np.concatenate(rows)
    faiss.omp_set_num_threads(1)
    times = timed(lambda query: index.search(query[None], 10), queries[:50])
    faiss.omp_set_num_threads(2)
    return list(known[index.search(queries, 10)[1]]), times


def vectors(index: str, folder: str, count: str) -> dict[str, Any]:
    """So many vectors: those of an index, and these again with noise; written as segments, searched by codes, and exactly."""
    home, asked = Path(folder), questions()
    home.mkdir(parents=True, exist_ok=True)
    with semsearch.open(index) as opened:
        queries = opened._loaded(opened._reader).encode_queries(asked).vectors
        known = opened._reader.vectors()
        numbers = np.concatenate([segment.first_row + np.arange(segment.n_rows) for segment in known.segments])
        started = time.perf_counter()
        files = [_write_noisy(home, known, numbers, number) for number in range(-(-int(count) // SEGMENT_ROWS))]
        seconds = time.perf_counter() - started
    peak = _Peak()
    segments = [_mapped(home, name, number * SEGMENT_ROWS, known.dimension) for number, name in enumerate(files)]
    started = time.perf_counter()
    recall = measure(Vectors(segments, known.dimension), queries, TARGET_RECALL)
    measuring = time.perf_counter() - started
    started = time.perf_counter()
    searched = Vectors(segments, known.dimension, recall.depth)
    searched.search(queries[:1], 100)
    opening = time.perf_counter() - started
    return {
        "vectors": len(files) * SEGMENT_ROWS,
        "seconds of making and writing": round(seconds, 1),
        "bytes a vector": round(sum(path.stat().st_size for path in home.glob("segment-*")) / len(files) / SEGMENT_ROWS),
        "seconds of measuring the recall": round(measuring, 1),
        **recall._asdict(),
        "seconds of opening and the first search": round(opening, 2),
        "dense arm ms": percentiles(timed(lambda query: searched.search(query[None], 100), queries)),
        "MB of its own": round(own_memory() / MEGABYTE),
        "peak MB of its own": round(peak.most / MEGABYTE),
    }


def _write_noisy(home: Path, known: Vectors, numbers: np.ndarray, number: int) -> str:
    """A segment of the vectors of an index, which has these rows, beginning somewhere else each time; its name."""
    drawn = np.random.default_rng(number)
    made = known.take(numbers[(np.arange(SEGMENT_ROWS) + number * SEGMENT_ROWS) % len(numbers)])
    if number * SEGMENT_ROWS >= len(numbers):
        made += NOISE * drawn.standard_normal(made.shape, np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    name = f"segment-{number:016x}"
    nothing = [np.empty((0, signs.WIDTH), np.uint8)] * len(made), [np.empty((0, 2), np.int32)] * len(made)
    with (home / f"{name}{SEGMENT_SUFFIX}").open("wb") as file:
        for piece in segment_file(name, made, *nothing):
            file.write(piece)
    return name


def _mapped(home: Path, name: str, first: int, dimension: int) -> Segment:
    with (home / f"{name}{SEGMENT_SUFFIX}").open("rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    return Segment(name, data, first, SEGMENT_ROWS, dimension, None)


def many(index: str) -> dict[str, Any]:
    """Questions a second: one after the other, eight threads, eight processes with one thread each, all at once."""
    asked = questions()
    rates: dict[str, list[float]] = {name: [] for name in ("one", "threads", "search_many", "processes")}
    with semsearch.open(index) as opened:
        opened.search_many(asked[:20])
        context = multiprocessing.get_context("spawn")
        # Eight with two threads each would be in each other's way.
        os.environ[THREADS] = "1"
        with ThreadPoolExecutor(8) as pool, context.Pool(8, _open, (index,)) as processes:
            del os.environ[THREADS]
            processes.map(_ask, asked[:64], 1)
            ways: dict[str, Callable[[], Any]] = {
                "one": lambda: [opened.search(question) for question in asked],
                "threads": lambda: list(pool.map(opened.search, asked)),
                "search_many": lambda: opened.search_many(asked),
                "processes": lambda: processes.map(_ask, asked, 5),
            }
            for _ in range(5):
                for name, way in ways.items():
                    started = time.perf_counter()
                    way()
                    rates[name].append(len(asked) / (time.perf_counter() - started))
    ratios = {
        f"{name} / one": [round(a / b, 2) for a, b in zip(rates[name], rates["one"], strict=True)]
        for name in rates
        if name != "one"
    }
    return {**{f"{name}, questions a second": round(float(np.median(found)), 1) for name, found in rates.items()}, **ratios}


_opened: Any = None


def _open(index: str) -> None:
    global _opened
    _opened = semsearch.open(index)


def _ask(question: str) -> int:
    return len(_opened.search(question))


if __name__ == "__main__":
    print(
        json.dumps({"build": build, "parts": parts, "warm": warm, "many": many, "vectors": vectors}[sys.argv[1]](*sys.argv[2:]))
    )
