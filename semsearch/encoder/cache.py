"""The user's cache: exported models, and the state in which model folders were last read.

A model in the cache is run without another look at it, so nobody else may be able to write there.

Not here: the content of an export (`export`), the files of a model (`model`).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import suppress
from pathlib import Path

__all__ = ["cache_folder", "is_trusted", "remember", "remembered", "touched"]


def cache_folder() -> Path:
    """``$SEMSEARCH_CACHE``, else the platform's cache folder for this user."""
    override = os.environ.get("SEMSEARCH_CACHE")
    if override:
        return Path(override)
    from platformdirs import user_cache_path

    return user_cache_path("semsearch", appauthor=False)


def is_trusted(folder: Path) -> bool:
    """True if a folder of the cache and those above it, up to the cache's own, belong to this user or the system.

    A folder that everybody can write to is not trusted. The user's group is.
    """
    if not hasattr(os, "getuid"):
        return True
    top = cache_folder()
    chain = [folder, *(each for each in folder.parents if each.is_relative_to(top))]
    states = [each.stat() for each in chain]
    return all(state.st_uid in (os.getuid(), 0) and not state.st_mode & stat.S_IWOTH for state in states)


def remembered(folder: Path) -> tuple[str, ...]:
    """The digests that were remembered of a folder, if no file in it was touched since; else none."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        note = _note(folder)
        noted = json.loads(note.read_text(encoding="utf-8"))
        if is_trusted(note.parent) and noted["folder"] == str(folder) and noted["files"] == touched(folder):
            return tuple(map(str, noted["digests"]))
    return ()


def remember(folder: Path, files: list[list[str | int]], digests: tuple[str, ...]) -> None:
    """Note the digests of a folder's files, so that they need not be read again while nobody touches them.

    :param files: `touched`, from before they were read.
    """
    # Without it they are read again.
    with suppress(OSError):
        if files != touched(folder):
            return
        note = _note(folder)
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = note.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps({"folder": str(folder), "files": files, "digests": digests}), encoding="utf-8")
        draft.replace(note)


def _note(folder: Path) -> Path:
    return cache_folder() / "folders" / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:32]}.json"


def touched(folder: Path) -> list[list[str | int]]:
    """What changes whenever a file does, even where its length and its date are kept."""
    found: list[list[str | int]] = []
    for path in sorted(folder.rglob("*")):
        status = path.stat()
        found.append([path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino])
    return found
