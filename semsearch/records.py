"""The values that travel through semsearch: articles and passages going in, hits and results coming out.

Everything here is frozen. Offsets are character offsets (Unicode code points, as in a Python string), half open:
``text[start:end]``. Lines and paragraphs are counted from 1.

Deliberately not here: reading files, model vectors, how a result is printed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple

from semsearch.errors import InputError

__all__ = [
    "INDEX_DATABASE",
    "Article",
    "Block",
    "BlockKind",
    "BuildReport",
    "Context",
    "Explanation",
    "Highlight",
    "Hit",
    "Mode",
    "Passage",
    "Place",
    "Problem",
    "Run",
    "Sentence",
    "locate",
]

INDEX_DATABASE = "semsearch.sqlite"
"""The file by which a folder is known to be an index, and not a folder of articles."""

BlockKind = Literal["heading", "paragraph", "item", "quote", "table", "code", "rule"]
Mode = Literal["hybrid", "dense", "lexical"]
"""How passages are ranked: by meaning and words, by meaning, by words. The first is the default."""


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
    """

    source: str
    title: str
    metadata: Mapping[str, Any]
    blocks: tuple[Block, ...]
    line_starts: tuple[int, ...] = ()

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
    ``headings`` is the trail of headings above it, outermost first, without the article's title.
    """

    text: str
    headings: tuple[str, ...]
    paragraph: int
    line: int
    start: int
    end: int
    sentences: tuple[Sentence, ...]
    sentence_spans: tuple[tuple[int, int], ...]


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


class Context(NamedTuple):
    """A passage with its neighbours in the article, in the order of the text."""

    before: tuple[Passage, ...]
    passage: Passage
    after: tuple[Passage, ...]

    @property
    def text(self) -> str:
        """All of it, with blank lines between the passages."""
        return "\n\n".join(passage.text for passage in (*self.before, self.passage, *self.after))


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


Neighbours = Callable[[int, int], Context]


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found.

    ``score`` is in 0..1, higher is better. ``scores`` has what each arm gave: ``dense`` in 0..1, ``lexical`` the BM25 score,
    which has no upper limit (None where an arm took no part). ``confidence`` is the probability that the passage answers.
    ``duplicates`` are other places of the same text, or nearly the same, that are no hits of their own.
    ``path`` is the absolute path of the file, for opening it; ``source`` the path as the user gave it.
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
    confidence: float = 0.0
    duplicates: tuple[Place, ...] = ()
    explanation: Explanation | None = None
    neighbours: Neighbours | None = field(default=None, repr=False, compare=False)

    def context(self, before: int = 1, after: int = 1) -> Context:
        """The passage with its neighbours in the article, read from the index, which must be open.

        :param before: how many at most, like ``after``.
        :raises InputError: if the index was closed, or the hit did not come from a search.
        """
        if self.neighbours is None:
            raise InputError("this hit has lost its index: search again for its context")
        return self.neighbours(max(0, before), max(0, after))

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy for another process, without the way back to the index."""
        values = [None if item.name == "neighbours" else getattr(self, item.name) for item in fields(self)]
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
