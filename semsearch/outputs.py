"""Files that users ask for: refused early, written whole."""

from __future__ import annotations

import os
from pathlib import Path

from semsearch.errors import InputError

__all__ = ["check_writable", "write"]


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse early where a file cannot be written; nothing is made or changed.

    :raises InputError: if its folder is not there, or it or its folder may not be written.
    """
    file = Path(path)
    if file.is_dir():
        raise InputError(f"{path} cannot be written (Is a directory): give a file")
    if not file.parent.is_dir():
        raise InputError(f"{path} cannot be written (no folder {file.parent}): make it, or give another")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise InputError(f"{path} cannot be written (Permission denied): give another folder")


def write(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a file: a text in UTF-8 with its line ends as they are, or bytes.

    :raises InputError: if it cannot be written.
    """
    data = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error}): check the folder") from error
