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
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from semsearch.errors import InputError
from semsearch.records import is_engine
from semsearch.redaction import index_scheme, redact
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

__all__ = ["connect", "folder_of", "open_reader", "open_writer", "pinned", "shown"]

PathLike = str | os.PathLike[str]
_ADDRESS = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]+:/")
"""Not the letter of a drive."""
_HOSTS = re.compile(r"(?:[^:,#\[\]]*|\[[0-9A-Fa-f:.%]*\])(?::\d*)?(?:,(?:[^:,#\[\]]*|\[[0-9A-Fa-f:.%]*\])(?::\d*)?)*")


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
        return Reader(folder_of(path))
    # Not at the top: few have an engine.
    from semsearch.engines.reader import EngineReader

    engine = connect(str(path))
    try:
        return EngineReader(engine)
    except BaseException:
        engine.close()
        raise


def folder_of(path: PathLike) -> Path:
    """The path of a folder.

    :raises InputError: if the path resembles an address and no such folder exists. A folder of that name would contain the
        password.
    """
    folder, name = Path(path), os.fspath(path)
    scheme = index_scheme(name)
    if (scheme or _ADDRESS.match(name) or redact(name) != name) and not folder.is_dir():
        label = f"{scheme}..." if scheme else redact(name)
        raise InputError(
            f"no engine has addresses like {label}: write milvus://HOST:PORT/COLLECTION, postgresql://HOST/DATABASE, "
            "or the path of a folder"
        )
    return folder


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

        return Writer(folder_of(path), fresh=fresh)
    from semsearch.encoder import cache_folder
    from semsearch.engines.writer import EngineWriter

    engine = connect(str(path))
    staging = cache_folder() / "engines" / hashlib.sha256(engine.shown.encode()).hexdigest()[:32]
    return EngineWriter(engine, staging, fresh=fresh)


def shown(path: PathLike) -> str:
    """A path or address as it may be shown: without users, passwords, and options that do not name the index."""
    if not is_engine(path):
        return redact(os.fspath(path))
    # Not by urlsplit, which refuses several hosts with ports.
    scheme, _, rest = str(path).partition("://")
    plain, _, query = rest.partition("?")
    if "@" in plain:
        plain = plain.rpartition("@")[2]
    elif not _HOSTS.fullmatch(plain.partition("/")[0]) or ("@" in query and "/" not in plain):
        # What is no host may be a password with signs that should have been written otherwise.
        return f"{scheme}://..."
    naming = "database=" if scheme.lower() == "milvus" else "index="
    own = next((f"?{each}" for each in query.split("&") if each.startswith(naming) and "@" not in each), "")
    return f"{scheme}://{plain.partition('#')[0]}{own}"
