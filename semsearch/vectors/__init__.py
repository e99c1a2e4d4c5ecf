"""Rows of vectors in files, and search over them: the one door to faiss.

A segment is a run of consecutive row numbers in a file that is written once and never changed (`segment`). All segments of an
index together are `Vectors`: up to a number of rows, each is multiplied with the question; above that, a scan of codes of half a
byte for four numbers picks rows (`scan`), which are then multiplied. How many are picked is measured when an index is built, so
that the nearest are among them as often as was asked for (`recall`).

Invariants: similarity is the cosine, higher is better; faiss's padding (-1) and rows that are no longer wanted never come back
from a search; a filter takes nothing from the recall; nothing is read by faiss or numpy but what has just the form that
`segment_file` gave it; nothing is learned from the vectors, so what is written of a text depends on the model alone.

Deliberately not here: files, texts, which row is which passage, transactions.
"""

from __future__ import annotations

from semsearch.vectors.opened import EXACT_ROWS, Vectors
from semsearch.vectors.recall import TARGET_RECALL, Recall, measure
from semsearch.vectors.segment import SEGMENT_SUFFIX, Segment, segment_file

__all__ = ["EXACT_ROWS", "SEGMENT_SUFFIX", "TARGET_RECALL", "Recall", "Segment", "Vectors", "measure", "segment_file"]
