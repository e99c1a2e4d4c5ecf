"""``semsearch index``: articles into an index.

Deliberately not here: how they are read and encoded (`builder`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click

from semsearch.cli.output import (
    build,
    cluster_option,
    index_option,
    json_option,
    memory_option,
    model_option,
    precision_option,
    print_json,
    say,
    target_recall_option,
    threads_option,
)
from semsearch.cli.watch import follow
from semsearch.cutting import LEAST_TOKENS
from semsearch.records import Precision

__all__ = ["index"]


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@index_option
@model_option
@click.option("--fresh", is_flag=True, help="Forget what the index held and build it anew.")
@click.option("--compact", is_flag=True, default=None, help="Less than half the disk: without codes of words; ranks less well.")
@target_recall_option
@precision_option
@click.option("--watch", "watches", is_flag=True, help="Then keep the index up to date as files change; stop with Ctrl-C.")
@threads_option
@memory_option
@cluster_option
@click.option(
    "--passage-tokens",
    type=click.IntRange(LEAST_TOKENS),
    metavar="N",
    help="Tokens of one passage at most (default: what the model takes); longer paragraphs are split at sentence ends.",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="text=NAME",
    help="Which column of CSV and Parquet files, or key of JSONL records, is the text, or the title (title=NAME); repeatable.",
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
    watches: bool,
    cluster: str | None,
    passage_tokens: int | None,
    columns: Sequence[str],
    as_json: bool,
) -> None:
    """Index articles, or refresh an index: files, folders, patterns, or the address of a page or feed.

    Reads text, Markdown, HTML, JSONL, CSV, EPUB and mail; with the extra formats also PDF, DOCX, ODT, RTF, Parquet,
    reStructuredText, feeds and addresses; any of these packed by gzip. Only what is new is encoded; files gone from a folder
    named are dropped.
    """
    named = dict(map(_column, columns)) or None
    if watches:
        options = {
            "compact": compact,
            "target_recall": target_recall,
            "precision": precision,
            "columns": named,
            "passage_tokens": passage_tokens,
            "cluster": cluster,
        }
        follow(sources, path, as_json=as_json, model=model, fresh=fresh, **options)
        return
    with build(
        sources,
        path,
        model=model,
        fresh=fresh,
        compact=compact,
        target_recall=target_recall,
        precision=precision,
        columns=named,
        passage_tokens=passage_tokens,
        cluster=cluster,
    ) as built:
        report = built.report
        assert report is not None
        if as_json:
            print_json(asdict(report))
        else:
            from semsearch.engines import shown

            say(f"{shown(path)}: {report.articles:,} articles, {report.passages:,} passages")


def _column(named: str) -> tuple[str, str]:
    role, equals, name = named.partition("=")
    if not equals or not name:
        raise click.UsageError(f"--column takes text=NAME or title=NAME, not {named!r}")
    return role.strip(), name
