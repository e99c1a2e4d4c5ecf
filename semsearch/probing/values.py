"""What probing an index gives: frozen values, and the shapes they can be shown in.

Deliberately not here: how they look as a table (`table`), how they were measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from semsearch.errors import InputError
from semsearch.evaluation import parse_threshold
from semsearch.probing.probes import Probe
from semsearch.records import Mode
from semsearch.render import safe_json

__all__ = [
    "ALL",
    "DIFFERENCES",
    "Answer",
    "Bench",
    "BenchRow",
    "Cause",
    "ContentChange",
    "Cost",
    "Diff",
    "Fact",
    "Figures",
    "Gap",
    "ModelComparison",
    "QuestionDiff",
    "State",
    "Way",
    "difference_name",
]

ALL = "all"
"""The name of all kinds of probes together."""


class Way(NamedTuple):
    """A way to search: the mode, the model, and how many tokens a passage has at most (None: what the model takes)."""

    mode: Mode
    model: str
    passage_tokens: int | None


class Figures(NamedTuple):
    """How well some probes are answered: ``n`` of them.

    ``rr`` is the mean reciprocal rank of the first answer among the first ten, ``low`` and ``high`` the ends of its bootstrap
    95 % interval over probes; ``r1`` and ``r10`` the shares of probes that have an answer first, and among the first ten.
    """

    n: int
    rr: float
    low: float
    high: float
    r1: float
    r10: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        return {"probes": self.n, "RR@10": self.rr, "interval": [self.low, self.high], "R@1": self.r1, "R@10": self.r10}


class Gap(NamedTuple):
    """How far one way stays behind the best: difference of the mean RR@10, below 0, with its bootstrap 95 % interval.

    ``p`` is that of a paired randomization test over the probes, ``p_holm`` the same adjusted for the number of ways.
    """

    difference: float
    low: float
    high: float
    p: float
    p_holm: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        return {"difference": self.difference, "interval": [self.low, self.high], "p": self.p, "p_holm": self.p_holm}


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One way to search with its figures: ``figures`` by kind of probe and for `ALL`; ``gap`` to the best, None for that.

    ``passages`` is how many there were to find; ``ranks`` has each probe's rank of its first answer, None where there was none
    among the first ten.
    """

    way: Way
    passages: int
    figures: Mapping[str, Figures] = field(hash=False)
    gap: Gap | None
    ranks: Mapping[str, int | None] = field(hash=False, repr=False)

    @property
    def told_apart(self) -> bool:
        """Whether it is worse than the best, and not by chance."""
        return self.gap is not None and self.gap.p_holm < 0.05

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary, without the ranks."""
        return {
            **self.way._asdict(),
            "passages": self.passages,
            "figures": {kind: figures.to_dict() for kind, figures in self.figures.items()},
            "behind_best": None if self.gap is None else self.gap.to_dict(),
        }


@dataclass(frozen=True, slots=True, repr=False)
class Bench:
    """What `bench` found: the ways to search, best first, and in ``verdict`` what follows.

    ``articles`` and ``passages`` are those that were probed, ``all_articles`` and ``all_passages`` those of the index. ``notes``
    say what the figures are to be read with.
    """

    index: str
    articles: int
    passages: int
    all_articles: int
    all_passages: int
    seed: int
    probes: tuple[Probe, ...]
    rows: tuple[BenchRow, ...]
    verdict: str
    notes: tuple[str, ...]
    seconds: float

    def __repr__(self) -> str:
        """The figures as a plain-text table, and the verdict."""
        from semsearch.probing.table import of_bench

        return of_bench(self)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary, as ``bench --json`` prints it, without the probes."""
        kinds = dict.fromkeys((probe.kind for probe in self.probes), 0)
        for probe in self.probes:
            kinds[probe.kind] += 1
        return {
            "index": self.index,
            "articles": self.articles,
            "passages": self.passages,
            "of_articles": self.all_articles,
            "of_passages": self.all_passages,
            "seed": self.seed,
            "probes": kinds,
            "rows": [row.to_dict() for row in self.rows],
            "verdict": self.verdict,
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }

    def to_json(self) -> str:
        """The JSON document that ``bench --json`` prints, on one line."""
        return safe_json(json.dumps(self.to_dict(), ensure_ascii=False))

    def probe_lines(self) -> str:
        """The probes as JSON lines, each with its answer and the rank that each way gives it."""
        lines = []
        for probe in self.probes:
            ranks = [{**row.way._asdict(), "rank": row.ranks[probe.id]} for row in self.rows]
            lines.append(safe_json(json.dumps({**probe.to_dict(), "ranks": ranks}, ensure_ascii=False)) + "\n")
        return "".join(lines)


Cause = Literal["content", "model", "settings", "other content", "version", "unknown"]
"""Why an answer can differ.

``content``: a passage of it is not in the other index, or says something else there, or under another title; ``model``: other
vectors; ``settings``: codes, precision, recall, passage size; ``other content``: its own passages are in both, but other articles
are not, which count for how rare a word is; ``version``: another semsearch asked, or, where nothing else differs, wrote the
index; ``unknown``: nothing at all differs.
"""
State = Literal["found", "retitled", "ranked lower", "cut otherwise", "changed", "no article"]
"""What became of a passage that one index has among its hits.

``found``: the other has it there, too; ``retitled``: so it has, but below another title or heading; ``ranked lower``: it has it,
further down; ``cut otherwise``: it has its words, in another passage; ``changed``: its article says something else;
``no article``: it has not got the article.
"""


class Fact(NamedTuple):
    """Something that two indexes were made with, and that differs: ``kind`` is ``model``, ``settings`` or ``version``."""

    kind: Literal["model", "settings", "version"]
    name: str
    a: str
    b: str


class ContentChange(NamedTuple):
    """Different texts with their context that only the one index has, only the other, and both."""

    only_a: int
    only_b: int
    common: int


class Answer(NamedTuple):
    """A passage among the first hits of either index: its ranks, None where it is not among them; ``text`` is its beginning."""

    source: str
    line: int
    text: str
    rank_a: int | None
    rank_b: int | None
    state: State


@dataclass(frozen=True, slots=True)
class QuestionDiff:
    """A question in two indexes.

    ``overlap`` is the share of hits that both have among the first k, ``rbo`` the rank-biased overlap of the rankings, both in
    0..1. ``answers`` are the hits of the first by rank, then those that only the second has. ``causes`` is empty where nothing
    differs.
    """

    id: str
    text: str
    overlap: float
    rbo: float
    answerable_a: bool
    answerable_b: bool
    causes: tuple[Cause, ...]
    answers: tuple[Answer, ...]

    @property
    def changed(self) -> bool:
        """Whether any of the first k hits, or their order, differs."""
        return any(answer.rank_a != answer.rank_b for answer in self.answers)

    def best(self, index: Literal["a", "b"]) -> Answer | None:
        """The best hit in one of the indexes; None if there is none."""
        return next((answer for answer in self.answers if (answer.rank_a if index == "a" else answer.rank_b) == 1), None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        return {
            "id": self.id,
            "text": self.text,
            "changed": self.changed,
            "overlap": self.overlap,
            "rbo": self.rbo,
            "answerable": [self.answerable_a, self.answerable_b],
            "causes": list(self.causes),
            "answers": [answer._asdict() for answer in self.answers],
        }


@dataclass(frozen=True, slots=True, repr=False)
class Diff:
    """What `diff` found: what differs between two indexes, and between their answers to each question."""

    a: str
    b: str
    k: int
    mode: Mode
    facts: tuple[Fact, ...]
    content: ContentChange
    questions: tuple[QuestionDiff, ...]
    seconds: float

    @property
    def summary(self) -> dict[str, float]:
        """Shares of the questions in 0..1, and means over them.

        ``changed``: the first k hits differ in any way; ``best``: the best hit is another; ``lost``: the best hit of the first
        index is not among the first k of the second; ``gained``: the reverse; ``unanswered``: answered before and not after;
        ``answered``: the reverse; ``overlap`` and ``rbo``: means of what `QuestionDiff` has.
        """
        found = self.questions
        best = [(each.best("a"), each.best("b")) for each in found]
        counts = {
            "changed": sum(each.changed for each in found),
            "best": sum(one != other for one, other in best),
            "lost": sum(one is not None and one.rank_b is None for one, _ in best),
            "gained": sum(other is not None and other.rank_a is None for _, other in best),
            "unanswered": sum(each.answerable_a and not each.answerable_b for each in found),
            "answered": sum(each.answerable_b and not each.answerable_a for each in found),
            "overlap": sum(each.overlap for each in found),
            "rbo": sum(each.rbo for each in found),
        }
        return {name: value / len(found) for name, value in counts.items()}

    @property
    def causes(self) -> dict[str, int]:
        """How many questions each cause can explain."""
        counts: dict[str, int] = {}
        for each in self.questions:
            for cause in each.causes:
                counts[cause] = counts.get(cause, 0) + 1
        return counts

    def failures(self, expressions: Sequence[str]) -> list[str]:
        """Which of the expressions (``"changed > 0.05"``) hold, each with the value; their names are those of `summary`.

        :raises InputError: if one is not NAME OPERATOR NUMBER, or there is no such name.
        """
        values = self.summary
        found = []
        for threshold in [parse_threshold(expression, difference_name) for expression in expressions]:
            if threshold.holds(values[threshold.metric]):
                found.append(f"{threshold.metric} is {values[threshold.metric]:.4f}: {threshold}")
        return found

    def __repr__(self) -> str:
        """The differences as plain text."""
        from semsearch.probing.table import of_diff

        return of_diff(self)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary, as ``diff --json`` prints it."""
        return {
            "a": self.a,
            "b": self.b,
            "k": self.k,
            "mode": self.mode,
            "summary": self.summary,
            "causes": self.causes,
            "facts": [fact._asdict() for fact in self.facts],
            "content": self.content._asdict(),
            "questions": [each.to_dict() for each in self.questions],
            "seconds": round(self.seconds, 3),
        }

    def to_json(self) -> str:
        """The JSON document that ``diff --json`` prints, on one line."""
        return safe_json(json.dumps(self.to_dict(), ensure_ascii=False))


DIFFERENCES = ("changed", "best", "lost", "gained", "unanswered", "answered", "overlap", "rbo")
"""The names of `Diff.summary`."""


def difference_name(name: str) -> str:
    """A name of `Diff.summary` as it is.

    :raises InputError: if there is none such.
    """
    if name not in DIFFERENCES:
        raise InputError(f"no difference {name!r}: use {', '.join(DIFFERENCES)}")
    return name


class Cost(NamedTuple):
    """What a model costs on an index of so many ``passages``, reckoned up from a sample.

    ``seconds_per_1000`` and ``whole_seconds`` are those of encoding, ``whole_bytes`` the index directory's, ``query_ms`` the
    median of single warm questions on the sample, in milliseconds.
    """

    model: str
    dimension: int
    max_tokens: int
    passages: int
    seconds_per_1000: float
    whole_seconds: float
    whole_bytes: int
    query_ms: float


@dataclass(frozen=True, slots=True, repr=False)
class ModelComparison:
    """A candidate model beside the one that an index has.

    ``bench`` has the probes' figures of both, ``diff`` which answers of the sample differ, ``verdict`` what follows, and
    ``command`` what switches.
    """

    bench: Bench
    diff: Diff
    current: Cost
    candidate: Cost
    verdict: str
    command: str
    seconds: float

    def __repr__(self) -> str:
        """Figures, differences and cost as plain text, and the verdict."""
        from semsearch.probing.table import of_models

        return of_models(self)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary, as ``model --json`` prints it."""
        return {
            "current": self.current._asdict(),
            "candidate": self.candidate._asdict(),
            "bench": self.bench.to_dict(),
            "diff": self.diff.to_dict(),
            "verdict": self.verdict,
            "command": self.command,
            "seconds": round(self.seconds, 3),
        }

    def to_json(self) -> str:
        """The JSON document that ``model --json`` prints, on one line."""
        return safe_json(json.dumps(self.to_dict(), ensure_ascii=False))
