"""fidx, hybrid: its own indexing command and its own search, without its server.

Its catalogue of models has no all-MiniLM-L6-v2, though the library beneath it, fastembed, knows the model: a profile is added,
and fastembed is told by path (``PEERS_MODEL``) where the model's files are. fidx reads folders of files, so each article becomes
one: its title a heading, its text below.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

import fastembed
from fidx import cli, config, daemon, vector_store
from fidx.embedder import FastEmbedder

from peers.script import Article, Found, Search, main

NAME = "minilm"


def _know_the_model() -> None:
    config.PROFILES[NAME] = config.EmbedProfile(name=NAME, model="sentence-transformers/all-MiniLM-L6-v2", dim=384)
    fastembed.TextEmbedding = functools.partial(fastembed.TextEmbedding, specific_model_path=os.environ["PEERS_MODEL"])


def index(articles: list[Article], folder: Path) -> None:
    files = folder.with_name(f"{folder.name}-files")
    files.mkdir(exist_ok=True)
    for number, article in enumerate(articles):
        heading = f"# {article.title}\n\n" if article.title else ""
        (files / f"{number}.md").write_text(f"{heading}{article.text}\n", encoding="utf-8")
    names = {f"{number}.md": article.id for number, article in enumerate(articles)}
    (folder / "names.json").write_text(json.dumps(names), encoding="utf-8")
    database = str(folder / "index.db")
    cli.main(["--db", database, "collection", "add", str(files), "--name", "articles"], standalone_mode=False)
    cli.main(["--db", database, "index", "--profile", NAME], standalone_mode=False)


def opened(folder: Path) -> Search:
    database = folder / "index.db"
    connection, profile = cli.open_index(database)
    store = vector_store.open_store(connection, database)
    embedder = FastEmbedder(profile)
    names = json.loads((folder / "names.json").read_text(encoding="utf-8"))

    def search(question: str, k: int) -> list[Found]:
        answer = daemon.run_search(connection, store, embedder, {"query": question, "limit": k})
        return [Found(names[row["relpath"]], row["snippet"]) for row in answer["results"]]

    return search


if __name__ == "__main__":
    _know_the_model()
    main(index, opened)
