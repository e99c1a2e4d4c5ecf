"""A run over the sources of an index: read what changed, encode what is new, forget what is gone, commit.

Imported only to build: it takes the parsers of articles, which a search does without.

Deliberately not here: searching, SQL and files (`store`), how articles are read and cut (`articles`, `passages`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from semsearch import articles, engines, passages, signs
from semsearch import encoder as encoders
from semsearch._version import __version__
from semsearch.cutting import Cutting, check_passage_tokens
from semsearch.errors import InputError, ModelMismatch
from semsearch.protocols import Encoder, PassageText, Progress
from semsearch.records import Article, Precision, Problem
from semsearch.store import SEGMENT_ROWS, Codes, embedding_hash, recall_of, target_of
from semsearch.store.writer import Writer
from semsearch.vectors import EXACT_ROWS, measure

if TYPE_CHECKING:
    from semsearch.articles import SourceFile
    from semsearch.cluster import Spread
    from semsearch.engines import AnyWriter
    from semsearch.store import FileRow

__all__ = ["CANARIES", "NO_CODES", "NO_SENTENCES", "NO_TOKENS", "Builder", "Run", "encode", "measured", "set_canaries"]

logger = logging.getLogger("semsearch")

CANARIES = (
    "What aid was offered?",
    "The council met in the old town hall on a Thursday in March.",
    "Größe, naïveté, 東京, Москва and a_long_identifier_42",
    "no",
)
"""Texts whose vectors an index keeps: a model that gives others now is another one, whatever it says of itself."""
NO_CODES = "none"
"""What an index says of its codes that has none of words."""
_FLOAT: Precision = "float"
_INT8: Precision = "int8"
_HELD = 400
"""Questions that the recall is measured with: a few words in a row out of all parts of the index."""
_WORDS = 3
"""In so many. Of a million passages 400 picked rows had 0.99 of the nearest to whole sentences, 0.93 of those to real questions
whose answers are not there; three words need as many rows as these (``benchmarks/README.md``)."""
_GROWN = 0.1
"""Part of its rows by which an index has grown or shrunk when the recall is measured again."""
NO_TOKENS = np.empty((0, signs.WIDTH), np.uint8)
NO_SENTENCES = np.empty((0, 2), np.int32)


def _is_missing(path: Path) -> bool:
    """Return True if there is no file at a path, or its path leads through a link now; False if the system denies the answer."""
    try:
        return not stat.S_ISREG(path.stat().st_mode) or os.path.realpath(path) != str(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


class Run(ABC):
    """One run of the writer of an index: whatever `_read` finds goes in, what is new is encoded, all is committed.

    :param whole: take each article as one passage, as `passages.whole` does, and not by its paragraphs; without codes of words,
        for what is taken whole is ranked by its cosine alone.
    :param compact: without codes of words; None as the index is, which is with them where it is new.
    :param target_recall: in 0..1; None for that which the index has, or 0.98.
    :param precision: None for that which the index has, or ``float``.
    :param columns: of tables and records, by what they are: ``text``, ``title``; None for those that a file was read with before.
    :param passage_tokens: of one passage at most; None for that which the index has, or what the model takes.
    :raises InputError: if the index has codes of words where there are to be none, or another precision, or the reverse.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fresh: bool,
        *,
        whole: bool = False,
        compact: bool | None = None,
        target_recall: float | None = None,
        precision: Precision | None = None,
        columns: Mapping[str, str] | None = None,
        passage_tokens: int | None = None,
    ) -> None:
        self._whole = whole
        self.problems: list[Problem] = []
        self._writer = engines.open_writer(path, fresh=fresh)
        try:
            self._compact = self._chosen(compact)
            self._quantized = self._in_eight_bits(precision)
            self._target = target_recall or target_of(self._writer.meta)
            self._columns = None if columns is None else _named(columns)
            self._asked_tokens = passage_tokens
            self._stored = Cutting.parse(self._writer.meta.get("passages", ""))
            tokens = None if whole else passage_tokens or self._stored.tokens
            self._cutting = Cutting(str(passages.VERSION), whole, tokens)
        except BaseException:
            self._writer.close()
            raise

    def _chosen(self, compact: bool | None) -> bool:
        """Whether the index goes without codes of words."""
        stored = self._writer.meta.get("codes") == NO_CODES
        if self._whole or compact is None or self._writer.fingerprint is None:
            return self._whole or stored or bool(compact)
        if compact != stored:
            raise InputError(
                f"the index was built {'without' if stored else 'with'} codes of words: add --fresh to build it the other way"
            )
        return stored

    def _in_eight_bits(self, precision: Precision | None) -> bool:
        """Whether passages are encoded in 8 bits."""
        stored = self._writer.meta.get("precision", _FLOAT)
        if precision not in (None, _FLOAT, _INT8):
            raise InputError(f"there is no precision {precision!r}: {_FLOAT} or {_INT8}")
        if precision is not None and self._writer.fingerprint is not None and precision != stored:
            raise InputError(f"the index was encoded in {stored}: add --fresh to build it in {precision}")
        quantized = (precision or stored) == _INT8
        if quantized and not self._writer.keeps_networks:
            raise InputError("an index that an engine keeps is encoded in float: leave the precision out")
        if quantized and self._writer.fingerprint is None:
            encoders.check_calibrates()
        return quantized

    def close(self) -> None:
        """Let go of the index; what was not committed is given up."""
        self._writer.close()

    def run(
        self, model: str | None, encoder: Encoder | None, progress: Progress | None, spread: Spread | None = None
    ) -> tuple[dict[str, int], Encoder | None]:
        """Counts for the report, and the encoder that was used; None where the model had nothing to do and was not loaded.

        :param spread: makes the encoder one whose passages a cluster encodes.
        """
        encoder = encoder or self._load(model)
        stored = self._writer.fingerprint
        if stored is not None and not stored.same_vectors(encoder.fingerprint):
            raise ModelMismatch(
                f"the index was built with {stored.model!r} as it was then, not with {encoder.fingerprint.model!r}: "
                "add --fresh to build it anew from these sources, or give another --index"
            )
        self._cutting = self._checked(encoder)
        started = time.perf_counter()
        counts = self._read(encoder, progress)
        logger.debug("read in %.2f s: %s", time.perf_counter() - started, counts)
        network = b""
        if self._quantized and not encoder.fingerprint.quantized:
            encoder, network = self._calibrated(encoder, progress)
        spreading = encoder
        if spread:
            spreading = spread(encoder, lambda: network or self._writer.network())
        started = time.perf_counter()
        encoded = encode(self._writer, spreading, progress, compact=self._compact, network=network)
        logger.debug("encoded %d passages in %.2f s", encoded, time.perf_counter() - started)
        set_canaries(self._writer, encoder)
        facts = {"passages": str(self._cutting), "target_recall": str(self._target)}
        if self._quantized:
            facts["precision"] = _INT8
        if self._compact:
            facts["codes"] = NO_CODES
        if encoded:
            facts["engine"] = spreading.engine
        started = time.perf_counter()
        # How near an engine finds the nearest is the engine's to say.
        measure = partial(measured, self._writer, encoder, self._target) if isinstance(self._writer, Writer) else None
        generation = self._writer.commit(encoder.fingerprint, __version__, facts, measure)
        logger.debug("generation %d committed in %.2f s", generation, time.perf_counter() - started)
        return {**counts, "encoded": encoded}, encoder.loaded if isinstance(encoder, encoders.DeferredEncoder) else encoder

    def _checked(self, encoder: Encoder) -> Cutting:
        """How articles are cut, now that it is known what the model takes; the model is not asked about what is as it was."""
        asked = self._asked_tokens
        if asked is None or asked == self._stored.tokens:
            return self._cutting
        check_passage_tokens(asked, encoder.passage_tokens)
        # As long as the model takes them is the default, and is noted as such.
        return self._cutting._replace(tokens=None if asked == encoder.passage_tokens else asked)

    def _load(self, model: str | None) -> Encoder:
        stored = self._writer.fingerprint
        network = self._writer.network
        if stored is not None and model is None:
            return encoders.load_when_needed(stored, network)
        encoder = encoders.load(model or encoders.DEFAULT_MODEL)
        if stored is not None and stored.quantized and stored.same_questions(encoder.fingerprint):
            return encoders.load_for(stored, network)
        return encoder

    def _calibrated(self, encoder: Encoder, progress: Progress | None) -> tuple[Encoder, bytes]:
        """The encoder with a network in 8 bits, calibrated on passages from all over the index, and the network."""
        pending = self._writer.unencoded()
        network = self._writer.unfinished_network(encoder.fingerprint, _kind(self._compact))
        if network is None:
            places = np.unique(np.linspace(0, len(pending) - 1, encoders.SAMPLES).astype(int)).tolist()
            texts = _texts(self._writer, [pending[place] for place in places])
            if progress:
                progress("calibrating", 0, 1)
            fingerprint, network = encoders.calibrated(encoder, texts)
            if progress:
                progress("calibrating", 1, 1)
        else:
            fingerprint = replace(encoder.fingerprint, quantized=hashlib.sha256(network).hexdigest())
        self._writer.set_network(network)
        return encoders.load_for(fingerprint, lambda: network), network

    @abstractmethod
    def _read(self, encoder: Encoder, progress: Progress | None) -> dict[str, int]:
        """Bring files, articles and passages up to date; counts of files by what happened to them."""


class Builder(Run):
    """A run over the sources: read what changed, encode what is new, forget what is gone.

    The other parameters are those of `Run`.

    :raises InputError: if there are no articles; as `Run` does.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sources: list[str],
        fresh: bool,
        *,
        whole: bool = False,
        compact: bool | None = None,
        target_recall: float | None = None,
        precision: Precision | None = None,
        columns: Mapping[str, str] | None = None,
        passage_tokens: int | None = None,
    ) -> None:
        self._found = articles.find(sources)
        problems = list(self._found.problems)
        if not self._found.files:
            reason = f"; {problems[0].source}: {problems[0].reason}" if problems else ""
            kinds = " ".join(sorted(articles.SUFFIXES))
            raise InputError(f"no articles in {', '.join(sources)}{reason}: semsearch reads {kinds}")
        super().__init__(
            path,
            fresh,
            whole=whole,
            compact=compact,
            target_recall=target_recall,
            precision=precision,
            columns=columns,
            passage_tokens=passage_tokens,
        )
        self.problems += problems

    def close(self) -> None:
        """Let go of the index, and of the process in which documents were read."""
        super().close()
        articles.close()

    def _read(self, encoder: Encoder, progress: Progress | None) -> dict[str, int]:
        """Bring files, articles and passages up to date; counts of files by what happened to them."""
        rows = self._writer.files()
        known = {stored if row.is_address else self._writer.real_path(stored): row for stored, row in rows.items()}
        current = self._stored == self._cutting
        missing_library: dict[str, list[str]] = defaultdict(list)
        counts = dict.fromkeys(("added", "changed", "removed", "unchanged"), 0)
        for done, file in enumerate(self._found.files):
            if progress:
                progress("reading", done, len(self._found.files))
            before = known.pop(file.key, None)
            data, digest = self._load_bytes(file)
            if isinstance(data, articles.Missing):
                # It is new again once the library is there.
                missing_library[str(data)].append(file.source)
                counts["unchanged"] += before is not None
                continue
            if before and isinstance(data, articles.Unreadable):
                # It may be readable again next time, and its passages need not be encoded again then.
                kept = "; kept as it was indexed" if self._writer.has_articles(before.id) else ""
                self.problems.append(Problem(file.source, f"{data}{kept}"))
                counts["unchanged"] += 1
                continue
            columns = self._columns_for(file, before)
            if before and before.sha256 == digest and current and before.columns == columns:
                counts["unchanged"] += 1
                self.problems += before.problems
                if before.source != file.source:
                    self._writer.relabel(before.id, file.source)
                continue
            if before:
                self._writer.remove_files([before.id])
            readable = self._add(file, data, digest, columns, encoder)
            if before or readable:
                counts["changed" if before else "added"] += 1
        for reason, sources in missing_library.items():
            more = f" and {len(sources) - 1:,} more" if len(sources) > 1 else ""
            self.problems.append(Problem(f"{sources[0]}{more}", reason))
        if self.problems and not any(counts.values()):
            worst = self.problems[0]
            raise InputError(f"nothing could be read: {worst.source}: {worst.reason}")
        missing = {path: row for path, row in known.items() if isinstance(path, Path) and _is_missing(path)}
        gone = [row.id for path, row in missing.items() if self._found.looked_for(path)]
        self._writer.remove_files(gone)
        counts["removed"] = len(gone)
        if len(missing) > len(gone):
            stale = next(row.source for row in missing.values() if row.id not in gone)
            logger.warning(
                "%d indexed files are no longer there (%s): semsearch remove takes them out", len(missing) - len(gone), stale
            )
        if progress:
            progress("reading", len(self._found.files), len(self._found.files))
        return counts

    def _load_bytes(self, file: SourceFile) -> tuple[bytes | InputError, bytes]:
        """The bytes of a file, or what is wrong with it, and what it is known by."""
        try:
            data = articles.load(file)
        except InputError as error:
            return error, hashlib.sha256(str(error).encode()).digest()
        return data, hashlib.sha256(data).digest()

    def _columns_for(self, file: SourceFile, before: FileRow | None) -> Mapping[str, str]:
        """The columns to read a file with: those named now, or else when it was read before."""
        if file.kind not in articles.NAMED:
            return {}
        return (before.columns if before else {}) if self._columns is None else self._columns

    def _add(
        self, file: SourceFile, data: bytes | InputError, digest: bytes, columns: Mapping[str, str], encoder: Encoder
    ) -> int:
        """Add a file with what can be read of it; how many articles that is."""
        problems: list[Problem] = []
        count = 0
        row = self._writer.add_file(file.address or self._writer.stored_path(file.path), file.source, digest, columns)
        with closing(self._items(file, data, columns)) as items:
            for item in items:
                if isinstance(item, Problem):
                    problems.append(item)
                    continue
                if self._whole:
                    item, cut = passages.whole(item)
                else:
                    cut = passages.cut(item, self._cutting.limit(encoder.passage_tokens), encoder.count_tokens)
                hashed = [
                    (
                        passage,
                        embedding_hash(
                            PassageText(passages.context(item.title, passage.headings), passage.text, passage.sentences)
                        ),
                    )
                    for passage in cut
                ]
                self._writer.add_article(row, item.source.removeprefix(file.source), item, hashed)
                count += 1
        self._writer.set_problems(row, problems)
        self.problems += problems
        return count

    def _items(
        self, file: SourceFile, data: bytes | InputError, columns: Mapping[str, str]
    ) -> Generator[Article | Problem, None, None]:
        if isinstance(data, InputError):
            yield Problem(file.source, str(data))
        else:
            yield from articles.read(file, data, columns)


def _named(columns: Mapping[str, str]) -> dict[str, str]:
    """Columns that were named.

    :raises InputError: if they are named for something else than there is.
    """
    unknown = [role for role in columns if role not in articles.COLUMNS]
    if unknown:
        raise InputError(f"no column can be named for {unknown[0]!r}, only for {' and '.join(articles.COLUMNS)}")
    return dict(columns)


def _kind(compact: bool) -> str:
    """What is kept of an unfinished build depends on, beside the model."""
    return NO_CODES if compact else ""


def _texts(writer: AnyWriter, hashes: list[bytes]) -> list[PassageText]:
    """What the encoder is given of texts, in the order of their hashes."""
    return [
        PassageText(passages.context(title, headings), text, spans)
        for title, headings, text, spans in writer.passage_texts(hashes)
    ]


def encode(writer: AnyWriter, encoder: Encoder, progress: Progress | None, *, compact: bool = False, network: bytes = b"") -> int:
    """Give every text of an index that has none its vector; how many were given to the encoder.

    What an interrupted build has encoded is taken over.

    :param compact: without the codes of words.
    :param network: in 8 bits, where it was calibrated for what is encoded now.
    """
    writer.go_on(encoder.fingerprint, _kind(compact), network)
    pending = writer.unencoded()
    encoded = done = 0
    for first in range(0, len(pending), SEGMENT_ROWS):
        segment = _Segment(pending[first : first + SEGMENT_ROWS], encoder.fingerprint.dimension)
        kept = writer.kept(segment.hashes)
        missing = [place for place, embedding in enumerate(segment.hashes) if embedding not in kept]
        for place, embedding in enumerate(segment.hashes):
            if embedding in kept:
                segment.put(place, *kept.pop(embedding))
        done += len(segment.hashes) - len(missing)
        texts = _texts(writer, [segment.hashes[place] for place in missing])
        for batch in encoder.encode_passages(texts):
            chosen = [missing[position] for position in batch.positions]
            codes = Codes([NO_TOKENS] * len(chosen), [NO_SENTENCES] * len(chosen))
            if not compact:
                codes = Codes(batch.tokens, batch.sentences)
            for place, vector, tokens, sentences in zip(chosen, batch.vectors, *codes, strict=True):
                segment.put(place, vector, tokens, sentences)
            writer.keep([segment.hashes[place] for place in chosen], batch.vectors, codes)
            if progress:
                progress("encoding", done, len(pending))
            done += len(chosen)
            encoded += len(chosen)
        writer.add_vectors(segment.hashes, segment.vectors, segment.codes)
    if progress and pending:
        progress("encoding", len(pending), len(pending))
    return encoded


class _Segment:
    """The vectors of some texts, in the making."""

    def __init__(self, hashes: list[bytes], dimension: int) -> None:
        self.hashes = hashes
        self.vectors = np.empty((len(hashes), dimension), np.float32)
        self._tokens = [NO_TOKENS] * len(hashes)
        self._sentences = [NO_SENTENCES] * len(hashes)

    @property
    def codes(self) -> Codes:
        """As they are by now."""
        return Codes(self._tokens, self._sentences)

    def put(self, place: int, vector: NDArray[np.float32], tokens: NDArray[np.uint8], sentences: NDArray[np.int32]) -> None:
        self.vectors[place], self._tokens[place], self._sentences[place] = vector, tokens, sentences


def measured(writer: Writer, encoder: Encoder, target: float) -> dict[str, str]:
    """Facts for the index on its recall: measured where it has many rows, and others than when it was measured last."""
    before = recall_of(writer.meta)
    n_rows = writer.n_rows()
    if n_rows <= EXACT_ROWS:
        return {} if before is None else {"recall": ""}
    if before is not None and before.target == target and abs(n_rows - before.n_rows) <= _GROWN * before.n_rows:
        return {}
    with writer.vectors(encoder.fingerprint.dimension) as vectors:
        recall = measure(vectors, encoder.encode_queries(writer.snippets(_HELD, _WORDS)).vectors, target)
    if recall.depth is None and target < 1:
        logger.warning("recall %.3f where %.3f was asked for: every search goes over all vectors", recall.recall, target)
    return {"recall": json.dumps(recall._asdict())}


def set_canaries(writer: AnyWriter, encoder: Encoder) -> None:
    """Keep what the model makes of some texts, if the index has not kept it yet."""
    if writer.canaries() != sorted(CANARIES):
        writer.set_canaries(CANARIES, encoder.encode_queries(CANARIES).vectors)
