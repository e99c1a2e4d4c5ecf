"""Expressions such as ``nDCG@10 < 0.7``, which say when an evaluation has failed.

Deliberately not here: what is done then (`cli`).
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from semsearch.errors import InputError
from semsearch.evaluation.values import Evaluation
from semsearch.metrics import canonical

__all__ = ["Threshold", "failures", "parse"]

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EXPRESSION = re.compile(r"\s*(?P<metric>[^<>=\s][^<>]*?)\s*(?P<operator><=|>=|<|>)\s*(?P<number>[^<>=\s]+)\s*")


class Threshold(NamedTuple):
    """A metric's canonical name, ``<``, ``<=``, ``>`` or ``>=``, and a number."""

    metric: str
    operator: str
    number: float

    def holds(self, value: float) -> bool:
        """Whether it is true of a value."""
        return _OPERATORS[self.operator](value, self.number)

    def __str__(self) -> str:
        return f"{self.metric} {self.operator} {self.number:g}"


def _metric(name: str) -> str:
    return canonical([name])[0]


def parse(expression: str, named: Callable[[str], str] = _metric) -> Threshold:
    """An expression's parts.

    :param named: a metric's canonical name, for what a user wrote; refuses what is none.
    :raises InputError: if it is not METRIC OPERATOR NUMBER, or there is no such metric.
    """
    match = _EXPRESSION.fullmatch(expression)
    try:
        number = float(match["number"]) if match else math.nan
    except ValueError:
        number = math.nan
    if match is None or not math.isfinite(number):
        raise InputError(f"cannot read {expression!r}: write a metric, < <= > or >=, and a number, as in 'nDCG@10 < 0.7'")
    return Threshold(named(match["metric"]), match["operator"], number)


def failures(evaluation: Evaluation, expressions: Sequence[str]) -> list[str]:
    """See `Evaluation.failures`."""
    thresholds = [parse(expression) for expression in expressions]
    found = []
    for measurement in evaluation:
        compared = measurement.comparison
        values = {item.metric: item.difference for item in compared.metrics} if compared else measurement.metrics
        for threshold in thresholds:
            if threshold.metric not in values:
                raise InputError(f"{threshold.metric} was not measured: name it among the metrics")
            if threshold.holds(values[threshold.metric]):
                what = f"{threshold.metric} {'differs by' if compared else 'is'} {values[threshold.metric]:+.4f}"
                what = what if compared else what.replace("+", "", 1)
                found.append(f"{what} ({measurement.label}): {threshold}")
    return found
