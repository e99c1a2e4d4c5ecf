"""`check`: is an index what was written, is its model what it was, do its articles still say it? And what is mended.

What is derived (vectors, words) is made again from the database, which is the truth. A damaged database is made anew from the
articles: that is a build, which `check` only advises.

Deliberately not here: what is compared inside of the index directory (`store.inspection`).
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semsearch import builder, citations, engines, passages
from semsearch import encoder as encoders
from semsearch._version import __version__
from semsearch.errors import IndexCorrupt, InputError, ModelMismatch, ModelUnavailable
from semsearch.protocols import Encoder, PassageText, Progress
from semsearch.records import CheckReport, Citation, Damage, is_engine
from semsearch.store import DATABASE, Reader, network_of, target_of
from semsearch.store.inspection import Inspection, inspect
from semsearch.store.writer import Writer

if TYPE_CHECKING:
    from semsearch.engines import View
    from semsearch.protocols import Fingerprint, Matrix

__all__ = ["check"]

_SAME_QUESTION = 0.9999
"""Cosine that a canary has at least with itself: one engine encodes questions."""
_SAME_PASSAGE = 0.98
"""And a passage: another engine, or another batch in bfloat16, moves one by up to 0.01; another text is rarely above 0.9."""
_SAMPLE = 32


def check(
    path: str | os.PathLike[str] = "index",
    *,
    repair: bool = False,
    sources: bool = False,
    encoder: Encoder | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Compare everything in an index with everything else: see `CheckReport`.

    Every page, file and row with its checksum; every count, span, hash, id and vector's length; the model with its
    fingerprint, with what it made of some texts when the index was built, and with the vectors of some passages.

    Of an index that an engine keeps, whose bytes are the engine's to check, all that it says of itself is compared with all
    that is in it, and the model as above; there is nothing to repair, for nothing is derived.

    :param repair: make again what can be made again from the database: vectors, words, an earlier format.
    :param sources: also read the articles again, and say of each passage whether it still stands where its citation says.
    :param encoder: what to encode with, in place of the model that the index names.
    :raises IndexMissing: if there is no index.
    :raises IndexLocked: if it is to be repaired while another process writes.
    :raises IndexTooNew: if a later semsearch wrote it.
    :raises InputError: if it cannot be read.
    """
    started = time.perf_counter()
    if is_engine(path):
        return _of_engine(path, started, encoder, progress, repair=repair, sources=sources)
    folder = engines.folder_of(path)
    model = _Model(folder, encoder)
    found = inspect(folder)
    model.look(found)
    repaired: list[str] = []
    if repair and not found.unreadable and (found.problems or found.leftovers):
        repaired = _repair(folder, found, model, progress)
        found = inspect(folder)
        model.look(found)
    counted: Counter[str] = Counter()
    changed: list[Citation] = []
    if sources and not found.unreadable and not found.outdated:
        with closing(Reader(folder)) as reader:
            for citation in citations.verify_all(reader, model.of(reader.fingerprint), progress):
                counted[str(citation)] += 1
                if citation != "OK":
                    changed.append(citation)
    return CheckReport(
        problems=tuple(found.problems),
        repaired=tuple(repaired),
        counts=found.counts,
        leftovers=tuple(found.leftovers),
        citations={state: counted[state] for state in ("OK", "MOVED", "STALE")} if sources else {},
        changed=tuple(changed),
        seconds=time.perf_counter() - started,
    )


class _Model:
    """The model of an index, loaded when it is needed."""

    def __init__(self, folder: Path, given: Encoder | None) -> None:
        self._folder = folder
        self._encoder = given

    def of(self, fingerprint: Fingerprint) -> Callable[[], Encoder]:
        """What gives the encoder."""

        def load() -> Encoder:
            if self._encoder is None:
                self._encoder = encoders.load_for(fingerprint, partial(network_of, self._folder))
            if not self._encoder.fingerprint.same_vectors(fingerprint):
                raise ModelMismatch(f"the index was built with {fingerprint.model!r}, not {self._encoder.fingerprint.model!r}")
            return self._encoder

        return load

    def look(self, found: Inspection) -> None:
        """Compare the model with what the index knows of it, as far as the index can be read."""
        if found.fingerprint is None or found.unreadable:
            return
        try:
            encoder = self.of(found.fingerprint)()
        except (ModelMismatch, ModelUnavailable) as error:
            found.add("model", found.fingerprint.model, str(error))
            return
        if found.segments or found.words:
            return
        try:
            with closing(Reader(self._folder)) as reader:
                for damage in _against(reader, encoder, found.counts, found.segments):
                    found.add(*damage)
        except ModelMismatch as error:
            found.add("model", found.fingerprint.model, str(error))
        except IndexCorrupt as error:
            # What was told already need not be told in other words.
            if not found.problems:
                found.add("database", DATABASE, str(error).partition(": make it anew")[0])


def _against(reader: View, encoder: Encoder, counts: dict[str, int], segments: set[str]) -> Iterator[Damage]:
    """What is wrong with the model of an index, or with the vectors of some of its passages.

    :param counts: told how many were compared.
    :param segments: told which have such vectors, where there are segments.
    """
    texts, vectors = reader.canaries()
    if texts:
        counts["canaries"] = len(texts)
        near = _cosines(encoder.encode_queries(texts).vectors, vectors)
        if near.min() < _SAME_QUESTION:
            yield Damage("model", encoder.fingerprint.model, _another_model(float(near.min())))
            return
    rows, stored = reader.sample(_SAMPLE)
    counts["compared"] = len(rows)
    given = [
        PassageText(passages.context(row.title, row.passage.headings), row.passage.text, row.passage.sentences) for row in rows
    ]
    for encoded in encoder.encode_passages(given) if rows else ():
        near = _cosines(encoded.vectors, stored[encoded.positions])
        for position, cosine in zip(encoded.positions, near.tolist(), strict=True):
            if not cosine >= _SAME_PASSAGE:
                row = rows[position]
                if isinstance(reader, Reader):
                    segments.add(reader.segment_of(row.row))
                yield Damage("vectors", row.source, f"the vector of paragraph {row.passage.paragraph} is of another text")


def _of_engine(
    path: str | os.PathLike[str],
    started: float,
    encoder: Encoder | None,
    progress: Progress | None,
    *,
    repair: bool,
    sources: bool,
) -> CheckReport:
    """`check` of an index that an engine keeps.

    :raises InputError: if it is to be repaired.
    """
    if repair:
        raise InputError("an engine mends what it keeps itself: leave --repair out, or make the index anew with --fresh")
    with engines.pinned(path) as reader:
        counts = {name: count for name, count in reader.counts().items() if name != "bytes"}
        problems = list(_contents(reader, counts))
        model: Encoder | None = None
        try:
            model = encoder or encoders.load_for(reader.fingerprint, reader.network)
            if not model.fingerprint.same_questions(reader.fingerprint):
                raise ModelMismatch(f"the index was built with {reader.fingerprint.model!r}, not {model.fingerprint.model!r}")
            problems += _against(reader, model, counts, set())
        except (ModelMismatch, ModelUnavailable) as error:
            problems.append(Damage("model", reader.fingerprint.model, str(error)))
        citations_found: list[Citation] = []
        if sources and model is not None:
            known = model
            citations_found = list(citations.verify_all(reader, lambda: known, progress))
    counted = Counter(map(str, citations_found))
    return CheckReport(
        problems=tuple(problems),
        repaired=(),
        counts=counts,
        leftovers=(),
        citations={state: counted[state] for state in ("OK", "MOVED", "STALE")} if sources else {},
        changed=tuple(citation for citation in citations_found if citation != "OK"),
        seconds=time.perf_counter() - started,
    )


def _contents(reader: View, counts: dict[str, int]) -> Iterator[Damage]:
    """What an index in an engine says of itself and is not so, and articles that have not the passages that they should."""
    files = {file.id for file in reader.files()}
    n_articles = n_passages = 0
    for article in reader.sized_articles():
        n_articles += 1
        (text,) = reader.article_texts([article.id])
        n_passages += len(text.passages)
        if len(text.passages) != article.n_passages:
            yield Damage("passages", article.source, f"it has {len(text.passages):,} of its {article.n_passages:,} passages")
        elif not all(passage.in_place for passage in text.passages):
            yield Damage("passages", article.source, "a passage has spans where none can be")
        if article.file not in files:
            yield Damage("passages", article.source, "it is of no file")
    for name, found in (("files", len(files)), ("articles", n_articles), ("passages", n_passages)):
        if counts[name] != found:
            yield Damage("database", name, f"there are {found:,}, and the index says {counts[name]:,}")


def _cosines(mine: Matrix, stored: Matrix) -> Matrix:
    return np.asarray((mine * stored).sum(axis=1), np.float32)


def _another_model(cosine: float) -> str:
    return (
        f"the model gives other vectors than when the index was built (cosine {cosine:.4f}): "
        f"remove its export in {encoders.cache_folder()} and check again"
    )


def _repair(folder: Path, found: Inspection, model: _Model, progress: Progress | None) -> list[str]:
    """Make again what is derived; what was done, in words."""
    done: list[str] = []
    writer = Writer(folder)
    try:
        fingerprint = writer.fingerprint
        if fingerprint is None:
            return done
        if found.outdated:
            done.append("brought the index to this version's format")
        if found.problems:
            writer.must_commit()
        writer.forget_segments(found.segments)
        if found.words or found.outdated:
            writer.forget_words()
            done.append("made the words anew")
        measure = None
        if not writer.canaries() or writer.unencoded():
            encoder = model.of(fingerprint)()
            encoded = builder.encode(writer, encoder, progress, compact=writer.meta.get("codes") == builder.NO_CODES)
            builder.set_canaries(writer, encoder)
            done += [f"encoded {encoded:,} passages anew"] if encoded else []
            measure = partial(builder.measured, writer, encoder, target_of(writer.meta))
        else:
            writer.forget_spent()
        writer.commit(fingerprint, __version__, measure=measure)
    finally:
        writer.close()
    if set(found.leftovers) - set(inspect(folder).leftovers):
        done.append("removed what unfinished runs left")
    return done
