"""Whether semsearch knows when an articles' folder has no answer.

    SEMSEARCH_DATA=... python benchmarks/answerable.py [--fit]

Each question is asked of its collection as it is, of the collection without the documents that are judged to answer it (what is
left on top may still answer, unjudged), and of another collection altogether. Figures: how well confidence tells the first from
the second and the third (AUROC), and how many answerable questions are turned away. ``--fit`` prints the constants of
`fusion.confidence`, fitted on all collections together, and on all but the one that is measured.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from common import data_folder, machine, save
from numpy.typing import NDArray
from quality import NINE, OTHERS
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from semsearch import fusion
from semsearch.encoder import cache_folder
from semsearch.evaluation.datasets import beir
from semsearch.index import ANSWERABLE, Index, words_for

QUERIES = 200
FOREIGN = 60
SETS = (*NINE, *OTHERS)


class Asked(NamedTuple):
    """Features of the best hit (cosine, late, coverage), one row a question: with its answers, without, of another collection."""

    known: NDArray[np.float64]
    removed: NDArray[np.float64]
    foreign: NDArray[np.float64]


def index_of(folder: Path) -> Index:
    """The index that ``semsearch eval`` keeps of a collection."""
    places = [path for path in (cache_folder() / "evaluation").glob("*/*/index") if "whole" not in path.parts[-2]]
    for path in places:
        opened = Index.open(path)
        if opened.search("a")[0].path == str((folder / "corpus.jsonl").resolve()) and opened.status()["passages"] > 0:
            return opened
        opened.close()
    sys.exit(f"no index of {folder}: run benchmarks/quality.py first")


def features(index: Index, query: str, where: dict[str, object] | None = None) -> list[float]:
    """Cosine, late interaction and coverage of the best hit; zeros where there is none."""
    found = index.search(query, 1, where=where, explain=True)
    if not found:
        return [0.0, 0.0, 0.0]
    explanation = found[0].explanation
    assert explanation is not None
    parts = {name: value for name, value, _ in explanation.parts}
    bound = words_for(index._reader, "hybrid").bound(query)
    bm25 = found[0].scores["lexical"] or 0.0
    return [parts["cosine"], parts["late"], min(1.0, bm25 / bound) if bound > 0 else 0.0]


def ask_all(data: Path) -> dict[str, Asked]:
    """Features of all questions."""
    sets = {name: beir(data / name, "test") for name in SETS}
    asked = {}
    for number, name in enumerate(SETS):
        dataset = sets[name]
        others = list(sets[SETS[(number + 3) % len(SETS)]].queries.values())[:FOREIGN]
        step = max(1, len(dataset.queries) // QUERIES)
        chosen = list(dataset.queries)[::step][:QUERIES]
        with index_of(data / name) as index:
            known = [features(index, dataset.queries[query]) for query in chosen]
            without = [
                {"_id": {"!=": [document for document, grade in dataset.judgments[query].items() if grade > 0]}}
                for query in chosen
            ]
            removed = [features(index, dataset.queries[query], where) for query, where in zip(chosen, without, strict=True)]
            foreign = [features(index, query) for query in others]
        asked[name] = Asked(*map(np.asarray, (known, removed, foreign)))
        print(name, len(chosen), file=sys.stderr, flush=True)
    return asked


def fit(asked: dict[str, Asked], left_out: str | None, columns: list[int]) -> tuple[float, ...]:
    """Constant and factors of a logistic regression in which every collection weighs the same."""
    chosen = [name for name in asked if name != left_out]
    rows = [part[:, columns] for name in chosen for part in asked[name]]
    answers = [np.full(len(part), float(kind == 0)) for name in chosen for kind, part in enumerate(asked[name])]
    weights = [np.full(len(part), (2.0, 1.0, 1.0)[kind] / len(part)) for name in chosen for kind, part in enumerate(asked[name])]
    model = LogisticRegression(C=1e3, max_iter=2000)
    model.fit(np.concatenate(rows), np.concatenate(answers), sample_weight=np.concatenate(weights) * 100)
    return (float(model.intercept_[0]), *(float(value) for value in model.coef_[0]))


def confidences(rows: NDArray[np.float64], constants: tuple[float, ...] | None = None) -> NDArray[np.float64]:
    """Confidence of some questions, by semsearch's constants or others."""
    if constants is None:
        return np.asarray([fusion.confidence(*row) for row in rows])
    return np.asarray(1 / (1 + np.exp(-constants[0] - rows @ np.asarray(constants[1:]))))


def figures(asked: dict[str, Asked], fitted: bool) -> dict[str, dict[str, float]]:
    """By collection; ``fitted``: by constants that were fitted without it."""
    table: dict[str, dict[str, float]] = {}
    for name, parts in asked.items():
        constants = fit(asked, name, [0, 1, 2]) if fitted else None
        known, removed, foreign = (confidences(part, constants) for part in parts)
        table[name] = {
            "AUROC removed": auroc(known, removed),
            "AUROC other collection": auroc(known, foreign),
            "turned away": round(float((known < ANSWERABLE).mean()), 4),
            "removed, turned away": round(float((removed < ANSWERABLE).mean()), 4),
            "other collection, turned away": round(float((foreign < ANSWERABLE).mean()), 4),
            "1 % below": round(float(np.quantile(known, 0.01)), 3),
        }
    keys = list(next(iter(table.values())))
    table["mean of the nine"] = {key: round(float(np.mean([table[name][key] for name in NINE])), 4) for key in keys}
    return table


def auroc(good: NDArray[np.float64], bad: NDArray[np.float64]) -> float:
    """Probability that one of the first is above one of the second."""
    return round(float(roc_auc_score([1] * len(good) + [0] * len(bad), np.concatenate([good, bad]))), 4)


def main() -> None:
    """Measure, and with ``--fit`` say which constants fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    asked = ask_all(data_folder())
    if arguments.fit:
        for columns in ([0, 1, 2], [0, 1], [0, 2], [0], [2]):
            print(columns, tuple(round(value, 2) for value in fit(asked, None, columns)))
        print({name: figures(asked, True)[name] for name in (*SETS, "mean of the nine")})
    save("answerable", {"machine": machine(), "threshold": ANSWERABLE, "figures": figures(asked, False)})


if __name__ == "__main__":
    main()
