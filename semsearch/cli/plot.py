"""``semsearch plot``: a map of the passages with a question in it.

Deliberately not here: how places are found and drawn (`maps`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import click

from semsearch.cli.output import index_option, json_option, print_json, say
from semsearch.records import Mode

__all__ = ["plot"]

_SUFFIXES = (".html", ".png")


@click.command()
@click.argument("question")
@index_option
@click.option("--output", default="map.html", show_default=True, metavar="FILE", help="What to write: .html or .png.")
@click.option("-k", default=10, show_default=True, type=click.IntRange(1, 10_000), help="How many hits to mark.")
@click.option("--mode", type=click.Choice(get_args(Mode)), default="hybrid", show_default=True, help="How passages are ranked.")
@click.option("--where", multiple=True, metavar="KEY=VALUE", help="Only passages of articles that are so, as in ask.")
@click.option("--method", type=click.Choice(["pca", "umap"]), default="pca", show_default=True, help="umap needs the extra umap.")
@click.option("--color", metavar="KEY", help="article, similarity, or a key of the metadata.")
@click.option("--limit", default=2000, show_default=True, type=click.IntRange(1, 10_000), help="Passages drawn, at most.")
@json_option
def plot(
    question: str,
    path: str,
    output: str,
    k: int,
    mode: Mode,
    where: Sequence[str],
    method: str,
    color: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Draw a map of the passages with a question and its hits in it.

    The page needs nothing else: pointing at a passage shows it. A picture needs the extra plot.
    """
    from semsearch import drawing
    from semsearch.index import Index
    from semsearch.outputs import check_writable

    suffix = Path(output).suffix.lower()
    if suffix not in _SUFFIXES:
        raise click.UsageError(f"--output {output} is neither .html nor .png")
    if suffix == ".png":
        drawing.check_installed("a picture", "plot")
    check_writable(output)
    with Index.open(path) as opened:
        drawn = opened.plot(question, k, mode=mode, where=where, method=method, color=color, limit=limit)  # type: ignore[arg-type]
    if suffix == ".png":
        drawn.to_png(output)
    else:
        drawn.to_html(output)
    if as_json:
        print_json({"output": output, **drawn.to_dict()})
    else:
        say(f"{output}: {drawn.summary()}")
