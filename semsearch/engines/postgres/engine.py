"""The engine: begins and ends transactions, one to read, one at a time to write.

Deliberately not here: what is read (`snapshot`) and written (`draft`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors, sql

from semsearch.engines.postgres import tables
from semsearch.engines.postgres.address import Address
from semsearch.engines.postgres.coding import stored
from semsearch.engines.postgres.connections import Connection, Connections, translated
from semsearch.engines.postgres.draft import PostgresDraft
from semsearch.engines.postgres.snapshot import PostgresSnapshot
from semsearch.engines.postgres.tables import State
from semsearch.errors import EngineError, IndexLocked

__all__ = ["PostgresEngine"]

_TRIES = 3
_WRITE = f"BEGIN ISOLATION LEVEL READ COMMITTED; {tables.SETTINGS}"
"""Whatever is the default: what is read when the lock was got is what there is by then."""
_READ = """
SELECT set_config('statement_timeout', CASE current_setting('statement_timeout') WHEN '0' THEN '60s'
    ELSE current_setting('statement_timeout') END, true)
"""
"""A question that takes a minute is not waited for, unless the address says otherwise in its ``options``."""
_UNDECIDED_PAUSE = 0.5
_UNDECIDED_TRIES = 20


class PostgresEngine:
    """A `seam.Engine`. Threads may share it, and processes that were forked."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connections = Connections(address)
        # Of a lock that any client of the database could take: long enough that nobody takes it by accident.
        digest = hashlib.blake2b(f"semsearch index {address.schema}".encode(), digest_size=8).digest()
        self._key = int.from_bytes(digest, "big", signed=True)

    @property
    def shown(self) -> str:
        """The address without its password."""
        return self._address.shown

    @contextmanager
    def snapshot(self) -> Iterator[PostgresSnapshot]:
        """The newest generation.

        :raises EngineError: if the server cannot be reached, or refuses.
        :raises IndexTooNew: if a later semsearch wrote it.
        """
        with translated(self._address):
            connection, snapshot = self._begun()
        try:
            yield snapshot
        finally:
            self._end(connection)

    def _begun(self) -> tuple[Connection, PostgresSnapshot]:
        """Nothing was read yet, so it may be tried again if the connection was lost, or the edition is just being dropped."""
        for attempt in range(_TRIES):
            connection = self._connections.take(fresh=attempt > 0)
            try:
                connection.execute(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {tables.SETTINGS}")
                connection.execute(_READ)
                state = State.read(connection, self._address.schema, self.shown)
                meta = self._meta(connection, state)
            except (psycopg.OperationalError, errors.UndefinedTable) as error:
                self._end(connection)
                if attempt + 1 == _TRIES or not (connection.closed or isinstance(error, errors.UndefinedTable)):
                    raise
            except BaseException:
                self._end(connection)
                raise
            else:
                return connection, PostgresSnapshot(connection, self._address, state, meta)
        raise AssertionError("unreachable")

    @staticmethod
    def _meta(connection: Connection, state: State | None) -> dict[str, str]:
        if state is None:
            return {}
        found = connection.execute(state.tables.sql("SELECT key, value FROM {meta}")).fetchall()
        return {stored(key): stored(value) for key, value in found}

    def draft(self) -> PostgresDraft:
        """The next generation.

        :raises IndexLocked: if another process is writing.
        :raises EngineError: if the server cannot be reached, refuses, or cannot hold an index.
        :raises IndexTooNew: if a later semsearch wrote what there is.
        """
        with translated(self._address):
            connection = self._connections.take(fresh=True)
            try:
                self._lock(connection)
                state = self._state_to_write(connection)
            except BaseException:
                self._end(connection)
                raise
        return PostgresDraft(connection, self._address, state, self.snapshot, self._decided, self._over)

    def _lock(self, connection: Connection) -> None:
        """Begin, as the only one who writes.

        :raises IndexLocked: if somebody else does.
        """
        connection.execute(_WRITE)
        # Else the lock of a machine that is cut off would be held for hours.
        connection.execute(
            "SELECT set_config('tcp_keepalives_idle', '30', true), set_config('tcp_keepalives_interval', '10', true)"
        )
        connection.execute("SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '60s', true)")
        if not self._is_locked(connection):
            raise IndexLocked(f"another process is writing to {self.shown}: try again when it is done")

    def _is_locked(self, connection: Connection) -> bool:
        return bool(_one(connection, "SELECT pg_try_advisory_xact_lock(%s)", self._key))

    def _state_to_write(self, connection: Connection) -> State:
        """What there is, made if there is nothing."""
        state = State.read(connection, self._address.schema, self.shown)
        if state is None:
            # Committed at once, for readers of the generation before, which is empty; the lock goes and is taken again.
            tables.create(connection, self._address.schema, self.shown)
            connection.execute("COMMIT")
            self._lock(connection)
            state = State.read(connection, self._address.schema, self.shown)
            assert state is not None
        return state

    def _decided(self, token: str) -> bool:
        """Whether a draft was committed whose connection was lost meanwhile.

        :raises EngineError: if nobody knows.
        """
        unknown = f"lost {self.shown} in mid-commit, and nobody knows whether it happened: look at the index, and run this again"
        for _ in range(_UNDECIDED_TRIES):
            try:
                connection = self._connections.take(fresh=True)
            except EngineError as error:
                raise EngineError(unknown) from error
            try:
                connection.execute(_WRITE)
                # Who still holds the lock has not come to an end.
                if self._is_locked(connection):
                    return bool(_one(connection, _TOKEN.format(sql.Identifier(self._address.schema, "state")), token))
            except psycopg.OperationalError:
                pass  # in the middle of a failover, perhaps
            except psycopg.Error as error:
                raise EngineError(unknown) from error
            finally:
                self._end(connection)
            time.sleep(_UNDECIDED_PAUSE)
        raise EngineError(unknown)

    def _over(self, connection: Connection, *, committed: bool) -> None:
        """A draft came to its end."""
        if committed and not connection.closed:
            try:
                edition = _one(
                    connection, sql.SQL("SELECT edition FROM {}").format(sql.Identifier(self._address.schema, "state"))
                )
                tables.sweep(connection, self._address.schema, int(edition))
            except psycopg.Error:
                # The next writer will: what was committed is not to fail for it.
                pass
        self._end(connection)

    def _end(self, connection: Connection) -> None:
        try:
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE and not connection.closed:
                connection.execute("ROLLBACK")
        except psycopg.Error:
            connection.close()
        self._connections.give(connection)

    def close(self) -> None:
        """Let go of all connections."""
        self._connections.close()


_TOKEN = sql.SQL("SELECT count(*) FROM {} WHERE token = %s")


def _one(connection: Connection, statement: Any, *parameters: Any) -> Any:
    found = connection.execute(statement, parameters or None).fetchone()
    return found[0] if found else None
