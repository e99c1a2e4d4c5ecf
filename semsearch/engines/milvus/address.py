"""Addresses of indexes in Milvus: ``milvus://[user:password@|token@]host[:port]/collection[?option=value&...]``.

Deliberately not here: connections.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from semsearch.errors import InputError

__all__ = ["TOKEN", "Address", "parse"]

TOKEN = "SEMSEARCH_MILVUS_TOKEN"  # noqa: S105 (the name of a variable)
"""Name of the environment variable that a token is taken from, so that it need not stand in an address."""
_PORT = 19530
_TIMEOUT = 30.0
_FILES = {name: f"{name}_path" for name in ("server_pem", "client_pem", "client_key", "ca_pem")}
_OPTIONS = ("ca_pem", "client_key", "client_pem", "database", "ef", "index", "server_name", "server_pem", "timeout", "tls")
_INDEXES = ("AUTOINDEX", "FLAT", "HNSW", "HNSW_SQ")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
"""Milvus takes 255 characters; what is behind the name of an index has up to 25."""
_EXAMPLE = "milvus://localhost:19530/articles"


@dataclass(frozen=True, slots=True)
class Address:
    """Where an index is; ``shown`` is all that may be shown of it.

    ``index`` is of the vectors. ``ef``: how many candidates a search in a graph keeps, at least; 0 is as it comes.
    ``timeout``: seconds that a call may take.
    """

    shown: str
    uri: str
    collection: str
    token: str = field(repr=False)
    database: str
    timeout: float
    index: str
    ef: int
    tls: dict[str, str | bool]


def parse(address: str) -> Address:
    """An address, checked.

    :raises InputError: if it is none; the message shows no secret.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or _PORT
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise InputError(f"this is no address of an index in Milvus: write one like {_EXAMPLE}") from error
    collection = unquote(parts.path.removeprefix("/"))
    if parts.scheme != "milvus" or not host or not collection or parts.fragment:
        raise InputError(f"an index in Milvus has an address of host and collection: write one like {_EXAMPLE}")
    shown = f"milvus://{_bracketed(host)}:{port}/{collection}" if parts.port else f"milvus://{_bracketed(host)}/{collection}"
    if not _NAME.fullmatch(collection):
        raise InputError(
            f"the name of a collection in Milvus has letters, digits and underscores, 200 at most, and does not begin with a "
            f"digit: {collection!r} is none, name another"
        )
    for name in options:
        if name not in _OPTIONS:
            raise InputError(f"an address of Milvus has no option {name!r}: there are {', '.join(_OPTIONS)}")
    tls = _tls(options)
    return Address(
        shown=shown,
        uri=f"{'https' if tls else 'http'}://{_bracketed(host)}:{port}",
        collection=collection,
        token=_token(parts),
        database=options.get("database", ""),
        timeout=_number(options, "timeout", _TIMEOUT),
        index=_index(options),
        ef=int(_number(options, "ef", 0)),
        tls=tls,
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _token(parts: SplitResult) -> str:
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return f"{user}:{password}" if password else user or os.environ.get(TOKEN, "")


def _tls(options: dict[str, str]) -> dict[str, str | bool]:
    """What pymilvus is told of an encrypted connection; nothing for one that is not."""
    wanted = options.get("tls", "").lower()
    if wanted not in ("", "true", "false"):
        raise InputError(f"tls is true or false, not {options['tls']!r}")
    files = {name: value for name, value in options.items() if name in _FILES}
    if {"client_pem", "client_key"} & set(files) and not {"client_pem", "client_key", "ca_pem"} <= set(files):
        raise InputError("client_pem, client_key and ca_pem belong together: name all three, or ca_pem alone")
    if set(files) == {"ca_pem"}:
        # pymilvus looks at that of an authority only beside a client's own; this is where it takes either from.
        files = {"server_pem": files["ca_pem"]}
    given: dict[str, str | bool] = {_FILES[name]: value for name, value in files.items()}
    if options.get("server_name"):
        given["server_name"] = options["server_name"]
    if wanted == "false" and given:
        raise InputError("the address has certificates, but tls=false: leave out one of the two")
    return given | {"secure": True} if given or wanted == "true" else {}


def _index(options: dict[str, str]) -> str:
    index = options.get("index", "HNSW").upper()
    if index not in _INDEXES:
        raise InputError(f"vectors have no index {options['index']!r} here: there are {', '.join(_INDEXES)}")
    return index


def _number(options: dict[str, str], name: str, default: float) -> float:
    try:
        number = float(options.get(name, default))
    except ValueError:
        number = -1.0
    if not 0 < number < 100_000 and name in options:
        raise InputError(f"{name} in the address is a number above 0 and below 100,000, not {options[name]!r}")
    return number
