"""``semsearch index``: articles into an index.

Deliberately not here: how they are read and encoded (`builder`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click

from semsearch.cli.output import (
    build,
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
    as_json: bool,
) -> None:
    """Index articles, or refresh an index: files, folders or patterns.

    Reads .txt, .md, .html and .jsonl. Only what is new is encoded; files gone from a folder named are dropped.
    """
    if watches:
        options = {"compact": compact, "target_recall": target_recall, "precision": precision}
        follow(sources, path, as_json=as_json, model=model, fresh=fresh, **options)
        return
    with build(
        sources, path, model=model, fresh=fresh, compact=compact, target_recall=target_recall, precision=precision
    ) as built:
        report = built.report
        assert report is not None
        if as_json:
            print_json(asdict(report))
        else:
            say(f"{path}: {report.articles:,} articles, {report.passages:,} passages")
