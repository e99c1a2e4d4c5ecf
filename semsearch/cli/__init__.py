"""The command line: parse, call, print; nothing else.

Results go to stdout, progress and notes to stderr. Exit codes are grep's: 0 answered, 1 nothing relevant found (``eval``: a
``--fail-if`` holds; ``check``: damage), 2 usage or a reported error, which is one line; 130 after Ctrl-C.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn, get_args

import click

from semsearch._version import __version__
from semsearch.cli.ask import ask
from semsearch.cli.bench import bench
from semsearch.cli.check import check
from semsearch.cli.diff import diff
from semsearch.cli.eval import evaluate
from semsearch.cli.model import model
from semsearch.cli.output import build, index_option, json_option, model_option, note, print_json, say
from semsearch.cli.serve import mcp, serve
from semsearch.cutting import LEAST_TOKENS
from semsearch.errors import SemsearchError
from semsearch.limits import MEMORY, THREADS
from semsearch.records import Precision

__all__ = ["main"]


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
            note("interrupted: the index is as it was; what was encoded is kept for the next run")
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


@click.group(cls=_Reporting, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="semsearch")
def main() -> None:
    """Ask your own articles: ranked passages that answer a question, each with its place."""
    logger = logging.getLogger("semsearch")
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        logger.addHandler(_NoteHandler())


main.add_command(ask)
main.add_command(bench)
main.add_command(check)
main.add_command(diff)
main.add_command(evaluate)
main.add_command(mcp)
main.add_command(model)
main.add_command(serve)


class _NoteHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


@main.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@index_option
@model_option
@click.option("--fresh", is_flag=True, help="Forget what the index held and build it anew.")
@click.option("--compact", is_flag=True, default=None, help="Less than half the disk: without codes of words; ranks less well.")
@click.option(
    "--target-recall",
    type=float,
    metavar="SHARE",
    help="Of the nearest passages that a search of more than 50,000 finds (default 0.98); 1 for exact search.",
)
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    help="How passages are encoded: int8 is faster, calibrated on some of them, and needs the extra int8 (default: float).",
)
@click.option(
    "--passage-tokens",
    type=click.IntRange(LEAST_TOKENS),
    metavar="N",
    help="Tokens of one passage at most (default: what the model takes); longer paragraphs are split at sentence ends.",
)
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Compute with so many at most (default: all processors).")
@click.option(
    "--memory",
    type=click.IntRange(64),
    metavar="MB",
    help="Fill so many megabytes with what is under way, beside the model (default 256).",
)
@json_option
def index(
    sources: Sequence[str],
    path: str,
    model: str | None,
    fresh: bool,
    compact: bool | None,
    target_recall: float | None,
    precision: Precision | None,
    passage_tokens: int | None,
    threads: int | None,
    memory: int | None,
    as_json: bool,
) -> None:
    """Index articles, or refresh an index: files, folders or patterns.

    Reads .txt, .md, .html and .jsonl. Only what is new is encoded; files gone from a folder named are dropped.
    """
    if threads:
        os.environ[THREADS] = str(threads)
    if memory:
        os.environ[MEMORY] = str(memory)
    with build(
        sources,
        path,
        model=model,
        fresh=fresh,
        compact=compact,
        target_recall=target_recall,
        precision=precision,
        passage_tokens=passage_tokens,
    ) as built:
        report = built.report
        assert report is not None
        if as_json:
            print_json(asdict(report))
        else:
            say(f"{path}: {report.articles:,} articles, {report.passages:,} passages")


@main.command()
@index_option
@json_option
def status(path: str, as_json: bool) -> None:
    """Say what is in an index."""
    from semsearch.index import Index
    from semsearch.store import Reader

    # Whatever became of its model.
    with Index(Reader(Path(path))) as opened:
        facts = opened.status()
    if as_json:
        print_json(facts)
    else:
        for key, value in facts.items():
            say(f"{key:<12} {_shown(value)}")


def _shown(value: Any) -> str:
    """A fact as a line of ``status`` has it."""
    if value is None:
        return "what the model takes"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(what if name == "kind" else f"{name.replace('_', ' ')} {_shown(what)}" for name, what in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)


@main.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@index_option
@json_option
def remove(sources: Sequence[str], path: str, as_json: bool) -> None:
    """Take files, folders or records (FILE#LINE) out of an index. The files themselves are left alone."""
    from semsearch.index import remove as remove_sources

    removed = remove_sources(sources, path)
    say(json.dumps({"removed": removed}) if as_json else f"{path}: removed {removed:,}")
