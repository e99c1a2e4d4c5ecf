"""Connections to a server: shared by threads, opened with bounded retries, and the one place where psycopg's errors become ours.

Deliberately not here: what is asked.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors

from semsearch.engines.postgres.address import Address
from semsearch.errors import EngineError

__all__ = ["Connection", "Connections", "translated"]

Connection = psycopg.Connection[tuple[Any, ...]]
_ATTEMPTS = 7
_FIRST_PAUSE = 0.1
"""Seconds, doubled each time: about 6 in all, as long as a failover that is watched over may take."""
_IDLE = 8
"""Connections that are kept for the next reader."""
_LATER = ("starting up", "shutting down", "recovery", "too many", "remaining connection slots", "terminating connection")
_GUESSES = ("This probably means", "before or while processing", "Is the server running", "Multiple connection attempts")
"""Lines of libpq that say no more than the others."""
_DEFAULTS = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "application_name": "semsearch",
}


class Connections:
    """Connections to one address, each for one thread at a time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._process = os.getpid()
        self._closed = False

    def take(self, *, fresh: bool = False) -> Connection:
        """A connection outside of any transaction.

        :param fresh: one that was not used before; those that were are closed, as their server may be gone.
        :raises EngineError: if the server cannot be reached, after some tries.
        """
        with self._lock:
            if self._process != os.getpid():
                # They are the parent's: neither to be used nor to be closed, which would end the parent's sessions.
                _FORGOTTEN.extend(self._idle)
                self._idle, self._process = [], os.getpid()
            old, self._idle = (self._idle, []) if fresh else ([], self._idle)
            taken = self._idle.pop() if self._idle else None
        for connection in old:
            _close(connection)
        return taken or self._open()

    def give(self, connection: Connection) -> None:
        """Take a connection back; one that is lost or in a transaction is closed."""
        usable = not connection.closed and connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with self._lock:
            if usable and not self._closed and len(self._idle) < _IDLE and self._process == os.getpid():
                self._idle.append(connection)
                return
        _close(connection)

    def close(self) -> None:
        """Close those that nobody uses, and keep none from now on."""
        with self._lock:
            idle, self._idle, self._closed = self._idle, [], True
            if self._process != os.getpid():
                _FORGOTTEN.extend(idle)
                idle = []
        for connection in idle:
            _close(connection)

    def _open(self) -> Connection:
        given = psycopg.conninfo.conninfo_to_dict(self._address.conninfo)
        settings: dict[str, Any] = {key: value for key, value in _DEFAULTS.items() if key not in given}
        settings["client_encoding"] = "UTF8"
        for attempt in range(_ATTEMPTS):
            try:
                # No prepared statements: poolers between here and the server may give each transaction another session.
                connection = psycopg.connect(self._address.conninfo, autocommit=True, prepare_threshold=None, **settings)
            except psycopg.Error as error:
                if attempt + 1 == _ATTEMPTS or not _may_pass(error):
                    raise EngineError(
                        f"cannot connect to {self._address.shown}: {_line(error)}: "
                        "is the server up, and may this user in (PGPASSWORD, or a password file)?"
                    ) from None
                time.sleep(_FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1))  # noqa: S311
            else:
                return connection
        raise AssertionError("unreachable")


_FORGOTTEN: list[Connection] = []


def _may_pass(error: psycopg.Error) -> bool:
    """Whether nobody answered, or a server that will answer soon, and not one that says no."""
    said = str(error)
    if "no password supplied" in said or "could not translate host name" in said:
        return False
    return "FATAL" not in said or any(each in said for each in _LATER)


def _close(connection: Connection) -> None:
    try:
        connection.close()
    except psycopg.Error:
        return


@contextmanager
def translated(address: Address) -> Iterator[None]:
    """Psycopg's errors as ours, in one line."""
    try:
        yield
    except errors.QueryCanceled as error:
        raise EngineError(
            f"{address.shown} took longer than its statement_timeout: narrow the question, or raise the timeout"
        ) from error
    except errors.InsufficientPrivilege as error:
        raise EngineError(f"{address.shown} refuses: {_line(error)}: ask its administrator for the right") from error
    except errors.ReadOnlySqlTransaction as error:
        raise EngineError(
            f"{address.shown} may only be read: write to the primary server (target_session_attrs=read-write finds it)"
        ) from error
    except errors.DiskFull as error:
        raise EngineError(f"{address.shown} is full: {_line(error)}: make room there and run this again") from error
    except (errors.OutOfMemory, errors.ConfigurationLimitExceeded) as error:
        raise EngineError(f"{address.shown} ran short: {_line(error)}: give the server more and run this again") from error
    except psycopg.OperationalError as error:
        raise EngineError(f"lost {address.shown}: {_line(error)}: run this again when the server is back") from error
    except psycopg.Error as error:
        raise EngineError(f"{address.shown} failed: {_line(error)}: see the server's log") from error


def _line(error: psycopg.Error) -> str:
    """What it says, on one line and not at any length; it may name who wanted in where, but libpq never tells a password."""
    said = error.diag.message_primary or str(error)
    lines = [each for line in said.splitlines() if (each := line.strip()) and not each.startswith(_GUESSES)]
    return " ".join(lines)[:300].rstrip(".") or type(error).__name__
