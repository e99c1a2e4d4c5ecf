"""An evaluation as one HTML page that needs nothing else: figures, tables, plots.

Invariant: what comes from articles and questions is escaped; nothing is loaded from anywhere.

Deliberately not here: plots (`plots`), how the page is laid out (``report.html.j2``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from semsearch import drawing, metrics
from semsearch._version import __version__
from semsearch.errors import MissingExtra
from semsearch.evaluation import plots
from semsearch.evaluation.table import signed, significance
from semsearch.evaluation.values import Evaluation, Measurement, QueryDifference
from semsearch.render import safe_line

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["check_installed", "page"]

TEMPLATE = "report.html.j2"
WEAKEST = 5
"""Questions answered worst that are listed where there is nothing to compare with."""


def check_installed() -> None:
    """Refuse early where a page cannot be made.

    :raises MissingExtra: if jinja2 or matplotlib is not installed.
    """
    drawing.check_installed("a report", "eval")
    try:
        import jinja2  # noqa: F401
    except ImportError as error:
        raise MissingExtra(f'a report needs {error.name}: python -m pip install "semsearch[eval]"') from error


def page(evaluation: Evaluation) -> str:
    """The page.

    :raises MissingExtra: if jinja2 or matplotlib is not installed.
    """
    check_installed()
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "line": safe_line,
        "p": significance,
        "signed": signed,
        "tone": lambda difference: "better" if difference > 0 else "worse" if difference < 0 else "",
        "document": lambda document: _document(evaluation, document),
    }
    curves = {run.label: _curve(evaluation, run.rankings) for run in evaluation}
    baselines = {run.comparison.baseline: run.comparison.rankings for run in evaluation if run.comparison}
    timed = {run.label: run.latencies for run in evaluation if run.latencies}
    return environment.get_template(TEMPLATE).render(
        dataset=evaluation.dataset,
        queries=evaluation.queries,
        runs=evaluation.measurements,
        first=evaluation[0],
        metrics=list(evaluation[0].metrics),
        sections=[_section(evaluation, run) for run in evaluation],
        # The plots are ours; what they quote is escaped where they are drawn.
        precision_recall=Markup(  # noqa: S704
            plots.precision_recall(curves, {name: _curve(evaluation, rankings) for name, rankings in baselines.items()})
        ),
        latency=Markup(plots.latency(timed)) if timed else "",  # noqa: S704
        version=__version__,
    )


def _curve(evaluation: Evaluation, rankings: Any) -> list[float]:
    documents = {query: [item.document for item in ranking] for query, ranking in rankings.items()}
    return metrics.precision_at_recall(evaluation.judgments, documents)


def _section(evaluation: Evaluation, run: Measurement) -> dict[str, Any]:
    """What is shown of one run: its differences where there is a comparison, else its values."""
    from markupsafe import Markup

    first = next(iter(run.metrics))
    values = run.per_query[first]
    if run.comparison is not None:
        others = run.comparison.per_query[first]
        differences = [value - others[query] for query, value in values.items()]
        return {
            "run": run,
            "plot": Markup(plots.bars(differences, first, differences=True)),  # noqa: S704
            "better": sum(difference > 0 for difference in differences),
            "worse": sum(difference < 0 for difference in differences),
            "equal": sum(difference == 0 for difference in differences),
        }
    weakest = sorted(values, key=lambda query: values[query])[:WEAKEST]
    return {
        "run": run,
        "plot": Markup(plots.bars(list(values.values()), first, differences=False)),  # noqa: S704
        "weakest": [
            QueryDifference(query, evaluation.queries[query], values[query], 0.0, _top(run, query), None) for query in weakest
        ],
    }


def _top(run: Measurement, query: str) -> str | None:
    return run.rankings[query][0].document if run.rankings.get(query) else None


def _document(evaluation: Evaluation, document: str | None) -> Markup:
    """A document's title, beginning and id."""
    from markupsafe import Markup

    if document is None:
        return Markup("nothing found")
    known = evaluation.documents.get(document)
    title = Markup("<b>{}</b><br>").format(safe_line(known.title)) if known and known.title else Markup("")
    text = Markup("{}").format(safe_line(known.text)) if known else Markup("")
    return title + text + Markup("<small>{}</small>").format(safe_line(document))
