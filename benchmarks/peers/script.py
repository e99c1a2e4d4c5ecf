"""What the peers' scripts share: reading a collection, and the four things that each can be told to do.

A script says how its tool indexes articles and how it opens an index to search it, and hands both to `main`. The standard
library only: it runs in every peer's own environment, and must add next to nothing to a cold start.

    python -m peers.NAME index COLLECTION FOLDER
    python -m peers.NAME ask FOLDER QUESTION
    python -m peers.NAME warm COLLECTION FOLDER QUESTIONS
    python -m peers.NAME rank COLLECTION FOLDER FILE

COLLECTION is a folder in BEIR format. All but ``ask`` close with one line of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ANSWERS = 5
"""Passages that a cold question is answered with, as many as ``semsearch ask`` gives."""
WARM_ANSWERS = 10
DEPTH = 100
"""Articles of a ranking."""
WARM_UP = 20
"""Questions before the first that counts."""


class Article(NamedTuple):
    id: str
    title: str
    text: str

    @property
    def whole(self) -> str:
        """Title and text as one, for tools that know no titles."""
        return f"{self.title} {self.text}".strip()


class Found(NamedTuple):
    """One answer: the article's id and the text that is shown."""

    article: str
    text: str


class Collection(NamedTuple):
    """Questions that have a positive judgment, by id, and the judgments by question and article."""

    questions: dict[str, str]
    judgments: dict[str, dict[str, int]]


class Tried(NamedTuple):
    """What became of some questions: answers and milliseconds of those that were answered, and what the others raised."""

    answers: dict[str, list[Found]]
    milliseconds: list[float]
    errors: list[str]


Search = Callable[[str, int], Sequence[Found]]
"""A question and how many answers, to the answers, best first."""


def lines(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def articles(collection: Path) -> list[Article]:
    return [Article(row["_id"], row.get("title", ""), row["text"]) for row in lines(collection / "corpus.jsonl")]


def judged(collection: Path) -> Collection:
    judgments: dict[str, dict[str, int]] = {}
    with (collection / "qrels" / "test.tsv").open(encoding="utf-8") as file:
        next(file)
        for line in file:
            question, article, grade = line.rstrip("\n").split("\t")
            judgments.setdefault(question, {})[article] = int(grade)
    judgments = {question: grades for question, grades in judgments.items() if max(grades.values()) > 0}
    questions = {row["_id"]: row["text"] for row in lines(collection / "queries.jsonl") if row["_id"] in judgments}
    return Collection(questions, judgments)


def ranked(search: Search, collection: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Articles by question, each where its best passage stands, and the errors. Whoever fails on a question has found nothing."""
    tried = _try(search, judged(collection).questions, DEPTH)
    return {name: list(dict.fromkeys(found.article for found in answer)) for name, answer in tried.answers.items()}, tried.errors


def main(
    index: Callable[[list[Article], Path], None],
    opened: Callable[[Path], Search],
    rank: Callable[[Path, Path], tuple[dict[str, list[str]], list[str]]] | None = None,
) -> None:
    """Do what the command line says.

    :param index: makes an index of articles in an empty folder.
    :param opened: opens that index.
    :param rank: ranks a collection with an index where it is not done question by question.
    """
    action, *given = sys.argv[1:]
    if action == "ask":
        for found in opened(Path(given[0]))(given[1], ANSWERS):
            print(found.article, found.text, sep="\t")
    elif action == "index":
        index(articles(Path(given[0])), Path(given[1]))
        _tell({})
    elif action == "warm":
        _warm(opened(Path(given[1])), Path(given[0]), int(given[2]))
    elif action == "rank":
        collection, folder = Path(given[0]), Path(given[1])
        rankings, errors = rank(collection, folder) if rank else ranked(opened(folder), collection)
        Path(given[2]).write_text(json.dumps(rankings), encoding="utf-8")
        _tell({"questions": len(rankings), "errors": errors})
    else:
        sys.exit(f"no action {action!r}")


def _warm(search: Search, collection: Path, count: int) -> None:
    """Time single questions, one after the other: those that follow the first, which warm up."""
    questions = list(judged(collection).questions.items())
    _try(search, dict(questions[:WARM_UP]), WARM_ANSWERS)
    tried = _try(search, dict(questions[WARM_UP:][:count]), WARM_ANSWERS)
    _tell({"milliseconds": tried.milliseconds, "errors": tried.errors})


def _try(search: Search, questions: dict[str, str], k: int) -> Tried:
    tried = Tried({}, [], [])
    for name, question in questions.items():
        started = time.perf_counter()
        try:
            found = list(search(question, k))
        except Exception as error:
            # Anything can come out of other people's tools, and is part of what is measured.
            tried.errors.append(f"{type(error).__name__}: {error}"[:300])
            found = []
        else:
            tried.milliseconds.append((time.perf_counter() - started) * 1000)
        tried.answers[name] = found
    return tried


def _tell(facts: dict[str, object]) -> None:
    print("\n" + json.dumps(facts), flush=True)
