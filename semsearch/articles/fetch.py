"""One page or feed fetched from its address, because the user named it: nothing else here goes to the network.

Bounded in bytes, in time and in the number of redirects. A redirect never leads to an address of this machine or of its own
network: what a page says must not make us ask what only we can reach. Each name is looked up once and what was checked is what is
connected to, so that a name cannot mean another address a moment later.

Deliberately not here: what is in the page.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from semsearch._version import __version__
from semsearch.articles.documents import Missing
from semsearch.articles.documents.packed import gunzipped, is_gzip
from semsearch.errors import InputError

if TYPE_CHECKING:
    import httpcore

__all__ = ["fetch", "normal"]

MAX_BYTES = 32 * 2**20
SECONDS = 30.0
"""For all of it, redirects included."""
_STEP = 10.0
"""Seconds for each connection, and for each part to come."""
_MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_WRITTEN = ("text/", "application/xml", "application/xhtml", "application/rss", "application/atom")


def normal(address: str) -> str:
    """An address as it is kept: scheme and host in lower case, without what follows a "#".

    :raises InputError: if there is no host in it, or a name and password.
    """
    try:
        parts = urlsplit(address.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"not an address: {address!r}") from error
    if not host or parts.scheme.lower() not in ("http", "https"):
        raise InputError(f"not an address of a page: {address!r}")
    if parts.username or parts.password:
        raise InputError("an address with a name and password in it: these would be kept in the index")
    try:
        name = f"[{host}]" if ":" in host else host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise InputError(f"not a name of a host: {host!r}") from error
    path, query = (quote(part, safe="/?%:@!$&'()*+,;=~-._") for part in (parts.path or "/", parts.query))
    return urlunsplit((parts.scheme.lower(), f"{name}:{port}" if port else name, path, query, ""))


def fetch(address: str) -> bytes:
    """What stands at an address; text in UTF-8 with a byte order mark, where the server says in which encoding it is.

    :param address: as `normal` gives it.
    :raises Missing: if httpcore is not installed.
    :raises InputError: if it cannot be fetched, is too large or takes too long.
    """
    try:
        import httpcore
    except ImportError as error:
        raise Missing('fetching pages needs httpcore: python -m pip install "semsearch[formats]"') from error
    deadline = time.monotonic() + SECONDS
    named = urlsplit(address).hostname or ""
    try:
        with httpcore.ConnectionPool(
            network_backend=_checking(named), ssl_context=ssl.create_default_context(), max_connections=1, retries=0
        ) as pool:
            for _ in range(_MAX_REDIRECTS + 1):
                data, target = _ask(pool, address, deadline)
                if target is None:
                    return data
                address = normal(urljoin(address, target))
    except (httpcore.TimeoutException, TimeoutError) as error:
        raise InputError(f"takes more than {SECONDS:.0f} seconds to be fetched") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError) as error:
        raise InputError(f"cannot be fetched ({str(error) or type(error).__name__})") from error
    raise InputError(f"more than {_MAX_REDIRECTS} redirects")


def _ask(pool: httpcore.ConnectionPool, address: str, deadline: float) -> tuple[bytes, str | None]:
    """What a server sends, or where it sends us."""
    headers: dict[bytes | str, bytes | str] = {
        "Accept": "text/html, application/xhtml+xml, application/rss+xml, application/atom+xml, */*;q=0.5",
        "Accept-Encoding": "gzip, identity",
        "User-Agent": f"semsearch/{__version__}",
    }
    steps = dict.fromkeys(("connect", "read", "write", "pool"), _STEP)
    with pool.stream("GET", address.encode("ascii", "replace"), headers=headers, extensions={"timeout": steps}) as response:
        told = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        if response.status in _REDIRECTS and told.get("location"):
            return b"", told["location"]
        if response.status != 200:
            raise InputError(f"the server answers {response.status}")
        data = _body(response.iter_stream(), deadline)
    if told.get("content-encoding", "identity").lower() == "gzip" and is_gzip(data):
        data = gunzipped(data, MAX_BYTES)
    elif told.get("content-encoding", "identity").lower() not in ("identity", "gzip", ""):
        raise InputError(f"the server sends it packed as {told['content-encoding'][:40]!r}, which was not asked for")
    return _in_utf_8(data, told.get("content-type", "")), None


def _body(parts: Iterable[bytes], deadline: float) -> bytes:
    found = bytearray()
    for part in parts:
        found += part
        if len(found) > MAX_BYTES:
            raise InputError(f"more than {MAX_BYTES // 2**20} MB")
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(found)


def _in_utf_8(data: bytes, kind: str) -> bytes:
    """Text whose encoding only the server knows, said in a way that a file can say it."""
    charset = _CHARSET.search(kind)
    if charset is None or not kind.lower().startswith(_WRITTEN):
        return data
    try:
        return b"\xef\xbb\xbf" + data.decode(charset[1]).removeprefix("\ufeff").encode("utf-8")
    except (LookupError, UnicodeError):
        # It names an encoding that there is not, or another than the page's.
        return data


def _checking(named: str) -> Any:
    """A way to the network that connects to no private address, but for the host that the user named."""
    import httpcore

    class Checking(httpcore.SyncBackend):
        def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> Any:
            found = [info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
            allowed = [address for address in found if host == named or _is_public(str(address))]
            if not allowed:
                raise InputError(f"leads to {host}, which is on this machine or in its own network: it is not followed")
            return super().connect_tcp(str(allowed[0]), port, *args, **options)

    return Checking()


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None) or found
    return bool(mapped.is_global and not mapped.is_multicast)
