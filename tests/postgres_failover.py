"""A primary that is killed in the middle of drafts, and its synchronous standby that takes over with all that was committed."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import psutil
import psycopg
from engine_entries import META, article_of
from postgres_server import Server
from test_engine_seam import fill

from semsearch.engines.postgres import connect
from semsearch.engines.seam import Engine
from semsearch.errors import EngineError, IndexLocked

__all__ = ["failover"]

DURABLE = {"wal_keep_size": "64MB"}
"""The rest as it is by default: synced to disk, and to the standby before a commit is acknowledged."""


class Writer(threading.Thread):
    """Commits one generation after the other, each with one more article, until told to stop; goes on after errors."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine
        self._stop_it = threading.Event()
        self.acknowledged = 0
        self.refused: list[str] = []
        self.strange: list[BaseException] = []

    def run(self) -> None:
        while not self._stop_it.is_set():
            number = self._next()
            try:
                fill(self._engine, {number: 0}, {**META, "generation": str(number)})
                self.acknowledged = number
            except (EngineError, IndexLocked) as error:
                self.refused.append(str(error))
                self._stop_it.wait(0.05)
            except BaseException as error:
                self.strange.append(error)
                return

    def _next(self) -> int:
        """After an error the index says how far it came."""
        if not self.refused:
            return self.acknowledged + 1
        try:
            with self._engine.snapshot() as snapshot:
                return int(snapshot.meta.get("generation", "0")) + 1
        except EngineError as error:
            self.refused.append(str(error))
            return self.acknowledged + 1

    def stop(self) -> None:
        self._stop_it.set()
        self.join(60)


def failover(seed: int, most: float = 1.0) -> dict[str, Any]:
    """Kill, promote, look.

    :param most: seconds of drafts before the kill, at most.
    :return: generations acknowledged before the kill and after all, the one that there was behind the kill, errors.
    """
    drawn = random.Random(seed)
    primary = Server(DURABLE)
    standby = Server(DURABLE, copy_of=primary)
    try:
        _make_synchronous(primary)
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        address = f"postgresql://semsearch:secret%20word@{hosts}/postgres?target_session_attrs=read-write&connect_timeout=3"
        engine, looking = connect(address), connect(address)
        fill(engine, {0: 0}, {**META, "generation": "0"})
        writer = Writer(engine)
        writer.start()
        time.sleep(drawn.uniform(0.2, most))
        _kill(primary)
        before = writer.acknowledged
        started = time.perf_counter()
        standby.promote()
        with looking.snapshot() as snapshot:
            seconds = time.perf_counter() - started
            found = int(snapshot.meta["generation"])
            _check(snapshot, found)
        while writer.is_alive() and writer.acknowledged <= found + 2:
            assert time.perf_counter() - started < 60, writer.refused
            time.sleep(0.01)
        writer.stop()
        assert not writer.strange, writer.strange
        with looking.snapshot() as snapshot:
            last = int(snapshot.meta["generation"])
            _check(snapshot, last)
        engine.close()
        looking.close()
    finally:
        primary.stop()
        standby.stop()
    return {
        "acknowledged before the kill": before, "there behind it": found, "acknowledged in the end": writer.acknowledged,
        "there in the end": last, "errors that the writer saw": writer.refused, "seconds until it was read": round(seconds, 2),
    }  # fmt: skip


def _check(snapshot: Any, generation: int) -> None:
    """A generation has all of its articles, all of their passages and words, and nothing else."""
    wanted = [article_of(number) for number in range(generation + 1)]
    articles = snapshot.articles(0, 10_000, None)
    assert {article.id for article in articles} == {article.id for article, _, _ in wanted}
    entries = [entry for _, some, _ in wanted for entry in some]
    assert set(snapshot.sample(10_000)) == {entry.row for entry in entries}
    assert len(list(snapshot.files())) == generation + 1
    terms = ["oil", "harbour", "version0"]
    counted = [sum(any(term in part.split() for part in entry.terms) for entry in entries) for term in terms]
    assert snapshot.frequencies("whole", terms) == counted


def _make_synchronous(primary: Server) -> None:
    with psycopg.connect(primary.address, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        connection.execute("SELECT pg_reload_conf()")
        for _ in range(3000):
            found = connection.execute("SELECT sync_state FROM pg_stat_replication").fetchall()
            if found == [("sync",)]:
                return
            time.sleep(0.02)
    raise AssertionError(found)


def _kill(server: Server) -> None:
    """All processes at once, as on a machine that loses power; its postmaster first, so that it starts no others."""
    parent = psutil.Process(server.pid)
    children = parent.children(recursive=True)
    parent.kill()
    for child in children:
        child.kill()
    server.kill()
