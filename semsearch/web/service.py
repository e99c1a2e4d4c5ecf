"""An index that many ask at the same time: so many threads at work, so many waiting, always the newest generation.

Deliberately not here: HTTP, how questions are answered together (`batching`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ParamSpec, TypeVar

import anyio
from anyio import to_thread

from semsearch.errors import SemsearchError
from semsearch.index import Index
from semsearch.limits import processors
from semsearch.records import Facets
from semsearch.web.batching import Batcher, Busy

__all__ = ["WAITING", "Service"]

logger = logging.getLogger("semsearch")

Given = ParamSpec("Given")
Done = TypeVar("Done")

WAITING = 256
"""Calls that may wait for a thread."""
_SECONDS = 1.0
"""How often it looks for a new generation."""


class Service:
    """An open index and its threads.

    :param waiting: calls that may wait for a thread; more are refused.
    """

    def __init__(self, index: Index, *, waiting: int = WAITING) -> None:
        self.index = index
        self.questions = Batcher(index, waiting)
        self._threads = processors() + 1
        self._limiter: anyio.CapacityLimiter | None = None
        self._most = self._threads + waiting
        self._inside = 0
        self._facets: tuple[int, Facets] | None = None
        self._reading = threading.Lock()

    async def call(self, function: Callable[Given, Done], *args: Given.args, **kwargs: Given.kwargs) -> Done:
        """A function in a thread, when one is free.

        :raises Busy: if too many are waiting.
        """
        if self._inside >= self._most:
            raise Busy
        if self._limiter is None:
            # It belongs to an event loop, so it is made in one.
            self._limiter = anyio.CapacityLimiter(self._threads)
        self._inside += 1
        try:
            return await to_thread.run_sync(partial(function, *args, **kwargs), limiter=self._limiter)
        finally:
            self._inside -= 1

    def warm(self) -> None:
        """Load the model, and open what a search opens, so that the first question need not wait for it."""
        try:
            self.index.search("semsearch", 1)
        except SemsearchError as error:
            # Whoever asks is told the same.
            logger.warning("%s", error)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answers questions, and goes on to each new generation, in the meantime."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.questions.run)
            tasks.start_soon(self._keep_current)
            yield
            tasks.cancel_scope.cancel()

    async def _keep_current(self) -> None:
        told = ""
        while True:
            await anyio.sleep(_SECONDS)
            try:
                if await to_thread.run_sync(self.index.refresh):
                    logger.info("the index has changed: answering from generation %d", self.index.generation)
                told = ""
            except SemsearchError as error:
                # The generation that is open stays good.
                if str(error) != told:
                    logger.warning("%s", error)
                    told = str(error)

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
