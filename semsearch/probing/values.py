"""What probing an index gives: frozen values, and the shapes they can be shown in.

Deliberately not here: how they look as a table (`table`), how they were measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from semsearch.probing.probes import Probe
from semsearch.records import Mode
from semsearch.render import safe_json

__all__ = ["ALL", "Bench", "BenchRow", "Figures", "Gap", "Way"]

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
            lines.append(json.dumps({**probe.to_dict(), "ranks": ranks}, ensure_ascii=False) + "\n")
        return "".join(lines)
