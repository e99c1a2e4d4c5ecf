"""Writing a lexical index into a folder of its own.

Deliberately not here: transactions, and which rows there are: `store` knows.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from semsearch.lexical.analysis import VERSION, Analyzer
from semsearch.lexical.facts import FACTS, Facts, is_lexical_file
from semsearch.lexical.question import FIELDS
from semsearch.limits import memory

if TYPE_CHECKING:
    from tantivy import Schema

__all__ = ["LexicalWriter"]

_HEAP = 250_000
"""Bytes, for each megabyte of `limits.memory`, that tantivy may fill before it writes a segment."""
_MANAGED = ".managed.json"


class LexicalWriter:
    """A lexical index in the making; nothing counts before `commit`.

    :param folder: made if it is not there; must hold nothing but what `before` was.
    :param before: the folder of an index to go on from, which is left as it is: its files, which never change, are linked
        where the system can, else copied. None to begin with nothing.
    """

    def __init__(self, folder: Path, before: Path | None = None) -> None:
        import tantivy

        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        if before is None:
            self._index = tantivy.Index(_schema(), str(folder), reuse=False)
            facts = Facts(VERSION, {})
        else:
            _link(before, folder)
            self._index = tantivy.Index.open(str(folder))
            facts = Facts.read(folder)
        self._languages = Counter(facts.languages)
        self._deleted = facts.deleted
        # The terms are made here; they only have to be told apart again.
        self._index.register_tokenizer("terms", tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build())
        # One thread, so that the same passages give the same segments.
        self._writer = self._index.writer(heap_size=_HEAP * memory(), num_threads=1)
        self._analyzers: dict[str, Analyzer] = {}

    def add(
        self, rows: Sequence[int], titles: Sequence[str], headings: Sequence[str], texts: Sequence[str], languages: Sequence[str]
    ) -> None:
        """Add passages under rows that the index does not have.

        :param languages: of each passage, as `languages` gives them.
        """
        from tantivy import Document

        for row, title, heading, text, language in zip(rows, titles, headings, texts, languages, strict=True):
            analyzer = self._analyzers.get(language) or self._analyzers.setdefault(language, Analyzer(language))
            document = Document()
            document.add_unsigned("row", row)
            for field, part in zip(("title", "heading", "text"), (title, heading, text), strict=True):
                if terms := " ".join(analyzer.terms(part)):
                    # Tantivy leaves a gap between the parts of a field, which no phrase bridges.
                    document.add_text("whole", terms)
                    if field != "text":
                        document.add_text(field, terms)
            self._writer.add_document(document)
            self._languages[language] += 1

    def delete(self, rows: Iterable[int], languages: Iterable[str]) -> None:
        """Take rows out. Until the index is written anew they go on to weigh on how common words are held to be.

        :param languages: what each of the rows was added with.
        """
        from tantivy import Query

        gone = list(rows)
        for language in languages:
            self._languages[language] -= 1
        if gone:
            # Not by term, which tantivy-py 0.27 takes without a word and without an effect where the field is a number.
            self._writer.delete_documents_by_query(Query.term_set_query(self._index.schema, "row", gone))
        self._deleted += len(gone)

    def commit(self) -> None:
        """Finish; the folder then holds the index and nothing else. The files are not synced."""
        self._writer.commit()
        self._writer.wait_merging_threads()
        collector = self._index.writer(heap_size=15_000_000, num_threads=1)
        collector.garbage_collect_files()
        collector.wait_merging_threads()
        kept = {language: count for language, count in self._languages.items() if count > 0}
        Facts(VERSION, kept, self._deleted).write(self.folder)
        _share(self.folder)


def _schema() -> Schema:
    from tantivy import SchemaBuilder

    builder = SchemaBuilder()
    for field in FIELDS:
        builder.add_text_field(field, stored=False, tokenizer_name="terms", index_option="position")
    builder.add_unsigned_field("row", stored=False, indexed=True, fast=True)
    return builder.build()


def _share(folder: Path) -> None:
    """Whoever may read the one file that we wrote may read them all: tantivy keeps some for its user alone."""
    mode = (folder / FACTS).stat().st_mode
    for path in folder.iterdir():
        path.chmod(mode)


def _link(before: Path, folder: Path) -> None:
    """The same files in another folder; those that tantivy rewrites are copied.

    Its list of files that it may remove is not taken over but made anew: it removes whatever stands there.
    """
    names = []
    for path in before.iterdir():
        if not is_lexical_file(path.name, locks=False) or path.name == _MANAGED:
            continue
        names.append(path.name)
        if path.suffix != ".json":
            try:
                os.link(path, folder / path.name, follow_symlinks=False)
                continue
            except OSError:
                pass  # Another file system, or one without links.
        shutil.copyfile(path, folder / path.name)
    (folder / _MANAGED).write_text(json.dumps([name for name in names if name != FACTS]), encoding="utf-8")
