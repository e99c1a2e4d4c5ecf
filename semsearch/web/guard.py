"""What stands before the application: who may ask, how much may come, what a browser may do with the answers.

- ``Host``: an IP address, ``localhost``, or an allowed name, with an optional port. The whole value has to match. A foreign page
  whose name was made to resolve to this machine (DNS rebinding) sends its own name.
- ``Origin``: if a browser sends one, that of the page which is served here.
- ``Sec-Fetch-Site``: requests that another site embeds or links to are refused, because a link can start an expensive request.
  Other sites may link only to the page itself, which starts no search.
- The token, if there is one, as ``Authorization: Bearer``, for everything but the page itself, which has no article in it.
- The size of the address and headers, and of the body.

Deliberately not here: what is asked, and what it costs (`request_limits`).
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException

from semsearch.web.problems import problem
from semsearch.web.request_limits import MAX_BODY, MAX_HEAD, TOO_LONG_BODY, TOO_LONG_HEAD

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard", "is_local"]

_PAGE = "/"
_OPEN = (_PAGE, "/healthz", "/openapi.json")
_PLACE = r"(?P<name>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
"""A name, an IPv4 address or an IPv6 address in brackets, with an optional port."""
_HOST = re.compile(_PLACE, re.ASCII | re.IGNORECASE)
_ORIGIN = re.compile(rf"https?://(?P<place>{_PLACE})", re.ASCII)
_LAST_PORT = 65_535
_FOREIGN = "a page of another site sent or linked to this request: enter the address in the browser"
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

        # Within another application the path begins with where this one is mounted.
        path = scope["path"].removeprefix(scope.get("root_path", "")) or _PAGE
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if size + len(scope["path"]) + len(scope["query_string"]) > MAX_HEAD:
            refused: tuple[int, str] | None = (431, TOO_LONG_HEAD)
        else:
            refused = self._refused(path, Headers(scope=scope))
        if refused is not None:
            status, detail = refused
            await problem(status, detail)(scope, receive, answer)
            return
        await self._app(scope, _bounded(receive), answer)

    def _refused(self, path: str, headers: Headers) -> tuple[int, str] | None:
        """Status and reason, if a request is not to be answered."""
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._is_served(host):
            return 421, f"not served under this name: start semsearch serve with --allow-host {_name(host) or 'NAME'}"
        if any(_place(origin) != host.lower() for origin in headers.getlist("origin")):
            return 403, _FOREIGN
        is_link = path == _PAGE and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site", "none").lower() not in ("none", "same-origin") and not is_link:
            return 403, _FOREIGN
        size = headers.get("content-length", "0")
        if size.isdecimal() and int(size) > MAX_BODY:
            return 413, TOO_LONG_BODY
        if self._token is not None and path not in _OPEN and not path.startswith("/static/"):
            given = headers.get("authorization", "")
            if not hmac.compare_digest(given.encode("latin-1"), f"Bearer {self._token}".encode()):
                return 401, "give the token: Authorization: Bearer TOKEN"
        return None

    def _is_served(self, host: str) -> bool:
        """Return True if the value of a ``Host`` header is an address, or a name that is allowed."""
        name = _name(host)
        try:
            if name.startswith("["):
                ipaddress.IPv6Address(name[1:-1])
            elif name.removesuffix(".") not in self._hosts:
                ipaddress.IPv4Address(name)
        except ValueError:
            return False
        return True


def _name(host: str) -> str:
    """Return the lower-case name or address of a ``Host`` header, without the port; empty if the whole value is not one."""
    match = _HOST.fullmatch(host)
    return match["name"].lower() if match and int(match["port"] or 0) <= _LAST_PORT else ""


def _place(origin: str) -> str:
    """Return host and port of an ``Origin``; empty if the whole value is not one."""
    match = _ORIGIN.fullmatch(origin)
    return match["place"] if match else ""


def _bounded(receive: Receive) -> Receive:
    """The same until more has come than may."""
    total = 0

    async def counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > MAX_BODY:
            raise HTTPException(413, TOO_LONG_BODY)
        return message

    return counted
