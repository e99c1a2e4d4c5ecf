"""Questions of many who ask at the same time, answered some at a time, each before its deadline or not at all.

`Index.search_many` uses all processors for several questions and takes less time for each; as many threads as questions would
wait for each other instead (``benchmarks/README.md``). So one thread answers what has come while it was at work. Whoever asks
alone waits for nobody.

Deliberately not here: HTTP.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import Future, Task, create_task, get_running_loop, wait_for
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from semsearch.arguments import check_query
from semsearch.limits import DeadlineExceeded, deadline
from semsearch.records import Mode
from semsearch.web.request_limits import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from semsearch.filters import Filter

__all__ = ["AT_ONCE", "Asked", "Batcher", "Busy", "before_deadline", "sound"]

Given = ParamSpec("Given")
Done = TypeVar("Done")

AT_ONCE = 16
"""Questions that are answered together."""
_FEW_HITS = 50
"""Maximum number of hits of a cheap search."""


class Busy(Exception):
    """As many are waiting as may."""

    def __init__(self) -> None:
        super().__init__("too many ask at the same time: ask again in a second")


async def before_deadline(answer: Awaitable[Done]) -> Done:
    """Wait for an answer for `DEADLINE` seconds, then cancel it.

    :raises DeadlineExceeded: if there is none by then.
    """
    try:
        return await wait_for(answer, DEADLINE)
    except asyncio.TimeoutError as error:
        raise DeadlineExceeded from error


def sound(function: Callable[Given, Done], *args: Given.args, **kwargs: Given.kwargs) -> Done:
    """What a function gives; what it raises comes as an exception that can be handed from thread to thread.

    Neither can be a `StopIteration`, which no future takes, nor what is no `Exception`, such as a panic in a library of Rust,
    which would end more than an answer: somebody would wait for ever.
    """
    try:
        return function(*args, **kwargs)
    except StopIteration as error:
        raise RuntimeError(repr(error)) from error
    except Exception:
        raise
    except BaseException as error:
        raise RuntimeError(repr(error)) from error


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked beside the question; those who ask the same are answered together."""

    k: int
    mode: Mode
    where: Filter
    per_article: int | None
    explain: bool

    @property
    def is_cheap(self) -> bool:
        """True if a search takes less than 0.1 s, apart from its filter."""
        return self.per_article is None and not self.explain and self.k <= _FEW_HITS


@dataclass(frozen=True, slots=True)
class _Waiting:
    question: str
    asked: Asked
    answer: Future[str]
    until: float
    """Deadline, as a time of `time.monotonic`."""


class Batcher:
    """Answers the questions that wait, some at a time.

    :param name: name of the thread.
    :param answer: returns the JSON of the answer to each question; called in one thread.
    :param waiting: questions that may wait, beside those that are being answered; more are refused.
    """

    def __init__(self, name: str, answer: Callable[[Sequence[str], Asked], list[str]], waiting: int) -> None:
        self._answers = answer
        self._most = AT_ONCE + waiting
        self._thread = ThreadPoolExecutor(1, name)
        self._queue: deque[_Waiting] = deque()
        self._inside = 0
        self._working: Task[None] | None = None

    async def search(self, question: str, how: Asked) -> str:
        """The JSON of the answer to one question.

        :param how: options of a cheap search (`Asked.is_cheap`).
        :raises Busy: if too many are waiting.
        :raises DeadlineExceeded: if the deadline passes before there is an answer.
        :raises SemsearchError: as `Index.search` does.
        """
        check_query(question)
        if self._inside >= self._most:
            raise Busy
        waiting = _Waiting(question, how, get_running_loop().create_future(), time.monotonic() + DEADLINE)
        self._inside += 1
        try:
            self._queue.append(waiting)
            if self._working is None:
                self._working = create_task(self._work())
            return await before_deadline(waiting.answer)
        finally:
            self._inside -= 1

    async def _work(self) -> None:
        """Answer what waits, until nothing does."""
        try:
            while batch := self._next():
                await self._answer(batch)
        finally:
            self._working = None

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
        try:
            answers = await get_running_loop().run_in_executor(self._thread, sound, self._answered, batch)
        except Exception as error:
            if len(batch) > 1:
                # One of them may be to blame; the others shall not be told of it.
                for waiting in batch:
                    if not waiting.answer.done():
                        await self._answer([waiting])
            elif not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            return
        for waiting, answer in zip(batch, answers, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(answer)

    def _answered(self, batch: Sequence[_Waiting]) -> list[str]:
        # Until the last one has given up.
        with deadline(max(waiting.until for waiting in batch)):
            return self._answers([waiting.question for waiting in batch], batch[0].asked)
