"""Engines for tests: each a context manager that gives an engine which holds nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import postgres_server
from memory_engine import MemoryEngine
from milvus_server import milvus

from semsearch.engines.seam import Engine

__all__ = ["ENGINES", "Lasting"]


class Lasting:
    """An engine that stays when it is closed: it is opened again."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def close(self) -> None:
        pass


@contextmanager
def memory() -> Iterator[Engine]:
    yield MemoryEngine()


@contextmanager
def postgres() -> Iterator[Engine]:
    """In a schema of its own."""
    server = postgres_server.shared()
    from semsearch.engines.postgres import connect

    engine = connect(f"{server.address}?index=test_{uuid.uuid4().hex}")
    try:
        yield engine
    finally:
        engine.close()


ENGINES: dict[str, Callable[[], AbstractContextManager[Engine]]] = {"memory": memory, "milvus": milvus, "postgres": postgres}
