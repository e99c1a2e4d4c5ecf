"""Writing an index: one transaction makes one generation."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semsearch import lexical
from semsearch.errors import IndexLocked, InputError
from semsearch.protocols import Fingerprint, PassageText
from semsearch.records import Article, Passage, Problem, Sentence
from semsearch.store import segments, words
from semsearch.store.database import (
    APPLICATION_ID,
    FORMAT,
    FROM_1,
    SCHEMA,
    connect_to_read,
    connect_to_write,
    one,
    read_meta,
    translated,
)
from semsearch.store.files import DATABASE, LOCK, is_ours, sweep, sync_folder, writing

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

__all__ = ["FileRow", "Writer", "embedding_hash"]


class FileRow(NamedTuple):
    """A file that was indexed: ``path`` as stored, ``source`` as the user knows it, ``sha256`` of its bytes."""

    id: int
    path: str
    source: str
    sha256: bytes
    problems: list[Problem]


def embedding_hash(text: PassageText) -> bytes:
    """What a vector is known by: everything that the encoder is given."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (text.context, text.text, np.asarray(text.sentences, np.int32).tobytes()):
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()


class Writer:
    """The one writer of an index: a transaction that becomes the next generation by `commit`, or nothing by `close`.

    :param fresh: forget all that the index held.
    :raises IndexLocked: if another process is writing.
    :raises InputError: if the folder holds other things than an index, or cannot be written.
    """

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self.folder = folder
        # Where articles lie below it, index and articles can move together.
        self._base = folder.resolve().parent
        _prepare(folder)
        from filelock import FileLock, Timeout

        self._lock = FileLock(folder / LOCK, timeout=0)
        try:
            with writing(folder):
                self._lock.acquire()
        except Timeout as error:
            raise IndexLocked(f"another process is writing to {folder}: try again when it is done") from error
        try:
            with translated(folder):
                self._database = connect_to_write(folder)
        except BaseException:
            self._lock.release()
            raise
        try:
            with translated(folder):
                self._begin(fresh)
        except BaseException:
            self.close()
            raise

    def _begin(self, fresh: bool) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        self.meta = read_meta(self._database, self.folder)
        if not self.meta:
            for statement in SCHEMA.split(";"):
                self._database.execute(statement)
            self._database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        elif int(self.meta["format"]) < FORMAT:
            for statement in FROM_1.split(";"):
                self._database.execute(statement)
            words.add_languages(self._database)
        self._sweep()
        if fresh:
            for table in ("passages", "articles", "files", "embeddings", "segments", "lexical", "lexical_rows", "meta"):
                self._database.execute(f"DELETE FROM {table}")
            self.meta = {"generation": self.meta.get("generation", "0")}
        self._follow_articles()

    def _follow_articles(self) -> None:
        """Correct the relative paths of an index that was moved or copied without its articles."""
        base = Path(self.meta.get("base", self._base))
        rows = self._database.execute("SELECT id, path FROM files").fetchall() if base != self._base else []
        there = {row: Path(os.path.normpath(base / path)) for row, path in rows}
        found_here = sum(os.path.isfile(self.real_path(path)) for _, path in rows)
        if sum(map(os.path.isfile, there.values())) > found_here:
            # First out of the way: one file's old path may be another's new one.
            self._database.execute("UPDATE files SET path = id")
            corrected = [(self.stored_path(path), row) for row, path in there.items()]
            self._database.executemany("UPDATE files SET path = ? WHERE id = ?", corrected)

    @property
    def fingerprint(self) -> Fingerprint | None:
        """The model's, None for an index that is new."""
        stored = self.meta.get("fingerprint")
        return Fingerprint(**json.loads(stored)) if stored else None

    def files(self) -> dict[str, FileRow]:
        """All known files by their stored path."""
        with translated(self.folder):
            rows = self._database.execute("SELECT id, path, source, sha256, problems FROM files")
            return {
                path: FileRow(number, path, source, digest, [Problem(*problem) for problem in json.loads(problems)])
                for number, path, source, digest, problems in rows
            }

    def stored_path(self, path: Path) -> str:
        """A path as it is kept: relative to the folder around the index where it lies below it, so that both can move."""
        return path.relative_to(self._base).as_posix() if path.is_relative_to(self._base) else str(path)

    def real_path(self, stored: str) -> Path:
        """The absolute path of what `stored_path` gave."""
        return Path(os.path.normpath(self._base / stored))

    def add_file(self, path: str, source: str, sha256: bytes) -> int:
        """A new file's id.

        :param path: from `stored_path`.
        """
        with translated(self.folder):
            cursor = self._database.execute(
                "INSERT INTO files (path, source, sha256, problems) VALUES (?, ?, ?, '[]')", (path, source, sha256)
            )
        return int(cursor.lastrowid or 0)

    def set_problems(self, file: int, problems: Iterable[Problem]) -> None:
        """What was wrong with a file, to be told again while it is unchanged."""
        reasons = json.dumps([[problem.source, problem.reason] for problem in problems])
        with translated(self.folder):
            self._database.execute("UPDATE files SET problems = ? WHERE id = ?", (reasons, file))

    def relabel(self, file: int, source: str) -> None:
        """The user names a file otherwise than before."""
        with translated(self.folder):
            self._database.execute("UPDATE files SET source = ? WHERE id = ?", (source, file))

    def add_article(self, file: int, record: str, article: Article, passages: Iterable[tuple[Passage, bytes]]) -> None:
        """An article with its passages, each with the hash of what the encoder is given.

        :param record: what follows the file's name in the article's source: "" or ``#LINE``.
        """
        given = list(passages)
        texts = [passage.text for passage, _ in given]
        languages = lexical.languages(article.title, texts, article.metadata.get("language"))
        with translated(self.folder):
            cursor = self._database.execute(
                "INSERT INTO articles (file, record, title, metadata) VALUES (?, ?, ?, ?)",
                (file, record, article.title, json.dumps(dict(article.metadata), ensure_ascii=False)),
            )
            self._database.executemany(
                "INSERT INTO passages (article, text, headings, paragraph, line, start, stop, sentences, embedding, language)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        cursor.lastrowid,
                        passage.text,
                        json.dumps(passage.headings, ensure_ascii=False),
                        passage.paragraph,
                        passage.line,
                        passage.start,
                        passage.end,
                        np.asarray(
                            [(*inner, *outer) for inner, outer in zip(passage.sentences, passage.sentence_spans, strict=True)],
                            "<i4",
                        ).tobytes(),
                        embedding,
                        language,
                    )
                    for (passage, embedding), language in zip(given, languages, strict=True)
                ),
            )

    def remove_files(self, files: Iterable[int]) -> None:
        """Forget files with their articles and passages."""
        ids = [(file,) for file in files]
        with translated(self.folder):
            self._database.executemany("DELETE FROM passages WHERE article IN (SELECT id FROM articles WHERE file = ?)", ids)
            self._database.executemany("DELETE FROM articles WHERE file = ?", ids)
            self._database.executemany("DELETE FROM files WHERE id = ?", ids)

    def remove_sources(self, sources: Iterable[str]) -> int:
        """Forget files, all files below a folder, or records ``FILE#LINE``; how many files and records there were.

        :raises InputError: if one of them is not in the index.
        """
        known = list(self.files().values())
        files: set[int] = set()
        records: set[int] = set()
        for source in sources:
            chosen = [file.id for file in self._named(source, known)]
            within = [] if chosen else self._records(source, known)
            if not chosen and not within:
                raise InputError(f"{source!r} is not in the index {self.folder}: name it as it was indexed")
            files.update(chosen)
            records.update(within)
        with translated(self.folder):
            # A record of a file that goes as a whole is not counted twice.
            records -= {
                row[0] for file in files for row in self._database.execute("SELECT id FROM articles WHERE file = ?", (file,))
            }
            self._remove_articles(records)
        self.remove_files(files)
        return len(files) + len(records)

    def _named(self, source: str, known: Iterable[FileRow]) -> list[FileRow]:
        """The files at or below a path; where there are none, those that were named so, wherever they lie."""
        if not source:
            return []
        given = os.path.abspath(os.path.expanduser(source))
        tops = {Path(given), Path(os.path.realpath(given))}
        found = [file for file in known if any(self.real_path(file.path).is_relative_to(top) for top in tops)]
        name = Path(os.path.normpath(source)).as_posix()
        return found or [file for file in known if file.source == name or file.source.startswith(name + "/")]

    def _records(self, source: str, known: Iterable[FileRow]) -> list[int]:
        base, _, line = source.rpartition("#")
        if not line.isdigit():
            return []
        with translated(self.folder):
            found = [
                self._database.execute("SELECT id FROM articles WHERE file = ? AND record = ?", (file.id, f"#{line}")).fetchall()
                for file in self._named(base, known)
            ]
        return [article for rows in found for (article,) in rows]

    def _remove_articles(self, articles: Iterable[int]) -> None:
        ids = [(article,) for article in articles]
        self._database.executemany("DELETE FROM passages WHERE article = ?", ids)
        self._database.executemany("DELETE FROM articles WHERE id = ?", ids)

    def unencoded(self) -> list[bytes]:
        """Hashes of the texts that have no vector yet, each once, in the order in which they were added."""
        with translated(self.folder):
            cursor = self._database.execute(
                "SELECT embedding FROM passages WHERE embedding NOT IN (SELECT hash FROM embeddings)"
                " GROUP BY embedding ORDER BY min(id)"
            )
            return [row[0] for row in cursor]

    def passage_texts(self, hashes: Sequence[bytes]) -> Iterator[tuple[str, tuple[str, ...], str, tuple[Sentence, ...]]]:
        """Title, headings, text and sentences of one passage for each hash, in the order of the hashes."""
        with translated(self.folder):
            for embedding in hashes:
                title, headings, text, sentences = self._database.execute(
                    "SELECT a.title, p.headings, p.text, p.sentences FROM passages p JOIN articles a ON a.id = p.article"
                    " WHERE p.embedding = ? LIMIT 1",
                    (embedding,),
                ).fetchone()
                spans = np.frombuffer(sentences, "<i4").reshape(-1, 4)[:, :2].tolist()
                yield title, tuple(json.loads(headings)), text, tuple(Sentence(*span) for span in spans)

    def add_vectors(
        self,
        hashes: Sequence[bytes],
        vectors: Matrix,
        tokens: Sequence[NDArray[np.uint8]],
        sentences: Sequence[NDArray[np.int32]],
    ) -> None:
        """A new segment: the vectors of the texts with these hashes, as `vectors.write_segment` takes them."""
        with translated(self.folder):
            segments.add(self._database, self.folder, hashes, vectors, tokens, sentences)

    def commit(self, fingerprint: Fingerprint, version: str, facts: Mapping[str, str] | None = None) -> int:
        """Make what was written the index, and return the number of its generation; the old segments go.

        :param version: of semsearch, for the record.
        :param facts: other facts to keep with the index.
        """
        with translated(self.folder):
            segments.drop_unused(self._database, self.folder, fingerprint.dimension)
            words.refresh(self._database, self.folder)
            generation = int(self.meta.get("generation", 0)) + 1
            facts = {
                **(facts or {}),
                "format": str(FORMAT),
                "generation": str(generation),
                "fingerprint": json.dumps(asdict(fingerprint)),
                "version": version,
                "base": str(self._base),
            }
            self._database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", facts.items())
            with writing(self.folder):
                sync_folder(self.folder)
            self._database.execute("COMMIT")
            self._sweep()
        return generation

    def _sweep(self) -> None:
        """Remove what the database does not list: files of unfinished or of old generations."""
        names = self._database.execute("SELECT name FROM segments UNION SELECT name FROM lexical")
        sweep(self.folder, {name for (name,) in names})

    def close(self) -> None:
        """Give up what was not committed, and let others write."""
        try:
            # Asked of the database, not remembered: an interrupt may come just behind the commit. What fails here only
            # leaves files for the next writer to sweep away.
            with suppress(sqlite3.Error, OSError):
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                if one(self._database, "SELECT count(*) FROM sqlite_master"):
                    self._sweep()
                else:
                    self._unmake()
        finally:
            self._database.close()
            self._lock.release()

    def _unmake(self) -> None:
        """Leave nothing of an index that was never committed."""
        self._database.close()
        sweep(self.folder, set())
        for suffix in ("-wal", "-shm", ""):
            (self.folder / f"{DATABASE}{suffix}").unlink(missing_ok=True)


def _prepare(folder: Path) -> None:
    """Make the folder if need be; refuse one that is something else, and write nothing into it."""
    try:
        str(folder.resolve()).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the name {os.fsencode(folder)!r} is not UTF-8: give another folder with --index") from error
    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            others = [path.name for path in folder.iterdir() if not _may_lie_in_index(path.name)]
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{folder} is a file: give a folder for the index") from error
    if (folder / DATABASE).exists():
        with translated(folder), closing(connect_to_read(folder)) as database:
            read_meta(database, folder)
    elif others:
        raise InputError(f"{folder} is not an index and not empty ({min(others)}): give another folder with --index")


def _may_lie_in_index(name: str) -> bool:
    """Whether an index may be made beside a file of this name: it is the index's own, or tells of it."""
    return is_ours(name) or name in (".gitignore", ".gitkeep") or name.lower().startswith("readme")
