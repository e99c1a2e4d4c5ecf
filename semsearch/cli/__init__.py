"""The command line: parse, call, print; nothing else.

Results go to stdout, progress and notes to stderr. Exit codes are grep's: 0 answered, 1 nothing relevant found (``eval``: a
``--fail-if`` holds; ``check``: damage), 2 usage or a reported error, which is one line; 130 after Ctrl-C.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from semsearch._version import __version__
from semsearch.cli.ask import ask
from semsearch.cli.bench import bench
from semsearch.cli.check import check
from semsearch.cli.contents import remove, status
from semsearch.cli.diff import diff
from semsearch.cli.eval import evaluate
from semsearch.cli.exchange import export, import_
from semsearch.cli.index import index
from semsearch.cli.model import model
from semsearch.cli.output import ENVIRONMENT, complain, note
from semsearch.cli.plot import plot
from semsearch.cli.serve import mcp, serve
from semsearch.cli.settings import CONFIG, settings_of, shown
from semsearch.errors import SemsearchError

__all__ = ["main"]

_HELP = "semsearch.help"


class _Reporting(click.Group):
    """Turns our errors into one line on stderr and exit code 2."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Who asks for help gets it, whatever a file of settings says.
        ctx.meta[_HELP] = any(name in args for name in ctx.help_option_names)
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
            complain("interrupted: the index is as it was; what was encoded is kept for the next run")
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
    complain(message)
    sys.exit(2)


@click.group(
    cls=_Reporting,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=ENVIRONMENT,
)
@click.version_option(__version__, prog_name="semsearch")
@click.option("-v", "--verbose", is_flag=True, help="Say on stderr what is decided, and how long it takes.")
@click.option("-q", "--quiet", is_flag=True, help="Only results and errors: no notes, no progress.")
@click.option(
    "--config",
    envvar=CONFIG,
    show_envvar=True,
    metavar="FILE",
    help="Take settings from this file (default: the nearest semsearch.toml, or pyproject.toml with [tool.semsearch]).",
)
@click.option("--no-config", is_flag=True, help="Take settings from no file.")
@click.pass_context
def main(context: click.Context, verbose: bool, quiet: bool, config: str | None, no_config: bool) -> None:
    """Ask your own articles: ranked passages that answer a question, each with its place."""
    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet are two: leave one out")
    logger = logging.getLogger("semsearch")
    logger.setLevel(logging.DEBUG if verbose else logging.ERROR if quiet else logging.INFO)
    if not any(isinstance(handler, _NoteHandler) for handler in logger.handlers):
        logger.addHandler(_NoteHandler())
    if no_config:
        if context.get_parameter_source("config") is ParameterSource.COMMANDLINE:
            raise click.UsageError("--config and --no-config are two: leave one out")
    elif not context.meta.get(_HELP):
        context.default_map, found = settings_of(main, config)
        if found and not config and any(context.default_map.values()):
            note(f"settings from {shown(found)}")


for command in (ask, bench, check, diff, evaluate, export, import_, index, mcp, model, plot, remove, serve, status):
    main.add_command(command)


class _NoteHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.levelno >= logging.ERROR:
            complain(message)
        elif record.levelno > logging.DEBUG:
            note(message)
        else:
            # Since logging began, which is when the command did.
            note(f"{record.relativeCreated / 1000:.3f} s: {message}")
