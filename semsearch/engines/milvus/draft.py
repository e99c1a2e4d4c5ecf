"""The next generation of an index in Milvus, in the making.

Every draft has a number, greater than all before. What it writes is there from this number on, and what it takes out is gone from
it on, so none of it shows before the record says that the draft counts. What can be in no generation is deleted when the next
draft begins: what a draft wrote that never came to count, and, once readers have had time to leave, what is gone for good. To
leave out everything, other collections are made, and the old ones dropped later.

Deliberately not here: who may write (`lease`).
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

from semsearch.engines.milvus import entities, record
from semsearch.engines.milvus.address import Address
from semsearch.engines.milvus.client import STRONG, Client
from semsearch.engines.milvus.entities import ALIVE, ARTICLE, CODES, FIELDS, FILE, GAP, KEY, NO_VECTOR, PASSAGE, SLOTS, VALUE
from semsearch.engines.milvus.lease import Lease
from semsearch.engines.milvus.record import Record, edition_of, named
from semsearch.engines.milvus.scoring import Counts, tokens_of
from semsearch.engines.milvus.snapshot import Cache, MilvusSnapshot
from semsearch.engines.numbers import key_id
from semsearch.engines.seam import ArticleEntry, PassageEntry, Value
from semsearch.errors import EngineError
from semsearch.store import FileRow

__all__ = ["GRACE", "MilvusDraft"]

T = TypeVar("T")
_log = logging.getLogger("semsearch")

GRACE = 60.0
"""Seconds that readers may still be at a generation after the next has come. Milvus gives data that is up to 5 s old, and
searches take well under a second."""
_MOST_COUNTS = 200_000
"""Terms that are counted before the counts are written."""
_REWRITTEN = 500
_AT_ONCE = 50
"""Articles that are taken out at once."""
_FLUSHED = 2000
"""Passages from which on a draft has segments made of what it wrote: Milvus does so by itself, but later."""
_MOST_PAST = 20
_RECORD = tuple(column.name for column in entities.RECORDS if column.name != GAP)


class MilvusDraft:
    """`seam.Draft`."""

    def __init__(self, client: Client, address: Address, cache: Cache, committed: Callable[[int], None]) -> None:
        self._tell = committed
        self._client, self._address, self._collection = client, address, address.collection
        self._lease = Lease(client, self._collection, address.shown)
        try:
            self._base = record.read(client, self._collection, STRONG)
            self._draft = max(time.time_ns() // 1000, self._base.draft + 1 if self._base else 0)
            self._at = self._base.at if self._base else STRONG
            self.before = MilvusSnapshot(client, self._collection, self._base, cache, address.ef)
            self._stale = False
            self._sweep()
        except BaseException:
            self._lease.close()
            raise
        self._old = self._base
        self._edition = self._base.edition if self._base else ""
        self._dimension = self._base.dimension if self._base else 0
        self._decided = False
        self._begin(self._base.counts if self._base else None)

    def _begin(self, counts: Counts | None) -> None:
        self._passages = counts.passages if counts else 0
        self._lengths = Counter(counts.terms if counts else dict.fromkeys(FIELDS, 0))
        self._counted: Counter[tuple[str, str]] = Counter()
        self._put: set[int] = set()
        self._dropped: set[int] = set()
        self._replaced: set[int] = set()
        self._valued: set[int] = set()
        self._written = 0
        self._spilled = False

    @property
    def _names(self) -> dict[str, str]:
        return named(self._collection, self._edition)

    def _sweep(self) -> None:
        """Delete what can be in no generation any more."""
        now = time.time()
        for edition, names in record.editions(self._collection, self._client.collections()).items():
            if self._base is None or (edition != self._base.edition and now - self._base.left.get(edition, 0) > GRACE):
                for name in names:
                    self._client.drop(name)
        if self._base is None:
            return
        left = [draft for draft, until in self._base.past if now - until > GRACE]
        # What is gone since then was last seen by the generation before, which everybody has left.
        gone = next((draft for draft, _ in self._base.past if left and draft > max(left)), self._base.draft)
        unfinished = f"born > {self._base.draft}"
        for what, name in named(self._collection, self._base.edition).items():
            over = f"{unfinished} or gone <= {gone}" if left and what != "terms" else unfinished
            self._client.delete(name, over)
        self._stale = self._base.stale and len(left) < len(self._base.past)
        self._revive(f"gone > {self._base.draft} and gone < {ALIVE}")

    def _revive(self, marked: str) -> None:
        """Let what an unfinished draft has marked as gone be there as before."""
        assert self._base
        names = named(self._collection, self._base.edition)
        for what, fields in (("passages", entities.PASSAGES), ("records", _RECORD)):
            self._rewrite(names[what], marked, fields, ALIVE, STRONG)

    def _rewrite(self, name: str, condition: str, fields: Sequence[str], gone: int, at: int) -> None:
        """Have entities gone from a draft on. Milvus writes them whole; that they still meet the condition does not matter."""
        for some in _portions(self._client.pages(name, condition, fields, at), _REWRITTEN):
            if fields is _RECORD:
                self._wrote(self._client.upsert(name, [{**entity, "gone": gone, GAP: NO_VECTOR} for entity in some]))
                continue
            self._wrote(
                self._client.upsert(name, [{**entity, "gone": gone, "having": list(entity["having"])} for entity in some])
            )
            if gone != ALIVE:
                self._count([str(entity["whole"]) for entity in some], -1)

    def _delete(self, name: str, condition: str) -> None:
        self._wrote(self._client.delete(name, condition))

    def _wrote(self, at: int) -> None:
        self._at = max(self._at, at)

    def forget(self) -> None:
        """Leave out everything that there is."""
        self._lease.check()
        if self._edition and (self._base is None or self._edition != self._base.edition):
            self._drop_edition()
        self._old, self._edition, self._dimension = None, "", 0
        self._begin(None)

    def _drop_edition(self) -> None:
        for name in self._names.values():
            self._client.drop(name)

    def prepare(self, dimension: int) -> None:
        """Make the collections, if there are none.

        :raises EngineError: if the index has vectors of another dimension.
        """
        self._lease.check()
        if self._edition:
            if dimension != self._dimension:
                what = f"{self._dimension} dimensions, not {dimension}"
                raise EngineError(f"{self._address.shown} has vectors of {what}: index again from the start")
            return
        # A name that no edition had: the draft may have forgotten one of its own.
        self._edition, self._dimension = edition_of(time.time_ns() // 1000), dimension
        names = self._names
        indexes = entities.passage_indexes(self._address.index)
        self._client.create(names["passages"], entities.passages(dimension), entities.functions(), indexes)
        self._client.create(names["records"], entities.RECORDS, (), entities.RECORD_INDEXES)
        self._client.create(names["terms"], entities.TERMS, (), entities.TERM_INDEXES)

    def put(self, articles: Sequence[ArticleEntry], passages: Sequence[PassageEntry], values: Sequence[Value]) -> None:
        """Add articles with all their passages and values.

        :raises InputError: if something is longer than Milvus takes.
        """
        self._lease.check()
        self._put_values(values)
        versions = self._versions(ARTICLE, [article.id for article in articles])
        new: dict[int, ArticleEntry] = {}
        for article in articles:
            self._dropped.discard(article.id)
            if article.id not in self._put and not (self._old and any(map(self._old.sees, versions.get(article.id, ())))):
                new[article.id] = article
        # Where an older version has not been deleted yet, this one has keys of its own.
        version = {number: self._draft if number in versions else 0 for number in new}
        mine = [entry for entry in passages if entry.article in new]
        searched = [
            entities.passage_entity(entry, new[entry.article].values, self._draft, version[entry.article]) for entry in mine
        ]
        kept = [each for entry in mine for each in self._of_passage(entry, version[entry.article])]
        shown = [each for article in new.values() for each in self._of_article(article, version[article.id])]
        self._wrote(self._client.upsert(self._names["records"], kept + shown))
        self._wrote(self._client.upsert(self._names["passages"], searched))
        self._put |= set(new)
        self._written += len(searched)
        self._count((str(entity["whole"]) for entity in searched), 1)

    def _of_passage(self, entry: PassageEntry, version: int) -> Iterable[dict[str, Any]]:
        for kind, body in ((PASSAGE, entities.passage_body(entry)), (CODES, entities.codes_body(entry.kept))):
            yield from entities.records_of(kind, entry.row, body, self._draft, parent=entry.article, version=version)

    def _of_article(self, article: ArticleEntry, version: int) -> Iterable[dict[str, Any]]:
        body = entities.article_body(article)
        key = entities.sort_key(article)
        return entities.records_of(ARTICLE, article.id, body, self._draft, parent=article.file, sorted_by=key, version=version)

    def _versions(self, kind: int, numbers: Sequence[int]) -> dict[int, list[Mapping[str, Any]]]:
        """Everything that there is of some records, whoever sees it."""
        found: dict[int, list[Mapping[str, Any]]] = {}
        if self._old:
            fields = ("number", "born", "gone")
            got = self._client.one_of(
                self._names["records"], "number", numbers, fields, self._at, f"kind == {kind} and piece == 0"
            )
            for each in got:
                found.setdefault(int(each["number"]), []).append(each)
        return found

    def _put_values(self, values: Sequence[Value]) -> None:
        """Add values and keys that are not there yet; they stay."""
        new = {value.id: value for value in values if value.id not in self._valued}
        keys = {key_id(value.key): value.key for value in new.values() if key_id(value.key) not in self._valued}
        if self._old and new:
            # What was there before is left as it is.
            before = f"kind in [{VALUE}, {KEY}] and born <= {self._old.draft}"
            got = self._client.one_of(self._names["records"], "number", [*new, *keys], ("number",), self._old.at, before)
            there = {int(each["number"]) for each in got}
        else:
            there = set()
        rows: list[dict[str, Any]] = []
        for number, value in new.items():
            if number not in there:
                body = entities.value_body(value)
                rows += entities.records_of(VALUE, number, body, self._draft, parent=key_id(value.key))
        for number, key in keys.items():
            if number not in there:
                rows += entities.records_of(KEY, number, key, self._draft)
        self._wrote(self._client.upsert(self._names["records"], rows))
        self._valued |= {*new, *keys}

    def _count(self, wholes: Iterable[str], sign: int) -> None:
        for whole in wholes:
            self._passages += sign
            for field in FIELDS:
                tokens = tokens_of(field, whole)
                self._lengths[field] += sign * len(tokens)
                for word in set(tokens):
                    self._counted[field, word] += sign
        if len(self._counted) > _MOST_COUNTS:
            self._put_counts()

    def _put_counts(self) -> None:
        """Write in how many passages the terms are that were counted since the last time."""
        name = self._names["terms"]
        changes = [(field, word, n) for (field, word), n in self._counted.items() if n]
        for first in range(0, len(changes), 5000):
            self._lease.check()
            some = changes[first : first + 5000]
            keys = [entities.term_number(field, word, slot) for field, word, _ in some for slot in range(SLOTS)]
            there = {}
            if self._old or self._spilled:
                there = {int(each["id"]): each for each in self._client.one_of(name, "id", keys, ("id", "born", "n"), self._at)}
            self._wrote(self._client.upsert(name, [self._counts_of(there, *each) for each in some]))
        self._counted.clear()
        self._spilled = True

    def _counts_of(self, there: Mapping[int, Mapping[str, Any]], field: str, word: str, change: int) -> dict[str, Any]:
        """A term's count from now on, in the place of the older one of the two that there are."""
        keys = [entities.term_number(field, word, slot) for slot in range(SLOTS)]
        born = [int(there[key]["born"]) if key in there else -1 for key in keys]
        newest = born.index(max(born))
        n = int(there[keys[newest]]["n"]) if born[newest] >= 0 else 0
        slot = newest if born[newest] in (-1, self._draft) else 1 - newest
        return {"id": keys[slot], "born": self._draft, "n": n + change, GAP: NO_VECTOR}

    def drop(self, articles: Sequence[int]) -> None:
        """Take articles out, with their passages."""
        self._lease.check()
        mine = self._put & set(articles)
        self._dropped |= set(articles) - mine
        for number in mine:
            condition = f"born == {self._draft} and"
            found = self._client.pages(self._names["passages"], f"{condition} article == {number}", ("whole",), self._at)
            self._count([str(each["whole"]) for each in found], -1)
            self._delete(self._names["passages"], f"{condition} article == {number}")
            self._delete(self._names["records"], f"{condition} {_all_of([int(number)])}")
        self._put -= mine

    def put_files(self, files: Sequence[FileRow]) -> None:
        """Add files, or put others in the place of those with the same ``id``."""
        self._lease.check()
        versions = self._versions(FILE, [file.id for file in files])
        rows: list[dict[str, Any]] = []
        for file in files:
            others = [each for each in versions.get(file.id, ()) if each["born"] != self._draft]
            version = self._draft if others else 0
            rows += entities.records_of(FILE, file.id, entities.file_body(file), self._draft, version=version)
        self._wrote(self._client.upsert(self._names["records"], rows))
        self._replaced |= {file.id for file in files}

    def drop_files(self, files: Sequence[int]) -> None:
        """Take files out."""
        self._lease.check()
        self._replaced |= set(files)
        if files and self._edition:
            mine = f"born == {self._draft} and kind == {FILE} and number in {[int(file) for file in files]}"
            self._delete(self._names["records"], mine)

    def _take_out(self) -> None:
        """Mark what was dropped or replaced as gone from this draft on."""
        assert self._old
        visible, at = self._old.visible, self._old.at
        for some in _portions(sorted(map(int, self._dropped)), _AT_ONCE):
            self._lease.check()
            self._rewrite(self._names["passages"], f"article in {some} and {visible}", entities.PASSAGES, self._draft, at)
            self._rewrite(self._names["records"], f"{_all_of(some)} and {visible}", _RECORD, self._draft, at)
        for some in _portions(sorted(map(int, self._replaced)), _AT_ONCE):
            self._lease.check()
            files = f"kind == {FILE} and number in {some} and {visible}"
            self._rewrite(self._names["records"], files, _RECORD, self._draft, at)

    def commit(self, meta: Mapping[str, str]) -> None:
        """Make it the generation that there is, all at once.

        :raises EngineError: if that did not happen, or nobody knows.
        """
        # Before anything is marked: of a writer whose right has lapsed, marks could hide what another has committed.
        self._lease.confirm()
        if not self._edition:
            raise EngineError(f"nothing was prepared in {self._address.shown}: index again")
        if self._old:
            self._take_out()
        self._put_counts()
        for name in self._names.values():
            # Of a writer that was stopped for long, and whose right to write has lapsed.
            if self._old:
                self._delete(name, f"born > {self._old.draft} and born != {self._draft}")
        self._flush()
        self._lease.confirm()
        made = self._record(meta)
        with self._lease.writing:
            # From now on it may count, whatever is heard of it: what it wrote stays, for the next draft to judge.
            self._decided = True
            at = self._decide(made)
        self._tell(at)

    def _flush(self) -> None:
        """Have what much was written indexed now; Milvus does so by itself, if later."""
        if self._written < _FLUSHED:
            return
        for name in self._names.values():
            try:
                self._client.flush(name)
            except EngineError as error:
                _log.info("%s: not flushed: %s", self._address.shown, error)

    def _decide(self, made: Record) -> int:
        """Write the record; after an error, see whether it is there all the same.

        :returns: the server's timestamp of it.
        """
        try:
            return record.write(self._client, self._collection, made)
        except EngineError as error:
            _log.warning("%s: looking whether the commit was taken: %s", self._address.shown, error)
            found = record.read(self._client, self._collection, STRONG)
            if found is None or found.draft != made.draft:
                raise
            return STRONG

    def _record(self, meta: Mapping[str, str]) -> Record:
        now = time.time()
        counts = Counts(self._passages, dict(self._lengths))
        stale = bool(self._stale or self._dropped) and self._old is not None
        made = Record(self._draft, self._edition, self._at, self._dimension, counts, dict(meta), stale=stale)
        if self._base is None:
            return made
        left = {edition: until for edition, until in self._base.left.items() if now - until <= GRACE}
        if self._base.edition != self._edition:
            return replace(made, left={**left, self._base.edition: now})
        return replace(made, left=left, past=(*self._base.past, (self._base.draft, now))[-_MOST_PAST:])

    def close(self) -> None:
        """Give up what was not committed, and let others write."""
        try:
            if not self._decided:
                self._give_up()
        except EngineError as error:
            _log.warning("%s: what was not committed will be removed by the next writer: %s", self._address.shown, error)
        finally:
            self._lease.close()

    def _give_up(self) -> None:
        if not self._edition:
            return
        if self._base is None or self._edition != self._base.edition:
            self._drop_edition()
        elif self._written or self._replaced or self._dropped or self._valued:
            for name in self._names.values():
                self._client.delete(name, f"born == {self._draft}")
            self._revive(f"gone == {self._draft}")


def _all_of(articles: list[int]) -> str:
    """The records of some articles."""
    of_passages = f"(kind in [{PASSAGE}, {CODES}] and parent in {articles})"
    return f"({of_passages} or (kind == {ARTICLE} and number in {articles}))"


def _portions(things: Iterable[T], most: int) -> Iterator[list[T]]:
    rest = iter(things)
    while some := list(islice(rest, most)):
        yield some
