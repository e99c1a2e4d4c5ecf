"""bm25s as its README begins: English stop words, the Snowball stemmer, its BM25; the index memory-mapped. No model."""

from __future__ import annotations

from pathlib import Path

import bm25s
import Stemmer

from peers.script import Article, Found, Search, main


def index(articles: list[Article], folder: Path) -> None:
    words = bm25s.tokenize([article.whole for article in articles], stopwords="en", stemmer=Stemmer.Stemmer("english"))
    retriever = bm25s.BM25()
    retriever.index(words)
    retriever.save(folder, corpus=[{"id": article.id, "text": article.whole} for article in articles])


def opened(folder: Path) -> Search:
    retriever = bm25s.BM25.load(folder, load_corpus=True, mmap=True)
    stemmer = Stemmer.Stemmer("english")

    def search(question: str, k: int) -> list[Found]:
        words = bm25s.tokenize([question], stopwords="en", stemmer=stemmer, show_progress=False)
        # It refuses to give more than it has.
        found, _ = retriever.retrieve(words, k=min(k, len(retriever.corpus)), show_progress=False)
        return [Found(row["id"], row["text"]) for row in found[0]]

    return search


if __name__ == "__main__":
    main(index, opened)
