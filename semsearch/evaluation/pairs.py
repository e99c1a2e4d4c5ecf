"""Questions with their answers, a line each: ``question<TAB>source or passage text``, for an index that is there already.

A source is one as ``ask`` prints it, with or without the line, or the end of one (``a.md`` for ``notes/a.md``); then any
passage of that article counts. All else is words of a passage; then only the passages that have them count.

Deliberately not here: data sets with ids of their own (`datasets`).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from semsearch import engines
from semsearch.errors import InputError
from semsearch.evaluation.datasets import Dataset, judged
from semsearch.evaluation.trec import Grades, numbered_lines
from semsearch.store import PassageRow

__all__ = ["load", "names", "passage_id"]

_HEADER = ("question", "query")
_MIN_WORDS = 5
"""A passage of fewer words is not taken for a part of the text that was given."""


class _Pair(NamedTuple):
    line: int
    query: str
    question: str
    target: str


def passage_id(source: str, start: int, end: int) -> str:
    """What a passage is judged by: its source and its place there."""
    return f"{source}:{start}-{end}"


def load(path: Path, index: str | os.PathLike[str]) -> Dataset:
    """The questions of a file, each answer found in an index.

    :raises InputError: if a line has no two columns, an answer is not in the index, or a question has answers of both kinds.
    :raises IndexMissing: if there is no index.
    """
    pairs = list(_read(path))
    if not pairs:
        raise InputError(f"{path} has no questions: give a question, a tab and a source or words of a passage on each line")
    finder = _Finder({pair.target for pair in pairs})
    with engines.pinned(index) as reader:
        for item in reader.all_passages():
            finder.look_at(item)
    judgments: Grades = {}
    kinds: dict[str, bool] = {}
    for pair in pairs:
        answers, by_passage = finder.answers(pair.target)
        if not answers:
            raise InputError(
                f"{path} line {pair.line}: nothing in {engines.shown(index)} is called {pair.target!r} or has these words: "
                "check it"
            )
        if kinds.setdefault(pair.query, by_passage) != by_passage:
            raise InputError(f"{path} line {pair.line}: this question has sources and passages as answers: give one kind")
        judgments.setdefault(pair.query, {}).update(dict.fromkeys(answers, 1))
    queries = {pair.query: pair.question for pair in pairs}
    return judged(Dataset(path.stem, queries, judgments, None, frozenset(query for query, kind in kinds.items() if kind)))


def _read(path: Path) -> Iterator[_Pair]:
    for position, (number, line) in enumerate(numbered_lines(path)):
        parts = [part.strip() for part in line.split("\t")]
        if len(parts) != 2 or not all(parts):
            hint = "; judgments take --queries FILE, too" if len(line.split()) == 4 else ""
            raise InputError(f"{path} line {number}: give a question, a tab and a source or words of a passage{hint}")
        if position == 0 and parts[0].casefold() in _HEADER:
            continue
        # By the question itself, so that a run is comparable when lines were added.
        query = "q" + hashlib.blake2b(parts[0].encode(), digest_size=6).hexdigest()
        yield _Pair(number, query, *parts)


def names(index: str | os.PathLike[str]) -> Iterator[set[str]]:
    """What judgments may call the article of each passage of an index: its source, or an id in its metadata.

    :raises IndexMissing: if there is no index.
    """
    with engines.pinned(index) as reader:
        for item in reader.all_passages():
            yield {item.source, *_ids(item)}


def _ids(item: PassageRow) -> list[str]:
    return [str(item.metadata[key]) for key in ("_id", "id") if key in item.metadata]


class _Finder:
    """What in an index is meant by some targets, from one look at each of its passages."""

    def __init__(self, targets: set[str]) -> None:
        self._words = {target: _plain(target) for target in targets}
        self._names = {target: _name(target) for target in targets}
        self._sources: dict[str, set[str]] = {}
        self._passages: dict[str, set[str]] = {}

    def look_at(self, item: PassageRow) -> None:
        """Note what the passage and its article are meant by."""
        identifiers = {item.source, item.path, *_ids(item)}
        text = _plain(item.passage.text)
        for target, name in self._names.items():
            if not identifiers.isdisjoint((target, name)) or item.source.endswith(f"/{name}"):
                self._sources.setdefault(target, set()).add(item.source)
            elif _overlap(self._words[target], text):
                identifier = passage_id(item.source, item.passage.start, item.passage.end)
                self._passages.setdefault(target, set()).add(identifier)

    def answers(self, target: str) -> tuple[set[str], bool]:
        """Ids of what is meant, and whether they are of passages."""
        if target in self._sources:
            return self._sources[target], False
        return self._passages.get(target, set()), True


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _name(target: str) -> str:
    """A source without the line that ``ask`` prints behind it, and without a leading ``./``."""
    return os.path.normpath(re.sub(r":\d+$", "", target))


def _overlap(wanted: str, text: str) -> bool:
    return wanted in text or (text in wanted and len(text.split()) >= _MIN_WORDS)
