"""Where an index is: in a folder, or in an engine that others keep: Milvus, PostgreSQL.

An address (``milvus://host:19530/collection``, ``postgresql://host/database``) stands wherever the path of an index directory
can. Articles, passages, model and ranking are the same: an engine finds candidates for both arms and gives their raw scores
(`seam`), and all that is made of them is made here as over a folder's index.

Invariants: a search is of one generation, whole; filters mean the same (`narrowing`); no secret of an address is shown; an
engine's library is imported when an address of its kind is opened.

Deliberately not here: making an index (`builder`), ranking (`ranking`), a cluster of our own.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from semsearch.records import is_engine
from semsearch.store import Reader

if TYPE_CHECKING:
    from semsearch.engines.reader import EngineReader, EngineView
    from semsearch.engines.seam import Engine
    from semsearch.engines.writer import EngineWriter
    from semsearch.store.writer import Writer

    AnyReader = Reader | EngineReader
    """An open index."""
    View = Reader | EngineView
    """One generation of an open index: what its ``pinned`` gives."""
    AnyWriter = Writer | EngineWriter
    """The writer of an index."""

__all__ = ["connect", "open_reader", "open_writer", "pinned", "shown"]

PathLike = str | os.PathLike[str]


def connect(address: str) -> Engine:
    """The engine that keeps the index of an address.

    :raises InputError: if the address cannot be read.
    :raises MissingExtra: if what speaks to the engine is not installed.
    """
    if address.lower().startswith("milvus://"):
        # Not at the top: each takes a library of its own.
        from semsearch.engines.milvus import connect as connect_to_milvus

        return connect_to_milvus(address)
    from semsearch.engines.postgres import connect as connect_to_postgres

    return connect_to_postgres(address)


def open_reader(path: PathLike) -> AnyReader:
    """An open index, in a folder or at an address; raises what `store.Reader` and `reader.EngineReader` do."""
    if not is_engine(path):
        return Reader(Path(path))
    # Not at the top: few have an engine.
    from semsearch.engines.reader import EngineReader

    engine = connect(str(path))
    try:
        return EngineReader(engine)
    except BaseException:
        engine.close()
        raise


@contextmanager
def pinned(path: PathLike) -> Iterator[View]:
    """The newest generation of an index, opened to be read within the context; raises what `open_reader` does."""
    with closing(open_reader(path)) as reader, reader.pinned() as view:
        yield view


def open_writer(path: PathLike, *, fresh: bool = False) -> AnyWriter:
    """The writer of an index; raises what `store.writer.Writer` and `writer.EngineWriter` do."""
    if not is_engine(path):
        # Not at the top: searches do without it.
        from semsearch.store.writer import Writer

        return Writer(Path(path), fresh=fresh)
    from semsearch.encoder import cache_folder
    from semsearch.engines.writer import EngineWriter

    engine = connect(str(path))
    staging = cache_folder() / "engines" / hashlib.sha256(engine.shown.encode()).hexdigest()[:32]
    return EngineWriter(engine, staging, fresh=fresh)


def shown(path: PathLike) -> str:
    """A path or address as it may be shown: without users, passwords, and options that do not name the index."""
    if not is_engine(path):
        return os.fspath(path)
    # Not by urlsplit, which refuses several hosts with ports.
    plain, _, query = str(path).partition("?")
    scheme, _, rest = plain.partition("://")
    host, slash, name = rest.partition("/")
    own = next((f"?{each}" for each in query.split("&") if each.startswith("index=")), "")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{name}{own}"
