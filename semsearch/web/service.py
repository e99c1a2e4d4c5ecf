"""An index that many ask at the same time: threads, a bounded number of waiting calls, always the newest generation (`newest`).

Every call has a deadline (`request_limits.DEADLINE`). A call that has not started by then never starts. A call that has started
gets its error at once; its thread stops at the next article that a filter looks at, or the next question
(`limits.check_deadline`). Other work is bounded by the limits of a request (`request_limits`).

Four queues run independently: cheap searches without a filter (batched, see `batching`), cheap searches with a filter (batched),
expensive searches and requests of several queries (one thread), all other calls (several threads).

Not here: HTTP.
"""

from __future__ import annotations

import logging
import threading
import time
from asyncio import get_running_loop
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from semsearch.errors import SemsearchError
from semsearch.index import Index
from semsearch.limits import deadline, processors
from semsearch.newest import Newest
from semsearch.records import Facets
from semsearch.web.batching import Asked, Batcher, Busy, before_deadline, sound
from semsearch.web.request_limits import DEADLINE

__all__ = ["WAITING", "Service"]

logger = logging.getLogger("semsearch")

Given = ParamSpec("Given")
Done = TypeVar("Done")

WAITING = 256
"""Calls that may wait for a thread."""


class _CallPool:
    """Threads for calls of one kind.

    :param waiting: maximum number of calls that wait for a thread.
    """

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self.threads = ThreadPoolExecutor(threads, name)
        self._most = threads + waiting
        self._inside = 0

    async def call(self, function: Callable[[], Done]) -> Done:
        """Call a function in a thread when one is free.

        :raises Busy: if too many calls are waiting.
        :raises DeadlineExceeded: if the deadline passes before it returns.
        """
        if self._inside >= self._most:
            raise Busy
        self._inside += 1
        try:
            return await before_deadline(get_running_loop().run_in_executor(self.threads, sound, function))
        finally:
            self._inside -= 1


class Service:
    """An open index and its threads.

    :param waiting: calls that may wait for a thread; more are refused.
    """

    def __init__(self, index: Index, *, waiting: int = WAITING) -> None:
        self.index = index
        self._newest = Newest(index)
        self._plain = Batcher("semsearch-plain", self._answers, waiting)
        self._filtered = Batcher("semsearch-filtered", self._answers, waiting)
        self._reads = _CallPool("semsearch", processors() + 1, waiting)
        self._expensive = _CallPool("semsearch-expensive", 1, waiting)
        self._facets: tuple[int, Facets] | None = None
        self._reading = threading.Lock()

    async def call(self, function: Callable[Given, Done], *args: Given.args, **kwargs: Given.kwargs) -> Done:
        """Call a function in a thread when one is free, with the newest generation.

        :raises Busy: if too many calls are waiting.
        :raises DeadlineExceeded: if the deadline passes before it returns.
        """
        return await self._call_in(self._reads, partial(function, *args, **kwargs))

    async def search(self, question: str, how: Asked) -> str:
        """Return the JSON of the answer to one question; raise as `call` and `Index.search` do."""
        if not how.is_cheap:
            return (await self.search_many([question], how))[0]
        return await (self._filtered if how.where else self._plain).search(question, how)

    async def search_many(self, questions: Sequence[str], how: Asked) -> list[str]:
        """Return the JSON of the answer to each question; raise as `call` and `Index.search_many` do."""
        return await self._call_in(self._expensive, partial(self._answers, questions, how))

    def _answers(self, questions: Sequence[str], how: Asked) -> list[str]:
        self._newest.keep()
        found = self.index.search_many(
            questions, how.k, mode=how.mode, where=how.where, per_article=how.per_article, explain=how.explain
        )
        return [results.to_json() for results in found]

    async def _call_in(self, lane: _CallPool, function: Callable[[], Done]) -> Done:
        until = time.monotonic() + DEADLINE

        def called() -> Done:
            self._newest.keep()
            with deadline(until):
                return function()

        return await lane.call(called)

    async def start(self) -> None:
        """Load the model in a thread, without a deadline."""
        await get_running_loop().run_in_executor(self._reads.threads, self.warm)

    def warm(self) -> None:
        """Load the model, and open what a search opens, so that the first question need not wait for it."""
        try:
            sound(self.index.search, "semsearch", 1)
        except SemsearchError as error:
            # Whoever asks is told the same.
            logger.warning("%s", error)
        except Exception:
            logger.exception("the first search failed")

    def facets(self) -> Facets:
        """What the articles can be told apart by, read once a generation."""
        with self._reading:
            generation = self.index.generation
            if self._facets is None or self._facets[0] != generation:
                self._facets = (generation, self.index.facets())
            return self._facets[1]

    def status(self) -> dict[str, Any]:
        """Facts on the index, without where it lies."""
        return {key: value for key, value in self.index.status().items() if key != "path"}
