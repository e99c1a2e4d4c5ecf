"""``semsearch check``: whether an index is sound, and whether the articles still say what it says.

Deliberately not here: what is compared (`checking`).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from semsearch.cli.output import index_option, json_option, note, print_json, progress_bar

if TYPE_CHECKING:
    from semsearch.records import CheckReport, Damage

__all__ = ["check"]

_SHOWN = 20
_MENDS = {
    "vectors": "semsearch check --repair makes them anew",
    "words": "semsearch check --repair makes them anew",
    "format": "semsearch check --repair brings it up to date",
    "model": "semsearch index SOURCE... --fresh --model NAME makes the index anew with another model",
}
_ANEW = "semsearch index SOURCE... --fresh makes the index anew from the articles"


@click.command()
@click.option("--repair", is_flag=True, help="Make again what can be made again: vectors, words, an earlier format.")
@click.option("--sources", is_flag=True, help="Read the articles again: does each passage still stand where its citation says?")
@index_option
@json_option
def check(repair: bool, sources: bool, path: str, as_json: bool) -> None:
    """Compare everything in an index with its checksums and with everything else.

    Exit code 0: sound; 1: something is wrong with the index. Articles that changed since are no damage.
    """
    from semsearch.checking import check as check_index
    from semsearch.engines import shown

    with progress_bar() as progress:
        report = check_index(path, repair=repair, sources=sources, progress=progress)
    if as_json:
        print_json(report.to_dict())
    else:
        _print(report, shown(path), sources=sources)
    if not report.ok:
        sys.exit(1)


def _print(report: CheckReport, path: str, *, sources: bool) -> None:
    from semsearch.render import safe

    looked_at = ", ".join(f"{report.counts[name]:,} {name}" for name in _COUNTED if name in report.counts)
    state = "sound" if report.ok else "not sound"
    click.echo(f"{path}: {state} ({looked_at})" if looked_at else f"{path}: {state}")
    for done in report.repaired:
        note(done)
    for damage in report.problems:
        click.echo(safe(f"{damage.kind}: {damage.where}: {damage.what}"))
    for advice in sorted({_advice(damage) for damage in report.problems}):
        note(advice)
    if report.leftovers:
        note(f"{len(report.leftovers):,} files of unfinished runs: the next semsearch index uses or removes them")
    if sources:
        click.echo("citations: " + ", ".join(f"{count:,} {state}" for state, count in report.citations.items()))
        for citation in report.changed[:_SHOWN]:
            click.echo(safe(f"{citation} {citation.source}:{citation.line} ({citation.reason})"))
        if len(report.changed) > _SHOWN:
            click.echo(f"... and {len(report.changed) - _SHOWN:,} more (--json lists all)")
        if report.changed:
            note("semsearch index SOURCE... brings the index up to date with the articles")


_COUNTED = ("articles", "passages", "vectors", "files", "pages")


def _advice(damage: Damage) -> str:
    return _MENDS.get(damage.kind, _ANEW)
