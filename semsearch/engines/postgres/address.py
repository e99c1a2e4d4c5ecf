"""Addresses of indexes in PostgreSQL: libpq's URIs, with one parameter of our own.

Deliberately not here: connecting.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from psycopg import Error
from psycopg.conninfo import conninfo_to_dict

from semsearch.errors import InputError

__all__ = ["Address"]

_SCHEMES = ("postgresql://", "postgres://")
_NAME = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}", re.ASCII)
_OWN = "index"
_DEFAULT = "semsearch"
_UNKNOWN = re.compile(r'invalid URI query parameter: "([A-Za-z_]{1,40})"')
_WRONG = "not an address of PostgreSQL: write postgresql://user@host:port/database?index=NAME"


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """``conninfo`` is what libpq gets, with its password; ``schema`` holds the index; ``shown`` may be shown."""

    conninfo: str
    schema: str
    shown: str

    @classmethod
    def parse(cls, address: str) -> Address:
        """Take an address apart.

        :raises InputError: if it is none, or the index cannot be called that; of the address the message has this name at most.
        """
        if not address.lower().startswith(_SCHEMES):
            raise InputError(_WRONG)
        main, _, query = address.partition("?")
        authority, _, path = main.partition("://")[2].partition("/")
        if "@" in path or authority.count("@") > 1:
            # libpq would take a part of the password as the host, look it up and quote it.
            raise InputError(
                "the user and password in an address of PostgreSQL have %2F for a /, %3F for a ? and %40 for an @: write them so"
            )
        given = [each for each in query.split("&") if each]
        schema = next((unquote(each.partition("=")[2]) for each in given if each.partition("=")[0] == _OWN), _DEFAULT)
        if not _NAME.fullmatch(schema) or schema == "information_schema":
            raise InputError(f"no name for an index: {schema[:80]!r}: take letters a-z, digits and _, 63 at most")
        rest = [each for each in given if each.partition("=")[0] != _OWN]
        conninfo = "?".join([main, *(["&".join(rest)] if rest else [])])
        try:
            parts = conninfo_to_dict(conninfo)
        except Error as error:
            # What libpq says may quote the address, password and all, but for this.
            if unknown := _UNKNOWN.search(str(error)):
                raise InputError(
                    f"addresses of PostgreSQL have no parameter {unknown[1]!r}: index=NAME is semsearch's own"
                ) from None
            raise InputError(_WRONG) from None
        return cls(conninfo, schema, _shown({key: str(value) for key, value in parts.items()}, schema))


def _shown(parts: dict[str, str], schema: str) -> str:
    """The address without its password, and whatever else is nobody's business."""
    hosts, ports = parts.get("host", parts.get("hostaddr", "")).split(","), parts.get("port", "").split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    places = [
        (f"[{host}]" if ":" in host else quote(host, safe="")) + (f":{port}" if port else "")
        for host, port in zip(hosts, ports, strict=False)
    ]
    user = quote(parts["user"], safe="") + "@" if "user" in parts else ""
    return f"postgresql://{user}{','.join(places)}/{quote(parts.get('dbname', ''), safe='')}?{_OWN}={schema}"
