"""Whether what an index cites still stands in the articles: their files are read again, and cut as they were.

Deliberately not here: bringing the index up to date (`builder`).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from semsearch import articles, passages
from semsearch.articles import SourceFile
from semsearch.cutting import Cutting
from semsearch.errors import InputError
from semsearch.protocols import Encoder, Progress
from semsearch.records import Article, Citation, Passage, Problem

if TYPE_CHECKING:
    from semsearch.engines import View
    from semsearch.store import FileRow

__all__ = ["verify", "verify_all"]

logger = logging.getLogger("semsearch")


def verify(reader: View, passage: int, encoder: Callable[[], Encoder]) -> Citation:
    """One passage of an index, by its ``id``.

    :param encoder: gives the model, which counts tokens where a file has to be cut again.
    :raises InputError: if it is of a page that was fetched: none is fetched because an index says so.
    """
    file, record = reader.file_of(passage)
    if file.is_address:
        raise InputError(
            f"{file.source} was fetched, and is not fetched again to compare: index it again to see what it says now"
        )
    return _Again(reader, file, encoder).verify(record, reader.around(passage, 0, 0).passage)


def verify_all(reader: View, encoder: Callable[[], Encoder], progress: Progress | None = None) -> Iterator[Citation]:
    """Every passage of an index, file by file, but for those of pages that were fetched."""
    found = reader.files()
    files = [file for file in found if not file.is_address]
    if len(files) < len(found):
        logger.info("%d fetched pages or feeds are not fetched again to compare", len(found) - len(files))
    for done, file in enumerate(files):
        if progress:
            progress("reading", done, len(files))
        again = _Again(reader, file, encoder)
        for record, passage in reader.passages_of(file.id):
            yield again.verify(record, passage)
    if progress and files:
        progress("reading", len(files), len(files))


class _Again:
    """One file as it is now: ``None`` for one that is what it was, else where each text stands."""

    def __init__(self, reader: View, file: FileRow, encoder: Callable[[], Encoder]) -> None:
        self._source = file.source
        self._now: dict[str, list[tuple[str, Passage]]] | None = {}
        self._reason = "the passage is not in it any more"
        cutting = Cutting.parse(reader.meta.get("passages", ""))
        found = SourceFile(Path(file.path), file.source)
        try:
            data = articles.load(found)
        except InputError as error:
            self._reason = str(error)
            return
        if hashlib.sha256(data).digest() == file.sha256 and cutting.version == str(passages.VERSION):
            self._now = None
            return
        for article in articles.read(found, data, file.columns):
            if isinstance(article, Problem):
                continue
            record = article.source.removeprefix(file.source)
            for passage in passages.whole(article)[1] if cutting.whole else _cut(article, cutting, encoder()):
                self._now.setdefault(passage.text, []).append((record, passage))

    def verify(self, record: str, passage: Passage) -> Citation:
        """Where a passage of the file stands now: in its own record if it does, else in another; the nearest of several."""
        before = (passage.start, passage.end, passage.line)
        if self._now is None:
            return Citation("OK", self._source + record, before, "")
        places = self._now.get(passage.text)
        if not places:
            return Citation("STALE", self._source + record, before, self._reason)
        name, nearest = min(places, key=lambda item: (item[0] != record, abs(item[1].start - passage.start)))
        place = (nearest.start, nearest.end, nearest.line)
        if (name, place) == (record, before):
            return Citation("OK", self._source + record, before, "")
        return Citation("MOVED", self._source + name, place, f"it was at line {passage.line}")


def _cut(article: Article, cutting: Cutting, encoder: Encoder) -> Sequence[Passage]:
    return passages.cut(article, cutting.limit(encoder.passage_tokens), encoder.count_tokens)
