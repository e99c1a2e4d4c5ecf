"""``semsearch index --watch``: what is told of an index that follows its articles, and how it ends.

Deliberately not here: when and how it is refreshed (`watching`).
"""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from semsearch.cli.output import note, print_json, progress_bar, say, tell

if TYPE_CHECKING:
    from semsearch.protocols import Progress
    from semsearch.records import Problem, Refresh

__all__ = ["follow"]


def follow(sources: Sequence[str], path: str, *, as_json: bool, **options: Any) -> None:
    """Make or refresh an index, and refresh it again and again, until Ctrl-C or SIGTERM.

    :raises KeyboardInterrupt: if that comes before it was made.
    """
    from semsearch.watching import check_installed, watch

    check_installed()
    bars: list[Progress] = []

    def progress(stage: str, done: int, total: int) -> None:
        for bar in bars:
            bar(stage, done, total)

    with _terminating():
        refreshes = watch(sources, path, progress=progress, **options)
        with progress_bar() as bar:
            bars += [bar] if bar else []
            first = next(refreshes)
            # What comes later comes while nobody looks.
            bars.clear()
        try:
            _tell(first, as_json=as_json)
            if not as_json and first.report is not None:
                say(f"{path}: {first.report.articles:,} articles, {first.report.passages:,} passages")
            note(f"watching {', '.join(sources)} (stop with Ctrl-C)")
            known = set(first.report.problems if first.report else ())
            for refresh in refreshes:
                _tell(refresh, as_json=as_json, known=known)
                known = set(refresh.report.problems) if refresh.report else known
        except KeyboardInterrupt:
            note("no longer watching: the index is as the last refresh left it")


def _tell(refresh: Refresh, *, as_json: bool, known: Collection[Problem] = ()) -> None:
    """One line of what was done, one of each problem that is new."""
    report, error = refresh.report, refresh.error
    if report is None:
        note(str(error))
        if as_json:
            print_json({"error": str(error)})
        return
    tell(report, known=known)
    if as_json:
        print_json({"generation": refresh.generation, **asdict(report)})


@contextmanager
def _terminating() -> Iterator[None]:
    """SIGTERM is taken as Ctrl-C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
