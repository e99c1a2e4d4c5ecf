"""The same index in a folder and in engines: quality on scifact, what is found of the nearest under filters, milliseconds, bytes.

    python -m pip install -e ".[dev]"
    SEMSEARCH_DATA=... python benchmarks/engines.py

Indexes scifact in a folder, each document with made-up facts by which filters leave a half, a tenth... of them; exports it with
its vectors, and imports these into each engine, which is started on this machine for it. Then judges the rankings of each, and
compares the nearest passages that it finds with those of brute force over all vectors.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from common import data_folder, machine, save

import semsearch
from semsearch import engines, filters
from semsearch.encoder import load_for
from semsearch.evaluation.ranking import latencies

if TYPE_CHECKING:
    from semsearch.engines import View

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

PARTS = {"half": 2, "tenth": 10, "hundredth": 100, "thousandth": 1000}
MODES = ("hybrid", "dense", "lexical")
K = 10
DEEP = 100
ADDRESS = "milvus://{name}"


def dataset(folder: Path, limit: int | None) -> Path:
    """Scifact with facts by which documents can be told apart."""
    there = folder / "scifact"
    shutil.copytree(data_folder() / "scifact", there)
    lines = (there / "corpus.jsonl").read_text(encoding="utf-8").splitlines()[:limit]
    rows = [{**json.loads(line), **{name: number % n for name, n in PARTS.items()}} for number, line in enumerate(lines)]
    (there / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return there


def rankings(data: Path, index: str) -> dict[str, Any]:
    """Figures of each mode, and milliseconds of single questions."""
    found = semsearch.evaluate(data, index=index, modes=MODES)
    texts = [json.loads(line)["text"] for line in (data / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    measured: dict[str, Any] = {}
    with semsearch.open(index) as opened:
        for measurement in found.measurements:
            times = latencies(opened, measurement.mode, texts)  # type: ignore[arg-type]
            measured[measurement.mode] = {
                **{name: round(value, 4) for name, value in measurement.metrics.items()},
                "p50_ms": round(median(times), 2),
                "p95_ms": round(float(np.quantile(times, 0.95)), 2),
            }
        measured["bytes_per_passage"] = round(opened.status()["bytes"] / opened.status()["passages"])
    return measured


def brute_force(view: View) -> tuple[list[str], np.ndarray, list[dict[str, Any]]]:
    """The places of all passages, their vectors float32 (n, d), and what their articles say of themselves."""
    places, vectors, facts = [], [], []
    for batch in view.records(vectors=True):
        for record in batch:
            places.append(f"{record['source']}:{record['start']}")
            vectors.append(record["vector"])
            facts.append(record["metadata"])
    return places, np.asarray(vectors), facts


def recall(view: View, exact: tuple[list[str], np.ndarray, list[dict[str, Any]]], queries: np.ndarray) -> dict[str, Any]:
    """Of the nearest under each filter, the share that is found, and milliseconds of a search."""
    places, vectors, facts = exact
    told: dict[str, Any] = {}
    for name in ("all", *PARTS):
        kept = np.ones(len(places), bool) if name == "all" else np.asarray([fact[name] == 0 for fact in facts])
        allowed = None if name == "all" else view.allowed(filters.parse({name: 0})).rows
        cosines = np.where(kept, queries @ vectors.T, -2)
        shares: dict[int, list[float]] = {K: [], DEEP: []}
        times = []
        for query, row in zip(queries, cosines, strict=True):
            started = time.perf_counter()
            (found,) = view.vectors().search(query[None], DEEP, allowed=allowed)
            times.append((time.perf_counter() - started) * 1000)
            items = {item.row: f"{item.source}:{item.passage.start}" for item in view.passages(found.rows.tolist(), 1)}
            given = [items[number] for number in found.rows.tolist()]
            order = np.argsort(-row, kind="stable")
            for depth, measured in shares.items():
                wanted = {places[at] for at in order[: min(depth, int(kept.sum()))].tolist()}
                # What is as near as the last one is as good.
                last = row[order[min(depth, int(kept.sum())) - 1]]
                near = {places[at] for at in np.flatnonzero(row >= last - 1e-4).tolist()}
                measured.append(len(set(given[:depth]) & near) / len(wanted))
        told[name] = {
            "passages": int(kept.sum()),
            f"recall@{K}": round(float(np.mean(shares[K])), 4),
            f"recall@{DEEP}": round(float(np.mean(np.minimum(1, shares[DEEP]))), 4),
            "p50_ms": round(median(times), 2),
        }
    return told


def measure(names: Sequence[str], limit: int | None, n_queries: int) -> dict[str, Any]:
    """Each place of an index, the folder first."""
    from engine_servers import ENGINES, Lasting

    found: dict[str, Any] = {}
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # From here on the documents lie where the passages say.
        os.chdir(folder)
        data = dataset(folder, limit)
        local = str(folder / "index")
        found["folder"] = rankings(data, local)
        with engines.pinned(local) as view:
            exact = brute_force(view)
            texts = [json.loads(line)["text"] for line in (data / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
            queries = load_for(view.fingerprint, view.network).encode_queries(texts[:n_queries]).vectors
            found["folder"]["filters"] = recall(view, exact, queries)
        with semsearch.open(local) as opened:
            opened.export(folder / "passages.parquet", vectors=True)
        print(json.dumps({"folder": found["folder"]}), flush=True)
        for name in names:
            with ENGINES[name]() as engine:
                engines.connect = lambda _, engine=engine: Lasting(engine)  # type: ignore[assignment,misc]
                address = ADDRESS.format(name=name)
                started = time.perf_counter()
                report = semsearch.import_passages(folder / "passages.parquet", address)
                seconds = time.perf_counter() - started
                found[name] = {"import_passages_per_second": round(report.passages / seconds), "encoded": report.encoded}
                found[name] |= rankings(data, address)
                with engines.pinned(address) as view:
                    found[name]["filters"] = recall(view, exact, queries)
            print(json.dumps({name: found[name]}), flush=True)
    return found


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="+", default=["milvus", "postgres"])
    parser.add_argument("--documents", type=int, help="only so many of scifact's, for a try")
    parser.add_argument("--queries", type=int, default=100, help="whose nearest passages are compared with brute force")
    options = parser.parse_args()
    found = measure(options.engines, options.documents, options.queries)
    if options.documents is None:
        save("engines", {"machine": machine(), **found})


if __name__ == "__main__":
    main()
