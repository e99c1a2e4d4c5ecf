"""One page or feed fetched from its address, because the user named it: nothing else here goes to the network.

Bounded in bytes, in the number of redirects and in time, whatever the time is spent on. A redirect never leads to an address of
this machine or of its own network, as far as `addresses` recognises it, not even to another port of the host that the user named.
The connection goes to the address that was checked, and the host that was named is looked up once, so that a name cannot mean
another address a moment later.

What only the server knows is said in what `fetch` gives: the kind of what it sent, the encoding of text, the address from which
the links of a feed start.

Deliberately not here: what is in the page.
"""

from __future__ import annotations

import codecs
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from semsearch._version import __version__
from semsearch.articles.addresses import is_own, is_public
from semsearch.articles.documents import Missing, sniffed
from semsearch.articles.documents.packed import gunzipped, is_gzip
from semsearch.articles.files import Content, kind_named
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
_PORTS = {"http": 80, "https": 443}

_TYPES = {
    "text/plain": "text",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/rss+xml": "feed",
    "application/atom+xml": "feed",
    "application/rdf+xml": "feed",
    "text/markdown": "markdown",
    "text/x-markdown": "markdown",
    "text/csv": "csv",
    "application/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/jsonl": "jsonl",
    "application/x-jsonlines": "jsonl",
    "application/x-ndjson": "jsonl",
    "text/x-rst": "rst",
    "text/prs.fallenstein.rst": "rst",
    "message/rfc822": "message",
    "application/mbox": "mailbox",
    "application/pdf": "pdf",
    "application/epub+zip": "epub",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.oasis.opendocument.text": "odt",
    "application/rtf": "rtf",
    "text/rtf": "rtf",
    "application/vnd.apache.parquet": "parquet",
}
"""What servers call the kinds. XML may be of several, and is not among them."""
_MARKED = frozenset({"pdf", "docx", "epub", "odt", "rtf", "parquet"})
"""Kinds whose bytes begin as nothing else does."""
_WRITTEN = frozenset({"text", "markdown", "html", "jsonl", "csv", "rst", "feed"})
"""Kinds that are in one encoding from end to end."""
_HEAD = 2048

_HOST = re.compile(r"[\w.-]+|\[[\w.:%-]+\]", re.ASCII)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_ENCODINGS = re.compile(r"utf-(8|16|32)(-[lb]e)?$|ascii|iso8859|cp\d|koi8|mac|gb|hz|big5|euc|shift|iso2022|johab|tis|ptcp|kz")
"""Those of texts, by Python's names. It has others that are none of pages: escapes, punycode, UTF-7."""
_BROWSERS_TAKE = {
    **dict.fromkeys(("ascii", "iso8859-1"), "cp1252"),
    **dict.fromkeys(("gb2312", "gbk"), "gb18030"),
    "iso8859-9": "cp1254",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "tis-620": "cp874",
}
"""Encodings that are named where a larger one is meant."""
_BOMS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_XML_ENCODING = re.compile(r"""\A(\s*<\?xml\b[^>]{0,200}?)\s+encoding\s*=\s*(?:"[^"]*"|'[^']*')""")
_FEED_ROOT = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s|<\?(?:[^?]|\?(?!>))*\?>|<!--(?:[^-]|-(?!->))*-->|<![^>\[-][^>\[]*>)*<(?:rss|feed|rdf:RDF)(?=[\s>])",
    re.IGNORECASE,
)


def normal(address: str) -> str:
    """An address as it is kept: scheme and host in lower case, without what follows a "#".

    :raises InputError: if there is no host in it, or a name and password.
    """
    try:
        parts = urlsplit(address.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        # Its message and the address may quote a password.
        raise InputError("not an address of a page: write https://HOST/PATH") from None
    if parts.username or parts.password:
        raise InputError("an address with a name and password in it: these would be kept in the index")
    if not host or parts.scheme.lower() not in ("http", "https"):
        raise InputError(f"not an address of a page: {address!r}")
    try:
        name = f"[{host}]" if ":" in host else host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise InputError(f"not a name of a host: {host!r}") from error
    if not _HOST.fullmatch(name):
        raise InputError(f"not a name of a host: {host!r}")
    path, query = (quote(part, safe="/?%:@!$&'()*+,;=~-._") for part in (parts.path or "/", parts.query))
    return urlunsplit((parts.scheme.lower(), f"{name}:{port}" if port else name, path, query, ""))


def fetch(address: str) -> Content:
    """What stands at an address, and of which kind it is.

    Text is in UTF-8 with a byte order mark, where the server says in which encoding it was.

    :param address: as `normal` gives it.
    :raises Missing: if httpcore is not installed.
    :raises InputError: if it cannot be fetched, is too large or takes too long.
    """
    try:
        import httpcore
    except ImportError as error:
        raise Missing('fetching pages needs httpcore: python -m pip install "semsearch[formats]"') from error
    deadline = time.monotonic() + SECONDS
    named = address
    network: Any = _Network(named, deadline)
    try:
        with httpcore.ConnectionPool(
            network_backend=network, ssl_context=ssl.create_default_context(), max_connections=1, retries=0
        ) as pool:
            for _ in range(_MAX_REDIRECTS + 1):
                data, told, target = _ask(pool, address)
                if target is None:
                    return _content(data, told, address, named)
                address = normal(urljoin(address, target))
    except (httpcore.TimeoutException, TimeoutError) as error:
        if time.monotonic() < deadline:
            raise InputError(f"no answer within {_STEP:g} seconds") from error
        raise InputError(f"takes more than {SECONDS:g} seconds to be fetched") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError) as error:
        raise InputError(f"cannot be fetched ({str(error) or type(error).__name__})") from error
    raise InputError(f"more than {_MAX_REDIRECTS} redirects")


def _ask(pool: httpcore.ConnectionPool, address: str) -> tuple[bytes, str, str | None]:
    """What a server sends and what type it says that is of, or where it sends us."""
    headers: dict[bytes | str, bytes | str] = {
        "Accept": "text/html, application/xhtml+xml, application/rss+xml, application/atom+xml, */*;q=0.5",
        "Accept-Encoding": "gzip, identity",
        "User-Agent": f"semsearch/{__version__}",
    }
    steps = dict.fromkeys(("connect", "read", "write", "pool"), _STEP)
    with pool.stream("GET", address.encode("ascii", "replace"), headers=headers, extensions={"timeout": steps}) as response:
        told = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        if response.status in _REDIRECTS and told.get("location"):
            return b"", "", told["location"]
        if response.status != 200:
            raise InputError(f"the server answers {response.status}")
        data = _body(response.iter_stream())
    packed = told.get("content-encoding", "").strip().lower()
    if packed not in ("", "identity", "gzip", "x-gzip"):
        raise InputError(f"the server sends it packed as {packed[:40]!r}, which was not asked for")
    # For the way, or as a file: it is unpacked here, while it is known what the server says of it.
    return gunzipped(data, MAX_BYTES) if is_gzip(data) else data, told.get("content-type", ""), None


def _body(parts: Iterable[bytes]) -> bytes:
    found = bytearray()
    for part in parts:
        found += part
        if len(found) > MAX_BYTES:
            raise InputError(f"more than {MAX_BYTES // 2**20} MB")
    return bytes(found)


def _content(data: bytes, told: str, address: str, named: str) -> Content:
    """What was fetched, with all that is known of it only here.

    :param told: the type that the server says it is of.
    :param address: where it stands at last; ``named`` is where it was asked for.
    """
    kind = _kind_of(data, told, _kind_named(address) or _kind_named(named))
    if kind in _WRITTEN:
        data = _in_utf_8(data, told)
    if kind == "feed":
        data = _with_base(data, address)
    return Content(data, kind)


def _kind_named(address: str) -> str:
    return kind_named(urlsplit(address).path.rpartition("/")[2])


def _kind_of(data: bytes, told: str, name: str) -> str:
    """The kind of what was fetched: by a mark of its own, else as the server says, else by what is in it and by its address.

    :param told: the type that the server says it is of.
    :param name: the kind that its address tells; "" if none.
    """
    found = sniffed(data)
    told = _TYPES.get(told.partition(";")[0].strip().lower(), "")
    if found in _MARKED:
        # Any package may be taken for one of a kind.
        return told if found == "docx" and told in ("epub", "odt") else found
    if told in _MARKED:
        return told if found == "text" else found
    head = data[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if told == "html":
        # Many a feed is said to be a page.
        return "feed" if found == "feed" and b"<html" not in head else "html"
    if told == "feed":
        return "html" if found == "html" else "feed"
    if told == "text":
        # So servers say of what they do not know.
        if name and name not in _MARKED:
            return name
        return found if head.startswith(b"<") else "text"
    return told or ((name or found) if found == "text" else found)


def _in_utf_8(data: bytes, told: str) -> bytes:
    """Text whose encoding only the server knows, said in a way that a file can say it."""
    charset = _CHARSET.search(told)
    if charset is None or data.startswith(_BOMS):
        return data
    text = _decoded(data, charset[1])
    if text is None or "\0" in text:
        return data
    # A declaration of XML would name the encoding that the text had.
    return codecs.BOM_UTF8 + _XML_ENCODING.sub(r"\1", text, count=1).encode("utf-8")


def _decoded(data: bytes, charset: str) -> str | None:
    """Text in the encoding that a server names; None if there is none by this name, or the text is in another."""
    try:
        encoding = codecs.lookup(charset).name
        if _BROWSERS_TAKE.get(encoding) == "cp1252":
            # What servers say of all they have. Hardly any text in it is UTF-8 by chance.
            with suppress(UnicodeError):
                return data.decode("utf-8")
        return data.decode(_BROWSERS_TAKE.get(encoding, encoding)) if _ENCODINGS.match(encoding) else None
    except (LookupError, UnicodeError):
        return None


def _with_base(data: bytes, address: str) -> bytes:
    """A feed that says where its relative links start from, if it does not yet; one of UTF-16 is left as it is."""
    root = _FEED_ROOT.match(data[: 2 * _HEAD])
    if root is None or b"xml:base" in data[root.end() :].partition(b">")[0]:
        return data
    base = address.replace("&", "&amp;").encode("ascii", "replace")
    return data[: root.end()] + b' xml:base="' + base + b'"' + data[root.end() :]


class _Network:
    """The way to the network, as httpcore takes one: within the time, and to no private address but the one that the user named.

    :param address: that the user named.
    :param deadline: of `time.monotonic`.
    """

    def __init__(self, address: str, deadline: float) -> None:
        import httpcore

        self._errors = (httpcore.ConnectError, httpcore.ConnectTimeout)
        self._backend = httpcore.SyncBackend()
        parts = urlsplit(address)
        self._named = (parts.hostname, parts.port or _PORTS[parts.scheme])
        self._first: list[str] | None = None
        self._deadline = deadline

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *args: Any, **options: Any) -> _Stream:
        """A connection to a host, whichever of its addresses answers."""
        addresses = self._allowed(host, port)
        for address in addresses:
            try:
                found = self._backend.connect_tcp(address, port, _time_left(self._deadline, timeout), *args, **options)
            except self._errors:
                if address == addresses[-1]:
                    raise
            else:
                return _Stream(found, self._deadline)
        raise InputError(f"leads to {host}, which is on this machine or in its own network: it is not followed")

    def _allowed(self, host: str, port: int) -> list[str]:
        """The addresses of a host that may be connected to."""
        named = (host, port) == self._named
        if named and self._first is not None:
            return self._first
        found = _looked_up(host, port, _time_left(self._deadline))
        public = [address for address in found if is_public(address) and not is_own(address)]
        if not named:
            return public
        # A name with public addresses is that of no page of one's own network.
        self._first = public or found
        return self._first


class _Stream:
    """A connection, as httpcore takes one: however little comes at a time, it ends when the time is over."""

    def __init__(self, stream: Any, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return bytes(self._stream.read(max_bytes, _time_left(self._deadline, timeout)))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _time_left(self._deadline, timeout))

    def start_tls(self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None) -> _Stream:
        left = _time_left(self._deadline, timeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _time_left(deadline: float, timeout: float | None = None) -> float:
    """Seconds for the next step.

    :param timeout: of this step.
    :raises TimeoutError: if none are left.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left if timeout is None else min(timeout, left)


def _looked_up(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a host.

    :raises TimeoutError: if they do not come in time: the system's own patience cannot be told.
    :raises OSError: if there are none.
    """
    answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put([str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)])
        except Exception as error:  # raised where it is waited for
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        found = answers.get(timeout=seconds)
    except queue.Empty as error:
        raise TimeoutError from error
    if isinstance(found, UnicodeError):
        raise OSError("not a name of a host") from found
    if isinstance(found, Exception):
        raise found
    return list(dict.fromkeys(found))
