"""Whether ``semsearch eval`` is right: a model's published figure, got through semsearch.

    SEMSEARCH_DATA=... python benchmarks/harness.py

Documents are taken whole and cut at the model's limit, as those who publish figures do. Fails where the figure is farther off
than ``TOLERANCE``. The index is kept in the user's cache; the first time takes a minute or two.
"""

from __future__ import annotations

import sys

from common import data_folder, machine, save

import semsearch

PUBLISHED = 0.645
"""nDCG@10 of all-MiniLM-L6-v2 on BEIR's scifact (MTEB)."""
TOLERANCE = 0.005


def main() -> None:
    """Measure and compare."""
    (found,) = semsearch.evaluate(data_folder() / "scifact", whole=True, models=["all-MiniLM-L6-v2"])
    figures = {"published": PUBLISHED, **found.metrics, "seconds": dict(found.seconds), "latency_ms": found.latency_ms}
    save("harness", {"machine": machine(), **figures})
    if abs(found.metrics["nDCG@10"] - PUBLISHED) > TOLERANCE:
        sys.exit(f"nDCG@10 is {found.metrics['nDCG@10']:.4f}, published is {PUBLISHED}")


if __name__ == "__main__":
    main()
