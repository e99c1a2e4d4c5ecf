"""Reading an index: one generation, as it was when opened."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from semsearch.errors import IndexCorrupt, InputError
from semsearch.protocols import Allowed
from semsearch.records import ArticleInfo, Context, Excerpt, Facets, Passage, StoredPassage, is_address
from semsearch.store import extracts, filtering, segments, words
from semsearch.store.database import (
    closed,
    connect_to_read,
    connect_watched,
    damaged,
    is_there,
    missing,
    one,
    outdated,
    read_meta,
    translated,
)
from semsearch.store.extracts import ArticleText, SizedArticle
from semsearch.store.files import size_of
from semsearch.store.schema import FORMAT
from semsearch.store.segments import SEGMENT_ROWS, Codes
from semsearch.store.tables import (
    PASSAGE,
    FileRow,
    columns_of,
    depth_of,
    file_rows,
    fingerprint_of,
    metadata_of,
    network_of,
    public_id,
    recall_of,
)
from semsearch.store.tables import passage as passage_of
from semsearch.vectors import Vectors

if TYPE_CHECKING:
    from types import ModuleType

    import apsw
    from numpy.typing import NDArray

    from semsearch.filters import Filter
    from semsearch.lexical import Lexical
    from semsearch.protocols import Matrix
    from semsearch.store.exporting import StoredRow

__all__ = ["PassageRow", "Reader"]


# A boilerplate paragraph may stand in every article: what is long is read only of those that are wanted.
_PASSAGES = """
WITH chosen AS (
    SELECT e.row, p.id, row_number() OVER (PARTITION BY e.row ORDER BY f.source, f.path, p.id) AS nth
    FROM embeddings e JOIN passages p ON p.embedding = e.hash
    JOIN articles a ON a.id = p.article JOIN files f ON f.id = a.file
    WHERE e.row IN (SELECT value FROM json_each(?)) {narrowed}
)
SELECT
    c.row, p.id, a.id, f.source, a.record, f.path, a.title, a.metadata,
    p.text, p.headings, p.paragraph, p.line, p.start, p.stop, p.sentences, p.page
FROM chosen c JOIN passages p ON p.id = c.id JOIN articles a ON a.id = p.article JOIN files f ON f.id = a.file
WHERE c.nth <= ? ORDER BY f.source, f.path, p.id
"""
_LISTED = f"""
SELECT e.row, p.id, a.id, f.source, a.record, f.path, a.title, a.metadata, {PASSAGE}
FROM json_each(?) w JOIN passages p ON p.id = w.value JOIN embeddings e ON e.hash = p.embedding
JOIN articles a ON a.id = p.article JOIN files f ON f.id = a.file
ORDER BY w.key
"""
_IDS = """
SELECT p.id, p.article FROM passages p JOIN articles a ON a.id = p.article JOIN files f ON f.id = a.file
ORDER BY f.source, f.path, p.id
"""
_PAIR = [("passage", np.int64), ("article", np.int64)]
_OF_ARTICLES = "AND p.article IN (SELECT value FROM json_each(?))"
_AT_ONCE = 2000
"""Passages that are read at once where all are wanted."""
_EXPORTED = 512
"""Passages that are read at a time to be exported, out of ``_ARTICLES`` articles."""
_ARTICLES = 512
_FETCH_ROWS = 16
"""Rows that are fetched at a time while other threads may read. Few, because the metadata of an article can have megabytes."""
_FILTERS = 8
"""Filters whose results are kept: a server is asked for the same ones again. At a million passages each takes up to 16 MB."""


class PassageRow(NamedTuple):
    """A passage as stored, with what a hit shows of its article.

    ``row`` is that of its vector, ``id`` its own, ``article`` its article's.
    """

    row: int
    id: int
    article: int
    passage: Passage
    source: str
    path: str
    title: str
    metadata: dict[str, Any]

    @property
    def passage_id(self) -> str:
        """The passage's public name."""
        return public_id(self.id, self.source, self.passage.text)

    @property
    def article_id(self) -> str:
        """Its article's public name."""
        return public_id(self.article, self.source)

    def stored(self) -> StoredPassage:
        """The passage under its public name."""
        passage = self.passage
        place = (passage.paragraph, passage.line, passage.start, passage.end, passage.page)
        return StoredPassage(self.passage_id, passage.text, passage.heading, *place)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary; the keys as those of `Hit.to_dict`."""
        passage = self.passage
        return {
            "passage_id": self.passage_id,
            "article_id": self.article_id,
            "source": self.source,
            "title": self.title,
            "heading": passage.heading,
            "paragraph": passage.paragraph,
            "line": passage.line,
            "page": passage.page,
            "start": passage.start,
            "end": passage.end,
            "text": passage.text,
            "metadata": self.metadata,
        }


class Reader:
    """One generation of an index, as it was when opened. Threads may share it; a process that was forked off may not.

    :raises IndexMissing: if there is no index in the folder.
    :raises IndexTooNew: if a later semsearch wrote it.
    :raises IndexCorrupt: if it is damaged, or of an earlier format.
    :raises InputError: if its database is another program's, or cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta: dict[str, str] = {}
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._closed = False
        self._vectors: Vectors | None = None
        self._lexical: Lexical | None = None
        self._allowed: dict[Filter, Allowed] = {}
        if not is_there(folder):
            raise missing(folder)
        # The working directory may change while the index is open.
        self.home = folder.resolve()
        with translated(folder):
            while not self._open():
                pass

    def _open(self) -> bool:
        """Open the database, take hold of the files; False if a writer took them away in between, for the next generation's."""
        self._database, self._unlocked = connect_watched(self.home)
        held: list[segments.HeldSegment] = []
        try:
            self.meta = read_meta(self._database, self.folder)
            if not self.meta:
                raise missing(self.folder)
            if int(self.meta["format"]) < FORMAT:
                raise outdated(self.folder)
            self.fingerprint = fingerprint_of(self.meta, self.folder)
            # All now, for they may be gone later; what is held stays.
            held = segments.hold(self._database, self.home)
            self._held_words = words.hold(self._database, self.home)
            self._held_segments = held
        except BaseException as error:
            for segment in held:
                segment.close()
            self._database.close()
            if isinstance(error, IndexCorrupt) and self.superseded():
                return False
            raise
        return True

    @contextmanager
    def pinned(self) -> Iterator[Reader]:
        """What several reads of one generation are made of: the reader itself, which has no other."""
        yield self

    def reopened(self) -> Reader:
        """A reader of the newest generation."""
        return Reader(self.home)

    @contextmanager
    def apart(self) -> Iterator[Reader]:
        """The newest generation by a reader of its own, so that nobody who searches waits for what is read."""
        self.ready()
        with closing(Reader(self.home)) as reader:
            yield reader

    def search_kind(self) -> dict[str, Any]:
        """How vectors are searched, as `Index.status` tells it."""
        recall = recall_of(self.meta)
        if recall is None or recall.depth is None:
            return {"kind": "exact"}
        return {
            "kind": "approximate",
            "target_recall": recall.target,
            "measured_recall": recall.recall,
            "of_nearest": recall.k,
            "queries": recall.n_queries,
            "vectors": recall.n_rows,
            "rescored": recall.depth,
        }

    @property
    def where(self) -> str:
        """Where the index is, whatever the working directory."""
        return str(self.home)

    def network(self) -> bytes:
        """The network in 8 bits that the passages were encoded with; empty where there is none."""
        return network_of(self.home)

    def superseded(self) -> bool:
        """Whether there is a later generation by now."""
        with translated(self.folder), closing(connect_to_read(self.home)) as database:
            return read_meta(database, self.folder).get("generation") != self.meta.get("generation")

    def close(self) -> None:
        """Close every handle; no reading afterwards."""
        if os.getpid() != self._process:
            # What the parent has open is the parent's to close.
            return
        with self._lock:
            self._closed = True
            self._vectors = self._lexical = None
            for segment in self._held_segments:
                segment.close()
            self._held_words.close()
            self._database.close()

    def ready(self) -> None:
        """Refuse what was closed.

        :raises InputError: if the reader was closed.
        """
        if self._closed:
            raise closed(self.folder)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, translated(self.folder):
            self.ready()
            yield
            if self._unlocked is not None:
                self._unlocked.check(self.folder)

    def check_process(self) -> None:
        """Refuse a process that was forked off: neither SQLite nor the engines of the model outlive it.

        :raises InputError: if this is not the process that opened the index.
        """
        if os.getpid() != self._process:
            raise InputError(
                f"the index {self.folder} was opened before this process was forked off: open it again in each process"
            )

    def vectors(self) -> Vectors:
        """The vectors, opened with the first use.

        :raises IndexCorrupt: if a segment is not the one that was written.
        :raises InputError: if the reader was closed.
        """
        self.check_process()
        with self._reading():
            if self._vectors is None:
                dimension = self.fingerprint.dimension
                opened = [held.open(self._database, dimension) for held in self._held_segments]
                self._vectors = Vectors(opened, dimension, depth_of(self.meta))
                for held in self._held_segments:
                    held.close()
            return self._vectors

    def lexical(self) -> Lexical:
        """The lexical side, opened with the first use.

        :raises IndexCorrupt: if it is not what was written.
        :raises InputError: if the reader was closed.
        """
        self.check_process()
        with self._lock:
            self.ready()
            if self._lexical is None:
                self._lexical = self._held_words.open()
                self._held_words.close()
            return self._lexical

    def counts(self) -> dict[str, int]:
        """How many ``files``, ``articles``, ``passages`` there are, and the ``bytes`` on disk."""
        self.check_process()
        with self._reading():
            tables = ("files", "articles", "passages")
            counted = {table: int(one(self._database, f"SELECT count(*) FROM {table}")) for table in tables}
        return {**counted, "bytes": sum(map(size_of, self.home.iterdir()))}

    def n_articles(self) -> int:
        """How many articles there are."""
        with self._reading():
            return int(one(self._database, "SELECT count(*) FROM articles"))

    def allowed(self, wanted: Filter) -> Allowed:
        """What a filter leaves of the index; kept for the next time.

        :raises InputError: if the reader was closed.
        """
        self.check_process()
        with self._lock:
            self.ready()
            found = self._allowed.pop(wanted, None)
        if found is None:
            # Release the lock so that other searches can read.
            with translated(self.folder):
                found = filtering.find(self._fetch_in_chunks, wanted)
        with self._lock:
            # The one used last stands last.
            self._allowed[wanted] = found
            if len(self._allowed) > _FILTERS:
                del self._allowed[next(iter(self._allowed))]
        return found

    def _fetch_in_chunks(self, statement: str, parameters: tuple[str, ...]) -> Iterator[Any]:
        """Yield the rows of a statement, with the lock held only while some of them are fetched."""
        with self._reading():
            cursor = self._database.execute(statement, parameters)
        while True:
            with self._reading():
                rows = list(islice(cursor, _FETCH_ROWS))
            if not rows:
                return
            yield from rows

    def passages(self, rows: Sequence[int], limit: int, *, allowed: Allowed | None = None) -> list[PassageRow]:
        """The passages that have these rows as their vectors, by source and place; several may share a row.

        :param limit: how many of each row, at most.
        :param allowed: what a filter leaves: passages of other articles do not come back. None for all.
        """
        self.check_process()
        with self._reading():
            given: list[Any] = [json.dumps(list(rows)), limit]
            if allowed is not None:
                given.insert(1, json.dumps(filtering.among(self._database, rows, allowed.articles)))
            statement = _PASSAGES.format(narrowed="" if allowed is None else _OF_ARTICLES)
            try:
                return [self._passage_row(*row) for row in self._database.execute(statement, given)]
            except (ValueError, TypeError) as error:
                raise damaged(self.folder, "a passage cannot be read") from error

    def passage_ids(self, *, allowed: Allowed | None = None) -> NDArray[np.int64]:
        """The ``id`` of each passage, by source and place: int64 (n,).

        :param allowed: what a filter leaves: only passages of its articles. None for all.
        """
        self.check_process()
        with self._reading():
            pairs = np.fromiter(self._database.execute(_IDS), _PAIR)
        ids: NDArray[np.int64] = pairs["passage"]
        return ids if allowed is None else ids[np.isin(pairs["article"], allowed.articles)]

    def listed(self, ids: NDArray[np.int64]) -> list[PassageRow]:
        """The passages that have these ``id``, in the order given."""
        self.check_process()
        with self._reading():
            try:
                found = [self._passage_row(*row) for row in self._database.execute(_LISTED, (json.dumps(ids.tolist()),))]
            except (ValueError, TypeError) as error:
                raise damaged(self.folder, "a passage cannot be read") from error
        if len(found) != len(ids):
            raise damaged(self.folder, "a passage is missing")
        return found

    def records(self, *, allowed: Allowed | None = None, vectors: bool = False) -> Iterator[list[dict[str, Any]]]:
        """All passages as `PassageRow.to_dict` has them, by source and place, some at a time.

        :param allowed: what a filter leaves: only passages of its articles. None for all.
        :param vectors: whether each has its ``vector``, too: float32 (d,).
        """
        ids = self.passage_ids(allowed=allowed)
        for first in range(0, len(ids), _AT_ONCE):
            items = self.listed(ids[first : first + _AT_ONCE])
            found = [item.to_dict() for item in items]
            if vectors:
                taken = self.vectors().take(np.asarray([item.row for item in items], np.int64))
                found = [{**record, "vector": vector} for record, vector in zip(found, taken, strict=True)]
            yield found

    def metadata_keys(self, limit: int) -> list[str]:
        """The keys that the metadata of articles have, in alphabetical order; the first of them where there are more."""
        statement = "SELECT DISTINCT m.key FROM articles a, json_each(a.metadata) m ORDER BY m.key LIMIT ?"
        self.check_process()
        with self._reading():
            return [str(key) for (key,) in self._database.execute(statement, (limit,))]

    def around(self, passage: int, before: int, after: int) -> Context:
        """A passage with its neighbours in the article.

        :param passage: its ``id``.
        """
        self.check_process()
        with self._reading():
            execute = self._database.execute
            found = execute(f"SELECT article, {PASSAGE} FROM passages WHERE id = ?", (passage,)).fetchone()
            if found is None:
                raise damaged(self.folder, "a passage is missing")
            place = (found[0], passage)
            left = f"SELECT {PASSAGE} FROM passages WHERE article = ? AND id < ? ORDER BY id DESC LIMIT ?"
            right = f"SELECT {PASSAGE} FROM passages WHERE article = ? AND id > ? ORDER BY id LIMIT ?"
            earlier = [passage_of(*row) for row in execute(left, (*place, before))]
            later = [passage_of(*row) for row in execute(right, (*place, after))]
            return Context(tuple(reversed(earlier)), passage_of(*found[1:]), tuple(later))

    def article(self, article_id: str, first: int, limit: int) -> Excerpt:
        """Passages of an article, from a place on, counted from 0.

        :raises InputError: if there is no such article.
        """
        with self._browsing() as (browsing, database):
            return self._located(browsing.article(database, article_id, first, limit))

    def excerpt(self, passage_id: str, before: int, after: int) -> Excerpt:
        """A passage with its neighbours.

        :raises InputError: if there is no such passage.
        """
        with self._browsing() as (browsing, database):
            return self._located(browsing.around(database, passage_id, before, after))

    def articles(self, first: int, limit: int, *, allowed: Allowed | None = None) -> list[ArticleInfo]:
        """Articles by their sources, from a place on, counted from 0; of those that a filter leaves."""
        with self._browsing() as (browsing, database):
            found = browsing.articles(database, first, limit, None if allowed is None else allowed.articles)
            return [replace(info, path=self._real(info.path)) for info in found]

    def exported(self, allowed: Allowed | None = None) -> tuple[int, int, Iterator[list[StoredRow]]]:
        """How many articles and passages a filter leaves, and these passages in the order in which they were added.

        Some at a time, so that nobody who searches waits for all.
        """
        # Not at the top: a search does without.
        from semsearch.store import exporting

        with self._browsing() as (_, database):
            articles = exporting.article_ids(database) if allowed is None else allowed.articles.tolist()
            chunks = [articles[first : first + _ARTICLES] for first in range(0, len(articles), _ARTICLES)]
            count = sum(exporting.n_passages(database, chunk) for chunk in chunks)

        def rows() -> Iterator[list[StoredRow]]:
            for chunk in chunks:
                after = 0
                while True:
                    with self._browsing() as (_, database):
                        found = exporting.stored_rows(database, chunk, after, _EXPORTED)
                    if found:
                        yield found
                    if len(found) < _EXPORTED:
                        break
                    after = found[-1].id

        return len(articles), count, rows()

    def facets(self) -> Facets:
        """What its articles can be told apart by; reads the metadata of all."""
        with self._browsing() as (browsing, database):
            found: Facets = browsing.facets(database)
            return found

    @contextmanager
    def _browsing(self) -> Iterator[tuple[ModuleType, apsw.Connection]]:
        # Not at the top: a search does without.
        from semsearch.store import browsing

        self.check_process()
        with self._reading():
            try:
                yield browsing, self._database
            except InputError:
                raise
            except (ValueError, TypeError) as error:
                raise damaged(self.folder, "an article cannot be read") from error

    def _located(self, found: Excerpt) -> Excerpt:
        return replace(found, article=replace(found.article, path=self._real(found.article.path)))

    def files(self) -> list[FileRow]:
        """All files that were indexed, by source; their paths are absolute."""
        self.check_process()
        with self._reading():
            found = [file._replace(path=self._real(file.path)) for file in file_rows(self._database)]
        return sorted(found, key=lambda file: (file.source, file.path))

    def passages_of(self, file: int) -> list[tuple[str, Passage]]:
        """The passages of a file, in order, each with the record that it is from: "" or ``#LINE``."""
        with self._reading():
            statement = (
                f"SELECT a.record, {PASSAGE} FROM articles a JOIN passages p ON p.article = a.id WHERE a.file = ? ORDER BY p.id"
            )
            return [(record, passage_of(*row)) for record, *row in self._database.execute(statement, (file,))]

    def sized_articles(self) -> list[SizedArticle]:
        """All articles with the number of their passages, by source."""
        self.check_process()
        with self._reading():
            return extracts.sizes(self._database)

    def article_texts(self, numbers: Sequence[int]) -> list[ArticleText]:
        """Articles with all their passages, by the ``id`` of what `sized_articles` gives."""
        self.check_process()
        with self._reading():
            try:
                return list(extracts.articles_of(self._database, numbers))
            except (ValueError, TypeError) as error:
                raise damaged(self.folder, "an article cannot be read") from error

    def hashes(self) -> set[bytes]:
        """The `embedding_hash` of every text: two indexes that have the same say the same, whatever their models."""
        self.check_process()
        with self._reading():
            return {embedding for (embedding,) in self._database.execute("SELECT hash FROM embeddings")}

    def known(self, embeddings: Sequence[bytes]) -> Iterator[tuple[list[bytes], Matrix, Codes]]:
        """Those of some texts that have vectors, some at a time: their `embedding_hash`, vectors float32 (n, d), and codes."""
        self.check_process()
        with self._reading():
            rows = extracts.rows_of(self._database, embeddings)
        # In the order of their rows, which is how they lie in the files.
        hashes = sorted(rows, key=lambda embedding: rows[embedding])
        vectors = self.vectors()
        for first in range(0, len(hashes), SEGMENT_ROWS):
            chunk = hashes[first : first + SEGMENT_ROWS]
            numbers = np.asarray([rows[embedding] for embedding in chunk], np.int64)
            yield chunk, vectors.take(numbers), Codes(vectors.words(numbers), list(map(vectors.sentences, numbers.tolist())))

    def all_passages(self) -> Iterator[PassageRow]:
        """Every passage, by its row; several may share one, and none is left out."""
        for segment in self.vectors().segments:
            end = segment.first_row + segment.n_rows
            for first in range(segment.first_row, end, _AT_ONCE):
                yield from self.passages(range(first, min(first + _AT_ONCE, end)), 2**31)

    def file_of(self, passage: int) -> tuple[FileRow, str]:
        """The file that a passage is from, by its ``id``, and the record in it."""
        self.check_process()
        with self._reading():
            row = self._database.execute(
                "SELECT f.id, f.path, f.source, f.sha256, f.columns, a.record FROM passages p JOIN articles a ON a.id = p.article"
                " JOIN files f ON f.id = a.file WHERE p.id = ?",
                (passage,),
            ).fetchone()
        if row is None:
            raise damaged(self.folder, "a passage is missing")
        number, path, source, digest, columns, record = row
        return FileRow(number, self._real(path), source, digest, [], columns_of(columns)), record

    def canaries(self) -> tuple[list[str], Matrix]:
        """The texts whose vectors are kept to know the model by, and what it made of them as questions: float32 (n, d)."""
        with self._reading():
            rows = self._database.execute("SELECT text, vector FROM canaries ORDER BY text").fetchall()
        if any(len(vector) != 4 * self.fingerprint.dimension for _, vector in rows):
            raise damaged(self.folder, "the vectors that tell the model are not those of its dimension")
        vectors = [np.frombuffer(vector, "<f4") for _, vector in rows]
        return [text for text, _ in rows], np.asarray(vectors, np.float32)

    def sample(self, n: int) -> tuple[list[PassageRow], Matrix]:
        """Some passages from all over the index, the same at each call, and their vectors: float32 (len, d)."""
        with self._reading():
            count = int(one(self._database, "SELECT count(*) FROM embeddings"))
            statement = "SELECT row FROM embeddings ORDER BY row LIMIT 1 OFFSET ?"
            places = [place * count // min(n, count) for place in range(min(n, count))]
            rows = [int(one(self._database, statement, (place,))) for place in places]
        found = self.passages(sorted(set(rows)), 1)
        return found, self.vectors().take(np.asarray([item.row for item in found], np.int64))

    def segment_of(self, row: int) -> str:
        """The name of the segment that has a row."""
        return next(segment.name for segment in self.vectors().segments if 0 <= row - segment.first_row < segment.n_rows)

    def _real(self, path: str) -> str:
        return path if is_address(path) else os.path.normpath(os.path.join(self.home.parent, path))

    def _passage_row(
        self, row: int, number: int, article: int, source: str, record: str, path: str, title: str, metadata: str, *passage: Any
    ) -> PassageRow:
        return PassageRow(
            row, number, article, passage_of(*passage), source + record, self._real(path), title, metadata_of(metadata)
        )
