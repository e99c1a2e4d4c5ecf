"""An index that follows its articles: made once, and refreshed whenever their files change.

What changes is only told by watchfiles, to know when to look; a refresh reads the sources as any build does, so that nothing
hangs on what was told, how often, or in which order. Each folder is watched by itself: hidden ones, folders that hold an index
and those that only a link leads to are not, so that what a refresh writes never makes another one. After what cannot be done now
(a locked index, a model that is away) it is tried again, later and later, and what is there meanwhile stays as it was.

Deliberately not here: reading and encoding (`builder`), and serving what is new, which whoever has the index open does by itself.
"""

from __future__ import annotations

import glob
import logging
import os
import stat
import threading
import time
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from semsearch import articles
from semsearch.errors import EngineError, InputError, MissingExtra, ModelMismatch, SemsearchError
from semsearch.index import Index
from semsearch.protocols import Encoder, Progress
from semsearch.records import Precision, Problem, Refresh, is_address

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["check_installed", "watch"]

logger = logging.getLogger("semsearch")

_LONGEST = 2000
"""Milliseconds for which changes are gathered, at most; they are taken once nothing changed for ``_QUIET``."""
_QUIET = 250
_TICK = 500
"""Milliseconds after which it is looked whether the folders are still the same."""
_AGAIN = (2.0, 5.0, 15.0, 60.0)
"""Seconds after which what failed is tried again: the first time, the second, and so on."""


def check_installed() -> None:
    """Tell now that `watch` could not.

    :raises MissingExtra: if watchfiles is not installed.
    """
    _watchfiles()


def watch(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    path: str | os.PathLike[str] = "index",
    *,
    model: str | None = None,
    fresh: bool = False,
    compact: bool | None = None,
    target_recall: float | None = None,
    precision: Precision | None = None,
    columns: Mapping[str, str] | None = None,
    passage_tokens: int | None = None,
    progress: Progress | None = None,
    encoder: Encoder | None = None,
    cluster: str | None = None,
    stop: threading.Event | None = None,
) -> Iterator[Refresh]:
    """Make or refresh an index, and then refresh it whenever a file of its sources changes, until the caller stops.

    The first value tells of the first build; then one comes for each refresh that changed something, and for each new reason
    why one failed. The model stays loaded. A source that is gone is left out, and what was indexed of it stays, until it is back.
    A page or feed is fetched by the first build alone.

    Where the system does not tell of changes, as on network drives, ``WATCHFILES_FORCE_POLLING=true`` in the environment has
    the folders looked through again and again.

    All other parameters are those of `build`.

    :param stop: ends it when it is set; so does leaving the loop.
    :raises MissingExtra: if watchfiles is not installed.
    :raises SemsearchError: as `build` does, if the first build fails.
    """
    watchfiles = _watchfiles()
    named = [os.fspath(source) for source in ([sources] if isinstance(sources, str | os.PathLike) else sources)]
    options = {
        "compact": compact,
        "target_recall": target_recall,
        "precision": precision,
        "columns": columns,
        "passage_tokens": passage_tokens,
        "progress": progress,
        "cluster": cluster,
    }
    follower = _Follower(named, os.fspath(path), options, encoder)
    return follower.run(watchfiles, {"model": model, "fresh": fresh}, stop)


def _watchfiles() -> ModuleType:
    try:
        import watchfiles
    except ImportError as error:
        raise MissingExtra('watching needs watchfiles: python -m pip install "semsearch[watch]"') from error
    return watchfiles


class _Follower:
    """Refreshes an index for as long as it is asked for the next value of `run`."""

    def __init__(self, sources: Sequence[str], path: str, options: dict[str, Any], encoder: Encoder | None) -> None:
        self._sources = sources
        self._watched = [source for source in sources if not is_address(source)]
        self._path = path
        self._options = options
        self._given = encoder is not None
        self._encoder = encoder
        self._gone: list[str] = []
        self._failures = 0
        self._due = 0.0
        self._told = ""
        self._problems: set[Problem] = set()

    def run(self, watchfiles: ModuleType, first: dict[str, Any], stop: threading.Event | None) -> Iterator[Refresh]:
        """See `watch`.

        :param first: options of the first build alone.
        """
        begun = polls = blind = False
        while not (stop and stop.is_set()):
            places = _Places.of(self._watched)
            try:
                # It listens before anything is read: what changes meanwhile is told afterwards.
                ticks = _ticks(watchfiles, places, stop, polls=polls)
                next(ticks, None)
            except (OSError, RuntimeError) as error:
                # A folder that has just gone, or more folders than the system tells of.
                if polls and not isinstance(error, FileNotFoundError):
                    failed = EngineError(f"the folders cannot be watched ({error}): see WATCHFILES_FORCE_POLLING")
                    if not begun:
                        raise failed from error
                    # A link to itself among the articles, for instance. It must not end the watch.
                    if not blind:
                        yield self._failed(failed)
                    blind = True
                    time.sleep(_AGAIN[0])
                    yield from self._refreshed()
                    continue
                if not isinstance(error, FileNotFoundError):
                    logger.warning(
                        "the system does not tell of changes (%s): the folders are looked through again and again", error
                    )
                    polls = True
                time.sleep(_TICK / 1000)
                continue
            blind = False
            with closing(ticks):
                if begun:
                    yield from self._refreshed()
                else:
                    yield self._begun(first)
                    begun = True
                if places != _Places.of(self._watched):
                    # A folder that came before it listened is not told of.
                    continue
                for changed in ticks:
                    if places.moved(changed):
                        break
                    if any(map(places.matter, changed)) or (self._failures and time.monotonic() >= self._due):
                        yield from self._refreshed()

    def _begun(self, first: dict[str, Any]) -> Refresh:
        with Index.build(self._sources, self._path, encoder=self._encoder, **first, **self._options) as built:
            return self._report(built)

    def _report(self, built: Index) -> Refresh:
        self._encoder = built.encoder or self._encoder
        assert built.report is not None
        self._problems = set(built.report.problems)
        self._failures, self._told = 0, ""
        return Refresh(built.report, None, built.generation)

    def _refreshed(self) -> Iterator[Refresh]:
        """Refresh, and what there is to tell of it."""
        there = [source for source in self._watched if _is_there(source)]
        gone = [source for source in self._watched if source not in there]
        for source in gone:
            if source not in self._gone:
                yield self._failed(InputError(f"{source} is gone: what was indexed of it stays until it is back"))
        self._gone = gone
        if not there:
            return
        before = self._problems
        try:
            with self._built(there) as built:
                refresh = self._report(built)
        except SemsearchError as error:
            wait = _AGAIN[min(self._failures, len(_AGAIN) - 1)]
            self._failures += 1
            self._due = time.monotonic() + wait
            # The same reason again is nothing new.
            if str(error) != self._told:
                self._told = str(error)
                yield self._failed(error)
            return
        report = refresh.report
        assert report is not None
        if report.added or report.changed or report.removed or self._problems - before:
            yield refresh

    def _built(self, sources: Sequence[str]) -> Index:
        """The refreshed index, of the model that it has by now.

        :raises SemsearchError: whatever went wrong.
        """
        try:
            try:
                return Index.build(sources, self._path, encoder=self._encoder, **self._options)
            except ModelMismatch:
                if self._given or self._encoder is None:
                    raise
                # Somebody made the index anew with another model: it is loaded, in place of this one.
                self._encoder = None
                return Index.build(sources, self._path, **self._options)
        except SemsearchError:
            raise
        except Exception as error:
            logger.debug("a refresh failed", exc_info=True)
            reason = (str(error).splitlines() or [""])[0]
            raise EngineError(f"the refresh failed ({type(error).__name__}: {reason[:200]}): it is tried again") from error

    def _failed(self, error: SemsearchError) -> Refresh:
        return Refresh(None, error, 0)


def _ticks(watchfiles: ModuleType, places: _Places, stop: threading.Event | None, *, polls: bool) -> Generator[set[str]]:
    """Yield sets of changed paths; an empty set at intervals and when the watch starts.

    End if the folders can no longer be watched, so that the caller looks for them again.

    :raises OSError: if the folders cannot be watched.
    :raises RuntimeError: for the same reason.
    """
    folders = places.folders()
    if not folders:
        while not (stop and stop.is_set()):
            yield set()
            time.sleep(_TICK / 1000)
        return
    listening = False
    try:
        for changes in watchfiles.watch(
            *folders,
            watch_filter=None,
            debounce=_LONGEST,
            step=_QUIET,
            stop_event=stop,
            rust_timeout=_TICK,
            yield_on_timeout=True,
            force_polling=True if polls else None,
            recursive=False,
            ignore_permission_denied=True,
        ):
            listening = True
            # Of a folder that is polled it is also told that something in it changed, which is told by itself.
            modified = watchfiles.Change.modified
            yield {path for kind, path in changes if kind != modified or path not in places.deep}
    except (OSError, RuntimeError) as error:
        if not listening:
            raise
        # A folder that is polled was replaced by a link to itself.
        logger.debug("the folders are watched again (%s)", error)
        time.sleep(_TICK / 1000)


def _is_there(source: str) -> bool:
    if os.path.lexists(os.path.expanduser(source)):
        return True
    try:
        return glob.has_magic(source) and bool(articles.find([source]))
    except InputError:
        return False


class _Places(NamedTuple):
    """Where to look for changes: absolute paths without links.

    ``tops`` are the sources, each with what tells it from another one of its name, None where it is not there; ``deep`` all
    folders in which articles are looked for, ``shallow`` those of files that were named by themselves, ``files`` these.
    ``patterns`` says that files of any name may be meant.
    """

    tops: dict[str, tuple[int, int] | None]
    deep: frozenset[str]
    shallow: frozenset[str]
    files: frozenset[str]
    patterns: bool

    @classmethod
    def of(cls, sources: Sequence[str]) -> _Places:
        """As it is now."""
        tops: dict[str, tuple[int, int] | None] = {}
        deep: set[str] = set()
        shallow: set[str] = set()
        files: set[str] = set()
        patterns = False
        for source in map(os.path.expanduser, sources):
            top = os.path.realpath(source)
            within = [top]
            if not os.path.lexists(source) and glob.has_magic(source):
                patterns = True
                parts = Path(source).parts
                named = tuple(takewhile(lambda part: not glob.has_magic(part), parts))
                top = os.path.realpath(os.path.join(*named, ""))
                within = [top]
                if len(parts) == len(named) + 1:
                    # Only the folders that it matches are searched, and no link that leads out of the top folder is followed.
                    matches = map(os.path.realpath, glob.glob(source))
                    within = [match for match in matches if Path(match).is_relative_to(top)]
                deep.add(top)
            elif not os.path.isdir(top):
                files.add(top)
                shallow.add(os.path.split(top)[0])
            tops[top] = _identity(top)
            for folder in within:
                deep.update(articles.folders_below(folder))
        return cls(tops, frozenset(deep), frozenset(shallow - deep), frozenset(files), patterns)

    def folders(self) -> list[str]:
        """What is watched, folder by folder."""
        return sorted(folder for folder in self.deep | self.shallow if os.path.isdir(folder))

    def moved(self, changed: Collection[str]) -> bool:
        """Whether there are other folders to watch than before."""
        if any(_identity(top) != before for top, before in self.tops.items()):
            return True
        # A folder that came in the place of another of its name is a new one.
        return any(path in self.deep or (os.path.isdir(path) and self._inside(path)) for path in changed)

    def matter(self, path: str) -> bool:
        """Whether a refresh may find something new where a path changed."""
        if path in self.files:
            return True
        return self._inside(path) and (self.patterns or Path(path).suffix.lower() in articles.SUFFIXES)

    def _inside(self, path: str) -> bool:
        folder, name = os.path.split(path)
        return folder in self.deep and not name.startswith(".")


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    # Files are replaced whenever they are saved: what matters is told by their folder.
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else (0, 0)
