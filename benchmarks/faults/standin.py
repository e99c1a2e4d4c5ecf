"""`semsearch.check` until there is one: files that the database lists are there, with the bytes that it lists."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import semsearch
from semsearch.errors import IndexCorrupt
from semsearch.store import Reader


def check(path: str, *, repair: bool = False, encoder: Any = None) -> Any:
    if hasattr(semsearch, "check"):
        return semsearch.check(path, repair=repair, encoder=encoder)
    try:
        problems = list(_problems(Path(path)))
    except (IndexCorrupt, sqlite3.DatabaseError, ValueError) as error:
        problems = [("database", path, str(error))]
    return SimpleNamespace(
        ok=not problems, problems=[SimpleNamespace(kind=k, where=w, what=t) for k, w, t in problems], repaired=(), leftovers=()
    )


def refresh(index: Any) -> bool:
    """`Index.refresh` until there is one: nothing."""
    return bool(index.refresh()) if hasattr(index, "refresh") else False


def _problems(folder: Path):
    with closing(Reader(folder)) as reader:
        database = reader._database
        for told in database.execute("PRAGMA integrity_check"):
            if told != ("ok",):
                yield "database", folder, told[0]
        listed = database.execute("SELECT '', files FROM segments UNION ALL SELECT name, files FROM lexical").fetchall()
    for name, files in listed:
        for file, _, digest in json.loads(files):
            path = folder / name / file
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                yield "file", path, "is not as it was written"
