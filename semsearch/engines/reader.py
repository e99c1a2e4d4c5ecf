"""Reading an index that an engine keeps: what `store.Reader` is for a folder's.

A search pins one generation, and the next search pins the newest: an index in an engine has no reader that holds it back.

Deliberately not here: what an engine is asked (`seam`), both arms (`arms`).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semsearch.engines.arms import Cache, EngineLexical, EngineVectors
from semsearch.engines.facts import canaries_of, fingerprint_of, generation_of, languages_of, readable
from semsearch.engines.narrowing import among
from semsearch.engines.seam import Among, ArticleEntry, together
from semsearch.errors import IndexCorrupt, IndexMissing, InputError
from semsearch.lexical import Reading
from semsearch.protocols import Allowed
from semsearch.records import ArticleInfo, Context, Excerpt, Facets, Passage
from semsearch.store import SEGMENT_ROWS, ArticleText, Codes, FileRow, PassageRow, SizedArticle, number_of
from semsearch.store.browsing import counted
from semsearch.store.exporting import StoredRow
from semsearch.store.tables import public_id

if TYPE_CHECKING:
    from semsearch.engines.seam import Engine, Snapshot
    from semsearch.filters import Filter
    from semsearch.protocols import Fingerprint, Matrix

__all__ = ["EngineReader", "EngineView"]

logger = logging.getLogger("semsearch")

_AT_ONCE = 500
"""Articles, or passages, that are read at a time where all are wanted."""
_METADATA = "metadata."


class EngineReader:
    """An open index that an engine keeps. Threads may share it; a process that was forked off may not.

    :raises IndexMissing: if there is no index at the address.
    :raises IndexTooNew: if a later semsearch wrote it.
    :raises EngineError: if the engine cannot be reached.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.folder = self.where = engine.shown
        self._process = os.getpid()
        self._closed = False
        self._lock = threading.Lock()
        self._reading: tuple[str, Reading] = ("", Reading({}))
        self._cache: tuple[str, Cache] = ("", Cache())
        self._allowed: dict[Filter, tuple[str, Among]] = {}
        with self._snapshot() as snapshot:
            self._note(snapshot)

    def _note(self, snapshot: Snapshot) -> None:
        self.meta = dict(snapshot.meta)
        self.fingerprint: Fingerprint = fingerprint_of(self.meta, self.where)

    @contextmanager
    def _snapshot(self) -> Iterator[Snapshot]:
        self.check_process()
        self.ready()
        with self.engine.snapshot() as snapshot:
            if not snapshot.meta:
                raise IndexMissing(f"there is no index at {self.where}: make one with semsearch index SOURCE... --index ADDRESS")
            readable(snapshot.meta, self.where)
            yield snapshot

    @contextmanager
    def pinned(self) -> Iterator[EngineView]:
        """One generation, the newest, for all that is read within the context."""
        with self._snapshot() as snapshot:
            yield EngineView(self, snapshot)

    def superseded(self) -> bool:
        """Whether there is another generation than when this was last asked to be `reopened`."""
        with self._snapshot() as snapshot:
            return generation_of(snapshot.meta) != generation_of(self.meta)

    def reopened(self) -> EngineReader:
        """The same reader: every search is of the newest generation."""
        with self._snapshot() as snapshot:
            self._note(snapshot)
        return self

    def apart(self) -> AbstractContextManager[EngineView]:
        """The newest generation; an engine makes nobody wait."""
        return self.pinned()

    def close(self) -> None:
        """Let go of the engine; no reading afterwards."""
        if os.getpid() == self._process and not self._closed:
            self._closed = True
            self.engine.close()

    def ready(self) -> None:
        """Refuse what was closed.

        :raises InputError: if the reader was closed.
        """
        if self._closed:
            raise InputError(f"the index {self.where} was closed: open it again")

    def check_process(self) -> None:
        """Refuse a process that was forked off: connections do not outlive it.

        :raises InputError: if this is not the process that opened the index.
        """
        if os.getpid() != self._process:
            raise InputError(
                f"the index {self.where} was opened before this process was forked off: open it again in each process"
            )

    def reading(self, languages: str) -> Reading:
        """What reads questions in the languages of a generation, as its facts have them."""
        with self._lock:
            if self._reading[0] != languages:
                self._reading = (languages, Reading(languages_of(languages)))
            return self._reading[1]

    def cache(self, generation: str) -> Cache:
        """What is remembered of a generation, by `generation_of`; of one at a time."""
        with self._lock:
            if self._cache[0] != generation:
                self._cache = (generation, Cache())
            return self._cache[1]

    def among(self, wanted: Filter, snapshot: Snapshot) -> Among:
        """The passages that a filter leaves; kept for the next time."""
        generation = generation_of(snapshot.meta)
        with self._lock:
            known = self._allowed.get(wanted)
        if known is None or known[0] != generation:
            known = (generation, among(wanted, snapshot.values))
            with self._lock:
                # Of one generation at a time.
                kept = {filter_: each for filter_, each in self._allowed.items() if each[0] == generation}
                self._allowed = {**kept, wanted: known}
        return known[1]


class EngineView:
    """One generation of an index that an engine keeps, for one thread; made by `EngineReader.pinned`.

    What its methods give is what those of `store.Reader` do.
    """

    def __init__(self, reader: EngineReader, snapshot: Snapshot) -> None:
        self._reader = reader
        self.snapshot = snapshot
        self.meta = dict(snapshot.meta)
        self.where = self.folder = reader.where
        self.fingerprint: Fingerprint = fingerprint_of(self.meta, self.where)
        self._cache = reader.cache(generation_of(self.meta))
        self._vectors = EngineVectors(
            snapshot, self._cache, self.fingerprint.dimension, has_words=self.meta.get("codes") != "none"
        )
        reading = reader.reading(self.meta["languages"])
        self._lexical = EngineLexical(snapshot, self._cache, reading, int(self.meta["n_passages"]))

    @contextmanager
    def pinned(self) -> Iterator[EngineView]:
        """The view itself."""
        yield self

    def ready(self) -> None:
        """Refuse what was closed."""
        self._reader.ready()

    def close(self) -> None:
        """Nothing: what it reads is let go of where it was pinned."""

    def network(self) -> bytes:
        """No engine keeps a network in 8 bits."""
        return b""

    def vectors(self) -> EngineVectors:
        """The vectors."""
        return self._vectors

    def lexical(self) -> EngineLexical:
        """The lexical side."""
        return self._lexical

    def search_kind(self) -> dict[str, Any]:
        """How vectors are searched, as `Index.status` tells it."""
        return {"kind": "engine"}

    def counts(self) -> dict[str, int]:
        """How many ``files``, ``articles``, ``passages`` there are, and about how many ``bytes`` they take in the engine."""
        counted = {name: int(self.meta[f"n_{name}"]) for name in ("files", "articles", "passages")}
        return {**counted, "bytes": self.snapshot.n_bytes()}

    def n_articles(self) -> int:
        """How many articles there are."""
        return int(self.meta["n_articles"])

    def allowed(self, wanted: Filter) -> Allowed:
        """What a filter leaves of the index."""
        narrowed = self._reader.among(wanted, self.snapshot)
        return Allowed(narrowed, narrowed, self.snapshot.n_articles(narrowed))

    def passages(self, rows: Sequence[int], limit: int, *, allowed: Allowed | None = None) -> list[PassageRow]:  # noqa: ARG002
        """The passages of these rows, by source and place. A row has one, which a filter leaves or does not."""
        return _in_order(self.snapshot.passages(rows))

    def passage_ids(self, *, allowed: Allowed | None = None) -> NDArray[np.int64]:
        """The ``id`` of each passage, by source and place: int64 (n,)."""
        return np.asarray([item.id for articles in self._chunks(allowed) for item in self._passages(articles)], np.int64)

    def listed(self, ids: NDArray[np.int64]) -> list[PassageRow]:
        """The passages that have these ``id``, in the order given.

        :raises IndexCorrupt: if one is not there.
        """
        found = {item.id: item for first in range(0, len(ids), _AT_ONCE) for item in self._some(ids[first : first + _AT_ONCE])}
        try:
            return [found[number] for number in ids.tolist()]
        except KeyError as error:
            raise IndexCorrupt(f"a passage is missing in {self.where}: see semsearch check") from error

    def _some(self, ids: NDArray[np.int64]) -> list[PassageRow]:
        return self.snapshot.passages(ids.tolist())

    def records(self, *, allowed: Allowed | None = None, vectors: bool = False) -> Iterator[list[dict[str, Any]]]:
        """All passages as `PassageRow.to_dict` has them, by source and place, some at a time."""
        for articles in self._chunks(allowed):
            items = self._passages(articles)
            found = [item.to_dict() for item in items]
            if vectors:
                taken = self.snapshot.kept(np.asarray([item.row for item in items], np.int64))
                found = [{**record, "vector": kept.vector} for record, kept in zip(found, taken, strict=True)]
            yield found

    def metadata_keys(self, limit: int) -> list[str]:
        """The keys that the metadata of articles have or had, in alphabetical order; without those of what is nested."""
        keys = [key.removeprefix(_METADATA) for key in self.snapshot.keys() if key.startswith(_METADATA)]  # noqa: SIM118
        known = set(keys)
        # What is nested stands under the key above it, too.
        return [key for key in keys if not any(key[:at] in known for at, letter in enumerate(key) if letter == ".")][:limit]

    def around(self, passage: int, before: int, after: int) -> Context:
        """A passage with its neighbours in the article.

        :raises InputError: if it is not there any more.
        """
        found = self.snapshot.place_of(passage)
        if found is None:
            raise self._gone()
        article, place = found
        first = max(0, place - before)
        texts = [item.passage for item in self.snapshot.passages_of(article, first, place - first + 1 + after)]
        return Context(tuple(texts[: place - first]), texts[place - first], tuple(texts[place - first + 1 :]))

    def article(self, article_id: str, first: int, limit: int) -> Excerpt:
        """Passages of an article, from a place on, counted from 0.

        :raises InputError: if there is no such article.
        """
        number = number_of(article_id)
        info = next(map(_info, self.snapshot.numbered([number])), None)
        if info is None or info.article_id != article_id:
            raise InputError(f"there is no article {article_id[:60]!r}: its file may have changed since; search again")
        return Excerpt(info, first, tuple(item.stored() for item in self.snapshot.passages_of(number, first, limit)))

    def excerpt(self, passage_id: str, before: int, after: int) -> Excerpt:
        """A passage with its neighbours.

        :raises InputError: if there is no such passage.
        """
        number = number_of(passage_id)
        found = self.snapshot.passages([number])
        place = self.snapshot.place_of(number)
        if not found or place is None or found[0].passage_id != passage_id:
            raise InputError(f"there is no passage {passage_id[:60]!r}: its file may have changed since; search again")
        (article,) = self.snapshot.numbered([place[0]])
        first = max(0, place[1] - before)
        near = self.snapshot.passages_of(place[0], first, place[1] - first + 1 + after)
        return Excerpt(_info(article), first, tuple(item.stored() for item in near))

    def articles(self, first: int, limit: int, *, allowed: Allowed | None = None) -> list[ArticleInfo]:
        """Articles by their sources, from a place on, counted from 0; of those that a filter leaves."""
        return [_info(entry) for entry in self.snapshot.articles(first, limit, None if allowed is None else allowed.articles)]

    def exported(self, allowed: Allowed | None = None) -> tuple[int, int, Iterator[list[StoredRow]]]:
        """How many articles and passages a filter leaves, and these passages, some at a time, article by article."""
        wanted = None if allowed is None else allowed.articles
        # The articles of a file stand together.
        entries = sorted(
            (each.file, _record_order(each.record), each.id, each.n_passages) for each in self.snapshot.every_article(wanted)
        )
        digests = {file.id: file.sha256 for file in self.snapshot.files()}

        def rows() -> Iterator[list[StoredRow]]:
            for first in range(0, len(entries), _AT_ONCE):
                chunk = [number for *_, number, _ in entries[first : first + _AT_ONCE]]
                yield from self._stored_rows(chunk, digests)

        return len(entries), sum(count for *_, count in entries), rows()

    def _stored_rows(self, articles: Sequence[int], digests: dict[int, bytes]) -> Iterator[list[StoredRow]]:
        known = {entry.id: entry for entry in self.snapshot.numbered(articles)}
        batch: list[StoredRow] = []
        for entry in self.snapshot.entries(articles):
            article = known[entry.article]
            batch.append(
                StoredRow(
                    entry.row, entry.row, entry.embedding, article.path, article.source, article.record,
                    digests.get(article.file, b""), article.title, dict(article.metadata), entry.language, entry.passage,
                )
            )  # fmt: skip
            self._cache.keep([entry.row], [entry.kept])
            if len(batch) == _AT_ONCE:
                yield batch
                batch = []
        if batch:
            yield batch

    def facets(self) -> Facets:
        """What its articles can be told apart by; reads the metadata of all."""
        return counted((entry.source, entry.metadata) for entry in self.snapshot.every_article(None))

    def files(self) -> list[FileRow]:
        """All files that were indexed, by source."""
        return sorted(self.snapshot.files(), key=lambda file: (file.source, file.path))

    def passages_of(self, file: int) -> list[tuple[str, Passage]]:
        """The passages of a file, in order, each with the record that it is from."""
        articles = sorted(self.snapshot.articles_of([file]), key=lambda entry: _record_order(entry.record))
        return [
            (entry.record, item.passage)
            for entry in articles
            for item in self.snapshot.passages_of(entry.id, 0, entry.n_passages)
        ]

    def file_of(self, passage: int) -> tuple[FileRow, str]:
        """The file that a passage is from, by its ``id``, and the record in it.

        :raises InputError: if it is not there any more.
        """
        place = self.snapshot.place_of(passage)
        for entry in [] if place is None else self.snapshot.numbered([place[0]]):
            file = self.snapshot.file(entry.file)
            if file is None:
                raise IndexCorrupt(f"an article's file is missing in {self.where}: see semsearch check")
            return file, entry.record
        raise self._gone()

    def _gone(self) -> InputError:
        return InputError(f"a later generation of {self.where} does not have this passage any more: search again")

    def sized_articles(self) -> list[SizedArticle]:
        """All articles with the number of their passages, by source."""
        return [SizedArticle(each.id, each.file, each.source + each.record, each.n_passages) for each in self._entries(None)]

    def article_texts(self, numbers: Sequence[int]) -> list[ArticleText]:
        """Articles with all their passages, by the ``id`` of what `sized_articles` gives."""
        known = {entry.id: entry for entry in self.snapshot.numbered(numbers)}
        found = []
        for number in numbers:
            if number not in known:
                raise IndexCorrupt(f"an article is missing in {self.where}: search again")
            entry = known[number]
            texts = tuple(item.passage for item in self.snapshot.passages_of(number, 0, entry.n_passages))
            found.append(ArticleText(entry.source + entry.record, entry.title, entry.metadata, texts))
        return found

    def hashes(self) -> set[bytes]:
        """The `embedding_hash` of every text; reads all that is kept of all passages."""
        return {entry.embedding for chunk in self._chunks(None) for entry in self.snapshot.entries([each.id for each in chunk])}

    def canaries(self) -> tuple[list[str], Matrix]:
        """The texts whose vectors are kept to know the model by, and what it made of them as questions: float32 (n, d)."""
        return canaries_of(self.meta, self.fingerprint.dimension)

    def sample(self, n: int) -> tuple[list[PassageRow], Matrix]:
        """Some passages from all over the index, the same at each call, and their vectors: float32 (len, d)."""
        found = _in_order(self.snapshot.passages(self.snapshot.sample(n)))
        return found, self._vectors.take(np.asarray([item.row for item in found], np.int64))

    def all_passages(self) -> Iterator[PassageRow]:
        """Every passage, by source and place."""
        for articles in self._chunks(None):
            yield from self._passages(articles)

    def known(self, embeddings: Sequence[bytes]) -> Iterator[tuple[list[bytes], Matrix, Codes]]:
        """Those of some texts that have vectors, some at a time: their hashes, vectors float32 (n, d), and codes."""
        for first in range(0, len(embeddings), SEGMENT_ROWS):
            if found := self.snapshot.known(embeddings[first : first + SEGMENT_ROWS]):
                yield together(found)

    def _entries(self, wanted: Among | None) -> list[ArticleEntry]:
        """Articles by their sources."""
        return sorted(self.snapshot.every_article(wanted), key=lambda each: (each.source, each.path, _record_order(each.record)))

    def _chunks(self, allowed: Allowed | None) -> Iterator[list[ArticleEntry]]:
        """The same of those that a filter leaves, some at a time."""
        found = self._entries(None if allowed is None else allowed.articles)
        yield from (found[first : first + _AT_ONCE] for first in range(0, len(found), _AT_ONCE))

    def _passages(self, articles: Sequence[ArticleEntry]) -> list[PassageRow]:
        return [item for entry in articles for item in self.snapshot.passages_of(entry.id, 0, entry.n_passages)]


def _in_order(items: list[PassageRow]) -> list[PassageRow]:
    """By source and place, as a folder's index gives them."""
    return sorted(items, key=lambda item: (item.source, item.path, item.article, item.passage.start, item.passage.paragraph))


def _record_order(record: str) -> tuple[int, str]:
    """Records in the order of their numbers."""
    number = record.removeprefix("#")
    return (int(number), "") if number.isdigit() else (0, record)


def _info(entry: ArticleEntry) -> ArticleInfo:
    source = entry.source + entry.record
    return ArticleInfo(public_id(entry.id, source), entry.title, source, entry.path, dict(entry.metadata), entry.n_passages)
