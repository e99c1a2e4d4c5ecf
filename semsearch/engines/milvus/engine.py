"""An index in Milvus by its address: its generations, and the next one.

Deliberately not here: what is in a generation (`snapshot`), and how one is made (`draft`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from semsearch.engines.milvus import record
from semsearch.engines.milvus.address import Address, parse
from semsearch.engines.milvus.client import BOUNDED, Client, Index
from semsearch.engines.milvus.draft import MilvusDraft
from semsearch.engines.milvus.entities import GAP, RECORD
from semsearch.engines.milvus.snapshot import Cache, MilvusSnapshot
from semsearch.errors import EngineError

__all__ = ["MilvusEngine", "connect"]

_OWN = 60.0
"""Seconds after a commit of its own that an engine reads no older record, however old a one Milvus may give."""


def connect(address: str) -> MilvusEngine:
    """An index by its address; the server is not asked yet.

    :raises InputError: if it is no address.
    :raises MissingExtra: if pymilvus is not installed, at the first call.
    """
    return MilvusEngine(parse(address))


class MilvusEngine:
    """`seam.Engine`."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._client = Client(address)
        self._cache = Cache()
        self._written: tuple[float, int] = (0.0, BOUNDED)

    @property
    def shown(self) -> str:
        """The address as it may be shown."""
        return self._address.shown

    @contextmanager
    def snapshot(self) -> Iterator[MilvusSnapshot]:
        """The newest generation. What another process commits shows within the server's bounded staleness, 5 s as it comes."""
        when, at = self._written
        at = at if time.monotonic() - when < _OWN else BOUNDED
        found = record.read(self._client, self._address.collection, at)
        yield MilvusSnapshot(self._client, self._address.collection, found, self._cache, self._address.ef)

    def draft(self) -> MilvusDraft:
        """The next generation.

        :raises IndexLocked: if another process is writing.
        """
        self._make()
        return MilvusDraft(self._client, self._address, self._cache, self._committed)

    def _make(self) -> None:
        """Make the collection of the record, unless there is one."""
        name = self._address.collection
        if self._client.has(name):
            return
        try:
            self._client.create(name, RECORD, (), (Index(GAP, "FLAT", "L2"),))
        except EngineError:
            # Another may have made it at the same time.
            if not self._client.has(name):
                raise

    def _committed(self, at: int) -> None:
        self._written = (time.monotonic(), at)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()
