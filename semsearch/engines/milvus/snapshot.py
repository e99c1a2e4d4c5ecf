"""One generation of an index in Milvus, as it is read.

Deliberately not here: writing; how conditions and bodies look (`conditions`, `entities`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from semsearch.engines.milvus import entities
from semsearch.engines.milvus.client import WINDOW, Client
from semsearch.engines.milvus.conditions import condition_of, is_of_articles
from semsearch.engines.milvus.entities import ARTICLE, CODES, FILE, KEY, PASSAGE, SLOTS, VALUE, number_of, token
from semsearch.engines.milvus.record import Record, named
from semsearch.engines.milvus.scoring import scores, tokens_of
from semsearch.engines.numbers import MOST, key_id
from semsearch.engines.seam import Among, ArticleEntry, Asked, Field, Kept, PassageEntry, Terms, Value
from semsearch.errors import IndexCorrupt
from semsearch.protocols import Found
from semsearch.store import FileRow, PassageRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semsearch.engines.seam import Rows
    from semsearch.protocols import Matrix

__all__ = ["Cache", "MilvusSnapshot"]

T = TypeVar("T")
_EF = 128
"""Candidates that a search in a graph keeps at least."""
_SPARE_NEAR = 20
"""With twice as many candidates as wanted and this many more, divided by the share of the passages that may come back, recall was
0.993 at least in a graph of 20,000, with shares from a half down to a thousandth (``benchmarks/milvus.py recall``); as it comes,
0.25 of the best came back of a thousandth."""
_MOST_EF = 50_000
_COMPARED = 200
"""Passages that are compared one by one where a condition leaves no more: 300 kB of vectors of 384 numbers."""
_SPARE = 50
"""Candidates beyond twice those wanted that Milvus' BM25 is asked for, since it counts what is gone, too."""
_MOST_TEXTS = 4096
"""Terms of passages that a snapshot remembers."""
_QUERIES = 32
"""That are asked at once, so that a call does not take too long."""
_AT_ONCE = 500
"""Articles or passages that are read at once."""
_ENTERED = 50
"""Articles whose passages are read at once."""
_MOST_FACTS = 200_000
_MOST_LISTED = 1_000_000
_RECORD = ("number", "parent", "piece", "pieces", "born", "gone", "body")


class Cache:
    """What was once read of a generation and costs much to read again. Threads may share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._draft = 0
        self._facts: dict[Any, Any] = {}

    def of(self, draft: int, wanted: Sequence[Any]) -> dict[Any, Any]:
        """What is known of some things."""
        with self._lock:
            return {each: self._facts[each] for each in wanted if each in self._facts} if draft == self._draft else {}

    def put(self, draft: int, facts: Mapping[Any, Any]) -> None:
        """Remember some things; what was known of another generation is forgotten."""
        with self._lock:
            if draft != self._draft or len(self._facts) > _MOST_FACTS:
                self._facts = {}
            self._draft = draft
            self._facts.update(facts)


class MilvusSnapshot:
    """`seam.Snapshot` of a record; of None, nothing is in it."""

    def __init__(self, client: Client, collection: str, record: Record | None, cache: Cache, ef: int) -> None:
        self._client, self._record, self._cache, self._ef = client, record, cache, ef or _EF
        self._names = named(collection, record.edition if record else "")
        self._texts: dict[int, str] = {}

    @property
    def meta(self) -> Mapping[str, str]:
        """Facts on the index."""
        return self._record.meta if self._record else {}

    def _seen(self, condition: str = "") -> str:
        assert self._record
        return f"{self._record.visible} and {condition}" if condition else self._record.visible

    def _passages(self, rows: Sequence[int], fields: Sequence[str]) -> dict[int, dict[str, Any]]:
        """Fields of those of some passages that there are. The first version of a passage has its row for a key: that is fast."""
        if not self._record or not len(rows):
            return {}
        client, name, at = self._client, self._names["passages"], self._record.at
        wanted = list(dict.fromkeys(int(row) for row in rows))
        got = client.one_of(name, "id", wanted, [*fields, "row", "born", "gone"], at)
        found = {int(each["row"]): each for each in got if self._record.sees(each)}
        if rest := [row for row in wanted if row not in found]:
            got = client.one_of(name, "row", rest, [*fields, "row"], at, self._record.visible)
            found |= {int(each["row"]): each for each in got}
        return found

    def _bodies(self, kind: int, numbers: Iterable[int]) -> dict[int, str]:
        """The bodies of those of some records that there are."""
        wanted = list(dict.fromkeys(numbers))
        if not self._record or not wanted:
            return {}
        client, name, at = self._client, self._names["records"], self._record.at
        got = client.one_of(name, "id", [number_of(kind, number, 0, 0) for number in wanted], _RECORD, at)
        found = {int(each["number"]): str(each["body"]) for each in got if self._record.sees(each) and each["pieces"] == 1}
        if rest := [number for number in wanted if number not in found]:
            got = client.one_of(name, "number", rest, _RECORD, at, self._seen(f"kind == {kind}"))
            found |= _whole(got)
        return found

    def _records(self, kind: int, condition: str = "") -> Iterator[tuple[int, str]]:
        """Numbers and bodies of all records of a kind that meet a condition, in any order."""
        if not self._record:
            return
        more = f"kind == {kind} and {condition}" if condition else f"kind == {kind}"
        pieces: dict[int, list[dict[str, Any]]] = {}
        for each in self._client.pages(self._names["records"], self._seen(more), _RECORD, self._record.at):
            number = int(each["number"])
            if each["pieces"] == 1:
                yield number, str(each["body"])
                continue
            pieces.setdefault(number, []).append(each)
            if len(pieces[number]) == each["pieces"]:
                yield number, entities.body_of(pieces.pop(number)) or ""

    def nearest(self, queries: Matrix, k: int, among: Among | None) -> list[Found]:
        """The k passages nearest to each query by cosine."""
        if not self._record or not k or not self._record.counts.passages:
            return [_found([], []) for _ in queries]
        given, found = np.asarray(queries, np.float32), []
        if among is not None and self._n_among(among) <= _COMPARED:
            return self._compared(given, k, among)
        for first in range(0, len(given), _QUERIES):
            some = list(given[first : first + _QUERIES])
            hits = self._search("vector", some, k, condition_of(among), ["row"], {"ef": self._wide(k, among)})
            found += [_found([hit["row"] for _, hit in some], [score for score, _ in some]) for some in hits]
        return found

    def _compared(self, queries: Matrix, k: int, among: Among) -> list[Found]:
        """As `nearest`, by comparing all: of passages that say the same, a graph may lose those that are no neighbours."""
        assert self._record
        condition = self._seen(condition_of(among))
        name, at = self._names["passages"], self._record.at
        got = self._client.query(name, condition, ["row", "vector"], at) if self._n_among(among) else []
        rows = np.asarray([int(each["row"]) for each in got], np.int64)
        vectors = np.asarray([each["vector"] for each in got], np.float32).reshape(len(got), queries.shape[1])
        # Half precision leaves them about as long as 1.
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        found = []
        for cosines in queries @ vectors.T:
            order = np.lexsort((rows, -cosines))[:k]
            found.append(Found(rows[order], cosines[order]))
        return found

    def _search(
        self, field: str, queries: Sequence[Any], k: int, condition: str, fields: Sequence[str], options: Mapping[str, Any]
    ) -> list[list[tuple[float, dict[str, Any]]]]:
        """The k nearest passages of this generation to each query: score and fields.

        Where all that is there is of this generation, that need not be asked of each passage; should a draft have begun to write
        meanwhile, it is seen by what comes back.
        """
        assert self._record
        name, at = self._names["passages"], self._record.at
        if not self._record.stale:
            found = self._client.search(name, field, queries, k, condition, [*fields, "born", "gone"], at, options)
            if all(self._record.sees(entity) for hits in found for _, entity in hits):
                return found
        return self._client.search(name, field, queries, k, self._seen(condition), fields, at, options)

    def _wide(self, k: int, among: Among | None) -> int:
        """How many candidates a search in the graph keeps: the more, the fewer passages may come back."""
        assert self._record
        n = self._record.counts.passages
        share = 1.0 if among is None else self._n_among(among) / n
        return max(self._ef, min(int((2 * k + _SPARE_NEAR) / share), n, _MOST_EF), min(k, WINDOW))

    def matching(self, field: Field, asked: Sequence[Asked], k: int, among: Among | None) -> Found:
        """The k passages with the greatest BM25 score: what Milvus' own finds, scored by the formula."""
        said = " ".join(token(way) for word in asked for way in word.ways for _ in range(word.times))
        if not self._record or not said or not k or not self._record.counts.passages:
            return _found([], [])
        (got,) = self._search(f"{field}_bm25", [said], 2 * k + _SPARE, condition_of(among), ["row", "whole"], {})
        found = {int(hit["row"]): str(hit["whole"]) for _, hit in got}
        self._remember(found)
        rows = np.asarray(list(found), np.int64)
        scored = self._scores(field, asked, list(found.values()))
        order = np.lexsort((rows, -scored))[:k]
        order = order[scored[order] > 0]
        return Found(rows[order], scored[order])

    def matched(self, field: Field, asked: Sequence[Asked], rows: Rows) -> NDArray[np.float32]:
        """The BM25 scores of some passages."""
        if missing := [row for row in rows.tolist() if row not in self._texts]:
            self._remember({row: str(each["whole"]) for row, each in self._passages(missing, ["whole"]).items()})
        # Of a passage that is not there, no words are.
        return self._scores(field, asked, [self._texts.get(row, "      ") for row in rows.tolist()])

    def _remember(self, texts: Mapping[int, str]) -> None:
        if len(self._texts) + len(texts) > _MOST_TEXTS:
            self._texts = {}
        self._texts.update(texts)

    def _scores(self, field: Field, asked: Sequence[Asked], wholes: Sequence[str]) -> NDArray[np.float32]:
        if not self._record or not wholes:
            return np.zeros(len(wholes), np.float32)
        words = [Asked(word.times, tuple(map(token, word.ways))) for word in asked]
        known = self._frequencies(field, [way for word in words for way in word.ways])
        return scores(words, [tokens_of(field, whole) for whole in wholes], known, self._record.counts, field)

    def frequencies(self, field: Field, terms: Sequence[str]) -> list[int]:
        """In how many passages each term is."""
        known = self._frequencies(field, [token(term) for term in terms])
        return [known[token(term)] for term in terms]

    def _frequencies(self, field: Field, words: Sequence[str]) -> dict[str, int]:
        if not self._record:
            return dict.fromkeys(words, 0)
        draft = self._record.draft
        known = {word: n for (_, word), n in self._cache.of(draft, [(field, word) for word in words]).items()}
        if rest := [word for word in dict.fromkeys(words) if word not in known]:
            keys = {entities.term_number(field, word, slot): word for word in rest for slot in range(SLOTS)}
            got = self._client.one_of(self._names["terms"], "id", keys, ["id", "born", "n"], self._record.at)
            read = dict.fromkeys(rest, 0) | _newest(((keys[each["id"]], each) for each in got), draft)
            self._cache.put(draft, {(field, word): n for word, n in read.items()})
            known |= read
        return known

    def is_any(self, among: Among) -> bool:
        """Whether there is any such passage."""
        return bool(self._record) and self._n_among(among) > 0

    def _n_among(self, among: Among) -> int:
        """How many such passages there are, counted once for each generation."""
        assert self._record
        condition, at = self._seen(condition_of(among)), self._record.at
        return self._remembered(
            ("among", number_of(condition)), lambda: self._client.count(self._names["passages"], condition, at)
        )

    def n_articles(self, among: Among) -> int:
        """How many articles have such passages."""
        if not self._record:
            return 0
        if not is_of_articles(among):
            return len(self._articles_among(among))
        # All passages of an article or none: its first speaks for it.
        return self._client.count(self._names["passages"], self._seen(f"place == 0 and {condition_of(among)}"), self._record.at)

    def _articles_among(self, among: Among) -> set[int]:
        assert self._record
        condition = condition_of(among)
        if is_of_articles(among):
            condition = f"place == 0 and {condition}"
        found = self._client.pages(self._names["passages"], self._seen(condition), ["article"], self._record.at)
        return {int(each["article"]) for each in found}

    def kept(self, rows: Rows) -> list[Kept]:
        """What is kept of passages.

        :raises IndexCorrupt: if one is not there.
        """
        wanted = rows.tolist()
        vectors, codes = self._passages(wanted, ["vector"]), self._bodies(CODES, wanted)
        try:
            return [entities.kept_of(vectors[row]["vector"], codes[row]) for row in wanted]
        except (KeyError, ValueError) as error:
            raise IndexCorrupt("a passage is not in the index any more: search again") from error

    def known(self, embeddings: Sequence[bytes]) -> dict[bytes, Kept]:
        """What is kept of those of some texts that any passage has."""
        if not self._record:
            return {}
        keys = {entities.known_as(embedding) for embedding in embeddings}
        got = self._client.one_of(
            self._names["passages"], "embedding", sorted(keys), ["row", "embedding"], self._record.at, self._record.visible
        )
        rows = list({each["embedding"]: int(each["row"]) for each in got}.values())
        said = {row: entities.passage_of(body)[2] for row, body in self._bodies(PASSAGE, rows).items()}
        wanted = [(said[row], row) for row in rows if said.get(row) in set(embeddings)]
        kept = self.kept(np.asarray([row for _, row in wanted], np.int64))
        return {embedding: each for (embedding, _), each in zip(wanted, kept, strict=True)}

    def passages(self, rows: Sequence[int]) -> list[PassageRow]:
        """Those of the passages that there are."""
        return self._rows({row: entities.passage_of(body) for row, body in self._bodies(PASSAGE, rows).items()})

    def _rows(self, said: Mapping[int, tuple[int, int, bytes, Any]]) -> list[PassageRow]:
        bodies = self._bodies(ARTICLE, (article for article, *_ in said.values()))
        articles = {number: entities.article_of(number, body) for number, body in bodies.items()}
        rows = []
        for row, (number, _, _, passage) in said.items():
            if article := articles.get(number):
                source = article.source + article.record
                rows.append(PassageRow(row, row, number, passage, source, article.path, article.title, dict(article.metadata)))
        return rows

    def place_of(self, row: int) -> tuple[int, int] | None:
        """The article of a passage, and its place there."""
        found = self._passages([row], ["article", "place"]).get(row)
        return None if found is None else (int(found["article"]), int(found["place"]))

    def _in(self, article: int) -> list[tuple[int, tuple[int, int, bytes, Any]]]:
        found = [(row, entities.passage_of(body)) for row, body in self._records(PASSAGE, f"parent == {int(article)}")]
        return sorted(found, key=lambda each: each[1][1])

    def passages_of(self, article: int, first: int, limit: int) -> list[PassageRow]:
        """Passages of an article from a place on."""
        return self._rows(dict(self._in(article)[first : first + limit]))

    def numbered(self, articles: Sequence[int]) -> list[ArticleEntry]:
        """Those of the articles that there are."""
        return [entities.article_of(*each) for each in self._bodies(ARTICLE, articles).items()]

    def articles(self, first: int, limit: int, among: Among | None) -> list[ArticleEntry]:
        """Articles by source and record, from a place on. All are put in order once for each generation."""
        if not self._record:
            return []
        numbers = self._remembered("articles", self._in_order)
        if among is not None:
            kept = self._articles_among(among)
            numbers = [number for number in numbers if number in kept]
        chosen = numbers[first : first + limit]
        bodies = self._bodies(ARTICLE, chosen)
        return [entities.article_of(number, bodies[number]) for number in chosen if number in bodies]

    def _in_order(self) -> list[int]:
        assert self._record
        condition = self._seen(f"kind == {ARTICLE} and piece == 0")
        found = self._client.pages(self._names["records"], condition, ["number", "sorted"], self._record.at)
        return [number for _, number in sorted((str(each["sorted"]), int(each["number"])) for each in found)]

    def _remembered(self, what: object, read: Callable[[], T]) -> T:
        assert self._record
        known = self._cache.of(self._record.draft, [what])
        if what not in known:
            known = {what: read()}
            # Values of a key that nearly every article has another of, of millions, would fill the memory.
            if not isinstance(known[what], list) or len(known[what]) <= _MOST_LISTED:
                self._cache.put(self._record.draft, known)
        found: T = known[what]
        return found

    def every_article(self, among: Among | None) -> Iterator[ArticleEntry]:
        """All articles that have such passages, in any order, some at a time."""
        if not self._record or among is None:
            yield from (entities.article_of(*each) for each in self._records(ARTICLE))
            return
        numbers = iter(self._articles_among(among))
        while some := list(islice(numbers, _AT_ONCE)):
            yield from (entities.article_of(*each) for each in self._bodies(ARTICLE, some).items())

    def articles_of(self, files: Sequence[int]) -> list[ArticleEntry]:
        """The articles of some files."""
        found = []
        for place in range(0, len(files), _AT_ONCE):
            some = [int(file) for file in files[place : place + _AT_ONCE]]
            found += [entities.article_of(*each) for each in self._records(ARTICLE, f"parent in {some}")]
        return found

    def files(self) -> Iterator[FileRow]:
        """All files."""
        return (entities.file_of(number, body) for number, body in self._records(FILE))

    def file(self, file: int) -> FileRow | None:
        """A file."""
        body = self._bodies(FILE, [file]).get(file)
        return None if body is None else entities.file_of(file, body)

    def values(self, key: str) -> list[Value]:
        """What articles have, or had, under a key."""
        if not self._record:
            return []
        number = key_id(key)
        return self._remembered(
            ("values", number), lambda: [entities.value_of(*each) for each in self._records(VALUE, f"parent == {number}")]
        )

    def keys(self) -> list[str]:
        """Keys that articles have, or had."""
        return sorted(body for _, body in self._records(KEY))

    def entries(self, articles: Sequence[int]) -> Iterator[PassageEntry]:
        """All passages of some articles; without language and terms."""
        for first in range(0, len(articles), _ENTERED):
            some = [int(article) for article in articles[first : first + _ENTERED]]
            order = {article: place for place, article in enumerate(some)}
            told = ((row, *entities.passage_of(body)) for row, body in self._records(PASSAGE, f"parent in {some}"))
            said = sorted(told, key=lambda each: (order[each[1]], each[2]))
            for start in range(0, len(said), _AT_ONCE):
                part = said[start : start + _AT_ONCE]
                kept = self.kept(np.asarray([row for row, *_ in part], np.int64))
                for (row, article, place, embedding, passage), each in zip(part, kept, strict=True):
                    yield PassageEntry(row, article, place, passage, embedding, "", Terms("", "", ""), each)

    def sample(self, n: int) -> list[int]:
        """Those of the least rows, which are drawn from what passages say, so from all over the index."""
        if not self._record or not n:
            return []
        share = 1.5 * n / max(1, self._record.counts.passages)
        while True:
            condition = self._seen(f"row <= {min(MOST, int(share * MOST))}")
            found = self._client.pages(self._names["passages"], condition, ["row"], self._record.at)
            rows = sorted(int(each["row"]) for each in found)
            if len(rows) >= n or share >= 1:
                return rows[:n]
            share *= 2

    def n_bytes(self) -> int:
        """Milvus does not tell."""
        return 0


def _found(rows: Sequence[Any], told: Sequence[float]) -> Found:
    """In order: rows that are equally near by their number."""
    numbers, values = np.asarray(rows, np.int64), np.asarray(told, np.float32)
    order = np.lexsort((numbers, -values))
    return Found(numbers[order], values[order])


def _whole(pieces: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    by_number: dict[int, list[Mapping[str, Any]]] = {}
    for piece in pieces:
        by_number.setdefault(int(piece["number"]), []).append(piece)
    bodies = ((number, entities.body_of(some)) for number, some in by_number.items())
    return {number: body for number, body in bodies if body is not None}


def _newest(counted: Iterable[tuple[str, Mapping[str, Any]]], draft: int) -> dict[str, int]:
    """Of each word the count as of a draft. Of one that was counted twice since, the older: near enough for readers that late."""
    slots: dict[str, list[tuple[int, int]]] = {}
    for word, entity in counted:
        slots.setdefault(word, []).append((int(entity["born"]), int(entity["n"])))
    found = {}
    for word, some in slots.items():
        until = [each for each in some if each[0] <= draft]
        if until or len(some) == SLOTS:
            found[word] = max(until)[1] if until else min(some)[1]
    return found
