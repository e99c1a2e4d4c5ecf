"""What the commands share: options, notes on stderr, results and progress.

Deliberately not here: the commands.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

import click

from semsearch.errors import IndexMissing
from semsearch.limits import MEMORY, THREADS
from semsearch.records import Precision
from semsearch.redaction import redact

if TYPE_CHECKING:
    from semsearch.index import Index
    from semsearch.protocols import Progress
    from semsearch.records import BuildReport, Problem
    from semsearch.results import Results

__all__ = [
    "ENVIRONMENT",
    "VARIABLES",
    "build",
    "cluster_option",
    "complain",
    "index_option",
    "is_quiet",
    "json_option",
    "memory_option",
    "model_option",
    "note",
    "open_or_build",
    "precision_option",
    "print_json",
    "print_results",
    "progress_bar",
    "say",
    "target_recall_option",
    "tell",
    "threads_option",
]

DEFAULT_INDEX = "index"
DEFAULT_SOURCE = "seeds"
_SHOWN_PROBLEMS = 20

VARIABLES = {
    "SEMSEARCH_INDEX": "--index",
    "SEMSEARCH_MODEL": "--model of index and import",
    "SEMSEARCH_MODE": "--mode of ask",
    "SEMSEARCH_K": "-k of ask",
    "SEMSEARCH_FORMAT": "--format of ask",
    "SEMSEARCH_RERANK": "--rerank of ask",
    "SEMSEARCH_TARGET_RECALL": "--target-recall of index and import",
    "SEMSEARCH_PRECISION": "--precision of index and import",
    "SEMSEARCH_CLUSTER": "--cluster of index",
    "SEMSEARCH_MILVUS_TOKEN": "token, or user:password, of an index in Milvus; in Python, too",
    "SEMSEARCH_HOST": "--host of serve and mcp",
    "SEMSEARCH_TOKEN": "--token of serve and mcp",
    THREADS: "--threads; in Python, too",
    MEMORY: "--memory; in Python, too",
    "SEMSEARCH_CONFIG": "--config",
    "SEMSEARCH_CACHE": "folder of what is kept of models; in Python, too",
    "WATCHFILES_FORCE_POLLING": "true: --watch polls, as network drives need it",
}
"""Every variable that is listened to, and what it stands for."""
ENVIRONMENT = "Environment variables stand for options that are not given, and go before settings in a file:\n\n\b\n" + "\n".join(
    f"{name:<26}{meaning}" for name, meaning in VARIABLES.items()
)

index_option = click.option(
    "--index",
    "path",
    default=DEFAULT_INDEX,
    show_default=True,
    envvar="SEMSEARCH_INDEX",
    show_envvar=True,
    metavar="DIR",
    help="Index directory; or where an engine keeps it: milvus://HOST:PORT/COLLECTION, postgresql://HOST/DATABASE.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
model_option = click.option(
    "--model",
    envvar="SEMSEARCH_MODEL",
    show_envvar=True,
    metavar="NAME_OR_PATH",
    help="Bundled model, folder of a sentence-transformers model, or hub name.",
)
target_recall_option = click.option(
    "--target-recall",
    type=float,
    envvar="SEMSEARCH_TARGET_RECALL",
    show_envvar=True,
    metavar="SHARE",
    help="Of the nearest passages that a search of more than 50,000 finds (default 0.98); 1 for exact search.",
)
precision_option = click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    envvar="SEMSEARCH_PRECISION",
    show_envvar=True,
    help="How passages are encoded: int8 is faster, calibrated on some of them, and needs the extra int8 (default: float).",
)


def _noted(variable: str) -> Callable[[click.Context, click.Parameter, int | None], None]:
    """What is given bounds this process by its environment, where `limits` looks."""

    def keep(context: click.Context, parameter: click.Parameter, value: int | None) -> None:
        del context, parameter
        if value is not None:
            os.environ[variable] = str(value)

    return keep


threads_option = click.option(
    "--threads",
    type=click.IntRange(1),
    metavar="N",
    expose_value=False,
    envvar=THREADS,
    show_envvar=True,
    callback=_noted(THREADS),
    help="Compute with so many at most (default: all processors).",
)
memory_option = click.option(
    "--memory",
    type=click.IntRange(64),
    metavar="MB",
    expose_value=False,
    envvar=MEMORY,
    show_envvar=True,
    callback=_noted(MEMORY),
    help="Fill so many megabytes with what is under way, beside the model (default 256).",
)

cluster_option = click.option(
    "--cluster",
    envvar="SEMSEARCH_CLUSTER",
    show_envvar=True,
    metavar="ADDRESS",
    help="Encode on the workers of a Dask cluster, by its scheduler's address (tcp://HOST:PORT); needs the extra cluster.",
)


def note(message: str) -> None:
    """One line on stderr, free of what could steer the terminal; nothing where only errors are wanted."""
    if not is_quiet():
        complain(message)


def complain(message: str) -> None:
    """The same in any case: an error."""
    from semsearch.render import safe

    click.echo("semsearch: " + redact(safe(message)).replace("\n", " "), err=True)


def is_quiet() -> bool:
    """Whether only results and errors are wanted."""
    return not logging.getLogger("semsearch").isEnabledFor(logging.INFO)


def say(message: str) -> None:
    """One line on stdout, free of what could steer the terminal."""
    from semsearch.render import safe_line

    click.echo(safe_line(message))


def tell(report: BuildReport, *, known: Collection[Problem] = ()) -> None:
    """What a build did, and what it could not read, on stderr.

    :param known: problems that were told before.
    """
    problems = [problem for problem in report.problems if problem not in known]
    for problem in problems[:_SHOWN_PROBLEMS]:
        note(f"{problem.source}: {problem.reason}")
    if len(problems) > _SHOWN_PROBLEMS:
        note(f"... and {len(problems) - _SHOWN_PROBLEMS} more (--json lists all)")
    changes = [
        f"{count:,} {word}"
        for count, word in (
            (report.added, "added"),
            (report.changed, "changed"),
            (report.removed, "removed"),
            (report.unchanged, "unchanged"),
        )
        if count
    ]
    count = len(report.problems)
    trouble = f"; {count:,} problem{'s' if count > 1 else ''}" if count else ""
    note(f"files: {', '.join(changes)}; {report.encoded:,} passages encoded in {report.seconds:.1f} s{trouble}")


def build(sources: Sequence[str], path: str, **options: Any) -> Index:
    """`semsearch.build` with progress, whose report and problems are told on stderr."""
    from semsearch.index import build as build_index

    with progress_bar() as progress:
        built = build_index(sources, path, progress=progress, **options)
    if built.report is not None:
        tell(built.report)
    return built


def open_or_build(sources: Sequence[str], path: str) -> Index:
    """The index in a folder, made or refreshed from the sources if there are any; out of ./seeds where there is no index yet.

    :raises IndexMissing: if there is neither.
    """
    from semsearch.index import Index

    if sources:
        return build(sources, path)
    try:
        return Index.open(path)
    except IndexMissing:
        if not os.path.isdir(DEFAULT_SOURCE):
            raise
    note(f"no index in {path}: indexing {DEFAULT_SOURCE} first")
    return build([DEFAULT_SOURCE], path)


def print_json(value: Any) -> None:
    """A value as JSON on stdout."""
    from semsearch.render import safe_json

    click.echo(safe_json(json.dumps(value, ensure_ascii=False)))


def print_results(results: Results) -> None:
    """Hits on stdout: drawn on a terminal, plain text elsewhere."""
    if not sys.stdout.isatty():
        if results:
            click.echo(repr(results))
        return
    from rich.console import Console

    from semsearch.render import terminal

    terminal(results.hits, Console(highlight=False))


@contextmanager
def progress_bar() -> Iterator[Progress | None]:
    """A bar with rate and time left on a terminal, nothing in a pipe."""
    if not sys.stderr.isatty() or is_quiet():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<11}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    units = {"reading": "files", "searching": "queries"} | dict.fromkeys(("encoding", "exporting", "importing"), "passages")
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, unit=units.get(stage, ""), rate="")
            speed = next((task.speed for task in bars.tasks if task.id == tasks[stage]), None)
            bars.update(tasks[stage], completed=done, total=total, rate=f", {speed:,.0f}/s" if speed else "")

        yield tell
