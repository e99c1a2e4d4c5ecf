"""An application on a socket of this machine, until it is told to stop.

Deliberately not here: what is answered (`app`), the limits of connections (`connection_limits`).
"""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from semsearch.errors import InputError
from semsearch.redaction import redact_record
from semsearch.web.connection_limits import LimitedConnection
from semsearch.web.request_limits import MAX_HEAD

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["address", "configured", "listening", "serve"]

_GRACE = 10
"""Seconds that requests under way have when it is told to stop."""
_TASKS = 1024
"""Maximum number of running requests, including those whose connection is closed."""


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; to port 0 the system gives a free one.

    :raises InputError: if it cannot.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot listen on {host} port {port} ({reason}): give another --host or --port") from error
    # asyncio switches off Nagle's algorithm, which holds an answer's body back for 40 ms, where it is told that this is TCP.
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=listener.detach())


def address(listener: socket.socket) -> str:
    """The address of a listening socket, as one types it."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def serve(app: ASGIApp, listener: socket.socket, *, ready: Callable[[], None] | None = None) -> None:
    """Answer until a signal comes (Ctrl-C, ``kill``); requests under way are answered first.

    :param ready: called when requests are answered.
    """
    with _signals_end_it():
        _Server(configured(app), ready).run(sockets=[listener])


def configured(app: ASGIApp) -> uvicorn.Config:
    """How an application is run."""
    logging.getLogger("uvicorn.error").addFilter(redact_record)
    return uvicorn.Config(
        app,
        http=LimitedConnection,
        ws="none",
        h11_max_incomplete_event_size=MAX_HEAD,
        access_log=False,
        log_level="warning",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_TASKS,
        timeout_graceful_shutdown=_GRACE,
    )


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready is not None and not self.should_exit:
            self._ready()


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """Uvicorn raises a signal again when it has stopped for it, which shall be all that comes of it."""

    def nothing(_: int, __: FrameType | None) -> None:
        pass

    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, nothing) for kind in kinds]
    try:
        yield
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)
