"""How the weights of the ranking were chosen, and what each part of the score gives.

    SEMSEARCH_DATA=... python benchmarks/ranking.py

Takes the parts of the scores of 100 candidates of every question of nine collections, and ranks by other weights: each part left
out, halved and doubled; and leave-one-collection-out, where each collection is ranked by the weights of a grid that are best on
the other eight. Uses the indexes that ``benchmarks/quality.py`` keeps.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from answerable import index_of
from common import data_folder, machine, save
from numpy.typing import NDArray
from quality import NINE

from semsearch import fusion
from semsearch.evaluation.datasets import beir
from semsearch.index import words_for
from semsearch.ranking import Question, rank, wanted

DEPTH = 100
GRID = {"late": (0.4, 0.8, 1.2, 1.6), "lexical": (0.2, 0.35, 0.45, 0.6), "feedback": (0.0, 0.2, 0.4, 0.6)}
DEFAULTS = {"cosine": 1.0, "late": fusion.LATE, "lexical": fusion.LEXICAL, "feedback": fusion.FEEDBACK}


class Asked(NamedTuple):
    """Candidates of one question: ``parts`` float32 (n, 4), the number of each one's document, its grade, the ideal DCG@10."""

    parts: NDArray[np.float32]
    documents: NDArray[np.int64]
    grades: NDArray[np.float64]
    ideal: float


def dcg(grades: NDArray[np.float64]) -> float:
    """Discounted cumulative gain at 10, as trec_eval has it."""
    return float((grades[:10] / np.log2(np.arange(len(grades[:10])) + 2)).sum())


def candidates(data: Path, name: str) -> list[Asked]:
    """All questions of a collection."""
    dataset = beir(data / name, "test")
    asked = []
    with index_of(data / name) as index:
        reader, encoder = index._reader, index._loaded(index._reader)
        vectors, lexical = reader.vectors(), words_for(index._reader, "hybrid")
        for query, text in dataset.queries.items():
            encoded = encoder.encode_queries([text])
            (near,) = vectors.search(encoded.vectors, wanted(DEPTH))
            (question,) = Question.all_of([text], encoded, lexical)
            ranking = rank(question, "hybrid", DEPTH, vectors=vectors, lexical=lexical, near=near, allowed=None)
            names = {row.row: str(row.metadata["_id"]) for row in reader.passages(ranking.rows.tolist(), 1)}
            grades = dataset.judgments[query]
            ids = [names[row] for row in ranking.rows.tolist()]
            numbers = {document: number for number, document in enumerate(dict.fromkeys(ids))}
            ideal = dcg(np.sort([float(max(0, grade)) for grade in grades.values()])[::-1])
            asked.append(
                Asked(
                    np.stack(ranking.parts, axis=1),
                    np.asarray([numbers[document] for document in ids]),
                    np.asarray([float(max(0, grades.get(document, 0))) for document in ids]),
                    ideal,
                )
            )
    print(name, len(asked), file=sys.stderr, flush=True)
    return asked


def ndcg(asked: list[Asked], weights: dict[str, float]) -> float:
    """Mean nDCG@10 by some weights; a document's score is its best passage's."""
    factors = np.asarray(list(weights.values()), np.float32)
    values = []
    for question in asked:
        order = np.argsort(-(question.parts @ factors), kind="stable")
        _, first = np.unique(question.documents[order], return_index=True)
        values.append(dcg(question.grades[order][np.sort(first)]) / question.ideal)
    return 100 * float(np.mean(values))


def main() -> None:
    """Measure."""
    data = data_folder()
    sets = {name: candidates(data, name) for name in NINE}
    ways = {"default": DEFAULTS}
    for part in ("late", "lexical", "feedback"):
        ways |= {f"{part} x {factor}": {**DEFAULTS, part: DEFAULTS[part] * factor} for factor in (0, 0.5, 2)}
    ways["cosine x 0"] = {**DEFAULTS, "cosine": 0.0}
    table = {way: {name: round(ndcg(asked, weights), 2) for name, asked in sets.items()} for way, weights in ways.items()}
    grid = [dict(zip(("cosine", *GRID), (1.0, *values), strict=True)) for values in itertools.product(*GRID.values())]
    figures = np.asarray([[ndcg(asked, weights) for asked in sets.values()] for weights in grid])
    chosen = [int(np.argmax(np.delete(figures, number, axis=1).mean(axis=1))) for number in range(len(sets))]
    table["leave one collection out"] = {
        name: round(float(figures[best, number]), 2) for number, (name, best) in enumerate(zip(sets, chosen, strict=True))
    }
    table["best of the grid for each (oracle)"] = {
        name: round(float(figures[:, number].max()), 2) for number, name in enumerate(sets)
    }
    for row in table.values():
        row["mean"] = round(float(np.mean(list(row.values()))), 2)
    picked = {name: grid[best] for name, best in zip(sets, chosen, strict=True)}
    save("ranking", {"machine": machine(), "nDCG@10": table, "weights without it": picked})


if __name__ == "__main__":
    main()
