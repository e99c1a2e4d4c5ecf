"""The files of an index directory: which are the index's own, how they come onto the disk, are held, and go from it.

Nothing is ever removed but files under names that only a writer makes up, and folders of them that are empty then. A
file is listed with its length and its checksum (XXH3, 128 bits: as fast as memory is read, and not meant against a forger).

Deliberately not here: what is in them.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import secrets
import sys
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from semsearch.errors import IndexCorrupt, InputError
from semsearch.lexical import is_lexical_file
from semsearch.records import INDEX_DATABASE
from semsearch.vectors import SEGMENT_SUFFIX

__all__ = [
    "DAMAGED",
    "DATABASE",
    "LOCK",
    "PENDING",
    "Held",
    "Listed",
    "checksum",
    "corrupt",
    "is_lexical_folder",
    "is_ours",
    "is_segment",
    "leftovers",
    "new_name",
    "remove_database",
    "rename_database",
    "size_of",
    "sweep",
    "sync",
    "sync_folder",
    "write",
    "writing",
]

DATABASE = INDEX_DATABASE
PENDING = "pending.sqlite"
DAMAGED = "damaged.sqlite"
"""A database that ``--fresh`` replaces and could not read, until the new one is committed."""
LOCK = "semsearch.lock"
_SEGMENT = re.compile(r"segment-[0-9a-f]{16}\Z")
_SUFFIXES = (SEGMENT_SUFFIX, ".faiss", ".tokens.npy", ".sentences.npy", ".offsets.npy")
"""Of a segment's file; the last four of those that earlier formats had."""
_SEGMENT_FILE = re.compile(rf"segment-[0-9a-f]{{16}}(?:{'|'.join(map(re.escape, _SUFFIXES))})\Z")
_LEXICAL_FOLDER = re.compile(r"lexical-[0-9a-f]{16}\Z")
_LOGS = ("", "-wal", "-shm", "-journal")
_CHUNK = 2**20
# Else each map keeps a handle of its own, as it does before Python 3.13.
_UNTRACKED: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) and os.name == "posix" else {}
# A link would lead out of the folder; a pipe would be waited for.
_TO_HOLD = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK"))


class Listed(NamedTuple):
    """A file as the database lists it: its name, its bytes, its checksum in hexadecimal figures."""

    name: str
    size: int
    checksum: str


def new_name(kind: str) -> str:
    """A name for a ``segment`` or the ``lexical`` side that was never used before."""
    return f"{kind}-{secrets.token_hex(8)}"


def is_ours(name: str) -> bool:
    """Whether a file or folder in an index directory is the index's own."""
    databases = {f"{database}{log}" for database in (DATABASE, PENDING, DAMAGED) for log in _LOGS}
    return name in databases or name == LOCK or _is_derived(name)


def _is_derived(name: str) -> bool:
    """Whether a name is one that a writer made up, for a segment's file or for the folder of the lexical side."""
    return _SEGMENT_FILE.match(name) is not None or is_lexical_folder(name)


def is_segment(name: str) -> bool:
    """Whether a name is one that a writer made up for a segment."""
    return _SEGMENT.match(name) is not None


def is_lexical_folder(name: str) -> bool:
    """Whether a name is one that a writer made up for the folder of the lexical side."""
    return _LEXICAL_FOLDER.match(name) is not None


def size_of(path: Path) -> int:
    """Bytes of a file or folder, if it is the index's own and still there."""
    if not is_ours(path.name):
        return 0
    with suppress(FileNotFoundError, NotADirectoryError):
        if is_lexical_folder(path.name):
            return sum(_bytes(file) for file in path.iterdir() if is_lexical_file(file.name))
        return path.stat().st_size
    return 0


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def remove_database(folder: Path, name: str) -> None:
    """Remove a database with its logs; the database itself last, so that what is half removed is still known for one."""
    for log in reversed(_LOGS):
        (folder / f"{name}{log}").unlink(missing_ok=True)


def rename_database(folder: Path, name: str, other: str) -> None:
    """Give a database with its logs another name; the database itself last."""
    for log in reversed(_LOGS):
        if (folder / f"{name}{log}").exists():
            os.replace(folder / f"{name}{log}", folder / f"{other}{log}")


def leftovers(folder: Path, listed: set[str]) -> list[Path]:
    """What writers made and the database does not list: of unfinished or of old generations.

    :param listed: names of segments, and of the folder of the lexical side.
    """
    return [path for path in folder.iterdir() if _is_derived(path.name) and path.name.split(".")[0] not in listed]


def sweep(folder: Path, listed: set[str]) -> None:
    """Remove the `leftovers`."""
    for path in leftovers(folder, listed):
        # Where a reader's file cannot be removed (Windows), a later writer does it.
        with suppress(OSError):
            _remove(path)


def _remove(path: Path) -> None:
    if not is_lexical_folder(path.name) or path.is_symlink():
        path.unlink()
        return
    for file in list(path.iterdir()):
        if is_lexical_file(file.name):
            file.unlink(missing_ok=True)
    # Stays where it holds anything else.
    path.rmdir()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """The system's errors as ours; ``Timeout`` of filelock, which is one of its, passes."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, TimeoutError):
        raise
    except OSError as error:
        raise InputError(
            f"cannot write to {folder} ({error.strerror or error}): check the disk's space and permissions"
        ) from error


def write(path: Path, parts: Iterable[bytes | memoryview]) -> Listed:
    """Write a file that must not exist yet; it is on the disk when this returns, under its name with the next `sync_folder`."""
    digest, size = xxhash.xxh3_128(), 0
    with path.open("xb", buffering=0) as file:
        for part in parts:
            view = memoryview(part).cast("B")
            digest.update(view)
            size += len(view)
            while view:
                # The system may take less than it is given.
                view = view[file.write(view) :]
        os.fsync(file.fileno())
    return Listed(path.name, size, digest.hexdigest())


def sync(path: Path) -> Listed:
    """A file that another library wrote, which is on the disk when this returns."""
    digest = xxhash.xxh3_128()
    with path.open("rb+") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        os.fsync(file.fileno())
        return Listed(path.name, file.tell(), digest.hexdigest())


def sync_folder(folder: Path) -> None:
    """See to it that what is in a folder is on the disk under its name."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def checksum(data: bytes | mmap.mmap | memoryview) -> str:
    """What `Listed` has of some bytes."""
    return xxhash.xxh3_128_hexdigest(data)


def corrupt(path: Path, what: str) -> IndexCorrupt:
    """The error of a derived file that is not what was written, with what mends it."""
    index = path.parent.parent if is_lexical_folder(path.parent.name) else path.parent
    return IndexCorrupt(f"{path} {what}: mend it with semsearch check --repair --index {index}")


class Held:
    """Files of one generation, held open so that they stay whatever a writer removes.

    Their lengths are compared when they are taken hold of, which costs a hundredth of a millisecond a file, and their
    checksums when they are first read.

    :raises IndexCorrupt: if one is missing or of another length.
    :raises InputError: if one may not be read.
    """

    def __init__(self, folder: Path, listed: Sequence[Listed]) -> None:
        self.folder = folder
        self.listed = listed
        self.handles: dict[str, int] = {}
        # A reader that nobody closes lets go of them, too.
        self._let_go = weakref.finalize(self, _close, self.handles)
        try:
            for file in listed:
                self._add(file)
        except BaseException:
            self.close()
            raise

    def _add(self, file: Listed) -> None:
        path = self.folder / Path(file.name).name
        try:
            handle = os.open(path, _TO_HOLD)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise corrupt(path, "is missing") from error
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise InputError(f"too many open files for the index {self.folder}: allow more (ulimit -n)") from error
            raise InputError(f"{path} cannot be read ({error.strerror}): check its permissions") from error
        self.handles[file.name] = handle
        if os.fstat(handle).st_size != file.size:
            raise corrupt(path, "is cut short or grown")

    def map(self, name: str) -> memoryview:
        """The bytes of a file, memory-mapped; they stay when the files are let go."""
        handle = self.handles[name]
        if not os.fstat(handle).st_size:
            return memoryview(b"")
        try:
            return memoryview(mmap.mmap(handle, 0, access=mmap.ACCESS_READ, **_UNTRACKED))
        except OSError as error:
            raise InputError(
                f"{self.folder / name} cannot be mapped ({error.strerror}): allow more open files (ulimit -n)"
            ) from error

    def verify(self, names: Iterable[str] | None = None) -> None:
        """Compare files with their checksums: those named, or all.

        :raises IndexCorrupt: if one differs.
        """
        wanted = None if names is None else set(names)
        for file in self.listed:
            if (wanted is None or file.name in wanted) and checksum(self.map(file.name)) != file.checksum:
                raise corrupt(self.folder / file.name, "is not what was written")

    def close(self) -> None:
        """Let go of the files; what was mapped stays."""
        self._let_go()


def _close(handles: dict[str, int]) -> None:
    for handle in handles.values():
        os.close(handle)
    handles.clear()
