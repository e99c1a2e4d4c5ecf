"""The values that travel through semsearch: articles and passages going in, hits and results coming out.

Everything here is frozen. Offsets are character offsets (Unicode code points, as in a Python string), half open:
``text[start:end]``. Lines and paragraphs are counted from 1.

Deliberately not here: reading files, model vectors, how a result is printed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Protocol

from semsearch.errors import InputError, SemsearchError

__all__ = [
    "INDEX_DATABASE",
    "Article",
    "ArticleInfo",
    "Block",
    "BlockKind",
    "BuildReport",
    "CheckReport",
    "Citation",
    "Context",
    "Damage",
    "Excerpt",
    "Explanation",
    "Facets",
    "Highlight",
    "Hit",
    "Mode",
    "Origin",
    "Passage",
    "Place",
    "Problem",
    "Refresh",
    "Run",
    "Sentence",
    "StoredPassage",
    "cited",
    "has_lines",
    "is_address",
    "is_engine",
    "locate",
]

INDEX_DATABASE = "semsearch.sqlite"
"""The file by which a folder is known to be an index, and not a folder of articles."""

BlockKind = Literal["heading", "paragraph", "item", "quote", "table", "code", "rule"]
Mode = Literal["hybrid", "dense", "lexical"]
"""How passages are ranked: by meaning and words, by meaning, by words. The first is the default."""
Precision = Literal["float", "int8"]
"""How passages are encoded: by the model as it is, or by its network in 8 bits. The first is the default."""


def is_address(source: str) -> bool:
    """Whether a source is a page or a feed to fetch, and no path."""
    return source.lower().startswith(("http://", "https://"))


_ENGINES = ("milvus://", "postgresql://", "postgres://")


def is_engine(path: object) -> bool:
    """Whether what names an index is the address of one that an engine keeps, and no folder."""
    return isinstance(path, str) and path.lower().startswith(_ENGINES)


_WITHOUT_LINES = (".pdf", ".docx", ".epub", ".odt", ".rtf", ".eml", ".mbox", ".rss", ".atom", ".parquet")


def has_lines(source: str) -> bool:
    """Whether the lines of an article are lines of its file, for an editor to go to, and not those of a text made of it."""
    name = source.partition("#")[0].lower().removesuffix(".gz")
    return not (is_address(source) or name.endswith(_WITHOUT_LINES))


def cited(source: str, line: int, page: int) -> str:
    """Where a passage stands, as compilers and grep write it: file, line; page, if there are pages; file, if neither counts."""
    if page:
        return f"{source}, page {page}"
    return f"{source}:{line}" if has_lines(source) else source


class Run(NamedTuple):
    """A stretch of clean text and the stretch of the source it was read from.

    Where both are equally long, they are equal character by character; elsewhere (``&amp;`` read as ``&``) the whole
    stretch of the source stands for the whole stretch of the text.
    """

    start: int
    end: int
    source_start: int
    source_end: int


def locate(runs: Sequence[Run], start: int, end: int) -> tuple[int, int]:
    """Source span of ``text[start:end]``, from the runs that the text is made of.

    :param runs: in ascending order, covering at least one character of the span.
    :return: offsets into the source, from the first character's place to the last one's end.
    """
    first = next((run for run in runs if run.end > start), runs[-1])
    last = next((run for run in reversed(runs) if run.start < end), runs[0])
    source_start, source_end = first.source_start, last.source_end
    if first.end - first.start == first.source_end - first.source_start:
        source_start += max(0, start - first.start)
    if last.end - last.start == last.source_end - last.source_start:
        source_end -= max(0, last.end - end)
    return source_start, source_end


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph-like part of an article, cleaned of markup.

    ``level`` is a heading's (1 to 6) and 0 for all else; ``runs`` say where the text stands in the source. A rule has
    neither text nor runs: it only keeps its neighbours apart.
    """

    kind: BlockKind
    text: str
    line: int
    runs: tuple[Run, ...]
    level: int = 0


@dataclass(frozen=True, slots=True)
class Article:
    """One article as read from a file or from a record of a JSONL file.

    ``source`` is the path as the user gave it (``notes/a.md``, ``dump.jsonl#17``). ``metadata`` holds JSON values.
    ``line_starts`` are the offsets at which the file's lines begin; empty where offsets do not count in the file.
    ``page_starts`` are those at which its pages begin; empty where it has none.
    """

    source: str
    title: str
    metadata: Mapping[str, Any]
    blocks: tuple[Block, ...]
    line_starts: tuple[int, ...] = ()
    page_starts: tuple[int, ...] = ()

    def page_at(self, offset: int) -> int:
        """The page of a source offset, counted from 1; 0 where there are no pages."""
        return bisect_right(self.page_starts, offset)

    def line_at(self, offset: int, block_line: int) -> int:
        """The line of a source offset; where offsets do not count in the file, that of the block."""
        return bisect_right(self.line_starts, offset) if self.line_starts else block_line


class Sentence(NamedTuple):
    """A sentence as a span of its passage's text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Passage:
    """The unit that is indexed and found: a paragraph, with what it takes to cite it.

    ``start`` and ``end`` give the passage back from the source; ``sentence_spans`` do so for each of ``sentences``.
    ``headings`` is the trail of headings above it, outermost first, without the article's title. ``page`` is the one on which it
    begins, counted from 1, and 0 where there are no pages.
    """

    text: str
    headings: tuple[str, ...]
    paragraph: int
    line: int
    start: int
    end: int
    sentences: tuple[Sentence, ...]
    sentence_spans: tuple[tuple[int, int], ...]
    page: int = 0

    @property
    def heading(self) -> str:
        """The trail of headings on one line, as hits have it."""
        return " › ".join(self.headings)

    @property
    def in_place(self) -> bool:
        """Whether the sentences are inside the passage, in order and not overlapping, in the text as in the source."""

        def ordered(spans: Sequence[tuple[int, int]], first: int, last: int) -> bool:
            edges = [first, *(edge for span in spans for edge in span), last]
            return all(left <= right for left, right in pairwise(edges))

        inside = ordered(self.sentences, 0, len(self.text)) and ordered(self.sentence_spans, self.start, self.end)
        return 0 <= self.start <= self.end and inside


@dataclass(frozen=True, slots=True)
class Highlight:
    """The sentence of a hit that answers best; ``start`` and ``end`` are offsets into the source, as the hit's are."""

    start: int
    end: int
    text: str


class Place(NamedTuple):
    """Where else the text of a hit stands; as the fields of `Hit`."""

    source: str
    start: int
    end: int
    line: int
    paragraph: int
    title: str
    page: int = 0


class Context(NamedTuple):
    """A passage with its neighbours in the article, in the order of the text."""

    before: tuple[Passage, ...]
    passage: Passage
    after: tuple[Passage, ...]

    @property
    def text(self) -> str:
        """All of it, with blank lines between the passages."""
        return "\n\n".join(passage.text for passage in (*self.before, self.passage, *self.after))


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A passage of an index under its public name; the other fields as those of `Hit`.

    ``passage_id`` stays the passage's as long as its article stays as it is, and never becomes another's.
    """

    passage_id: str
    text: str
    heading: str
    paragraph: int
    line: int
    start: int
    end: int
    page: int = 0


@dataclass(frozen=True, slots=True)
class ArticleInfo:
    """What an index knows of an article beside its text; the fields as those of `Hit`.

    ``article_id`` stays the article's until its file changes, and never becomes another's. ``n_passages`` counts its passages.
    """

    article_id: str
    title: str
    source: str
    path: str
    metadata: Mapping[str, Any] = field(hash=False)
    n_passages: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary, without the path."""
        return {
            "article_id": self.article_id,
            "title": self.title,
            "source": self.source,
            "metadata": dict(self.metadata),
            "n_passages": self.n_passages,
        }


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Passages of an article that follow each other, in the order of the text; ``first`` is the first one's place, from 0."""

    article: ArticleInfo
    first: int
    passages: tuple[StoredPassage, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        return {**self.article.to_dict(), "first": self.first, "passages": [asdict(passage) for passage in self.passages]}


@dataclass(frozen=True, slots=True)
class Facets:
    """What the articles of an index can be told apart by.

    ``sources`` are files and the folders above them with the number of their articles; ``values`` has, for each key of the
    metadata that has few enough of them, its values with the number of articles that have it. The most frequent come first.
    ``dates`` are the earliest and the latest, as they are written; None where there is none.
    """

    n_articles: int
    sources: tuple[tuple[str, int], ...]
    values: Mapping[str, tuple[tuple[str, int], ...]] = field(hash=False)
    dates: tuple[str, str] | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""

        def counted(values: tuple[tuple[str, int], ...]) -> list[dict[str, Any]]:
            return [{"value": value, "articles": count} for value, count in values]

        return {
            "articles": self.n_articles,
            "sources": counted(self.sources),
            "values": {key: counted(values) for key, values in self.values.items()},
            "dates": None if self.dates is None else {"first": self.dates[0], "last": self.dates[1]},
        }


class Explanation(NamedTuple):
    """How a score came about.

    ``parts`` are name, value and weight of what was added up; the score is the sum of value times weight over the sum of the
    weights, as far as it is in 0..1. ``words`` are the question's words in the passage with what each adds to its BM25 score.
    ``rerank`` is the score of the reranker that took the place of this one, None where it was not asked.
    """

    parts: tuple[tuple[str, float, float], ...]
    words: tuple[tuple[str, float], ...]
    rerank: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        return {
            "parts": [{"name": name, "value": round(value, 6), "weight": weight} for name, value, weight in self.parts],
            "words": {word: round(score, 4) for word, score in self.words},
            "rerank": self.rerank,
        }


class Citation(str):
    """Whether a passage still stands where its citation says, as a string: ``OK``, ``MOVED`` or ``STALE``.

    OK: the file says the same at the same place. MOVED: it says the same elsewhere. STALE: it does not say it any more, or is
    gone. ``source``, ``start``, ``end`` and ``line`` are where the passage stands now, and where it stood for one that is stale;
    ``reason`` says why it is not OK.
    """

    source: str
    start: int
    end: int
    line: int
    reason: str

    def __new__(cls, state: Literal["OK", "MOVED", "STALE"], source: str, place: tuple[int, int, int], reason: str) -> Citation:
        """A state with its place: start, end, line."""
        citation = super().__new__(cls, state)
        citation.source, citation.reason = source, reason
        citation.start, citation.end, citation.line = place
        return citation

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        return {
            "state": str(self),
            "source": self.source,
            "start": self.start,
            "end": self.end,
            "line": self.line,
            "reason": self.reason,
        }


class Origin(Protocol):
    """Where a hit came from: the way back into its index."""

    def around(self, before: int, after: int) -> Context:
        """The passage with its neighbours in the article."""
        ...

    def verify(self) -> Citation:
        """Whether the passage still stands in its file."""
        ...


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found.

    ``score`` is in 0..1, higher is better. ``scores`` has what each arm gave: ``dense`` in 0..1, ``lexical`` the BM25 score,
    which has no upper limit (None where an arm took no part). ``confidence`` is the probability that the passage answers.
    ``duplicates`` are other places of the same text, or nearly the same, that are no hits of their own.
    ``passage_id`` and ``article_id`` are what `Index.around` and `Index.article` take.
    ``path`` is the absolute path of the file, for opening it; ``source`` the path as the user gave it; of a page that was fetched
    both are its address. ``page`` is that of a PDF on which the passage begins, counted from 1, and ``line`` counts on it; 0 for
    all else.
    """

    rank: int
    score: float
    text: str
    title: str
    source: str
    start: int
    end: int
    line: int
    paragraph: int
    heading: str
    highlight: Highlight
    scores: Mapping[str, float | None] = field(hash=False)
    metadata: Mapping[str, Any] = field(hash=False)
    path: str = ""
    page: int = 0
    passage_id: str = ""
    article_id: str = ""
    confidence: float = 0.0
    duplicates: tuple[Place, ...] = ()
    explanation: Explanation | None = None
    origin: Origin | None = field(default=None, repr=False, compare=False)

    def context(self, before: int = 1, after: int = 1) -> Context:
        """The passage with its neighbours in the article, read from the index, which must be open.

        :param before: how many at most, like ``after``.
        :raises InputError: if the index was closed, or the hit did not come from a search.
        """
        return self._origin().around(max(0, before), max(0, after))

    def verify(self) -> Citation:
        """Whether the passage still stands in its file where the hit says: the file is read again.

        The index must be open; ``semsearch check --sources`` does the same for all that is in it.

        :raises InputError: if the index was closed, or the hit did not come from a search.
        """
        return self._origin().verify()

    def _origin(self) -> Origin:
        if self.origin is None:
            raise InputError("this hit has lost its index: search again")
        return self.origin

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy for another process, without the way back to the index."""
        values = [None if item.name == "origin" else getattr(self, item.name) for item in fields(self)]
        return Hit, tuple(values)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary of the hit, with the keys that ``ask --json`` prints."""
        explained = {} if self.explanation is None else {"explanation": self.explanation.to_dict()}
        return {
            "rank": self.rank,
            "score": round(self.score, 6),
            "text": self.text,
            "title": self.title,
            "source": self.source,
            "start": self.start,
            "end": self.end,
            "line": self.line,
            "paragraph": self.paragraph,
            "heading": self.heading,
            "highlight": {"start": self.highlight.start, "end": self.highlight.end, "text": self.highlight.text},
            "scores": {arm: None if score is None else round(score, 6) for arm, score in self.scores.items()},
            "page": self.page or None,
            "passage_id": self.passage_id,
            "article_id": self.article_id,
            "confidence": round(self.confidence, 4),
            "duplicates": [place._asdict() for place in self.duplicates],
            **explained,
            "metadata": dict(self.metadata),
        }


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be read, and why; the rest of the run went on."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did.

    ``articles`` and ``passages`` are what the index holds now; ``added``, ``changed``, ``removed`` and ``unchanged``
    count files. ``encoded`` counts distinct passage texts given to the model; all others were known from before.
    ``seconds`` is wall-clock time.
    """

    articles: int
    passages: int
    added: int
    changed: int
    removed: int
    unchanged: int
    encoded: int
    seconds: float
    problems: tuple[Problem, ...]


class Refresh(NamedTuple):
    """What a refresh of an index that is watched did: ``report``, or else the ``error`` because of which all is as it was.

    ``generation`` is the index's afterwards, 0 where it failed.
    """

    report: BuildReport | None
    error: SemsearchError | None
    generation: int


class Damage(NamedTuple):
    """Something in an index that is not as it should be.

    ``kind`` is ``database``, ``format``, ``passages``, ``vectors``, ``words`` or ``model``; ``where`` names a file or a source.
    """

    kind: str
    where: str
    what: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check of an index found.

    ``ok`` says whether the index is sound now, after the repair if there was one. ``problems`` are what is wrong now,
    ``repaired`` what was done about what was wrong before. ``counts`` are what was looked at, by name. ``leftovers`` are files
    of unfinished runs: no damage, the next writer uses them or removes them. ``citations`` counts OK, MOVED and STALE, and
    ``changed`` are those that are not OK; both are empty unless the sources were to be read again.
    """

    problems: tuple[Damage, ...]
    repaired: tuple[str, ...]
    counts: Mapping[str, int]
    leftovers: tuple[str, ...]
    citations: Mapping[str, int]
    changed: tuple[Citation, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with the index; articles that changed since are no damage."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary, with the keys that ``check --json`` prints."""
        return {
            "ok": self.ok,
            "problems": [damage._asdict() for damage in self.problems],
            "repaired": list(self.repaired),
            "counts": dict(self.counts),
            "leftovers": list(self.leftovers),
            "citations": dict(self.citations),
            "changed": [citation.to_dict() for citation in self.changed],
            "seconds": round(self.seconds, 3),
        }
