"""Redaction: take passwords and tokens out of messages.

Input: a message of any origin. Output: the message, in which an address that may hold a secret ends after its scheme, and the
values of parameters such as ``password=`` are replaced. Ambiguous text is treated as a secret.
Invariant: the time is proportional to the length, because messages quote articles and requests.
Not here: search results, which are never redacted; addresses shown with host and database (`engines.shown`).
"""

from __future__ import annotations

import logging
import re

__all__ = ["index_scheme", "redact", "redact_record"]

_CUT = "..."
_SCHEME = re.compile(r"(?<![\w+.-])(?P<name>[\w+.-]*)(?P<mark>:/*|/+)")
_ENGINES = re.compile(r"milvus|postgre|pgsql|psql|mysql", re.IGNORECASE)
_PLAIN = frozenset({"http", "https", "tcp", "tls"})
"""Schemes that are recognized without slashes."""
_TOKEN = re.compile(r"[^\s'\"<>]*")
_AUTHORITY = re.compile(r"[^/?#\s'\"<>]*")
_HOST = r"(?:[^\s:,@#?/\[\]]*|\[[0-9A-Fa-f:.%]*\])(?::(?:[0-9]*|PORT|port))?"
_HOSTS = re.compile(rf"{_HOST}(?:,{_HOST})*[:,;)]*")
_INDEX = re.compile(
    # A user without a password is a name in PostgreSQL and a token in Milvus.
    rf"(?:milvus://|postgres(?:ql)?://(?:[^\s:,@#?/]+@)?)"
    rf"{_HOST}(?:,{_HOST})*(?P<path>/[^\s@?#]*)?(?:\?(?:index|database)=[\w%.-]*)?[:,;)]*",
    re.IGNORECASE,
)
"""An index address without secrets. ``path`` is the database or collection."""
_MAX_ADDRESS = 1000
"""Characters of an address that are looked at. A longer index address counts as one with a secret."""
_PARAMETER = re.compile(
    r"((?:(?:passw(?:or)?d|passphrase|pwd|token(?!s)|secret|api_?key|credential|signature)\w{0,20}|pass)\s{0,9}=\s{0,9})"
    r"(?:'[^']*|\"[^\"]*|[^&'\"\n]*?(?=[&'\"\n]|[:,;)] |$))",
    re.IGNORECASE,
)


def redact(message: str) -> str:
    """Return a message without the secrets of the addresses and parameters in it."""
    parts: list[str] = []
    done = at = stop = 0
    last = message.rfind("@")
    while match := _SCHEME.search(message, at):
        start, at = match.span()
        stop = max(stop, _end(_TOKEN, message, max(stop, at)))
        if not _is_address(match, message[at : min(stop, at + _MAX_ADDRESS)]):
            continue
        end = _end(_AUTHORITY, message, at)
        address = message[start : min(stop, start + _MAX_ADDRESS + 1)]
        if _is_harmless(match, address, message[at:end], is_followed=last >= stop):
            at = end
            continue
        # Spaces and quotes do not end a secret: cut up to the last "@", after which the host is.
        stop = max(stop, _end(_TOKEN, message, max(last, at)))
        at = stop - (message[stop - 1] in ":,")
        parts += (message[done : match.end()], _CUT)
        done = at
    return _PARAMETER.sub(rf"\g<1>{_CUT}", "".join(parts) + message[done:])


def index_scheme(value: str) -> str:
    """Return the scheme of an index address, also of a misspelled one; "" for anything else."""
    match = _SCHEME.match(value.lstrip(" \t'\""))
    if match and _ENGINES.search(match["name"]) and _is_address(match, value.strip()[match.end() :]):
        return match[0]
    return ""


def redact_record(record: logging.LogRecord) -> bool:
    """Redact a log record and its traceback; a filter for `logging.Logger.addFilter`."""
    message = record.getMessage()
    if (redacted := redact(message)) != message:
        record.msg, record.args = redacted, None
    if record.exc_info:
        trace = logging.Formatter().formatException(record.exc_info)
        if (redacted := redact(trace)) != trace:
            # As text, because some handlers format the traceback themselves.
            record.msg, record.args = f"{redact(message)}\n{redacted}", None
            record.exc_info = record.exc_text = None
    return True


def _end(pattern: re.Pattern[str], message: str, at: int) -> int:
    match = pattern.match(message, at)
    return match.end() if match else at


def _is_address(match: re.Match[str], rest: str) -> bool:
    """True if a name and the colon or slashes after it begin an address.

    :param rest: what follows them, without spaces.
    """
    name, mark = match["name"], match["mark"]
    if _ENGINES.search(name):
        if mark.startswith(":"):
            return not re.fullmatch("[0-9:,;)]*", rest) or mark != ":"
        if mark == "/":
            # "scheme//user" as `pathlib` writes it, which a folder with the name of an engine resembles.
            return "@" in rest.partition("/")[0]
        return ":" in rest or "@" in rest
    if mark == ":":
        return name.lower() in _PLAIN and bool(rest)
    # One letter is the drive of a path of Windows.
    return mark != "/" and (len(name) != 1 or not mark.startswith(":"))


def _is_harmless(match: re.Match[str], address: str, authority: str, *, is_followed: bool) -> bool:
    """True if an address has no secret.

    :param is_followed: True if an "@" follows, which may end a password with spaces or quotes.
    """
    if _ENGINES.search(match["name"]):
        index = _INDEX.fullmatch(address)
        return bool(index and len(address) <= _MAX_ADDRESS and (index["path"] or not is_followed))
    return match["mark"] != ":" and bool(_HOSTS.fullmatch(authority))
