"""`Index`: articles in, ranked passages out.

Deliberately not here: building (`builder`), ranking (`ranking`), SQL and files (`store`), how results look (`render`), printing
(`cli`).
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semsearch import encoder as encoders
from semsearch import engines, filters
from semsearch._version import __version__
from semsearch.arguments import MAX_K, check_k, check_mode, check_query
from semsearch.cutting import Cutting, check_passage_tokens
from semsearch.errors import InputError, ModelMismatch
from semsearch.filters import Where
from semsearch.hits import Choice, Maker, reranked
from semsearch.limits import check_deadline, one_multiplier, processors
from semsearch.protocols import Encoder, Progress
from semsearch.ranking import HYBRID_BOOSTS, Question, compared, rank, wanted
from semsearch.records import ArticleInfo, BuildReport, Citation, Context, Excerpt, Facets, Hit, Mode, Origin, Precision
from semsearch.results import Results
from semsearch.store import Reader

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from semsearch import exchange
    from semsearch.encoder.reranker import Reranker
    from semsearch.engines import AnyReader, View
    from semsearch.maps import Method, PassageMap
    from semsearch.protocols import Allowed, DenseArm, Found, LexicalArm
    from semsearch.store.exporting import StoredRow

__all__ = ["Index", "ask", "build", "open", "remove", "words_for"]

logger = logging.getLogger("semsearch")

Sources = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
PathLike = str | os.PathLike[str]

ANSWERABLE = 0.095
"""A question whose best hit has less confidence than this is not believed to be answered (``benchmarks/README.md``)."""
RERANKED = 50
"""Candidates that a reranker is given, at least."""
RERANK_SECONDS = 5.0
"""On two cores a network of the default model's size reads some 13 candidates a second."""


class Index:
    """An open index: one generation, which stays the same while it is open, and the model it was built with.

    One that an engine keeps has no generation of its own: each search is of the newest.

    A context manager; `close` lets go of every handle. Made by `build` and `open`. ``report`` says what the build did
    (None for an index that was opened). Threads may share it.

    :param given: whether ``encoder`` is the user's own, for which no other is taken.
    """

    def __init__(
        self, reader: AnyReader, encoder: Encoder | None = None, report: BuildReport | None = None, *, given: bool = False
    ) -> None:
        self._reader = reader
        self._earlier: weakref.WeakSet[AnyReader] = weakref.WeakSet()
        self._encoder = encoder
        self._given = given
        self._encoding = threading.Lock()
        self._helpers: ThreadPoolExecutor | None = None
        self._turning = threading.Lock()
        self._reranking: tuple[str, Reranker] | None = None
        self.report = report

    @classmethod
    def open(cls, path: PathLike = "index", *, encoder: Encoder | None = None) -> Index:
        """Open an index for searching; the model is loaded with the first question.

        :param path: the index directory, or the address of an index that an engine keeps: ``milvus://HOST:PORT/COLLECTION``,
            ``postgresql://HOST/DATABASE``.
        :param encoder: what to encode with, in place of the model that the index names.
        :raises IndexMissing: if there is none.
        :raises IndexCorrupt: if its files do not agree with each other.
        :raises EngineError: if the engine cannot be reached.
        :raises IndexTooNew: if a later version wrote it.
        :raises ModelMismatch: if ``encoder`` is of another model, or the folder of the index's model has another one now.
        """
        reader = engines.open_reader(path)
        if encoder is None:
            try:
                encoders.check_unchanged(reader.fingerprint)
            except BaseException:
                reader.close()
                raise
        elif not encoder.fingerprint.same_questions(reader.fingerprint):
            reader.close()
            raise ModelMismatch(
                f"the index {reader.folder} was built with {reader.fingerprint.model!r}, not {encoder.fingerprint.model!r}: "
                "open it without an encoder"
            )
        return cls(reader, encoder, given=encoder is not None)

    @classmethod
    def build(
        cls,
        sources: Sources,
        path: PathLike = "index",
        *,
        model: str | None = None,
        fresh: bool = False,
        compact: bool | None = None,
        target_recall: float | None = None,
        precision: Precision | None = None,
        columns: Mapping[str, str] | None = None,
        passage_tokens: int | None = None,
        progress: Progress | None = None,
        encoder: Encoder | None = None,
        cluster: str | None = None,
    ) -> Index:
        """Make an index of articles, or refresh one: see `build`."""
        started = time.perf_counter()
        if target_recall is not None and not 0 < target_recall <= 1:
            raise InputError(f"target_recall is {target_recall!r}: give a share above 0, such as 0.98, or 1 for exact search")
        if passage_tokens is not None:
            check_passage_tokens(passage_tokens)
        # Not at the top: see the module.
        from semsearch import cluster as clusters
        from semsearch.builder import Builder

        with clusters.connected(cluster) as spread:
            builder = Builder(
                path,
                _as_list(sources),
                fresh,
                compact=compact,
                target_recall=target_recall,
                precision=precision,
                columns=columns,
                passage_tokens=passage_tokens,
            )
            try:
                counts, used = builder.run(model, encoder, progress, spread)
            finally:
                builder.close()
        reader = engines.open_reader(path)
        try:
            with reader.pinned() as pinned:
                totals = pinned.counts()
        except BaseException:
            reader.close()
            raise
        report = BuildReport(
            articles=totals["articles"],
            passages=totals["passages"],
            **counts,
            seconds=time.perf_counter() - started,
            problems=tuple(builder.problems),
        )
        return cls(reader, used, report, given=encoder is not None)

    @property
    def encoder(self) -> Encoder | None:
        """The model; None as long as it was not needed."""
        return self._encoder

    def __enter__(self) -> Index:
        """The index itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every handle."""
        self.close()

    def close(self) -> None:
        """Close every handle; searching is over."""
        with self._turning:
            for reader in (self._reader, *self._earlier):
                reader.close()
            if self._helpers is not None:
                self._helpers.shutdown(wait=False)

    def refresh(self) -> bool:
        """Go on to the newest generation; False if this is it.

        Searches that other threads are at end in the generation in which they began, and hits keep theirs.

        :raises ModelMismatch: if the index was made anew with another model than the ``encoder`` that it was opened with.
        :raises InputError: if the index was closed.
        """
        self._reader.check_process()
        with self._turning:
            self._reader.ready()
            if not self._reader.superseded():
                return False
            before = self._reader.fingerprint
            newer = self._reader.reopened()
            if not newer.fingerprint.same_questions(before):
                if self._given:
                    newer.close()
                    raise ModelMismatch(f"the index {self._reader.folder} was made anew with another model: open it again")
                with self._encoding:
                    self._encoder = None
            if newer is not self._reader:
                # Closed when the last hit of it is gone, or with the index.
                self._earlier.add(self._reader)
                self._reader = newer
            return True

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        mode: Mode = "hybrid",
        where: Where = None,
        fold: bool = True,
        per_article: int | None = None,
        explain: bool = False,
        rerank: str | None = None,
        rerank_seconds: float = RERANK_SECONDS,
    ) -> Results:
        """The passages that answer a question best.

        :param k: how many, at most; fewer come back where the index has fewer.
        :param mode: ``hybrid``: by meaning and by words; ``dense``: by meaning; ``lexical``: by words, without the model. Words
            in quotation marks must stand in the passage, its headings or its title in this order, one behind the other,
            whatever their endings, if they do in any that ``where`` leaves (not for ``dense``).
        :param where: only passages of articles that meet these conditions; see `filters.parse`.
        :param fold: whether copies of a passage, and what is nearly the same, are one hit; see ``hit.duplicates``.
        :param per_article: hits of one article, at most.
        :param explain: whether hits have an ``explanation``.
        :param rerank: the name or folder of a CrossEncoder of sentence-transformers, which then orders the best candidates.
        :param rerank_seconds: what it may take; candidates that it did not reach follow.
        :raises InputError: if the question is empty, ``k`` not in 1..10,000, there is no such mode, or a condition has no sense.
        :raises ModelMismatch: if the model is no longer what the index was built with.
        :raises ModelUnavailable: if a model cannot be found.
        """
        return self.search_many(
            [query],
            k,
            mode=mode,
            where=where,
            fold=fold,
            per_article=per_article,
            explain=explain,
            rerank=rerank,
            rerank_seconds=rerank_seconds,
        )[0]

    def search_many(
        self,
        queries: Sequence[str],
        k: int = 10,
        *,
        mode: Mode = "hybrid",
        where: Where = None,
        fold: bool = True,
        per_article: int | None = None,
        explain: bool = False,
        rerank: str | None = None,
        rerank_seconds: float = RERANK_SECONDS,
    ) -> list[Results]:
        """`search` for each question, faster than one by one; ``took_ms`` is the mean time of each."""
        if isinstance(queries, str):
            raise InputError("search_many takes a list of questions: use search for one")
        queries = list(queries)
        cleaned = [check_query(query) for query in queries]
        k = check_k(k)
        choice = Choice(k, fold, None if per_article is None else check_k(per_article, "per_article"))
        check_mode(mode)
        if not rerank_seconds >= 0:
            raise InputError(f"rerank_seconds is {rerank_seconds!r}: give seconds, such as {RERANK_SECONDS:g}")
        conditions = filters.parse(where)
        if rerank is not None:
            choice = replace(choice, k=max(k, RERANKED))
        with self._reader.pinned() as reader:
            # Opened in any case, so that what is closed or damaged is told.
            _vectors(reader, mode), words_for(reader, mode)
            if not cleaned:
                return []
            allowed = reader.allowed(conditions) if conditions else None
            started = time.perf_counter()
            with one_multiplier():
                rows = None if allowed is None else allowed.rows
                asked, near, said, started = self._candidates(cleaned, mode, reader, wanted(choice.k), rows, started)
                answers = [
                    self._hits(question, nearest, found, mode, choice, reader, allowed, explain=explain)
                    for question, nearest, found in zip(asked, near, said, strict=True)
                ]
        if rerank is not None:
            answers = [
                self._reranked(question, hits, rerank, rerank_seconds)[:k] for question, hits in zip(asked, answers, strict=True)
            ]
        took = (time.perf_counter() - started) * 1000 / len(cleaned)
        logger.debug(
            "%d questions, mode %s, generation %s, %s articles: %.1f ms each; best confidence of the first: %.3f",
            len(cleaned), mode, reader.meta["generation"], "all" if allowed is None else allowed.n_articles, took,
            answers[0][0].confidence if answers[0] else 0,
        )  # fmt: skip
        return [
            Results(query, mode, took, bool(hits) and hits[0].confidence >= ANSWERABLE, tuple(hits))
            for query, hits in zip(queries, answers, strict=True)
        ]

    def article(self, article_id: str, *, first: int = 0, limit: int = 10_000) -> Excerpt:
        """An article's passages, in the order of its text.

        :param article_id: a hit's.
        :param first: the place of the first passage wanted, counted from 0.
        :param limit: how many, at most.
        :raises InputError: if there is no such article: its file may have changed since.
        """
        with self._reader.pinned() as reader:
            return reader.article(article_id, max(0, first), max(0, limit))

    def around(self, passage_id: str, before: int = 1, after: int = 1) -> Excerpt:
        """A passage with its neighbours in the article.

        :param passage_id: a hit's.
        :param before: how many at most, like ``after``.
        :raises InputError: if there is no such passage: its file may have changed since.
        """
        with self._reader.pinned() as reader:
            return reader.excerpt(passage_id, max(0, before), max(0, after))

    def articles(self, *, where: Where = None, first: int = 0, limit: int = 100) -> list[ArticleInfo]:
        """The articles of the index, by their sources.

        :param where: only those that meet these conditions; see `filters.parse`.
        :param first: the place of the first one wanted, counted from 0.
        :param limit: how many, at most.
        :raises InputError: if a condition has no sense.
        """
        conditions = filters.parse(where)
        with self._reader.pinned() as reader:
            allowed = reader.allowed(conditions) if conditions else None
            return reader.articles(max(0, first), max(0, limit), allowed=allowed)

    def to_dataframe(self, *, where: Where = None, vectors: bool = False) -> pd.DataFrame:
        """All passages, one row each, by their sources and places; what the articles say of themselves as ``metadata.KEY``.

        The columns are those fields of `Hit` that are not a question's. All of it is in memory, about a kilobyte a passage.

        :param where: only passages of articles that meet these conditions; see `filters.parse`.
        :param vectors: whether there is a last column ``vector``: float32 (d,), a unit vector.
        :raises InputError: if a condition has no sense.
        :raises MissingExtra: if pandas is not installed.
        """
        # Not at the top: few make tables.
        from semsearch import frames

        conditions = filters.parse(where)
        with self._reader.pinned() as reader:
            allowed = reader.allowed(conditions) if conditions else None
            batches = reader.records(allowed=allowed, vectors=vectors)
            return frames.passages(batches, reader.metadata_keys(frames.MOST_KEYS + 1), ("vector",) if vectors else ())

    def plot(
        self,
        query: str,
        k: int = 10,
        *,
        mode: Mode = "hybrid",
        where: Where = None,
        method: Method = "pca",
        color: str | None = None,
        limit: int = 2000,
    ) -> PassageMap:
        """A map of the passages with a question and its hits in it, which notebooks show; ``to_html`` and ``to_png`` keep it.

        Of many passages a sample is drawn, the same each time, and the hits with it. Two axes carry a small part of what a model
        tells apart, often a tenth: ``explained_variance`` and the line below the question say how much. What is near on the map
        need not be near in meaning; ``similarity`` is the true one.

        :param k: hits to mark, at most; they, ``mode`` and ``where`` are as in `search`. Only what ``where`` leaves is drawn.
        :param method: ``pca``: the two axes along which the passages differ most, a straight view in which distances can only
            shrink; ``umap``: neighbours are kept together, which shows groups; it takes seconds and the extra ``umap``.
        :param color: ``article``, ``similarity`` with the question, or a key of the metadata; None for the articles where there
            are at most eight, else the similarity.
        :param limit: passages drawn, at most, beside the hits.
        :raises InputError: as `search` does, or if there is nothing to draw, or nothing to color by.
        :raises MissingExtra: if UMAP is asked for and umap-learn is not installed.
        """
        # Not at the top: a search does without.
        from semsearch import maps

        maps.check_method(method)
        limit, conditions = check_k(limit, "limit"), filters.parse(where)
        while True:
            reader = self._reader
            found = self.search(query, k, mode=mode, where=conditions)
            # All of one generation: another thread may have gone on to the next one meanwhile.
            if reader is self._reader:
                break
        with reader.pinned() as pinned:
            with self._encoding:
                (question,) = self._loaded(pinned).encode_queries([check_query(query)]).vectors
            allowed = pinned.allowed(conditions) if conditions else None
            return maps.draw(pinned, found, question, allowed=allowed, method=method, color=color, limit=limit)

    def facets(self) -> Facets:
        """What the articles can be told apart by: sources, dates, values of their metadata.

        Reads the metadata of all articles, of the newest generation.
        """
        self._reader.ready()
        # A reader of its own, so that nobody who searches waits for it.
        with self._reader.apart() as reader:
            return reader.facets()

    def export(
        self,
        file: PathLike,
        *,
        vectors: bool = False,
        where: Where = None,
        progress: Progress | None = None,
    ) -> int:
        """Write the passages to a file, with all that it takes to make the index elsewhere without the articles; how many.

        `import_passages` reads it. A file of this name is replaced when all is written.

        :param file: ``.jsonl`` or ``.parquet``.
        :param vectors: also what the model made of the passages: float32, with the codes of words where the index has them.
        :param where: only passages of articles that meet these conditions; see `filters.parse`.
        :param progress: told how far it is.
        :raises InputError: if the file cannot be written, its suffix is another, or a condition has no sense.
        :raises MissingExtra: for Parquet, if pyarrow is not installed.
        """
        # Not at the top: a search does without.
        from semsearch import exchange

        conditions = filters.parse(where)
        with self._reader.pinned() as reader:
            n_articles, n_passages, batches = reader.exported(reader.allowed(conditions) if conditions else None)
            header = exchange.Header(
                version=__version__,
                cut=reader.meta.get("passages", ""),
                fingerprint=reader.fingerprint,
                n_articles=n_articles,
                n_passages=n_passages,
                vectors=vectors,
                codes=vectors and reader.meta.get("codes") != "none",
            )
            done = 0
            with exchange.writing(Path(file), header) as sink:
                for batch in batches:
                    sink.write(_exported(batch, reader, header))
                    done += len(batch)
                    if progress:
                        progress("exporting", done, n_passages)
        return n_passages

    @property
    def generation(self) -> int:
        """Which committed state of the index this is; they are counted."""
        return int(self._reader.meta["generation"])

    def status(self) -> dict[str, Any]:
        """Facts on the index, as ``status --json`` prints them."""
        with self._reader.pinned() as reader:
            counts, meta, fingerprint, search = reader.counts(), reader.meta, reader.fingerprint, reader.search_kind()
        return {
            "articles": counts["articles"],
            "passages": counts["passages"],
            "files": counts["files"],
            "model": fingerprint.model,
            "dimension": fingerprint.dimension,
            "max_tokens": fingerprint.max_tokens,
            "passage_tokens": Cutting.parse(meta.get("passages", "")).tokens,
            "generation": int(meta["generation"]),
            "bytes": counts["bytes"],
            "engine": meta.get("engine", ""),
            "precision": meta.get("precision", "float"),
            "compact": meta.get("codes") == "none",
            "search": search,
            "format": int(meta["format"]),
            "written_by": meta["version"],
            "path": reader.where,
        }

    def _loaded(self, reader: View) -> Encoder:
        """The encoder of a reader's generation, under the lock of encoding."""
        if self._encoder is None or not self._encoder.fingerprint.same_questions(reader.fingerprint):
            if self._given:
                raise ModelMismatch(f"the index {reader.folder} was made anew with another model: open it again")
            self._encoder = encoders.load_for(reader.fingerprint, reader.network)
        return self._encoder

    def _origin(self, reader: AnyReader, passage: int) -> Origin:
        def encoder(view: View) -> Encoder:
            with self._encoding:
                return self._loaded(view)

        return _Origin(reader, passage, encoder)

    def _said(self, texts: list[str], mode: Mode, reader: View, depth: int, allowed: Any) -> Sequence[Future[Found] | None]:
        """What the lexical arm will have found for each question, by threads of its own."""
        # What an engine has pinned is for one thread.
        if mode != "hybrid" or processors() == 1 or not isinstance(reader, Reader):
            return [None] * len(texts)
        lexical = words_for(reader, mode)
        with self._turning:
            reader.ready()
            if self._helpers is None:
                # Not at the top: a search by words alone does without.
                from concurrent.futures import ThreadPoolExecutor

                self._helpers = ThreadPoolExecutor(processors(), "semsearch-words")
            return [self._helpers.submit(lexical.search, text, depth, allowed=allowed) for text in texts]

    def _candidates(
        self,
        texts: list[str],
        mode: Mode,
        reader: View,
        depth: int,
        allowed: Any,
        started: float,
    ) -> tuple[Sequence[Question | str], Sequence[Found | None], Sequence[Future[Found] | None], float]:
        """The questions as the ranking takes them, what either arm has for each, and when that began, the model being there."""
        if mode == "lexical":
            return texts, [None] * len(texts), [None] * len(texts), started
        # An encoder is for one thread at a time.
        with self._encoding:
            encoder = self._loaded(reader)
            started = time.perf_counter()
            encoded = encoder.encode_queries(texts)
        # Not before: the model takes all processors, the search of one question's vector takes one.
        said = self._said(texts, mode, reader, depth, allowed)
        near = reader.vectors().search(encoded.vectors, depth, allowed=allowed)
        return Question.all_of(texts, encoded, words_for(reader, mode)), near, said, started

    def _hits(
        self,
        question: Question | str,
        near: Found | None,
        said: Future[Found] | None,
        mode: Mode,
        choice: Choice,
        reader: View,
        allowed: Allowed | None,
        *,
        explain: bool,
    ) -> list[Hit]:
        """The hits of one question: more and more rows are ranked until there are as many as wanted, for copies are folded."""
        if mode == "hybrid" and isinstance(question, Question) and not question.known:
            # What the model cannot read, it would compare by chance.
            question, near, mode = question.text, None, "lexical"
        vectors, lexical = _vectors(reader, mode), words_for(reader, mode)
        rows = None if allowed is None else allowed.rows
        origin = reader if isinstance(reader, Reader) else self._reader
        depth = choice.k
        most = choice.k
        if choice.per_article is not None:
            n_articles = reader.n_articles() if allowed is None else allowed.n_articles
            most = min(most, choice.per_article * n_articles)
        while True:
            check_deadline()
            found = said.result() if said is not None and mode == "hybrid" else None
            ranking = rank(question, mode, depth, vectors=vectors, lexical=lexical, near=near, said=found, allowed=rows)
            maker = Maker(question, mode, ranking, reader, lexical, allowed, partial(self._origin, origin), explain=explain)
            hits = maker.choose(choice)
            if len(hits) >= most or len(ranking.rows) < compared(depth) or depth >= MAX_K:
                return hits
            depth, said = min(MAX_K, 4 * compared(depth)), None
            if vectors is not None and not isinstance(question, str):
                (near,) = vectors.search(question.vector[None], wanted(depth), allowed=rows)

    def _reranked(self, question: Question | str, hits: list[Hit], name: str, seconds: float) -> list[Hit]:
        text = question if isinstance(question, str) else question.text
        texts = [f"{hit.title}. {hit.text}" if hit.title else hit.text for hit in hits]
        # Like the encoder's, a model's turn is one thread's.
        with self._encoding:
            return reranked(hits, self._reranker(name).scores(text, texts, seconds=seconds))

    def _reranker(self, name: str) -> Reranker:
        if self._reranking is None or self._reranking[0] != name:
            # Not at the top: it takes torch.
            from semsearch.encoder.reranker import Reranker

            self._reranking = (name, Reranker.load(name))
        return self._reranking[1]


@dataclass(frozen=True, slots=True)
class _Origin:
    """See `records.Origin`."""

    reader: AnyReader
    passage: int
    encoder: Callable[[View], Encoder]

    def around(self, before: int, after: int) -> Context:
        with self.reader.pinned() as reader:
            return reader.around(self.passage, before, after)

    def verify(self) -> Citation:
        # Not at the top: the parsers of articles are needed by few.
        from semsearch import citations

        with self.reader.pinned() as reader:
            return citations.verify(reader, self.passage, partial(self.encoder, reader))


def _exported(batch: list[StoredRow], reader: View, header: exchange.Header) -> list[exchange.Row]:
    """Passages as they are written to a file."""
    from semsearch import exchange

    rows = [
        exchange.Row(item.path, item.source, item.record, item.sha256, item.title, item.metadata, item.passage) for item in batch
    ]
    if not header.vectors:
        return rows
    opened = reader.vectors()
    numbers = np.asarray([item.row for item in batch], np.int64)
    given = []
    for row, item, vector, words in zip(rows, batch, opened.take(numbers), _words(opened, numbers, header), strict=True):
        spans = None if words is None else opened.sentences(item.row)
        told = exchange.checksum(item.embedding, vector, words, spans)
        given.append(row._replace(vector=vector, words=words, spans=spans, checksum=told))
    return given


def _words(opened: DenseArm, rows: NDArray[np.int64], header: exchange.Header) -> Sequence[NDArray[np.uint8] | None]:
    return opened.words(rows) if header.codes else [None] * len(rows)


def _vectors(reader: View, mode: Mode) -> DenseArm | None:
    """The vectors, where the mode asks them."""
    return None if mode == "lexical" else reader.vectors()


def words_for(reader: View, mode: Mode) -> LexicalArm:
    """The lexical side as a mode weighs its fields."""
    lexical = reader.lexical()
    return lexical.weighing(HYBRID_BOOSTS) if mode == "hybrid" else lexical


def build(
    sources: Sources,
    path: PathLike = "index",
    *,
    model: str | None = None,
    fresh: bool = False,
    compact: bool | None = None,
    target_recall: float | None = None,
    precision: Precision | None = None,
    columns: Mapping[str, str] | None = None,
    passage_tokens: int | None = None,
    progress: Progress | None = None,
    encoder: Encoder | None = None,
    cluster: str | None = None,
) -> Index:
    """Make an index of articles, or refresh one; the open index comes back.

    Refreshing reads the sources again, encodes only passages that are new, and drops files that are gone from the folders
    named. Files of other sources stay as they are. What cannot be read is left out and listed in ``index.report.problems``.
    Until all is done the index stays as it was, whatever happens.

    :param sources: a file, folder or glob pattern, or several; or the address of a page or feed, which is fetched.
    :param path: the index directory, or the address of an index that an engine keeps (see `Index.open`); made if it is not there.
    :param model: the bundled model's name, the folder of a sentence-transformers model, or a name on the Hugging Face hub;
        None for the one that the index has, or the default where it is new or ``fresh``.
    :param fresh: forget what the index held, its model included.
    :param compact: leave out the codes of words, which take more than half of the index: questions are ranked by the vectors of
        passages and BM25 alone, and the sentence that matters is told by its words. None as the index is, which is with them
        where it is new.
    :param target_recall: share of the ten nearest passages that the search by meaning finds where there are more than 50,000:
        measured whenever an index is built or has grown, and kept to, by exact search where nothing else gives it. 1 for exact
        search always; None for what the index has, or 0.98 where it is new.
    :param precision: ``int8`` for passages encoded in 8 bits, by a network that is calibrated on 100 of them and kept in the
        index (23 MB for the default model): faster, with not quite the same vectors, and not for models that only
        sentence-transformers can run. None for what the index has, or ``float`` where it is new.
    :param columns: of CSV and Parquet files, and keys of JSONL records, by what they are: ``{"text": "abstract", "title":
        "headline"}``. Where there are none by these names, the usual ones are taken. None for those that were named for a file
        when it was read before.
    :param passage_tokens: tokens of one passage at most, its title and headings included, from 16 to what the model takes: a
        longer paragraph is split at sentence ends. Paragraphs are never joined to fill a passage, so that greater numbers than
        the articles' paragraphs have change nothing. None for what the index has, or what the model takes where it is new;
        another number cuts the articles anew, and what is cut as before is not encoded again.
    :param progress: told how far it is.
    :param encoder: what to encode with, in place of ``model``.
    :param cluster: address of the scheduler of a Dask cluster whose workers encode the passages, ``tcp://HOST:PORT`` or
        ``tls://HOST:PORT``: they have the same semsearch and the same model. The index is the same as without. Needs the extra
        ``cluster``.
    :raises InputError: if a source does not exist or holds no articles, or ``path`` is some other folder.
    :raises IndexLocked: if another process is writing to the index.
    :raises ModelMismatch: if the index was built with another model.
    :raises ModelUnavailable: if the model cannot be found or loaded.
    :raises MissingExtra: if 8 bits are asked for and NNCF is not installed, a cluster is and Dask is not, or what speaks to the
        engine is not.
    :raises EngineError: if an engine that keeps the index cannot be reached, or the cluster fails; what it has encoded is kept,
        and the next build goes on from there.
    """
    return Index.build(
        sources,
        path,
        model=model,
        fresh=fresh,
        compact=compact,
        target_recall=target_recall,
        precision=precision,
        columns=columns,
        passage_tokens=passage_tokens,
        progress=progress,
        encoder=encoder,
        cluster=cluster,
    )


def open(path: PathLike = "index", *, encoder: Encoder | None = None) -> Index:  # noqa: A001
    """Open an index for searching: see `Index.open`."""
    return Index.open(path, encoder=encoder)


def remove(sources: Sources, path: PathLike = "index") -> int:
    """Take articles out of an index; how many files and records there were.

    :param sources: files, folders or records (``file.jsonl#12``) as they were given to `build`; they need not exist.
    :raises InputError: if there is none, or one of them is not in the index; then nothing is removed.
    :raises IndexMissing: if there is no index.
    """
    named = _as_list(sources)
    if not named:
        raise InputError("nothing named to remove: give a file, a folder or a record")
    # Refuses where there is none, which a writer would make.
    engines.open_reader(path).close()
    writer = engines.open_writer(path)
    try:
        removed = writer.remove_sources(named)
        if writer.fingerprint is not None:
            writer.commit(writer.fingerprint, __version__)
    finally:
        writer.close()
    return removed


def ask(
    question: str,
    sources: Sources = (),
    *,
    index: PathLike | None = None,
    k: int = 10,
    mode: Mode = "hybrid",
    where: Where = None,
) -> Results:
    """Answer one question from some articles.

    :param sources: what to index first. Without ``index`` it goes to a temporary folder and is gone afterwards; give
        ``index`` where there is more than one question.
    :param index: an index directory: used as it is without ``sources``, else refreshed from them.
    :raises InputError: as `build` and `Index.search` do, or if there is neither ``sources`` nor ``index``.
    """
    check_query(question)
    check_k(k)
    check_mode(mode)
    filters.parse(where)
    named = _as_list(sources)
    if index is not None:
        opened = build(named, index) if named else open(index)
        with opened:
            return opened.search(question, k, mode=mode, where=where)
    with tempfile.TemporaryDirectory(prefix="semsearch-") as folder, build(named, Path(folder) / "index") as built:
        return built.search(question, k, mode=mode, where=where)


def _as_list(sources: Sources) -> list[str]:
    if isinstance(sources, str | os.PathLike):
        return [os.fspath(sources)]
    return [os.fspath(source) for source in sources]
