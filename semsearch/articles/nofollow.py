"""Open a file or list a folder by an absolute path, and refuse a link in any part of the path.

Paths are resolved when the sources are searched. A folder may be replaced by a link before it is listed or before its files are
read: each part of a path is therefore opened relative to the part above it, and none of them may be a link.

Where the system cannot do this (Windows), a folder that was replaced by a link is followed.

Not here: the choice of files (`files`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

__all__ = ["Entry", "list_folder", "open_file"]

_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
"""O_NONBLOCK: opening a pipe must not wait for a writer."""
_NOFOLLOW_ANY: int = getattr(os, "O_NOFOLLOW_ANY", 0)
"""Flag of macOS that refuses a link in any part of a path."""
_DIRECTORY: int = getattr(os, "O_DIRECTORY", 0)
_PART = _FLAGS | _DIRECTORY | getattr(os, "O_PATH", 0)
"""Flags for a folder on the way. O_PATH: the folder may be one that the user can enter but not list."""
_BY_PARTS = os.open in os.supports_dir_fd and bool(_DIRECTORY) and hasattr(os, "O_NOFOLLOW")
_MAX_PATH = 4096
"""Maximum length of a path in bytes, PATH_MAX of Linux. Opening by parts has no limit of its own and takes time for each."""
_REPLACED = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)
"""Errors for a link where a file or a folder was. FreeBSD has EMLINK."""


class Entry(NamedTuple):
    """An entry of a folder. ``reason`` is why its kind is unknown; "" if the kind is known."""

    name: str
    kind: Literal["folder", "file", "link", "other"]
    reason: str = ""


def open_file(path: Path) -> int:
    """Return the descriptor of a file, opened for reading.

    :param path: absolute, without links.
    :raises OSError: if the file cannot be opened, or a part of its path is a link.
    """
    return _open(path, _FLAGS)


def list_folder(path: Path) -> list[Entry]:
    """Return the entries of a folder, sorted by name.

    :param path: absolute, without links.
    :raises OSError: if the folder cannot be listed, or a part of its path is a link.
    """
    with _scan(path) as listed:
        return sorted(map(_entry, listed))


@contextmanager
def _scan(path: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
    if not _BY_PARTS or os.scandir not in os.supports_fd:
        with os.scandir(path) as listed:
            yield listed
        return
    handle = _open(path, _FLAGS | _DIRECTORY)
    try:
        with os.scandir(handle) as listed:
            yield listed
    finally:
        os.close(handle)


def _entry(entry: os.DirEntry[str]) -> Entry:
    try:
        if entry.is_dir(follow_symlinks=False):
            return Entry(entry.name, "folder")
        if entry.is_file(follow_symlinks=False):
            return Entry(entry.name, "file")
        return Entry(entry.name, "link" if entry.is_symlink() else "other")
    except OSError as error:  # a file system that lists no kinds, and a folder that the user can list but not enter
        return Entry(entry.name, "other", error.strerror or str(error))


def _open(path: Path, flags: int) -> int:
    try:
        if _NOFOLLOW_ANY or not _BY_PARTS:
            return os.open(path, flags | _NOFOLLOW_ANY)
        if len(os.fsencode(path)) >= _MAX_PATH:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        *folders, name = path.parts[1:] or (".",)
        handle = os.open(path.anchor, _PART)
        try:
            for folder in folders:
                above, handle = handle, os.open(folder, _PART, dir_fd=handle)
                os.close(above)
            return os.open(name, flags, dir_fd=handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in _REPLACED:
            raise OSError(error.errno, "a part of its path was replaced by a link or a file; index it again") from error
        raise
