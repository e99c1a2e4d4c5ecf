"""Does `semsearch bench`, which knows no judgments, put the modes into the order that real judgments do?

    SEMSEARCH_DATA=... python benchmarks/probes.py [COLLECTION...]

Of each collection an index is made or refreshed in the user's cache (``SEMSEARCH_CACHE``), probed by each kind of probe alone and
by all together, and compared with nDCG@10 of real questions, as ``results/quality.json`` has it. ``--indexes DIR`` takes indexes
that are there: ``DIR/COLLECTION``.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import combinations
from pathlib import Path

from common import RESULTS, data_folder, machine, save
from quality import MODES, NINE, OTHERS

import semsearch
from semsearch import metrics
from semsearch.encoder import cache_folder
from semsearch.errors import InputError
from semsearch.probing import KINDS, Bench

CHANCE = 0.05
"""Of the paired test of two modes over the probes."""
LEVEL = 0.01
"""Of nDCG@10: modes that are nearer to each other than this on real questions are in no order."""


def _reciprocal(rank: int | None) -> float:
    return 0.0 if rank is None else 1 / rank


def pairs(real: dict[str, float], found: Bench) -> dict[str, int]:
    """Pairs of modes by whether probes order them as real questions do.

    ``agree`` and ``contradict``: told apart by both; ``silent``: told apart by real questions alone; ``level``: not by these.
    """
    counts = dict.fromkeys(("agree", "contradict", "silent", "level"), 0)
    ranks = {row.way.mode: row.ranks for row in found.rows}
    for one, other in combinations(MODES, 2):
        difference = real[one] - real[other]
        seen = [_reciprocal(ranks[one][each.id]) - _reciprocal(ranks[other][each.id]) for each in found.probes]
        if abs(difference) < LEVEL:
            counts["level"] += 1
        elif metrics.p_value(seen) >= CHANCE:
            counts["silent"] += 1
        else:
            counts["agree" if sum(seen) * difference > 0 else "contradict"] += 1
    return counts


def probe(index: Path, real: dict[str, float]) -> dict[str, object]:
    """The figures of each kind of probe alone, and of all."""
    figures: dict[str, object] = {"nDCG@10": {mode: real[mode] for mode in MODES}}
    for kinds in (KINDS, *((kind,) for kind in KINDS)):
        name = "all" if len(kinds) > 1 else kinds[0]
        try:
            found = semsearch.bench(index, kinds=kinds)
        except InputError as error:
            figures[name] = str(error)
            continue
        figures[name] = {
            "probes": len(found.probes),
            "RR@10": {row.way.mode: round(row.figures["all"].rr, 4) for row in found.rows},
            "behind the best (p, Holm)": {row.way.mode: round(row.gap.p_holm, 4) for row in found.rows if row.gap},
            "pairs": pairs(real, found),
            "nDCG@10 of what is best": real[found.rows[0].way.mode],
            "verdict": found.verdict,
            "seconds": round(found.seconds, 1),
        }
    return figures


def main() -> None:
    """Probe each collection."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("collections", nargs="*", default=[*NINE, *OTHERS])
    parser.add_argument("--indexes", type=Path)
    options = parser.parse_args()
    known = json.loads((RESULTS / "quality.json").read_text(encoding="utf-8"))["nDCG@10"]
    file = RESULTS / "probes.json"
    figures = json.loads(file.read_text(encoding="utf-8"))["collections"] if file.exists() else {}
    for name in options.collections:
        place = options.indexes / name if options.indexes else cache_folder() / "probes" / name
        if not options.indexes:
            semsearch.build(data_folder() / name / "corpus.jsonl", place).close()
        figures[name] = probe(place, known[name])
        print(name, json.dumps(figures[name], indent=1), file=sys.stderr, flush=True)
    save("probes", {"machine": machine(), "collections": figures})


if __name__ == "__main__":
    main()
