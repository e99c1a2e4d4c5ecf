"""Articles to passages: the paragraph is the unit.

In: an `Article` and a way to count tokens. Out: its `Passage`s, in order, each with its sentences and its place in the
source. Invariants: every word of the article is in one passage, but for headings, which are the context of those below
them; no passage is longer than the model takes; scraps of a line (bylines, captions, list items) stand with their
neighbours, never across a heading or a rule.

Pure: no files, no model. Deliberately not here: what the encoder is given besides (`context` says it, the encoder does it).
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from semsearch.passages.sentences import spans
from semsearch.protocols import CONTEXT_SHARE
from semsearch.records import Article, Block, Passage, Run, Sentence, locate

__all__ = ["VERSION", "CountTokens", "context", "cut", "n_words", "refitted", "whole"]

VERSION = 1
"""Raised when the same article is cut otherwise: an index then cuts its articles anew when it is refreshed."""

CountTokens = Callable[[Sequence[str]], list[int]]
"""Tokens of each text, without special tokens."""

SCRAP_WORDS = 12
"""A paragraph of fewer words, or of one line without a sentence end, is a scrap."""
JOINED_WORDS = 120
"""Scraps are joined up to about this size; a middling news paragraph has 60 words."""
CHARACTERS_PER_TOKEN = 12
"""No passage has more characters a token than this: a wall of letters counts as one unknown token for some tokenizers."""
HEADING_WORDS = 5
"""A heading of so many words with nothing below it says something by itself, unlike "See also" above a list that is gone."""
_MARKER = re.compile(r"(?:- |\d+\. )")
_CLAUSE_END = re.compile(r"[;:,،؛](?=\s)|[、，；：]")
_SPACE = re.compile(r"\s")
_ENDS = (".", "!", "?", "…", "。", "！", "？", "।", "؟", '"', "”", "»", ")")


def context(title: str, headings: Sequence[str]) -> str:
    """What the encoder reads before a passage: title and headings, as a sentence each; "" where there is none."""
    parts = [part for part in (title, *headings) if part]
    return " ".join(part if part.endswith(_ENDS) else part + "." for part in parts)


def cut(article: Article, max_tokens: int, count_tokens: CountTokens) -> list[Passage]:
    """The passages of an article.

    :param max_tokens: how many tokens a passage may have together with its context (`Encoder.passage_tokens`).
    """
    language = _language(article)
    passages: list[Passage] = []
    groups = list(_groups(article))
    headings = list(dict.fromkeys(group.headings for group in groups))
    room = dict(zip(headings, _room(article, headings, max_tokens, count_tokens), strict=True))
    drafts = [_Draft(group.blocks, language) for group in groups]
    lengths = _count_short([draft.text for draft in drafts], max_tokens, count_tokens)
    for group, draft, length in zip(groups, drafts, lengths, strict=True):
        for start, stop in draft.split(room[group.headings], length, count_tokens):
            passages.append(draft.passage(start, stop, group, article))
    return passages


def refitted(article: Article, given: Sequence[Passage], max_tokens: int, count_tokens: CountTokens) -> list[Passage]:
    """Passages that were cut for another model: those that are too long for this one are split, the others stay.

    :param article: with title and metadata; its blocks are not looked at.
    :param given: its passages, in order.
    :param max_tokens: as `cut` takes it.
    """
    room = _room(article, [passage.headings for passage in given], max_tokens, count_tokens)
    lengths = _count_short([passage.text for passage in given], max_tokens, count_tokens)
    fitting: list[Passage] = []
    for passage, most, length in zip(given, room, lengths, strict=True):
        if length <= most and len(passage.text) <= most * CHARACTERS_PER_TOKEN:
            fitting.append(passage)
            continue
        trail = [Block("heading", heading, passage.line, (), level) for level, heading in enumerate(passage.headings, 1)]
        block = Block("paragraph", passage.text, passage.line, _runs_of(passage))
        pieces = cut(replace(article, blocks=(*trail, block), line_starts=()), max_tokens, count_tokens)
        fitting += [replace(piece, headings=passage.headings, paragraph=passage.paragraph) for piece in pieces]
    return fitting


def _runs_of(passage: Passage) -> tuple[Run, ...]:
    """Where the text of a passage stands in its source, as far as its sentences tell."""
    runs: list[Run] = []
    at, there = 0, passage.start
    spans = zip(passage.sentences, passage.sentence_spans, strict=True)
    for (start, end), (source_start, source_end) in spans:
        runs += [Run(at, start, there, source_start), Run(start, end, source_start, source_end)]
        at, there = end, source_end
    runs.append(Run(at, len(passage.text), there, passage.end))
    return tuple(run for run in runs if run.start < run.end)


def whole(article: Article) -> tuple[Article, list[Passage]]:
    """An article as one passage without sentences, its title before its text, and the article without its title.

    The text is ``(title + " " + text).strip()``, as retrieval benchmarks encode documents; the encoder cuts it where the model's
    limit is. Only for measuring: what is cut off cannot be found.
    """
    blocks = [block for block in article.blocks if block.text]
    text = "\n".join(block.text for block in blocks)
    runs = [run for block in blocks for run in block.runs]
    start, end = (runs[0].source_start, runs[-1].source_end) if runs else (0, 0)
    # A record without a text has its title in place of it.
    parts = [article.title] if text == article.title else [article.title, text]
    line = article.line_at(start, blocks[0].line if blocks else 1)
    passage = Passage(" ".join(parts).strip(), (), 1, line, start, end, (), (), article.page_at(start))
    return replace(article, title=""), [passage]


def _language(article: Article) -> str:
    """ISO 639 code by which the article says that it is written, "en" if it says nothing of the kind."""
    match = re.match(r"([a-z]{2,3})(?![a-z])", str(article.metadata.get("language")).lower())
    return match[1] if match else "en"


def _room(article: Article, headings: list[tuple[str, ...]], max_tokens: int, count: CountTokens) -> list[int]:
    """Tokens left for text below each trail of headings; a context longer than its share is shortened by the encoder."""
    taken = count([context(article.title, trail) for trail in headings])
    return [max(8, max_tokens - min(tokens, max_tokens // CONTEXT_SHARE)) for tokens in taken]


class _Group:
    """Blocks that make a passage (or more, if they are long), the headings above them, the number of the first."""

    def __init__(self, headings: tuple[str, ...], paragraph: int) -> None:
        self.headings = headings
        self.paragraph = paragraph
        self.blocks: list[Block] = []
        self.words = 0
        self.open = True

    def add(self, block: Block) -> None:
        self.blocks.append(block)
        self.words += n_words(block.text)
        self.open = block.kind == "item" or _is_scrap(block) or block.text.endswith(":")


def _is_scrap(block: Block) -> bool:
    words = n_words(block.text)
    if block.kind in ("table", "code"):
        return False
    return words < SCRAP_WORDS or (words < 2 * SCRAP_WORDS and not block.text.endswith((*_ENDS, ":")))


def n_words(text: str) -> int:
    """Words of a text; where spaces stand between phrases or nowhere (Thai, Chinese), three letters count as one."""
    words = len(text.split())
    return words if len(text) < 16 * words else len(text) // 3


def _groups(article: Article) -> Iterator[_Group]:
    """Blocks joined: a scrap to what stands before it, else to what follows; list items to their introduction.

    Never over pages: a passage is cited by the page on which it begins.
    """
    blocks = article.blocks
    trail: list[tuple[int, str]] = []
    group: _Group | None = None
    paragraph = 0
    lone = _lone_headings(blocks)
    for position, block in enumerate(blocks):
        if block.kind in ("heading", "rule"):
            if group:
                yield group
                group = None
            if block.kind == "heading":
                trail = [(level, text) for level, text in trail if level < block.level]
                if position not in lone:
                    trail.append((block.level, block.text))
                    continue
                paragraph += 1
                group = _Group(tuple(text for _, text in trail), paragraph)
                group.add(block)
                yield group
                group = None
            continue
        paragraph += 1
        joins = group is not None and (
            group.words + n_words(block.text) <= JOINED_WORDS
            and _page(article, group.blocks[-1]) == _page(article, block)
            and (block.kind == "item" or _is_scrap(block) or (group.open and _lead_in(group)))
        )
        if group and not joins:
            yield group
            group = None
        if group is None:
            group = _Group(tuple(text for _, text in trail), paragraph)
        group.add(block)
    if group:
        yield group


def _page(article: Article, block: Block) -> int:
    return article.page_at(block.runs[0].source_start) if article.page_starts and block.runs else 0


def _lone_headings(blocks: Sequence[Block]) -> set[int]:
    """Positions of the headings that have neither text nor a lower heading below them, but words enough to be found by."""
    lone: set[int] = set()
    below: Block | None = None
    for position, block in reversed(list(enumerate(blocks))):
        if block.kind == "rule":
            continue
        empty = below is None or (below.kind == "heading" and below.level <= block.level)
        if block.kind == "heading" and empty and len(block.text.split()) >= HEADING_WORDS:
            lone.add(position)
        below = block
    return lone


def _lead_in(group: _Group) -> bool:
    """Whether a group is nothing but scraps so far (a byline, a dateline), or announces what follows."""
    return all(_is_scrap(block) and block.kind != "item" for block in group.blocks) or group.blocks[-1].text.endswith(":")


class _Draft:
    """The text of a group, with its sentences and its runs, before it is known to be short enough."""

    def __init__(self, blocks: list[Block], language: str) -> None:
        self.text = "\n".join(block.text for block in blocks)
        self._runs: list[Run] = []
        self._lines: list[tuple[int, int]] = []
        self._sentences: list[tuple[int, int]] = []
        at = 0
        for block in blocks:
            self._runs += [Run(at + start, at + end, *source) for start, end, *source in block.runs]
            self._lines.append((at, block.line))
            skip = len(match[0]) if block.kind == "item" and (match := _MARKER.match(block.text)) else 0
            by_line = block.kind in ("table", "code")
            for start, end in _lines(block.text) if by_line else spans(block.text[skip:], language):
                self._sentences.append((at + skip + start, at + skip + end))
            at += len(block.text) + 1
        self._run_starts = [run.start for run in self._runs]
        self._run_ends = [run.end for run in self._runs]

    def split(self, room: int, tokens: int, count: CountTokens) -> Iterator[tuple[int, int]]:
        """Ranges of sentences that fit, as even in length as sentence ends allow."""
        if tokens <= room and len(self.text) <= room * CHARACTERS_PER_TOKEN:
            yield 0, len(self._sentences)
            return
        self._cut_long_sentences(room, count)
        # From one sentence's end to the next's: a list item's marker belongs to the text and to no sentence.
        reaches = list(zip([0, *(end for _, end in self._sentences)], (end for _, end in self._sentences), strict=False))
        lengths = _count_short([self.text[start:end] for start, end in reaches], room, count)
        weights = [
            max(length, -(-(end - start) // CHARACTERS_PER_TOKEN)) for length, (start, end) in zip(lengths, reaches, strict=True)
        ]
        target = sum(weights) / max(1, -(-sum(weights) // room))
        first = filled = 0
        for number, weight in enumerate(weights):
            if number > first and (filled + weight > room or filled + weight / 2 > target):
                yield first, number
                first, filled = number, 0
            filled += weight
        yield first, len(weights)

    def _cut_long_sentences(self, room: int, count: CountTokens) -> None:
        """Replace sentences that are too long on their own by pieces that end at white space, or anywhere if there is none."""
        lengths = _count_short([self.text[start:end] for start, end in self._sentences], room, count)
        pieces: list[tuple[int, int]] = []
        for (start, end), length in zip(self._sentences, lengths, strict=True):
            weight = max(length, -(-(end - start) // CHARACTERS_PER_TOKEN))
            pieces += [(start, end)] if weight <= room else self._halves(start, end, room, count)
        self._sentences = pieces

    def _halves(self, start: int, end: int, room: int, count: CountTokens) -> list[tuple[int, int]]:
        """Halve again and again, near the middle, until every piece fits; time is linear in the length times its log."""
        fitting: list[tuple[int, int]] = []
        waiting = [(start, end)]
        while waiting:
            lengths = _count_short([self.text[start:end] for start, end in waiting], room, count)
            halved: list[tuple[int, int]] = []
            for (left, right), length in zip(waiting, lengths, strict=True):
                if right - left < 2 or (length <= room and right - left <= room * CHARACTERS_PER_TOKEN):
                    fitting.append((left, right))
                    continue
                middle = _middle(self.text, left, right)
                halved += [span for span in (_trim(self.text, left, middle), _trim(self.text, middle, right)) if span]
            waiting = halved
        return sorted(fitting)

    def passage(self, first: int, stop: int, group: _Group, article: Article) -> Passage:
        """The passage of a range of sentences."""
        chosen = self._sentences[first:stop]
        start = chosen[0][0] if chosen else 0
        end = chosen[-1][1] if chosen else len(self.text)
        # A list item's marker stands before its first sentence and belongs to the text all the same.
        line_start = [at for at, _ in self._lines if at <= start][-1]
        if first == 0 or self._sentences[first - 1][1] <= line_start:
            start = line_start
        source_start, source_end = self._source(start, end)
        block_line = [line for at, line in self._lines if at <= start][-1]
        return Passage(
            text=self.text[start:end],
            headings=group.headings,
            paragraph=group.paragraph + sum(at <= start for at, _ in self._lines) - 1,
            line=article.line_at(source_start, block_line),
            start=source_start,
            end=source_end,
            sentences=tuple(Sentence(left - start, right - start) for left, right in chosen),
            sentence_spans=tuple(self._source(left, right) for left, right in chosen),
            page=article.page_at(source_start),
        )

    def _source(self, start: int, end: int) -> tuple[int, int]:
        """Source span of a span of the text; a paragraph may be of many runs, so only those in the span are looked at."""
        first = min(bisect_right(self._run_ends, start), len(self._runs) - 1)
        last = max(first + 1, bisect_left(self._run_starts, end))
        source_start, source_end = locate(self._runs[first:last], start, end)
        return source_start, max(source_start, source_end)


def _count_short(texts: Sequence[str], room: int, count: CountTokens) -> list[int]:
    """Tokens of each text; of one that is too long in any case, its characters, for counting takes memory."""
    limit = room * CHARACTERS_PER_TOKEN
    counts = iter(count([text for text in texts if len(text) <= limit]))
    return [next(counts) if len(text) <= limit else len(text) for text in texts]


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Spans of the lines of a table or of code that are not blank."""
    at = 0
    for line in text.split("\n"):
        if span := _trim(text, at, at + len(line)):
            yield span
        at += len(line) + 1


def _trim(text: str, start: int, end: int) -> tuple[int, int] | None:
    piece = text[start:end]
    left, right = start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
    return (left, right) if left < right else None


def _middle(text: str, start: int, end: int) -> int:
    """A place to cut near the middle: behind a clause mark, else at white space, else the middle."""
    middle, reach = (start + end) // 2, (end - start) // 4
    for mark in (_CLAUSE_END, _SPACE):
        places = [match.end() for match in mark.finditer(text, middle - reach, middle + reach)]
        if places:
            return min(places, key=lambda place: abs(place - middle))
    return middle
