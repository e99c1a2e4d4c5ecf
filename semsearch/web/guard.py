"""What stands before the application: who may ask, how much may come, what a browser may do with the answers.

- ``Host``: an address of digits, ``localhost``, or a name that was allowed. A page of somebody else's whose name was made to
  point here (DNS rebinding) comes with its own name.
- ``Origin``: if a browser sends one, that of the page which is served here. A page from elsewhere that has a picture or a script
  of here asks without one: ``Sec-Fetch-Site`` tells of it.
- The token, if there is one, as ``Authorization: Bearer``, for everything but the page itself, which has no article in it.
- Bodies up to a size.

Deliberately not here: what is asked.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException

from semsearch.web.problems import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["MOST_BYTES", "Guard", "is_local"]

MOST_BYTES = 1_000_000
"""Of the body of a request."""
_OPEN = ("/", "/healthz", "/openapi.json")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def is_local(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware; see the module.

    :param token: what has to be given; None where everybody may ask.
    :param hosts: names beside addresses and ``localhost`` by which it may be called.
    """

    def __init__(self, app: ASGIApp, *, token: str | None = None, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._token = token
        self._hosts = {"localhost", *(host.lower().rstrip(".") for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refused = self._refused(scope["path"], Headers(scope=scope))
        if refused is not None:
            status, detail = refused
            await problem(status, detail)(scope, receive, answer)
            return
        await self._app(scope, _bounded(receive), answer)

    def _refused(self, path: str, headers: Headers) -> tuple[int, str] | None:
        """Status and reason, if a request is not to be answered."""
        host = headers.get("host", "")
        if not self._known(host):
            return 421, f"not served under this name: start semsearch serve with --allow-host {_name(host) or 'NAME'}"
        origin = headers.get("origin")
        embedded = headers.get("sec-fetch-mode") != "navigate" and headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if embedded or (origin is not None and _place(origin) != host.lower()):
            return 403, "pages from elsewhere may not ask"
        size = headers.get("content-length", "0")
        if size.isdecimal() and int(size) > MOST_BYTES:
            return 413, f"the request is longer than {MOST_BYTES:,} bytes: ask fewer questions at once"
        if self._token is not None and path not in _OPEN and not path.startswith("/static/"):
            given = headers.get("authorization", "")
            if not hmac.compare_digest(given.encode("latin-1"), f"Bearer {self._token}".encode()):
                return 401, "give the token: Authorization: Bearer TOKEN"
        return None

    def _known(self, host: str) -> bool:
        name = _name(host)
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _name(host: str) -> str:
    """The name in a ``Host`` header, without the port; empty if it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower().rstrip(".")
    except ValueError:
        return ""


def _place(origin: str) -> str:
    """Host and port of an ``Origin``; empty if it is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _bounded(receive: Receive) -> Receive:
    """The same until more has come than may."""
    total = 0

    async def counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > MOST_BYTES:
            raise HTTPException(413, f"the request is longer than {MOST_BYTES:,} bytes: ask fewer questions at once")
        return message

    return counted
