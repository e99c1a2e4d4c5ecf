"""Limits of the server's connections: their number, and the time that each may take.

Without these limits, clients that send nothing, send slowly or never read occupy connections and memory before anybody has looked
at a request or a token.

- The headers of a request are complete within `HEAD_SECONDS` of the connection. After an answer, uvicorn closes a connection that
  is idle for 5 seconds.
- Its body is complete `BODY_SECONDS` after the headers.
- A client reads at least `WRITE_BYTES` of an answer in `WRITE_SECONDS`.
- One address has at most `MAX_PER_CLIENT` connections, and all together have `MAX_CONNECTIONS`. All clients on one
  machine, or behind one proxy, share an address. Therefore a new connection replaces another one at a limit: the oldest without a
  complete request, or else the oldest that is slow to read. It is refused only if answers to all others are being computed.

The time that an answer is computed has a limit of its own (`request_limits.DEADLINE`).

Not here: requests (`guard`, `request_limits`), sockets that listen (`server`).
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from semsearch.web.problems import MEDIA_TYPE
from semsearch.web.request_limits import MAX_HEAD, TOO_LONG_HEAD

__all__ = [
    "BODY_SECONDS",
    "HEAD_SECONDS",
    "MAX_CONNECTIONS",
    "MAX_PER_CLIENT",
    "WRITE_BYTES",
    "WRITE_SECONDS",
    "LimitedConnection",
]

MAX_CONNECTIONS = 512
"""Maximum number of connections. Many systems allow a process 1,024 open files, of which the index needs some."""
MAX_PER_CLIENT = 128
"""Maximum number of connections from one address."""
HEAD_SECONDS = 10.0
"""Time limit for the headers of a request, in seconds."""
BODY_SECONDS = 20.0
"""Time limit for the body of a request, in seconds."""
WRITE_SECONDS = 20.0
"""Interval in which a client has to read some of its answer, in seconds."""
WRITE_BYTES = 64 * 1024
"""Minimum that a client reads in `WRITE_SECONDS`, in bytes."""
_TICK = 1.0
"""Interval at which each connection checks its limits, in seconds."""
_BUSY = 2
"""Rank of a connection whose answer is being computed."""


def _refusal(status: HTTPStatus, detail: str) -> bytes:
    """Return a whole response that closes the connection: a problem document."""
    body = json.dumps({"type": "about:blank", "title": status.phrase, "status": status, "detail": detail})
    headers = {"Connection": "close", "Content-Type": MEDIA_TYPE, "Content-Length": len(body)}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = 1
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items()), "", body]
    return "\r\n".join(lines).encode("ascii")


_CROWDED = _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections: try again later")
_UNREADABLE = _refusal(HTTPStatus.BAD_REQUEST, "this is not an HTTP request: send HTTP/1.1")
_LONG_HEAD = _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, TOO_LONG_HEAD)


class LimitedConnection(H11Protocol):
    """HTTP/1.1 connection with the limits of this module."""

    _since = 0.0
    """Time at which the current wait for the client began: for headers, for a body."""
    _unsent = 0
    """Bytes that were not sent when the client last read enough."""
    _unread_since: float | None = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for the connection, or refuse it."""
        super().connection_made(transport)
        self._since = self.loop.time()
        if self._make_room():
            self._timer = self.loop.call_later(_TICK, self._check)
        else:
            self.connections.discard(self)
            transport.write(_CROWDED)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop checking."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Note when the headers of a request are complete."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._since = self.loop.time()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Tell a client that what it sent is not a request, or too long, and close the connection."""
        if self._is_waiting():
            self.transport.write(_LONG_HEAD if len(self.conn.trailing_data[0]) > MAX_HEAD else _UNREADABLE)
            self.transport.close()
        else:
            # An answer is being computed or sent.
            self.drop()

    def on_response_complete(self) -> None:
        """Note when an answer is complete."""
        self._since = self.loop.time()
        super().on_response_complete()

    def resume_writing(self) -> None:
        """Note that the client has read."""
        self._unread_since = None
        super().resume_writing()

    def drop(self) -> None:
        """Close the connection at once, whatever was not sent."""
        self.connections.discard(self)
        self.transport.abort()

    def is_overdue(self, now: float) -> bool:
        """Return True if the client has exceeded a time limit."""
        unsent = self.transport.get_write_buffer_size()
        if unsent:
            if self._unread_since is None or unsent <= self._unsent - WRITE_BYTES:
                self._unsent, self._unread_since = unsent, now
            if self._is_waiting():
                # The time to read an answer does not count as time without a request.
                self._since = now
            return now - self._unread_since > WRITE_SECONDS
        self._unread_since = None
        if self._is_waiting():
            return now - self._since > HEAD_SECONDS
        return self.cycle.more_body and now - self._since > BODY_SECONDS

    def _is_waiting(self) -> bool:
        """Return True if there is no request that could be answered."""
        return self.cycle is None or self.cycle.response_complete

    def _check(self) -> None:
        if self.is_overdue(self.loop.time()):
            self.drop()
        else:
            self._timer = self.loop.call_later(_TICK, self._check)

    def _make_room(self) -> bool:
        """Drop another connection where there are too many; return False if none can be spared."""
        for limit, of_client in ((MAX_PER_CLIENT, True), (MAX_CONNECTIONS, False)):
            others = cast("set[LimitedConnection]", self.connections) - {self}
            if of_client:
                others = {each for each in others if _address(each) == _address(self)}
            if len(others) < limit:
                continue
            spared = min(others, key=lambda each: (each._rank(), each._since))
            if spared._rank() == _BUSY:
                return False
            spared.drop()
        return True

    def _rank(self) -> int:
        """Return the order of eviction: 0 is closed first, `_BUSY` never."""
        if self._is_waiting():
            return 1 if self.transport.get_write_buffer_size() else 0
        if self.cycle.more_body:
            return 0
        return 1 if self.cycle.response_started else _BUSY


def _address(connection: LimitedConnection) -> str | None:
    """Return the address of the client; None for all clients of a Unix socket."""
    return connection.client[0] if connection.client else None
