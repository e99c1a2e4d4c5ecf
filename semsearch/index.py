"""`Index`: articles in, ranked passages out.

A question's passages come from the dense arm: the passages nearest to the question by the cosine of their vectors, ranked
by the mean of that cosine and the cosine of their best sentence. The sentence vectors are pooled from the token vectors of
the same pass through the model ("late pooling"), so they cost nothing but their place on disk; alone they lifted
nDCG@10 on questions over mixed Wikipedia passages from 0.874 to 0.910.

Deliberately not here: building (`builder`), SQL and files (`store`), how results look (`render`), printing (`cli`).
"""

from __future__ import annotations

import operator
import os
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from semsearch import encoder as encoders
from semsearch import vectors
from semsearch._version import __version__
from semsearch.errors import IndexCorrupt, InputError, ModelMismatch
from semsearch.protocols import Encoder, Progress
from semsearch.records import BuildReport, Highlight, Hit, Mode
from semsearch.results import Results
from semsearch.store import PassageRow, Reader, Writer

if TYPE_CHECKING:
    from semsearch.protocols import Matrix
    from semsearch.vectors import Segment

__all__ = ["Index", "ask", "build", "open", "remove"]

Sources = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
PathLike = str | os.PathLike[str]

CANDIDATES = 100
"""Passages whose sentences are compared with the question, at least; five times k where that is more."""
ANSWERABLE = 0.25
"""A best hit below this score is not believed to answer (``benchmarks/README.md`` has scores of right and of wrong answers)."""
_DECIMALS = 6
_MAX_K = 10_000


class Index:
    """An open index: one generation, which stays the same while it is open, and the model it was built with.

    A context manager; `close` lets go of every handle. Made by `build` and `open`. ``report`` says what the build did
    (None for an index that was opened). Threads may share it.
    """

    def __init__(self, reader: Reader, encoder: Encoder | None = None, report: BuildReport | None = None) -> None:
        self._reader = reader
        self._encoder = encoder
        self._encoding = threading.Lock()
        self.report = report

    @classmethod
    def open(cls, path: PathLike = "index", *, encoder: Encoder | None = None) -> Index:
        """Open an index for searching; the model is loaded with the first question.

        :param path: the index directory.
        :param encoder: what to encode with, in place of the model that the index names.
        :raises IndexMissing: if there is none.
        :raises IndexCorrupt: if its files do not agree with each other.
        :raises IndexTooNew: if a later version wrote it.
        :raises ModelMismatch: if ``encoder`` is of another model.
        """
        reader = Reader(Path(path))
        if encoder is not None and not encoder.fingerprint.same_vectors(reader.fingerprint):
            reader.close()
            raise ModelMismatch(
                f"the index {path} was built with {reader.fingerprint.model!r}, not {encoder.fingerprint.model!r}: "
                "open it without an encoder"
            )
        return cls(reader, encoder)

    @classmethod
    def build(
        cls,
        sources: Sources,
        path: PathLike = "index",
        *,
        model: str | None = None,
        fresh: bool = False,
        progress: Progress | None = None,
        encoder: Encoder | None = None,
    ) -> Index:
        """Make an index of articles, or refresh one: see `build`."""
        started = time.perf_counter()
        # Not at the top: see the module.
        from semsearch.builder import Builder

        builder = Builder(Path(path), _as_list(sources), fresh)
        try:
            counts, used = builder.run(model, encoder, progress)
        finally:
            builder.close()
        reader = Reader(Path(path))
        try:
            totals = reader.counts()
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
        return cls(reader, used, report)

    def __enter__(self) -> Index:
        """The index itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every handle."""
        self.close()

    def close(self) -> None:
        """Close every handle; searching is over."""
        self._reader.close()

    def search(self, query: str, k: int = 10, *, mode: Mode = "dense") -> Results:
        """The passages that answer a question best.

        :param k: how many, at most; fewer come back where the index has fewer.
        :raises InputError: if the question is empty, ``k`` is not in 1..10,000, or there is no such mode.
        :raises ModelMismatch: if the model is no longer what the index was built with.
        :raises ModelUnavailable: if the model cannot be found.
        """
        return self.search_many([query], k, mode=mode)[0]

    def search_many(self, queries: Sequence[str], k: int = 10, *, mode: Mode = "dense") -> list[Results]:
        """`search` for each question, faster than one by one; ``took_ms`` is the mean time of each."""
        if isinstance(queries, str):
            raise InputError("search_many takes a list of questions: use search for one")
        cleaned = [check_query(query) for query in queries]
        k = check_k(k)
        check_mode(mode)
        segments = self._reader.segments()
        if not cleaned:
            return []
        # An encoder is for one thread at a time.
        with self._encoding:
            encoder = self._loaded()
            started = time.perf_counter()
            query_vectors = encoder.encode_queries(cleaned)
        found = vectors.search(segments, query_vectors, max(CANDIDATES, 5 * k))
        ranked = [self._rank(segments, vector, rows, k) for vector, rows in zip(query_vectors, found, strict=True)]
        took = (time.perf_counter() - started) * 1000 / len(cleaned)
        return [
            Results(query, mode, took, bool(hits) and hits[0].score >= ANSWERABLE, hits)
            for query, hits in zip(queries, ranked, strict=True)
        ]

    def status(self) -> dict[str, Any]:
        """Facts on the index, as ``status --json`` prints them."""
        counts = self._reader.counts()
        meta = self._reader.meta
        return {
            "articles": counts["articles"],
            "passages": counts["passages"],
            "files": counts["files"],
            "model": self._reader.fingerprint.model,
            "dimension": self._reader.fingerprint.dimension,
            "max_tokens": self._reader.fingerprint.max_tokens,
            "generation": int(meta["generation"]),
            "bytes": counts["bytes"],
            "format": int(meta["format"]),
            "written_by": meta["version"],
            "path": str(self._reader.home),
        }

    def _loaded(self) -> Encoder:
        if self._encoder is None:
            self._encoder = encoders.load_for(self._reader.fingerprint)
        return self._encoder

    def _rank(self, segments: list[Segment], query: Matrix, found: vectors.Found, k: int) -> tuple[Hit, ...]:
        """The best k of the rows found, by passage and best sentence together."""
        scored: list[tuple[float, int, int]] = []
        for segment in segments:
            inside = (found.rows >= segment.first_row) & (found.rows < segment.first_row + segment.n_rows)
            for row, cosine in zip(found.rows[inside].tolist(), found.scores[inside].tolist(), strict=True):
                similarities = segment.sentences(row) @ query
                best = int(similarities.argmax()) if len(similarities) else 0
                strongest = float(similarities[best]) if len(similarities) else cosine
                # Rounded, for the last bits hang on how many questions are asked at once, and would tell equals apart.
                scored.append((round((cosine + strongest) / 2, _DECIMALS), row, best))
        scored.sort(reverse=True)
        # Row numbers tell of the index's history: equal scores are told apart by where the passages stand instead.
        least = scored[:k][-1][0] if scored else 0.0
        top = {row: (score, best) for score, row, best in scored if score >= least}
        passages = sorted(self._reader.passages(list(top), k), key=lambda item: -top[item.row][0])
        return tuple(_hit(rank, item, *top[item.row]) for rank, item in enumerate(passages[:k], 1))


def _hit(rank: int, item: PassageRow, score: float, best: int) -> Hit:
    passage = item.passage
    score = min(1.0, max(0.0, score))
    if not passage.sentences:
        highlight = Highlight(passage.start, passage.end, passage.text)
    elif best < len(passage.sentences):
        start, end = passage.sentences[best]
        highlight = Highlight(*passage.sentence_spans[best], passage.text[start:end])
    else:
        raise IndexCorrupt(f"sentences of {item.source} and their vectors differ: remove the index and index the articles again")
    return Hit(
        rank=rank,
        score=score,
        text=passage.text,
        title=item.title,
        source=item.source,
        start=passage.start,
        end=passage.end,
        line=passage.line,
        paragraph=passage.paragraph,
        heading=" › ".join(passage.headings),
        highlight=highlight,
        scores={"dense": score, "lexical": None},
        metadata=item.metadata,
        path=item.path,
    )


def build(
    sources: Sources,
    path: PathLike = "index",
    *,
    model: str | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
    encoder: Encoder | None = None,
) -> Index:
    """Make an index of articles, or refresh one; the open index comes back.

    Refreshing reads the sources again, encodes only passages that are new, and drops files that are gone from the folders
    named. Files of other sources stay as they are. What cannot be read is left out and listed in ``index.report.problems``.
    Until all is done the index stays as it was, whatever happens.

    :param sources: a file, folder or glob pattern, or several.
    :param path: the index directory; made if it is not there.
    :param model: the bundled model's name, the folder of a sentence-transformers model, or a name on the Hugging Face hub;
        None for the one that the index has, or the default where it is new or ``fresh``.
    :param fresh: forget what the index held, its model included.
    :param progress: told how far it is.
    :param encoder: what to encode with, in place of ``model``.
    :raises InputError: if a source does not exist or holds no articles, or ``path`` is some other folder.
    :raises IndexLocked: if another process is writing to the index.
    :raises ModelMismatch: if the index was built with another model.
    :raises ModelUnavailable: if the model cannot be found or loaded.
    """
    return Index.build(sources, path, model=model, fresh=fresh, progress=progress, encoder=encoder)


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
    Reader(Path(path)).close()
    writer = Writer(Path(path))
    try:
        removed = writer.remove_sources(named)
        if writer.fingerprint is not None:
            writer.commit(writer.fingerprint, __version__)
    finally:
        writer.close()
    return removed


def ask(question: str, sources: Sources = (), *, index: PathLike | None = None, k: int = 10, mode: Mode = "dense") -> Results:
    """Answer one question from some articles.

    :param sources: what to index first. Without ``index`` it goes to a temporary folder and is gone afterwards; give
        ``index`` where there is more than one question.
    :param index: an index directory: used as it is without ``sources``, else refreshed from them.
    :raises InputError: as `build` and `Index.search` do, or if there is neither ``sources`` nor ``index``.
    """
    check_query(question)
    check_k(k)
    check_mode(mode)
    named = _as_list(sources)
    if index is not None:
        opened = build(named, index) if named else open(index)
        with opened:
            return opened.search(question, k, mode=mode)
    with tempfile.TemporaryDirectory(prefix="semsearch-") as folder, build(named, Path(folder) / "index") as built:
        return built.search(question, k, mode=mode)


def check_query(query: str) -> str:
    """A question as the encoder gets it.

    :raises InputError: if it is empty.
    """
    if not isinstance(query, str):
        raise InputError(f"the question is {query!r}: give a string")
    cleaned = query.encode("utf-8", "replace").decode("utf-8").replace("\0", " ").strip()
    if not cleaned:
        raise InputError("the question is empty: give a few words")
    return cleaned


def check_k(k: int) -> int:
    """A number of hits that makes sense, as an int of Python's own.

    :raises InputError: if it is not in 1..10,000.
    """
    try:
        number = operator.index(k)
    except TypeError:
        number = 0
    if not 1 <= number <= _MAX_K:
        raise InputError(f"k is {k!r}: give a whole number from 1 to {_MAX_K:,}")
    return number


def check_mode(mode: str) -> None:
    """Refuse a way of ranking that there is not.

    :raises InputError: if it is none of `Mode`.
    """
    if mode not in get_args(Mode):
        raise InputError(f"no mode {mode!r}: use {' or '.join(map(repr, get_args(Mode)))}")


def _as_list(sources: Sources) -> list[str]:
    if isinstance(sources, str | os.PathLike):
        return [os.fspath(sources)]
    return [os.fspath(source) for source in sources]
