"""``semsearch status`` and ``semsearch remove``: what is in an index, and taking some of it out.

Deliberately not here: putting something in (`index`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from semsearch.cli.output import index_option, json_option, print_json, say

__all__ = ["remove", "status"]


@click.command()
@index_option
@json_option
def status(path: str, as_json: bool) -> None:
    """Say what is in an index."""
    from semsearch.engines import open_reader
    from semsearch.index import Index

    # Whatever became of its model.
    with Index(open_reader(path)) as opened:
        facts = opened.status()
    if as_json:
        print_json(facts)
    else:
        for key, value in facts.items():
            say(f"{key:<14} {_shown(value)}")


def _shown(value: Any) -> str:
    """A fact as a line of ``status`` has it."""
    if value is None:
        # Of the tokens of a passage, the one fact that there need not be.
        return "what the model takes"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(what if name == "kind" else f"{name.replace('_', ' ')} {_shown(what)}" for name, what in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@index_option
@json_option
def remove(sources: Sequence[str], path: str, as_json: bool) -> None:
    """Take files, folders or records (FILE#LINE) out of an index. The files themselves are left alone."""
    from semsearch.engines import shown
    from semsearch.index import remove as remove_sources

    removed = remove_sources(sources, path)
    say(json.dumps({"removed": removed}) if as_json else f"{shown(path)}: removed {removed:,}")
