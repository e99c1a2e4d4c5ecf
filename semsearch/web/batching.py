"""Questions of many who ask at the same time, answered some at a time.

`Index.search_many` uses all processors for several questions and takes less time for each; as many threads as questions would
wait for each other instead (``benchmarks/README.md``). So one thread answers what has come while it was at work. Whoever asks
alone waits for nobody.

Deliberately not here: HTTP.
"""

from __future__ import annotations

from asyncio import Event, Future, get_running_loop
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anyio import to_thread

from semsearch import filters
from semsearch.arguments import check_query
from semsearch.records import Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from semsearch.filters import Filter
    from semsearch.index import Index

__all__ = ["AT_ONCE", "Asked", "Batcher", "Busy", "asked"]

AT_ONCE = 16
"""Questions that are answered together."""


class Busy(Exception):
    """As many are waiting as may."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked beside the question; those who ask the same are answered together."""

    k: int
    mode: Mode
    where: Filter
    per_article: int | None
    explain: bool


@dataclass(frozen=True, slots=True)
class _Waiting:
    question: str
    asked: Asked
    answer: Future[str]


class Batcher:
    """Answers the questions that wait, some at a time, as long as `run` runs.

    :param waiting: questions that may wait, beside those that are being answered; more are refused.
    """

    def __init__(self, index: Index, waiting: int) -> None:
        self._index = index
        self._most = AT_ONCE + waiting
        self._queue: deque[_Waiting] = deque()
        self._inside = 0
        self._come: Event | None = None

    async def search(self, question: str, how: Asked) -> str:
        """The JSON of the answer to one question.

        :raises Busy: if too many are waiting.
        :raises SemsearchError: as `Index.search` does.
        """
        check_query(question)
        if self._inside >= self._most:
            raise Busy
        waiting = _Waiting(question, how, get_running_loop().create_future())
        self._inside += 1
        try:
            self._queue.append(waiting)
            self._event().set()
            return await waiting.answer
        finally:
            self._inside -= 1

    async def run(self) -> None:
        """Answer what comes, for ever."""
        while True:
            await self._event().wait()
            self._event().clear()
            while self._queue:
                await self._answer(self._next())

    def _event(self) -> Event:
        if self._come is None:
            # It belongs to an event loop, so it is made in one.
            self._come = Event()
        return self._come

    def _next(self) -> list[_Waiting]:
        """The one who has waited longest, and others who ask the same way."""
        chosen: list[_Waiting] = []
        left: list[_Waiting] = []
        while self._queue and len(chosen) < AT_ONCE:
            waiting = self._queue.popleft()
            if waiting.answer.cancelled():
                continue
            (chosen if not chosen or waiting.asked == chosen[0].asked else left).append(waiting)
        self._queue.extendleft(reversed(left))
        return chosen

    async def _answer(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        try:
            answers = await to_thread.run_sync(self._answers, [waiting.question for waiting in batch], batch[0].asked)
        except Exception as error:
            # Whatever it is, each of them is told.
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return
        for waiting, answer in zip(batch, answers, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(answer)

    def _answers(self, questions: Sequence[str], how: Asked) -> list[str]:
        found = self._index.search_many(
            questions, how.k, mode=how.mode, where=how.where, per_article=how.per_article, explain=how.explain
        )
        return [results.to_json() for results in found]


def asked(k: int, mode: Mode, where: Sequence[str], per_article: int | None, *, explain: bool) -> Asked:
    """What is asked, from what was given.

    :raises InputError: if a condition has no sense.
    """
    return Asked(k, mode, filters.parse(list(where)), per_article, explain)
