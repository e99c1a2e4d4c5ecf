"""`semsearch index --cluster` with the real model: is it the same index, whatever dies on the way, and what does it cost?

    SEMSEARCH_DATA=... python benchmarks/cluster.py --work DIR

Articles of scifact are indexed alone, by two threads, and that index is what all others are compared with: counts, and the
cosine of each passage's vector with its own there. Then, by a scheduler and nodes that are processes of this machine: without
trouble, by one and two workers, in turns with the build alone; and so many times each with a worker killed (kill -9), with a node
killed and all of its workers, with the process that makes the index killed and run again, and with the scheduler killed and the
build run again, each at a moment drawn from ``--seed``. The exit code is 1 where anything is lost, twice there, or not the same.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from common import data_folder, machine, save, spread
from nodes import Cluster, kill, wait_for, workers_of

import semsearch
from semsearch.errors import EngineError
from semsearch.store import Reader
from semsearch.store.pending import pending_texts

NEAR = 0.9999
"""Cosine, at least, of a passage's vector with that of the build alone."""
_AT_ONCE = 2000
_FEW = 20


class Bench:
    """The articles, the index that was made alone, and the cluster."""

    def __init__(self, work: Path, n_articles: int, seed: int) -> None:
        self._drawn = random.Random(seed)
        self._work = work
        self._corpus, self._few = work / "corpus.jsonl", work / "few.jsonl"
        with (data_folder() / "scifact" / "corpus.jsonl").open(encoding="utf-8") as lines:
            articles = list(islice(lines, n_articles))
        self._corpus.write_text("".join(articles), encoding="utf-8")
        self._few.write_text("".join(articles[:_FEW]), encoding="utf-8")
        root = str(Path(semsearch.__file__).parent.parent)
        paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._environment = {**os.environ, "PYTHONPATH": paths}
        self.cluster = Cluster(work, self._environment)
        self._alone: dict[str, np.ndarray] = {}
        self.wrong = 0

    def alone(self) -> float:
        """Passages a second of a build without a cluster, by two threads, which loads the model."""
        home = self._fresh()
        report = json.loads(self._command(home, "--threads", "2", "--json").communicate()[0])
        self._alone = vectors(home)
        assert len(self._alone) == report["passages"]
        return report["encoded"] / report["seconds"]

    def by_workers(self, nodes: int, threads: int) -> float:
        """Passages a second of a build by so many nodes of one worker, undisturbed."""
        self.cluster.nodes(0)
        self.cluster.nodes(nodes, threads=threads)
        # They load the model with their first passages.
        self._build(self._few, self._fresh())
        home = self._fresh()
        report = self._build(self._corpus, home)
        self.compare("undisturbed", home)
        return report.encoded / report.seconds

    def trial(self, name: str) -> dict[str, Any]:
        """A build in which something dies, and the next one where it ended by it."""
        nodes = self.cluster.nodes(2, workers=2 if name == "node" else 1)
        home = self._fresh()
        wanted = len(self._alone)
        at = self._drawn.randrange(wanted // 10, wanted * 6 // 10)
        victims: dict[str, Callable[[], object]] = {
            "worker": lambda: self._drawn.choice(workers_of(nodes[1])).kill(),
            "node": lambda: kill(nodes[1]),
            "scheduler": self.cluster.kill_scheduler,
        }
        started = time.perf_counter()
        if name == "coordinator":
            process = self._command(home, "--cluster", self.cluster.address)
            wait_for(lambda: len(pending_texts(home)) >= at, 600)
            process.kill()
            process.communicate()
        elif name == "scheduler":
            try:
                self._build(self._corpus, home, at, victims[name])
                self.wrong += 1
            except EngineError:
                pass
            self.cluster.nodes(2)
        kept = len(pending_texts(home))
        if name in ("worker", "node"):
            report = self._build(self._corpus, home, at, victims[name])
        else:
            report = self._build(self._corpus, home)
        self.wrong += report.encoded != wanted - kept
        same = self.compare(name, home)
        return {"at": at, "kept": kept, "encoded": report.encoded, "seconds": round(time.perf_counter() - started, 1), **same}

    def compare(self, name: str, home: Path) -> dict[str, Any]:
        """How many passages an index has, how many vectors are the same to the last bit, and the least cosine."""
        found = vectors(home)
        same_texts = found.keys() == self._alone.keys()
        cosines = [float(found[key] @ self._alone[key]) for key in found if key in self._alone]
        equal = sum(found[key].tobytes() == self._alone[key].tobytes() for key in found if key in self._alone)
        least = min(cosines, default=0.0)
        if not same_texts or least < NEAR:
            self.wrong += 1
            print(f"{name}: {len(found)} of {len(self._alone)} passages, least cosine {least}", file=sys.stderr)
        return {"passages": len(found), "to the last bit": equal, "least cosine": round(least, 6)}

    def _fresh(self) -> Path:
        home = self._work / "index"
        shutil.rmtree(home, ignore_errors=True)
        return home

    def _command(self, home: Path, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "semsearch", "index", str(self._corpus), "--index", str(home), *options]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self._environment)

    def _build(self, corpus: Path, home: Path, at: int = 0, then: Callable[[], object] = int) -> Any:
        """The report of a build by the cluster, in which something is done once so many passages are encoded."""
        done = threading.Event()

        def progress(stage: str, count: int, _total: int) -> None:
            if stage == "encoding" and count >= at and not done.is_set():
                done.set()
                then()

        with semsearch.build(corpus, home, cluster=self.cluster.address, progress=progress) as index:
            return index.report


def vectors(home: Path) -> dict[str, np.ndarray]:
    """The vector of each passage, by its article, number and text."""
    found: dict[str, np.ndarray] = {}
    with closing(Reader(home)) as reader:
        opened = reader.vectors()
        for first in range(0, opened.n_rows, _AT_ONCE):
            rows = np.arange(first, min(first + _AT_ONCE, opened.n_rows))
            taken = opened.take(rows)
            for item in reader.passages(rows.tolist(), 1):
                vector = taken[item.row - first]
                found[f"{item.source} {item.passage.start} {item.passage.text}"] = vector / np.linalg.norm(vector)
    return found


def main() -> None:
    """Measure, kill and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--articles", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="semsearch-cluster-"))
    work.mkdir(parents=True, exist_ok=True)
    bench = Bench(work.resolve(), options.articles, options.seed)
    rates: dict[str, list[float]] = {}
    trials: dict[str, list[dict[str, Any]]] = {}
    try:
        for _ in range(max(options.rounds, 1)):
            rates.setdefault("alone, two threads", []).append(bench.alone())
            if options.rounds:
                rates.setdefault("one worker of one thread", []).append(bench.by_workers(1, 1))
                rates.setdefault("one worker of two threads", []).append(bench.by_workers(1, 2))
                rates.setdefault("two workers of one thread", []).append(bench.by_workers(2, 1))
        for _ in range(options.trials):
            for name in ("worker", "node", "coordinator", "scheduler"):
                bench.cluster.nodes(0)
                trials.setdefault(name, []).append(bench.trial(name))
                print(name, trials[name][-1], file=sys.stderr, flush=True)
    finally:
        bench.cluster.close()
    figures = {"passages a second": {name: spread(found) for name, found in rates.items()}, "killed": trials}
    save("cluster", {"articles": options.articles, "seed": options.seed, **figures, "wrong": bench.wrong, "machine": machine()})
    sys.exit(bench.wrong > 0)


if __name__ == "__main__":
    main()
