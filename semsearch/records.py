"""The values that travel through semsearch: articles and passages going in, hits and results coming out.

Everything here is frozen. Offsets are character offsets (Unicode code points, as in a Python string), half open:
``text[start:end]``. Lines and paragraphs are counted from 1.

Deliberately not here: reading files, model vectors, how a result is printed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

__all__ = [
    "INDEX_DATABASE",
    "Article",
    "Block",
    "BlockKind",
    "BuildReport",
    "Highlight",
    "Hit",
    "Mode",
    "Passage",
    "Problem",
    "Run",
    "Sentence",
    "locate",
]

INDEX_DATABASE = "semsearch.sqlite"
"""The file by which a folder is known to be an index, and not a folder of articles."""

BlockKind = Literal["heading", "paragraph", "item", "quote", "table", "code", "rule"]
Mode = Literal["dense"]
"""How passages are ranked."""


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


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found.

    ``score`` is in 0..1, higher is better. ``scores`` has what each arm gave (None where an arm took no part).
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

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary of the hit, with the keys that ``ask --json`` prints."""
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
