"""An open index kept at its newest generation, for those that ask it for long.

Nothing runs while nobody asks: whoever asks first after a second looks for a new generation. Whatever fails then, the one that
is open stays good, and the log is told.

Deliberately not here: going on to another generation (`Index.refresh`).
"""

from __future__ import annotations

import logging
import threading
import time

from semsearch.errors import SemsearchError
from semsearch.index import Index

__all__ = ["Newest"]

logger = logging.getLogger("semsearch")

_SECONDS = 1.0
"""How often it looks for a new generation, at most."""


class Newest:
    """Looks for new generations of an open index. Threads may share it."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._looking = threading.Lock()
        self._looked = time.monotonic()
        self._told = ""

    def keep(self) -> None:
        """Go on to the newest generation, if it is time to look for one."""
        if time.monotonic() - self._looked < _SECONDS or not self._looking.acquire(blocking=False):
            return
        try:
            if self._index.refresh():
                logger.info("the index has changed: answering from generation %d", self._index.generation)
            self._told = ""
        except SemsearchError as error:
            self._tell(str(error))
        except Exception as error:
            self._tell(f"looking for a new generation failed: {error!r}")
        finally:
            self._looked = time.monotonic()
            self._looking.release()

    def _tell(self, what: str) -> None:
        """Once, not every second."""
        if what != self._told:
            logger.warning("%s", what)
            self._told = what
