"""``semsearch export`` and ``semsearch import``: an index in one file, and back.

Deliberately not here: what is in the file (`semsearch.exchange`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from semsearch.cli.output import (
    index_option,
    json_option,
    memory_option,
    model_option,
    precision_option,
    print_json,
    progress_bar,
    say,
    target_recall_option,
    tell,
    threads_option,
)
from semsearch.records import Precision

__all__ = ["export", "import_"]


@click.command()
@click.argument("file", metavar="FILE")
@index_option
@click.option("--vectors", is_flag=True, help="Also what the model made of the passages: then the import need not encode them.")
@click.option(
    "--where",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only articles whose metadata, title or source are so, as for semsearch ask.",
)
@json_option
def export(file: str, path: str, vectors: bool, where: Sequence[str], as_json: bool) -> None:
    """Write the passages of an index to FILE, .jsonl or .parquet, from which semsearch import makes the index elsewhere.

    The articles are not needed for that. A file of this name is replaced when all is written. Parquet needs the extra parquet.
    """
    from semsearch import filters
    from semsearch.engines import open_reader
    from semsearch.index import Index

    conditions = filters.parse(where)
    # Whatever became of its model.
    with Index(open_reader(path)) as opened, progress_bar() as progress:
        count = opened.export(file, vectors=vectors, where=conditions, progress=progress)
    size = Path(file).stat().st_size
    if as_json:
        print_json({"file": file, "passages": count, "bytes": size})
    else:
        say(f"{file}: {count:,} passages, {size:,} bytes")


@click.command("import")
@click.argument("file", metavar="FILE")
@index_option
@model_option
@click.option("--fresh", is_flag=True, help="Forget what the index held.")
@click.option("--compact", is_flag=True, default=None, help="Without codes of words, as for semsearch index.")
@target_recall_option
@precision_option
@click.option("--encode", is_flag=True, help="Take no vectors out of FILE: encode all texts.")
@threads_option
@memory_option
@json_option
def import_(
    file: str,
    path: str,
    model: str | None,
    fresh: bool,
    compact: bool | None,
    target_recall: float | None,
    precision: Precision | None,
    encode: bool,
    as_json: bool,
) -> None:
    """Put the passages that semsearch export wrote to FILE into an index, without their articles.

    Vectors are taken if they are of the index's model; else the texts are encoded. Where the articles lie as they did, the next
    semsearch index reads them, and encodes only what is new.
    """
    from semsearch.engines import shown
    from semsearch.importer import import_passages

    with progress_bar() as progress:
        report = import_passages(
            file,
            path,
            model=model,
            fresh=fresh,
            compact=compact,
            target_recall=target_recall,
            precision=precision,
            encode=encode,
            progress=progress,
        )
    tell(report)
    if as_json:
        print_json(asdict(report))
    else:
        say(f"{shown(path)}: {report.articles:,} articles, {report.passages:,} passages")
