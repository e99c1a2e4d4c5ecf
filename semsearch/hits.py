"""Ranked rows made into hits: places, best sentences, copies folded into one.

Invariants: hits come in the order of their scores, equal ones in the order of their sources and places; nothing is folded that
differs in a number.

Deliberately not here: how rows are ranked (`ranking`), how hits look (`render`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from semsearch import fusion
from semsearch.errors import IndexCorrupt
from semsearch.ranking import Question, Ranking
from semsearch.records import Explanation, Highlight, Hit, Mode, Origin, Place

if TYPE_CHECKING:
    from semsearch.engines import View
    from semsearch.protocols import Allowed, LexicalArm
    from semsearch.store import PassageRow

__all__ = ["Choice", "Maker", "reranked"]

COPIES = 100
"""Places of one text that are read, at most, beside the hits that they may be."""
_ALL = 10_000
_SPELLED = 0.8
_NEGATIONS = frozenset(
    [
        "not", "no", "never", "nor", "neither", "none", "nobody", "nothing", "nowhere", "without", "cannot", "hardly", "nicht",
        "kein", "keine", "keinen", "nie", "ohne", "ne", "pas", "non", "jamais", "sans", "sin", "nunca", "ni", "não", "sem",
        "niet", "geen", "нет", "не", "без", "никогда",
    ]
)  # fmt: skip
_LONG = 0.8
"""Part of the other's letters that each of two passages has at least to be nearly the same."""
_ALIKE = 0.9
"""Share of their words, all counted, that two passages have in common to be nearly the same."""
_WORD = r"\w+(?:['’]\w+)*"
_WORDS = re.compile(_WORD)
_SIGNED_WORDS = re.compile(rf"[-\u2212]?{_WORD}")
_WINDOW = 50
"""Hits before one that may be nearly the same: such stand close together."""
_CLOSE = 0.03
"""Difference of scores up to which they are compared."""
_STILL = 0.005
"""Difference to the last hit's score up to which its copies are looked for behind it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of the ranked passages become hits.

    ``k``: how many, at most. ``fold``: whether copies become one hit, the other places listed with it. ``per_article``: hits of
    one article, at most; None for as many as there are.
    """

    k: int
    fold: bool = True
    per_article: int | None = None


class Maker:
    """Makes the hits of one question.

    :param question: its text alone where the mode is lexical.
    :param origin: the way back into the index from a passage, by its ``id``.
    """

    def __init__(
        self,
        question: Question | str,
        mode: Mode,
        ranking: Ranking,
        reader: View,
        lexical: LexicalArm,
        allowed: Allowed | None,
        origin: Callable[[int], Origin],
        *,
        explain: bool,
    ) -> None:
        self._question = question
        self._text = question if isinstance(question, str) else question.text
        self._mode = mode
        self._ranking = ranking
        self._reader = reader
        self._lexical = lexical
        self._origin = origin
        self._explain = explain
        self._allowed = allowed
        self._counted: dict[int, _Words] = {}
        self._dense = ranking.parts.dense()
        rows = None if allowed is None else allowed.rows
        self._bound = 0.0 if mode == "dense" else lexical.bound(self._text, allowed=rows)

    def choose(self, choice: Choice) -> list[Hit]:
        """The best hits; their ranks count from 1."""
        chosen: list[tuple[int, PassageRow, list[Place]]] = []
        same: dict[str, int] = {}
        articles: Counter[tuple[str, str]] = Counter()
        scores = self._ranking.scores
        for place, row in self._in_order(choice):
            full = len(chosen) == choice.k
            if full and (not choice.fold or scores[place] < scores[chosen[-1][0]] - _STILL):
                break
            if choice.fold:
                # What is just the same may have another score, under another title.
                twin = same.get(row.passage.text)
                twin = self._twin(place, row, chosen) if twin is None else twin
                if twin is not None:
                    if len(chosen[twin][2]) < COPIES:
                        chosen[twin][2].append(_place(row))
                    continue
            article = (row.path, row.source)
            if full or (choice.per_article is not None and articles[article] >= choice.per_article):
                continue
            articles[article] += 1
            chosen.append((place, row, []))
            same[row.passage.text] = len(chosen) - 1
        return [self._hit(rank, *item) for rank, item in enumerate(chosen, 1)]

    def _in_order(self, choice: Choice) -> Iterator[tuple[int, PassageRow]]:
        """Passages with their rows' places in the ranking; more of them are read as more are asked for."""
        rows, scores = self._ranking.rows, self._ranking.scores
        first, step = 0, choice.k + 1
        if choice.fold and len(rows) > choice.k:
            # As far as copies of the last one are looked for, and one more, which ends it.
            step = max(step, 1 + int(np.searchsorted(-scores, _STILL - scores[choice.k - 1], side="right")))
        while first < len(rows):
            behind = min(first + step, len(rows))
            # Row numbers tell of the index's history: equal scores are told apart by where the passages stand instead.
            behind = int(np.searchsorted(-scores, -scores[behind - 1], side="right"))
            at = {int(row): first + number for number, row in enumerate(rows[first:behind])}
            # A row may be in an article more often than the article may be among the hits.
            limit = _ALL if choice.per_article is not None else max(choice.k, COPIES) if choice.fold else choice.k
            passages = self._reader.passages(list(at), limit, allowed=self._allowed)
            if len({item.row for item in passages}) < len(at):
                raise IndexCorrupt("a passage that was found is not in the index: see semsearch check")
            yield from ((at[item.row], item) for item in sorted(passages, key=lambda item: -scores[at[item.row]]))
            first, step = behind, 2 * step

    def _twin(self, place: int, row: PassageRow, chosen: Sequence[tuple[int, PassageRow, list[Place]]]) -> int | None:
        """The earlier hit that a passage says nearly the same as."""
        ranking = self._ranking
        for earlier in range(len(chosen) - 1, max(-1, len(chosen) - 1 - _WINDOW), -1):
            other, kept, _ = chosen[earlier]
            if ranking.rows[other] == ranking.rows[place]:
                return earlier
            if ranking.scores[other] - ranking.scores[place] > _CLOSE:
                return None
            # Words are counted only of those that are about as long, and that the model takes for much the same.
            lengths = len(row.passage.text), len(kept.passage.text)
            near = min(lengths) >= _LONG * max(lengths) and (
                abs(float(ranking.parts.cosine[other]) - float(ranking.parts.cosine[place])) <= _CLOSE
            )
            if near and self._words(row).alike(self._words(kept)):
                return earlier
        return None

    def _words(self, row: PassageRow) -> _Words:
        if row.id not in self._counted:
            self._counted[row.id] = _Words.of(row.passage.text)
        return self._counted[row.id]

    def _hit(self, rank: int, place: int, item: PassageRow, copies: list[Place]) -> Hit:
        passage, parts, mode = item.passage, self._ranking.parts, self._mode
        cosine = None if mode == "lexical" else float(parts.cosine[place])
        late = None if mode == "lexical" or parts.late is None else float(parts.late[place])
        bm25 = None if mode == "dense" else float(self._ranking.bm25[place])
        coverage = None if bm25 is None else min(1.0, bm25 / self._bound) if self._bound > 0 else 0.0
        dense = None if mode == "lexical" else float(self._dense[place])
        return Hit(
            rank=rank,
            score=float(self._ranking.scores[place]),
            text=passage.text,
            title=item.title,
            source=item.source,
            start=passage.start,
            end=passage.end,
            line=passage.line,
            paragraph=passage.paragraph,
            heading=passage.heading,
            highlight=self._highlight(place, item),
            scores={"dense": dense, "lexical": bm25},
            metadata=item.metadata,
            path=item.path,
            page=passage.page,
            passage_id=item.passage_id,
            article_id=item.article_id,
            confidence=fusion.confidence(cosine, late, coverage),
            duplicates=tuple(copies),
            explanation=self._explanation(place) if self._explain else None,
            origin=self._origin(item.id),
        )

    def _highlight(self, place: int, item: PassageRow) -> Highlight:
        passage = item.passage
        if not passage.sentences:
            return Highlight(passage.start, passage.end, passage.text)
        best = self._best_sentence(place, item)
        start, end = passage.sentences[best]
        return Highlight(*passage.sentence_spans[best], passage.text[start:end])

    def _best_sentence(self, place: int, item: PassageRow) -> int:
        passage = item.passage
        if isinstance(self._question, str) or self._ranking.similarities is None:
            texts = [passage.text[start:end] for start, end in passage.sentences]
            return int(np.argmax(self._lexical.overlap(self._text, texts)))
        tokens = self._reader.vectors().sentences(item.row)
        if len(tokens) != len(passage.sentences):
            raise IndexCorrupt(f"sentences of {item.source} and their vectors differ: see semsearch check")
        return fusion.strongest_sentence(self._ranking.similarities(place), self._question.weights, tokens)

    def _explanation(self, place: int) -> Explanation:
        values = {name: float(part[place]) for name, part in self._ranking.parts._asdict().items() if part is not None}
        weights = fusion.weights(self._mode)
        parts = tuple((name, value, weights[name]) for name, value in values.items() if name in weights)
        if self._mode == "dense":
            return Explanation(parts, ())
        return Explanation(parts, tuple(self._lexical.explain(self._text, int(self._ranking.rows[place]))))


class _Words(NamedTuple):
    """A text with its words as they are spelled there, and how often it has each in lower case."""

    text: str
    spelled: list[str]
    counted: Counter[str]

    @classmethod
    def of(cls, text: str) -> _Words:
        spelled = _WORDS.findall(text)
        return cls(text, spelled, Counter(map(str.lower, spelled)))

    def numbers(self) -> list[str]:
        """The words with figures in them, with their signs, in their order."""
        return [word for word in _SIGNED_WORDS.findall(self.text) if not word.isalpha() and any(map(str.isnumeric, word))]

    def alike(self, other: _Words) -> bool:
        """Whether two texts say the same: the same numbers and nearly the same words, of which there must be some.

        What differs may be no name, no negation, no word that only changed its place, and no word in place of another one unless
        that is spelled nearly the same: "rose" and "fell" are one word in a hundred, too.
        """
        mine, theirs = len(self.spelled), len(other.spelled)
        longer = max(mine, theirs)
        if not longer or min(mine, theirs) < _ALIKE * longer:
            return False
        if (self.counted & other.counted).total() < _ALIKE * longer or self.numbers() != other.numbers():
            return False
        left, right = [word.lower() for word in self.spelled], [word.lower() for word in other.spelled]
        gone: set[str] = set()
        come: set[str] = set()
        for change, start, end, first, last in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
            if change == "equal":
                continue
            if change == "replace" and not _respelled(left[start:end], right[first:last]):
                return False
            # A name or agency may be put before or behind the whole.
            at_an_end = (start, first) == (0, 0) or (end, last) == (mine, theirs)
            changed = (*self.spelled[start:end], *other.spelled[first:last])
            if any(_negates(word) or (word[0].isupper() and not (at_an_end and change != "replace")) for word in changed):
                return False
            gone.update(left[start:end])
            come.update(right[first:last])
        return not gone & come


def _negates(word: str) -> bool:
    return word.lower() in _NEGATIONS or word.lower().endswith(("n't", "n’t"))


def _respelled(left: Sequence[str], right: Sequence[str]) -> bool:
    """Whether words are other spellings of the same ones: colour and color, but not safe and unsafe."""
    return len(left) == len(right) and all(
        one[0] == other[0] and one not in other and other not in one and SequenceMatcher(None, one, other).ratio() >= _SPELLED
        for one, other in zip(left, right, strict=True)
    )


def _place(item: PassageRow) -> Place:
    passage = item.passage
    return Place(item.source, passage.start, passage.end, passage.line, passage.paragraph, item.title, passage.page)


def reranked(hits: Sequence[Hit], scores: Sequence[float | None]) -> list[Hit]:
    """Hits in the order of a reranker's scores; those that it did not reach follow in their own order, with scores below."""
    judged = [(score, hit) for hit, score in zip(hits, scores, strict=True) if score is not None]
    judged.sort(key=lambda item: -item[0])
    rest = [hit for hit, score in zip(hits, scores, strict=True) if score is None]
    least = judged[-1][0] if judged else 1.0
    ordered = [(score, score, hit) for score, hit in judged] + [(least * hit.score, None, hit) for hit in rest]
    return [
        replace(
            hit,
            rank=rank,
            score=score,
            explanation=None if hit.explanation is None else hit.explanation._replace(rerank=given),
        )
        for rank, (score, given, hit) in enumerate(ordered, 1)
    ]
