"""Lock files between processes; reject links in their place. The only module that creates locks of filelock.

filelock truncates the file that it locks, so a link in its place must never be followed: an index from somebody else, or a shared
cache, could have one that leads to a file of the user.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["file_lock"]


def file_lock(path: Path, timeout: float = -1) -> BaseFileLock:
    """Return a lock on a file, not acquired yet. The file is created if it does not exist.

    filelock itself refuses a symbolic link that appears after this check.

    :param timeout: seconds to wait for another process, as filelock takes them: 0 not to wait, -1 to wait without limit.
    :raises OSError: if the file is a link, is a hard link with content, or is not a regular file.
    """
    from filelock import FileLock

    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return FileLock(path, timeout)
    # A copy of the folder by hard links is no danger: a lock file is empty.
    if not stat.S_ISREG(status.st_mode) or (status.st_nlink > 1 and status.st_size):
        raise OSError(errno.ELOOP, f"{path.name} is a link or not a file: remove it", str(path))
    return FileLock(path, timeout)
