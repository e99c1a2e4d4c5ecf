"""`diff`: which answers of two indexes differ, and what can be the reason; a gate for upgrades.

Each question is asked of both. A passage of the one is found again in the other by its article and its text, or, where articles
are cut otherwise, by the place that it stands at.

Deliberately not here: figures from judgments (`evaluation`); which of the two is better, which nobody can tell without them.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from semsearch import metrics
from semsearch.arguments import check_k, check_mode, check_query
from semsearch.evaluation import questions as read_questions
from semsearch.index import Index
from semsearch.probing.values import Answer, Cause, ContentChange, Diff, Fact, QuestionDiff, State
from semsearch.protocols import Fingerprint, Progress
from semsearch.records import Hit, Mode
from semsearch.results import Results
from semsearch.store import Reader, SizedArticle

__all__ = ["asked_of", "compared", "diff"]

PathLike = str | os.PathLike[str]

_AT_ONCE = 64
_OVERLAP = 0.5
"""Part of the shorter of two passages, cut otherwise, that both have at least to be the same place."""
_BEGINNING = 160


def diff(
    a: PathLike,
    b: PathLike,
    queries: PathLike | Sequence[str] | Mapping[str, str],
    *,
    k: int = 10,
    mode: Mode = "hybrid",
    progress: Progress | None = None,
) -> Diff:
    """Compare the answers of two indexes, ``a`` before and ``b`` after. Both are only read.

    :param queries: a file: lines of questions, lines of an id, a tab and a question, or BEIR's ``queries.jsonl``; or questions,
        or questions by their ids.
    :param k: how many hits of each question are compared.
    :param mode: how passages are ranked.
    :param progress: told how far it is.
    :raises IndexMissing: if one of the indexes is not there.
    :raises InputError: if there are no questions, or one is empty.
    :raises ModelMismatch: if the model of one is no longer what it was built with; so does ``ModelUnavailable``.
    """
    started = time.perf_counter()
    check_k(k)
    check_mode(mode)
    asked = asked_of(queries)
    with closing(Reader(Path(a))) as before, closing(Reader(Path(b))) as after, Index.open(a) as one, Index.open(b) as other:
        facts, content, found = compared((before, one), (after, other), asked, k=k, mode=mode, progress=progress)
    return Diff(os.fspath(a), os.fspath(b), k, mode, facts, content, found, time.perf_counter() - started)


Opened = tuple[Reader, Index]


def compared(
    a: Opened, b: Opened, asked: Mapping[str, str], *, k: int, mode: Mode, progress: Progress | None
) -> tuple[tuple[Fact, ...], ContentChange, tuple[QuestionDiff, ...]]:
    """What differs between two open indexes: what they were made with, their texts, their answers.

    :param asked: questions by their ids.
    """
    facts, content = _facts(a[0], b[0]), _content(a[0], b[0])
    possible = _possible(facts, content)
    known = _Known(a[0], b[0])
    pairs = _answers(a[1], b[1], asked, k, mode, progress)
    found = [_question(query, text, pair, known, possible) for (query, text), pair in zip(asked.items(), pairs, strict=True)]
    return facts, content, tuple(found)


def asked_of(given: PathLike | Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Questions by their ids, as `diff` takes them."""
    if isinstance(given, str | os.PathLike):
        return read_questions(Path(given).expanduser())
    found = dict(given) if isinstance(given, Mapping) else {str(number): text for number, text in enumerate(given, 1)}
    for text in found.values() or [""]:
        check_query(text)
    return found


def _answers(
    one: Index, other: Index, asked: Mapping[str, str], k: int, mode: Mode, progress: Progress | None
) -> Iterable[tuple[Results, Results]]:
    texts = list(asked.values())
    for first in range(0, len(texts), _AT_ONCE):
        if progress:
            progress("searching", first, len(texts))
        chunk = texts[first : first + _AT_ONCE]
        yield from zip(one.search_many(chunk, k, mode=mode), other.search_many(chunk, k, mode=mode), strict=True)
    if progress:
        progress("searching", len(texts), len(texts))


def _facts(before: Reader, after: Reader) -> tuple[Fact, ...]:
    """What the two indexes were made with, as far as it differs."""
    model = [_model(reader.fingerprint) for reader in (before, after)]
    settings = [_settings(reader) for reader in (before, after)]
    found = [Fact("model", name, model[0][name], model[1][name]) for name in model[0] if model[0][name] != model[1][name]]
    if [fact.name for fact in found] == ["model"]:
        # The same model under another name gives the same vectors.
        found = []
    found += [
        Fact("settings", name, settings[0][name], settings[1][name])
        for name in settings[0]
        if settings[0][name] != settings[1][name]
    ]
    versions = [reader.meta.get("version", "") for reader in (before, after)]
    if versions[0] != versions[1]:
        found.append(Fact("version", "semsearch", versions[0], versions[1]))
    return tuple(found)


def _model(fingerprint: Fingerprint) -> dict[str, str]:
    """All that decides the vectors, but for 8 bits, which are a setting."""
    values = {name: str(value) for name, value in asdict(fingerprint).items() if name != "quantized"}
    return {**values, **{name: values[name][:12] for name in ("weights", "tokenizer", "config")}}


def _settings(reader: Reader) -> dict[str, str]:
    meta = reader.meta
    recall = "exact" if not meta.get("recall") else meta["recall"]
    return {
        "codes of words": meta.get("codes", "yes"),
        "precision": meta.get("precision", "float"),
        "network in 8 bits": reader.fingerprint.quantized[:12],
        "engine": meta.get("engine", ""),
        "target recall": meta.get("target_recall", ""),
        "measured recall": recall,
        "passages": meta.get("passages", ""),
    }


def _content(before: Reader, after: Reader) -> ContentChange:
    mine, theirs = before.hashes(), after.hashes()
    return ContentChange(len(mine - theirs), len(theirs - mine), len(mine & theirs))


def _possible(facts: Sequence[Fact], content: ContentChange) -> list[Cause]:
    """What can be the reason where the passages of an answer are the same in both."""
    found: list[Cause] = [kind for kind in ("model", "settings") if any(fact.kind == kind for fact in facts)]
    if content.only_a or content.only_b:
        found.append("other content")
    return found or (["version"] if facts else ["unknown"])


class _Known:
    """What each of the two indexes has, looked up when it is asked for."""

    def __init__(self, before: Reader, after: Reader) -> None:
        self._readers = (before, after)
        self._numbers = tuple({article.source: article for article in reader.sized_articles()} for reader in self._readers)
        self.by_source = bool(self._numbers[0].keys() & self._numbers[1].keys())
        self._by_path: list[dict[str, SizedArticle]] = []
        if not self.by_source:
            self._by_path = [
                _by_path(reader, numbers.values()) for reader, numbers in zip(self._readers, self._numbers, strict=True)
            ]
        self._texts: dict[tuple[int, str], tuple[set[str], str] | None] = {}

    def article(self, hit: Hit) -> str:
        """What a hit's article is known by in both: its source, or, where they have no source in common, its file."""
        return hit.source if self.by_source else _file_name(hit.path, hit.source)

    def state(self, hit: Hit, index: int) -> State:
        """What became of a hit's passage in the index that has not got it among its hits: 0 for the first, 1 for the second."""
        article = self.article(hit)
        key = (index, article)
        if key not in self._texts:
            self._texts[key] = self._read(index, article)
        found = self._texts[key]
        if found is None:
            return "no article"
        texts, joined = found
        if hit.text in texts:
            return "ranked lower"
        return "cut otherwise" if _plain(hit.text) in joined else "changed"

    def _read(self, index: int, article: str) -> tuple[set[str], str] | None:
        numbers = self._numbers[index] if self.by_source else self._by_path[index]
        if article not in numbers:
            return None
        (found,) = self._readers[index].article_texts([numbers[article].id])
        texts = [passage.text for passage in found.passages]
        return set(texts), _plain(" ".join(texts))


def _by_path(reader: Reader, articles: Iterable[SizedArticle]) -> dict[str, SizedArticle]:
    paths = {file.id: (file.path, file.source) for file in reader.files()}
    return {paths[each.file][0] + each.source.removeprefix(paths[each.file][1]): each for each in articles}


def _file_name(path: str, source: str) -> str:
    _, mark, line = source.rpartition("#")
    return f"{path}#{line}" if mark and line.isdigit() else path


def _plain(text: str) -> str:
    return " ".join(text.split())


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
    mine, theirs = _plain(hit.text), _plain(other.text)
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
    line = _plain(hit.text)
    beginning = line if len(line) <= _BEGINNING else line[: _BEGINNING - 1] + "…"
    return Answer(hit.source, hit.line, beginning, rank_a, rank_b, state)
