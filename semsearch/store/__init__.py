"""One index directory: what is in it, and how it changes.

``semsearch.sqlite`` is the truth: files, articles, passages, the model's fingerprint, and which rows of which segment hold
whose vectors; each of its pages has a checksum. Segments and the folder of the lexical side are derived, under names never used
before; the database lists each file with length and checksum, and what a search reads is compared with them first.
One transaction is one generation: a process killed anywhere leaves the last one whole, and the files of an unfinished one
are swept away by the next writer, but for what it has encoded (``pending.sqlite``), which goes into the next build. Readers see
the generation that they opened. One process writes at a time, held by an OS lock that dies with its process.

A vector belongs to a text, not to a place: passages that read the same share a row, and a passage that moved to another
file keeps its row.

The writer is imported from ``semsearch.store.writer``: searches, which start in fractions of a second, do without it.

Deliberately not here: reading articles, the model, ranking.
"""

from __future__ import annotations

from semsearch.store.extracts import ArticleText, SizedArticle
from semsearch.store.files import DATABASE
from semsearch.store.reader import PassageRow, Reader
from semsearch.store.schema import FORMAT
from semsearch.store.segments import SEGMENT_ROWS, Codes
from semsearch.store.tables import FileRow, embedding_hash, network_of, number_of, recall_of, target_of

__all__ = [
    "DATABASE",
    "FORMAT",
    "SEGMENT_ROWS",
    "ArticleText",
    "Codes",
    "FileRow",
    "PassageRow",
    "Reader",
    "SizedArticle",
    "embedding_hash",
    "network_of",
    "number_of",
    "recall_of",
    "target_of",
]
