"""What an evaluation gives back: figures of each run, by query, and how they compare with another run.

Deliberately not here: how they are computed (`harness`, `comparison`), how they look (`table`, `report`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np

from semsearch.errors import InputError
from semsearch.metrics import Judgments
from semsearch.render import safe_json

__all__ = [
    "Comparison",
    "Difference",
    "Evaluation",
    "Measurement",
    "QueryDifference",
    "Scored",
    "Shown",
    "check_writable",
    "write_text",
]


class Scored(NamedTuple):
    """A document of a ranking; its score is its best passage's."""

    document: str
    score: float


class Shown(NamedTuple):
    """What a document is recognised by: its title ("" where it has none) and the beginning of its text."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of a run and of the run it is compared with.

    ``difference`` is ``value - baseline``; ``low`` and ``high`` are the ends of the 95 % interval of the mean difference per
    query; ``p`` is that of a paired randomization test, ``p_holm`` the same adjusted for the number of metrics.
    """

    metric: str
    value: float
    baseline: float
    difference: float
    low: float
    high: float
    p: float
    p_holm: float


@dataclass(frozen=True, slots=True)
class QueryDifference:
    """A query that one run answers better than the other, and what each has first (None where it found nothing)."""

    query: str
    text: str
    value: float
    baseline: float
    top: str | None
    baseline_top: str | None

    @property
    def difference(self) -> float:
        """Above 0 where the run is better than the one it is compared with."""
        return self.value - self.baseline


@dataclass(frozen=True, slots=True)
class Comparison:
    """A run against another, named ``baseline``.

    ``won`` and ``lost`` are the queries that differ most in the first metric, most first. ``per_query`` has every query's
    value in the baseline, by metric; ``rankings`` are the baseline's.
    """

    baseline: str
    metrics: tuple[Difference, ...]
    won: tuple[QueryDifference, ...]
    lost: tuple[QueryDifference, ...]
    per_query: Mapping[str, Mapping[str, float]] = field(repr=False)
    rankings: Mapping[str, Sequence[Scored]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Measurement:
    """The figures of one way to search.

    ``metrics`` are over all queries, ``per_query`` is ``{metric: {query id: value}}``, ``rankings`` hold each query's documents,
    best first. ``seconds`` are those of indexing and of ranking all queries; ``latencies`` the milliseconds of single searches,
    one after the other, the model loaded.
    """

    mode: str
    model: str
    documents: int
    passages: int
    metrics: Mapping[str, float]
    per_query: Mapping[str, Mapping[str, float]] = field(repr=False)
    rankings: Mapping[str, tuple[Scored, ...]] = field(repr=False)
    seconds: Mapping[str, float]
    latencies: tuple[float, ...] = field(repr=False)
    comparison: Comparison | None = None

    @property
    def latency_ms(self) -> dict[str, float]:
        """``p50`` and ``p95`` of single searches in milliseconds; 0 where none was timed."""
        return {f"p{share}": float(np.percentile(self.latencies, share)) if self.latencies else 0.0 for share in (50, 95)}

    @property
    def label(self) -> str:
        """Mode and model in a few characters."""
        return f"{self.mode}, {self.model}" if self.model else self.mode

    def write_run(self, path: str | os.PathLike[str], tag: str = "semsearch") -> None:
        """Write the rankings as a TREC run: query, Q0, document, rank, score, tag.

        Scores fall from rank to rank even in single precision, so that trec_eval sees the order that was scored here.

        :raises InputError: if the file cannot be written.
        """
        from semsearch.evaluation.trec import run_lines

        write_text(path, "".join(run_lines(self.rankings, tag)))


@dataclass(frozen=True, slots=True)
class Evaluation(Sequence[Measurement]):
    """The measurements of one data set, in the order of models and modes that was asked for.

    ``queries`` are the texts of the queries that were evaluated, ``documents`` what found documents are recognised by.
    """

    dataset: str
    queries: Mapping[str, str] = field(repr=False)
    judgments: Judgments = field(repr=False)
    measurements: tuple[Measurement, ...]
    documents: Mapping[str, Shown] = field(repr=False)

    @overload
    def __getitem__(self, index: int) -> Measurement: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Measurement, ...]: ...
    def __getitem__(self, index: int | slice) -> Measurement | tuple[Measurement, ...]:
        """A measurement, or a tuple of them for a slice."""
        return self.measurements[index]

    def __len__(self) -> int:
        """How many measurements there are."""
        return len(self.measurements)

    def __iter__(self) -> Iterator[Measurement]:
        """The measurements."""
        return iter(self.measurements)

    def __repr__(self) -> str:
        """The figures as a plain-text table."""
        from semsearch.evaluation.table import text

        return text(self)

    def to_dicts(self) -> list[dict[str, Any]]:
        """One JSON-ready dictionary a measurement, with the keys that ``eval --json`` prints."""
        return [self._to_dict(measurement) for measurement in self]

    def to_json(self) -> str:
        """The JSON document that ``eval --json`` prints, on one line: an object, or a list where there is more than one."""
        found = self.to_dicts()
        return safe_json(json.dumps(found[0] if len(found) == 1 else found, ensure_ascii=False))

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write all figures, tables and plots as one HTML page that needs nothing else.

        :raises MissingExtra: if jinja2 or matplotlib is not installed.
        :raises InputError: if the file cannot be written.
        """
        from semsearch.evaluation.report import page

        write_text(path, page(self))

    def failures(self, expressions: Sequence[str]) -> list[str]:
        """Which of the expressions (``"nDCG@10 < 0.7"``) hold, each with the value and the run that it holds for.

        They speak of the differences where there is a comparison, else of the values themselves.

        :raises InputError: if one is not of the form METRIC OPERATOR NUMBER, or its metric was not measured.
        """
        from semsearch.evaluation.thresholds import failures

        return failures(self, expressions)

    def _to_dict(self, measurement: Measurement) -> dict[str, Any]:
        found: dict[str, Any] = {
            "dataset": self.dataset,
            "mode": measurement.mode,
            "model": measurement.model,
            "queries": len(self.queries),
            "documents": measurement.documents,
            "passages": measurement.passages,
            "metrics": dict(measurement.metrics),
            "seconds": {stage: round(seconds, 3) for stage, seconds in measurement.seconds.items()},
            "latency_ms": {share: round(value, 3) for share, value in measurement.latency_ms.items()},
        }
        if measurement.comparison is not None:
            found["against"] = _compared(measurement.comparison)
        return found


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse early where a file cannot be written; nothing is made or changed.

    :raises InputError: if its folder is not there, or it or its folder may not be written.
    """
    file = Path(path)
    if file.is_dir():
        raise InputError(f"{path} cannot be written (Is a directory): give a file")
    if not file.parent.is_dir():
        raise InputError(f"{path} cannot be written (no folder {file.parent}): make it, or give another")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise InputError(f"{path} cannot be written (Permission denied): give another folder")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a file as UTF-8, with the line ends that the text has.

    :raises InputError: if it cannot be written.
    """
    try:
        Path(path).write_text(text, encoding="utf-8", errors="replace", newline="\n")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror or error}): check the folder") from error


def _compared(comparison: Comparison) -> dict[str, Any]:
    return {
        "run": comparison.baseline,
        "metrics": {
            item.metric: {
                "value": item.value,
                "baseline": item.baseline,
                "difference": item.difference,
                "interval": [item.low, item.high],
                "p": item.p,
                "p_holm": item.p_holm,
            }
            for item in comparison.metrics
        },
        "won": [_query(item) for item in comparison.won],
        "lost": [_query(item) for item in comparison.lost],
    }


def _query(item: QueryDifference) -> dict[str, Any]:
    return {
        "query": item.query,
        "text": item.text,
        "difference": item.difference,
        "value": item.value,
        "baseline": item.baseline,
        "top": item.top,
        "baseline_top": item.baseline_top,
    }
