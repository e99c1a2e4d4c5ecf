"""`diff`: which answers of two indexes differ, and what can be the reason; a gate for upgrades.

Each question is asked of both. A passage of the one is found again in the other by its article and its text, or, where articles
are cut otherwise, by the place that it stands at.

Deliberately not here: figures from judgments (`evaluation`); which of the two is better, which nobody can tell without them.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from semsearch import engines, metrics
from semsearch.arguments import check_k, check_mode, check_query
from semsearch.errors import InputError
from semsearch.evaluation import questions as read_questions
from semsearch.index import Index
from semsearch.outputs import check_writable, write
from semsearch.probing.sides import CUT, IndexSide, Made, SavedSide, Side, is_saved, plain
from semsearch.probing.values import Answer, Cause, ContentChange, Diff, Fact, QuestionDiff, State
from semsearch.protocols import Progress
from semsearch.records import Hit, Mode
from semsearch.results import Results

if TYPE_CHECKING:
    from semsearch.engines import View

__all__ = ["asked_of", "compared", "diff"]

PathLike = str | os.PathLike[str]

_DEFAULT_K = 10
_DEFAULT_MODE: Mode = "hybrid"
_OVERLAP = 0.5
"""Part of the shorter of two passages, cut otherwise, that both have at least to be the same place."""
_BEGINNING = 160


def diff(
    a: PathLike,
    b: PathLike,
    queries: PathLike | Sequence[str] | Mapping[str, str] | None = None,
    *,
    k: int | None = None,
    mode: Mode | None = None,
    save: PathLike | None = None,
    progress: Progress | None = None,
) -> Diff:
    """Compare the answers of two indexes, ``a`` before and ``b`` after. Both are only read.

    :param a: an index directory, or a file that ``save`` wrote: the answers of an index, and of a semsearch, that were.
    :param b: an index directory.
    :param queries: a file: lines of questions, lines of an id, a tab and a question, or BEIR's ``queries.jsonl``; or questions,
        or questions by their ids. None where ``a`` is a file, which has its own.
    :param k: how many hits of each question are compared; None for 10, or as many as the file has.
    :param mode: how passages are ranked; None for hybrid, or as the file has it.
    :param save: a file to write the answers of ``b`` to, for a comparison to come.
    :param progress: told how far it is.
    :raises IndexMissing: if one of the indexes is not there.
    :raises InputError: if there are no questions, one is empty, or a file cannot be read or written.
    :raises ModelMismatch: if the model of one is no longer what it was built with; so does ``ModelUnavailable``.
    """
    started = time.perf_counter()
    if save is not None:
        check_writable(save)
    if is_saved(Path(a)):
        earlier = SavedSide(Path(a))
        if queries is not None or k not in (None, earlier.k) or mode not in (None, earlier.mode):
            raise InputError(f"{os.fspath(a)} has its own questions, k and mode: leave them out")
        asked, k, mode = earlier.questions, earlier.k, earlier.mode
    else:
        if queries is None:
            raise InputError("no questions: give a file of them with --queries")
        asked, k, mode = asked_of(queries), k or _DEFAULT_K, mode or _DEFAULT_MODE
    check_k(k)
    check_mode(mode)
    with _opened(b) as after:
        if is_saved(Path(a)):
            facts, content, found, answers = _compared(earlier, after, asked, k, mode, progress)
        else:
            with _opened(a) as before:
                facts, content, found, answers = _compared(before, after, asked, k, mode, progress)
        if save is not None:
            write(save, after.saved(asked, answers, k, mode))
    return Diff(engines.shown(a), engines.shown(b), k, mode, facts, content, found, time.perf_counter() - started)


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[IndexSide]:
    with engines.pinned(path) as reader, Index.open(path) as index:
        yield IndexSide(reader, index)


def compared(
    a: tuple[View, Index], b: tuple[View, Index], asked: Mapping[str, str], *, k: int, mode: Mode, progress: Progress | None
) -> tuple[tuple[Fact, ...], ContentChange, tuple[QuestionDiff, ...]]:
    """What differs between two open indexes: what they were made with, their texts, their answers.

    :param asked: questions by their ids.
    """
    return _compared(IndexSide(*a), IndexSide(*b), asked, k, mode, progress)[:3]


def _compared(
    before: Side, after: Side, asked: Mapping[str, str], k: int, mode: Mode, progress: Progress | None
) -> tuple[tuple[Fact, ...], ContentChange, tuple[QuestionDiff, ...], Sequence[Results]]:
    """The same of any two sides, and the answers of the second."""
    facts = _facts(before.made, after.made)
    content = ContentChange(len(before.texts - after.texts), len(after.texts - before.texts), len(before.texts & after.texts))
    possible = _possible(facts, content)
    known = _Known(before, after)
    answers = after.answers(asked, k, mode, progress)
    pairs = zip(before.answers(asked, k, mode, progress), answers, strict=True)
    found = [_question(query, text, pair, known, possible) for (query, text), pair in zip(asked.items(), pairs, strict=True)]
    return facts, content, tuple(found), answers


def asked_of(given: PathLike | Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Questions by their ids, as `diff` takes them."""
    if isinstance(given, str | os.PathLike):
        return read_questions(Path(given).expanduser())
    found = dict(given) if isinstance(given, Mapping) else {str(number): text for number, text in enumerate(given, 1)}
    for text in found.values() or [""]:
        check_query(text)
    return found


def _facts(before: Made, after: Made) -> tuple[Fact, ...]:
    """What the two were made with, as far as it differs."""
    model = _different("model", before.model, after.model)
    # The same model under another name gives the same vectors.
    named = [] if [fact.name for fact in model] == ["model"] else model
    settings = _different("settings", before.settings, after.settings)
    return (*named, *settings, *_different("version", before.version, after.version))


def _different(kind: Literal["model", "settings", "version"], one: Mapping[str, str], other: Mapping[str, str]) -> list[Fact]:
    names = dict.fromkeys((*one, *other))
    return [Fact(kind, name, one.get(name, ""), other.get(name, "")) for name in names if one.get(name) != other.get(name)]


def _possible(facts: Sequence[Fact], content: ContentChange) -> list[Cause]:
    """What can be the reason where the passages of an answer are the same in both."""
    kinds = {fact.kind for fact in facts}
    found: list[Cause] = [kind for kind in ("model", "settings") if kind in kinds]
    cut = any(fact.name in CUT for fact in facts)
    # Where the same articles are cut otherwise, it cannot be told whether they are the same.
    if (content.only_a or content.only_b) and not cut:
        found.append("other content")
    # Another version wrote, or asks: where nothing else is different, that is what is left.
    if "version" in kinds and (not found or any(fact.name == "asked by" for fact in facts)):
        found.append("version")
    return found or ["unknown"]


class _Known:
    """What each of the two sides has of the other's hits."""

    def __init__(self, before: Side, after: Side) -> None:
        self._sides = (before, after)
        self._by_source = bool(before.articles.keys() & after.articles.keys())
        self._sources: tuple[Mapping[str, str], ...] = ()
        if not self._by_source:
            self._sources = tuple({name: source for source, name in side.articles.items()} for side in self._sides)

    def article(self, hit: Hit) -> str:
        """What a hit's article is known by in both: its source, or, where they have no source in common, its file."""
        return hit.source if self._by_source else _file_name(hit.path, hit.source)

    def state(self, hit: Hit, index: int) -> State:
        """What became of a hit's passage on the side that has not got it among its hits: 0 for the first, 1 for the second."""
        other, own = self._sides[index], self._sides[1 - index]
        source = self._sources[index].get(self.article(hit)) if self._sources else hit.source
        return "no article" if source not in other.articles or source is None else other.state(hit, source, own)


def _file_name(path: str, source: str) -> str:
    _, mark, line = source.rpartition("#")
    return f"{path}#{line}" if mark and line.isdigit() else path


def _question(query: str, text: str, pair: tuple[Results, Results], known: _Known, possible: Sequence[Cause]) -> QuestionDiff:
    """One question: its hits matched, what became of those that have no match, and what can be the reason."""
    before, after = pair
    matched = _matched(before.hits, after.hits, known.article)
    answers = [_answer(hit, after[matched[place]] if place in matched else None, known) for place, hit in enumerate(before)]
    taken = set(matched.values())
    answers += [_shown(hit, None, hit.rank, known.state(hit, 0)) for place, hit in enumerate(after) if place not in taken]
    names = [
        [str(place) for place in range(len(before))],
        [str(next((mine for mine, theirs in matched.items() if theirs == place), f"new {place}")) for place in range(len(after))],
    ]
    moved = [answer for answer in answers if answer.rank_a != answer.rank_b]
    return QuestionDiff(
        id=query,
        text=text,
        overlap=len(matched) / max(len(before), len(after)) if before or after else 1.0,
        rbo=metrics.rank_biased_overlap(names[0], names[1]),
        answerable_a=before.answerable,
        answerable_b=after.answerable,
        causes=_causes(moved, before.answerable != after.answerable, possible),
        answers=tuple(answers),
    )


def _causes(moved: Sequence[Answer], flipped: bool, possible: Sequence[Cause]) -> tuple[Cause, ...]:
    """That the articles say other things, where that is so; else what differs between the indexes as wholes."""
    if not moved and not flipped:
        return ()
    own = [answer for answer in moved if answer.state in ("no article", "changed", "retitled")]
    if own:
        # With other content alone nothing else is asked for; another model may have had its part.
        return ("content", *(cause for cause in possible if cause in ("model", "settings")))
    return tuple(possible)


def _matched(before: Sequence[Hit], after: Sequence[Hit], article: Callable[[Hit], str]) -> dict[int, int]:
    """Places of hits that are of the same passage, each once: by its text, else by its place."""
    found: dict[int, int] = {}
    for same in (_same_text, _same_place):
        for mine, hit in enumerate(before):
            if mine in found:
                continue
            for theirs, other in enumerate(after):
                if theirs not in found.values() and article(hit) == article(other) and same(hit, other):
                    found[mine] = theirs
                    break
    return found


def _same_text(hit: Hit, other: Hit) -> bool:
    return hit.text == other.text


def _same_place(hit: Hit, other: Hit) -> bool:
    """Whether one has the other's text, or most of it, as it is where articles are cut otherwise."""
    mine, theirs = plain(hit.text), plain(other.text)
    if mine in theirs or theirs in mine:
        return True
    shared = min(hit.end, other.end) - max(hit.start, other.start)
    least = min(hit.end - hit.start, other.end - other.start)
    return shared >= _OVERLAP * max(1, least) and bool(Counter(mine.split()) & Counter(theirs.split()))


def _answer(hit: Hit, other: Hit | None, known: _Known) -> Answer:
    """A hit of the first index with its match in the second, if it has one."""
    if other is None:
        return _shown(hit, hit.rank, None, known.state(hit, 1))
    named = (hit.title, hit.heading) == (other.title, other.heading)
    return _shown(hit, hit.rank, other.rank, "found" if named else "retitled")


def _shown(hit: Hit, rank_a: int | None, rank_b: int | None, state: State) -> Answer:
    line = plain(hit.text)
    beginning = line if len(line) <= _BEGINNING else line[: _BEGINNING - 1] + "…"
    return Answer(hit.source, hit.line, beginning, rank_a, rank_b, state)
