"""``semsearch diff``: which answers of two indexes differ, to stdout; an exit code to decide from.

Deliberately not here: everything that is compared (`probing`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import get_args

import click

from semsearch.cli.output import json_option, note, progress_bar
from semsearch.records import Mode

__all__ = ["diff"]


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option(
    "--queries",
    required=True,
    metavar="FILE",
    help="Questions: one a line, or lines of id, tab, question, or BEIR's queries.jsonl.",
)
@click.option("-k", default=10, show_default=True, type=click.IntRange(1, 10_000), help="How many hits are compared.")
@click.option(
    "--mode", type=click.Choice(get_args(Mode)), default=get_args(Mode)[0], show_default=True, help="How passages are ranked."
)
@click.option(
    "--fail-if",
    "expressions",
    multiple=True,
    metavar="EXPR",
    help="Exit with 1 if it holds: 'changed > 0.05', 'lost > 0', 'rbo < 0.9'; repeatable. Names are those of the table.",
)
@json_option
def diff(a: str, b: str, queries: str, k: int, mode: Mode, expressions: Sequence[str], as_json: bool) -> None:
    """Say which answers changed between two indexes, A before and B after, and what can be the reason.

    The reason is the content (passages that are not in the other, or were changed), the model, the settings, or the version. Both
    indexes are only read.
    """
    from semsearch.evaluation import parse_threshold
    from semsearch.probing import diff as compare
    from semsearch.probing import difference_name

    for expression in expressions:
        parse_threshold(expression, difference_name)
    with progress_bar() as progress:
        found = compare(a, b, queries, k=k, mode=mode, progress=progress)
    click.echo(found.to_json() if as_json else repr(found))
    failed = found.failures(expressions)
    for failure in failed:
        note(f"--fail-if: {failure}")
    if failed:
        sys.exit(1)
