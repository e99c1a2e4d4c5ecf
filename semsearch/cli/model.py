"""``semsearch model``: a model tried on a sample of the articles beside the index's own.

Deliberately not here: everything that is measured (`probing`).
"""

from __future__ import annotations

from typing import get_args

import click

from semsearch.cli.output import index_option, json_option, progress_bar
from semsearch.records import Mode

__all__ = ["model"]


@click.command()
@click.argument("name", metavar="NAME_OR_PATH")
@index_option
@click.option(
    "--queries", metavar="FILE", help="Questions whose answers are compared, as semsearch diff takes them (default: the probes)."
)
@click.option("--probes", type=click.IntRange(1), default=300, show_default=True, metavar="N", help="How many, at most.")
@click.option("-k", default=10, show_default=True, type=click.IntRange(1, 10_000), help="How many hits are compared.")
@click.option(
    "--mode",
    type=click.Choice([mode for mode in get_args(Mode) if mode != "lexical"]),
    default="hybrid",
    show_default=True,
    help="How passages are ranked.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which articles and sentences are chosen.")
@json_option
def model(name: str, path: str, queries: str | None, probes: int, k: int, mode: Mode, seed: int, as_json: bool) -> None:
    """Try another model on a sample of your articles, before you commit to it.

    Encodes the sample with it, asks both models what semsearch bench asks, and says how well each answers, which answers would
    change, what it would cost, and how to switch. The index itself is only read.
    """
    from semsearch.probing import compare_model

    with progress_bar() as progress:
        found = compare_model(name, path, queries=queries, probes=probes, k=k, mode=mode, seed=seed, progress=progress)
    click.echo(found.to_json() if as_json else repr(found))
