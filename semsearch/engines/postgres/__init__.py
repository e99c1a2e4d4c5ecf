"""An index in PostgreSQL with pgvector: `connect` gives an `Engine` by the address of a database.

Everything of an index stands in one schema; a snapshot is one transaction that reads, a draft one that writes. Vectors are
`halfvec` with an HNSW index, words are posting lists of our own beside PostgreSQL's full text index (`postings` says why).

Deliberately not here: what an index means (`seam`), the model, ranking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from semsearch.errors import MissingExtra

if TYPE_CHECKING:
    from semsearch.engines.seam import Engine

__all__ = ["connect"]


def connect(address: str) -> Engine:
    """The index at an address; nothing is asked of the server yet.

    :param address: what libpq takes, ``postgresql://user@host:port/database?...``, with ``index=NAME`` for the schema.
    :raises InputError: if that is no address.
    :raises MissingExtra: if psycopg is not installed.
    """
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        # Without its binary, psycopg looks for the system's libpq, and fails like this, too.
        raise MissingExtra('PostgreSQL needs psycopg: python -m pip install "semsearch[postgres]"') from error
    from semsearch.engines.postgres.address import Address
    from semsearch.engines.postgres.engine import PostgresEngine

    return PostgresEngine(Address.parse(address))
