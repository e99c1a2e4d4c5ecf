"""chromadb with a folder of its own: the default embedding function, which runs all-MiniLM-L6-v2 in onnxruntime.

It looks for the model in ``~/.cache/chroma``, where `run` has put it.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import chromadb

from peers.script import Article, Found, Search, main

NAME = "articles"


def index(articles: list[Article], folder: Path) -> None:
    client = chromadb.PersistentClient(str(folder))
    collection = client.create_collection(NAME)
    rest = iter(articles)
    while batch := list(islice(rest, client.get_max_batch_size())):
        collection.add(ids=[article.id for article in batch], documents=[article.whole for article in batch])


def opened(folder: Path) -> Search:
    collection = chromadb.PersistentClient(str(folder)).get_collection(NAME)

    def search(question: str, k: int) -> list[Found]:
        found = collection.query(query_texts=[question], n_results=k)
        return [Found(*each) for each in zip(found["ids"][0], found["documents"][0], strict=True)]

    return search


if __name__ == "__main__":
    main(index, opened)
