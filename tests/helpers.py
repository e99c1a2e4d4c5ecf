"""What several tests build: articles of made-up sentences, and indexes of them."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result
from conftest import FakeEncoder

import semsearch
from semsearch import signs
from semsearch.cli import main
from semsearch.index import words_for
from semsearch.records import BuildReport
from semsearch.results import Results
from semsearch.store import Reader

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
FILLER = "was there all day long and nobody in the whole town said a word of it"


def sentence(words: str) -> str:
    """A sentence of its own length: its other words say nothing."""
    return f"The {words} {FILLER}."


def write(folder: Path, name: str, *paragraphs: str, title: str = "Title") -> Path:
    """A Markdown file of paragraphs, each of the words given: ``"aid, oil"`` is one paragraph of two sentences."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "\n\n".join(" ".join(sentence(words) for words in paragraph.split(", ")) for paragraph in paragraphs)
    path.write_text(f"# {title}\n\n{body}\n")
    return path


def replace(path: Path, content: bytes) -> None:
    """Put another file in a file's place, as a restored backup is.

    Never cut the old one, which may still be mapped: a thread of tantivy maps what was just opened once more, and may get to it
    after all of it was closed again.
    """
    path.unlink()
    path.write_bytes(content)


def cosine(one: str, other: str) -> float:
    """Of the fake encoder's vectors of two texts."""
    a, b = FakeEncoder.vectors([one, other])
    return float(a @ b)


def build(sources: Any, path: Path | str, encoder: FakeEncoder | None = None, **options: Any) -> tuple[BuildReport, list[str]]:
    """Build with an encoder of its own; the report and what was encoded."""
    encoder = encoder or FakeEncoder()
    with semsearch.build(sources, path, encoder=encoder, **options) as built:
        assert built.report is not None
        return built.report, encoder.encoded


def found(path: Path, query: str, k: int = 10, *, fold: bool = False, **options: Any) -> Results:
    """What a search finds. Not folded unless asked for: our sentences are all nearly the same."""
    with semsearch.open(path, encoder=FakeEncoder()) as opened:
        return opened.search(query, k, fold=fold, **options)


def run(*arguments: str) -> Result:
    """What a command does; nothing but an exit may come out of it."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def segments(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.glob("segment-*")}


def contents(path: Path) -> list[tuple[Any, ...]]:
    """All passages of an index, with their vectors, the codes of their tokens, and which of them each sentence has."""
    with closing(Reader(path)) as reader:
        found = []
        for segment in reader.vectors().segments:
            rows = list(range(segment.first_row, segment.first_row + segment.n_rows))
            for item in reader.passages(rows, 100):
                vector = segment.vectors(np.asarray([item.row])).tolist()
                # Not the row and the numbers, which tell of the index's history.
                kept = (segment.words(item.row).tobytes(), segment.sentences(item.row).tolist())
                found.append((*item[3:], vector, *kept))
        assert len(found) == reader.counts()["passages"]
        return sorted(found, key=lambda item: (item[1], item[0].start))


def records(folder: Path, texts: Sequence[str | dict[str, Any]]) -> Path:
    """A JSONL file of articles, each of one passage: its text alone, or a whole record."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "all.jsonl"
    given = [{"text": text} if isinstance(text, str) else text for text in texts]
    path.write_text("".join(json.dumps(record) + "\n" for record in given))
    return path


class Everything:
    """What is known of every row of an index for a question, by the written formulas and without any candidates.

    ``rows``; ``cosine``, ``late``, ``bm25`` of each; ``hybrid`` and ``dense``, as the docstring of `fusion` has them.
    """

    def __init__(self, index: semsearch.Index, query: str) -> None:
        reader = index._reader
        lexical = words_for(reader, "hybrid")
        asked = FakeEncoder().encode_queries([query])
        self.rows = np.asarray([row for (row,) in reader._database.execute("SELECT row FROM embeddings ORDER BY row")], np.int64)
        opened = reader.vectors()
        vectors = opened.take(self.rows)
        self.cosine = vectors @ asked.vectors[0]
        # Each of the fake encoder's tokens is a word.
        rarity = lexical.rarity([query[start:end] for start, end in asked.spans[0]])
        weights = rarity / rarity.sum() if rarity.sum() else np.full(len(rarity), 1 / len(rarity))
        self.late = np.asarray(
            [
                sum(
                    w * max(near)
                    for w, near in zip(weights, signs.similarities(signs.turned(asked.tokens[0]), codes), strict=True)
                )
                for codes in opened.words(self.rows)
            ]
        )
        self.bm25 = lexical.scores(query, self.rows)
        if lexical.must_match(query):
            kept = self.bm25 > 0
            self.rows, self.cosine, self.late, self.bm25 = (each[kept] for each in (self.rows, self.cosine, self.late, self.bm25))
            vectors = vectors[kept]
        self.lexical = self.bm25 / max(self.bm25.max(initial=0), 1e-9)
        before = np.round(self.cosine + 1.2 * self.late + 0.45 * self.lexical, 5)
        fourth = sorted(before, reverse=True)[:4][-1]
        best = [place for place, score in enumerate(before) if score >= fourth]
        others = [[other for other in best if other != place] for place in range(len(self.rows))]
        self.feedback = np.asarray(
            [np.mean(vectors[other] @ vectors[place]) if other else 0 for place, other in enumerate(others)]
        )
        total = self.cosine + 1.2 * self.late + 0.45 * self.lexical + 0.6 * self.feedback
        self.hybrid = np.clip(total / 3.25, 0, 1)
        self.dense = np.clip((self.cosine + 1.2 * self.late) / 2.2, 0, 1)


class Served:
    """An index served from a thread of this process, until it is stopped."""

    def __init__(self, index: semsearch.Index, **options: Any) -> None:
        import uvicorn

        from semsearch.web.app import create_app
        from semsearch.web.server import address, configured, listening

        self._listener = listening("127.0.0.1", 0)
        self.url = address(self._listener)
        self._server = uvicorn.Server(configured(create_app(index, **options)))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]})
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.01)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()
