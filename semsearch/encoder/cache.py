"""The user's cache: where exports are kept, and what model folders were when they were last looked at.

Deliberately not here: what an export is (`export`), what a model's files are (`model`).
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

__all__ = ["cache_folder", "remember", "remembered", "touched"]


def cache_folder() -> Path:
    """``$SEMSEARCH_CACHE``, else the platform's cache folder for this user."""
    override = os.environ.get("SEMSEARCH_CACHE")
    if override:
        return Path(override)
    from platformdirs import user_cache_path

    return user_cache_path("semsearch", appauthor=False)


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
