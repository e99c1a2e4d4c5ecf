"""Questions made from articles that know their own answers: titles, headings, sentences that stand for little else.

In: articles with their passages, and how rare each word is in the index. Out: `Probe`s, each with the place that answers it. A
sentence as the question and what stands beside it as its answer is the inverse cloze task (Lee, Chang and Toutanova, "Latent
Retrieval for Weakly Supervised Open Domain Question Answering", ACL 2019, section 4).

Invariants: the same articles and seed give the same probes, in whatever order the articles come; no probe's words stand
elsewhere nearly word for word, and all articles of one title answer it together.

Pure. Deliberately not here: taking the probe's words out of what is searched (`masking`), searching.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from semsearch.passages import n_words
from semsearch.records import Passage
from semsearch.store import ArticleText

__all__ = ["KINDS", "Kind", "Place", "Probe", "heading_ranges", "make", "near_copy", "plain"]

Kind = Literal["title", "heading", "sentence"]
KINDS: tuple[Kind, ...] = get_args(Kind)

EVERYWHERE = 2**53
"""End of a place that is a whole article."""
_SENTENCE_WORDS = (8, 40)
_LEFT_WORDS = 8
"""Words, at least, of the passage that a sentence is taken out of."""
_NAME_WORDS = (2, 30)
"""Words of a title or heading that says something by itself."""
_RARE = {"title": 1, "heading": 2, "sentence": 3}
"""Rare words, at least, that a probe has."""
_RARE_SHARE = 0.01
_RARE_PASSAGES = 3
"""A word is rare that no more than this part of the passages has, or no more than so many."""
_SAME_TITLE = 20
"""Articles of one title, at most: more of them have a rubric, not a title."""
_MASKED_PASSAGES = 60
"""Passages of an article whose title is a probe, at most: each is encoded anew without it."""
_LETTERS = 0.75
"""Part of a sentence's characters that are letters or spaces; less are tables, references, formulas."""
_ROUNDING = 1e-4
_SHINGLE = 4
_COPIED = 0.5
_WORD = re.compile(r"\w+")
_QUOTES = re.compile(r"[\"“”„«»‹›]")


class Place(NamedTuple):
    """Where in a source the answer stands: any passage of it that overlaps ``start`` to ``end`` answers."""

    source: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Probe:
    """A question with its answer.

    ``places`` are those that answer, as the fields of `Hit`; of a title all articles that have it. ``masked`` is the place in the
    source of a sentence that was taken out of its passage. ``answer`` is the beginning of what answers, to be read by people.
    """

    id: str
    kind: Kind
    text: str
    places: tuple[Place, ...]
    masked: Place | None
    answer: str

    def answered_by(self, source: str, start: int, end: int) -> bool:
        """Whether a passage is an answer."""
        return any(place.source == source and start < place.end and place.start < end for place in self.places)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        return {
            "id": self.id,
            "kind": self.kind,
            "text": self.text,
            "sources": [place.source for place in self.places],
            "start": self.places[0].start,
            "end": None if self.places[0].end == EVERYWHERE else self.places[0].end,
            "answer": self.answer,
        }


Draft = tuple[Probe, int]
Rarity = Callable[[Sequence[str]], NDArray[np.float32]]
Elsewhere = Callable[[str, frozenset[str], Place | None], bool]
"""Whether nearly the same words stand elsewhere than in these sources, or than at this place."""


def make(
    articles: Sequence[ArticleText], wanted: Mapping[Kind, int], seed: int, rarity: Rarity, n_passages: int, elsewhere: Elsewhere
) -> list[Probe]:
    """Probes, as many of each kind as wanted or as there are.

    :param rarity: the ``idf`` of words, as `Lexical.rarity` gives it, over ``n_passages``.
    """
    maker = _Maker(articles, seed, rarity, n_passages, elsewhere)
    return [probe for kind, count in wanted.items() for probe in maker.of_kind(kind, count)]


def plain(text: str) -> str:
    """What two spellings of the same words have in common."""
    return " ".join(_WORD.findall(text.casefold()))


def near_copy(text: str, other: str) -> bool:
    """Whether another text has at least half of a text's runs of four words; all of it where it has no more than four."""
    words, others = plain(text).split(), plain(other).split()
    length = min(_SHINGLE, len(words))
    if not length:
        return False
    there = {tuple(others[at : at + length]) for at in range(len(others) - length + 1)}
    runs = [tuple(words[at : at + length]) for at in range(len(words) - length + 1)]
    return sum(run in there for run in runs) >= _COPIED * len(runs)


def heading_ranges(passages: Sequence[Passage]) -> Iterator[tuple[str, int, int]]:
    """Each heading with the range of the passages below it, lower headings included: text, first, behind the last."""
    opened: list[tuple[str, int]] = []
    for at, passage in enumerate([*passages, None]):
        trail = passage.headings if passage is not None else ()
        kept = 0
        while kept < min(len(trail), len(opened)) and opened[kept][0] == trail[kept]:
            kept += 1
        for text, first in opened[kept:]:
            yield text, first, at
        opened[kept:] = [(text, at) for text in trail[kept:]]


class _Maker:
    def __init__(self, articles: Sequence[ArticleText], seed: int, rarity: Rarity, n_passages: int, elsewhere: Elsewhere) -> None:
        self._articles = sorted((article for article in articles if article.passages), key=lambda article: article.source)
        self._seed = seed
        self._rarity = rarity
        self._elsewhere = elsewhere
        self._n_passages = n_passages
        self._titles: dict[str, list[ArticleText]] = {}
        for article in self._articles:
            self._titles.setdefault(plain(article.title), []).append(article)
        self._headings: dict[str, int] = {}
        for article in self._articles:
            for text in {plain(text) for passage in article.passages for text in passage.headings}:
                self._headings[text] = self._headings.get(text, 0) + 1

    def of_kind(self, kind: Kind, count: int) -> list[Probe]:
        """So many at most: one of each article, then a second one of each, and so on."""
        drafts = {"title": self._title, "heading": self._heading, "sentence": self._sentence}[kind]
        waiting = [drafts(article) for article in self._shuffled(kind)]
        found: list[Probe] = []
        seen: set[str] = set()
        while waiting and len(found) < count:
            going_on = []
            for candidates in waiting:
                for draft, own in candidates:
                    if len(found) < count and draft.text not in seen and self._fit(draft, own):
                        seen.add(draft.text)
                        found.append(_numbered(draft, len(found) + 1))
                        going_on.append(candidates)
                        break
                if len(found) == count:
                    break
            waiting = going_on
        return found

    def _shuffled(self, kind: str) -> list[ArticleText]:
        return sorted(self._articles, key=lambda article: (self._digest(kind, article.source), article.source))

    def _digest(self, *parts: object) -> bytes:
        named = "\0".join(map(str, (self._seed, *parts)))
        return hashlib.blake2b(named.encode("utf-8", "surrogatepass"), digest_size=8).digest()

    def _fit(self, probe: Probe, own: int) -> bool:
        """Whether a probe stands for little else: it has rare words, and is not nearly said elsewhere.

        :param own: passages that have its words for being below it, and do not count.
        """
        words = list(dict.fromkeys(_WORD.findall(probe.text)))
        if sum(self._rarity(words) >= self._least_rarity(own)) < _RARE[probe.kind]:
            return False
        return not self._elsewhere(probe.text, frozenset(place.source for place in probe.places), probe.masked)

    def _least_rarity(self, own: int) -> float:
        """The ``idf`` of a word that just so many passages have that it still is rare."""
        n = self._n_passages
        most = min(max(_RARE_PASSAGES, _RARE_SHARE * n) + own, n)
        return math.log(1 + (n - most + 0.5) / (most + 0.5)) - _ROUNDING

    def _title(self, article: ArticleText) -> Iterator[Draft]:
        text = _cleaned(article.title)
        group = self._titles[plain(article.title)]
        below = sum(len(member.passages) for member in group)
        telling = _NAME_WORDS[0] <= n_words(text) <= _NAME_WORDS[1] and len(group) <= _SAME_TITLE
        # The first of several articles of one title speaks for all of them.
        if telling and group[0] is article and below <= _MASKED_PASSAGES:
            places = tuple(Place(member.source, 0, EVERYWHERE) for member in group)
            yield Probe("", "title", text, places, None, _beginning(article.passages[0].text)), below

    def _heading(self, article: ArticleText) -> Iterator[Draft]:
        ranges = list(heading_ranges(article.passages))
        texts = [plain(text) for text, _, _ in ranges]
        for text, first, behind in sorted(ranges, key=lambda item: self._digest(article.source, *item)):
            known = plain(text)
            alone = self._headings[known] == 1 and texts.count(known) == 1 and known != plain(article.title)
            if alone and _NAME_WORDS[0] <= n_words(text) <= _NAME_WORDS[1] and behind - first <= _MASKED_PASSAGES:
                below = article.passages[first:behind]
                place = Place(article.source, min(p.start for p in below), max(p.end for p in below))
                yield Probe("", "heading", _cleaned(text), (place,), None, _beginning(below[0].text)), len(below)

    def _sentence(self, article: ArticleText) -> Iterator[Draft]:
        """One sentence of each passage, at most, in an order of chance."""
        order = sorted(range(len(article.passages)), key=lambda at: self._digest(article.source, at))
        for passage in (article.passages[at] for at in order):
            numbers = range(len(passage.sentences))
            chosen = sorted(numbers, key=lambda at: self._digest(article.source, passage.start, at))
            for number in chosen:
                draft = _sentence_probe(article.source, passage, number)
                if draft is not None and self._fit(draft, 0):
                    yield draft, 0
                    break


def _sentence_probe(source: str, passage: Passage, number: int) -> Probe | None:
    """A sentence as a question for the sentences beside it in its passage; None if it cannot be one."""
    start, end = passage.sentences[number]
    text = _cleaned(passage.text[start:end])
    rest = f"{passage.text[:start].rstrip()} {passage.text[end:].lstrip()}".strip()
    least, most = _SENTENCE_WORDS
    if not least <= n_words(text) <= most or n_words(rest) < _LEFT_WORDS or len(passage.sentences) < 2:
        return None
    if sum(letter.isalpha() or letter.isspace() for letter in text) < _LETTERS * len(text) or near_copy(text, rest):
        return None
    beside = passage.sentence_spans[max(0, number - 1) : number + 2]
    place = Place(source, min(left for left, _ in beside), max(right for _, right in beside))
    return Probe("", "sentence", text, (place,), Place(source, *passage.sentence_spans[number]), _beginning(rest))


def _numbered(probe: Probe, number: int) -> Probe:
    return Probe(f"{probe.kind}-{number}", probe.kind, probe.text, probe.places, probe.masked, probe.answer)


def _cleaned(text: str) -> str:
    """A text as a question: without quotation marks, whose words would have to be found as they stand."""
    return " ".join(_QUOTES.sub(" ", text).split())


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 160 else line[:159] + "…"
