"""``semsearch ask``: one question, its passages.

Deliberately not here: how passages are found (`index`), how they look (`render`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import click
from click.core import ParameterSource

from semsearch.cli.output import index_option, json_option, note, open_or_build, print_results
from semsearch.records import Mode

if TYPE_CHECKING:
    from semsearch.results import Results

__all__ = ["ask"]

_MODES = get_args(Mode)
Format = Literal["table", "json", "jsonl", "md", "paths", "trec"]
_FORMATS = get_args(Format)
_QUERY_ID = "1"
_PROMPTED = ("path", "k", "mode", "where")
"""What may be given where a prompt asks for the questions."""


@click.command()
@click.argument("question", required=False)
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@index_option
@click.option(
    "-k",
    default=5,
    show_default=True,
    type=click.IntRange(1, 10_000),
    envvar="SEMSEARCH_K",
    show_envvar=True,
    help="How many passages.",
)
@click.option(
    "--mode",
    type=click.Choice(_MODES),
    default=_MODES[0],
    show_default=True,
    envvar="SEMSEARCH_MODE",
    show_envvar=True,
    help="How passages are ranked: by meaning and words, by meaning, by words.",
)
@click.option(
    "--where",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only articles whose metadata, title or source are so: =, !=, <, <=, >, >=; patterns; a|b. Again for more conditions.",
)
@click.option("--per-article", type=click.IntRange(1, 10_000), metavar="N", help="At most so many passages of one article.")
@click.option("--copies", is_flag=True, help="Give copies of a passage ranks of their own.")
@click.option("--explain", is_flag=True, help="Say how each score came about.")
@click.option(
    "--rerank",
    envvar="SEMSEARCH_RERANK",
    show_envvar=True,
    metavar="MODEL",
    help="Let a CrossEncoder (folder or hub name) order the best candidates.",
)
@click.option("--rerank-seconds", type=click.FloatRange(min=0.01), default=5.0, show_default=True, help="What it may take.")
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    envvar="SEMSEARCH_FORMAT",
    show_envvar=True,
    help="How the passages are printed (default: table): json as --json; jsonl: one a line; md: Markdown; paths: file:line: for"
    " editors; trec: a TREC run.",
)
@click.option("--query-id", metavar="ID", help="The question's id in a TREC run (default: 1).")
@json_option
def ask(
    question: str | None,
    sources: Sequence[str],
    path: str,
    k: int,
    mode: Mode,
    where: Sequence[str],
    per_article: int | None,
    copies: bool,
    explain: bool,
    rerank: str | None,
    rerank_seconds: float,
    form: Format | None,
    query_id: str | None,
    as_json: bool,
) -> None:
    """Answer a question with the passages that fit it best. Without a question, on a terminal: one after the other.

    With SOURCE, the index is made or refreshed from it first. Without one, and without an index, ./seeds is indexed. Words in
    quotation marks must stand in the passage, its headings or its title in this order, one behind the other, whatever their
    endings, if they do in any.
    """
    from semsearch import filters
    from semsearch.arguments import check_query

    form = _form(form, query_id, as_json=as_json)
    if question is None:
        if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise click.UsageError("Missing argument 'QUESTION'")
        _refuse_what_the_prompt_has_not()
        _prompt(path, k, mode, where)
        return
    # What is wrong with a question is told before anything is indexed.
    check_query(question)
    conditions = filters.parse(where)
    with open_or_build(sources, path) as opened:
        results = opened.search(
            question,
            k,
            mode=mode,
            where=conditions,
            fold=not copies,
            per_article=per_article,
            explain=explain,
            rerank=rerank,
            rerank_seconds=rerank_seconds,
        )
    if not results.answerable and form != "json":
        note("nothing relevant found" + _advice(results, filtered=bool(where)))
    _print(results, form, query_id or _QUERY_ID)
    if not results.answerable:
        sys.exit(1)


def _form(form: Format | None, query_id: str | None, *, as_json: bool) -> Format:
    """How the passages are to be printed.

    :raises click.UsageError: if the options contradict each other.
    """
    said = click.get_current_context().get_parameter_source
    if as_json and form not in (None, "json"):
        if said("as_json") is said("form"):
            raise click.UsageError(f"--json and --format {form} are two: leave one out")
        # What was said on the command line goes before what the environment or a file says.
        as_json = said("as_json") is ParameterSource.COMMANDLINE
        form = None if as_json else form
    if query_id is not None and form != "trec":
        raise click.UsageError("--query-id needs --format trec")
    return "json" if as_json else form or "table"


def _print(results: Results, form: Format, query_id: str) -> None:
    if form == "table":
        print_results(results)
        return
    shapes = {"json": results.to_json, "jsonl": results.to_jsonl, "md": results.to_markdown, "paths": results.to_paths}
    shown = results.to_trec(query_id) if form == "trec" else shapes[form]()
    if shown:
        click.echo(shown)


def _refuse_what_the_prompt_has_not() -> None:
    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if given and parameter.name not in _PROMPTED:
            raise click.UsageError(f"{parameter.opts[0]} needs a question")


def _prompt(path: str, k: int, mode: Mode, where: Sequence[str]) -> None:
    from semsearch import filters
    from semsearch.cli.prompt import Prompt

    filters.parse(where)
    with open_or_build((), path) as opened:
        Prompt(opened, k=k, mode=mode, where=where).run()


def _advice(results: Results, *, filtered: bool) -> str:
    if results:
        return "; the nearest passages:"
    return ": check whether --where leaves an article; keys and values are told apart by case" if filtered else ""
