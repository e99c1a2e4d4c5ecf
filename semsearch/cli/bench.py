"""``semsearch bench``: which way to search does best on these articles; figures to stdout, probes to a file where asked for.

Deliberately not here: everything that is measured (`probing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import click

from semsearch.cli.output import index_option, json_option, note, progress_bar
from semsearch.cutting import LEAST_TOKENS
from semsearch.records import Mode

__all__ = ["bench"]


@click.command()
@index_option
@click.option(
    "--mode",
    "modes",
    multiple=True,
    type=click.Choice(get_args(Mode)),
    help="How passages are ranked; repeatable (default: all, or the first where models or passage sizes are compared).",
)
@click.option(
    "--model", "models", multiple=True, metavar="NAME_OR_PATH", help="Compare the index's model with this one; repeatable."
)
@click.option(
    "--passage-tokens",
    multiple=True,
    type=click.IntRange(LEAST_TOKENS),
    metavar="N",
    help="Compare the index's passages with ones of N tokens at most; repeatable.",
)
@click.option("--probes", type=click.IntRange(1), default=300, show_default=True, metavar="N", help="How many, at most.")
@click.option("--probes-out", metavar="FILE", type=click.Path(dir_okay=False), help="Write the probes as JSON lines, to look at.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which articles and sentences are chosen.")
@json_option
def bench(
    path: str,
    modes: Sequence[str],
    models: Sequence[str],
    passage_tokens: Sequence[int],
    probes: int,
    probes_out: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Measure on your own articles, without judgments, which mode, model and passage size does best.

    Titles, headings and sentences of the articles are the questions; their words are taken out of what is searched, and what
    stood below or beside them is the answer. For models and passage sizes a sample of the articles is encoded anew. The index
    itself is only read.
    """
    from semsearch.outputs import check_writable, write
    from semsearch.probing import bench as measure

    if probes_out is not None:
        check_writable(probes_out)
    with progress_bar() as progress:
        found = measure(
            path,
            probes=probes,
            modes=modes or None,
            models=models,
            passage_tokens=passage_tokens,
            seed=seed,
            progress=progress,
        )
    click.echo(found.to_json() if as_json else repr(found))
    if probes_out is not None:
        write(probes_out, found.probe_lines())
        note(f"{len(found.probes):,} probes with their answers are in {probes_out}")
