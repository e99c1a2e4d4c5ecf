"""Writing an index that an engine keeps: what `store.writer.Writer` is for a folder's.

What a run adds is staged in a folder of the user's cache, as an index in the making, and goes to the engine with the commit:
all of it is the next generation, or nothing. An article that is in the engine as it would be written stays there untouched,
whatever became of its file. What an interrupted run has encoded is in the folder, and goes into the next one.

Deliberately not here: what an engine is asked (`seam`), reading and encoding (`builder`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semsearch import lexical
from semsearch.engines import numbers
from semsearch.engines.facts import FORMAT, canaries_of, canaries_text, fingerprint_of, languages_of, readable
from semsearch.engines.narrowing import MOST_VALUES, values_of
from semsearch.engines.seam import ArticleEntry, Kept, PassageEntry, Terms, Value, together
from semsearch.errors import IndexCorrupt, IndexTooNew, InputError
from semsearch.lexical import Analyzer
from semsearch.protocols import Fingerprint
from semsearch.records import Article, Passage, Problem, Sentence, is_address
from semsearch.store import SEGMENT_ROWS, Codes, FileRow
from semsearch.store.naming import Named
from semsearch.store.tables import Spans, sentence_bytes
from semsearch.store.writer import Writer

if TYPE_CHECKING:
    from semsearch.engines.seam import Draft, Engine
    from semsearch.protocols import Matrix
    from semsearch.store.exporting import StoredArticle, StoredRow
    from semsearch.vectors import Vectors

__all__ = ["EngineWriter"]

logger = logging.getLogger("semsearch")

_ARTICLES = 200
"""Articles that go to the engine at a time, at most; and passages of them, about."""
_PASSAGES = 1000


class EngineWriter:
    """The one writer of an index in an engine: a draft that becomes the next generation by `commit`, or nothing by `close`.

    :param staging: the folder of what is not committed yet.
    :param fresh: forget all that the index held.
    :raises IndexLocked: if another process is writing, here or elsewhere.
    :raises IndexTooNew: if a later semsearch wrote the index.
    :raises IndexCorrupt: if it cannot be gone on with, and not ``fresh``.
    :raises EngineError: if the engine cannot be reached.
    """

    def __init__(self, engine: Engine, staging: Path, *, fresh: bool = False) -> None:
        self._engine = engine
        self.where = self.folder = engine.shown
        self._staging = staging
        try:
            self._draft: Draft = engine.draft()
        except BaseException:
            engine.close()
            raise
        try:
            self._open(fresh)
        except BaseException:
            self._draft.close()
            engine.close()
            raise

    def _open(self, fresh: bool) -> None:
        self._before = dict(self._draft.before.meta)
        self._fresh = fresh
        if fresh:
            self._draft.forget()
        elif self._before:
            readable(self._before, self.where)
        self.meta = {"generation": self._before.get("generation", "0")} if fresh else dict(self._before)
        self._gone: set[int] = set()
        self._gone_articles: set[int] = set()
        self._relabeled: dict[int, str] = {}
        self._facts: dict[str, str] = {}
        self._known = {} if fresh or not self._before else {file.id: file for file in self._draft.before.files()}
        self._done = False
        self._analyzers: dict[str, Analyzer] = {}
        # What an interrupted run has left there is for a run that encodes.
        self._leaves = self._staging.exists()
        self._staged = self._opened()

    def _opened(self) -> Writer:
        """The folder of what is not committed; where it cannot be gone on with, it is made anew: it only saves work."""
        try:
            return Writer(self._staging)
        except (IndexCorrupt, IndexTooNew) as error:
            logger.warning("%s: what an interrupted run has encoded is not used: %s", self.where, error)
            shutil.rmtree(self._staging)
            return Writer(self._staging)

    @property
    def fingerprint(self) -> Fingerprint | None:
        """The model's, None for an index that is new."""
        return fingerprint_of(self.meta, self.where) if "fingerprint" in self.meta else None

    @property
    def keeps_networks(self) -> bool:
        """Whether a network in 8 bits can go with the index."""
        return False

    def network(self) -> bytes:
        """None is kept."""
        return b""

    def files(self) -> dict[str, FileRow]:
        """All known files by their path, which is absolute, or their address."""
        return {file.path: file for file in self._known.values()}

    def stored_path(self, path: Path) -> str:
        """A path as it is kept: absolute."""
        return str(path)

    def real_path(self, stored: str) -> Path:
        """The absolute path of what `stored_path` gave."""
        return Path(stored)

    def imported_path(self, exported: str) -> str:
        """The path of a file that another index had: where that is relative, below the working directory."""
        return exported if is_address(exported) else os.path.abspath(exported)

    def add_file(self, path: str, source: str, sha256: bytes, columns: Mapping[str, str] | None = None) -> int:
        """A new file's id, by which `add_article` and `set_problems` know it."""
        return self._staged.add_file(path, source, sha256, columns)

    def set_problems(self, file: int, problems: Iterable[Problem]) -> None:
        """What was wrong with a new file, to be told again while it is unchanged."""
        self._staged.set_problems(file, problems)

    def relabel(self, file: int, source: str) -> None:
        """The user names a known file otherwise than before."""
        self._relabeled[file] = source

    def add_article(self, file: int, record: str, article: Article, passages: Iterable[tuple[Passage, bytes]]) -> None:
        """An article of a new file with its passages, each with the hash of what the encoder is given."""
        self._staged.add_article(file, record, article, passages)

    def has_articles(self, file: int, *, records: bool = False) -> bool:
        """Whether anything of a known file is in the index; of ``records``, whether it is one of the file's many articles."""
        return any(entry.record or not records for entry in self._draft.before.articles_of([file]))

    def remove_files(self, files: Iterable[int]) -> None:
        """Forget known files with their articles and passages."""
        self._gone.update(files)

    def remove_sources(self, sources: Iterable[str]) -> int:
        """Forget files, all files below a folder, or records ``FILE#LINE``; how many files and records there were.

        :raises InputError: if one of them is not in the index.
        """

        def article_at(file: int, record: str) -> list[int]:
            return [entry.id for entry in self._draft.before.articles_of([file]) if entry.record == record]

        named = Named(self._known.values(), self.real_path, article_at, lambda file: self.has_articles(file, records=True))
        files, records = named.all_of(sources, self.where)
        records -= {entry.id for entry in self._draft.before.articles_of(sorted(files))}
        self._gone_articles |= records
        self.remove_files(files)
        return len(files) + len(records)

    def unencoded(self) -> list[bytes]:
        """Hashes of new texts that have no vector yet, each once, in the order in which they were added."""
        return self._staged.unencoded()

    def has_vector(self, embedding: bytes) -> bool:
        """Whether a new text, by its hash, has a vector."""
        return self._staged.has_vector(embedding)

    def passage_texts(self, hashes: Sequence[bytes]) -> Iterator[tuple[str, tuple[str, ...], str, tuple[Sentence, ...]]]:
        """Title, headings, text and sentences of one new passage for each hash, in the order of the hashes."""
        return self._staged.passage_texts(hashes)

    def set_network(self, network: bytes) -> None:
        """Refuse it.

        :raises InputError: always.
        """
        del network
        raise InputError(f"{self.where} keeps no network in 8 bits: leave --precision out")

    def unfinished_network(self, fingerprint: Fingerprint, kind: str) -> bytes | None:
        """None is kept."""
        del fingerprint, kind
        return None

    def go_on(self, fingerprint: Fingerprint, kind: str, network: bytes = b"") -> None:
        """Take over what an interrupted run has encoded, and what the engine has of the new texts."""
        self._leaves = False
        self._staged.go_on(fingerprint, kind, network)
        stored = None if self._fresh else self.fingerprint
        if stored is None or not stored.same_vectors(fingerprint):
            return
        pending = iter(self._staged.unencoded())
        while chunk := list(islice(pending, SEGMENT_ROWS)):
            if known := self._draft.before.known(chunk):
                self._staged.add_vectors(*together(known))

    def kept(self, hashes: Sequence[bytes]) -> dict[bytes, tuple[Matrix, np.ndarray, np.ndarray]]:
        """What an interrupted run has left of those of the texts that it encoded."""
        return dict(self._staged.kept(hashes))

    def keep(self, hashes: Sequence[bytes], vectors: Matrix, codes: Codes) -> None:
        """Keep what was encoded of some texts, should this run be interrupted."""
        self._staged.keep(hashes, vectors, codes)

    def add_vectors(self, hashes: Sequence[bytes], vectors: Matrix, codes: Codes) -> None:
        """The vectors of the new texts with these hashes."""
        self._staged.add_vectors(hashes, vectors, codes)

    def canaries(self) -> list[str]:
        """The texts whose vectors are kept to know the model by."""
        fingerprint = self.fingerprint
        return [] if fingerprint is None else canaries_of(self.meta, fingerprint.dimension)[0]

    def set_canaries(self, texts: Sequence[str], vectors: Matrix) -> None:
        """Keep the vectors that the model gives some texts as questions: float32 (n, d)."""
        self._facts["canaries"] = canaries_text(texts, vectors)

    def commit(
        self,
        fingerprint: Fingerprint,
        version: str,
        facts: Mapping[str, str] | None = None,
        measure: Callable[[], Mapping[str, str]] | None = None,
    ) -> int:
        """Make what was written the index, and return the number of its generation; where nothing was, it stays what it was."""
        del measure
        noted = {**(facts or {}), **self._facts, "fingerprint": json.dumps(asdict(fingerprint))}
        added = {file.path: file for file in self._staged.files().values()}
        generation = int(self.meta.get("generation", 0))
        changed = added or self._gone or self._gone_articles or self._relabeled or self._fresh or not self._before
        if changed or any(self.meta.get(key) != value for key, value in noted.items()):
            generation += 1
            self._write(fingerprint, added, {**self.meta, **noted, "version": version, "generation": str(generation)})
        self._done = True
        return generation

    def _write(self, fingerprint: Fingerprint, added: Mapping[str, FileRow], meta: dict[str, str]) -> None:
        draft = self._draft
        draft.prepare(fingerprint.dimension)
        ids = {path: numbers.file_id(path) for path in added}
        replaced = self._gone | set(ids.values()) | set(self._relabeled)
        before: dict[int, ArticleEntry] = {}
        if self._known:
            known = sorted(replaced & self._known.keys())
            for first in range(0, len(known), _ARTICLES):
                before |= {entry.id: entry for entry in draft.before.articles_of(known[first : first + _ARTICLES])}
            before |= {entry.id: entry for entry in draft.before.numbered(sorted(self._gone_articles))}
        tally = _Tally.of(self.meta if self._before and not self._fresh else {})
        stay: set[int] = set()
        with self._staged.vectors(fingerprint.dimension) as vectors:
            for made in self._batches(vectors, before, stay, tally):
                draft.put(*made)
        self._put_relabeled(before, tally)
        dropped = [entry for number, entry in before.items() if number not in stay]
        tally.drop(dropped)
        draft.drop([entry.id for entry in dropped])
        files = [file._replace(id=ids[path]) for path, file in added.items()]
        files += [self._known[number]._replace(source=source) for number, source in self._relabeled.items()]
        draft.put_files(files)
        gone = self._gone - set(ids.values())
        draft.drop_files(sorted(gone))
        n_files = len({*self._known, *ids.values()} - gone)
        own = {"n_files": str(n_files), "format": str(FORMAT), "words": str(lexical.VERSION), "stamp": secrets.token_hex(8)}
        draft.commit({**meta, **tally.facts(), **own})

    def _batches(
        self, vectors: Vectors, before: Mapping[int, ArticleEntry], stay: set[int], tally: _Tally
    ) -> Iterator[tuple[list[ArticleEntry], list[PassageEntry], list[Value]]]:
        """Staged articles as the engine takes them, some at a time; those that it has are only noted."""
        batch: list[tuple[ArticleEntry, StoredArticle]] = []
        values: dict[int, Value] = {}
        waiting = 0
        for stored in self._staged.contents():
            entry, found = self._entry(stored)
            if entry.id in before:
                stay.add(entry.id)
                continue
            tally.add([entry])
            batch.append((entry, stored))
            values |= {value.id: value for value in found}
            waiting += entry.n_passages
            if len(batch) >= _ARTICLES or waiting >= _PASSAGES:
                yield [article for article, _ in batch], self._passages(batch, vectors), list(values.values())
                batch, values, waiting = [], {}, 0
        if batch:
            yield [article for article, _ in batch], self._passages(batch, vectors), list(values.values())

    def _entry(self, stored: StoredArticle) -> tuple[ArticleEntry, list[Value]]:
        said = [stored.title.encode(), json.dumps(stored.metadata, sort_keys=True).encode(), *map(_said, stored.rows)]
        number = numbers.article_id(stored.path, stored.record, [stored.source.encode(), *said])
        values, keys = values_of(stored.source + stored.record, stored.title, stored.metadata)
        ids = _ids(stored.source + stored.record, keys, values)
        languages = Counter(row.language for row in stored.rows)
        file = numbers.file_id(stored.path)
        return (
            ArticleEntry(
                number, file, stored.path, stored.source, stored.record, stored.title, stored.metadata, ids,
                len(stored.rows), dict(languages),
            ),
            values,
        )  # fmt: skip

    def _passages(self, batch: Sequence[tuple[ArticleEntry, StoredArticle]], vectors: Vectors) -> list[PassageEntry]:
        """The passages of some articles with what the model made of them."""
        given = [(article, place, row) for article, stored in batch for place, row in enumerate(stored.rows)]
        rows = np.asarray([row.row for _, _, row in given], np.int64)
        kept = map(Kept, vectors.take(rows), vectors.words(rows), map(vectors.sentences, rows.tolist()))
        return [
            PassageEntry(
                row=numbers.passage_row(article.id, place),
                article=article.id,
                place=place,
                passage=row.passage,
                embedding=row.embedding,
                language=row.language,
                terms=self._terms(row.language, article.title, row.passage),
                kept=each,
            )
            for (article, place, row), each in zip(given, kept, strict=True)
        ]

    def _terms(self, language: str, title: str, passage: Passage) -> Terms:
        analyzer = self._analyzers.get(language) or self._analyzers.setdefault(language, Analyzer(language))
        return Terms(*(" ".join(analyzer.terms(part)) for part in (title, "\n".join(passage.headings), passage.text)))

    def _put_relabeled(self, before: Mapping[int, ArticleEntry], tally: _Tally) -> None:
        """Articles of files that are named otherwise now, under their new names: they are others to the engine."""
        for number, source in self._relabeled.items():
            moved = [entry for entry in before.values() if entry.file == number]
            for entry in moved:
                kept = list(self._draft.before.entries([entry.id]))
                article, values = self._renamed(entry, source)
                tally.add([article])
                passages = [
                    each._replace(
                        row=numbers.passage_row(article.id, each.place),
                        article=article.id,
                        terms=self._terms(language, article.title, each.passage),
                        language=language,
                    )
                    for each, language in zip(kept, _languages(entry, kept), strict=True)
                ]
                self._draft.put([article], passages, values)

    @staticmethod
    def _renamed(entry: ArticleEntry, source: str) -> tuple[ArticleEntry, list[Value]]:
        # All that is kept of it is in its number already.
        said = [source.encode(), str(entry.id).encode()]
        values, keys = values_of(source + entry.record, entry.title, entry.metadata)
        ids = _ids(source + entry.record, keys, values)
        number = numbers.article_id(entry.path, entry.record, said)
        return entry._replace(id=number, source=source, values=ids), values

    def close(self) -> None:
        """Give up what was not committed, but for what was encoded, and let others write."""
        try:
            self._staged.close()
            if self._done and not self._leaves:
                shutil.rmtree(self._staging, ignore_errors=True)
        finally:
            try:
                self._draft.close()
            finally:
                self._engine.close()


class _Tally:
    """What is counted of the articles of an index, whoever adds and drops them."""

    def __init__(self, n_articles: int, n_passages: int, languages: Counter[str]) -> None:
        self._n_articles, self._n_passages, self._languages = n_articles, n_passages, languages

    @classmethod
    def of(cls, meta: Mapping[str, str]) -> _Tally:
        """As the facts of a generation have it."""
        languages = languages_of(meta.get("languages", "{}"))
        return cls(int(meta.get("n_articles", 0)), int(meta.get("n_passages", 0)), Counter(languages))

    def add(self, articles: Iterable[ArticleEntry]) -> None:
        for article in articles:
            self._n_articles += 1
            self._n_passages += article.n_passages
            self._languages.update(article.languages)

    def drop(self, articles: Iterable[ArticleEntry]) -> None:
        for article in articles:
            self._n_articles -= 1
            self._n_passages -= article.n_passages
            self._languages.subtract(article.languages)

    def facts(self) -> dict[str, str]:
        """As facts."""
        kept = {language: count for language, count in sorted(self._languages.items()) if count > 0}
        return {
            "n_articles": str(self._n_articles),
            "n_passages": str(self._n_passages),
            "languages": json.dumps(kept, ensure_ascii=False),
        }


def _ids(source: str, keys: Sequence[int], values: Sequence[Value]) -> tuple[int, ...]:
    """What filters can look at: no more than an engine takes, its source and title before its metadata."""
    if (found := len(keys) + len(values)) > MOST_VALUES:
        logger.warning(
            "%s: filters look at %s of the %s keys and values of its metadata", source, f"{MOST_VALUES:,}", f"{found:,}"
        )
    return (*keys, *(value.id for value in values))[:MOST_VALUES]


def _said(row: StoredRow) -> bytes:
    """All that is kept of a passage, beside what the model makes of it."""
    passage = row.passage
    place = [*passage.headings, passage.paragraph, passage.line, passage.start, passage.end, passage.page, row.language]
    spans = sentence_bytes(Spans(passage.sentences, passage.sentence_spans))
    digest = hashlib.blake2b(row.embedding, digest_size=16)
    digest.update(json.dumps([passage.text, place]).encode() + spans)
    return digest.digest()


def _languages(article: ArticleEntry, kept: Sequence[PassageEntry]) -> list[str]:
    """The language of each passage of an article, which engines need not tell."""
    if len(article.languages) == 1:
        return list(article.languages) * len(kept)
    texts = [each.passage.text for each in kept]
    return lexical.languages(article.title, texts, article.metadata.get("language"))
