"""The files of an index directory: which are the index's own, how they come onto the disk and go from it.

Nothing is ever removed but files under names that only a writer makes up, and folders of them that are empty then.

Deliberately not here: what is in them.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from semsearch.errors import InputError
from semsearch.lexical import is_lexical_file
from semsearch.records import INDEX_DATABASE
from semsearch.vectors import SEGMENT_SUFFIXES

DATABASE = INDEX_DATABASE
LOCK = "semsearch.lock"
_SEGMENT_FILE = re.compile(rf"segment-[0-9a-f]{{16}}(?:{'|'.join(map(re.escape, SEGMENT_SUFFIXES))})\Z")
_LEXICAL_FOLDER = re.compile(r"lexical-[0-9a-f]{16}\Z")


def new_name(kind: str) -> str:
    """A name for a ``segment`` or the ``lexical`` side that was never used before."""
    return f"{kind}-{secrets.token_hex(8)}"


def is_ours(name: str) -> bool:
    """Whether a file or folder in an index directory is the index's own."""
    return name in {DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal", LOCK} or is_derived(name)


def is_derived(name: str) -> bool:
    """Whether a name is one that a writer made up, for a segment's file or for the folder of the lexical side."""
    return _SEGMENT_FILE.match(name) is not None or is_lexical_folder(name)


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


def sweep(folder: Path, listed: set[str]) -> None:
    """Remove what writers made and the database does not list: of unfinished or of old generations.

    :param listed: names of segments, and of the folder of the lexical side.
    """
    for path in list(folder.iterdir()):
        if is_derived(path.name) and path.name.split(".")[0] not in listed:
            # Where a reader's file cannot be removed (Windows), a later writer does it.
            with suppress(OSError):
                _remove(path)


def _remove(path: Path) -> None:
    if not is_lexical_folder(path.name):
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


def sync(path: Path) -> tuple[int, str]:
    """Length and SHA-256 of a file, which is on the disk when this returns."""
    digest = hashlib.sha256()
    with path.open("rb+") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
        os.fsync(file.fileno())
        return file.tell(), digest.hexdigest()


def sync_folder(folder: Path) -> None:
    """See to it that what is in a folder is on the disk under its name."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
