"""An index that many ask at the same time: so many threads at work, so many waiting, always the newest generation (`newest`).

Deliberately not here: HTTP, how questions are answered together (`batching`).
"""

from __future__ import annotations

import logging
import threading
from asyncio import get_running_loop
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from semsearch.errors import SemsearchError
from semsearch.index import Index
from semsearch.limits import processors
from semsearch.newest import Newest
from semsearch.records import Facets
from semsearch.web.batching import Batcher, Busy, sound

__all__ = ["WAITING", "Service"]

logger = logging.getLogger("semsearch")

Given = ParamSpec("Given")
Done = TypeVar("Done")

WAITING = 256
"""Calls that may wait for a thread."""


class Service:
    """An open index and its threads.

    :param waiting: calls that may wait for a thread; more are refused.
    """

    def __init__(self, index: Index, *, waiting: int = WAITING) -> None:
        self.index = index
        self._newest = Newest(index)
        self.questions = Batcher(index, waiting, self._newest.keep)
        threads = processors() + 1
        self._threads = ThreadPoolExecutor(threads, "semsearch")
        self._most = threads + waiting
        self._inside = 0
        self._facets: tuple[int, Facets] | None = None
        self._reading = threading.Lock()

    async def call(self, function: Callable[Given, Done], *args: Given.args, **kwargs: Given.kwargs) -> Done:
        """A function in a thread, when one is free, of the newest generation.

        :raises Busy: if too many are waiting.
        """
        if self._inside >= self._most:
            raise Busy
        self._inside += 1
        try:
            called = partial(self._called, partial(function, *args, **kwargs))
            return await get_running_loop().run_in_executor(self._threads, sound, called)
        finally:
            self._inside -= 1

    def _called(self, function: Callable[[], Done]) -> Done:
        self._newest.keep()
        return function()

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
