"""The lexical side of an index directory: one folder a generation that changed it, which follows the rows of the vectors.

The table ``lexical_rows`` says what each row of the folder was when it was added, so that what is missing and what is stale
is a question to the database, whatever happened to the rows since. A folder never changes once it is listed: the next one
begins with links to its files. Where rows were taken out, a small index is written anew, for the frequencies of words stay
true only so; a large one waits until the rows taken out are many.

Deliberately not here: what words are, and how they are searched (`lexical`).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import apsw

from semsearch import lexical
from semsearch.errors import IndexCorrupt, InputError
from semsearch.lexical import Lexical, LexicalWriter
from semsearch.store.database import damaged, one
from semsearch.store.files import Held, Listed, corrupt, is_lexical_folder, new_name, sync, sync_folder, writing

__all__ = ["HeldWords", "add_languages", "hold", "is_current", "refresh", "stale_rows"]

TRUE_ROWS = 20_000
"""Up to so many rows, an index that loses some is written anew: at 0.08 ms a row, within 2 seconds (going on takes 0.3)."""
TOLERATED = 16
"""Above that, once the rows taken out are one in so many; until then their words pass for more common than they are."""
_WINDOW = 8192
_WANTED = "SELECT e.row, e.hash, (SELECT min(language) FROM passages WHERE embedding = e.hash) AS language FROM embeddings e"
_STALE = f"""
SELECT l.row, l.language FROM lexical_rows l LEFT JOIN ({_WANTED}) w ON w.row = l.row
WHERE w.row IS NULL OR w.hash != l.hash OR w.language != l.language ORDER BY l.row
"""
_MISSING = f"SELECT row, hash, language FROM ({_WANTED}) WHERE row NOT IN (SELECT row FROM lexical_rows) ORDER BY row"
_TEXT = """
SELECT a.title, p.headings, p.text FROM passages p JOIN articles a ON a.id = p.article WHERE p.embedding = ? ORDER BY p.id LIMIT 1
"""


def add_languages(database: apsw.Connection) -> None:
    """Note the language of passages that an earlier format has without."""
    for article, title, metadata in database.execute("SELECT id, title, metadata FROM articles").fetchall():
        passages = database.execute("SELECT id, text FROM passages WHERE article = ? ORDER BY id", (article,)).fetchall()
        found = lexical.languages(title, [text for _, text in passages], json.loads(metadata).get("language"))
        database.executemany(
            "UPDATE passages SET language = ? WHERE id = ?",
            ((language, number) for language, (number, _) in zip(found, passages, strict=True)),
        )


def refresh(database: apsw.Connection, folder: Path) -> None:
    """Bring the lexical side to what the database holds: the same folder if nothing changed, else a new one.

    :raises InputError: if it cannot be written.
    """
    before = _before(database, folder)
    stale = database.execute(_STALE).fetchall()
    if before is not None and stale:
        total = int(one(database, "SELECT count(*) FROM embeddings"))
        if total <= TRUE_ROWS or (lexical.Facts.read(before).deleted + len(stale)) * TOLERATED > total:
            before = None
    if before is not None:
        try:
            _go_on(database, folder, before, stale)
        except InputError:
            raise
        except ValueError:
            # Whatever it is that cannot be read, or cannot be written: all that it takes is in the database.
            before = None
    if before is None:
        database.execute("DELETE FROM lexical_rows")
        try:
            _write(database, folder, None, [], database.execute(_MISSING).fetchall())
        except InputError:
            raise
        except ValueError as error:
            # So tantivy tells what the system refuses.
            raise InputError(f"cannot write to {folder} ({error}): check the disk's space and permissions") from error


def _go_on(database: apsw.Connection, folder: Path, before: Path, stale: list[tuple[int, str]]) -> None:
    """What came and went since the folder before, if anything did."""
    database.executemany("DELETE FROM lexical_rows WHERE row = ?", ((row,) for row, _ in stale))
    missing = database.execute(_MISSING).fetchall()
    if stale or missing:
        _write(database, folder, before, stale, missing)


def _write(
    database: apsw.Connection,
    folder: Path,
    before: Path | None,
    stale: list[tuple[int, str]],
    missing: list[tuple[int, bytes, str]],
) -> None:
    """A new folder, and the database told of it."""
    name = new_name("lexical")
    with writing(folder):
        writer = LexicalWriter(folder / name, before)
        writer.delete([row for row, _ in stale], [language for _, language in stale])
        for first in range(0, len(missing), _WINDOW):
            _add(database, writer, missing[first : first + _WINDOW])
        writer.commit()
        files = _synced(folder / name, before, _listed(database, folder))
    database.execute("DELETE FROM lexical")
    database.execute("INSERT INTO lexical (name, files) VALUES (?, ?)", (name, json.dumps(files)))
    database.executemany("INSERT INTO lexical_rows (row, hash, language) VALUES (?, ?, ?)", missing)


def _add(database: apsw.Connection, writer: LexicalWriter, missing: Sequence[tuple[int, bytes, str]]) -> None:
    texts = [database.execute(_TEXT, (embedding,)).fetchone() for _, embedding, _ in missing]
    writer.add(
        [row for row, _, _ in missing],
        [title for title, _, _ in texts],
        ["\n".join(json.loads(headings)) for _, headings, _ in texts],
        [text for _, _, text in texts],
        [language for _, _, language in missing],
    )


def is_current(database: apsw.Connection, folder: Path) -> bool:
    """Whether the lexical side is whole, and of this version's words."""
    return _before(database, folder) is not None


def stale_rows(database: apsw.Connection) -> int:
    """How many rows the lexical side has that it should not have, or lacks; 0 in a committed index."""
    return len(database.execute(_STALE).fetchall()) + len(database.execute(_MISSING).fetchall())


def _before(database: apsw.Connection, folder: Path) -> Path | None:
    """The folder to go on from; None if there is none, or it is not whole, or other words were made of the texts then."""
    row = database.execute("SELECT name FROM lexical").fetchone()
    if row is None or not is_lexical_folder(row[0]):
        return None
    before = folder / row[0]
    with suppress(OSError, ValueError, IndexCorrupt):
        held = Held(before, _listed(database, folder))
        try:
            # Its files go on into the next one.
            held.verify()
        finally:
            held.close()
        return before if lexical.Facts.read(before).version == lexical.VERSION else None
    return None


def _listed(database: apsw.Connection, folder: Path) -> list[Listed]:
    """The files of the folder that the database lists.

    :raises IndexCorrupt: if it lists other things.
    """
    row = database.execute("SELECT files FROM lexical").fetchone()
    try:
        found = [Listed(str(name), int(size), str(checksum)) for name, size, checksum in json.loads(row[0])] if row else []
    except (TypeError, ValueError, OverflowError) as error:
        raise damaged(folder, "the files of its words are not listed") from error
    if not all(lexical.is_lexical_file(file.name, locks=False) for file in found):
        raise damaged(folder, "it names a strange file")
    return found


def _synced(folder: Path, before: Path | None, listed: list[Listed]) -> list[Listed]:
    """What is in a finished folder; what was linked from the one before need not be read again."""
    known = {} if before is None else {file.name: file for file in listed}
    files = []
    for path in sorted(folder.iterdir()):
        if not lexical.is_lexical_file(path.name, locks=False):
            continue
        linked = before is not None and path.name in known and path.samefile(before / path.name)
        files.append(known[path.name] if linked else sync(path))
    sync_folder(folder)
    return files


def hold(database: apsw.Connection, folder: Path) -> HeldWords:
    """Take hold of the lexical side that the database lists.

    :raises IndexCorrupt: if it is not there as it should be.
    """
    row = database.execute("SELECT name FROM lexical").fetchone()
    if row is None or not is_lexical_folder(row[0]):
        raise damaged(folder, "it has no words")
    if (folder / row[0]).is_symlink():
        raise corrupt(folder / row[0], "is a link")
    return HeldWords(folder / row[0], _listed(database, folder))


class HeldWords:
    """The files of a lexical index, held open so that they stay whatever a writer removes; to be opened when first asked for.

    To hold them takes a hundredth of a millisecond a file; tantivy takes 6 to 25 ms to import, which a search takes
    in any mode (the one for meaning asks how rare words are), and nothing else.
    """

    def __init__(self, folder: Path, files: Sequence[Listed]) -> None:
        self._folder = folder
        self.held = Held(folder, files)

    def open(self) -> Lexical:
        """The index of the files, all of which were compared with their checksums.

        :raises IndexCorrupt: if it is not what was written.
        """
        self.held.verify()
        try:
            return Lexical.open(self._folder)
        except IndexCorrupt:
            # Tantivy opens names, and wants to write a lock beside them: these may be gone, and that may be forbidden.
            with tempfile.TemporaryDirectory(prefix="semsearch-") as elsewhere:
                for name, handle in self.held.handles.items():
                    _stand_in(Path(elsewhere) / name, handle)
                with suppress(IndexCorrupt):
                    return Lexical.open(Path(elsewhere))
            raise

    def close(self) -> None:
        """Let go of the files; an index that was opened stays open."""
        self.held.close()


def _stand_in(path: Path, handle: int) -> None:
    """Another name for an open file; small files, which are read and not mapped, are copied."""
    source = Path(f"/dev/fd/{handle}")
    if path.suffix != ".json" and source.exists():
        path.symlink_to(source)
        return
    with open(os.dup(handle), "rb") as held, path.open("wb") as copy:
        held.seek(0)
        shutil.copyfileobj(held, copy)
