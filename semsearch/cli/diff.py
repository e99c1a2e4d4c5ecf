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
    metavar="FILE",
    help="Questions: one a line, or lines of id, tab, question, or BEIR's queries.jsonl. Not where A is a file of answers.",
)
@click.option("-k", type=click.IntRange(1, 10_000), metavar="N", help="How many hits are compared (default: 10, or as in A).")
@click.option("--mode", type=click.Choice(get_args(Mode)), help="How passages are ranked (default: hybrid, or as in A).")
@click.option(
    "--save",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Write the answers of B, to be given as A another time.",
)
@click.option(
    "--fail-if",
    "expressions",
    multiple=True,
    metavar="EXPR",
    help="Exit with 1 if it holds: 'changed > 0.05', 'lost > 0', 'rbo < 0.9'; repeatable. Names are those of the table.",
)
@json_option
def diff(
    a: str,
    b: str,
    queries: str | None,
    k: int | None,
    mode: Mode | None,
    save: str | None,
    expressions: Sequence[str],
    as_json: bool,
) -> None:
    """Say which answers changed between two indexes, A before and B after, and what can be the reason.

    The reason is the content (passages that are not in the other, or were changed), the model, the settings, or the version. A
    may be a file that --save wrote before an upgrade of semsearch. Indexes are only read.
    """
    from semsearch.evaluation import parse_threshold
    from semsearch.probing import diff as compare
    from semsearch.probing import difference_name

    for expression in expressions:
        parse_threshold(expression, difference_name)
    with progress_bar() as progress:
        found = compare(a, b, queries, k=k, mode=mode, save=save, progress=progress)
    click.echo(found.to_json() if as_json else repr(found))
    failed = found.failures(expressions)
    for failure in failed:
        note(f"--fail-if: {failure}")
    if failed:
        sys.exit(1)
