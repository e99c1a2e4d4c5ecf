"""The index of a retriever, whatever the framework: found, opened, kept at its newest generation, asked.

Deliberately not here: anything of a framework.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, replace
from typing import Any

from semsearch import filters
from semsearch.arguments import check_k, check_mode
from semsearch.errors import InputError
from semsearch.filters import Filter, Where
from semsearch.index import ANSWERABLE, Index
from semsearch.newest import Newest
from semsearch.records import Mode
from semsearch.results import Results

__all__ = ["Asking", "PathLike", "Searcher", "path_of"]

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Asking:
    """How an index is asked: by the parameters of `Index.search`, and one more.

    :param answerable_only: whether only passages come back that are believed to answer, and none if the best one is not.
    """

    k: int
    mode: Mode
    where: Filter
    per_article: int | None
    fold: bool
    answerable_only: bool

    @classmethod
    def of(cls, k: int, mode: Mode, where: Where, per_article: int | None, *, fold: bool, answerable_only: bool) -> Asking:
        """From what was given.

        :raises InputError: if any of it cannot be used.
        """
        check_mode(mode)
        per_article = None if per_article is None else check_k(per_article, "per_article")
        return cls(check_k(k), mode, filters.parse(where), per_article, fold, answerable_only)


class Searcher:
    """An index that is asked by many, from any thread.

    A path is opened with the first question, and again in a process that was forked off; it is what pickles. An open index stays
    the caller's: nobody here closes it, and it goes on to another generation only if that was asked for.

    :param auto_refresh: whether questions are answered from the newest generation, which is looked for once a second at most.
        None: of a path they are, of an open index they are not.
    """

    def __init__(self, index: PathLike | Index, *, auto_refresh: bool | None = None) -> None:
        if not isinstance(index, str | os.PathLike | Index):
            raise InputError(f"the index is {index!r}: give the path of one, or what semsearch.open gave")
        self.given = index
        self.auto_refresh = auto_refresh
        self._follows = not isinstance(index, Index) if auto_refresh is None else auto_refresh
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._opened: tuple[Index, Newest] | None = None

    def search(self, query: str, asking: Asking) -> Results:
        """The passages that answer a question best, the best first.

        :raises SemsearchError: as `Index.open` and `Index.search` do.
        """
        index, newest = self._open()
        if self._follows:
            newest.keep()
        results = index.search(
            query, asking.k, mode=asking.mode, where=asking.where, per_article=asking.per_article, fold=asking.fold
        )
        if not asking.answerable_only:
            return results
        believed = (hit for hit in results if hit.confidence >= ANSWERABLE) if results.answerable else ()
        return replace(results, hits=tuple(believed))

    def _open(self) -> tuple[Index, Newest]:
        if self._process != os.getpid() and not isinstance(self.given, Index):
            # Another process's lock may be held for ever, and its index is refused here.
            self._begin()
        with self._lock:
            if self._opened is None:
                index = self.given if isinstance(self.given, Index) else Index.open(self.given)
                self._opened = (index, Newest(index))
            return self._opened

    def refresh(self) -> bool:
        """Go on to the newest generation; False if this is it.

        :raises SemsearchError: as `Index.refresh` does.
        """
        return self._open()[0].refresh()

    def close(self) -> None:
        """Close what was opened here; another question opens it again."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None and not isinstance(self.given, Index):
            opened[0].close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Its path, for another process.

        :raises InputError: if it is an open index.
        """
        return _unpickled, (path_of(self.given), self.auto_refresh)


def _unpickled(path: str, auto_refresh: bool | None) -> Searcher:
    return Searcher(path, auto_refresh=auto_refresh)


def path_of(index: PathLike | Index) -> str:
    """The path that a retriever can be stored and sent with.

    :raises InputError: if it was given an open index.
    """
    if isinstance(index, Index):
        raise InputError("a retriever of an open index cannot be stored or sent elsewhere: give it the path of the index instead")
    return os.fspath(index)
