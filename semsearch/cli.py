"""The command line: parse, call, print; nothing else.

Results go to stdout, progress and notes to stderr. Exit codes are grep's: 0 answered, 1 nothing relevant found, 2 usage or
a reported error, which is one line; 130 after Ctrl-C.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from semsearch._version import __version__
from semsearch.errors import IndexMissing, SemsearchError

if TYPE_CHECKING:
    from semsearch.index import Index
    from semsearch.protocols import Progress
    from semsearch.records import BuildReport, Mode
    from semsearch.results import Results

__all__ = ["main"]

DEFAULT_INDEX = "index"
DEFAULT_SOURCE = "seeds"
_SHOWN_PROBLEMS = 20

Command = TypeVar("Command", bound=Callable[..., Any])


class _Reporting(click.Group):
    """Turns our errors into one line on stderr and exit code 2."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            _fail(error.format_message())

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            command = f" {ctx.invoked_subcommand}" if ctx.invoked_subcommand else ""
            _fail(f"{error.format_message().rstrip('.')}: see semsearch{command} --help")
        except SemsearchError as error:
            _fail(str(error))
        except KeyboardInterrupt:
            note("interrupted: the index is as it was")
            sys.exit(130)
        except BrokenPipeError:
            # The reader has gone (head); nothing is left to say.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except OSError as error:
            _fail(
                f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}: check the disk and its permissions"
            )
        except MemoryError:
            _fail("out of memory: index fewer or smaller files at a time")


def _fail(message: str) -> NoReturn:
    note(message)
    sys.exit(2)


def note(message: str) -> None:
    """One line on stderr, free of what could steer the terminal."""
    from semsearch.render import safe

    click.echo("semsearch: " + safe(message).replace("\n", " "), err=True)


index_option = click.option("--index", "path", default=DEFAULT_INDEX, show_default=True, metavar="DIR", help="Index directory.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
model_option = click.option(
    "--model", metavar="NAME_OR_PATH", help="Bundled model, folder of a sentence-transformers model, or hub name."
)


@click.group(cls=_Reporting, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="semsearch")
def main() -> None:
    """Ask your own articles: ranked passages that answer a question, each with its place."""
    logger = logging.getLogger("semsearch")
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        logger.addHandler(_NoteHandler())


class _NoteHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


@main.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@index_option
@model_option
@click.option("--fresh", is_flag=True, help="Forget what the index held and build it anew.")
@json_option
def index(sources: Sequence[str], path: str, model: str | None, fresh: bool, as_json: bool) -> None:
    """Index articles, or refresh an index: files, folders or patterns.

    Reads .txt, .md, .html and .jsonl. Only what is new is encoded; files gone from a folder named are dropped.
    """
    with _build(sources, path, model, fresh) as built:
        report = built.report
        assert report is not None
        if as_json:
            _print_json(asdict(report))
        else:
            click.echo(f"{path}: {report.articles:,} articles, {report.passages:,} passages")


@main.command()
@click.argument("question")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@index_option
@click.option("-k", default=5, show_default=True, type=click.IntRange(1, 10_000), help="How many passages.")
@click.option("--mode", type=click.Choice(["dense"]), default="dense", show_default=True, help="How passages are ranked.")
@json_option
def ask(question: str, sources: Sequence[str], path: str, k: int, mode: Mode, as_json: bool) -> None:
    """Answer a question with the passages that fit it best.

    With SOURCE, the index is made or refreshed from it first. Without one, and without an index, ./seeds is indexed.
    """
    from semsearch.index import check_query

    check_query(question)
    with _open_or_build(sources, path) as opened:
        results = opened.search(question, k, mode=mode)
    if as_json:
        click.echo(results.to_json())
    else:
        _print(results)
    if not results.answerable:
        if not as_json:
            note("nothing relevant found" + (": the passages above are the nearest" if results else ""))
        sys.exit(1)


@main.command()
@index_option
@json_option
def status(path: str, as_json: bool) -> None:
    """Say what is in an index."""
    from semsearch.index import Index

    with Index.open(path) as opened:
        facts = opened.status()
    if as_json:
        _print_json(facts)
    else:
        for key, value in facts.items():
            click.echo(f"{key:<12} {value:,}" if isinstance(value, int) else f"{key:<12} {value}")


@main.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@index_option
@json_option
def remove(sources: Sequence[str], path: str, as_json: bool) -> None:
    """Take files, folders or records (FILE#LINE) out of an index. The files themselves are left alone."""
    from semsearch.index import remove as remove_sources

    removed = remove_sources(sources, path)
    click.echo(json.dumps({"removed": removed}) if as_json else f"{path}: removed {removed:,}")


def _open_or_build(sources: Sequence[str], path: str) -> Index:
    from semsearch.index import Index

    if sources:
        return _build(sources, path)
    try:
        return Index.open(path)
    except IndexMissing:
        if not os.path.isdir(DEFAULT_SOURCE):
            raise
    note(f"no index in {path}: indexing {DEFAULT_SOURCE} first")
    return _build([DEFAULT_SOURCE], path)


def _build(sources: Sequence[str], path: str, model: str | None = None, fresh: bool = False) -> Index:
    """Build with progress, and say on stderr what was done and what could not be read."""
    from semsearch.index import build

    with _progress() as progress:
        built = build(sources, path, model=model, fresh=fresh, progress=progress)
    if built.report is not None:
        _tell(built.report)
    return built


def _tell(report: BuildReport) -> None:
    for problem in report.problems[:_SHOWN_PROBLEMS]:
        note(f"{problem.source}: {problem.reason}")
    if len(report.problems) > _SHOWN_PROBLEMS:
        note(f"... and {len(report.problems) - _SHOWN_PROBLEMS} more (--json lists all)")
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


def _print_json(value: Any) -> None:
    from semsearch.render import safe_json

    click.echo(safe_json(json.dumps(value, ensure_ascii=False)))


def _print(results: Results) -> None:
    if not sys.stdout.isatty():
        if results:
            click.echo(repr(results))
        return
    from rich.console import Console

    from semsearch.render import terminal

    terminal(results.hits, Console(highlight=False))


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """A bar with rate and time left on a terminal, nothing in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    units = {"reading": "files", "encoding": "passages"}
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, unit=units.get(stage, ""), rate="")
            speed = next((task.speed for task in bars.tasks if task.id == tasks[stage]), None)
            bars.update(tasks[stage], completed=done, total=total, rate=f", {speed:,.0f}/s" if speed else "")

        yield tell
