"""An engine in this process's memory: brute force over lists, an oracle for the others and an example of the seam."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from semsearch.engines.seam import (
    K1,
    Among,
    ArticleEntry,
    Asked,
    B,
    Every,
    Having,
    Kept,
    Numbered,
    PassageEntry,
    Said,
    Some,
    Value,
    Without,
)
from semsearch.errors import IndexCorrupt, IndexLocked
from semsearch.protocols import Found
from semsearch.store import FileRow, PassageRow


@dataclass
class State:
    meta: dict[str, str] = field(default_factory=dict)
    files: dict[int, FileRow] = field(default_factory=dict)
    articles: dict[int, ArticleEntry] = field(default_factory=dict)
    passages: dict[int, PassageEntry] = field(default_factory=dict)
    values: dict[int, Value] = field(default_factory=dict)

    def copy(self) -> State:
        return State(dict(self.meta), dict(self.files), dict(self.articles), dict(self.passages), dict(self.values))


def parts_of(entry: PassageEntry, name: str) -> list[list[str]]:
    title, heading, text = (part.split() for part in entry.terms)
    return {"title": [title], "heading": [heading], "whole": [title, heading, text]}[name]


class MemorySnapshot:
    def __init__(self, state: State) -> None:
        self.state = state
        self.meta = state.meta

    def _meets(self, entry: PassageEntry, among: Among | None) -> bool:
        if among is None:
            return True
        if isinstance(among, Having):
            return not set(among.values).isdisjoint(self.state.articles[entry.article].values)
        if isinstance(among, Said):
            parts = [f" {' '.join(part)} " for part in parts_of(entry, "whole")]
            return any(f" {' '.join(way)} " in part for way in among.ways for part in parts)
        if isinstance(among, Numbered):
            return entry.row in among.rows
        if isinstance(among, Every):
            return all(self._meets(entry, each) for each in among.of)
        if isinstance(among, Some):
            return any(self._meets(entry, each) for each in among.of)
        assert isinstance(among, Without)
        return not self._meets(entry, among.of)

    def _among(self, among: Among | None) -> list[PassageEntry]:
        return [entry for entry in self.state.passages.values() if self._meets(entry, among)]

    def nearest(self, queries: np.ndarray, k: int, among: Among | None) -> list[Found]:
        entries = self._among(among)
        rows = np.asarray([entry.row for entry in entries], np.int64)
        vectors = np.asarray([entry.kept.vector for entry in entries], np.float32).reshape(len(entries), queries.shape[1])
        return [self._best(rows, vectors @ query, k) for query in queries]

    @staticmethod
    def _best(rows: np.ndarray, scores: np.ndarray, k: int) -> Found:
        order = np.lexsort((rows, -scores))[:k]
        return Found(rows[order], scores[order].astype(np.float32))

    def _scores(self, name: str, asked: Sequence[Asked], entries: Sequence[PassageEntry]) -> np.ndarray:
        counted = {}
        for entry in self.state.passages.values():
            counted[entry.row] = Counter(term for part in parts_of(entry, name) for term in part)
        mean = sum(each.total() for each in counted.values()) / max(1, len(counted))
        scores = np.zeros(len(entries))
        for word in asked:
            df = min(len(counted), sum(counts[term] > 0 for counts in counted.values() for term in word.ways))
            idf = math.log(1 + (len(counted) - df + 0.5) / (df + 0.5))
            for place, entry in enumerate(entries):
                counts = counted.get(entry.row, Counter())
                tf = max(counts[term] for term in word.ways)
                scores[place] += word.times * idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * counts.total() / max(mean, 1e-9)))
        return scores

    def matching(self, name: str, asked: Sequence[Asked], k: int, among: Among | None) -> Found:
        entries = self._among(among)
        scores = self._scores(name, asked, entries)
        rows = np.asarray([entry.row for entry in entries], np.int64)
        return self._best(rows[scores > 0], scores[scores > 0], k)

    def matched(self, name: str, asked: Sequence[Asked], rows: np.ndarray) -> np.ndarray:
        return self._scores(name, asked, [self.state.passages[row] for row in rows.tolist()]).astype(np.float32)

    def frequencies(self, name: str, terms: Sequence[str]) -> list[int]:
        has = [{term for part in parts_of(entry, name) for term in part} for entry in self.state.passages.values()]
        return [sum(term in each for each in has) for term in terms]

    def is_any(self, among: Among) -> bool:
        return bool(self._among(among))

    def n_articles(self, among: Among) -> int:
        return len({entry.article for entry in self._among(among)})

    def kept(self, rows: np.ndarray) -> list[Kept]:
        try:
            return [self.state.passages[row].kept for row in rows.tolist()]
        except KeyError as error:
            raise IndexCorrupt("a passage is not there: search again") from error

    def known(self, embeddings: Sequence[bytes]) -> dict[bytes, Kept]:
        wanted = set(embeddings)
        return {entry.embedding: entry.kept for entry in self.state.passages.values() if entry.embedding in wanted}

    def _row(self, entry: PassageEntry) -> PassageRow:
        article = self.state.articles[entry.article]
        source = article.source + article.record
        return PassageRow(
            entry.row, entry.row, article.id, entry.passage, source, article.path, article.title, dict(article.metadata)
        )

    def passages(self, rows: Sequence[int]) -> list[PassageRow]:
        return [self._row(self.state.passages[row]) for row in rows if row in self.state.passages]

    def place_of(self, row: int) -> tuple[int, int] | None:
        entry = self.state.passages.get(row)
        return None if entry is None else (entry.article, entry.place)

    def _in(self, article: int) -> list[PassageEntry]:
        return sorted((each for each in self.state.passages.values() if each.article == article), key=lambda each: each.place)

    def passages_of(self, article: int, first: int, limit: int) -> list[PassageRow]:
        return [self._row(entry) for entry in self._in(article)[first : first + limit]]

    def numbered(self, articles: Sequence[int]) -> list[ArticleEntry]:
        return [self.state.articles[number] for number in articles if number in self.state.articles]

    def articles(self, first: int, limit: int, among: Among | None) -> list[ArticleEntry]:
        kept = None if among is None else {entry.article for entry in self._among(among)}
        found = [each for each in self.state.articles.values() if kept is None or each.id in kept]
        found.sort(key=lambda each: (each.source, each.record, each.path, each.id))
        return found[first : first + limit]

    def every_article(self, among: Among | None) -> Iterator[ArticleEntry]:
        return iter(self.articles(0, 10**9, among))

    def articles_of(self, files: Sequence[int]) -> list[ArticleEntry]:
        return [each for each in self.state.articles.values() if each.file in files]

    def files(self) -> Iterator[FileRow]:
        return iter(list(self.state.files.values()))

    def file(self, file: int) -> FileRow | None:
        return self.state.files.get(file)

    def values(self, key: str) -> list[Value]:
        return [each for each in self.state.values.values() if each.key == key]

    def keys(self) -> list[str]:
        return sorted({each.key for each in self.state.values.values()})

    def entries(self, articles: Sequence[int]) -> Iterator[PassageEntry]:
        return (entry for article in articles for entry in self._in(article))

    def sample(self, n: int) -> list[int]:
        rows = sorted(self.state.passages)
        return [rows[place * len(rows) // min(n, len(rows))] for place in range(min(n, len(rows)))]

    def n_bytes(self) -> int:
        return 0


class MemoryDraft:
    def __init__(self, engine: MemoryEngine) -> None:
        self._engine = engine
        self.before = MemorySnapshot(engine.state)
        self._state = engine.state.copy()

    def forget(self) -> None:
        self._state = State()

    def prepare(self, dimension: int) -> None:
        self._dimension = dimension

    def put(self, articles: Sequence[ArticleEntry], passages: Sequence[PassageEntry], values: Sequence[Value]) -> None:
        self._state.articles |= {each.id: each for each in articles}
        for entry in passages:
            assert entry.kept.vector.shape == (self._dimension,)
            half = entry.kept.vector.astype(np.float16).astype(np.float32)
            self._state.passages[entry.row] = entry._replace(kept=entry.kept._replace(vector=half))
        self._state.values |= {each.id: each for each in values}

    def drop(self, articles: Sequence[int]) -> None:
        gone = set(articles)
        self._state.articles = {key: each for key, each in self._state.articles.items() if key not in gone}
        self._state.passages = {key: each for key, each in self._state.passages.items() if each.article not in gone}

    def put_files(self, files: Sequence[FileRow]) -> None:
        self._state.files |= {file.id: file for file in files}

    def drop_files(self, files: Sequence[int]) -> None:
        for file in files:
            self._state.files.pop(file, None)

    def commit(self, meta: Mapping[str, str]) -> None:
        self._engine.state = replace(self._state, meta=dict(meta))

    def close(self) -> None:
        if self._engine.writing.locked():
            self._engine.writing.release()


class MemoryEngine:
    shown = "memory"

    def __init__(self) -> None:
        self.state = State()
        self.writing = threading.Lock()

    @contextmanager
    def snapshot(self) -> Iterator[MemorySnapshot]:
        yield MemorySnapshot(self.state)

    def draft(self) -> MemoryDraft:
        if not self.writing.acquire(blocking=False):
            raise IndexLocked("another process is writing to memory: try again when it is done")
        return MemoryDraft(self)

    def close(self) -> None:
        pass
