"""The user's cache: exported models, and the state in which model folders were last read.

Models in the cache are run without verification. Therefore only this user may be able to write to the cache.

Not here: the content of an export (`export`), the files of a model (`model`).
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["cache_folder", "remember", "remembered", "touched"]

logger = logging.getLogger("semsearch")

_replacements: dict[Path, Path] = {}
"""Temporary folders of this process, by the cache folder that each replaces."""


def cache_folder() -> Path:
    """Return ``$SEMSEARCH_CACHE``, else the platform's cache folder for this user; create it for this user alone.

    Files in the cache are used without verification. If somebody else could have written to the folder, return a temporary folder
    that is removed when the process ends.
    """
    folder = _named_folder()
    reason = _reason_to_distrust(folder)
    if not reason:
        # Where it cannot be created, the caller that writes to it reports this.
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder
    if folder not in _replacements:
        logger.warning("the cache %s is not used, because %s: set SEMSEARCH_CACHE to a folder of your own", folder, reason)
        _replacements[folder] = Path(tempfile.mkdtemp(prefix="semsearch-"))
        atexit.register(shutil.rmtree, _replacements[folder], ignore_errors=True)
    return _replacements[folder]


def _named_folder() -> Path:
    override = os.environ.get("SEMSEARCH_CACHE")
    if override:
        return Path(override)
    from platformdirs import user_cache_path

    return user_cache_path("semsearch", appauthor=False)


def _reason_to_distrust(folder: Path) -> str:
    """Return why somebody else could have written to a cache folder; "" if nobody could. The user's group is trusted."""
    if not hasattr(os, "getuid"):
        return ""
    try:
        with os.scandir(folder) as entries:
            states = [folder.stat(), *(entry.stat() for entry in entries if entry.is_dir())]
    except OSError:
        return ""
    if any(state.st_uid not in (os.getuid(), 0) for state in states):
        return "it belongs to another user"
    return "everybody can write to it" if any(state.st_mode & stat.S_IWOTH for state in states) else ""


def remembered(folder: Path) -> tuple[str, ...]:
    """The digests that were remembered of a folder, if no file in it was touched since; else none."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        noted = json.loads(_note(folder).read_text(encoding="utf-8"))
        if noted["folder"] == str(folder) and noted["files"] == touched(folder):
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
        note.parent.mkdir(parents=True, exist_ok=True)
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
