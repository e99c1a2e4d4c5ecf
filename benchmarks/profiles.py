"""Where the time goes, and how far it is to what the machine can do.

    SEMSEARCH_DATA=... python benchmarks/profiles.py [--passages 4000]

`semsearch.build` and a warm and a cold question under pyinstrument (``python -m pip install pyinstrument``), whose trees are kept
in ``results/profile-*.txt``; the floating-point operations a second that encoding achieves, beside those of a bare
multiplication of matrices of the network's sizes in the same precision by the same processors; the bytes a second that exact
search reads, beside those that a bare sum of as much memory does.

Not ``profile.py``: that would hide the module of the standard library that cProfile, and so torch, imports.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, data_folder, machine, save, spread
from pyinstrument import Profiler

import semsearch
from semsearch import encoder as encoders
from semsearch.limits import processors
from semsearch.passages.sentences import spans
from semsearch.protocols import PassageText
from semsearch.vectors import EXACT_ROWS

ROUNDS = 5
WIDTH, INNER, LAYERS = 384, 1536, 6
"""Of all-MiniLM-L6-v2: of each layer four matrices of width x width and two of width x inner size."""
QUESTION = "what aid did Russia offer"


def passages(count: int) -> list[str]:
    """Real passages, from all over the file."""
    with gzip.open(data_folder() / "scale-passages.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in islice(lines, 0, count * 20, 20)]


def seconds(do: Callable[[], Any], rounds: int = ROUNDS) -> list[float]:
    """Of each of several times, after one that is not counted."""
    do()
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        do()
        found.append(time.perf_counter() - started)
    return found


def profiled(name: str, do: Callable[[], Any]) -> float:
    """Seconds; the tree of calls is kept."""
    profiler = Profiler(interval=0.0005)
    profiler.start()
    do()
    session = profiler.stop()
    RESULTS.mkdir(exist_ok=True)
    text = profiler.output_text(unicode=False, color=False, show_all=False, timeline=False)
    # No paths of one machine.
    text = text.replace(str(Path(semsearch.__file__).parent.parent), ".").replace(str(Path(os.__file__).parent), "PYTHON")
    (RESULTS / f"profile-{name}.txt").write_text(text, encoding="utf-8")
    return round(session.duration, 3)


def operations(lengths: Sequence[int]) -> float:
    """Floating-point operations of the network for texts of so many tokens: two for each number and token, and attention."""
    matrices = LAYERS * (4 * WIDTH**2 + 2 * WIDTH * INNER)
    return float(sum(2 * matrices * length + LAYERS * 4 * WIDTH * length**2 for length in lengths))


def encoding(texts: list[str]) -> dict[str, Any]:
    """What encoding achieves, and what a bare multiplication does."""
    import torch

    used = encoders.load()
    given = [PassageText("", text, tuple(spans(text))) for text in texts]
    lengths = [min(count + 2, used.fingerprint.max_tokens) for count in used.count_tokens(texts)]
    taken = seconds(lambda: list(used.encode_passages(given)), 3)
    torch.set_num_threads(processors())
    kind = torch.bfloat16 if used.engine.endswith("bf16") else torch.float32
    left, right = torch.randn(4096, WIDTH, dtype=kind), torch.randn(INNER, WIDTH, dtype=kind)
    bare = seconds(lambda: [torch.nn.functional.linear(left, right) for _ in range(40)])
    achieved = [operations(lengths) / each / 1e9 for each in taken]
    limit = [40 * 2 * 4096 * WIDTH * INNER / each / 1e9 for each in bare]
    return {
        "engine": used.engine,
        "passages a second": spread([len(texts) / each for each in taken]),
        "tokens a passage": round(float(np.mean(lengths)), 1),
        "GFLOP/s": spread(achieved),
        "GFLOP/s of a bare multiplication": spread(limit),
        "share": round(float(np.median(achieved) / max(limit)), 3),
    }


def searching() -> dict[str, Any]:
    """Bytes a second of exact search in half precision, one thread, and of a bare sum over as much memory."""
    import faiss

    rows = np.random.default_rng(0).standard_normal((EXACT_ROWS, WIDTH)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index = faiss.IndexScalarQuantizer(WIDTH, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    index.add(rows)
    faiss.omp_set_num_threads(1)
    searched = seconds(lambda: [index.search(rows[:1], 100) for _ in range(20)])
    numbers = rows.view(np.int64).ravel()[: EXACT_ROWS * WIDTH // 4]
    summed = seconds(lambda: [numbers.sum() for _ in range(20)])
    size = 20 * EXACT_ROWS * WIDTH * 2 / 1e9
    return {
        "rows": EXACT_ROWS,
        "ms": spread([each / 20 * 1000 for each in searched]),
        "GB/s": spread([size / each for each in searched]),
        "GB/s of a bare sum": spread([size / each for each in summed]),
    }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=4000)
    options = parser.parse_args()
    texts = passages(options.passages)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "articles.jsonl"
        source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        index = Path(folder) / "index"
        built = profiled("index", lambda: semsearch.build(source, index).close())
        asked = profiled("ask-cold", lambda: semsearch.open(index).search(QUESTION))
        with semsearch.open(index) as opened:
            opened.search(QUESTION)
            warm = profiled("ask-warm", lambda: [opened.search(QUESTION) for _ in range(100)])
    save(
        "profile",
        {
            "passages": len(texts),
            "seconds of index": built,
            "seconds of opening and the first question": asked,
            "seconds of 100 warm questions": warm,
            "encoding": encoding(texts[:2000]),
            "exact search": searching(),
            "machine": machine(),
        },
    )


if __name__ == "__main__":
    main()
