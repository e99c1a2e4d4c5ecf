"""What users name of an index: files, folders above them, addresses, records.

Deliberately not here: what is done with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from semsearch.errors import InputError
from semsearch.records import is_address
from semsearch.store.tables import FileRow

__all__ = ["Named"]


class Named:
    """Finds what sources mean among the files of an index.

    :param real_path: the absolute path of one as it is stored.
    :param article_at: the articles of a file that are a record of it.
    :param has_records: whether a file has records at all.
    """

    def __init__(
        self,
        known: Iterable[FileRow],
        real_path: Callable[[str], Path],
        article_at: Callable[[int, str], list[int]],
        has_records: Callable[[int], bool],
    ) -> None:
        self._known = list(known)
        self._real_path = real_path
        self._article_at = article_at
        self._has_records = has_records

    def all_of(self, sources: Iterable[str], where: str) -> tuple[set[int], set[int]]:
        """The ids of files, all files below a folder, and those of articles that are records ``FILE#LINE``.

        :param where: the index, for who made a mistake.
        :raises InputError: if one of them is not in the index.
        """
        files: set[int] = set()
        records: set[int] = set()
        for source in sources:
            chosen = [file.id for file in self._files(source)]
            within = [] if chosen else self._records(source)
            if not chosen and not within:
                raise InputError(f"{source!r} is not in the index {where}: name it as it was indexed")
            files.update(chosen)
            records.update(within)
        return files, records

    def _files(self, source: str) -> list[FileRow]:
        """The files at or below a path; where there are none, those that were named so, wherever they lie."""
        if not source:
            return []
        if is_address(source):
            return self._fetched_from(source)
        given = os.path.abspath(os.path.expanduser(source))
        tops = {Path(given), Path(os.path.realpath(given))}
        known = [file for file in self._known if not file.is_address]
        found = [file for file in known if any(self._real_path(file.path).is_relative_to(top) for top in tops)]
        return found or self._called(Path(os.path.normpath(source)).as_posix(), known)

    def _called(self, name: str, known: Iterable[FileRow]) -> list[FileRow]:
        """The files of a name that is not there: one file, or those below one folder.

        :raises InputError: if several are called so.
        """
        found = [file for file in known if file.source == name or file.source.startswith(name + "/")]
        tops = {self._top(file, name) for file in found}
        if len(tops) > 1:
            named = ", ".join(sorted(map(str, tops))[:5])
            raise InputError(f"several are called {name!r}, and none is here: name one by its path: {named}")
        return found

    def _top(self, file: FileRow, name: str) -> Path:
        """The path of what a file was found below."""
        path = self._real_path(file.path)
        below = file.source.removeprefix(name).strip("/")
        return path.parents[below.count("/")] if below else path

    def _fetched_from(self, source: str) -> list[FileRow]:
        """The page or feed of an address, in whatever form it is written."""
        # Not at the top: it is asked for by few.
        from semsearch.articles.fetch import normal

        address = normal(source)
        found = [file for file in self._known if file.source in (source, address)]
        # A number behind it is that of an article of a feed, and does not stand for all of them.
        is_record = source.partition("#")[2].isdigit()
        return [file for file in found if not is_record or not self._has_records(file.id)]

    def _records(self, source: str) -> list[int]:
        base, _, line = source.rpartition("#")
        if not line.isdigit():
            return []
        return [article for file in self._files(base) for article in self._article_at(file.id, f"#{line}")]
