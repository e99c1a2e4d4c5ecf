"""semsearch itself, with its defaults, through the library. Indexing and a cold question go through its command instead."""

from __future__ import annotations

from pathlib import Path

import semsearch
from peers.script import Article, Found, Search, main


def index(_: list[Article], folder: Path) -> None:
    raise SystemExit(f"semsearch index COLLECTION/corpus.jsonl --index {folder}")


def opened(folder: Path) -> Search:
    opened = semsearch.open(folder)

    def search(question: str, k: int) -> list[Found]:
        return [Found(hit.metadata["_id"], hit.text) for hit in opened.search(question, k)]

    return search


def rank(collection: Path, folder: Path) -> tuple[dict[str, list[str]], list[str]]:
    """By its own evaluation, which asks for more and more passages until they are of enough articles."""
    measured = semsearch.evaluate(collection, index=folder, metrics=["R@100"])[0]
    return {question: [scored.document for scored in ranking] for question, ranking in measured.rankings.items()}, []


if __name__ == "__main__":
    main(index, opened, rank)
