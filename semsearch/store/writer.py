"""Writing an index: one transaction makes one generation."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import numpy as np

from semsearch import lexical
from semsearch.errors import IndexCorrupt, IndexLocked, InputError
from semsearch.locks import file_lock
from semsearch.protocols import Fingerprint
from semsearch.records import Article, Passage, Problem, Sentence, is_address
from semsearch.store import exporting, migration, segments, words
from semsearch.store.database import (
    APPLICATION_ID,
    check_schema,
    connect_to_read,
    connect_to_write,
    names_listed,
    one,
    read_meta,
    translated,
)
from semsearch.store.files import (
    DAMAGED,
    DATABASE,
    LOCK,
    PENDING,
    is_ours,
    remove_database,
    rename_database,
    sweep,
    sync_folder,
    writing,
)
from semsearch.store.naming import Named
from semsearch.store.pending import Kept, Pending, pending_network, pending_segments, pending_texts
from semsearch.store.schema import FORMAT, SCHEMA
from semsearch.store.segments import Codes
from semsearch.store.tables import FileRow, Spans, file_rows, fingerprint_of, network_of, sentence_bytes, sentence_spans
from semsearch.vectors import Vectors

if TYPE_CHECKING:
    from semsearch.protocols import Matrix

__all__ = ["Writer"]

_TABLES = (
    "passages", "articles", "files", "embeddings", "segments", "lexical", "lexical_rows", "canaries", "network", "meta",
)  # fmt: skip
"""All, in an order in which they can be emptied."""


class Writer:
    """The one writer of an index: a transaction that becomes the next generation by `commit`, or nothing by `close`.

    :param fresh: forget all that the index held; it may be damaged.
    :raises IndexLocked: if another process is writing.
    :raises IndexCorrupt: if the index is damaged, and not ``fresh``.
    :raises InputError: if the folder holds other things than an index, or cannot be written.
    """

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self.folder = folder
        self._pending: Pending | None = None
        _prepare(folder, fresh)
        # Where articles lie below it, index and articles can move together.
        self._base = folder.resolve().parent
        from filelock import Timeout

        try:
            with writing(folder):
                self._lock = file_lock(folder / LOCK, timeout=0)
                self._lock.acquire()
        except Timeout as error:
            raise IndexLocked(f"another process is writing to {folder}: try again when it is done") from error
        try:
            with writing(folder):
                self._settle()
            self._replaced = False
            try:
                self._database = self._begin(fresh)
            except IndexCorrupt:
                if not fresh:
                    raise
                # What cannot be read cannot be emptied either. It is put aside with its files until there is another.
                with writing(folder):
                    rename_database(folder, DATABASE, DAMAGED)
                self._replaced = True
                self._database = self._begin(fresh)
        except BaseException:
            self._lock.release()
            raise

    def _settle(self) -> None:
        """Put back a damaged database that a process was killed over before it had replaced it."""
        if (self.folder / DAMAGED).exists():
            try:
                with translated(self.folder), closing(connect_to_read(self.folder)) as database:
                    replaced = bool(read_meta(database, self.folder))
            except (IndexCorrupt, InputError):
                replaced = False
            if replaced:
                remove_database(self.folder, DAMAGED)
            else:
                remove_database(self.folder, DATABASE)
                rename_database(self.folder, DAMAGED, DATABASE)

    def _begin(self, fresh: bool) -> apsw.Connection:
        with translated(self.folder):
            self._database = connect_to_write(self.folder)
        try:
            with translated(self.folder):
                migration.reserve(self._database, self.folder)
                self._database.execute("BEGIN IMMEDIATE")
                self.meta = read_meta(self._database, self.folder)
                # What is new, of an earlier format or forgotten is committed even where nothing is added.
                self._must_commit = fresh or self.meta.get("format") != str(FORMAT)
                if not self.meta:
                    self._database.execute(SCHEMA)
                    self._database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                elif int(self.meta["format"]) < FORMAT:
                    # What it lists is not swept away before this is committed.
                    migration.run(self._database, int(self.meta["format"]))
                else:
                    self._sweep()
                if fresh:
                    self._forget()
                self._must_commit |= not words.is_current(self._database, self.folder)
                self._follow_articles()
                self._changes = self._database.total_changes()
        except BaseException:
            self._give_up()
            raise
        return self._database

    def _forget(self) -> None:
        for table in _TABLES:
            self._database.execute(f"DELETE FROM {table}")
        self.meta = {"generation": self.meta.get("generation", "0")}

    def _follow_articles(self) -> None:
        """Correct the relative paths of an index that was moved or copied without its articles."""
        base = Path(self.meta.get("base", self._base))
        rows = self._database.execute("SELECT id, path FROM files").fetchall() if base != self._base else []
        rows = [(row, path) for row, path in rows if not is_address(path)]
        there = {row: Path(os.path.normpath(base / path)) for row, path in rows}
        found_here = sum(os.path.isfile(self.real_path(path)) for _, path in rows)
        if rows and str(base) != str(self._base):
            self._must_commit = True
        if sum(map(os.path.isfile, there.values())) > found_here:
            # First out of the way: one file's old path may be another's new one.
            self._database.executemany("UPDATE files SET path = id WHERE id = ?", [(row,) for row, _ in rows])
            corrected = [(self.stored_path(path), row) for row, path in there.items()]
            self._database.executemany("UPDATE files SET path = ? WHERE id = ?", corrected)

    @property
    def fingerprint(self) -> Fingerprint | None:
        """The model's, None for an index that is new."""
        return fingerprint_of(self.meta, self.folder) if "fingerprint" in self.meta else None

    def files(self) -> dict[str, FileRow]:
        """All known files by their stored path."""
        with translated(self.folder):
            return {file.path: file for file in file_rows(self._database)}

    def stored_path(self, path: Path) -> str:
        """A path as it is kept: relative to the folder around the index where it lies below it, so that both can move."""
        return path.relative_to(self._base).as_posix() if path.is_relative_to(self._base) else str(path)

    def real_path(self, stored: str) -> Path:
        """The absolute path of what `stored_path` gave."""
        return Path(os.path.normpath(self._base / stored))

    def imported_path(self, exported: str) -> str:
        """The path, as it is kept, of a file that another index had: where that is relative, below the folder around this one."""
        return exported

    def add_file(self, path: str, source: str, sha256: bytes, columns: Mapping[str, str] | None = None) -> int:
        """A new file's id.

        :param path: from `stored_path`, or an address.
        :param columns: by what they are, that were named for it.
        """
        with translated(self.folder):
            self._database.execute(
                "INSERT INTO files (path, source, sha256, problems, columns) VALUES (?, ?, ?, '[]', ?)",
                (path, source, sha256, json.dumps(dict(columns or {}))),
            )
            return int(self._database.last_insert_rowid())

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
            self._database.execute(
                "INSERT INTO articles (file, record, title, metadata) VALUES (?, ?, ?, ?)",
                (file, record, article.title, json.dumps(dict(article.metadata), ensure_ascii=False)),
            )
            number = self._database.last_insert_rowid()
            self._database.executemany(
                "INSERT INTO passages"
                " (article, text, headings, paragraph, line, start, stop, sentences, embedding, language, page)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        number,
                        passage.text,
                        json.dumps(passage.headings, ensure_ascii=False),
                        passage.paragraph,
                        passage.line,
                        passage.start,
                        passage.end,
                        sentence_bytes(Spans(passage.sentences, passage.sentence_spans)),
                        embedding,
                        language,
                        passage.page,
                    )
                    for (passage, embedding), language in zip(given, languages, strict=True)
                ),
            )

    def has_articles(self, file: int, *, records: bool = False) -> bool:
        """Whether anything of a file is in the index.

        :param records: whether any of it is one of the file's many articles.
        """
        numbered = " AND record != ''" if records else ""
        with translated(self.folder):
            return bool(one(self._database, f"SELECT EXISTS (SELECT 1 FROM articles WHERE file = ?{numbered})", (file,)))

    def remove_files(self, files: Iterable[int]) -> None:
        """Forget files with their articles and passages."""
        ids = [(file,) for file in files]
        with translated(self.folder):
            self._database.executemany("DELETE FROM passages WHERE article IN (SELECT id FROM articles WHERE file = ?)", ids)
            self._database.executemany("DELETE FROM articles WHERE file = ?", ids)
            self._database.executemany("DELETE FROM files WHERE id = ?", ids)

    def _article_at(self, file: int, record: str) -> list[int]:
        with translated(self.folder):
            found = self._database.execute("SELECT id FROM articles WHERE file = ? AND record = ?", (file, record))
            return [article for (article,) in found]

    def _has_records(self, file: int) -> bool:
        return self.has_articles(file, records=True)

    def remove_sources(self, sources: Iterable[str]) -> int:
        """Forget files, all files below a folder, or records ``FILE#LINE``; how many files and records there were.

        :raises InputError: if one of them is not in the index.
        """
        named = Named(self.files().values(), self.real_path, self._article_at, self._has_records)
        files, records = named.all_of(sources, str(self.folder))
        with translated(self.folder):
            # A record of a file that goes as a whole is not counted twice.
            records -= {
                row[0] for file in files for row in self._database.execute("SELECT id FROM articles WHERE file = ?", (file,))
            }
            self._remove_articles(records)
        self.remove_files(files)
        return len(files) + len(records)

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

    def has_vector(self, embedding: bytes) -> bool:
        """Whether a text, by its hash, has a vector."""
        with translated(self.folder):
            return bool(one(self._database, "SELECT 1 FROM embeddings WHERE hash = ?", (embedding,)))

    def passage_texts(self, hashes: Sequence[bytes]) -> Iterator[tuple[str, tuple[str, ...], str, tuple[Sentence, ...]]]:
        """Title, headings, text and sentences of one passage for each hash, in the order of the hashes."""
        with translated(self.folder):
            for embedding in hashes:
                title, headings, text, sentences = self._database.execute(
                    "SELECT a.title, p.headings, p.text, p.sentences FROM passages p JOIN articles a ON a.id = p.article"
                    " WHERE p.embedding = ? LIMIT 1",
                    (embedding,),
                ).fetchone()
                yield title, tuple(json.loads(headings)), text, sentence_spans(sentences)[0]

    @property
    def keeps_networks(self) -> bool:
        """Whether a network in 8 bits can go with the index."""
        return True

    def network(self) -> bytes:
        """The network in 8 bits that the committed index has; empty where there is none."""
        return network_of(self.folder)

    def set_network(self, network: bytes) -> None:
        """Keep the network in 8 bits that encodes passages: `tables.network_of`."""
        with translated(self.folder):
            self._database.execute("DELETE FROM network")
            self._database.execute("INSERT INTO network VALUES (?)", (network,))

    def unfinished_network(self, fingerprint: Fingerprint, kind: str) -> bytes | None:
        """The network in 8 bits that an interrupted build of this model has calibrated; None where there is none."""
        vectors, network = pending_network(self.folder)
        with_it = replace(fingerprint, quantized=hashlib.sha256(network).hexdigest())
        return network if network and vectors == _vectors(with_it, kind) else None

    def go_on(self, fingerprint: Fingerprint, kind: str, network: bytes = b"") -> None:
        """Take over what an interrupted build has encoded, and keep what this one encodes until it is committed.

        :param kind: what the vectors depend on beside the model.
        :param network: in 8 bits, where this build has calibrated one.
        """
        self._pending = Pending(self.folder, _vectors(fingerprint, kind), fingerprint.dimension, network)
        wanted = set(self.unencoded())
        known = self._segment_names()
        for name, (files, hashes) in self._pending.segments().items():
            chosen = [embedding if embedding in wanted else None for embedding in hashes]
            if name not in known and any(chosen):
                with translated(self.folder):
                    segments.enlist(self._database, name, files, chosen)
                wanted.difference_update(hashes)

    def kept(self, hashes: Sequence[bytes]) -> dict[bytes, Kept]:
        """What an interrupted build has left of those of the texts that it encoded."""
        return self._pending.known(hashes) if self._pending else {}

    def keep(self, hashes: Sequence[bytes], vectors: Matrix, codes: Codes) -> None:
        """Keep what was encoded of some texts, should this build be interrupted; it is not part of the index."""
        if self._pending:
            self._pending.keep(hashes, vectors, codes)

    def add_vectors(self, hashes: Sequence[bytes], vectors: Matrix, codes: Codes) -> None:
        """A new segment: the vectors of the texts with these hashes, as `vectors.segment_files` takes them."""
        name, files = segments.write_segment(self.folder, vectors, codes)
        with translated(self.folder):
            segments.enlist(self._database, name, files, hashes)
        if self._pending:
            self._pending.add_segment(name, files, hashes)

    def n_rows(self) -> int:
        """How many rows the segments have, those among them that are no longer wanted."""
        with translated(self.folder):
            return int(one(self._database, "SELECT coalesce(sum(n_rows), 0) FROM segments"))

    @contextmanager
    def vectors(self, dimension: int) -> Iterator[Vectors]:
        """What would be searched if this were committed, all rows multiplied."""
        with translated(self.folder):
            held = segments.hold(self._database, self.folder)
            try:
                yield Vectors([segment.open(self._database, dimension) for segment in held], dimension)
            finally:
                for segment in held:
                    segment.close()

    def snippets(self, n: int, length: int) -> list[str]:
        """So many words in a row out of some texts, from all over the index; the same for the same texts."""
        found = []
        with translated(self.folder):
            first, last = self._database.execute("SELECT min(row), max(row) FROM embeddings").fetchone()
            for row in np.linspace(first, last, n).astype(int).tolist():
                (text,) = self._database.execute(
                    "SELECT p.text FROM embeddings e JOIN passages p ON p.embedding = e.hash"
                    " WHERE e.row >= ? ORDER BY e.row LIMIT 1",
                    (row,),
                ).fetchone()
                said = text.split()
                start = row % max(1, len(said) - length + 1)
                found.append(" ".join(said[start : start + length]))
        return found

    def canaries(self) -> list[str]:
        """The texts whose vectors are kept to know the model by."""
        with translated(self.folder):
            return [text for (text,) in self._database.execute("SELECT text FROM canaries")]

    def set_canaries(self, texts: Sequence[str], vectors: Matrix) -> None:
        """Keep the vectors that the model gives some texts as questions: float32 (n, d)."""
        with translated(self.folder):
            self._database.execute("DELETE FROM canaries")
            rows = ((text, np.asarray(vector, "<f4").tobytes()) for text, vector in zip(texts, vectors, strict=True))
            self._database.executemany("INSERT INTO canaries VALUES (?, ?)", rows)

    def contents(self) -> Iterator[exporting.StoredArticle]:
        """All articles with their passages, each of which has a vector, in the order in which they were added."""
        with translated(self.folder):
            yield from exporting.stored_articles(self._database)

    def must_commit(self) -> None:
        """Make a generation even where nothing seems to have changed: what is not wanted is dropped by it."""
        self._must_commit = True

    def forget_spent(self) -> None:
        """Remove what an interrupted build has left, if all that it encoded is in the index by now."""
        with translated(self.folder):
            known = {embedding for (embedding,) in self._database.execute("SELECT hash FROM embeddings")}
        if pending_texts(self.folder) <= known:
            with writing(self.folder):
                remove_database(self.folder, PENDING)

    def forget_segments(self, names: Iterable[str]) -> None:
        """Give up segments, and vectors that are in none; their texts are to be encoded again."""
        with translated(self.folder):
            for name in names:
                inside = self._database.execute(
                    "SELECT first_row, first_row + n_rows FROM segments WHERE name = ?", (name,)
                ).fetchone()
                if inside is not None:
                    self._database.execute("DELETE FROM embeddings WHERE row >= ? AND row < ?", inside)
                    self._database.execute("DELETE FROM segments WHERE name = ?", (name,))
            self._database.execute(
                "DELETE FROM embeddings WHERE NOT EXISTS"
                " (SELECT 1 FROM segments WHERE row >= first_row AND row < first_row + n_rows)"
            )

    def forget_words(self) -> None:
        """Give up the lexical side; it is written anew."""
        with translated(self.folder):
            self._database.execute("DELETE FROM lexical")
            self._database.execute("DELETE FROM lexical_rows")

    def commit(
        self,
        fingerprint: Fingerprint,
        version: str,
        facts: Mapping[str, str] | None = None,
        measure: Callable[[], Mapping[str, str]] | None = None,
    ) -> int:
        """Make what was written the index, and return the number of its generation; the old segments go.

        Where nothing was written, the generation stays.

        :param version: of semsearch, for the record.
        :param facts: other facts to keep with the index.
        :param measure: gives more of them, asked when the vectors are those that are committed, if anything is.
        """
        noted = {**(facts or {}), "fingerprint": json.dumps(asdict(fingerprint))}
        generation = int(self.meta.get("generation", 0))
        changed = self._database.total_changes() != self._changes or any(
            self.meta.get(key) != value for key, value in noted.items()
        )
        with translated(self.folder):
            if changed or self._must_commit:
                generation += 1
                segments.drop_unused(self._database, self.folder, fingerprint.dimension)
                noted |= {"generation": str(generation), "version": version, **(measure() if measure else {})}
                self._commit(noted)
            else:
                self._database.execute("ROLLBACK")
            if self._pending:
                self._pending.remove()
                self._pending = None
            self._sweep()
            self._tidy()
        return generation

    def _commit(self, facts: Mapping[str, str]) -> None:
        words.refresh(self._database, self.folder)
        noted = {**facts, "format": str(FORMAT), "base": str(self._base)}
        self._database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", noted.items())
        check_schema(self._database, self.folder)
        with writing(self.folder):
            sync_folder(self.folder)
        self._database.execute("COMMIT")
        if self._replaced:
            with writing(self.folder):
                remove_database(self.folder, DAMAGED)
            self._replaced = False

    def _segment_names(self) -> set[str]:
        with translated(self.folder):
            return {name for (name,) in self._database.execute("SELECT name FROM segments")}

    def _sweep(self) -> None:
        """Remove what the database does not list: files of unfinished or of old generations."""
        if self._replaced:
            # What the one put aside lists cannot be told.
            return
        sweep(self.folder, names_listed(self._database) | pending_segments(self.folder))

    def _tidy(self) -> None:
        """Bring the log into the database, if no reader is in the way: the log has what was committed, and is as large."""
        # It is there whether this succeeds or not.
        with suppress(apsw.Error):
            self._database.set_busy_timeout(0)
            self._database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def close(self) -> None:
        """Give up what was not committed, but for what was encoded, and let others write."""
        try:
            self._give_up()
        finally:
            self._lock.release()

    def _give_up(self) -> None:
        # Asked of the database, not remembered: an interrupt may come just behind the commit. What fails here only
        # leaves files for the next writer to sweep away.
        try:
            if self._pending:
                self._pending.close()
            with suppress(apsw.Error, OSError):
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                if one(self._database, "SELECT count(*) FROM sqlite_master"):
                    self._sweep()
                else:
                    self._unmake()
        finally:
            self._database.close()

    def _unmake(self) -> None:
        """Leave nothing of an index that was never committed, but for what was encoded."""
        self._database.close()
        if not self._replaced:
            sweep(self.folder, pending_segments(self.folder))
        remove_database(self.folder, DATABASE)
        if self._replaced:
            rename_database(self.folder, DAMAGED, DATABASE)
            self._replaced = False


def _vectors(fingerprint: Fingerprint, kind: str) -> str:
    """What vectors depend on, as it is kept with those of an unfinished build."""
    return json.dumps({**asdict(fingerprint), "model": "", "kind": kind, "format": FORMAT}, sort_keys=True)


def _prepare(folder: Path, fresh: bool) -> None:
    """Make the folder if need be; refuse one that is something else, and write nothing into it."""
    try:
        str(folder.resolve()).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the name {os.fsencode(folder)!r} is not UTF-8: give another folder with --index") from error
    except ValueError as error:
        raise InputError(f"{str(folder)!r} is no name of a folder: give another with --index") from error
    try:
        with writing(folder):
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                sync_folder(folder.resolve().parent)
            others = [path.name for path in folder.iterdir() if not _may_lie_in_index(path.name)]
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{folder} is a file: give a folder for the index") from error
    if (folder / DATABASE).exists() and not (folder / DAMAGED).exists():
        try:
            with translated(folder), closing(connect_to_read(folder)) as database:
                read_meta(database, folder)
        except IndexCorrupt:
            if not fresh:
                raise
    elif others and not (folder / DAMAGED).exists():
        raise InputError(f"{folder} is not an index and not empty ({min(others)}): give another folder with --index")


def _may_lie_in_index(name: str) -> bool:
    """Whether an index may be made beside a file of this name: it is the index's own, or tells of it."""
    return is_ours(name) or name in (".gitignore", ".gitkeep") or name.lower().startswith("readme")
