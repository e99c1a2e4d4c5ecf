"""The seam where an engine plugs in: what semsearch asks of a database that keeps an index in place of a folder.

An index in an engine is files, their articles, the articles' passages, and the facts on it (``meta``). A `Snapshot` is one
generation, whole; a `Draft` is the next one in the making, of which no snapshot shows anything before `Draft.commit`. Engines
give raw scores; ranking stays semsearch's. Numbers of files, articles and passages are made of what they say (`numbers`), so
that writing the same again changes nothing: a passage's ``row`` is its number.

Deliberately not here: an engine, filters as users write them (`narrowing`), and what is made of scores (`ranking`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np

from semsearch.store import Codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semsearch.protocols import Found, Matrix
    from semsearch.records import Passage
    from semsearch.store import FileRow, PassageRow

    Rows = NDArray[np.int64]

__all__ = [
    "K1",
    "Among",
    "ArticleEntry",
    "Asked",
    "B",
    "Draft",
    "Engine",
    "Every",
    "Field",
    "Having",
    "Kept",
    "Numbered",
    "PassageEntry",
    "Said",
    "Snapshot",
    "Some",
    "Terms",
    "Value",
    "Without",
    "together",
]

K1 = 1.2
B = 0.75
Field = Literal["title", "heading", "whole"]
"""What BM25 looks through; ``whole`` is title, headings and text together."""


@dataclass(frozen=True, slots=True)
class Having:
    """Passages of articles that have one of these `Value` ids at least; of none of them, no passage."""

    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """Passages whose ``whole`` has one of these sequences of terms, one behind the other, all in one of its three parts."""

    ways: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Numbered:
    """Passages of these rows."""

    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Every:
    """What is in all of these; everything, if there are none."""

    of: tuple[Among, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """What is in one of these at least; nothing, if there are none."""

    of: tuple[Among, ...]


@dataclass(frozen=True, slots=True)
class Without:
    """What is not in this."""

    of: Among


Among = Having | Said | Numbered | Every | Some | Without
"""The only passages that may come back."""


class Asked(NamedTuple):
    """A word of a question: how often it is asked, and the terms that it may read, which count as one."""

    times: int
    ways: tuple[str, ...]


class Value(NamedTuple):
    """Something that articles can be told apart by: a text, number or boolean, as JSON, that stands under a key.

    ``id``: made of the two (`numbers.value_id`).
    """

    id: int
    key: str
    value: str


class Terms(NamedTuple):
    """The terms of a passage, as `lexical.Analyzer` makes them: in their order, with one space between. They have no spaces."""

    title: str
    heading: str
    text: str


class ArticleEntry(NamedTuple):
    """An article; ``path`` and ``source`` are its file's, ``source + record`` its own. ``values``: ids of what it has.

    ``languages``: how many of its passages are in each.
    """

    id: int
    file: int
    path: str
    source: str
    record: str
    title: str
    metadata: Mapping[str, Any]
    values: tuple[int, ...]
    n_passages: int
    languages: Mapping[str, int]


class Kept(NamedTuple):
    """What the model made of a passage: ``vector`` float32 (d,), a unit vector, kept in half precision at least; ``words`` uint8
    (number of words, `signs.WIDTH`); ``spans`` int32 (number of sentences, 2), as `protocols.Encoded` has them.
    """

    vector: NDArray[np.float32]
    words: NDArray[np.uint8]
    spans: NDArray[np.int32]


def together(kept: Mapping[bytes, Kept]) -> tuple[list[bytes], Matrix, Codes]:
    """What is kept of some texts, by their hashes, as `store` takes it: hashes, vectors float32 (n, d), n > 0, and codes."""
    given = list(kept.values())
    codes = Codes([each.words for each in given], [each.spans for each in given])
    return list(kept), np.stack([each.vector for each in given]), codes


class PassageEntry(NamedTuple):
    """A passage with all that is kept of it.

    ``place``: in its article, from 0. ``embedding``: `store.embedding_hash`, 16 bytes.
    """

    row: int
    article: int
    place: int
    passage: Passage
    embedding: bytes
    language: str
    terms: Terms
    kept: Kept


class Snapshot(Protocol):
    """One generation of an index, whole, whatever a writer does meanwhile. For one thread."""

    @property
    def meta(self) -> Mapping[str, str]:
        """Facts on the index, ``generation`` among them; none where nothing was ever committed."""
        ...

    def nearest(self, queries: Matrix, k: int, among: Among | None) -> list[Found]:
        """The k passages nearest to each query by cosine, best first.

        :param queries: float32 (n, d), unit rows.
        """
        ...

    def matching(self, field: Field, asked: Sequence[Asked], k: int, among: Among | None) -> Found:
        """The k passages with the greatest BM25 score, best first; only passages that have any of the words.

        The score of a word is ``times * idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * dl / avgdl))`` with
        ``idf = ln(1 + (N - df + 0.5) / (df + 0.5))``, as `lexical.Lexical` has it: N, df, avgdl of all passages of the index,
        those among them whose field is empty, and whatever may come back. Of a word that reads in several ways the best counts,
        or their sum.
        """
        ...

    def matched(self, field: Field, asked: Sequence[Asked], rows: Rows) -> NDArray[np.float32]:
        """The scores that `matching` gives these passages: float32 (len(rows),), 0 where none of the words is."""
        ...

    def frequencies(self, field: Field, terms: Sequence[str]) -> list[int]:
        """In how many passages each term is."""
        ...

    def is_any(self, among: Among) -> bool:
        """Whether there is any such passage."""
        ...

    def n_articles(self, among: Among) -> int:
        """How many articles have such passages."""
        ...

    def kept(self, rows: Rows) -> list[Kept]:
        """What is kept of passages, in the order of the rows.

        :raises IndexCorrupt: if one is not there.
        """
        ...

    def known(self, embeddings: Sequence[bytes]) -> dict[bytes, Kept]:
        """What is kept of those of some texts, by their `store.embedding_hash`, that any passage has."""
        ...

    def passages(self, rows: Sequence[int]) -> list[PassageRow]:
        """Those of the passages that there are, in any order; `PassageRow.row` and ``id`` are both the row."""
        ...

    def place_of(self, row: int) -> tuple[int, int] | None:
        """The article of a passage, and its place there; None if there is no such passage."""
        ...

    def passages_of(self, article: int, first: int, limit: int) -> list[PassageRow]:
        """Passages of an article from a place on, in their order."""
        ...

    def numbered(self, articles: Sequence[int]) -> list[ArticleEntry]:
        """Those of some articles that there are, in any order."""
        ...

    def articles(self, first: int, limit: int, among: Among | None) -> list[ArticleEntry]:
        """Articles by source and record, from a place on, counted from 0; of those that have such passages."""
        ...

    def every_article(self, among: Among | None) -> Iterator[ArticleEntry]:
        """All articles that have such passages, in any order, however many: not all are in memory at once."""
        ...

    def articles_of(self, files: Sequence[int]) -> list[ArticleEntry]:
        """The articles of some files."""
        ...

    def files(self) -> Iterator[FileRow]:
        """All files, in any order; their paths are absolute, or addresses."""
        ...

    def file(self, file: int) -> FileRow | None:
        """A file; None if there is none."""
        ...

    def values(self, key: str) -> list[Value]:
        """What articles have, or had, under a key, each once."""
        ...

    def keys(self) -> list[str]:
        """Keys that articles have, or had, in alphabetical order."""
        ...

    def entries(self, articles: Sequence[int]) -> Iterator[PassageEntry]:
        """All passages of some articles, article by article in the order given, each in the order of its text.

        ``language`` and ``terms`` need not be told: "" will do.
        """
        ...

    def sample(self, n: int) -> list[int]:
        """Rows of some passages from all over the index, the same at each call."""
        ...

    def n_bytes(self) -> int:
        """What the index takes on disk, about; 0 if the engine does not tell."""
        ...


class Draft(Protocol):
    """The next generation: nothing of it shows before `commit`. There is one at a time for an index."""

    @property
    def before(self) -> Snapshot:
        """The generation that there is, good for as long as the draft is."""
        ...

    def forget(self) -> None:
        """Leave out everything that there is."""
        ...

    def prepare(self, dimension: int) -> None:
        """Make what there must be to `put`; the dimension is that of the index, or there is no index yet, or all is forgotten."""
        ...

    def put(self, articles: Sequence[ArticleEntry], passages: Sequence[PassageEntry], values: Sequence[Value]) -> None:
        """Add articles with all their passages and values. What is there under the same number is the same."""
        ...

    def drop(self, articles: Sequence[int]) -> None:
        """Take articles out, with their passages."""
        ...

    def put_files(self, files: Sequence[FileRow]) -> None:
        """Add files, or put others in the place of those with the same ``id``."""
        ...

    def drop_files(self, files: Sequence[int]) -> None:
        """Take files out; their articles are dropped by `drop`."""
        ...

    def commit(self, meta: Mapping[str, str]) -> None:
        """Make it the generation that there is, all at once; these are all its facts.

        :raises EngineError: if that did not happen, or nobody knows.
        """
        ...

    def close(self) -> None:
        """Give up what was not committed, and let others write."""
        ...


class Engine(Protocol):
    """An index in an engine, by its address. Threads may share it.

    Its methods raise `EngineError` where the engine cannot be reached or refuses, after bounded retries of what may be retried.
    """

    @property
    def shown(self) -> str:
        """The address as it may be shown: without secrets."""
        ...

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """The newest generation, to be read within the context.

        :raises EngineError: if the engine cannot be reached.
        """
        ...

    def draft(self) -> Draft:
        """The next generation, to be written.

        :raises IndexLocked: if another process is writing.
        """
        ...

    def close(self) -> None:
        """Let go of all connections."""
        ...
