"""Engines for tests: each a context manager that gives an engine which holds nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from memory_engine import MemoryEngine
from milvus_server import milvus

from semsearch.engines.seam import Engine

__all__ = ["ENGINES"]


@contextmanager
def memory() -> Iterator[Engine]:
    yield MemoryEngine()


ENGINES: dict[str, Callable[[], AbstractContextManager[Engine]]] = {"memory": memory, "milvus": milvus}
