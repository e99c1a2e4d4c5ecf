"""One generation of an index, read within one transaction of PostgreSQL, which sees nothing of what is committed meanwhile.

Deliberately not here: beginning and ending the transaction (`engine`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from psycopg import sql

from semsearch import signs
from semsearch.engines.postgres import conditions
from semsearch.engines.postgres.address import Address
from semsearch.engines.postgres.coding import halfvec_text, passage_of, storable, stored, vector_of
from semsearch.engines.postgres.conditions import condition
from semsearch.engines.postgres.connections import Connection, translated
from semsearch.engines.postgres.lexical import NONE, Words
from semsearch.engines.postgres.tables import State
from semsearch.engines.seam import ArticleEntry, Every, Having, Kept, Numbered, PassageEntry, Said, Some, Terms, Value
from semsearch.errors import IndexCorrupt, SemsearchError
from semsearch.protocols import Found
from semsearch.records import Problem
from semsearch.store import FileRow, PassageRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semsearch.engines.seam import Among, Asked, Field
    from semsearch.protocols import Matrix

    Rows = NDArray[np.int64]

__all__ = ["EXACT", "FEW", "PostgresSnapshot"]

EXACT = 20_000
"""Passages among which the nearest are found by looking at each: a filter that leaves so many at most, or a small index. Of 7,900
that took half as long as going through the index and leaving nine in ten aside, of 748 a hundredth."""
FEW = 3_000
"""Passages that are fetched to hold a question's against, at most; else the best are looked up until enough may come back."""
_EFFORT = 1000
"""``hnsw.ef_search``, the most that there may be: of 79,058 passages the ten nearest to questions that have nothing to do with
them were 99.5 % found, with 700 98.7 %, with 200 91.3 %; those nearest to questions like them with any of these.
``benchmarks/postgres.py``"""
_VISITED = 100_000
"""Vectors that a filtered search looks at before each of those that are left is looked at instead."""
_BATCH = 64
"""Articles whose passages are fetched at once."""
_CHUNK = 2000
_PASSAGE = "p.text, p.headings, p.paragraph, p.line, p.start, p.stop, p.sentences, p.sentence_spans, p.page"
_ARTICLE = "t.id, t.file, t.path, t.source, t.record, t.title, t.metadata, t.value_ids, t.n_passages, t.languages"
_FILE = "id, path, source, sha256, problems, columns"
_NEAREST = """
SELECT found."row", -(found.vector::{vector} {inner_product} %s::{vector}) FROM (
    SELECT t."row", t.vector FROM {vectors} t WHERE {meets} ORDER BY (t.vector {inner_product} %s::{halfvec}){how} LIMIT %s
) found
"""


class PostgresSnapshot:
    """A `seam.Snapshot`; of an index that was never made, nothing."""

    def __init__(self, connection: Connection, address: Address, state: State | None, meta: Mapping[str, str]) -> None:
        self._connection, self._address, self._state = connection, address, state
        self._meta = dict(meta)
        self._words = Words(self._ask, state) if state else None
        self._bounds: dict[Among, int] = {}

    @property
    def meta(self) -> Mapping[str, str]:
        """Facts on the index."""
        return self._meta

    def _ask(self, statement: str, parameters: Sequence[Any] = (), **parts: sql.Composable) -> list[tuple[Any, ...]]:
        if self._state is None:
            return []
        with translated(self._address), self._connection.cursor(binary=True) as cursor:
            cursor.execute(self._state.tables.sql(statement, **parts), parameters)
            return cursor.fetchall()

    def _number(self, statement: str, parameters: Sequence[Any], **parts: sql.Composable) -> int:
        found = self._ask(statement, parameters, **parts)
        return int(found[0][0]) if found else 0

    @contextmanager
    def _decoding(self) -> Iterator[None]:
        """Turn decoding errors into `IndexCorrupt`: other roles may have written rows.

        :raises IndexCorrupt: if a column does not hold what it should.
        """
        try:
            yield
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
            if isinstance(error, SemsearchError):
                raise
            raise IndexCorrupt(
                f"{self._address.shown} holds rows that semsearch did not write: build the index again with --fresh"
            ) from error

    @property
    def _n_passages(self) -> int:
        return self._state.passages if self._state else 0

    def nearest(self, queries: Matrix, k: int, among: Among | None) -> list[Found]:
        """The k passages nearest to each query, best first.

        All are looked at one by one where they are few; else the index of vectors is gone through, and what does not meet the
        filter is passed over. Where that ends before k are found, it is all of those that are left after all.
        """
        if not self._n_passages or k < 1:
            return [NONE] * len(queries)
        if (self._n_passages if among is None else self._bound(among)) <= EXACT:
            return [self._one_by_one(query, k, among) for query in queries]
        settings = {
            "hnsw.ef_search": str(_EFFORT),
            "hnsw.iterative_scan": "relaxed_order",
            "hnsw.max_scan_tuples": str(_VISITED),
            "hnsw.scan_mem_multiplier": "8",
            "enable_seqscan": "off",
        }
        self._set(settings)
        found = [self._by_index(query, k, among) for query in queries]
        self._set({"enable_seqscan": "on"})
        enough = min(k, self._n_passages) if among is None else k
        return [
            each if len(each.rows) >= enough else self._one_by_one(query, k, among)
            for query, each in zip(queries, found, strict=True)
        ]

    def _set(self, settings: Mapping[str, str]) -> None:
        parameters = [each for pair in settings.items() for each in pair]
        self._ask("SELECT " + ", ".join(["set_config(%s, %s, true)"] * len(settings)), parameters)

    def _one_by_one(self, query: NDArray[np.float32], k: int, among: Among | None) -> Found:
        # What is added keeps the index of vectors out of it.
        return self._nearest(query, k, condition(among, self._tables, "vectors"), " + 0")

    def _by_index(self, query: NDArray[np.float32], k: int, among: Among | None) -> Found:
        return self._nearest(query, k, condition(among, self._tables, "vectors", each=True), "")

    def _nearest(self, query: NDArray[np.float32], k: int, meets: conditions.Condition, how: str) -> Found:
        vector = halfvec_text(query)
        found = self._ask(_NEAREST, [vector, *meets.parameters, vector, k], meets=meets.text, how=sql.SQL(how))
        rows = np.asarray([row for row, _ in found], np.int64)
        scores = np.asarray([score for _, score in found], np.float32)
        order = np.lexsort((rows, -scores))
        return Found(rows[order], scores[order])

    @property
    def _tables(self) -> Any:
        assert self._state is not None
        return self._state.tables

    def _bound(self, among: Among) -> int:
        """How many passages there may be at most, as far as that decides how to look for them."""
        known = self._bounds.get(among)
        if known is None:
            leaves = list(dict.fromkeys(each for each in conditions.havings(among) if each.values))
            some = "SELECT n_passages FROM {articles} WHERE value_ids && %s::bigint[] LIMIT %s"
            one = f"(SELECT sum(n_passages)::bigint FROM ({some}) s)"
            counts: dict[Having, int] = {}
            if leaves:
                parameters = [each for leaf in leaves for each in (list(leaf.values), EXACT + 1)]
                told = self._ask("SELECT " + ", ".join([one] * len(leaves)), parameters)
                counts = {leaf: count or 0 for leaf, count in zip(leaves, told[0], strict=True)} if told else {}
            known = self._bounds[among] = self._most(among, counts)
        return known

    def _most(self, among: Among, counts: Mapping[Having, int]) -> int:
        if isinstance(among, Having):
            return counts.get(among, 0)
        if isinstance(among, Numbered):
            return len(among.rows)
        if isinstance(among, Said):
            terms = list(dict.fromkeys(term for way in among.ways for term in way))
            known = dict(zip(terms, self.frequencies("whole", terms), strict=True))
            return sum(min(known[term] for term in way) for way in among.ways if way)
        if isinstance(among, Every):
            return min((self._most(each, counts) for each in among.of), default=self._n_passages)
        if isinstance(among, Some):
            return min(self._n_passages, sum(self._most(each, counts) for each in among.of))
        return self._n_passages

    def matching(self, field: Field, asked: Sequence[Asked], k: int, among: Among | None) -> Found:
        """The k passages with the greatest BM25 score, best first."""
        if self._words is None or not self._n_passages or k < 1:
            return NONE
        meets = condition(among, self._tables, "lexical", each=True)
        allowed = None
        if among is not None and self._bound(among) <= FEW:
            direct = condition(among, self._tables, "lexical")
            found = self._ask("SELECT t.ordinal FROM {lexical} t WHERE {meets}", direct.parameters, meets=direct.text)
            allowed = np.asarray([ordinal for (ordinal,) in found], np.int64)
            meets = condition(None, self._tables, "lexical")

        def sift(ordinals: Rows) -> dict[int, int]:
            statement = 'SELECT t.ordinal, t."row" FROM {lexical} t WHERE t.ordinal = ANY(%s::int[]) AND {meets}'
            return dict(self._ask(statement, [ordinals.tolist(), *meets.parameters], meets=meets.text))

        with self._decoding():
            return self._words.matching(field, asked, k, sift, allowed)

    def matched(self, field: Field, asked: Sequence[Asked], rows: Rows) -> NDArray[np.float32]:
        """The scores that `matching` gives these passages."""
        if self._words is None or not len(rows):
            return np.zeros(len(rows), np.float32)
        known = dict(self._ask('SELECT "row", ordinal FROM {passages} WHERE "row" = ANY(%s::bigint[])', [rows.tolist()]))
        found = np.asarray([row in known for row in rows.tolist()])
        scores = np.zeros(len(rows), np.float32)
        ordinals = np.asarray([known[row] for row in rows[found].tolist()], np.int64)
        with self._decoding():
            scores[found] = self._words.matched(field, asked, ordinals)
        return scores

    def frequencies(self, field: Field, terms: Sequence[str]) -> list[int]:
        """In how many passages each term is."""
        found = self._words.frequencies(field, terms) if self._words else [0] * len(terms)
        return [max(0, min(n, self._n_passages)) for n in found]

    def is_any(self, among: Among) -> bool:
        """Whether there is any such passage."""
        if self._state is None:
            return False
        if conditions.is_of_articles(among):
            meets = condition(among, self._tables, "articles")
            statement = "SELECT 1 FROM {articles} t WHERE t.n_passages > 0 AND {meets} LIMIT 1"
        else:
            meets = condition(among, self._tables, "lexical")
            statement = "SELECT 1 FROM {lexical} t WHERE {meets} LIMIT 1"
        return bool(self._ask(statement, meets.parameters, meets=meets.text))

    def n_articles(self, among: Among) -> int:
        """How many articles have such passages."""
        if self._state is None:
            return 0
        if conditions.is_of_articles(among):
            meets = condition(among, self._tables, "articles")
            statement = "SELECT count(*) FROM {articles} t WHERE t.n_passages > 0 AND {meets}"
        else:
            meets = condition(among, self._tables, "lexical")
            statement = "SELECT count(DISTINCT t.article) FROM {lexical} t WHERE {meets}"
        return self._number(statement, meets.parameters, meets=meets.text)

    def kept(self, rows: Rows) -> list[Kept]:
        """What is kept of passages, in the order of the rows.

        :raises IndexCorrupt: if one is not there.
        """
        found: dict[int, Kept] = {}
        wanted = list(dict.fromkeys(rows.tolist()))
        statement = (
            'SELECT p."row", v.vector, p.words, p.spans FROM {passages} p JOIN {vectors} v ON v."row" = p."row"'
            ' WHERE p."row" = ANY(%s::bigint[])'
        )
        for first in range(0, len(wanted) if self._n_passages else 0, _CHUNK):
            rows_read = self._ask(statement, [wanted[first : first + _CHUNK]])
            with self._decoding():
                found |= {row: _kept(*columns) for row, *columns in rows_read}
        if len(found) < len(wanted):
            raise IndexCorrupt(f"a passage is not in {self._address.shown}: search again, or build the index anew")
        return [found[row] for row in rows.tolist()]

    def known(self, embeddings: Sequence[bytes]) -> dict[bytes, Kept]:
        """What is kept of those of some texts that any passage has."""
        found: dict[bytes, Kept] = {}
        statement = (
            "SELECT DISTINCT ON (p.embedding) p.embedding, v.vector, p.words, p.spans FROM {passages} p"
            ' JOIN {vectors} v ON v."row" = p."row" WHERE p.embedding = ANY(%s::bytea[]) ORDER BY p.embedding, p."row"'
        )
        for first in range(0, len(embeddings) if self._n_passages else 0, _CHUNK):
            told = self._ask(statement, [list(embeddings[first : first + _CHUNK])])
            with self._decoding():
                found |= {embedding: _kept(*columns) for embedding, *columns in told}
        return found

    def passages(self, rows: Sequence[int]) -> list[PassageRow]:
        """Those of the passages that there are, in any order."""
        return self._passage_rows('p."row" = ANY(%s::bigint[])', [list(rows)])

    def _passage_rows(self, where: str, parameters: Sequence[Any]) -> list[PassageRow]:
        found = self._ask(
            f'SELECT p."row", p.article, t.source, t.record, t.path, t.title, t.metadata, {_PASSAGE} FROM {{passages}} p'
            f" JOIN {{articles}} t ON t.id = p.article WHERE {where}",
            parameters,
        )
        with self._decoding():
            return [
                PassageRow(
                    row, row, article, passage_of(columns), stored(source) + stored(record), stored(path), stored(title),
                    _mapping(metadata),
                )
                for row, article, source, record, path, title, metadata, *columns in found
            ]  # fmt: skip

    def place_of(self, row: int) -> tuple[int, int] | None:
        """The article of a passage, and its place there."""
        found = self._ask('SELECT article, place FROM {passages} WHERE "row" = %s::bigint', [row])
        return (found[0][0], found[0][1]) if found else None

    def passages_of(self, article: int, first: int, limit: int) -> list[PassageRow]:
        """Passages of an article from a place on, in their order."""
        where = "p.article = %s::bigint AND p.place >= %s ORDER BY p.place LIMIT %s"
        return self._passage_rows(where, [article, first, limit])

    def numbered(self, articles: Sequence[int]) -> list[ArticleEntry]:
        """Those of the articles that there are, in any order."""
        return self._articles("t.id = ANY(%s::bigint[])", [list(articles)])

    def articles(self, first: int, limit: int, among: Among | None) -> list[ArticleEntry]:
        """Articles by source and record, from a place on; of those that have such passages."""
        if self._state is None:
            return []
        meets = self._of_articles(among)
        where = "{meets} ORDER BY t.source, t.record, t.path, t.id LIMIT %s OFFSET %s"
        return self._articles(where, [*meets.parameters, limit, first], meets=meets.text)

    def every_article(self, among: Among | None) -> Iterator[ArticleEntry]:
        """All articles that have such passages, by their ids."""
        last = 0
        meets = conditions.Condition(sql.SQL("true"), []) if self._state is None else self._of_articles(among)
        where = "{meets} AND t.id > %s::bigint ORDER BY t.id LIMIT %s"
        while found := self._articles(where, [*meets.parameters, last, _CHUNK], meets=meets.text):
            yield from found
            last = found[-1].id

    def _of_articles(self, among: Among | None) -> conditions.Condition:
        if among is None:
            meets = conditions.Condition(sql.SQL("true"), [])
        elif conditions.is_of_articles(among):
            inner = condition(among, self._tables, "articles")
            meets = conditions.Condition(sql.SQL("t.n_passages > 0 AND {}").format(inner.text), inner.parameters)
        else:
            inner = condition(among, self._tables, "lexical")
            text = self._tables.sql("t.id IN (SELECT t.article FROM {lexical} t WHERE {meets})", meets=inner.text)
            meets = conditions.Condition(text, inner.parameters)
        return meets

    def articles_of(self, files: Sequence[int]) -> list[ArticleEntry]:
        """The articles of some files."""
        return self._articles("t.file = ANY(%s::bigint[])", [list(files)])

    def _articles(self, where: str, parameters: Sequence[Any], **parts: sql.Composable) -> list[ArticleEntry]:
        found = self._ask(f"SELECT {_ARTICLE} FROM {{articles}} t WHERE {where}", parameters, **parts)
        with self._decoding():
            return [
                ArticleEntry(
                    number, file, stored(path), stored(source), stored(record), stored(title), _mapping(metadata), tuple(having),
                    n_passages, _mapping(languages),
                )
                for number, file, path, source, record, title, metadata, having, n_passages, languages in found
            ]  # fmt: skip

    def files(self) -> Iterator[FileRow]:
        """All files, in any order."""
        last = 0
        while found := self._ask(f"SELECT {_FILE} FROM {{files}} WHERE id > %s::bigint ORDER BY id LIMIT %s", [last, _CHUNK]):
            with self._decoding():
                files = [_file_of(*columns) for columns in found]
            yield from files
            last = found[-1][0]

    def file(self, file: int) -> FileRow | None:
        """A file; None if there is none."""
        found = self._ask(f"SELECT {_FILE} FROM {{files}} WHERE id = %s::bigint", [file])
        with self._decoding():
            return _file_of(*found[0]) if found else None

    def values(self, key: str) -> list[Value]:
        """What articles have, or had, under a key, each once."""
        found = self._ask(_VALUES, [storable(key)])
        with self._decoding():
            return [Value(number, key, stored(value)) for number, value in found]

    def keys(self) -> list[str]:
        """Keys that articles have, or had, in alphabetical order."""
        found = self._ask(_KEYS)
        with self._decoding():
            return sorted(stored(key) for (key,) in found)

    def entries(self, articles: Sequence[int]) -> Iterator[PassageEntry]:
        """All passages of some articles, article by article in the order given, each in the order of its text."""
        statement = (
            f'SELECT p.article, p."row", p.place, p.embedding, p.language, v.vector, p.words, p.spans, {_PASSAGE}'
            ' FROM {passages} p JOIN {vectors} v ON v."row" = p."row" WHERE p.article = ANY(%s::bigint[]) ORDER BY p.place'
        )
        for first in range(0, len(articles) if self._n_passages else 0, _BATCH):
            chosen = articles[first : first + _BATCH]
            found: dict[int, list[PassageEntry]] = {article: [] for article in chosen}
            told = self._ask(statement, [list(chosen)])
            with self._decoding():
                for article, row, place, embedding, language, vector, words, spans, *columns in told:
                    kept, passage = _kept(vector, words, spans), passage_of(columns)
                    found[article].append(
                        PassageEntry(row, article, place, passage, embedding, language, Terms("", "", ""), kept)
                    )
            for article in chosen:
                yield from found[article]

    def sample(self, n: int) -> list[int]:
        """Rows of some passages from all over the index, the same at each call: numbers are digests, so the smallest will do."""
        return [row for (row,) in self._ask('SELECT "row" FROM {passages} ORDER BY "row" LIMIT %s', [n])]

    def n_bytes(self) -> int:
        """What the tables of this generation take on disk, with those whose rows wait to be swept."""
        if self._state is None:
            return 0
        return self._number(
            "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relkind = 'r'",
            [self._address.schema],
        )


_VALUES = "SELECT id, value FROM {values} WHERE key = %s"
# Each key once without reading all of their values: the next one behind the last.
_KEYS = """
WITH RECURSIVE k AS (
    (SELECT key FROM {values} ORDER BY key LIMIT 1)
    UNION ALL SELECT (SELECT v.key FROM {values} v WHERE v.key > k.key ORDER BY v.key LIMIT 1) FROM k WHERE k.key IS NOT NULL
)
SELECT key FROM k WHERE key IS NOT NULL
"""


def _mapping(document: str) -> dict[str, Any]:
    """Return a JSON object; raise TypeError if the document is another value."""
    value = json.loads(document)
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value


def _file_of(number: int, path: str, source: str, digest: bytes, problems: str, columns: str) -> FileRow:
    told = [Problem(what, reason) for what, reason in json.loads(problems)]
    return FileRow(number, stored(path), stored(source), digest, told, _mapping(columns))


def _kept(vector: bytes, words: bytes, spans: bytes) -> Kept:
    return Kept(
        vector_of(vector),
        np.frombuffer(words, np.uint8).reshape(-1, signs.WIDTH),
        np.frombuffer(spans, "<i4").astype(np.int32).reshape(-1, 2),
    )
