"""``semsearch eval``: figures to stdout, files where asked for, an exit code to decide from.

Deliberately not here: everything that is measured (`evaluation`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import get_args

import click

from semsearch.cli.output import json_option, note, progress_bar
from semsearch.records import Mode, Precision

__all__ = ["evaluate"]


@click.command("eval")
@click.argument("dataset", metavar="DATASET")
@click.option(
    "--index", "path", metavar="DIR", help="Index directory: where the data set's is kept, or the one to evaluate over."
)
@click.option("--queries", metavar="FILE", help="Queries of TREC judgments: lines of id, tab, text, or BEIR's queries.jsonl.")
@click.option("--split", default="test", show_default=True, help="Which judgments of a folder in BEIR format.")
@click.option("--mode", "modes", multiple=True, type=click.Choice(get_args(Mode)), help="How passages are ranked; repeatable.")
@click.option("--model", "models", multiple=True, metavar="NAME_OR_PATH", help="What encodes the documents; repeatable.")
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", help="In place of the default ones; repeatable (ir_measures names)."
)
@click.option(
    "-k", default=100, show_default=True, type=click.IntRange(1, 10_000), help="How many documents are ranked, at least."
)
@click.option(
    "--whole",
    is_flag=True,
    help="One passage a document, cut at the model's limit, by its cosine alone: to check against published figures.",
)
@click.option("--precision", type=click.Choice(get_args(Precision)), help="How the documents are encoded: see semsearch index.")
@click.option("--run", metavar="FILE", type=click.Path(dir_okay=False), help="Write the rankings as a TREC run.")
@click.option("--against", metavar="FILE", type=click.Path(dir_okay=False), help="Compare with a TREC run.")
@click.option(
    "--fail-if",
    "expressions",
    multiple=True,
    metavar="EXPR",
    help="Exit with 1 if it holds: 'nDCG@10 < 0.7'; with --against of the difference; repeatable.",
)
@click.option(
    "--report", metavar="FILE.html", type=click.Path(dir_okay=False), help="Write all figures, tables and plots as one page."
)
@json_option
def evaluate(
    dataset: str,
    path: str | None,
    queries: str | None,
    split: str,
    modes: Sequence[str],
    models: Sequence[str],
    metrics: Sequence[str],
    k: int,
    whole: bool,
    precision: Precision | None,
    run: str | None,
    against: str | None,
    expressions: Sequence[str],
    report: str | None,
    as_json: bool,
) -> None:
    """Measure how well questions are answered, on a data set with judgments.

    DATASET is a folder in BEIR format (corpus.jsonl, queries.jsonl, qrels/test.tsv), ir_datasets:NAME, a file of TREC
    judgments with --queries, or a file of lines "question TAB source or words of a passage". The first two bring their
    documents, whose index is kept in the user's cache; the others are about an index that is there (default ./index).
    """
    from semsearch.errors import InputError
    from semsearch.evaluation import evaluate as measure
    from semsearch.evaluation import parse_threshold
    from semsearch.metrics import DEFAULT_METRICS
    from semsearch.outputs import check_writable

    if run is not None and (len(set(modes)) > 1 or len(set(models)) > 1):
        raise InputError("--run writes one run: give one --mode and one --model")
    if report is not None:
        from semsearch.evaluation.report import check_installed

        check_installed()
    for file in (run, report):
        if file is not None:
            check_writable(file)
    asked = [parse_threshold(expression).metric for expression in expressions]
    with progress_bar() as progress:
        evaluation = measure(
            dataset,
            index=path,
            queries=queries,
            modes=modes or None,
            models=models or (None,),
            metrics=[*(metrics or DEFAULT_METRICS), *asked],
            k=k,
            split=split,
            whole=whole,
            precision=precision,
            against=against,
            progress=progress,
        )
    click.echo(evaluation.to_json() if as_json else repr(evaluation))
    if run is not None:
        evaluation[0].write_run(run)
    if report is not None:
        evaluation.report(report)
    failed = evaluation.failures(expressions)
    for failure in failed:
        note(f"--fail-if: {failure}")
    if failed:
        sys.exit(1)
