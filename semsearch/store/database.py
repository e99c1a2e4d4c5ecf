"""The database of an index directory, as reader, writer and check all see it: the one door to SQLite, by way of apsw.

Every page carries a checksum: SQLite's own checksum VFS writes it with the page and compares it whenever the page is read, so
that a flipped byte in the database is an error and never another text. (Python's sqlite3 cannot load it everywhere; apsw
brings it along.) The schema is compared word for word: a database that has views or triggers of its own is none of ours.

Deliberately not here: what is read, what is written.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import apsw

from semsearch.errors import IndexCorrupt, IndexLocked, IndexMissing, IndexTooNew, InputError
from semsearch.limits import memory
from semsearch.store.files import DATABASE
from semsearch.store.schema import FORMAT, META_STATEMENTS, SCHEMA, statements, statements_of

__all__ = [
    "APPLICATION_ID",
    "Unlocked",
    "check_schema",
    "closed",
    "connect",
    "connect_to_read",
    "connect_to_write",
    "connect_watched",
    "damaged",
    "interrupted_after",
    "is_there",
    "lay_out",
    "missing",
    "names_listed",
    "one",
    "outdated",
    "read_meta",
    "reserve_checksums",
    "torn_pages",
    "translated",
]

APPLICATION_ID = 0x53454D53  # "SEMS"
CHECKSUM_BYTES = 8
"""At the end of each page, as SQLite's checksum VFS has it."""
PAGE_BYTES = 8192
"""Passages are some 500 bytes long: in pages of 4,096 a tenth of a database was empty."""
_WAIT = 10_000
"""Milliseconds in which another process may finish what it does to the database."""
_CACHE = 250
"""Kilobytes of pages, for each megabyte of `limits.memory`, that a writer keeps: the keys are hashes, which go everywhere."""

_META_STEPS = 1_000_000
"""Maximum steps of SQLite's virtual machine for reading schema and metadata. A current index needs about 250."""
_LIMITS = {
    apsw.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    apsw.SQLITE_LIMIT_COLUMN: 100,
    apsw.SQLITE_LIMIT_EXPR_DEPTH: 100,
    apsw.SQLITE_LIMIT_COMPOUND_SELECT: 10,
    apsw.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 100,
}
"""SQLite limits for untrusted databases, far above the needs of an index."""
_CHECKSUM_ERRORS = (apsw.SQLITE_IOERR_DATA, apsw.SQLITE_IOERR_SHORT_READ, apsw.SQLITE_IOERR_CORRUPTFS)


@contextmanager
def translated(folder: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except (apsw.ConnectionClosedError, apsw.CursorClosedError) as error:
        raise closed(folder) from error
    except (apsw.BusyError, apsw.LockedError) as error:
        raise IndexLocked(f"the index {folder} is busy: try again when the other process is done") from error
    except apsw.IOError as error:
        if error.extendedresult in _CHECKSUM_ERRORS:
            raise damaged(folder, "a page of the database is not what was written") from error
        raise _unusable(folder, error) from error
    except (apsw.FullError, apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError) as error:
        raise _unusable(folder, error) from error
    except apsw.NoMemError as error:
        raise MemoryError from error
    except apsw.Error as error:
        raise damaged(folder, str(error)) from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise damaged(folder, "what it says cannot be read") from error


def _unusable(folder: Path, error: apsw.Error) -> InputError:
    return InputError(f"the index {folder} cannot be used ({error}): check the disk's space and permissions")


def closed(folder: Path) -> InputError:
    """The error of reading from an index that was closed."""
    return InputError(f"the index {folder} was closed: open it again")


def damaged(folder: Path, reason: str) -> IndexCorrupt:
    """The error of a database that does not hold what it should."""
    return IndexCorrupt(
        f"the index {folder} is damaged ({reason}): make it anew with semsearch index SOURCE... --fresh --index {folder}"
    )


def missing(folder: Path) -> IndexMissing:
    """The error of a folder without an index."""
    return IndexMissing(f"no index in {folder}: make one with semsearch index SOURCE --index {folder}")


def outdated(folder: Path) -> IndexCorrupt:
    """The error of an index of an earlier format, for one who only reads."""
    return IndexCorrupt(
        f"the index {folder} is of an earlier version of semsearch: bring it up to date with "
        f"semsearch check --repair --index {folder}"
    )


def connect_to_read(folder: Path) -> apsw.Connection:
    """A connection that sees one generation for as long as it is open; not for long, where it cannot lock (`connect_watched`)."""
    return connect_watched(folder)[0]


def connect_watched(folder: Path) -> tuple[apsw.Connection, Unlocked | None]:
    """The same, and what tells whether a generation was overwritten; None where SQLite's locks see to it that none is."""
    path = folder.resolve() / DATABASE
    try:
        # Who may write lets SQLite tidy up its log when the last one closes; nothing else is ever written.
        mode = "rw" if os.access(folder, os.W_OK) and os.access(path, os.W_OK) else "ro"
        return _pinned(path, f"mode={mode}"), None
    except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.IOError) as error:
        if os.access(folder, os.W_OK) or _may_have_pages(folder / f"{DATABASE}-wal"):
            raise
        if isinstance(error, apsw.IOError) and error.extendedresult in _CHECKSUM_ERRORS:
            raise
        # A folder that cannot be written has no place for the files that readers and writers share.
        watched = Unlocked(path)
        return _pinned(path, "immutable=1"), watched


def _may_have_pages(log: Path) -> bool:
    try:
        return log.stat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError:
        return True


def is_there(folder: Path) -> bool:
    """Whether a folder has the database of an index.

    :raises InputError: if it cannot be looked into, or its name can be none.
    """
    try:
        return stat.S_ISREG((folder / DATABASE).stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"the index {str(folder)!r} cannot be used ({reason}): check its name and permissions") from error


class Unlocked:
    """A database that this process can only read without any lock, for the folder is not its own to write to.

    Where its owner writes, SQLite does not notice, and would give pages of two states as one: whoever reads asks `check`
    afterwards.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._state()

    def check(self, folder: Path) -> None:
        """Refuse what was read, if the database was written to since it was opened.

        :raises InputError: if it was.
        """
        if self._state() != self._seen:
            raise InputError(f"the index {folder} was changed by its owner meanwhile: open it again")

    def _state(self) -> tuple[int, ...]:
        try:
            status = self._path.stat()
        except OSError:
            return ()
        return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _pinned(path: Path, how: str) -> apsw.Connection:
    """A connection in a transaction; its first read fixes the generation for as long as it lasts."""
    database = connect(path, how)
    try:
        database.execute("PRAGMA query_only = ON")
        database.execute("BEGIN")
        one(database, "SELECT count(*) FROM sqlite_master")
    except BaseException:
        database.close()
        raise
    return database


def connect_to_write(folder: Path) -> apsw.Connection:
    """A connection whose commits are on the disk when they return."""
    database = connect(folder.resolve() / DATABASE, "mode=rwc")
    try:
        if not one(database, "SELECT count(*) FROM sqlite_master"):
            lay_out(database)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA cache_size = -{_CACHE * memory()}")
    except BaseException:
        database.close()
        raise
    return database


def connect(path: Path, how: str) -> apsw.Connection:
    """A connection without implicit transactions, in which nothing that a database says is run.

    :param path: resolved as far as its folder; the file itself may be no link.
    :param how: the query of SQLite's URI: ``mode=ro``...
    """
    database = apsw.Connection(
        f"{path.as_uri()}?{how}",
        flags=apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_NOFOLLOW | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE,
        vfs=_checksum_vfs(),
    )
    database.set_busy_timeout(_WAIT)
    database.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    database.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    database.pragma("cell_size_check", True)
    for limit, value in _LIMITS.items():
        database.limit(limit, value)
    return database


@cache
def _checksum_vfs() -> str:
    """The name under which SQLite's checksum VFS is known to this process.

    Once it is loaded, it is also what others who use apsw in this process get where they name none.

    :raises InputError: if apsw was installed without it.
    """
    from apsw import sqlite_extra

    try:
        with apsw.Connection(":memory:") as scratch:
            sqlite_extra.load(scratch, "cksumvfs")
    except (sqlite_extra.NotAvailable, LookupError, apsw.Error) as error:
        raise InputError(
            "apsw is installed without SQLite's checksum VFS: python -m pip install --force-reinstall --only-binary apsw apsw"
        ) from error
    scratch.close()
    return "cksmvfs"


def lay_out(database: apsw.Connection) -> None:
    """How long the pages of a database are that is empty, and that each ends with its checksum."""
    database.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    reserve_checksums(database)


def reserve_checksums(database: apsw.Connection) -> None:
    """Let each page that is written from now on end with its checksum; for a database that is empty, or is vacuumed next."""
    database.reserve_bytes("main", CHECKSUM_BYTES)


def read_meta(database: apsw.Connection, folder: Path) -> dict[str, str]:
    """The facts on the index, checked as far as to know that it can be read; none where it was never committed.

    :raises InputError: if the database is another program's.
    :raises IndexTooNew: if a later version wrote it.
    :raises IndexCorrupt: if it is not as a writer leaves it.
    """
    application = int(one(database, "PRAGMA application_id"))
    if application != APPLICATION_ID:
        if application or one(database, "SELECT count(*) FROM sqlite_master"):
            raise InputError(f"{folder / DATABASE} is another program's database: give another folder with --index")
        return {}
    with interrupted_after(_META_STEPS, database):
        found = _schema_of(database)
        # A view by this name could take all memory, or never end.
        if not found & META_STATEMENTS:
            raise damaged(folder, "its tables are not ours")
        try:
            meta: dict[str, str] = dict(database.execute("SELECT key, value FROM meta").fetchall())
        except apsw.InterruptError as error:
            raise damaged(folder, "its metadata has too many rows") from error
    try:
        version = int(meta["format"])
        int(meta["generation"])
    except (KeyError, ValueError, TypeError) as error:
        raise damaged(folder, "its format is not noted") from error
    if version > FORMAT:
        raise IndexTooNew(
            f"the index {folder} was written by semsearch {meta.get('version', 'of a later version')}: upgrade semsearch"
        )
    if version == FORMAT and (
        database.reserve_bytes("main") != CHECKSUM_BYTES or str(one(database, "PRAGMA checksum_verification")) != "1"
    ):
        raise damaged(folder, "its pages have no checksums")
    if found != statements_of(version):
        raise damaged(folder, "its tables are not ours")
    return meta


def check_schema(database: apsw.Connection, folder: Path, schema: str = SCHEMA) -> None:
    """Refuse a database whose tables, views, indexes and triggers are not exactly those of a schema.

    :raises IndexCorrupt: if they differ.
    """
    if _schema_of(database) != statements(schema.split(";")):
        raise damaged(folder, "its tables are not ours")


def _schema_of(database: apsw.Connection) -> frozenset[str]:
    return statements(sql for (sql,) in database.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL"))


@contextmanager
def interrupted_after(steps: int, database: apsw.Connection) -> Iterator[None]:
    """End statements with ``apsw.InterruptError`` after a number of steps of SQLite's virtual machine."""
    database.set_progress_handler(lambda: True, steps)
    try:
        yield
    finally:
        database.set_progress_handler(None)


def torn_pages(database: apsw.Connection, path: Path) -> Iterator[int]:
    """Pages of a database's file, counted from 1, that are not what was written, those among them that nothing uses."""
    size = int(one(database, "PRAGMA page_size"))
    cursor = database.cursor()
    # By SQLite: were the file opened and closed by others in this process, all its locks on it would be gone.
    file = apsw.VFSFile(_plain_vfs(), str(path), [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0])
    try:
        length = file.xFileSize()
        for place in range(0, length, size):
            # The lock's page, at a gigabyte, is never written.
            if place == 2**30:
                continue
            page = file.xRead(size, place) if place + size <= length else b""
            if not page or not cursor.execute("SELECT verify_checksum(?)", (page,)).fetchone()[0]:
                yield place // size + 1
    finally:
        file.xClose()


def _plain_vfs() -> str:
    return next(str(name) for name in apsw.vfs_names() if name != _checksum_vfs())


def names_listed(database: apsw.Connection) -> set[str]:
    """Names of the segments and of the folder of the lexical side that the database lists."""
    return {name for (name,) in database.execute("SELECT name FROM segments UNION SELECT name FROM lexical")}


def one(database: apsw.Connection, statement: str, values: tuple[Any, ...] = ()) -> Any:
    """The only value of the only row."""
    row = database.execute(statement, values).fetchone()
    return row[0] if row else None
