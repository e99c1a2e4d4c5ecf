"""Passages that another index exported, put into this one: nothing is read but their file.

One transaction as any build. Vectors and codes are taken where they are of the model that encodes here, and each where it
belongs to its text (`exchange.checksum`); all else is encoded. A sample of those that are taken is compared with what the model
makes of their texts. Passages of a file that the index has already take the place of that file's.

Deliberately not here: what a file of passages may hold (`exchange`), and reading articles (`builder`).
"""

from __future__ import annotations

import logging
import os
import shlex
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from semsearch import engines, exchange, passages, signs
from semsearch.builder import Run
from semsearch.cutting import LEAST_TOKENS, Cutting
from semsearch.errors import InputError
from semsearch.exchange import Row, Source
from semsearch.protocols import Encoder, PassageText, Progress
from semsearch.records import Article, BuildReport, Passage, Precision
from semsearch.store import SEGMENT_ROWS, Codes, embedding_hash

if TYPE_CHECKING:
    from semsearch.engines import AnyWriter

__all__ = ["import_passages"]

logger = logging.getLogger("semsearch")

_SAMPLED = 32
"""Vectors that are compared with what the model makes of their texts: eight of each of the first segments."""
_OF_A_SEGMENT = 8
_SAME = 0.98
"""Cosine of a passage with itself, by another engine or in another batch, at least: as `checking` has it."""
_TOLD = 512
_NO_TOKENS = np.empty((0, signs.WIDTH), np.uint8)
_NO_SENTENCES = np.empty((0, 2), np.int32)


def import_passages(
    file: str | os.PathLike[str],
    path: str | os.PathLike[str] = "index",
    *,
    model: str | None = None,
    fresh: bool = False,
    compact: bool | None = None,
    target_recall: float | None = None,
    precision: Precision | None = None,
    encode: bool = False,
    progress: Progress | None = None,
    encoder: Encoder | None = None,
) -> BuildReport:
    """Put the passages that `Index.export` wrote into an index; made if it is not there.

    With vectors of the model that the index has nothing is encoded, and it answers as the index did that was exported. The
    articles themselves are not needed; where they lie as they did, the next `build` reads them, and encodes only what is new.

    :param file: ``.jsonl`` or ``.parquet``.
    :param path: the index directory; what it holds of other files stays.
    :param model: as `build` takes it. The model that the file names is never loaded by that name alone.
    :param encode: take no vectors, and encode all texts.
    :raises InputError: if the file is none of ours, or damaged; then the index is as it was.
    :raises MissingExtra: for Parquet, if pyarrow is not installed.
    :raises IndexLocked: if another process is writing to the index.
    :raises ModelMismatch: if the index was built with another model.
    :raises ModelUnavailable: if the model cannot be found or loaded.
    """
    started = time.perf_counter()
    with exchange.reading(Path(file)) as source:
        options = _Options(fresh, compact, target_recall, precision, encode)
        importer = _Importer(path, Path(file), source, options)
        try:
            counts, _ = importer.run(model, encoder, progress)
        finally:
            importer.close()
    with closing(engines.open_reader(path)) as reader, reader.pinned() as pinned:
        totals = pinned.counts()
    return BuildReport(
        articles=totals["articles"],
        passages=totals["passages"],
        **counts,
        seconds=time.perf_counter() - started,
        problems=tuple(importer.problems),
    )


class _Options(NamedTuple):
    fresh: bool
    compact: bool | None
    target_recall: float | None
    precision: Precision | None
    encode: bool


class _Importer(Run):
    def __init__(self, path: str | os.PathLike[str], file: Path, source: Source, options: _Options) -> None:
        self._file = file
        self._source = source
        self._anew = options.encode
        if not source.header.n_passages:
            raise InputError(f"{file} has no passages: nothing was imported")
        super().__init__(
            path,
            options.fresh,
            compact=options.compact,
            target_recall=options.target_recall,
            precision=options.precision,
        )
        # An index whose articles were cut otherwise is to cut them anew all the same when it is refreshed; a new one is cut as
        # the one that was exported.
        stored = self._writer.meta.get("passages")
        if stored is not None:
            self._cutting = Cutting.parse(stored)
        elif (cut := Cutting.parse(source.header.cut)).tokens is not None and cut.tokens >= LEAST_TOKENS:
            self._cutting = self._cutting._replace(tokens=cut.tokens)

    def _chosen(self, compact: bool | None) -> bool:
        """Whether the index goes without codes of words: as the one that was exported, where it is new."""
        header = self._source.header
        if compact is None and self._writer.fingerprint is None and header.vectors and not header.codes:
            compact = True
        return super()._chosen(compact)

    def _read(self, encoder: Encoder, progress: Progress | None) -> dict[str, int]:
        header = self._source.header
        known = self._writer.files()
        counts = dict.fromkeys(("added", "changed", "removed", "unchanged"), 0)
        taken = None
        if self._takes_vectors(encoder):
            taken = _Taken(self._writer, encoder, self._file, compact=self._compact)
        # Their tokens were counted by this model, as many as it takes now.
        fitting = header.cut == str(self._cutting) and header.fingerprint.same_questions(encoder.fingerprint)
        seen: set[str] = set()
        for exported, rows in groupby(self._told(progress), attrgetter("path")):
            path = self._writer.imported_path(exported)
            if path in seen:
                raise self._scattered(exported)
            seen.add(path)
            before = known.get(path)
            if before:
                self._writer.remove_files([before.id])
            self._add_file(path, rows, encoder, taken, fitting=fitting)
            counts["changed" if before else "added"] += 1
        if taken:
            taken.finish()
        return counts

    def _takes_vectors(self, encoder: Encoder) -> bool:
        header = self._source.header
        if not header.vectors or self._anew:
            return False
        theirs, mine = header.fingerprint, encoder.fingerprint
        calibrates = self._quantized and not mine.quantized
        if theirs.same_vectors(mine) and not calibrates and (header.codes or self._compact):
            return True
        if not theirs.same_questions(mine):
            logger.warning(
                "the vectors in %s are of %r: all is encoded by %r (--model %s takes them)",
                self._file, theirs.model, mine.model, shlex.quote(theirs.model),
            )  # fmt: skip
        elif theirs.quantized != mine.quantized or calibrates:
            logger.warning("the vectors in %s were not encoded in the precision that the index has: all is encoded", self._file)
        else:
            logger.warning("%s has no codes of words, and the index is to have them: all is encoded", self._file)
        return False

    def _told(self, progress: Progress | None) -> Iterator[Row]:
        """All rows, and how far it is."""
        total = self._source.header.n_passages
        for done, row in enumerate(self._source):
            if progress and done % _TOLD == 0:
                progress("importing", done, total)
            yield row
        if progress:
            progress("importing", total, total)

    def _scattered(self, name: str) -> InputError:
        return InputError(f"{self._file}: the passages of {name} do not stand together: export them again")

    def _add_file(self, path: str, rows: Iterator[Row], encoder: Encoder, taken: _Taken | None, *, fitting: bool) -> None:
        number, source = 0, ""
        seen: set[str] = set()
        for record, of_article in groupby(rows, attrgetter("record")):
            first = next(of_article)
            if not number:
                source = first.source
                # No digest: that the file says what was imported is known only when it has been read.
                number = self._writer.add_file(path, source, b"")
            if record in seen or first.source != source:
                raise self._scattered(source + record)
            seen.add(record)
            self._add_article(number, first, of_article, encoder, taken, fitting=fitting)  # noqa: B031 (from where it stopped)

    def _add_article(
        self, number: int, first: Row, others: Iterator[Row], encoder: Encoder, taken: _Taken | None, *, fitting: bool
    ) -> None:
        article = Article(first.source + first.record, first.title, first.metadata, ())
        found: list[Passage] = []
        for row in chain((first,), others):
            found.append(row.passage)
            if taken and row.vector is not None:
                # At once, for an article may be of any length.
                taken.add(row, _text(article, row.passage))
        if not fitting:
            found = passages.refitted(article, found, encoder.passage_tokens, encoder.count_tokens)
        hashed = [(passage, embedding_hash(_text(article, passage))) for passage in found]
        self._writer.add_article(number, first.record, article, hashed)


def _text(article: Article, passage: Passage) -> PassageText:
    return PassageText(passages.context(article.title, passage.headings), passage.text, passage.sentences)


class _Taken:
    """Vectors and codes that go from the file into the index, a segment at a time.

    :param compact: whether the codes of words are left out.
    """

    def __init__(self, writer: AnyWriter, encoder: Encoder, file: Path, *, compact: bool) -> None:
        self._writer, self._encoder, self._file, self._compact = writer, encoder, file, compact
        self._rows: dict[bytes, Row] = {}
        self._texts: list[PassageText] = []
        self._samples: list[tuple[PassageText, Row]] = []

    def add(self, row: Row, text: PassageText) -> None:
        """Take what belongs to this text, if there is none in the index; a row that was tampered with is left to the encoder."""
        embedding = embedding_hash(text)
        assert row.vector is not None
        if embedding in self._rows or self._writer.has_vector(embedding):
            return
        if exchange.checksum(embedding, row.vector, row.words, row.spans) != row.checksum:
            return
        self._rows[embedding] = row
        self._texts.append(text)
        if len(self._rows) == SEGMENT_ROWS:
            self._flush()

    def finish(self) -> None:
        """Write what is left, and compare the sample.

        :raises InputError: if vectors are not what the model makes of their texts.
        """
        self._flush()
        if not self._samples:
            return
        stored = np.stack([row.vector for _, row in self._samples if row.vector is not None])
        for encoded in self._encoder.encode_passages([text for text, _ in self._samples]):
            # Not the other way round, which is False for what is no number.
            if not ((encoded.vectors * stored[encoded.positions]).sum(axis=1) >= _SAME).all():
                raise InputError(
                    f"the vectors in {self._file} are not those that {self._encoder.fingerprint.model!r} gives their texts: "
                    "add --encode to encode all anew"
                )

    def _flush(self) -> None:
        rows = list(self._rows.values())
        if not rows:
            return
        vectors = np.stack([row.vector for row in rows if row.vector is not None])
        codes = Codes([_NO_TOKENS] * len(rows), [_NO_SENTENCES] * len(rows))
        if not self._compact:
            codes = Codes(
                [_NO_TOKENS if row.words is None else row.words for row in rows],
                [_NO_SENTENCES if row.spans is None else row.spans for row in rows],
            )
        self._writer.add_vectors(list(self._rows), vectors, codes)
        if len(self._samples) < _SAMPLED:
            places = np.unique(np.linspace(0, len(rows) - 1, _OF_A_SEGMENT).astype(int)).tolist()
            self._samples += [(self._texts[place], rows[place]) for place in places]
        self._rows, self._texts = {}, []
